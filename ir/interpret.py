"""The reference interpreter: each op's NumPy function, in order. It defines what a graph means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.ir.graph import Graph, Value


def interpret(graph: Graph, arguments: Sequence[Any]) -> list[np.ndarray]:
    """Run `graph` on arrays and return its outputs as arrays (views of arguments where an op gives views).

    Raises TypeError when an argument's dtype or shape is not the input's.
    """
    env: dict[Value, np.ndarray] = {}
    for value, given in zip(graph.inputs, arguments, strict=True):
        array = np.asarray(given)
        if array.dtype != value.type.np_dtype or array.shape != value.type.dims:
            raise TypeError(
                f"{graph.name}: input {value.name} is {value.type}, got {array.dtype}{array.shape}"
            )
        env[value] = array
    for op in graph.ops:
        operands = [env[v] for v in op.operands]
        if op.regions:
            results = interpret(op.regions[0], operands)
        else:
            out = op.kind.reference(*operands, **op.attrs)
            results = list(out) if isinstance(out, tuple) else [out]
        for value, result in zip(op.results, results, strict=True):
            env[value] = np.asarray(result)
    return [env[v] for v in graph.outputs]
