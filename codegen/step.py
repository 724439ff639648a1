"""A whole step as one native function: kernels, products, loops and copies in order, over planned buffers.

    i64 step(ptr args)       args: inputs, outputs, constants, where there are library ops the host, then the arena

The host is what runs them, i64 host(i64 number, ptr addresses), given by the address of a pointer to it.

It returns 0, or why the step's results are none (`weft.codegen.entry`). Everything that a call needs is in the text,
so that its object code can be kept on disk and run later by a process that never loads a compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from weft.codegen.entry import NO_MEMORY, OUT_OF_BOUNDS, RAISED
from weft.codegen.functions import module, print_kernels
from weft.codegen.kernel import Kernel
from weft.codegen.stack_ir import STACKS
from weft.codegen.step_control import write_graph
from weft.codegen.step_writer import ALIGN, Frame, Writer
from weft.codegen.unit import Needs, Unit
from weft.codegen.units import units
from weft.ir.dims import Dim, value_of
from weft.ir.graph import Graph
from weft.ir.plan import Plan


@dataclass(kw_only=True)
class Step(Needs):
    """A lowered step: its kernels, LLVM text, and what a caller must pass.

    units: the modules that are compiled. whole: gives them as one, to be read. calls: what it runs, one line each.
    """

    kernels: list[Kernel]
    units: list[Unit]
    whole: Callable[[], str] = field(repr=False)
    calls: list[str]

    @cached_property
    def text(self) -> str:
        """LLVM IR of the whole step as one module: what `units` come to, with names from the program."""
        return self.whole()


def write_step(graph: Graph, plan: Plan) -> Step:
    """Lower a fused graph with its memory plan to one native function."""
    w = Writer(plan)
    frame = Frame(plan, inputs=[f"%input.{i}" for i in range(len(graph.inputs))])
    for k, home in enumerate(plan.homes):
        frame.pointers.append(f"%pointer.{k}")
        w.entry.append(f"  %pointer.{k} = alloca ptr")
        w.put(f"store ptr {w.arena_at(home)}, ptr %pointer.{k}")
    write_graph(w, frame, graph)
    arena = w.scratch + (ALIGN if w.bounds else 0)
    constants = list(plan.constants)
    counts = [("input", len(graph.inputs)), ("output", len(graph.outputs)), ("constant", len(constants))]
    arguments = [f"%{kind}.{i}" for kind, n in counts for i in range(n)]
    if w.bounds:
        w.number(w.scratch)
    if not w.sizes:  # library ops alone need no table, but the executable for other sizes is made with one
        dims: list[object] = [n for v in graph.inputs for n in v.type.dims]
        w.sizes += [n for n in dims if isinstance(n, Dim)]
    if w.sizes:
        arguments.append("%sizes")
        constants.append(np.array([value_of(n) for n in w.sizes], np.int64))
    arguments += ["%host", "%arena"] if w.library else ["%arena"]
    step = "\n".join([*_head(w, arguments), *w.lines, *_tail(w), "}"]) + "\n"
    called = "\n".join([*w.functions, step])
    head = [*_declarations(called), "", STACKS if w.stacks else ""]
    made = units(w.kernels, w.inlined, head, called)
    whole = lambda: module("\n".join([*head, print_kernels(w.kernels, w.inlined), called]))  # noqa: E731
    parallel = any(value_of(n) > 0 for n in w.threads)
    return Step(
        kernels=w.kernels, units=made, whole=whole, calls=w.calls, constants=constants, arena=arena, parallel=parallel,
        bounds=w.bounds, errors=w.scratch, stacks=w.stacks, library=w.library, sizes=w.sizes, threads=w.threads,
    )  # fmt: skip


def _head(w: Writer, arguments: list[str]) -> list[str]:
    lines = ["define i64 @step(ptr %args) nounwind {", "entry:", f"  %pack = alloca [{w.widest} x ptr]", *w.entry]
    for i, name in enumerate(arguments):
        lines.append(f"  {name}.at = getelementptr inbounds ptr, ptr %args, i64 {i}")
        lines.append(f"  {name} = load ptr, ptr {name}.at")
    for name in w.loaded.values():
        lines.append(f"  {name}.at = getelementptr inbounds i64, ptr %sizes, i64 {name.removeprefix('%size.')}")
        lines.append(f"  {name} = load i64, ptr {name}.at")
    if w.bounds:
        error = f"  %error = getelementptr inbounds i8, ptr %arena, i64 {w.number(w.scratch)}"
        lines += [error, "  store i64 0, ptr %error"]
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
    if not w.library:
        return lines
    lines += ["raised:", *free]
    if not w.bounds:
        return [*lines, f"  ret i64 {RAISED}"]
    return [  # an index that was out of bounds came first, and may be why
        *lines,
        "  %wrong.before = load i64, ptr %error",
        "  %was.before = icmp ne i64 %wrong.before, 0",
        f"  %why = select i1 %was.before, i64 {OUT_OF_BOUNDS}, i64 {RAISED}",
        "  ret i64 %why",
    ]


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
        routine, real = {"f32": ("sgemm", "float"), "f64": ("dgemm", "double")}[t]
        if f"@weft_cblas_{routine}(" in step:
            sizes = "i32, i32, i32, i32, i32, i32"
            lines.append(f"declare void @weft_cblas_{routine}({sizes}, {real}, ptr, i32, ptr, i32, {real}, ptr, i32)")
    return lines
