"""Differences of neighbours: diff, ediff1d, gradient."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, ShapeError, message
from weft.frontend.numpy_api.joining import concatenate
from weft.frontend.numpy_api.keywords import NoValue, arrays, given, normal_axis
from weft.frontend.numpy_api.moves import cut, first_tracer, flat, integers, joined, rank_of, reshaped, spread
from weft.frontend.numpy_api.registry import implements
from weft.frontend.tracer import Tracer, as_tracer, cast, emit
from weft.ir import ops


@implements(np.diff)
def diff(a: Any, n: Any = 1, axis: Any = -1, prepend: Any = NoValue, append: Any = NoValue) -> Tracer:
    n = operator.index(n)
    like = first_tracer([a, prepend, append])
    (x,) = arrays(as_tracer(a, like))
    if n < 0:
        raise ShapeError(message(f"order must be non-negative but got {n}", [x.value]))
    if not x.ndim:
        raise ShapeError(message("diff requires input that is at least one dimensional", [x.value]))
    if n == 0:
        return x
    at = normal_axis(axis, x)
    ends = [_end(end, x, at) if given(end) else None for end in (prepend, append)]
    parts = [part for part in (ends[0], x, ends[1]) if part is not None]
    x = concatenate(parts, at)
    subtract = ops.logic.not_equal if x.dtype == np.bool_ else ops.elementwise.sub
    for _ in range(n):
        x = emit(subtract, cut(x, at, slice(1, None)), cut(x, at, slice(None, -1)))
    return x


def _end(end: Any, x: Tracer, axis: int) -> Tracer:
    (y,) = arrays(as_tracer(end, x))
    return y if y.ndim else spread(y, [1 if i == axis else d for i, d in enumerate(x.shape)])


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Tracer:
    like = first_tracer([ary, to_end, to_begin])
    (x,) = arrays(as_tracer(ary, like))
    x = flat(x)
    ends = [_ediff_end(end, name, x) for end, name in ((to_begin, "to_begin"), (to_end, "to_end"))]
    parts = [part for part in (ends[0], diff(x), ends[1]) if part is not None]
    return joined(parts, 0)


def _ediff_end(end: Any, name: str, x: Tracer) -> Tracer | None:
    if end is None:
        return None
    (y,) = arrays(as_tracer(end, x))
    if not np.can_cast(y.dtype, x.dtype, "same_kind"):
        text = f"dtype of `{name}` must be compatible with input `ary` under the `same_kind` rule"
        raise DTypeError(message(text, [x.value, y.value]))
    return cast(flat(y), x.dtype)


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences inside, one-sided ones at the ends. Spacings are numbers, or coordinates of an axis."""
    like = first_tracer([f, *varargs])
    (x,) = arrays(as_tracer(f, like))
    axes = tuple(range(x.ndim)) if axis is None else tuple(normal_axis(a, x) for a in integers(axis))
    if edge_order not in (1, 2):
        raise ShapeError(message(f"np.gradient takes an edge_order of 1 or 2, not {edge_order}", [x.value]))
    if len(varargs) == 1 and rank_of(varargs[0]) == 0:
        spacings = varargs * len(axes)
    else:
        spacings = varargs or (1.0,) * len(axes)
    if len(spacings) != len(axes):
        raise TypeError(message("invalid number of arguments", [x.value]))
    dtype = np.dtype(np.float64) if x.dtype.kind in "biu" else x.dtype
    x = cast(x, dtype) if x.dtype.kind in "iu" else x
    found = []
    for h, at in zip(spacings, axes, strict=True):
        if x.shape[at] < edge_order + 1:
            text = (
                f"shape of array too small to calculate a numerical gradient along axis {at}: at least "
                f"{edge_order + 1} elements are required"
            )
            raise ShapeError(message(text, [x.value]))
        found.append(cast(_along(x, _spacing(h, x, at), at, edge_order), dtype))
    return found[0] if len(axes) == 1 else tuple(found)


def _spacing(h: Any, x: Tracer, axis: int) -> Any:
    """A number, or the distances between the coordinates that are given. Raises ShapeError."""
    if rank_of(h) == 0:
        return h
    (places,) = arrays(as_tracer(h, x))
    if places.shape != (x.shape[axis],):
        text = "distances must be either scalars or 1d, as many as the axis has elements"
        raise ShapeError(message(text, [x.value, places.value]))
    if places.dtype.kind in "iu":
        places = cast(places, np.float64)
    distances = cut(places, 0, slice(1, None)) - cut(places, 0, slice(None, -1))
    return reshaped(distances, [distances.size if i == axis else 1 for i in range(x.ndim)])


def _along(x: Tracer, h: Any, axis: int, edge_order: int) -> Tracer:
    """Differences along one axis. h: a number, or the distances, along the same axis of as many dimensions."""

    def at(start: int | None, stop: int | None) -> Tracer:
        return cut(x, axis, slice(start, stop))

    def step(start: int, stop: int | None) -> Any:
        return cut(h, axis, slice(start, stop)) if np.ndim(h) else h

    before, here, after = at(None, -2), at(1, -1), at(2, None)
    if np.ndim(h):
        inside = _weighted((before, here, after), _central(step(0, -1), step(1, None)))
    else:
        inside = (after - before) / (2.0 * h)
    if edge_order == 1:
        first = (at(1, 2) - at(0, 1)) / step(0, 1)
        last = (at(-1, None) - at(-2, -1)) / step(-1, None)
    else:
        first = _weighted((at(0, 1), at(1, 2), at(2, 3)), _one_sided(step(0, 1), step(1, 2)))
        backward = _one_sided(step(-1, None), step(-2, -1))
        last = _weighted((at(-3, -2), at(-2, -1), at(-1, None)), [-w for w in reversed(backward)])
    return concatenate([first, inside, last], axis)


def _weighted(values: Sequence[Tracer], weights: Sequence[Any]) -> Tracer:
    a, b, c = (w * v for w, v in zip(weights, values, strict=True))
    return a + b + c


def _central(before: Any, after: Any) -> tuple[Any, Any, Any]:
    """Weights of three neighbours, by the distances before and after the middle one."""
    both = before + after
    return -after / (before * both), (after - before) / (before * after), before / (after * both)


def _one_sided(near: Any, far: Any) -> tuple[Any, Any, Any]:
    """Weights of an end and its two neighbours, by the distance to the first and from there to the second."""
    both = near + far
    return -(2.0 * near + far) / (near * both), both / (near * far), -near / (far * both)
