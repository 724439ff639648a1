"""Writing a step's function: straight-line parts, and where values are (`weft.ir.plan`).

A `Frame` is a graph or region being written; a region that is written gets a frame of its own, in which its plan's
places are resolved to what the op around it bound them to. Slots are variables of the step's stack frame, which LLVM
turns into registers; so are the pointers that loops exchange.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

from weft.codegen.kernel import Kernel, walk
from weft.codegen.llvm import MEMORY
from weft.codegen.lowered import Lowered
from weft.codegen.scalar_llvm import literal
from weft.ir.dims import Dim, aligned, maximum, same, value_of
from weft.ir.graph import Op, Value
from weft.ir.ops.linalg import free_axes
from weft.ir.plan import Place, Plan
from weft.ir.records import dataclass, field
from weft.ir.types import TensorType

ALIGN = 64
SHORT = 128  # statements: longer kernels are called, not inlined
STREAMED = 1 << 25  # bytes: results from this size on are out of the last cache before anybody reads them
OWN_THREADS = 1 << 17  # products of that many multiplications use the pool


@dataclass
class Frame:
    """What a plan's places are while its graph is written.

    base: where in the arena it starts. inputs: pointers. pointers: of each the variable that has it (if the plan
    moves it, and of the whole graph) or the pointer itself. rooms: where pushes will leave their records, and records:
    where values in records are, as far as that is known.
    """

    plan: Plan
    base: int = 0
    inputs: Sequence[str] = ()
    pointers: list[str] = field(default_factory=list)
    slots: dict[int, str] = field(default_factory=dict)
    rooms: dict[Op, str] = field(default_factory=dict)
    records: dict[int, str] = field(default_factory=dict)
    depth: int = 0


def memory_type(t: TensorType) -> str:
    """The LLVM type of one element in memory."""
    return "ptr" if t.is_stack else MEMORY[t.dtype]


def size_of(t: TensorType) -> int:
    return t.nbytes


def record_layout(values: Sequence[Value]) -> tuple[list[int], int]:
    """Where each value is in a record, and the record's bytes (some, even if it holds nothing: it has an address)."""
    offsets, size = [], 0
    for v in values:
        offsets.append(size)
        size += aligned(size_of(v.type), 8)
    return offsets, maximum(size, 8)


