"""Parts of an array whose size is known only when the code runs, as in `A[i, :i]`, where i is a loop's variable.

    moving_slice(x, s0, s1, ..., n0, n1, ...; sizes)   y[k] = x[s + k] where k < n along every axis, 0 beyond
    moving_update(x, u, s0, s1, ..., n0, n1, ...)      x with x[s + k] = u[k] where k < n
    limit(x, fill, n; axis)                            y[k] = x[k] where k < n along the axis, fill beyond
    agree(n, k; problem)                               the i64 n, with the promise that it is k

A value's dims are numbers, so such a part has the size that it has at most (`sizes`, or u's dims), and its length
is an operand: a start and a length for every axis, 0-d and i64, with 0 <= n <= size and 0 <= s <= dim - n. What lies
beyond the length is never looked at but through `limit`, by which a reduction sees its identity there. So code
generation may end loops at the length (see `weft.ir.lengths`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.ir.opdef import OpDef, register
from weft.ir.ops.families import IRTypeError, Types, in_each
from weft.ir.ops.moving_lanes import agree_in_each, halves, in_all, limit_of_each, slice_of_each, update_of_each
from weft.ir.ops.reduce import sum_
from weft.ir.ops.update import I64, zeros_like
from weft.ir.types import TensorType


def _check(op: str, x: TensorType, sizes: tuple[int, ...], places: Types) -> None:
    if len(sizes) != x.rank or len(places) != 2 * x.rank:
        raise IRTypeError(f"{op}: needs a size, a start and a length for every axis of {x}")
    if any(not 0 <= n <= d for n, d in zip(sizes, x.dims, strict=True)):
        raise IRTypeError(f"{op}: a part of at most {tuple(sizes)} does not fit in {x}")
    if any(t != I64 for t in places):
        raise IRTypeError(f"{op}: starts and lengths must be 0-d i64, got {', '.join(map(str, places))}")


def _places(op: str, x: np.ndarray, sizes: Sequence[int], places: Sequence[np.ndarray]) -> tuple[Any, Any]:
    """The part as slices of x, and of a value of its largest size."""
    starts, lengths = halves([int(p) for p in places])
    rows = list(zip(starts, lengths, sizes, x.shape, strict=True))
    if any(not (0 <= n <= size and 0 <= s <= d - n) for s, n, size, d in rows):
        raise IndexError(f"{op}: a part of {lengths} at {starts} leaves an array of shape {x.shape}")
    return tuple(slice(s, s + n) for s, n, _, _ in rows), tuple(slice(0, n) for n in lengths)


def _infer_slice(types: Types, attrs: Any) -> Types:
    x, *places = types
    _check("moving_slice", x, attrs["sizes"], tuple(places))
    return (x.with_dims(tuple(attrs["sizes"])),)


def _slice(x: np.ndarray, *places: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    there, here = _places("moving_slice", x, sizes, places)
    out = np.zeros(sizes, x.dtype)
    out[here] = x[there]
    return out


def _pull_slice(g: Any, y: Any, x: Any, *places: Any, sizes: tuple[int, ...]) -> Any:
    return (moving_update(zeros_like(g, x.shape), g, *places), *[None] * len(places))


def _pull_slice_into(total: Any, g: Any, y: Any, x: Any, *places: Any, sizes: tuple[int, ...]) -> Any:
    return moving_update(total, moving_slice(total, *places, sizes=sizes) + g, *places)


def _batch_slice(size: int, lanes: Any, x: Any, *places: Any, sizes: tuple[int, ...]) -> Any:
    if any(lanes[1:]):
        return slice_of_each(size, lanes, x, places, sizes)
    return moving_slice(x, *in_all(size, x, places), sizes=(size, *sizes))


moving_slice: OpDef = register(
    OpDef(
        "moving_slice",
        "index",
        _infer_slice,
        _slice,
        arity=-1,
        pull=_pull_slice,
        pull_into=_pull_slice_into,
        linear=(0,),
        batch=_batch_slice,
        attr_names=("sizes",),
    )
)


def _infer_update(types: Types, attrs: Any) -> Types:
    x, u, *places = types
    if u.dtype != x.dtype:
        raise IRTypeError(f"moving_update: {u} into {x}")
    _check("moving_update", x, u.dims, tuple(places))
    return (x,)


def _update(x: np.ndarray, u: np.ndarray, *places: np.ndarray) -> np.ndarray:
    there, here = _places("moving_update", x, u.shape, places)
    out = x.copy()
    out[there] = u[here]
    return out


def _pull_update(g: Any, y: Any, x: Any, u: Any, *places: Any) -> Any:
    part = moving_slice(g, *places, sizes=u.shape)  # read before g is written, which may then be done in place
    return (moving_update(g, zeros_like(g, u.shape), *places), part, *[None] * len(places))


def _batch_update(size: int, lanes: Any, x: Any, u: Any, *places: Any) -> Any:
    x, u = in_each(size, lanes[:2], (x, u))
    if any(lanes[2:]):
        return update_of_each(size, lanes[2:], x, u, places)
    return moving_update(x, u, *in_all(size, x, places))


moving_update: OpDef = register(
    OpDef(
        "moving_update",
        "index",
        _infer_update,
        _update,
        arity=-1,
        pull=_pull_update,
        linear=(0, 1),
        batch=_batch_update,
    )
)


def _infer_limit(types: Types, attrs: Any) -> Types:
    x, fill, n = types
    if fill != TensorType(x.dtype) or n != I64:
        raise IRTypeError(f"limit: needs a 0-d {x.dtype} and a 0-d i64 besides {x}, got {fill} and {n}")
    if not 0 <= attrs["axis"] < x.rank:
        raise IRTypeError(f"limit: {x} has no axis {attrs['axis']}")
    return (x,)


def _limit(x: np.ndarray, fill: np.ndarray, n: np.ndarray, axis: int) -> np.ndarray:
    out = x.copy()
    out[(slice(None),) * axis + (slice(max(int(n), 0), None),)] = fill
    return out


def _pull_limit(g: Any, y: Any, x: Any, fill: Any, n: Any, axis: int) -> Any:
    inside = limit(g, 0, n, axis=axis)
    return inside, sum_(g - inside, axes=tuple(range(len(x.shape)))), None


def _batch_limit(size: int, lanes: Any, x: Any, fill: Any, n: Any, axis: int) -> Any:
    if lanes[1] or lanes[2]:
        return limit_of_each(lanes, x, fill, n, axis)
    return limit(x, fill, n, axis=axis + 1)


limit: OpDef = register(
    OpDef(
        "limit",
        "index",
        _infer_limit,
        _limit,
        arity=3,
        pull=_pull_limit,
        linear=(0, 1),
        batch=_batch_limit,
        attr_names=("axis",),
    )
)


def _infer_agree(types: Types, attrs: Any) -> Types:
    if tuple(types) != (I64, I64):
        raise IRTypeError(f"agree: takes two 0-d i64, got {', '.join(map(str, types))}")
    return (I64,)


def disagreement(problem: str, by: int) -> str:
    """What a promise that was not kept is told as."""
    return f"{problem} ({abs(by)} too {'many' if by > 0 else 'few'} elements)"


def _agree(n: np.ndarray, k: np.ndarray, problem: str) -> np.ndarray:
    if n != k:
        raise ValueError(disagreement(problem, int(n) - int(k)))
    return n


agree: OpDef = register(
    OpDef(
        "agree",
        "elementwise",
        _infer_agree,
        _agree,
        arity=2,
        scalar="a",
        pull=lambda g, y, n, k, problem: (None, None),
        batch=lambda size, lanes, n, k, problem: agree_in_each(agree, size, lanes, n, k, problem),
        attr_names=("problem",),
        dtypes="i",
    )
)
