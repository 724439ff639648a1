"""Functions that write into an array, and `out=`: what they leave in their arguments is what NumPy leaves."""

import numpy as np
import pytest

import weft
from tests.against_numpy import interpreted
from tests.traced import agree, check_gradient
from weft import errors
from weft.frontend.numpy_api.registry import FUNCTIONS, implements

rng = np.random.default_rng(0)
M = rng.standard_normal((3, 4))
T = rng.standard_normal((5, 2))
V = rng.standard_normal(4)
F = M.astype(np.float32)
I8 = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
CUBE = rng.standard_normal((3, 3, 3))
NANS = np.array([[1.0, np.nan, np.inf], [-np.inf, -0.0, np.nan]])

WRITES = [
    ("np.copyto(x, y)", M, V),
    ("np.copyto(x, 3)", I8, V),
    ("np.copyto(x, y)", F, M),
    ("np.copyto(x, y, casting='unsafe')", I8, V * 9),
    ("np.copyto(x, y, where=x > 0)", M, V),
    ("np.copyto(x, 7.5, where=[True, False, True, False])", M, V),
    ("np.copyto(x[:, 1:], y[1:])", M, V),
    ("np.copyto(x[::-1].T, 2, where=y > 0)", T, T[:, 0]),
    ("np.put(x, [0, 5, -1], y)", M, V),
    ("np.put(x, [3, 1, 3], [1, 2, 3])", M, V),
    ("np.put(x, np.arange(7), y[:2])", M, V),
    ("np.put(x, [[0, 20], [-20, 3]], y[0], mode='clip')", M, V),
    ("np.put(x, [-1, 13, 30], y, mode='wrap')", M, V),
    ("np.put(x.T, [1, 2], y)", M, V),
    ("x.put([1, 2], 9)", M, V),
    ("np.put(x, [], y)", M, V),
    ("np.put(x, [1], [])", M, V),
    ("np.put(x, y, 2.5)", M, np.array([1, 11, -12])),
    ("np.putmask(x, x > 0, 0)", M, V),
    ("np.putmask(x, x > 0, y)", M, V[:3]),
    ("np.putmask(x, x < 0, y)", M, I8),
    ("np.put(x, [1, 3], y)", I8, V * 7),
    ("np.putmask(x, y, x + 1)", M, M > 0.5),
    ("np.place(x, x > 0, [4])", M, V),
    ("np.place(x[1], x[1] > 0, y[0])", M, V),
    ("np.put_along_axis(x, np.array([[0], [2], [1]]), 7, 1)", M, V),
    ("np.put_along_axis(x, y, -1.5, 0)", M, np.array([[0, 2, 1, 1], [1, 1, 1, 0]])),
    ("np.put_along_axis(x, np.array([0, 5]), y[:2], None)", M, V),
    ("np.add.at(x, [1, 1, -1, 0], y)", M, V),
    ("np.add.at(x, ([1, 1, 2], [0, 0, -1]), y[:3])", M, V),
    ("np.add.at(x, (slice(1, None), [2, 2]), 1)", I8, V),
    ("np.subtract.at(x, [0, 0], y)", M, V),
    ("np.add.at(x, 1, y)", M, V),
    ("np.add.at(x.T, [3, 3, 0], y[0])", M, V),
    ("np.add.at(x, [], y)", M, V),
    ("np.add.at(x, y, 2.5)", M, np.array([1, 1, -2])),
    ("np.fill_diagonal(x, 3)", M, V),
    ("np.fill_diagonal(x, y)", M, V),
    ("np.fill_diagonal(x, y[:2])", CUBE, V),
    ("np.fill_diagonal(x, 1)", T, V),
    ("np.fill_diagonal(x, 1, wrap=True)", T, V),
    ("np.fill_diagonal(x.T, y[:2])", T, V),
    ("np.fill_diagonal(x[1:, 1:], y)", CUBE[0], V),
    ("np.nan_to_num(x, copy=False)", NANS, V),
    ("np.nan_to_num(x[:, 1:], copy=False, nan=y[0], posinf=2.5)", NANS, V),
    ("np.nan_to_num(x, copy=False)", I8, V),
    ("x.fill(y[1])", F, V),
]

