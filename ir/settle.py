"""Graphs of symbolic sizes (`weft.ir.dims`) with the symbols replaced by numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weft.ir.dims import Dim, atom_value, is_known
from weft.ir.graph import Graph, Op, Value
from weft.ir.sizes import Sizes

Evaluate = Callable[[Any], int]  # of a size, see `evaluator`


def evaluator(sizes: Sizes, values: Mapping[str, int]) -> Callable[[Any], int]:
    """What gives the value of a size where the symbols have these values."""
    known: dict[str, int] = dict(values)

    def atom(text: str) -> int:
        if text not in known:
            how, a, b = sizes.atoms[text]
            known[text] = atom_value(how, at(a), at(b))
        return known[text]

    def at(n: Any) -> int:
        if is_known(n):
            return int(n)
        total = 0
        for monomial, c in n.terms.items():
            for name in monomial:
                c *= atom(name)
            total += c
        return total

    return at


def settle(graph: Graph, at: Evaluate) -> Graph:
    """The graph whose sizes are all numbers."""
    return _settled(graph, at, lambda op: True)


def signature(graph: Graph, at: Evaluate) -> Graph:
    """A graph of the same inputs and outputs, of sizes that are numbers, without ops."""
    return _settled(graph, at, lambda op: False)


def settle_op(op: Op, at: Evaluate) -> Op:
    """An op whose sizes are all numbers, of values of its own."""
    return settle(Graph("", tuple(dict.fromkeys(op.operands)), (op,), op.results), at).ops[0]


def settle_attr(x: Any, at: Evaluate) -> Any:
    """An attribute, or a part of one."""
    if isinstance(x, Dim):
        return at(x)
    return type(x)(settle_attr(part, at) for part in x) if type(x) in (tuple, list) else x


def _settled(graph: Graph, at: Evaluate, keep: Callable[[Op], bool]) -> Graph:
    known: dict[Value, Value] = {}

    def of(v: Value) -> Value:
        if v not in known:
            known[v] = Value(v.type.with_dims(tuple(map(at, v.type.dims))), v.name, v.location)
        return known[v]

    ops = [
        Op(
            op.kind,
            tuple(map(of, op.operands)),
            {name: settle_attr(attr, at) for name, attr in op.attrs.items()},
            tuple(settle(region, at) for region in op.regions),
            tuple(map(of, op.results)),
        )
        for op in graph.ops
        if keep(op)
    ]
    return Graph(graph.name, tuple(map(of, graph.inputs)), tuple(ops), tuple(map(of, graph.outputs)))
