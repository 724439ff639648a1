"""Movement, joining, splitting, padding and differences of traced arrays: each call form agrees with NumPy."""

import numpy as np
import pytest

import weft
from tests.against_numpy import interpreted
from tests.traced import check, check_gradient, check_native, graph_of, ids, in_a_file, table
from weft import errors

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 3, 4))
M = rng.standard_normal((3, 4)).astype(np.float32)
V = rng.standard_normal(5)
N = np.arange(-3, 9, dtype=np.int16).reshape(4, 3)
B = np.array([[True, False, True], [False, False, True]])
S = np.array(2.5)
E = np.zeros((2, 0, 3))
ONE = np.ones((1, 1, 1), np.float32)
M64 = rng.standard_normal((3, 4))
FORTRAN = np.asfortranarray(rng.standard_normal((3, 4)))
STRIDED = rng.standard_normal((6, 8))[::-2, ::3]
STILL = np.broadcast_to(np.array([1.0, -0.0, 3.0]), (2, 3))
LAYOUTS = {"fortran": FORTRAN, "negative strides": STRIDED, "zero strides": STILL, "0-d": S, "empty": E, "one": ONE}

SHAPES = table(
    {},
    ("np.reshape(x, (4, 6))", X),
    ("np.reshape(x, -1)", X),
    ("np.reshape(x, (3, -1, 2))", X),
    ("np.reshape(x, [6, 4])", X),
    ("np.reshape(x, np.array([6, 4]))", X),
    ("np.reshape(x, (4, -1), order='F')", X),
    ("np.reshape(x, (2, 3, 2, 2), order='F')", X),
    ("np.reshape(x, (4, 6), copy=True)", X),
    ("np.reshape(x, np.array(24))", X),
    ("np.reshape(x, (0, 7))", E),
    ("np.reshape(x, (3, -1))", E),
    ("np.reshape(x, ())", ONE),
    ("np.reshape(x, (1, 1))", S),
    ("x.reshape(4, 6)", X),
    ("x.reshape((4, 6))", X),
    ("x.reshape(-1)", X),
    ("x.reshape([2, -1])", X),
    ("x.reshape(6, 4, order='F')", X),
    ("x.reshape(())", ONE),
    ("np.ravel(x)", X),
    ("np.ravel(x, order='F')", X),
    ("x.ravel()", M),
    ("x.ravel('F')", M),
    ("np.ravel(x)", E),
    ("np.ravel(x)", S),
    ("x.flatten()", X),
    ("x.flatten('F')", X),
    ("np.expand_dims(x, 0)", X),
    ("np.expand_dims(x, -1)", X),
    ("np.expand_dims(x, (0, 2))", X),
    ("np.expand_dims(x, (1, -1))", V),
    ("np.squeeze(x)", ONE),
    ("np.squeeze(x, 0)", ONE),
    ("np.squeeze(x, axis=(0, -1))", ONE),
    ("x.squeeze()", ONE),
    ("x.squeeze(1)", ONE),
    ("np.squeeze(x)", E),
    ("np.atleast_1d(x)", S),
    ("np.atleast_1d(x, y)", S, V),
    ("np.atleast_2d(x)", S),
    ("np.atleast_2d(x)", V),
    ("np.atleast_2d(x, y)", V, X),
    ("np.atleast_3d(x)", S),
    ("np.atleast_3d(x)", V),
    ("np.atleast_3d(x)", M),
    ("np.atleast_3d(x, y)", M, X),
    ("np.broadcast_to(x, (2, 3, 4))", M),
    ("np.broadcast_to(x, 3)", S),
    ("np.broadcast_to(x, (3, 5))", V),
    ("np.broadcast_to(x, (0, 1, 3))", ONE[0]),
    ("np.broadcast_arrays(x, y)", V, V.reshape(5, 1)),
    ("np.broadcast_arrays(x, np.ones(3), 1)", S),
    ("np.reshape(x, (1, 1))", 3),
    ("x.T", X),
    ("x.T", V),
    ("x.mT", X),
    ("np.matrix_transpose(x)", X),
    ("np.transpose(x)", X),
    ("np.transpose(x, (1, 2, 0))", X),
    ("np.transpose(x, [-1, 0, 1])", X),
    ("np.permute_dims(x, (2, 0, 1))", X),
    ("x.transpose()", X),
    ("x.transpose(1, 0, 2)", X),
    ("x.transpose((2, 1, 0))", X),
    ("x.transpose(None)", M),
    ("np.transpose(x)", S),
    ("np.swapaxes(x, 0, -1)", X),
    ("x.swapaxes(0, 1)", M),
    ("np.moveaxis(x, 0, -1)", X),
    ("np.moveaxis(x, -1, 0)", X),
    ("np.moveaxis(x, [0, 1], [-1, 0])", X),
    ("np.moveaxis(x, (2, 0), (0, 1))", X),
    ("np.rollaxis(x, 2)", X),
    ("np.rollaxis(x, 0, 3)", X),
    ("np.rollaxis(x, 1, -1)", X),
    ("np.rollaxis(x, -1, 1)", X),
)

