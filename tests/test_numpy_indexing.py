"""`x[key]` and the functions that choose elements by index: each form agrees with NumPy."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import weft
from tests.against_numpy import interpreted
from tests.traced import check, check_gradient, check_native, graph_of, ids, in_a_file, table
from weft import errors

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 3, 4))
M = rng.standard_normal((3, 4)).astype(np.float32)
V = rng.standard_normal(5)
S = np.array(2.5)
E = np.zeros((2, 0, 3))
I1 = np.array([2, 0, -1, 1])
I2 = np.array([[0, -3], [1, 2]], np.int8)
U = np.array([1, 0], np.uint16)
MASK = np.array([True, False, True])
MASK2 = M > 0
KNOWN = {"MASK": MASK, "MASK2": MASK2, "I1": I1, "I2": I2, "U": U, "S": S}


BASIC = table(
    KNOWN,
    *[(f"x[{key}]", X) for key in (
        "0", "-1", "1, 2", "1, -1, 0", "...", ":", "()", "None", "..., None", "0, ...", "..., 0", ":, 1", "1:, ::-1",
        "::2", "::-2", "-1:-3:-1", "5:1:-1", "1:1", "7:", ":-9", "-100:100", ":, :, ::3", ":, ::-1, 3:0:-2",
        "None, 0, None", "1, ..., None, 2",
        "np.newaxis, ..., np.newaxis", "slice(None, 1)", "np.int8(1)", "np.uint64(1), np.int64(-2)",
        "True", "False", "True, None, 0", "np.True_", "(slice(0, 2), 1)",
    )],
    ("x[()]", S), ("x[...]", S), ("x[None]", S), ("x[None, ..., None]", S), ("x[True]", S), ("x[False]", S),
    ("x[:, 0:0]", E), ("x[..., ::-1]", E), ("x[1]", E), ("x[2:][::-1][1:]", V), ("x[1:][0] + x[-1]", M),
)  # fmt: skip

ARRAYS = table(
    KNOWN,
    *[(f"x[{key}]", X) for key in (
        "[0]", "[1, 0, 0]", "[-1, 0]", "[]", "[[0, 1], [1, 1]]", "[], []", "range(2)", "(0, 1, 1), ",
        "np.array(1)", "U", ":, [2, 0]", ":, [0, 1, 2]", ":, [0, 2, 0, 2, 1]",
        "..., I1", ":, :, I2", "1, [0, 1]", "[0, 1], 2",
        "[1, 0], :, 0", "[0, 1], :, [3, 3]", "0, :, [1, 2]", ":, [0, 1], [1, 2]", "[[0], [1]], [0, 2]",
        "[[0], [1]], :, [[1, 2]]", ":, np.zeros(0, bool)",
        "None, [0, 1], None, ..., [0, 1]", "[0, 1], None, [0, 1]", ":, [1], ...", "..., [1], 0", "np.array(0), [1, 0]",
        "::-1, I1[:2], ::2", "[0, 1], ..., [1, 2]", "U, [0, 2], I1[1:3]", "True, [0, 1]", "[0, 1], True, 0",
        "False, [0]", "np.zeros((0, 2), int)", "[[]], 0", "np.array([0, 1], np.uint64)",
    )],
    *[(f"x[{key}]", X) for key in (
        "[True, False]", "np.array([False, False])", ":, MASK", "1, MASK", "..., [True, False, True, True]", "0, MASK2",
        ":, MASK2", "MASK2[:2, :3]", "MASK2[:2, :3], 0", "[True, True], 0", "np.array(True), [1, 0]",
    )],
    ("x[MASK2]", M), ("x[MASK2] + 1", M), ("x[~MASK2, None]", M), ("x[MASK, 1:3]", M), ("x[[1, 1, 1, 1]]", M),
    ("x[[0, 0]]", E), ("x[:, []]", E), ("x[[]]", S[None]),
)  # fmt: skip

TRACED = table(
    KNOWN,
    ("x[y]", V, I1),
    ("x[y]", V, I2),
    ("x[y]", X, U),
    ("x[:, y]", X, I2),
    ("x[y, y]", M, np.array([0, -1, 2])),
    ("x[y, z]", M, np.array([[0], [1]]), np.array([0, -1])),
    ("x[y, :, z]", X, np.array([0, 1]), np.array([3, -4])),
    ("x[0, :, y]", X, I1),
    ("x[y]", X, 1),
    ("x[y]", X, -1),
    ("x[..., y]", X, 2),
    ("x[y, 1:, None, y]", X, 1),
    ("x[y][y, y]", X, 1),
    ("x[y, [0, 2]]", X, 1),
    ("x[y]", X, np.int32(-2)),
    ("x[y]", X, np.array(1)),
    ("x[y]", V, np.array([250], np.uint8) // 60),
    ("x[[y, 0, z]]", V, 1, np.int64(-1)),
    ("x[[[y], [y + 1]]]", V, np.array(2)),
    ("x[y]", V, np.zeros((0, 3), int)),
    ("x[:0][y]", V, np.zeros(0, int)),
    ("x[:, y]", E, np.zeros((2, 0), int)),
    ("x[:, :, y]", E, I1 // 2),
    ("x[:, y, 0, None, :]", X[None], I1[:2] // 3),
    ("x[y[0]:][1:]", V, [1]),
    ("x[:y]", V, 3),
    ("x[y:z]", V, -3, 9),
    ("x[::y]", V, -2),
    ("x[y > 0]", V, 1),
    ("np.arange(10)[y:].sum() + x", V, 7),
    ("x[np.argsort(V0)]".replace("V0", "np.array([3, 1, 2])"), V),
    ("np.asarray(np.eye(4, dtype=np.float32), like=x)[x]", I1),
    ("np.asarray([[1, 2], [3, 4]], like=x)[:, x]", U),
    ("x[:, None] == np.arange(4)", I1),
)

CHOICES = table(
    KNOWN,
    ("np.take(x, 2)", X),
    ("np.take(x, -1, axis=1)", X),
    ("np.take(x, [0, 2])", X),
    ("np.take(x, [[0, 2], [1, -1]], axis=1)", X),
    ("np.take(x, I2, axis=0)", M),
    ("x.take([1, 0], axis=-1)", X),
    ("x.take(3)", M),
    ("np.take(x, y)", X, I1),
    ("np.take(x, y, axis=2)", X, I2),
    ("np.take(x, y, axis=1, mode='wrap')", X, np.array([5, -4, 0])),
    ("np.take(x, y, axis=1, mode='clip')", X, np.array([5, -4, 1])),
    ("np.take(x, [7, -8], mode='wrap')", V),
    ("np.take(x, [[7, -8]], mode='clip')", V),
    ("np.take(x, y, axis=0)", X, 1),
    ("np.take(x, np.array([], int))", E),
    ("np.take_along_axis(x, y, 1)", M, np.array([[0, -1], [1, 2], [3, 3]])),
    ("np.take_along_axis(x, y, axis=0)", M, np.array([[0, 1, 2, -1]])),
    ("np.take_along_axis(x, y, axis=-1)", X, np.zeros((2, 3, 1), np.int8)),
    ("np.take_along_axis(x, y, axis=None)", M, np.array([3, 0])),
    ("np.take_along_axis(x, y, 2)", X, np.array([[[1, 2]]])),
    ("np.take_along_axis(x, np.array([[0], [1], [-1]]), 1)", M),
    ("np.take_along_axis(np.arange(8).reshape(2, 4), x, 1)", np.array([[1], [2]])),
    ("np.compress([True, False, True], x, axis=0)", M),
    ("np.compress([0, 1], x)", M),
    ("np.compress(MASK, x, axis=-1)", M[:, :3]),
    ("x.compress([1, 1], axis=1)", M),
    ("np.extract(MASK2, x)", M),
    ("np.extract([[1, 0, 0, 2]], x)", M),
    ("np.choose(x, [10, 20, 30, 40])", np.array([0, 3, 1])),
    ("np.choose(x, y)", np.array([[0], [1]]), np.array([[1.0, 2, 3], [4, 5, 6]])),
    ("np.choose(x, (y, 2.5, z))", np.array([2, 0, 1]), np.array([7, 8, 9]), np.float32(1)),
    ("np.choose(x, [1.0, 2.0], mode='wrap')", np.array([3, -2, 0])),
    ("np.choose(x, [1.0, 2.0], mode='clip')", np.array([3, -2, 0])),
    ("np.choose([0, 1, 0], [x, y])", V[:3], V[2:]),
    ("x.choose([1, 2, 3, 4])", np.array([0, 3, 1])),
    ("np.diagonal(x)", M),
    ("np.diagonal(x, 1)", M),
    ("np.diagonal(x, -2)", M),
    ("np.diagonal(x, 9)", M),
    ("np.diagonal(x, 1, 1, 2)", X),
    ("np.diagonal(x, -1, axis1=2, axis2=0)", X),
    ("x.diagonal(offset=-1)", M),
    *[(f"np.diag(x, {k})", a) for a in (V, M) for k in (0, 2, -1)],
    ("np.diag(x)", V[:0]),
    ("np.diag(x)", np.array([True, False])),
    ("np.diagflat(x)", M[:2, :2]),
    ("np.diagflat(x, -1)", S),
    *[(f"np.{f}(x, {k})", X) for f in ("tril", "triu") for k in (0, 1, -2, 7)],
    ("np.tril(x)", V),
    ("np.triu(x, k=1)", V),
    ("np.triu(x, y)", M, -1),
    ("np.tril(x, y)", M, np.int8(1)),
    ("np.tril(x)", np.array([[np.nan, np.inf], [1, -np.inf]])),
    ("np.tril(x)", MASK2),
    ("x[np.ix_([0, 1], [2, 0])]", M),
    ("x[np.ix_([0, 2], MASK[:0].tolist() or [1])]", M),
    ("y[np.ix_(x, [True, False, True, False])]", np.array([2, 0]), M),
    ("x[np.tril_indices_from(x, -1)]", M),
    ("x[np.triu_indices_from(x, k=1)] * 2", M),
    ("x[np.diag_indices_from(x)]", M[:, :3]),
    ("np.lib.stride_tricks.sliding_window_view(x, 3)", V),
    ("np.lib.stride_tricks.sliding_window_view(x, (2, 3))", M),
    ("np.lib.stride_tricks.sliding_window_view(x, 2, axis=1)", X),
    ("np.lib.stride_tricks.sliding_window_view(x, (2, 1, 2), axis=(2, 0, 2))", X),
    ("np.ix_(x, y)", np.array([2, 0], np.int16), np.array([1, 2, 3])),
    ("np.ravel_multi_index((x, y), (3, 4))", np.array([2, 0]), np.array([1, 3], np.int8)),
    ("np.ravel_multi_index((x, 1, y), (3, 4, 2), order='F')", np.array([2, 0]), np.array([1, 0])),
    ("np.ravel_multi_index((x, y), (3, 4), mode=('wrap', 'clip'))", np.array([4, -1]), np.array([9, -3])),
    ("np.ravel_multi_index(x, (3, 4))", np.array([[2, 0], [1, 3]])),
    ("np.unravel_index(x, (3, 4))", np.array([11, 0, 5])),
    ("np.unravel_index(x, (3, 4, 2), order='F')", np.array([[23, 7]])),
    ("np.unravel_index(x, 24)", 7),
)

GROUPS = {"basic": BASIC, "arrays": ARRAYS, "traced": TRACED, "choices": CHOICES}
ALL = [pair for group in GROUPS.values() for pair in group]


@pytest.mark.parametrize("case", [c for _, c in ALL], ids=ids(ALL))
def test_interpreted(case):
    check(case)


@pytest.mark.parametrize("group", GROUPS)
def test_native(group):
    check_native([case for _, case in GROUPS[group]])


# Keys at random.


@st.composite
def arrays_and_keys(draw):
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    items = []
    common = draw(hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=3))
    axis = 0
    while axis < len(shape):
        n = shape[axis]
        kinds = ["slice", "new", "dots", "mask"] + (["int", "array", "list", "0-d"] if n else [])
        kind = draw(st.sampled_from(kinds))
        if kind == "slice":
            ends = st.none() | st.integers(-6, 6)
            items.append(slice(draw(ends), draw(ends), draw(st.sampled_from([None, 1, 2, -1, -2, 3]))))
        elif kind == "new":
            items.append(None)
            continue
        elif kind == "dots":
            if any(i is Ellipsis for i in items):
                continue
            items.append(Ellipsis)
            axis = draw(st.integers(axis, len(shape)))
            continue
        elif kind == "mask":
            wide = draw(st.integers(1, min(2, len(shape) - axis)))
            mask = draw(hnp.arrays(bool, shape[axis : axis + wide]))
            items.append(mask)
            axis += wide - 1
        elif kind == "int":
            items.append(draw(st.integers(-n, n - 1)))
        elif kind == "0-d":
            items.append(np.array(draw(st.integers(-n, n - 1)), np.int16))
        else:
            dims = draw(st.sampled_from([common, common[-1:], (1, *common[1:])]))
            places = draw(hnp.arrays(np.int64, dims, elements=st.integers(-n, n - 1)))
            items.append(places if kind == "array" else places.tolist())
        axis += 1
        if draw(st.booleans()) and axis < len(shape):
            break
    return x, tuple(items)


def outcome(f, *arguments):
    """The result, or IndexError: also where NumPy only announces that it will be raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.asarray(f(*arguments))
        except (IndexError, DeprecationWarning):
            return IndexError


