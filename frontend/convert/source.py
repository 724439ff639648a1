"""Converted functions: found in their file by name and line, rewritten, compiled at the same lines.

    f  --linecache, ast-->  its node  --transform-->  def make(a, b, __weft__): def f(...): ...   --compile-->  f'

a, b are f's free variables: f' shares its cells, its globals and its defaults. A function whose source can't be
found (the interactive shell, `exec`), generators, built-ins, and NumPy's and the standard library's functions
stay as they are.
"""

from __future__ import annotations

import ast
import functools
import linecache
import os
import sys
import threading
import types
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

from weft.frontend.convert.transform import HOOKS, convert_function, convertible

_FOREIGN = ("numpy", "scipy", "numba", "llvmlite", "weft", "pytest", "_pytest", "unittest", "matplotlib")
_PLATFORM = os.path.join(sys.base_exec_prefix, sys.platlibdir, "python{}.{}".format(*sys.version_info))
_LIBRARIES = tuple([os.path.realpath(p) + os.sep for p in (os.path.dirname(os.__file__), _PLATFORM)])
_LOCK = threading.Lock()
_CODES: dict[CodeType, CodeType | None] = {}  # original -> converted, None where there is none
_MADE: set[CodeType] = set()  # the converted ones, and those of the functions inside them


def convert(function: FunctionType, hooks: Any) -> FunctionType:
    """The function with its statements going through `hooks`, or itself where that can't be."""
    code = function.__code__
    if code in _MADE or _is_foreign(function):
        return function
    if code not in _CODES:
        with _LOCK:
            if code not in _CODES:
                _CODES[code] = _converted_code(function)
    made = _CODES[code]
    if made is None:
        return function
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    cells[HOOKS] = types.CellType(hooks)
    closure = tuple(cells[name] for name in made.co_freevars)
    found = FunctionType(made, function.__globals__, function.__name__, function.__defaults__, closure)
    found.__kwdefaults__ = function.__kwdefaults__
    found.__qualname__ = function.__qualname__
    return found


def _is_foreign(function: FunctionType) -> bool:
    modules = (function.__module__, function.__globals__.get("__name__"))  # a wrapper bears the user's module
    if any(str(name or "").partition(".")[0] in _FOREIGN for name in modules):
        return True
    file = os.path.realpath(function.__code__.co_filename)
    return file.startswith(_LIBRARIES) and "site-packages" not in file


def _converted_code(function: FunctionType) -> CodeType | None:
    code = function.__code__
    node = find_node(code)
    if node is None or not convertible(node):
        return None
    arguments = node.args
    arguments.defaults = []
    arguments.kw_defaults = [None for _ in arguments.kwonlyargs]
    for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if a is not None:
            a.annotation = None
    convert_function(node)
    if isinstance(node, ast.FunctionDef):
        node.decorator_list, node.returns = [], None
        inner: ast.stmt = node
    else:
        inner = ast.copy_location(ast.Expr(node), node)
    made = _compile(inner, code)
    if made is not None:
        _remember(made)
    return made


def _compile(inner: ast.stmt, code: CodeType) -> CodeType | None:
    """Compile the function inside one that has its free variables, and inside its class for private names."""
    body = inner
    owner = _class_of(code)
    if owner:
        body = ast.ClassDef(owner, [], [], [inner], [])
        body.type_params = []  # type: ignore[attr-defined]
        ast.copy_location(body, inner)
    names = [*dict.fromkeys([*code.co_freevars, HOOKS])]
    parameters = ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])
    factory = ast.FunctionDef("make__", parameters, [body], [])
    factory.type_params = []  # type: ignore[attr-defined]
    ast.copy_location(factory, inner)
    module = ast.fix_missing_locations(ast.Module([factory], []))
    try:
        compiled = compile(module, code.co_filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):  # a form that the rewriting does not know: the function stays as it is
        return None
    found = [c for c in _codes_in(compiled) if c.co_name == code.co_name and c.co_name != "make__"]
    if not found:
        return None
    made = found[0]
    if set(made.co_freevars) - set(names) or made.co_argcount != code.co_argcount:
        return None
    return made.replace(co_qualname=code.co_qualname, co_flags=made.co_flags | (code.co_flags & 0xFFFF00))


def _class_of(code: CodeType) -> str:
    """The class whose private names (`self.__x`) the function uses, or ""."""
    parts = code.co_qualname.split(".")
    private = any(n.startswith("_") and "__" in n[1:] and not n.endswith("__") for n in code.co_names)
    return parts[-2] if private and len(parts) > 1 and parts[-2] != "<locals>" else ""