class Writer:
    """The lines of `@step`, and what it needs."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.lines: list[str] = []
        self.entry: list[str] = []  # variables, in the function's first block
        self.count = 0
        self.kernels: list[Kernel] = []
        self.names: set[str] = set()
        self.lowered = Lowered()
        self.inlined: set[str] = set()
        self.functions: list[str] = []  # others that the step calls
        self.bounds: list[Op] = []
        self.library: list[Op] = []
        self.calls: list[str] = []
        self.scratch = plan.arena
        self.widest = 1
        self.threads: list[int | Dim] = []  # the pool is used if one of them is positive
        self.sizes: list[Dim] = []  # that are symbols: the table which `%sizes` points to
        self.loaded: dict[Dim, str] = {}  # those of them that this function loads at its beginning
        self.stacks = False

    # ---- text ----------------------------------------------------------------------------------------

    def fresh(self, hint: str = "t") -> str:
        self.count += 1
        return f"%{hint}{self.count}"

    def put(self, line: str) -> None:
        self.lines.append("  " + line)

    def let(self, text: str, hint: str = "t") -> str:
        name = self.fresh(hint)
        self.put(f"{name} = {text}")
        return name

    def labels(self, *hints: str) -> list[str]:
        self.count += 1
        return [f"{hint}.{self.count}" for hint in hints]

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def variable(self, t: TensorType, hint: str = "s") -> str:
        """Memory for a small value in the stack frame."""
        name = self.fresh(hint)
        kind = memory_type(t) if same(t.size, 1) else f"[{t.size} x {memory_type(t)}], align 16"
        self.entry.append(f"  {name} = alloca {kind}")
        return name

    def number(self, n: int | Dim) -> str:
        """A size: a literal, or what is loaded from the table."""
        if not isinstance(n, Dim):
            return str(n)
        if n not in self.loaded:
            self.loaded[n] = f"%size.{len(self.sizes)}"
            self.sizes.append(n)
        return self.loaded[n]

    def sizes_from(self, wanted: Sequence[Dim]) -> str:
        """A pointer to a part of the table: these sizes, one after the other."""
        at = len(self.sizes)
        self.sizes += wanted
        return self.let(f"getelementptr inbounds i64, ptr %sizes, i64 {at}")

    # ---- places --------------------------------------------------------------------------------------

    def arena_at(self, offset: int) -> str:
        return self.let(f"getelementptr inbounds i8, ptr %arena, i64 {self.number(offset)}")

    def at(self, frame: Frame, place: Place, t: TensorType) -> str:
        """A pointer to a place."""
        if place.kind == "slot":
            if place.at not in frame.slots:
                frame.slots[place.at] = self.variable(t)
            return frame.slots[place.at]
        if place.kind == "pointer":
            name = frame.pointers[place.at]
            return self.let(f"load ptr, ptr {name}") if frame.depth == 0 or place.at in frame.plan.moved else name
        if place.kind == "arena":
            return self.arena_at(frame.base + place.at)
        if place.kind == "record":
            return self.record(frame, place.at)
        return frame.inputs[place.at] if place.kind == "input" else f"%{place.kind}.{place.at}"

    def record(self, frame: Frame, k: int) -> str:
        """A pointer to a value in a record. What is pushed is there before the push: that makes room for it."""
        if k not in frame.records:
            op, p = frame.plan.records[k]
            offsets, _ = record_layout(op.operands[1:])
            room = self.room(frame, op)
            frame.records[k] = self.let(f"getelementptr inbounds i8, ptr {room}, i64 {self.number(offsets[p - 1])}")
        return frame.records[k]

    def room(self, frame: Frame, op: Op) -> str:
        """Where a push will leave its record."""
        if op not in frame.rooms:
            _, size = record_layout(op.operands[1:])
            stack = self.load(frame, op.operands[0])
            frame.rooms[op] = self.let(f"call ptr @weft_stack_room(ptr {stack}, i64 {self.number(size)})")
            self.unless_null(frame.rooms[op])
        return frame.rooms[op]

    def unless_null(self, pointer: str) -> None:
        """Go on unless an allocation failed."""
        (fine,) = self.labels("fine")
        self.put(f"br i1 {self.let(f'icmp eq ptr {pointer}, null')}, label %no.memory, label %{fine}")
        self.label(fine)

    def pointer(self, frame: Frame, v: Value) -> str:
        return self.at(frame, frame.plan.place[v], v.type)

    def load(self, frame: Frame, v: Value) -> str:
        """A 0-d value itself."""
        return self.let(f"load {memory_type(v.type)}, ptr {self.pointer(frame, v)}")

    def copy(self, target: str, source: str, t: TensorType) -> None:
        if same(t.size, 1):
            value = self.let(f"load {memory_type(t)}, ptr {source}")
            self.put(f"store {memory_type(t)} {value}, ptr {target}")
        elif not same(t.size, 0):
            size = self.number(size_of(t))
            self.put(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)")

    # ---- ops -----------------------------------------------------------------------------------------

    def constant(self, frame: Frame, op: Op) -> None:
        """A literal goes to its slot; arrays are buffers."""
        v = op.result
        if v.shape:
            return
        value = op.attrs["value"][()]
        text = str(int(value)) if v.dtype == "bool" else literal(value, v.dtype)
        self.put(f"store {memory_type(v.type)} {text}, ptr {self.pointer(frame, v)}")

    def kernel_of(self, frame: Frame, op: Op) -> Kernel:
        """The kernel of a call, under the name that the first of its like had."""
        streams = {o for o, r in enumerate(op.results) if value_of(r.type.nbytes) >= STREAMED}
        return self.lowered(op.regions[0], frame.plan.shared.get(op, {}), self.bounds, streams)

    def named(self, frame: Frame, op: Op) -> Kernel:
        """A call's kernel as one of this step's, with a name of its own."""
        kernel = dataclasses.replace(self.kernel_of(frame, op), name=self.own_name(op.regions[0].name))
        self.kernels.append(kernel)
        return kernel

    def scratch_of(self, kernel: Kernel) -> list[int | Dim]:
        """Bytes of each buffer that a kernel works in."""
        scratch = [b for b in kernel.buffers if b.role == "chunk"]
        return [b.size * TensorType(b.dtype).np_dtype.itemsize for b in scratch]

    def arguments(self, frame: Frame, op: Op, kernel: Kernel, room: Iterator[str]) -> list[str]:
        """Pointers to a kernel's buffers, of which those to work in come from `room`."""
        alias = frame.plan.shared.get(op, {})
        values = [*op.operands, *(r for o, r in enumerate(op.results) if o not in alias)]
        pointers = [self.pointer(frame, v) for v in values]
        for b in kernel.buffers[len(values) :]:
            known = {"error": lambda: "%error", "sizes": lambda: self.sizes_from(kernel.sizes)}
            pointers.append(known[b.role]() if b.role in known else next(room))
        return pointers

    def kernel(self, frame: Frame, op: Op) -> None:
        """A kernel: scratch behind the arena, chunks through the pool."""
        kernel = self.named(frame, op)
        statements = sum(1 for _ in walk([*kernel.body, *kernel.final]))
        if frame.depth and same(kernel.chunks, 1) and statements <= SHORT:
            self.inlined.add(kernel.name)
        self.note(frame, f"{kernel.name}: {kernel.chunks} chunk{'' if same(kernel.chunks, 1) else 's'}")
        pointers = self.arguments(frame, op, kernel, iter(self.scratch_space(self.scratch_of(kernel))))
        arguments = ", ".join([*(f"ptr noalias {p}" for p in pointers), "i64 0"])
        if not same(kernel.chunks, 1):
            self.threads.append(kernel.chunks - 1)
            self.pack(pointers)
            self.put(f"call void @weft_parallel_for(ptr @{kernel.name}, ptr %pack, i64 {self.number(kernel.chunks)})")
        else:
            self.put(f"call void @{kernel.name}_body({arguments})")
        if kernel.final:
            self.put(f"call void @{kernel.name}_final_body({arguments})")

    def scratch_space(self, sizes: Sequence[int | Dim]) -> list[str]:
        """Pointers to so many bytes each, behind the arena."""
        offset, found = self.plan.arena, []
        for size in sizes:
            found.append(self.arena_at(offset))
            offset += aligned(maximum(size, 1), ALIGN)
        self.scratch = maximum(self.scratch, offset)
        return found

    def own_name(self, name: str) -> str:
        names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))
        own = next(n for n in names if n not in self.names)
        self.names.add(own)
        return own

    def pack(self, pointers: Sequence[str]) -> None:
        self.widest = max(self.widest, len(pointers))
        for i, p in enumerate(pointers):
            at = self.let(f"getelementptr inbounds ptr, ptr %pack, i64 {i}")
            self.put(f"store ptr {p}, ptr {at}")

    def dot(self, frame: Frame, op: Op) -> None:
        """A product of the library's."""
        a, b = op.operands
        batch, contract = op.attrs["batch"], op.attrs["contract"]
        nb = len(batch[0])
        fa, fb = free_axes(len(a.shape), batch[0], contract[0]), free_axes(len(b.shape), batch[1], contract[1])
        m, n = math.prod(a.shape[i] for i in fa), math.prod(b.shape[i] for i in fb)
        k, groups = math.prod(a.shape[i] for i in contract[0]), math.prod(a.shape[i] for i in batch[0])
        ta = int(tuple(range(len(a.shape))) != (*batch[0], *fa, *contract[0]))
        tb = int(tuple(range(len(b.shape))) != (*batch[1], *contract[1], *fb))
        lda, ldb = maximum(1, m if ta else k), maximum(1, k if tb else n)
        pa, pb, pc = (self.pointer(frame, v) for v in (a, b, op.result))
        text = self.number
        head = f"i64 {ta}, i64 {tb}, i64 {text(m)}, i64 {text(n)}, i64 {text(k)}, ptr {pa}, i64 {text(lda)}"
        head += f", ptr {pb}, i64 {text(ldb)}, ptr {pc}, i64 {text(maximum(1, n))}"
        name = op.result.dtype
        if nb == 0:
            self.put(f"call void @weft_gemm_{name}({head}, i64 0)")
        else:
            self.put(f"call void @weft_gemm_batch_{name}({head}, i64 {text(groups)}, i64 {text(m * k)}, "
                     f"i64 {text(k * n)}, i64 {text(m * n)}, i64 0)")  # fmt: skip
        self.threads.append(m * n * k * maximum(groups, 1) - OWN_THREADS)
        self.note(frame, f"gemm {name} {f'{groups} x ' if nb else ''}{m} x {k} x {n}")

    def called_back(self, frame: Frame, op: Op) -> None:
        """A library op: its number and the addresses of its operands and results are handed to the host."""
        pointers = [self.pointer(frame, v) for v in (*op.operands, *op.results)]
        self.pack(pointers)
        host = self.let("load ptr, ptr %host")
        bad = self.let(f"call i64 {host}(i64 {len(self.library)}, ptr %pack)")
        self.library.append(op)
        (fine,) = self.labels("fine")
        self.put(f"br i1 {self.let(f'icmp eq i64 {bad}, 0')}, label %{fine}, label %raised")
        self.label(fine)
        self.note(frame, f"{op.kind.name} {', '.join(str(v.type) for v in op.operands)}")

    def note(self, frame: Frame, text: str) -> None:
        """One line of what the step does."""
        self.calls.append("  " * frame.depth + text)
