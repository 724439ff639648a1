"""Runs scalars over arrays: each in a vectorised loop of its own, compiled with llvmlite for this machine."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence

import llvmlite.binding as llvm
import numpy as np

from weft.codegen.scalar import Scalar, declarations, expression
from weft.codegen.scalar_llvm import TYPES

_SIZES = {"i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}
NUMPY = {"bool": np.dtype(bool),
         **{f"{k}{8 * size}": np.dtype(f"{k}{size}") for k, sizes in _SIZES.items() for size in sizes}}
MEMORY = {**TYPES, "bool": "i8"}
Loop = Callable[..., np.ndarray]


def apply(name: str, args: Sequence[str], result: str | None = None) -> Scalar:
    """The expression name(a, b, ...)."""
    letters = "abcdefgh"[: len(args)]
    return expression(f"{name}({', '.join(letters)})", args, result or args[0])


def compile_loops(scalars: Sequence[Scalar]) -> list[Loop]:
    """A function of arrays for each scalar."""
    return compile_text(scalars)[0]


def compile_text(scalars: Sequence[Scalar]) -> tuple[list[Loop], str]:
    """The loops and the assembly."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3)
    callees = {c.name: c for s in scalars for c in s.calls}
    parts = [declarations(), *(c.llvm_define() for c in callees.values())]
    parts += [_loop(f"k{i}", s) for i, s in enumerate(scalars)]
    module = llvm.parse_assembly("\n".join(parts))
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = True
    llvm.create_pass_builder(machine, options).getModulePassManager().run(module, llvm.create_pass_builder(
        machine, options))
    assembly = machine.emit_assembly(module)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return [_callable(engine, f"k{i}", s) for i, s in enumerate(scalars)], assembly


def _loop(name: str, scalar: Scalar) -> str:
    counter = itertools.count()

    def fresh() -> str:
        return f"%t{next(counter)}"

    lines, operands = [], []
    for index, dtype in enumerate(scalar.args):
        place, value = fresh(), fresh()
        lines += [f"{place} = getelementptr {MEMORY[dtype]}, ptr %p{index}, i64 %i",
                  f"{value} = load {MEMORY[dtype]}, ptr {place}"]
        if dtype == "bool":
            wide, value = value, fresh()
            lines.append(f"{value} = trunc i8 {wide} to i1")
        operands.append(value)
    body, result = scalar.llvm_inline(operands, fresh)
    lines += body
    if scalar.result == "bool":
        narrow, result = result, fresh()
        lines.append(f"{result} = zext i1 {narrow} to i8")
    kind = MEMORY[scalar.result]
    lines += [f"%place = getelementptr {kind}, ptr %out, i64 %i", f"store {kind} {result}, ptr %place"]
    pointers = "".join(f", ptr noalias %p{i}" for i in range(len(scalar.args)))
    return "\n".join([
        f"define void @{name}(i64 %n, ptr noalias %out{pointers}) {{", "entry:", "  br label %loop", "loop:",
        "  %i = phi i64 [0, %entry], [%next, %loop]", *(f"  {line}" for line in lines),
        "  %next = add nuw nsw i64 %i, 1", "  %done = icmp eq i64 %next, %n",
        "  br i1 %done, label %end, label %loop", "end:", "  ret void", "}"])


def _callable(engine: llvm.ExecutionEngine, name: str, scalar: Scalar) -> Loop:
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * (1 + len(scalar.args)))
    function = kind(engine.get_function_address(name))

    def run(*arrays: np.ndarray) -> np.ndarray:
        values = [np.ascontiguousarray(a, NUMPY[t]) for a, t in zip(arrays, scalar.args, strict=True)]
        out = np.empty(len(values[0]), NUMPY[scalar.result])
        function(len(out), out.ctypes.data, *(v.ctypes.data for v in values))
        return out

    run.engine = engine  # type: ignore[attr-defined]  # the code lives as long as it
    return run
