"""Derivatives of every op in the table: against differences, against each other, to second order.

    J[o][i]          the Jacobian block of output o by input i, from differences of fourth order
    vjp              Σ_o J[o][i]^T c_o        (reverse)
    jvp              Σ_i J[o][i] t_i          (forward)
    <c, jvp(t)> = <vjp(c), t>                 exactly, but for rounding

Second order is the same test run on the gradient itself: `reverse` gives a graph like any other.
"""

import numpy as np
import pytest
from op_cases import CASES

from weft.ir import REGISTRY, Builder, Graph, TensorType
from weft.ir.interpret import interpret
from weft.ir.verify import verify
from weft.passes.differentiate import reverse
from weft.passes.forward import forward

STEPS = (1e-3, 1e-4)
# Cases at a kink: there the gradient is a convention, and jumps.
KINKED = {"max", "min", "maximum", "minimum", "fmax", "fmin", "abs"}
FLOAT_CASES = [c for c in CASES if "f" in c.kind.dtypes and c.op not in ("constant", "iota")]
DOUBLE_CASES = [c for c in FLOAT_CASES if c.attrs.get("dtype") not in ("f16", "f32")]  # those casts are steps
SMOOTH_CASES = [c for c in DOUBLE_CASES if not (c.values is not None and c.op in KINKED)]
ZERO = {"floor", "ceil", "trunc", "rint", "sign", "floordiv"}  # ops of floats whose derivative is zero everywhere


def floats(values):
    return [i for i, v in enumerate(values) if v.type.is_float]


def numeric_jacobian(graph: Graph, arguments, step):
    """J[o][i] for float outputs and float inputs, as matrices."""
    ins, outs = floats(graph.inputs), floats(graph.outputs)
    blocks = {(o, i): np.zeros((graph.outputs[o].type.size, arguments[i].size)) for o in outs for i in ins}
    for i in ins:
        for k in range(arguments[i].size):

            def at(h, i=i, k=k):
                moved = [a.copy() for a in arguments]
                moved[i].reshape(-1)[k] += h
                return [np.array(r, dtype=np.float64) for r in interpret(graph, moved)]

            near, far = (at(step), at(-step)), (at(2 * step), at(-2 * step))
            for o in outs:
                change = 8 * (near[0][o] - near[1][o]) - (far[0][o] - far[1][o])
                blocks[o, i][:, k] = change.reshape(-1) / (12 * step)
    return blocks


def draw(values, rng):
    signs = rng.choice([-1, 1], len(values))
    return [np.asarray(s * rng.uniform(0.5, 1.5, v.shape), v.type.np_dtype) for s, v in zip(signs, values, strict=True)]


def smooth_point(graph, points):
    """The first of some argument lists at which differences mean something: they agree for two step sizes."""
    for arguments in points:
        for step in STEPS:
            jacobian, finer = numeric_jacobian(graph, arguments, step), numeric_jacobian(graph, arguments, step / 2)
            if all(np.allclose(jacobian[k], finer[k], rtol=5e-7, atol=1e-8) for k in jacobian):
                return arguments, finer
    raise AssertionError("no sample of this case is away from a jump")


def close(got, want, scale):
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8 * max(scale, 1))


