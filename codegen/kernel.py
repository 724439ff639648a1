"""Kernel IR: the loops, loads, stores and scalar work of one kernel. It knows no target.

    kernel k0(z: f32[20] in, b: f32[5] in, h: f32[20] out)  chunks=1
      for r in [0, 4):
        for c in [0, 5):
          t1 = load z[5*r + c]
          t2 = load b[c]
          t3: f32 = a + b (t1, t2)        # add, net.py:7
          store h[5*r + c] = t3

Buffers are flat; an index is affine in loop variables and integer names. A kernel's body runs once per chunk
(`chunk` is a variable), chunks run in parallel; `final` runs once after all of them. Printers for targets
(llvm, numba_cpu, numba_cuda) read this and nothing else.

What a target needs to run iterations in parallel is said, not found out: a `Share` is a chunk's part of a loop,
iterations of a `vector` loop are independent but for what they accumulate, and accumulation is a statement of
its own (`Accumulate` into a variable, `AccumulateArg` into a pair, `AccumulateAt` into memory) whose order is free
and whose target starts from the identity, so that a target may keep several partial values and combine them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from weft.codegen.scalar import Scalar, expression
from weft.ir.dims import Dim, is_known, same
from weft.ir.graph import Location
from weft.ir.records import dataclass, fields, replace


@dataclass(frozen=True)
class Affine:
    """const + Σ coefficient * variable."""

    const: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    def __add__(self, other: Affine | int) -> Affine:
        if not isinstance(other, Affine):
            return Affine(self.const + other, self.terms)
        total = dict(self.terms)
        for var, c in other.terms:
            total[var] = total.get(var, 0) + c
        return Affine(self.const + other.const, tuple((v, c) for v, c in total.items() if not same(c, 0)))

    def __mul__(self, k: int) -> Affine:
        return Affine(self.const * k, () if same(k, 0) else tuple((v, c * k) for v, c in self.terms))

    def coefficient(self, var: str) -> int:
        return next((c for v, c in self.terms if v == var), 0)

    def substitute(self, values: Mapping[str, Affine]) -> Affine:
        out = Affine(self.const)
        for v, c in self.terms:
            out = out + (values[v] * c if v in values else Affine(0, ((v, c),)))
        return out

    def __str__(self) -> str:
        parts = [v if same(c, 1) else f"{_factor(c)}*{v}" for v, c in self.terms]
        if not same(self.const, 0) or not parts:
            parts.append(str(self.const))
        return " + ".join(parts)


def _factor(c: int) -> str:
    text = str(c)
    return text if is_known(c) or text.isidentifier() else f"({text})"


def var(name: str) -> Affine:
    return Affine(0, ((name, 1),))


@dataclass(frozen=True)
class Buffer:
    """A flat array. role: "in", "out", "inout", scratch: "chunk" (parts of all chunks, which "final" reads too),
    "error", where a call keeps the first index that was out of bounds, or "sizes" (`Kernel.sizes`)."""

    name: str
    dtype: str
    size: int
    role: str


@dataclass(frozen=True)
class For:
    """for var in range(start, stop, step). `vector`: iterations are independent but for accumulators."""

    var: str
    start: Affine
    stop: Affine
    body: list[Statement]
    step: int = 1
    vector: bool = False


@dataclass(frozen=True)
class Index:
    """target: i64 = op(a, b) on indices: "floordiv", "mod" (b constant), "min"."""

    target: str
    op: str
    a: Affine
    b: Affine


@dataclass(frozen=True)
class Share:
    """low, high: i64 = this chunk's part of range(count)."""

    low: str
    high: str
    count: int
    chunks: int


@dataclass(frozen=True)
class ToIndex:
    """target: i64 = an i64 scalar clamped to [0, limit), or as it is (no limit: it is known to fit)."""

    target: str
    value: str
    limit: int | None = None


@dataclass(frozen=True)
class Check:
    """target: i64 = an i64 scalar clamped to [0, size); the variable `worst` keeps the largest seen, as a u64."""

    target: str
    value: str
    size: int
    worst: str


