"""Writes to traced arrays: by an assignment, by `out=`, by a function whose argument they are."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from weft.frontend.capture import raise_leak, youngest
from weft.frontend.errors import DTypeError, ForeignArrayError, ShapeError, message
from weft.frontend.numpy_api.registry import METHODS
from weft.frontend.storage import Storage, read_path, write_path
from weft.frontend.tracer import Tracer, cast, emit, innermost, read
from weft.ir import ops
from weft.ir.records import dataclass


def assign(target: Tracer, value: Tracer) -> None:
    """`target[...] = value`, which has the target's dtype and broadcasts to its shape.

    Raises ValueError where NumPy's view would be read-only, ShapeError when the shapes don't fit.
    """
    for t in (target, value):
        if not t.home.active:
            raise_leak(t.value)
    _put(target, broadcast_to(value, target.type.dims, target.extents))
    if target.storage.aliases:
        _mirror(target.storage)
    if target.weak is not None:
        target.weak = None


def _put(target: Tracer, value: Tracer) -> None:
    storage = target.storage
    trace, around = innermost([target, value]), youngest()
    if around is not None and around.serial > trace.serial:
        trace = around
    new = read(trace, value)
    storage.move_to(trace)
    write_path(storage, target.path, new)


@dataclass(frozen=True, eq=False, slots=True)
class Alias:
    """See `link`."""

    made: Tracer
    shown: Tracer
    holds: Tracer


def link(made: Tracer, shown: Tracer, holds: Tracer) -> None:
    """Where `holds`, a 0-d bool, `made` (all of its storage) is the array or view `shown`: each write to one of them
    is then one to the other. What `shown` may be itself, `made` may be too."""
    further = [a for a in shown.storage.aliases if a.made.storage is shown.storage and a.holds.home.active]
    _enter(Alias(made, shown, holds))
    for alias in further:
        storage, path = alias.shown.storage, (*alias.shown.path, *shown.path)
        value = read_path(alias.shown.home, alias.shown.value, shown.path)
        there = Tracer(alias.shown.home, value, None, storage, path)
        _enter(Alias(made, there, emit(ops.logic.logical_and, holds, alias.holds)))


def _enter(alias: Alias) -> None:
    for storage in (alias.made.storage, alias.shown.storage):
        storage.aliases = (*storage.aliases, alias)


def _mirror(origin: Storage) -> None:
    """A storage was written: so are those that may be the same array, first those that it is linked to, and then
    those that are linked to them (two variables may be one array)."""
    done, level = {origin}, [origin]
    for _ in range(2):
        found: dict[Storage, None] = {}
        for storage in level:
            for alias in storage.aliases:
                ends = (alias.made, alias.shown)
                here, there = ends if storage is alias.made.storage else ends[::-1]
                if there.storage not in done and alias.holds.home.active:
                    _put(there, emit(ops.logic.where, alias.holds, here, there))
                    found[there.storage] = None
        done |= set(found)
        level = list(found)


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
    if target.extents is None and result.extents is None and result.shape != target.shape:
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
