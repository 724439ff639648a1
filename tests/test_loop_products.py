"""Products of a loop's trips made at once: the text before and after, and the same numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
from weft.ir.interpret import interpret
from weft.ir.ops.control import for_loop
from weft.ir.parse import parse
from weft.ir.text import print_graph
from weft.ir.verify import verify
from weft.passes.dce import dce
from weft.passes.loop_products import loop_products
from weft.passes.simplify import simplify


def run(graph):
    return dce(simplify(dce(loop_products(graph))))


def after(text: str) -> str:
    """The text of the changed graph; both compute the same."""
    graph = verify(parse(text))
    changed = verify(run(graph))
    rng = np.random.default_rng(0)
    arguments = [np.asarray(rng.standard_normal(v.shape)).astype(v.type.np_dtype) for v in graph.inputs]
    for x, y in zip(interpret(graph, arguments), interpret(changed, arguments, check=True), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)
    return print_graph(changed)


AHEAD = """\
@region
def body(i: i64, h: f64[2, 4], x: f64[6, 2, 3], w: f64[3, 4]) -> f64[2, 4]:
    p: f64[1, 2, 3] = dynamic_slice(x, i, i64(0), i64(0), sizes=(1, 2, 3))
    q: f64[2, 3] = reshape(p, shape=(2, 3))
    z: f64[2, 4] = dot(q, w, batch=((), ()), contract=((1,), (0,)))
    t: f64[2, 4] = mul(h, z)
    return t

def main(h0: f64[2, 4], x: f64[6, 2, 3], w: f64[3, 4]) -> f64[2, 4]:
    h: f64[2, 4] = for_loop(i64(1), i64(5), h0, x, w, carried=1, step=1, body=body)
    return h
"""

SUMS = """\
@region
def body(i: i64, d: f64[2, 4], acc: f64[4, 3], b: f64[4], x: f64[6, 2, 3]) -> (f64[2, 4], f64[4, 3], f64[4]):
    p: f64[1, 2, 3] = dynamic_slice(x, i, i64(0), i64(0), sizes=(1, 2, 3))
    q: f64[2, 3] = reshape(p, shape=(2, 3))
    e: f64[2, 4] = sin(d)
    g: f64[3, 4] = dot(q, e, batch=((), ()), contract=((0,), (0,)))
    gt: f64[4, 3] = transpose(g, perm=(1, 0))
    acc_1: f64[4, 3] = add(gt, acc)
    s: f64[4] = sum(e, axes=(0,))
    b_1: f64[4] = add(b, s)
    return e, acc_1, b_1

def main(d0: f64[2, 4], a0: f64[4, 3], b0: f64[4], x: f64[6, 2, 3]) -> (f64[2, 4], f64[4, 3], f64[4]):
    d, acc, b = for_loop(i64(5), i64(-1), d0, a0, b0, x, carried=3, step=-1, body=body)
    return d, acc, b
"""


def test_a_product_with_what_does_not_change_is_made_before_the_loop():
    assert (
        after(AHEAD)
        == """\
@region
def body(i: i64, h: f64[2, 4], z: f64[4, 2, 4]) -> f64[2, 4]:
    t0: i64 = sub(i, i64(1))
    t1: f64[1, 2, 4] = dynamic_slice(z, t0, i64(0), i64(0), sizes=(1, 2, 4))
    z_1: f64[2, 4] = reshape(t1, shape=(2, 4))
    t: f64[2, 4] = mul(h, z_1)
    return t

def main(h0: f64[2, 4], x: f64[6, 2, 3], w: f64[3, 4]) -> f64[2, 4]:
    q: f64[4, 2, 3] = slice(x, start=(1, 0, 0), stop=(5, 2, 3), step=(1, 1, 1))
    z: f64[4, 2, 4] = dot(q, w, batch=((), ()), contract=((2,), (0,)))
    h: f64[2, 4] = for_loop(i64(1), i64(5), h0, z, carried=1, step=1, body=body)
    return h
