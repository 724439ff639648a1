"""Which names a piece of a function assigns and reads.

    for i in range(n):              assigned: i, total, self.t        read: n, total, x, self
        total += x[i]
        self.t = total

Names of nested functions, classes and comprehensions are their own. An attribute of a name that is assigned
(`self.t`) counts as a variable too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class _Names(ast.NodeVisitor):
    def __init__(self) -> None:
        self.assigned: dict[str, None] = {}
        self.read: dict[str, None] = {}
        self.stored: dict[str, None] = {}  # what may be changed in place: `a` of `a[i] = v` and of `a += v`
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        (self.read if isinstance(node.ctx, ast.Load) else self.assigned)[node.id] = None

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.read[node.target.id] = self.stored[node.target.id] = None
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        path = attribute_path(node)
        if isinstance(node.ctx, ast.Store) and path is not None:
            self.assigned[path] = None
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> None:
        self.globals.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.nonlocals.update(node.names)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            self.stored[node.value.id] = None
        self.generic_visit(node)

    def _scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.assigned[node.name] = None
        for inner in _reads_of_scope(node):
            self.read[inner] = None

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _scope

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for inner in _reads_of_scope(node):
            self.read[inner] = None

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        inner = _Names()
        inner.generic_visit(node)
        for name in inner.read:
            if name not in inner.assigned:
                self.read[name] = None
        for child in ast.walk(node):  # a walrus in a comprehension binds outside it
            if isinstance(child, ast.NamedExpr):
                self.assigned[child.target.id] = None

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.assigned[node.name] = None
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.assigned[(alias.asname or alias.name).split(".")[0]] = None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self.assigned[alias.asname or alias.name] = None


def _reads_of_scope(node: ast.AST) -> list[str]:
    """Names that a nested function or class may read from around it."""
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]


def attribute_path(node: ast.expr) -> str | None:
    """`self.a.b` as a string; None when it does not begin with a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) and parts else None


def names_in(nodes: Iterable[ast.AST]) -> _Names:
    found = _Names()
    for node in nodes:
        found.visit(node)
    return found


def local_names(function: ast.FunctionDef | ast.Lambda) -> set[str]:
    """The parameters and the names that the function's body assigns."""
    a = function.args
    names = {p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs)}
    names |= {p.arg for p in (a.vararg, a.kwarg) if p is not None}
    body = names_in(function.body if isinstance(function.body, list) else [function.body])
    return names | ({n for n in body.assigned if "." not in n} - body.globals)


def holds(nodes: Iterable[ast.AST], kinds: tuple[type, ...], inside_loops: bool = True) -> bool:
    """Whether statements hold a node of these kinds, outside nested functions (and, if told so, inner loops)."""
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, kinds):
            return True
        if isinstance(node, (*_SCOPES, *_COMPREHENSIONS)):
            continue
        if not inside_loops and isinstance(node, ast.For | ast.While):
            todo.extend(node.orelse)
            continue
        todo.extend(ast.iter_child_nodes(node))
    return False
