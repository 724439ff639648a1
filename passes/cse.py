"""Common subexpressions: two ops of one kind, with equal operands and attributes, are one op.

    a = exp(x); b = exp(x); c = add(a, b)   ->   a = exp(x); c = add(a, a)
"""

from __future__ import annotations

from typing import Any

from weft.ir.graph import Graph, Op, Value, attr_key
from weft.ir.opdef import COMMUTATIVE


def cse(graph: Graph) -> Graph:
    known: dict[Any, Op] = {}
    same: dict[Value, Value] = {}
    ops: list[Op] = []
    for op in graph.ops:
        operands = tuple(same.get(v, v) for v in op.operands)
        ids = tuple(map(id, operands))
        if op.kind.name in COMMUTATIVE:
            ids = tuple(sorted(ids))
        key = (op.kind.name, ids, *((k, attr_key(v)) for k, v in sorted(op.attrs.items())))
        first = known.get(key) if not op.regions else None
        if first is not None:
            for mine, theirs in zip(op.results, first.results, strict=True):
                same[mine] = theirs
            continue
        if operands != op.operands:
            op = Op(op.kind, operands, op.attrs, op.regions, op.results)
        known[key] = op
        ops.append(op)
    if len(ops) == len(graph.ops):
        return graph
    return Graph(graph.name, graph.inputs, tuple(ops), tuple(same.get(v, v) for v in graph.outputs))
