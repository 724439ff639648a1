"""Shapes and orders of axes: reshape, transpose, squeeze, broadcast_to, flip, roll, ...

Functions that give a view of their argument in NumPy give one here (see `storage`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import AxisError, ShapeError, message
from weft.frontend.numpy_api.keywords import arrays, normal_axis
from weft.frontend.numpy_api.moves import (
    cut,
    first_tracer,
    flat,
    gathered,
    integers,
    iota,
    joined,
    moved,
    permuted,
    rank_of,
    reshaped,
    reversed_,
    spread,
    unsupported,
    view,
)
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit
from weft.ir import ops
from weft.ir.types import broadcast_dims


def one(x: Any) -> Tracer:
    """An argument as a tracer of its own dtype."""
    (a,) = arrays(x)
    return a


# Shapes.


@implements(np.reshape)
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Tracer:
    x = one(a)
    wanted = _whole_shape(x, integers(shape))
    by_columns = _is_fortran("np.reshape", order, x)
    if by_columns:
        y = permuted(reshaped(permuted(x, range(x.ndim)[::-1]), wanted[::-1]), range(len(wanted))[::-1])
    else:
        y = reshaped(x, wanted)
    return fresh(y) if copy else view(y, x)


def _whole_shape(x: Tracer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape in which -1 stands for the size that is left. Raises ShapeError."""
    given, rest = shape, 1
    for d in shape:
        rest *= d if d != -1 else 1

    def wrong(why: str = "") -> ShapeError:
        return ShapeError(message(f"cannot reshape array of size {x.size} into shape {given}{why}", [x.value]))

    if shape.count(-1) > 1:
        raise wrong(": only one dimension can be -1")
    if -1 in shape and rest and not x.size % rest:
        shape = tuple(x.size // rest if d == -1 else d for d in shape)
        rest = x.size
    if rest != x.size or any(d < 0 for d in shape):
        raise wrong()
    return shape


def _is_fortran(function: str, order: str, x: Tracer) -> bool:
    """Whether elements are taken by columns. Raises UnsupportedError for the orders that look at the layout."""
    if order in ("C", "F"):
        return order == "F"
    if order not in ("A", "K"):
        raise ValueError(message(f"order must be one of 'C', 'F', 'A', or 'K' (got {order!r})"))
    advice = "A traced array has no layout in memory. Write order='C' or order='F'."
    raise unsupported(f"{function} with order={order!r} can't be traced", x, advice=advice)


def fresh(x: Tracer) -> Tracer:
    """x's elements in an array of their own."""
    return Tracer(x.home, x.value)


@method("reshape")
def reshape_method(x: Tracer, *shape: Any, order: str = "C", copy: bool | None = None) -> Tracer:
    """`x.reshape(2, 3)` or `x.reshape((2, 3))`."""
    return reshape(x, shape[0] if len(shape) == 1 else shape, order, copy=copy)


@implements(np.ravel)
@method("ravel")
def ravel(a: Any, order: str = "C") -> Tracer:
    return reshape(a, -1 if np.size(a) else 0, order)


@method("flatten")
def flatten(x: Tracer, order: str = "C") -> Tracer:
    return fresh(ravel(x, order))


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Tracer:
    x = one(a)
    places = axis if isinstance(axis, tuple | list) else (axis,)
    rank = x.ndim + len(places)
    new = _distinct([normal_axis(p, x, rank) for p in places], "axis", x)
    rest = iter(x.shape)
    return view(reshaped(x, [1 if i in new else next(rest) for i in range(rank)]), x)


def _distinct(axes: list[int], name: str, x: Tracer) -> list[int]:
    if len(set(axes)) < len(axes):
        raise ShapeError(message(f"repeated axis in `{name}` argument", [x.value]))
    return axes


@implements(np.squeeze)
@method("squeeze")
def squeeze(a: Any, axis: Any = None) -> Tracer:
    x = one(a)
    if axis is None:
        return view(reshaped(x, [d for d in x.shape if d != 1]), x)
    axes = _distinct([normal_axis(i, x) for i in (axis if isinstance(axis, tuple) else (axis,))], "axis", x)
    if any(x.shape[i] != 1 for i in axes):
        text = "cannot select an axis to squeeze out which has size not equal to one"
        raise ShapeError(message(text, [x.value]))
    return view(reshaped(x, [d for i, d in enumerate(x.shape) if i not in axes]), x)


def at_least(x: Tracer, rank: int) -> Tracer:
    """x with axes of size 1 up to `rank`, where NumPy's atleast_1d, 2d and 3d put them."""
    shape: tuple[int, ...] = x.shape
    if rank == 3 and x.ndim == 2:
        shape = (*shape, 1)
    elif rank == 3 and x.ndim < 2:
        shape = (1, *(shape or (1,)), 1)
    else:
        shape = (1,) * (rank - x.ndim) + shape
    return reshaped(x, shape)


def _at_least(function: Any, rank: int) -> None:
    @implements(function)
    def implementation(*arys: Any) -> Any:
        found = tuple([at_least(x, rank) for x in arrays(*arys)])
        return found[0] if len(found) == 1 else found


_at_least(np.atleast_1d, 1)
_at_least(np.atleast_2d, 2)
_at_least(np.atleast_3d, 3)


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Tracer:
    x = one(array)
    return view(spread(x, integers(shape)), x)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Tracer, ...]:
    given = arrays(*args)
    try:
        shape = broadcast_dims(*[x.shape for x in given])
    except ValueError as error:
        raise ShapeError(message(str(error), [x.value for x in given])) from None
    return tuple([view(spread(x, shape), x) for x in given])


