"""Kernel IR printed as LLVM IR text.

Loop variables are SSA (phi), accumulators are stack slots that LLVM promotes. Sums carry `reassoc`: their order is
free. Nothing is contracted here: which products become fused multiply-adds is the lowering's choice. What functions
kernels become is `weft.codegen.functions`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.codegen import scalar_llvm
from weft.codegen.kernel import (
    Accumulate,
    AccumulateArg,
    AccumulateAt,
    Affine,
    Assign,
    Check,
    Compute,
    Constant,
    For,
    FromIndex,
    Index,
    InRange,
    Kernel,
    Load,
    Read,
    Report,
    Share,
    Statement,
    Store,
    Stream,
    ToIndex,
    Variable,
    from_index,
)
from weft.codegen.scalar import Scalar
from weft.ir.dims import Dim, is_known, maximum, same
from weft.ir.records import dataclass, field
from weft.ir.types import TensorType

SHORT_LOOP = 64  # trips
VECTOR = 16  # elements of the widest vector
CALL_WORK = 8  # lines: what a call of a function in the body of a loop weighs
ROLLED = ", !llvm.loop !rolled{}"
MEMORY = {**scalar_llvm.TYPES, "bool": "i8"}


@dataclass
class Function:
    """One function being printed."""

    lines: list[str] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    count: int = 0
    block: str = "entry"
    sizes: dict[Dim, str] = field(default_factory=dict)
    streams: bool = False

    def number(self, n: int | Dim) -> str:
        """A size: a literal, or what was loaded at the function's beginning."""
        return self.sizes[n] if isinstance(n, Dim) else str(n)

    def fresh(self, hint: str = "v") -> str:
        self.count += 1
        return f"%{hint}.{self.count}"

    def put(self, line: str) -> None:
        self.lines.append("  " + line)

    def define(self, name: str, ssa: str) -> None:
        self.names[name] = ssa

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name

    def affine(self, index: Affine) -> str:
        total: str | None = None
        for variable, c in index.terms:
            term = self.names[variable]
            if not same(c, 1):
                product = self.fresh("m")
                self.put(f"{product} = mul nsw i64 {term}, {self.number(c)}")
                term = product
            total = term if total is None else self._add(total, term)
        if total is None:
            return self.number(index.const)
        return total if same(index.const, 0) else self._add(total, self.number(index.const))

    def _add(self, a: str, b: str) -> str:
        out = self.fresh("a")
        self.put(f"{out} = add nsw i64 {a}, {b}")
        return out

    def pointer(self, buffer: str, dtype: str, index: Affine) -> str:
        out = self.fresh("p")
        self.put(f"{out} = getelementptr inbounds {MEMORY[dtype]}, ptr %{buffer}, i64 {self.affine(index)}")
        return out

    def scalar(self, body: Scalar, operands: Sequence[str]) -> str:
        lines, result = body.llvm_inline(list(operands), self.fresh, contract=False)
        for line in lines:
            self.put(line.strip())
        return result


def _emit(f: Function, statements: Sequence[Statement]) -> None:
    for s in statements:
        _STATEMENTS[type(s)](f, s)


def _for(f: Function, s: For) -> None:
    start, stop = f.affine(s.start), f.affine(s.stop)
    f.count += 1
    tag = f"{s.var}.{f.count}"
    before = f.block
    f.put(f"br label %{tag}.head")
    f.label(f"{tag}.head")
    f.put(f"%{tag} = phi i64 [ {start}, %{before} ], [ %{tag}.next, %{tag}.latch ]")
    f.put(f"%{tag}.more = icmp slt i64 %{tag}, {stop}")
    f.put(f"br i1 %{tag}.more, label %{tag}.body, label %{tag}.end")
    f.label(f"{tag}.body")
    f.define(s.var, f"%{tag}")
    begun = len(f.lines)
    _emit(f, s.body)
    rolled = ""
    if _stays_rolled(s):
        rolled = ROLLED.format(_vectors_at_once(f.lines[begun:]) if s.vector else 0)
    f.put(f"br label %{tag}.latch")
    f.label(f"{tag}.latch")
    f.put(f"%{tag}.next = add nuw nsw i64 %{tag}, {s.step}")
    f.put(f"br label %{tag}.head{rolled}")
    f.label(f"{tag}.end")


def _stays_rolled(s: For) -> bool:
    """A long vectorised loop takes several vectors a trip already: unrolled further, as LLVM likes to, it takes twice
    as long to compile, and runs no faster. So does one around it. Of short loops LLVM may make what it likes; but from
    a vector on, sums are cheaper along their row than of many rows at a time, whose elements lie far apart."""
    if not s.vector:
        return any(isinstance(inner, For) and _stays_rolled(inner) for inner in s.body)
    trips = s.stop.const - s.start.const
    known = not s.start.terms and not s.stop.terms and is_known(trips)
    sums = any(isinstance(inner, Accumulate) for inner in s.body)
    return not (known and trips < (VECTOR if sums else SHORT_LOOP))