@given(arrays_and_keys())
def test_any_key(drawn):
    x, key = drawn
    want = outcome(lambda x: x[key], x)
    got = outcome(interpreted(lambda x: x[key]), x)
    if want is IndexError:
        assert got is IndexError
        return
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_array_equal(got, want)


@given(arrays_and_keys())
def test_any_key_with_traced_arrays(drawn):
    """The same when its integer arrays are arguments."""
    x, key = drawn
    traced = [k for k in key if isinstance(k, np.ndarray) and k.dtype.kind == "i"]
    places = [i for i, k in enumerate(key) if isinstance(k, np.ndarray) and k.dtype.kind == "i"]

    def f(x, *given):
        full = list(key)
        for i, g in zip(places, given, strict=True):
            full[i] = g
        return x[tuple(full)]

    want = outcome(f, x, *traced)
    assume(want is not IndexError)  # traced indices are not checked
    got = outcome(interpreted(f), x, *traced)
    assert got is not IndexError and got.shape == want.shape
    np.testing.assert_array_equal(got, want)


GRADIENTS = {
    "slices": (lambda x: x[1:, ::-2], M64 := rng.standard_normal((3, 4))),
    "an element": (lambda x: x[1, 2] * x[-1], M64),
    "a list": (lambda x: x[[2, 0, 0]], M64),
    "arrays": (lambda x: x[:, I1], M64),
    "twice the same": (lambda x: x[I2, [[0], [1]]], M64),
    "a mask": (lambda x: x[MASK2], M64),
    "take": (lambda x: np.take(x, I2, axis=0), M64),
    "take with wrap": (lambda x: np.take(x, [7, -8], mode="wrap"), M64),
    "take_along_axis": (lambda x: np.take_along_axis(x, np.array([[0, 0], [1, 2], [-1, 3]]), 1), M64),
    "compress": (lambda x: np.compress(MASK, x, axis=0), M64),
    "choose": (lambda x, y: np.choose([0, 1, 0, 1], [x, y]), M64, M64[:1]),
    "windows": (lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 3)), M64),
    "diagonal": (lambda x: np.diagonal(x, 1), M64),
    "diag": (lambda x: np.diag(x, -1), V),
    "diag of a matrix": (lambda x: np.diag(x), M64),
    "tril": (lambda x: np.tril(x, 1), M64),
    "triu": (lambda x: np.triu(x), X),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    check_gradient(*GRADIENTS[name])


