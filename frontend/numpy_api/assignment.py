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

from weft.frontend.errors import DTypeError, IndexingError, ShapeError, message
from weft.frontend.numpy_api import indexing
from weft.frontend.numpy_api.indexing import Placed
from weft.frontend.numpy_api.keywords import normal_axis
from weft.frontend.numpy_api.moves import flat, iota, permuted, reshaped, spread, unsupported
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.numpy_api.selection import into_range
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit
from weft.frontend.ufunc import fitting
from weft.frontend.ufunc_rules import truth
from weft.frontend.writes import assign, broadcast_to, target_of
from weft.ir import ops
from weft.ir.opdef import OpDef
from weft.ir.types import strides_of


def element(value: Any, target: Tracer) -> Tracer:
    """What is to be stored, in the target's dtype. Raises OverflowError for a Python int beyond it."""
    if type(value) is int:
        return constant(target, fitting(value, target.dtype), target.dtype)
    return cast(as_tracer(value, target), target.dtype)


@method("__setitem__")
def set_item(target: Tracer, key: Any, value: Any) -> None:
    """NumPy's `target[key] = value`. Raises IndexingError, ShapeError, ValueError for a read-only view."""
    elements = key if isinstance(key, tuple) else (key,)
    if any(type(e) is Tracer and e.dtype == np.bool_ and e.weak is None for e in elements):
        _set_masked(target, elements, value)
        return
    placed = indexing.read_key(target, key)
    common = indexing.common_shape(target, placed)
    new = element(value, target)
    if common is None or indexing.is_basic(placed):
        assign(indexing.view_of(target, placed), new)
    elif 0 not in common:
        counted = indexing.count_places(target, placed)
        _scatter(indexing.sliced_by(target, counted), counted, common, new)


@method("__at__")
def add_at(a: Any, key: Any, value: Any) -> None:
    """np.add.at: adds at an index as often as it comes. Raises what `a[key] = value` does."""
    target = target_of(a)
    placed = indexing.read_key(target, key)
    common = indexing.common_shape(target, placed)
    new = as_tracer(value, target)
    if not np.can_cast(new.dtype if new.weak is None else new.weak, target.dtype, "same_kind"):  # type: ignore[arg-type]
        text = f"Cannot cast ufunc 'add' output from {new.dtype} to {target.dtype} with casting rule 'same_kind'"
        raise DTypeError(message(text, [target.value, new.value]))
    new = element(value, target)
    if common is None or indexing.is_basic(placed):
        view = indexing.view_of(target, placed)
        assign(view, emit(ops.elementwise.add, view, broadcast_to(new, view.type.dims)))
    elif 0 not in common:
        counted = indexing.count_places(target, placed)
        _scatter(indexing.sliced_by(target, counted), counted, common, new, ops.index.scatter_add)


def _set_masked(target: Tracer, elements: Sequence[Any], value: Any) -> None:
    """By a traced mask: over the first axes, or all."""
    if len(elements) > 1:
        advice = "Take the view first: row = x[i]; row[mask] = value."
        raise unsupported("assigns by a traced mask among other indices", target, advice=advice)
    (mask,) = elements
    if mask.shape != target.shape[: mask.ndim]:
        text = f"boolean index did not match indexed array: its shape is {mask.shape}, the array's {target.shape}"
        raise IndexingError(message(text, [target.value]))
    new = element(value, target)
    rest = target.shape[mask.ndim :]
    if new.ndim > len(rest) and new.size != 1:
        advice = "How many places the mask has is not known. Write np.where(mask, value of x's shape, x)."
        raise unsupported("assigns one value for each place of a traced mask", target, new, advice=advice)
    new = broadcast_to(new, rest)
    over = reshaped(mask, mask.shape + (1,) * len(rest))
    assign(target, emit(ops.logic.where, over, new, target))


