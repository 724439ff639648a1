"""Gather by integer arrays; its transpose, scatter-add; and the write of those places, scatter.

    gather(x, i0, i1, ...; axes)   x indexed along `axes`, one index array per axis, all of one dtype i64

NumPy's advanced indexing with the indexed axes put first: the result's dims are the index arrays' broadcast
shape, then x's other axes in order. Indices lie in [0, dim) when they reach the op: the frontend wraps
negative ones. An index out of range is clamped in compiled code unless checked (see codegen).
`scatter_add(x, i0, ..., updates; axes)` adds `updates` (shaped like the gather's result) into x at those
places; an element named twice gets both. `scatter` sets them: of two writes to one place the last (in row-major
order of the updates) wins, as in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import REGISTRY, OpDef, register
from weft.ir.ops.families import IRTypeError, Types, aligned, in_each, normal_axes
from weft.ir.ops.logic import equal, logical_and, logical_not, where
from weft.ir.ops.movement import broadcast, reshape
from weft.ir.ops.source import iota
from weft.ir.types import TensorType, broadcast_dims


def _places(name: str, x: TensorType, indices: Types, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Dims of a gather's result."""
    if normal_axes(axes, x.rank, name) != tuple(axes) or len(axes) != len(indices) or not axes:
        raise IRTypeError(f"{name}: needs one index array for each of axes {axes} of {x}")
    for t in indices:
        if t.dtype != "i64":
            raise IRTypeError(f"{name}: indices must be i64, got {t}")
    try:
        where = broadcast_dims(*(t.dims for t in indices))
    except ValueError as err:
        raise IRTypeError(f"{name}: index {err}") from None
    return where + tuple(d for i, d in enumerate(x.dims) if i not in axes)


def _infer_gather(types: Types, attrs: Any) -> Types:
    x, *indices = types
    dims = _places("gather", x, tuple(indices), attrs["axes"])
    if TensorType("f32", dims).size and any(x.dims[a] == 0 for a in attrs["axes"]):
        raise IRTypeError(f"gather: an axis of {x} is empty")
    return (TensorType(x.dtype, dims),)


def _key(rank: int, axes: tuple[int, ...], indices: tuple[np.ndarray, ...]) -> tuple[Any, ...]:
    """Index arrays that NumPy puts first: the indexed axes are moved to the front by the caller."""
    return tuple(indices) + (slice(None),) * (rank - len(axes))


