"""ufuncs on tracers: NumPy says which dtypes they compute in, casts are inserted, and one op is emitted.

    np.add(f32[3], 1.0)   resolve_dtypes(f32, float) -> f32, f32 -> f32     add(x, f32(1.0))
    np.sqrt(i64[3])       resolve_dtypes(i64) -> f64 -> f64                 sqrt(cast(x, dtype="f64"))

ufuncs that are no single op are in `ufunc_rules`. Operators among weak tracers and Python numbers follow
Python's own promotion, and give weak tracers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, UnsupportedError, message
from weft.frontend.numpy_api.registry import FUNCTIONS, METHODS, UFUNCS, method
from weft.frontend.tracer import WEAK_DTYPES, Tracer, as_tracer, cast, constant, emit
from weft.frontend.writes import store, target_of
from weft.ir import ops
from weft.ir.opdef import BY_NUMPY
from weft.ir.types import NAMES, dtype_name

Kinds = tuple[Any, ...]  # of operands: a dtype, or int or float for weak ones
_LOOPS: dict[tuple[Any, ...], tuple[np.dtype, ...]] = {}


@method("__array_ufunc__")
def array_ufunc(ufunc: np.ufunc, how: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What NumPy's protocol calls."""
    kwargs = {k: v for k, v in kwargs.items() if k == "axis" or not (v is None or k in ("order", "subok"))}
    out = kwargs.pop("out", None)
    if out is not None:
        return _with_out(ufunc, how, inputs, kwargs, out if isinstance(out, tuple) else (out,))
    if how == "reduce":
        return _reduce(ufunc, *inputs, **kwargs)
    if how == "accumulate" and ufunc in _ACCUMULATED:
        return FUNCTIONS[_ACCUMULATED[ufunc]](*inputs, axis=kwargs.get("axis", 0), dtype=kwargs.get("dtype"))
    if how == "at" and ufunc in (np.add, np.subtract) and not kwargs:
        return METHODS["__at__"](*inputs[:2], inputs[2] if ufunc is np.add else np.negative(inputs[2]))
    kwargs.pop("casting", None)
    dtype = kwargs.pop("dtype", None)
    if how not in ("__call__", "outer") or kwargs:
        what = f"np.{ufunc.__name__}" + ("" if how == "__call__" else f".{how}")
        what += "".join(f" with {k}=" for k in kwargs)
        advice = "Write np.where(mask, result, other)." if "where" in kwargs else ""
        raise UnsupportedError(message(f"{what} can't be traced (yet)", _values(inputs), advice))
    if how == "outer":
        a, b = inputs
        like = a if type(a) is Tracer else b
        a, b = as_tracer(a, like), as_tracer(b, like)
        inputs = (emit(ops.movement.reshape, a, shape=a.shape + (1,) * b.ndim), b)
    return call(ufunc, *inputs, dtype=dtype)


def _with_out(ufunc: np.ufunc, how: str, inputs: Sequence[Any], kwargs: dict[str, Any], outs: Any) -> Any:
    """`out=`: arrays that take the results, where `where=` is true."""
    like = next(x for x in (*inputs, *outs) if type(x) is Tracer)
    where = kwargs.pop("where", True)
    ready = [x if x is None else target_of(x) for x in outs]
    operands = inputs if any(type(x) is Tracer for x in inputs) else [as_tracer(inputs[0], like), *inputs[1:]]
    results = array_ufunc(ufunc, how, operands, kwargs)
    found = []
    for target, result in zip(ready, results if isinstance(results, tuple) else (results,), strict=True):
        if target is None:
            found.append(result)
            continue
        if where is not True:
            result = FUNCTIONS[np.where](where, result, target)
        found.append(store(target, result))
    shown = [given if given is not None else made for given, made in zip(outs, found, strict=True)]
    return shown[0] if len(shown) == 1 else tuple(shown)


def call(ufunc: np.ufunc, *operands: Any, dtype: Any = None) -> Any:
    """`ufunc(*operands)`, at least one of which is a tracer."""
    rule = UFUNCS.get(ufunc)
    if rule is not None:
        return rule(*operands) if dtype is None else rule(*operands, dtype=dtype)
    op = BY_NUMPY.get(ufunc)
    if op is None:
        raise UnsupportedError(message(f"np.{ufunc.__name__} can't be traced (yet)", _values(operands)))
    if len(operands) != ufunc.nin:
        raise TypeError(f"np.{ufunc.__name__} takes {ufunc.nin} operands, got {len(operands)}")
    types = loop(ufunc, operands, dtype)
    return emit(op, *convert(operands, types, ufunc))


