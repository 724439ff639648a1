"""Whole programs through the whole compiler: random ones against the interpreter, real ones against extended precision.

A random graph is right when each element is as near to NumPy's as rounding can tell (`noisy`); integers are exact.
A real program, plain NumPy, is run twice more: by NumPy in its own dtype, and in extended precision. The compiled
result must be no farther from that than NumPy's is, give or take the last digit of the largest element.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy import check_close
from op_cases import CASES, dtypes_of
from row_programs import row_program
from strategies import FLOATS, graphs, random_arguments

import weft
from weft.ir import NAMES, Builder
from weft.passes.differentiate import reverse
from weft.passes.forward import forward
from weft.pipeline import Stages


def in_layout(a, rng):
    """The same values in some other layout of memory."""
    choice = rng.integers(0, 8)
    if choice == 0 or not a.ndim:
        return a
    if choice == 1:
        return np.asfortranarray(a)
    if choice == 2:
        return np.flip(np.flip(a).copy())  # negative strides
    if choice == 3:
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wide[..., 1::2] = a
        return wide[..., 1::2]
    if choice == 4:
        axis = rng.integers(0, a.ndim)
        first = a.take([0], axis) if a.shape[axis] else a
        return np.broadcast_to(first, a.shape) if a.size else a  # zero strides: other values, if need be
    if choice == 5:
        a = a.copy()
        a.flags.writeable = False
        return a
    if choice == 6:
        raw = np.zeros(a.nbytes + 1, np.uint8)
        out = raw[1:].view(a.dtype).reshape(a.shape)
        out[...] = a
        return out
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 0, -1)), -1, 0)


def shared_arguments(graph, arguments, rng):
    """Arguments of one type may be one array, or overlapping views of one."""
    out = list(arguments)
    for i, v in enumerate(graph.inputs):
        for j, w in enumerate(graph.inputs[:i]):
            if v.type == w.type and v.shape and rng.random() < 0.5:
                both = np.concatenate([out[j][:1], out[j]]) if v.shape[0] else out[j]
                out[i], out[j] = (both[1:], both[:-1]) if rng.random() < 0.5 and v.shape[0] else (out[j], out[j])
    return out


def check_compiled(graph, arguments, donate=()):
    """Compiled, `graph` gives what it means; arguments that were not donated are as they were."""
    run = Stages(graph, donate, check=True).compile()
    before = [a.copy() for a in arguments]
    given = [a.copy() if i in donate else a for i, a in enumerate(arguments)]
    got = run(given)
    check_close(graph, before, got)
    for i, (a, b) in enumerate(zip(given, before, strict=True)):
        assert i in donate or a.tobytes() == b.tobytes(), f"argument {i} was changed"
    for i, a in enumerate(got):
        assert not any(np.shares_memory(a, other) for other in (*got[:i], *before))
    return got


@settings(max_examples=100)
@given(graphs(max_ops=12), st.integers(0, 99), st.booleans())
def test_random_graphs(graph, seed, special):
    rng = np.random.default_rng(seed)
    arguments = [in_layout(a, rng) for a in random_arguments(graph, seed, special=special)]
    check_compiled(graph, shared_arguments(graph, arguments, rng) if seed % 3 == 0 else arguments)


@settings(max_examples=40)
@given(graphs(max_ops=14), st.integers(0, 99), st.sets(st.integers(0, 4)))
def test_random_graphs_with_donated_arguments(graph, seed, donate):
    check_compiled(graph, random_arguments(graph, seed), {i for i in donate if i < len(graph.inputs)})


@settings(max_examples=40)
@given(graphs(max_ops=10, dtypes=(*FLOATS, "i32"), dims=(1, 3, 64, 300, 1000), max_size=60_000), st.integers(0, 99))
def test_random_graphs_of_larger_arrays(graph, seed):
    check_compiled(graph, random_arguments(graph, seed))


PROGRAMS = {
    "small": {"extents": (1, 2, 3, 5), "max_ops": 20},
    "with products": {"extents": (1, 2, 3, 5), "products": True},
    "empty": {"extents": (0, 1, 2)},
    "long rows": {"extents": (2, 40, 600, 2500), "max_ops": 10},
}


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.sampled_from(sorted(PROGRAMS)), st.sampled_from("vrf"), st.sampled_from(FLOATS))
def test_random_programs_and_their_derivatives(seed, kind, mode, dtype):
    graph = row_program(seed, dtype=dtype, **PROGRAMS[kind])
    ins = list(range(len(graph.inputs)))
    if mode == "r":
        graph = reverse(graph, ins, [i for i, v in enumerate(graph.outputs) if v.type.is_float])
    elif mode == "f":
        graph = forward(graph, ins)
    check_compiled(graph, random_arguments(graph, seed), {0} if seed % 4 == 0 else ())


# Real programs.


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layer_norm(x, gain, bias):
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d * d).mean(-1, keepdims=True) + x.dtype.type(1e-5)) * gain + bias


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def log_sum_exp(x):
    m = x.max()
    return np.log(np.exp(x - m).sum()) + m


def attention(q, k, v):
    return softmax(q @ np.swapaxes(k, -1, -2) * 0.125) @ v


def mlp(x, w1, b1, w2, b2):
    return softmax(np.maximum(x @ w1 + b1, 0) @ w2 + b2)


def adam(p, g, m, v):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * (g * g)
    return p - 0.01 * (m / 0.1) / (np.sqrt(v / 0.001) + 1e-8), m, v


def whiten(x):
    return (x - x.mean(0)) / x.std(0)


def stencil(u):
    return u[1:-1, 1:-1] + 0.1 * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1])


def pairwise_forces(x, m):
    d = x[None, :, :] - x[:, None, :]
    r2 = (d * d).sum(-1) + 0.01
    return (d * (m[None, :] / (r2 * np.sqrt(r2)))[:, :, None]).sum(1)


def shifted(x):
    e = np.exp(x)
    inner = np.tanh(x)[:, :-2]
    return np.concatenate([e[:, 1:], e[:, :1]], axis=1) + np.pad(inner, ((0, 0), (1, 1)), constant_values=0.5)


def uniform(*shape, low=0.1, high=1.0, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


REAL = {
    "softmax": (softmax, [normal(300, 1000)]),
    "softmax of one long row": (softmax, [normal(1, 200_000)]),
    "softmax of short rows": (softmax, [normal(40_000, 3)]),
    "softmax of a cube": (softmax, [normal(7, 30, 70)]),
    "layer norm": (layer_norm, [normal(500, 600), normal(600), normal(600, seed=1)]),
    "gelu": (gelu, [normal(200_003)]),
    "log-sum-exp": (log_sum_exp, [normal(300_000)]),
    "attention": (attention, [normal(2, 3, 40, 16, seed=i) for i in range(3)]),
    "mlp": (mlp, [normal(64, 50), normal(50, 80) * 0.2, normal(80), normal(80, 10) * 0.2, normal(10)]),
    "adam": (adam, [normal(70_000), normal(70_000, seed=1), normal(70_000, seed=2), uniform(70_000)]),
    "whiten": (whiten, [normal(5000, 30)]),
    "whiten a wide one": (whiten, [normal(20, 9000)]),
    "stencil": (stencil, [normal(300, 260)]),
    "forces": (pairwise_forces, [normal(150, 3), uniform(150)]),
    "shifts of computed values": (shifted, [normal(90, 300)]),
    "mean squared error": (lambda x, y: ((x - y) ** 2).mean(), [normal(400, 500), normal(400, 500, seed=1)]),
    "covariance": (lambda x: (x - x.mean(0)).T @ (x - x.mean(0)) / len(x), [normal(500, 40)]),
    "norms": (lambda x: (np.sqrt((x * x).sum(0)), np.sqrt((x * x).sum(1)), np.sqrt((x * x).sum())), [normal(700, 300)]),
    "polynomial": (lambda x: ((x * 0.5 + 1) * x - 0.25) * x + 3, [uniform(100_000)]),
    "geometric mean": (lambda x: np.exp(np.log(x).mean(1)), [uniform(200, 3000)]),
    "outer sums": (lambda x, y: np.sin(x[:, None] + y[None, :]).sum(1), [normal(600), normal(700)]),
    "cosine similarity": (
        lambda a, b: (a @ b.T) / np.sqrt((a * a).sum(1))[:, None] / np.sqrt((b * b).sum(1)),
        [uniform(60, 200), uniform(50, 200)]),
}  # fmt: skip

# Products in every layout: einsum says what they are.
EINSUMS = ["ij,jk->ik", "ji,jk->ik", "ij,kj->ik", "ji,kj->ik", "bij,bjk->bik", "bji,bjk->bik", "bij,bkj->bik",
           "ibj,jbk->bik", "ijb,jkb->bik", "ij,j->i", "i,ij->j", "i,i->", "i,j->ij", "bi,bi->b", "bi,bj->bij",
           "ijk,kjl->il", "ijk,jkl->il", "bcij,cbjk->bcik", "i,bij->bj", "abi,ij->abj", "ij,ij->ij",
           "aibj,jkba->abik"]  # fmt: skip
SIZES = {"i": 13, "j": 70, "k": 9, "l": 11, "b": 5, "c": 3, "a": 2}
for _spec in EINSUMS:
    _shapes = [[SIZES[c] for c in part] for part in _spec.split("->")[0].split(",")]
    _operands = [normal(*s, seed=i) for i, s in enumerate(_shapes)]
    REAL[_spec] = (lambda a, b, _spec=_spec: np.einsum(_spec, a, b), _operands)


def worst(got, reference):
    """Largest distance from the reference, in units of the largest element's last place."""
    scale = np.max(np.abs(reference), initial=0)
    if not scale:
        return float(np.max(np.abs(np.asarray(got, reference.dtype)), initial=0) > 0)
    apart = np.max(np.abs(np.asarray(got, reference.dtype) - reference), initial=0)
    return float(apart / scale) / np.finfo(got.dtype).eps


