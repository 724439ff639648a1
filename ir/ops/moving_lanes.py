"""Parts of a size that only the run knows, in many lanes at once: where they differ from lane to lane, by indices.

    y[k] = x[s + k] where k < n       gather(x, lane, i) and a choice, with i = s + k, which is another place for each k
    x[s + k] = u[k] where k < n       scatter of u, and of what is there beyond the part
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.ir.ops.families import aligned, in_each
from weft.ir.ops.index import gather, scatter
from weft.ir.ops.logic import logical_and, not_equal, where
from weft.ir.ops.movement import reshape
from weft.ir.ops.reduce import argmax
from weft.ir.ops.source import iota
from weft.ir.ops.update import dynamic_slice


def halves(places: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The starts and the lengths among the operands of a moving slice or update."""
    rank = len(places) // 2
    return tuple(places[:rank]), tuple(places[rank:])


def in_all(size: int, x: Any, places: Sequence[Any]) -> list[Any]:
    """The places of a part that is one for all lanes, in an array that has them in front."""
    starts, lengths = halves(places)
    zero, whole = (x.builder.constant(n, "i64") for n in (0, size))
    return [zero, *starts, whole, *lengths]


def _count(like: Any, shape: Sequence[int], axis: int) -> Any:
    """0, 1, 2, ... along an axis of that shape, to be broadcast along the others."""
    around = tuple(n if a == axis else 1 for a, n in enumerate(shape))
    return like.builder.emit(iota, (), {"shape": around, "axis": axis, "dtype": "i64"})[0]


def _indices(lanes: Sequence[bool], places: Sequence[Any], sizes: Sequence[int], dims: Sequence[int]) -> Any:
    """Indices along every axis, and which of them are in the part. What would be behind an axis is before the part."""
    indices, inside = [], None
    flags, values = zip(*halves(lanes), strict=True), zip(*halves(places), strict=True)
    for a, (own, ends) in enumerate(zip(flags, values, strict=True)):
        k = _count(ends[0], sizes, a)
        start, length = (aligned((lane, False), (v, k))[0] for lane, v in zip(own, ends, strict=True))
        i = start + k
        indices.append(where(i < dims[a], i, i - dims[a]))
        inside = k < length if inside is None else logical_and(inside, k < length)
    return indices, inside


def slice_of_each(size: int, lanes: Sequence[bool], x: Any, places: Sequence[Any], sizes: tuple[int, ...]) -> Any:
    """`moving_slice` where a start or length has lanes."""
    dims = x.shape[lanes[0] :]
    indices, inside = _indices(lanes[1:], places, sizes, dims)
    has, axes = (lanes[0], *halves(lanes[1:])[0]), tuple(range(len(dims)))
    assert gather.batch is not None
    part = gather.batch(size, has, x, *indices, axes=axes) if any(has) else gather(x, *indices, axes=axes)
    return where(inside, part, part.const(0))


def update_of_each(size: int, lanes: Sequence[bool], x: Any, u: Any, places: Sequence[Any]) -> Any:
    """`moving_update` where a start or length has lanes; x and u have them."""
    indices, inside = _indices(lanes, places, u.shape[1:], x.shape[1:])
    has, axes = halves(lanes)[0], tuple(range(len(u.shape) - 1))
    assert gather.batch is not None and scatter.batch is not None
    there = gather.batch(size, (True, *has), x, *indices, axes=axes)
    return scatter.batch(size, (True, *has, True), x, *indices, where(inside, u, there), axes=axes)


def limit_of_each(lanes: Sequence[bool], x: Any, fill: Any, n: Any, axis: int) -> Any:
    """`limit` where the length or what is beyond has lanes."""
    k = _count(n, x.shape[lanes[0] :], axis)
    inside = k < aligned((lanes[2], False), (n, k))[0]
    return where(*aligned((lanes[2], lanes[0], lanes[1]), (inside, x, fill)))


def agree_in_each(agree: Any, size: int, lanes: Sequence[bool], n: Any, k: Any, problem: str) -> Any:
    """`n`, with the promise that it is `k` in all lanes: in the first where it isn't, if there is one."""
    n, k = in_each(size, lanes, (n, k))
    if not size:
        return n
    first = argmax(not_equal(n, k), axis=0)
    mine, theirs = (reshape(dynamic_slice(v, first, sizes=(1,)), shape=()) for v in (n, k))
    return n + (agree(mine, theirs, problem=problem) - mine)
