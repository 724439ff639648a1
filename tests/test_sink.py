"""Slices and pads below cheap arithmetic: the same bits, and stencils' gradients that are one kernel per trip."""

import random

import numpy as np
import pytest

import weft
from weft.ir import REGISTRY, Builder, Graph, TensorType
from weft.ir.interpret import interpret
from weft.ir.verify import verify
from weft.passes.dce import dce
from weft.passes.sink import FILLS, sink

VALUES = [0.0, -0.0, 1.0, -1.0, 2.5, -3.0, np.inf, -np.inf, np.nan]


def moved_arithmetic(seed: int) -> Graph:
    """Cheap arithmetic on arrays and numbers, known and not, which slices and pads read."""
    rnd = random.Random(seed)
    build = Builder()
    dtype = rnd.choice(["f64", "f32", "i64"])
    types = [TensorType(dtype, dims) for dims in ((4, 6), (6,), (4, 6), ())]
    pool = [build.input(t, f"x{k}") for k, t in enumerate(types)]
    numbers = VALUES if dtype[0] == "f" else [0, 1, -2]
    full = [pool[0], pool[2]]
    for _ in range(rnd.randint(1, 5)):
        a = rnd.choice(full)
        b = rnd.choice([*full, *pool, build.constant(rnd.choice(numbers), dtype)])
        kind = rnd.choice(["add", "sub", "mul", "neg", "maximum", "minimum", "abs", "square", "where", "cast"])
        if kind in ("neg", "abs", "square"):
            made = REGISTRY[kind](a)
        elif kind == "where":
            test = rnd.choice(["less", "less_equal", "greater", "greater_equal", "equal", "not_equal"])
            holds = REGISTRY[test](a, b)
            made = REGISTRY["where"](holds, a, rnd.choice([*full, build.constant(0, dtype)]))
            made = rnd.choice([made, REGISTRY["cast"](holds, dtype=dtype)])
        elif kind == "cast":
            other = rnd.choice(["f32", "f64", "i32"])
            made = REGISTRY["cast"](REGISTRY["cast"](a, dtype=other), dtype=dtype)
        else:
            made = REGISTRY[kind](*rnd.sample([a, b], 2))
        full.append(made)
    outputs = []
    for _ in range(3):
        x = rnd.choice(full)
        if rnd.random() < 0.3:
            outputs.append(REGISTRY["slice"](x, start=(1, 0), stop=(4, 5), step=(2, 1)))
        else:
            low, high = (rnd.randint(0, 2), 1), (rnd.randint(0, 2), 0)
            outputs.append(REGISTRY["pad"](x, build.constant(rnd.choice(numbers[:3]), dtype), low=low, high=high))
    return dce(build.finish(outputs))


@pytest.mark.parametrize("seed", range(400))
def test_the_same_bits(seed):
    graph = moved_arithmetic(seed)
    sunk = dce(verify(sink(graph)))
    rng = np.random.default_rng(seed)
    draw = lambda v: rng.choice(VALUES if v.type.is_float else [0, 1, -1, 7], v.shape).astype(v.type.np_dtype)  # noqa: E731
    arguments = [draw(v) for v in graph.inputs]
    with np.errstate(all="ignore"):
        for a, b in zip(interpret(graph, arguments), interpret(sunk, arguments), strict=True):
            nan = np.isnan(a)
            assert np.array_equal(nan, np.isnan(b)) and a[~nan].tobytes() == b[~nan].tobytes()


def test_all_of_it_sinks_somewhere():
    """The programs above do exercise the rules."""
    changed = [seed for seed in range(400) if sink(g := moved_arithmetic(seed)) is not g]
    assert len(changed) > 160
    assert set(FILLS) >= {"add", "mul", "where", "cast"}


def step(u, k):
    u[1:-1, 1:-1] += k * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1])
    return u


def heat(u, k, steps):
    u = u.copy()
    for _ in weft.rolled(range(steps)):
        u = step(u, k)
    return np.sum(u**2)


def loops(graph):
    return [op for op in graph.walk() if op.kind.name == "for_loop"]


def kernels(region):
    return [op for op in region.ops if op.kind.name == "call"]


def pushed(graph):
    """Bytes that a trip pushes."""
    return sum(v.type.nbytes for op in graph.walk() if op.kind.name == "push" for v in op.operands[1:])


