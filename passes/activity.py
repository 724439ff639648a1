"""What derivatives concern: values that depend on what is differentiated by, and those that a result depends on.

Both look into regions. A value that a loop carries is active when its initial value is or when what the body makes
of it is, which may depend on any other carried value: a fixpoint. A stack is active, from where it is made to where
it ends, when something active is pushed on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.control import BEFORE, LEAD, cond, flows
from weft.ir.ops.stack import pop, push


def active_values(graph: Graph, inputs: Iterable[Value]) -> set[Value]:
    """Floats, of regions too, that depend on `inputs` through differentiable ops; stacks of such."""
    stacks = same_stack(graph)
    active = set(inputs)
    size = -1
    while len(active) != size:
        size = len(active)
        _spread(graph, active, stacks)
    return active | {s for s, first in stacks.items() if first in active}


def _spread(graph: Graph, active: set[Value], stacks: dict[Value, Value]) -> None:
    """One walk through the graph. A stack stands in `active` by the first of its chain."""
    for op in graph.ops:
        for a, b in flows(op) if op.regions else ():
            if a in active:
                active.add(b)
        for region in op.regions:
            _spread(region, active, stacks)
        if op.kind is push and any(v in active for v in op.operands[1:]):
            active.add(stacks[op.result])
        elif op.kind is pop and stacks[op.operands[0]] in active:
            active.update(r for r in op.results if r.type.is_float)
        elif op.kind.pull is not None and any(v in active for v in op.operands):
            active.update(r for r in op.results if r.type.is_float)


def same_stack(graph: Graph) -> dict[Value, Value]:
    """For every stack, one that stands for all that come from it or become it."""
    first: dict[Value, Value] = {}

    def find(v: Value) -> Value:
        while (up := first.setdefault(v, v)) is not v:
            v = up
        return v

    for op in graph.walk():
        pairs = list(flows(op)) if op.regions else []
        if op.kind is push or op.kind is pop:
            pairs.append((op.operands[0], op.results[0]))
        for a, b in pairs:
            if a.type.is_stack:
                first[find(a)] = find(b)
    return {v: find(v) for v in list(first)}


def useful_operands(op: Op, wanted: Collection[int], active: Collection[Value]) -> set[int]:
    """Positions of the active operands on which the results at positions `wanted` depend."""
    if not op.regions:
        return {i for i, v in enumerate(op.operands) if v in active}
    lead, before = LEAD[op.kind], BEFORE[op.kind]
    if op.kind is cond:
        inputs = {i for region in op.regions for i in useful_inputs(region, wanted, active)}
    else:
        inputs = useful_inputs(op.regions[-1], useful_carried(op, wanted, active), active)
        inputs |= {before + j for j in wanted}  # a loop of no trips
    found = {lead + i - before for i in inputs if i >= before}
    return {i for i in found if op.operands[i] in active}


def useful_carried(op: Op, wanted: Collection[int], active: Collection[Value]) -> set[int]:
    """Positions of a loop's active carried values on which the results at positions `wanted` depend."""
    body, before = op.regions[-1], BEFORE[op.kind]
    carried = {j for j in range(op.attrs["carried"]) if body.inputs[before + j] in active}
    found = carried & set(wanted)
    while True:
        more = {i - before for i in useful_inputs(body, found, active)} & carried - found
        if not more:
            return found
        found |= more


def useful_inputs(region: Graph, wanted: Collection[int], active: Collection[Value]) -> set[int]:
    """Positions of the active inputs on which the region's outputs at positions `wanted` depend."""
    live = {region.outputs[k] for k in wanted}
    for op in reversed(region.ops):
        results = [k for k, r in enumerate(op.results) if r in live and r in active]
        if results:
            live.update(op.operands[i] for i in useful_operands(op, results, active))
    return {i for i, v in enumerate(region.inputs) if v in live and v in active}
