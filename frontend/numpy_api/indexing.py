"""`x[key]`: slices and ints are slices of axes, index arrays are gathers, masks are the places where they hold.

    x[1:, ::-1, None, 0]     slice, reverse, reshape                            a view
    x[i, :, [0, 2]]          gather along axes 0 and 2, index axes in front     a copy

A key is read into (axis, element) pairs, one for each axis of x and for each new one. Index arrays and ints
among them are *advanced* when there is any array: their common shape replaces them where they stand together,
and comes first when something stands between them.

A traced index is not known to be in range: negative ones count from the end, and one out of bounds raises
IndexError when the compiled code has run (see the op `bound`). Traced ints alone are places of a view, as ints are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import IndexingError, message
from weft.frontend.extents import Part, element, moves, part_of, window
from weft.frontend.lengths import from_start
from weft.frontend.numpy_api.moves import (
    find_tracer,
    known_array,
    permuted,
    pick,
    reshaped,
    reversed_,
    sliced,
    spread,
    view,
)
from weft.frontend.numpy_api.registry import method
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, full
from weft.ir import ops
from weft.ir.dims import Dim, as_size, is_known, same, same_shape
from weft.ir.records import dataclass
from weft.ir.types import broadcast_dims


@dataclass(slots=True)
class Known:
    """An index array (of int64), or a mask, that is the same at every call."""

    array: np.ndarray


# What stands in a key: a slice, None, an Ellipsis, an int, or an index array; with its axis, or None for what
# takes no axis: new ones, the ellipsis itself, and a 0-d mask (`x[True]` has a new axis of one place).
Placed = tuple[int | None, Any]
ARRAYS = (Known, Tracer, np.ndarray)


@method("__getitem__")
def get_item(x: Tracer, key: Any) -> Tracer:
    """NumPy's `x[key]`: an element is a number, which no write to x changes, all else without index arrays a view.

    Raises IndexingError, UnsupportedError for a traced mask.
    """
    placed = read_key(x, key)
    common = common_shape(x, placed)
    if common is None or is_basic(placed):
        y = view_of(x, placed)
        is_view = y.shape or any(e is Ellipsis for e in (key if isinstance(key, tuple) else (key,)))
        return y if is_view else Tracer(y.home, y.value, y.weak)
    if any(same(n, 0) for n in common):  # no index at all: even those out of bounds are none
        return full(x, _shape(placed, _kept(sliced_by(x, placed), placed), common), 0, x.dtype)
    counted = count_places(x, placed)
    return _advanced(sliced_by(x, counted), counted, common)


def read_key(x: Tracer, key: Any) -> list[Placed]:
    """A key's elements, each with its axis of x. Raises IndexingError."""
    return _placed(x, [_element(e, x) for e in (key if isinstance(key, tuple) else (key,))])


def view_of(x: Tracer, placed: Sequence[Placed]) -> Tracer:
    """What a key without index arrays shows, an element as a 0-d view."""
    y = _window(x, placed)
    return view(reshaped(y, _shape(placed, _kept(y, placed))), x)


def is_basic(placed: Sequence[Placed]) -> bool:
    """Whether a key has no index arrays, but slices, ints and traced ints alone: it shows a view."""
    return all(type(e) is Tracer and not e.shape for _, e in placed if isinstance(e, ARRAYS))


def count_places(x: Tracer, placed: Sequence[Placed]) -> list[Placed]:
    """The key with its index arrays counted from the start of their axes."""
    return [(axis, e if axis is None else _counted(e, x, axis)) for axis, e in placed]


