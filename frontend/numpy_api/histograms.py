"""Counts: bincount by adding at traced places, histogram by NumPy (`weft.ir.ops.library`)."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, ShapeError, message
from weft.frontend.extents import fixed
from weft.frontend.numpy_api.differences import diff
from weft.frontend.numpy_api.keywords import arrays
from weft.frontend.numpy_api.moves import first_tracer, flat, unsupported, zeros
from weft.frontend.numpy_api.registry import implements
from weft.frontend.tracer import Tracer, as_tracer, cast, emit, emit_all, full
from weft.frontend.ufunc import call
from weft.ir import ops

count = ops.counting


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Tracer:
    """As many counts as `minlength` says, which has to be given: a number from there on, or below 0, raises IndexError
    when the code runs, where NumPy would give more counts. Raises ShapeError, DTypeError, UnsupportedError."""
    like = first_tracer([x, weights])
    (numbers,) = arrays(as_tracer(x, like))
    size = operator.index(minlength)
    if numbers.ndim != 1:
        raise ShapeError(message("object of too small depth for desired array", [numbers.value]))
    if not np.can_cast(numbers.dtype, np.int64, "safe"):
        raise DTypeError(message(f"np.bincount takes integers, not {numbers.dtype}", [numbers.value]))
    if size < 0:
        raise ValueError(message("'minlength' must not be negative", [numbers.value]))
    if not size:
        advice = "How many counts there are depends on the data. Give minlength=, beyond which there may be no number."
        raise unsupported("np.bincount without minlength=", numbers, advice=advice)
    numbers = fixed(numbers, "counts in")
    places = emit(ops.update.bound, cast(numbers, "i64"), size=size, axis=0)
    if weights is None:
        one = full(numbers, numbers.shape, 1, "i64")
    else:
        one = cast(fixed(as_tracer(weights, like)), np.float64)
        if one.shape != numbers.shape:
            raise ShapeError(message("The weights and list don't have the same length.", [one.value, numbers.value]))
    return emit(ops.index.scatter_add, zeros(numbers, (size,), one.dtype), places, one, axes=(0,))


def _edges_or_count(bins: Any, like: Tracer) -> int | Tracer:
    """The argument bins=. Raises UnsupportedError, ShapeError, ValueError."""
    if isinstance(bins, str):
        advice = "How many bins there are depends on the data. Give a number of them, or their edges."
        raise unsupported(f"np.histogram with bins={bins!r}", like, advice=advice)
    if type(bins) is Tracer and bins.weak is int:
        bins = bins.item()
    if np.ndim(bins):
        edges = fixed(as_tracer(bins, like))
        if edges.ndim != 1:
            raise ShapeError(message("`bins` must be 1d, when an array", [edges.value]))
        return edges
    if type(bins) is Tracer:
        raise unsupported("np.histogram with a traced number of bins", bins, advice="Give a Python int.")
    number = operator.index(bins)
    if number < 1:
        raise ValueError(message("`bins` must be positive, when an integer", [like.value]))
    return number


def _range(given: Any, x: Tracer) -> tuple[Any, Any]:
    """The argument range= as numbers. Raises UnsupportedError, ValueError."""
    if given is None:
        return None, None
    ends = []
    for end in given:
        end = end.item() if type(end) is Tracer and end.weak is not None else end
        if type(end) is Tracer:
            advice = "Give edges: np.linspace(low, high, n + 1)."
            raise unsupported("np.histogram with a traced range", end, advice=advice)
        ends.append(float(end))
    low, high = ends
    if not low <= high or not np.isfinite(ends).all():
        raise ValueError(message("`range` must be finite, and its max no less than its min", [x.value]))
    return low, high


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> tuple[Any, Any]:
    """Counts and edges. Elements that are not finite, and edges that do not increase, raise ValueError when the code
    runs. Raises UnsupportedError."""
    like = first_tracer([a, bins, range, weights])
    (x,) = arrays(as_tracer(a, like))
    if weights is not None:
        advice = "Write np.bincount(np.searchsorted(edges, x, side='right'), weights, minlength=len(edges) + 1)[1:-1]."
        raise unsupported("np.histogram with weights=", x, advice=advice)
    x = flat(fixed(x, "counts"))
    x = cast(x, np.uint8) if x.dtype == np.bool_ else x
    wanted = _edges_or_count(bins, x)
    low, high = _range(range, x)
    if type(wanted) is Tracer:
        counts, edges = emit(count.binned, x, wanted), wanted
    else:
        counts, edges = emit_all(count.histogram, x, bins=wanted, low=low, high=high)
    if not density:
        return counts, edges
    widths = cast(diff(edges), np.float64)
    return call(np.divide, call(np.divide, counts, widths), counts.sum()), edges


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges that `np.histogram` has."""
    return histogram(a, bins, range)[1]
