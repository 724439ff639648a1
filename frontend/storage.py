"""Storages: an array in memory as a capture sees it, and how a write through a view reaches it.

    b = a[1:4].T        b shows a's storage by the path  slice, transpose
    b[:] = v            a's storage now holds  update(a, transpose(v), start=(1,), ...)

A storage holds the current SSA value of one array; a view is a path of movement ops over it. Reading a view
applies its path to what the storage holds now; writing goes the path back and gives the storage another
value. So an array that changes is a sequence of values, and nothing below the tracer knows of mutation.

A capture inside another (a transform's, a loop's body) may write an array of the outer one: the storage then
lives in the inner capture, which notes in its journal what the outer one had, and hands it back at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.frontend.errors import message
from weft.frontend.layout import Layout, row_major, stepped
from weft.ir import ops
from weft.ir.graph import Value
from weft.ir.opdef import REGISTRY, OpDef
from weft.ir.records import dataclass
from weft.ir.space import READER

if TYPE_CHECKING:
    from weft.frontend.capture import Trace

move = ops.movement
WRITES = {read: write for write, read in READER.items()}


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """One step of a path: a movement op. `starts` are the storages of a dynamic slice's 0-d starts, and lengths."""

    op: OpDef
    attrs: Mapping[str, Any]
    starts: tuple[Storage, ...] = ()


Path = tuple[View, ...]


class Storage:
    """What one array holds: `value` in the capture `trace`. `argument`: the array is the caller's. aliases: which
    others may be the same array, depending on what is known when the program runs (see `writes.link`)."""

    __slots__ = ("trace", "value", "argument", "strides", "aliases", "__weakref__")

    def __init__(self, trace: Trace, value: Value, argument: bool = False, strides: Any = None) -> None:
        self.trace = trace
        self.value = value
        self.argument = argument
        self.strides = strides  # of the caller's array; None: row-major
        self.aliases: tuple[Any, ...] = ()

    def value_in(self, trace: Trace) -> Value:
        """Its value in `trace`, which is its own capture or one inside that."""
        return self.value if self.trace is trace else trace.lift(self.trace, self.value)

    def move_to(self, trace: Trace) -> None:
        """Let it live in `trace`, a capture inside its own, until that ends."""
        if self.trace is trace:
            return
        outer, value = self.trace, self.value
        inner = trace.lift(outer, value)
        trace.journal.setdefault(self, (outer, value))
        self.trace, self.value = trace, inner


def read_path(trace: Trace, value: Value, path: Sequence[View]) -> Value:
    """The view's value, from its storage's."""
    for view in path:
        value = trace.emit(view.op, (value, *_starts(trace, view)), view.attrs)
    return value


def write_path(storage: Storage, path: Sequence[View], new: Value) -> None:
    """Give the storage the value that it has once the view at `path` is `new`, a value of its capture."""
    trace = storage.trace
    bases = [storage.value]
    for view in path[:-1]:
        bases.append(read_path(trace, bases[-1], (view,)))
    for base, view in zip(reversed(bases[: len(path)]), reversed(path), strict=True):
        new = _undo(trace, base, view, new)
    storage.value = new


def _starts(trace: Trace, view: View) -> list[Value]:
    return [s.value_in(trace) for s in view.starts]


def _undo(trace: Trace, base: Value, view: View, new: Value) -> Value:
    """`base` with its view replaced by `new`."""
    op, attrs = view.op, view.attrs
    if op is move.slice_:
        whole = base.type.dims == new.type.dims
        return new if whole else trace.emit(REGISTRY["update"], (base, new), attrs)
    if op is move.reshape:
        return trace.emit(move.reshape, (new,), {"shape": base.type.dims})
    if op is move.transpose:
        return trace.emit(move.transpose, (new,), {"perm": tuple(int(i) for i in np.argsort(attrs["perm"]))})
    if op is move.reverse:
        return trace.emit(move.reverse, (new,), attrs)
    if op.name in WRITES:
        return trace.emit(REGISTRY[WRITES[op.name]], (base, new, *_starts(trace, view)), {})
    kind = "a broadcast view" if op is move.broadcast else "of windows that overlap"
    raise ValueError(message(f"assignment destination is read-only: it is {kind}", [base]))


def shows_copy(shape: Sequence[int], strides: Any, path: Sequence[View]) -> bool:
    """Whether NumPy's last step of `path`, a reshape, copies: the axes to merge don't lie one after another."""
    if all(v.op is move.reshape for v in path) and strides is None:
        return False
    shown: Layout | None = row_major(shape, strides)
    for view in path:
        if shown is None:
            break
        shown = stepped(shown, view.op, view.attrs)
    return shown is None


def is_relabelling(dims: Sequence[int], others: Sequence[int]) -> bool:
    """Whether only axes of size one come and go: a view however an array lies."""
    return [n for n in dims if n != 1] == [n for n in others if n != 1]


@dataclass(frozen=True, eq=False, slots=True)
class Written:
    """What a capture has written that is not its own: `target`, an array of an outer capture (its storage) or
    one that is closed over, holds `value` at the capture's end."""

    target: Storage | np.ndarray
    value: Value