DIRECTIONS = table(
    {},
    ("np.flip(x)", X),
    ("np.flip(x, 1)", X),
    ("np.flip(x, (0, -1))", X),
    ("np.flip(x)", S),
    ("np.fliplr(x)", M),
    ("np.flipud(x)", N),
    ("np.flipud(x)", E),
    *[(f"np.rot90(x, {k})", M) for k in (-1, 0, 1, 2, 3, 4)],
    ("np.rot90(x, 1, (1, 2))", X),
    ("np.rot90(x, 3, (2, 0))", X),
    ("np.roll(x, 2)", V),
    ("np.roll(x, -1)", X),
    ("np.roll(x, 0)", V),
    ("np.roll(x, 12)", V),
    ("np.roll(x, 1, axis=0)", M),
    ("np.roll(x, -3, axis=-1)", M),
    ("np.roll(x, (1, -1), axis=(0, 1))", M),
    ("np.roll(x, 1, axis=(0, 1, 2))", X),
    ("np.roll(x, (1, 2), axis=0)", M),
    ("np.roll(x, (1, 1), axis=(0, 0))", M),
    ("np.roll(x, 1)", E),
    ("np.roll(x, (), axis=())", M),
    ("np.roll(x, y)", V, 2),
    ("np.roll(x, y, axis=1)", M, np.array(-7)),
    ("np.roll(x, y, axis=(0, 1))", M, np.array([1, -2])),
    ("np.roll(x, y)", M, np.array(5, np.int8)),
    ("np.roll(x, (y, 1), axis=(0, 1))", M, 2),
    ("np.roll(np.arange(3), x)", 2),
)

