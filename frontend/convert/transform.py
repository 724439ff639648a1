"""A function's tree rewritten: statements and operators that decide something become calls of hooks.

    if test:                    def then__(): nonlocal x; x = f(x)
        x = f(x)          ->    def orelse__(): nonlocal x; pass
                                __weft__.if_(test, then__, orelse__, State(("x",), ...))
    a and b               ->    __weft__.and_(lambda: a, lambda: b)
    f(x)                  ->    __weft__.call(f, x)
    a[i] = v              ->    a = __weft__.set_item(a, i, v)          where a is a local variable

The nodes keep their places in the source: errors and the IR show the user's lines. See `hooks` for what these do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any

from weft.frontend.convert.jumps import lower_jumps
from weft.frontend.convert.names import holds, local_names, names_in

HOOKS = "__weft__"
# Functions that look at the frame that calls them.
FRAME_READERS = frozenset({"super", "locals", "globals", "vars", "dir", "eval", "exec", "breakpoint", "__import__"})


def convert_function(node: ast.FunctionDef | ast.Lambda) -> None:
    """Rewrite a function in place; it reads the hooks by the name `__weft__`."""
    _Function(node, set()).run()


class _Function(ast.NodeTransformer):
    """One function's rewriting. `outer`: the local names of the functions around it."""

    def __init__(self, node: ast.FunctionDef | ast.Lambda, outer: set[str]) -> None:
        self.node = node
        self.locals = local_names(node)
        self.outer = outer
        self.count = 0
        self.stops: dict[ast.stmt, list[str]] = {}
        self.needed: dict[str, None] = {}  # variables that must exist from the start
        self.globals: set[str] = set()

    def run(self) -> None:
        node = self.node
        if isinstance(node, ast.Lambda):
            node.body = self.visit(node.body)
            return
        place = node.body[0]
        declared = names_in(node.body)
        self.globals = declared.globals
        body, self.stops = lower_jumps(node.body)
        self.locals |= {n for n in names_in(body).assigned if "." not in n} - self.globals  # the flags too
        body = self.block(body)
        given = local_names(ast.Lambda(node.args, ast.Constant(None))) | declared.nonlocals
        missing = [name for name in self.needed if name not in given]
        first = [_moved(_parse(f"{name} = {HOOKS}.Undefined({name!r})"), place) for name in missing]
        outside = [s for s in body if isinstance(s, ast.Global | ast.Nonlocal)]
        node.body = [*outside, *first, *(s for s in body if s not in outside)]

    def block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for s in statements:
            made = self.visit(s)
            found += made if isinstance(made, list) else [made]
        return found

    # Nested functions are functions of their own.

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [d and self.visit(d) for d in node.args.kw_defaults]
        if convertible(node):
            _Function(node, self.outer | self.locals).run()
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.stmt:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.stmt:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        if not holds([node.body], (ast.Yield, ast.YieldFrom, ast.NamedExpr)):
            _Function(node, self.outer | self.locals).run()
        return node

    # Statements.

    def visit_If(self, node: ast.If) -> list[ast.stmt]:
        names = self._variables([*node.body, *node.orelse])
        test = self.visit(node.test)
        then = self._closure("then", node.body, names, node)
        orelse = self._closure("orelse", node.orelse, names, node)
        setter, state = self._state(names, node)
        call = self._hook("if_", [test, _load(then.name), _load(orelse.name), state], node.test)
        return [then, orelse, *setter, _at(ast.Expr(call), node.test)]

    def visit_While(self, node: ast.While) -> list[ast.stmt]:
        names = self._variables([*node.body, ast.Expr(node.test)])
        reads = self._reads([*node.body, ast.Expr(node.test)], node)
        test_place = test_expr = node.test
        stops = self.stops.get(node, [])
        if stops:
            tests: list[ast.expr] = [ast.UnaryOp(ast.Not(), _load(f)) for f in stops]
            test_expr = ast.BoolOp(ast.And(), [*tests, test_expr])
            _at(test_expr, node.test)
        test = self._closure("test", [_at(ast.Return(test_expr), node.test)], names, node)
        body = self._closure("body", node.body, names, node)
        setter, state = self._state(names, node)
        call = self._hook("while_", [_load(test.name), _load(body.name), state, reads], test_place)
        return [test, body, *setter, _at(ast.Expr(call), test_place)]

    def visit_For(self, node: ast.For) -> list[ast.stmt]:
        target = _at(ast.Assign([node.target], _load("item__")), node.target)
        names = self._variables([target, *node.body])
        reads = self._reads(node.body, node)
        stops = self.stops.get(node, [])
        iterable = self.visit(node.iter)
        body = self._closure("body", [target, *node.body], names, node, "item__")
        stop: ast.expr = ast.Constant(None)
        found: list[ast.stmt] = [body]
        if stops:
            tests: list[ast.expr] = [ast.UnaryOp(ast.Not(), _load(f)) for f in stops]
            go = tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)
            test = self._closure("test", [_at(ast.Return(_at(go, node)), node)], names, node)
            found.append(test)
            stop = _load(test.name)
        setter, state = self._state(names, node)
        head = ast.copy_location(ast.Expr(stop), node)  # the `for` line alone
        head.end_lineno, head.end_col_offset = node.iter.end_lineno, node.iter.end_col_offset
        nested = ast.Constant(holds(node.body, (ast.For, ast.While)))
        call = self._hook("for_", [iterable, _load(body.name), stop, state, reads, nested], head)
        return [*found, *setter, _at(ast.Expr(call), head)]

    def visit_Try(self, node: ast.Try) -> ast.stmt:
        node.body, node.orelse = self.block(node.body), self.block(node.orelse)
        node.finalbody = self.block(node.finalbody)
        for h in node.handlers:
            h.body = self.block(h.body)
        return node

    def visit_With(self, node: ast.With) -> ast.stmt:
        for item in node.items:
            item.context_expr = self.visit(item.context_expr)
        node.body = self.block(node.body)
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        message = node.msg if node.msg is not None else ast.Constant(None)
        parts = [_thunk(self.visit(node.test)), _thunk(self.visit(message))]
        return _at(ast.Expr(self._hook("assert_", parts, node)), node)

    def visit_Assign(self, node: ast.Assign) -> ast.stmt | list[ast.stmt]:
        if len(node.targets) == 1 and _stores_elements(node.targets[0]):
            return self._unpacked(node)
        value = self.visit(node.value)
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
            target = node.targets[0]
            return self._set_item(target, "set_item", [self.visit(_key(target.slice)), value], node)
        node.targets = [self._target(t) for t in node.targets]
        node.value = value
        return node

    def _unpacked(self, node: ast.Assign) -> list[ast.stmt]:
        """`a[i], b = v` one after the other."""
        target: Any = node.targets[0]
        self.count += 1
        name = f"parts_{self.count}__"
        parts = self._hook("unpack", [self.visit(node.value), ast.Constant(len(target.elts))], node)
        found: list[ast.stmt] = [_at(ast.Assign([ast.Name(name, ast.Store())], parts), node)]
        for i, element in enumerate(target.elts):
            item = _at(ast.Subscript(_load(name), ast.Constant(i), ast.Load()), element)
            made = self.visit_Assign(_at(ast.Assign([element], item), node))
            found += made if isinstance(made, list) else [made]
        return found

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        name = ast.Constant(type(node.op).__name__)
        value = self.visit(node.value)
        if isinstance(node.target, ast.Subscript):
            return self._set_item(node.target, "augment_item", [self.visit(_key(node.target.slice)), name, value], node)
        if isinstance(node.target, ast.Name):
            made = self._hook("augment", [name, _at(_load(node.target.id), node.target), value], node)
            return _at(ast.Assign([node.target], made), node)
        node.value = value
        return node

    def _set_item(self, target: ast.Subscript, hook: str, rest: list[ast.expr], node: ast.stmt) -> ast.stmt:
        """A store into a local variable's array may give the variable another object."""
        base = target.value
        own = isinstance(base, ast.Name) and base.id in self.locals
        call = self._hook(hook if own else hook + "_of", [self.visit(base), *rest], node)
        if own:
            assert isinstance(base, ast.Name)
            return _at(ast.Assign([_at(ast.Name(base.id, ast.Store()), base)], call), node)
        return _at(ast.Expr(call), node)

    def _target(self, target: ast.expr) -> ast.expr:
        """What is evaluated in a target: the object and the key of `a[f(i)] = ...` among others."""
        for child in ast.walk(target):
            if isinstance(child, ast.Subscript):
                child.slice = self.visit(child.slice)
        return target

    # Expressions.

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        if holds(node.values, (ast.NamedExpr, ast.Yield, ast.Await)):
            return node
        hook = "and_" if isinstance(node.op, ast.And) else "or_"
        return self._hook(hook, [_thunk(self.visit(v)) for v in node.values], node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            return self._hook("not_", [operand], node)
        node.operand = operand
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        if holds([node.body, node.orelse], (ast.NamedExpr, ast.Yield, ast.Await)):
            return node
        sides = [_thunk(self.visit(node.body)), _thunk(self.visit(node.orelse))]
        return self._hook("choose", [self.visit(node.test), *sides], node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        node.left = self.visit(node.left)
        node.comparators = [self.visit(c) for c in node.comparators]
        if len(node.ops) == 1 or holds(node.comparators, (ast.NamedExpr, ast.Yield, ast.Await)):
            return node
        ops = ast.Constant(" ".join(type(op).__name__ for op in node.ops))
        return self._hook("compare", [ops, node.left, *map(_thunk, node.comparators)], node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id in FRAME_READERS:
            return node
        self.generic_visit(node)
        made = ast.Call(_hook_name("call", node), [node.func, *node.args], node.keywords)
        return ast.copy_location(made, node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        fixed = all(isinstance(n, ast.Constant | ast.Slice | ast.Tuple | ast.UnaryOp | ast.unaryop | ast.Load)
                    for n in ast.walk(node.slice))  # fmt: skip
        if fixed or not isinstance(node.ctx, ast.Load) or holds([node.slice], (ast.Starred,)):
            return node
        return self._hook("get_item", [node.value, _key(node.slice)], node)

    def visit_ListComp(self, node: Any) -> Any:
        if holds([node], (ast.NamedExpr, ast.Await)):
            return node
        return self.generic_visit(node)

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp

    # Pieces.

    def _hook(self, name: str, arguments: list[ast.expr], at: ast.AST) -> ast.Call:
        return _at(ast.Call(_hook_name(name, at), arguments, []), at)

    def _variables(self, nodes: Sequence[ast.AST]) -> dict[str, bool]:
        """The local variables, and attributes of them, that statements assign; whether they assign elements of it."""
        names = names_in(nodes)
        assigned = {**names.assigned, **names.stored}
        found = {n: n in names.stored for n in assigned if n.split(".")[0] in self.locals}
        self.needed.update(dict.fromkeys(n for n in found if "." not in n))
        return found

    def _reads(self, nodes: Sequence[ast.AST], at: ast.AST) -> ast.expr:
        """A function that gives what the statements read of the variables of this function and those around it."""
        known = self.locals | self.outer
        names = [n for n in names_in(nodes).read if n in known and n != "item__"]
        return _at(ast.Tuple([_thunk(_load(n)) for n in names], ast.Load()), at)

    def _closure(
        self, hint: str, body: Sequence[ast.stmt], names: Iterable[str], at: ast.AST, argument: str = ""
    ) -> ast.FunctionDef:
        """A nested function of these statements, which assigns the variables around it."""
        self.count += 1
        statements = self.block([*body]) or [ast.Pass()]
        own = [n for n in names if "." not in n]
        if own:
            statements = [ast.Nonlocal(own), *statements]
        used = [n for n in names_in(body).assigned if n in self.globals]
        if used:
            statements = [ast.Global(used), *statements]
        arguments = ast.arguments([], [ast.arg(argument)] if argument else [], None, [], [], None, [])
        made = ast.FunctionDef(f"{hint}_{self.count}__", arguments, statements, [])
        made.type_params = []  # type: ignore[attr-defined]
        return _at(made, at)

    def _state(self, names: dict[str, bool], at: ast.AST) -> tuple[list[ast.stmt], ast.expr]:
        """A function that sets the variables, and `__weft__.state(names, getters, setter, stored)`."""
        if not names:
            return [], self._hook("no_state", [], at)
        self.count += 1
        name = f"set_{self.count}__"
        lines = [f"def {name}(values__):"]
        plain = [n for n in names if "." not in n]
        if plain:
            lines.append(f"    nonlocal {', '.join(plain)}")
        for i, n in enumerate(names):
            owner, _, attribute = n.rpartition(".")
            store = f"{n} = values__[{i}]" if not owner else f"{HOOKS}.put({owner}, {attribute!r}, values__[{i}])"
            lines.append(f"    {store}")
        getters = [_moved(_thunk(_parse_expression(n)), at) for n in names]
        listed, stored = _names(names), _names(n for n in names if names[n])
        state = self._hook("state", [listed, ast.Tuple(getters, ast.Load()), _load(name), stored], at)
        return [_moved(_parse("\n".join(lines)), at)], state


def _stores_elements(target: ast.expr) -> bool:
    """A tuple of targets with `a[i]` among them."""
    if not isinstance(target, ast.Tuple | ast.List) or any(isinstance(e, ast.Starred) for e in target.elts):
        return False
    return any(isinstance(n, ast.Subscript) for n in ast.walk(target))


def _key(key: ast.expr) -> ast.expr:
    """A subscript's key as an expression: slices are made by `slice(...)`."""
    if isinstance(key, ast.Slice):
        parts = [p if p is not None else ast.Constant(None) for p in (key.lower, key.upper, key.step)]
        made = ast.Call(_hook_name("slice", key), parts, [])
        return _at(made, key)
    if isinstance(key, ast.Tuple):
        return ast.copy_location(ast.Tuple([_key(e) for e in key.elts], ast.Load()), key)
    return key


def convertible(node: ast.FunctionDef | ast.Lambda) -> bool:
    """Functions with `yield`, `await`, or jumps out of `try` keep their own form."""
    body = node.body if isinstance(node.body, list) else [node.body]
    if holds(body, (ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith, ast.Match, ast.TryStar)):
        return False
    tries = [n for b in body for n in ast.walk(b) if isinstance(n, ast.Try)]
    return not any(holds([t], (ast.Return, ast.Break, ast.Continue)) for t in tries)


def _names(names: Iterable[str]) -> ast.expr:
    return ast.Tuple([ast.Constant(n) for n in names], ast.Load())


def _load(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _thunk(body: ast.expr) -> ast.expr:
    """`lambda: body`."""
    arguments = ast.arguments([], [], None, [], [], None, [])
    return _at(ast.Lambda(arguments, body), body)


def _hook_name(name: str, at: ast.AST) -> ast.expr:
    return _at(ast.Attribute(_load(HOOKS), name, ast.Load()), at)


def _parse(text: str) -> ast.stmt:
    return ast.parse(text).body[0]


def _parse_expression(text: str) -> ast.expr:
    node: Any = ast.parse(text, mode="eval").body
    return node  # type: ignore[no-any-return]


def _moved(node: Any, place: ast.AST) -> Any:
    """Give a parsed node and all its parts the place of another."""
    for part in ast.walk(node):
        if "lineno" in part._attributes:
            ast.copy_location(part, place)
    return node


def _at(node: Any, place: ast.AST) -> Any:
    """Give a new node, and its parts that have none, the place of an old one."""
    if "lineno" in getattr(node, "_attributes", ()) and not hasattr(node, "lineno"):
        ast.copy_location(node, place)
    for part in ast.iter_child_nodes(node):
        _at(part, node if hasattr(node, "lineno") else place)
    return node
