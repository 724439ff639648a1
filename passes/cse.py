"""Common subexpressions: two ops of one kind, with equal operands, attributes and regions, are one op.

    a = exp(x); b = exp(x); c = add(a, b)   ->   a = exp(x); c = add(a, a)

A region is a graph of its own: its ops are compared with each other only. Two constants of a loop (or operands of
a branch) that are one value outside are one value inside. Stacks are not values to be shared.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

from weft.ir.graph import Graph, Op, Value, attr_key
from weft.ir.opdef import COMMUTATIVE
from weft.ir.ops.control import LEAD, call

NOTHING: Mapping[Value, Value] = {}


def cse(graph: Graph, equal: Mapping[Value, Value] = NOTHING) -> Graph:
    """`equal`: inputs of a region that are other inputs of it."""
    known: dict[Any, Op] = {}
    same: dict[Value, Value] = dict(equal)
    ops: list[Op] = []
    for op in graph.ops:
        operands = tuple(same.get(v, v) for v in op.operands)
        regions = tuple(cse(r, _twins(op, operands, r)) for r in op.regions) if op.kind is not call else op.regions
        key = _key(op, tuple(map(id, operands)), regions)
        first = known.get(key) if op.kind.family != "stack" else None
        if first is not None:
            for mine, theirs in zip(op.results, first.results, strict=True):
                same[mine] = theirs
            continue
        if operands != op.operands or any(a is not b for a, b in zip(regions, op.regions, strict=True)):
            op = Op(op.kind, operands, op.attrs, regions, op.results)
        known[key] = op
        ops.append(op)
    outputs = tuple(same.get(v, v) for v in graph.outputs)
    if outputs == graph.outputs and len(ops) == len(graph.ops) and all(map(operator.is_, ops, graph.ops)):
        return graph
    return Graph(graph.name, graph.inputs, tuple(ops), outputs)


def _key(op: Op, operands: tuple[int, ...], regions: tuple[Graph, ...]) -> Any:
    if op.kind.name in COMMUTATIVE:
        operands = tuple(sorted(operands))
    attrs = ((k, attr_key(v)) for k, v in sorted(op.attrs.items()))
    return (op.kind.name, operands, *attrs, *map(_graph_key, regions))


def _graph_key(graph: Graph) -> Any:
    """Equal for graphs that do the same: values are numbered in order of definition."""
    number: dict[Value, int] = {v: i for i, v in enumerate(graph.inputs)}
    keys = []
    for op in graph.ops:
        keys.append(_key(op, tuple(number[v] for v in op.operands), op.regions))
        number.update((r, len(number) + k) for k, r in enumerate(op.results))
    return (tuple(v.type for v in graph.inputs), tuple(keys), tuple(number[v] for v in graph.outputs))


def _twins(op: Op, operands: tuple[Value, ...], region: Graph) -> dict[Value, Value]:
    """Inputs of the region that stand for a constant operand which an input before them stands for."""
    first = LEAD[op.kind] + op.attrs.get("carried", 0)
    inputs = region.inputs[len(region.inputs) - len(operands) + first :]
    seen: dict[Value, Value] = {}
    twins = {}
    for value, own in zip(operands[first:], inputs, strict=True):
        if seen.setdefault(value, own) is not own:
            twins[own] = seen[value]
    return twins
