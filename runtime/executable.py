"""An executable: one native call over arrays.

Guards and trees are the frontend's; here arguments are arrays of the right dtype and shape. Results are
fresh arrays, except those that live in a donated argument's buffer.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from weft.codegen.entry import ARRAY_DATA, ARRAY_FLAGS, COPY, OUT_OF_BOUNDS, RAISED, TUPLE_ITEMS
from weft.codegen.unit import Needs
from weft.ir.boundary import Boundary
from weft.ir.dims import value_of
from weft.ir.graph import Graph
from weft.ir.ops.moving import disagreement
from weft.ir.settle import evaluator, settle_op, signature
from weft.runtime import blas, native, pool  # noqa: F401  (blas and pool provide the symbols that steps call)
from weft.runtime.direct import direct, enter, supported
from weft.runtime.host import Host, forget

ALIGN = 64
NOTHING = np.empty(1, np.uint8)
KEEP = 4  # arenas kept for concurrent callers
REUSE = 1 << 18  # bytes: results from this size on are taken up again when the caller has dropped them
SMALL_ARENA = 1 << 20  # bytes: work that needs more takes so long that the way to it doesn't matter
KEEP_RESULTS = 2  # per output: a loop holds the last result while the next is made


def _struct_offsets_hold() -> bool:
    """Do tuples and arrays lie in memory as `codegen.entry` reads them?"""
    array = np.empty(3)[1:]
    pair = (None, array)
    word = ctypes.c_void_p.from_address
    return (
        word(id(pair) + TUPLE_ITEMS + 8).value == id(array)
        and word(id(array) + ARRAY_DATA).value == array.ctypes.data
        and ctypes.c_int.from_address(id(array) + ARRAY_FLAGS).value == array.flags.num
    )


NATIVE_ENTRY = _struct_offsets_hold()
DIRECT = supported()


def _references(held: list[np.ndarray]) -> int:
    """How many references the array in a list has, as this function counts them."""
    return getrefcount(held[0])


ALONE = _references([np.empty(1)])  # the list's own; what else is counted depends on the Python


def _entry(library: native.Library, inputs: int, slots: int, written: set[int]) -> Callable[..., int]:
    """The step as a callable over a tuple of arrays; it returns 0, or why there are no results."""
    if NATIVE_ENTRY:
        return enter(library.address("step"), inputs, slots, written)
    step = library.function("step", ctypes.c_int64, ctypes.c_void_p)

    def by_address(arrays: tuple[np.ndarray, ...]) -> int:
        if not all(_usable(a, i in written) for i, a in enumerate(arrays[:inputs])):
            return COPY
        return int(step((ctypes.c_void_p * len(arrays))(*[a.ctypes.data for a in arrays])))

    return by_address


def _usable(a: np.ndarray, written: bool) -> bool:
    """Is an argument as kernels read it: contiguous, aligned, and writeable if a result will live in it?"""
    return a.flags.c_contiguous and a.flags.aligned and (a.flags.writeable or not written)


def _aligned(size: int) -> np.ndarray:
    raw = np.empty(size + ALIGN, np.uint8)
    start = -raw.ctypes.data % ALIGN
    return raw[start : start + size]


class Executable:
    """Callable with one array per graph input; returns one array per output."""

    def __init__(
        self,
        graph: Graph,
        step: Needs,
        taken: dict[int, int],
        library: native.Library,
        stages: Callable[[], Any],
        evaluate: Callable[[Any], int] = value_of,
    ) -> None:
        self._stages = stages
        self.library = library
        self._graph = graph
        settled = signature(graph, evaluate) if step.sizes else graph
        self._settled = settled
        self._written = set(taken.values())
        library_ops = [settle_op(op, evaluate) for op in step.library] if step.sizes else step.library
        self._host = Host(library_ops) if library_ops else None
        self._constants = [*step.constants, *([self._host.pointer] if self._host else [])]
        slots = len(graph.inputs) + len(graph.outputs) + len(self._constants) + 1
        self._enter = _entry(library, len(graph.inputs), slots, self._written)
        self._positions = range(len(graph.outputs))
        self._step = step
        self._outputs = [(v.type.np_dtype, v.type.dims) for v in settled.outputs]
        self._taken = dict(taken)
        sizes = [v.type.nbytes for v in settled.outputs]
        self._kept: list[list[np.ndarray] | None] = [[] if n >= REUSE else None for n in sizes]
        self._flags = [np.empty(dims, dtype).flags.num if n >= REUSE else 0
                       for n, (dtype, dims) in zip(sizes, self._outputs, strict=True)]  # fmt: skip
        self._arena_size = evaluate(step.arena)
        self._evaluate = evaluate
        self._table: Callable[..., tuple[int, ...]] | None = None
        self._parallel = step.parallel
        self._bounds = step.bounds
        self._errors = evaluate(step.errors)
        if step.stacks:
            weakref.finalize(self, library.function("release", None))
        self._arenas: list[np.ndarray] = []

    @functools.cached_property
    def stages(self) -> Any:
        """The way of its graph through the compiler."""
        return self._stages()

    def at(self, values: Mapping[str, int]) -> Executable:
        """The same object code for other values of the symbols among the sizes."""
        step = self._step
        if not step.sizes:
            return self
        if self._table is None:
            self._table = step.sizes[0].sizes.at(step.sizes)
        evaluate = evaluator(step.sizes[0].sizes, values)
        numbers = step.at(evaluate, np.array(self._table(**values), np.int64))
        other = Executable(self._graph, numbers, self._taken, self.library, lambda: self.stages, evaluate)
        other._arenas = self._arenas
        return other

    def __call__(self, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run the step.

        A non-contiguous or misaligned argument is copied first. Donated arguments are overwritten. Raises
        IndexError when an index was out of bounds, ValueError when lengths did not agree, MemoryError when there is
        none left for a loop's stack, and what a library op raises.
        """
        taken = self._taken
        if taken:
            results = [arguments[taken[j]] if j in taken else self._result(j) for j in self._positions]
        else:
            results = [self._result(j) for j in self._positions]
        arena = self._take_arena()
        if self._parallel:
            pool.ensure_started()
        end = self._enter((*arguments, *results, *self._constants, arena))
        if end == COPY:
            held = [a if _usable(a, i in self._written) else np.array(a, order="C") for i, a in enumerate(arguments)]
            results = [held[taken[j]] if j in taken else r for j, r in enumerate(results)]
            end = self._enter((*held, *results, *self._constants, arena))
        if end:
            number, index = arena[self._errors :][:16].view(np.int64) if end == OUT_OF_BOUNDS else (0, 0)
            self._raise(end, number, index)
        if arena is not NOTHING and len(self._arenas) < KEEP:
            self._arenas.append(arena)
        return results

    def direct(self, boundary: Boundary) -> Callable[..., Any] | None:
        """The same for a call whose arguments and results are said to hang in these objects: a builtin function of
        them, which returns MISSED for others. None where work is so large that its buffers or threads are managed
        for it, which Python does."""
        taken = self._taken
        large = self._parallel or self._arena_size > SMALL_ARENA or any(k is not None for k in self._kept)
        settled = all(taken.get(j) == i for i, j in boundary.stored) and all(self._outputs[j][1] for j in taken)
        if not DIRECT or large or not settled:
            return None
        arena = _aligned(-(-self._arena_size // ALIGN) * ALIGN + ALIGN)  # with room for a record of errors
        step = self.library.address("step")
        return direct(self._settled, boundary, taken, step, self._constants, (arena, self._errors), self._raise, self)

    def _raise(self, end: int, number: int, index: int) -> None:
        if end == RAISED:
            assert self._host is not None
            raise self._host.error()
        forget()
        if end != OUT_OF_BOUNDS:
            raise MemoryError("no memory for what a loop keeps for its gradient")
        bound = self._bounds[number - 1]
        error: Exception
        if bound.kind.name == "agree":
            error = ValueError(disagreement(bound.attrs["problem"], int(index)))
        else:
            axis, size = bound.attrs["axis"], self._evaluate(bound.attrs["size"])
            error = IndexError(f"index {index} is out of bounds for axis {axis} with size {size}")
        if bound.location is not None:
            error.add_note(f"at {bound.location}")
        raise error

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
                held = [kept.pop(0)]
            except IndexError:  # another thread took it
                break
            free, array = _references(held) == ALONE, held[0]
            if free and not (array.shape == dims and array.dtype == dtype and array.flags.num == self._flags[j]):
                continue  # somebody reshaped it, or made it read-only, before dropping it
            kept.append(array)
            if free:
                return array
        array = np.empty(dims, dtype)
        kept.append(array)
        del kept[:-KEEP_RESULTS]
        return array

    def _take_arena(self) -> np.ndarray:
        if not self._arena_size:
            return NOTHING
        try:
            while (arena := self._arenas.pop()).size < self._arena_size:  # of a call with smaller sizes
                pass
            return arena
        except IndexError:
            return _aligned(self._arena_size)