"""
    )


def test_a_sum_of_products_is_one_product_after_the_loop():
    assert (
        after(SUMS)
        == """\
@region
def body(i: i64, d: f64[2, 4], e: f64[6, 2, 4]) -> (f64[2, 4], f64[6, 2, 4]):
    e_1: f64[2, 4] = sin(d)
    t0: f64[1, 2, 4] = reshape(e_1, shape=(1, 2, 4))
    t1: f64[6, 2, 4] = dynamic_update(e, t0, i, i64(0), i64(0))
    return e_1, t1

def main(d0: f64[2, 4], a0: f64[4, 3], b0: f64[4], x: f64[6, 2, 3]) -> (f64[2, 4], f64[4, 3], f64[4]):
    t0: f64[6, 2, 4] = broadcast(f64(0.0), shape=(6, 2, 4))
    d, e = for_loop(i64(5), i64(-1), d0, t0, carried=2, step=-1, body=body)
    t1: f64[4, 3] = dot(e, x, batch=((), ()), contract=((0, 1), (0, 1)))
    acc: f64[4, 3] = add(a0, t1)
    t2: f64[4] = sum(e, axes=(0, 1))
    b: f64[4] = add(b0, t2)
    return d, acc, b
"""
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"for_loop(i64(1), i64(5)": "for_loop(i64(1), i64(2)"},  # one trip
        {"x: f64[6, 2, 3]": "x: f64[4, 2, 3]"},  # the last trip would read past the end
        {"slice(x, i,": "slice(x, k,", "4], x": "4], k: i64, x", "h0, x": "h0, k, x"},
    ],
)  # fmt: skip
def test_what_goes_ahead_has_known_trips_and_places(changes):
    text = AHEAD
    for old, new in changes.items():
        text = text.replace(old, new)
    graph = verify(parse(text))
    assert print_graph(loop_products(graph)) == print_graph(graph)


@pytest.mark.parametrize(
    "old, new",
    [
        ("acc_1: f64[4, 3] = add(gt, acc)", "acc_1: f64[4, 3] = mul(gt, acc)"),
        ("acc_1: f64[4, 3] = add(gt, acc)", "u: f64[4, 3] = sin(acc)\n    acc_1: f64[4, 3] = add(gt, u)"),
        ("return e, acc_1", "v: f64[4, 3] = sin(acc)\n    r: f64 = sum(v, axes=(0, 1))\n    "
         "q1: f64[2, 4] = mul(e, r)\n    return q1, acc_1"),  # the sum so far is read
        ("return e, acc_1", "r: f64 = sum(gt, axes=(0, 1))\n    q1: f64[2, 4] = mul(e, r)\n    return q1, acc_1"),
    ],
)  # fmt: skip
def test_what_is_no_sum_or_is_read_on_the_way_stays(old, new):
    graph = verify(parse(SUMS.replace(old, new)))
    changed = verify(loop_products(graph))
    assert not any(op.kind.name == "dot" for op in changed.ops)


def loops_of(stages):
    return [op for op in stages.simplified.ops if op.kind is for_loop]


def products_in_loops(stages):
    return sum(o.kind.name == "dot" for op in loops_of(stages) for o in op.regions[0].ops)


def lstm(p, x):
    n = p["h"].shape[0]
    h = np.zeros((x.shape[1], n), x.dtype)
    c = np.zeros((x.shape[1], n), x.dtype)
    for t in range(x.shape[0]):
        z = x[t] @ p["x"] + h @ p["h"] + p["b"]
        i, f, o = (1 / (1 + np.exp(-z[:, k * n : (k + 1) * n])) for k in range(3))
        c = f * c + i * np.tanh(z[:, 3 * n :])
        h = o * np.tanh(c)
    return np.sum(h * h)


def parameters(rng, width=5, n=8):
    shapes = {"x": (width, 4 * n), "h": (n, 4 * n), "b": (4 * n,)}
    return {k: rng.standard_normal(s) * 0.3 for k, s in shapes.items()}


def test_a_recurrent_network_keeps_one_product_per_trip_and_direction():
    rng = np.random.default_rng(0)
    p, x = parameters(rng), rng.standard_normal((12, 3, 5))
    gradient = weft.compile(weft.grad(lstm))
    stages = gradient.lower(p, x)
    assert len(loops_of(stages)) == 2 and products_in_loops(stages) == 2
    got = gradient(p, x)
    for name, v in p.items():
        direction = rng.standard_normal(v.shape)
        step = 1e-6
        ends = [lstm({**p, name: v + s * direction}, x) for s in (step, -step)]
        want = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(np.sum(got[name] * direction), want, rtol=1e-6)


def test_the_derivative_by_the_inputs_is_right_too():
    rng = np.random.default_rng(1)
    p, x = parameters(rng), rng.standard_normal((10, 3, 5))
    got = weft.compile(weft.grad(lstm, argnums=1))(p, x)
    np.testing.assert_allclose(got, weft.grad(lstm, argnums=1)(p, x), rtol=1e-9, atol=1e-12)
    direction = rng.standard_normal(x.shape)
    want = (lstm(p, x + 1e-6 * direction) - lstm(p, x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(np.sum(got * direction), want, rtol=1e-6)


def test_many_lanes_and_second_derivatives_go_the_same_way():
    rng = np.random.default_rng(2)
    p, x = parameters(rng, 3, 4), rng.standard_normal((9, 2, 3))
    xs = rng.standard_normal((3, 9, 2, 3))
    f = weft.vmap(weft.grad(lstm), in_axes=(None, 0))
    for a, b in zip(*(weft.tree.leaves(g(p, xs)) for g in (f, weft.compile(f))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    second = weft.grad(lambda p, x: sum(np.sum(g * g) for g in weft.tree.leaves(weft.grad(lstm)(p, x))))
    for a, b in zip(*(weft.tree.leaves(g(p, x)) for g in (second, weft.compile(second))), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


PLACES = {
    "t": lambda t, n: t,
    "t + 1": lambda t, n: t + 1,
    "n - t": lambda t, n: n - t,
    "2 * t": lambda t, n: 2 * t,
    "-1 - t": lambda t, n: -1 - t,
}


@given(
    place=st.sampled_from(sorted(PLACES)),
    other=st.sampled_from(sorted(PLACES)),
    ends=st.sampled_from([(0, 10, 1), (9, -1, -1), (1, 20, 2), (20, 1, -2)]),
    axis=st.sampled_from([0, 1]),
    form=st.sampled_from(["ahead", "sum", "both", "outer", "chain"]),
)
def test_random_loops_give_numpys_numbers(place, other, ends, axis, form):
    """Parts of x at several places, along several axes, in loops that go up and down."""

    def program(x, w, h):
        acc = np.ones((w.shape[0], w.shape[0]))
        for t in range(*ends):
            k, m = PLACES[place](t, 22), PLACES[other](t, 22)
            a = x[k] if axis == 0 else x[:, k]
            b = x[m] if axis == 0 else x[:, m]
            if form == "ahead":
                h = np.tanh(h + a @ w)
            elif form == "sum":
                h = np.tanh(h * 1.5)
                acc += a.T @ h
            elif form == "both":
                h = np.tanh(h + b @ w)
                acc = h.T @ a + acc
            elif form == "outer":
                acc += np.outer(a[0], b[0])
            else:
                h = np.sin(h + np.maximum(a @ w, 0) @ w.T)
        return acc, h

    rng = np.random.default_rng(0)
    x = rng.standard_normal((44, 2, 3) if axis == 0 else (2, 44, 3))
    w, h = rng.standard_normal((3, 3)), rng.standard_normal((2, 3))
    compiled = weft.compile(program)
    for got, want in zip(compiled(x, w, h), program(x, w, h), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
    if form in ("ahead", "outer", "chain") and "-1" not in (place, other):
        assert products_in_loops(compiled.lower(x, w, h)) == 0
