"""Dead code: an op stays when an output depends on it. Inputs all stay: they are the function's signature."""

from __future__ import annotations

from weft.ir.graph import Graph, Op, Value


def dce(graph: Graph) -> Graph:
    live: set[Value] = set(graph.outputs)
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if any(r in live for r in op.results):
            kept.append(op)
            live.update(op.operands)
    if len(kept) == len(graph.ops):
        return graph
    return Graph(graph.name, graph.inputs, tuple(reversed(kept)), graph.outputs)
