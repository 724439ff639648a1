"""Sorts and searches: sort, argsort, lexsort, partition, argpartition, searchsorted, digitize.

Compiled code calls NumPy for them (`weft.ir.ops.library`), so what NumPy says of ties, NaNs and zeros of both signs
holds. Which of equal elements an unstable argsort, or a partition, puts first NumPy leaves open.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, ShapeError, message
from weft.frontend.extents import fixed
from weft.frontend.numpy_api.keywords import NoValue, arrays, normal_axis
from weft.frontend.numpy_api.moves import (
    first_tracer,
    flat,
    gathered,
    integers,
    known_array,
    reversed_,
    unsupported,
)
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.numpy_api.selection import take_along_axis
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, promote
from weft.frontend.writes import store, target_of
from weft.ir import ops

s = ops.sorting
KINDS = {"quicksort": "quicksort", "heapsort": "heapsort", "stable": "stable", "mergesort": "stable"}


def _kind(kind: Any, order: Any, stable: Any) -> str:
    """The arguments kind=, order= and stable= as the ops take them. Raises ValueError."""
    if order is not None:
        raise ValueError(message("Cannot specify order when the array has no fields."))
    if stable is not None and stable is not NoValue:
        if kind is not None:
            raise ValueError(message("`kind` and `stable` parameters can't be provided at the same time."))
        return "stable" if stable else "quicksort"
    if kind is None:
        return "quicksort"
    if kind not in KINDS:
        raise ValueError(message(f"sort kind must be one of 'quick', 'heap', or 'stable' (got {kind!r})"))
    return KINDS[kind]


def _lined(a: Any, axis: Any) -> tuple[Tracer, int]:
    """The array, of a fixed size, and the axis along which it is put in order: of all elements for axis=None."""
    (x,) = arrays(a)
    x = fixed(x, "puts in order")
    return (flat(x), 0) if axis is None else (x, normal_axis(axis, x))


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Tracer:
    x, at = _lined(a, axis)
    return emit(s.sort, x, axis=at, kind=_kind(kind, order, stable))


@method("sort")
def sort_method(x: Tracer, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
    target = target_of(x)
    store(target, emit(s.sort, fixed(x, "sorts"), axis=normal_axis(axis, x), kind=_kind(kind, order, stable)))


@implements(np.argsort)
@method("argsort")
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Tracer:
    (x,) = arrays(a)
    x, at = _lined(x if x.shape or axis is None else flat(x), axis)
    found = emit(s.argsort, x, axis=at, kind=_kind(kind, order, stable))
    return found if a.shape or axis is None else emit(ops.movement.reshape, found, shape=())


@implements(np.lexsort)
def lexsort(keys: Any, axis: Any = -1) -> Tracer:
    """By the last key, where that is equal by the last but one, and so on: stable sorts from the first key on."""
    like = first_tracer(keys)
    rows = list(keys) if type(keys) is not Tracer else [keys[i] for i in range(len(keys))]
    columns = arrays(*[as_tracer(k, like) for k in rows])
    if not columns:
        raise TypeError(message("need sequence of keys with len > 0 in lexsort"))
    if any(c.shape != columns[0].shape for c in columns):
        raise ShapeError(message("all keys need to be the same shape", [c.value for c in columns]))
    order, at = argsort(columns[0], axis, "stable"), normal_axis(axis, columns[0])
    for column in columns[1:]:
        again = argsort(take_along_axis(column, order, at), at, "stable")
        order = take_along_axis(order, again, at)
    return order


# Partitions.


def _ranks(kth: Any, n: int, x: Tracer) -> tuple[int, ...]:
    """The argument kth= as increasing ranks in [0, n). Raises ValueError, TypeError."""
    known = kth
    if type(kth) is Tracer:
        known = kth.item() if kth.weak is not None else known_array(kth, x, "partitions by traced ranks", "")
    if np.asarray(known).dtype.kind not in "iu":
        raise TypeError(message("Partition index must be integer", [x.value]))
    found = set()
    for k in integers(known):
        if not -n <= k < n:
            raise ValueError(message(f"kth(={k}) out of bounds ({n})", [x.value]))
        found.add(k % n)
    return tuple(sorted(found))


def _partitioned(op: Any, a: Any, kth: Any, axis: Any, kind: Any, order: Any) -> Tracer:
    if order is not None or kind != "introselect":
        text = "Cannot specify order when the array has no fields." if order is not None else f"no kind {kind!r}"
        raise ValueError(message(text))
    x, at = _lined(a, axis)
    return emit(op, x, axis=at, kth=_ranks(kth, x.shape[at], x))


@implements(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Tracer:
    return _partitioned(s.partition, a, kth, axis, kind, order)


@method("partition")
def partition_method(x: Tracer, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> None:
    store(target_of(x), _partitioned(s.partition, x, kth, operator.index(axis), kind, order))


@implements(np.argpartition)
@method("argpartition")
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Tracer:
    return _partitioned(s.argpartition, a, kth, axis, kind, order)


# Searches.


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Tracer:
    """`a` is in order, or is by `sorter`; nobody checks. Raises ShapeError, ValueError."""
    like = first_tracer([a, v, sorter])
    x, values = promote(as_tracer(a, like), as_tracer(v, like))
    if x.ndim != 1:
        raise ShapeError(message("object of too small depth for desired array", [x.value]))
    if side not in ("left", "right"):
        raise ValueError(message(f"search side must be one of 'left' or 'right' (got {side!r})"))
    x, values = fixed(x, "searches in"), fixed(values, "searches for")
    if sorter is not None:
        order = as_tracer(sorter, like)
        if order.dtype.kind not in "iu":
            raise DTypeError(message("sorter must only contain integers", [order.value]))
        if order.shape != x.shape:
            raise ShapeError(message("sorter.size must equal len(a)", [order.value, x.value]))
        x = gathered(x, cast(order, "i64"), 0)
    return emit(s.searchsorted, x, values, side=side)


@method("searchsorted")
def searchsorted_method(x: Tracer, v: Any, side: str = "left", sorter: Any = None) -> Tracer:
    return searchsorted(x, v, side, sorter)


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Tracer:
    """The bin of each element. Edges have to be known, as their order says which way bins go. Raises ValueError."""
    like = first_tracer([x, bins])
    advice = "Write np.searchsorted(bins, x, side='right') for edges that increase."
    edges = known_array(bins, like, "np.digitize by traced bins", advice)
    if edges.ndim != 1:
        raise ShapeError(message("object of too small depth for desired array", [like.value]))
    steps = np.sign(edges[1:].astype(np.float64) - edges[:-1])
    if (steps < 0).any() and (steps > 0).any() or np.isnan(steps).any():
        raise ValueError(message("bins must be monotonically increasing or decreasing", [like.value]))
    side = "left" if right else "right"
    if not (steps < 0).any():
        return searchsorted(bins, x, side)
    found = searchsorted(reversed_(as_tracer(bins, like), (0,)), x, side)
    return emit(ops.elementwise.sub, constant(found, len(edges), "i64"), found)


@implements(np.unique, np.unique_all, np.unique_counts, np.unique_inverse, np.unique_values)
def unique(*args: Any, **kwargs: Any) -> Any:
    """Refused: the size of the result depends on the data."""
    advice = "How many there are depends on the data. np.sort(x) puts equal elements beside each other."
    raise unsupported("looks for a traced array's distinct elements", *args, advice=advice)
