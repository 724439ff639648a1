"""A graph as a picture: what there is to draw, and its text for graphviz. `draw_svg` draws it without graphviz.

    x ──f32[4, 3]──► dot ──f32[4]──┬──► tanh ──f32[4]──► h        node: an input, an op or an output
                                   └──► ...                       edge: a value, with its type
                     └──────── k0 ────────┘                       group: a call, around the ops of its graph

A literal has no node: it is written in the op that reads it, `mul(·, 0.5)`. Operands enter from left to right,
but in any order where that makes no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from weft.ir.graph import Graph, Op, Value, is_literal
from weft.ir.literals import attribute, constant_text
from weft.ir.opdef import COMMUTATIVE
from weft.ir.records import dataclass, field
from weft.ir.text import function_names, listing

_UNSAID = frozenset({"shape", "dtype", "value", "batch", "contract"})  # attributes that the types show, or long ones
_NUMBERED = re.compile(r"t\d+")  # the printer's names, when the text was read back
_LONGEST = 32  # characters of a title, attributes and all: the tip has them anyway


@dataclass(frozen=True)
class Node:
    """kind: "input", "output" or the op's family. type: of the value that leaves it. tip: its line of IR and
    of the user's program. group: the index of the group that holds it, -1 for none. free: its operands may
    enter in any order."""

    kind: str
    title: str
    name: str
    type: str
    tip: str
    group: int = -1
    free: bool = False


@dataclass(frozen=True)
class Group:
    """A call. parent: the group around it, -1 for none."""

    title: str
    parent: int = -1


@dataclass
class Picture:
    """edges: (from, to), indices of nodes, in the order of operands."""

    name: str
    nodes: list[Node] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)

    def chain(self, group: int) -> Iterator[int]:
        """A group and those around it, from the inside."""
        while group >= 0:
            yield group
            group = self.groups[group].parent


def picture(graph: Graph) -> Picture:
    """What to draw of a graph."""
    return _Painter(graph).picture


class _Painter:
    def __init__(self, graph: Graph) -> None:
        self.picture = Picture(graph.name)
        self.functions = function_names(graph)
        self.source: dict[Value, int | str] = {}  # the node that a value comes from, or the literal that it is
        for v in graph.inputs:
            name = _name(v) or "input"
            self.source[v] = self._add(Node("input", name, "", str(v.type), _tip(f"{name}: {v.type}", v)), ())
        self._ops(graph, -1)
        for j, v in enumerate(graph.outputs):
            source = self.source[v]
            title = _name(v) or (f"output {j}" if len(graph.outputs) > 1 else "output")
            title = f"{title} = {source}" if isinstance(source, str) else title
            self._add(Node("output", title, "", "", f"output {j}: {v.type}"), (v,))

    def _ops(self, graph: Graph, group: int) -> None:
        lines, at = listing(graph, self.functions, locations=False)
        for op, line in zip(graph.ops, at, strict=True):
            if is_literal(op):
                self.source[op.result] = _number(op)
            elif op.kind.name == "call":
                self._call(op, group)
            else:
                types = ", ".join(str(r.type) for r in op.results)
                names = ", ".join(filter(None, map(_name, op.results)))
                tip = _tip(lines[line].strip(), op.results[0]) if op.results else lines[line].strip()
                node = Node(op.kind.family, self._title(op), names, types, tip, group, op.kind.name in COMMUTATIVE)
                self.source.update(dict.fromkeys(op.results, self._add(node, op.operands)))

    def _call(self, op: Op, group: int) -> None:
        (body,) = op.regions
        self.picture.groups.append(Group(self.functions[body], group))
        self.source.update((inner, self.source[outer]) for inner, outer in zip(body.inputs, op.operands, strict=True))
        self._ops(body, len(self.picture.groups) - 1)
        self.source.update((outer, self.source[inner]) for inner, outer in zip(body.outputs, op.results, strict=True))

    def _add(self, node: Node, operands: tuple[Value, ...]) -> int:
        index = len(self.picture.nodes)
        self.picture.nodes.append(node)
        self.picture.edges += [(s, index) for v in operands if isinstance(s := self.source[v], int)]
        return index

    def _title(self, op: Op) -> str:
        """`add`, `mul(·, 0.5)`, `sum axes=(1,)`."""
        title = op.kind.name
        sources = [self.source[v] for v in op.operands]
        if any(isinstance(s, str) for s in sources):
            title += f"({', '.join(s if isinstance(s, str) else '·' for s in sources)})"
        said = " ".join(f"{k}={attribute(v)}" for k, v in op.attrs.items() if k not in _UNSAID)
        return f"{title} {said}" if said and len(title) + len(said) < _LONGEST else title


def _name(value: Value) -> str:
    """The user's name of a value, or "" where it has none but the printer's."""
    return "" if _NUMBERED.fullmatch(value.name) else value.name


def _number(op: Op) -> str:
    """`0.5` for f32(0.5)."""
    text: str = constant_text(op.attrs["value"])
    return text.removeprefix(f"{op.result.dtype}(").removesuffix(")")


def _tip(line: str, value: Value) -> str:
    """A line of IR, and below it the user's."""
    where = value.location
    if where is None:
        return line
    return f"{line}\n{where}" + (f": {where.expression}" if where.expression else "")


def print_dot(graph: Graph) -> str:
    """Text for graphviz: `dot -Tsvg`."""
    drawn = picture(graph)
    lines = [
        f"digraph {_quoted(drawn.name)} {{",
        '  graph [fontname="monospace", fontsize=11, color="#8c959f", style=rounded]',
        '  node [fontname="monospace", fontsize=11, shape=box, style="rounded,filled", fillcolor="#f6f8fa"]',
        '  edge [fontname="monospace", fontsize=9, color="#59636e", fontcolor="#59636e"]',
    ]
    lines += _dot_nodes(drawn, -1, "  ")
    for source, target in drawn.edges:
        lines.append(f"  n{source} -> n{target} [label={_quoted(drawn.nodes[source].type)}]")
    return "\n".join([*lines, "}"]) + "\n"


_DOT_STYLE = {"input": 'shape=ellipse, fillcolor="#dafbe1"', "output": 'shape=ellipse, fillcolor="#fbefff"',
              "dot": 'fillcolor="#ddf4ff"', "reduce": 'fillcolor="#fff8c5"'}  # fmt: skip


def _dot_nodes(drawn: Picture, group: int, indent: str) -> list[str]:
    lines = []
    for i, node in enumerate(drawn.nodes):
        if node.group == group:
            label = f"{node.title}\n{node.name}" if node.name else node.title
            known: dict[str, Any] = {"label": label, "tooltip": node.tip}
            words = [f"{k}={_quoted(v)}" for k, v in known.items()]
            words += [_DOT_STYLE[node.kind]] if node.kind in _DOT_STYLE else []
            lines.append(f"{indent}n{i} [{', '.join(words)}]")
    for g, inner in enumerate(drawn.groups):
        if inner.parent == group:
            lines += [f"{indent}subgraph cluster_{g} {{", f"{indent}  label={_quoted(inner.title)}"]
            lines += [*_dot_nodes(drawn, g, indent + "  "), indent + "}"]
    return lines


def _quoted(text: str) -> str:
    r"""A string of graphviz's: `\` and `"` escaped, a line's end as `\n`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + "".join(c if c.isprintable() else "?" for c in escaped) + '"'
