"""Recompute or store: which values kernels make again, and that nothing else changes."""

import numpy as np
import pytest

import weft
from weft.ir.cost import cost
from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.ir.verify import verify
from weft.passes.fuse import fuse
from weft.passes.recompute import recompute

TWICE = """
def f(x: f32[3000, 1000], s: f32[1000]) -> (f32[1000], f32[3000]):
    t0: f32[3000, 1000] = add(x, s)
    t: f32[3000, 1000] = {op}
    a: f32[1000] = sum(t, axes=(0,))
    b: f32[3000, 1000] = sub(t, a)
    c: f32[3000] = max(b, axes=(1,))
    return a, c
"""


def traffic(graph) -> int:
    return sum(cost(op.regions[0]).bytes for op in graph.ops if op.kind.name == "call")


def both(text: str):
    before = fuse(parse(text))
    after = verify(recompute(before), after="recompute")
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal(v.shape).astype(v.type.np_dtype) for v in before.inputs]
    for a, b in zip(interpret(before, arguments), interpret(after, arguments), strict=True):
        np.testing.assert_array_equal(a, b)
    return before, after


def test_a_cheap_value_is_made_again() -> None:
    before, after = both(TWICE.format(op="abs(t0)"))
    assert [len(op.results) for op in before.ops] == [2, 1]
    assert [len(op.results) for op in after.ops] == [1, 1]
    assert traffic(after) < 0.7 * traffic(before)


@pytest.mark.parametrize("op", ["exp(t0)", "sqrt(t0)"])
def test_a_dear_one_is_stored(op: str) -> None:
    before, after = both(TWICE.format(op=op))
    assert after is before


def test_not_where_it_is_made_of_more() -> None:
    """Two arrays would be read again instead of one."""
    text = TWICE.format(op="add(t0, y)").replace("s: f32[1000]", "s: f32[1000], y: f32[3000, 1000]")
    before, after = both(text)
    assert after is before


def test_what_a_function_returns_is_stored_anyway() -> None:
    text = TWICE.format(op="abs(t0)").replace("f32[3000]):", "f32[3000], f32[3000, 1000]):").replace("a, c", "a, c, t")
    before, after = both(text)
    assert after is before


def test_what_is_overwritten_keeps_its_place() -> None:
    text = """
def f(x: f64[100000]) -> (f64[100000], f64):
    t: f64[100000] = add(x, f64(1.0))
    s: f64 = sum(t, axes=(0,))
    h: f64[10] = broadcast(s, shape=(10,))
    y: f64[100000] = update(x, h, start=(0,), stop=(10,), step=(1,))
    u: f64[100000] = sub(t, s)
    v: f64[100000] = mul(u, y)
    w: f64 = sum(v, axes=(0,))
    return y, w
"""
    both(text)


def test_bits_do_not_depend_on_it() -> None:
    """A product that one sum reads is contracted; which, is the same in all kernels that make it."""
    x = np.random.default_rng(1).standard_normal((700, 300)).astype(np.float32)

    def f(x):
        t = x * 3 + 0.1
        return np.sum(t == np.max(t, axis=0), axis=1), t * x

    found, _ = weft.compile(f)(x)
    assert found.sum() >= 300


def test_in_a_loop() -> None:
    x = np.random.default_rng(2).standard_normal((200, 300))

    def f(x, n):
        for _ in range(n):
            t = np.abs(x + 1)
            x = np.max(t - np.sum(t, axis=0), axis=1)[:, None] / t
        return x

    np.testing.assert_allclose(weft.compile(f)(x, 40), f(x, 40))
