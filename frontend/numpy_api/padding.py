"""np.pad: constants by the pad op, and edges, reflections and wrapped-around copies by picking elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.frontend.errors import ShapeError, message
from weft.frontend.numpy_api.movement import fresh, one
from weft.frontend.numpy_api.moves import by_numpy, first_tracer, joined, pick, rank_of, spread, unsupported
from weft.frontend.numpy_api.registry import implements
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit
from weft.ir import ops

PICKING = ("edge", "reflect", "symmetric", "wrap")


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Tracer:
    """Modes constant, empty (of zeros), edge, reflect, symmetric and wrap."""
    x = one(array) if type(array) is Tracer else as_tracer(array, first_tracer(list(kwargs.values())))
    widths = _widths(pad_width, x)
    allowed = {"constant": {"constant_values"}, "reflect": {"reflect_type"}, "symmetric": {"reflect_type"}}
    extra = set(kwargs) - allowed.get(mode, set()) if isinstance(mode, str) else set()
    if extra:
        raise ValueError(message(f"unsupported keyword arguments for mode '{mode}': {extra}"))
    if mode == "empty":
        return _constant(x, widths, 0)
    if mode == "constant":
        return _constant(x, widths, kwargs.get("constant_values", 0))
    if mode not in PICKING or kwargs.get("reflect_type", "even") != "even":
        what = f"mode={mode!r}" if mode not in PICKING else "reflect_type='odd'"
        advice = f"Modes that can: constant, {', '.join(PICKING)}."
        raise unsupported(f"np.pad with {what} can't be traced (yet)", x, advice=advice)
    y = fresh(x)
    for axis, width in enumerate(widths):
        if any(width):
            if not x.shape[axis]:
                text = f"can't extend empty axis {axis} using modes other than 'constant' or 'empty'"
                raise ShapeError(message(text, [x.value]))
            y = pick(y, by_numpy(np.pad, np.arange(x.shape[axis]), width, mode), axis)
    return y


def _widths(given: Any, x: Tracer) -> list[tuple[int, int]]:
    """(before, after) of each axis: from one number, one pair, a pair or number per axis, or a dict by axis."""
    if isinstance(given, dict):
        rows = [(0, 0)] * x.ndim
        for axis, width in given.items():
            rows[axis] = width if isinstance(width, tuple) else (width, width)
        given = rows
    array = np.asarray(given)
    if array.dtype.kind not in "iu":
        raise TypeError(message("`pad_width` must be of integral type.", [x.value]))
    pairs = by_numpy(np.broadcast_to, array, (x.ndim, 2)).tolist()
    if any(w < 0 for pair in pairs for w in pair):
        raise ShapeError(message("index can't contain negative values", [x.value]))
    return [(low, high) for low, high in pairs]


def _constant(x: Tracer, widths: list[tuple[int, int]], values: Any) -> Tracer:
    """One pad op for one number; else one axis after the other, its own numbers on both sides."""
    low, high = zip(*widths, strict=True) if widths else ((), ())
    if rank_of(values) == 0:
        return emit(ops.movement.pad, x, _fill(values, x), low=low, high=high)
    fills = _pairs(values, x)
    y = x
    for axis, (width, fill) in enumerate(zip(widths, fills, strict=True)):
        parts = [y]
        for count, value, front in zip(width, fill, (True, False), strict=True):
            if count:
                side = spread(_fill(value, x), (*y.shape[:axis], count, *y.shape[axis + 1 :]))
                parts.insert(0 if front else len(parts), side)
        y = joined(parts, axis)
    return y


def _pairs(values: Any, x: Tracer) -> list[list[Any]]:
    rows = values if rank_of(values) == 2 else [values]
    rows = [list(row) * 2 if len(row) == 1 else list(row) for row in rows]
    if len(rows) not in (1, x.ndim) or any(len(row) != 2 for row in rows):
        raise ShapeError(message("`constant_values` takes a number, a pair, or a pair for each axis", [x.value]))
    return rows * x.ndim if len(rows) == 1 else rows


def _fill(value: Any, x: Tracer) -> Tracer:
    if type(value) is Tracer:
        return cast(value, x.dtype)
    with np.errstate(all="ignore"):
        return constant(x, np.asarray(value).astype(x.dtype), x.dtype)
