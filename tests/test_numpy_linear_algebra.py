"""Products, diagonals, norms and einsum of traced arrays, against NumPy's."""

import itertools

import numpy as np
import pytest
from against_numpy import DTYPES, agree, differentiates, interpreted, layouts, sample, special

import weft
from weft import errors

SHAPES = [(), (3,), (1,), (0,), (3, 3), (2, 3), (3, 1), (0, 3), (2, 3, 3)]
# name -> function of two arrays, tried on every pair of SHAPES
PRODUCTS = {
    "dot": lambda a, b: np.dot(a, b),
    "dot_method": lambda a, b: a.dot(b) if a.ndim else np.dot(a, b),
    "inner": lambda a, b: np.inner(a, b),
    "outer": lambda a, b: np.outer(a, b),
    "vdot": lambda a, b: np.vdot(a, b),
    "kron": lambda a, b: np.kron(a, b),
    "matmul": lambda a, b: np.matmul(a, b),
    "linalg_matmul": lambda a, b: np.linalg.matmul(a, b),
    "linalg_outer": lambda a, b: np.linalg.outer(a, b),
    "vecdot": lambda a, b: np.linalg.vecdot(a, b),
    "vecdot_axis": lambda a, b: np.linalg.vecdot(a, b, axis=0),
    "tensordot_0": lambda a, b: np.tensordot(a, b, axes=0),
    "tensordot_1": lambda a, b: np.tensordot(a, b, 1),
    "tensordot": lambda a, b: np.linalg.tensordot(a, b, axes=2),
    "tensordot_axes": lambda a, b: np.tensordot(a, b, axes=([-1], [0])),
    "tensordot_pair": lambda a, b: np.tensordot(a, b, axes=((1, 0), (0, -1))),
    "tensordot_ints": lambda a, b: np.tensordot(a, b, axes=(0, 0)),
    "cross": lambda a, b: np.cross(a, b),
    "linalg_cross": lambda a, b: np.linalg.cross(a, b),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_every_rank(name):
    pairs = itertools.product(SHAPES, repeat=2)
    agree(PRODUCTS[name], *[(sample(np.float64, s, 1), sample(np.float64, t, 2)) for s, t in pairs], ulps=8)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_every_dtype(name):
    pairs = [(d, d) for d in DTYPES]
    pairs += [(np.int8, np.float16), (np.float32, np.int64), (np.bool_, np.uint8), (np.uint64, np.int64)]
    agree(PRODUCTS[name], *[(sample(d, (3, 3), 1), sample(e, (3, 3), 2)) for d, e in pairs], ulps=8)


@pytest.mark.parametrize("name", ["dot", "inner", "outer", "kron", "tensordot_1", "vdot"])
def test_products_with_scalars_and_lists(name):
    f, x = PRODUCTS[name], sample(np.float32, (2,))
    agree(lambda x: f(x, [1, 2]), x)
    agree(lambda x: f([x[0], 2.0], x), x)
    if not name.startswith(("tensordot", "vdot")):
        agree(lambda x: f(x, 2.0), x)
        agree(lambda x: f(3, x), x)
        agree(lambda x, s: f(x, s), (x, 2.5), (x, 2))


def test_products_of_every_layout():
    xs = [x for x in layouts() if x.shape == (3, 4)]
    pairs = [(a, b) for a, b in itertools.product(xs, repeat=2)]
    agree(lambda a, b: [np.dot(a, b.T), np.inner(a, b), np.einsum("ij,kj->ki", a, b), np.vdot(a, b)], *pairs, ulps=8)


def test_infinities_and_nans_in_products():
    x = special()
    agree(lambda x: [np.dot(x, x.T), np.outer(x[1], x[2]), np.trace(x), np.einsum("ij->j", x)], x)


def test_products_of_what_is_joined_of_nothing():
    agree(lambda a: np.concatenate([a, a * 2]) @ np.ones((0, 2)), np.ones((3, 0)))


CROSSED = {
    "axis": (lambda a, b: np.cross(a, b, axis=0), (3, 2), (3, 2)),
    "axes": (lambda a, b: np.cross(a, b, axisa=0, axisb=1, axisc=0), (3, 4), (4, 3)),
    "broadcast": (lambda a, b: np.cross(a, b, axisc=1), (2, 1, 3), (4, 3)),
    "two": (lambda a, b: np.cross(a, b), (5, 2), (5, 2)),
    "two_and_three": (lambda a, b: np.cross(a, b), (2,), (5, 3)),
    "three_and_two": (lambda a, b: np.cross(a, b), (5, 3), (5, 2)),
    "neither": (lambda a, b: np.cross(a, b), (4,), (3,)),
    "bad_axis": (lambda a, b: np.cross(a, b, axisc=3), (3, 3), (3, 3)),
    "linalg": (lambda a, b: np.linalg.cross(a, b, axis=0), (3, 2), (3, 2)),
}


@pytest.mark.parametrize("name", CROSSED)
def test_cross(name):
    f, s, t = CROSSED[name]
    agree(f, *[(sample(d, s, 1), sample(d, t, 2)) for d in (np.float64, np.int16)])


DIAGONALS = {
    "trace": lambda x: np.trace(x),
    "above": lambda x: x.trace(1),
    "below": lambda x: np.trace(x, offset=-2),
    "outside": lambda x: np.trace(x, 7),
    "dtype": lambda x: np.trace(x, dtype=np.float32),
    "linalg": lambda x: np.linalg.trace(x, offset=1),
    "diagonal": lambda x: np.linalg.diagonal(x, offset=-1),
    "linalg_dtype": lambda x: np.linalg.trace(x, dtype=np.int8),
}


@pytest.mark.parametrize("name", DIAGONALS)
def test_traces(name):
    agree(DIAGONALS[name], *[sample(d) for d in DTYPES], *layouts(), sample(np.float64, (3,)), np.float64(1))


def test_traces_over_other_axes():
    x = sample(np.float64, (2, 3, 4))
    axes = list(itertools.permutations(range(-3, 0), 2))
    agree(lambda x: [np.trace(x, k, i, j) for k in (-1, 0, 1, 3) for i, j in axes], x)
    agree(lambda x: np.trace(x, axis1=1, axis2=-2), x)
    agree(lambda x: np.linalg.trace(x), x)


def test_matrix_powers():
    x = sample(np.float64, (3, 3)) / 3
    agree(lambda x: [np.linalg.matrix_power(x, n) for n in (0, 1, 2, 3, 4, 5, 7, 8, 13)], x, ulps=8)
    stacks = [sample(d, (2, 2, 2)) for d in DTYPES[:6]]
    agree(lambda x: [np.linalg.matrix_power(x, n) for n in (0, 1, 2, 3, 6)], *stacks)
    agree(lambda x: np.linalg.matrix_power(x, 2.0), x)
    agree(lambda x: np.linalg.matrix_power(x, 2), x[:2], x[0])


@pytest.mark.parametrize("sizes", [(3, 4, 5), (2, 9, 1, 7), (10, 2, 8, 3, 6), (1, 5, 1, 5), (4, 0, 3, 2)], ids=str)
def test_chains_of_matrices(sizes):
    chain = [sample(np.float64, s, i) for i, s in enumerate(itertools.pairwise(sizes))]
    agree(lambda *c: np.linalg.multi_dot(c), tuple(chain), ulps=16)
    agree(lambda v, *c: np.linalg.multi_dot([v[0], *c]), tuple(chain), ulps=16)
    agree(lambda *c: np.linalg.multi_dot([*c[:-1], c[-1][:, 0]]), tuple(chain), ulps=16)
    agree(lambda *c: np.linalg.multi_dot([c[0][0], *c[1:-1], c[-1][:, 0]]), tuple(chain), ulps=16)


def test_a_chain_is_multiplied_in_the_cheapest_order():
    """100x2 2x100 100x2: 800 multiplications from the right, 40,000 from the left."""
    chain = [np.ones((100, 2)), np.ones((2, 100)), np.ones((100, 2))]
    graph = interpreted(lambda *c: np.linalg.multi_dot(c)).lower(*chain)
    assert [op.result.shape for op in graph.ops if op.kind.name == "dot"] == [(2, 2), (100, 2)]


ORDERS = (None, 1, 2, 0, 3, 2.5, -1, np.inf, -np.inf)
MATRIX_ORDERS = (None, "fro", 1, -1, np.inf, -np.inf)


@pytest.mark.parametrize("keepdims", [False, True])
def test_norms(keepdims):
    vectors = [sample(d, (4,)) for d in DTYPES if d != np.bool_]
    vectors += [sample(np.float64, (1,)), np.array([-2.0, 0.0, 2.0])]
    agree(lambda x: [np.linalg.norm(x, o, keepdims=keepdims) for o in ORDERS], *vectors, ulps=8)
    matrices = [sample(d) for d in DTYPES if d != np.bool_] + layouts()
    cases = [(None, None), ("fro", None), (1, None), (np.inf, None), (1, (1, 0)), ("fro", (1, 0)), (2, 0), (1, -1)]
    agree(lambda x: [np.linalg.norm(x, o, axis, keepdims) for o, axis in cases], *matrices, ulps=8)
    agree(lambda x: np.linalg.norm(x, -1, keepdims=keepdims), *matrices, ulps=8)  # there may be nothing to compare
    agree(lambda x: np.linalg.norm(x, -np.inf, keepdims=keepdims), *matrices, ulps=8)
    agree(lambda x: [np.linalg.matrix_norm(x, keepdims=keepdims, ord=o) for o in ("fro", 1, np.inf)], *matrices, ulps=8)
    x = sample(np.float64, (2, 3, 4))
    agree(lambda x: [np.linalg.norm(x, o, (0, 2), keepdims) for o in MATRIX_ORDERS], x, ulps=8)
    agree(lambda x: [np.linalg.norm(x), np.linalg.norm(x, keepdims=keepdims)], x, np.float32(-2.5), ulps=8)
    axes = (None, 1, (0, 2), (2, 1, 0))
    agree(lambda x: [np.linalg.vector_norm(x, axis=a, keepdims=keepdims, ord=o) for a in axes for o in (2, 1, 3)], x)
    agree(lambda x: np.linalg.vector_norm(x), np.float64(-2.5))


EINSUMS = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "ba,cb": [(2, 3), (4, 2)],
    "ij,ij->": [(2, 3), (2, 3)],
    "ij , ij -> i": [(2, 3), (2, 3)],
    "ji,ij->ij": [(3, 3), (3, 3)],
    "i,j->ij": [(2,), (3,)],
    "i,j->ji": [(2,), (3,)],
    "ij->ji": [(2, 3)],
    "ji": [(2, 3)],
    "ij->": [(2, 3)],
    "ij->j": [(2, 3)],
    "ii": [(3, 3)],
    "ii->i": [(3, 3)],
    "iij->ij": [(3, 3, 2)],
    "iji->j": [(3, 2, 3)],
    "iiii->i": [(2, 2, 2, 2)],
    "ijij->ji": [(2, 3, 2, 3)],
    "ii,i->": [(3, 3), (3,)],
    "bij,bjk->bik": [(2, 3, 4), (2, 4, 5)],
    "bij,kjb->kib": [(2, 3, 4), (5, 4, 2)],
    "abcd,cdab->ab": [(2, 3, 2, 2), (2, 2, 2, 3)],
    "abc,cd,de,ef->abf": [(2, 3, 4), (4, 5), (5, 2), (2, 3)],
    "ea,fb,abcd,gc,hd->efgh": [(2, 2), (2, 3), (2, 3, 2, 2), (3, 2), (2, 2)],
    "i,i,i->i": [(3,), (3,), (3,)],
    "i,j,k,l->": [(2,), (3,), (2,), (2,)],
    "...ij,...jk->...ik": [(2, 1, 3, 4), (5, 4, 2)],
    "...ij,jk": [(2, 3, 4), (4, 2)],
    "i...->...": [(2, 3, 4)],
    "...": [(2, 3)],
    "...,...": [(2, 3), (3,)],
    "i...,i...->i...": [(2, 3), (2, 1)],
    "a...b,b...->...a": [(2, 3, 4), (4, 3)],
    "...i->...": [(3,)],
    ",->": [(), ()],
    ",i->i": [(), (3,)],
    "ij,jk->ik ": [(2, 0), (0, 3)],
    "ij,ij->ij": [(2, 1), (1, 3)],
    "ij,jk,ki->": [(2, 1), (3, 2), (2, 2)],
    "aB,BC->Ca": [(2, 3), (3, 4)],
    "ij,i->j": [(3, 2), (3,)],
    "ab,cb->": [(2, 3), (4, 3)],
}


