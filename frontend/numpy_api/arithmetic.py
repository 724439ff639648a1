"""Functions of each element that are no ufuncs: round, fix, nan_to_num, sinc, angle, real and imag, ...;
and trapezoid, a sum over neighbours."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, message
from weft.frontend.numpy_api.keywords import arrays, normal_axis, takes_out
from weft.frontend.numpy_api.logic import where
from weft.frontend.numpy_api.moves import cut, reshaped, zeros
from weft.frontend.numpy_api.reductions import sum_
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, full
from weft.frontend.ufunc import call
from weft.frontend.writes import store, target_of
from weft.ir import ops

e, lg = ops.elementwise, ops.logic


@implements(np.round, np.around)
@method("round")
@takes_out()
def round_(a: Any, decimals: Any = 0, out: Any = None) -> Tracer:
    """rint(x 10^d) / 10^d, ties to even; for negative d, and then of integers too, rint(x / 10^-d) 10^-d."""
    (x,) = arrays(a)
    digits = operator.index(decimals)
    integer = x.value.type.is_integer
    if integer and digits >= 0:
        return call(np.positive, x)
    if not digits:
        return call(np.rint, x)
    if x.dtype == np.bool_:
        raise DTypeError(message("bools have no digits to round to", [x.value], "Write x.astype(float) first."))
    y = cast(x, np.float64) if integer else x
    scale = constant(y, 10.0 ** abs(digits), y.dtype)
    before, after = (e.mul, e.div) if digits > 0 else (e.div, e.mul)
    return cast(emit(after, emit(e.rint, emit(before, y, scale)), scale), x.dtype)


@implements(np.fix)
@takes_out()
def fix(x: Any, out: Any = None) -> Tracer:
    return call(np.trunc, *arrays(x))


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Tracer:
    """NaNs and infinities replaced, by the dtype's largest and least number unless others are given; copy=False
    replaces them in x."""
    if not copy:
        return store(target_of(x), nan_to_num(x, True, nan, posinf, neginf))
    (a,) = arrays(x)
    if not a.value.type.is_float:
        return call(np.positive, a) if a.dtype != np.bool_ else Tracer(a.home, a.value)
    limits = np.finfo(a.dtype)
    replacements = ((-np.inf, limits.min if neginf is None else neginf),
                    (np.inf, limits.max if posinf is None else posinf))  # fmt: skip
    result = a
    for infinity, other in replacements:
        result = emit(lg.where, a == infinity, cast(as_tracer(other, a), a.dtype), result)
    return emit(lg.where, emit(lg.isnan, a), cast(as_tracer(nan, a), a.dtype), result)


@implements(np.sinc)
def sinc(x: Any) -> Tracer:
    """sin(πx) / πx, and 1 at 0."""
    (a,) = arrays(x)
    y = np.pi * a
    y = where(y, y, float(np.finfo(y.dtype).eps))
    return call(np.sin, y) / y


@implements(np.real, np.real_if_close)
def real(val: Tracer, tol: Any = 100) -> Tracer:
    return val


@implements(np.imag)
def imag(val: Tracer) -> Tracer:
    return full(val, val.shape, 0, val.dtype)


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Tracer:
    """0 of what is not negative, else π: there are no complex numbers yet."""
    result: Tracer = call(np.arctan2, 0, *arrays(z))
    return result * (180 / np.pi) if deg else result


@method("conj", "conjugate")
def conjugate(x: Tracer) -> Tracer:
    return x


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Tracer:
    """The polynomial with coefficients p, highest first, by Horner's rule."""
    coefficients, a = arrays(p, x)
    result = zeros(a, a.shape, a.dtype)
    for c in coefficients:
        result = result * a + c
    return result


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tracer:
    """Sum of the steps times the means of neighbours along an axis."""
    values, *given = arrays(y) if x is None else arrays(y, x)
    along = normal_axis(axis, values)
    step = dx
    for points in given:
        on = 0 if points.ndim == 1 else normal_axis(axis, points)
        step = call(np.subtract, cut(points, on, slice(1, None)), cut(points, on, slice(None, -1)))
        if points.ndim == 1:
            step = reshaped(step, [step.size if i == along else 1 for i in range(values.ndim)])
    pairs = call(np.add, cut(values, along, slice(1, None)), cut(values, along, slice(None, -1)))
    return sum_(step * pairs / 2.0, axis)
