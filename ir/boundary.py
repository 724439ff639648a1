"""How a compiled function's arguments and results hang in Python objects, for the code that takes them apart.

    f({"W": W}, 2)  ->  (V, 1.0)         Container(dict, [Leaf(0)], keys=["W"]), Leaf(1, int)
                                         Container(tuple, [Result(0), Result(1, float)])

A frontend that can say it in these words, of exactly the built-in containers and NumPy's arrays and scalars, gets a
call without any Python in it (`weft.runtime.direct`); what it can't say goes the general way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weft.ir.records import dataclass

MISSED = object()  # what such a call returns, with nothing done, for arguments that it is not made for


@dataclass(frozen=True)
class Leaf:
    """Input `position` of the graph. cls: the exact class of the object, np.ndarray or that of a scalar.
    fixed: what a Python number must be, bit for bit, if the code is compiled for it."""

    position: int
    cls: type
    fixed: bool | int | float | None = None


@dataclass(frozen=True)
class Result:
    """Output `position` of the graph. cls: bool, int or float when it is to be Python's; else it is NumPy's."""

    position: int
    cls: type | None = None


@dataclass(frozen=True)
class Argument:
    """The very array that is input `position` of the graph."""

    position: int


@dataclass(frozen=True)
class Constant:
    """An object, the very same at each call."""

    value: Any


@dataclass(frozen=True)
class Container:
    """An object of exactly this class around `children`: tuple, list or dict (then `keys` are its keys, all of them
    strings). Among results, one of another class is built by `make`, of the children's list."""

    cls: type
    children: Sequence[Node]
    keys: Sequence[str] | None = None
    make: Callable[[list[Any]], Any] | None = None


Node = Leaf | Result | Argument | Constant | Container


@dataclass(frozen=True)
class Boundary:
    """arguments: one node per argument; the last ones are passed by keyword, as `names`, in this order. donated:
    inputs whose buffers results may take, if those are nobody else's. stored: (input, output) pairs: the function
    writes the input, which may share no memory with another, and leaves in it what the output holds."""

    arguments: Sequence[Node]
    names: Sequence[str]
    result: Node
    donated: frozenset[int] = frozenset()
    stored: Sequence[tuple[int, int]] = ()