def leaves(result):
    return [np.asarray(r) for r in (result if isinstance(result, tuple) else (result,))]


def check_precision(function, arguments, dtype, slack=1.0):
    given = [a.astype(dtype) for a in arguments]
    compiled = weft.compile(function)
    wide = [a.astype(np.longdouble if dtype == np.float64 else np.float64) for a in given]
    for got, numpys, reference in zip(
        leaves(compiled(*given)), leaves(function(*given)), leaves(function(*wide)), strict=True
    ):
        assert got.dtype == dtype == numpys.dtype and got.shape == reference.shape
        mine, theirs = worst(got, reference), worst(numpys, reference)
        assert mine <= theirs + slack, f"{mine:.2f} ulp of the largest element where NumPy has {theirs:.2f}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", REAL)
def test_real_programs(name, dtype):
    function, arguments = REAL[name]
    check_precision(function, arguments, dtype)


GRADIENTS = ["softmax", "layer norm", "gelu", "log-sum-exp", "attention", "mlp", "whiten", "stencil", "forces",
             "shifts of computed values", "mean squared error", "geometric mean", "outer sums", "ij,jk->ik",
             "ibj,jbk->bik", "ijb,jkb->bik", "aibj,jkba->abik"]  # fmt: skip


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_real_programs(name):
    """In float64 compiled against the same gradient interpreted, and in float32 against that."""
    function, arguments = REAL[name]
    weights = [normal(*np.shape(r), seed=9) for r in leaves(function(*arguments))]

    def loss(*given):
        return sum((r * w.astype(given[0].dtype)).sum() for r, w in zip([function(*given)], weights, strict=True))

    gradient = weft.grad(loss, argnums=tuple(range(len(arguments))))
    reference = gradient(*arguments)
    for dtype, eps in ((np.float64, 1e-13), (np.float32, 1e-4)):
        got = weft.compile(gradient)(*[a.astype(dtype) for a in arguments])
        for g, r in zip(got, reference, strict=True):
            assert g.dtype == dtype
            np.testing.assert_allclose(g, r, rtol=0, atol=eps * max(1, np.abs(r).max()))


