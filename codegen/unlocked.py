"""The three long calls of llvmlite (parse, optimise, emit) without its lock, so that threads compile side by side.

llvmlite wraps each function of its C library so that one thread at a time is in any of them. LLVM itself asks for
less: a module belongs to its context, and contexts share nothing. The wrapped function is an attribute of the wrapper,
and is taken from there; where there is none, calls go through the wrapper and wait for each other. Short calls go that
way always.
"""

from __future__ import annotations

import ctypes
from typing import Any


def parse_assembly(text: str, context: Any) -> Any:
    """As ``llvmlite.binding.parse_assembly``: a module in `context`. Raises RuntimeError if it does not parse."""
    from llvmlite.binding import ModuleRef, ffi

    with ffi.OutputString() as message:
        module = ModuleRef(_function("LLVMPY_ParseAssembly")(context, text.encode("utf-8"), message), context)
        if message:
            module.close()
            raise RuntimeError(f"LLVM IR parsing error\n{message}")
    return module


def run_passes(passes: Any, module: Any, builder: Any) -> None:
    """As the pass manager's ``run``."""
    _function("LLVMPY_RunNewModulePassManager")(passes, module, builder)


def emit_object(machine: Any, module: Any) -> bytes:
    """As the target machine's ``emit_object``."""
    from llvmlite.binding import ffi

    with ffi.OutputString() as message:
        buffer = _function("LLVMPY_TargetMachineEmitToMemory")(machine, module, 1, message)
        if not buffer:
            raise RuntimeError(str(message))
    try:
        start, size = ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer)
        return ctypes.string_at(start, size)
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


def _function(name: str) -> Any:
    from llvmlite.binding import ffi

    wrapped = getattr(ffi.lib, name)
    return getattr(wrapped, "_cfn", wrapped)
