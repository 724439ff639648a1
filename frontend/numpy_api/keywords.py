"""What many NumPy functions take alike: array arguments, axis, keepdims, dtype, out."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from weft.frontend.capture import supported_dtype
from weft.frontend.errors import AxisError, DTypeError, ShapeError, message
from weft.frontend.numpy_api.moves import find_tracer
from weft.frontend.tracer import Tracer, as_tracer, cast, common_dtype, emit
from weft.frontend.writes import store, target_of
from weft.ir import ops

F = TypeVar("F", bound=Callable[..., Any])
NoValue: Any = np._NoValue  # type: ignore[attr-defined]  # what NumPy takes for "not given"


def arrays(*operands: Any) -> list[Tracer]:
    """The operands as tracers of their own dtypes, Python numbers as arrays would be. One is a tracer already."""
    like = next(o for o in operands if type(o) is Tracer)
    tracers = [as_tracer(o, like) for o in operands]
    return [t if t.weak is None else cast(t, t.dtype) for t in tracers]


def common(like: Tracer, *operands: Any) -> list[Tracer]:
    """The operands as tracers of their common dtype (NEP 50). Python ints beyond it wrap around, as in np.where."""
    tracers = [as_tracer(o, like) for o in operands]
    dtype = common_dtype(tracers)
    return [cast(t, dtype) for t in tracers]


def normal_axis(axis: Any, x: Tracer, rank: int | None = None) -> int:
    """An axis of x, or of an array of `rank` axes made from it, as a non-negative int. Raises AxisError."""
    rank = x.ndim if rank is None else rank
    index = operator.index(axis)
    if not -rank <= index < rank:
        text = f"axis {index} is out of bounds for array of dimension {rank}"
        raise AxisError(message(text, [x.value]))
    return index % rank


def normal_axes(axis: Any, x: Tracer) -> tuple[int, ...]:
    """The axes of a reduction, increasing. None means all; of a 0-d array 0 and -1 mean none, as NumPy's do."""
    if axis is None:
        return tuple(range(x.ndim))
    if isinstance(axis, tuple):
        axes = [normal_axis(a, x) for a in axis]
        if len(set(axes)) < len(axes):
            raise ShapeError(message("duplicate value in 'axis'", [x.value]))
        return tuple(sorted(axes))
    if not x.shape and operator.index(axis) in (0, -1):
        return ()
    return (normal_axis(axis, x),)


def kept(result: Tracer, x: Tracer, axes: Sequence[int], keepdims: Any) -> Tracer:
    """A reduction of x over `axes`, with these as axes of size 1 when keepdims is true."""
    if keepdims is NoValue or not keepdims:
        return result
    return emit(ops.movement.reshape, result, shape=tuple(1 if i in axes else d for i, d in enumerate(x.shape)))


def wanted_dtype(dtype: Any, default: np.dtype) -> np.dtype:
    """The argument dtype=, or the default. Raises DTypeError for one that weft doesn't have."""
    if not given(dtype):
        return default
    found = np.dtype(dtype)
    supported_dtype(found, "the result")
    return found


def given(argument: Any) -> bool:
    """Whether an argument that is None or NoValue by default was given."""
    return argument is not NoValue and argument is not None


def takes_out(casting: str = "same_kind") -> Callable[[F], F]:
    """The decorated function has a parameter `out` and never sees it: what it returns is stored there, and `out`
    returned, as NumPy's functions do.

    casting: by which rule; or "buffer" where NumPy works in a copy of `out` of the result's dtype, "equal" where it
    has to have that. Raises TypeError, ShapeError, and ForeignArrayError for a NumPy array.
    """

    def decorate(function: F) -> F:
        parameters = inspect.signature(function).parameters
        names = list(parameters)
        at = sys.maxsize if parameters["out"].kind is inspect.Parameter.KEYWORD_ONLY else names.index("out")

        @functools.wraps(function)
        def storing(*args: Any, **kwargs: Any) -> Any:
            out = args[at] if at < len(args) else kwargs.get("out")
            if not given(out):
                return function(*args, **kwargs)
            target = target_of(out)
            if at < len(args):
                args = (*args[:at], None, *args[at + 1 :])
            else:
                kwargs["out"] = None
            if "dtype" in names and len(args) <= names.index("dtype") and not given(kwargs.get("dtype")):
                kwargs["dtype"] = _wider(args[0], target)
            if find_tracer(args) is None:
                args = _one_traced(args, target)
            return _into(target, function(*args, **kwargs), casting)

        return storing  # type: ignore[return-value]

    return decorate


def _one_traced(args: tuple[Any, ...], like: Tracer) -> tuple[Any, ...]:
    """Arguments that are all known, as a function of traced arrays takes them: its result is to be traced."""
    at = next(i for i, x in enumerate(args) if not isinstance(x, str))
    first = args[at]
    if isinstance(first, list | tuple) and any(isinstance(x, np.ndarray) for x in first):
        first = [as_tracer(x, like) for x in first]
    else:
        first = as_tracer(first, like)
    return (*args[:at], first, *args[at + 1 :])


def _wider(x: Any, out: Tracer) -> Any:
    """The dtype in which floats are added up for an out= of floats; None for others, which have their own."""
    both = [getattr(x, "dtype", None), out.dtype]
    return np.result_type(*both) if all(d is not None and d.kind == "f" for d in both) else None


def _into(target: Tracer, result: Tracer, casting: str) -> Tracer:
    fits = casting == "equal" and target.dtype == result.dtype
    if fits or (casting == "buffer" and np.can_cast(target.dtype, result.dtype)):
        return store(target, result, "unsafe")
    if casting in ("equal", "buffer"):
        text = f"out= of dtype {target.dtype} can't take {result.dtype} results"
        raise DTypeError(message(text, [target.value], f"Make it of dtype {result.dtype}."))
    return store(target, result, casting)
