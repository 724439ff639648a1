"""Finds the functions of codegen/math and instantiates them at argument dtypes.

`exp(f32)` is looked up, in this order, as

    exp_f32      for this dtype alone
    exp_int      for its kind: float, int (and sint, uint before it), bool
    exp          for every dtype

A float16 for which only `exp_f32` is written is computed there and rounded once.
The modules are read as text; nothing in them is executed.
"""

from __future__ import annotations

import ast
import re
import threading
from functools import cache
from pathlib import Path

from weft.codegen.scalar_ir import DTYPES, FLOATS, SIGNED, UNSIGNED, Body, Constant, ScalarError, Table
from weft.codegen.scalar_parse import Source, parse_expression, parse_function

FOLDER = Path(__file__).parent / "math"
MODULES = ("rounding", "integer", "division", "exponential", "logarithm", "power", "reduction",
           "trigonometric", "inverse_trigonometric", "hyperbolic", "inverse_hyperbolic")

_lock = threading.RLock()
_memo: dict[tuple[str, tuple[str, ...]], Body] = {}


def function_body(name: str, args: tuple[str, ...]) -> Body:
    """The body of a math function at these dtypes; the same object for the same question."""
    with _lock:
        body = _memo.get((name, args))
        if body is None:
            body = _memo[name, args] = _instantiate(name, args)
        return body


def function_names() -> tuple[str, ...]:
    """Names that a scalar expression may call, as they are called (no dtype suffix)."""
    names = set()
    for module in MODULES:
        for name in _source(module).functions:
            stem, _, suffix = name.rpartition("_")
            names.add(stem if suffix in _SUFFIXES else name)
    return tuple(sorted(n for n in names if not n.startswith("_")))


_SUFFIXES = (*DTYPES, "float", "int", "sint", "uint")


def _instantiate(name: str, args: tuple[str, ...]) -> Body:
    mangled = mangle(name, args)
    first = args[0] if args else ""
    definitions = _definitions()
    for suffix in _candidates(first):
        written = name + suffix
        if written not in definitions:
            continue
        if suffix == "_f32" and first == "f16":
            return _widened(name, args, mangled)
        module = definitions[written]
        source = _source(module)
        return parse_function(source.functions[written], source, args, function_body, mangled)
    raise ScalarError(f"there is no function {name}({', '.join(args)})")


def mangle(name: str, args: tuple[str, ...]) -> str:
    """exp_f32; ldexp_f32_i32 where the dtypes differ."""
    return "_".join((name, *(args[:1] if len(set(args)) == 1 else args)))


def _candidates(dtype: str) -> tuple[str, ...]:
    if dtype == "f16":
        return ("_f16", "_f32", "_float", "")
    if dtype in FLOATS:
        return (f"_{dtype}", "_float", "")
    if dtype in SIGNED:
        return (f"_{dtype}", "_sint", "_int", "")
    if dtype in UNSIGNED:
        return (f"_{dtype}", "_uint", "_int", "")
    return ("_bool", "")


def _widened(name: str, args: tuple[str, ...], mangled: str) -> Body:
    """f16 through f32: one rounding at the end."""
    letters = [chr(ord("a") + i) for i in range(len(args))]
    wide = ", ".join(f"f32({x})" if t == "f16" else x for x, t in zip(letters, args, strict=True))
    inner = function_body(name, tuple("f32" if t == "f16" else t for t in args))
    result = "f16" if inner.result == "f32" else inner.result
    return parse_expression(f"{name}({wide})", args, result, function_body, mangled)


@cache
def _definitions() -> dict[str, str]:
    """Name of every public definition -> its module. Most modules are not needed, and so not parsed."""
    found: dict[str, str] = {}
    for module in MODULES:
        for name in re.findall(r"^def (\w+)", (FOLDER / f"{module}.py").read_text(encoding="utf-8"), re.M):
            if name in found and not name.startswith("_"):
                raise ScalarError(f"{name} is defined in {found[name]} and in {module}")
            if not name.startswith("_"):
                found[name] = module
    return found


@cache
def _source(module: str) -> Source:
    """The module's definitions, and those that it imports from its siblings."""
    path = FOLDER / f"{module}.py"
    constants: dict[str, Constant | Table] = {}
    functions: dict[str, ast.FunctionDef] = {}
    for node in ast.parse(path.read_text(encoding="utf-8"), str(path)).body:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = node
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("weft.codegen.math."):
            other = _source((node.module or "").rpartition(".")[2])
            for alias in node.names:
                if alias.name.startswith("_") and alias.name in other.functions:
                    functions.update(_with_helpers(alias.name, other))
                    constants.update(other.constants)
                elif alias.name in other.constants:
                    constants[alias.name] = other.constants[alias.name]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            constants[node.targets[0].id] = _literal(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            values = tuple(ast.literal_eval(node.value))
            constants[node.target.id] = Table(node.target.id, ast.unparse(node.annotation), values)
    return Source(constants, functions)


def _with_helpers(name: str, source: Source) -> dict[str, ast.FunctionDef]:
    """An imported helper and the module's other helpers, which it may call."""
    return {n: f for n, f in source.functions.items() if n.startswith("_")} | {name: source.functions[name]}


def _literal(node: ast.expr) -> Constant:
    value = ast.literal_eval(node)
    if not isinstance(value, (bool, int, float)):
        raise ScalarError(f"{ast.unparse(node)} is not a number; a table says its dtype: NAME: f64 = (...)")
    return value