# Reductions of every kind, at sizes around the limits of blocks, chunks and rows.

REDUCED = [
    ((1,), 0), ((511,), 0), ((512,), 0), ((513,), 0), ((2049,), 0), ((65_535,), 0), ((65_536,), 0), ((65_537,), 0),
    ((300_001,), 0), ((1_500_000,), 0), ((3, 513), 1), ((3, 513), 0), ((700, 900), 1), ((700, 900), 0),
    ((700, 900), (0, 1)), ((70_001, 3), 0), ((70_001, 3), 1), ((3, 70_001), 0), ((3, 70_001), 1), ((3, 70_001), (0, 1)),
    ((17, 90, 70), 0), ((17, 90, 70), 1), ((17, 90, 70), 2), ((17, 90, 70), (0, 2)), ((17, 90, 70), (0, 1)),
    ((17, 90, 70), (1, 2)), ((1, 5000, 1), 1), ((5, 1, 5000), (0, 2)), ((1025, 1), 0), ((1, 1), (0, 1)),
]  # fmt: skip


PRODUCT = 7  # its place in the results below


def all_reductions(axis):
    """Each kind with something before and something after it."""
    return lambda x: (
        x.sum(axis), (x * 0.5).sum(axis) + 1, x.max(axis), (-x).max(axis) * 2, x.min(axis), x.mean(axis), x.var(axis),
        x.prod(axis), np.sqrt((x * x).sum(axis)), (x > 1).any(axis), (x > 0.9).all(axis),
    )  # fmt: skip


