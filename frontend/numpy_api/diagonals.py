"""Diagonals and triangles of matrices: diagonal, diag, tril, triu, ...

    diagonal(x)[i] = x[i, i]                 a gather by two iotas
    tril(x)        = where(j <= i, x, 0)
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from weft.frontend.errors import ShapeError, message
from weft.frontend.numpy_api.keywords import arrays, normal_axis
from weft.frontend.numpy_api.movement import one
from weft.frontend.numpy_api.moves import expanded, first_tracer, flat, iota, moved, spread
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit
from weft.ir import ops
from weft.ir.dims import maximum, minimum

e, lg = ops.elementwise, ops.logic


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
    n = maximum(0, minimum(x.shape[i] - down, x.shape[j] - right))
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
    rows = expanded(emit(ops.movement.pad, x, nothing, low=(max(-k, 0),), high=(max(k, 0),)), 1)
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


@implements(np.tril_indices_from)
def tril_indices_from(arr: Tracer, k: Any = 0) -> tuple[np.ndarray, ...]:
    rows, columns = _matrix_shape(arr)
    return np.tril_indices(rows, operator.index(k), columns)


@implements(np.triu_indices_from)
def triu_indices_from(arr: Tracer, k: Any = 0) -> tuple[np.ndarray, ...]:
    rows, columns = _matrix_shape(arr)
    return np.triu_indices(rows, operator.index(k), columns)


def _matrix_shape(x: Tracer) -> tuple[int, int]:
    if x.ndim != 2:
        raise ShapeError(message("input array must be 2-d", [x.value]))
    return x.shape[0], x.shape[1]


@implements(np.diag_indices_from)
def diag_indices_from(arr: Tracer) -> tuple[np.ndarray, ...]:
    if arr.ndim < 2 or len(set(arr.shape)) != 1:
        raise ShapeError(message("input array must be at least 2-d, of axes of equal length", [arr.value]))
    return np.diag_indices(arr.shape[0], arr.ndim)
