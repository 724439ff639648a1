"""Medians, percentiles and quantiles, from the elements at the ranks that they ask for (`ops.sorting.ranked`).

    quantile(x, q) = lerp(x₍ᵢ₎, x₍ᵢ₊₁₎, t)      i + t = q (n - 1), the place of q among the n elements in order

That is the method "linear"; the others have another place, or another t, and are those of Hyndman and Fan, "Sample
quantiles in statistical packages" (1996), as NumPy has them. Where q is traced, or NaNs are left out, the place is
known when the code runs (`ops.sorting.at_ranks`). With a NaN among the elements the result is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from weft.frontend.errors import UnsupportedError, message
from weft.frontend.extents import fixed
from weft.frontend.numpy_api.keywords import NoValue, arrays, kept, normal_axes, takes_out
from weft.frontend.numpy_api.moves import cut, expanded, gathered, joined, moved, permuted, reshaped, spread
from weft.frontend.numpy_api.nan_reductions import numbers
from weft.frontend.numpy_api.reductions import masked, total
from weft.frontend.numpy_api.registry import implements
from weft.frontend.numpy_api.statistics import averaged, averaged_in
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, full
from weft.frontend.ufunc import call
from weft.ir import ops

s, lg, r = ops.sorting, ops.logic, ops.reduce
Place = Callable[[int, np.ndarray], np.ndarray]


def _lined(a: Any, axis: Any) -> tuple[Tracer, tuple[int, ...], Tracer]:
    """An array, the axes of a statistic of it, and the array with these as one, its last axis."""
    (x,) = arrays(a)
    x = fixed(x, "puts in order")
    axes = normal_axes(axis, x)
    rest = [i for i in range(x.ndim) if i not in axes]
    y = permuted(x, [*rest, *axes])
    return x, axes, reshaped(y, (*y.shape[: len(rest)], math.prod([x.shape[i] for i in axes])))


def _unless_nan(result: Tracer, x: Tracer) -> Tracer:
    """NaN where the last axis of x holds one."""
    if not x.value.type.is_float:
        return result
    fine = emit(lg.logical_not, emit(r.any_, emit(lg.isnan, x), axes=(x.ndim - 1,)))
    return masked(result, fine, np.nan)


# Medians.


@implements(np.median)
@takes_out("unsafe")
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Tracer:
    """The middle element, or the mean of the two in the middle."""
    x, axes, y = _lined(a, axis)
    n, last = y.shape[-1], y.ndim - 1
    computed, result = averaged_in(None, y)
    if not n:
        found = full(y, y.shape[:-1], np.nan, result)
    else:
        low, high = (n - 1) // 2, n // 2
        middle = emit(s.ranked, y, axis=last, ranks=(low,) if low == high else (low, high))
        found = _unless_nan(cast(averaged(cast(middle, computed), (last,), False, None), result), y)
    return kept(found, x, axes, keepdims)


@implements(np.nanmedian)
@takes_out("unsafe")
def nanmedian(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
              keepdims: Any = NoValue) -> Tracer:  # fmt: skip
    x, axes, y = _lined(a, axis)
    valid = numbers(y)
    if valid is None or not y.shape[-1]:
        return median(a, axis, None, False, keepdims)
    last, n = y.ndim - 1, y.shape[-1]
    computed, result = averaged_in(None, y)
    count = expanded(total(cast(valid, "i64"), (last,)), last)
    low, high = call(np.maximum, call(np.floor_divide, count - 1, 2), 0), call(np.floor_divide, count, 2)
    high = call(np.minimum, high, n - 1)
    pair = cast(emit(s.at_ranks, y, joined([low, high], last)), computed)
    middle = [cut(pair, last, slice(k, k + 1)) for k in (0, 1)]
    half = constant(middle[0], 0.5, computed)
    same = call(np.equal, low, high)
    mean = emit(lg.where, same, middle[0], call(np.multiply, call(np.add, *middle), half))
    found = masked(cast(reshaped(mean, mean.shape[:-1]), result), emit(r.any_, valid, axes=(last,)), np.nan)
    return kept(found, x, axes, keepdims)


# Quantiles. Of each method the place of q among n elements, and what becomes of t there.


def _hyndman_fan(alpha: float, beta: float) -> Place:
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


def _element(near: Callable[[np.ndarray], Any]) -> Place:
    return lambda n, q: np.asarray(near((n - 1) * q)).astype(np.int64)


def _step(place: np.ndarray, stays: Callable[[np.ndarray, np.ndarray], Any]) -> np.ndarray:
    """The element after a place, or the one at it."""
    before = np.floor(place)
    found = np.where(stays(place - before, place), before, before + 1)
    return np.maximum(found, 0).astype(np.int64)


PLACES: dict[str, Place] = {
    "inverted_cdf": lambda n, q: _step(n * q - 1, lambda t, at: t == 0),
    "averaged_inverted_cdf": lambda n, q: n * q - 1,
    "closest_observation": lambda n, q: _step(n * q - 1 - 0.5, lambda t, at: (t == 0) & (np.floor(at) % 2 == 1)),
    "interpolated_inverted_cdf": _hyndman_fan(0, 1),
    "hazen": _hyndman_fan(0.5, 0.5),
    "weibull": _hyndman_fan(0, 0),
    "linear": lambda n, q: (n - 1) * q,
    "median_unbiased": _hyndman_fan(1 / 3, 1 / 3),
    "normal_unbiased": _hyndman_fan(3 / 8, 3 / 8),
    "lower": _element(np.floor),
    "higher": _element(np.ceil),
    "midpoint": lambda n, q: 0.5 * (np.floor((n - 1) * q) + np.ceil((n - 1) * q)),
    "nearest": _element(np.around),
}
ELEMENTS = ("inverted_cdf", "closest_observation", "linear", "lower", "higher", "nearest")  # places that are ranks
WEIGHTS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "averaged_inverted_cdf": lambda t, at: np.where(t == 0, 0.5, 1.0),
    "midpoint": lambda t, at: np.where(at % 1 == 0, 0.0, 0.5),
}


def _known(q: Any, x: Tracer) -> Any:
    """q as a Python number or an array; None where its elements are traced."""
    if type(q) is not Tracer:
        if isinstance(q, np.ndarray):
            x.home.examine(q)
        return q if type(q) in (int, float) else np.asarray(q)
    return q.item() if q.weak is not None else None


def _quantile(a: Any, q: Any, scale: int, axis: Any, method: str, keepdims: Any, weights: Any) -> Tracer:
    """scale: what q is counted in, 100 for percentiles. Raises ValueError, UnsupportedError."""
    if weights is not None:
        raise UnsupportedError(message("quantiles with weights= can't be traced (yet)"))
    if method not in PLACES:
        raise ValueError(message(f"{method!r} is not a valid method. Use one of: {', '.join(PLACES)}"))
    like = a if type(a) is Tracer else q
    x, axes, y = _lined(as_tracer(a, like), axis)
    if not y.shape[-1]:
        raise IndexError(message("a quantile of no elements", [x.value]))
    known = _known(q, x)
    if known is None:
        found = _unless_nan(_running(y, y.shape[-1], as_tracer(q, x), scale, method), y)
        rank = q.ndim
    else:
        found, rank = _settled(y, known, scale, method), np.ndim(known)
    if keepdims is NoValue or not keepdims:
        return found
    lead = found.shape[:rank]
    return reshaped(found, (*lead, *(1 if i in axes else n for i, n in enumerate(x.shape))))


def _settled(y: Tracer, known: Any, scale: int, method: str) -> Tracer:
    """Quantiles at known q, whose axes come first."""
    n, last = y.shape[-1], y.ndim - 1
    q = np.true_divide(known, scale) if scale != 1 else np.asanyarray(known)
    if q.ndim > 2:
        raise ValueError(message("q must be a scalar or 1d", [y.value]))
    if not (np.all(q >= 0) and np.all(q <= 1)):
        text = "Percentiles must be in the range [0, 100]" if scale == 100 else "Quantiles must be in the range [0, 1]"
        raise ValueError(message(text, [y.value]))
    at = np.asarray(PLACES[method](n, np.asarray(q)))
    if not at.size:
        raise UnsupportedError(message("quantiles at no q at all can't be traced", [y.value]))
    if at.dtype.kind in "iu" and method in ELEMENTS:
        return _unless_nan(_at(y, [at], last)[0], y)
    before = np.floor(at)
    after = before + 1
    before, after = (np.where(at >= n - 1, n - 1, np.where(at < 0, 0, i)).astype(np.int64) for i in (before, after))
    t = at - np.where(
        at >= n - 1, -1, np.where(at < 0, 0, np.floor(at))
    )  # as NumPy: places beyond the ends don't count
    t = WEIGHTS[method](t, at) if method in WEIGHTS else t
    low, high = _at(y, [before, after], last)
    if type(known) in (int, float):
        weight: Any = float(t)
        found = _lerp(low, high, weight, weight >= 0.5)
    else:
        weight = as_tracer(np.asarray(t, at.dtype).reshape(t.shape + (1,) * last), y)
        found = _lerp(low, high, weight, call(np.greater_equal, weight, 0.5))
    return _unless_nan(found, y)


def _at(y: Tracer, places: list[np.ndarray], last: int) -> list[Tracer]:
    """The elements at these ranks of the last axis, the places' axes in front."""
    ranks = sorted({int(i) for place in places for i in place.ravel()})
    line = emit(s.ranked, y, axis=last, ranks=tuple(ranks))
    line = moved(line, last, 0)
    found = []
    for place in places:
        where = np.searchsorted(ranks, place)
        if where.ndim:
            found.append(gathered(line, as_tracer(np.asarray(where, np.int64), y), 0))
        else:
            k = int(where)
            found.append(reshaped(cut(line, 0, slice(k, k + 1)), line.shape[1:]))
    return found


