"""A whole step as one native function: kernels, products and copies in order, over planned buffers.

    void step(ptr args)      args: inputs, outputs, constants, then the arena
    i64 enter(ptr tuple)     the same from a tuple of arrays, see `entry`

Everything that a call needs is in the text, so that its object code can be kept on disk and run later by a
process that never loads a compiler.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from weft.codegen.kernel import Kernel
from weft.codegen.llvm import module, print_kernels
from weft.codegen.lower import lower
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.linalg import free_axes

ALIGN = 64


@dataclass
class Step:
    """A lowered step: its kernels, LLVM text, and what a caller must pass."""

    kernels: list[Kernel]
    text: str
    constants: list[np.ndarray]
    arena: int
    parallel: bool
    calls: list[str] = field(default_factory=list)


class _Writer:
    def __init__(self, graph: Graph, plan: object) -> None:
        self.graph = graph
        self.plan = plan
        self.lines: list[str] = []
        self.count = 0
        self.kernels: list[Kernel] = []
        self.constants: list[np.ndarray] = []
        self.calls: list[str] = []
        self.scratch = 0
        self.widest = 1
        self.parallel = False
        self.slots = len(graph.inputs) + len(graph.outputs)

    def fresh(self) -> str:
        self.count += 1
        return f"%t{self.count}"

    def put(self, line: str) -> None:
        self.lines.append("  " + line)

    def slot(self, i: int) -> str:
        at, out = self.fresh(), self.fresh()
        self.put(f"{at} = getelementptr inbounds ptr, ptr %args, i64 {i}")
        self.put(f"{out} = load ptr, ptr {at}")
        return out

    def arena_at(self, offset: int) -> str:
        out = self.fresh()
        self.put(f"{out} = getelementptr inbounds i8, ptr %arena, i64 {offset}")
        return out

    def pointer(self, v: Value) -> str:
        place = self.plan.place[v]  # type: ignore[attr-defined]
        if place.kind == "input":
            return self.slot(place.at)
        if place.kind == "output":
            return self.slot(len(self.graph.inputs) + place.at)
        if place.kind == "constant":
            return self.slot(self.slots + place.at)
        return self.arena_at(place.at)

    def call(self, op: Op) -> None:
        """A kernel: scratch behind the arena, chunks through the pool."""
        alias = self.plan.shared.get(op, {})  # type: ignore[attr-defined]
        kernel = lower(op.regions[0], alias)
        self.kernels.append(kernel)
        self.calls.append(f"{kernel.name}: {kernel.chunks} chunk{'s' if kernel.chunks > 1 else ''}")
        values = [*op.operands, *(r for o, r in enumerate(op.results) if o not in alias)]
        pointers = [self.pointer(v) for v in values]
        offset = self.plan.arena  # type: ignore[attr-defined]
        for b in kernel.buffers[len(values) :]:
            pointers.append(self.arena_at(offset))
            size = b.size * (np.dtype(np.bool_).itemsize if b.dtype == "bool" else int(b.dtype[1:]) // 8)
            offset += -(-max(size, 1) // ALIGN) * ALIGN
        self.scratch = max(self.scratch, offset)
        self.widest = max(self.widest, len(pointers))
        for i, p in enumerate(pointers):
            at = self.fresh()
            self.put(f"{at} = getelementptr inbounds ptr, ptr %pack, i64 {i}")
            self.put(f"store ptr {p}, ptr {at}")
        if kernel.chunks > 1:
            self.parallel = True
            self.put(f"call void @weft_parallel_for(ptr @{kernel.name}, ptr %pack, i64 {kernel.chunks})")
        else:
            self.put(f"call void @{kernel.name}(ptr %pack, i64 0)")
        if kernel.final:
            self.put(f"call void @{kernel.name}_final(ptr %pack, i64 0)")

    def dot(self, op: Op) -> None:
        a, b = op.operands
        batch, contract = op.attrs["batch"], op.attrs["contract"]
        nb = len(batch[0])
        size = lambda dims: int(np.prod(dims, dtype=np.int64))  # noqa: E731
        fa, fb = free_axes(len(a.shape), batch[0], contract[0]), free_axes(len(b.shape), batch[1], contract[1])
        m, n = size([a.shape[i] for i in fa]), size([b.shape[i] for i in fb])
        k, groups = size([a.shape[i] for i in contract[0]]), size([a.shape[i] for i in batch[0]])
        ta = int(tuple(range(len(a.shape))) != (*batch[0], *fa, *contract[0]))
        tb = int(tuple(range(len(b.shape))) != (*batch[1], *contract[1], *fb))
        lda, ldb = max(1, m if ta else k), max(1, k if tb else n)
        pa, pb, pc = self.pointer(a), self.pointer(b), self.pointer(op.result)
        head = f"i64 {ta}, i64 {tb}, i64 {m}, i64 {n}, i64 {k}, ptr {pa}, i64 {lda}, ptr {pb}, i64 {ldb}"
        head += f", ptr {pc}, i64 {max(1, n)}"
        name = op.result.dtype
        if nb == 0:
            self.put(f"call void @weft_gemm_{name}({head}, i64 0)")
        else:
            self.put(f"call void @weft_gemm_batch_{name}({head}, i64 {groups}, i64 {m * k}, i64 {k * n}, "
                     f"i64 {m * n}, i64 0)")  # fmt: skip
        self.parallel = self.parallel or m * n * k * max(groups, 1) > 1 << 17
        self.calls.append(f"gemm {name} {f'{groups} x ' if nb else ''}{m} x {k} x {n}")

    def copy(self, target: str, v: Value) -> None:
        if v.type.nbytes:
            source = self.pointer(v)
            self.put(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {v.type.nbytes}, i1 false)")

    def run(self) -> Step:
        for op in self.graph.ops:
            if op.regions:
                self.call(op)
            elif op.kind.name == "dot":
                self.dot(op)
            elif op.kind.name == "constant":
                self.constants.append(np.ascontiguousarray(op.attrs["value"]))
            elif op.kind.name != "reshape":
                raise ValueError(f"no code for op {op.kind.name} outside a kernel")
        for j, v in self.plan.copies:  # type: ignore[attr-defined]
            self.copy(self.slot(len(self.graph.inputs) + j), v)
        arena_slot = self.slots + len(self.constants)
        head = [
            "define void @step(ptr %args) nounwind {",
            f"  %pack = alloca [{self.widest} x ptr]",
            f"  %arena.at = getelementptr inbounds ptr, ptr %args, i64 {arena_slot}",
            "  %arena = load ptr, ptr %arena.at",
        ]
        step = "\n".join([*head, *self.lines, "  ret void", "}"]) + "\n"
        gemm = "i64, i64, i64, i64, i64, ptr, i64, ptr, i64, ptr, i64"
        declares = ["declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"]
        if "@weft_parallel_for" in step:
            declares.append("declare void @weft_parallel_for(ptr, ptr, i64)")
        for t in ("f32", "f64"):
            if f"@weft_gemm_{t}(" in step:
                declares.append(f"declare void @weft_gemm_{t}({gemm}, i64)")
            if f"@weft_gemm_batch_{t}(" in step:
                declares.append(f"declare void @weft_gemm_batch_{t}({gemm}, i64, i64, i64, i64, i64)")
        taken = set(self.plan.taken.values())  # type: ignore[attr-defined]
        enter = entry(len(self.graph.inputs), arena_slot + 1, taken)
        text = module("\n".join([*declares, "", print_kernels(self.kernels), step, enter]))
        return Step(self.kernels, text, self.constants, self.scratch or self.plan.arena, self.parallel, self.calls)  # type: ignore[attr-defined]


C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400  # numpy's flag bits
TUPLE_ITEMS, ARRAY_DATA, ARRAY_FLAGS = 24, 16, 64  # byte offsets in CPython's and NumPy's structs


def entry(inputs: int, slots: int, written: set[int]) -> str:
    """`i64 enter(ptr tuple)`: unpack a tuple of arrays natively and run the step.

    Reading the pointers from the array objects costs nanoseconds where asking each array for its address
    costs a microsecond. Returns 1, with nothing run, when an input is not contiguous, aligned and (if
    `written`) writeable: the caller then copies. The offsets are checked against NumPy at import.
    """
    lines = ["define i64 @enter(ptr %tuple) nounwind {", f"  %args = alloca [{slots} x ptr]"]
    bad = "0"
    for i in range(slots):
        lines += [
            f"  %i{i} = getelementptr inbounds i8, ptr %tuple, i64 {TUPLE_ITEMS + 8 * i}",
            f"  %o{i} = load ptr, ptr %i{i}",
            f"  %d{i} = getelementptr inbounds i8, ptr %o{i}, i64 {ARRAY_DATA}",
            f"  %p{i} = load ptr, ptr %d{i}",
            f"  %s{i} = getelementptr inbounds ptr, ptr %args, i64 {i}",
            f"  store ptr %p{i}, ptr %s{i}",
        ]
        if i < inputs:
            mask = C_CONTIGUOUS | ALIGNED | (WRITEABLE if i in written else 0)
            lines += [
                f"  %f{i} = getelementptr inbounds i8, ptr %o{i}, i64 {ARRAY_FLAGS}",
                f"  %g{i} = load i32, ptr %f{i}",
                f"  %h{i} = and i32 %g{i}, {mask}",
                f"  %k{i} = xor i32 %h{i}, {mask}",
                f"  %b{i} = or i32 %k{i}, {bad}",
            ]
            bad = f"%b{i}"
    lines += [
        f"  %bad = icmp ne i32 {bad}, 0",
        "  br i1 %bad, label %copy, label %run",
        "copy:",
        "  ret i64 1",
        "run:",
        "  call void @step(ptr %args)",
        "  ret i64 0",
        "}",
    ]
    return "\n".join(lines) + "\n"


def write_step(graph: Graph, plan: object) -> Step:
    """Lower a fused graph with its memory plan (`passes.memory.Plan`) to one native function."""
    return _Writer(graph, plan).run()