def check_derivatives(graph, points, rng):
    """VJP and JVP of a graph against differences and against each other, at a smooth one of some points."""
    ins, outs = floats(graph.inputs), floats(graph.outputs)
    arguments, jacobian = smooth_point(graph, points)
    scale = max((np.abs(b).max(initial=0) for b in jacobian.values()), default=0)
    cotangents = draw([graph.outputs[o] for o in outs], rng)
    tangents = draw([graph.inputs[i] for i in ins], rng)

    backward = verify(reverse(graph, ins, outs))
    results = interpret(backward, [*arguments, *cotangents], check=True)
    values, gradients = results[: len(graph.outputs)], results[len(graph.outputs) :]
    for i, g in zip(ins, gradients, strict=True):
        want = sum((jacobian[o, i].T @ c.reshape(-1) for o, c in zip(outs, cotangents, strict=True)), 0.0)
        assert g.shape == arguments[i].shape and g.dtype == arguments[i].dtype
        close(g.reshape(-1), np.broadcast_to(want, g.size), scale)

    ahead = verify(forward(graph, ins))
    results = interpret(ahead, [*arguments, *tangents], check=True)
    pushed = results[len(graph.outputs) :]
    for o, t in zip(outs, pushed, strict=True):
        want = sum((jacobian[o, i] @ x.reshape(-1) for i, x in zip(ins, tangents, strict=True)), 0.0)
        assert t.shape == graph.outputs[o].shape and t.dtype == graph.outputs[o].type.np_dtype
        close(t.reshape(-1), np.broadcast_to(want, t.size), scale)

    for mine, theirs in zip(values, interpret(graph, arguments), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    left = sum(np.vdot(c, t) for c, t in zip(cotangents, pushed, strict=True))
    right = sum(np.vdot(g, t) for g, t in zip(gradients, tangents, strict=True))
    size = sum(np.abs(c).sum() for c in cotangents) * scale * 10
    assert abs(left - right) <= 1e-12 * max(size, 1)


@pytest.mark.parametrize("case", DOUBLE_CASES, ids=str)
def test_first_order(case):
    check_derivatives(case.graph("f64"), (case.operands("f64", seed) for seed in range(30)), np.random.default_rng(1))


@pytest.mark.parametrize("case", SMOOTH_CASES, ids=str)
def test_second_order(case):
    """The gradient, as a function of arguments and cotangents, differentiated both ways."""
    graph, rng = case.graph("f64"), np.random.default_rng(2)
    outs = floats(graph.outputs)
    if not outs or not floats(graph.inputs):
        return
    backward = reverse(graph, floats(graph.inputs), outs)
    gradient = Graph("gradient", backward.inputs, backward.ops, backward.outputs[len(graph.outputs) :])
    cotangents = draw([graph.outputs[o] for o in outs], rng)
    check_derivatives(gradient, ([*case.operands("f64", seed), *cotangents] for seed in range(30)), rng)


@pytest.mark.parametrize("case", FLOAT_CASES, ids=str)
def test_single_precision_agrees_with_double(case):
    """The same rules in f32 and f16: dtypes kept, values as near as the dtype allows."""
    wide = case.graph("f64")
    ins, outs = floats(wide.inputs), floats(wide.outputs)
    rng = np.random.default_rng(3)
    cotangents = draw([wide.outputs[o] for o in outs], rng)
    want = interpret(reverse(wide, ins, outs), [*case.operands("f64"), *cotangents])
    for dtype, eps in (("f32", 2e-5), ("f16", 8e-2)):
        graph = case.graph(dtype)
        kept = [i for i in ins if graph.inputs[i].type.is_float]
        seeds = [o for o in outs if graph.outputs[o].type.is_float]
        given = [c.astype(graph.outputs[o].type.np_dtype) for o, c in zip(outs, cotangents, strict=True)]
        operands = case.operands(dtype)
        got = interpret(verify(reverse(graph, kept, seeds)), [*operands, *given], check=True)
        for g, w in zip(got[len(graph.outputs) :], want[len(wide.outputs) :], strict=True):
            np.testing.assert_allclose(g.astype(np.float64), w, rtol=eps, atol=eps * max(1, np.abs(w).max(initial=0)))


@pytest.mark.parametrize("name", sorted(ZERO))
def test_ops_with_zero_derivative_give_zeros(name):
    case = next(c for c in FLOAT_CASES if c.op == name and c.shapes[0] == (2, 3))
    graph = case.graph("f32")
    ins = floats(graph.inputs)
    ones = np.ones(graph.outputs[0].shape, np.float32)
    backward = reverse(graph, ins, [0])
    assert len(backward.ops) <= len(graph.ops) + 1 + 2 * len(ins), "nothing but zeros to compute"
    for g in interpret(backward, [*case.operands("f32"), ones])[1:]:
        assert not g.any() and g.dtype == np.float32
    tangents = [np.ones(graph.inputs[i].shape, np.float32) for i in ins]
    (t,) = interpret(forward(graph, ins), [*case.operands("f32"), *tangents])[1:]
    assert not t.any() and t.shape == graph.outputs[0].shape and t.dtype == np.float32


@pytest.mark.parametrize("through", ["i64", "bool"])
def test_nothing_flows_through_integers_and_booleans(through):
    build = Builder("main")
    x = build.input(TensorType("f64", (2, 3)), "x")
    there = REGISTRY["cast"](x, dtype=through)
    graph = build.finish([REGISTRY["cast"](there, dtype="f64")])
    (g,) = interpret(reverse(graph, [0], [0]), [np.full((2, 3), 1.5), np.ones((2, 3))])[1:]
    (t,) = interpret(forward(graph, [0]), [np.full((2, 3), 1.5), np.ones((2, 3))])[1:]
    assert not g.any() and g.shape == (2, 3)
    assert not t.any() and t.shape == (2, 3)


@pytest.mark.parametrize("name, shares", [("max", [[1 / 3] * 3, [0, 0, 1]]), ("min", [[1 / 3] * 3, [0.5, 0.5, 0]])])
def test_ties_share_alike(name, shares):
    build = Builder("main")
    x = build.input(TensorType("f64", (2, 3)), "x")
    graph = build.finish([REGISTRY[name](x, axes=(1,))])
    arguments = [np.array([[2.0, 2.0, 2.0], [1.0, 1.0, 5.0]]), np.ones(2)]
    (g,) = interpret(reverse(graph, [0], [0]), arguments)[1:]
    np.testing.assert_allclose(g, shares, rtol=1e-15)


def gradient_at(name, *arguments):
    build = Builder("main")
    graph = build.finish([REGISTRY[name](*(build.input(TensorType("f64", ()), "x") for _ in arguments))])
    ins = list(range(len(arguments)))
    return [float(g) for g in interpret(reverse(graph, ins, [0]), [*map(np.float64, arguments), np.float64(1)])[1:]]


def test_gradients_at_the_edge_of_the_domain():
    """Where NumPy's function is finite, a gradient by a rule must not be 0 * inf."""
    assert gradient_at("power", 0.0, 0.0) == [0.0, 0.0]
    assert gradient_at("power", np.nan, 0.0)[0] == 0.0
    assert gradient_at("power", 0.0, 2.0) == [0.0, 0.0]
    assert gradient_at("power", -2.0, 3.0) == [12.0, 0.0]
    assert gradient_at("power", 0.0, 1.0) == [1.0, 0.0]
    assert gradient_at("hypot", 0.0, 0.0) == [0.0, 0.0]
    assert gradient_at("abs", 0.0) == [0.0]
    assert gradient_at("logaddexp", -1e300, 1e300) == [0.0, 1.0]