def _lerp(low: Tracer, high: Tracer, t: Any, beyond: Any) -> Tracer:
    """low + (high - low) t, from the nearer end. beyond: is that the higher?"""
    step = call(np.subtract, high, low)
    if beyond is True:
        return call(np.subtract, high, call(np.multiply, step, 1 - t))
    up = call(np.add, low, call(np.multiply, step, t))
    if beyond is False:
        return up
    down = call(np.subtract, high, call(np.multiply, step, call(np.subtract, 1, t)))
    return emit(lg.where, beyond, down, up)


def _running(y: Tracer, n: int | Tracer, q: Tracer, scale: int, method: str) -> Tracer:
    """Quantiles at places that the run knows: n elements of each line count, or as many as n, one for each, says."""
    if method != "linear":
        advice = "Give q as numbers, or use the method 'linear'."
        raise UnsupportedError(
            message(f"quantiles of method {method!r} at a traced q can't be traced", [q.value], advice)
        )
    part = q if scale == 1 and q.value.type.is_float else call(np.true_divide, q, scale)
    part = reshaped(part, part.shape + (1,) * (y.ndim - 1))
    end = max(n - 1, 0) if type(n) is int else call(np.maximum, call(np.subtract, n, 1), 0)
    at = call(np.multiply, part, end)
    before = call(np.minimum, call(np.maximum, call(np.floor, at), 0), end)
    t = call(np.subtract, at, before)
    i = cast(before, "i64")
    low, high = _picked(y, [i, call(np.minimum, call(np.add, i, 1), end)], q.ndim)
    return _lerp(low, high, t, call(np.greater_equal, t, 0.5))


