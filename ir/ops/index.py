"""Gather by integer arrays and its transpose, scatter-add.

    gather(x, i0, i1, ...; axes)   x indexed along `axes`, one index array per axis, all of one dtype i64

NumPy's advanced indexing with the indexed axes put first: the result's dims are the index arrays' broadcast
shape, then x's other axes in order. Indices lie in [0, dim) when they reach the op: the frontend wraps
negative ones. An index out of range is clamped in compiled code unless checked (see codegen).
`scatter_add(x, i0, ..., updates; axes)` adds `updates` (shaped like the gather's result) into x at those
places; an element named twice gets both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import OpDef, register
from weft.ir.ops.families import IRTypeError, Types, normal_axes
from weft.ir.ops.movement import broadcast
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


gather = register(
    OpDef(
        "gather",
        "index",
        _infer_gather,
        _gather,
        arity=-1,
        pull=_pull_gather,
        linear=(0,),
        attr_names=("axes",),
    )
)


def _infer_scatter_add(types: Types, attrs: Any) -> Types:
    x, *indices, updates = types
    dims = _places("scatter_add", x, tuple(indices), attrs["axes"])
    if updates.dims != dims or updates.dtype != x.dtype:
        raise IRTypeError(f"scatter_add: updates must be {TensorType(x.dtype, dims)}, got {updates}")
    return (x,)


def _scatter_add(x: np.ndarray, *rest: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    *indices, updates = rest
    out = x.copy()
    front = np.moveaxis(out, axes, range(len(axes)))
    np.add.at(front, _key(x.ndim, axes, tuple(indices)), updates)
    return out


def _pull_scatter_add(g: Any, y: Any, x: Any, *rest: Any, axes: tuple[int, ...]) -> Any:
    *indices, _ = rest
    return (g, *([None] * len(indices)), gather(g, *indices, axes=axes))


def _push_scatter_add(tangents: Any, y: Any, x: Any, *rest: Any, axes: tuple[int, ...]) -> Any:
    *indices, updates = rest
    base = tangents[0] if tangents[0] is not None else broadcast(x.const(0), shape=x.shape)
    if tangents[-1] is None:
        return base
    return scatter_add(base, *indices, tangents[-1], axes=axes)


scatter_add = register(
    OpDef(
        "scatter_add",
        "index",
        _infer_scatter_add,
        _scatter_add,
        arity=-1,
        pull=_pull_scatter_add,
        push=_push_scatter_add,
        attr_names=("axes",),
        dtypes="iuf",
    )
)
