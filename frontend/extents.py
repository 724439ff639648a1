"""Arrays whose extent moves with a loop: `A[i, :i]`, `x[t:t + k]`, `A[i + 1:]`.

    row = A[i, :i]          capacity n, extent i        moving_slice(A, i, 0, 1, i; sizes=(1, n)), a view
    s = row @ x[:i]         sum(limit(row * x[:i], 0, i))

A tracer's type has numbers for dims: of an axis that moves it is the most that it may be, the *capacity*, and the
tracer's `extents` hold the length as a traced integer. `shape` shows that. What lies beyond it is nobody's: ops on
elements may put anything there, and whatever brings elements of an axis together (a reduction, a product) or spreads
others along it goes through `limit`, which makes them the identity, forward and in the derivative.

Extents that meet must be equal when the code runs (see the op `agree`); an axis of fixed size that meets one that
moves makes it fixed. An op that has no rule here takes a slice of a size that is known (`x[t:t + k]` has k elements,
unless it is cut off at the end: that is then an error when the code runs).
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from weft.frontend.errors import IndexingError, ShapeError, UnsupportedError, message
from weft.frontend.lengths import Length, add, agreed, from_start, i64, least, most, place_of, room_between, sub
from weft.frontend.tracer import Tracer, cast, constant, detached, emit, emit_plain, view_before
from weft.ir import ops
from weft.ir.dims import same
from weft.ir.records import dataclass

Extent = Tracer | None  # of an axis: None where it does not move
m = ops.movement
CUT = "a slice was cut off at its array's end, and one of its full size is needed"


# ---- tracers with extents --------------------------------------------------------------------------------


def extents_of(x: Tracer) -> tuple[Extent, ...]:
    return x.extents or (None,) * x.ndim


def moving(x: Tracer, extents: Sequence[Extent]) -> Tracer:
    """The tracer, with axes that move."""
    if any(n is not None for n in extents):
        x.extents = tuple(extents)
        x.home.extents[x.value] = x.extents
    return x


def extent_of(n: Length, room: int, exact: bool = False) -> Extent:
    """A length as `shape` shows it: Python's integer, or a tracer of one. exact: it is `room` unless it is cut off."""
    if not isinstance(n, Tracer):
        return None
    found = Tracer(n.home, n.value, int)
    found.room = room, exact
    return found


def dims_of(shape: Sequence[Any]) -> tuple[tuple[int, ...], tuple[Extent, ...]]:
    """Capacities and extents of a shape. Raises UnsupportedError for a size that is nobody's extent."""
    dims: list[int] = []
    for n in shape:
        if type(n) is not Tracer:
            dims.append(n)
        elif n.room is None:
            raise refusal("makes an array of a size that is known only when the code runs", [n])
        else:
            dims.append(n.room[0])
    return tuple(dims), tuple(n if type(n) is Tracer else None for n in shape)


def refusal(problem: str, tracers: Sequence[Tracer], advice: str = "") -> UnsupportedError:
    return UnsupportedError(message(problem, [x.value for x in tracers], advice))


def fixed(x: Tracer, needs: str = "needs") -> Tracer:
    """A tracer none of whose axes moves. Raises UnsupportedError where the size can't be known."""
    if x.extents is None:
        return x
    y = x
    for axis, n in enumerate(x.extents):
        if n is None:
            continue
        assert n.room is not None
        size, exact = n.room
        if not exact:
            problem = f"{needs} an array of a fixed size, and how many elements axis {axis} has only the run shows"
            advice = (
                "Functions of elements, sums, products and assignments take such slices. To keep one, write it into\n"
                "an array: kept = np.zeros(most); kept[:n] = it."
            )
            at = x.value.location if needs == "returns" else None
            raise UnsupportedError(message(problem, [x.value], advice, location=at))
        y = limit(y, agreed(n, size, CUT), axis, 0)
    return detached(y)


def limit(x: Tracer, n: Length, axis: int, fill: Any) -> Tracer:
    """x with `fill` from n on along an axis."""
    return emit_plain(ops.moving.limit, x, constant(x, fill, x.dtype), i64(n, x), axis=axis)


def limited(x: Tracer, fill: Any, axes: Sequence[int]) -> Tracer:
    """x with `fill` beyond the extents of these axes."""
    y = x
    for axis, n in enumerate(extents_of(x)):
        if n is not None and axis in axes:
            y = limit(y, n, axis, fill)
    return y if y is x else moving(y, extents_of(x))