@pytest.mark.parametrize("subscripts", EINSUMS)
def test_einsum(subscripts):
    dtypes, shapes = (np.float64, np.float32, np.int8, np.bool_), EINSUMS[subscripts]
    arrays = [tuple(sample(d, s, i) for i, s in enumerate(shapes)) for d in dtypes]
    agree(lambda *a: np.einsum(subscripts, *a), *arrays, ulps=32)


def test_einsum_by_lists():
    a, b = sample(np.float64, (2, 3)), sample(np.float64, (3, 4))
    agree(lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [2, 0]), (a, b))
    agree(lambda a, b: np.einsum(a, [0, 1], b, [1, 2]), (a, b))
    agree(lambda a, b: np.einsum(a, [5, 1], b, [1, 2]), (a, b))
    agree(lambda a, b: np.einsum(a, [..., 0], b, [0, ...], [...]), (a, b[:, :2]))
    agree(lambda a: [np.einsum(a, [1, 0]), np.einsum(a, [0, ...]), np.einsum(a, (0, 1), [])], a)


def test_einsum_of_several_dtypes():
    dtypes = itertools.product((np.bool_, np.int8, np.float16, np.float64), repeat=2)
    agree(lambda a, b: np.einsum("ij,jk", a, b), *[(sample(d, (2, 3)), sample(e, (3, 2))) for d, e in dtypes])
    x = sample(np.float32, (2, 3))
    agree(lambda x: np.einsum("ij->i", x, dtype=np.float64), x)
    agree(lambda x: np.einsum("ij->i", x, dtype=np.int32), x)
    agree(lambda x: np.einsum("ij->i", x, dtype=np.int32, casting="unsafe"), x)
    agree(lambda x: [np.einsum("i,->i", x, 2.0), np.einsum("i,i", x, [1, 2, 3])], x[0])


