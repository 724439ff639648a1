"""Passes on loops and branches: the exact text before and after, and the same results."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import ALL_OPS, UPDATES, graphs, random_arguments

from weft.ir import Graph, equal
from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.ir.text import print_graph
from weft.ir.verify import verify
from weft.passes.cse import cse
from weft.passes.dce import dce
from weft.passes.fuse import fuse
from weft.passes.inline import inline_calls
from weft.passes.loops import loops
from weft.passes.manager import count
from weft.passes.products import products
from weft.passes.simplify import simplify


def cleaned(graph: Graph) -> Graph:
    return dce(loops(graph))


def simplified(graph: Graph) -> Graph:
    return dce(simplify(graph))


def shared(graph: Graph) -> Graph:
    return dce(cse(graph))


def after(change, text: str) -> str:
    """The text of the changed graph; both compute the same."""
    graph = verify(parse(text))
    assert print_graph(graph) == text, "write the text before as it is printed"
    changed = verify(change(graph))
    for seed in (0, 1):
        arguments = random_arguments(graph, seed)
        for x, y in zip(interpret(graph, arguments), interpret(changed, arguments, check=True), strict=True):
            np.testing.assert_array_equal(x, y)
    return print_graph(changed)


LEAVES = (
    """\
@region
def body(i: i64, x: f64[3], c: f64[3], k: f64) -> f64[3]:
    e: f64[3] = exp(c)
    b: f64[3] = broadcast(k, shape=(3,))
    d: f64[3] = mul(e, b)
    y: f64[3] = mul(x, d)
    z: f64[3] = add(y, b)
    return z

def main(n: i64, x0: f64[3], c: f64[3], k: f64) -> f64[3]:
    x: f64[3] = for_loop(i64(0), n, x0, c, k, carried=1, step=1, body=body)
    return x
""",
    """\
@region
def body(i: i64, x: f64[3], k: f64, d: f64[3]) -> f64[3]:
    b: f64[3] = broadcast(k, shape=(3,))
    y: f64[3] = mul(x, d)
    z: f64[3] = add(y, b)
    return z

def main(n: i64, x0: f64[3], c: f64[3], k: f64) -> f64[3]:
    e: f64[3] = exp(c)
    b: f64[3] = broadcast(k, shape=(3,))
    d: f64[3] = mul(e, b)
    x: f64[3] = for_loop(i64(0), n, x0, k, d, carried=1, step=1, body=body)
    return x
""",
)

UNCHANGED = (
    """\
@region
def test(x: f64, k: f64, n: i64) -> bool:
    p: bool = less(n, i64(3))
    return p

@region
def body(x: f64, k: f64, n: i64) -> (f64, f64, i64):
    e: f64 = exp(k)
    y: f64 = mul(x, e)
    m: i64 = add(n, i64(1))
    return y, k, m

def main(x0: f64, k0: f64) -> (f64, f64, i64):
    x, k, n = while_loop(x0, k0, i64(0), carried=3, test=test, body=body)
    return x, k, n
""",
    """\
@region
def test(x: f64, n: i64, e: f64) -> bool:
    p: bool = less(n, i64(3))
    return p

@region
def body(x: f64, n: i64, e: f64) -> (f64, i64):
    y: f64 = mul(x, e)
    m: i64 = add(n, i64(1))
    return y, m

def main(x0: f64, k0: f64) -> (f64, f64, i64):
    e: f64 = exp(k0)
    x, n = while_loop(x0, i64(0), e, carried=2, test=test, body=body)
    return x, k0, n
""",
)

FEW_TRIPS = (
    """\
@region
def body(i: i64, x: f64) -> f64:
    t: f64 = cast(i, dtype=f64)
    y: f64 = add(x, t)
    return y

def main(x0: f64) -> (f64, f64):
    x: f64 = for_loop(i64(7), i64(6), x0, carried=1, step=-2, body=body)
    z: f64 = for_loop(i64(7), i64(6), x, carried=1, step=1, body=body)
    return x, z