OUTS = [
    ("np.sum(y, 0, out=x)", V, M),
    ("np.sum(y, out=x[1:2, 1].reshape(()))", M, V),
    ("np.sum(y, 1, keepdims=True, out=x[:, :1])", M, M),
    ("y.sum(0, None, x)", V, M),
    ("np.sum(y, 0, out=x)", I8[0], M * 9),
    ("np.sum(y, 0, out=x)", I8[0], I8 * 30),
    ("np.sum(y, 0, out=x)", V, F),
    ("np.prod(y, 0, out=x)", F[0], M),
    ("np.max(y, 0, out=x)", F[0], M),
    ("y.min(0, out=x)", V, M),
    ("np.any(y > 0, 0, out=x)", V, M),
    ("np.all(y > 0, 0, out=x)", M[0] > 9, M),
    ("np.argmax(y, 0, out=x)", np.zeros(4, np.int64), M),
    ("np.argmin(y, 0, out=x)", np.zeros(4, np.int32), M),
    ("np.mean(y, 0, out=x)", V, M),
    ("np.mean(y, 0, out=x)", V, F),
    ("y.var(0, None, x)", V, M),
    ("np.std(y, 0, out=x)", F[0], M),
    ("np.ptp(y, 0, out=x)", V, M),
    ("np.nansum(y, 0, out=x)", np.zeros(3), NANS[:, [0, 1, 1]]),
    ("np.nanstd(y, 0, out=x)", V, M),
    ("np.round(y, 1, out=x)", M, M),
    ("np.fix(y, out=x)", M, M * 3),
    ("np.clip(y, 0, 1, out=x)", F, M),
    ("np.clip(x, -1, 1, out=x)", M, M),
    ("np.concatenate([y, y], out=x)", np.zeros(8, np.float32), V),
    ("np.stack([y, y], 1, out=x)", np.zeros((4, 2)), V),
    ("np.dot(y, y.T, out=x)", np.zeros((3, 3)), M),
    ("np.take(y, [2, 0], 0, out=x)", M[:2], M),
    ("np.trace(y, out=x)", np.zeros(()), M),
    ("np.outer(y, y, out=x)", np.zeros((4, 4)), V),
    ("np.einsum('ij->j', y, out=x)", V, M),
    ("np.isposinf(y, out=x)", np.zeros((2, 3), bool), NANS),
    ("np.add(y, 1, out=x)", M, M),
    ("np.sum(np.ones((3, 4)), 0, out=x)", V, M),
    ("np.sum([1.0, 2.0], out=x[0, 0, None].reshape(()))", M, M),
    ("np.stack([np.zeros(2), np.ones(2)], out=x)", T[:2], M),
]


def function_of(text):
    """Writes to x, reads it again, and returns what the writing function returned."""
    return eval(f"lambda x, y: ({text}, x * 2)", {"np": np})  # noqa: S307


@pytest.mark.parametrize("text, x, y", WRITES + OUTS, ids=lambda v: v if isinstance(v, str) else "")
def test_writes(text, x, y):
    f = function_of(text)
    want_x = x.copy()
    want = f(want_x, y)
    got_x = x.copy()
    got = interpreted(f)(got_x, y)
    assert got[0] is got_x if want[0] is want_x else (got[0] is None) == (want[0] is None)
    agree(got[1:], want[1:], rtol=1e-6 if x.dtype == np.float32 else 1e-12)
    agree(got_x, want_x, rtol=1e-6 if x.dtype == np.float32 else 1e-12)


def test_native():
    everything = [function_of(text) for text, _, _ in WRITES + OUTS]
    compiled = weft.compile(lambda xs, ys: [f(x, y)[1] for f, x, y in zip(everything, xs, ys, strict=True)])
    xs, ys = [x.copy() for _, x, _ in WRITES + OUTS], [y for _, _, y in WRITES + OUTS]
    wants = [x.copy() for x in xs]
    results = [f(x, y)[1] for f, x, y in zip(everything, wants, ys, strict=True)]
    agree(compiled(xs, ys), results, rtol=1e-6)
    for x, want in zip(xs, wants, strict=True):
        agree(x, want, rtol=1e-6)


def written(how):
    def f(x, y):
        a = x * 1
        how(a, y)
        return a * a

    return f


