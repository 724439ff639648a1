"""The movement primitives as this package uses them: on one axis, by a fixed list of positions, joined.

    pick(x, [3, 4, 0, 1, 2], axis)      runs of equal step are slices: concatenate(x[3:5], x[0:3])
                                        more than a few runs: gather(x, [3, 4, 0, 1, 2])
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import ConcretizationError, IndexingError, ShapeError, UnsupportedError, message
from weft.frontend.extents import cut as cut_moving
from weft.frontend.extents import moves
from weft.frontend.tracer import Tracer, as_tracer, emit, emit_source, full
from weft.ir import ops
from weft.ir.dims import as_size, is_known, same, same_shape

m = ops.movement
Shape = tuple[int, ...]

FEW_RUNS = 4  # a concatenation asks of every element in which part it lies


def find_tracer(items: Any) -> Tracer | None:
    """The first tracer in nested lists and tuples, if they hold one."""
    if type(items) is Tracer:
        return items
    if isinstance(items, list | tuple):
        for item in items:
            found = find_tracer(item)
            if found is not None:
                return found
    return None


def first_tracer(items: Any) -> Tracer:
    """The first tracer in nested lists and tuples that hold one."""
    found = find_tracer(items)
    assert found is not None
    return found


def rank_of(x: Any) -> int:
    """np.ndim, of lists that hold tracers too."""
    if isinstance(x, list | tuple):
        return 1 + rank_of(x[0]) if x else 1
    return np.ndim(x)


def unsupported(problem: str, *operands: Any, advice: str = "") -> UnsupportedError:
    """The error, ready to be raised, for what can't be traced."""
    return UnsupportedError(message(problem, [o.value for o in operands if type(o) is Tracer], advice))


def known_array(x: Any, like: Tracer, problem: str, advice: str) -> np.ndarray:
    """The elements of an array on which the shape of a result depends.

    Those of a traced array are known where the capture runs uncompiled. Raises UnsupportedError elsewhere.
    """
    if type(x) is not Tracer:
        if isinstance(x, np.ndarray):
            like.home.examine(x)
        return np.asarray(x)
    try:
        return x.home.concrete(x.value)
    except ConcretizationError:
        raise unsupported(problem, x, advice=advice) from None


def by_numpy(function: Any, *arguments: Any) -> Any:
    """What NumPy makes of arguments that are known; its errors are told at the user's line."""
    try:
        return function(*arguments)
    except IndexError as error:
        raise IndexingError(message(str(error))) from None
    except ValueError as error:
        raise ShapeError(message(str(error))) from None


def integers(given: Any) -> Shape:
    """An int, or a sequence of them, as a tuple of Python ints."""
    if isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim):
        return tuple(map(as_size, given))
    return (as_size(given),)


def reshaped(x: Tracer, shape: Sequence[int]) -> Tracer:
    """x in another shape of the same size, row-major. x itself where it has it."""
    return x if same_shape(x.shape, shape) else emit(m.reshape, x, shape=tuple(shape))


def view(x: Tracer, base: Any = None) -> Tracer:
    """x as a tracer of its own, if it isn't one: it is when it was made from another, `base`."""
    return x if base is not None and x is not base else emit(m.reshape, x, shape=x.shape)


def flat(x: Tracer) -> Tracer:
    return reshaped(x, (x.size,))


def permuted(x: Tracer, perm: Sequence[int]) -> Tracer:
    """x's axes in another order; x itself where they are in it."""
    return x if list(perm) == list(range(x.ndim)) else emit(m.transpose, x, perm=tuple(perm))


def moved(x: Tracer, source: int, to: int) -> Tracer:
    """Axis `source` of x moved to place `to`."""
    perm = [i for i in range(x.ndim) if i != source]
    perm.insert(to, source)
    return permuted(x, perm)


def spread(x: Tracer, shape: Sequence[int]) -> Tracer:
    """x broadcast to a shape; x itself where it has it. Raises ShapeError."""
    return x if same_shape(x.shape, shape) else emit(m.broadcast, x, shape=tuple(shape))


