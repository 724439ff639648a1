"""What differs from lane to lane when a graph is run for many at once, and in which order stacks are used then.

A value has lanes when it depends on an input that has. What a loop carries has lanes, too, where the loop ends after
another trip in each, and what a branch returns where each lane takes its own. A stack has lanes all the way from where
it is made to where it ends, when anything that has is pushed on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.control import BEFORE, cond, flows, for_loop, is_loop, while_loop
from weft.passes.activity import same_stack


def with_lanes(graph: Graph, inputs: Iterable[Value], turned: Mapping[Op, bool]) -> set[Value]:
    """The values, of regions too, that differ from lane to lane when `inputs` do. turned: see `stack_order`."""
    stacks = same_stack(graph)
    found = set(inputs)
    size = -1
    while len(found) != size:
        size = len(found)
        _spread(graph, found, stacks, turned)
    return found | {s for s, first in stacks.items() if first in found}


def _spread(graph: Graph, found: set[Value], stacks: Mapping[Value, Value], turned: Mapping[Op, bool]) -> None:
    """One walk through the graph. A stack stands in `found` by the first of its chain."""
    for op in graph.ops:
        if not op.regions:
            if any(stacks.get(v, v) in found for v in op.operands):
                found.update(stacks.get(r, r) for r in op.results)
            continue
        found.update(b for a, b in flows(op) if a in found and not a.type.is_stack)
        if op.kind is cond and op.operands[0] in found:
            found.update(r for r in op.results if not r.type.is_stack)
        if is_loop(op) and has_own_trips(op, found):
            _spread_trips(op, found)
        if op.kind is for_loop and index_has_lanes(op, found, turned.get(op, False)):
            found.add(op.regions[0].inputs[0])
        for region in op.regions:
            _spread(region, found, stacks, turned)


def _spread_trips(op: Op, found: set[Value]) -> None:
    """All that a loop changes: it keeps its value in a lane whose trips are over."""
    before, body = BEFORE[op.kind], op.regions[-1]
    for j, r in enumerate(op.results):
        if not r.type.is_stack and body.outputs[j] is not body.inputs[before + j]:
            found.update((r, *(region.inputs[before + j] for region in op.regions)))


def has_own_trips(op: Op, found: Collection[Value]) -> bool:
    """Whether each lane decides how often a loop runs."""
    if op.kind is while_loop:
        return op.regions[0].outputs[0] in found
    return op.operands[0] in found or op.operands[1] in found


def end_together(op: Op, found: Collection[Value], turned: bool) -> bool:
    """Whether the lanes of a for loop wait at its beginning, so that all make their last trip together. A loop that has
    the choice lets its variable be one for all."""
    if any(v.type.is_stack for v in op.operands):
        return turned
    start, stop = op.operands[0] in found, op.operands[1] in found
    return start and not stop and abs(op.attrs["step"]) == 1


def index_has_lanes(op: Op, found: Collection[Value], turned: bool) -> bool:
    """Whether the variable of a for loop does."""
    start, stop = op.operands[0] in found, op.operands[1] in found
    if end_together(op, found, turned):
        return stop or (start and abs(op.attrs["step"]) != 1)
    return start