GRADIENTS = {
    "copyto": written(lambda a, y: np.copyto(a, y, where=a > 0)),
    "put": written(lambda a, y: np.put(a, [1, 5, 1], y)),
    "putmask": written(lambda a, y: np.putmask(a, a > 0, y)),
    "put_along_axis": written(lambda a, y: np.put_along_axis(a, np.array([[0], [2], [1]]), y[0], 1)),
    "fill_diagonal": written(lambda a, y: np.fill_diagonal(a, y)),
    "sum": written(lambda a, y: np.sum(a * y, 0, out=a[1])),
    "dot": written(lambda a, y: np.dot(a[:2] * 1.0, np.outer(y, y), out=a[1:])),
    "nan_to_num": written(lambda a, y: np.nan_to_num(a[0], copy=False)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    check_gradient(GRADIENTS[name], M, V)


REFUSED = [
    ("np.copyto(x, y)", I8, V, TypeError, "according to the rule 'same_kind'"),
    ("np.copyto(x, 300)", I8, V, OverflowError, "out of bounds for int8"),
    ("np.copyto(x[:2], y)", V, V, ValueError, "from shape (4,) into shape (2,)"),
    ("np.copyto(2.5, y)", V, V, TypeError, "float, which is no array"),
    ("x.put([0], 300)", I8, V, OverflowError, "out of bounds for int8"),
    ("np.put(x, [0, 4], 1)", V, V, IndexError, "index 4 is out of bounds"),
    ("np.putmask(x, y[:2] > 0, 1)", V, V, ValueError, "mask and data must be the same size"),
    ("np.putmask(x, x > 0, y)", F[0], V, TypeError, "not safely cast"),
    ("np.fill_diagonal(x, 1)", V, V, ValueError, "at least 2-d"),
    ("np.fill_diagonal(x, 1)", CUBE[:2], V, ValueError, "of equal length"),
    ("np.sum(y, out=x)", V, V, ValueError, "can't take a result of shape ()"),
    ("np.clip(y, 0, 1, out=x)", I8[0], V, TypeError, "same-kind casting"),
    ("np.dot(y, y, out=x)", np.zeros((), np.float32), V, Exception, "out= of dtype float32"),
    ("np.take(y, [0], out=x)", V[:1], F[0], TypeError, "can't take float32 results"),
    ("np.argmax(y, out=x)", np.zeros(()), V, TypeError, "can't take int64 results"),
    ("np.sum(y, 0, out=[0])", V, V, TypeError, "list, which is no array"),
]


@pytest.mark.parametrize("text, x, y, kind, words", REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_refused_as_numpy_refuses(text, x, y, kind, words):
    f = function_of(text)
    with pytest.raises(kind):
        f(x.copy(), y)
    with pytest.raises(kind) as caught:
        interpreted(f)(x.copy(), y)
    assert words in str(caught.value)


BUFFER = np.zeros(4)


def test_a_numpy_array_is_no_target():
    """Whoever reads it by NumPy, in the function too, would read what it held when the function was traced."""
    for text in ("np.copyto(B, y)", "np.add(y, 1, out=B)", "np.put(B, [0], y)", "np.sum(x, 0, out=B)",
                 "np.putmask(B, y > 0, y)", "np.dot(x, y, out=B[:3])"):  # fmt: skip
        f = eval(f"lambda x, y: ({text}, B + 1)", {"np": np, "B": BUFFER})  # noqa: S307
        with pytest.raises(errors.ForeignArrayError, match="Make it in the traced function"):
            interpreted(f)(M, V)
    with pytest.raises(errors.ForeignArrayError, match="np.broadcast_to"):
        interpreted(eval("lambda x: np.full(3, x[0], dtype=float)", {"np": np}))(V)  # noqa: S307
    assert not BUFFER.any()


def test_place_takes_one_value():
    with pytest.raises(errors.UnsupportedError, match="np.putmask"):
        interpreted(lambda x: np.place(x, x > 0, [1, 2]))(V.copy())


def test_a_function_is_implemented_once():
    with pytest.raises(ValueError, match="is implemented in weft.frontend.numpy_api.reductions and in test"):
        implements(np.sum)(lambda *a: None)
    assert FUNCTIONS[np.sum].__module__ == "weft.frontend.numpy_api.reductions"
