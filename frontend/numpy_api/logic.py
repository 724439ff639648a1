"""Choices and tests: where, select, clip, isclose, array_equal, ..., and questions about dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, ShapeError, UnsupportedError, message
from weft.frontend.numpy_api.keywords import NoValue, arrays, common, takes_out
from weft.frontend.numpy_api.moves import expanded, flat
from weft.frontend.numpy_api.registry import implements, method, ufunc_rule
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, full
from weft.frontend.ufunc import call
from weft.frontend.ufunc_rules import prepared, truth
from weft.ir import ops

e, lg = ops.elementwise, ops.logic


@implements(np.where)
def where(condition: Any, x: Any = NoValue, y: Any = NoValue, /) -> Tracer:
    if x is NoValue:
        advice = (
            "Its result is as long as there are true elements, which is not known while tracing.\n"
            "Write np.where(condition, a, b) to choose, or np.sum(x, where=condition) and the like to reduce."
        )
        values = [condition.value]
        raise UnsupportedError(message("np.where(condition) without choices can't be traced", values, advice))
    if y is NoValue:
        raise ValueError("either both or neither of x and y should be given")
    like = next(o for o in (condition, x, y) if type(o) is Tracer)
    return emit(lg.where, truth(as_tracer(condition, like)), *common(like, x, y))


@implements(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Tracer:
    """The choice of the first condition that holds, element by element. Raises ValueError, DTypeError."""
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if not condlist:
        raise ValueError("select with an empty condition list is not possible")
    like = next(o for o in (*condlist, *choicelist, default) if type(o) is Tracer)
    conditions = arrays(like, *condlist)[1:]
    for i, condition in enumerate(conditions):
        if condition.dtype != np.bool_:
            text = f"invalid entry {i} in condlist: should be boolean ndarray"
            raise DTypeError(message(text, [condition.value]))
    *choices, result = common(like, *choicelist, default)
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        result = emit(lg.where, condition, choice, result)
    return result


@implements(np.isin)
def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *,
         kind: Any = None) -> Tracer:  # fmt: skip
    """Which elements are among the others: each is compared with all of them."""
    x, others = arrays(element, test_elements)
    hits = call(np.equal, expanded(x, x.ndim), flat(others))
    found = emit(ops.reduce.any_, hits, axes=(x.ndim,))
    return emit(lg.logical_not, found) if invert else found


@implements(np.clip)
def clip(a: Any, a_min: Any = NoValue, a_max: Any = NoValue, out: Any = None, *, min: Any = NoValue,
         max: Any = NoValue) -> Tracer:  # fmt: skip
    if a_min is NoValue and a_max is NoValue:
        return clip_method(a, None if min is NoValue else min, None if max is NoValue else max, out)
    if a_min is NoValue or a_max is NoValue:
        missing = "a_min" if a_min is NoValue else "a_max"
        raise TypeError(f"clip() missing 1 required positional argument: {missing!r}")
    if min is not NoValue or max is not NoValue:
        raise ValueError(
            "Passing `min` or `max` keyword argument when `a_min` and `a_max` are provided is forbidden."
        )
    return clip_method(a, a_min, a_max, out)


@method("clip")
@takes_out()
def clip_method(a: Any, min: Any = None, max: Any = None, out: Any = None) -> Tracer:
    """min(max(a, lower), upper), without the bounds that are None."""
    if getattr(a, "dtype", np.dtype(bool)).kind in "iu":  # a Python int beyond the dtype bounds nothing
        info = np.iinfo(a.dtype)
        min = None if type(min) is int and min <= info.min else min
        max = None if type(max) is int and max >= info.max else max
    if min is None and max is None:
        return call(np.positive, a)
    if min is None or max is None:
        return call(np.minimum, a, max) if min is None else call(np.maximum, a, min)
    return clip_ufunc(a, min, max)


@ufunc_rule(np._core.umath.clip)  # type: ignore[attr-defined]  # what ndarray.clip calls
def clip_ufunc(a: Any, lower: Any, upper: Any, dtype: Any = None) -> Tracer:
    x, low, high = prepared(np._core.umath.clip, (a, lower, upper), dtype)  # type: ignore[attr-defined]
    return emit(e.minimum, emit(e.maximum, x, low), high)


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1.0e-5, atol: Any = 1.0e-8, equal_nan: Any = False) -> Tracer:
    like = next(o for o in (a, b, rtol, atol) if type(o) is Tracer)
    x, y, rtol, atol = (o if isinstance(o, int | float) else as_tracer(o, like) for o in (a, b, rtol, atol))
    if type(y) is Tracer:
        y = cast(y, np.result_type(y.dtype, 1.0)) if y.weak is None else y
    else:
        y = float(y)
    finite = np.isfinite(y) if type(y) is not Tracer else call(np.isfinite, y)
    result = (abs(x - y) <= atol + rtol * abs(y)) & finite | (x == y)
    if equal_nan:
        result = result | (x != x) & (y != y)
    return cast(result, "bool")


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1.0e-5, atol: Any = 1.0e-8, equal_nan: Any = False) -> Tracer:
    return _python_bool(isclose(a, b, rtol, atol, equal_nan))


def _python_bool(test: Tracer) -> Tracer:
    """Whether all of it holds, as the Python bool that some functions give."""
    whole = emit(ops.reduce.all_, test, axes=tuple(range(test.ndim)))
    return Tracer(whole.home, whole.value, bool)


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool | Tracer:
    x, y = arrays(a1, a2)
    if x.shape != y.shape:
        return False
    same = x == y
    return _python_bool(same | (x != x) & (y != y) if equal_nan else same)


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> bool | Tracer:
    x, y = arrays(a1, a2)
    try:
        return _python_bool(x == y)
    except ShapeError:
        return False


# Signed infinities, and complex numbers, of which there are none yet.


def _signed_infinity(function: Any, infinity: float) -> None:
    @implements(function)
    @takes_out()
    def rule(x: Any, out: Any = None) -> Tracer:
        (a,) = arrays(x)
        if not a.value.type.is_float:
            return full(a, a.shape, False, "bool")
        return emit(lg.equal, a, constant(a, infinity, a.dtype))


_signed_infinity(np.isposinf, np.inf)
_signed_infinity(np.isneginf, -np.inf)


@implements(np.isreal)
def isreal(x: Tracer) -> Tracer:
    return full(x, x.shape, True, "bool")


@implements(np.iscomplex)
def iscomplex(x: Tracer) -> Tracer:
    return full(x, x.shape, False, "bool")


# dtypes. They are known while tracing, so the answers are Python's.


@implements(np.min_scalar_type)
def min_scalar_type(a: Tracer) -> np.dtype:
    """Of an array its dtype. Raises ConcretizationError for a scalar whose value is not known."""
    return a.dtype if a.shape else np.min_scalar_type(a.item())


@implements(np.common_type)
def common_type(*arrays: Any) -> type:
    return np.common_type(*[np.empty(0, x.dtype) if type(x) is Tracer else x for x in arrays])