def test_the_gradient_of_a_traced_index():
    x, i = rng.standard_normal((4, 3)), np.array([1, -1, 1])
    want = np.zeros((4, 3))
    np.add.at(want, i, 1)
    loss = lambda x, i: (x[i] * 1.0).reshape(-1) @ np.ones(9)  # noqa: E731
    np.testing.assert_array_equal(weft.grad(loss)(x, i), want)
    np.testing.assert_array_equal(weft.compile(weft.grad(loss))(x, i), want)
    row = weft.compile(weft.grad(lambda x, i: x[i] @ np.ones(3)))
    for k in (0, -1):
        np.testing.assert_array_equal(row(x, k), np.where(np.arange(4)[:, None] == k % 4, np.ones(3), 0))
    assert len(row.cache_info()) == 1


ERRORS = [
    ("x[3]", M, "index 3 is out of bounds for axis 0 with size 3"),
    ("x[:, -5]", M, "index -5 is out of bounds for axis 1 with size 4"),
    ("x[[0, 3]]", M, "index 3 is out of bounds for axis 0 with size 3"),
    ("x[1, np.array([[0], [-5]])]", M, "index -5 is out of bounds for axis 1 with size 4"),
    ("x[0, 0, 0]", M, "too many indices for array: array is 2-dimensional, but 3 were indexed"),
    ("x[0]", S, "too many indices for array: array is 0-dimensional, but 1 were indexed"),
    ("x[..., ...]", M, "an index can only have a single ellipsis ('...')"),
    ("x[1.0]", M, "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean"),
    ("x['a']", M, "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean"),
    ("x[np.array([1.0])]", M, "arrays used as indices must be of integer (or boolean) type"),
    ("x[x]", M, "arrays used as indices must be of integer (or boolean) type"),
    ("x[[True, False]]", M, "boolean index did not match indexed array along axis 0; size of axis is 3 but size"),
    ("x[:, [True, False]]", M, "along axis 1; size of axis is 4 but size of corresponding boolean axis is 2"),
    ("x[[0, 1], [0, 1, 2]]", M, "indexing arrays could not be broadcast together with shapes (2,) (3,)"),
    ("x[0]", E[0], "index 0 is out of bounds for axis 0 with size 0"),
    ("np.take(x, 12)", M, "index 12 is out of bounds for axis 0 with size 12"),
    ("np.take_along_axis(x, np.array([[4]]), 1)", M, "index 4 is out of bounds for axis 1 with size 4"),
    ("x[[0, 1], False]", M, "indexing arrays could not be broadcast together with shapes (2,) (0,)"),
    ("np.take_along_axis(x, np.array([[0.5]]), 1)", M, "must be an integer array"),
    ("np.compress([0, 0, 0, 1], x, axis=0)", M, "index 3 is out of bounds for axis 0 with size 3"),
]