JOINS = table(
    {},
    ("np.concatenate([x, y])", V, V),
    ("np.concatenate((x, y), axis=1)", M, N.T),
    ("np.concatenate([x, y], axis=-1)", M, M),
    ("np.concatenate([x, y], axis=None)", M, V),
    ("np.concatenate([x, 1.5], axis=None)", M),
    ("np.concatenate([x, np.float64(1.5)], axis=None)", M),
    ("np.concatenate([x, y], axis=None)", M, 2),
    ("np.concatenate([x, y, z], axis=None)", N, 2.5, S),
    ("np.concatenate(x)", X),
    ("np.concatenate([x, [1, 2]])", V),
    ("np.concatenate([x, [1, 2]])", np.float32([1])),
    ("np.concatenate([x, [[1, 2, 3]]])", N),
    ("np.concatenate([x, y], dtype=np.float32)", V, V),
    ("np.concatenate([x, y], dtype=np.int32, casting='unsafe')", V, V),
    ("np.concatenate([x])", V),
    ("np.concatenate([x, y], 1)", E, E),
    ("np.concatenate([x, y])", B, B),
    ("np.concatenate([x, y])", B, N),
    ("np.concat([x, y])", V, V),
    ("np.stack([x, y])", M, M),
    ("np.stack([x, y], axis=1)", M, M),
    ("np.stack((x, y, x), axis=-1)", V, V),
    ("np.stack([x, y])", np.float32(1), 1.0),
    ("np.stack([x, 1, 2.0])", np.float32(1)),
    ("np.stack([x, y, x * y])", 1, 2.0),
    ("np.stack([x[0], x[1]])", V),
    ("np.stack([x, y], dtype=np.float32)", V, V),
    ("np.stack(x, 1)", X),
    ("np.stack([x, y])", N, M.T),
    ("np.vstack([x, y])", V, V),
    ("np.vstack((x, y))", M, M),
    ("np.vstack([x, y], dtype=np.float64)", M, M),
    ("np.hstack([x, y])", V, S),
    ("np.hstack([x, y])", M, M),
    ("np.hstack([x, 1.0])", np.float32([1])),
    ("np.dstack([x, y])", M, M),
    ("np.dstack([x, y])", V, V),
    ("np.column_stack([x, y])", V, V),
    ("np.column_stack([x, y])", N, V[:4]),
    ("np.append(x, y)", V, M),
    ("np.append(x, 1)", M),
    ("np.append(x, y, axis=0)", M, M),
    ("np.append(x, [[1, 2, 3]], axis=0)", N),
    ("np.block([x, y])", V, V),
    ("np.block([[x, y], [y, x]])", M, M),
    ("np.block([[x, np.ones((3, 1))], [np.zeros((1, 4)), 7]])", M),
    ("np.block(x)", M),
    ("np.block([[x], [x]])", X),
    ("np.block([[[x]], [[x]]])", V),
)

REPEATS = table(
    {},
    ("np.repeat(x, 3)", V),
    ("np.repeat(x, 2)", X),
    ("np.repeat(x, 2, axis=1)", X),
    ("np.repeat(x, 0, axis=0)", X),
    ("np.repeat(x, [1, 0, 2], axis=0)", M),
    ("np.repeat(x, np.array([2, 1, 0, 3]), axis=-1)", M),
    ("np.repeat(x, np.array([2]), axis=0)", M),
    ("x.repeat(2, 0)", M),
    ("np.repeat(x, 3)", S),
    ("np.repeat(x, y)", V, 2),
    ("np.tile(x, 2)", V),
    ("np.tile(x, (2, 3))", V),
    ("np.tile(x, (2, 1))", M),
    ("np.tile(x, 2)", X),
    ("np.tile(x, (2, 1, 1, 2))", X),
    ("np.tile(x, 0)", V),
    ("np.tile(x, ())", V),
    ("np.tile(x, 3)", S),
    ("np.resize(x, (2, 3))", V),
    ("np.resize(x, 3)", V),
    ("np.resize(x, (4, 4))", M),
    ("np.resize(x, (2, 2))", E),
    ("np.delete(x, 1)", V),
    ("np.delete(x, -1, axis=1)", M),
    ("np.delete(x, [0, 2], axis=0)", M),
    ("np.delete(x, slice(None, None, 2), axis=1)", M),
    ("np.delete(x, np.array([True, False, True, False, False]))", V),
    ("np.delete(x, 3)", M),
    ("np.insert(x, 1, 7)", V),
    ("np.insert(x, 1, [7, 8])", V),
    ("np.insert(x, [0, 4], [7, 8])", V),
    ("np.insert(x, [0, 4], 7)", V),
    ("np.insert(x, 1, y, axis=1)", M, np.array([1.0, 2, 3])),
    ("np.insert(x, 5, 2, axis=0)", np.arange(10.0).reshape(5, 2)),
    ("np.insert(x, [1], y, axis=1)", M, np.ones((3, 2))),
    ("np.insert(x, slice(0, 2), 2.7, axis=0)", N),
    ("np.insert(np.arange(3), 1, x)", 2.5),
    ("np.insert(x, 2, 9)", M),
)