def test_the_path_of_an_einsum():
    shapes = [(2, 30), (30, 40), (40, 2)]
    arrays = [sample(np.float64, s) for s in shapes]
    graph = interpreted(lambda *a: np.einsum("ij,jk,kl->il", *a)).lower(*arrays)
    assert [op.kind.name for op in graph.ops] == ["dot", "dot"]
    agree(lambda *a: np.einsum("ij,jk,kl->il", *a, optimize=["einsum_path", (1, 2), (0, 1)]), tuple(arrays), ulps=64)
    agree(lambda *a: np.einsum("ij,jk,kl->il", *a, optimize=["einsum_path", (0, 1, 2)]), tuple(arrays), ulps=64)
    agree(lambda *a: np.einsum_path("ij,jk,kl->il", *a, optimize="optimal")[0], tuple(arrays))


def test_many_labels_and_operands():
    rng = np.random.default_rng(0)
    terms = [[int(i) for i in rng.choice(60, 3, replace=False)] for _ in range(30)]
    x = sample(np.float64, (1, 1, 1))
    got = weft.compile(lambda x: np.einsum(*[o for t in terms for o in (x, t)], []))(x)  # too many for NumPy
    np.testing.assert_allclose(got, x.item() ** 30, rtol=1e-13)


M, N, V = sample(np.float64, (3, 3), 1), sample(np.float64, (3, 4), 2), sample(np.float64, (4,), 3)
GRADIENTS = {
    "dot": (lambda a, b: np.dot(a, b), N, V),
    "dot_3d": (lambda a, b: np.dot(a, b), sample(np.float64, (2, 2, 3)), sample(np.float64, (2, 3, 2), 1)),
    "inner": (lambda a, b: np.inner(a, b), N, N[:2] + 1),
    "outer": (lambda a, b: np.outer(a, b), N, V),
    "kron": (lambda a, b: np.kron(a, b), M, V),
    "cross": (lambda a, b: np.cross(a, b), N.T, M[0]),
    "tensordot": (lambda a, b: np.tensordot(a, b, ((1, 0), (0, 1))), N, N.T * 2),
    "trace": (lambda a: np.trace(a, 1), N),
    "power": (lambda a: np.linalg.matrix_power(a, 5), M / 2),
    "multi_dot": (lambda a, b, c: np.linalg.multi_dot([a, b, c]), M, N, V),
    "norm": (lambda a: np.linalg.norm(a), N),
    "norm_1": (lambda a: np.linalg.norm(a, 1), N),
    "norm_p": (lambda a: np.linalg.norm(a, 3, axis=0), N),
    "norm_inf": (lambda a: np.linalg.norm(a, np.inf), N),
    "einsum_chain": (lambda a, b, c: np.einsum("ij,jk,k->i", a, b, c), M, N, V),
    "einsum_batch": (lambda a, b: np.einsum("bij,bkj->bki", a, b), np.stack([N, N * 2]), np.stack([M @ N, N])),
    "einsum_diagonal": (lambda a, b: np.einsum("ii,ij->j", a, b), M, N),
    "einsum_diagonals": (lambda a: np.einsum("iji->ij", a), sample(np.float64, (2, 3, 2))),
    "einsum_broadcast": (lambda a, b: np.einsum("...j,...j->...", a, b), N[:, None], M[:2, :1]),
}  # fmt: skip


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    function, *arguments = GRADIENTS[name]
    differentiates(function, *arguments)