""",
    """\
def main(x0: f64) -> (f64, f64):
    t: f64 = cast(i64(7), dtype=f64)
    y: f64 = add(x0, t)
    return y, y
""",
)

KNOWN_BRANCH = (
    """\
@region
def then(a: f64) -> f64:
    b: f64 = exp(a)
    return b

@region
def orelse(a: f64) -> f64:
    b: f64 = sin(a)
    return b

def main(x: f64) -> (f64, f64):
    y: f64 = cond(bool(True), x, then=then, orelse=orelse)
    z: f64 = cond(bool(False), y, then=then, orelse=orelse)
    return y, z
""",
    """\
def main(x: f64) -> (f64, f64):
    b: f64 = exp(x)
    b_1: f64 = sin(b)
    return b, b_1
""",
)

TWO_LEVELS = (
    """\
@region
def inner(j: i64, y: f64, x: f64, c: f64) -> f64:
    e: f64 = exp(c)
    s: f64 = sin(x)
    a: f64 = add(e, s)
    z: f64 = mul(y, a)
    return z

@region
def outer(i: i64, x: f64, c: f64, m: i64) -> f64:
    y: f64 = for_loop(i64(0), m, x, x, c, carried=1, step=1, body=inner)
    return y

def main(n: i64, m: i64, x0: f64, c: f64) -> f64:
    x: f64 = for_loop(i64(0), n, x0, c, m, carried=1, step=1, body=outer)
    return x
""",
    """\
@region
def inner(j: i64, y: f64, a: f64) -> f64:
    z: f64 = mul(y, a)
    return z

@region
def outer(i: i64, x: f64, m: i64, e: f64) -> f64:
    s: f64 = sin(x)
    a: f64 = add(e, s)
    y: f64 = for_loop(i64(0), m, x, a, carried=1, step=1, body=inner)
    return y

def main(n: i64, m: i64, x0: f64, c: f64) -> f64:
    e: f64 = exp(c)
    x: f64 = for_loop(i64(0), n, x0, m, e, carried=1, step=1, body=outer)
    return x
""",
)

FOR_A_PRODUCT = (
    """\
@region
def body(i: i64, x: f64[2], w: f64[3, 1, 2]) -> f64[2]:
    v: f64[1, 2, 3] = transpose(w, perm=(1, 2, 0))
    u: f64[2, 3] = reshape(v, shape=(2, 3))
    a: f64[3] = dot(x, u, batch=((), ()), contract=((0,), (0,)))
    y: f64[2] = dot(u, a, batch=((), ()), contract=((1,), (0,)))
    return y

def main(x0: f64[2], w: f64[3, 1, 2]) -> f64[2]:
    x: f64[2] = for_loop(i64(0), i64(3), x0, w, carried=1, step=1, body=body)
    return x
""",
    """\
@region
def body(i: i64, x: f64[2], u: f64[2, 3]) -> f64[2]:
    a: f64[3] = dot(x, u, batch=((), ()), contract=((0,), (0,)))
    y: f64[2] = dot(u, a, batch=((), ()), contract=((1,), (0,)))
    return y

def main(x0: f64[2], w: f64[3, 1, 2]) -> f64[2]:
    v: f64[1, 2, 3] = transpose(w, perm=(1, 2, 0))
    u: f64[2, 3] = reshape(v, shape=(2, 3))
    x: f64[2] = for_loop(i64(0), i64(3), x0, u, carried=1, step=1, body=body)
    return x