SPLITS = table(
    {},
    ("np.split(x, 2)", V[:4]),
    ("np.split(x, 2, axis=1)", M),
    ("np.split(x, [1, 3])", V),
    ("np.split(x, [1, 3, 9], axis=-1)", M),
    ("np.split(x, [-1])", V),
    ("np.split(x, np.array([2]))", V),
    ("np.split(x, y)", V[:4], 2),
    ("np.array_split(x, 3)", V),
    ("np.array_split(x, 7)", V),
    ("np.array_split(x, 2, axis=1)", X),
    ("np.hsplit(x, 2)", M),
    ("np.hsplit(x, [1])", V),
    ("np.vsplit(x, 3)", M),
    ("np.dsplit(x, 2)", X),
    ("np.unstack(x)", M),
    ("np.unstack(x, axis=1)", X),
    ("[row * 2 for row in x]", M),
    ("tuple(x)", B),
)

PADS = table(
    {},
    ("np.pad(x, 1)", M),
    ("np.pad(x, (1, 2))", V),
    ("np.pad(x, ((1, 0), (2, 3)))", M),
    ("np.pad(x, [[2], [1]])", N),
    ("np.pad(x, {1: 2, -2: (0, 1)})", M),
    ("np.pad(x, 2, constant_values=7)", N),
    ("np.pad(x, 2, 'constant', constant_values=(1, 2))", V),
    ("np.pad(x, 1, constant_values=((1, 2), (3, 4)))", M),
    ("np.pad(x, ((1, 1), (0, 2)), constant_values=((1,), (2,)))", M),
    ("np.pad(x, 1, constant_values=y)", M, 2.5),
    ("np.pad(x, 1, constant_values=(y, 0))", V, S),
    ("np.pad(x, (1, 1), constant_values=-0.0)", V),
    ("np.pad(x, 0)", V),
    ("np.pad(x, 0)", S),
    ("np.pad(x, 1)", E),
    *[(f"np.pad(x, {w}, mode={mode!r})", a)
      for mode in ("edge", "reflect", "symmetric", "wrap")
      for w, a in (("(2, 1)", V), ("((1, 2), (3, 0))", M), ("9", V), ("1", X), ("2", np.ones((1, 3))))],
    ("np.pad(x, 2, 'reflect', reflect_type='even')", V),
)  # fmt: skip

DIFFERENCES = table(
    {},
    ("np.diff(x)", V),
    ("np.diff(x)", M),
    ("np.diff(x, axis=0)", M),
    ("np.diff(x, 2)", X),
    ("np.diff(x, 0)", V),
    ("np.diff(x, 9)", V),
    ("np.diff(x)", B),
    ("np.diff(x, 2)", B),
    ("np.diff(x)", N.astype(np.uint8)),
    ("np.diff(x, prepend=0)", V),
    ("np.diff(x, prepend=0, append=y)", M, 2.0),
    ("np.diff(x, axis=0, append=y)", M, M[:2]),
    ("np.diff(x, prepend=[1, 2])", V),
    ("np.ediff1d(x)", V),
    ("np.ediff1d(x)", M),
    ("np.ediff1d(x, to_begin=0, to_end=[1, 2])", V),
    ("np.ediff1d(x, to_end=y)", V, M),
)

