"""The pass that gives a graph lanes: every op's own rule, loops, branches and stacks, against one lane at a time."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_cases import CASES, dtypes_of
from rewriting import graph_of
from strategies import ALL_OPS, JUMPS, STEEP, UPDATES, graphs, random_array
from test_loop_derivatives import PROGRAMS

from weft.compiler import compile_graph
from weft.ir import REGISTRY, Graph
from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.ir.verify import verify
from weft.passes.batch import batch
from weft.passes.dce import dce
from weft.passes.differentiate import reverse
from weft.passes.forward import forward
from weft.passes.stack_order import turned_ops

ROUNDING = {"f16": 2e-2, "f32": 1e-5, "f64": 1e-12}
# What has regions is the pass's own; what has no operands has nothing to map.
WITHOUT_RULE = {"call", "cond", "for_loop", "while_loop", "constant", "iota", "extent", "stack_new"}


def test_every_op_says_how_it_works_on_many_lanes():
    assert {kind.name for kind in REGISTRY.values() if kind.batch is None} == WITHOUT_RULE
    assert all(REGISTRY[name].regions or not REGISTRY[name].arity for name in WITHOUT_RULE)


def lane(arguments, axes, n):
    """The arguments of one lane."""
    return [a if axis is None else np.take(a, n, axis) for a, axis in zip(arguments, axes, strict=True)]


def agree(got, want, rtol):
    assert got.dtype == want.dtype and got.shape == want.shape
    if want.dtype.kind == "f":
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(got, want)


def check(graph: Graph, size: int, arguments, axes, out_axes=None, rtol=1e-10) -> Graph:
    """The graph for all lanes gives what it gives for each."""
    out_axes = out_axes or [0] * len(graph.outputs)
    whole, differs = batch(graph, size, axes, out_axes)
    found = interpret(verify(whole), arguments, check=True)
    with np.errstate(all="ignore"):
        for n in range(size):
            one = interpret(graph, lane(arguments, axes, n))
            for got, want, axis, own in zip(found, one, out_axes, differs, strict=True):
                here = got if axis is None and not own else np.take(got, n, axis or 0)
                agree(here, want, rtol)
    return whole


@pytest.mark.parametrize("case", [c for c in CASES if c.shapes], ids=str)
def test_a_rule_is_the_op_lane_by_lane(case):
    """For every choice of operands that have lanes."""
    for dtype in [d for d in dtypes_of(case) if d in ("bool", "i8", "i64", "u16", "f16", "f32", "f64")]:
        graph = case.graph(dtype)
        rows = [case.operands(dtype, seed=n) for n in range(3)]
        for mapped in itertools.product((False, True), repeat=len(rows[0])):
            if not any(mapped) or (len(mapped) > 3 and sum(mapped) not in (1, 2, len(mapped))):
                continue
            axes = [0 if own else None for own in mapped]
            columns = zip(mapped, zip(*rows, strict=True), strict=True)
            given = [np.stack(column) if own else column[0] for own, column in columns]
            check(graph, 3, given, axes, rtol=ROUNDING.get(dtype, 0))


def some_lanes(graph: Graph, size: int, rnd: random.Random, small: bool = False):
    """Arguments with lanes along any axis of some, and those axes."""
    rng = np.random.default_rng(rnd.randint(0, 1 << 20))

    def one(v):
        if small and v.dtype == "i64":
            return np.asarray(rng.integers(0, 6, v.shape))
        return np.asarray(rng.normal(size=v.shape) * 0.5) if small else random_array(v.type, rng)

    arguments, axes = [], []
    for v in graph.inputs:
        axes.append(rnd.randint(0, len(v.shape)) if rnd.random() < 0.6 else None)
        arguments.append(one(v) if axes[-1] is None else np.stack([one(v) for _ in range(size)], axes[-1]))
    return arguments, axes


STEADY = (ALL_OPS | UPDATES) - JUMPS - STEEP | {"less", "mod", "argmax"}
RANDOM = {"ops": STEADY, "dtypes": ("f64", "i64", "bool"), "regions": 2, "calls": True}


@given(graphs(**RANDOM), st.randoms(use_true_random=False))
def test_random_programs(graph, rnd):
    size = rnd.choice([1, 2, 3])
    arguments, axes = some_lanes(graph, size, rnd)
    out_axes = [rnd.choice([None, rnd.randint(0, len(v.shape))]) for v in graph.outputs]
    check(graph, size, arguments, axes, out_axes, rtol=1e-6)


def derivative(graph: Graph, how: str) -> Graph:
    wrt, outs = ([i for i, v in enumerate(vs) if v.type.is_float] for vs in (graph.inputs, graph.outputs))
    return dce(reverse(graph, wrt, outs) if how == "r" else forward(graph, wrt))


@pytest.mark.parametrize("orders", ["", "r", "f", "rr", "rf", "fr", "rrr"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_loops_and_branches_and_their_derivatives(name, orders):
    """Each lane has trips and branches of its own, and stacks of what its derivative needs."""
    graph = parse(PROGRAMS[name])
    for how in orders:
        graph = derivative(graph, how)
    for seed in range(3):
        rnd = random.Random(seed)
        size = rnd.choice([2, 4])
        check(graph, size, *some_lanes(graph, size, rnd, small=True), rtol=1e-6)


@pytest.mark.parametrize("name", ["newton", "loop in a branch", "while in a for", "branch in a loop"])
def test_compiled(name):
    graph = derivative(derivative(parse(PROGRAMS[name]), "r"), "f")
    arguments, axes = some_lanes(graph, 3, random.Random(1), small=True)
    whole, _ = batch(graph, 3, axes, [0] * len(graph.outputs))
    ready = [np.ascontiguousarray(a).reshape(a.shape) for a in arguments]
    for got, want in zip(compile_graph(whole)(ready), interpret(whole, arguments), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)


def text_of(source: str, size: int, axes, out_axes=None) -> str:
    graph = graph_of(source)
    return str(batch(graph, size, axes, out_axes or [0] * len(graph.outputs))[0])


def test_what_lanes_share_is_computed_once():
    source = """
        def main(x: f64[3], w: f64[3]) -> (f64, f64[3]):
            v: f64[3] = exp(w)
            y: f64[3] = mul(x, v)
            s: f64 = sum(y, axes=(0,))
            return s, v
    """
    assert text_of(source, 8, [1, None], [0, None]) == (
        "def main(x: f64[3, 8], w: f64[3]) -> (f64[8], f64[3]):\n"
        "    t0: f64[8, 3] = transpose(x, perm=(1, 0))\n"
        "    v: f64[3] = exp(w)\n"
        "    y: f64[8, 3] = mul(t0, v)\n"
        "    s: f64[8] = sum(y, axes=(1,))\n"
        "    return s, v\n"
    )


BRANCH = """
    @region
    def then(x: f64, i: i64, t: f64[4]) -> f64:
        j: i64 = bound(i, size=4, axis=0)
        w: f64[1] = dynamic_slice(t, j, sizes=(1,))
        y: f64 = reshape(w, shape=())
        return y

    @region
    def orelse(x: f64, i: i64, t: f64[4]) -> f64:
        y: f64 = neg(x)
        return y

    def main(p: bool, x: f64, i: i64, t: f64[4]) -> f64:
        y: f64 = cond(p, x, i, t, then=then, orelse=orelse)
        return y
