"""Sizes as symbols: what is compiled for the second size of an axis serves all others.

    f(x of 128 rows)     compiled for 128 rows
    f(x of 100 rows)     another number of rows: compiled for B rows
    f(x of 60 rows)      the same object code, for B = 60: nothing is compiled

Calls that differ in their arrays' shapes alone are a *family*. Which dims differ among its calls is known when the
second shape comes; dims that always were equal get one symbol. The capture then meets a `weft.ir.dims.Dim` where a
shape has no number, and what it decides by it becomes a guard. A *form* is what came of it: it serves each call whose
sizes the guards allow, at once, by an *instance*, in which all sizes are numbers again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from weft.frontend.specialise import Capture, Leaves, guard_key
from weft.frontend.storage import View
from weft.ir.dims import Dim, symbol
from weft.ir.records import dataclass, field, replace
from weft.ir.settle import evaluator, settle_attr, signature
from weft.ir.sizes import LEAST, Sizes

Shape = tuple[int, ...]
NAMES = "BNMKLHWPQRST"
REMEMBERED = 8  # shapes of a family: a size that differs from one of them is a symbol
INSTANCES = 64  # of a family, that are kept
TRIES = 3  # forms of which nothing came but another compilation for one size, before the family is left alone
log = logging.getLogger("weft.sizes")


@dataclass
class Pattern:
    """Which dims are symbols: the dims of each leaf, None for one that has numbers only."""

    sizes: Sizes
    dims: list[tuple[int | Dim, ...] | None]


@dataclass(eq=False)
class Form:
    """What was compiled for symbols. origins: those of its first call."""

    pattern: Pattern
    made: Capture
    executable: Any
    donated: set[int]
    origins: Any
    holds: Callable[..., bool] = field(init=False)

    def __post_init__(self) -> None:
        self.holds = self.pattern.sizes.holds()

    def values(self, leaves: Leaves) -> dict[str, int] | None:
        """The symbols' values in a call of the family, None where the form does not serve it."""
        found: dict[str, int] = {}
        for leaf, dims in zip(leaves, self.pattern.dims, strict=True):
            if dims is None:
                continue
            for n, dim in zip(leaf.shape, dims, strict=True):
                if not isinstance(dim, Dim):
                    if n != dim:
                        return None
                elif found.setdefault(repr(dim), n) != n:
                    return None
        for leaf, dims, value in zip(leaves, self.pattern.dims, self.made.graph.inputs, strict=False):
            if dims is None and isinstance(leaf, np.ndarray) and leaf.shape != value.type.dims:
                return None
        if any(guard_key(leaves[i]) != guard_key(x) for i, x in self.made.guards.items()):
            return None
        return found if self.holds(**found) else None

    def instance(self, values: Mapping[str, int]) -> tuple[Capture, Any]:
        """The capture and the executable for these sizes."""
        at = evaluator(self.pattern.sizes, values)
        made = self.made
        places = [tuple(_settled(part, at) for part in place) for place in made.places]
        return replace(made, graph=signature(made.graph, at), places=places), self.executable.at(values)


def _settled(x: Any, at: Callable[[Any], int]) -> Any:
    """A part of a place, of sizes that are numbers."""
    if isinstance(x, View):
        return View(x.op, {name: settle_attr(attr, at) for name, attr in x.attrs.items()}, x.starts)
    return tuple(_settled(part, at) for part in x) if type(x) is tuple else settle_attr(x, at)


def family_key(leaves: Leaves) -> list[Any]:
    """As `signature_key`, of arrays of any shape: dtype and rank."""
    key: list[Any] = []
    for leaf in leaves:
        key += (type(leaf), leaf.dtype, leaf.ndim) if isinstance(leaf, np.ndarray) else (type(leaf),)
    return key


class Family:
    """The calls of one function that differ in shapes alone."""

    def __init__(self) -> None:
        self.seen: list[tuple[Shape, ...]] = []
        self.forms: list[Form] = []
        self.failures = 0
        self.served: list[Any] = []

    def serving(self, leaves: Leaves) -> tuple[Form, dict[str, int]] | None:
        """A form for a call, and its symbols' values."""
        for form in self.forms:
            values = form.values(leaves)
            if values is not None:
                return form, values
        return None

    def crowded(self, key: Any) -> Any:
        """Note that a call's key has an instance; gives the oldest key where there are too many to keep: each may hold
        results and buffers."""
        self.served.append(key)
        return self.served.pop(0) if len(self.served) > INSTANCES else None

    def pattern(self, leaves: Leaves) -> Pattern | None:
        """Which dims of a new call are symbols; None for the first one, and where symbols have not been of use."""
        shapes = tuple(leaf.shape if isinstance(leaf, np.ndarray) else () for leaf in leaves)
        before = [s for s in self.seen if s != shapes]
        if shapes not in self.seen:
            self.seen = [*self.seen[-REMEMBERED + 1 :], shapes]
        if not before or self.failures >= TRIES:
            return None
        return _pattern(before, shapes)

    def failed(self, why: object) -> None:
        """Nothing that serves several sizes came of a pattern."""
        self.failures += 1
        log.info("not compiled for all sizes: %s", why, exc_info=why if isinstance(why, Exception) else None)


def _pattern(before: Sequence[tuple[Shape, ...]], now: tuple[Shape, ...]) -> Pattern | None:
    history: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for i, shape in enumerate(now):
        for axis, n in enumerate(shape):
            ns = (n, *(other[i][axis] for other in before))
            if n >= LEAST and len(set(ns)) > 1:
                history.setdefault(ns, []).append((i, axis))
    if not history:
        return None
    names = dict(zip(history, _names(), strict=False))
    sizes = Sizes({names[ns]: ns[0] for ns in history})
    dims: list[tuple[int | Dim, ...] | None] = [None] * len(now)
    for ns, places in history.items():
        for i, axis in places:
            known = list(dims[i] or now[i])
            known[axis] = symbol(sizes, names[ns])
            dims[i] = tuple(known)
    return Pattern(sizes, dims)


def _names() -> Iterable[str]:
    yield from NAMES
    yield from (f"S{i}" for i in range(1, 10_000))