def _picked(y: Tracer, places: list[Tracer], lead: int) -> list[Tracer]:
    """y[j, place[..., j]] for each j, the elements of y[j] in order: the leading axes of the places in front."""
    last, rest = y.ndim - 1, y.shape[:-1]
    shape = (*places[0].shape[:lead], *rest)
    count = math.prod(shape[:lead])
    ranks = [moved(reshaped(spread(place, shape), (count, *rest)), 0, last) for place in places]
    found = emit(s.at_ranks, y, joined(ranks, last))
    parts = (cut(found, last, slice(k * count, (k + 1) * count)) for k in range(len(places)))
    return [reshaped(moved(part, last, 0), shape) for part in parts]


@implements(np.quantile)
@takes_out()
def quantile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
             keepdims: Any = False, *, weights: Any = None) -> Tracer:  # fmt: skip
    return _quantile(a, q, 1, axis, method, keepdims, weights)


@implements(np.percentile)
@takes_out()
def percentile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
               method: str = "linear", keepdims: Any = False, *, weights: Any = None) -> Tracer:  # fmt: skip
    return _quantile(a, q, 100, axis, method, keepdims, weights)


def _nan_quantile(a: Any, q: Any, scale: int, axis: Any, method: str, keepdims: Any, weights: Any) -> Tracer:
    like = a if type(a) is Tracer else q
    x, axes, y = _lined(as_tracer(a, like), axis)
    valid = numbers(y)
    if valid is None or weights is not None:
        return _quantile(a, q, scale, axis, method, keepdims, weights)
    last = y.ndim - 1
    places = as_tracer(np.asarray(q, np.float64) if type(q) is not Tracer else q, y)
    places = cast(places, np.float64) if places.weak is not None else places
    weak = type(q) in (int, float) or (type(q) is Tracer and q.weak is not None)
    count = total(cast(valid, "i64"), (last,))
    found = _running(y, count, places, scale, method)
    found = masked(found, emit(r.any_, valid, axes=(last,)), np.nan)
    found = cast(found, y.dtype) if weak else found
    if keepdims is NoValue or not keepdims:
        return found
    lead = found.shape[: places.ndim]
    return reshaped(found, (*lead, *(1 if i in axes else n for i, n in enumerate(x.shape))))


@implements(np.nanquantile)
@takes_out()
def nanquantile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
                method: str = "linear", keepdims: Any = NoValue, *, weights: Any = None) -> Tracer:  # fmt: skip
    return _nan_quantile(a, q, 1, axis, method, keepdims, weights)


@implements(np.nanpercentile)
@takes_out()
def nanpercentile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
                  method: str = "linear", keepdims: Any = NoValue, *, weights: Any = None) -> Tracer:  # fmt: skip
    return _nan_quantile(a, q, 100, axis, method, keepdims, weights)
