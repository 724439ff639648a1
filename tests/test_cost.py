"""The cost model: bytes and operations of kernels, by hand."""

import numpy as np
import pytest

import weft
from weft.ir.cost import Cost, Machine, cost, op_cost, weight
from weft.ir.opdef import REGISTRY
from weft.ir.parse import parse


def of(text: str) -> Cost:
    return cost(parse(text))


def test_each_buffer_once() -> None:
    found = of("""
def k(x: f32[64, 100], b: f32[100]) -> f32[64]:
    t: f32[64, 100] = broadcast(b, shape=(64, 100))
    u: f32[64, 100] = add(x, t)
    v: f32[64, 100] = mul(u, x)
    y: f32[64] = sum(v, axes=(1,))
    return y
""")
    assert (found.read, found.written, found.flops) == (4 * 6400 + 4 * 100, 4 * 64, 3 * 6400)


@pytest.mark.parametrize(("op", "read"), [
    ("slice(x, start=(0,), stop=(10,), step=(1,))", 80),
    ("slice(x, start=(0,), stop=(100,), step=(10,))", 80),
    ("reverse(slice(x, start=(0,), stop=(10,), step=(1,)), axes=(0,))", 80),
])  # fmt: skip
def test_of_a_slice_its_elements(op: str, read: int) -> None:
    inner = op.removeprefix("reverse(").partition(", axes")[0] if op.startswith("reverse") else op
    lines = [f"    t: f64[10] = {inner}"]
    lines += ["    u: f64[10] = reverse(t, axes=(0,))"] if op.startswith("reverse") else []
    last = "u" if len(lines) > 1 else "t"
    found = of("\n".join(["def k(x: f64[100]) -> f64[10]:", *lines, f"    return {last}"]))
    assert (found.read, found.written) == (read, 80)


def test_overlapping_slices_read_a_buffer_once() -> None:
    found = of("""
def k(x: f64[100]) -> f64[98]:
    a: f64[98] = slice(x, start=(0,), stop=(98,), step=(1,))
    b: f64[98] = slice(x, start=(1,), stop=(99,), step=(1,))
    c: f64[98] = slice(x, start=(2,), stop=(100,), step=(1,))
    t: f64[98] = add(a, b)
    y: f64[98] = add(t, c)
    return y
""")
    assert (found.read, found.written, found.flops) == (800, 784, 196)


def test_what_is_picked_and_what_is_written_in_part() -> None:
    found = of("""
def k(table: f32[1000, 8], i: i64[5]) -> f32[5, 8]:
    y: f32[5, 8] = gather(table, i, axes=(0,))
    return y
""")
    assert (found.read, found.written) == (4 * 40 + 8 * 5, 4 * 40)
    found = of("""
def k(x: f32[1000], part: f32[10]) -> f32[1000]:
    y: f32[1000] = update(x, part, start=(3,), stop=(13,), step=(1,))
    return y
""")
    assert (found.read, found.written) == (40, 40)


def test_products_and_steps() -> None:
    stages = weft.compile(lambda x, w: np.tanh(x @ w)).lower(np.ones((6, 5)), np.ones((5, 4)))
    dot, kernel = (op_cost(op) for op in stages.fused.ops)
    assert (dot.read, dot.written, dot.flops) == (8 * 50, 8 * 24, 2 * 6 * 5 * 4)
    assert (kernel.read, kernel.written) == (8 * 24, 8 * 24)
    assert kernel.flops > 10 * 24


def test_the_longer_of_moving_and_computing() -> None:
    machine = Machine(memory=1e9, near=10e9, rate=1e9, cache=1000, launch=0.0)
    assert Cost(2000, 1000, 10).seconds(machine) == pytest.approx(3e-6)
    assert Cost(2000, 1000, 10).bound(machine) == "memory"
    assert Cost(500, 500, 10).bound(machine) == "caches"
    assert Cost(2000, 1000, 9000).seconds(machine) == pytest.approx(9e-6)
    assert Cost(2000, 1000, 9000).bound(machine) == "flops"


def test_every_elementwise_op_has_a_weight() -> None:
    for kind in REGISTRY.values():
        if kind.family == "elementwise":
            for letter, dtype in zip("biuf", ("bool", "i64", "u8", "f32"), strict=True):
                if letter in kind.dtypes:
                    assert weight(kind, dtype) >= 0