def expanded(x: Tracer, axis: int) -> Tracer:
    """x with one more axis of size 1."""
    return reshaped(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def cut(x: Tracer, axis: int, along: slice) -> Tracer:
    """`along` of one axis, as a view: any step, bounds clipped as Python does."""
    return sliced(x, [along if i == axis else slice(None) for i in range(x.ndim)])


def sliced(x: Tracer, slices: Sequence[slice]) -> Tracer:
    """A slice of every axis. x itself where that is all of it."""
    if moves(x, slices):
        return cut_moving(x, slices)
    bounds, backwards = [], []
    for axis, (s, n) in enumerate(zip(slices, x.type.dims, strict=True)):
        first, count, by = clipped(s, n)
        if by < 0:
            backwards.append(axis)
            first, by = first + (count - 1) * by, -by
        bounds.append((0, 0, 1) if same(count, 0) else (first, first + (count - 1) * by + 1, by))
    if not all(same_shape(b, (0, n, 1)) for b, n in zip(bounds, x.type.dims, strict=True)):
        start, stop, step = zip(*bounds, strict=True)
        x = emit(m.slice_, x, start=start, stop=stop, step=step)
    return reversed_(x, backwards)


def clipped(s: slice, n: Any) -> tuple[Any, Any, int]:
    """The first place that a slice of n elements has, how many, and the step from one to the next. Sizes may be
    symbols: how they compare is then a guard."""
    step = 1 if s.step is None else operator.index(s.step)
    if all(is_known(part) for part in (s.start, s.stop, n)):
        places = range(n)[s]
        return (places[0], len(places), places.step) if places else (0, 0, 1)
    first, last = (0, n) if step > 0 else (n - 1, -1)
    start, stop = (
        end if part is None else _clip(as_size(part), n, step > 0) for part, end in ((s.start, first), (s.stop, last))
    )
    span = stop - start if step > 0 else start - stop
    return (start, (span - 1) // abs(step) + 1, step) if span > 0 else (0, 0, 1)


def _clip(place: Any, n: Any, forwards: bool) -> Any:
    """A bound of a slice, from the start: in [0, n], or backwards in [-1, n - 1]."""
    place = place + n if place < 0 else place
    low, high = (0, n) if forwards else (-1, n - 1)
    return low if place < low else high if place > high else place


def reversed_(x: Tracer, axes: Sequence[int]) -> Tracer:
    """x with its elements in the other direction along some axes."""
    return emit(m.reverse, x, axes=tuple(sorted(axes))) if axes else x


def joined(parts: Sequence[Tracer], axis: int) -> Tracer:
    """Arrays of one dtype after one another along an axis. Raises ShapeError."""
    first = parts[0]
    for part in parts[1:]:
        if part.ndim != first.ndim:
            text = f"joins arrays of {first.ndim} and of {part.ndim} dimensions"
            raise ShapeError(message(text, [first.value, part.value]))
        for i, (a, b) in enumerate(zip(first.shape, part.shape, strict=True)):
            if a != b and i != axis:
                text = f"joins arrays along axis {axis} whose sizes differ along axis {i}: {a} and {b}"
                raise ShapeError(message(text, [first.value, part.value]))
    return emit(m.concatenate, *parts, axis=axis)


def pick(x: Tracer, index: Any, axis: int) -> Tracer:
    """x at a fixed list of places, each in [0, n), along one axis: never a view."""
    runs = _runs(np.asarray(index, dtype=np.int64).tolist())
    if len(runs) <= FEW_RUNS:
        parts = [_run(x, axis, *run) for run in runs] or [cut(x, axis, slice(0, 0))]
        return joined(parts, axis)
    return gathered(x, as_tracer(np.array(index, dtype=np.int64), x), axis)


def gathered(x: Tracer, places: Tracer, axis: int) -> Tracer:
    """x at places (int64, in range) along an axis, which their axes replace."""
    y = emit(ops.index.gather, x, places, axes=(axis,))
    own = places.ndim
    return permuted(y, [*range(own, own + axis), *range(own), *range(own + axis, y.ndim)])


def _runs(places: list[int]) -> list[tuple[int, int, int]]:
    """(first, step, count) of the longest stretches of equal step, from the left."""
    runs = []
    at = 0
    while at < len(places):
        end, step = at + 1, 1
        if end < len(places):
            step = places[end] - places[at]
            while end < len(places) and places[end] - places[end - 1] == step:
                end += 1
        runs.append((places[at], step, end - at))
        at = end
    return runs


def _run(x: Tracer, axis: int, first: int, step: int, count: int) -> Tracer:
    if step == 0:
        one = cut(x, axis, slice(first, first + 1))
        return spread(one, (*x.shape[:axis], count, *x.shape[axis + 1 :]))
    stop = first + step * count
    return cut(x, axis, slice(first, None if stop < 0 else stop, step))


def iota(like: Tracer, size: int, axis: int = 0, rank: int = 1, dtype: str = "i64") -> Tracer:
    """0, 1, ... size-1 along one of `rank` axes, the others of size 1."""
    shape = tuple(size if i == axis else 1 for i in range(rank))
    return emit_source(like, ops.source.iota, shape=shape, axis=axis, dtype=dtype)


def zeros(like: Tracer, shape: Sequence[int], dtype: Any) -> Tracer:
    return full(like, shape, 0, dtype)
