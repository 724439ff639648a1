"""An executable: one native call over arrays.

Guards and trees are the frontend's; here arguments are arrays of the right dtype and shape. Results are
fresh arrays, except those that live in a donated argument's buffer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.codegen.step import Step
from weft.ir.graph import Graph
from weft.runtime import blas, native, pool  # noqa: F401  (blas and pool provide the symbols that steps call)

ALIGN = 64
KEEP = 4  # arenas kept for concurrent callers


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
        results = [
            held[taken[j]] if j in taken else np.empty(dims, dtype) for j, (dtype, dims) in enumerate(self._outputs)
        ]
        arena = self._take_arena()
        if self._parallel:
            pool.ensure_started()
        self._step(self._slots(*[a.ctypes.data for a in (*held, *results, *self._constants, arena)]))
        if len(self._arenas) < KEEP:
            self._arenas.append(arena)
        return results

    def _take_arena(self) -> np.ndarray:
        try:
            return self._arenas.pop()
        except IndexError:
            raw = np.empty(self._arena_size + ALIGN, np.uint8)
            start = -raw.ctypes.data % ALIGN
            return raw[start : start + self._arena_size] if self._arena_size else raw