""",
)


@pytest.mark.parametrize("case", [LEAVES, UNCHANGED, FEW_TRIPS, KNOWN_BRANCH, TWO_LEVELS, FOR_A_PRODUCT])
def test_what_need_not_be_in_a_loop_leaves_it(case):
    before, text = case
    assert after(cleaned, before) == text
    assert after(cleaned, text) == text


MAY_FAIL = """\
@region
def body(i: i64, x: f64, u: f64[3], k: i64) -> f64:
    j: i64 = bound(k, size=3, axis=0)
    w: f64[1] = dynamic_slice(u, j, sizes=(1,))
    s: f64 = sum(w, axes=(0,))
    y: f64 = add(x, s)
    return y

def main(n: i64, x0: f64, u: f64[3], k: i64) -> f64:
    m: i64 = mod(k, i64(3))
    x: f64 = for_loop(i64(0), n, x0, u, m, carried=1, step=1, body=body)
    return x
"""


def test_what_may_fail_leaves_a_loop_that_is_sure_to_run():
    assert after(cleaned, MAY_FAIL) == MAY_FAIL
    sure = MAY_FAIL.replace("for_loop(i64(0), n,", "for_loop(i64(0), i64(5),")
    assert after(cleaned, sure) == """\
@region
def body(i: i64, x: f64, s: f64) -> f64:
    y: f64 = add(x, s)
    return y

def main(n: i64, x0: f64, u: f64[3], k: i64) -> f64:
    m: i64 = mod(k, i64(3))
    j: i64 = bound(m, size=3, axis=0)
    w: f64[1] = dynamic_slice(u, j, sizes=(1,))
    s: f64 = sum(w, axes=(0,))
    x: f64 = for_loop(i64(0), i64(5), x0, s, carried=1, step=1, body=body)
    return x
"""
    out = loops(parse(MAY_FAIL.replace("mod(k, i64(3))", "add(k, i64(3))")))
    assert interpret(out, [np.int64(0), np.float64(1), np.zeros(3), np.int64(7)]) == [1]


TEST_OF_WHILE = """\
@region
def test(x: f64, u: f64[3], k: i64) -> bool:
    j: i64 = bound(k, size=3, axis=0)
    w: f64[1] = dynamic_slice(u, j, sizes=(1,))
    s: f64 = reshape(w, shape=())
    p: bool = less(x, s)
    return p

@region
def body(x: f64, u: f64[3], k: i64) -> f64:
    y: f64 = add(x, f64(1.0))
    return y

def main(x0: f64, u: f64[3], k: i64) -> f64:
    m: i64 = mod(k, i64(3))
    x: f64 = while_loop(x0, u, m, carried=1, test=test, body=body)
    return x
"""


def test_a_test_runs_at_least_once():
    text = after(cleaned, TEST_OF_WHILE)
    assert "bound(m, size=3" in text.partition("def main")[2]


def test_a_stack_stays_where_it_is():
    text = """\
@region
def body(i: i64, x: f64, k: f64) -> f64:
    s: stack = stack_new()
    t: stack = push(s, k)
    r, v = pop(t, types=(f64,))
    y: f64 = add(x, v)
    return y

def main(n: i64, x0: f64, k: f64) -> f64:
    x: f64 = for_loop(i64(0), n, x0, k, carried=1, step=1, body=body)
    return x
"""
    assert after(cleaned, text) == text


def test_dead_carried_values_constants_and_results():
    before = """\
@region
def body(i: i64, a: f64, b: f64, c: f64, k: f64, m: f64) -> (f64, f64, f64):
    x: f64 = add(a, b)
    y: f64 = mul(b, k)
    z: f64 = mul(c, m)
    return x, y, z

@region
def then(u: f64, v: f64, w: f64) -> (f64, f64):
    p: f64 = sin(u)
    q: f64 = sin(v)
    return p, q

@region
def orelse(u: f64, v: f64, w: f64) -> (f64, f64):
    p: f64 = cos(u)
    q: f64 = cos(w)
    return p, q

def main(n: i64, a: f64, b: f64, c: f64, k: f64, m: f64, f: bool) -> (f64, f64):
    x, y, z = for_loop(i64(0), n, a, b, c, k, m, carried=3, step=1, body=body)
    p, q = cond(f, x, y, z, then=then, orelse=orelse)
    return x, p