"""


def test_a_branch_that_all_lanes_take_stays_one():
    text = text_of(BRANCH, 8, [None, 0, None, None])
    assert "y: f64[8] = cond(p, x, i, t, then=then, orelse=orelse)" in text
    assert "def then(x: f64[8], i: i64, t: f64[4]) -> f64[8]:" in text
    assert "where" not in text


def test_an_index_counts_in_the_lanes_that_get_there():
    graph = graph_of(BRANCH)
    p, x, t = np.array([True, False, True]), np.arange(3.0), np.arange(4.0)
    axes = [0, 0, 0, None]
    whole = check(graph, 3, [p, x, np.array([3, 9, 0]), t], axes)
    assert "cond" not in str(whole)
    for wrong in ([4, 9, 0], [3, 9, -1]):
        with pytest.raises(IndexError, match=f"index {wrong[0] if wrong[0] == 4 else -1} is out of bounds"):
            interpret(whole, [p, x, np.array(wrong), t])
    whole = check(graph, 2, [np.array([False, False]), x[:2], np.array(9), t], [0, 0, None, None])
    with pytest.raises(IndexError):
        interpret(whole, [np.array([False, True]), x[:2], np.array(9), t])


def test_a_place_that_is_another_lanes_may_be_anywhere():
    """Where no `bound` stands the program knows that a place is within the array: in the lanes that get there."""
    graph = graph_of("""
        @region
        def test(i: i64, s: f64, t: f64[4]) -> bool:
            go: bool = greater(i, i64(0))
            return go

        @region
        def body(i: i64, s: f64, t: f64[4]) -> (i64, f64):
            j: i64 = sub(i, i64(1))
            w: f64[1] = dynamic_slice(t, j, sizes=(1,))
            v: f64 = reshape(w, shape=())
            r: f64 = add(s, v)
            return j, r

        def main(n: i64, t: f64[4]) -> f64:
            i, s = while_loop(n, f64(0.0), t, carried=2, test=test, body=body)
            return s
    """)
    check(graph, 3, [np.array([4, 0, 2]), np.arange(4.0)], [0, None])
    check(derivative(graph, "r"), 3, [np.array([4, 0, 2]), np.arange(4.0), np.ones(3)], [0, None, 0])


WRITES = """
    @region
    def body(i: i64, out: f64[5], x: f64) -> (f64[5], f64):
        w: f64[1] = reshape(x, shape=(1,))
        out1: f64[5] = dynamic_update(out, w, i)
        x1: f64 = mul(x, f64(0.5))
        return out1, x1

    def main(n: i64, out0: f64[5], x: f64) -> (f64[5], f64):
        out, y = for_loop(i64(0), n, out0, x, carried=2, step=1, body=body)
        return out, y
