"""Statistics over reductions: mean, var, std, average, ptp.

    mean(x) = sum(x) / n        var(x) = sum((x - mean(x))²) / (n - ddof)        std(x) = sqrt(var(x))

The variance goes over the array twice, as NumPy's does. Integers are averaged in float64, float16 in
float32, to be rounded once at the end. Where NumPy warns (nothing to average, too few degrees of freedom)
or raises ZeroDivisionError (weights that sum to 0) the result is its NaN or infinity.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, ShapeError, message
from weft.frontend.numpy_api.keywords import NoValue, arrays, normal_axes, normal_axis, takes_out, wanted_dtype
from weft.frontend.numpy_api.moves import permuted, reshaped, spread
from weft.frontend.numpy_api.reductions import mask_of, masked, max_, min_, total
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, cast, constant, emit, full
from weft.frontend.ufunc import call
from weft.ir import ops

e, t = ops.elementwise, ops.transcendental


def averaged_in(dtype: Any, x: Tracer) -> tuple[np.dtype, np.dtype]:
    """The dtypes in which an average of x is computed and given, from the argument dtype=."""
    result = wanted_dtype(dtype, x.dtype if x.value.type.is_float else np.dtype(np.float64))
    if result == np.bool_:
        return np.dtype(np.float64), result
    return np.dtype(np.float32) if result == np.float16 else result, result


def averaged_over(axis: Any, x: Tracer) -> tuple[int, ...]:
    """The axes of an average: a 0-d array has none, not even 0."""
    return normal_axes(axis if axis is None or isinstance(axis, tuple) else (axis,), x)


def quotient(sums: Tracer, count: int | float | Tracer) -> Tracer:
    """sums / count in the dtype of `sums`, by way of float64 where the count has no exact place in it."""
    dtype = sums.dtype
    known = isinstance(count, int | float)  # and no symbol: float64's quotient, rounded again, is float32's
    if known and sums.value.type.is_float and dtype.type(count) == count:
        return emit(e.div, sums, constant(sums, count, dtype))
    divisor = cast(count, "f64") if isinstance(count, Tracer) else constant(sums, count, "f64")
    return cast(emit(e.div, cast(sums, "f64"), divisor), dtype)


def count_of(x: Tracer, axes: tuple[int, ...], keepdims: Any, mask: Tracer | None) -> int | Tracer:
    """How many elements a reduction of x combines: a number, or with a mask an array of them."""
    if mask is None:
        return math.prod(x.shape[i] for i in axes)
    return total(cast(mask, "i64"), axes, keepdims)


def averaged(x: Tracer, axes: tuple[int, ...], keepdims: Any, mask: Tracer | None) -> Tracer:
    """Mean over axes of those elements of a float array at which the mask holds."""
    return quotient(total(masked(x, mask, 0), axes, keepdims), count_of(x, axes, keepdims, mask))


@implements(np.mean)
@method("mean")
@takes_out("unsafe")
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
         where: Any = NoValue) -> Tracer:  # fmt: skip
    (x,) = arrays(a)
    computed, result = averaged_in(dtype, x)
    return cast(averaged(cast(x, computed), averaged_over(axis, x), keepdims, mask_of(where, x)), result)


def squared_deviation(x: Tracer, axes: tuple[int, ...], ddof: Any, keepdims: Any, mask: Tracer | None,
                      center: Any) -> Tracer:  # fmt: skip
    """Variance of a float array, about its mean or a given one."""
    about = averaged(x, axes, True, mask) if center is NoValue else cast(arrays(center, x)[0], x.dtype)
    squares = emit(e.square, masked(emit(e.sub, x, about), mask, 0))
    count = count_of(x, axes, keepdims, mask)
    free = call(np.maximum, count - ddof, 0) if isinstance(count, Tracer) else max(count - ddof, 0)
    return quotient(total(squares, axes, keepdims), free)


def degrees(ddof: Any, correction: Any) -> Any:
    """The argument ddof=, which the array API calls correction=. Raises ValueError for both."""
    if correction is NoValue:
        return ddof
    if ddof != 0:
        raise ValueError("ddof and correction can't be provided simultaneously.")
    return correction


@implements(np.var)
@method("var")
@takes_out("unsafe")
def var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
        where: Any = NoValue, mean: Any = NoValue, correction: Any = NoValue) -> Tracer:  # fmt: skip
    (x,) = arrays(a)
    computed, result = averaged_in(dtype, x)
    if result.kind != "f":
        raise DTypeError(message(f"a variance has no dtype {result}", [x.value], "Leave out dtype=, or .astype(...)."))
    computed = np.result_type(computed, x.dtype) if x.value.type.is_float else computed
    free, axes = degrees(ddof, correction), averaged_over(axis, x)
    return cast(squared_deviation(cast(x, computed), axes, free, keepdims, mask_of(where, x), mean), result)


@implements(np.std)
@method("std")
@takes_out("unsafe")
def std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
        where: Any = NoValue, mean: Any = NoValue, correction: Any = NoValue) -> Tracer:  # fmt: skip
    spread = var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
    return emit(t.sqrt, spread)


@implements(np.ptp)
@takes_out()
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Tracer:
    return call(np.subtract, max_(a, axis, keepdims=keepdims), min_(a, axis, keepdims=keepdims))


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *,
            keepdims: Any = False) -> Any:  # fmt: skip
    """Mean, or weighted mean; with `returned` also the sum of the weights."""
    if weights is None:
        (x,) = arrays(a)
        result = mean(x, axis, keepdims=keepdims)
        count = math.prod(x.shape[i] for i in normal_axes(axis, x))
        return (result, full(x, result.shape, count, result.dtype)) if returned else result
    x, w = arrays(a, weights)
    axes = normal_axes(axis, x)
    w = _aligned(w, x, axis)
    dtype = np.result_type(x.dtype, w.dtype, *(() if x.value.type.is_float else (np.float64,)))
    x, w = cast(x, dtype), cast(w, dtype)
    scale = total(spread(w, x.shape), axes, keepdims)
    result = emit(e.div, total(emit(e.mul, x, w), axes, keepdims), scale)
    return (result, scale) if returned else result


def _aligned(w: Tracer, x: Tracer, axis: Any) -> Tracer:
    """Weights along the axes of x that are averaged over, so that they broadcast against x."""
    if w.shape == x.shape:
        return w
    if axis is None:
        raise DTypeError(message("Axis must be specified when shapes of a and weights differ", [x.value, w.value]))
    axes = [normal_axis(i, x) for i in (axis if isinstance(axis, tuple) else (axis,))]
    if w.shape != tuple(x.shape[i] for i in axes):
        text = "Shape of weights must be consistent with shape of a along specified axis"
        raise ShapeError(message(text, [x.value, w.value]))
    w = permuted(w, sorted(range(len(axes)), key=axes.__getitem__))
    return reshaped(w, tuple(d if i in axes else 1 for i, d in enumerate(x.shape)))
