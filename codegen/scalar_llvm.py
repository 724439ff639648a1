"""Prints scalar bodies as LLVM IR text.

A bool is i1. Arithmetic on `half` is spelled out as extend, compute in float, truncate: one correct
rounding, since float has more than twice half's precision plus two bits. A float that is converted to an
integer out of range gives poison, so it is frozen: some value, on x86 the one that NumPy gives.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from weft.codegen.scalar_ir import BOOL, FLOATS, SIGNED, Body, Constant, Instr, is_float, width

TYPES = {BOOL: "i1", "f16": "half", "f32": "float", "f64": "double",
         **{f"{s}{n}": f"i{n}" for s in "iu" for n in (8, 16, 32, 64)}}

_INTRINSICS = {"fma": "fma", "sqrt": "sqrt", "abs": "fabs", "floor": "floor", "ceil": "ceil",
               "trunc": "trunc", "rint": "rint", "copysign": "copysign"}
_COUNT = {"fma": 3, "copysign": 2}
_INTEGER = {"and": "and", "or": "or", "xor": "xor", "add": "add", "sub": "sub", "mul": "mul"}


def declarations() -> str:
    """The intrinsics that scalar code may call."""
    lines = []
    for op, name in _INTRINSICS.items():
        for dtype, short in (("float", "f32"), ("double", "f64")):
            arguments = ", ".join([dtype] * _COUNT.get(op, 1))
            lines.append(f"declare {dtype} @llvm.{name}.{short}({arguments})")
    return "\n".join(lines) + "\n"


def literal(value: Constant, dtype: str) -> str:
    """A constant operand."""
    if dtype == BOOL:
        return "true" if value else "false"
    if dtype == "f16":
        return f"0xH{struct.unpack('<H', struct.pack('<e', value))[0]:04X}"
    if is_float(dtype):  # a float is written as the double of the same value
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    return str(int(value))


def define(body: Body) -> str:
    """`define internal` of the body, its tables before it."""
    count = 0

    def fresh() -> str:
        nonlocal count
        count += 1
        return f"%v{count}"

    names = [f"%a{i}" for i in range(len(body.args))]
    lines, result = inline(body, names, fresh)
    head = ", ".join(f"{TYPES[t]} {n}" for t, n in zip(body.args, names, strict=True))
    kind = TYPES[body.result]
    text = [*tables(body), f"define internal {kind} {symbol(body)}({head}) alwaysinline nounwind {{"]
    return "\n".join([*text, *(f"  {line}" for line in lines), f"  ret {kind} {result}", "}"]) + "\n"


def symbol(body: Body) -> str:
    return f"@weft_{body.name}"


def tables(body: Body) -> list[str]:
    found = {i.table.name: i.table for i in body.instrs if i.table is not None}
    lines = []
    for table in found.values():
        kind = TYPES[table.dtype]
        values = ", ".join(f"{kind} {literal(v, table.dtype)}" for v in table.values)
        head = f"{symbol(body)}.{table.name} = internal unnamed_addr constant"
        lines.append(f"{head} [{len(table.values)} x {kind}] [{values}], align 64")
    return lines


def inline(body: Body, operands: Sequence[str], fresh: Callable[[], str],
           contract: bool = True) -> tuple[list[str], str]:
    """Lines that compute the body from operands, and the name of the result."""
    printer = _Printer(body, operands, fresh, contract)
    for instr in body.instrs:
        printer.names.append(printer.value(instr))
    return printer.lines, printer.names[body.returned]


class _Printer:
    def __init__(self, body: Body, operands: Sequence[str], fresh: Callable[[], str], contract: bool) -> None:
        self.body = body
        self.names = list(operands)
        self.fresh = fresh
        self.contract = contract
        self.lines: list[str] = []

    def line(self, text: str) -> str:
        name = self.fresh()
        self.lines.append(f"{name} = {text}")
        return name

    def value(self, instr: Instr) -> str:
        names = [self.names[o] for o in instr.operands]
        if instr.op == "const":
            assert instr.value is not None
            return literal(instr.value, instr.dtype)
        if instr.op == "call":
            return self.call(instr, names)
        if instr.op == "load":
            return self.load(instr, names[0])
        if instr.op == "select":
            kind = TYPES[instr.dtype]
            return self.line(f"select i1 {names[0]}, {kind} {names[1]}, {kind} {names[2]}")
        source = self.body.dtypes[instr.operands[0]]
        if instr.op == "cast":
            return self.cast(names[0], source, instr.dtype)
        if instr.op in ("bits", "from_bits"):
            return self.line(f"bitcast {TYPES[source]} {names[0]} to {TYPES[instr.dtype]}")
        if instr.op in _ORDER:
            return self.compare(instr.op, source, names)
        if is_float(instr.dtype):
            return self.float_op(instr, names)
        return self.int_op(instr, names)

    def call(self, instr: Instr, names: list[str]) -> str:
        assert instr.callee is not None
        arguments = ", ".join(f"{TYPES[t]} {n}" for t, n in zip(instr.callee.args, names, strict=True))
        return self.line(f"call {TYPES[instr.dtype]} {symbol(instr.callee)}({arguments})")

    def load(self, instr: Instr, index: str) -> str:
        assert instr.table is not None
        kind = f"[{len(instr.table.values)} x {TYPES[instr.dtype]}]"
        step = TYPES[self.body.dtypes[instr.operands[0]]]
        place = f"{symbol(self.body)}.{instr.table.name}"
        pointer = self.line(f"getelementptr inbounds {kind}, ptr {place}, i64 0, {step} {index}")
        return self.line(f"load {TYPES[instr.dtype]}, ptr {pointer}")

    def compare(self, op: str, dtype: str, names: list[str]) -> str:
        if is_float(dtype):
            if dtype == "f16":
                names = [self.line(f"fpext half {n} to float") for n in names]
                dtype = "f32"
            code = "une" if op == "ne" else "o" + op
            return self.line(f"fcmp {code} {TYPES[dtype]} {names[0]}, {names[1]}")
        code = op if op in ("eq", "ne") else ("s" if dtype in SIGNED else "u") + op
        return self.line(f"icmp {code} {TYPES[dtype]} {names[0]}, {names[1]}")

    def float_op(self, instr: Instr, names: list[str]) -> str:
        dtype = "f32" if instr.dtype == "f16" else instr.dtype
        if instr.dtype == "f16":
            names = [self.line(f"fpext half {n} to float") for n in names]
        kind = TYPES[dtype]
        if instr.op == "neg":
            result = self.line(f"fneg {kind} {names[0]}")
        elif instr.op in _INTRINSICS:
            arguments = ", ".join(f"{kind} {n}" for n in names)
            result = self.line(f"call {kind} @llvm.{_INTRINSICS[instr.op]}.{dtype}({arguments})")
        else:
            # not on half: a contracted operation would skip the rounding between the two
            flag = "contract " if instr.contract and self.contract and instr.dtype != "f16" else ""
            result = self.line(f"f{instr.op} {flag}{kind} {names[0]}, {names[1]}")
        return self.line(f"fptrunc float {result} to half") if instr.dtype == "f16" else result

    def int_op(self, instr: Instr, names: list[str]) -> str:
        kind, signed = TYPES[instr.dtype], instr.dtype in SIGNED
        if instr.op in _INTEGER:
            return self.line(f"{_INTEGER[instr.op]} {kind} {names[0]}, {names[1]}")
        if instr.op == "neg":
            return self.line(f"sub {kind} 0, {names[0]}")
        if instr.op == "not":
            return self.line(f"xor {kind} {names[0]}, {'true' if instr.dtype == BOOL else '-1'}")
        if instr.op in ("quotient", "remainder"):
            code = {"quotient": "div", "remainder": "rem"}[instr.op]
            return self.line(f"{'s' if signed else 'u'}{code} {kind} {names[0]}, {names[1]}")
        inside = self.line(f"icmp ult {kind} {names[1]}, {width(instr.dtype)}")
        if instr.op == "shr" and signed:  # all sign bits, as a shift by the width less one gives
            count = self.line(f"select i1 {inside}, {kind} {names[1]}, {kind} {width(instr.dtype) - 1}")
            return self.line(f"ashr {kind} {names[0]}, {count}")
        moved = self.line(f"{'shl' if instr.op == 'shl' else 'lshr'} {kind} {names[0]}, {names[1]}")
        return self.line(f"select i1 {inside}, {kind} {moved}, {kind} 0")

    def cast(self, name: str, source: str, target: str) -> str:
        a, b = TYPES[source], TYPES[target]
        if is_float(source) and is_float(target):
            code = "fpext" if FLOATS.index(target) > FLOATS.index(source) else "fptrunc"
        elif is_float(source):
            name, a = self.line(f"fptosi {a} {name} to {b}"), b
            return self.line(f"freeze {b} {name}")
        elif is_float(target):
            code = "sitofp" if source in SIGNED else "uitofp"
        elif a == b:
            return name
        elif width(target) < width(source):
            code = "trunc"
        else:
            code = "sext" if source in SIGNED else "zext"
        return self.line(f"{code} {a} {name} to {b}")


_ORDER = ("eq", "ne", "lt", "le", "gt", "ge")