@pytest.mark.parametrize("shape, axis", REDUCED, ids=str)
def test_reductions(shape, axis):
    f = all_reductions(axis)
    count = np.prod(shape) / np.prod(np.zeros(shape).sum(axis).shape)
    for dtype, wide in ((np.float32, np.float64), (np.float64, np.longdouble)):
        x = np.exp(normal(*shape) / 100).astype(dtype)  # near 1: products stay in range
        got, numpys, reference = weft.compile(f)(x), f(x), f(x.astype(wide))
        for k, (g, n, r) in enumerate(zip(got, numpys, reference, strict=True)):
            g, n, r = np.asarray(g), np.asarray(n), np.asarray(r)
            assert g.dtype == n.dtype and g.shape == n.shape
            if g.dtype == bool:
                np.testing.assert_array_equal(g, n)
            else:
                # a product of n factors is n roundings in any order: a walk of about sqrt(n) / 3 units
                assert worst(g, r) <= worst(n, r) + (2 + np.sqrt(count) if k == PRODUCT else 3)


@pytest.mark.parametrize("shape, axis", REDUCED, ids=str)
def test_integer_and_position_reductions(shape, axis):
    """Exact: sums wrap as NumPy's do, the first of equal elements wins."""
    rng = np.random.default_rng(0)
    f = lambda x: (x.sum(axis, dtype=x.dtype), x.max(axis), x.min(axis), x.prod(axis, dtype=x.dtype))  # noqa: E731
    for dtype in (np.int64, np.uint8):
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        for g, n in zip(weft.compile(f)(x), f(x), strict=True):
            assert np.asarray(g).dtype == n.dtype
            np.testing.assert_array_equal(g, n)
    if isinstance(axis, int):
        few = rng.integers(0, 50, shape)
        holes = np.where(rng.random(shape) < 1e-4, np.nan, few)
        same = np.full(shape, -np.inf, np.float32)
        at = lambda x: (x.argmax(axis), x[::-1].argmin(axis), x.argmax(axis) * 2, np.abs(x).argmin(axis))  # noqa: E731
        for x in (few, few.astype(np.float32), few % 2 == 0, holes, same, few.astype(np.uint8)):
            for g, n in zip(weft.compile(at)(x), at(x), strict=True):
                np.testing.assert_array_equal(g, n)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_arrays_sum_as_exactly_as_numpys(dtype):
    """Every rounding goes the same way here: the hardest case for partial sums."""
    f = lambda x: (x.sum(), x.sum(0), x.sum(1), x.mean(1))  # noqa: E731
    for shape in ((1, 2049), (1, 300_000), (50, 5000), (3, 70_000), (5000, 50)):
        x = np.full(shape, 0.1, dtype)
        wide = x.astype(np.longdouble)
        for g, n, r in zip(weft.compile(f)(x), f(x), f(wide), strict=True):
            assert worst(np.asarray(g), np.asarray(r)) <= worst(np.asarray(n), np.asarray(r)) + 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes_in_sums(dtype):
    """Infinities stay infinities through compensated and blocked sums, NaN stays NaN, and nothing else becomes one."""
    big = np.finfo(dtype).max
    for n in (5, 700, 3000, 200_000):
        x = np.ones(n, dtype)
        cases = {"inf": (np.inf, np.inf), "-inf": (-np.inf, -np.inf), "nan": (np.nan, np.nan), "big": (big, big)}
        f = weft.compile(lambda x: (x.sum(), x.max(), x.min(), x.mean(), (x - x).sum()))
        for a, b in [*cases.values(), (np.inf, -np.inf), (big, -big), (0.0, -0.0)]:
            x[n // 3], x[-1] = a, b
            with np.errstate(all="ignore"):
                want = (x.sum(), x.max(), x.min(), x.mean(), (x - x).sum())
            np.testing.assert_allclose(f(x), want, rtol=1e-6 if dtype == np.float32 else 1e-13)


def test_a_product_has_the_same_bits_in_every_loop():
    """a * b + c is computed for its maximum and again to compare with it: the maximum must be found."""
    for dtype in (np.float32, np.float64):
        a, b, c = (normal(64, 100, seed=i).astype(dtype) for i in range(3))

        def winners(a, b, c):
            p = a * b
            x = p + c
            hit = (x == x.max(1, keepdims=True)).astype(x.dtype)
            return hit.sum(1), hit / hit.sum(1, keepdims=True), p

        def winners_of_a_difference(a, b, c):
            x = c - a * b
            return ((x == x.min(1, keepdims=True)).sum(1),)

        for f in (winners, winners_of_a_difference):
            got = weft.compile(f)(a, b, c)
            assert (got[0] == 1).all() and all(np.isfinite(g).all() for g in got)


# Scatters, gathers, joins.

MOVING = [c for c in CASES if c.kind.family != "elementwise"]


@pytest.mark.parametrize("case", MOVING, ids=str)
def test_every_op_that_is_not_elementwise(case):
    """The table's sample applications, in all dtypes at once."""
    build, arguments, outputs = Builder("main"), [], []
    for dtype in dtypes_of(case):
        inputs = [build.input(t, "x").value for t in case.types(dtype)]
        arguments += case.operands(dtype)
        outputs += build.emit(case.kind, inputs, case.attrs)
    check_compiled(build.finish(outputs), arguments)



def test_scatter_add_of_repeated_indices():
    x, i = normal(50, 7), np.random.default_rng(0).integers(-50, 50, 400)
    u = normal(400, 7, seed=1)

    def f(x, i, u):
        return (weft.grad(lambda x: (x[i] * u).sum())(x), x[i] * 2, np.tanh(x)[i])

    got = weft.compile(f)(x, i, u)
    want = np.zeros_like(x)
    np.add.at(want, i, u)
    np.testing.assert_allclose(got[0], want, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(got[1], x[i] * 2)
    np.testing.assert_allclose(got[2], np.tanh(x)[i], rtol=1e-14)


@pytest.mark.parametrize("dtype", NAMES)
def test_movement_of_every_dtype(dtype):
    """Bits are moved, not numbers: NaN, -0.0 and the ends of ranges come out as they went in."""
    t = NAMES[dtype]
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 2 if dtype == "bool" else 256, (6, 5, t.itemsize), np.uint8)
    x = raw.view(t)[..., 0] if dtype != "bool" else raw[..., 0].astype(bool)

    def f(x, i):
        return (
            x[::-1, 1:4], np.concatenate([x[2:], x[:2, ::-1]]), np.pad(x, ((1, 0), (0, 2)), constant_values=x[0, 0]),
            x.T, x.reshape(5, 6)[:, ::2], x[i], np.where(x == x, x, x), np.stack([x, x[::-1]], 1),
        )  # fmt: skip

    i = np.array([5, 0, 0, 3])
    got = weft.compile(f)(x, i)
    want = [x[::-1, 1:4], np.concatenate([x[2:], x[:2, ::-1]]), np.pad(x, ((1, 0), (0, 2)), constant_values=x[0, 0]),
            x.T, x.reshape(5, 6)[:, ::2], x[i], x, np.stack([x, x[::-1]], 1)]  # fmt: skip
    for g, w in zip(got, want, strict=True):
        assert g.dtype == t and g.tobytes() == np.ascontiguousarray(w).tobytes()


@pytest.mark.parametrize("dtype", ["f16", "f32", "f64"])
def test_special_values_elementwise(dtype):
    """Arithmetic is NumPy's bit for bit, subnormals and signed zeros included; NaN where NumPy has NaN."""
    info = np.finfo(NAMES[dtype])
    line = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, info.max, info.tiny, info.smallest_subnormal,
                     -3 * info.smallest_subnormal, 2.5, info.eps], NAMES[dtype])  # fmt: skip
    x, y = (np.ascontiguousarray(a) for a in np.broadcast_arrays(line[:, None], line[None, :]))

    def f(x, y):
        return x + y, x - y, x * y, x / y, np.sqrt(x), -x, np.abs(x), np.floor(x), np.copysign(x, y), x < y, x == y

    with np.errstate(all="ignore"):
        want = f(x, y)
    for k, (g, w) in enumerate(zip(weft.compile(f)(x, y), want, strict=True)):
        if g.dtype == bool:
            np.testing.assert_array_equal(g, w)
            continue
        bits = f"u{w.dtype.itemsize}"
        nan = np.isnan(w)
        assert np.array_equal(np.isnan(g), nan), k
        assert np.array_equal(g.view(bits)[~nan], np.ascontiguousarray(w).view(bits)[~nan]), k
