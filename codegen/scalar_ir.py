"""Scalar bodies: typed straight-line SSA.

    exp_f32(%0: f32) -> f32        value 0..n-1 are the arguments,
      %1: f32 = const 1.442695     value n+k is what instruction k computes,
      %2: f32 = mul %0, %1         the last line names the result.
      return %2

A body has no control flow: a conditional is a `select` whose two sides are both computed. That is what
lets LLVM vectorise any loop that holds one. It knows no target; scalar_llvm and scalar_numba print it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weft.ir.records import dataclass, field

BOOL = "bool"
SIGNED = ("i8", "i16", "i32", "i64")
UNSIGNED = ("u8", "u16", "u32", "u64")
FLOATS = ("f16", "f32", "f64")
DTYPES = (BOOL, *SIGNED, *UNSIGNED, *FLOATS)

Constant = bool | int | float


def width(dtype: str) -> int:
    """Number of bits of a dtype's value (1 for bool)."""
    return 1 if dtype == BOOL else int(dtype[1:])


def is_float(dtype: str) -> bool:
    return dtype in FLOATS


def is_int(dtype: str) -> bool:
    return dtype in SIGNED or dtype in UNSIGNED


class ScalarError(Exception):
    """A scalar expression or function that is not well formed; the message says where and why."""


@dataclass(frozen=True)
class Table:
    """A constant table: `values` of `dtype`, indexed by an i32 or i64 value."""

    name: str
    dtype: str
    values: tuple[Constant, ...]


@dataclass(frozen=True)
class Instr:
    """One instruction; `operands` are value numbers.

    op is one of
      const (value), call (callee), load (table),
      add sub mul div neg, quotient remainder (integers, C's truncating ones, divisor never 0),
      and or xor not, shl shr (NumPy's: a count outside the width gives 0 or the sign),
      eq ne lt le gt ge, select, cast, bits, from_bits,
      fma sqrt abs floor ceil trunc rint copysign (floats).
    `contract` allows an add, sub or mul to be contracted to a fused multiply-add.
    """

    op: str
    dtype: str
    operands: tuple[int, ...] = ()
    value: Constant | None = None
    callee: Body | None = None
    table: Table | None = None
    contract: bool = False


@dataclass(frozen=True, eq=False)
class Body:
    """A scalar function: argument dtypes, instructions, the value number of the result."""

    name: str
    args: tuple[str, ...]
    instrs: tuple[Instr, ...]
    returned: int
    dtypes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def result(self) -> str:
        return self.dtypes[self.returned]

    @property
    def callees(self) -> tuple[Body, ...]:
        """Bodies that this one calls, directly or not, each after those that it calls."""
        found: dict[str, Body] = {}
        for instr in self.instrs:
            if instr.callee is not None:
                for body in (*instr.callee.callees, instr.callee):
                    found.setdefault(body.name, body)
        return tuple(found.values())

    @property
    def cost(self) -> int:
        """Rough number of simple instructions, callees included."""
        total = 0
        for instr in self.instrs:
            if instr.callee is not None:
                total += instr.callee.cost
            else:
                total += _COST.get(instr.op, 1)
        return total

    def __str__(self) -> str:
        lines = [f"{self.name}({', '.join(f'%{i}: {t}' for i, t in enumerate(self.args))}) -> {self.result}"]
        for number, instr in enumerate(self.instrs, len(self.args)):
            words = [f"%{o}" for o in instr.operands]
            if instr.op == "const":
                words = [repr(instr.value)]
            head = instr.op
            if instr.callee is not None:
                head = instr.callee.name
            elif instr.table is not None:
                head = f"load {instr.table.name}"
            lines.append(f"  %{number}: {instr.dtype} = {head} {', '.join(words)}")
        return "\n".join([*lines, f"  return %{self.returned}"])


_COST = {"const": 0, "bits": 0, "from_bits": 0, "load": 4, "div": 8, "sqrt": 8, "quotient": 24,
         "remainder": 24}


def prune(name: str, args: Sequence[str], instrs: Sequence[Instr], returned: int) -> Body:
    """The body without instructions that the result does not need, value numbers made dense."""
    count = len(args)
    needed = {returned}
    for index in range(len(instrs) - 1, -1, -1):
        if index + count in needed:
            needed.update(instrs[index].operands)
    number = {i: i for i in range(count)}
    kept: list[Instr] = []
    for index, instr in enumerate(instrs):
        if index + count in needed:
            number[index + count] = count + len(kept)
            kept.append(_renumber(instr, lambda o: number[o]))
    return Body(name, tuple(args), tuple(kept), number[returned], (*args, *(i.dtype for i in kept)))


def _renumber(instr: Instr, number: Callable[[int], int]) -> Instr:
    return Instr(instr.op, instr.dtype, tuple(number(o) for o in instr.operands), instr.value, instr.callee,
                 instr.table, instr.contract)


def renumbered(instr: Instr, numbers: Sequence[int]) -> Instr:
    """The instruction with each operand `o` replaced by `numbers[o]`."""
    return _renumber(instr, lambda o: numbers[o])
