"""The reference interpreter: each op's NumPy function, in order. It defines what a graph means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.ir.graph import Graph, Op, Value


def interpret(graph: Graph, arguments: Sequence[Any], *, check: bool = False) -> list[np.ndarray]:
    """Run `graph` on arrays and return its outputs as arrays (views of arguments where an op gives views).

    An array is let go after its last use. With `check`, every result is compared with its type. Raises
    TypeError when an argument's dtype or shape is not the input's, or (with `check`) a result's.
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
    if op.regions:
        return interpret(op.regions[0], operands, check=check)
    out = op.kind.reference(*operands, **op.attrs)
    return out if isinstance(out, tuple) else (out,)


def _fits(array: np.ndarray, value: Value) -> bool:
    return array.dtype == value.type.np_dtype and array.shape == value.type.dims
