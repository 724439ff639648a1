"""Reverse mode as dynamic programming: one adjoint per value, whatever the number of paths; exact text; dead ends."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rewriting import graph_of
from row_programs import row_program
from strategies import random_arguments

from weft.ir import REGISTRY, Builder, TensorType
from weft.ir.interpret import interpret
from weft.ir.ops.linalg import dot
from weft.ir.verify import verify
from weft.passes.differentiate import reverse
from weft.passes.forward import forward

F64 = TensorType("f64")


def doublings(n, dims=()):
    """x = x + x * x, n times: each step is read three times, so 3^n paths lead from x to the result."""
    build = Builder("main")
    x = build.input(TensorType("f64", dims), "x0")
    for i in range(n):
        x = x + x * x
        build.hint(x.value, f"x{i + 1}")
    return build.finish([x])


def test_the_backward_graph_grows_by_a_constant_per_step():
    sizes = [len(reverse(doublings(n), [0], [0]).ops) for n in range(1, 42)]
    growth = {b - a for a, b in zip(sizes[1:], sizes[2:], strict=False)}
    assert growth == {6}  # of 2 forward ops: two products, two sums of uses
    backward = reverse(doublings(40), [0], [0])
    kinds = Counter(op.kind.name for op in backward.ops)
    assert len(doublings(40).ops) == 80
    assert kinds == {"add": 40 + 80, "mul": 40 + 80}


def test_the_second_derivative_grows_by_a_constant_per_step_too():
    def size(n):
        first = reverse(doublings(n), [0], [0])
        return len(reverse(first, [0], [1]).ops), len(forward(first, [0]).ops)

    reverses, forwards = zip(*(size(n) for n in range(1, 12)), strict=True)
    assert len({b - a for a, b in zip(reverses[3:], reverses[4:], strict=False)}) == 1
    assert len({b - a for a, b in zip(forwards[3:], forwards[4:], strict=False)}) == 1
    assert reverses[-1] <= 12 * 2 * 11 and forwards[-1] <= 12 * 2 * 11


def test_the_value_over_all_paths():
    """d x40 / d x0 = Π (1 + 2 x_i), which has 2^40 terms when it is multiplied out."""
    x, want, curve = -0.7, 1.0, 0.0
    states = [x]
    for _ in range(40):
        states.append(states[-1] + states[-1] ** 2)
    for v in states[:-1]:
        want, curve = want * (1 + 2 * v), curve * (1 + 2 * v) + want**2 * 2  # y'' = f''(v) v'^2 + f'(v) v''
    first = reverse(doublings(40), [0], [0])
    y, g = interpret(first, [np.float64(x), np.float64(1)])
    assert y == states[-1] and g == pytest.approx(want, rel=1e-13)
    second = reverse(first, [0], [1])
    assert interpret(second, [np.float64(x), np.float64(1), np.float64(1)])[2] == pytest.approx(curve, rel=1e-11)
    ahead = forward(first, [0])
    assert interpret(ahead, [np.float64(x), np.float64(1), np.float64(1)])[3] == pytest.approx(curve, rel=1e-11)


def test_each_adjoint_is_computed_once_and_named():
    """Every named value on the way has one adjoint, `d_` and its name, and all adjoints are distinct values."""
    n = 12
    backward = reverse(doublings(n, (3,)), [0], [0])
    names = Counter(r.name for op in backward.ops for r in op.results)
    assert all(names[f"d_x{i}"] == 1 for i in range(n))
    assert [v.name for v in backward.inputs] == ["x0", f"d_x{n}"]
    assert [v.name for v in backward.outputs] == [f"x{n}", "d_x0"]


def test_text_of_a_small_backward_graph():
    graph = graph_of("""
        def loss(w: f64[3], x: f64[4, 3], y: f64[4], n: i64) -> (f64, i64):
            z: f64[4] = dot(x, w, batch=((), ()), contract=((1,), (0,)))
            h: f64[4] = tanh(z)
            e: f64[4] = sub(h, y)
            s: f64 = sum(e, axes=(0,))
            m: i64 = add(n, n)
            return s, m
    """)
    want = """\
def loss(w: f64[3], x: f64[4, 3], y: f64[4], n: i64, d_s: f64) -> (f64, i64, f64[3], f64[4]):
    z: f64[4] = dot(x, w, batch=((), ()), contract=((1,), (0,)))
    h: f64[4] = tanh(z)
    e: f64[4] = sub(h, y)
    s: f64 = sum(e, axes=(0,))
    m: i64 = add(n, n)
    t0: f64[1] = reshape(d_s, shape=(1,))
    d_e: f64[4] = broadcast(t0, shape=(4,))
    d_y: f64[4] = neg(d_e)
    t1: f64[4] = mul(h, h)
    t2: f64[4] = sub(f64(1.0), t1)
    d_z: f64[4] = mul(d_e, t2)
    t3: f64[4, 3] = dot(d_z, w, batch=((), ()), contract=((), ()))
    d_w: f64[3] = dot(x, d_z, batch=((), ()), contract=((0,), (0,)))
    return s, m, d_w, d_y
