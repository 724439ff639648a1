"""The scalar language: a subset of Python's syntax, read with `ast` and never executed.

    def tanh_small(x):                        statements: name = expr; a, b = expr; return expr (or a tuple)
        z = x * x                             `for k in range(4):` with literal bounds is unrolled
        p = poly(z, C0, C1, C2)               c0 + z*(c1 + z*c2), by fused multiply-adds
        return x if abs(x) < TINY else p * x  a select: both sides are computed

Literals and module-level constants are weak (scalar_build). `f32(...)`, `i8(...)`, ... convert as C does.
Calls of names with a leading underscore are expanded in place, and may return tuples; other names are
resolved by the caller of this module (scalar_library). `<<` and `>>` are NumPy's: a count outside the
width gives 0, or the sign. `//`, `%` and `**` are the functions floordiv, mod and power.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from weft.codegen.scalar_build import Builder, Ref, Term, WeakSelect
from weft.codegen.scalar_ir import BOOL, DTYPES, Body, Constant, ScalarError, Table
from weft.ir.records import dataclass

Resolve = Callable[[str, tuple[str, ...]], Body]  # (function name, argument dtypes) -> body
Value = Term | Table | tuple[Any, ...]  # a table only to be subscripted, a tuple only to be unpacked


@dataclass(frozen=True)
class Source:
    """The definitions of one module of the language: constants, tables and functions by name."""

    constants: Mapping[str, Constant | Table]
    functions: Mapping[str, ast.FunctionDef]


_BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div",
           ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor"}
_SHIFT = {ast.LShift: "shl", ast.RShift: "shr"}
_AS_CALL = {ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.Pow: "power"}
_COMPARE = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}
_FOLD: dict[type, Callable[[Constant, Constant], Constant]] = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b, ast.FloorDiv: lambda a, b: a // b, ast.Mod: lambda a, b: a % b,
    ast.LShift: lambda a, b: int(a) << int(b), ast.RShift: lambda a, b: int(a) >> int(b),
    ast.Pow: lambda a, b: a**b}


def parse_expression(template: str, args: Sequence[str], result: str, resolve: Resolve, name: str) -> Body:
    """The body of one expression over operands named a, b, c, ...; its floats may be contracted."""
    names = [chr(ord("a") + i) for i in range(len(args))]
    try:
        tree = ast.parse(template.strip(), mode="eval")
    except SyntaxError as error:
        raise ScalarError(f"{template!r} is not an expression: {error.msg}") from None
    builder = Builder(args, contract=True)
    scope: dict[str, Value] = {n: builder.argument(i) for i, n in enumerate(names)}
    try:
        parser = _Parser(builder, Source({}, {}), resolve)
        value = parser.strong(parser.expr(tree.body, scope), result)
        return builder.finish(name, builder.cast(value, result))
    except ScalarError as error:
        raise ScalarError(f"in {template!r} at ({', '.join(args)}): {error}") from None


def parse_function(definition: ast.FunctionDef, source: Source, args: Sequence[str], resolve: Resolve,
                   name: str) -> Body:
    """The body of a function at these argument dtypes; nothing is contracted."""
    builder = Builder(args, contract=False)
    parser = _Parser(builder, source, resolve)
    try:
        value = parser.run(definition, [builder.argument(i) for i in range(len(args))])
        dtype = BOOL if isinstance(value, bool) else args[0]
        return builder.finish(name, parser.strong(value, dtype))
    except ScalarError as error:
        raise ScalarError(f"in {definition.name}({', '.join(args)}): {error}") from None


class _Parser:
    def __init__(self, builder: Builder, source: Source, resolve: Resolve) -> None:
        self.build = builder
        self.source = source
        self.resolve = resolve

    def strong(self, value: Value, dtype: str | None) -> Ref:
        if isinstance(value, (Table, tuple)):
            raise ScalarError("a scalar was expected, not a table or a tuple")
        return self.build.strong(value, dtype)

    # ---- statements

    def run(self, definition: ast.FunctionDef, args: Sequence[Value]) -> Value:
        names = [a.arg for a in definition.args.args]
        if len(names) != len(args):
            raise ScalarError(f"{definition.name} takes {len(names)} arguments, not {len(args)}")
        scope: dict[str, Value] = dict(zip(names, args, strict=True))
        body = definition.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]  # docstring
        if not body or not isinstance(body[-1], ast.Return) or body[-1].value is None:
            raise ScalarError(f"{definition.name} does not end in a return")
        for statement in body[:-1]:
            self.statement(statement, scope)
        return self.expr(body[-1].value, scope)

    def statement(self, node: ast.stmt, scope: dict[str, Value]) -> None:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            self.assign(node.targets[0], self.expr(node.value, scope), scope)
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name) and not node.orelse:
            for k in self.static_range(node.iter, scope):
                scope[node.target.id] = k
                for inner in node.body:
                    self.statement(inner, scope)
        else:
            raise ScalarError(f"line {node.lineno}: {type(node).__name__} is no statement of the language")

    def assign(self, target: ast.expr, value: Value, scope: dict[str, Value]) -> None:
        if isinstance(target, ast.Name):
            scope[target.id] = value
        elif isinstance(target, ast.Tuple) and isinstance(value, tuple) and len(value) == len(target.elts):
            for part, item in zip(target.elts, value, strict=True):
                self.assign(part, item, scope)
        else:
            raise ScalarError(f"line {target.lineno}: can't assign to this target")

    def static_range(self, node: ast.expr, scope: dict[str, Value]) -> range:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            bounds = [self.expr(a, scope) for a in node.args]
            if 1 <= len(bounds) <= 3 and all(isinstance(b, int) for b in bounds):
                return range(*bounds)  # type: ignore[arg-type]
        raise ScalarError(f"line {node.lineno}: a loop is over range(...) of integer literals")

    # ---- expressions

    def expr(self, node: ast.expr, scope: dict[str, Value]) -> Value:
        method = getattr(self, f"on_{type(node).__name__}", None)
        if method is None:
            raise ScalarError(f"{ast.unparse(node)}: {type(node).__name__} is no expression of the language")
        value: Value = method(node, scope)
        return value

    def term(self, node: ast.expr, scope: dict[str, Value]) -> Term:
        value = self.expr(node, scope)
        if isinstance(value, (Table, tuple)):
            raise ScalarError(f"{ast.unparse(node)} is not a scalar")
        return value

    def on_Constant(self, node: ast.Constant, scope: dict[str, Value]) -> Value:
        if not isinstance(node.value, (bool, int, float)):
            raise ScalarError(f"{node.value!r} is not a number")
        return node.value

    def on_Name(self, node: ast.Name, scope: dict[str, Value]) -> Value:
        if node.id in scope:
            return scope[node.id]
        if node.id in self.source.constants:
            return self.source.constants[node.id]
        if node.id in ("inf", "nan"):
            return float(node.id)
        raise ScalarError(f"{node.id} is not defined")

    def on_Tuple(self, node: ast.Tuple, scope: dict[str, Value]) -> Value:
        return tuple(self.expr(e, scope) for e in node.elts)

    def on_Subscript(self, node: ast.Subscript, scope: dict[str, Value]) -> Value:
        table = self.expr(node.value, scope)
        if not isinstance(table, Table):
            raise ScalarError(f"{ast.unparse(node.value)} is not a table")
        index = self.term(node.slice, scope)
        if isinstance(index, Ref):
            return self.build.load(table, index)
        if isinstance(index, (WeakSelect, float)) or not 0 <= index < len(table.values):
            raise ScalarError(f"{ast.unparse(node)}: index out of range")
        return table.values[index]

    def on_BinOp(self, node: ast.BinOp, scope: dict[str, Value]) -> Value:
        left, right = self.term(node.left, scope), self.term(node.right, scope)
        kind = type(node.op)
        if isinstance(left, (bool, int, float)) and isinstance(right, (bool, int, float)) and kind in _FOLD:
            return _FOLD[kind](left, right)
        if kind in _BINARY:
            return self.build.binary(_BINARY[kind], left, right)
        if kind in _SHIFT:
            return self.build.shift(_SHIFT[kind], left, right)
        if kind in _AS_CALL:
            return self.call(_AS_CALL[kind], [left, right])
        raise ScalarError(f"{ast.unparse(node)}: no such operator in the language")

    def on_UnaryOp(self, node: ast.UnaryOp, scope: dict[str, Value]) -> Value:
        a = self.term(node.operand, scope)
        if isinstance(node.op, (ast.USub, ast.UAdd)) and isinstance(a, (int, float)):
            return -a if isinstance(node.op, ast.USub) else a
        if not isinstance(a, Ref):
            raise ScalarError(f"{ast.unparse(node)}: the literal needs a dtype")
        if isinstance(node.op, ast.USub):
            return self.build.negate(a)
        if isinstance(node.op, ast.Not) and a.dtype != BOOL:
            raise ScalarError("`not` is for bool")
        return a if isinstance(node.op, ast.UAdd) else self.build.invert(a)

    def on_Compare(self, node: ast.Compare, scope: dict[str, Value]) -> Value:
        if len(node.ops) != 1 or type(node.ops[0]) not in _COMPARE:
            raise ScalarError(f"{ast.unparse(node)}: only single comparisons")
        left, right = self.term(node.left, scope), self.term(node.comparators[0], scope)
        return self.build.compare(_COMPARE[type(node.ops[0])], left, right)

    def on_IfExp(self, node: ast.IfExp, scope: dict[str, Value]) -> Value:
        condition = self.term(node.test, scope)
        yes, no = self.expr(node.body, scope), self.expr(node.orelse, scope)
        if isinstance(yes, tuple) and isinstance(no, tuple) and len(yes) == len(no):
            return tuple(self.build.select(condition, a, b) for a, b in zip(yes, no, strict=True))
        if isinstance(yes, (Table, tuple)) or isinstance(no, (Table, tuple)):
            raise ScalarError(f"{ast.unparse(node)}: the sides don't match")
        return self.build.select(condition, yes, no)

    def on_Call(self, node: ast.Call, scope: dict[str, Value]) -> Value:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise ScalarError(f"{ast.unparse(node)}: calls are of names, with positional arguments")
        name = node.func.id
        if name.startswith("_"):
            if name not in self.source.functions:
                raise ScalarError(f"{name} is not defined")
            return self.run(self.source.functions[name], [self.expr(a, scope) for a in node.args])
        if name == "poly":
            return self.polynomial([self.expr(a, scope) for a in node.args])
        return self.call(name, [self.term(a, scope) for a in node.args])

    def call(self, name: str, terms: list[Term]) -> Value:
        if name in DTYPES and len(terms) == 1:
            return self.convert(terms[0], name)
        if name in _PRIMITIVES:
            count, primitive = _PRIMITIVES[name]
            if len(terms) != count:
                raise ScalarError(f"{name} takes {count} arguments, not {len(terms)}")
            return primitive(self.build, terms)
        dtype = next((t.dtype for t in terms if isinstance(t, Ref)), None)
        values = [self.build.strong(t, dtype) for t in terms]
        return self.build.call(self.resolve(name, tuple(v.dtype for v in values)), values)

    def convert(self, term: Term, dtype: str) -> Value:
        return self.build.cast(term, dtype) if isinstance(term, Ref) else self.build.strong(term, dtype)

    def polynomial(self, values: list[Value]) -> Value:
        """poly(x, c0, c1, ..., cn) by Horner's rule; a table stands for its values."""
        terms: list[Term] = []
        for value in values:
            if isinstance(value, tuple):
                raise ScalarError("poly takes scalars and tables")
            terms.extend(value.values if isinstance(value, Table) else [value])
        if len(terms) < 3:
            raise ScalarError("poly takes x and at least two coefficients")
        x, *coefficients = terms
        total: Term = coefficients.pop()
        while coefficients:
            total = self.build.float_op("fma", total, x, coefficients.pop())
        return total


def _typed(build: Builder, term: Term) -> Ref:
    return build.strong(term, None)


_PRIMITIVES: dict[str, tuple[int, Callable[[Builder, list[Term]], Value]]] = {
    "bits": (1, lambda b, t: b.bits(_typed(b, t[0]))),
    "from_bits": (1, lambda b, t: b.from_bits(_typed(b, t[0]))),
    "abs": (1, lambda b, t: b.absolute(_typed(b, t[0]))),
    "floor": (1, lambda b, t: b.round("floor", _typed(b, t[0]))),
    "ceil": (1, lambda b, t: b.round("ceil", _typed(b, t[0]))),
    "trunc": (1, lambda b, t: b.round("trunc", _typed(b, t[0]))),
    "rint": (1, lambda b, t: b.round("rint", _typed(b, t[0]))),
    "sqrt": (1, lambda b, t: b.float_op("sqrt", t[0])),
    "copysign": (2, lambda b, t: b.float_op("copysign", *t)),
    "fma": (3, lambda b, t: b.float_op("fma", *t)),
    "quotient": (2, lambda b, t: b.binary("quotient", t[0], t[1])),
    "remainder": (2, lambda b, t: b.binary("remainder", t[0], t[1])),
}