CONVERSIONS = table(
    {},
    ("x.astype(np.float32)", X),
    ("x.astype('int64')", X),
    ("x.astype(int)", M),
    ("x.astype(bool)", X),
    ("x.astype(np.float16)", N),
    ("x.astype(float)", B),
    ("x.astype(np.uint8)", N),
    ("x.astype(np.float64, casting='safe', copy=False)", M),
    ("np.reshape(x, 1).astype(np.float32)", 3),
    ("np.astype(x, np.float32)", X),
    ("np.copy(x)", X),
    ("x.copy()", M),
    ("x.view()", M),
    ("np.array([x, y], like=x)", S, S),
    ("np.array([[x, 1.0], [y, 2]], like=x)", np.array(1, np.float32), np.array(2, np.float32)),
    ("np.asarray(x, dtype=np.float32, like=x)", V),
    ("np.array(x, ndmin=2, like=x)", V),
    ("np.ascontiguousarray(x, like=x)", S),
    ("np.zeros(3, np.result_type(x, y, 1.0)) + x", np.float32(1), np.int8(1)),
    ("np.zeros(3, np.result_type(x, y)) + x", np.float32(1), 1.0),
    ("x + (2 if np.can_cast(x, np.float32) else 3)", M),
    ("x + (2 if np.iscomplexobj(x) else 3) * np.isrealobj(x)", M),
    ("x + np.size(x) + np.size(x, 1) + np.ndim(x) + np.shape(x)[0] + np.size(x, (0, -1))", X),
    ("x + len(x) + x.size + x.ndim", M),
)

GROUPS = {"shapes": SHAPES, "directions": DIRECTIONS, "joins": JOINS, "repeats": REPEATS, "splits": SPLITS,
          "pads": PADS, "differences": DIFFERENCES, "conversions": CONVERSIONS}  # fmt: skip
ALL = [pair for group in GROUPS.values() for pair in group]


@pytest.mark.parametrize("case", [c for _, c in ALL], ids=ids(ALL))
def test_interpreted(case):
    check(case)


@pytest.mark.parametrize("group", GROUPS)
def test_native(group):
    check_native([case for _, case in GROUPS[group]])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    """What moves elements reads them by shape, wherever they lie in memory."""
    texts = ["x.T", "np.ravel(x)", "np.ravel(x, order='F')", "np.flip(x)", "np.roll(x, 1)", "x[None]", "x.copy()",
             "np.stack([x, x])", "np.concatenate([x, x], axis=None)", "np.tile(x, 2)", "np.repeat(x, 2)",
             "np.broadcast_to(x, (2, *x.shape))", "np.atleast_2d(x)", "np.pad(x, 1)",
             "x.astype(np.float32)"]  # fmt: skip
    if LAYOUTS[layout].ndim:
        texts += ["x[::-1]", "x[..., ::2]", "np.diff(x)", "np.split(x, 1)", "np.delete(x, [], axis=0)"]
    cases = [case for _, case in table({}, *[(text, LAYOUTS[layout]) for text in texts])]
    for case in cases:
        check(case)
    check_native(cases)