@pytest.mark.parametrize("text, x, words", ERRORS, ids=[e[0] for e in ERRORS])
def test_index_errors(text, x, words, tmp_path):
    f = in_a_file(text, tmp_path)
    with pytest.raises(IndexError):
        f(x)
    with pytest.raises(IndexError) as caught:
        interpreted(f)(x)
    first = str(caught.value).splitlines()[0]
    assert f"program.py:4: `{text}`: " in first and words in first


REFUSED = [
    ("x[x > 0]", V, errors.UnsupportedError, "np.where(mask, x, other)"),
    ("x[0, x[0] > 0]", M, errors.UnsupportedError, "np.sum(x, where=mask)"),
    ("np.compress(x > 0, x)", V, errors.UnsupportedError, "np.where(condition, x, other)"),
    ("np.extract(x > 0, x)", V, errors.UnsupportedError, "np.where(condition, x, other)"),
    ("np.nonzero(x)", V, errors.UnsupportedError, "np.where(condition, a, b)"),
    ("x.nonzero()", V, errors.UnsupportedError, "np.where(condition, a, b)"),
    ("np.zeros((0, 3))[x]", I1, IndexError, "out of bounds for axis 0 with size 0"),
    ("np.zeros((0, 3), like=x)[x]", I1, IndexError, "out of bounds for axis 0 with size 0"),
    ("np.take_along_axis(np.zeros((0, 3), like=x), x[:, None], 0)", I1, IndexError, "axis 0 with size 0"),
    ("np.eye(5)[::-1].__getitem__(x)", I1, errors.ConcretizationError, "needs the elements of a traced array"),
    ("x[x.astype(int)[0]:]", V, errors.UnsupportedError, "only the run shows"),
    ("x[x.astype(int)[0]::2]", V, errors.UnsupportedError, "by steps of 2"),
    ("np.take(x, 0, mode='bounce')", V, ValueError, "mode must be one of"),
    ("np.take_along_axis(x, np.array([0]), 1)", M, ValueError, "same number of dimensions"),
    ("np.take_along_axis(x, np.zeros((2, 1), int), 1)", M, ValueError, "do not broadcast"),
    ("np.choose([0, 2], [x, x])", V, ValueError, "invalid entry in choice array"),
    ("np.diagonal(x)", V, ValueError, "at least two dimensions"),
    ("np.diagonal(x, 0, 0, 0)", M, ValueError, "axis1 and axis2 cannot be the same"),
    ("np.diag(x)", X, ValueError, "1- or 2-d"),
    ("np.tril(x)", S, ValueError, "one or more axes"),
    ("np.tril_indices_from(x)", V, ValueError, "must be 2-d"),
    ("np.diag_indices_from(x)", M, ValueError, "equal length"),
    ("np.lib.stride_tricks.sliding_window_view(x, 6)", V, ValueError, "does not fit"),
    ("np.ix_(x)", M.astype(int), ValueError, "1 dimensional"),
    ("np.ravel_multi_index((x, x), (3,))", I1, ValueError, "sequence of length 1"),
]