def _vectors_at_once(body: Sequence[str]) -> int:
    """How many vectors a trip takes, so that their instructions overlap: the more, the fewer those are."""
    work = len(body) + CALL_WORK * sum(" call " in line for line in body)
    return 4 if work <= 2 * CALL_WORK else 2 if work <= 4 * CALL_WORK else 1


def _index(f: Function, s: Index) -> None:
    a, b = f.affine(s.a), f.affine(s.b)
    out = f.fresh(s.target)
    if s.op in ("min", "max"):
        f.put(f"{out} = call i64 @llvm.s{s.op}.i64(i64 {a}, i64 {b})")
    else:
        f.put(f"{out} = {'sdiv' if s.op == 'floordiv' else 'srem'} i64 {a}, {b}")
    f.define(s.target, out)


def _share(f: Function, s: Share) -> None:
    for target, add in ((s.low, 0), (s.high, s.count)):
        _index(f, Index(target, "floordiv", Affine(add, (("chunk", s.count),)), Affine(s.chunks)))


def _to_index(f: Function, s: ToIndex) -> None:
    if s.limit is None:
        f.define(s.target, f.names[s.value])
        return
    low, out = f.fresh("i"), f.fresh(s.target)
    f.put(f"{low} = call i64 @llvm.smax.i64(i64 {f.names[s.value]}, i64 0)")
    f.put(f"{out} = call i64 @llvm.smin.i64(i64 {low}, i64 {f.number(s.limit - 1)})")
    f.define(s.target, out)


def _check(f: Function, s: Check) -> None:
    value, slot = f.names[s.value], f.names[s.worst]
    old, new, out = f.fresh("old"), f.fresh("new"), f.fresh(s.target)
    f.put(f"{old} = load i64, ptr {slot}")
    f.put(f"{new} = call i64 @llvm.umax.i64(i64 {old}, i64 {value})")  # a negative index is a very large one
    f.put(f"store i64 {new}, ptr {slot}")
    f.put(f"{out} = call i64 @llvm.umin.i64(i64 {value}, i64 {f.number(maximum(s.size - 1, 0))})")
    f.define(s.target, out)


def _report(f: Function, s: Report) -> None:
    worst, bad = f.fresh("worst"), f.fresh("bad")
    f.put(f"{worst} = load i64, ptr {f.names[s.worst]}")
    f.put(f"{bad} = icmp uge i64 {worst}, {f.number(s.size)}")
    tag = f"report.{f.count}"
    f.put(f"br i1 {bad}, label %{tag}.bad, label %{tag}.end")
    f.label(f"{tag}.bad")
    f.put(f"call void @weft_out_of_bounds(ptr %{s.buffer}, i64 {s.site}, i64 {worst})")
    f.put(f"br label %{tag}.end")
    f.label(f"{tag}.end")


def _from_index(f: Function, s: FromIndex) -> None:
    f.define(s.target, f.scalar(from_index(s.dtype), [f.affine(s.value)]))


def _in_range(f: Function, s: InRange) -> None:
    shifted, out = f.fresh("i"), f.fresh(s.target)
    f.put(f"{shifted} = sub i64 {f.affine(s.value)}, {f.number(s.low)}")
    f.put(f"{out} = icmp ult i64 {shifted}, {f.number(s.high - s.low)}")
    f.define(s.target, out)


def _constant(f: Function, s: Constant) -> None:
    f.define(s.target, scalar_llvm.literal(s.value, s.dtype))


def _load(f: Function, s: Load) -> None:
    f.define(s.target, _element(f, s.buffer, s.dtype, s.index, s.target))


def _element(f: Function, buffer: str, dtype: str, index: Affine, hint: str) -> str:
    at, out = f.pointer(buffer, dtype, index), f.fresh(hint)
    f.put(f"{out} = load {MEMORY[dtype]}, ptr {at}")
    if dtype != "bool":
        return out
    flag = f.fresh(hint)
    f.put(f"{flag} = icmp ne i8 {out}, 0")
    return flag


def _store(f: Function, s: Store) -> None:
    _put_element(f, s.buffer, s.dtype, s.index, f.names[s.value])


def _stream(f: Function, s: Stream) -> None:
    to, source = f.pointer(s.buffer, s.dtype, s.index), f.pointer(s.source, s.dtype, s.begin)
    size = f.fresh("bytes")
    f.put(f"{size} = mul nsw i64 {f.affine(s.count)}, {np.dtype(TensorType(s.dtype).np_dtype).itemsize}")
    f.put(f"call void @weft_stream(ptr {to}, ptr {source}, i64 {size})")
    f.streams = True


