"""The memory plan of what stacks hold: large values are made in their record, and read from it.

    s2 = k(u)             room = where the next record will be           record = pop(s)
    s1 = push(s, s2)      s2 is written there; push only moves the top   k(record, ...)

Room is taken before the push, so the stack must be there by then, and a record is read after the pop, so nothing may
be pushed on what is below it as long as the graph runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.stack import pop, push
from weft.ir.plan import is_small


def rooms(graph: Graph, made: dict[Value, int], last: dict[Value, int]) -> dict[Value, tuple[Op, int]]:
    """Values that are made in a record: the push, and which of its operands they are.

    made: the op (position) that makes each value that is a buffer. last: the last op that reads it.
    """
    at = {r: i for i, op in enumerate(graph.ops) for r in op.results}
    found: dict[Value, tuple[Op, int]] = {}
    for i, op in enumerate(graph.ops):
        if op.kind is not push:
            continue
        ready = at.get(op.operands[0], -1)
        for p, v in enumerate(op.operands):
            if p and v in made and not is_small(v) and v not in found and made[v] > ready:
                if last[v] <= i or op.result in graph.outputs:
                    found[v] = (op, p)
    return found


def stays(graph: Graph, op: Op) -> bool:
    """Is the record that a pop takes off still there when the graph ends?"""
    return all(use.kind is not push and not _pushes(use) for use in _uses(graph, op.results[0]))


def _uses(graph: Graph, stack: Value) -> Iterator[Op]:
    """The ops that a stack goes through."""
    for op in graph.ops:
        if stack in op.operands:
            yield op
            for r in op.results:
                if r.type.is_stack:
                    yield from _uses(graph, r)


def _pushes(op: Op) -> bool:
    return op.kind is not pop and any(inner.kind is push for region in op.regions for inner in region.walk())
