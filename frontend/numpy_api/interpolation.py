"""np.interp: a binary search for the interval, then the line through its ends.

    below = last k with xp[k] <= x      found bit by bit, from the highest: k + 2^b if xp[k + 2^b] <= x, else k
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.frontend.errors import ShapeError, UnsupportedError, message
from weft.frontend.numpy_api.keywords import arrays
from weft.frontend.numpy_api.logic import where
from weft.frontend.numpy_api.moves import cut, gathered, reshaped, spread
from weft.frontend.numpy_api.registry import implements
from weft.frontend.tracer import Tracer, cast, full
from weft.frontend.ufunc import call


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Tracer:
    """In float64, at increasing points xp, which is not checked. Raises ShapeError, UnsupportedError."""
    t, points, values = (cast(a, np.float64) for a in arrays(x, xp, fp))
    if period is not None:
        advice = "Sorting comes later. Write np.interp(x % period, xp, fp) with points that cover a period."
        raise UnsupportedError(message("np.interp with period= can't be traced (yet)", [t.value], advice))
    if points.ndim != 1 or values.ndim != 1:
        raise ShapeError(message("Data points must be 1-D sequences", [points.value, values.value]))
    if points.size != values.size:
        raise ShapeError(message("fp and xp are not of the same length", [points.value, values.value]))
    if not points.size:
        raise ShapeError(message("array of sample points is empty", [points.value]))
    result = _between(t, points, values) if points.size > 1 else _end(values, 0)
    result = where(t < _end(points, 0), _end(values, 0) if left is None else left, result)
    result = where(t > _end(points, -1), _end(values, -1) if right is None else right, result)
    return cast(spread(result, t.shape), np.float64)


def _end(x: Tracer, at: int) -> Tracer:
    return reshaped(cut(x, 0, slice(at, at + 1 or None)), ())


def _last_below(points: Tracer, t: Tracer) -> Tracer:
    """The last place at which points are <= t, -1 if there is none."""
    n = points.size
    place = full(t, t.shape, -1, "i64")
    for bit in reversed(range(n.bit_length())):
        further = place + (1 << bit)
        there = gathered(points, call(np.minimum, further, n - 1), 0)
        place = where((further < n) & (there <= t), further, place)
    return place


def _between(t: Tracer, points: Tracer, values: Tracer) -> Tracer:
    """On the line through the neighbours, from the one that is exact: NumPy's own steps, infinities included."""
    n = points.size
    below = _last_below(points, t)
    i = call(np.minimum, call(np.maximum, below, 0), n - 2)
    x0, x1, y0, y1 = (gathered(a, j, 0) for a in (points, values) for j in (i, i + 1))
    slope = (y1 - y0) / (x1 - x0)
    from_left, from_right = slope * (t - x0) + y0, slope * (t - x1) + y1
    line = where(below == n - 1, from_right, where(call(np.isnan, from_left), from_right, from_left))
    broken = call(np.isnan, line)
    line = where(broken & ((y0 == y1) | (t == x0)), y0, line)
    line = where(broken & (t == x1), y1, line)
    return where(call(np.isnan, t), t, line)
