"""Intervals: which checks of indices go, which stay, and that nothing else changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import ALL_OPS, UPDATES, graphs, random_arguments

from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.ir.text import print_graph
from weft.ir.verify import verify
from weft.passes.ranges import ranges
from weft.passes.simplify import simplify


def kinds(graph):
    return [op.kind.name for op in graph.walk() if op.kind.name != "constant"]


def loop(body, ends="i64(0), i64(10)", step=1):
    return parse(f"""\
@region
def body(i: i64, x: f64[10], n: i64) -> f64[10]:
{body}
    u: f64[1] = dynamic_slice(x, k, sizes=(1,))
    y: f64[10] = dynamic_update(x, u, k)
    return y

def main(x: f64[10], n: i64) -> f64[10]:
    y: f64[10] = for_loop({ends}, x, n, carried=1, step={step}, body=body)
    return y
""")


def test_an_index_that_is_the_loops_variable_needs_no_check():
    before = loop("    k: i64 = bound(i, size=10, axis=0)")
    after = """\
@region
def body(i: i64, x: f64[10], n: i64) -> f64[10]:
    u: f64[1] = dynamic_slice(x, i, sizes=(1,))
    y: f64[10] = dynamic_update(x, u, i)
    return y

def main(x: f64[10], n: i64) -> f64[10]:
    y: f64[10] = for_loop(i64(0), i64(10), x, n, carried=1, step=1, body=body)
    return y
"""
    assert print_graph(ranges(before)) == after
    arguments = [np.arange(10.0), np.asarray(3)]
    np.testing.assert_array_equal(interpret(before, arguments)[0], interpret(parse(after), arguments)[0])


WRAPPED = """\
    w: i64 = add(i, i64(10))
    negative: bool = less(i, i64(0))
    j: i64 = where(negative, w, i)
    k: i64 = bound(j, size=10, axis=0)"""
CLIPPED = """\
    a: i64 = maximum(i, i64(0))
    b: i64 = minimum(a, i64(9))
    c: i64 = mod(b, i64(10))
    k: i64 = bound(c, size=10, axis=0)"""


@pytest.mark.parametrize(
    ("body", "ends", "step", "goes"),
    [
        (WRAPPED, "i64(0), i64(10)", 1, True),
        (WRAPPED, "i64(-3), i64(10)", 1, False),  # from -3 to 9 plus 10, as far as intervals see
        (CLIPPED, "i64(2), i64(10)", 3, True),
        (CLIPPED, "i64(9), i64(-1)", -1, True),
        ("    k: i64 = bound(i, size=10, axis=0)", "i64(9), i64(-1)", -1, True),
        ("    k: i64 = bound(i, size=10, axis=0)", "i64(9), i64(-2)", -1, False),
        ("    k: i64 = bound(i, size=10, axis=0)", "i64(0), n", 1, False),
        ("    k: i64 = bound(i, size=10, axis=0)", "n, i64(10)", 1, False),
        ("    j: i64 = sub(i64(9), i)\n    k: i64 = bound(j, size=10, axis=0)", "i64(0), i64(10)", 1, True),
        ("    j: i64 = add(i, i64(1))\n    k: i64 = bound(j, size=10, axis=0)", "i64(0), i64(10)", 1, False),
        ("    j: i64 = floordiv(i, i64(2))\n    k: i64 = bound(j, size=10, axis=0)", "i64(0), i64(20)", 1, True),
        ("    j: i64 = mod(n, i64(10))\n    k: i64 = bound(j, size=10, axis=0)", "i64(0), i64(2)", 1, True),
        ("    j: i64 = bitwise_and(n, i64(7))\n    k: i64 = bound(j, size=10, axis=0)", "i64(0), i64(2)", 1, True),
        ("    j: i64 = bitwise_and(n, i64(-8))\n    k: i64 = bound(j, size=10, axis=0)", "i64(0), i64(2)", 1, False),
        ("    j: i64 = right_shift(i, i64(1))\n    k: i64 = bound(j, size=10, axis=0)", "i64(0), i64(20)", 1, True),
        ("    j: i64 = right_shift(i, n)\n    k: i64 = bound(j, size=10, axis=0)", "i64(0), i64(20)", 1, False),
        ("    j: i64 = bitwise_and(i, i64(15))\n    k: i64 = bound(j, size=10, axis=0)", "i64(0), i64(10)", 1, True),
        ("    j: i64 = bitwise_and(i, i64(5))\n    k: i64 = bound(j, size=4, axis=0)", "i64(0), i64(4)", 1, True),
        ("    j: i64 = neg(i)\n    k: i64 = bound(j, size=10, axis=0)", "i64(-9), i64(1)", 1, True),
        ("    j: i64 = mul(i, i)\n    k: i64 = bound(j, size=10, axis=0)", "i64(0), i64(4)", 1, True),
        ("    j: i64 = mul(i, i64(4611686018427387904))\n    k: i64 = bound(j, size=10, axis=0)",
         "i64(0), i64(5)", 1, False),  # may wrap around
    ],
)  # fmt: skip
def test_what_goes_and_what_stays(body, ends, step, goes):
    graph = loop(body, ends, step)
    found = kinds(simplify(ranges(graph)))
    assert ("bound" not in found) == goes
    assert ("bitwise_and" in found) == ("bitwise_and" in body and "i64(15)" not in body)
    if goes and body in (WRAPPED, CLIPPED):
        assert not {"where", "less", "minimum", "maximum", "mod"} & set(found)


def test_a_carried_index_is_known_when_every_trip_keeps_it():
    text = """\
@region
def body(i: i64, k: i64, x: f64[10]) -> (i64, f64[10]):
    b: i64 = bound(k, size=10, axis=0)
    u: f64[1] = dynamic_slice(x, b, sizes=(1,))
    y: f64[10] = dynamic_update(x, u, b)
    k1: i64 = add(k, i64(1))
    k2: i64 = KEEP
    return k2, y

def main(x: f64[10]) -> (i64, f64[10]):
    k, y = for_loop(i64(0), i64(5), i64(0), x, carried=2, step=1, body=body)
    return k, y
"""
    kept = ranges(parse(text.replace("KEEP", "mul(i, i64(0))")))
    assert "bound" not in kinds(kept)
    grows = ranges(parse(text.replace("KEEP", "add(k1, i64(0))")))
    assert "bound" in kinds(grows)
    alternates = ranges(parse(text.replace("KEEP", "mod(k1, i64(10))")))
    assert "bound" in kinds(alternates)  # nothing is assumed of a value that leaves its first interval


def test_a_shared_region_is_rewritten_for_each_loop():
    """The same body in two loops: the check goes only where it can."""
    text = print_graph(loop("    k: i64 = bound(i, size=10, axis=0)"))
    head, tail = text.rsplit("    return y\n", 1)
    text = head + "    z: f64[10] = for_loop(i64(0), n, y, n, carried=1, step=1, body=body)\n    return z\n" + tail
    graph = verify(parse(text))
    first, second = (op for op in ranges(graph).ops if op.regions)
    assert "bound" not in [op.kind.name for op in first.regions[0].ops]
    assert "bound" in [op.kind.name for op in second.regions[0].ops]


@given(graphs(ops=ALL_OPS | UPDATES, dtypes=("i64", "bool", "u8", "f64"), regions=2), st.integers(0, 99))
def test_random_graphs(graph, seed):
    arguments = random_arguments(graph, seed)
    with np.errstate(all="ignore"):
        want = interpret(graph, arguments)
        got = interpret(verify(ranges(graph)), arguments)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)
