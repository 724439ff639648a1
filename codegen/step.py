"""A whole step as one native function: kernels, products, loops and copies in order, over planned buffers.

    i64 step(ptr args)       args: inputs, outputs, constants, where there are library ops the host, then the arena

The host is what runs them, i64 host(i64 number, ptr addresses), given by the address of a pointer to it.

It returns 0, or why the step's results are none (`weft.codegen.entry`). Everything that a call needs is in the text,
so that its object code can be kept on disk and run later by a process that never loads a compiler.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from weft.codegen.entry import NO_MEMORY, OUT_OF_BOUNDS, RAISED
from weft.codegen.kernel import Kernel
from weft.codegen.llvm import module, print_kernels
from weft.codegen.stack_ir import STACKS
from weft.codegen.step_control import write_graph
from weft.codegen.step_writer import ALIGN, Frame, Writer
from weft.ir.graph import Graph, Op
from weft.ir.plan import Plan


@dataclass
class Step:
    """A lowered step: its kernels, LLVM text, and what a caller must pass.

    arena: bytes to work in. errors: where in them the first index out of bounds is recorded, as number (from 1) of
    one of `bounds`, and the index. parallel: does it use the pool? stacks: does it keep any (to be released by
    `release`)? library: the ops that the host runs, by their numbers. calls: what it runs, one line each.
    """

    kernels: list[Kernel]
    text: str
    constants: list[np.ndarray]
    arena: int
    parallel: bool
    calls: list[str] = field(default_factory=list)
    bounds: list[Op] = field(default_factory=list)
    errors: int = 0
    stacks: bool = False
    library: list[Op] = field(default_factory=list)


def write_step(graph: Graph, plan: Plan) -> Step:
    """Lower a fused graph with its memory plan to one native function."""
    w = Writer(plan)
    inputs, outputs, constants = len(graph.inputs), len(graph.outputs), len(plan.constants)
    arguments = [f"%{kind}.{i}" for kind, n in _counts(inputs, outputs, constants) for i in range(n)]
    frame = Frame(plan, inputs=arguments[:inputs])
    for k, home in enumerate(plan.homes):
        frame.pointers.append(f"%pointer.{k}")
        w.entry.append(f"  %pointer.{k} = alloca ptr")
        w.put(f"store ptr {w.arena_at(home)}, ptr %pointer.{k}")
    write_graph(w, frame, graph)
    arena = w.scratch + (ALIGN if w.bounds else 0)
    arguments += ["%host", "%arena"] if w.library else ["%arena"]
    step = "\n".join([*_head(w, arguments), *w.lines, *_tail(w), "}"]) + "\n"
    parts = [*_declarations(step), "", print_kernels(w.kernels, w.inlined), STACKS if w.stacks else "", step]
    text = module("\n".join(parts))
    return Step(w.kernels, text, plan.constants, arena, w.parallel, w.calls, w.bounds, w.scratch, w.stacks, w.library)


def _counts(inputs: int, outputs: int, constants: int) -> list[tuple[str, int]]:
    return [("input", inputs), ("output", outputs), ("constant", constants)]


def _head(w: Writer, arguments: list[str]) -> list[str]:
    lines = ["define i64 @step(ptr %args) nounwind {", "entry:", f"  %pack = alloca [{w.widest} x ptr]", *w.entry]
    for i, name in enumerate(arguments):
        lines.append(f"  {name}.at = getelementptr inbounds ptr, ptr %args, i64 {i}")
        lines.append(f"  {name} = load ptr, ptr {name}.at")
    if w.bounds:
        lines += [f"  %error = getelementptr inbounds i8, ptr %arena, i64 {w.scratch}", "  store i64 0, ptr %error"]
    if w.stacks:
        lines += [
            "  %stacks = alloca ptr",
            "  store ptr null, ptr %stacks",
            "  %spares = alloca ptr",
            "  %kept = atomicrmw xchg ptr @weft_kept, ptr null acq_rel",
            "  store ptr %kept, ptr %spares",
        ]
    return lines


def _tail(w: Writer) -> list[str]:
    free = ["  call void @weft_stacks_end(ptr %stacks, ptr %spares)"] if w.stacks else []
    lines = list(free)
    if w.bounds:
        lines += [
            "  %wrong = load i64, ptr %error",
            "  %was.wrong = icmp ne i64 %wrong, 0",
            f"  %how = select i1 %was.wrong, i64 {OUT_OF_BOUNDS}, i64 0",
            "  ret i64 %how",
        ]
    else:
        lines.append("  ret i64 0")
    if w.stacks:
        lines += ["no.memory:", *free, f"  ret i64 {NO_MEMORY}"]
    return [*lines, "raised:", *free, f"  ret i64 {RAISED}"] if w.library else lines


def _declarations(step: str) -> list[str]:
    gemm = "i64, i64, i64, i64, i64, ptr, i64, ptr, i64, ptr, i64"
    lines = [
        "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
        "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
    ]
    if "@weft_parallel_for" in step:
        lines.append("declare void @weft_parallel_for(ptr, ptr, i64)")
    for t in ("f32", "f64"):
        if f"@weft_gemm_{t}(" in step:
            lines.append(f"declare void @weft_gemm_{t}({gemm}, i64)")
        if f"@weft_gemm_batch_{t}(" in step:
            lines.append(f"declare void @weft_gemm_batch_{t}({gemm}, i64, i64, i64, i64, i64)")
    return lines
