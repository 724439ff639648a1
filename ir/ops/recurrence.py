"""`recur`: a linear recurrence along an axis, and so cumulative sums and products.

    recur(a, b; axis)      y[0] = b[0],  y[t] = a[t] * y[t - 1] + b[t]          in this order, rounded at each step

With a = 1 these are the cumulative sums of b; with b[0] = a[0] and no more in b the cumulative products of a. The
cotangent of b is a recurrence too, that runs from the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import OpDef, register
from weft.ir.ops.families import IRTypeError, Types, in_each
from weft.ir.ops.movement import pad, reverse, slice_


def _infer(types: Types, attrs: Any) -> Types:
    a, b = types
    if a != b or a.dtype == "bool":
        raise IRTypeError(f"recur: takes two arrays of one type of numbers, got {a} and {b}")
    if not 0 <= attrs["axis"] < a.rank:
        raise IRTypeError(f"recur: {a} has no axis {attrs['axis']}")
    return (a,)


def _reference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    out = np.array(b)
    y, factor = np.moveaxis(out, axis, 0), np.moveaxis(a, axis, 0)
    with np.errstate(all="ignore"):
        for t in range(1, len(y)):
            y[t] += factor[t] * y[t - 1]
    return out


def later(x: Any, axis: int) -> Any:
    """x[t - 1] at t, and 0 at the beginning."""
    rank, n = len(x.shape), x.shape[axis]
    stop = tuple(n - 1 if i == axis else d for i, d in enumerate(x.shape))
    low = tuple(int(i == axis) for i in range(rank))
    return pad(slice_(x, start=(0,) * rank, stop=stop, step=(1,) * rank), 0, low=low, high=(0,) * rank)


def _pull(g: Any, y: Any, a: Any, b: Any, axis: int) -> Any:
    if not b.shape[axis]:
        return g, g
    # s[t] = g[t] + a[t + 1] * s[t + 1]
    back = recur(later(reverse(a, axes=(axis,)), axis), reverse(g, axes=(axis,)), axis=axis)
    s = reverse(back, axes=(axis,))
    return s * later(y, axis), s


def _push(tangents: Any, y: Any, a: Any, b: Any, axis: int) -> Any:
    of_a, of_b = tangents
    if of_a is None or not b.shape[axis]:
        return recur(a, of_b if of_b is not None else of_a, axis=axis)
    made = of_a * later(y, axis)
    return recur(a, made if of_b is None else made + of_b, axis=axis)


recur: OpDef = register(
    OpDef(
        "recur",
        "index",
        _infer,
        _reference,
        arity=2,
        pull=_pull,
        push=_push,
        batch=lambda size, lanes, *operands, axis: recur(*in_each(size, lanes, operands), axis=axis + 1),
        attr_names=("axis",),
        dtypes="iuf",
    )
)