"""
    assert after(dce, before) == """\
@region
def body(i: i64, a: f64, b: f64, k: f64) -> (f64, f64):
    x: f64 = add(a, b)
    y: f64 = mul(b, k)
    return x, y

@region
def then(u: f64) -> f64:
    p: f64 = sin(u)
    return p

@region
def orelse(u: f64) -> f64:
    p: f64 = cos(u)
    return p

def main(n: i64, a: f64, b: f64, c: f64, k: f64, m: f64, f: bool) -> (f64, f64):
    x, y = for_loop(i64(0), n, a, b, k, carried=2, step=1, body=body)
    p: f64 = cond(f, x, then=then, orelse=orelse)
    return x, p
"""


def test_what_nobody_pops_is_not_pushed():
    before = """\
@region
def body(i: i64, x: f64, s: stack) -> (f64, stack):
    y: f64 = mul(x, x)
    t: stack = push(s, x)
    return y, t

def main(n: i64, x0: f64) -> f64:
    s0: stack = stack_new()
    x, s = for_loop(i64(0), n, x0, s0, carried=2, step=1, body=body)
    return x
"""
    assert after(dce, before) == """\
@region
def body(i: i64, x: f64) -> f64:
    y: f64 = mul(x, x)
    return y

def main(n: i64, x0: f64) -> f64:
    x: f64 = for_loop(i64(0), n, x0, carried=1, step=1, body=body)
    return x
"""


def test_common_subexpressions_of_regions():
    before = """\
@region
def then(u: f64, v: f64) -> f64:
    p: f64 = sin(u)
    q: f64 = sin(v)
    r: f64 = mul(p, q)
    return r

@region
def orelse(u: f64, v: f64) -> f64:
    return v

@region
def also(a: f64, b: f64) -> f64:
    c: f64 = sin(a)
    d: f64 = sin(b)
    e: f64 = mul(c, d)
    return e

def main(x: f64, f: bool) -> (f64, f64):
    p: f64 = cond(f, x, x, then=then, orelse=orelse)
    q: f64 = cond(f, x, x, then=also, orelse=orelse)
    return p, q
"""
    assert after(shared, before) == """\
@region
def then(u: f64) -> f64:
    p: f64 = sin(u)
    r: f64 = mul(p, p)
    return r

@region
def orelse(u: f64) -> f64:
    return u

def main(x: f64, f: bool) -> (f64, f64):
    p: f64 = cond(f, x, x, then=then, orelse=orelse)
    return p, p
""".replace("cond(f, x, x,", "cond(f, x,")


def test_two_stacks_are_not_one():
    text = """\
def main(x: f64, y: f64) -> (f64, f64):
    s0: stack = stack_new()
    s1: stack = stack_new()
    s: stack = push(s0, x)
    t: stack = push(s1, x)
    u, a = pop(s, types=(f64,))
    v, b = pop(t, types=(f64,))
    return a, b
"""
    assert after(shared, text) == text


def test_numbers_are_known_in_regions():
    before = """\
@region
def body(i: i64, x: f64[3], c: f64, z: f64[3], k: f64) -> f64[3]:
    a: f64[3] = mul(x, c)
    b: f64[3] = sub(a, z)
    d: f64[3] = div(b, k)
    return d

def main(n: i64, x0: f64[3]) -> f64[3]:
    z: f64[3] = broadcast(f64(0.0), shape=(3,))
    x: f64[3] = for_loop(i64(0), n, x0, f64(1.0), z, f64(4.0), carried=1, step=1, body=body)
    return x
"""
    assert after(simplified, before) == """\
@region
def body(i: i64, x: f64[3]) -> f64[3]:
    d: f64[3] = mul(x, f64(0.25))
    return d

