"""Writes to traced arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.frontend.capture import raise_leak, youngest
from weft.frontend.errors import ShapeError, message
from weft.frontend.numpy_api.registry import METHODS
from weft.frontend.storage import write_path
from weft.frontend.tracer import Tracer, emit, innermost, read
from weft.ir import ops


def assign(target: Tracer, value: Tracer) -> None:
    """`target[...] = value`, which has the target's dtype and broadcasts to its shape.

    Raises ValueError where NumPy's view would be read-only, ShapeError when the shapes don't fit.
    """
    for t in (target, value):
        if not t.home.active:
            raise_leak(t.value)
    value = broadcast_to(value, target.type.dims, target.extents)
    storage = target.storage
    trace, around = innermost([target, value]), youngest()
    if around is not None and around.serial > trace.serial:
        trace = around
    new = read(trace, value)
    storage.move_to(trace)
    write_path(storage, target.path, new)
    if target.weak is not None:
        target.weak = None


def broadcast_to(tracer: Tracer, shape: tuple[int, ...], extents: Any = None) -> Tracer:
    """The tracer at a shape that an assignment asks for: leading axes of size 1 may go. extents: see `extents`."""
    if tracer.extents is not None or extents is not None:
        fitted: Tracer = METHODS["__fit__"](tracer, shape, extents or (None,) * len(shape))
        return fitted
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
