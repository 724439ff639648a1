"""Limits that nobody looks beyond go away.

    t = limit(broadcast(c), 0, n)        the tail of t matters to its derivative; going forward, what is behind n of
    u = x * t                            u is looked at by nobody: u is stored up to n, or limited before it is summed
    A = moving_update(A, u, s, n)   ->   A = moving_update(A, x * broadcast(c), s, n)

Backwards through the ops goes, for each value, up to which lengths of which axes all that read it look at it. A
limit of what a reduction reduces or gives stays: loops end there.
"""

from __future__ import annotations

from collections.abc import Iterable

from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.lengths import Lengths
from weft.ir.ops.moving import halves
from weft.ir.space import correspondence, is_relabel, reduced_axes

Looks = frozenset[tuple[int, Value]]  # (axis, length): looked at up to there only


def trim(graph: Graph) -> Graph:
    """The graph without needless limits; itself where it has none."""
    if all(op.kind.name != "limit" for op in graph.walk()):
        return graph
    lengths = Lengths(graph.ops)
    reduced = {op.operands[0] for op in graph.ops if op.kind.family == "reduce"}
    for op in reversed(graph.ops):
        if op.kind.name == "limit" and op.result in reduced:
            reduced.add(op.operands[0])  # one limit after another
    looks: dict[Value, Looks] = {v: frozenset() for v in graph.outputs}
    needless: set[Op] = set()
    for op in reversed(graph.ops):
        if op.kind.name == "limit" and op.result not in reduced and _is_needless(op, looks.get(op.result), lengths):
            needless.add(op)
        for i, v in enumerate(op.operands):
            here = _looks(op, i, looks, lengths)
            looks[v] = here if v not in looks else looks[v] & here
    env: dict[Value, Value] = {}
    ops: list[Op] = []
    for op in graph.ops:
        operands = tuple(env.get(v, v) for v in op.operands)
        if op in needless:
            env[op.result] = operands[0]
        else:
            ops.append(with_regions(Op(op.kind, operands, op.attrs, op.regions, op.results), trim))
    return Graph(graph.name, graph.inputs, tuple(ops), tuple(env.get(v, v) for v in graph.outputs))


def _is_needless(op: Op, looks: Looks | None, lengths: Lengths) -> bool:
    x, _, n = op.operands
    made, checked = lengths.maker.get(x), lengths.maker.get(n)
    if (made is not None and made.kind.family == "reduce") or (checked is not None and checked.kind.name == "agree"):
        return False
    return looks is not None and (op.attrs["axis"], lengths.of(n)) in looks


def _looks(op: Op, position: int, looks: dict[Value, Looks], lengths: Lengths) -> Looks:
    """How far an op looks at an operand."""
    name = op.kind.name
    if name == "moving_update" and position == 1:
        return frozenset((d, lengths.of(n)) for d, n in enumerate(halves(op.operands[2:])[1]))
    if len(op.results) != 1:
        return frozenset()
    of_result = looks.get(op.result)
    if of_result is None:  # nobody looks at it at all: it is dead
        return frozenset()
    if name == "limit" and position == 0:
        return of_result | {(op.attrs["axis"], lengths.of(op.operands[2]))}
    if op.kind.family == "elementwise" or op.kind.family == "reduce" or is_relabel(op):
        return _mapped(op, position, of_result)
    return frozenset()


def _mapped(op: Op, position: int, looks: Iterable[tuple[int, Value]]) -> Looks:
    """What is looked at of a result, as axes of an operand."""
    x, y = op.operands[position].shape, op.result.shape
    gone = set(reduced_axes(op)) if op.kind.family == "reduce" else set()
    back = {k: d for d, k in correspondence(op, position) if d not in gone and x[d] == y[k]}
    return frozenset((back[k], n) for k, n in looks if k in back)