def main(n: i64, x0: f64[3]) -> f64[3]:
    x: f64[3] = for_loop(i64(0), n, x0, carried=1, step=1, body=body)
    return x
"""


UPDATE_RULES = [
    ("u: f64[4] = update(x, y, start=(0,), stop=(4,), step=(1,))", "y", "x[:] = y -> y"),
    ("u: f64[4] = update(x, e, start=(2,), stop=(2,), step=(1,))", "x", "x[empty] = e -> x"),
    ("v: f64[4] = update(x, p, start=(0,), stop=(4,), step=(2,))\n"
     "    u: f64[4] = update(v, q, start=(0,), stop=(4,), step=(2,))",
     "u: f64[4] = update(x, q, start=(0,), stop=(4,), step=(2,))", "written twice"),
    ("v: f64[4] = update(x, p, start=(0,), stop=(4,), step=(2,))\n"
     "    u: f64[2] = slice(v, start=(0,), stop=(4,), step=(2,))", "p", "read what was written"),
    ("v: f64[4] = update(x, p, start=(0,), stop=(2,), step=(1,))\n"
     "    u: f64[2] = slice(v, start=(2,), stop=(4,), step=(1,))",
     "u: f64[2] = slice(x, start=(2,), stop=(4,), step=(1,))", "read elsewhere"),
    ("v: f64[4] = update(x, p, start=(0,), stop=(2,), step=(1,))\n"
     "    u: f64[2] = slice(v, start=(1,), stop=(3,), step=(1,))", None, "read across stays"),
    ("u: f64[4] = dynamic_slice(x, i, sizes=(4,))", "x", "all of x"),
    ("u: f64[2] = dynamic_slice(x, i64(1), sizes=(2,))",
     "u: f64[2] = slice(x, start=(1,), stop=(3,), step=(1,))", "a known place"),
    ("u: f64[2] = dynamic_slice(x, i64(3), sizes=(2,))", None, "a place that is out of range stays"),
    ("v: f64[4] = broadcast(f64(2.0), shape=(4,))\n    u: f64[2] = dynamic_slice(v, i, sizes=(2,))",
     "u: f64[2] = broadcast(f64(2.0), shape=(2,))", "of a number"),
    ("v: f64[4] = dynamic_update(x, p, i)\n    u: f64[2] = dynamic_slice(v, i, sizes=(2,))", "p", "just written"),
    ("v: f64[4] = dynamic_update(x, p, i)\n    u: f64[2] = dynamic_slice(v, j, sizes=(2,))", None, "elsewhere stays"),
    ("u: f64[4] = dynamic_update(x, y, i)", "y", "all written"),
    ("u: f64[4] = dynamic_update(x, e, i)", "x", "nothing written"),
    ("u: f64[4] = dynamic_update(x, p, i64(2))",
     "u: f64[4] = update(x, p, start=(2,), stop=(4,), step=(1,))", "written at a known place"),
    ("v: f64[4] = dynamic_update(x, p, i)\n    u: f64[4] = dynamic_update(v, q, i)",
     "u: f64[4] = dynamic_update(x, q, i)", "a window written twice"),
    ("u: i64 = bound(i64(3), size=4, axis=0)", "i64(3)", "a number in range"),
    ("u: i64 = bound(i64(4), size=4, axis=0)", None, "a number out of range stays"),
    ("v: i64 = bound(i, size=3, axis=0)\n    u: i64 = bound(v, size=4, axis=1)",
     "u: i64 = bound(i, size=3, axis=0)", "bound before"),
    ("v: i64 = bound(i, size=4, axis=0)\n    u: i64 = bound(v, size=3, axis=0)", None, "bound less before stays"),
]  # fmt: skip


@pytest.mark.parametrize("lines, found, why", UPDATE_RULES, ids=[r[2] for r in UPDATE_RULES])
def test_rules_of_updates(lines, found, why):
    type_ = lines.rpartition(" u: ")[2].partition(" =")[0] if " u: " in lines else lines[3:].partition(" =")[0]
    head = "def main(x: f64[4], y: f64[4], p: f64[2], q: f64[2], e: f64[0], i: i64, j: i64) -> "
    graph = verify(parse(f"{head}{type_}:\n    {lines}\n    return u\n"))
    changed = verify(simplified(graph))
    if found is None:
        assert changed.ops[-1].kind.name == graph.ops[-1].kind.name and len(changed.ops) == len(graph.ops)
        return
    body = f"    {found}\n    return u\n" if " = " in found else f"    return {found}\n"
    assert equal(changed, parse(f"{head}{type_}:\n{body}"))
    rng = np.random.default_rng(0)
    arguments = [rng.normal(size=n) for n in (4, 4, 2, 2, 0)] + [np.int64(2)] * 2
    arguments[5:] = [np.int64(0)] * 2 if "sizes=(4" in lines or ", y, i" in lines else arguments[5:]
    for x, z in zip(interpret(graph, arguments), interpret(changed, arguments), strict=True):
        np.testing.assert_array_equal(x, z)


COLUMN = "def main(x: f64[5, 4], c: f64[3, 1], r: f64[1, 2], i: i64) -> f64[{}]:\n    "
CUT = "s: f64[3, 4] = slice(x, start=(1, 0), stop=(4, 4), step=(1, 1))\n    "
SLICED = [
    (CUT + "u: f64[3, 1] = dynamic_slice(s, i64(0), i, sizes=(3, 1))",
     "u: f64[3, 1] = dynamic_slice(x, i64(1), i, sizes=(3, 1))", "a column of rows"),
    (CUT + "u: f64[2, 1] = dynamic_slice(s, i64(1), i, sizes=(2, 1))",
     "u: f64[2, 1] = dynamic_slice(x, i64(2), i, sizes=(2, 1))", "a part of a column of rows"),
    (CUT + "u: f64[1, 2] = dynamic_slice(s, i, i64(0), sizes=(1, 2))",
     "k: i64 = add(i, i64(1))\n    u: f64[1, 2] = dynamic_slice(x, k, i64(0), sizes=(1, 2))", "a row of rows"),
    (CUT.replace("stop=(4, 4), step=(1, 1)", "stop=(5, 4), step=(2, 1)").replace("s: f64[3", "s: f64[2")
     + "u: f64[2, 1] = dynamic_slice(s, i64(0), i, sizes=(2, 1))", None, "every other row"),
    (CUT + "w: f64[3, 4] = dynamic_update(s, c, i64(0), i)\n"
     "    u: f64[5, 4] = update(x, w, start=(1, 0), stop=(4, 4), step=(1, 1))",
     "u: f64[5, 4] = dynamic_update(x, c, i64(1), i)", "a column is written"),
    (CUT + "w: f64[3, 4] = dynamic_update(s, c, i64(0), i)\n"
     "    u: f64[5, 4] = update(x, w, start=(2, 0), stop=(5, 4), step=(1, 1))", None, "written elsewhere"),
    (CUT + "w: f64[3, 4] = dynamic_update(s, r, i, i64(2))\n"
     "    u: f64[5, 4] = update(x, w, start=(1, 0), stop=(4, 4), step=(1, 1))",
     "k: i64 = add(i, i64(1))\n    u: f64[5, 4] = dynamic_update(x, r, k, i64(2))", "a part of a row is written"),
]  # fmt: skip


@pytest.mark.parametrize("lines, found, why", SLICED, ids=[r[2] for r in SLICED])
def test_windows_of_slices_are_windows_of_the_array(lines, found, why):
    head = COLUMN.format(lines.rpartition("u: f64[")[2].partition("]")[0])
    graph = verify(parse(f"{head}{lines}\n    return u\n"))
    changed = verify(simplified(graph))
    assert equal(changed, graph if found is None else parse(f"{head}{found}\n    return u\n"))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=n) for n in ((5, 4), (3, 1), (1, 2))]
    for i in range(3):
        for a, b in zip(interpret(graph, [*arrays, np.int64(i)]), interpret(changed, [*arrays, np.int64(i)]),
                        strict=True):  # fmt: skip
            np.testing.assert_array_equal(a, b)


def test_products_in_loops():
    """A product's operand whose axes lie otherwise is transposed, in the region where it is read."""
    text = """\
@region
def body(i: i64, x: f64[2, 3], w: f64[2, 2, 3, 3]) -> f64[2, 3]:
    y: f64[2, 3] = dot(w, x, batch=((), ()), contract=((0, 2), (0, 1)))
    return y

def main(x0: f64[2, 3], w: f64[2, 2, 3, 3]) -> f64[2, 3]:
    x: f64[2, 3] = for_loop(i64(0), i64(2), x0, w, carried=1, step=1, body=body)
    return x
"""
    assert after(products, text) == text.replace(
        "    y: f64[2, 3] = dot(w, x, batch=((), ()), contract=((0, 2), (0, 1)))",
        "    t0: f64[2, 3, 2, 3] = transpose(w, perm=(1, 3, 0, 2))\n"
        "    y: f64[2, 3] = dot(t0, x, batch=((), ()), contract=((2, 3), (0, 1)))",
    )


