"""The textual form, printed. A subset of Python's syntax; `weft.ir.parse` reads it back.

    @kernel
    def k0(z: f32[4], y: f32[4]) -> f32[4]:
        e: f32[4] = sub(z, y)
        h: f32[4] = mul(e, f32(0.5))
        return h

    def step(w: f32[3], x: f32[4, 3], y: f32[4]) -> f32[4]:
        z: f32[4] = dot(x, w, batch=((), ()), contract=((1,), (0,)))  # net.py:7
        h: f32[4] = k0(z, y)  # net.py:8
        return h

A literal (a 0-d constant without a name) is written where it is used, as `dtype(number)`; other constants
have a line, `w: f32[2] = f32([0.5, 1.0])`. A graph held by a `call` is a function marked `@kernel` above its
user; the graphs that a loop or branch holds are marked `@region`, and named by keywords:

    @region
    def body(i: i64, x: f32[4]) -> f32[4]:
        ...

    def main(n: i64, x0: f32[4]) -> f32[4]:
        x: f32[4] = for_loop(i64(0), n, x0, carried=1, step=1, body=body)
        return x

Names are the values' hints where those are free; locations are comments.
"""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterable

import numpy as np

from weft.ir.graph import PRINTER, Graph, Op, Value, is_literal
from weft.ir.literals import attribute, constant_text
from weft.ir.opdef import REGISTRY
from weft.ir.types import NAMES, STACK

LITERAL_NAMES = frozenset({"nan", "inf", "bits", "kernel", "region", STACK.dtype, "__debug__"})
WIDTH = 110


def identifier(hint: str) -> str:
    """A hint as Python reads identifiers (NFKC), with `_` for what none may hold; "" if nothing is left."""
    name = unicodedata.normalize("NFKC", hint)
    if not name.isidentifier():
        name = "".join(c if ("a" + c).isidentifier() else "_" for c in name).strip("_")
        name = name if name.isidentifier() or not name else "_" + name
    return name if name.isidentifier() else ""


class Names:
    """Unique printable names: the value's hint, numbered when taken; `t0`, `t1`, ... where there is none.

    `reserved` names are never given out; nor are keywords, dtypes and the names of ops.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.taken: set[str] = {*reserved, *keyword.kwlist, *NAMES, *REGISTRY, *LITERAL_NAMES}
        self.of: dict[Value, str] = {}
        self._next: dict[str, int] = {}

    def __call__(self, value: Value) -> str:
        name = self.of.get(value)
        if name is None:
            name = self.of[value] = self.fresh(value.name)
        return name

    def fresh(self, hint: str) -> str:
        name = identifier(hint) if hint else ""
        if not name:
            return self._numbered("t", 0)
        if name in self.taken:
            return self._numbered(name + "_", 1)
        self.taken.add(name)
        return name

    def _numbered(self, stem: str, first: int) -> str:
        n = self._next.get(stem, first)
        while f"{stem}{n}" in self.taken:
            n += 1
        self._next[stem] = n + 1
        self.taken.add(f"{stem}{n}")
        return f"{stem}{n}"


def types_text(values: tuple[Value, ...]) -> str:
    """`f32` for one value, `(f32, i64[3])` for several, `()` for none."""
    if len(values) == 1:
        return str(values[0].type)
    return "(" + ", ".join(str(v.type) for v in values) + ")"


def _regions(graph: Graph) -> dict[Graph, str]:
    """The graphs held by `graph`'s ops, inner ones first, each once, and how they are marked."""
    found: dict[Graph, str] = {}

    def visit(g: Graph) -> None:
        for op in g.ops:
            for region in op.regions:
                if region not in found:
                    visit(region)
                    found[region] = "@region\n"
                if op.kind.regions == ("kernel",):
                    found[region] = "@kernel\n"

    visit(graph)
    return found


def function_names(graph: Graph) -> dict[Graph, str]:
    """A name for the graph and for each graph that its ops hold: those first, in the order of the text."""
    functions = Names()
    own = functions.fresh(graph.name or "main")
    return {**{g: functions.fresh(g.name or "main") for g in _regions(graph)}, graph: own}


def print_graph(graph: Graph, *, locations: bool = True, names: Names | None = None) -> str:
    """Text of a graph and, above it, of the graphs that its calls hold. `names`: those of its own values."""
    parts = []
    marks, functions = _regions(graph), function_names(graph)
    for g in functions:
        lines, _ = listing(g, functions, locations=locations, names=names if g is graph else None)
        parts.append(marks.get(g, "") + "\n".join(lines) + "\n")
    return "\n".join(parts)


def listing(
    graph: Graph, functions: dict[Graph, str] | None = None, *, locations: bool = True, names: Names | None = None
) -> tuple[list[str], list[int]]:
    """The lines of one function, and the position among them of each op (a literal's: of the next op)."""
    functions = functions or {}
    name = names or Names(functions.values())
    literals = {op.result: constant_text(op.attrs["value"]) for op in graph.ops if is_literal(op)}
    lines = _header(graph, functions.get(graph, graph.name), name)
    at: list[int] = []
    for op in graph.ops:
        at.append(len(lines))
        if not is_literal(op):
            where = f"  # {_one_line(str(op.location))}" if locations and op.location else ""
            lines.append(f"    {_statement(op, literals, functions, name)}{where}")
    returned = ", ".join(literals.get(v) or name(v) for v in graph.outputs)
    lines.append(f"    return {returned}".rstrip())
    return lines, at


def _header(graph: Graph, title: str, name: Names) -> list[str]:
    inputs = [f"{name(v)}: {v.type}" for v in graph.inputs]
    result = types_text(graph.outputs)
    line = f"def {title}({', '.join(inputs)}) -> {result}:"
    if len(line) <= WIDTH:
        return [line]
    return [f"def {title}(", *(f"    {text}," for text in inputs), f") -> {result}:"]


def _statement(op: Op, literals: dict[Value, str], functions: dict[Graph, str], name: Names) -> str:
    if op.kind.name == "constant" and isinstance(op.attrs.get("value"), np.ndarray):
        body = constant_text(op.attrs["value"])
    else:
        regions = {k: functions.get(r, r.name) for k, r in zip(op.kind.regions, op.regions, strict=False)}
        callee = regions.pop("kernel", op.kind.name)
        args = [literals.get(v) or name(v) for v in op.operands]
        args += [f"{k}={attribute(v)}" for k, v in op.attrs.items()]
        args += [f"{k}={function}" for k, function in regions.items()]
        body = f"{callee}({', '.join(args)})"
    if not op.results:
        return body
    if len(op.results) == 1:
        return f"{name(op.results[0])}: {op.results[0].type} = {body}"
    return f"{', '.join(name(r) for r in op.results)} = {body}"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


PRINTER.append(print_graph)
