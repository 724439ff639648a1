"""NumPy's makers of arrays, called in a captured function: what they make is traced, so that it may be written.

    b = np.zeros(n); b[1:-1] = x        b is a traced array of zeros

They don't go through NumPy's protocols (no argument of theirs is an array): converted code calls them by `owned`. So
it does as_strided, which asks for an array's memory first.
A size that is a traced number becomes known, as a guard.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.frontend.capture import supported_dtype, youngest
from weft.frontend.errors import DTypeError
from weft.frontend.numpy_api.registry import CREATORS, FUNCTIONS
from weft.frontend.tracer import Tracer, anchor_in, as_tracer, cast, detached, full
from weft.ir.dims import Dim, as_size

_FILLED = {np.zeros: 0, np.ones: 1, np.empty: 0}
_LIKE = {np.zeros_like: 0, np.ones_like: 1, np.empty_like: 0}
CREATED: frozenset[Any] = frozenset({*_FILLED, *_LIKE, np.full, np.full_like, np.ndarray, np.array, np.asarray,
                                     np.ascontiguousarray, np.copy, np.lib.stride_tricks.as_strided})  # fmt: skip


SIZED = frozenset({np.arange, np.eye, np.identity, np.tri})  # of sizes that are symbols they are traced


def of_symbols(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call makes an array of a size that is a symbol."""
    return function in SIZED and any(isinstance(a, Dim) for a in (*args, *kwargs.values()))


def owned(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`function(*args, **kwargs)` as a traced array, or NumPy's own where it holds no traced values and is not
    made to be written."""
    if "like" in kwargs:
        return function(*args, **kwargs)  # NumPy asks the tracer
    around = youngest()
    assert around is not None
    like = anchor_in(around)
    try:
        if function in SIZED:
            return CREATORS[function](like, *args, **kwargs)
        if function in _FILLED:
            return _filled(like, _FILLED[function], *args, **kwargs)
        if function is np.ndarray and set(kwargs) <= {"shape", "dtype"}:
            return _filled(like, 0, *args, **kwargs)
        if function in _LIKE:
            return _like(like, function, args, kwargs)
        if function is np.full:
            return _full(like, *args, **kwargs)
    except DTypeError:
        return function(*args, **kwargs)
    if function in (np.array, np.asarray, np.ascontiguousarray, np.copy):
        return _array(like, function, args, kwargs)
    implementation = FUNCTIONS.get(function)
    traced = any(type(a) is Tracer for a in (*args, *kwargs.values()))
    return implementation(*args, **kwargs) if implementation is not None and traced else function(*args, **kwargs)


def shape_of(shape: Any) -> tuple[int, ...]:
    """A shape in Python's ints; traced numbers become guards."""
    if isinstance(shape, list | tuple):
        return tuple(map(as_size, shape))
    if isinstance(shape, np.ndarray):
        return tuple(int(n) for n in shape)
    return (as_size(shape),)


def _filled(like: Tracer, number: int, shape: Any, dtype: Any = float, **ignored: Any) -> Any:
    kind = np.dtype(float if dtype is None else dtype)
    supported_dtype(kind, "the array")
    return full(like, shape_of(shape), number, kind)


def _like(like: Tracer, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = args[0] if args else kwargs.get("a", kwargs.get("prototype"))
    if type(given) is Tracer:
        return FUNCTIONS[function](*args, **kwargs)
    made = function(*args, **kwargs)
    supported_dtype(made.dtype, "the array")
    return full(like, made.shape, _LIKE[function], made.dtype)


def _full(like: Tracer, shape: Any, fill_value: Any, dtype: Any = None, **ignored: Any) -> Any:
    value = as_tracer(fill_value, like)
    kind = np.dtype(dtype) if dtype is not None else value.dtype
    supported_dtype(kind, "the array")
    return detached(FUNCTIONS[np.broadcast_to](cast(value, kind), shape_of(shape)))


def _array(like: Tracer, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.array of traced values is a copy of them, or the rows stacked."""
    given = args[0] if args else kwargs.get("object", kwargs.get("a"))
    if not _holds_tracer(given):
        return function(*args, **kwargs)
    dtype = kwargs.get("dtype", args[1] if len(args) > 1 and function is not np.copy else None)
    made = as_tracer(given, like)
    if dtype is not None:
        made = cast(made, np.dtype(dtype))
    if made.weak is not None:
        made = cast(made, made.dtype)
    fresh = function in (np.array, np.copy) and kwargs.get("copy", True) is True
    return detached(made) if fresh and made is given else made


def _holds_tracer(given: Any) -> bool:
    if type(given) is Tracer:
        return True
    return isinstance(given, list | tuple) and any(_holds_tracer(x) for x in given)
