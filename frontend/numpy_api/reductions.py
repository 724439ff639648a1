"""Reductions: sum, prod, max, min, argmax, argmin, any, all, and their keywords.

    np.sum(x, axis=1, keepdims=True, initial=2, where=mask)
        t0 = where(mask, x, 0); t1 = sum(t0, axes=(1,)); t2 = reshape(t1, ...); add(t2, 2)

The nan functions are these with NaNs replaced by what changes nothing, see `nan_reductions`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, ShapeError, message
from weft.frontend.numpy_api.keywords import NoValue, arrays, given, kept, normal_axes, takes_out, wanted_dtype
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit
from weft.frontend.ufunc import fitting
from weft.frontend.ufunc_rules import truth
from weft.ir import ops
from weft.ir.opdef import OpDef

e, lg, r = ops.elementwise, ops.logic, ops.reduce


def accumulator(dtype: np.dtype) -> np.dtype:
    """The dtype in which NumPy adds up and multiplies: at least 64 bits for integers."""
    if dtype.kind in "bi":
        return np.dtype(np.int64)
    return np.dtype(np.uint64) if dtype.kind == "u" else dtype


def mask_of(where: Any, x: Tracer) -> Tracer | None:
    """The argument where= in x's shape, or None for all. Raises DTypeError, ShapeError."""
    if where is NoValue or where is True:
        return None
    mask = as_tracer(where, x)
    if mask.dtype != np.bool_:
        raise DTypeError(message(f"where= takes a mask of bools, not of {mask.dtype}", [mask.value]))
    if mask.shape == x.shape:
        return mask
    try:
        return emit(ops.movement.broadcast, mask, shape=x.shape)
    except ShapeError:
        text = f"where= of shape {mask.shape} does not broadcast to the array's shape {x.shape}"
        raise ShapeError(message(text, [x.value, mask.value])) from None


def masked(x: Tracer, mask: Tracer | None, other: Any) -> Tracer:
    """x where the mask holds, `other` elsewhere."""
    if mask is None:
        return x
    return emit(lg.where, mask, x, other if type(other) is Tracer else constant(x, other, x.dtype))


def start(initial: Any, x: Tracer) -> Tracer:
    """The argument initial= as a 0-d tracer of x's dtype. Raises ValueError, OverflowError."""
    if type(initial) is int:
        return constant(x, fitting(initial, x.dtype), x.dtype)
    first = as_tracer(initial, x)
    if first.shape:
        raise ShapeError(message("initial= takes a scalar", [x.value, first.value]))
    return cast(first, x.dtype)


def total(x: Tracer, axes: Sequence[int], keepdims: Any = False) -> Tracer:
    """Sum over axes of an array that is already in the accumulator's dtype."""
    return kept(emit(r.sum_, x, axes=tuple(sorted(axes))), x, axes, keepdims)


def _accumulate(op: OpDef, combine: OpDef, identity: int, a: Any, axis: Any, dtype: Any, keepdims: Any,
                initial: Any, where: Any) -> Tracer:  # fmt: skip
    (x,) = arrays(a)
    x = cast(x, wanted_dtype(dtype, accumulator(x.dtype)))
    axes = normal_axes(axis, x)
    x = masked(x, mask_of(where, x), identity)
    if x.dtype == np.bool_:  # asked for by dtype=bool: a sum is then an or, a product an and
        op = r.any_ if op is r.sum_ else r.all_
    result = kept(emit(op, x, axes=axes), x, axes, keepdims)
    return emit(combine, result, start(initial, x)) if given(initial) else result


@implements(np.sum)
@method("sum")
@takes_out("unsafe")
def sum_(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
         initial: Any = NoValue, where: Any = NoValue) -> Tracer:  # fmt: skip
    return _accumulate(r.sum_, e.add, 0, a, axis, dtype, keepdims, initial, where)


@implements(np.prod)
@method("prod")
@takes_out("unsafe")
def prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
         initial: Any = NoValue, where: Any = NoValue) -> Tracer:  # fmt: skip
    return _accumulate(r.prod, e.mul, 1, a, axis, dtype, keepdims, initial, where)


def extremum(op: OpDef, combine: OpDef, x: Tracer, axis: Any, keepdims: Any, initial: Any, where: Any) -> Tracer:
    """max or min. Raises ValueError where there is nothing to choose from and no initial=."""
    axes = normal_axes(axis, x)
    name = combine.numpy[0].__name__
    if not given(initial):
        if where is not NoValue and where is not True:
            text = f"reduction operation '{name}' does not have an identity, so a where mask needs an initial="
            raise ValueError(message(text, [x.value]))
        if any(x.type.dims[i] == 0 for i in axes):
            text = f"zero-size array to reduction operation {name} which has no identity"
            raise ShapeError(message(text, [x.value]))
        return kept(emit(op, x, axes=axes), x, axes, keepdims)
    least = start(initial, x)
    if any(x.type.dims[i] == 0 for i in axes):
        shape = tuple(d for i, d in enumerate(x.shape) if i not in axes)
        return kept(emit(ops.movement.broadcast, least, shape=shape), x, axes, keepdims)
    result = kept(emit(op, masked(x, mask_of(where, x), least), axes=axes), x, axes, keepdims)
    return emit(combine, result, least)


@implements(np.max, np.amax)
@method("max")
@takes_out("unsafe")
def max_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NoValue,
         where: Any = NoValue) -> Tracer:  # fmt: skip
    return extremum(r.max_, e.maximum, arrays(a)[0], axis, keepdims, initial, where)


@implements(np.min, np.amin)
@method("min")
@takes_out("unsafe")
def min_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = NoValue,
         where: Any = NoValue) -> Tracer:  # fmt: skip
    return extremum(r.min_, e.minimum, arrays(a)[0], axis, keepdims, initial, where)


@takes_out("buffer")
def _arg(op: OpDef, a: Any, axis: Any, out: Any, keepdims: Any) -> Tracer:
    (x,) = arrays(a)
    axes = normal_axes(None if axis is None else operator.index(axis), x)
    if any(x.type.dims[i] == 0 for i in axes):
        raise ShapeError(message(f"attempt to get {op.name} of an empty sequence", [x.value]))
    if len(axes) == 1:
        return kept(emit(op, x, axis=axes[0]), x, axes, keepdims)
    flat = emit(ops.movement.reshape, x, shape=(x.size,))
    return kept(emit(op, flat, axis=0), x, axes, keepdims)


@implements(np.argmax)
@method("argmax")
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Tracer:
    return _arg(r.argmax, a, axis, out, keepdims)


@implements(np.argmin)
@method("argmin")
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Tracer:
    return _arg(r.argmin, a, axis, out, keepdims)


@takes_out("unsafe")
def _quantifier(op: OpDef, identity: bool, a: Any, axis: Any, out: Any, keepdims: Any, where: Any) -> Tracer:
    (x,) = arrays(a)
    axes = normal_axes(axis, x)
    x = masked(truth(x), mask_of(where, x), identity)
    return kept(emit(op, x, axes=axes), x, axes, keepdims)


@implements(np.any)
@method("any")
def any_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = NoValue) -> Tracer:
    return _quantifier(r.any_, False, a, axis, out, keepdims, where)


@implements(np.all)
@method("all")
def all_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = NoValue) -> Tracer:
    return _quantifier(r.all_, True, a, axis, out, keepdims, where)


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Tracer:
    (x,) = arrays(a)
    return total(cast(truth(x), "i64"), normal_axes(axis, x), keepdims)
