"""Arguments: what to call each leaf of a call's arguments, and which leaves are arrays.

    step(params, x, lr=0.1)    ->    params[0]['W'], params[0]['b'], x, lr
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.frontend import tree
from weft.frontend.capture import Trace, supported_dtype
from weft.frontend.storage import Storage
from weft.frontend.tracer import WEAK_DTYPES, Tracer
from weft.ir.graph import Value
from weft.ir.types import TensorType


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # a built-in without one
        return None


def positional_names(signature: inspect.Signature | None, count: int) -> list[str]:
    """Names of the first `count` positional parameters: `x`, `args[2]`, `arg3`."""
    names: list[str] = []
    for p in signature.parameters.values() if signature is not None else ():
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append(p.name)
        elif p.kind is p.VAR_POSITIONAL:
            names += [f"{p.name}[{i}]" for i in range(count - len(names))]
    return (names + [f"arg{i}" for i in range(len(names), count)])[:count]


def name_of(function: Callable[..., Any]) -> str:
    """A function's name as an identifier, for its graph."""
    return identifier(getattr(function, "__name__", type(function).__name__)) or "main"


def identifier(path: str) -> str:
    """`params[0]['W']` -> `params_0_W`; "" when nothing is left."""
    name = re.sub(r"\W+", "_", path, flags=re.ASCII).strip("_")
    if not name or keyword.iskeyword(name):
        return f"{name}_" if name else ""
    return name if not name[0].isdigit() else f"_{name}"


def leaf_paths(name: str, argument: Any) -> list[str]:
    """The paths of an argument's leaves, as the user would write them."""
    return tree.structure(argument).paths(name)


def input_type(leaf: Any, path: str) -> TensorType | None:
    """IR type of an array, a tracer, or a NumPy or Python scalar; None for anything else.

    Raises DTypeError for arrays of dtypes that weft doesn't have.
    """
    if type(leaf) is Tracer:
        return leaf.value.type
    if isinstance(leaf, np.ndarray | np.generic):
        return TensorType(supported_dtype(leaf.dtype, f"argument {path}"), leaf.shape)
    name = WEAK_DTYPES.get(type(leaf))
    return TensorType(name) if name is not None else None


def weak_of(leaf: Any) -> type | None:
    """bool, int or float for a Python scalar, or a tracer that stands for one."""
    if type(leaf) is Tracer:
        return leaf.weak
    return type(leaf) if type(leaf) in WEAK_DTYPES else None


def argument_tracer(trace: Trace, value: Value, weak: type | None, strides: Any = None) -> Tracer:
    """A tracer whose array belongs to the caller. strides: of the array, None where it lies in row-major order."""
    return Tracer(trace, value, weak, Storage(trace, value, argument=True, strides=strides))


def as_array(leaf: Any, type: TensorType) -> np.ndarray:
    """A leaf as the array that enters the graph."""
    return np.asarray(leaf, dtype=type.np_dtype)


def normal_argnums(argnums: int | Sequence[int], count: int, what: str) -> tuple[int, ...]:
    """Positions as non-negative ints. Raises ValueError when there is no such argument, or it is repeated."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    found = []
    for n in numbers:
        if not -count <= n < count:
            raise ValueError(f"{what}={argnums}, but the call has {count} positional arguments")
        found.append(n % count)
    if len(set(found)) != len(found):
        raise ValueError(f"{what}={argnums} names an argument twice")
    return tuple(found)