GRADIENTS = {
    "reshape by columns": (lambda x: np.reshape(x, (4, 3), order="F"), M64),
    "transpose": (lambda x: np.transpose(x, (2, 0, 1)), X),
    "expand and squeeze": (lambda x: np.squeeze(np.expand_dims(x, 1), 1), V),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, 3, 4)), M64),
    "flip": (lambda x: np.flip(x, 1), M64),
    "rot90": (lambda x: np.rot90(x, 3), M64),
    "roll": (lambda x: np.roll(x, (1, -2), (0, 1)), M64),
    "concatenate": (lambda x, y: np.concatenate([x, 2 * y, x], axis=1), M64, M64[:, :2]),
    "stack": (lambda x, y: np.stack([x, y, y * x], axis=1), V, V),
    "block": (lambda x, y: np.block([[x, y], [y * 2, x]]), M64, M64),
    "repeat": (lambda x: np.repeat(x, 3, axis=0), M64),
    "repeat each": (lambda x: np.repeat(x, [2, 0, 3], axis=0), M64),
    "tile": (lambda x: np.tile(x, (2, 1, 2)), M64),
    "resize": (lambda x: np.resize(x, 8), V),
    "insert": (lambda x, y: np.insert(x, 1, y, axis=1), M64, M64[:, 0]),
    "delete": (lambda x: np.delete(x, [0, 3], axis=1), M64),
    "split": (lambda x: np.split(x, [1], axis=1)[1] * np.vsplit(x, 3)[0][:, 1:], M64),
    "unstack": (lambda x: np.unstack(x)[1] * np.unstack(x)[0], M64),
    "pad constant": (lambda x, y: np.pad(x, ((1, 0), (2, 1)), constant_values=y), M64, S),
    "pad edge": (lambda x: np.pad(x, 2, mode="edge"), M64),
    "pad reflect": (lambda x: np.pad(x, 2, mode="reflect"), M64),
    "pad symmetric": (lambda x: np.pad(x, 5, mode="symmetric"), V),
    "pad wrap": (lambda x: np.pad(x, (2, 3), mode="wrap"), V),
    "diff": (lambda x: np.diff(x, 2, axis=0, prepend=0), M64),
    "ediff1d": (lambda x: np.ediff1d(x, to_end=1.0), M64),
    "gradient": (lambda x, h: np.gradient(x, h, axis=1, edge_order=2), M64, S),
    "gradient by coordinates": (lambda x, t: np.gradient(x, t, edge_order=2), V, np.array([0.0, 1, 3, 4, 7])),
    "astype": (lambda x: x.astype(np.float64) * x.copy(), V),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    check_gradient(*GRADIENTS[name])


GRIDS = table(
    {},
    ("np.gradient(x)", V),
    ("np.gradient(x, 0.5)", V),
    ("np.gradient(x, 2)", N),
    ("np.gradient(x, y)", V, 0.1),
    ("np.gradient(x, edge_order=2)", V),
    ("np.gradient(x, 2.0, edge_order=2)", M),
    ("np.gradient(x)", X),
    ("np.gradient(x, axis=-1)", X),
    ("np.gradient(x, 2.0, 3.0, axis=(0, 1))", X),
    ("np.gradient(x, [0, 1, 4, 9, 16])", V),
    ("np.gradient(x, y)", V, np.array([0.0, 1, 4, 9, 16])),
    ("np.gradient(x, y, edge_order=2)", V, np.array([0, 1, 4, 9, 16])),
    ("np.gradient(x, [0, 1, 3], 0.25)", M),
    ("np.gradient(x, [0, 1, 3, 4], [0.0, 2, 3])", N),
    ("np.gradient(x, np.array([0.0, 1, 2, 3, 4]))", V),
    ("np.gradient(x, [0, 1, 3], axis=0, edge_order=2)", M),
    ("np.gradient(x, np.float64(0.1))", M),
    ("np.gradient(x, 0.1)", M.astype(np.float16)),
)


@pytest.mark.parametrize("case", [c for _, c in GRIDS], ids=ids(GRIDS))
def test_gradient_of_a_grid(case):
    eps = max(np.finfo(np.asarray(g).dtype).eps for g in np.atleast_1d(case.arguments[0]).ravel()[:1] * 1.0)
    case.rtol = 20 * eps
    check(case)
    check_native([case])


