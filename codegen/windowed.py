"""Products of which one operand is windows of an array: made and used a block of rows at a time.

    y = dot(P, b)     P[r, k] = x[...], what `weft.ir.views` shows: each element of x many times

    for each part, in parallel:              rows free                          rows contracted
      for each block of its rows:
        columns = P[block, :]                (stays in the cache)
        gemm                                 y[block] = columns . b             own += columns' . b[block]
    after all parts                                                             y = sum of each part's own

P, which is as many times larger than x as a window has elements, is never in memory as a whole. Parts and blocks go by
the sizes alone: results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from weft.codegen.kernel import (
    Affine,
    Buffer,
    Compute,
    For,
    Index,
    Kernel,
    Load,
    Statement,
    Store,
    var,
    walk,
    with_sizes,
)
from weft.codegen.llvm import MEMORY
from weft.codegen.scalar import expression
from weft.codegen.scope import Scope
from weft.codegen.special import Special, flat
from weft.ir.dims import Dim, maximum, minimum, same, value_of
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.linalg import free_axes
from weft.ir.records import dataclass
from weft.ir.views import streamed, view_of

if TYPE_CHECKING:
    from weft.codegen.step_writer import Frame, Writer

BLOCK = 1 << 17  # bytes of columns: they, and what the product makes of them, stay in a core's cache
LEAST = 64  # rows of a block: of fewer, the library would pack `b` more often than it uses it
PARTS = 16
ALONE = 1 << 17  # multiplications: fewer are not worth a second thread


@dataclass(frozen=True)
class Stream:
    """A product by blocks: C[m, n] = P[m, k] b, or P[m, k]' b where the m rows are contracted. `block`: rows."""

    op: Op
    accumulates: bool
    m: int
    k: int
    n: int
    block: int
    parts: int

    @property
    def blocks(self) -> int:
        return (self.m + self.block - 1) // self.block

    @property
    def numbers(self) -> tuple[int | Dim, ...]:
        """What a part's function computes with."""
        b = self.block
        return (b, b * self.k, self.blocks, self.parts, self.m, self.k, self.n, self.k * self.n)