def _codes_in(code: CodeType) -> list[CodeType]:
    found = []
    for c in code.co_consts:
        if isinstance(c, CodeType):
            found += [c, *_codes_in(c)]
    return found


def _remember(code: CodeType) -> None:
    _MADE.add(code)
    _MADE.update(_codes_in(code))


def find_node(code: CodeType) -> ast.FunctionDef | ast.Lambda | None:
    """The function's node in its file, at its first line, for the caller to change; None when it can't be told."""
    lines = linecache.getlines(code.co_filename)
    if not lines:
        return None
    if code.co_name != "<lambda>" and (alone := _parsed_alone(code, lines)) is not None:
        return alone
    tree = _statement(lines, code.co_firstlineno)
    if tree is None:
        return None
    lambdas = code.co_name == "<lambda>"
    found: list[Any] = []
    for node in _functions(tree):
        if lambdas and isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
            found.append(node)
        elif isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno:
                found.append(node)
    if lambdas and len(found) > 1:
        found = [n for n in found if _positions(n) == _span(code)]
    return found[0] if len(found) == 1 else None


def _parsed_alone(code: CodeType, lines: list[str]) -> ast.FunctionDef | None:
    """The node of a function's own lines, without parsing all of its file; None where these alone don't say."""
    first = code.co_firstlineno - 1
    if not 0 <= first < len(lines):
        return None
    indent = _indent(lines[first])
    head = True  # decorators
    end = first
    for end in range(first, len(lines)):
        text = lines[end].lstrip()
        if not head and text and text[0] not in "#)]}" and _indent(lines[end]) <= indent:
            break
        head = head and not text.startswith("def ")
    else:
        end = len(lines)
    inside = "if 1:\n" if indent else "\n"
    block = "\n" * (first - 1) + inside + "".join(lines[first:end]) if first else "".join(lines[:end])
    try:
        body: list[ast.stmt] = ast.parse(block).body
    except (SyntaxError, ValueError):  # cut off in the middle: a string whose lines begin further left, say
        return None
    if indent and len(body) == 1 and isinstance(body[0], ast.If):
        body = body[0].body
    node = body[0] if len(body) == 1 else None
    return node if isinstance(node, ast.FunctionDef) and node.name == code.co_name else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _statement(lines: list[str], line: int) -> ast.Module | None:
    """The statement of the file's top level that this line is in, parsed; its places are those in the file.

    Trees of whole files take megabytes: where their statements are is all that is kept of them.
    """
    spans = _spans("".join(lines))
    here = [span for span in spans if span[0] <= line <= span[1]]
    if not here:
        return None
    first, last = min(lo for lo, _ in here), max(hi for _, hi in here)
    return ast.parse("\n" * (first - 1) + "".join(lines[first - 1 : last]))


@functools.lru_cache(maxsize=64)
def _spans(text: str) -> tuple[tuple[int, int], ...]:
    """First and last line of each statement of the top level, decorators included."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ()
    first = lambda node: min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])  # noqa: E731
    return tuple((first(node), node.end_lineno or node.lineno) for node in tree.body)


def _functions(tree: ast.Module) -> tuple[ast.AST, ...]:
    return tuple(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.Lambda))


def _positions(node: ast.Lambda) -> tuple[int, int]:
    return node.body.lineno, node.body.col_offset


def _span(code: CodeType) -> tuple[int, int]:
    """Where the first part of a lambda's body stands: the least place of its instructions."""
    places = [(p[0], p[2]) for p in code.co_positions() if p[0] is not None and p[2] is not None]
    firsts = [p for p in places if p != (code.co_firstlineno, 0)]
    return min(firsts, default=(0, 0))


def convert_callable(function: Callable[..., Any], hooks: Any) -> Callable[..., Any]:
    """A function, method, partial or object with `__call__` whose code is converted, or the object itself."""
    if isinstance(function, FunctionType):
        return convert(function, hooks)
    if isinstance(function, types.MethodType) and isinstance(function.__func__, FunctionType):
        made = convert(function.__func__, hooks)
        return function if made is function.__func__ else types.MethodType(made, function.__self__)
    if isinstance(function, functools.partial):
        inner = convert_callable(function.func, hooks)
        return function if inner is function.func else functools.partial(inner, *function.args, **function.keywords)
    call = vars(type(function)).get("__call__")
    if isinstance(call, FunctionType) and not isinstance(function, type):
        made = convert(call, hooks)
        return function if made is call else types.MethodType(made, function)
    return function
