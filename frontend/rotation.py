"""Variables that hand each other their arrays from trip to trip of a loop, when others know those arrays too.

    for _ in range(n):               after trip     0  1  2  3
        v[1:-1] = f(u)               u is           A  B  A  B
        u, v = v, u                  v is           B  A  B  A

The loop carries the values of the variables (and exchanges two pointers). After it, the arrays hold what the
variables held: A the value of u if the number of trips is even, else that of v. With that number known the variables
are the arrays again; otherwise they are arrays of their own, linked to those that they may be (see `writes.link`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from weft.frontend.capture import Trace
from weft.frontend.region_parts import Key
from weft.frontend.tracer import Tracer, emit
from weft.frontend.writes import assign, link
from weft.ir.graph import Value
from weft.ir.opdef import REGISTRY
from weft.ir.records import dataclass

Trips = Callable[[], Any]  # how often a loop ran: an int, or traced


@dataclass(frozen=True, eq=False)
class Rotation:
    """After r trips the variable keys[i] has the array that keys[(i + r) % len(keys)] had before: arrays[...]."""

    keys: tuple[Key, ...]
    arrays: tuple[Tracer, ...]

    def bind(self, parent: Trace, results: Mapping[Key, Value], trips: Any) -> dict[Key, Tracer]:
        """Let the arrays hold what the loop left, and give what the variables show."""
        m = len(self.keys)
        last = [Tracer(parent, results[key]) for key in self.keys]
        if type(trips) is int:
            for i, made in enumerate(last):
                assign(self.arrays[(i + trips) % m], made)
            return {key: self.arrays[(i + trips) % m] for i, key in enumerate(self.keys)}
        holds = [np.equal(trips % m, r) for r in range(m)]
        for a, array in enumerate(self.arrays):
            value = last[a]
            for r in range(1, m):
                value = emit(REGISTRY["where"], holds[r], last[(a - r) % m], value)
            assign(array, value)
        for i, made in enumerate(last):
            for r in range(m):
                link(made, self.arrays[(i + r) % m], holds[r])
        return dict(zip(self.keys, last, strict=True))


@dataclass(frozen=True)
class Held:
    """An array that a variable shows after `trips` trips of a loop: then, every `period` later, or from then on."""

    array: Any
    trips: int
    period: int
    onwards: bool = False

    def holds(self, trips: Any) -> Any:
        """Whether it does after so many, which may be traced."""
        if self.onwards:
            return trips >= self.trips
        return (trips % self.period if self.period else trips) == self.trips


def cycle_of(key: Key, source: Mapping[Key, Key]) -> tuple[Key, ...]:
    """key, the variable whose array it takes over, that one's, ... back to key; nothing if that does not come back.

    source: for a variable after a trip, the one that had its array before.
    """
    found = [key]
    while (then := source.get(found[-1])) != key:
        if then is None or then in found:
            return ()
        found.append(then)
    return tuple(found)


def is_read(trace: Trace, value: Value, outputs: Sequence[Value] = ()) -> bool:
    """Whether anything in a captured body uses a value."""
    return value in outputs or any(value in op.operands for op in trace.builder.ops)
