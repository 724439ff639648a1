"""Kernel IR as Numba source for the CPU: what the object code of the LLVM form computes, to be read and run.

    @numba.njit(error_model="numpy")
    def k0_body(x, y, chunk):           a chunk's part of the kernel
        ...
    def k0(x, y):                       the kernel over flat arrays: all chunks, then what runs after them
        for chunk in range(8):
            k0_body(x, y, chunk)
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.codegen.kernel import Kernel, Statement
from weft.codegen.numba_source import Names, Writer, definitions, halves, memory, module, reserved, signature

TITLE = "Kernels for the CPU, printed by weft. Each is a function over flat arrays; chunks may run in parallel."


def print_module(kernels: Sequence[Kernel], jit: bool = True) -> str:
    """The kernels as a module that can be pasted into a file and run.

    Without `jit` it is plain Python over NumPy scalars: slow, and a debugger can step through it."""
    target = "cpu" if jit else "python"
    functions = definitions(kernels)
    taken = reserved(target, functions, kernels)
    parts = [part for k in kernels for part in _kernel(k, Names(k, taken), jit)]
    return module(TITLE, target, "", functions, "\n\n\n".join(parts))


def _kernel(kernel: Kernel, names: Names, jit: bool) -> list[str]:
    parts = [_function(f"{kernel.name}_body", kernel, kernel.body, names, jit)]
    if kernel.final:
        parts.append(_function(f"{kernel.name}_final", kernel, kernel.final, names, jit))
    return [*parts, _driver(kernel, names)]


def _function(name: str, kernel: Kernel, body: Sequence[Statement], names: Names, jit: bool) -> str:
    writer = Writer(names)
    writer.emit(body)
    params = ", ".join([*(names[b.name] for b in kernel.buffers), "chunk"])
    lines = ['@numba.njit(error_model="numpy")'] if jit else []
    return "\n".join([*lines, f"def {name}({params}):", *(writer.lines or ["    pass"])])


def _driver(kernel: Kernel, names: Names) -> str:
    params, about = signature(kernel, names)
    passed = ", ".join(names[b.name] for b in kernel.buffers)
    lines = [f"def {kernel.name}({', '.join(params)}):", about, *halves(kernel.buffers, names)]
    for b in kernel.buffers:
        if b.role == "chunk":
            lines.append(f"{names[b.name]} = np.empty({b.size}, {memory(b.dtype)})")
    lines += [f"for chunk in range({kernel.chunks}):", f"    {kernel.name}_body({passed}, chunk)"]
    if kernel.final:
        lines.append(f"{kernel.name}_final({passed}, 0)")
    return "\n    ".join(lines)
