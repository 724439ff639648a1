"""Calls in place: `y = k0(x)` becomes the ops of k0. Derivatives are taken of graphs without calls."""

from __future__ import annotations

from weft.ir.builder import Builder
from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.ops.control import call


def inline_calls(graph: Graph) -> Graph:
    """The graph without `call`s, at any depth; itself where it has none."""
    if all(op.kind is not call for op in graph.walk()):
        return graph
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    env: dict[Value, Value] = {v: v for v in graph.inputs}
    for op in graph.ops:
        operands = tuple(env[v] for v in op.operands)
        if op.kind is call:
            outputs = build.inline(inline_calls(op.regions[0]), operands)
            env.update((r, e.value) for r, e in zip(op.results, outputs, strict=True))
        else:
            build.ops.append(with_regions(Op(op.kind, operands, op.attrs, op.regions, op.results), inline_calls))
            env.update((r, r) for r in op.results)
    return build.finish([env[v] for v in graph.outputs])