@dataclass(frozen=True)
class Report:
    """An index that was out of bounds goes into the call's record of errors, as that of bound number `site`."""

    worst: str
    size: int
    buffer: str
    site: int


@dataclass(frozen=True)
class FromIndex:
    """target: dtype = an index, as a number."""

    target: str
    dtype: str
    value: Affine


@dataclass(frozen=True)
class InRange:
    """target: bool = low <= value < high."""

    target: str
    value: Affine
    low: int
    high: int


@dataclass(frozen=True)
class Constant:
    target: str
    dtype: str
    value: Any


@dataclass(frozen=True)
class Load:
    target: str
    dtype: str
    buffer: str
    index: Affine


@dataclass(frozen=True)
class Store:
    buffer: str
    dtype: str
    index: Affine
    value: str


@dataclass(frozen=True)
class Stream:
    """buffer[index : index + count] = source[begin : begin + count], around the cache where the target can.

    Nothing in the same kernel reads the buffer."""

    buffer: str
    dtype: str
    index: Affine
    source: str
    begin: Affine
    count: Affine


@dataclass(frozen=True)
class Compute:
    """target = scalar(operands)."""

    target: str
    scalar: Scalar
    operands: tuple[str, ...]
    note: str = ""
    location: Location | None = None


@dataclass(frozen=True)
class Variable:
    """A mutable scalar, initialised here."""

    name: str
    dtype: str
    value: Any


@dataclass(frozen=True)
class Read:
    """target = the variable's value now."""

    target: str
    dtype: str
    name: str


@dataclass(frozen=True)
class Assign:
    name: str
    dtype: str
    value: str


@dataclass(frozen=True)
class Accumulate:
    """name = combine(name, value) in any order. `kind` is the combining op's name.

    The variable is set to the combine's identity before (by its Variable, or an Assign)."""

    name: str
    dtype: str
    kind: str
    combine: Scalar
    value: str


@dataclass(frozen=True)
class AccumulateAt:
    """buffer[index] = combine(buffer[index], value) in any order; `identity` leaves an element as it is."""

    buffer: str
    dtype: str
    index: Affine
    kind: str
    combine: Scalar
    identity: Any
    value: str


@dataclass(frozen=True)
class AccumulateArg:
    """best, at = value, position if better(value, best). Of equally good values the one of least position stays."""

    best: str
    at: str
    dtype: str
    kind: str
    better: Scalar
    value: str
    position: Affine


Statement = (
    For | Index | Share | ToIndex | Check | Report | FromIndex | InRange | Constant | Load | Store | Stream | Compute
    | Variable | Read | Assign | Accumulate | AccumulateAt | AccumulateArg
)


@dataclass(frozen=True)
class Kernel:
    """A kernel. `buffers` are its parameters in order; `sources` the user's lines that it computes. `serial` names
    what only a CPU's threads do yet: scatters, whose loops must run in order, writes to parts, checks of indices.

    Where sizes are symbols (`weft.ir.dims`), expressions of them stand for ints: `sizes` are those, and the buffer of
    that name has their values.
    """

    name: str
    buffers: tuple[Buffer, ...]
    chunks: int
    body: list[Statement]
    final: list[Statement]
    sources: tuple[str, ...] = ()
    work: int = 0
    serial: str = ""
    sizes: tuple[Dim, ...] = ()

    def __str__(self) -> str:
        args = ", ".join(f"{b.name}: {b.dtype}[{b.size}] {b.role}" for b in self.buffers)
        lines = [f"kernel {self.name}({args})  chunks={self.chunks}"]
        lines += _lines(self.body, 1)
        if self.final:
            lines += ["  after all chunks:", *_lines(self.final, 2)]
        return "\n".join(lines) + "\n"


def walk(statements: Iterable[Statement]) -> Iterator[Statement]:
    for s in statements:
        yield s
        if isinstance(s, For):
            yield from walk(s.body)


