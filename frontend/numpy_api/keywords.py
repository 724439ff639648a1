"""What many NumPy functions take alike: array arguments, axis, keepdims, dtype, out."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.capture import supported_dtype
from weft.frontend.errors import AxisError, ShapeError, UnsupportedError, message
from weft.frontend.tracer import Tracer, as_tracer, cast, common_dtype, emit
from weft.ir import ops

NoValue: Any = np._NoValue  # type: ignore[attr-defined]  # what NumPy takes for "not given"


def arrays(*operands: Any) -> list[Tracer]:
    """The operands as tracers of their own dtypes, Python numbers as arrays would be. One is a tracer already."""
    like = next(o for o in operands if type(o) is Tracer)
    tracers = [as_tracer(o, like) for o in operands]
    return [t if t.weak is None else cast(t, t.dtype) for t in tracers]


def common(like: Tracer, *operands: Any) -> list[Tracer]:
    """The operands as tracers of their common dtype (NEP 50). Python ints beyond it wrap around, as in np.where."""
    tracers = [as_tracer(o, like) for o in operands]
    dtype = common_dtype(tracers)
    return [cast(t, dtype) for t in tracers]


def normal_axis(axis: Any, x: Tracer, rank: int | None = None) -> int:
    """An axis of x, or of an array of `rank` axes made from it, as a non-negative int. Raises AxisError."""
    rank = x.ndim if rank is None else rank
    index = operator.index(axis)
    if not -rank <= index < rank:
        text = f"axis {index} is out of bounds for array of dimension {rank}"
        raise AxisError(message(text, [x.value]))
    return index % rank


def normal_axes(axis: Any, x: Tracer) -> tuple[int, ...]:
    """The axes of a reduction, increasing. None means all; of a 0-d array 0 and -1 mean none, as NumPy's do."""
    if axis is None:
        return tuple(range(x.ndim))
    if isinstance(axis, tuple):
        axes = [normal_axis(a, x) for a in axis]
        if len(set(axes)) < len(axes):
            raise ShapeError(message("duplicate value in 'axis'", [x.value]))
        return tuple(sorted(axes))
    if not x.shape and operator.index(axis) in (0, -1):
        return ()
    return (normal_axis(axis, x),)


def kept(result: Tracer, x: Tracer, axes: Sequence[int], keepdims: Any) -> Tracer:
    """A reduction of x over `axes`, with these as axes of size 1 when keepdims is true."""
    if keepdims is NoValue or not keepdims:
        return result
    return emit(ops.movement.reshape, result, shape=tuple(1 if i in axes else d for i, d in enumerate(x.shape)))


def wanted_dtype(dtype: Any, default: np.dtype) -> np.dtype:
    """The argument dtype=, or the default. Raises DTypeError for one that weft doesn't have."""
    if not given(dtype):
        return default
    found = np.dtype(dtype)
    supported_dtype(found, "the result")
    return found


def given(argument: Any) -> bool:
    """Whether an argument that is None or NoValue by default was given."""
    return argument is not NoValue and argument is not None


def refuse_out(function: str, out: Any, *operands: Any) -> None:
    """Raises UnsupportedError when out= is given."""
    if given(out):
        values = [o.value for o in (*operands, out) if type(o) is Tracer]
        advice = f"out= comes later. Write result = np.{function}(...) without it."
        raise UnsupportedError(message(f"np.{function} with out= can't be traced (yet)", values, advice))
