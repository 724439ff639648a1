"""Elements chosen by index functions: take, take_along_axis, choose, diagonals, triangles, ..."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import IndexingError, ShapeError, message
from weft.frontend.numpy_api.indexing import check_range, get_item, index_tracer
from weft.frontend.numpy_api.keywords import arrays, normal_axis, refuse_out
from weft.frontend.numpy_api.movement import fresh, one
from weft.frontend.numpy_api.moves import (
    expanded,
    find_tracer,
    first_tracer,
    flat,
    gathered,
    iota,
    known_array,
    moved,
    pick,
    reshaped,
    spread,
    unsupported,
)
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, promote
from weft.ir import ops
from weft.ir.types import broadcast_dims

e, lg, m = ops.elementwise, ops.logic, ops.movement
MODES = ("raise", "wrap", "clip")


@implements(np.take)
@method("take")
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Tracer:
    """In mode "raise" known indices are checked; traced ones beyond the bounds are clamped by compiled code."""
    refuse_out("take", out, a, indices)
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
    index = [index_tracer(i, x, n) if k == at else iota(x, n, k, rank) for k, n in enumerate(x.shape)]
    try:
        shape = broadcast_dims(*[k.shape for k in index])
    except ValueError as error:
        raise ShapeError(message(str(error), [x.value, i.value])) from None
    if not x.size and 0 not in shape:
        raise IndexingError(message(f"index is out of bounds for axis {at} with size 0", [x.value]))
    return emit(ops.index.gather, x, *index, axes=tuple(range(rank)))


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Tracer:
    refuse_out("compress", out, a)
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
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Tracer:
    """From the k-th choice where `a` is k."""
    refuse_out("choose", out, a)
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


# Diagonals and triangles.


@implements(np.diagonal)
@method("diagonal")
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Tracer:
    x = one(a)
    if x.ndim < 2:
        raise ShapeError(message("diag requires an array of at least two dimensions", [x.value]))
    i, j = normal_axis(axis1, x), normal_axis(axis2, x)
    if i == j:
        raise ShapeError(message("axis1 and axis2 cannot be the same", [x.value]))
    k = operator.index(offset)
    down, right = max(-k, 0), max(k, 0)
    n = max(0, min(x.shape[i] - down, x.shape[j] - right))
    along = [_from(iota(x, n), start) for _, start in sorted([(i, down), (j, right)])]
    return moved(emit(ops.index.gather, x, *along, axes=tuple(sorted((i, j)))), 0, x.ndim - 2)


def _from(i: Tracer, start: int) -> Tracer:
    return emit(e.add, i, constant(i, start, i.dtype)) if start else i


@implements(np.diag)
def diag(v: Any, k: Any = 0) -> Tracer:
    """The matrix with this diagonal; of a matrix, its diagonal."""
    x = one(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(message("Input must be 1- or 2-d.", [x.value]))
    k = operator.index(k)
    n = x.size + abs(k)
    nothing = constant(x, 0, x.dtype)
    rows = expanded(emit(m.pad, x, nothing, low=(max(-k, 0),), high=(max(k, 0),)), 1)
    on = emit(lg.equal, _from(iota(x, n, 0, 2), k), iota(x, n, 1, 2))
    return emit(lg.where, on, rows, nothing)


@implements(np.diagflat)
def diagflat(v: Any, k: Any = 0) -> Tracer:
    (x,) = arrays(as_tracer(v, first_tracer(v)))
    return diag(flat(x), k)


def _below(x: Tracer, k: Any) -> Tracer:
    """Where the last two axes are on or below the k-th diagonal."""
    rows, columns = x.shape[-2:]
    shift = cast(as_tracer(k, x), "i64")
    return emit(lg.less_equal, iota(x, columns, 1, 2), emit(e.add, iota(x, rows, 0, 2), shift))


def _matrix(a: Any) -> Tracer:
    """An array of two axes at least; of one axis, the square of which it is every row."""
    x = one(a)
    if not x.ndim:
        raise ShapeError(message("needs an array of one or more axes", [x.value]))
    return x if x.ndim > 1 else spread(x, (x.size, x.size))


@implements(np.tril)
def tril(m: Any, k: Any = 0) -> Tracer:
    x = _matrix(as_tracer(m, first_tracer([m, k])))
    return emit(lg.where, _below(x, k), x, constant(x, 0, x.dtype))


@implements(np.triu)
def triu(m: Any, k: Any = 0) -> Tracer:
    x = _matrix(as_tracer(m, first_tracer([m, k])))
    below = _below(x, emit(e.sub, cast(as_tracer(k, x), "i64"), constant(x, 1, "i64")))
    return emit(lg.where, below, constant(x, 0, x.dtype), x)


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
    steps = [int(np.prod(sizes[:i], dtype=np.int64)) for i in range(len(sizes))]
    return steps if order == "F" else steps[::-1]


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Tracer:
    """Traced indices are taken to be in range; mode "wrap" and "clip" bring them there."""
    shape = tuple(operator.index(d) for d in dims)
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
    sizes = (operator.index(shape),) if np.ndim(shape) == 0 else tuple(operator.index(d) for d in shape)
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