X = np.ones((2, 3))
REFUSED = {
    "dot": (lambda x: np.dot(x, x), ValueError, r"shapes \(2, 3\) and \(2, 3\) not aligned: 3 \(dim 1\)"),
    "dot_out": (lambda x: np.dot(x, x.T, out=np.eye(2)), errors.UnsupportedError, "into a NumPy array"),
    "vdot": (lambda x: np.vdot(x, x[0]), ValueError, "not aligned"),
    "tensordot": (lambda x: np.tensordot(x, x, ((0, 0), (0, 1))), ValueError, "duplicate axes"),
    "tensordot_count": (lambda x: np.tensordot(x, x, ((0, 1), (0,))), ValueError, "shape-mismatch for sum"),
    "trace": (lambda x: np.trace(x[0]), ValueError, "at least two dimensions"),
    "trace_axes": (lambda x: np.trace(x, axis1=1, axis2=1), ValueError, "axis1 and axis2 cannot be the same"),
    "square": (lambda x: np.linalg.matrix_power(x, 2), ValueError, "takes square matrices"),
    "multi_dot": (lambda x: np.linalg.multi_dot([x]), ValueError, "at least two arrays"),
    "multi_dot_rank": (lambda x: np.linalg.multi_dot([x, x[0], x]), ValueError, "1-dimensional array given"),
    "norm_ord": (lambda x: np.linalg.norm(x, 3), ValueError, "Invalid norm order for matrices"),
    "norm_vector": (lambda x: np.linalg.norm(x[0], "fro"), ValueError, "Invalid norm order 'fro' for vectors"),
    "norm_3d": (lambda x: np.linalg.norm(x[None], 1), ValueError, "Improper number of dimensions"),
    "norm_twice": (lambda x: np.linalg.norm(x, 1, (0, -2)), ValueError, "Duplicate axes"),
    "eig": (lambda x: np.linalg.eig(x @ x.T), errors.UnsupportedError, "np.linalg.eig can't be traced"),
    "output": (lambda x: np.einsum("ij->k", x), ValueError, "output subscript 'k' which never appeared"),
    "output_twice": (lambda x: np.einsum("ij->ii", x), ValueError, "'i' multiple times"),
    "operands": (lambda x: np.einsum("ij,jk", x), ValueError, "fewer operands"),
    "rank": (lambda x: np.einsum("i", x), ValueError, "more dimensions than subscripts"),
    "rank_less": (lambda x: np.einsum("ijk", x), ValueError, "fewer dimensions than subscripts"),
    "letters": (lambda x: np.einsum("i1", x), ValueError, "invalid subscript '1'"),
    "arrow": (lambda x: np.einsum("ij-ji", x), ValueError, "invalid subscript '-'"),
    "sizes": (lambda x: np.einsum("ij,ji", x, x), ValueError, "disagree on the size of subscript 'j': 3 and 2"),
    "diagonal": (lambda x: np.einsum("ii", x), ValueError, r"collapsing index 'i' don't match \(2 != 3\)"),
    "ellipsis": (lambda x: np.einsum("i...->i", x), ValueError, "output has more dimensions than subscripts"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_errors(name):
    function, kind, text = REFUSED[name]
    with pytest.raises(kind, match=text) as caught:
        weft.compile(function)(X)
    if isinstance(caught.value, errors.WeftError):
        assert "test_numpy_linear_algebra.py:" in str(caught.value).splitlines()[0]
