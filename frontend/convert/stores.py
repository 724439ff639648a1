"""Reads and writes of elements, `a[i]`, `a[i] = v`, `a[i] += v`, `a += v`, as converted functions do them.

A traced array knows what to do itself. A NumPy array that is to hold something traced becomes a traced one, if
nobody else knows it: the variable is given that. So does one that is written in a branch or a loop: what is written
there is written when the program runs.
"""

from __future__ import annotations

import builtins
import operator
import sys
from typing import Any

import numpy as np

from weft.frontend import tree
from weft.frontend.capture import in_region, note_overwritten, reader_of, youngest
from weft.frontend.operators import named
from weft.frontend.region_parts import State
from weft.frontend.tracer import Tracer, anchor_in, as_tracer
from weft.frontend.writes import raise_foreign
from weft.ir.types import dtype_name


def get_item(target: Any, key: Any) -> Any:
    """`target[key]`: a NumPy array takes a traced key."""
    if type(target) is np.ndarray and _any_traced(key):
        around = youngest()
        assert around is not None
        target = as_tracer(target, anchor_in(around))
    return named(target[key], 2)


def unpack(value: Any, count: int) -> tuple[Any, ...]:
    """What `a[i], b = value` unpacks. Raises ValueError when the number of items is another."""
    items = tuple(value)
    if len(items) != count:
        few = len(items) < count
        raise ValueError(f"not enough values to unpack (expected {count}, got {len(items)})" if few
                         else f"too many values to unpack (expected {count})")  # fmt: skip
    return items


def set_item(target: Any, key: Any, value: Any) -> Any:
    """`target[key] = value` of a variable; what it is to hold from now on."""
    if type(target) is np.ndarray:
        target = _writable(target, key, value)
    target[key] = value
    return target


def set_item_of(target: Any, key: Any, value: Any) -> None:
    """`f().a[key] = value`: of an object that no variable of the function holds."""
    if type(target) is np.ndarray:
        check_foreign(target, key, value)
    target[key] = value


def augment_item_of(target: Any, key: Any, op: str, value: Any) -> None:
    if type(target) is np.ndarray:
        check_foreign(target, key, value)
    target[key] = _INPLACE[op](target[key], value)


def augment_item(target: Any, key: Any, op: str, value: Any) -> Any:
    """`target[key] += value`."""
    if type(target) is np.ndarray:
        target = _writable(target, key, value)
    item = target[key]
    target[key] = _INPLACE[op](item, value)
    return target


def augment(op: str, target: Any, value: Any) -> Any:
    """`target += value`."""
    if type(target) is np.ndarray:
        target = _writable(target, value)
    return named(_INPLACE[op](target, value), 2)


def check_foreign(array: np.ndarray, *values: Any) -> None:
    """A NumPy array that no variable can be given another for is written. Raises ForeignArrayError where that would be
    done when the program runs."""
    if _changes_when_run(*values):
        raise_foreign(array)
    note_overwritten(array)


_INPLACE = {
    "Add": operator.iadd, "Sub": operator.isub, "Mult": operator.imul, "Div": operator.itruediv,
    "FloorDiv": operator.ifloordiv, "Mod": operator.imod, "Pow": operator.ipow, "MatMult": operator.imatmul,
    "BitAnd": operator.iand, "BitOr": operator.ior, "BitXor": operator.ixor, "LShift": operator.ilshift,
    "RShift": operator.irshift,
}  # fmt: skip


def _changes_when_run(*values: Any) -> bool:
    """Whether a write of these is no matter of the capture alone."""
    return in_region() or _any_traced(*values)


def _any_traced(*values: Any) -> bool:
    return any(type(leaf) is Tracer for leaf in tree.leaves(values)) or any(
        isinstance(v, builtins.slice) and any(type(x) is Tracer for x in (v.start, v.stop, v.step)) for v in values
    )


_OWN_REFERENCES = 4  # the variable, the hook's argument or list, the callee's argument, getrefcount's


def _writable(array: np.ndarray, *values: Any) -> Any:
    """A variable's NumPy array, into which these shall be written: traced, if they are written when the program runs.

    Nobody else may know the array then: they would not see it change. Raises ForeignArrayError when somebody does.
    """
    if not _changes_when_run(*values):
        note_overwritten(array)
        return array
    if sys.getrefcount(array) > _OWN_REFERENCES + _of_readers(array) or not _memory_is_own(array):
        raise_foreign(array)
    return _traced(array)


def take_over(state: State) -> None:
    """Let the NumPy arrays be traced that a branch or loop may write, and that only its variables know."""
    if not state.stored:
        return
    found = list(state.get())
    for k, name in enumerate(state.names):
        if name in state.stored and type(found[k]) is np.ndarray and _is_own(found[k]):
            found[k] = _traced(found[k])
    state.set(found)


def _is_own(array: np.ndarray) -> bool:
    if array.dtype.kind not in "biuf" or not array.dtype.isnative:
        return False
    return sys.getrefcount(array) <= _OWN_REFERENCES + _of_readers(array) and _memory_is_own(array)


def _of_readers(array: np.ndarray) -> int:
    """References to an array from a capture that has read it: its table's and its source's."""
    return 0 if reader_of(array) is None else 2


def _memory_is_own(array: np.ndarray) -> bool:
    """Whether no other array shows its memory: what NumPy returns may be a view of what it made."""
    base = array.base
    while base is not None:
        if type(base) is not np.ndarray or sys.getrefcount(base) > _OWN_REFERENCES - 1:
            return False
        base = base.base
    return True


def _traced(array: np.ndarray) -> Tracer:
    around, reader = youngest(), reader_of(array)
    assert around is not None
    if reader is None:
        return Tracer(around, around.builder.constant(array.copy(), dtype_name(array.dtype)).value)
    _, storage, _ = reader.arrays.pop(id(array))  # written from now on, but not for anybody outside
    return Tracer(storage.trace, storage.value, None, storage)
