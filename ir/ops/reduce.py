"""Reductions over axes. `axes` is an increasing tuple; the axes go away (keepdims is a reshape).

A sum accumulates in float64 blocks where the result is a float, see codegen; the reference is NumPy's
pairwise sum. argmax and argmin give the first index, and the first NaN's index when there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft.ir.opdef import REGISTRY, OpDef, register
from weft.ir.ops.families import IRTypeError, Types, normal_axes
from weft.ir.ops.logic import equal, where
from weft.ir.ops.movement import broadcast, reshape
from weft.ir.types import TensorType


def _reduced(t: TensorType, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(d for i, d in enumerate(t.dims) if i not in axes)


def _infer(name: str, dtypes: str, result: str | None, empty_ok: bool) -> Any:
    def infer(types: Types, attrs: Any) -> Types:
        (t,) = types
        axes = attrs["axes"]
        if normal_axes(axes, t.rank, name) != tuple(axes):
            raise IRTypeError(f"{name}: axes {axes} must be increasing and non-negative")
        if t.dtype[0] not in dtypes:
            raise IRTypeError(f"{name} does not take {t.dtype}")
        if not empty_ok and any(t.dims[a] == 0 for a in axes):
            raise IRTypeError(f"{name} over an empty axis of {t} has no identity")
        return (TensorType(result or t.dtype, _reduced(t, axes)),)

    return infer


def _reducer(name: str, function: Callable[..., Any], combine: str, identity: Callable[[str], Any], *,
             dtypes: str, empty_ok: bool = True, **rules: Any) -> OpDef:  # fmt: skip
    """A reduction by an associative `combine` (an elementwise op's name) with its identity by dtype."""

    def reference(a: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        with np.errstate(all="ignore"):
            out = np.asarray(function(a, axis=tuple(axes)))
        return out.astype(a.dtype, copy=False)

    return register(
        OpDef(
            name,
            "reduce",
            _infer(name, dtypes, None, empty_ok),
            reference,
            batch=lambda size, lanes, x, axes: REGISTRY[name](x, axes=tuple(a + 1 for a in axes)),
            attr_names=("axes",),
            dtypes=dtypes,
            extra={"combine": combine, "identity": identity},
            **rules,
        )
    )


def keep(y: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """A reduction's result with its axes kept as size 1, so that it broadcasts against the operand."""
    return reshape(y, shape=tuple(1 if i in axes else d for i, d in enumerate(x.shape)))


def _spread(g: Any, x: Any, axes: tuple[int, ...]) -> Any:
    return broadcast(keep(g, x, axes), shape=x.shape)


def lowest(dtype: str) -> Any:
    """Identity of max."""
    if dtype[0] == "f":
        return -np.inf
    return 0 if dtype == "bool" else np.iinfo(TensorType(dtype).np_dtype).min


def highest(dtype: str) -> Any:
    """Identity of min."""
    if dtype[0] == "f":
        return np.inf
    return 1 if dtype == "bool" else np.iinfo(TensorType(dtype).np_dtype).max


sum_ = _reducer("sum", np.sum, "add", lambda d: 0, dtypes="iuf", linear=(0,),
                pull=lambda g, y, x, axes: (_spread(g, x, axes),))  # fmt: skip


def _winners(y: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Share of each element in an extremum: ties share alike (as in JAX), so the shares sum to 1."""
    hit = where(equal(x, keep(y, x, axes)), x.const(1), x.const(0))
    return hit / keep(sum_(hit, axes=axes), x, axes)


def _pull_extremum(g: Any, y: Any, x: Any, axes: tuple[int, ...]) -> Any:
    return (keep(g, x, axes) * _winners(y, x, axes),)


def _push_extremum(tangents: Any, y: Any, x: Any, axes: tuple[int, ...]) -> Any:
    return sum_(tangents[0] * _winners(y, x, axes), axes=axes)


max_ = _reducer("max", np.max, "maximum", lowest, dtypes="biuf", empty_ok=False,
                pull=_pull_extremum, push=_push_extremum)  # fmt: skip
min_ = _reducer("min", np.min, "minimum", highest, dtypes="biuf", empty_ok=False,
                pull=_pull_extremum, push=_push_extremum)  # fmt: skip


def _others(x: Any, axes: tuple[int, ...]) -> Any:
    """Product of all the *other* elements, to be differentiated again: an only zero among them is a factor.

    The non-zero ones come from a division; two zeros and more make 0, and so do all first derivatives.
    """
    zero = equal(x, x.const(0))
    mine = where(zero, x.const(1), x.const(0))
    zeros = keep(sum_(mine, axes=axes), x, axes) - mine
    others = keep(prod(where(zero, x.const(1), x), axes=axes), x, axes) / where(zero, x.const(1), x)
    value = where(zero, x, x.const(0))  # of a zero: 0, but not as a function of x
    only = keep(sum_(value, axes=axes), x, axes) - value
    one = where(equal(zeros, x.const(1)), only, x.const(0))
    return others * where(equal(zeros, x.const(0)), x.const(1), one)


prod = _reducer("prod", np.prod, "mul", lambda d: 1, dtypes="iuf",
                pull=lambda g, y, x, axes: (keep(g, x, axes) * _others(x, axes),),
                push=lambda t, y, x, axes: sum_(t[0] * _others(x, axes), axes=axes),
                domain=(0.5, 1.5))  # fmt: skip
any_ = _reducer("any", np.any, "logical_or", lambda d: 0, dtypes="b")
all_ = _reducer("all", np.all, "logical_and", lambda d: 1, dtypes="b")


def _arg(name: str, function: Any) -> OpDef:
    def infer(types: Types, attrs: Any) -> Types:
        (t,) = types
        axis = attrs["axis"]
        if not 0 <= axis < t.rank:
            raise IRTypeError(f"{name}: axis {axis} is out of range for {t}")
        if t.dims[axis] == 0:
            raise IRTypeError(f"{name} over an empty axis of {t} has no result")
        return (TensorType("i64", _reduced(t, (axis,))),)

    return register(
        OpDef(
            name,
            "reduce",
            infer,
            lambda a, axis: np.asarray(function(a, axis=axis), dtype=np.int64),
            attr_names=("axis",),
            pull=lambda g, y, x, axis: (None,),
            batch=lambda size, lanes, x, axis: REGISTRY[name](x, axis=axis + 1),
        )
    )


argmax = _arg("argmax", np.argmax)
argmin = _arg("argmin", np.argmin)
