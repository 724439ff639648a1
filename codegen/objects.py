"""LLVM IR text in, machine code out.

    text --parse, verify--> module --O3, vectorise for this CPU--> module --emit--> ELF object bytes

The bytes are position-independent (``reloc=pic``, small code model), so constants are addressed relative to
the instruction and outside functions are reached through stubs: an object may be cached on disk and loaded
anywhere.  ``host_key`` names everything about this machine and this LLVM that the bytes depend on.

llvmlite is imported on first use.  One lock guards every use of LLVM by weft, and ``fork`` waits for it, so
that a forked child never inherits LLVM in the middle of something.  Who holds it may compile several modules
at once: each has a context and a target machine of its own, and shares nothing with the others
(``weft.codegen.unlocked``).
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from weft.codegen.unlocked import emit_object, parse_assembly, run_passes

LLVM_LOCK = threading.RLock()
_machines = threading.local()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=LLVM_LOCK.acquire, after_in_parent=LLVM_LOCK.release, after_in_child=LLVM_LOCK.release)


class CompileError(RuntimeError):
    """LLVM refused a module: weft generated text that does not parse or verify."""


def compile_object(llvm_text: str, *, level: int = 3) -> bytes:
    """Compile LLVM IR text to the bytes of an ELF object for the host CPU.

    ``level`` (0 to 3) is the optimisation level; loop and SLP vectorisation are on from level 2.
    Raises ``CompileError`` with LLVM's own message when the text does not parse or verify.
    """
    with LLVM_LOCK:
        return _compiled(llvm_text, level)


def compile_objects(modules: Sequence[tuple[str, int]], *, threads: int) -> list[bytes]:
    """The same for several texts with their levels, at once.  Raises the first ``CompileError``, when all threads have
    stopped."""
    if not modules:
        return []
    binding()
    todo = sorted(enumerate(modules), key=lambda item: item[1][1] * len(item[1][0]))  # popped: the most work first
    objects = [b""] * len(modules)
    errors: list[BaseException] = []

    def work() -> None:
        while todo and not errors:
            try:
                number, (text, level) = todo.pop()
            except IndexError:  # another thread took the last
                return
            try:
                objects[number] = _compiled(text, level)
            except BaseException as error:  # for the caller
                errors.append(error)

    with LLVM_LOCK:
        others = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(modules)) - 1)]
        for thread in others:
            thread.start()
        work()
        for thread in others:
            thread.join()
    if errors:
        raise errors[0]
    return objects


def _compiled(llvm_text: str, level: int) -> bytes:
    with _optimised(llvm_text, level) as (module, machine):
        return emit_object(machine, module)


def assembly(llvm_text: str, *, level: int = 3) -> str:
    """The host's assembly for LLVM IR text, as ``compile_object`` would emit it."""
    with LLVM_LOCK, _optimised(llvm_text, level) as (module, machine):
        return str(machine.emit_assembly(module))


def optimised(llvm_text: str, *, level: int = 3) -> str:
    """LLVM IR text after the optimiser, before instruction selection."""
    with LLVM_LOCK, _optimised(llvm_text, level) as (module, _):
        return str(module)


@functools.cache
def host_key() -> str:
    """One line naming what object code depends on besides its text: CPU, its features, target, LLVM."""
    llvm = binding()
    cpu, features = host_cpu()
    digest = hashlib.sha256(features.encode()).hexdigest()[:12]
    version = ".".join(map(str, llvm.llvm_version_info))
    return f"{cpu}/{digest} {llvm.get_process_triple()} llvm-{version}"


@functools.cache
def host_cpu() -> tuple[str, str]:
    """LLVM's name of the host CPU and its feature string (``"+avx2,-amx-tile,..."``)."""
    llvm = binding()
    try:
        return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM cannot tell on this architecture: the triple's baseline
        return "generic", ""


@functools.cache
def binding() -> Any:
    """``llvmlite.binding`` with the native target initialised (about 40 ms, once a process)."""
    with LLVM_LOCK:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        return llvm


def _target_machine(level: int) -> Any:
    """The thread's own."""
    machine = getattr(_machines, str(level), None)
    if machine is None:
        llvm = binding()
        cpu, features = host_cpu()
        target = llvm.Target.from_triple(llvm.get_process_triple())
        machine = target.create_target_machine(cpu=cpu, features=features, opt=level, reloc="pic", codemodel="small")
        setattr(_machines, str(level), machine)
    return machine


@contextmanager
def _optimised(llvm_text: str, level: int) -> Iterator[tuple[Any, Any]]:
    # A context of its own: types and constants are freed with the module, instead of staying for ever.
    with binding().create_context() as context, _parsed(llvm_text, context) as module:
        machine = _target_machine(level)
        module.triple = machine.triple
        module.data_layout = str(machine.target_data)
        _optimise(module, machine, level)
        yield module, machine


def _parsed(llvm_text: str, context: Any) -> Any:
    module = None
    try:
        module = parse_assembly(llvm_text, context)
        module.verify()
        return module
    except RuntimeError as error:
        if module is not None:
            module.close()  # before its context goes
        raise CompileError(str(error)) from None


def _optimise(module: Any, machine: Any, level: int) -> None:
    llvm = binding()
    with llvm.create_pipeline_tuning_options(level) as options:
        options.loop_vectorization = options.slp_vectorization = level >= 2
        options.loop_interleaving = options.loop_unrolling = level >= 2
        with llvm.create_pass_builder(machine, options) as builder, builder.getModulePassManager() as passes:
            run_passes(passes, module, builder)