def _gather(x: np.ndarray, *indices: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    front = np.moveaxis(x, axes, range(len(axes)))
    return np.asarray(front[_key(x.ndim, axes, indices)])


def _pull_gather(g: Any, y: Any, x: Any, *indices: Any, axes: tuple[int, ...]) -> Any:
    zeros = broadcast(x.const(0), shape=x.shape)
    return (scatter_add(zeros, *indices, g, axes=axes), *([None] * len(indices)))


def by_lane(size: int, lanes: Any, indices: Any, axes: tuple[int, ...]) -> tuple[list[Any], tuple[int, ...]]:
    """Indices into an array that has the lanes' axis in front, each lane's into its own part of it, and their axes."""
    indices = aligned(lanes, indices)
    rank = max(len(i.shape) - lane for lane, i in zip(lanes, indices, strict=True))
    lane = reshape(_turns(indices[0], (size,)), shape=(size,) + (1,) * rank)
    return [lane, *indices], (0, *(a + 1 for a in axes))


def _batch_gather(size: int, lanes: Any, x: Any, *indices: Any, axes: tuple[int, ...]) -> Any:
    if not lanes[0]:
        return gather(x, *aligned(lanes[1:], indices), axes=axes)
    found, axes = by_lane(size, lanes[1:], indices, axes)
    return gather(x, *found, axes=axes)


gather: OpDef = register(
    OpDef(
        "gather",
        "index",
        _infer_gather,
        _gather,
        arity=-1,
        pull=_pull_gather,
        pull_into=lambda total, g, y, x, *indices, axes: scatter_add(total, *indices, g, axes=axes),
        linear=(0,),
        batch=_batch_gather,
        attr_names=("axes",),
    )
)


def _batch_write(name: str) -> Any:
    def batch(size: int, lanes: Any, x: Any, *rest: Any, axes: tuple[int, ...]) -> Any:
        *indices, updates = rest
        x, updates = in_each(size, (lanes[0], lanes[-1]), (x, updates))
        found, axes = by_lane(size, lanes[1:-1], indices, axes)
        return REGISTRY[name](x, *found, updates, axes=axes)

    return batch


def _infer_write(name: str) -> Any:
    def infer(types: Types, attrs: Any) -> Types:
        x, *indices, updates = types
        dims = _places(name, x, tuple(indices), attrs["axes"])
        if updates.dims != dims or updates.dtype != x.dtype:
            raise IRTypeError(f"{name}: updates must be {TensorType(x.dtype, dims)}, got {updates}")
        return (x,)

    return infer


def _scatter_add(x: np.ndarray, *rest: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    *indices, updates = rest
    out = x.copy()
    front = np.moveaxis(out, axes, range(len(axes)))
    np.add.at(front, _key(x.ndim, axes, tuple(indices)), updates)
    return out


def _pull_scatter_add(g: Any, y: Any, x: Any, *rest: Any, axes: tuple[int, ...]) -> Any:
    *indices, _ = rest
    return (g, *([None] * len(indices)), gather(g, *indices, axes=axes))


def _tangent_of_scatter_add(tangents: Any, y: Any, x: Any, *rest: Any, axes: tuple[int, ...]) -> Any:
    *indices, updates = rest
    base = tangents[0] if tangents[0] is not None else broadcast(x.const(0), shape=x.shape)
    if tangents[-1] is None:
        return base
    return scatter_add(base, *indices, tangents[-1], axes=axes)


scatter_add: OpDef = register(
    OpDef(
        "scatter_add",
        "index",
        _infer_write("scatter_add"),
        _scatter_add,
        arity=-1,
        pull=_pull_scatter_add,
        push=_tangent_of_scatter_add,
        batch=_batch_write("scatter_add"),
        attr_names=("axes",),
        dtypes="iuf",
    )
)


def _scatter(x: np.ndarray, *rest: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    *indices, updates = rest
    out = x.copy()
    front = np.moveaxis(out, axes, range(len(axes)))
    places = [np.ravel(i) for i in np.broadcast_arrays(*indices)]  # along one axis NumPy writes in order
    front[_key(x.ndim, axes, tuple(places))] = updates.reshape(places[0].size, *front.shape[len(axes) :])
    return out


def _winners(x: Any, indices: Any, updates: Any, axes: tuple[int, ...]) -> Any:
    """Which updates stand in the result, as bools that broadcast against the updates; None for all of them."""
    where_dims = broadcast_dims(*(i.shape for i in indices))
    count = TensorType("i64", where_dims).size
    if count <= 1:
        return None
    places = [reshape(i if i.shape == where_dims else broadcast(i, shape=where_dims), shape=(count,)) for i in indices]
    dims = tuple(x.shape[a] for a in axes)
    few = count * count <= max(FEW, TensorType("i64", dims).size)
    winners = _without_later(places, count) if few else _last_turn(places, count, dims)
    return reshape(winners, shape=where_dims + (1,) * (len(updates.shape) - len(where_dims)))


FEW = 1 << 12  # pairs of writes that are compared


def _turns(like: Any, shape: tuple[int, ...], axis: int = 0) -> Any:
    return like.builder.emit(iota, (), {"shape": shape, "axis": axis, "dtype": "i64"})[0]


def _without_later(places: Any, count: int) -> Any:
    """Writes after which no other goes to the same place: each is compared with each."""
    pairs = (count, count)
    beaten = _turns(places[0], pairs, 0) < _turns(places[0], pairs, 1)
    for i in places:
        beaten = logical_and(beaten, equal(reshape(i, shape=(count, 1)), reshape(i, shape=(1, count))))
    return logical_not(REGISTRY["any"](beaten, axes=(1,)))


def _last_turn(places: Any, count: int, dims: tuple[int, ...]) -> Any:
    """Writes whose number is still there when each has written its number."""
    turn = _turns(places[0], (count,))
    nobody = broadcast(turn.const(-1), shape=dims)
    every = tuple(range(len(dims)))
    return equal(gather(scatter(nobody, *places, turn, axes=every), *places, axes=every), turn)


def _pull_scatter(g: Any, y: Any, x: Any, *rest: Any, axes: tuple[int, ...]) -> Any:
    *indices, updates = rest
    zeros = broadcast(g.const(0), shape=updates.shape)
    kept = gather(g, *indices, axes=axes)
    winners = _winners(x, indices, updates, axes)
    if winners is not None:
        kept = where(winners, kept, g.const(0))
    return (scatter(g, *indices, zeros, axes=axes), *([None] * len(indices)), kept)


def _tangent_of_scatter(tangents: Any, y: Any, x: Any, *rest: Any, axes: tuple[int, ...]) -> Any:
    *indices, updates = rest
    base, new = tangents[0], tangents[-1]
    base = base if base is not None else broadcast(x.const(0), shape=x.shape)
    new = new if new is not None else broadcast(x.const(0), shape=updates.shape)
    return scatter(base, *indices, new, axes=axes)


scatter: OpDef = register(
    OpDef(
        "scatter",
        "index",
        _infer_write("scatter"),
        _scatter,
        arity=-1,
        pull=_pull_scatter,
        push=_tangent_of_scatter,
        batch=_batch_write("scatter"),
        attr_names=("axes",),
    )
)
