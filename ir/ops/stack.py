"""Stacks: what a loop leaves, trip by trip, for the loop that runs it backward.

    s = stack_new()                          an empty stack
    s1 = push(s, x, i)                       s with a record (x, i) on top
    s2, x, i = pop(s1, types=(f32[3], i64))  what is below the record on top, and the record

A stack is used once: compiled code keeps one buffer for a chain of pushes and pops. (The interpreter's stack is a
linked list, a pure value.) A record is popped with the types that it was pushed with.

Derivatives. The cotangent of a stack is a stack of the cotangents of its floats, and a push is pulled back by a
pop: the last record to be pushed is the first to be popped, so it is the last whose cotangent is pushed. The
tangent of a stack is a stack of the tangents of its floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.ir.opdef import IRTypeError, OpDef, register
from weft.ir.ops.families import Types, in_each
from weft.ir.ops.movement import broadcast
from weft.ir.records import dataclass
from weft.ir.types import STACK, TensorType, dtype_name, read_type


@dataclass(frozen=True, eq=False)
class Cell:
    """A record and the stack below it. The empty stack has no record."""

    record: tuple[np.ndarray, ...] | None = None
    below: Cell | None = None


def _boxed(cell: Cell | None) -> np.ndarray:
    """A stack as the interpreter holds it: in a 0-d object array."""
    box = np.empty((), object)
    box[()] = cell
    return box


def zeros(like: Any) -> Any:
    """A cotangent or tangent of nothing, for a value of that type: zeros, or the empty stack."""
    if like.type.is_stack:
        return like.builder.emit(stack_new, ())[0]
    zero = like.const(0)
    return zero if not like.shape else broadcast(zero, shape=like.shape)


def _floats(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(v for v in values if v.type.is_float)


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(v.type) for v in values)


def _push_over(stack: Any, derivatives: Sequence[Any], like: Sequence[Any]) -> Any:
    """`stack` with a record of the derivatives of the floats among `like`, where there are any."""
    pairs = [(v, zeros(v) if d is None else d) for v, d in zip(like, derivatives, strict=True) if v.type.is_float]
    record = [d if d.shape == v.shape else broadcast(d, shape=v.shape) for v, d in pairs]
    return push(stack, *record) if record else stack


def _pop_from(stack: Any, like: Sequence[Any]) -> tuple[Any, ...]:
    """What is below, and for each of `like` the derivative that the record on top has for it, None if no float."""
    floats = _floats(like)
    if not floats:
        return (stack, *[None] * len(like))
    below, *found = pop(stack, types=_texts(floats))
    rest = iter(found)
    return (below, *(next(rest) if v.type.is_float else None for v in like))


stack_new: OpDef = register(
    OpDef("stack_new", "stack", lambda types, attrs: (STACK,), lambda: _boxed(Cell()), arity=0)
)


def _infer_push(types: Types, attrs: Any) -> Types:
    if types[:1] != (STACK,) or STACK in types[1:]:
        raise IRTypeError(f"push takes a stack and arrays, got ({', '.join(map(str, types))})")
    return (STACK,)


def _tangent_of_push(tangents: Any, y: Any, stack: Any, *values: Any) -> Any:
    below = zeros(stack) if tangents[0] is None else tangents[0]
    return _push_over(below, tangents[1:], values)


push: OpDef = register(
    OpDef(
        "push",
        "stack",
        _infer_push,
        lambda stack, *values: _boxed(Cell(values, stack[()])),
        arity=-1,
        pull=lambda g, y, stack, *values: _pop_from(g, values),
        push=_tangent_of_push,
        batch=lambda size, lanes, *operands: push(*in_each(size, lanes, operands)),
    )
)


def _infer_pop(types: Types, attrs: Any) -> Types:
    found = tuple(read_type(text) for text in attrs["types"])
    if types != (STACK,) or None in found or STACK in found:
        listed = ", ".join(map(str, types))
        raise IRTypeError(f"pop takes a stack, and types of arrays, got ({listed}) and {attrs['types']}")
    return (STACK, *(t for t in found if t is not None))


def _pop(stack: np.ndarray, types: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    cell: Cell = stack.item()
    if cell.record is None:
        raise RuntimeError("pop of an empty stack")
    have = tuple(str(TensorType(dtype_name(v.dtype), v.shape)) for v in cell.record)
    if have != tuple(types):
        raise RuntimeError(f"pop of {types} where {have} was pushed")
    return (_boxed(cell.below), *cell.record)


def _pull_pop(g: Any, y: Any, stack: Any, types: Any) -> Any:
    return (_push_over(zeros(stack) if g[0] is None else g[0], g[1:], y[1:]),)


def _types_of_each(size: int, types: Sequence[str]) -> tuple[str, ...]:
    found = [t for t in map(read_type, types) if t is not None]
    return tuple(str(t.with_dims((size, *t.dims))) for t in found)


pop: OpDef = register(
    OpDef(
        "pop",
        "stack",
        _infer_pop,
        _pop,
        pull=_pull_pop,
        push=lambda tangents, y, stack, types: _pop_from(tangents[0], y[1:]),
        batch=lambda size, lanes, stack, types: pop(stack, types=_types_of_each(size, types)),
        attr_names=("types",),
    )
)
