"""Reads and writes of a part of an array.

    update(x, u; start, stop, step)         x with x[start:stop:step] = u, the write of `slice`
    dynamic_slice(x, s0, s1, ...; sizes)    x[s0 : s0 + sizes[0], s1 : s1 + sizes[1], ...], a 0-d i64 start per axis
    dynamic_update(x, u, s0, s1, ...)       x with that window = u
    bound(i; size, axis)                    the i64 i, with the promise that 0 <= i < size

The starts of a window lie in [0, dim - size] when they reach the op; where they come from indices of the user's,
those have gone through `bound`. It raises IndexError if it is given another index: the interpreter at once,
compiled code (which goes on with a clamped index) when the call ends. It is kept as long as it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import OpDef, register
from weft.ir.ops.families import IRTypeError, Types, in_each, lane_by_lane
from weft.ir.ops.index import by_lane, gather, scatter
from weft.ir.ops.movement import broadcast, inverse_permutation, of_each, reshape, slice_, transpose
from weft.ir.ops.source import iota
from weft.ir.types import TensorType

I64 = TensorType("i64")


def zeros_like(x: Any, dims: tuple[int, ...]) -> Any:
    return broadcast(x.const(0), shape=dims) if dims else x.const(0)


def _infer_update(types: Types, attrs: Any) -> Types:
    x, u = types
    (part,) = slice_.infer((x,), attrs)
    if u != part:
        raise IRTypeError(f"update: the slice is {part}, got {u}")
    return (x,)


def _update(x: np.ndarray, u: np.ndarray, start: Any, stop: Any, step: Any) -> np.ndarray:
    out = x.copy()
    out[tuple(slice(*s) for s in zip(start, stop, step, strict=True))] = u
    return out


def _pull_update(g: Any, y: Any, x: Any, u: Any, **at: Any) -> Any:
    part = slice_(g, **at)  # read before g is written, which may then be done in place
    return update(g, zeros_like(g, u.shape), **at), part


update: OpDef = register(
    OpDef(
        "update",
        "index",
        _infer_update,
        _update,
        arity=2,
        pull=_pull_update,
        linear=(0, 1),
        batch=lambda size, lanes, x, u, **at: update(*in_each(size, lanes, (x, u)), **of_each(size, **at)),
        attr_names=("start", "stop", "step"),
    )
)


def _check_window(op: str, x: TensorType, sizes: tuple[int, ...], starts: Types) -> None:
    if len(sizes) != x.rank or len(starts) != x.rank:
        raise IRTypeError(f"{op}: needs a size and a start for every axis of {x}")
    if any(not 0 <= n <= d for n, d in zip(sizes, x.dims, strict=True)):
        raise IRTypeError(f"{op}: a window of {tuple(sizes)} does not fit in {x}")
    for t in starts:
        if t != I64:
            raise IRTypeError(f"{op}: starts must be 0-d i64, got {t}")


def _window(op: str, x: np.ndarray, sizes: tuple[int, ...], starts: tuple[np.ndarray, ...]) -> Any:
    at = tuple(map(int, starts))
    if any(not 0 <= s <= d - n for s, d, n in zip(at, x.shape, sizes, strict=True)):
        raise IndexError(f"{op}: a window of {tuple(sizes)} at {at} leaves an array of shape {x.shape}")
    return tuple(slice(s, s + n) for s, n in zip(at, sizes, strict=True))


def _infer_dynamic_slice(types: Types, attrs: Any) -> Types:
    x, *starts = types
    _check_window("dynamic_slice", x, attrs["sizes"], tuple(starts))
    return (x.with_dims(tuple(attrs["sizes"])),)


def _pull_dynamic_slice(g: Any, y: Any, x: Any, *starts: Any, sizes: tuple[int, ...]) -> Any:
    return (dynamic_update(zeros_like(g, x.shape), g, *starts), *[None] * len(starts))


def _window_of_each(
    lanes: Any, starts: Any, sizes: tuple[int, ...], dims: tuple[int, ...]
) -> tuple[list[bool], list[Any], tuple[int, ...]]:
    """A window that starts elsewhere in each lane, as indices along the axes that it doesn't fill: which of them have
    lanes, the indices, the axes. No axes where all lanes have one window."""
    axes = tuple(a for a, (n, d) in enumerate(zip(sizes, dims, strict=True)) if n != d)
    if not any(lanes[a] for a in axes):
        return [], [], ()
    indices = []
    for k, a in enumerate(axes):
        around = [1] * len(axes)
        start = reshape(starts[a], shape=(*starts[a].shape, *around))
        around[k] = sizes[a]
        attrs = {"shape": tuple(around), "axis": k, "dtype": "i64"}
        indices.append(start + start.builder.emit(iota, (), attrs)[0] if sizes[a] != 1 else start)
    return [lanes[a] for a in axes], indices, axes


def _from_front(rank: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    """What puts the axes of a gather's result, behind that of the lanes, where they are in its operand."""
    front = (*axes, *(a for a in range(rank) if a not in axes))
    return (0, *(1 + i for i in inverse_permutation(front)))


