"""Where the values of a fused graph live: what the memory pass decides and code generation reads.

    input i      an argument's buffer (of a region: what the op that holds it reads there)
    output j     a result's buffer, allocated by the caller
    constant k   a buffer made once
    arena + o    bytes of the one block that a call works in; a region's offsets count from its own base
    slot k       a small value (`SMALL` bytes), in a variable of the step's frame
    pointer k    a buffer that is reached through a pointer, which a loop may exchange for another one
    record k     in a stack: where a push will leave the value, or a pop found it

A loop carries large values by exchanging pointers: at the end of a trip pointer k becomes what pointer `order[k]`
is, so `u, v = v, u` moves nothing. Pointers that keep their place are no pointers after all: the loop's user binds
them to any buffer. Regions read only their inputs, so a region is planned by itself, in pointers of its own; the
op that holds it says what they are bound to outside.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weft.ir.dims import is_known
from weft.ir.graph import Op, Value
from weft.ir.records import dataclass, field
from weft.ir.text import Names

SMALL = 64  # bytes: a cache line


@dataclass(frozen=True)
class Place:
    """kind: one of the above. at: its number, or a byte offset in the arena."""

    kind: str
    at: int

    def __str__(self) -> str:
        return f"{self.kind}{'+' if self.kind == 'arena' else ' '}{self.at}"


def is_small(v: Value) -> bool:
    """Does it live in a slot?"""
    size = v.type.nbytes
    return is_known(size) and 0 < size <= SMALL


@dataclass
class Plan:
    """The plan of a graph or region.

    place: of every value. shared: which inputs' buffers a kernel's outputs take over. copies: what is copied at the
    end, to where. taken: outputs that live in a donated input. pointers: bytes of each pointer's buffer; homes: where
    in the arena they start out (of the whole graph only, a region's are bound from outside). outputs: where the
    outputs are in the end. moved: pointers that are exchanged. records: the push or pop of each record place, and
    which operand or result of it that is. nested: the plans of regions.
    """

    constants: list[np.ndarray] = field(default_factory=list)
    place: dict[Value, Place] = field(default_factory=dict)
    shared: dict[Op, dict[int, int]] = field(default_factory=dict)
    copies: list[tuple[Place, Value]] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)
    pointers: list[int] = field(default_factory=list)
    homes: list[int] = field(default_factory=list)
    outputs: list[Place] = field(default_factory=list)
    moved: set[int] = field(default_factory=set)
    records: list[tuple[Op, int]] = field(default_factory=list)
    nested: dict[Op, Loop | Branch] = field(default_factory=dict)
    slots: int = 0
    arena: int = 0

    def __str__(self) -> str:
        return "\n".join([f"arena: {self.arena} bytes", *_lines(self, "  ")]) + "\n"


@dataclass
class Loop:
    """A loop's plans. body: of a trip; test: of a while loop's test. base: where their arena starts. bound: what the
    body's pointers are, in places outside; copied: initial values (by operand position) that are copied to pointers.
    order: which pointer's buffer each pointer has after a trip."""

    body: Plan
    test: Plan | None = None
    base: int = 0
    bound: list[Place] = field(default_factory=list)
    copied: dict[int, int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)


@dataclass
class Branch:
    """A branch's plans, `then` first. owned: inputs (positions) of the regions that have their first pointers, as
    these may be overwritten. bound: what their pointers are, in places outside. copied: as in a loop. exchanged: which
    pointer's buffer each pointer outside has after the second region, to have the results where the first has them."""

    plans: tuple[Plan, Plan]
    owned: tuple[int, ...]
    base: int = 0
    bound: tuple[list[Place], list[Place]] = ((), ())  # type: ignore[assignment]
    copied: dict[int, int] = field(default_factory=dict)
    exchanged: dict[int, int] = field(default_factory=dict)


def _lines(plan: Plan, indent: str) -> Iterator[str]:
    name = Names()  # met in the graph's order, so unnamed values are called what the graph's text calls them
    for v, p in plan.place.items():
        literal = not v.name and not v.shape and p.kind in ("constant", "slot")
        yield f"{indent}{'a literal' if literal else name(v)}: {v.type} in {p}"
    yield from (f"{indent}output {j} takes over donated input {i}" for j, i in plan.taken.items())
    yield from (f"{indent}{target} is copied from {name(v)}" for target, v in plan.copies)
    for op, inner in plan.nested.items():
        if isinstance(inner, Loop):
            moves = [f"{k} <- {s}" for k, s in enumerate(inner.order) if k != s]
            plans = [p for p in (inner.test, inner.body) if p is not None]
            bounds = [inner.bound] * len(plans)
        else:
            moves = [f"{k} <- {s}" for k, s in inner.exchanged.items() if k != s]
            plans, bounds = list(inner.plans), list(inner.bound)
        for region, inside, bound in zip(op.regions, plans, bounds, strict=True):
            pointers = [f", pointer {k} is {b}" for k, b in enumerate(bound)] if inside.pointers else []
            yield f"{indent}{op.kind.name} {region.name}: arena+{inner.base}{''.join(pointers)}"
            yield from _lines(inside, indent + "  ")
        if moves:
            yield f"{indent}  at the end of {'a trip' if isinstance(inner, Loop) else 'the second'}: {', '.join(moves)}"
