"""`x[key] = value` and the functions that write into an array.

    x[1:, i] = v         the view x[1:, i] is written
    x[[0, 2], j] = v     scatter: into the view that the key's slices show, along the axes of its index arrays
    x[mask] = v          where(mask, v, x)

A value is cast to the array's dtype, as NumPy's `same_value` assignment does, and broadcast to the view's shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import IndexingError, ShapeError, message
from weft.frontend.numpy_api import indexing
from weft.frontend.numpy_api.indexing import Placed
from weft.frontend.numpy_api.keywords import normal_axis
from weft.frontend.numpy_api.moves import find_tracer, flat, iota, permuted, reshaped, spread, unsupported
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, as_tracer, cast, emit
from weft.frontend.ufunc_rules import truth
from weft.frontend.writes import assign, broadcast_to
from weft.ir import ops


@method("__setitem__")
def set_item(target: Tracer, key: Any, value: Any) -> None:
    """NumPy's `target[key] = value`. Raises IndexingError, ShapeError, ValueError for a read-only view."""
    elements = key if isinstance(key, tuple) else (key,)
    if any(type(e) is Tracer and e.dtype == np.bool_ and e.weak is None for e in elements):
        _set_masked(target, elements, value)
        return
    placed = indexing.read_key(target, key)
    common = indexing.common_shape(target, placed)
    new = cast(as_tracer(value, target), target.dtype)
    if common is None or indexing.is_basic(placed):
        assign(indexing.view_of(target, placed), new)
    elif 0 not in common:
        counted = indexing.count_places(target, placed)
        _scatter(indexing.sliced_by(target, counted), counted, common, new)


def _set_masked(target: Tracer, elements: Sequence[Any], value: Any) -> None:
    """By a traced mask: over the first axes, or all."""
    if len(elements) > 1:
        advice = "Take the view first: row = x[i]; row[mask] = value."
        raise unsupported("assigns by a traced mask among other indices", target, advice=advice)
    (mask,) = elements
    if mask.shape != target.shape[: mask.ndim]:
        text = f"boolean index did not match indexed array: its shape is {mask.shape}, the array's {target.shape}"
        raise IndexingError(message(text, [target.value]))
    new = cast(as_tracer(value, target), target.dtype)
    rest = target.shape[mask.ndim :]
    if new.ndim > len(rest) and new.size != 1:
        advice = "How many places the mask has is not known. Write np.where(mask, value of x's shape, x)."
        raise unsupported("assigns one value for each place of a traced mask", target, new, advice=advice)
    new = broadcast_to(new, rest)
    over = reshaped(mask, mask.shape + (1,) * len(rest))
    assign(target, emit(ops.logic.where, over, new, target))


def _scatter(x: Tracer, placed: Sequence[Placed], common: tuple[int, ...], new: Tracer) -> None:
    """Write along the axes of the index arrays of x, whose slices are taken and whose ints are axes of size one."""
    advanced = [(axis, e) for axis, e in placed if isinstance(e, indexing.ARRAYS)]
    axes = tuple(axis for axis, _ in advanced if axis is not None)
    if not axes:
        raise unsupported("assigns by a mask of no axis", x)
    shape, bare, first = indexing.gathered_order(x, placed, common)
    rest = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    new = reshaped(permuted(reshaped(broadcast_to(new, shape), bare), first), (*common, *rest))
    if new.size:
        places = indexing.places_of(x, advanced, common)
        assign(x, emit(ops.index.scatter, x, *places, new, axes=axes))


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    like = find_tracer([dst, src, where])
    assert like is not None
    target, new = as_tracer(dst, like), as_tracer(src, like)
    if not np.can_cast(new.dtype if new.weak is None else type(new.weak(0)), target.dtype, casting):  # type: ignore[arg-type]
        text = f"cannot cast array data from {new.dtype} to {target.dtype} according to the rule {casting!r}"
        raise TypeError(message(text, [target.value, new.value]))
    new = cast(new, target.dtype)
    if where is True:
        assign(target, new)
    else:
        masked = emit(ops.logic.where, truth(as_tracer(where, like)), new, target)
        assign(target, masked)


@method("fill")
def fill(x: Tracer, value: Any) -> None:
    new = as_tracer(value, x)
    if new.shape:
        raise ShapeError(message("fill takes a scalar", [new.value]))
    assign(x, cast(new, x.dtype))


@implements(np.put)
@method("put")
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Into the array seen flat; values are repeated when there are more places."""
    if mode != "raise":
        raise unsupported(f"np.put with mode={mode!r} can't be traced (yet)", a)
    like = find_tracer([a, ind, v])
    assert like is not None
    target = as_tracer(a, like)
    places, values = flat(as_tracer(ind, like)), flat(as_tracer(v, like))
    if not places.size:
        return
    repeats = -(-places.size // values.size)
    if repeats > 1:
        values = flat(spread(reshaped(values, (1, values.size)), (repeats, values.size)))
    line = flat(target)
    set_item(line, places, values[: places.size])
    if line.storage is not target.storage:
        assign(target, reshaped(line, target.shape))


@implements(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    like = find_tracer([a, mask, values])
    assert like is not None
    target, new = as_tracer(a, like), cast(as_tracer(values, like), as_tracer(a, like).dtype)
    if new.size != 1 and new.shape != target.shape:
        raise unsupported("np.putmask with values of another shape can't be traced (yet)", target, new)
    new = reshaped(new, ()) if new.shape != target.shape else new
    assign(target, emit(ops.logic.where, truth(as_tracer(mask, like)), new, target))


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    like = find_tracer([arr, indices, values])
    assert like is not None
    target, where = as_tracer(arr, like), as_tracer(indices, like)
    if axis is None:
        put(target, where, values)
        return
    at = normal_axis(axis, target)
    rank = target.ndim
    key = [iota(like, where.shape[i], i, rank) if i != at else where for i in range(rank)]
    set_item(target, tuple(key), values)


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    like = find_tracer([a, val])
    assert like is not None
    target = as_tracer(a, like)
    if target.ndim < 2 or wrap or (target.ndim > 2 and len(set(target.shape)) > 1):
        raise unsupported("np.fill_diagonal of such an array can't be traced (yet)", target)
    n = min(target.shape)
    set_item(target, (np.arange(n),) * target.ndim, val)
