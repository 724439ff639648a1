"""The reference interpreter: each op's NumPy function, in order. It defines what a graph means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.ir.graph import Graph, Op, Value
from weft.ir.opdef import OpDef
from weft.ir.ops.control import call, cond, for_loop, while_loop


def interpret(graph: Graph, arguments: Sequence[Any], *, check: bool = False) -> list[np.ndarray]:
    """Run `graph` on arrays and return its outputs as arrays (views of arguments where an op gives views).

    An array is let go after its last use. With `check`, every result is compared with its type. Raises
    TypeError when an argument's dtype or shape is not the input's, or (with `check`) a result's, IndexError
    when an index is out of bounds (see `weft.ir.ops.update`), and what NumPy raises of values: LinAlgError.
    """
    if len(arguments) != len(graph.inputs):
        raise TypeError(f"{graph.name} takes {len(graph.inputs)} arguments, got {len(arguments)}")
    env: dict[Value, np.ndarray] = {}
    for value, given in zip(graph.inputs, arguments, strict=True):
        array = np.asarray(given)
        if not _fits(array, value):
            name = value.name or "?"
            raise TypeError(f"{graph.name}: input {name} is {value.type}, got {array.dtype}{array.shape}")
        env[value] = array
    left = graph.uses()
    for op in graph.ops:
        results = _apply(op, [env[v] for v in op.operands], check)
        for value, result in zip(op.results, results, strict=True):
            env[value] = np.asarray(result)
            if check and not _fits(env[value], value):
                have = f"{env[value].dtype}{env[value].shape}"
                raise TypeError(f"{graph.name}: {op.kind.name} gave {have} where its type is {value.type}")
        for value in op.operands:
            left[value] -= 1
            if not left[value]:
                del env[value]
    return [env[v] for v in graph.outputs]


def _apply(op: Op, operands: list[np.ndarray], check: bool) -> Sequence[Any]:
    run = _CONTROL.get(op.kind)
    if run is not None:
        return run(op, operands, check)
    try:
        out = op.kind.reference(*operands, **op.attrs)
    except (IndexError, ValueError) as error:
        if op.location is not None:
            error.add_note(f"at {op.location}")
        raise
    return out if isinstance(out, tuple) else (out,)


def _call(op: Op, operands: list[np.ndarray], check: bool) -> Sequence[np.ndarray]:
    return interpret(op.regions[0], operands, check=check)


def _cond(op: Op, operands: list[np.ndarray], check: bool) -> Sequence[np.ndarray]:
    then, orelse = op.regions
    return interpret(then if operands[0] else orelse, operands[1:], check=check)


def _while_loop(op: Op, operands: list[np.ndarray], check: bool) -> Sequence[np.ndarray]:
    test, body = op.regions
    count = op.attrs["carried"]
    carried, constants = operands[:count], operands[count:]
    while interpret(test, [*carried, *constants], check=check)[0]:
        carried = interpret(body, [*carried, *constants], check=check)
    return carried


def _for_loop(op: Op, operands: list[np.ndarray], check: bool) -> Sequence[np.ndarray]:
    (body,) = op.regions
    start, stop, *rest = operands
    carried, constants = rest[: op.attrs["carried"]], rest[op.attrs["carried"] :]
    for i in range(int(start), int(stop), op.attrs["step"]):
        carried = interpret(body, [np.asarray(i, np.int64), *carried, *constants], check=check)
    return carried


_CONTROL: dict[OpDef, Callable[[Op, list[np.ndarray], bool], Sequence[np.ndarray]]] = {
    call: _call,
    cond: _cond,
    while_loop: _while_loop,
    for_loop: _for_loop,
}


def _fits(array: np.ndarray, value: Value) -> bool:
    return array.dtype == value.type.np_dtype and array.shape == value.type.dims