def stream_of(graph: Graph) -> Stream | None:
    """How the product that a kernel is about runs by blocks; None for other kernels."""
    op = graph.ops[-1] if graph.ops else None
    if op is None or not streamed(op, graph.producers().get):
        return None
    a, b = op.operands
    rows, inner = _axes(op)
    accumulates = rows == op.attrs["contract"][0]
    m, k = (math.prod(a.shape[i] for i in axes) for axes in (rows, inner))
    n = op.result.type.size // (k if accumulates else m)
    block = minimum(m, maximum(LEAST, BLOCK // (k * a.type.np_dtype.itemsize)))
    parts = minimum(PARTS, (m + block - 1) // block)
    if accumulates:  # each part has a sum of its own, which is to be less than what is streamed
        parts = maximum(1, minimum(parts, m // (4 * n)))
    if value_of(m * k * n) <= ALONE:
        parts = 1
    return Stream(op, accumulates, m, k, n, block, parts)


def _axes(op: Op) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of P that are rows, and those within a row: first come rows."""
    contract = tuple(op.attrs["contract"][0])
    free = free_axes(len(op.operands[0].shape), (), contract)
    return (free, contract) if free[0] < contract[0] else (contract, free)


def columns(graph: Graph, stream: Stream, name: str) -> Kernel:
    """The kernel that writes a block of rows: block number `chunk`."""
    low = Special(graph, {})
    a = stream.op.operands[0]
    rows, inner = _axes(stream.op)
    out = low.names.fresh("columns")
    low.buffers.append(Buffer(out, a.dtype, stream.block * stream.k, "out"))
    low.written.add(out)
    row, lo, hi = (low.names.fresh(hint) for hint in ("row", "lo", "hi"))
    begin: list[Statement] = [
        Index(lo, "min", var("chunk") * stream.block, Affine(stream.m)),
        Index(hi, "min", var(lo) + stream.block, Affine(stream.m)),
    ]
    each = Scope([], {}, low.top)
    index = [Affine()] * len(a.shape)
    _decompose(low, row, _merged(low, a, rows), index, each)
    groups = _merged(low, a, inner)
    names = [low.names.fresh(f"c{i}") for i in range(len(groups))]
    sizes = [math.prod(a.shape[d] for d in group) for group in groups]
    for v, group in zip(names, groups, strict=True):
        index[group[-1]] = var(v)
    body = Scope([], {}, each)
    place = (var(row) + var(lo) * -1) * stream.k + flat(sizes, [var(v) for v in names])
    got = low.element(a, index, body)
    body.statements.append(Store(out, a.dtype, place, got))
    nest: list[Statement] = body.statements
    for i, (v, size) in reversed(list(enumerate(zip(names, sizes, strict=True)))):
        nest = [For(v, Affine(), Affine(size), nest, vector=i == len(names) - 1)]
    begin.append(For(row, var(lo), var(hi), [*each.statements, *nest]))
    used = {s.buffer for s in _loads(body.statements)} | {out}
    kernel = low.finish(begin, stream.m * stream.k, "")
    buffers = tuple(b for b in kernel.buffers if b.name in used)
    made = Kernel(name, buffers, stream.blocks, kernel.body, [], kernel.sources, kernel.work, "windows")
    return with_sizes(made, stream.numbers)


def _loads(statements: list[Statement]) -> list[Load]:
    return [s for s in walk(statements) if isinstance(s, Load)]


def _merged(low: Special, v: Value, axes: Sequence[int]) -> list[list[int]]:
    """The axes, neighbours together that go through the buffer as one."""
    view = view_of(v, low.producer.get)
    shown = view.source in low.buffer_of
    groups: list[list[int]] = []
    for d in axes:
        if groups and shown and same(view.strides[groups[-1][-1]], view.strides[d] * v.shape[d]):
            groups[-1].append(d)
        else:
            groups.append([d])
    return groups


def _decompose(low: Special, row: str, groups: Sequence[Sequence[int]], index: list[Affine], scope: Scope) -> None:
    """The indices of row number `row`, into `index`."""
    shape = low.graph.ops[-1].operands[0].shape
    rest = var(row)
    for group in reversed(groups[1:]):
        count = math.prod(shape[d] for d in group)
        at, quotient = low.names.fresh("at"), low.names.fresh("q")
        scope.statements += [
            Index(at, "mod", rest, Affine(count)),
            Index(quotient, "floordiv", rest, Affine(count)),
        ]
        index[group[-1]] = var(at)
        rest = var(quotient)
    index[groups[0][-1]] = rest


def total(name: str, dtype: str, stream: Stream) -> Kernel:
    """The kernel that adds up what the parts made."""
    size = stream.k * stream.n
    own, y = Buffer("own", dtype, size * stream.parts, "in"), Buffer("y", dtype, size, "out")
    first: list[Statement] = [Load("t", dtype, "own", var("i")), Store("y", dtype, var("i"), "t")]
    add = expression("a + b", [dtype, dtype], dtype)
    each: list[Statement] = [
        Load("s", dtype, "y", var("j")),
        Load("u", dtype, "own", var("j") + var("p") * size),
        Compute("v", add, ("s", "u"), "add"),
        Store("y", dtype, var("j"), "v"),
    ]
    further: list[Statement] = [For("j", Affine(), Affine(size), each, vector=True)]
    body: list[Statement] = [
        For("i", Affine(), Affine(size), first, vector=True),
        For("p", Affine(1), Affine(stream.parts), further),
    ]
    return with_sizes(Kernel(name, (own, y), 1, body, [], (), size * stream.parts, "windows"))


def write(w: Writer, frame: Frame, op: Op, stream: Stream) -> None:
    """The product in a step's function."""
    graph = op.regions[0]
    name = w.own_name(graph.name)
    kernel = columns(graph, stream, name)
    w.kernels.append(kernel)
    w.inlined.add(name)  # in its part's function
    size = stream.op.result.type.np_dtype.itemsize
    several = not same(stream.parts, 1)
    summed = stream.accumulates and several
    at = dict(zip(graph.inputs, (w.pointer(frame, v) for v in op.operands), strict=True))
    named = dict(zip((b.name for b in Special(graph, {}).buffers), graph.inputs, strict=True))
    out = w.pointer(frame, op.results[0])
    bytes_of = [stream.parts * stream.block * stream.k * size, stream.parts * stream.k * stream.n * size]
    scratch = w.scratch_space(bytes_of if summed else bytes_of[:1])
    shown = [at[named[b.name]] for b in kernel.buffers if b.name in named]
    pointers = [*shown, at[stream.op.operands[1]], scratch[1] if summed else out, scratch[0]]
    pointers += [w.sizes_from(kernel.sizes)] if kernel.sizes else []
    w.functions.append(_part(kernel, stream))
    w.pack(pointers)
    if several:
        w.threads.append(stream.parts - 1)
        w.put(f"call void @weft_parallel_for(ptr @{name}_part, ptr %pack, i64 {w.number(stream.parts)})")
    else:
        w.put(f"call void @{name}_part(ptr %pack, i64 0)")
    each = (stream.blocks + stream.parts - 1) // stream.parts
    how = "1 block" if same(stream.blocks, 1) else f"{stream.parts} x {each} blocks"
    shape = (stream.k, stream.m, stream.n) if stream.accumulates else (stream.m, stream.k, stream.n)
    w.note(frame, f"{name}: windows, gemm {stream.op.result.dtype} {' x '.join(map(str, shape))}, {how}")
    if summed:
        adding = total(f"{name}_total", stream.op.result.dtype, stream)
        w.kernels.append(adding)
        arguments = [scratch[1], out, *([w.sizes_from(adding.sizes)] if adding.sizes else [])]
        w.put(f"call void @{name}_total_body({', '.join(f'ptr noalias {p}' for p in arguments)}, i64 0)")


def _part(kernel: Kernel, stream: Stream) -> str:
    """The function that runs one part: its blocks, one after the other."""
    op, s = stream.op, stream
    t = MEMORY[op.result.dtype]
    routine = {"f32": "sgemm", "f64": "dgemm"}[op.result.dtype]
    b, contract = op.operands[1], tuple(op.attrs["contract"][1])
    free = free_axes(len(b.shape), (), contract)
    turned = int(tuple(range(len(b.shape))) != (*contract, *free))  # b is (n, contracted)
    ldb = (s.m if s.accumulates else s.k) if turned else s.n
    given = len(kernel.buffers) - 1 - bool(kernel.sizes)  # what is shown; then b, the result, the columns, the sizes
    lines = [f"define internal void @{kernel.name}_part(ptr %args, i64 %part) nounwind {{", "entry:"]
    for i in range(given + 3 + bool(kernel.sizes)):
        lines += [f"  %a{i} = getelementptr inbounds ptr, ptr %args, i64 {i}", f"  %p{i} = load ptr, ptr %a{i}"]
    b_at, c_at, own = (f"%p{given + i}" for i in range(3))
    last = f", ptr noalias %p{given + 3}" if kernel.sizes else ""
    for i in range(len(kernel.sizes)):
        lines += [
            f"  %size.{i}.at = getelementptr inbounds i64, ptr %p{given + 3}, i64 {i}",
            f"  %size.{i} = load i64, ptr %size.{i}.at",
            f"  %short.{i} = trunc i64 %size.{i} to i32",
        ]

    number = {n: i for i, n in enumerate(kernel.sizes)}

    def text(n: int | Dim, kind: str = "size") -> str:
        return f"%{kind}.{number[n]}" if isinstance(n, Dim) else str(n)

    lines += [
        f"  %offset = mul i64 %part, {text(s.block * s.k)}",
        f"  %columns = getelementptr inbounds {t}, ptr {own}, i64 %offset",
        f"  %from = mul i64 %part, {text(s.blocks)}",
        f"  %first = sdiv i64 %from, {text(s.parts)}",
        f"  %to = add i64 %from, {text(s.blocks)}",
        f"  %end = sdiv i64 %to, {text(s.parts)}",
        "  br label %head",
        "head:",
        "  %block = phi i64 [ %first, %entry ], [ %next, %body ]",
        "  %more = icmp slt i64 %block, %end",
        "  br i1 %more, label %body, label %done",
        "body:",
        f"  %lo = mul i64 %block, {text(s.block)}",
        f"  %left = sub i64 {text(s.m)}, %lo",
        f"  %rows = call i64 @llvm.smin.i64(i64 %left, i64 {text(s.block)})",
        "  %rows32 = trunc i64 %rows to i32",
    ]
    shown = "".join(f"ptr noalias %p{i}, " for i in range(given))
    lines.append(f"  call void @{kernel.name}_body({shown}ptr noalias %columns{last}, i64 %block)")
    k, n = text(s.k, "short"), text(s.n, "short")
    if s.accumulates:
        lines += [
            f"  %skip = mul i64 %lo, {1 if turned else text(s.n)}",
            f"  %b = getelementptr inbounds {t}, ptr {b_at}, i64 %skip",
            f"  %mine = mul i64 %part, {text(s.k * s.n)}",
            f"  %c = getelementptr inbounds {t}, ptr {c_at}, i64 %mine",
            "  %begins = icmp eq i64 %block, %first",
            f"  %beta = select i1 %begins, {t} 0.0, {t} 1.0",
        ]
        sizes, beta, b_now = f"i32 {k}, i32 {n}, i32 %rows32", f"{t} %beta", "%b"
    else:
        lines += [f"  %skip = mul i64 %lo, {text(s.n)}", f"  %c = getelementptr inbounds {t}, ptr {c_at}, i64 %skip"]
        sizes, beta, b_now = f"i32 %rows32, i32 {n}, i32 {k}", f"{t} 0.0", b_at
    lines += [
        f"  call void @weft_cblas_{routine}(i32 101, i32 {111 + int(s.accumulates)}, i32 {111 + turned}, {sizes}, "
        f"{t} 1.0, ptr %columns, i32 {k}, ptr {b_now}, i32 {text(ldb, 'short')}, {beta}, ptr %c, i32 {n})",
        "  %next = add i64 %block, 1",
        "  br label %head",
        "done:",
        "  ret void",
        "}",
    ]
    return "\n".join(lines) + "\n"
