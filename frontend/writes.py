"""Writes to traced arrays: by an assignment, by `out=`, by a function whose argument they are."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from weft.frontend.capture import raise_leak, youngest
from weft.frontend.errors import DTypeError, ForeignArrayError, ShapeError, message
from weft.frontend.storage import write_path
from weft.frontend.tracer import Tracer, cast, emit, innermost, read
from weft.ir import ops


def assign(target: Tracer, value: Tracer) -> None:
    """`target[...] = value`, which has the target's dtype and broadcasts to its shape.

    Raises ValueError where NumPy's view would be read-only, ShapeError when the shapes don't fit.
    """
    for t in (target, value):
        if not t.home.active:
            raise_leak(t.value)
    value = broadcast_to(value, target.shape)
    storage = target.storage
    trace, around = innermost([target, value]), youngest()
    if around is not None and around.serial > trace.serial:
        trace = around
    new = read(trace, value)
    storage.move_to(trace)
    write_path(storage, target.path, new)
    if target.weak is not None:
        target.weak = None


def broadcast_to(tracer: Tracer, shape: tuple[int, ...]) -> Tracer:
    """The tracer at a shape that an assignment asks for: leading axes of size 1 may go."""
    extra = tracer.ndim - len(shape)
    if extra > 0 and tracer.shape[:extra] == (1,) * extra:
        tracer = emit(ops.movement.reshape, tracer, shape=tracer.shape[extra:])
    if tracer.shape == shape:
        return tracer
    try:
        fits = np.broadcast_shapes(tracer.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        text = f"could not broadcast input array from shape {tracer.shape} into shape {shape}"
        raise ShapeError(message(text, [tracer.value]))
    return emit(ops.movement.broadcast, tracer, shape=shape)


def target_of(array: Any, advice: str = "") -> Tracer:
    """The traced array that a function is to write. Raises TypeError for what is no array, and for a NumPy array
    ForeignArrayError: nobody who reads it by NumPy would see the change."""
    if isinstance(array, np.ndarray):
        raise_foreign(array, advice)
    if type(array) is not Tracer or array.weak is not None:
        raise TypeError(message(f"writes into a {type(array).__name__}, which is no array"))
    return array


def store(target: Tracer, result: Tracer, casting: Any = "same_kind") -> Tracer:
    """`out=target`: a result put in place; the target. Raises ShapeError, and DTypeError by the rule of casting."""
    if result.shape != target.shape:
        text = f"an array of shape {target.shape} can't take a result of shape {result.shape} in place"
        raise ShapeError(message(text, [target.value], "Write a = a + b."))
    if not np.can_cast(result.dtype, target.dtype, casting):
        text = f"{result.dtype} results can't be stored in place in {target.dtype} ({casting} casting)"
        raise DTypeError(message(text.replace("same_kind", "same-kind"), [target.value],
                                 "Write a = a + b, or b.astype(a.dtype)."))  # fmt: skip
    assign(target, cast(result, target.dtype))
    return target


def raise_foreign(array: np.ndarray, more: str = "") -> NoReturn:
    """Raise the error for a traced write to a NumPy array."""
    advice = (
        "Make it in the traced function, by np.zeros, np.empty, x.copy() and the like, or pass it as an argument:\n"
        "an array that was made elsewhere, or has another name or view, would not see the change.\n"
    )
    raise ForeignArrayError(message("writes a traced value into a NumPy array", (), advice + more), array)
