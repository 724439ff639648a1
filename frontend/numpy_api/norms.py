"""Norms: of vectors along one axis or several, of matrices in two.

    ord     None, 2     1        inf       -inf      0            p
    vector  √Σx²        Σ|x|     max|x|    min|x|    Σ[x ≠ 0]     (Σ|x|^p)^(1/p)
    matrix  "fro" √Σx²; 1, -1 the extremum of the columns' sums of |x|; inf, -inf of the rows'; 2, -2 and "nuc"
            the largest of the singular values, the smallest, and their sum
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft.frontend.errors import ShapeError, message
from weft.frontend.numpy_api.factorisations import svdvals
from weft.frontend.numpy_api.keywords import arrays, kept, normal_axes, normal_axis
from weft.frontend.numpy_api.moves import permuted
from weft.frontend.numpy_api.reductions import max_, min_, total
from weft.frontend.numpy_api.registry import implements
from weft.frontend.tracer import Tracer, cast, emit
from weft.frontend.ufunc import call
from weft.frontend.ufunc_rules import truth
from weft.ir import ops

e, t = ops.elementwise, ops.transcendental


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tracer:
    """Of the vectors along an axis, or of the matrices in two. Raises ValueError, UnsupportedError."""
    a = _floating(x)
    if axis is None and (ord is None or (ord in ("f", "fro") and a.ndim == 2)):
        return _euclidean(a, tuple(range(a.ndim)), keepdims)
    given = tuple(range(a.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(normal_axis(i, a) for i in given)
    if len(axes) == 1:
        return _vector_norm(a, ord, axes, keepdims)
    if len(axes) != 2:
        raise ShapeError(message("Improper number of dimensions to norm", [a.value]))
    if axes[0] == axes[1]:
        raise ShapeError(message("Duplicate axes given", [a.value]))
    return _matrix_norm(a, ord, *axes, keepdims)


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tracer:
    a = _floating(x)
    return _vector_norm(a, ord, normal_axes(axis, a), keepdims)


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Tracer:
    a = _floating(x)
    return _matrix_norm(a, ord, normal_axis(-2, a), normal_axis(-1, a), keepdims)


def _floating(x: Any) -> Tracer:
    (a,) = arrays(x)
    return a if a.value.type.is_float else cast(a, np.float64)


def _euclidean(x: Tracer, axes: tuple[int, ...], keepdims: bool) -> Tracer:
    return emit(t.sqrt, total(emit(e.square, x), axes, keepdims))


def _vector_norm(x: Tracer, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tracer:
    if isinstance(ord, str):
        raise ValueError(message(f"Invalid norm order '{ord}' for vectors", [x.value]))
    if ord is None or ord == 2:
        return _euclidean(x, axes, keepdims)
    size = emit(e.absolute, x)
    if ord == math.inf:
        return max_(size, axes, keepdims=keepdims, initial=0)
    if ord == -math.inf:
        return min_(size, axes, keepdims=keepdims)
    if ord == 0:
        return total(cast(truth(x), x.dtype), axes, keepdims)
    if ord == 1:
        return total(size, axes, keepdims)
    return call(np.power, total(call(np.power, size, ord), axes, keepdims), _inverse(ord, x))


def _inverse(ord: Any, x: Tracer) -> float:
    """1 / ord, rounded as x's dtype does."""
    return float(np.reciprocal(ord, dtype=x.dtype))


def _spectral_norm(x: Tracer, ord: Any, row: int, column: int, keepdims: bool) -> Tracer:
    rest = [i for i in range(x.ndim) if i not in (row, column)]
    s = svdvals(permuted(x, (*rest, row, column)))
    last = (s.ndim - 1,)
    if ord == "nuc":
        result = total(s, last)
    else:
        result = max_(s, last, initial=0) if ord == 2 else min_(s, last)
    return kept(result, x, (row, column), keepdims)


def _matrix_norm(x: Tracer, ord: Any, row: int, column: int, keepdims: bool) -> Tracer:
    if ord is None or ord in ("fro", "f"):
        return _euclidean(x, (row, column), keepdims)
    if ord in (2, -2, "nuc"):
        return _spectral_norm(x, ord, row, column, keepdims)
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError(message("Invalid norm order for matrices", [x.value]))
    added, compared = (row, column) if abs(ord) == 1 else (column, row)
    sums = total(emit(e.absolute, x), (added,), True)
    result = max_(sums, compared, keepdims=True, initial=0) if ord > 0 else min_(sums, compared, keepdims=True)
    if keepdims:
        return result
    shape = tuple(d for i, d in enumerate(x.shape) if i not in (row, column))
    return emit(ops.movement.reshape, result, shape=shape)