def _window(x: Tracer, placed: Sequence[Placed]) -> Tracer:
    """The slices, and the places that ints say as axes of size one: a view. One window if any of them is traced."""
    along: list[Any] = [e for axis, e in placed if axis is not None]
    slices = [e if isinstance(e, slice) else slice(None) for e in along]
    moving = moves(x, slices) or x.extents is not None
    if not moving and not any(type(e) is Tracer for e in along):
        return sliced_by(x, placed)
    still = [s if not moves(x, [s if a == b else slice(None) for b in range(x.ndim)]) else slice(None)
             for a, s in enumerate(slices)]  # fmt: skip
    x = sliced(x, still)
    if moving:
        left = [e if s == slice(None) else slice(None) for e, s in zip(along, still, strict=True)]
        y = window(x, [_part(x, e, axis) for axis, e in enumerate(left)])
        return reversed_(y, [axis for axis, e in enumerate(left) if isinstance(e, slice) and e.step == -1])
    like = next(e for e in along if type(e) is Tracer)
    starts = [constant(like, 0, "i64") if isinstance(e, slice) else _start(x, e, like, a) for a, e in enumerate(along)]
    sizes = tuple(n if isinstance(e, slice) else 1 for e, n in zip(along, x.shape, strict=True))
    return emit(ops.update.dynamic_slice, x, *starts, sizes=sizes)


def _start(x: Tracer, e: Any, like: Tracer, axis: int) -> Tracer:
    return constant(like, e, "i64") if isinstance(e, int | Dim) else bounded(cast(e, "i64"), x.shape[axis], axis)


def _part(x: Tracer, e: Any, axis: int) -> Part:
    """What an element of a key shows of its axis, in an array with axes that move."""
    if isinstance(e, slice):
        return part_of(x, e, axis)
    n = x.shape[axis]
    if type(n) is Tracer:
        return element(cast(e, "i64") if type(e) is Tracer else constant(n, e, "i64"), n, x.type.dims[axis], axis)
    return Part(e if isinstance(e, int | Dim) else bounded(cast(e, "i64"), n, axis), 1, 1)


def _element(e: Any, x: Tracer) -> Any:
    """One element of a key; NumPy arrays of integers, which may hold others at the next call, are traced later.

    Raises IndexingError for what is no index.
    """
    if e is None or e is Ellipsis or isinstance(e, slice):
        return e
    if isinstance(e, bool | np.bool_):
        return Known(np.asarray(e))
    if isinstance(e, list | tuple) and find_tracer(e) is not None:
        e = as_tracer(e, x)
    if type(e) is Tracer or isinstance(e, np.ndarray):
        return _array(e, x)
    if not isinstance(e, list | tuple | range) and hasattr(e, "__index__"):
        return as_size(e)
    array = np.array(e)
    if not array.size and isinstance(e, list | tuple):
        array = array.astype(np.int64)
    if array.dtype.kind in "biu":
        return Known(array)
    text = (
        "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays are "
        f"valid indices, not a {type(e).__name__}"
    )
    raise IndexingError(message(text, [x.value]))


def _array(e: Any, x: Tracer) -> Any:
    """An index array or a mask, traced or not."""
    if e.dtype.kind not in "biu":
        text = f"arrays used as indices must be of integer (or boolean) type, not {e.dtype}"
        raise IndexingError(message(text, [e.value] if type(e) is Tracer else ()))
    if e.dtype != np.bool_:
        return e
    advice = (
        "How many there are depends on the data. Write np.where(mask, x, other) for an array of x's shape, and\n"
        "np.sum(x, where=mask), or np.sum(np.where(mask, x, 0)), for a sum over them."
    )
    return Known(known_array(e, x, "takes the elements at which a traced mask holds", advice))


