"""Arrays that a loop or branch writes in part, in lanes that are done or go the other way: they write what is there.

    where(active, update(x, u), x)     update(x, where(active, u, x[...]))

The right side does as much work as there is written, and in place.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.control import cond
from weft.ir.ops.index import scatter
from weft.ir.space import WINDOWS
from weft.ir.writes import reader

if TYPE_CHECKING:
    from weft.passes.batch import Lanes


def writes_of(region: Graph, value: Value, lanes: Collection[Value]) -> tuple[list[Op], Value]:
    """Writes, and branches with such on their sides, that make a value, and what they make it of."""
    maker = region.producers()
    chain: list[Op] = []
    while (op := maker.get(value)) is not None:
        if (op.kind.name in WINDOWS or op.kind is scatter) and op.operands[0] in lanes:
            before = op.operands[0]
        elif op.kind is cond and op.operands[0] in lanes and value in (found := arrays_through(op, lanes)):
            before = found[value]
        else:
            break
        chain.append(op)
        value = before
    return chain, value


def arrays_through(op: Op, lanes: Collection[Value]) -> dict[Value, Value]:
    """Results of a branch that each of its sides makes of the same operand, by writes or by doing nothing."""
    found: dict[Value, Value] = {}
    for k, r in enumerate(op.results):
        starts: set[Value | None] = set()
        for region in op.regions:
            _, first = writes_of(region, region.outputs[k], lanes)
            starts.add(op.operands[1 + region.inputs.index(first)] if first in region.inputs else None)
        start = starts.pop() if len(starts) == 1 else None
        if start is not None and start in lanes and not start.type.is_stack:
            found[r] = start
    operands = list(found.values())
    return {r: v for r, v in found.items() if operands.count(v) == 1}


def masked_write(op: Op, lanes: Lanes) -> None:
    """Append a write that changes the lanes of the mask alone."""
    assert lanes.mask is not None
    at = len(op.operands) - 1 if op.kind is scatter else 1  # of what is written
    has = [v in lanes.plan.lanes for v in op.operands]
    x, *rest = lanes.operands(op)
    places, places_have = rest[: at - 1] + rest[at:], has[1:at] + has[at + 1 :]
    kind, attrs = reader(op)
    size = lanes.plan.size
    assert kind.batch is not None and op.kind.batch is not None
    there = kind.batch(size, (True, *places_have), x, *places, **attrs)
    written = lanes.chosen(lanes.mask, rest[at - 1], there, has[at])
    has[at], rest[at - 1] = True, written
    lanes.bind(op, [op.kind.batch(size, has, x, *rest, **op.attrs)])
