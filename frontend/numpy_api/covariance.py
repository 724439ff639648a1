"""Covariance and correlation of variables in rows.

    cov(x) = (x - mean(x)) (x - mean(x))ᵀ / (n - ddof)          corrcoef = cov / (σ σᵀ)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.frontend.errors import ShapeError, message
from weft.frontend.numpy_api.diagonals import diagonal
from weft.frontend.numpy_api.keywords import arrays, wanted_dtype
from weft.frontend.numpy_api.linear_algebra import contracted
from weft.frontend.numpy_api.logic import clip
from weft.frontend.numpy_api.moves import expanded, joined, permuted, reshaped
from weft.frontend.numpy_api.reductions import total
from weft.frontend.numpy_api.registry import implements
from weft.frontend.numpy_api.statistics import average, quotient
from weft.frontend.tracer import Tracer, cast, common_dtype, full
from weft.frontend.ufunc import call
from weft.ir import ops

e = ops.elementwise


@implements(np.cov)
def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
        fweights: Any = None, aweights: Any = None, *, dtype: Any = None) -> Tracer:  # fmt: skip
    """Covariance matrix, without the axes of size 1. Weights may be traced: they are not checked then.

    Raises ValueError for a fractional ddof, ShapeError for arrays of more than two dimensions and for weights of
    another length.
    """
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    x = _variables(m, y, rowvar, dtype)
    if not x.shape[0]:
        return full(x, (0, 0), 0, np.float64)
    ddof = int(not bias) if ddof is None else ddof
    weights = [_weight(w, x) for w in (fweights, aweights) if w is not None]
    both = None if not weights else weights[0] if len(weights) == 1 else weights[0] * weights[1]
    deviation = x - cast(average(x, axis=1, weights=both, keepdims=True), x.dtype)
    if both is None:
        return _squeezed(quotient(contracted(deviation, deviation, (1,), (1,)), max(x.shape[1] - ddof, 0)))
    free = total(both, (0,))
    if ddof and aweights is None:
        free = free - ddof
    elif ddof:
        free = free - ddof * total(both * weights[-1], (0,)) / free
    product = contracted(deviation, cast(deviation * both, x.dtype), (1,), (1,))
    return _squeezed(product / cast(call(np.maximum, free, 0), x.dtype))


def _variables(m: Any, y: Any, rowvar: bool, dtype: Any) -> Tracer:
    """All variables as the rows of one matrix, whatever way they were given."""
    given = arrays(*(o for o in (m, y) if o is not None))
    if any(o.ndim > 2 for o in given):
        raise ShapeError(message("takes arrays of at most 2 dimensions", [o.value for o in given]))
    dtype = wanted_dtype(dtype, np.result_type(common_dtype(given), np.float64))
    rows = [cast(x if x.ndim == 2 else reshaped(x, (1, x.size)), dtype) for x in given]
    if not rowvar:
        turned = [x.ndim == 2 if i == 0 else rows[i].shape[0] != 1 for i, x in enumerate(given)]
        rows = [permuted(x, (1, 0)) if turn else x for x, turn in zip(rows, turned, strict=True)]
    return rows[0] if len(rows) == 1 else joined(rows, 0)


def _weight(given: Any, x: Tracer) -> Tracer:
    w = arrays(given, x)[0]
    if w.shape != (x.shape[1],):
        raise ShapeError(message(f"weights are one for each of {x.shape[1]} observations", [w.value, x.value]))
    return cast(w, np.float64)


def _squeezed(x: Tracer) -> Tracer:
    return reshaped(x, [d for d in x.shape if d != 1])


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Tracer:
    """Correlation coefficients in [-1, 1]: of a single variable 1, or NaN where it does not vary."""
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.shape:
        return c / c
    deviation = call(np.sqrt, diagonal(c))
    return clip(c / expanded(deviation, 1) / expanded(deviation, 0), -1, 1)