"""


def test_lanes_that_are_done_write_what_is_there():
    """An array isn't copied trip by trip: what is chosen is as large as what is written."""
    graph = graph_of(WRITES)
    arguments = [np.array([5, 0, 3]), np.ones((3, 5)), np.arange(3.0)]
    text = str(check(graph, 3, arguments, [0, 0, 0]))
    chosen = [line for line in text.splitlines() if "where(" in line]
    assert len(chosen) == 2 and all("f64[3, 5]" not in line for line in chosen)
    assert "dynamic_update(out, " in text  # the loop's variable is one for all lanes: no scatter


def test_a_branch_that_writes_writes_in_place():
    graph = graph_of("""
        @region
        def then(a: f64[6], x: f64) -> f64[6]:
            w: f64[1] = reshape(x, shape=(1,))
            b: f64[6] = update(a, w, start=(1,), stop=(2,), step=(1,))
            return b

        @region
        def orelse(a: f64[6], x: f64) -> f64[6]:
            v: f64[1] = slice(a, start=(1,), stop=(2,), step=(1,))
            b: f64[6] = update(a, v, start=(4,), stop=(5,), step=(1,))
            return b

        def main(p: bool, a: f64[6], x: f64) -> f64[6]:
            b: f64[6] = cond(p, a, x, then=then, orelse=orelse)
            return b
    """)
    rng = np.random.default_rng(0)
    whole = check(graph, 3, [np.array([True, False, True]), rng.normal(size=(3, 6)), rng.normal(size=3)], [0, 0, 0])
    assert all(op.result.shape != (3, 6) for op in whole.ops if op.kind.name == "where")


def test_a_loop_whose_lanes_end_together_has_one_variable():
    """The backward loop of `for i in range(n)` counts down from where each lane is; all end at 0."""
    graph = derivative(graph_of(WRITES), "r")
    arguments, axes = some_lanes(graph, 4, random.Random(3), small=True)
    arguments[0], axes[0] = np.array([5, 2, 0, 3]), 0
    text = str(check(graph, 4, arguments, axes))
    assert "scatter" not in text and "gather" not in text


def test_what_goes_backward_through_the_backward_part_goes_forward():
    turned = []
    graph = parse(PROGRAMS["loop in a branch"])
    for how in "rr":
        graph = derivative(graph, how)
        found = turned_ops(graph)
        turned.append([found[op] for op in graph.ops if op.regions])
    once = [False, False, True, True]
    assert turned == [once, [*once[:2], True, True, False, False, True, True]]


def test_a_lane_that_is_not_there_does_not_keep_a_loop_going():
    """A while loop in a branch that no lane takes, or whose lanes have all left it, ends."""
    graph = graph_of("""
        @region
        def test(x: f64) -> bool:
            go: bool = less(x, f64(100.0))
            return go

        @region
        def body(x: f64) -> f64:
            y: f64 = mul(x, f64(2.0))
            return y

        @region
        def then(x: f64) -> f64:
            y: f64 = while_loop(x, carried=1, test=test, body=body)
            return y

        @region
        def orelse(x: f64) -> f64:
            return x

        def main(p: bool, x: f64) -> f64:
            y: f64 = cond(p, x, then=then, orelse=orelse)
            return y
    """)
    check(graph, 3, [np.array([True, False, False]), np.array([3.0, 0.0, -1.0])], [0, 0])
    check(graph, 2, [np.array([False, False]), np.array(0.0)], [0, None])
    check(graph_of(COUNTED), 3, [np.array([True, False, True]), np.array([3, 1 << 60, 1]), np.ones(3)], [0, 0, 0])


COUNTED = """
    @region
    def body(i: i64, x: f64) -> f64:
        y: f64 = mul(x, f64(2.0))
        return y

    @region
    def then(n: i64, x: f64) -> f64:
        y: f64 = for_loop(i64(0), n, x, carried=1, step=1, body=body)
        return y

    @region
    def orelse(n: i64, x: f64) -> f64:
        return x

    def main(p: bool, n: i64, x: f64) -> f64:
        y: f64 = cond(p, n, x, then=then, orelse=orelse)
        return y
"""


def test_no_lanes():
    for name in ("newton", "tanh", "loop in a branch"):
        graph = parse(PROGRAMS[name])
        whole, _ = batch(graph, 0, [0] * len(graph.inputs), [0] * len(graph.outputs))
        found = interpret(verify(whole), [np.zeros((0, *v.shape), v.type.np_dtype) for v in graph.inputs], check=True)
        assert all(len(a) == 0 for a in found)
