"""Prints scalar bodies as typed Python source, for numba.njit, numba.cuda.jit and the CUDA simulator.

Every value has its dtype in each of the three: integer results are wrapped (`i32(a + b)`), because Numba
widens small integers; float operands have one dtype already. A float16 is held as the float32 of the same
value and rounded after each operation (`round_f16`); loads and stores convert with `f16_value` and
`f16_bits`. The names that the text uses are defined by scalar_prelude.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from weft.codegen.scalar_ir import BOOL, Body, Constant, Instr, is_float, is_int, width

_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^",
          "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_EXACT_ON_F16 = ("neg", "abs", "floor", "ceil", "trunc", "rint", "copysign")
_NEST = 70  # an expression longer than this is given a name, not nested


def held(dtype: str) -> str:
    """The dtype that holds a value of dtype in the source."""
    return "f32" if dtype == "f16" else dtype


def literal(value: Constant, dtype: str) -> str:
    if dtype == BOOL:
        return str(bool(value))
    if is_float(dtype):
        return _float_literal(float(value), held(dtype))
    return str(int(value)) if dtype == "i64" else f"{dtype}({int(value)})"


def _float_literal(value: float, dtype: str) -> str:
    if math.isnan(value):
        return "f32(nan)" if dtype == "f32" else "nan"
    if math.isinf(value):
        text = "inf" if value > 0 else "-inf"
        return f"f32({text})" if dtype == "f32" else text
    if dtype == "f64":
        return repr(value)
    short = str(np.float32(value))
    return f"f32({short if np.float32(float(short)) == value else repr(value)})"


def define(body: Body) -> str:
    """The function's source, with its tables before it."""
    names = [f"x{i}" for i in range(len(body.args))] if len(body.args) > 1 else ["x"]
    count = 0

    def fresh() -> str:
        nonlocal count
        count += 1
        return f"t{count}"

    lines, result = statements(body, names, fresh)
    found = {i.table.name: i.table for i in body.instrs if i.table is not None}
    text = []
    for table in found.values():
        values = ", ".join(repr(v) for v in table.values)
        text.append(f"{body.name}_{table.name} = np.array([{values}], dtype={table.dtype})")
    return "\n".join([*text, "@device", f"def {body.name}({', '.join(names)}):",
                      *(f"    {line}" for line in lines), f"    return {result}"]) + "\n"


def statements(body: Body, operands: Sequence[str], fresh: Callable[[], str]) -> tuple[list[str], str]:
    """Assignments that compute the body from operands, and the expression of the result."""
    uses: dict[int, int] = {}
    for instr in body.instrs:
        for o in instr.operands:
            # a shift by a variable count prints its count twice
            uses[o] = uses.get(o, 0) + (2 if instr.op in ("shl", "shr") else 1)
    texts = list(operands)
    lines: list[str] = []
    for number, instr in enumerate(body.instrs, len(operands)):
        text = _expression(body, instr, texts)
        if instr.op != "const" and number != body.returned and (uses.get(number, 0) > 1 or len(text) > _NEST):
            name = fresh()
            lines.append(f"{name} = {text}")
            text = name
        texts.append(text)
    return lines, texts[body.returned]


def inline(body: Body, operands: Sequence[str]) -> str:
    """The body as one expression; a value that is used twice is written twice."""
    texts = list(operands)
    for instr in body.instrs:
        texts.append(_expression(body, instr, texts))
    return texts[body.returned]


def _expression(body: Body, instr: Instr, texts: Sequence[str]) -> str:
    names = [texts[o] for o in instr.operands]
    dtype, op = instr.dtype, instr.op
    if op == "const":
        assert instr.value is not None
        return literal(instr.value, dtype)
    if op == "call":
        assert instr.callee is not None
        return f"{instr.callee.name}({', '.join(names)})"
    if op == "load":
        assert instr.table is not None
        return f"{body.name}_{instr.table.name}[{names[0]}]"
    if op == "select":
        return f"({names[1]} if {names[0]} else {names[2]})"
    source = body.dtypes[instr.operands[0]]
    if op == "cast":
        return _cast(names[0], source, dtype)
    if op in ("bits", "from_bits"):
        return f"{op}_{source if op == 'bits' else dtype}({names[0]})"
    if dtype == BOOL and op == "not":
        return f"(not {names[0]})"
    if dtype == BOOL:
        return f"({names[0]} {_SIGNS[op]} {names[1]})"
    if is_float(dtype):
        text = _float(body, instr, names)
        return text if dtype != "f16" or op in _EXACT_ON_F16 else f"round_f16({text})"
    return _int(body, instr, names)


def _float(body: Body, instr: Instr, names: list[str]) -> str:
    if instr.op == "neg":
        return f"(-{names[0]})"
    if instr.op == "mul" and not instr.contract and is_float(instr.dtype):
        # NVVM contracts a * b + c on its own; here that would break an exact transform
        return f"mul_{held(instr.dtype)}({names[0]}, {names[1]})"
    if instr.op in _SIGNS:
        return f"({names[0]} {_SIGNS[instr.op]} {names[1]})"
    return f"{instr.op}_{held(instr.dtype)}({', '.join(names)})"


def _int(body: Body, instr: Instr, names: list[str]) -> str:
    dtype, op = instr.dtype, instr.op
    if op in _SIGNS:
        return f"{dtype}({names[0]} {_SIGNS[op]} {names[1]})"
    if op == "neg":
        return f"{dtype}({literal(0, dtype)} - {names[0]})"
    if op == "not":
        return f"{dtype}(~{names[0]})"
    if op in ("quotient", "remainder"):
        return f"{dtype}({op}({names[0]}, {names[1]}))"
    sign = "<<" if op == "shl" else ">>"
    moved = f"{dtype}({names[0]} {sign} {names[1]})"
    bits = width(dtype)
    count = _constant_of(body, instr.operands[1])
    if count is not None and 0 <= count < bits:
        return moved
    inside = f"{literal(0, dtype)} <= {names[1]} < {literal(bits, dtype)}"
    outside = literal(0, dtype)
    if op == "shr" and dtype.startswith("i"):
        outside = f"{dtype}({names[0]} >> {literal(bits - 1, dtype)})"
    return f"({moved} if {inside} else {outside})"


def _constant_of(body: Body, number: int) -> int | None:
    index = number - len(body.args)
    if index >= 0 and body.instrs[index].op == "const":
        return int(body.instrs[index].value or 0)
    return None


def _cast(name: str, source: str, target: str) -> str:
    if target == "f16":
        return f"round_f16({name})"
    if held(source) == held(target):
        return name
    if source == BOOL and is_int(target):
        return f"({literal(1, target)} if {name} else {literal(0, target)})"
    return f"{held(target)}({name})"