@pytest.mark.parametrize("text, x, kind, words", REFUSED, ids=[e[0] for e in REFUSED])
def test_what_is_refused(text, x, kind, words, tmp_path):
    f = in_a_file(text, tmp_path)
    with pytest.raises(kind) as caught:
        interpreted(f)(x)
    assert "program.py:4: `" in str(caught.value) and words in str(caught.value)


def test_a_mask_is_known_where_nothing_is_compiled():
    x = np.array([1.0, -2.0, 3.0])
    np.testing.assert_array_equal(weft.grad(lambda x: x[x > 0] @ np.array([2.0, 5.0]))(x), [2, 0, 5])


def test_python_ints():
    """As an index an int argument stays traced; as a bound of a slice it is a guard."""
    x = np.arange(5.0)
    at = weft.compile(lambda x, i: x[i])
    assert [at(x, i) for i in (0, 3, -1)] == [0, 3, 4] and len(at.cache_info()) == 1
    head = weft.compile(lambda x, n: x[:n])
    assert [len(head(x, n)) for n in (0, 3, -1)] == [0, 3, 4] and len(head.cache_info()) == 3
    counted = weft.compile(lambda x, n: x[: len(np.arange(n))])
    assert [len(counted(x, n)) for n in (2, 3)] == [2, 3] and len(counted.cache_info()) == 2


