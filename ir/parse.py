"""The textual form, read: `parse(print_graph(g))` is equal to `g`, names included (see `weft.ir.text`).

Python's own parser makes the tree, and this module walks it; nothing is ever executed. What the walk meets
is one of these, and anything else is a ParseError that says what was expected on which line:

    function   [@kernel or @region] def name(x: f32[3], ...) -> (f32, i64[2]): statement... return operand, ...
    statement  y: f32[3] = op(operand, ..., attr=value, ...)        one result, its type checked
               a, b = kernel(operand, ...)                          several results of a function above
               a, b = loop(operand, ..., attr=value, ..., body=f)   an op that holds functions above
               w: f32[2] = f32([0.5, 1.0])                          a constant
    operand    a name, or a literal: f32(0.5), bool(True), f64(-inf), f16(bits(0x7e01))
"""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from typing import Any

from weft.ir.builder import Builder
from weft.ir.dims import Dim
from weft.ir.graph import Graph, Location, Value
from weft.ir.literals import Unreadable, read_attribute, read_constant, read_type
from weft.ir.opdef import REGISTRY, IRTypeError, OpDef
from weft.ir.ops.control import call
from weft.ir.sizes import Sizes
from weft.ir.text import types_text
from weft.ir.types import NAMES, TensorType

_LOCATION = re.compile(r"\s*#\s*(\S.*):(\d{1,9})\s*")


class ParseError(ValueError):
    """IR text that can't be read. `line` and `column` are 1-based (column 0: none in particular), `text` is that
    line, `problem` what was expected there."""

    def __init__(self, problem: str, line: int, text: str, column: int = 0) -> None:
        self.problem, self.line, self.text, self.column = problem, line, text, column
        shown = text.strip()
        shown = shown if len(shown) <= 160 else shown[:157] + "..."
        super().__init__(f"line {line}: {problem}" + (f": {shown}" if shown else ""))


def parse(text: str, sizes: Sizes | None = None) -> Graph:
    """The last function of `text`; functions above it are what its ops hold. Raises ParseError.

    sizes: the symbols that may stand in dims and attributes, with values (see `weft.ir.dims`).
    """
    lines = re.split("\r\n|\r|\n", text)
    column = 0
    try:
        with warnings.catch_warnings():  # "'int' object is not callable" and the like
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        return _module(tree, lines, sizes)
    except Unreadable as err:
        problem, line = err.expected, getattr(err.node, "lineno", len(lines))
        column = _column(lines, err.node) if err.node is not None else 0
    except SyntaxError as err:
        problem, line, column = f"not Python syntax ({err.msg})", err.lineno or 1, err.offset or 0
    except (ValueError, RecursionError, MemoryError) as err:
        problem, line = f"not Python syntax ({err or 'too deeply nested'})", 1
    raise ParseError(problem, line, lines[line - 1] if 1 <= line <= len(lines) else "", column)


def _module(tree: ast.Module, lines: list[str], sizes: Sizes | None) -> Graph:
    functions: dict[str, Graph] = {}
    graph, more = None, True
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            raise Unreadable(node, "expected a function, `def name(...) -> type:`")
        if not more:
            raise Unreadable(node, "expected the end: only functions marked @kernel or @region have another below them")
        for d in node.decorator_list:
            if not isinstance(d, ast.Name) or d.id not in ("kernel", "region") or len(node.decorator_list) > 1:
                raise Unreadable(d, "expected @region or @kernel and no other decorator")
        if node.name in functions or node.name in REGISTRY or node.name in NAMES:
            raise Unreadable(node, f"expected a new name, {node.name!r} is taken")
        more = bool(node.decorator_list)
        graph = functions[node.name] = _Function(node, functions, lines, sizes).read()
    if graph is None:
        raise Unreadable(None, "expected a function, `def name(...) -> type:`, got nothing")
    return graph


