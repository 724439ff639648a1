"""Writes taken back in a backward loop: what is kept, that the gradient is the same, and when it is not worth it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import UPDATES, graphs, random_arguments
from test_loop_derivatives import SMOOTH, TooSteep, check, floats

import weft
from weft.ir.interpret import interpret
from weft.ir.verify import verify
from weft.passes import regions
from weft.passes.differentiate import reverse
from weft.pipeline import Stages


def pushed(graph):
    """Bytes that the graph's loops push, per trip."""
    return sum(v.type.nbytes for op in graph.walk() if op.kind.name == "push" for v in op.operands[1:])


def table(x, w):
    """A table whose row i comes of the row before."""
    n = len(x)
    t = np.zeros((40, n))
    t[0] = x
    for i in weft.rolled(range(1, 40)):
        t[i] = np.tanh(t[i - 1] * w) + t[i - 1, ::-1]
    return (t * t).sum()


def gathered(x, places):
    """Writes by index, and adds: some of the places are the same."""
    y = np.zeros(200)
    for i in weft.rolled(range(30)):
        y[places[i]] = np.sin(y[places[i] + 1] + x)
        y[places[i, ::-1]] += y[places[i]] * x
        y[i] = y[i + 1] * y[i]
    return (y * y).sum()


def in_a_while(x):
    y = np.zeros(300)
    y[0] = x[0]
    i = 0
    while y[i] < 40.0:
        y[i + 1] = y[i] * y[i] * 0.01 + y[i] + x[1]
        i = i + 1
    return y.sum()


def between(x):
    """Writes of a trip, two of them to one place, between which the whole array is read."""
    y, s = np.full(200, 0.5), 0.0
    for i in weft.rolled(range(199)):
        y[i + 1] = np.sin(y[i] * x[0]) + x[1]
        s = s + (y * y * y).sum()
        y[i] = y[i + 1] * y[i]
        s = s + (y * y).sum() * x[2]
        y[i + 1] = y[i + 1] * x[1] + 0.1
    return s + (y * y).sum()


PLACES = np.random.default_rng(1).integers(0, 190, (30, 4))
CASES = {
    "rows": (table, (np.linspace(0.1, 0.9, 5), np.linspace(1.0, 0.2, 5)), (0, 1), 200),
    "places": (gathered, (np.linspace(0.1, 0.9, 4), PLACES), (0,), 300),
    "between": (between, (np.linspace(0.1, 0.9, 3),), (0,), 100),
    "while": (in_a_while, (np.array([1.0, 0.5]),), (0,), 100),
}


@pytest.mark.parametrize("name", CASES)
def test_only_what_was_overwritten_is_kept(name):
    f, arguments, wrt, most = CASES[name]
    gradient = weft.grad(f, argnums=wrt)
    graph = weft.compile(gradient).lower(*arguments).trace
    verify(graph)
    assert 0 < pushed(graph) <= most
    for found in (gradient(*arguments), weft.compile(gradient)(*arguments)):
        for k, g in zip(wrt, found, strict=True):
            for d in np.eye(len(arguments[k])):
                moved = [[a + t * d if i == k else a for i, a in enumerate(arguments)] for t in (1e-6, -1e-6)]
                want = (f(*moved[0]) - f(*moved[1])) / 2e-6
                np.testing.assert_allclose(g @ d, want, rtol=1e-6, atol=1e-7)


def test_second_derivatives():
    x, w = CASES["rows"][1]
    gradient = weft.grad(table)
    for d in np.eye(len(x)):
        product = weft.compile(lambda x, d=d: weft.jvp(lambda y: gradient(y, w), (x,), (d,))[1])(x)
        want = (gradient(x + 1e-5 * d, w) - gradient(x - 1e-5 * d, w)) / 2e-5
        np.testing.assert_allclose(product, want, rtol=1e-6)
        np.testing.assert_allclose(weft.grad(lambda y, d=d: gradient(y, w) @ d)(x), want, rtol=1e-6)


def test_an_array_that_is_overwritten_as_a_whole_is_kept():
    """Taking the write back would keep as much and cost another write."""

    def f(u):
        for _ in weft.rolled(range(20)):
            u[1:-1] += 0.1 * np.sin(u[2:] - u[:-2])
        return (u * u).sum()

    graph = weft.compile(weft.grad(f)).lower(np.linspace(0, 1, 50)).trace
    assert not any(r.name.startswith("old") for op in graph.walk() for r in op.results)
    assert 0 < pushed(graph) <= 50 * 8


@given(graph=graphs(ops=SMOOTH, dtypes=("f64",), regions=2, max_ops=8, hints=False), seed=st.integers(0, 99))
def test_random_programs(graph, seed):
    """Where all writes are taken back that can be."""
    if not floats(graph.inputs) or not floats(graph.outputs):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "GAIN", 0)
        try:
            check(graph, random_arguments(graph, seed), np.random.default_rng(seed), tolerance=1e-4)
        except TooSteep:
            pass


@given(graph=graphs(ops=SMOOTH | UPDATES, dtypes=("f64",), regions=2, max_ops=8, hints=False), seed=st.integers(0, 99))
def test_compiled(graph, seed):
    wrt, seeds = (floats(vs) for vs in (graph.inputs, graph.outputs))
    if not wrt or not seeds:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regions, "GAIN", 0)
        both = reverse(graph, wrt, seeds)
    arguments = random_arguments(both, seed)
    want = interpret(both, arguments)
    got = Stages(both, check=True).compile()([np.array(a) for a in arguments])
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
