"""Cumulative sums and products, by the op `recur`.

    np.cumsum(x)        y[t] = 1 * y[t - 1] + x[t]
    np.cumprod(x)       y[t] = x[t] * y[t - 1], y[0] = x[0]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, message
from weft.frontend.extents import limit, moving
from weft.frontend.numpy_api.keywords import arrays, normal_axis, takes_out, wanted_dtype
from weft.frontend.numpy_api.moves import cut, flat, joined
from weft.frontend.numpy_api.nan_reductions import numbers
from weft.frontend.numpy_api.reductions import accumulator, masked
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, cast, constant, emit, full
from weft.ir import ops

m = ops.movement
Accumulation = Callable[[Tracer, int], Tracer]


def sums(x: Tracer, axis: int) -> Tracer:
    """The sums of the elements up to each, along an axis."""
    return emit(ops.recurrence.recur, full(x, x.shape, 1, x.dtype), x, axis=axis)


def products(x: Tracer, axis: int) -> Tracer:
    nothing = -0.0 if x.dtype.kind == "f" else 0  # leaves the sign of zeros
    if x.extents is not None:
        start = moving(limit(x, 1, axis, nothing), x.extents)
        return emit(ops.recurrence.recur, x, start, axis=axis)
    high = tuple(max(n - 1, 0) if i == axis else 0 for i, n in enumerate(x.shape))
    first = cut(x, axis, slice(0, 1))
    start = emit(m.pad, first, constant(x, nothing, x.dtype), low=(0,) * x.ndim, high=high)
    return emit(ops.recurrence.recur, x, start, axis=axis)


def _along(accumulate: Accumulation, x: Tracer, axis: Any, dtype: Any) -> Tracer:
    """In the dtype of a sum, and flat where there is no axis. Raises DTypeError for sums of bools as bools."""
    x = cast(x, wanted_dtype(dtype, accumulator(x.dtype)))
    if x.dtype == np.bool_:
        advice = "Leave out dtype=: it is then a sum or product of integers."
        raise DTypeError(message("accumulates bools as bools", [x.value], advice))
    if axis is None:
        return accumulate(flat(x), 0)
    at = normal_axis(axis, x)
    return accumulate(x, at)


def _accumulations(names: tuple[str, str], accumulate: Accumulation, identity: int) -> None:
    """np.cumsum and the like: `names` without and with NaNs left out."""

    @implements(getattr(np, names[0]))
    @method(names[0])
    @takes_out("unsafe")
    def plain(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Tracer:
        return _along(accumulate, arrays(a)[0], axis, dtype)

    @implements(getattr(np, names[1]))
    @takes_out("unsafe")
    def without_nan(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Tracer:
        (x,) = arrays(a)
        return _along(accumulate, masked(x, numbers(x), identity), axis, dtype)


def _cumulative(name: str, accumulate: Accumulation, identity: int) -> None:
    """The array API's functions, of NumPy 2.1 and later."""
    function = getattr(np, name, None)
    if function is None:
        return

    @implements(function)
    @takes_out("unsafe")
    def cumulative(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Tracer:
        (array,) = arrays(x)
        if axis is None and array.ndim != 1:
            raise ValueError(message(f"np.{name} of {array.ndim} axes needs axis=", [array.value]))
        at = normal_axis(0 if axis is None else axis, array)
        y = _along(accumulate, array, at, dtype)
        if not include_initial:
            return y
        first = tuple(1 if i == at else n for i, n in enumerate(y.shape))
        return joined([full(y, first, identity, y.dtype), y], at)


_accumulations(("cumsum", "nancumsum"), sums, 0)
_accumulations(("cumprod", "nancumprod"), products, 1)
_cumulative("cumulative_sum", sums, 0)
_cumulative("cumulative_prod", products, 1)