def test_fused_regions_have_kernels_and_values_of_their_own():
    text = """\
@region
def body(i: i64, x: f64[3]) -> f64[3]:
    y: f64[3] = exp(x)
    z: f64[3] = sin(y)
    return z

def main(n: i64, x0: f64[3]) -> f64[3]:
    x: f64[3] = for_loop(i64(0), n, x0, carried=1, step=1, body=body)
    y: f64[3] = for_loop(i64(0), n, x, carried=1, step=1, body=body)
    return y
"""
    graph = fuse(parse(text))
    bodies = [op.regions[0] for op in graph.ops if op.regions]
    assert [[op.kind.name for op in b.ops] for b in bodies] == [["call"], ["call"]]
    assert not set(bodies[0].inputs) & set(bodies[1].inputs)
    assert not {r for op in bodies[0].walk() for r in op.results} & {r for op in bodies[1].walk() for r in op.results}
    assert count(graph) == 5  # two loops, a kernel in each, and the literal
    after(fuse, text)
    assert equal(inline_calls(graph), parse(text))


PASSES = [dce, simplify, cse, loops, products, fuse]


@pytest.mark.parametrize("change", PASSES, ids=lambda p: p.__name__)
@given(graph=graphs(ops=ALL_OPS | UPDATES, regions=2, max_ops=8), seed=st.integers(0, 99))
def test_every_pass_leaves_a_valid_graph_that_computes_the_same(change, graph, seed):
    arguments = random_arguments(graph, seed, special=seed % 2 == 0)
    changed = verify(change(verify(graph)), after=change.__name__)
    with np.errstate(all="ignore"):
        for x, y in zip(interpret(graph, arguments), interpret(changed, arguments, check=True), strict=True):
            np.testing.assert_array_equal(x, y)


@given(graph=graphs(ops=ALL_OPS | UPDATES, regions=2, max_ops=8), seed=st.integers(0, 99))
def test_all_passes_in_turn(graph, seed):
    arguments = random_arguments(graph, seed)
    changed = graph
    for change in (dce, simplify, loops, cse, simplify, dce, products, loops, fuse):
        changed = verify(change(changed), after=change.__name__)
    with np.errstate(all="ignore"):
        for x, y in zip(interpret(graph, arguments), interpret(changed, arguments, check=True), strict=True):
            np.testing.assert_array_equal(x, y)


@given(graphs(ops=ALL_OPS | UPDATES, regions=2))
def test_graphs_with_regions_come_back_from_text(graph):
    text = print_graph(verify(graph))
    assert print_graph(verify(parse(text))) == text