class _Function:
    """Reads one function into a graph."""

    def __init__(
        self, node: ast.FunctionDef, functions: dict[str, Graph], lines: list[str], sizes: Sizes | None
    ) -> None:
        self.sizes = sizes
        self.node = node
        self.functions = functions
        self.lines = lines
        self.build = Builder(node.name)
        self.values: dict[str, Value] = {}

    def read(self) -> Graph:
        node, a = self.node, self.node.args
        if a.posonlyargs or a.vararg or a.kwonlyargs or a.kwarg or a.defaults:
            raise Unreadable(node, "expected plain inputs, `name: type`")
        for arg in a.args:
            if arg.arg in self.values:
                raise Unreadable(arg, f"expected a new name, {arg.arg!r} is an input already")
            self.values[arg.arg] = self.build.input(read_type(arg.annotation, arg, self.sizes), arg.arg).value
        *statements, last = node.body
        for statement in statements:
            self.statement(statement)
        if not isinstance(last, ast.Return):
            raise Unreadable(last, "expected the last line to be `return value, ...`")
        return self.finish(last)

    def finish(self, node: ast.Return) -> Graph:
        outputs = [self.operand(item) for item in _items(node.value)]
        graph = self.build.finish(outputs)
        declared = self.node.returns
        if declared is None:
            raise Unreadable(self.node, f"expected the result types, `-> {types_text(graph.outputs)}:`")
        if [read_type(part, self.node, self.sizes) for part in _items(declared)] != [v.type for v in outputs]:
            have = types_text(graph.outputs)
            raise Unreadable(node, f"expected results of the types that the function declares, got {have}")
        return graph

    def statement(self, node: ast.stmt) -> None:
        self.build.location = self.location(node)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            declared = read_type(node.annotation, node, self.sizes)
            (result,) = self.expression(node.value, [node.target.id], declared)
            if result.type != declared:
                raise Unreadable(node, f"expected the type {result.type}, as the operands give it")
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            targets = _items(node.targets[0])
            names = [t.id for t in targets if isinstance(t, ast.Name)]
            if isinstance(node.targets[0], ast.Name) or len(names) != len(targets):
                raise Unreadable(node, "expected `name: type = op(...)`, or several names on the left")
            self.expression(node.value, names, None)
        elif isinstance(node, ast.Expr):
            self.expression(node.value, [], None)
        else:
            raise Unreadable(node, "expected `name: type = op(...)` or `a, b = kernel(...)`")

    def location(self, node: ast.stmt) -> Location | None:
        """The `# file:line` that follows a statement."""
        line = self.lines[(node.end_lineno or node.lineno) - 1]
        rest = line.encode()[node.end_col_offset :].decode()
        found = _LOCATION.fullmatch(rest)
        return Location(found[1], int(found[2])) if found else None

    def expression(self, node: ast.expr, names: list[str], declared: TensorType | None) -> list[Value]:
        """Append what the right side says; its results are called `names`."""
        for i, name in enumerate(names):
            if name in self.values or name in names[:i]:
                raise Unreadable(node, f"expected a new name, {name!r} is defined already")
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise Unreadable(node, "expected op(...), a kernel(...) or a constant such as f32(0.5)")
        callee = node.func.id
        if callee in NAMES:
            value = read_constant(node, declared)
            results = self.emit(node, REGISTRY["constant"], [], {"value": value}, names)
        else:
            attrs = self.attributes(node, callee)
            operands = [self.operand(arg) for arg in node.args]
            body = self.functions.get(callee)
            kind = call if body else REGISTRY[callee]
            regions = (body,) if body else tuple(attrs.pop(k) for k in kind.regions)
            results = self.emit(node, kind, operands, attrs, names, regions)
        self.values.update(zip(names, results, strict=True))
        return results

    def attributes(self, node: ast.Call, callee: str) -> dict[str, Any]:
        """What the keywords say, in the op's order: its attributes, then the graphs that it holds."""
        want: tuple[str, ...] = ()
        regions: tuple[str, ...] = ()
        if callee not in self.functions:
            if callee not in REGISTRY or callee in ("call", "constant"):
                near = _near(callee, [*REGISTRY, *self.functions])
                raise Unreadable(node, f"expected an op or a kernel defined above, got {callee!r}{near}")
            regions = REGISTRY[callee].regions
            optional = tuple(k.arg for k in node.keywords if k.arg in REGISTRY[callee].optional)
            want = (*REGISTRY[callee].attr_names, *optional, *regions)
        have = [k.arg or "**" for k in node.keywords]
        if sorted(have) != sorted(want):
            said = ", ".join(f"{k}=" for k in want) or "no attributes"
            got = ", ".join(f"{k}=" for k in have) or "none"
            raise Unreadable(node, f"expected {callee} with {said}, got {got}")
        given = {k.arg: self.region(k.value) if k.arg in regions else self.attribute(k.value) for k in node.keywords}
        return {k: given[k] for k in want}

    def attribute(self, node: ast.expr) -> Any:
        return read_attribute(node, self.sizes)

    def region(self, node: ast.expr) -> Graph:
        graph = self.functions.get(node.id) if isinstance(node, ast.Name) else None
        if graph is None:
            raise Unreadable(node, "expected the name of a function above")
        return graph

    def emit(
        self,
        node: ast.expr,
        kind: OpDef,
        operands: list[Value],
        attrs: dict[str, Any],
        names: list[str],
        regions: tuple[Graph, ...] = (),
    ) -> list[Value]:
        types = self.infer(node, kind, operands, attrs, regions)
        if len(types) != len(names):
            raise Unreadable(node, f"expected {_count(len(types), 'name')} for the results, got {len(names)}")
        emitted = self.build.emit(kind, operands, attrs, regions=regions, names=names)
        return [e.value for e in emitted]

    def infer(self, node: ast.expr, kind: OpDef, operands: list[Value], attrs: Any, regions: Any) -> Any:
        """The op's type rule, asked first so that whatever it thinks of strange attributes is our error."""
        if kind.arity not in (-1, len(operands)):
            want = _count(kind.arity, "operand")
            raise Unreadable(node, f"expected {kind.name} with {want}, got {len(operands)}")
        types = tuple(v.type for v in operands)
        try:
            found = list(kind.infer(types, attrs, regions) if regions else kind.infer(types, attrs))
            sound = all(isinstance(d, Dim) or type(d) is int and d >= 0 for t in found for d in t.dims)
        except IRTypeError as err:
            raise Unreadable(node, str(err)) from None
        except Exception:  # a rule that was handed a string for a tuple, say
            sound = False
        if not sound:
            given = ", ".join(map(str, types))
            raise Unreadable(node, f"expected operands and attributes that {kind.name} takes, got ({given})")
        return found

    def operand(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Name):
            value = self.values.get(node.id)
            if value is None:
                near = _near(node.id, list(self.values))
                raise Unreadable(node, f"expected a value defined above, got {node.id!r}{near}")
            return value
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
            return self.build.constant(read_constant(node, None), node.func.id).value
        raise Unreadable(node, "expected a name or a literal such as f32(0.5)")


def _column(lines: list[str], node: Any) -> int:
    """Where a node begins; Python's trees count in bytes."""
    return len(lines[node.lineno - 1].encode()[: node.col_offset].decode()) + 1


def _items(node: ast.expr | None) -> list[ast.expr]:
    if node is None:
        return []
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _near(word: str, known: list[str]) -> str:
    found = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")