def _same_starts(lanes: Any, starts: Any) -> list[Any]:
    """Starts of a window that is one for all lanes: where they have lanes, the window fills the axis."""
    return [s.const(0) if lane else s for lane, s in zip(lanes, starts, strict=True)]


def _batch_dynamic_slice(size: int, lanes: Any, x: Any, *starts: Any, sizes: tuple[int, ...]) -> Any:
    dims = x.shape[lanes[0] :]
    have, indices, axes = _window_of_each(lanes[1:], starts, sizes, dims)
    if not axes:
        (x,) = in_each(size, lanes[:1], (x,))
        starts = (x.builder.constant(0, "i64"), *_same_starts(lanes[1:], starts))
        return dynamic_slice(x, *starts, sizes=(size, *sizes))
    assert gather.batch is not None
    found = gather.batch(size, (lanes[0], *have), x, *indices, axes=axes)
    return transpose(found, perm=_from_front(len(dims), axes))


dynamic_slice: OpDef = register(
    OpDef(
        "dynamic_slice",
        "index",
        _infer_dynamic_slice,
        lambda x, *starts, sizes: x[_window("dynamic_slice", x, sizes, starts)],
        arity=-1,
        pull=_pull_dynamic_slice,
        pull_into=lambda total, g, y, x, *starts, sizes: dynamic_update(
            total, dynamic_slice(total, *starts, sizes=sizes) + g, *starts
        ),
        linear=(0,),
        batch=_batch_dynamic_slice,
        attr_names=("sizes",),
    )
)


def _infer_dynamic_update(types: Types, attrs: Any) -> Types:
    x, u, *starts = types
    if u.dtype != x.dtype:
        raise IRTypeError(f"dynamic_update: {u} into {x}")
    _check_window("dynamic_update", x, u.dims, tuple(starts))
    return (x,)


def _dynamic_update(x: np.ndarray, u: np.ndarray, *starts: np.ndarray) -> np.ndarray:
    out = x.copy()
    out[_window("dynamic_update", x, u.shape, starts)] = u
    return out


def _pull_dynamic_update(g: Any, y: Any, x: Any, u: Any, *starts: Any) -> Any:
    part = dynamic_slice(g, *starts, sizes=u.shape)
    return (dynamic_update(g, zeros_like(g, u.shape), *starts), part, *[None] * len(starts))


def _batch_dynamic_update(size: int, lanes: Any, x: Any, u: Any, *starts: Any) -> Any:
    x, u = in_each(size, lanes[:2], (x, u))
    have, indices, axes = _window_of_each(lanes[2:], starts, u.shape[1:], x.shape[1:])
    if not axes:
        return dynamic_update(x, u, x.builder.constant(0, "i64"), *_same_starts(lanes[2:], starts))
    places, front = by_lane(size, have, indices, axes)
    updates = transpose(u, perm=inverse_permutation(_from_front(len(u.shape) - 1, axes)))
    return scatter(x, *places, updates, axes=front)


dynamic_update: OpDef = register(
    OpDef(
        "dynamic_update",
        "index",
        _infer_dynamic_update,
        _dynamic_update,
        arity=-1,
        pull=_pull_dynamic_update,
        linear=(0, 1),
        batch=_batch_dynamic_update,
    )
)


def _infer_bound(types: Types, attrs: Any) -> Types:
    (t,) = types
    if t.dtype != "i64":
        raise IRTypeError(f"bound: an index must be i64, got {t}")
    if attrs["size"] < 0:
        raise IRTypeError(f"bound: no index fits in a size of {attrs['size']}")
    return (t,)


def _bound(i: np.ndarray, size: int, axis: int) -> np.ndarray:
    wrong = i[(i < 0) | (i >= size)]
    if wrong.size:
        raise IndexError(f"index {wrong[0]} is out of bounds for axis {axis} with size {size}")
    return i


bound = register(
    OpDef(
        "bound",
        "elementwise",
        _infer_bound,
        _bound,
        scalar="a",
        pull=lambda g, y, i, size, axis: (None,),
        batch=lane_by_lane("bound"),
        attr_names=("size", "axis"),
        dtypes="i",
    )
)