"""
    assert str(verify(reverse(graph, [0, 2], [0]))) == want


def test_dead_ends_give_zeros():
    graph = graph_of("""
        def main(a: f64[2], b: f32[3, 2], c: f64, i: i64[2]) -> (f64[2], f64, f64[2]):
            y: f64[2] = mul(a, a)
            d: f64[2] = exp(y)
            f: f64[2] = floor(a)
            return y, c, f
    """)
    a, b, c, i = np.array([1.0, 3.0]), np.ones((3, 2), np.float32), np.float64(2), np.array([0, 1])
    backward = verify(reverse(graph, [0, 1, 2], [0]))
    assert "exp" not in [op.kind.name for op in backward.ops[len(graph.ops) :]]
    *_, da, db, dc = interpret(backward, [a, b, c, i, np.ones(2)], check=True)
    assert da.tolist() == [2.0, 6.0]
    assert db.dtype == np.float32 and db.shape == (3, 2) and not db.any()
    assert dc == 0
    # a step function of an input, an output that is an input, and an output that is seeded twice
    *_, da, dc = interpret(reverse(graph, [0, 2], [2, 1, 1]), [a, b, c, i, np.ones(2), np.float64(3), np.float64(4)])
    assert not da.any() and dc == 7
    assert interpret(reverse(graph, [], [0]), [a, b, c, i, np.ones(2)])[0].tolist() == [1.0, 9.0]


def test_broadcast_operands_get_sums():
    graph = graph_of("""
        def main(a: f64[2, 1], b: f64[3], c: f64) -> f64[2, 3]:
            t0: f64[2, 3] = mul(a, b)
            t1: f64[2, 3] = add(t0, c)
            return t1
    """)
    a, b, c, g = np.array([[1.0], [2.0]]), np.array([3.0, 4.0, 5.0]), np.float64(6), np.arange(6.0).reshape(2, 3)
    _, da, db, dc = interpret(verify(reverse(graph, [0, 1, 2], [0])), [a, b, c, g], check=True)
    np.testing.assert_array_equal(da, (g * b).sum(1, keepdims=True))
    np.testing.assert_array_equal(db, (g * a).sum(0))
    assert dc == g.sum()


def test_a_value_that_is_read_twice_by_one_op():
    build = Builder("main")
    x = build.input(F64, "x")
    graph = build.finish([REGISTRY["power"](x, x)])
    _, g = interpret(reverse(graph, [0], [0]), [np.float64(2), np.float64(1)])
    assert g == pytest.approx(4 * (np.log(2) + 1))


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_random_programs_against_each_other_and_differences(seed):
    """<c, J t> by forward mode, <J^T c, t> by reverse mode and the difference quotient are one number."""
    graph = row_program(seed, extents=(1, 2, 3), products=True, jumpy=False, moves=True)
    wrt, seeds = list(range(len(graph.inputs))), list(range(len(graph.outputs)))
    arguments = random_arguments(graph, seed)
    rng = np.random.default_rng(seed)
    tangents = [np.asarray(rng.normal(size=a.shape)) for a in arguments]
    cotangents = [np.asarray(rng.normal(size=v.shape)) for v in graph.outputs]
    backward, ahead = verify(reverse(graph, wrt, seeds)), verify(forward(graph, wrt))
    gradients = interpret(backward, [*arguments, *cotangents], check=True)[len(graph.outputs) :]
    pushed = interpret(ahead, [*arguments, *tangents], check=True)[len(graph.outputs) :]
    left = sum(np.vdot(c, t) for c, t in zip(cotangents, pushed, strict=True))
    right = sum(np.vdot(g, t) for g, t in zip(gradients, tangents, strict=True))
    scale = 1 + sum(np.abs(c).sum() * np.abs(t).max(initial=0) for c, t in zip(cotangents, pushed, strict=True))
    assert abs(left - right) <= 1e-11 * scale

    def at(h):
        moved = interpret(graph, [a + h * t for a, t in zip(arguments, tangents, strict=True)])
        return sum(np.vdot(c, y) for c, y in zip(cotangents, moved, strict=True))

    slopes = [(8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h) for h in (1e-4, 5e-5)]
    if abs(slopes[0] - slopes[1]) <= 1e-7 * scale:  # else a maximum changes hands between the points
        assert abs(left - slopes[1]) <= 1e-5 * scale


def test_the_gradient_of_an_inner_product_is_elementwise():
    """d(x . x) = 2 δ x: δ is a number, and a number times an array is no product for the library."""
    build = Builder("f")
    x = build.input(TensorType("f64", (3,)), "x")
    graph = reverse(build.finish([dot(x, x, batch=((), ()), contract=((0,), (0,)))]), [0], [0])
    assert [op.kind.name for op in graph.ops] == ["dot", "mul", "mul", "add"]
    value, gradient = interpret(graph, [np.array([1.0, -2.0, 3.0]), np.asarray(0.5)])
    assert value == 14.0 and gradient.tolist() == [1.0, -2.0, 3.0]