def _placed(x: Tracer, elements: Sequence[Any]) -> list[Placed]:
    """Each element with its axis; masks are index arrays now. Raises IndexingError."""
    dots = sum(e is Ellipsis for e in elements)
    if dots > 1:
        raise IndexingError(message("an index can only have a single ellipsis ('...')", [x.value]))
    used = sum(_axes_taken(e) for e in elements)
    if used > x.ndim:
        text = f"too many indices for array: array is {x.ndim}-dimensional, but {used} were indexed"
        raise IndexingError(message(text, [x.value]))
    placed: list[Placed] = []
    axis = 0
    for e in elements if dots else [*elements, Ellipsis]:
        if e is None:
            placed.append((None, None))
        elif e is Ellipsis:
            placed += [(None, e), *((axis + i, slice(None)) for i in range(x.ndim - used))]
            axis += x.ndim - used
        elif isinstance(e, Known) and e.array.dtype == np.bool_:
            placed += _mask(e.array, x, axis)
            axis += e.array.ndim
        else:
            n = x.shape[axis]
            if type(n) is not Tracer and (isinstance(e, int | Dim) or (isinstance(e, np.ndarray) and not e.ndim)):
                check_range(e, n, axis, x)
            placed.append((axis, e % n if isinstance(e, int | Dim) and type(n) is not Tracer else e))
            axis += 1
    return placed


def _axes_taken(e: Any) -> int:
    if isinstance(e, Known) and e.array.dtype == np.bool_:
        return e.array.ndim
    return 0 if e is None or e is Ellipsis else 1


def _mask(mask: np.ndarray, x: Tracer, axis: int) -> list[Placed]:
    """The index arrays of the places at which a mask holds."""
    if not mask.ndim:
        return [(None, Known(np.zeros(int(mask), np.int64)))]
    for i, (n, d) in enumerate(zip(mask.shape, x.shape[axis:], strict=False), axis):
        if n != d and n:  # an empty mask fits everywhere
            text = (
                f"boolean index did not match indexed array along axis {i}; size of axis is {d} but size of "
                f"corresponding boolean axis is {n}"
            )
            raise IndexingError(message(text, [x.value]))
    return [(axis + i, Known(places)) for i, places in enumerate(np.nonzero(mask))]


def common_shape(x: Tracer, placed: Sequence[Placed]) -> tuple[int, ...] | None:
    """The index arrays' shape, if there are any. Raises IndexingError."""
    shapes = [e.array.shape if isinstance(e, Known) else e.shape for _, e in placed if isinstance(e, ARRAYS)]
    if shapes and all(same_shape(s, shapes[0]) for s in shapes):
        return shapes[0]
    try:
        return broadcast_dims(*shapes) if shapes else None
    except ValueError:
        text = "shape mismatch: indexing arrays could not be broadcast together with shapes "
        raise IndexingError(message(text + " ".join(map(str, shapes)), [x.value])) from None


def _counted(e: Any, x: Tracer, axis: int) -> Any:
    """An element of a key for an axis of x: arrays that are known are checked, lists counted from the start."""
    if isinstance(e, Known):
        check_range(e.array, x.shape[axis], axis, x)
        places = e.array.astype(np.int64)
        return Known(np.where(places < 0, places + x.shape[axis], places))
    if isinstance(e, np.ndarray):
        check_range(e, x.shape[axis], axis, x)
        return as_tracer(e, x)
    return e


def check_range(index: Any, n: int, axis: int, x: Tracer) -> None:
    """Raises IndexingError when an int or an array of them goes beyond an axis of n elements."""
    if is_known(index) and is_known(n):
        index = np.asarray(index)
        bad = index[(index < -n) | (index >= n)].flat[:1]
    else:
        ends = (index,) if not isinstance(index, np.ndarray) else (index.min(), index.max()) if index.size else ()
        bad = [i for i in ends if i < -n or i >= n]
    if len(bad):
        text = f"index {bad[0]} is out of bounds for axis {axis} with size {n}"
        raise IndexingError(message(text, [x.value]))


def sliced_by(x: Tracer, placed: Sequence[Placed]) -> Tracer:
    """The key's slices, and ints as slices of size one: a view."""
    cuts = []
    for axis, e in placed:
        if axis is not None:
            cuts.append(e if isinstance(e, slice) else slice(e, e + 1) if isinstance(e, int | Dim) else slice(None))
    return sliced(x, cuts)


def _kept(x: Tracer, placed: Sequence[Placed]) -> list[int]:
    """Sizes of the axes that slices leave."""
    return [x.shape[axis] for axis, e in placed if axis is not None and isinstance(e, slice)]


