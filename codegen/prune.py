"""Cuts source text down to the definitions that are used.

    prune("import numpy as np\\nimport math\\nf32, f64 = np.float32, np.float64\\n", {"f32"})
        ->  "import numpy as np\\n\\nf32, f64 = np.float32, np.float64\\n"

A statement stays if it defines a name that is asked for, or one that a statement that stays reads. An `if` at
the top level is looked into: each branch keeps its own.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator


def used_names(source: str) -> set[str]:
    """Names that the text reads."""
    return _reads(ast.parse(source))


def defined_names(source: str) -> set[str]:
    """Names that statements at the top level of the text define."""
    return set().union(*map(_defines, _parts(ast.parse(source).body)))


def prune(text: str, used: Collection[str]) -> str:
    """The statements of `text` that define names in `used`, or what those read, in order."""
    tree = ast.parse(text)
    needed = set(used)
    kept: set[ast.stmt] = set()
    waiting = list(_parts(tree.body))
    while found := [s for s in waiting if _defines(s) & needed]:
        for s in found:
            kept.add(s)
            needed |= _reads(s)
        waiting = [s for s in waiting if s not in kept]
        for s in tree.body:  # a branch that stays needs its test
            if isinstance(s, ast.If) and kept & set(_parts([s])):
                needed |= _reads(s.test)
    return _print(tree.body, kept, text.splitlines(), "") + "\n"


def _parts(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for s in body:
        if isinstance(s, ast.If):
            yield from _parts([*s.body, *s.orelse])
        else:
            yield s


def _reads(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _defines(s: ast.stmt) -> set[str]:
    if isinstance(s, ast.FunctionDef):
        return {s.name}
    if isinstance(s, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in s.names}
    return {n.id for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _print(body: Iterable[ast.stmt], kept: set[ast.stmt], lines: list[str], indent: str) -> str:
    """Statements that stay, imports first, with blank lines where they are usual."""
    out: list[str] = []
    before = ""
    for s in sorted(body, key=lambda s: not isinstance(s, ast.Import | ast.ImportFrom)):
        text = _statement(s, kept, lines, indent)
        kind = _kind(s)
        if not text:
            continue
        if before and "function" in (before, kind):
            out += [""] if indent else ["", ""]
        elif before and before != kind:
            out.append("")
        out.append(text)
        before = kind
    return "\n".join(out)


def _kind(s: ast.stmt) -> str:
    if isinstance(s, ast.Import | ast.ImportFrom):
        return "import"
    return "function" if isinstance(s, ast.FunctionDef) else "if" if isinstance(s, ast.If) else "line"


def _statement(s: ast.stmt, kept: set[ast.stmt], lines: list[str], indent: str) -> str:
    if isinstance(s, ast.If):
        if not kept & set(_parts([s])):
            return ""
        inner = indent + "    "
        head = f"{indent}if {ast.unparse(s.test)}:\n{_print(s.body, kept, lines, inner) or inner + 'pass'}"
        rest = _print(s.orelse, kept, lines, inner)
        return head + (f"\n{indent}else:\n{rest}" if rest else "")
    if s not in kept:
        return ""
    first = min([s.lineno, *(d.lineno for d in getattr(s, "decorator_list", ()))])
    return "\n".join(lines[first - 1 : s.end_lineno])
