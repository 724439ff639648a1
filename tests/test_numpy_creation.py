"""Arrays like another, grids of traced ends, and what `like=` makes: each call form agrees with NumPy."""

import inspect

import numpy as np
import pytest

import weft
from tests.against_numpy import interpreted
from tests.traced import check, check_gradient, check_native, ids, in_a_file, table
from weft import errors
from weft.frontend.numpy_api.registry import CREATORS, FUNCTIONS

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 3))
F = X.astype(np.float32)
N = np.arange(-2, 4, dtype=np.int16)
V = rng.standard_normal(4)
S = np.array(2.5)
F16 = np.array(0.25, np.float16)


LIKE = table(
    {"V": V},
    ("np.zeros_like(x)", X),
    ("np.zeros_like(x)", N),
    ("np.zeros_like(x)", 2.5),
    ("np.zeros_like(x, dtype=np.float32)", X),
    ("np.zeros_like(x, shape=(4,))", N),
    ("np.zeros_like(x, shape=2, dtype=bool)", X),
    ("np.zeros_like(x)", X[:0]),
    ("np.ones_like(x)", F),
    ("np.ones_like(x, int, shape=())", X),
    ("np.ones_like(x)", X > 0),
    ("np.empty_like(x).shape + np.empty_like(x, dtype=int, shape=5).shape", X),
    ("np.full_like(x, 7)", X),
    ("np.full_like(x, 2.7)", N),
    ("np.full_like(x, y)", F, 2.5),
    ("np.full_like(x, y)", N, S),
    ("np.full_like(x, y[0])", X, V),
    ("np.full_like(x, V[:3])", X),
    ("np.full_like(x, np.nan, dtype=np.float16, shape=(2, 2))", N),
    ("np.full_like(x, y, shape=(2, 4))", X, V),
    ("np.zeros(3, like=x)", X),
    ("np.zeros((2, 0), dtype=int, like=x)", X),
    ("np.ones(3, np.float32, like=x)", X),
    ("np.empty(3, like=x) * 0", X),
    ("np.full((2, 3), x[0], like=x)", N),
    ("np.full(3, 2, like=x)", X),
    ("np.full((2, 3), x, dtype=np.float32, like=x)", V[:3]),
    ("np.eye(3, like=x)", X),
    ("np.identity(2, like=x)", X),
    ("np.tri(3, 4, like=x)", X),
    ("np.arange(2, 8, 3, like=x)", X),
    ("np.arange(x)", 4),
    ("np.arange(1, x, 2)", 8),
    ("np.zeros(x) + np.eye(x)[0]", 3),
)

GRIDS = table(
    {"V": V},
    ("np.meshgrid(x, y)", V, N),
    ("np.meshgrid(x, y, indexing='ij')", V, N),
    ("np.meshgrid(x, y, sparse=True)", V, N),
    ("np.meshgrid(x, y, V, indexing='xy', copy=False)", V[:2], N[:3]),
    ("np.meshgrid(x)", V),
    ("np.meshgrid(x, y)", S, V),
    ("np.meshgrid(np.arange(3), x)", V),
    ("np.linspace(x, y, 5)", 0.0, 1.0),
    ("np.linspace(x, 10, 7)", np.float32(1)),
    ("np.linspace(x, y)", S, S + 1),
    ("np.linspace(x, y, 4, endpoint=False)", 1, 3),
    ("np.linspace(x, y, 4)", np.int8(-3), np.int8(5)),
    ("np.linspace(x, y, 1)", 1.0, 2.0),
    ("np.linspace(x, y, 0)", 1.0, 2.0),
    ("np.linspace(x, y, 1, endpoint=False)", 1.0, 2.0),
    ("np.linspace(x, y, 3)", X, X + 1),
    ("np.linspace(x, y, 3, axis=-1)", X, 2.0),
    ("np.linspace(x, y, 3, axis=1)", X, X[0]),
    ("np.linspace(0, x, 3)", F),
    ("np.linspace(x, y, 5, dtype=int)", -3.0, 4.0),
    ("np.linspace(x, y, 5, dtype=np.float32)", -3.0, 4.0),
    ("np.linspace(x, y, 5, retstep=True)", 1.0, 4.0),
    ("np.linspace(x, y, 1, retstep=True)", 1.0, 4.0),
    ("np.linspace(x, 1.0, 4)", F16),
    ("np.linspace(0.0, 1.0, x)", 5),
    ("np.logspace(x, y, 5)", 0.0, 2.0, {"rtol": 1e-14}),
    ("np.logspace(x, 3, 4, endpoint=False)", np.float32(1), {"rtol": 1e-6}),
    ("np.logspace(0, 3, 4, base=x)", 2.0, {"rtol": 1e-14}),
    ("np.logspace(0, x, 4, base=[2.0, 3.0], axis=-1)", 3.0, {"rtol": 1e-14}),
    ("np.logspace(0, x, 4, base=[[2.0, 3.0]])", 3.0, {"rtol": 1e-14}),
    ("np.logspace(x, 3, 4, dtype=np.float32)", 1.0, {"rtol": 1e-6}),
    ("np.geomspace(x, y, 5)", 1.0, 1000.0, {"rtol": 1e-14}),
    ("np.geomspace(x, y, 5)", -1.0, -1000.0, {"rtol": 1e-14}),
    ("np.geomspace(x, y, 4, endpoint=False)", 1.0, 16.0, {"rtol": 1e-14}),
    ("np.geomspace(x, 8, 4, dtype=np.float32)", np.float32(1), {"rtol": 1e-6}),
    ("np.geomspace(x, y, 1)", 3, 9, {"rtol": 1e-14}),
    ("np.geomspace(x, y, 0)", 3, 9),
    ("np.geomspace(x, 8, 3, axis=1)", np.array([1.0, 2.0]), {"rtol": 1e-14}),
    ("np.vander(x)", V),
    ("np.vander(x, 3)", N),
    ("np.vander(x, 3, increasing=True)", F[0]),
    ("np.vander(x, 1)", V),
    ("np.vander(x, 0)", V),
)