def _advanced(x: Tracer, placed: list[Placed], common: tuple[int, ...]) -> Tracer:
    """Gather from x, whose slices are taken and whose ints are axes of size one."""
    kept = _kept(x, placed)
    advanced = [(axis, e) for axis, e in placed if isinstance(e, ARRAYS)]
    axis, first = advanced[0]
    if isinstance(first, Known) and axis is not None and len(common) == 1 and len(kept) == x.ndim - 1:
        x = pick(x, first.array, axis)
        kept.insert(axis, common[0])
        return reshaped(x, _shape([(a, slice(None) if a == axis else e) for a, e in placed], kept))
    x = _gathered(x, advanced, common)
    before = sum(isinstance(e, slice) for _, e in placed[: _spot(placed)])
    if before:
        own = len(common)
        x = permuted(x, (*range(own, own + before), *range(own), *range(own + before, x.ndim)))
    return reshaped(x, _shape(placed, kept, common))


def _spot(placed: Sequence[Placed]) -> int:
    """Where in a key its index arrays' common shape goes."""
    spots = [i for i, (_, e) in enumerate(placed) if isinstance(e, (int, *ARRAYS))]
    return spots[0] if spots[-1] - spots[0] == len(spots) - 1 else 0


def _gathered(x: Tracer, advanced: list[Placed], common: tuple[int, ...]) -> Tracer:
    """x at the index arrays, whose axes come first, then the rest of x's axes."""
    axes = tuple(axis for axis, _ in advanced if axis is not None)
    if not axes:  # masks of no axis alone
        return spread(x, common + x.shape)
    rest = [n for i, n in enumerate(x.shape) if i not in axes]
    for axis in axes:
        if not x.shape[axis] and 0 not in (*common, *rest):
            raise IndexingError(message(f"index is out of bounds for axis {axis} with size 0", [x.value]))
    return emit(ops.index.gather, x, *places_of(x, advanced, common), axes=axes)


def places_of(x: Tracer, advanced: Sequence[Placed], common: tuple[int, ...]) -> list[Tracer]:
    """The index arrays as gather and scatter take them."""
    places = [index_tracer(e, x, x.type.dims[axis], axis) for axis, e in advanced if axis is not None]
    if len(places) < len(advanced):
        places[0] = spread(places[0], common)
    return places


def gathered_order(
    x: Tracer, placed: Sequence[Placed], common: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Of `x[key]`, whose slices are taken from x already: its shape, the same without new axes, and the
    permutation of that which puts the index arrays' axes first."""
    before = sum(isinstance(e, slice) for _, e in placed[: _spot(placed)])
    kept, own = _kept(x, placed), len(common)
    bare = (*kept[:before], *common, *kept[before:])
    first = (*range(before, before + own), *range(before), *range(before + own, len(bare)))
    return _shape(placed, kept, common), bare, first


def index_tracer(e: Any, x: Tracer, n: int, axis: int = 0) -> Tracer:
    """Places along an axis of n elements: int64, negative ones counted from the end, checked if they are traced."""
    if isinstance(e, Known):
        return as_tracer(e.array, x)
    i = cast(as_tracer(e, x), "i64")
    return bounded(i, n, axis, signed=e.dtype.kind == "i")


def bounded(index: Tracer, size: int, axis: int, signed: bool = True) -> Tracer:
    """An index (i64) into an axis, negative ones counted from its end, and checked."""
    if signed:
        index = from_start(index, size)
    return emit(ops.update.bound, index, size=size, axis=axis)


def _shape(placed: Sequence[Placed], kept: Sequence[int], common: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The result's shape: for each slice the next of `kept`, new axes, and the index arrays' common shape."""
    rest = iter(kept)
    spot = _spot(placed) if common else 0
    shape: list[int] = []
    for i, (_, e) in enumerate(placed):
        shape += common if i == spot else ()
        if e is None:
            shape.append(1)
        elif isinstance(e, slice):
            shape.append(next(rest))
    return tuple(shape)
