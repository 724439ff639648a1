"""Types of the IR: a dtype and dims, nothing else.

A `TensorType` says what a value holds: `f32[32, 10]` is a float32 array of shape (32, 10), `f32` is a
0-d one. Layout, device and aliasing are not types: passes that need them keep their own tables.

`stack` is the one type that is no array: what a loop leaves for its backward loop (see `weft.ir.ops.stack`).
It has no element type, so it is not among `NAMES`.
"""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np

from weft.ir.dims import same_shape
from weft.ir.records import dataclass

NAMES: dict[str, np.dtype] = {
    "bool": np.dtype(np.bool_),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "u8": np.dtype(np.uint8),
    "u16": np.dtype(np.uint16),
    "u32": np.dtype(np.uint32),
    "u64": np.dtype(np.uint64),
    "f16": np.dtype(np.float16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}
_BY_DTYPE: dict[np.dtype, str] = {dtype: name for name, dtype in NAMES.items()}
_TEXT = re.compile(r"(\w+)(?:\[(\d+(?:, \d+)*)\])?")


def dtype_name(dtype: object) -> str:
    """IR name of a NumPy dtype (`np.float32` -> "f32"). Raises TypeError for dtypes weft doesn't have."""
    dt = np.dtype(dtype)  # type: ignore[call-overload]
    name = _BY_DTYPE.get(dt)
    if name is None:
        native = dt.newbyteorder("=")
        name = _BY_DTYPE.get(native) if native == dt else None
    if name is None:
        raise TypeError(f"weft has no dtype {dt}; it has {', '.join(str(d) for d in NAMES.values())}")
    return name


@dataclass(frozen=True)
class TensorType:
    """dtype (an IR name, see `NAMES`) and dims (a tuple of ints)."""

    dtype: str
    dims: tuple[int, ...] = ()

    @cached_property
    def np_dtype(self) -> np.dtype:
        """The dtype of arrays that hold it; the interpreter holds a stack in a 0-d object array."""
        return np.dtype(object) if self.is_stack else NAMES[self.dtype]

    @property
    def rank(self) -> int:
        return len(self.dims)

    @cached_property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for d in self.dims:
            n *= d
        return n

    @cached_property
    def nbytes(self) -> int:
        return self.size * self.np_dtype.itemsize

    @property
    def is_stack(self) -> bool:
        return self.dtype == "stack"

    @property
    def is_float(self) -> bool:
        return self.dtype[0] == "f"

    @property
    def is_integer(self) -> bool:
        return self.dtype[0] in "iu"

    def with_dims(self, dims: tuple[int, ...]) -> TensorType:
        return TensorType(self.dtype, tuple(dims))

    def with_dtype(self, dtype: str) -> TensorType:
        return TensorType(dtype, self.dims)

    def same(self, other: TensorType) -> bool:
        """Whether it is the other type whatever the symbols in the dims are."""
        return self.dtype == other.dtype and same_shape(self.dims, other.dims)

    def __str__(self) -> str:
        return self.dtype if not self.dims else f"{self.dtype}[{', '.join(map(str, self.dims))}]"


STACK = TensorType("stack")


def read_type(text: str) -> TensorType | None:
    """The type that prints as `text`, None when none does."""
    found = _TEXT.fullmatch(text)
    if found is None or found[1] not in (*NAMES, STACK.dtype):
        return None
    type_ = TensorType(found[1], tuple(map(int, found[2].split(", "))) if found[2] else ())
    return type_ if str(type_) == text and (type_ == STACK or not type_.is_stack) else None


def broadcast_dims(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """NumPy's broadcast of shapes. Raises ValueError that names the shapes when they don't fit."""
    rank = max(map(len, shapes), default=0)
    out = [1] * rank
    for shape in shapes:
        for i, d in enumerate(shape, rank - len(shape)):
            if d != 1:
                if out[i] not in (1, d):
                    raise ValueError("shapes " + " and ".join(map(str, shapes)) + " do not broadcast")
                out[i] = d
    return tuple(out)


def strides_of(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    out, step = [], 1
    for d in reversed(dims):
        out.append(step)
        step *= d
    return tuple(reversed(out))