def test_the_gradient_of_a_linear_stencil_is_one_kernel_per_trip_and_keeps_nothing():
    u = np.random.default_rng(0).random((40, 50))
    stages = weft.compile(weft.grad(heat)).lower(u, 0.1, 9)
    forward, backward = loops(stages.fused)
    assert pushed(stages.fused) == 0
    assert len(kernels(forward.regions[0])) == len(kernels(backward.regions[0])) == 1
    own = kernels(forward.regions[0])[0].regions[0].ops
    back = kernels(backward.regions[0])[0].regions[0].ops
    assert len(back) <= 2.5 * len(own)
    assert stages.memory.arena <= 2 * u.nbytes + 4096


def test_of_a_stencil_with_a_parameter_one_array_per_trip_is_kept():
    u = np.random.default_rng(0).random((40, 50))
    stages = weft.compile(weft.grad(heat, argnums=(0, 1))).lower(u, 0.1, 9)
    assert pushed(stages.fused) <= u.nbytes
    assert len(kernels(loops(stages.fused)[1].regions[0])) == 2  # one of them for the sum


def burgers(u, nu, steps):
    u = u.copy()
    for _ in weft.rolled(range(steps)):
        u[1:-1] += nu * (u[2:] - 2 * u[1:-1] + u[:-2]) - 0.1 * u[1:-1] * (u[1:-1] - u[:-2])
    return np.sum(u**2)


def test_a_nonlinear_stencil_keeps_what_it_carries():
    u = np.random.default_rng(0).random(60)
    stages = weft.compile(weft.grad(burgers)).lower(u, 0.1, 9)
    assert pushed(stages.fused) <= u.nbytes


@pytest.mark.parametrize(("f", "shape"), [(heat, (12, 9)), (burgers, (20,))])
def test_gradients_of_stencils(f, shape):
    u, k, h = np.random.default_rng(0).random(shape), 0.1, 1e-6
    got, gk = weft.compile(weft.grad(f, argnums=(0, 1)))(u, k, 5)
    for at in np.ndindex(shape):
        e = np.zeros(shape)
        e[at] = h
        assert got[at] == pytest.approx((f(u + e, k, 5) - f(u - e, k, 5)) / (2 * h), abs=1e-6)
    assert gk == pytest.approx((f(u, k + h, 5) - f(u, k - h, 5)) / (2 * h), rel=1e-6)


def test_what_is_stored_anyway_is_not_computed_again():
    build = Builder()
    x = build.input(TensorType("f64", (8,)), "x")
    y = -x
    graph = build.finish([y, REGISTRY["slice"](y, start=(1,), stop=(7,), step=(1,))])
    assert sink(graph) is graph


def test_a_dear_value_is_not_computed_again():
    build = Builder()
    x = build.input(TensorType("f64", (8,)), "x")
    y = REGISTRY["exp"](x) * 2.0
    graph = build.finish([REGISTRY["slice"](y, start=(k,), stop=(k + 3,), step=(1,)) for k in (0, 5)])
    assert sink(graph) is graph


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("length", [0, 2, 3, 6])
def test_what_lies_before_a_limit_is_told_by_the_whole_array(axis, length):
    build = Builder()
    x = build.input(TensorType("f64", (4, 6)), "x")
    n = build.input(TensorType("i64", ()), "n")
    ended = REGISTRY["limit"](x + x, build.constant(0.0, "f64"), n, axis=axis)
    graph = build.finish([REGISTRY["slice"](ended, start=(2, 1), stop=(4, 5), step=(1, 2))])
    given = np.arange(1.0, 25.0).reshape(4, 6), np.int64(length)
    (want,), (got,) = interpret(graph, given), interpret(dce(verify(sink(graph))), given)
    np.testing.assert_array_equal(got, want)


def test_long_chains_are_left_alone():
    build = Builder()
    x = build.input(TensorType("f64", (8,)), "x")
    y = z = x
    for _ in range(3000):
        y = y * 0.5 + x
        z = REGISTRY["slice"](REGISTRY["pad"](z, z.const(0), low=(1,), high=(0,)), start=(0,), stop=(8,), step=(1,))
    graph = build.finish([REGISTRY["slice"](y * z, start=(1,), stop=(7,), step=(1,))])
    assert sink(graph) is graph