ALL = LIKE + GRIDS


@pytest.mark.parametrize("case", [c for _, c in ALL], ids=ids(ALL))
def test_interpreted(case):
    check(case)


@pytest.mark.parametrize("group", [LIKE, GRIDS], ids=["like", "grids"])
def test_native(group):
    for _, case in group:
        case.rtol = max(case.rtol, 1e-15)  # another order of the same arithmetic
    check_native([case for _, case in group])


GRADIENTS = {
    "full_like": (lambda x, y: np.full_like(x, y) * x, X, S),
    "meshgrid": (lambda x, y: np.multiply(*np.meshgrid(x, y)), V, V[:3]),
    "linspace": (lambda x, y: np.linspace(x, y, 4), X, X[0]),
    "linspace without its end": (lambda x, y: np.linspace(x, y, 4, endpoint=False), S, S + 1),
    "logspace": (lambda x, y: np.logspace(x, 1.5, 3, base=y), S, S + 1),
    "geomspace": (lambda x, y: np.geomspace(x, y, 4), S, S + 1),
    "vander": (lambda x: np.vander(x, 4), V),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    check_gradient(*GRADIENTS[name], rtol=1e-5)


REFUSED = [
    ("np.arange(x[0])", V, errors.ConcretizationError, "needs the elements"),
    ("np.zeros_like(x, dtype=complex)", V, TypeError, "complex128"),
    ("np.full_like(x, [1, 2])", V, ValueError, "does not broadcast to (4,)"),
    ("np.meshgrid(x, x, indexing='yx')", V, ValueError, "'xy' and 'ij'"),
    ("np.linspace(x, 1, -1)", S, ValueError, "must be non-negative"),
    ("np.linspace(x, 1, 3, axis=3)", X, np.exceptions.AxisError, "axis 3 is out of bounds"),
    ("np.vander(x)", X, ValueError, "one-dimensional"),
]


@pytest.mark.parametrize("text, x, kind, words", REFUSED, ids=[e[0] for e in REFUSED])
def test_errors(text, x, kind, words, tmp_path):
    f = in_a_file(text, tmp_path)
    with pytest.raises(kind) as caught:
        interpreted(f)(x)
    assert "program.py:4: `" in str(caught.value).splitlines()[0] and words in str(caught.value)
    if kind in (ValueError, np.exceptions.AxisError):
        with pytest.raises(kind):
            f(x)


def test_what_like_makes_is_traced():
    def kinds(x):
        made = [np.zeros(2, like=x), np.array([1, 2], like=x), np.full(2, 1.0, like=x), np.arange(3, like=x)]
        return [type(a) is type(x) for a in made]

    assert interpreted(kinds)(V) == [True] * 4


TAKEN = ["np.full(3, x[0])", "np.full((2, 3), x[0], dtype=np.float32)", "np.array([x, x])", "np.eye(4)[x.astype(int)]",
         "np.array([[x[0], 2], [x[1], x[2]]], dtype=np.float32)"]  # fmt: skip


@pytest.mark.parametrize("text", TAKEN)
def test_makers_take_traced_values(text, tmp_path):
    """In code whose source is found."""
    f = in_a_file(text, tmp_path)
    got, want = interpreted(f)(V), f(V)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)


def test_zeros_like_of_a_parameter_tree():
    """What optimizers begin with, inside the compiled function."""
    params = [(X, V), (F, N)]
    start = weft.compile(lambda p: weft.tree.map(np.zeros_like, p))(params)
    for got, want in zip(weft.tree.leaves(start), weft.tree.leaves(params), strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape and not got.any()


def test_signatures_are_numpys():
    """Every function takes what NumPy's takes, by the same names and defaults."""

    def parameters(f):
        return [(p.name, p.default) for p in inspect.signature(f).parameters.values() if p.name != "like"]

    positional = {np.empty_like: "prototype"}
    for function, implementation in FUNCTIONS.items():
        module = implementation.__module__.rsplit(".", 1)[-1]
        if module not in MINE:
            continue
        want, got = parameters(function), parameters(implementation)
        if function in positional:
            want[0], got[0] = got[0], got[0]
        assert got == want, function.__name__
    assert np.zeros in CREATORS and np.zeros not in FUNCTIONS


MINE = ("assignment", "conversion", "creation", "diagonals", "differences", "indexing", "joining", "movement",
        "padding", "selection")  # fmt: skip