def test_index_arrays_are_seen_to_change():
    """An index array that the function closes over is read at each call; a list is what it was."""
    places, fixed = np.array([0, 1]), [0, 1]
    f = weft.compile(lambda x: (x[places], x[fixed]))
    x = np.arange(5.0)
    f(x)
    places[:] = -1, 3
    fixed[:] = 4, 4
    for got, want in zip(f(x), ([4, 3], [0, 1]), strict=True):
        np.testing.assert_array_equal(got, want)


def test_masks_are_seen_to_change():
    """What a mask holds decides shapes: when it changes, or its variable is another array, the function is captured
    anew, also from within a gradient."""
    mask, counts = np.array([True, False, True]), np.array([1, 2, 0])

    def f(x):
        return x[mask], np.repeat(x, counts), np.compress(mask[1:], x), np.delete(x, counts[:1])

    compiled, x = weft.compile(f), np.arange(3.0)
    gradient = weft.compile(lambda x: weft.grad(lambda x: np.sum(x[mask]))(x))

    def same():
        for got, want in zip(compiled(x), f(x), strict=True):
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(gradient(x), mask)

    same()
    mask[1] = True
    same()
    counts[2] = 5
    same()
    mask = np.array([False, False, True])
    same()
    assert len(compiled.cache_info()) == 4 and len(gradient.cache_info()) == 3
    same()
    assert len(compiled.cache_info()) == 4


