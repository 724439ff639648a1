"""Windows that slide along an array, and the op that turns them back. Both move elements only, and are linear.

    windows  axes= sizes=    y[.., i, .., k] = x[.., i + k, ..]       the windows' axes come last, one per entry
    shear    axes= along=    y[.., i, .., k, ..] = x[.., i + k, .., k, ..]

An axis may be named more than once: i + k + l. Strides and dilations are slices of y. What windows overlap is added up
by the transpose, which is made of shear: element p of x is in the windows that begin at p - k.

    sum over k of g[p - k, k]       =       sum over k of shear(reverse(pad(g)))[p, k]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import REGISTRY, OpDef
from weft.ir.ops.families import IRTypeError, Types
from weft.ir.ops.movement import _movement, pad, reverse
from weft.ir.types import TensorType


def _infer_windows(types: Types, attrs: Any) -> Types:
    (t,) = types
    axes, sizes = attrs["axes"], attrs["sizes"]
    if len(axes) != len(sizes) or any(not 0 <= a < t.rank for a in axes) or any(n < 1 for n in sizes):
        raise IRTypeError(f"windows: needs a size of 1 or more for each of some axes of {t}, got {axes}, {sizes}")
    dims = list(t.dims)
    for a, n in zip(axes, sizes, strict=True):
        dims[a] -= n - 1
    if any(dims[a] < 1 for a in axes):
        raise IRTypeError(f"windows: sizes {tuple(sizes)} do not fit axes {tuple(axes)} of {t}")
    return (t.with_dims((*dims, *sizes)),)


def _pull_windows(g: Any, y: Any, x: Any, axes: Any, sizes: Any) -> Any:
    along = tuple(range(len(x.shape), len(g.shape)))
    return (REGISTRY["sum"](_back(g, axes, along), axes=along),)


def _back(g: Any, axes: Any, along: Any) -> Any:
    """y[.., p, .., k] = g[.., p - k, .., k], 0 where there is none."""
    margin = [0] * len(g.shape)
    for a, k in zip(axes, along, strict=True):
        margin[a] += g.shape[k] - 1
    padded = pad(g, g.const(0), low=tuple(margin), high=tuple(margin))
    return shear(reverse(padded, axes=tuple(sorted(along))), axes=tuple(axes), along=tuple(along))


windows: OpDef = _movement(
    "windows",
    _infer_windows,
    lambda a, axes, sizes: np.lib.stride_tricks.sliding_window_view(a, sizes, axes),
    _pull_windows,
    ("axes", "sizes"),
    batch=lambda size, lanes, x, axes, sizes: windows(x, axes=tuple(a + 1 for a in axes), sizes=sizes),
)


def _infer_shear(types: Types, attrs: Any) -> Types:
    (t,) = types
    axes, along = attrs["axes"], attrs["along"]
    named = all(0 <= a < t.rank for a in (*axes, *along))
    if len(axes) != len(along) or not named or len(set(along)) != len(along) or {*axes} & {*along}:
        raise IRTypeError(f"shear: needs axes of {t} and as many others to go along, got {axes}, {along}")
    dims = list(t.dims)
    for a, k in zip(axes, along, strict=True):
        dims[a] -= t.dims[k] - 1
    if any(t.dims[k] < 1 for k in along) or any(dims[a] < 1 for a in axes):
        raise IRTypeError(f"shear: axes {tuple(axes)} of {t} are too short to go along {tuple(along)}")
    return (TensorType(t.dtype, tuple(dims)),)


def _shear(a: np.ndarray, axes: Any, along: Any) -> np.ndarray:
    (t,) = _infer_shear((TensorType("f64", a.shape),), {"axes": axes, "along": along})
    index = list(np.ogrid[tuple(slice(d) for d in t.dims)])
    for axis, k in zip(axes, along, strict=True):
        index[axis] = index[axis] + index[k]
    return a[tuple(index)]


def _pull_shear(g: Any, y: Any, x: Any, axes: Any, along: Any) -> Any:
    return (reverse(_back(g, axes, along), axes=tuple(sorted(along))),)


shear: OpDef = _movement(
    "shear",
    _infer_shear,
    _shear,
    _pull_shear,
    ("axes", "along"),
    batch=lambda size, lanes, x, axes, along: shear(
        x, axes=tuple(a + 1 for a in axes), along=tuple(k + 1 for k in along)
    ),
)