ERRORS = [
    ("np.reshape(x, (5, 5))", X, ValueError, "cannot reshape array of size 24 into shape (5, 5)"),
    ("x.reshape(-1, -1)", X, ValueError, "only one dimension can be -1"),
    ("x.reshape(-1, 0)", E, ValueError, "cannot reshape"),
    ("x.reshape(-1, order='A')", X, errors.UnsupportedError, "order='A'"),
    ("x.reshape(-1, order='Z')", X, ValueError, "order must be one of"),
    ("np.expand_dims(x, 4)", X, np.exceptions.AxisError, "axis 4 is out of bounds for array of dimension 4"),
    ("np.expand_dims(x, (0, 0))", X, ValueError, "repeated axis"),
    ("np.squeeze(x, 0)", X, ValueError, "not equal to one"),
    ("np.broadcast_to(x, (2, 2))", V, ValueError, "does not broadcast to (2, 2)"),
    ("np.broadcast_arrays(x, np.ones(4))", V, ValueError, "do not broadcast"),
    ("np.transpose(x, (0, 1))", X, ValueError, "axes (0, 1) don't match"),
    ("np.transpose(x, (0, 0, 1))", X, ValueError, "repeated axis"),
    ("np.swapaxes(x, 0, 3)", X, np.exceptions.AxisError, "axis 3 is out of bounds"),
    ("np.moveaxis(x, [0, 1], 0)", X, ValueError, "same number of elements"),
    ("np.rollaxis(x, 0, 5)", X, np.exceptions.AxisError, "start 5 is out of bounds"),
    ("np.matrix_transpose(x)", V, ValueError, "two or more axes"),
    ("np.fliplr(x)", V, ValueError, "Input must be >= 2-d."),
    ("np.rot90(x, 1, (0, 0))", M, ValueError, "repeated axis"),
    ("np.roll(x, (1, 2), axis=(0, 1, 2))", X, ValueError, "scalars or of equal length"),
    ("np.concatenate([x, np.ones((2, 2, 4))])", X, ValueError, "sizes differ along axis 1: 3 and 2"),
    ("np.concatenate([x, np.ones(3)])", X, ValueError, "joins arrays of 3 and of 1 dimensions"),
    ("np.concatenate([x, x], axis=3)", X, np.exceptions.AxisError, "axis 3 is out of bounds"),
    ("np.concatenate([x, x])", S, ValueError, "zero-dimensional arrays cannot be concatenated"),
    ("np.concatenate([x, x], dtype=int)", V, TypeError, "according to the rule 'same_kind'"),
    ("np.stack([x, np.ones(3)])", V, ValueError, "must have the same shape"),
    ("np.block([x, [x]])", V, ValueError, "list depths are mismatched"),
    ("np.split(x, 2)", V, ValueError, "equal division: 5 elements, 2 sections"),
    ("np.array_split(x, 0)", V, ValueError, "larger than 0"),
    ("np.hsplit(x, 2)", S, ValueError, "1 or more dimensions"),
    ("np.repeat(x, -1)", V, ValueError, "negative"),
    ("np.repeat(x, [1, 2])", V, ValueError, "could not be broadcast"),
    ("np.repeat(x, (x > 0).astype(int))", V, errors.UnsupportedError, "a traced number of times"),
    ("np.delete(x, 7)", V, IndexError, "index 7 is out of bounds for axis 0 with size 5"),
    ("np.insert(x, 7, 0)", V, IndexError, "out of bounds"),
    ("np.insert(x, (x > 0).astype(int), 0)", V, errors.UnsupportedError, "np.insert at traced positions"),
    ("np.pad(x, 1, mode='mean')", V, errors.UnsupportedError, "mode='mean'"),
    ("np.pad(x, 1, mode='reflect', reflect_type='odd')", V, errors.UnsupportedError, "reflect_type='odd'"),
    ("np.pad(x, 1, mode='edge', constant_values=1)", V, ValueError, "unsupported keyword arguments for mode 'edge'"),
    ("np.pad(x, -1)", V, ValueError, "negative"),
    ("np.pad(x, (1, 2, 3))", V, ValueError, "broadcast"),
    ("np.pad(x, 1.5)", V, TypeError, "integral"),
    ("np.pad(x, 1, mode='wrap')", E, ValueError, "empty axis 1"),
    ("np.pad(x, 1, mode='edge')", E, ValueError, "empty axis 1"),
    ("np.diff(x, -1)", V, ValueError, "non-negative"),
    ("np.diff(x)", S, ValueError, "at least one dimensional"),
    ("np.ediff1d(x, to_end=0.5)", N, TypeError, "`to_end`"),
    ("np.gradient(x)", V[:1], ValueError, "too small"),
    ("np.gradient(x, 1.0, 2.0)", V, TypeError, "invalid number of arguments"),
    ("np.gradient(x, [1.0, 2.0])", V, ValueError, "distances must be"),
    ("np.gradient(x, edge_order=3)", V, ValueError, "edge_order of 1 or 2"),
    ("x.astype(int, casting='safe')", V, TypeError, "according to the rule 'safe'"),
    ("x.astype(complex)", V, TypeError, "complex128"),
    ("x.view(np.int64)", V, errors.UnsupportedError, "x.astype(dtype)"),
    ("np.trim_zeros(x)", V, errors.UnsupportedError, "np.trim_zeros can't be traced"),
]


