"""Convolution and correlation of two rows.

    correlate(a, v)[k] = Σ_j a[k + j] v[j]          convolve(a, v) = correlate(a, v[::-1])

A short v is a sum of as many products of a with a number, each moved by one place: one kernel. A longer one is the op
`correlate`, which is NumPy's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.frontend.errors import ShapeError, message
from weft.frontend.extents import fixed
from weft.frontend.numpy_api.keywords import arrays
from weft.frontend.numpy_api.moves import cut, first_tracer, reversed_
from weft.frontend.numpy_api.registry import implements
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, promote
from weft.frontend.ufunc_rules import truth
from weft.ir import ops
from weft.ir.ops.correlation import MODES, margins

e, m = ops.elementwise, ops.movement
SHORT = 16  # elements: what a kernel adds up for each result


def _rows(a: Any, v: Any, mode: Any) -> tuple[Tracer, Tracer, str]:
    """Both in their common dtype, and the mode's name. Raises ShapeError, ValueError."""
    like = first_tracer([a, v])
    x, y = promote(*arrays(as_tracer(a, like), as_tracer(v, like)))
    mode = MODES[mode] if mode in (0, 1, 2) else mode
    if mode not in MODES:
        raise ValueError(message(f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})", [x.value]))
    for row, name in ((x, "a"), (y, "v")):
        if row.ndim > 1:
            raise ShapeError(message("object too deep for desired array", [row.value]))
        if not row.size:
            raise ShapeError(message(f"{name} cannot be empty", [row.value]))
    x, y = (fixed(row, "moves along") for row in (x, y))
    return x, y, mode


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: Any = "full") -> Tracer:
    """A number counts as a row of one. Raises ShapeError, ValueError."""
    x, y, how = _rows(a, v, mode)
    x, y = (row if row.ndim else emit(m.reshape, row, shape=(1,)) for row in (x, y))
    if y.size > x.size:
        x, y = y, x
    return _correlated(x, reversed_(y, (0,)), how)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Tracer:
    """Raises ShapeError, ValueError."""
    x, y, how = _rows(a, v, mode)
    if not x.ndim or not y.ndim:
        raise ShapeError(message("object of too small depth for desired array", [x.value, y.value]))
    if y.size > x.size:
        return reversed_(_correlated(y, x, how), (0,))
    return _correlated(x, y, how)


def _correlated(x: Tracer, y: Tracer, mode: str) -> Tracer:
    """y is no longer than x."""
    if x.dtype == np.bool_:
        return truth(_correlated(cast(x, "i64"), cast(y, "i64"), mode))
    if y.size > SHORT:
        return emit(ops.correlation.correlate, x, y, mode=mode)
    left, right = margins(y.size, mode)
    count = x.size + left + right - y.size + 1
    total: Tracer | None = None
    for j in range(y.size):
        first, last = max(j - left, 0), min(j - left + count, x.size)  # the elements of x that y[j] meets
        factor = emit(m.reshape, cut(y, 0, slice(j, j + 1)), shape=())
        term = emit(e.mul, cut(x, 0, slice(first, last)), factor)
        low = first + left - j
        if low or low + last - first < count:
            zero = constant(x, 0, x.dtype)
            term = emit(m.pad, term, zero, low=(low,), high=(count - low - last + first,))
        total = term if total is None else emit(e.add, total, term)
    assert total is not None
    return total
