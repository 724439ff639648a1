"""Constructors of op families: what all ops of a family share is said here once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.ir.opdef import IRTypeError, OpDef, register
from weft.ir.types import TensorType, broadcast_dims, dtype_name

Types = tuple[TensorType, ...]


def kind_letter(dtype: str) -> str:
    """ "b" for bool, "i", "u" or "f"."""
    return dtype[0]


def elementwise(
    name: str,
    function: Callable[..., Any],
    scalar: str | Callable[[str], str],
    *,
    arity: int = 1,
    numpy: Sequence[Any] | None = None,
    result: str | None = None,
    pull: Callable[..., Sequence[Any]] | None = None,
    linear: tuple[int, ...] = (),
    domain: Any = (-2.0, 2.0),
    dtypes: str = "biuf",
) -> OpDef:
    """An op that NumPy applies element by element to operands of one dtype, broadcasting them.

    `result` is the result's dtype when it isn't the operands' ("bool" for comparisons). `function` is the
    reference and, unless `numpy` lists others, the key by which the tracer finds the op.
    """

    def infer(types: Types, attrs: Any) -> Types:
        if len(types) != arity:
            raise IRTypeError(f"{name} takes {arity} operands, got {len(types)}")
        dtype = types[0].dtype
        for t in types:
            if t.dtype != dtype:
                raise IRTypeError(f"{name} takes operands of one dtype, got {' and '.join(map(str, types))}")
        if kind_letter(dtype) not in dtypes:
            raise IRTypeError(f"{name} does not take {dtype}")
        try:
            dims = types[0].dims if arity == 1 else broadcast_dims(*(t.dims for t in types))
        except ValueError as err:
            raise IRTypeError(f"{name}: {err}") from None
        return (TensorType(result or dtype, dims),)

    def reference(*arrays: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            out = np.asarray(function(*arrays))
        want = np.dtype(np.bool_) if result == "bool" else arrays[0].dtype
        return out if out.dtype == want else out.astype(want)

    return register(
        OpDef(
            name,
            "elementwise",
            infer,
            reference,
            arity=arity,
            numpy=tuple(numpy) if numpy is not None else (function,),
            scalar=scalar,
            pull=pull,
            linear=linear,
            domain=domain,
            dtypes=dtypes,
        )
    )


def normal_axes(axes: Any, rank: int, op: str) -> tuple[int, ...]:
    """Axes as an increasing tuple of non-negative ints. Raises IRTypeError for bad or repeated ones."""
    out = []
    for a in axes:
        if not -rank <= a < rank:
            raise IRTypeError(f"{op}: axis {a} is out of range for rank {rank}")
        out.append(a % rank)
    if len(set(out)) != len(out):
        raise IRTypeError(f"{op}: axis repeated in {tuple(axes)}")
    return tuple(sorted(out))


__all__ = [
    "IRTypeError",
    "OpDef",
    "TensorType",
    "Types",
    "dtype_name",
    "elementwise",
    "normal_axes",
    "register",
]
