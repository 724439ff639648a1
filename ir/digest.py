"""A graph as a digest: equal for graphs that every pass and every lowering treats alike, in any process.

Values are numbered in order of definition, so their names make no difference. Locations have a digest of their own.
What can't be written down by its bits (a size that is a symbol, an attribute that is a function) has no digest.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from weft.ir.graph import Graph, Value


class NoDigest(Exception):
    """The graph holds what only this process knows."""


def digest(graph: Graph) -> tuple[str, str] | None:
    """The digest of what a graph computes, and of where its ops come from; None where there is none."""
    writer = _Writer()
    try:
        writer.graph(graph)
    except NoDigest:
        return None
    return writer.sum.hexdigest(), hashlib.sha256("\n".join(writer.places).encode()).hexdigest()


class _Writer:
    """Writes a graph as parts, each preceded by its length, so that no two graphs are written alike."""

    def __init__(self) -> None:
        self.sum = hashlib.sha256()
        self.places: list[str] = []
        self.numbers: dict[Value, int] = {}

    def put(self, *parts: str | bytes | int) -> None:
        data = [p if isinstance(p, bytes) else str(p).encode() for p in parts]
        self.sum.update(b"".join([b"%d:%b" % (len(d), d) for d in data]))

    def graph(self, graph: Graph) -> None:
        self.put("graph", len(graph.inputs), len(graph.ops), len(graph.outputs))
        self.defined(graph.inputs)
        for op in graph.ops:
            self.put(op.kind.name, len(op.operands), len(op.attrs), len(op.regions), len(op.results))
            self.put(*map(self.number, op.operands))
            for name, value in op.attrs.items():
                self.put(name)
                self.attr(value)
            for region in op.regions:
                self.graph(region)
            self.defined(op.results)
        self.put(*map(self.number, graph.outputs))

    def number(self, value: Value) -> int:
        if value not in self.numbers:
            raise NoDigest
        return self.numbers[value]

    def defined(self, values: tuple[Value, ...]) -> None:
        for v in values:
            self.numbers[v] = len(self.numbers)
            if any(type(d) is not int for d in v.type.dims):
                raise NoDigest
            self.put(v.type.dtype, len(v.type.dims), *v.type.dims)
            self.places.append("" if v.location is None else str(v.location))

    def attr(self, value: Any) -> None:
        if isinstance(value, np.ndarray | np.generic):
            array = np.asarray(value)
            if array.dtype.hasobject:
                raise NoDigest
            self.put("array", array.dtype.str, len(array.shape), *array.shape, array.tobytes())
        elif type(value) in (tuple, list):
            self.put(type(value).__name__, len(value))
            for part in value:
                self.attr(part)
        elif value is None or type(value) in (bool, int, str):
            self.put(type(value).__name__, repr(value))
        elif type(value) is float:
            self.put("float", value.hex(), str(np.signbit(value)))
        else:
            raise NoDigest
