"""Arrays made of others: concatenate, stack, block, append, tile, repeat; and taken apart: split, unstack.

All are one concatenation of reshaped parts, or slices.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, ShapeError, message
from weft.frontend.numpy_api.keywords import arrays, normal_axis, takes_out, wanted_dtype
from weft.frontend.numpy_api.movement import at_least, fresh, moveaxis, one
from weft.frontend.numpy_api.moves import (
    by_numpy,
    cut,
    expanded,
    first_tracer,
    flat,
    integers,
    joined,
    known_array,
    pick,
    reshaped,
    spread,
    view,
)
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, as_tracer, cast, common_dtype


def parts_of(sequence: Any, function: str) -> list[Tracer]:
    """A sequence of array arguments as tracers, each of its own dtype; a traced array is its rows."""
    items = list(sequence)
    if not items:
        raise ShapeError(message(f"np.{function} needs at least one array"))
    like = first_tracer(items)
    return arrays(*[as_tracer(i, like) for i in items])


def _converted(parts: Sequence[Tracer], dtype: Any, casting: str, function: str) -> list[Tracer]:
    """The parts in their common dtype, or in dtype= as far as casting= allows. Raises DTypeError."""
    wanted = wanted_dtype(dtype, common_dtype(parts))
    for p in parts:
        if not np.can_cast(p.dtype, wanted, casting):  # type: ignore[arg-type]
            text = f"np.{function}: Cannot cast array data from {p.dtype} to {wanted} according to the rule '{casting}'"
            raise DTypeError(message(text, [p.value]))
    return [cast(p, wanted) for p in parts]


@implements(np.concatenate)
@takes_out()
def concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Tracer:
    items = list(arrays)
    if axis is None:  # the only place where Python numbers are weak
        like = first_tracer(items)
        parts = [flat(t) if t.shape else t for t in (as_tracer(i, like) for i in items)]
        parts = _converted(parts, dtype, casting, "concatenate")
        return joined([reshaped(p, (p.size,)) for p in parts], 0)
    parts = parts_of(items, "concatenate")
    if not all(p.shape for p in parts):
        scalar = next(p for p in parts if not p.shape)
        advice = "Write np.stack([...]) for numbers, or x[None]."
        raise ShapeError(message("zero-dimensional arrays cannot be concatenated", [scalar.value], advice))
    at = normal_axis(axis, parts[0])
    return joined(_converted(parts, dtype, casting, "concatenate"), at)


@implements(np.stack)
@takes_out()
def stack(
    arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Tracer:
    items = list(arrays)
    parts = _converted(parts_of(items, "stack"), dtype, casting, "stack")
    for p in parts:
        if p.shape != parts[0].shape:
            raise ShapeError(message("all input arrays must have the same shape", [parts[0].value, p.value]))
    at = normal_axis(axis, parts[0], parts[0].ndim + 1)
    return joined([expanded(p, at) for p in parts], at)


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Tracer:
    parts = [at_least(p, 2) for p in parts_of(tup, "vstack")]
    return joined(_converted(parts, dtype, casting, "vstack"), 0)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Tracer:
    parts = [at_least(p, 1) for p in parts_of(tup, "hstack")]
    return joined(_converted(parts, dtype, casting, "hstack"), 0 if parts[0].ndim == 1 else 1)


@implements(np.dstack)
def dstack(tup: Any) -> Tracer:
    return concatenate([at_least(p, 3) for p in parts_of(tup, "dstack")], 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Tracer:
    parts = parts_of(tup, "column_stack")
    return concatenate([p if p.ndim > 1 else reshaped(p, (p.size, 1)) for p in parts], 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Tracer:
    x, v = parts_of([arr, values], "append")
    return concatenate([flat(x), flat(v)]) if axis is None else concatenate([x, v], axis)


@implements(np.block)
def block(arrays: Any) -> Tracer:
    """Nested lists: the innermost are joined along the last axis, those around them along the one before."""
    depth = _depth(arrays)
    like = first_tracer(arrays)
    rank = max(depth, *[leaf.ndim for leaf in _leaves(arrays, like)])
    return fresh(_block(arrays, like, rank, rank - depth))


def _depth(items: Any) -> int:
    """How deep lists are nested, everywhere alike. Raises ShapeError, TypeError."""
    if isinstance(items, tuple):
        raise TypeError(message("np.block takes lists, not tuples"))
    if not isinstance(items, list):
        return 0
    depths = {_depth(i) for i in items}
    if not depths:
        raise ShapeError(message("np.block takes no empty lists"))
    if len(depths) > 1:
        raise ShapeError(message("np.block: list depths are mismatched"))
    return 1 + depths.pop()


def _leaves(items: Any, like: Tracer) -> list[Tracer]:
    if isinstance(items, list):
        return [leaf for i in items for leaf in _leaves(i, like)]
    return [as_tracer(items, like)]


def _block(items: Any, like: Tracer, rank: int, axis: int) -> Tracer:
    if not isinstance(items, list):
        x = as_tracer(items, like)
        return reshaped(x, (1,) * (rank - x.ndim) + x.shape)
    return concatenate([_block(i, like, rank, axis + 1) for i in items], axis)


# Repetition.


@implements(np.repeat)
@method("repeat")
def repeat(a: Any, repeats: Any, axis: Any = None) -> Tracer:
    """repeats: a number, or one for each element along the axis, which must be known."""
    advice = "The result's shape depends on them. Pass them as NumPy arrays or Python ints."
    (x,) = arrays(as_tracer(a, first_tracer([a, repeats])))
    counts = known_array(repeats, x, "repeats elements a traced number of times", advice)
    x, at = (flat(x), 0) if axis is None else (x, normal_axis(axis, x))
    n = x.shape[at]
    if counts.size != 1:
        return pick(x, by_numpy(np.repeat, np.arange(n), counts), at)
    times = operator.index(counts.item())
    if times < 0:
        raise ShapeError(message("repeats may not contain negative values.", [x.value]))
    shape = x.shape
    wide = spread(expanded(x, at + 1), (*shape[: at + 1], times, *shape[at + 1 :]))
    return fresh(reshaped(wide, (*shape[:at], n * times, *shape[at + 1 :])))


@implements(np.tile)
def tile(A: Any, reps: Any) -> Tracer:
    x = one(A)
    times = integers(reps)
    rank = max(x.ndim, len(times))
    times = (1,) * (rank - len(times)) + times
    shape = (1,) * (rank - x.ndim) + x.shape
    if any(t < 0 for t in times):
        raise ShapeError(message(f"np.tile: negative dimensions are not allowed, got {reps}", [x.value]))
    apart = reshaped(x, [d for n in shape for d in (1, n)])
    wide = spread(apart, [d for t, n in zip(times, shape, strict=True) for d in (t, n)])
    return fresh(reshaped(wide, [t * n for t, n in zip(times, shape, strict=True)]))


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Tracer:
    """x's elements over and over, as many as the new shape has."""
    x = flat(one(a))
    shape = integers(new_shape)
    size = math.prod(shape)
    if any(d < 0 for d in shape):
        raise ShapeError(message("all elements of `new_shape` must be non-negative", [x.value]))
    if not x.size:
        return spread(cast(as_tracer(0, x), x.dtype), shape)
    many = tile(x, -(-size // x.size))
    return fresh(reshaped(cut(many, 0, slice(0, size)), shape))


# Taken apart.


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Tracer]:
    x = one(ary)
    at = normal_axis(axis, x)
    n = x.shape[at]
    if isinstance(indices_or_sections, list | tuple | np.ndarray) and np.ndim(indices_or_sections):
        inner = [operator.index(i) for i in indices_or_sections]
    else:
        sections = operator.index(indices_or_sections)
        if sections <= 0:
            raise ShapeError(message("number sections must be larger than 0.", [x.value]))
        sizes = [n // sections + (i < n % sections) for i in range(sections)]
        inner = np.cumsum(sizes[:-1]).tolist()
    starts, ends = [0, *inner], [*inner, None]
    return [view(cut(x, at, slice(a, b)), x) for a, b in zip(starts, ends, strict=True)]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Tracer]:
    x = one(ary)
    if np.ndim(indices_or_sections) == 0:
        n, sections = x.shape[normal_axis(axis, x)], operator.index(indices_or_sections)
        if sections > 0 and n % sections:
            text = f"array split does not result in an equal division: {n} elements, {sections} sections"
            raise ShapeError(message(text, [x.value]))
    return array_split(x, indices_or_sections, axis)


def _split_along(function: Any, rank: int, axis: int) -> None:
    @implements(function)
    def implementation(ary: Any, indices_or_sections: Any) -> list[Tracer]:
        x = one(ary)
        if x.ndim < rank:
            text = f"{function.__name__} only works on arrays of {rank} or more dimensions"
            raise ShapeError(message(text, [x.value]))
        return split(x, indices_or_sections, 0 if x.ndim == 1 else axis)


_split_along(np.hsplit, 1, 1)
_split_along(np.vsplit, 2, 0)
_split_along(np.dsplit, 3, 2)


@implements(np.unstack)
def unstack(x: Any, /, *, axis: Any = 0) -> tuple[Tracer, ...]:
    a = one(x)
    if not a.ndim:
        raise ShapeError(message("Input array must be at least 1-d.", [a.value]))
    at = normal_axis(axis, a)
    shape = a.shape[:at] + a.shape[at + 1 :]
    return tuple([reshaped(cut(a, at, slice(i, i + 1)), shape) for i in range(a.shape[at])])


# Changed at fixed positions.


def _positions(obj: Any, x: Tracer, function: str) -> Any:
    """The argument obj of insert and delete, which must be known."""
    if isinstance(obj, slice):
        return obj
    advice = "The result's shape depends on them. Pass them as NumPy arrays or Python ints."
    places = known_array(obj, x, f"np.{function} at traced positions", advice)
    return places if places.size or isinstance(obj, np.ndarray) else places.astype(np.int64)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Tracer:
    (x,) = arrays(as_tracer(arr, first_tracer([arr, obj])))
    x, at = (flat(x), 0) if axis is None else (x, normal_axis(axis, x))
    return pick(x, by_numpy(np.delete, np.arange(x.shape[at]), _positions(obj, x, "delete")), at)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Tracer:
    """Values (in x's dtype) before fixed positions: picked from x and the values after one another."""
    like = first_tracer([arr, values, obj])
    x, v = arrays(as_tracer(arr, like), as_tracer(values, like))
    x, at = (flat(x), 0) if axis is None else (x, normal_axis(axis, x))
    n = x.shape[at]
    places = _positions(obj, x, "insert")
    if isinstance(places, slice) or places.dtype == np.bool_:
        places = by_numpy(operator.getitem, np.arange(n), places)
    v = cast(v, x.dtype)
    new = places.size
    if new == 1:  # all values there
        v = reshaped(v, (1,) * (x.ndim - v.ndim) + v.shape)
        v = v if places.ndim else moveaxis(v, 0, at)
        new = v.shape[at]
        places = places.reshape(())
    rows = spread(v, (*x.shape[:at], new, *x.shape[at + 1 :]))
    order = by_numpy(np.insert, np.arange(n), places, np.arange(n, n + new))
    return pick(joined([x, rows], at), order, at)
