"""Statistics over reductions: mean, var, std, average, ptp, ...

    mean(x) = sum(x) / n

Integers are averaged in float64, float16 in
float32, to be rounded once at the end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft.frontend.numpy_api.keywords import NoValue, arrays, normal_axes, refuse_out, wanted_dtype
from weft.frontend.numpy_api.reductions import mask_of, masked, total
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, cast, constant, emit
from weft.ir import ops

e = ops.elementwise


def averaged_in(dtype: Any, x: Tracer) -> tuple[np.dtype, np.dtype]:
    """The dtypes in which an average of x is computed and given, from the argument dtype=."""
    result = wanted_dtype(dtype, x.dtype if x.value.type.is_float else np.dtype(np.float64))
    return np.dtype(np.float32) if result == np.float16 else result, result


def quotient(sums: Tracer, count: int | float | Tracer) -> Tracer:
    """sums / count in the dtype of `sums`, by way of float64 where the count has no exact place in it."""
    dtype = sums.dtype
    if not isinstance(count, Tracer) and sums.value.type.is_float and dtype.type(count) == count:
        return emit(e.div, sums, constant(sums, count, dtype))
    divisor = cast(count, "f64") if isinstance(count, Tracer) else constant(sums, count, "f64")
    return cast(emit(e.div, cast(sums, "f64"), divisor), dtype)


def count_of(x: Tracer, axes: tuple[int, ...], keepdims: Any, mask: Tracer | None) -> int | Tracer:
    """How many elements a reduction of x combines: a number, or with a mask an array of them."""
    if mask is None:
        return math.prod(x.shape[i] for i in axes)
    return total(cast(mask, "i64"), axes, keepdims)


@implements(np.mean)
@method("mean")
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
         where: Any = NoValue) -> Tracer:  # fmt: skip
    refuse_out("mean", out, a)
    (x,) = arrays(a)
    computed, result = averaged_in(dtype, x)
    axes, mask = normal_axes(axis, x), mask_of(where, x)
    sums = total(masked(cast(x, computed), mask, 0), axes, keepdims)
    return cast(quotient(sums, count_of(x, axes, keepdims, mask)), result)