def with_sizes(kernel: Kernel, wanted: Iterable[object] = ()) -> Kernel:
    """The kernel with the sizes that it computes with, and those `wanted`, and a buffer of them where they are
    symbols."""
    found: dict[Dim, None] = {n: None for n in wanted if isinstance(n, Dim)}

    def note(n: object) -> None:
        if isinstance(n, Dim):
            found[n] = None

    for s in walk([*kernel.body, *kernel.final]):
        for f in fields(s):
            part = getattr(s, f.name)
            if isinstance(part, Affine):
                for n in (part.const, *(c for _, c in part.terms)):
                    note(n)
            elif f.name in _LESS_ONE and isinstance(part, Dim):
                note(part)
                note(part - 1)
            else:
                note(part)
        if isinstance(s, InRange):
            note(s.high - s.low)
    if not found:
        return kernel
    buffer = Buffer("sizes", "i64", len(found), "sizes")
    return replace(kernel, buffers=(*kernel.buffers, buffer), sizes=tuple(found))


_LESS_ONE = frozenset({"limit", "size"})  # fields of which the last index is needed as well


def scalars(statements: Iterable[Statement]) -> list[Scalar]:
    """The scalar code of all statements, as often as it occurs."""
    found = []
    for s in walk(statements):
        match s:
            case Compute():
                found.append(s.scalar)
            case Accumulate() | AccumulateAt():
                found.append(s.combine)
            case AccumulateArg():
                found.append(s.better)
            case FromIndex():
                found.append(from_index(s.dtype))
    return found


def from_index(dtype: str) -> Scalar:
    """An index as a number of that dtype."""
    return expression("a", ["i64"], dtype)


def describe(s: Statement) -> str:
    """One line of text for a statement (a loop's head only)."""
    match s:
        case For():
            step = f" step {s.step}" if s.step != 1 else ""
            return f"for {s.var} in [{s.start}, {s.stop}){step}:" + ("  # vector" if s.vector else "")
        case Index():
            return f"{s.target} = {s.op}({s.a}, {s.b})"
        case Share():
            return f"{s.low}, {s.high} = share of {s.count}"
        case ToIndex():
            return f"{s.target} = index {s.value}" + ("" if s.limit is None else f" in [0, {s.limit})")
        case Check():
            return f"{s.target} = index {s.value} in [0, {s.size}), or else {s.worst}"
        case Report():
            return f"report {s.worst} to {s.buffer} if not in [0, {s.size})  # bound {s.site}"
        case FromIndex():
            return f"{s.target}: {s.dtype} = {s.value}"
        case InRange():
            return f"{s.target}: bool = {s.low} <= {s.value} < {s.high}"
        case Constant():
            return f"{s.target}: {s.dtype} = {s.value}"
        case Load():
            return f"{s.target}: {s.dtype} = load {s.buffer}[{s.index}]"
        case Store():
            return f"store {s.buffer}[{s.index}] = {s.value}"
        case Stream():
            return f"stream {s.buffer}[{s.index}] = {s.source}[{s.begin}], {s.count} elements"
        case Compute():
            where = f", {s.location}" if s.location else ""
            return f"{s.target}: {s.scalar.result} = {s.note or s.scalar.name}({', '.join(s.operands)}){where}"
        case Variable():
            return f"var {s.name}: {s.dtype} = {s.value}"
        case Read():
            return f"{s.target}: {s.dtype} = {s.name}"
        case Assign():
            return f"{s.name} = {s.value}"
        case Accumulate():
            return f"{s.name} = {s.kind}({s.name}, {s.value})"
        case AccumulateAt():
            return f"accumulate {s.buffer}[{s.index}] = {s.kind}({s.buffer}[{s.index}], {s.value})"
        case AccumulateArg():
            return f"{s.best}, {s.at} = {s.kind}({s.best}, {s.at}, {s.value}, {s.position})"
    raise TypeError(s)


def _lines(statements: list[Statement], depth: int) -> list[str]:
    out = []
    for s in statements:
        out.append("  " * depth + describe(s))
        if isinstance(s, For):
            out += _lines(s.body, depth + 1)
    return out
