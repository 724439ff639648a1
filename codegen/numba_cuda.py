"""Kernel IR as numba.cuda source: a kernel function per phase and a driver that launches them.

    @cuda.jit
    def k0_body(x, y): ...             all chunks: `cuda_shapes` says how their loops run on threads
    def k0(x, y):                      arrays on the device, or NumPy arrays (copied there and back)
        k0_body[400, 256](x, y)

What no shape fits yet is refused: scatters, and products that the library does not do (`CudaError`).
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.codegen.cuda_block import GPU, CudaWriter, Launch
from weft.codegen.cuda_nests import reads
from weft.codegen.cuda_shapes import Columns, Elements, Rows
from weft.codegen.cuda_trees import BARRIERS, Trees
from weft.codegen.kernel import Accumulate, AccumulateArg, AccumulateAt, Kernel, Store, walk
from weft.codegen.numba_source import Names, definitions, halves, memory, module, one_line, reserved, signature

TITLE = "Kernels for CUDA, printed by weft. Each is a function over flat arrays that launches its parts."
BLOCKS = '''\
def blocks(count, threads):
    """Blocks of a grid-stride loop."""
    return max(1, min(-(-count // threads), 4096))
'''


class CudaError(Exception):
    """A kernel that has no CUDA form; one line that names it, what it does, and the user's lines."""

    def __init__(self, kernel: Kernel, why: str) -> None:
        where = f" ({', '.join(kernel.sources)})" if kernel.sources else ""
        super().__init__(one_line(f"{kernel.name}: {why}{where}"))


def print_module(kernels: Sequence[Kernel], launch: Launch = GPU) -> str:
    """The kernels as a module that can be pasted into a file and run, on a GPU or in Numba's simulator.

    Any tiling is printed right; lowered for `tiling.BLOCKS`, a kernel has enough chunks for a GPU. `launch` other
    than a GPU's own is for the simulator. Raises CudaError for a kernel that cannot be printed."""
    functions = definitions(kernels)
    taken = reserved("cuda", functions, kernels) | {"blocks", "places", "warp_barrier"} | _tree_names(kernels)
    trees = Trees()
    parts = [part for k in kernels for part in _kernel(k, taken, launch, trees)]
    text = "\n\n\n".join(parts)
    helpers = "\n\n\n".join(part for part in (trees.source(), BLOCKS if "blocks(" in text else "") if part)
    return module(TITLE, "cuda", helpers, functions, text)


def _tree_names(kernels: Sequence[Kernel]) -> set[str]:
    names = set()
    for k in kernels:
        for s in walk([*k.body, *k.final]):
            if isinstance(s, Accumulate | AccumulateAt | AccumulateArg):
                names |= {f"{prefix}_{s.kind}_{s.dtype}" for prefix in BARRIERS}
                names |= {f"shared_{s.dtype}", "shared_f32"}  # half is held as f32
    return names


def _kernel(kernel: Kernel, taken: set[str], launch: Launch, trees: Trees) -> list[str]:
    if kernel.serial:
        raise CudaError(kernel, f"{kernel.serial} has no CUDA form yet")
    shape = next((s for s in (Elements, Columns) if s.fits(kernel)), Rows)
    body = shape(Names(kernel, taken), kernel, kernel.body, launch, trees)
    phases: list[tuple[str, CudaWriter]] = [(f"{kernel.name}_body", body)]
    if kernel.final:
        final = Columns(Names(kernel, taken), kernel, kernel.final, launch, trees)
        _check_final(kernel, final)
        phases.append((f"{kernel.name}_final", final))
    return [*(_function(name, writer) for name, writer in phases), _driver(kernel, phases)]


def _check_final(kernel: Kernel, final: Columns) -> None:
    """Blocks of the last phase all read a number that one of them overwrites: which would be first?"""
    roles = {b.name: b.role for b in kernel.buffers}
    over = {s.buffer for s in kernel.final if isinstance(s, Store) and roles[s.buffer] == "inout"}
    if final.columns > final.x and over & reads(kernel.final):
        raise CudaError(kernel, f"{', '.join(sorted(over))} is overwritten in place while other blocks may read it")


def _function(name: str, writer: CudaWriter) -> str:
    lines = writer.write()
    params = ", ".join(writer.names[b.name] for b in writer.parameters())
    return "\n".join(["@cuda.jit", f"def {name}({params}):", *(lines or ["    pass"])])


def _driver(kernel: Kernel, phases: Sequence[tuple[str, CudaWriter]]) -> str:
    names = phases[0][1].names
    params, about = signature(kernel, names)
    lines = [f"def {kernel.name}({', '.join(params)}):", about, *halves(kernel.buffers, names)]
    used = {b.name for _, writer in phases for b in writer.parameters()}
    for b in kernel.buffers:
        if b.role == "chunk" and b.name in used:
            lines.append(f"{names[b.name]} = cuda.device_array({max(b.size, 1)}, {memory(b.dtype)})")
    for name, writer in phases:
        passed = ", ".join(names[b.name] for b in writer.parameters())
        lines.append(f"{name}[{writer.launched()}]({passed})")
    return "\n    ".join(lines)