def test_a_mask_made_inside_is_not_looked_at_again(monkeypatch):
    f = weft.compile(lambda x: x[np.arange(4) % 2 == 0])
    np.testing.assert_array_equal(f(np.arange(4.0)), [0, 2])
    monkeypatch.setattr(np, "array_equal", None)
    np.testing.assert_array_equal(f(np.arange(4.0)), [0, 2])


def test_basic_keys_are_views_and_others_are_not():
    def ops(f):
        return [op.kind.name for op in graph_of(f, X).ops]

    assert ops(lambda x: x[None, :, ::-1, 0]) == ["slice", "reverse", "reshape"]
    assert ops(lambda x: x[1]) == ["slice", "reshape"]
    assert ops(lambda x: x[:, [0, 1]]) == ["slice", "concatenate"]
    assert ops(lambda x: x[[0, 1, 0, 1, 0, 1, 0, 1, 0, 1]]) == ["gather"]
    assert ops(lambda x: x[...]) == ["reshape"]


def test_compiled_code_says_what_is_out_of_range():
    f = weft.compile(lambda x, i: x[i])
    np.testing.assert_array_equal(f(np.arange(3.0), np.array([2, -3, 1])), [2, 0, 1])
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 3"):
        f(np.arange(3.0), np.array([1, 5, -1]))


def test_an_element_is_a_number_and_a_view_of_one_is_not():
    """What was read from an array stays, what shows it changes with it."""

    def f(x, i):
        a, b, c, d = x[i], x[1], x[i, ...], x[1:2]
        x += 10
        return a, b, c, d, x[i]

    x = np.arange(3.0)
    for i in (1, np.int64(1)):
        for got in (weft.compile(f)(x.copy(), i), interpreted(f)(x.copy(), i)):
            np.testing.assert_equal(got, f(x.copy(), i))


def test_iteration_and_unpacking():
    def f(x):
        a, b = x
        return [row * 2 for row in a], b[::-1], len(x), max(len(r) for r in x)

    got = interpreted(f)(M[:2])
    np.testing.assert_array_equal(got[0], M[0] * 2)
    np.testing.assert_array_equal(got[1], M[1, ::-1])
    assert got[2:] == (2, 4)
    with pytest.raises(TypeError, match="0-d"):
        interpreted(lambda x: list(x))(S)
