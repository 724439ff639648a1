"""`return`, `break` and `continue` become flags, so that every statement runs to its end.

    while test:                            while not left_1 and test:
        if a: break              ->            if a: left_1 = True
        f()                                    if not left_1: f()

    if a: return x                         if a: result = x
    return y                     ->        else: result = y
                                           return result

A branch that always returns takes the rest of its block as its other side, so that most returns need no flag.
"""

from __future__ import annotations

import ast
from itertools import count

from weft.frontend.convert.names import holds

DONE, RESULT = "returned__", "result__"


def lower_jumps(body: list[ast.stmt]) -> tuple[list[ast.stmt], dict[ast.stmt, list[str]]]:
    """A function's body without jumps but a last `return`, and for each of its loops the flags that end it."""
    lowering = _Lowering()
    if not holds(body[:-1], (ast.Return,)) and not _inside(body[-1], ast.Return):
        return lowering.block(body, None, keep_return=True), lowering.stops
    if not _always_returns(body):
        body = [*body, ast.copy_location(ast.Return(None), body[-1])]
    inner = lowering.block(_nested(body), None)
    first = _assign(DONE, ast.Constant(False), body[0])
    result = ast.parse(f"__weft__.returned(lambda: {RESULT})", mode="eval").body
    for node in ast.walk(result):
        ast.copy_location(node, body[-1])
    return [first, *inner, ast.copy_location(ast.Return(result), body[-1])], lowering.stops


def _inside(statement: ast.stmt, kind: type) -> bool:
    """Whether a statement that is no such one itself holds one."""
    return not isinstance(statement, kind) and holds([statement], (kind,))


def _assign(name: str, value: ast.expr, at: ast.AST) -> ast.stmt:
    node = ast.Assign([ast.Name(name, ast.Store())], value)
    for part in ast.walk(node):
        if part is not value and not hasattr(part, "lineno") and hasattr(part, "_attributes"):
            ast.copy_location(part, at)
    return ast.fix_missing_locations(node)


def _nested(block: list[ast.stmt]) -> list[ast.stmt]:
    """Move what follows a branch that always returns into its other side."""
    found: list[ast.stmt] = []
    for i, s in enumerate(block):
        if isinstance(s, ast.If):
            s.body, s.orelse = _nested(s.body), _nested(s.orelse)
            rest = block[i + 1 :]
            if rest and _always_returns(s.body):
                s.orelse = _nested([*s.orelse, *rest])
                return [*found, s]
            if rest and s.orelse and _always_returns(s.orelse):
                s.body = _nested([*s.body, *rest])
                return [*found, s]
        found.append(s)
    return found


def _always_returns(block: list[ast.stmt]) -> bool:
    for s in block:
        if isinstance(s, ast.Return | ast.Raise):
            return True
        if isinstance(s, ast.If) and s.orelse and _always_returns(s.body) and _always_returns(s.orelse):
            return True
        if isinstance(s, ast.While) and isinstance(s.test, ast.Constant) and s.test.value:
            return not holds(s.body, (ast.Break,), inside_loops=False)  # it is only left by a return
    return False


class _Lowering:
    def __init__(self) -> None:
        self.stops: dict[ast.stmt, list[str]] = {}
        self._count = count(1)

    def block(
        self, block: list[ast.stmt], loop: tuple[str, str] | None, keep_return: bool = False
    ) -> list[ast.stmt]:
        """A block without jumps; what follows a statement that may jump is guarded by its flags.

        loop: the flags of the loop around it, for break and for continue.
        """
        found: list[ast.stmt] = []
        for i, s in enumerate(block):
            if isinstance(s, ast.Return) and keep_return:
                return [*found, s]
            found += self.statement(s, loop)
            if isinstance(s, ast.Return | ast.Break | ast.Continue):
                return found  # nothing after it runs
            flags = _flags_of(s)
            rest = block[i + 1 :]
            if flags and rest:
                return [*found, _guard(flags, self.block(rest, loop, keep_return), rest[0])]
        return found

    def statement(self, s: ast.stmt, loop: tuple[str, str] | None) -> list[ast.stmt]:
        if isinstance(s, ast.Return):
            value = s.value or ast.copy_location(ast.Constant(None), s)
            return [_assign(RESULT, value, s), _assign(DONE, ast.Constant(True), s)]
        if isinstance(s, ast.Break | ast.Continue):
            assert loop is not None
            return [_assign(loop[isinstance(s, ast.Continue)], ast.Constant(True), s)]
        if isinstance(s, ast.If):
            s.may_jump__ = _jumps(s, loop)  # type: ignore[attr-defined]
            s.body, s.orelse = self.block(s.body, loop), self.block(s.orelse, loop)
        elif isinstance(s, ast.With):
            s.may_jump__ = _jumps(s, loop)  # type: ignore[attr-defined]
            s.body = self.block(s.body, loop)
        elif isinstance(s, ast.For | ast.While):
            return self._loop(s, loop)
        return [s]

    def _loop(self, s: ast.For | ast.While, loop: tuple[str, str] | None) -> list[ast.stmt]:
        """A loop; its flags are cleared before it (break) or before each trip (continue)."""
        n = next(self._count)
        own = (f"left_{n}__", f"skip_{n}__")
        jumps = _jumps(s, own)
        s.may_jump__ = [f for f in jumps if f == DONE]  # type: ignore[union-attr]
        orelse, s.orelse = s.orelse, []
        breaks = own[0] in _jumps_of_block(s.body, own)
        s.body = self.block(s.body, own)
        if own[1] in jumps:
            s.body.insert(0, _assign(own[1], ast.Constant(False), s))
        self.stops[s] = [f for f in jumps if f != own[1]]
        found: list[ast.stmt] = [_assign(own[0], ast.Constant(False), s)] if breaks else []
        found.append(s)
        flags = self.stops[s]
        if orelse and flags:
            found.append(_guard(flags, self.block(orelse, loop), orelse[0]))
        elif orelse:
            found += self.block(orelse, loop)
        return found


def _guard(flags: list[str], block: list[ast.stmt], at: ast.stmt) -> ast.stmt:
    """`if not flag: block`."""
    tests: list[ast.expr] = [ast.UnaryOp(ast.Not(), ast.Name(f, ast.Load())) for f in flags]
    test = tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)
    node = ast.If(test, block, [])
    ast.copy_location(node, at)
    for part in ast.walk(test):
        ast.copy_location(part, at)
    return node


def _flags_of(s: ast.stmt) -> list[str]:
    return list(getattr(s, "may_jump__", ()))


def _jumps(s: ast.stmt, loop: tuple[str, str] | None) -> list[str]:
    """The flags that a statement may raise."""
    blocks = [s.body, s.orelse] if isinstance(s, ast.If | ast.For | ast.While) else [s.body]  # type: ignore[attr-defined]
    return sorted({f for block in blocks for f in _jumps_of_block(block, loop)})


def _jumps_of_block(block: list[ast.stmt], loop: tuple[str, str] | None) -> set[str]:
    found: set[str] = set()
    for s in block:
        if holds([s], (ast.Return,)):
            found.add(DONE)
        if loop is not None and holds([s], (ast.Break,), inside_loops=False):
            found.add(loop[0])
        if loop is not None and holds([s], (ast.Continue,), inside_loops=False):
            found.add(loop[1])
    return found
