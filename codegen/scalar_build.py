"""A builder of scalar bodies: one method per operation, which checks and infers dtypes.

    value + weak literal  ->  the literal takes the value's dtype        (2 is f32 in `a * 2`, i8 in `n + 2`)
    literal + literal     ->  a literal, computed exactly as Python does
    value + value         ->  one dtype, or an error: conversions are written, never implied

Repeated instructions are emitted once (value numbering), so templates may repeat a subexpression.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from weft.codegen.scalar_ir import (
    BOOL,
    DTYPES,
    FLOATS,
    SIGNED,
    Body,
    Constant,
    Instr,
    ScalarError,
    Table,
    is_float,
    is_int,
    prune,
    renumbered,
    width,
)
from weft.ir.records import dataclass


@dataclass(frozen=True)
class Ref:
    """A value of the body under construction."""

    number: int
    dtype: str


@dataclass(frozen=True)
class WeakSelect:
    """`x if c else y` of literals: takes its dtype where it is used."""

    condition: Ref
    yes: Weak
    no: Weak


Weak = Constant | WeakSelect
Term = Ref | Weak

INLINE_LIMIT = 12  # a callee of at most this cost, and with no table, is copied into its caller


class Builder:
    def __init__(self, args: Sequence[str], contract: bool) -> None:
        for dtype in args:
            if dtype not in DTYPES:
                raise ScalarError(f"unknown dtype {dtype!r}")
        self.args = tuple(args)
        self.contract = contract
        self.instrs: list[Instr] = []
        self._dtypes = list(args)
        self._numbers: dict[object, int] = {}

    def argument(self, index: int) -> Ref:
        return Ref(index, self.args[index])

    def finish(self, name: str, returned: Ref) -> Body:
        return prune(name, self.args, self.instrs, returned.number)

    def emit(self, instr: Instr) -> Ref:
        value = instr.value
        # 0.0 == -0.0 == 0 == False and nan != nan, so constants are told apart by their bits
        key = (instr.op, instr.dtype, instr.operands, type(value), _float_bits(value), id(instr.callee),
               id(instr.table), instr.contract)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._dtypes)
            self.instrs.append(instr)
            self._dtypes.append(instr.dtype)
        return Ref(number, instr.dtype)

    def splice(self, body: Body, operands: Sequence[Ref]) -> Ref:
        """Copy a body's instructions here."""
        numbers = [o.number for o in operands]
        for instr in body.instrs:
            numbers.append(self.emit(renumbered(instr, numbers)).number)
        number = numbers[body.returned]
        return Ref(number, self._dtypes[number])

    def call(self, body: Body, operands: Sequence[Ref]) -> Ref:
        if body.cost <= INLINE_LIMIT and not any(i.table for i in body.instrs):
            return self.splice(body, operands)
        return self.emit(Instr("call", body.result, tuple(o.number for o in operands), callee=body))

    # ---- literals

    def strong(self, term: Term, dtype: str | None) -> Ref:
        """The term as a value: a literal becomes a constant of `dtype`."""
        if isinstance(term, Ref):
            return term
        if dtype is None and isinstance(term, bool):
            dtype = BOOL
        if dtype is None:
            raise ScalarError("a literal has no dtype here: write it as f32(...), i32(...), ...")
        if isinstance(term, WeakSelect):
            return self.choose(term.condition, self.strong(term.yes, dtype), self.strong(term.no, dtype))
        return self.emit(Instr("const", dtype, value=_constant(term, dtype)))

    def together(self, *terms: Term, dtype: str | None = None) -> list[Ref]:
        """The terms as values of one dtype: the typed terms' own, else `dtype`."""
        found = [t.dtype for t in terms if isinstance(t, Ref)]
        if any(d != found[0] for d in found):
            raise ScalarError(f"operands have different dtypes: {', '.join(found)}")
        return [self.strong(t, found[0] if found else dtype) for t in terms]

    # ---- operations

    def binary(self, op: str, left: Term, right: Term) -> Ref:
        """add sub mul div and or xor quotient remainder on operands of one dtype."""
        a, b = self.together(left, right)
        dtype = a.dtype
        if dtype == BOOL:
            op = {"add": "or", "mul": "and"}.get(op, op)  # NumPy's arithmetic on booleans
        bitwise = op in ("and", "or", "xor")
        if bitwise and is_float(dtype) or not bitwise and dtype == BOOL:
            raise ScalarError(f"{op} is not defined for {dtype}")
        if op == "div" and not is_float(dtype):
            raise ScalarError(f"/ is not defined for {dtype}: convert first, or call floordiv")
        if op in ("quotient", "remainder") and not is_int(dtype):
            raise ScalarError(f"{op} is not defined for {dtype}")
        contract = self.contract and is_float(dtype) and op in ("add", "sub", "mul")
        return self.emit(Instr(op, dtype, (a.number, b.number), contract=contract))

    def shift(self, op: str, left: Term, right: Term) -> Ref:
        a, b = self.together(left, right)
        if not is_int(a.dtype):
            raise ScalarError(f"{op} is not defined for {a.dtype}")
        return self.emit(Instr(op, a.dtype, (a.number, b.number)))

    def negate(self, a: Ref) -> Ref:
        if a.dtype == BOOL:
            raise ScalarError("- is not defined for bool")
        return self.emit(Instr("neg", a.dtype, (a.number,)))

    def invert(self, a: Ref) -> Ref:
        if is_float(a.dtype):
            raise ScalarError(f"~ is not defined for {a.dtype}")
        return self.emit(Instr("not", a.dtype, (a.number,)))

    def compare(self, op: str, left: Term, right: Term) -> Ref:
        a, b = self.together(left, right)
        return self.emit(Instr(op, BOOL, (a.number, b.number)))

    def select(self, condition: Term, yes: Term, no: Term) -> Term:
        if isinstance(condition, bool):
            return yes if condition else no
        if not isinstance(condition, Ref) or condition.dtype != BOOL:
            raise ScalarError("the condition of `x if c else y` is not a bool")
        if not isinstance(yes, Ref) and not isinstance(no, Ref):
            return WeakSelect(condition, yes, no)
        return self.choose(condition, *self.together(yes, no))

    def choose(self, condition: Ref, yes: Ref, no: Ref) -> Ref:
        return self.emit(Instr("select", yes.dtype, (condition.number, yes.number, no.number)))

    def round(self, op: str, a: Ref) -> Ref:
        """floor ceil trunc rint: an integer is its own."""
        return self.emit(Instr(op, a.dtype, (a.number,))) if is_float(a.dtype) else a

    def absolute(self, a: Ref) -> Ref:
        if is_float(a.dtype):
            return self.emit(Instr("abs", a.dtype, (a.number,)))
        if a.dtype in SIGNED:
            return self.choose(self.compare("lt", a, 0), self.negate(a), a)
        return a

    def float_op(self, op: str, *terms: Term) -> Ref:
        """fma sqrt copysign: floats of one dtype."""
        values = self.together(*terms)
        if not is_float(values[0].dtype):
            raise ScalarError(f"{op} is not defined for {values[0].dtype}")
        return self.emit(Instr(op, values[0].dtype, tuple(v.number for v in values)))

    def load(self, table: Table, index: Ref) -> Ref:
        if index.dtype not in ("i32", "i64"):
            raise ScalarError(f"{table.name} is indexed by {index.dtype}: convert it to i32 or i64")
        return self.emit(Instr("load", table.dtype, (index.number,), table=table))

    def bits(self, a: Ref) -> Ref:
        if not is_float(a.dtype):
            raise ScalarError(f"bits is not defined for {a.dtype}")
        return self.emit(Instr("bits", f"i{width(a.dtype)}", (a.number,)))

    def from_bits(self, a: Ref) -> Ref:
        dtype = "f" + a.dtype[1:]
        if dtype not in FLOATS or not is_int(a.dtype):
            raise ScalarError(f"from_bits is not defined for {a.dtype}")
        return self.emit(Instr("from_bits", dtype, (a.number,)))

    def cast(self, a: Ref, dtype: str) -> Ref:
        """C's conversion; of a float outside an integer's range, what x86 gives."""
        if a.dtype == dtype:
            return a
        if dtype == BOOL:
            return self.compare("ne", a, 0)
        if dtype == "f16" and a.dtype == "f64":
            return self._convert(self._odd(a), "f16")
        if dtype == "f16" and a.dtype != "f32":
            return self.cast(self._convert(a, "f32" if width(a.dtype) < 32 else "f64"), "f16")
        if a.dtype == "f16" and dtype != "f32":
            return self.cast(self._convert(a, "f32"), dtype)
        if is_float(a.dtype) and dtype in ("i8", "i16", "u8", "u16"):
            return self._convert(self._convert(a, "i32"), dtype)
        if is_float(a.dtype) and dtype == "u32":
            return self._convert(self._convert(a, "i64"), dtype)
        if is_float(a.dtype) and dtype == "u64":
            return self._to_u64(a)
        return self._convert(a, dtype)

    def _convert(self, a: Ref, dtype: str) -> Ref:
        return self.emit(Instr("cast", dtype, (a.number,)))

    def _odd(self, a: Ref) -> Ref:
        """f64 -> f32 rounded to odd: truncated, and the last bit set if anything was lost.

        Rounding that to f16 gives what one rounding would, since f32 has more than 11 + 2 bits."""
        near = self._convert(a, "f32")
        back = self._convert(near, "f64")
        code = self.bits(near)
        up = self.compare("gt", self.absolute(back), self.absolute(a))
        code = self.choose(up, self.binary("sub", code, 1), code)
        # an ordered comparison, so that a NaN stays as it is
        lost = self.binary("or", self.compare("lt", back, a), self.compare("gt", back, a))
        return self.from_bits(self.choose(lost, self.binary("or", code, 1), code))

    def _to_u64(self, a: Ref) -> Ref:
        """Above 2**63 through an offset; below zero modulo 2**64, as compilers do."""
        big = self.compare("ge", a, float(2**63))
        moved = self.binary("sub", a, self.strong(float(2**63), a.dtype))
        part = self._convert(self.choose(big, moved, a), "i64")
        top = self.strong(-(2**63), "i64")
        return self._convert(self.choose(big, self.binary("xor", part, top), part), "u64")


def _float_bits(value: Constant | None) -> object:
    return struct.pack("<d", value) if isinstance(value, float) else value


def _constant(value: Constant, dtype: str) -> Constant:
    """A Python literal as a constant of dtype."""
    if is_float(dtype):
        if dtype == "f64":
            return float(value)
        code = {"f32": "<f", "f16": "<e"}[dtype]
        try:
            return float(struct.unpack(code, struct.pack(code, float(value)))[0])
        except OverflowError:
            return math.copysign(math.inf, value)
    if isinstance(value, float):
        raise ScalarError(f"{value!r} is not an {dtype}")
    if dtype == BOOL:
        if value not in (0, 1):
            raise ScalarError(f"{value!r} is not a bool")
        return bool(value)
    bits = width(dtype)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dtype in SIGNED else (0, (1 << bits) - 1)
    if not low <= value <= high:
        raise ScalarError(f"{value} does not fit {dtype}")
    return int(value)
