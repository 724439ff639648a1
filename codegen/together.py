"""Kernels that don't wait for each other, run as one: their chunks are dealt out together.

    k0: 3 chunks, k1: 1 chunk, k2: 1 chunk        @together(args, 0..2) is k0's, 3 is k1, 4 is k2

An update of forty tensors would else wake the threads once for each large one, and leave them idle during the small
ones. Results don't depend on it: a kernel's chunks are what they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from weft.codegen import windowed
from weft.codegen.tiling import THREADS
from weft.ir.dims import is_known
from weft.ir.graph import Op, Value
from weft.ir.plan import Place

if TYPE_CHECKING:
    from weft.codegen.kernel import Kernel
    from weft.codegen.step_writer import Frame, Writer

LEAST = 2 * THREADS.work  # instructions: less is done before another thread is awake
MOST = 256  # kernels
SILENT = frozenset({"reshape", "constant"})  # ops that may be written before the kernels around them
Extent = tuple[str, int, int]  # kind of place, first, end


def runs(w: Writer, frame: Frame, ops: Sequence[Op]) -> Iterator[list[Op]]:
    """The ops in an order that is as good, kernels that may run together in one list, all others alone."""
    waiting: list[Op] = []
    reads: list[Extent] = []
    writes: list[Extent] = []
    for op in ops:
        if op.kind.name in SILENT:
            yield [op]
            continue
        own = _extents(frame, op.operands), _extents(frame, op.results)
        apart = own[0] is not None and own[1] is not None and _may_join(w, frame, op)
        if waiting and not (apart and len(waiting) < MOST and _independent(own, reads, writes)):  # type: ignore[arg-type]
            yield waiting
            waiting, reads, writes = [], [], []
        if not apart:
            yield [op]
            continue
        waiting.append(op)
        reads += own[0]  # type: ignore[arg-type]
        writes += own[1]  # type: ignore[arg-type]
    if waiting:
        yield waiting


def _may_join(w: Writer, frame: Frame, op: Op) -> bool:
    """Is it a kernel of so many chunks and nothing to do after them?"""
    if op.kind.name != "call" or windowed.stream_of(op.regions[0]) is not None:
        return False
    kernel = w.kernel_of(frame, op)
    return is_known(kernel.chunks) and not kernel.final and not kernel.sizes


def _extents(frame: Frame, values: Sequence[Value]) -> list[Extent] | None:
    """Where values lie; None where that may be one place under several names."""
    found = []
    for v in values:
        place: Place = frame.plan.place[v]
        if place.kind in ("pointer", "record"):
            return None
        known = is_known(place.at) and is_known(v.type.nbytes)
        if place.kind == "arena" and not known:
            return None
        size = v.type.nbytes if place.kind == "arena" else 1
        found.append((place.kind, place.at, place.at + size))
    return found


def _independent(own: tuple[list[Extent], list[Extent]], reads: list[Extent], writes: list[Extent]) -> bool:
    def apart(some: list[Extent], others: list[Extent]) -> bool:
        return not any(a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a in some for b in others)

    return apart(own[0], writes) and apart(own[1], writes) and apart(own[1], reads)


def write(w: Writer, frame: Frame, ops: Sequence[Op]) -> None:
    """Kernels in a step's function, by one call of the pool where that is worth it."""
    if len(ops) < 2 or sum(w.kernel_of(frame, op).work for op in ops) < LEAST:
        for op in ops:
            w.kernel(frame, op)
        return
    kernels = [w.named(frame, op) for op in ops]
    room = iter(w.scratch_space([size for kernel in kernels for size in w.scratch_of(kernel)]))
    pointers = [w.arguments(frame, op, kernel, room) for op, kernel in zip(ops, kernels, strict=True)]
    name = w.own_name("together")
    chunks = sum(kernel.chunks for kernel in kernels)
    w.note(frame, f"{', '.join(kernel.name for kernel in kernels)} together: {chunks} chunks")
    w.functions.append(_dealt(name, kernels, pointers))
    w.threads.append(chunks - 1)
    w.pack([p for given in pointers for p in given])
    w.put(f"call void @weft_parallel_for(ptr @{name}, ptr %pack, i64 {chunks})")


def _dealt(name: str, kernels: Sequence[Kernel], pointers: Sequence[Sequence[str]]) -> str:
    """The function that runs one chunk of one of the kernels."""
    lines = [f"define internal void @{name}(ptr %args, i64 %chunk) nounwind {{", "entry:", "  br label %test.0"]
    first = at = 0
    for i, (kernel, given) in enumerate(zip(kernels, pointers, strict=True)):
        lines += [
            f"test.{i}:",
            f"  %own.{i} = sub i64 %chunk, {first}",
            f"  %here.{i} = icmp slt i64 %own.{i}, {kernel.chunks}",
            f"  br i1 %here.{i}, label %run.{i}, label %test.{i + 1}",
            f"run.{i}:",
            f"  %args.{i} = getelementptr inbounds ptr, ptr %args, i64 {at}",
        ]
        if kernel.chunks > 1:
            lines.append(f"  call void @{kernel.name}(ptr %args.{i}, i64 %own.{i})")
        else:
            for n in range(len(given)):
                lines.append(f"  %at.{i}.{n} = getelementptr inbounds ptr, ptr %args.{i}, i64 {n}")
                lines.append(f"  %p.{i}.{n} = load ptr, ptr %at.{i}.{n}")
            passed = "".join(f"ptr noalias %p.{i}.{n}, " for n in range(len(given)))
            lines.append(f"  call void @{kernel.name}_body({passed}i64 0)")
        lines.append("  ret void")
        first, at = first + kernel.chunks, at + len(given)
    return "\n".join([*lines, f"test.{len(kernels)}:", "  ret void", "}"]) + "\n"