def _scatter(
    x: Tracer, placed: Sequence[Placed], common: tuple[int, ...], new: Tracer, op: OpDef = ops.index.scatter
) -> None:
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
        assign(x, emit(op, x, *places, new, axes=axes))


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    target = target_of(dst, "np.full(shape, x) of a traced x has led here too: write np.broadcast_to(x, shape).")
    new = as_tracer(src, target)
    if not np.can_cast(new.dtype if new.weak is None else new.weak, target.dtype, casting):  # type: ignore[arg-type]
        text = f"cannot cast array data from {new.dtype} to {target.dtype} according to the rule {casting!r}"
        raise DTypeError(message(text, [target.value, new.value]))
    new = broadcast_to(element(src, target), target.type.dims, target.extents)
    if where is not True:
        mask = broadcast_to(truth(as_tracer(where, target)), target.type.dims, target.extents)
        new = emit(ops.logic.where, mask, new, target)
    assign(target, new)


@method("fill")
def fill(x: Tracer, value: Any) -> None:
    new = element(value, x)
    if new.shape:
        raise ShapeError(message("fill takes a scalar", [new.value]))
    assign(x, new)


def _repeated(values: Any, target: Tracer, count: int) -> Tracer:
    """`count` elements for the target: the values, seen flat, from the start again where there are too few."""
    new = flat(element(values, target))
    repeats = -(-count // new.size)
    if repeats > 1:
        new = flat(spread(reshaped(new, (1, new.size)), (repeats, new.size)))
    return new if new.size == count else new[:count]


def _set_line(target: Tracer, key: Any, values: Tracer) -> None:
    """`target.flat[key] = values`."""
    line = flat(target)
    set_item(line, key, values)
    if line.storage is not target.storage:
        assign(target, reshaped(line, target.shape))


@implements(np.put)
@method("put")
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Into the array seen flat; values are repeated when there are more places."""
    target = target_of(a)
    places = flat(as_tracer(ind, target))
    if not places.size or not np.size(v):
        return
    if mode != "raise":
        places = into_range(places, target.size, mode)
    _set_line(target, places, _repeated(v, target, places.size))


@implements(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    """Where the mask holds, the value at that place: of the values, seen flat and repeated."""
    target = target_of(a)
    over = truth(as_tracer(mask, target))
    if over.size != target.size:
        raise ShapeError(message("putmask: mask and data must be the same size", [target.value, over.value]))
    if not np.size(values) or not target.size:
        return
    given = as_tracer(values, target)
    if given.shape and isinstance(values, Tracer | np.ndarray) and not np.can_cast(given.dtype, target.dtype):
        raise DTypeError(message("putmask: values are not safely cast to x's dtype", [target.value, given.value]))
    new = element(values, target)
    new = reshaped(new, ()) if new.size == 1 else reshaped(_repeated(new, target, target.size), target.shape)
    assign(target, emit(ops.logic.where, reshaped(over, target.shape), new, target))


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """One value, where the mask holds: which of several goes where would depend on how many there are before."""
    if np.size(vals) != 1:
        advice = "Write np.putmask(x, mask, values), which takes the value of the same place; or np.where."
        raise unsupported("places several values by a traced mask or array", *[arr, mask, vals], advice=advice)
    putmask(arr, mask, vals)


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    target = target_of(arr)
    where = as_tracer(indices, target)
    if axis is None:
        set_item(flat(target), where, values)
        return
    at = normal_axis(axis, target)
    rank = target.ndim
    if where.ndim != rank:
        text = "`indices` and `arr` must have the same number of dimensions"
        raise ShapeError(message(text, [target.value, where.value]))
    key = [iota(target, n, i, rank) if i != at else where for i, n in enumerate(target.shape)]
    set_item(target, tuple(key), values)


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """The elements of equal indices are every so many along the array seen flat; values are repeated."""
    target = target_of(a)
    if target.ndim < 2:
        raise ShapeError(message("array must be at least 2-d", [target.value]))
    if target.ndim > 2 and len(set(target.shape)) > 1:
        raise ShapeError(message("All dimensions of input must be of equal length", [target.value]))
    step = sum(strides_of(target.shape))
    end = target.size if wrap or target.ndim > 2 else min(target.size, target.shape[1] ** 2)
    count = len(range(0, end, step))
    if count and np.size(val):
        _set_line(target, slice(0, end, step), _repeated(val, target, count))
