"""Constructors of op families: what all ops of a family share is said here once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.ir.opdef import REGISTRY, IRTypeError, OpDef, register
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
            batch=lane_by_lane(name),
            domain=domain,
            dtypes=dtypes,
        )
    )


def aligned(lanes: Sequence[bool], operands: Sequence[Any]) -> list[Any]:
    """Operands that broadcast against each other lane by lane: the lanes' axis stands before all other axes."""
    rank = max(len(x.shape) - lane for lane, x in zip(lanes, operands, strict=True))
    return [_padded(x, rank) if lane else x for lane, x in zip(lanes, operands, strict=True)]


def _padded(x: Any, rank: int) -> Any:
    missing = rank + 1 - len(x.shape)
    shape = x.shape[:1] + (1,) * missing + x.shape[1:]
    return REGISTRY["reshape"](x, shape=shape) if missing else x


def lane_by_lane(name: str) -> Callable[..., Any]:
    """The batching rule of what is done element by element."""
    return lambda size, lanes, /, *operands, **attrs: REGISTRY[name](*aligned(lanes, operands), **attrs)


def in_each(size: int, lanes: Sequence[bool], operands: Sequence[Any]) -> list[Any]:
    """The operands with the lanes' axis: what all lanes share is broadcast."""
    shared = REGISTRY["broadcast"]
    pairs = zip(lanes, operands, strict=True)
    return [x if lane or x.type.is_stack else shared(x, shape=(size, *x.shape)) for lane, x in pairs]


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
    "aligned",
    "dtype_name",
    "elementwise",
    "in_each",
    "lane_by_lane",
    "normal_axes",
    "register",
]
