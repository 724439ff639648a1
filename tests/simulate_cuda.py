"""Runs the printed CUDA modules of all programs in Numba's simulator; a script, since that is chosen at import.

Prints a line per program that is wrong, then how many kernels ran. Threads change places often, so that a missing
barrier shows. The simulator's own `cuda.shared.array` looks, makes and enters without a lock, so that two threads of a
block that change places there are given two arrays: `shared_array` stands in its place.
"""

import os
import random
import sys
import threading
import traceback
import warnings

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

import numpy as np
from numba.cuda.simulator.kernelapi import FakeCUDAShared
from printed import (
    GPU,
    IN_PLACE,
    PROGRAMS,
    SMALL,
    TILINGS,
    cuda_drivers,
    different,
    expected,
    kernels_of,
    run_fused,
    run_in_place,
    stages,
)
from rewriting import graph_of
from row_programs import row_program
from strategies import ALL_OPS, JUMPS, STEEP, random_arguments, random_graph

from weft.codegen.kernel import Affine, Buffer, For, Kernel, Load, Store, var
from weft.codegen.tiling import BLOCKS
from weft.ir.interpret import interpret
from weft.pipeline import Stages

OPS = sorted(ALL_OPS - JUMPS - STEEP - {"dot", "scatter_add", "recur"})
ON_A_GPU = ("softmax, backward", "everything")  # launched as there, which is slow
done = {"kernels": 0}
allocating = threading.Lock()


def shared_array(self, shape, dtype):
    """One array for each line of a block's that asks for one, whichever thread comes first."""
    caller = sys._getframe(1)
    with allocating:
        return self._allocations.setdefault((id(caller.f_code), caller.f_lineno), np.empty(shape, dtype))


def check(label, fused, arguments, want, tiling, launch):
    try:
        kernels = kernels_of(fused, tiling)
        wrong = different(run_fused(fused, arguments, cuda_drivers(kernels, launch)), want)
        done["kernels"] += len(kernels)
    except Exception:
        wrong = traceback.format_exc()
    if wrong:
        print(f"{label}: {wrong}")


def check_in_place(name):
    graph = graph_of(IN_PLACE[name])
    arguments = random_arguments(graph)
    got = run_in_place(graph, arguments, lambda kernels: cuda_drivers(kernels, SMALL))
    if wrong := different(got, interpret(graph, arguments)):
        print(f"{name}, in place: {wrong}")


def check_exchange():
    """Lanes read what others wrote: a row is put in scratch and taken out the other way round."""
    n = 21
    there = For("c", Affine(), Affine(n), [Load("v", "f32", "x", var("r") * n + var("c")),
                                          Store("row", "f32", var("c"), "v")], vector=True)
    back = For("d", Affine(), Affine(n), [Load("w", "f32", "row", var("d") * -1 + (n - 1)),
                                         Store("y", "f32", var("r") * n + var("d"), "w")], vector=True)
    buffers = (Buffer("x", "f32", 4 * n, "in"), Buffer("y", "f32", 4 * n, "out"), Buffer("row", "f32", n, "chunk"))
    kernel = Kernel("turn", buffers, 1, [For("r", Affine(), Affine(4), [there, back])], [])
    x, y = np.arange(4 * n, dtype=np.float32), np.empty(4 * n, np.float32)
    cuda_drivers([kernel], SMALL)["turn"](x, y)
    if not np.array_equal(y.reshape(4, n), x.reshape(4, n)[:, ::-1]):
        print(f"exchange: {y}")


def main(seeds):
    check_exchange()
    for name in IN_PLACE:
        check_in_place(name)
    for name in PROGRAMS:
        found, arguments = stages(name)
        want = expected(found.trace, arguments)
        for tiling in ("blocks", "split", "split nests"):
            check(f"{name}, {tiling}", found.fused, arguments, want, TILINGS[tiling], SMALL)
        if name in ON_A_GPU:
            check(f"{name}, on a GPU", found.fused, arguments, want, BLOCKS, GPU)
    for seed in range(seeds):
        tiling = random.Random(seed).choice(sorted(TILINGS))
        for graph in (random_graph(seed, ops=OPS), row_program(seed, dtype=("f32", "f64")[seed % 2], jumpy=False)):
            arguments = random_arguments(graph, seed)
            want = interpret(graph, arguments)
            check(f"{graph}, {tiling}", Stages(graph).fused, arguments, want, TILINGS[tiling], SMALL)
    print(f"{done['kernels']} kernels ran")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    FakeCUDAShared.array = shared_array
    sys.setswitchinterval(1e-5)
    main(int(sys.argv[1]))
