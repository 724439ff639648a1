"""The textual form, printed. A subset of Python's syntax; `parse` reads it back.

    def step(w: f32[3], x: f32[4, 3]) -> f32[4]:
        z: f32[4] = dot(x, w, batch=((), ()), contract=((1,), (0,)))  # net.py:7
        h: f32[4] = mul(z, f32(0.5))
        return h

0-d constants are written where they are used, as `dtype(literal)`; kernels of a fused graph are functions
marked `@kernel` above it, and an application of one is `h, e = k0(z, y)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.graph import PRINTER, Graph, Op, Value
from weft.ir.types import dtype_name


def literal(value: Any) -> str:
    """The shortest text that reads back to exactly this scalar."""
    if isinstance(value, np.bool_ | bool):
        return str(bool(value))
    if isinstance(value, np.integer | int):
        return str(int(value))
    f = np.float64(value)
    if np.isnan(f):
        return "-nan" if np.signbit(f) else "nan"
    if np.isinf(f):
        return "inf" if f > 0 else "-inf"
    text = (
        np.format_float_positional(value, unique=True, trim="0")
        if 1e-5 <= abs(f) < 1e16 or f == 0
        else repr(np.format_float_scientific(value, unique=True, trim="0")).strip("'")
    )
    return text


def attribute(value: Any) -> str:
    """An attribute: number, string, None, tuple, slice-free; arrays as `array("f32", [[...]])`."""
    if isinstance(value, np.ndarray):
        name = dtype_name(value.dtype)
        if value.ndim == 0:
            return f"{name}({literal(value[()])})"
        return f'array("{name}", {value.shape}, {_nested(value.reshape(-1))})'
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return repr(value)
    if isinstance(value, float | np.generic):
        return literal(value)
    if isinstance(value, tuple | list):
        inner = ", ".join(map(attribute, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def _nested(flat: np.ndarray) -> str:
    return "[" + ", ".join(literal(v) for v in flat) + "]"


class Names:
    """Unique printable names: the value's hint, numbered when taken; `t0`, `t1`, ... where there is none."""

    def __init__(self, reserved: set[str] | None = None) -> None:
        self.taken: set[str] = set(reserved or ())
        self.of: dict[Value, str] = {}
        self.count = 0

    def __call__(self, value: Value) -> str:
        name = self.of.get(value)
        if name is None:
            name = self._fresh(value.name)
            self.of[value] = name
        return name

    def _fresh(self, hint: str) -> str:
        if not hint:
            while f"t{self.count}" in self.taken:
                self.count += 1
            hint = f"t{self.count}"
            self.count += 1
        elif hint in self.taken:
            n = 1
            while f"{hint}_{n}" in self.taken:
                n += 1
            hint = f"{hint}_{n}"
        self.taken.add(hint)
        return hint


def is_inline_constant(op: Op) -> bool:
    """Constants without a name of their own that are written at their uses."""
    return op.kind.name == "constant" and op.attrs["value"].ndim == 0 and not op.results[0].name


def _types(values: tuple[Value, ...]) -> str:
    if len(values) == 1:
        return str(values[0].type)
    return "(" + ", ".join(str(v.type) for v in values) + ")"


def _kernels(graph: Graph) -> list[Graph]:
    return [region for op in graph.ops for region in op.regions]


def print_graph(graph: Graph, *, locations: bool = True, names: Names | None = None) -> str:
    """Text of a graph and, above it, of the graphs that its calls hold."""
    parts = []
    for region in _kernels(graph):
        parts.append("@kernel\n" + print_graph(region, locations=locations))
    parts.append(_function(graph, locations, names or Names()))
    return "\n".join(parts)


def _function(graph: Graph, locations: bool, name: Names) -> str:
    hoist = {v for v in graph.outputs}
    inline: dict[Value, str] = {}
    head = ", ".join(f"{name(v)}: {v.type}" for v in graph.inputs)
    lines = [f"def {graph.name}({head}) -> {_types(graph.outputs)}:"]
    for op in graph.ops:
        if is_inline_constant(op) and op.results[0] not in hoist:
            inline[op.results[0]] = attribute(op.attrs["value"])
            continue
        args = [inline.get(v) or name(v) for v in op.operands]
        args += [f"{k}={attribute(v)}" for k, v in op.attrs.items()]
        callee = op.regions[0].name if op.regions else op.kind.name
        if len(op.results) == 1:
            target = f"{name(op.results[0])}: {op.results[0].type}"
        else:
            target = ", ".join(name(r) for r in op.results)
        where = f"  # {op.location}" if locations and op.location else ""
        lines.append(f"    {target} = {callee}({', '.join(args)}){where}")
    lines.append("    return " + ", ".join(inline.get(v) or name(v) for v in graph.outputs))
    return "\n".join(lines) + "\n"


PRINTER.append(print_graph)
