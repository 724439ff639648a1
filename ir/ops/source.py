"""Ops without operands, and `cast`.

constant  value=               iota  shape= axis= dtype=
extent    size=                a size as a number, an i64: what a symbol (`weft.ir.dims`) is when it is computed with
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import OpDef, register
from weft.ir.ops.families import IRTypeError, Types, lane_by_lane
from weft.ir.types import NAMES, TensorType, dtype_name


def _infer_constant(types: Types, attrs: Any) -> Types:
    value = attrs["value"]
    return (TensorType(dtype_name(value.dtype), value.shape),)


constant = register(
    OpDef("constant", "source", _infer_constant, lambda value: value, arity=0, attr_names=("value",))
)


def _infer_extent(types: Types, attrs: Any) -> Types:
    return (TensorType("i64"),)


extent = register(
    OpDef("extent", "source", _infer_extent, lambda size: np.asarray(int(size)), arity=0, attr_names=("size",))
)


def _infer_iota(types: Types, attrs: Any) -> Types:
    if not 0 <= attrs["axis"] < len(attrs["shape"]):
        raise IRTypeError(f"iota: axis {attrs['axis']} is out of range for shape {attrs['shape']}")
    if attrs["dtype"] not in NAMES or any(d < 0 for d in attrs["shape"]):
        raise IRTypeError(f"iota: no type has dtype {attrs['dtype']!r} and shape {attrs['shape']}")
    return (TensorType(attrs["dtype"], tuple(attrs["shape"])),)


def _iota(shape: tuple[int, ...], axis: int, dtype: str) -> np.ndarray:
    line = np.arange(shape[axis]).astype(NAMES[dtype])
    return np.broadcast_to(line.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape)


iota = register(OpDef("iota", "source", _infer_iota, _iota, arity=0, attr_names=("shape", "axis", "dtype")))


def _infer_cast(types: Types, attrs: Any) -> Types:
    (t,) = types
    if attrs["dtype"] not in NAMES:
        raise IRTypeError(f"cast: no dtype {attrs['dtype']!r}")
    return (t.with_dtype(attrs["dtype"]),)


def _cast(a: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        return a.astype(NAMES[dtype])


cast: OpDef = register(
    OpDef(
        "cast",
        "elementwise",
        _infer_cast,
        _cast,
        scalar="a",
        pull=lambda g, y, x, dtype: (
            cast(g, dtype=x.dtype) if x.type.is_float and g.type.is_float else None,
        ),
        linear=(0,),
        batch=lane_by_lane("cast"),
        attr_names=("dtype",),
    )
)