def kind_of(operand: Any) -> Any:
    """The dtype by which an operand takes part in promotion; int or float where it is weak."""
    if type(operand) is Tracer:
        weak = operand.weak
        return operand.value.type.np_dtype if weak is None or weak is bool else weak
    if isinstance(operand, np.ndarray | np.generic):
        return operand.dtype
    kind = type(operand)
    if kind is int or kind is float:
        return kind
    if isinstance(operand, bool):
        return NAMES["bool"]
    if isinstance(operand, complex):
        raise DTypeError(message("weft does not have complex numbers (yet)"))
    return None


def loop(ufunc: np.ufunc, operands: Sequence[Any], dtype: Any = None) -> tuple[np.dtype, ...]:
    """The dtypes in which NumPy computes, operands first, then results. Raises DTypeError."""
    kinds = tuple([kind_of(o) for o in operands])
    key = (ufunc, dtype, *kinds)
    types = _LOOPS.get(key)
    if types is None:
        if any(k is None for k in kinds):  # not `in`: to NumPy float64 == None
            return loop(ufunc, settle(operands), dtype)
        types = _LOOPS[key] = _resolve(ufunc, kinds, dtype, operands)
    return types


def settle(operands: Sequence[Any]) -> list[Any]:
    """Lists and other objects become tracers; what has a kind stays."""
    like = next(o for o in operands if type(o) is Tracer)
    return [as_tracer(o, like) if kind_of(o) is None else o for o in operands]


def _resolve(ufunc: np.ufunc, kinds: Kinds, dtype: Any, operands: Sequence[Any]) -> tuple[np.dtype, ...]:
    if dtype is None and all(k is int or k is float for k in kinds):  # there is no dtype to follow
        kinds = tuple(NAMES[WEAK_DTYPES[k]] for k in kinds)
    wanted: dict[str, Any] = {}
    if dtype is not None:
        wanted["signature"] = (None,) * ufunc.nin + (np.dtype(dtype),) * ufunc.nout
    try:
        types = ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout), **wanted)
    except TypeError as error:
        text = str(error).splitlines()[0]
        raise DTypeError(message(f"np.{ufunc.__name__}: {text}", _values(operands))) from None
    for t in types:
        try:
            dtype_name(t)
        except TypeError:
            raise DTypeError(
                message(f"np.{ufunc.__name__} computes in {t}, which weft does not have", _values(operands))
            ) from None
    return types


def convert(operands: Sequence[Any], types: Sequence[np.dtype], ufunc: np.ufunc) -> list[Tracer]:
    """The operands as tracers of the loop's dtypes."""
    like = next(o for o in operands if type(o) is Tracer)
    found = []
    for operand, dtype in zip(operands, types, strict=False):
        if type(operand) is int or type(operand) is float:
            found.append(constant(like, fitting(operand, dtype), dtype))
        else:
            found.append(cast(as_tracer(operand, like), dtype))
    return found


def fitting(scalar: int | float, dtype: np.dtype) -> Any:
    """A Python scalar in a dtype, by NumPy's rules: an int that doesn't fit is an OverflowError."""
    return dtype.type(scalar) if dtype.kind in "iu" else scalar


# Operators. Among weak tracers and Python numbers alone they are Python's: 1 / 2 is a float, True + True 2.


@method("__operator__")
def operate(ufunc: np.ufunc, *operands: Any) -> Any:
    """What a tracer's operators call."""
    for o in operands:
        if o.weak is None if type(o) is Tracer else type(o) not in WEAK_DTYPES:
            return call(ufunc, *operands)
    rule = UFUNCS.get(("weak", ufunc))
    return rule(*operands) if rule is not None else call(ufunc, *operands)


@method("__inplace__")
def augment(ufunc: np.ufunc, target: Tracer, operand: Any) -> Tracer:
    """`target += operand`: of a 0-d value another value; of an array the same array with other elements."""
    result: Tracer = operate(ufunc, target, operand)
    if not target.type.dims:
        return result
    return store(target, result)


_REDUCERS: dict[np.ufunc, Any] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min,
    np.logical_and: np.all, np.logical_or: np.any, np.fmax: np.nanmax, np.fmin: np.nanmin,
}  # fmt: skip


_ACCUMULATED: dict[np.ufunc, Any] = {np.add: np.cumsum, np.multiply: np.cumprod}


def _reduce(ufunc: np.ufunc, array: Any, axis: Any = 0, **kwargs: Any) -> Any:
    """`np.add.reduce(x)` and the like, by the functions that mean it."""
    function = FUNCTIONS.get(_REDUCERS.get(ufunc))
    if function is None:
        raise UnsupportedError(message(f"np.{ufunc.__name__}.reduce can't be traced (yet)", _values([array])))
    return function(array, axis=axis, **{k: v for k, v in kwargs.items() if v is not np._NoValue})


def _values(operands: Sequence[Any]) -> list[Any]:
    return [o.value for o in operands if type(o) is Tracer]
