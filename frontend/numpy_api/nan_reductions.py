"""Reductions that leave NaNs out: each is a reduction of an array in which something harmless stands for them.

    nansum(x) = sum(where(isnan(x), 0, x))        nanmean = that / count of the others
    nanmax(x) = max(where(isnan(x), -inf, x)), and NaN where there is nothing else

Integers have no NaNs: theirs are the plain functions. NumPy's warnings about empty slices are not given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, UnsupportedError, message
from weft.frontend.numpy_api.keywords import NoValue, arrays, given, kept, normal_axes, takes_out
from weft.frontend.numpy_api.reductions import argmax, argmin, extremum, mask_of, masked, prod, sum_
from weft.frontend.numpy_api.registry import implements
from weft.frontend.numpy_api.statistics import averaged, averaged_in, degrees, mean, squared_deviation, var
from weft.frontend.tracer import Tracer, cast, constant, emit
from weft.ir import ops

e, lg, r, t = ops.elementwise, ops.logic, ops.reduce, ops.transcendental


def numbers(x: Tracer) -> Tracer | None:
    """Where a float array holds a number; None for other arrays, that hold nothing else."""
    return emit(lg.logical_not, emit(lg.isnan, x)) if x.value.type.is_float else None


@implements(np.nansum)
@takes_out("unsafe")
def nansum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
           initial: Any = NoValue, where: Any = NoValue) -> Tracer:  # fmt: skip
    (x,) = arrays(a)
    return sum_(masked(x, numbers(x), 0), axis, dtype, None, keepdims, initial, where)


@implements(np.nanprod)
@takes_out("unsafe")
def nanprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
            initial: Any = NoValue, where: Any = NoValue) -> Tracer:  # fmt: skip
    (x,) = arrays(a)
    return prod(masked(x, numbers(x), 1), axis, dtype, None, keepdims, initial, where)


def _nan_extremum(op: Any, combine: Any, worst: float, a: Any, axis: Any, keepdims: Any, initial: Any,
                  where: Any) -> Tracer:  # fmt: skip
    (x,) = arrays(a)
    valid = numbers(x)
    result = extremum(op, combine, masked(x, valid, worst), axis, keepdims, initial, where)
    if valid is None or given(initial):
        return result
    axes = normal_axes(axis, x)
    some = kept(emit(r.any_, valid, axes=axes), x, axes, keepdims)
    return masked(result, some, np.nan)


@implements(np.nanmax)
@takes_out("unsafe")
def nanmax(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NoValue,
           where: Any = NoValue) -> Tracer:  # fmt: skip
    return _nan_extremum(r.max_, e.maximum, -np.inf, a, axis, keepdims, initial, where)


@implements(np.nanmin)
@takes_out("unsafe")
def nanmin(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NoValue,
           where: Any = NoValue) -> Tracer:  # fmt: skip
    return _nan_extremum(r.min_, e.minimum, np.inf, a, axis, keepdims, initial, where)


def _nan_arg(function: Any, plain: Any, worst: str) -> None:
    """nanargmax and nanargmin, which NumPy refuses for slices of NaNs alone: compiled code can't."""

    @implements(function)
    def rule(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Tracer:
        (x,) = arrays(a)
        if x.value.type.is_float:
            name = function.__name__
            advice = f"Write np.{plain.__name__}(np.where(np.isnan(x), {worst}, x)): 0 for slices of NaNs alone."
            text = f"np.{name} raises an error for slices of NaNs alone, which compiled code can't"
            raise UnsupportedError(message(text, [x.value], advice))
        return plain(x, axis, out, keepdims=keepdims)


_nan_arg(np.nanargmax, argmax, "-np.inf")
_nan_arg(np.nanargmin, argmin, "np.inf")


def _both(valid: Tracer, mask: Tracer | None) -> Tracer:
    return valid if mask is None else emit(lg.logical_and, valid, mask)


def _float_result(function: str, dtype: Any, x: Tracer) -> tuple[np.dtype, np.dtype]:
    computed, result = averaged_in(dtype, x)
    if result.kind != "f":
        text = f"np.{function} of floats has no dtype {result}: if a is inexact, then dtype must be inexact"
        raise DTypeError(message(text, [x.value]))
    return computed, result


@implements(np.nanmean)
@takes_out("unsafe")
def nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
            where: Any = NoValue) -> Tracer:  # fmt: skip
    (x,) = arrays(a)
    valid = numbers(x)
    if valid is None:
        return mean(x, axis, dtype, None, keepdims, where=where)
    computed, result = _float_result("nanmean", dtype, x)
    mask = _both(valid, mask_of(where, x))
    return cast(averaged(cast(x, computed), normal_axes(axis, x), keepdims, mask), result)


@implements(np.nanvar)
@takes_out("unsafe")
def nanvar(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
           where: Any = NoValue, mean: Any = NoValue, correction: Any = NoValue) -> Tracer:  # fmt: skip
    """As var; NaN where there are no degrees of freedom."""
    (x,) = arrays(a)
    valid = numbers(x)
    if valid is None:
        return var(x, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
    computed, result = _float_result("nanvar", dtype, x)
    free, axes, mask = degrees(ddof, correction), normal_axes(axis, x), _both(valid, mask_of(where, x))
    spread = squared_deviation(cast(x, np.result_type(computed, x.dtype)), axes, free, keepdims, mask, mean)
    count = kept(emit(r.sum_, cast(mask, "i64"), axes=axes), x, axes, keepdims)
    return cast(emit(lg.where, count > free, spread, constant(x, np.nan, spread.dtype)), result)


@implements(np.nanstd)
@takes_out("unsafe")
def nanstd(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
           where: Any = NoValue, mean: Any = NoValue, correction: Any = NoValue) -> Tracer:  # fmt: skip
    spread = nanvar(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
    return emit(t.sqrt, spread)
