"""An executable: one native call over arrays.

Guards and trees are the frontend's; here arguments are arrays of the right dtype and shape. Results are
fresh arrays, except those that live in a donated argument's buffer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from weft.codegen.step import Step
from weft.ir.graph import Graph
from weft.runtime import blas, native, pool  # noqa: F401  (blas and pool provide the symbols that steps call)

ALIGN = 64
KEEP = 4  # arenas kept for concurrent callers
REUSE = 1 << 18  # bytes: results from this size on are taken up again when the caller has dropped them
KEEP_RESULTS = 2  # per output: a loop holds the last result while the next is made


class Executable:
    """Callable with one array per graph input; returns one array per output."""

    def __init__(self, graph: Graph, step: Step, taken: dict[int, int], library: native.Library, stages: Any) -> None:
        self.stages = stages
        self.library = library
        self._step = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(library.address("step"))
        self._inputs = [(v.type.np_dtype, v.type.dims) for v in graph.inputs]
        self._outputs = [(v.type.np_dtype, v.type.dims) for v in graph.outputs]
        self._taken = dict(taken)
        self._constants = step.constants
        sizes = [v.type.nbytes for v in graph.outputs]
        self._kept: list[list[np.ndarray] | None] = [[] if n >= REUSE else None for n in sizes]
        self._arena_size = step.arena
        self._parallel = step.parallel
        self._slots = ctypes.c_void_p * (len(self._inputs) + len(self._outputs) + len(step.constants) + 1)
        self._arenas: list[np.ndarray] = []

    def __call__(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run the step.

        A non-contiguous or misaligned argument is copied first. Donated arguments are overwritten.
        """
        held = []
        taken = self._taken
        writable = set(taken.values()) if taken else ()
        for i, a in enumerate(arguments):
            if not (a.flags.c_contiguous and a.flags.aligned) or (i in writable and not a.flags.writeable):
                a = np.array(a, order="C", copy=True)
            held.append(a)
        results = [held[taken[j]] if j in taken else self._result(j) for j in range(len(self._outputs))]
        arena = self._take_arena()
        if self._parallel:
            pool.ensure_started()
        self._step(self._slots(*[a.ctypes.data for a in (*held, *results, *self._constants, arena)]))
        if len(self._arenas) < KEEP:
            self._arenas.append(arena)
        return results

    def _result(self, j: int) -> np.ndarray:
        """A buffer for output j: fresh, or a large one of an earlier call that nobody refers to any more.

        Fresh pages cost more than most kernels: 16 MB take 2 ms to be handed over by the operating system.
        """
        dtype, dims = self._outputs[j]
        kept = self._kept[j]
        if kept is None:
            return np.empty(dims, dtype)
        for _ in range(len(kept)):
            try:
                array = kept.pop(0)
            except IndexError:
                break
            if getrefcount(array) == 2:  # this name and the call's argument: no result, no view is left
                kept.append(array)
                return array
            kept.append(array)
        array = np.empty(dims, dtype)
        if len(kept) < KEEP_RESULTS:
            kept.append(array)
        else:
            kept[0] = array
        return array

    def _take_arena(self) -> np.ndarray:
        try:
            return self._arenas.pop()
        except IndexError:
            raw = np.empty(self._arena_size + ALIGN, np.uint8)
            start = -raw.ctypes.data % ALIGN
            return raw[start : start + self._arena_size] if self._arena_size else raw