@pytest.mark.parametrize("text, x, kind, words", ERRORS, ids=[e[0] for e in ERRORS])
def test_errors_say_where_and_what(text, x, kind, words, tmp_path):
    f = in_a_file(text, tmp_path)
    with pytest.raises(kind) as caught:
        interpreted(f)(x)
    first = str(caught.value).splitlines()[0]
    assert f"program.py:4: `{text}`: " in first and words in str(caught.value)
    if kind is not errors.UnsupportedError and "astype(complex)" not in text:
        with pytest.raises(kind):
            f(x)


def test_views_and_copies():
    """A view sees what happens to the array that it shows; a copy doesn't."""
    views = ["x[1:]", "x[::-1]", "x[None]", "x[0]", "x[...]", "x[:]", "x.T", "np.reshape(x, x.shape)", "x.view()",
             "np.transpose(x, (0, 1))", "np.broadcast_to(x, x.shape)", "np.flip(x)", "np.ravel(x)", "np.squeeze(x)",
             "np.split(x, 1)[0]", "np.unstack(x)[0]", "np.atleast_3d(x)", "np.moveaxis(x, 0, 0)"]  # fmt: skip
    copies = ["x[[0, 1]]", "x.copy()", "np.copy(x)", "x.flatten()", "np.roll(x, 0)", "np.repeat(x, 1)", "x[0, 1]",
              "np.tile(x, 1)", "np.pad(x, 0)", "np.pad(x, 0, 'edge')", "x.astype(float)", "np.concatenate([x])",
              "np.take(x, 0, axis=0)", "np.delete(x, [], axis=0)", "np.resize(x, (3, 4))",
              "np.reshape(x, -1, copy=True)", "np.block(x)"]  # fmt: skip

    def change(text):
        def f(x):
            x = x + 0.0
            y = eval(text, {"np": np, "x": x})  # noqa: S307
            assert y is not x or isinstance(x, np.ndarray)
            x += 1
            return y

        return f

    for text in views + copies:
        f = change(text)
        got = interpreted(f)(M64)
        np.testing.assert_array_equal(got, f(M64), text)
        np.testing.assert_array_equal(got, eval(text, {"np": np, "x": M64 + (text in views)}), text)  # noqa: S307


def test_a_known_shift_is_slices_and_a_traced_one_a_gather():
    assert [op.kind.name for op in graph_of(lambda x: np.roll(x, 2), V).ops] == [
        "slice", "slice", "concatenate"
    ]  # fmt: skip
    rolled = weft.compile(lambda x, k: np.roll(x, k))
    for k in (0, 3, -2):
        np.testing.assert_array_equal(rolled(V, k), np.roll(V, k))
    assert len(rolled.cache_info()) == 1


def test_lists_hold_numpys_dtypes():
    """Python numbers are weak as operands, and float64 or int64 in a list."""
    one = np.ones((), np.float32)
    assert interpreted(lambda x: x + 1.0)(one).dtype == np.float32
    for f in (lambda x: np.stack([x, 1.0]), lambda x: np.add([x, 1.0], x), lambda x: np.hstack([x, 1])):
        assert interpreted(f)(one).dtype == np.float64
