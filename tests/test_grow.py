"""A solved group that takes in ops: it says yes only where the whole would be solved, and then need not be."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from row_programs import row_program

from weft.ir.grow import Grown
from weft.ir.parse import parse
from weft.ir.space import solve
from weft.ir.writes import solve_writes
from weft.passes import fuse as fusion
from weft.pipeline import BY_NAME, PASSES

ROWS = """
def main(x: f32[8, 5], y: f32[8, 5], v: f32[5], w: f32[8]) -> f32[8, 5]:
    m: f32[8] = max(x, axes=(1,))
    c: f32[8, 1] = reshape(m, shape=(8, 1))
    d: f32[8, 5] = sub(x, c)
    OP
    return d
"""


def grows(line, name, text=ROWS, stored=False):
    """Whether the group without the line takes it in; if so, it has to be solved as a whole."""
    graph = parse(text.replace("OP", line))
    *group, new = graph.ops
    space = solve(group, [group[-1].result])
    assert space is not None and new.result.name == name
    grown = Grown(group, space)
    assert grown.able
    outputs = [group[-1].result, new.result] if stored else [new.result]
    said = grown.add([new], [stored])
    assert not said or solve(graph.ops, outputs) is not None
    return said


@pytest.mark.parametrize(
    "line",
    [
        "t: f32[8, 5] = exp(d)",
        "t: f32[8, 5] = mul(d, y)",
        "t: f32[8, 5] = mul(d, v)",
        "t: f32[8, 5] = sub(x, c)",
        "t: f32[8] = sum(d, axes=(1,))",
        "t: f32[5] = sum(d, axes=(0,))",
        "t: f32 = sum(d, axes=(0, 1))",
        "t: f32[8] = sqrt(m)",
        "t: f32[8] = mul(m, w)",
    ],
)
@pytest.mark.parametrize("stored", [True, False])
def test_what_runs_along_the_same_axes(line, stored):
    assert grows(line, "t", stored=stored)


@pytest.mark.parametrize(
    "line",
    [
        "t: f32[5, 8] = transpose(d, perm=(1, 0))",  # an order that no value has
        "t: f32[2, 8, 5] = broadcast(d, shape=(2, 8, 5))",  # an axis of its own
        "t: f32[7, 5] = slice(d, start=(1, 0), stop=(8, 5), step=(1, 1))",
        "t: f32[8] = sum(y, axes=(1,))",  # an input that has no place yet
        "t: f32[5] = exp(v)",  # for every row again
        "t: i64[8] = argmax(d, axis=1)",
    ],
)
def test_what_is_left_to_the_solver(line):
    assert not grows(line, "t", stored=True)


def test_an_input_that_is_made_now():
    graph = parse(
        "def main(x: f32[300000]) -> f32[300000]:\n"
        "    m: f32 = max(x, axes=(0,))\n"
        "    d: f32[300000] = sub(x, m)\n"
        "    e: f32[300000] = exp(d)\n"
        "    return e\n"
    )
    first, *group = graph.ops
    assert solve(graph.ops, [group[-1].result]) is None
    assert not Grown(group, solve(group, [group[-1].result])).add([first], [False])


def test_a_refusal_leaves_no_trace():
    graph = parse(ROWS.replace("OP", "e: f32[8, 5] = mul(d, y)\n    t: f32[5, 8] = transpose(e, perm=(1, 0))"))
    *group, e, t = graph.ops
    grown = Grown(group, solve(group, [group[-1].result]))
    for ops, said in [([e, t], False), ([t], False), ([e], True), ([t], False)]:
        known = (dict(grown.axes), set(grown.inside), set(grown.read))
        assert grown.add(ops, [True] * len(ops)) == said
        assert said or known == (grown.axes, grown.inside, grown.read)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 30), st.sampled_from([(2, 3, 4), (3, 3), (1, 5, 2), (600, 700), (300_000,)]))
@example(0, (300_000,))
def test_fusion_is_the_same_and_never_wrong(seed, extents):
    graph = row_program(seed, extents=extents, dtype="f32", max_ops=24)
    for p in PASSES:
        if p is not BY_NAME["fuse"]:
            graph = p.run(graph)
    grown = fusion._Fuser(graph, itertools.count()).run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fusion._Fuser, "_grows", lambda *_: False)
        assert str(fusion._Fuser(graph, itertools.count()).run()) == str(grown)
    for op in grown.ops:
        if op.kind.name == "call":
            assert solve_writes(op.regions[0].ops, op.regions[0].outputs) is not None