def resized(x: Tracer, axis: int, size: int) -> Tracer:
    """x with another capacity of an axis: what is cut off or put behind is nobody's."""
    dims = x.type.dims
    if dims[axis] == size:
        return x
    extents = extents_of(x)
    if size < dims[axis]:
        stop = (*dims[:axis], size, *dims[axis + 1 :])
        y = emit_plain(m.slice_, x, start=(0,) * len(dims), stop=stop, step=(1,) * len(dims))
    else:
        high = tuple(size - d if a == axis else 0 for a, d in enumerate(dims))
        y = emit_plain(m.pad, x, constant(x, 0, x.dtype), low=(0,) * len(dims), high=high)
    return moving(y, extents)


# ---- slices ----------------------------------------------------------------------------------------------


def is_open(x: Any) -> bool:
    """A traced integer of which Python can't know the value while the function is traced."""
    return type(x) is Tracer and not x.shape and x.home.depends(x.value) == "open"


def moves(x: Tracer, slices: Sequence[slice]) -> bool:
    """Whether slices of all axes have an extent that is known only when the code runs."""
    return any(
        (n is not None and s != slice(None)) or is_open(s.start) or is_open(s.stop)
        for n, s in zip(extents_of(x), slices, strict=True)
    )


@dataclass(frozen=True)
class Part:
    """A part of an axis: its first element, its length and the most that it may be."""

    start: Length
    length: Length
    room: int
    exact: bool = False
    checked: bool = False  # its start is an index, which may have been beyond: then the code goes on with another


def part_of(x: Tracer, s: slice, axis: int) -> Part:
    """What a slice shows of an axis, forwards. Raises UnsupportedError for steps of more than one."""
    n: Length = x.shape[axis]
    size = x.type.dims[axis]
    if s == slice(None):
        return Part(0, n, size)
    first, last, behind = s.start, s.stop, 0
    if s.step == -1:  # the same elements forwards
        first, last, behind = s.stop, s.start, 1
    elif s.step is not None and s.step != 1:
        advice = "Take the slice in steps of one, or write the loop element by element."
        raise refusal(f"slices by steps of {s.step} from a place that moves", [x], advice)
    start: Length = 0 if first is None else place_of(_bound(first), n, behind)
    stop: Length = n if last is None else place_of(_bound(last), n, behind)
    length = stop if same(start, 0) else most(sub(stop, start), 0)
    room = room_between(last, first)
    if room is None or room[0] > size:
        return Part(start, length, size)
    return Part(start, length, max(room[0], 0), room[1] and room[0] >= 0)


def _bound(s: Any) -> Length:
    """A bound of a slice: Python's number where it is known."""
    return cast(s, "i64") if is_open(s) else operator.index(s)


def element(index: Tracer, n: Tracer, size: int, axis: int) -> Part:
    """The place that an index has on an axis of n elements, of at most `size`: beyond n it is an IndexError."""
    if not size:
        raise IndexingError(message(f"index is out of bounds for axis {axis} with size 0", [index.value]))
    at = from_start(index, n)
    inside = emit(ops.logic.less, at, i64(n, at))
    at = emit(ops.logic.where, inside, at, constant(at, size, "i64"))
    return Part(emit(ops.update.bound, at, size=size, axis=axis), 1, 1, checked=True)


def cut(x: Tracer, slices: Sequence[slice]) -> Tracer:
    """The view of x that slices of all its axes show."""
    y = window(x, [part_of(x, s, axis) for axis, s in enumerate(slices)])
    for axis, s in enumerate(slices):
        y = flipped(y, axis) if s.step == -1 else y
    return y


def flipped(x: Tracer, axis: int) -> Tracer:
    """The view of x in the other direction along an axis."""
    n, size = extents_of(x)[axis], x.type.dims[axis]
    y = moving(emit_plain(m.reverse, x, axes=(axis,)), extents_of(x))
    if n is None:
        return y
    whole = [Part(0, length, dim) for length, dim in zip(x.shape, x.type.dims, strict=True)]
    return window(y, [*whole[:axis], Part(sub(size, n), n, size), *whole[axis + 1 :]])


def window(x: Tracer, parts: Sequence[Part]) -> Tracer:
    """The view that shows a part of every axis. One of a window is one of the array behind it."""
    first: list[Length] = [p.start for p in parts]
    if x.path and x.path[-1].op is ops.moving.moving_slice:
        before, _ = ops.moving.halves(x.path[-1].starts)
        first = [add(Tracer(s.trace, s.value), start) for s, start in zip(before, first, strict=True)]
        x = view_before(x)
    first = [
        least(start, max(dim - 1, 0)) if p.checked else start
        for start, p, dim in zip(first, parts, x.type.dims, strict=True)
    ]
    places = [i64(n, x) for n in (*first, *(p.length for p in parts))]
    y = emit_plain(ops.moving.moving_slice, x, *places, sizes=tuple(p.room for p in parts))
    return moving(y, [extent_of(p.length, p.room, p.exact) for p in parts])


