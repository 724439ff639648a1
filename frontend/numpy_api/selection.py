"""Elements chosen by index functions: take, take_along_axis, choose, ix_, sliding windows, ..."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import IndexingError, ShapeError, message
from weft.frontend.numpy_api.indexing import check_range, get_item, index_tracer
from weft.frontend.numpy_api.keywords import arrays, normal_axis, takes_out
from weft.frontend.numpy_api.movement import fresh, one
from weft.frontend.numpy_api.moves import (
    find_tracer,
    first_tracer,
    flat,
    gathered,
    integers,
    iota,
    known_array,
    pick,
    reshaped,
    spread,
    unsupported,
    view,
)
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, full, promote
from weft.ir import ops
from weft.ir.dims import as_size
from weft.ir.types import broadcast_dims

e, lg = ops.elementwise, ops.logic
MODES = ("raise", "wrap", "clip")


@implements(np.take)
@method("take")
@takes_out("buffer")
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Tracer:
    """In mode "raise" known indices are checked; traced ones beyond the bounds are clamped by compiled code."""
    like = first_tracer([a, indices])
    (x,) = arrays(as_tracer(a, like))
    x, at = (flat(x), 0) if axis is None else (x, normal_axis(axis, x))
    if mode == "raise":
        return fresh(get_item(x, (*[slice(None)] * at, indices)))
    if not x.shape[at]:
        raise IndexingError(message("cannot do a non-empty take from an empty axes.", [x.value]))
    return gathered(x, into_range(as_tracer(indices, x), x.shape[at], mode), at)


def into_range(i: Tracer, n: int, mode: str) -> Tracer:
    """Indices of mode "wrap" or "clip" into an axis of n elements as the gather op takes them."""
    if mode not in MODES:
        raise ValueError(message(f"mode must be one of {MODES}, got {mode!r}"))
    if i.dtype.kind not in "biu":
        raise IndexingError(message(f"indices must be integers, not {i.dtype}", [i.value]))
    i = cast(i, "i64")
    if mode == "wrap":
        return emit(e.mod, i, constant(i, n, "i64"))
    return emit(e.maximum, emit(e.minimum, i, constant(i, n - 1, "i64")), constant(i, 0, "i64"))


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Tracer:
    like = first_tracer([arr, indices])
    x, i = arrays(as_tracer(arr, like), as_tracer(indices, like))
    if i.dtype.kind not in "iu":
        raise IndexingError(message("`indices` must be an integer array", [i.value]))
    if axis is None:
        if i.ndim != 1:
            raise ShapeError(message("when axis=None, `indices` must have a single dimension.", [i.value]))
        x = flat(x)
    at = 0 if axis is None else normal_axis(axis, x)
    if i.ndim != x.ndim:
        text = "`indices` and `arr` must have the same number of dimensions"
        raise ShapeError(message(text, [x.value, i.value]))
    if type(indices) is not Tracer and find_tracer(indices) is None:
        check_range(indices, x.shape[at], at, x)
    rank = x.ndim
    index = [index_tracer(i, x, n, k) if k == at else iota(x, n, k, rank) for k, n in enumerate(x.shape)]
    try:
        shape = broadcast_dims(*[k.shape for k in index])
    except ValueError as error:
        raise ShapeError(message(str(error), [x.value, i.value])) from None
    if not x.size and 0 not in shape:
        raise IndexingError(message(f"index is out of bounds for axis {at} with size 0", [x.value]))
    return emit(ops.index.gather, x, *index, axes=tuple(range(rank)))


@implements(np.compress)
@takes_out("buffer")
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Tracer:
    like = first_tracer([a, condition])
    (x,) = arrays(as_tracer(a, like))
    x, at = (flat(x), 0) if axis is None else (x, normal_axis(axis, x))
    where = np.flatnonzero(_mask(condition, x, "np.compress"))
    check_range(where, x.shape[at], at, x)
    return pick(x, where, at)


@method("compress")
def compress_method(x: Tracer, condition: Any, axis: Any = None, out: Any = None) -> Tracer:
    return compress(condition, x, axis, out)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Tracer:
    like = first_tracer([arr, condition])
    x = flat(as_tracer(arr, like))
    where = np.flatnonzero(_mask(condition, x, "np.extract"))
    check_range(where, x.size, 0, x)
    return pick(x, where, 0)


def _mask(condition: Any, x: Tracer, function: str) -> np.ndarray:
    advice = "How many there are depends on the data. Write np.where(condition, x, other)."
    return known_array(condition, x, f"{function} by a traced condition", advice)


@implements(np.choose)
@takes_out("buffer")
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Tracer:
    """From the k-th choice where `a` is k."""
    like = first_tracer([a, choices])
    i = as_tracer(a, like)
    options = promote(*arrays(*[as_tracer(c, like) for c in choices]))
    n = len(options)
    if i.dtype.kind not in "biu":
        raise IndexingError(message(f"np.choose takes integers, not {i.dtype}", [i.value]))
    if mode != "raise":
        i = into_range(i, n, mode)
    elif type(a) is not Tracer and not np.all((0 <= np.asarray(a)) & (np.asarray(a) < n)):
        raise ShapeError(message("invalid entry in choice array", [i.value]))
    i = cast(i, "i64")
    result = options[0]
    for k in range(1, n):
        result = emit(lg.where, emit(lg.equal, i, constant(i, k, "i64")), options[k], result)
    return spread(result, broadcast_dims(i.shape, result.shape))


@method("choose")
def choose_method(x: Tracer, choices: Any, out: Any = None, mode: str = "raise") -> Tracer:
    return choose(x, choices, out, mode)


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Tracer:
    """Windows along the last axes, the places at which they begin along the axes themselves. A view, read-only."""
    a = one(x)
    sizes = integers(window_shape)
    axes = tuple(range(a.ndim)) if axis is None else tuple([normal_axis(i, a) for i in integers(axis)])
    if len(sizes) != len(axes):
        text = f"window_shape has {len(sizes)} elements for {len(axes)} axes"
        raise ShapeError(message(text, [a.value]))
    counts = list(a.shape)
    for size, at in zip(sizes, axes, strict=True):
        counts[at] -= size - 1
        if size < 0 or counts[at] < 1:
            text = f"window_shape {size} does not fit in axis {at} of {a.shape[at]} elements"
            raise ShapeError(message(text, [a.value]))
    if 0 in sizes:
        return full(a, (*counts, *sizes), 0, a.dtype)
    return emit(ops.windows.windows, a, axes=axes, sizes=sizes) if axes else view(a)


@implements(np.lib.stride_tricks.as_strided)
def as_strided(x: Any, shape: Any = None, strides: Any = None, subok: Any = False, writeable: Any = True) -> Tracer:
    """Refused: it reads memory, and a traced array has none."""
    advice = "Write sliding_window_view(x, window_shape, axis), x[::step], x.reshape or np.diagonal."
    problem = "np.lib.stride_tricks.as_strided reads an array's memory, and a traced one has none"
    raise unsupported(problem, x, advice=advice)


# Index arrays.


@implements(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    like = first_tracer(args)
    found = []
    for n, a in enumerate(args):
        x = as_tracer(a, like)
        if x.ndim != 1:
            raise ShapeError(message("Cross index must be 1 dimensional", [x.value]))
        if x.dtype == np.bool_:
            x = as_tracer(np.flatnonzero(_mask(a, like, "np.ix_")), like)
        x = cast(x, "i64") if not x.size else x
        found.append(reshaped(x, [x.size if i == n else 1 for i in range(len(args))]))
    return tuple(found)


def _strides(shape: Sequence[int], order: str) -> list[int]:
    if order not in ("C", "F"):
        raise ValueError(message("only 'C' or 'F' order is permitted"))
    sizes = list(shape) if order == "F" else list(shape)[::-1]
    steps = [math.prod(sizes[:i]) for i in range(len(sizes))]
    return steps if order == "F" else steps[::-1]


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Tracer:
    """Traced indices are taken to be in range; mode "wrap" and "clip" bring them there."""
    shape = tuple(map(as_size, dims))
    like = first_tracer(multi_index)
    index = arrays(*[as_tracer(i, like) for i in multi_index])
    modes = mode if isinstance(mode, tuple) else (mode,) * len(shape)
    if len(index) != len(shape) or len(modes) != len(shape):
        text = f"parameter multi_index must be a sequence of length {len(shape)}"
        raise ShapeError(message(text, [like.value]))
    total: Tracer | None = None
    for i, n, step, how in zip(index, shape, _strides(shape, order), modes, strict=True):
        place = cast(i, "i64") if how == "raise" else into_range(i, n, how)
        term = emit(e.mul, place, constant(place, step, "i64"))
        total = term if total is None else emit(e.add, total, term)
    assert total is not None
    return total


@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Tracer, ...]:
    """Traced indices are taken to be in range."""
    sizes = tuple(map(as_size, shape)) if isinstance(shape, list | tuple) else (as_size(shape),)
    i = cast(one(indices), "i64")
    found = []
    for n, step in zip(sizes, _strides(sizes, order), strict=True):
        place = emit(e.floordiv, i, constant(i, step, "i64"))
        found.append(emit(e.mod, place, constant(i, n, "i64")))
    return tuple(found)


@implements(np.nonzero, np.flatnonzero, np.argwhere)
@method("nonzero")
def nonzero(a: Any) -> Any:
    """Refused: the size of the result depends on the data."""
    advice = "How many there are depends on the data. Write np.where(condition, a, b), or np.sum(condition) to count."
    raise unsupported("looks for the places of a traced array's nonzero elements", a, advice=advice)