@implements(np.shape)
def shape_of(a: Any) -> tuple[int, ...]:
    return tuple(a.shape)


@implements(np.ndim)
def ndim(a: Any) -> int:
    return len(a.shape)


@implements(np.size)
def size(a: Tracer, axis: Any = None) -> int:
    if axis is None:
        return a.size
    axes = axis if isinstance(axis, tuple) else (axis,)
    return math.prod(a.shape[normal_axis(i, a)] for i in axes)


# Orders of axes.


@implements(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Tracer:
    x = one(a)
    if axes is None:
        return view(permuted(x, range(x.ndim)[::-1]), x)
    order = integers(axes)
    if len(order) != x.ndim:
        raise ShapeError(message(f"axes {order} don't match an array of {x.ndim} axes", [x.value]))
    return view(permuted(x, _distinct([normal_axis(i, x) for i in order], "axes", x)), x)


@method("transpose")
def transpose_method(x: Tracer, *axes: Any) -> Tracer:
    """`x.transpose()`, `x.transpose(1, 0)` or `x.transpose((1, 0))`."""
    return transpose(x, None if not axes else axes[0] if len(axes) == 1 else axes)


@implements(np.swapaxes)
@method("swapaxes")
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Tracer:
    x = one(a)
    perm = list(range(x.ndim))
    i, j = normal_axis(axis1, x), normal_axis(axis2, x)
    perm[i], perm[j] = j, i
    return view(permuted(x, perm), x)


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Tracer:
    a = one(x)
    if a.ndim < 2:
        text = f"matrix_transpose takes an array of two or more axes, not of {a.ndim}"
        raise ShapeError(message(text, [a.value]))
    return swapaxes(a, -1, -2)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Tracer:
    x = one(a)
    start = _distinct([normal_axis(i, x) for i in integers(source)], "source", x)
    end = _distinct([normal_axis(i, x) for i in integers(destination)], "destination", x)
    if len(start) != len(end):
        text = "`source` and `destination` arguments must have the same number of elements"
        raise ShapeError(message(text, [x.value]))
    perm = [i for i in range(x.ndim) if i not in start]
    for to, i in sorted(zip(end, start, strict=True)):
        perm.insert(to, i)
    return view(permuted(x, perm), x)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: Any, start: Any = 0) -> Tracer:
    x = one(a)
    i, to = normal_axis(axis, x), operator.index(start)
    if not -x.ndim <= to <= x.ndim:
        raise AxisError(message(f"start {to} is out of bounds for array of dimension {x.ndim}", [x.value]))
    to = to + x.ndim if to < 0 else to
    return view(moved(x, i, to - 1 if i < to else to), x)


# Directions.


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Tracer:
    x = one(m)
    axes = range(x.ndim) if axis is None else [normal_axis(i, x) for i in integers(axis)]
    return view(reversed_(x, _distinct(list(axes), "axis", x)), x)


def _flip_along(function: Any, axis: int) -> None:
    @implements(function)
    def implementation(m: Any) -> Tracer:
        x = one(m)
        if x.ndim <= axis:
            raise ShapeError(message(f"Input must be >= {axis + 1}-d.", [x.value]))
        return flip(x, axis)


_flip_along(np.flipud, 0)
_flip_along(np.fliplr, 1)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tracer:
    x = one(m)
    if len(axes) != 2:
        raise ShapeError(message("len(axes) must be 2.", [x.value]))
    i, j = _distinct([normal_axis(a, x) for a in axes], "axes", x)
    turns = operator.index(k) % 4
    if turns == 0:
        return view(x)
    if turns == 2:
        return reversed_(x, (i, j))
    return swapaxes(flip(x, j), i, j) if turns == 1 else flip(swapaxes(x, i, j), j)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Tracer:
    """A traced shift is a gather, a known one two slices."""
    (x,) = arrays(as_tracer(a, first_tracer([a, shift])))
    if axis is None:
        return fresh(reshaped(_rolled(flat(x), shift, 0), x.shape))
    axes = integers(axis)
    shifts = [shift] * len(axes) if rank_of(shift) == 0 else [shift[i] for i in range(len(shift))]
    if len(shifts) != len(axes):
        axes = axes * len(shifts) if len(axes) == 1 else axes
        if len(shifts) != len(axes):
            raise ShapeError(message("'shift' and 'axis' should be scalars or of equal length", [x.value]))
    result = fresh(x)
    for s, i in zip(shifts, axes, strict=True):
        result = _rolled(result, s, normal_axis(i, x))
    return result


def _rolled(x: Tracer, shift: Any, axis: int) -> Tracer:
    n = x.shape[axis]
    if not n:
        return x
    if type(shift) is Tracer:
        i = iota(x, n)
        back = emit(ops.elementwise.sub, i, cast(shift, "i64"))
        return gathered(x, emit(ops.elementwise.mod, back, constant(back, n, "i64")), axis)
    first = -operator.index(shift) % n
    if not first:
        return x
    return joined([cut(x, axis, slice(first, n)), cut(x, axis, slice(0, first))], axis)