def _put_element(f: Function, buffer: str, dtype: str, index: Affine, value: str) -> None:
    if dtype == "bool":
        wide = f.fresh("z")
        f.put(f"{wide} = zext i1 {value} to i8")
        value = wide
    f.put(f"store {MEMORY[dtype]} {value}, ptr {f.pointer(buffer, dtype, index)}")


def _compute(f: Function, s: Compute) -> None:
    f.define(s.target, f.scalar(s.scalar, [f.names[o] for o in s.operands]))


def _variable(f: Function, s: Variable) -> None:
    slot = f.fresh(s.name)
    kind = scalar_llvm.TYPES[s.dtype]
    f.slots.append(f"  {slot} = alloca {kind}")
    f.names[s.name] = slot
    f.put(f"store {kind} {scalar_llvm.literal(s.value, s.dtype)}, ptr {slot}")


def _read(f: Function, s: Read) -> None:
    out = f.fresh(s.target)
    f.put(f"{out} = load {scalar_llvm.TYPES[s.dtype]}, ptr {f.names[s.name]}")
    f.define(s.target, out)


def _assign(f: Function, s: Assign) -> None:
    f.put(f"store {scalar_llvm.TYPES[s.dtype]} {f.names[s.value]}, ptr {f.names[s.name]}")


def _accumulate(f: Function, s: Accumulate) -> None:
    kind, slot = scalar_llvm.TYPES[s.dtype], f.names[s.name]
    old = f.fresh("old")
    f.put(f"{old} = load {kind}, ptr {slot}")
    f.put(f"store {kind} {_combined(f, s, old)}, ptr {slot}")


def _combined(f: Function, s: Accumulate, old: str) -> str:
    kind, value = scalar_llvm.TYPES[s.dtype], f.names[s.value]
    new = f.fresh("new")
    if s.dtype in ("f32", "f64") and s.kind in ("add", "mul"):
        f.put(f"{new} = f{s.kind} reassoc contract {kind} {old}, {value}")
    elif s.dtype in ("f32", "f64") and s.kind in ("maximum", "minimum"):
        f.put(f"{new} = call {kind} @llvm.{s.kind}.{s.dtype}({kind} {old}, {kind} {value})")
    elif s.dtype[0] in "iu" and s.kind in ("maximum", "minimum"):
        sign = "s" if s.dtype[0] == "i" else "u"
        f.put(f"{new} = call {kind} @llvm.{sign}{s.kind[:3]}.{kind}({kind} {old}, {kind} {value})")
    else:
        return f.scalar(s.combine, [old, value])
    return new


def _accumulate_at(f: Function, s: AccumulateAt) -> None:
    old = _element(f, s.buffer, s.dtype, s.index, "old")
    _put_element(f, s.buffer, s.dtype, s.index, f.scalar(s.combine, [old, f.names[s.value]]))


def _accumulate_arg(f: Function, s: AccumulateArg) -> None:
    kind, best, at = scalar_llvm.TYPES[s.dtype], f.names[s.best], f.names[s.at]
    old, old_at = f.fresh("old"), f.fresh("old")
    f.put(f"{old} = load {kind}, ptr {best}")
    f.put(f"{old_at} = load i64, ptr {at}")
    value, position = f.names[s.value], f.affine(s.position)
    better = f.scalar(s.better, [value, old])
    new, new_at = f.fresh("new"), f.fresh("new")
    f.put(f"{new} = select i1 {better}, {kind} {value}, {kind} {old}")
    f.put(f"{new_at} = select i1 {better}, i64 {position}, i64 {old_at}")
    f.put(f"store {kind} {new}, ptr {best}")
    f.put(f"store i64 {new_at}, ptr {at}")


_STATEMENTS: dict[type, Callable[[Function, Any], None]] = {
    For: _for, Index: _index, Share: _share, ToIndex: _to_index, Check: _check, Report: _report,
    FromIndex: _from_index, InRange: _in_range, Constant: _constant, Load: _load, Store: _store,
    Stream: _stream, Compute: _compute,
    Variable: _variable, Read: _read, Assign: _assign, Accumulate: _accumulate, AccumulateAt: _accumulate_at,
    AccumulateArg: _accumulate_arg,
}  # fmt: skip


def printed(kernel: Kernel, body: Sequence[Statement], chunk: str) -> Function:
    """The statements of a function of that kernel; `chunk` is what it calls the number of its chunk."""
    f = Function(sizes={n: f"%size.{i}" for i, n in enumerate(kernel.sizes)})
    f.names["chunk"] = chunk
    _emit(f, body)
    return f
