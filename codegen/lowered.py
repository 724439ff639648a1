"""Kernels, lowered once each: those of a program's layers are equal, names and lines included."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from weft.codegen.kernel import Kernel
from weft.codegen.lower import lower
from weft.ir.graph import Graph, Op, Value, attr_key


class Lowered:
    """The kernels of one step. Equal graphs get one kernel, whose list of statements is the same object."""

    def __init__(self) -> None:
        self._known: dict[Any, Kernel] = {}

    def __call__(
        self, graph: Graph, alias: Mapping[int, int], bounds: list[Op], streams: Collection[int] = ()
    ) -> Kernel:
        """`lower`'s kernel; its name is that of the first of its like. What checks indices reports under numbers of its
        own, so it has no like."""
        key = graph_key(graph, alias), frozenset(streams)
        kernel = self._known.get(key)
        if kernel is None:
            before = len(bounds)
            kernel = lower(graph, alias, bounds=bounds, streams=streams)
            if len(bounds) == before:
                self._known[key] = kernel
        return kernel


def graph_key(graph: Graph, alias: Mapping[int, int]) -> Any:
    """Equal for graphs that lower to the same kernel, seen by a reader too: values are numbered in order of definition,
    and their names and lines count. The graph's own name does not."""
    number: dict[Value, int] = {v: i for i, v in enumerate(graph.inputs)}
    ops = []
    for op in graph.ops:
        key: tuple[Any, ...] = (op.kind.name, tuple([number[v] for v in op.operands]))
        for name, value in op.attrs.items():
            key += (name, attr_key(value))
        if op.regions:
            key += tuple(graph_key(r, {}) for r in op.regions)
        for r in op.results:
            number[r] = len(number)
            key += (r.type, r.name, r.location)
        ops.append(key)
    inputs = tuple([(v.type, v.name) for v in graph.inputs])
    return inputs, tuple(ops), tuple([number[v] for v in graph.outputs]), tuple(sorted(alias.items()))