# ---- operands that meet ----------------------------------------------------------------------------------


def fitted(x: Tracer, sizes: Sequence[int], extents: Sequence[Extent], whole: bool = True) -> Tracer:
    """x broadcast to these capacities and extents; along its own axes and those that move alone, unless `whole`.

    Raises ShapeError where it can't be, and promises equal lengths where that is known only when the code runs.
    """
    while x.ndim > len(sizes) and same(x.shape[0], 1):
        x = moving(emit_plain(m.reshape, x, shape=x.type.dims[1:]), extents_of(x)[1:])
    lead = len(sizes) - x.ndim
    if lead < 0:
        raise _unfit(x, sizes, extents)
    for axis in range(x.ndim):
        x = fitted_axis(x, axis, sizes[lead + axis], extents[lead + axis], (sizes, extents))
    own = (None,) * lead + extents_of(x)
    shape, lacking = [1] * lead + list(x.type.dims), []
    for axis, (size, n) in enumerate(zip(sizes, extents, strict=True)):
        if own[axis] is None and shape[axis] == 1 and (whole or n is not None):
            shape[axis] = size
            lacking += [axis] if n is not None else []
    if not lacking and not whole or tuple(shape) == x.type.dims:
        return x
    y = emit_plain(m.broadcast, x, shape=tuple(shape))
    for axis in lacking:
        n = extents[axis]
        assert n is not None
        y = limit(y, n, axis, 0)
    return moving(y, [extents[a] if a in lacking else own[a] for a in range(len(shape))])


def fitted_axis(x: Tracer, axis: int, size: int, n: Extent, target: Any) -> Tracer:
    own, dim = extents_of(x)[axis], x.type.dims[axis]
    if own is None and (dim == 1 or n is None):
        if dim not in (1, size):
            raise _unfit(x, *target)
        return x
    known = dim if own is None else size if n is None else None
    if known is not None and known > (size if own is None else dim):
        raise _unfit(x, *target)
    y = resized(x, axis, size)
    if own is not n:
        y = limit(y, agreed(dim if own is None else own, size if n is None else n), axis, 0)
    return moving(y, [n if a == axis else e for a, e in enumerate(extents_of(x))])


def _unfit(x: Tracer, sizes: Sequence[int], extents: Sequence[Extent]) -> ShapeError:
    shape = tuple(size if n is None else f"<={size}" for size, n in zip(sizes, extents, strict=True))
    return ShapeError(message(f"could not broadcast to shape ({', '.join(map(str, shape))})", [x.value]))


def joined(tracers: Sequence[Tracer]) -> tuple[list[Tracer], tuple[Extent, ...]]:
    """Operands of an elementwise op, at capacities that fit, and the result's extents. Raises ShapeError."""
    rank = max(x.ndim for x in tracers)
    extents: list[Extent] = [None] * rank
    sizes = [1] * rank
    for axis in range(rank):
        places = [(x, axis - rank + x.ndim) for x in tracers if axis - rank + x.ndim >= 0]
        moved = [(n, x.type.dims[d]) for x, d in places if (n := extents_of(x)[d]) is not None]
        still = {x.type.dims[d] for x, d in places if extents_of(x)[d] is None} - {1}
        if still or not moved:
            sizes[axis] = max(still, default=1)
            continue
        sizes[axis] = min(dim for _, dim in moved)
        n = moved[0][0]
        for other, _ in moved[1:]:
            if other is not n:
                n = extent_of(agreed(n, other), sizes[axis])
                assert n is not None
        extents[axis] = n
    found = []
    for x in tracers:
        if x.extents is not None:  # its lengths have agreed with the others'
            lead = rank - x.ndim
            ours = {d: n for d, n in enumerate(extents[lead:]) if n is not None and x.extents[d] is not None}
            x = with_extents(x, ours)
        number = not x.ndim and (x.value in x.home.constants or not x.type.is_float)
        found.append(x if number else fitted(x, sizes, extents, whole=False))
    return found, tuple(extents)


def with_extents(x: Tracer, extents: Mapping[int, Extent]) -> Tracer:
    """x with other lengths of some axes, with which its own have agreed."""
    return moving(detached(x), [extents.get(a, own) for a, own in enumerate(extents_of(x))])
