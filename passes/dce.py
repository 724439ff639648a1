"""Dead code: an op stays when an output depends on it. Inputs all stay: they are the function's signature.

What holds regions is cut down with them: a loop carries what its results, its test or its other carried values
need, a branch returns what is used, and a region takes what it reads.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.ops.control import LEAD, cond, for_loop, is_loop


def dce(graph: Graph) -> Graph:
    live: set[Value] = set(graph.outputs)
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if any(r in live for r in op.results):
            op = _shrunk(op, live) if op.regions else op
            kept.append(op)
            live.update(op.operands)
    kept.reverse()
    if len(kept) == len(graph.ops) and all(a is b for a, b in zip(kept, graph.ops, strict=True)):
        return graph
    return Graph(graph.name, graph.inputs, tuple(kept), graph.outputs)


def _shrunk(op: Op, live: Collection[Value]) -> Op:
    if op.kind is cond:
        return _branch(op, live)
    return _loop(op, live) if is_loop(op) else with_regions(op, dce)


def _cut(region: Graph, outputs: Sequence[int]) -> Graph:
    """The region with these outputs alone."""
    if len(outputs) == len(region.outputs):
        return dce(region)
    return dce(Graph(region.name, region.inputs, region.ops, tuple(region.outputs[j] for j in outputs)))


def read(region: Graph) -> set[Value]:
    """The values that a region's ops and outputs read."""
    return {v for op in region.ops for v in op.operands} | set(region.outputs)


def _taking(region: Graph, places: Sequence[int]) -> Graph:
    """The region with these inputs alone."""
    return Graph(region.name, tuple(region.inputs[i] for i in places), region.ops, region.outputs)


def _branch(op: Op, live: Collection[Value]) -> Op:
    kept = [k for k, r in enumerate(op.results) if r in live]
    regions = [_cut(region, kept) for region in op.regions]
    reads = [read(region) for region in regions]
    count = len(op.operands) - 1
    used = [i for i in range(count) if any(g.inputs[i] in r for g, r in zip(regions, reads, strict=True))]
    if len(used) == count and all(a is b for a, b in zip(regions, op.regions, strict=True)):
        return op
    operands = (op.operands[0], *(op.operands[1 + i] for i in used))
    taking = tuple(_taking(region, used) for region in regions)
    return Op(op.kind, operands, op.attrs, taking, tuple(op.results[k] for k in kept))


def _loop(op: Op, live: Collection[Value]) -> Op:
    count = op.attrs["carried"]
    at = 1 if op.kind is for_loop else 0  # where a body's carried inputs begin
    body = op.regions[-1]
    tests = [dce(region) for region in op.regions[:-1]]
    needed = {j for j, r in enumerate(op.results) if r in live}
    needed |= {j for j in range(count) for test in tests if test.inputs[j] in read(test)}
    while True:
        cut = _cut(body, sorted(needed))
        reads = read(cut)
        more = {j for j in range(count) if cut.inputs[at + j] in reads} - needed
        if not more:
            break
        needed |= more
    used = sorted(needed)
    for i in range(count, len(body.inputs) - at):
        if cut.inputs[at + i] in reads or any(test.inputs[i] in read(test) for test in tests):
            used.append(i)
    if len(used) == len(body.inputs) - at and all(a is b for a, b in zip((*tests, cut), op.regions, strict=True)):
        return op
    lead = LEAD[op.kind]
    operands = op.operands[:lead] + tuple(op.operands[lead + i] for i in used)
    taking = (*(_taking(t, used) for t in tests), _taking(cut, [*range(at), *(at + i for i in used)]))
    results = tuple(op.results[j] for j in sorted(needed))
    return Op(op.kind, operands, {**op.attrs, "carried": len(needed)}, taking, results)
