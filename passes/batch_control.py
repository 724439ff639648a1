"""Loops and branches for many lanes at once.

    cond, one predicate for all      stays one
    cond(p, a, b)                    where(p, a, b): both branches are run, each with its lanes as the mask
    while_loop, one test for all     stays one
    while_loop(x)                    active = test(x)
                                     while any(active): x = where(active, body(x), x); active &= test(x)
    for_loop, one range for all      stays one
    for_loop                         as many trips as the longest lane has, which waits at the end

Stacks get a record for all lanes in every trip and from both branches; what they are used for takes them off in the
same way, backward (see `stack_order`): there a loop's shorter lanes wait at the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weft.ir.builder import Expr
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.control import BEFORE, I64, LEAD, call, cond, for_loop, is_loop, while_loop
from weft.ir.ops.elementwise import floordiv, maximum
from weft.ir.ops.index import gather, scatter, scatter_add
from weft.ir.ops.logic import greater_equal, less, logical_and, logical_not
from weft.ir.ops.moving import agree, moving_slice, moving_update
from weft.ir.ops.reduce import any_, max_
from weft.ir.ops.update import bound, dynamic_slice, dynamic_update
from weft.ir.types import TensorType
from weft.passes.batch_writes import arrays_through, writes_of
from weft.passes.lanes import end_together, has_own_trips
from weft.passes.stack_order import root

if TYPE_CHECKING:
    from weft.passes.batch import Lanes

# What does something else in lanes that don't count.
MASKED = (bound, agree, while_loop, for_loop, gather, scatter, scatter_add,
          dynamic_slice, dynamic_update, moving_slice, moving_update)  # fmt: skip


def run_regions(op: Op, lanes: Lanes) -> None:
    """Append a loop or branch for all lanes."""
    assert op.kind is not call
    if op.kind is cond:
        _both(op, lanes) if op.operands[0] in lanes.plan.lanes else _one(op, lanes)
    elif not has_own_trips(op, lanes.plan.lanes):
        _one(op, lanes)
    elif op.kind is while_loop:
        _until_all_are_done(op, lanes)
    else:
        _longest(op, lanes)


def _counts_lanes(*regions: Graph) -> bool:
    return any(op.kind in MASKED or op.kind.harmless is not None for region in regions for op in region.walk())


def _given(op: Op, lanes: Lanes) -> list[Expr]:
    """What an op's regions take, with lanes where they have them."""
    pairs = zip(op.operands[LEAD[op.kind] :], op.regions[-1].inputs[BEFORE[op.kind] :], strict=True)
    return [lanes.in_each(v) if inside in lanes.plan.lanes else lanes.of(v) for v, inside in pairs]


def _enter(region: Graph, lanes: Lanes, skip: int = 0) -> Lanes:
    """A region's inputs, but for the first ones, in a graph of its own."""
    inner = lanes.inside(region.name)
    for v in region.inputs[skip:]:
        inner.env[v] = inner.build.input(lanes.plan.type_of(v), v.name).value
    return inner


def _emit(
    op: Op, lanes: Lanes, operands: Sequence[Expr], regions: Sequence[Graph], skip: int = 0, **attrs: int
) -> None:
    """Append the op that takes the place of `op`; its results behind the first are what `op` gives."""
    names = [""] * skip + [r.name for r in op.results]
    values = [e.value for e in operands]
    found = lanes.build.emit(op.kind, values, {**op.attrs, **attrs}, regions=tuple(regions), names=names)
    lanes.bind(op, found[skip:])


def _one(op: Op, lanes: Lanes) -> None:
    """A loop or branch that all lanes go through together."""
    masked = lanes.mask is not None and (op.kind is while_loop or _counts_lanes(*op.regions))
    if not masked and not any(v in lanes.plan.lanes for v in op.operands):
        lanes.build.copy(op, lanes.env)
        return
    operands = [*map(lanes.of, op.operands[: LEAD[op.kind]]), *_given(op, lanes)]
    if masked:
        assert lanes.mask is not None
        operands.append(lanes.mask)
    _emit(op, lanes, operands, [_shared(op, region, lanes, masked) for region in op.regions])


def _shared(op: Op, region: Graph, lanes: Lanes, masked: bool) -> Graph:
    """A region that all lanes run. A loop that isn't sure to end does when no lane of the mask is in it."""
    inner = _enter(region, lanes)
    if masked:
        inner.mask = inner.build.input(TensorType("bool", (lanes.plan.size,)), "lanes")
    inner.run(region.ops)
    if is_loop(op) and region is not op.regions[-1]:
        (goes_on,) = map(inner.of, region.outputs)
        if inner.mask is not None:
            goes_on = logical_and(goes_on, any_(inner.mask, axes=(0,)))
        return inner.build.finish([goes_on])
    differs = [r in lanes.plan.lanes for r in op.results]
    outputs = zip(region.outputs, differs, strict=True)
    return inner.build.finish([inner.in_each(v) if lane else inner.of(v) for v, lane in outputs])


def _both(op: Op, lanes: Lanes) -> None:
    predicate = lanes.of(op.operands[0])
    goes = [predicate, logical_not(predicate)]
    if lanes.mask is not None:
        goes = [logical_and(lanes.mask, mask) for mask in goes]
    given = [lanes.env[v] for v in op.operands[1:]]
    through = arrays_through(op, lanes.plan.lanes)
    sides: dict[Graph, Lanes] = {}
    for n in (1, 0) if _is_turned(op, lanes) else (0, 1):
        region = op.regions[n]
        side = lanes.within(goes[n] if through or _counts_lanes(region) else None)
        side.env.update(zip(region.inputs, given, strict=True))
        for k, r in enumerate(op.results):
            if r in through or r.type.is_stack:
                start = _start(region, region.outputs[k], side)
                for other, ended in sides.items():
                    side.env[start] = ended.env[other.outputs[k]]
        side.run(region.ops)
        sides[region] = side
    last, ended = list(sides.items())[-1]
    results = []
    for k, r in enumerate(op.results):
        if r in through or r.type.is_stack:
            results.append(ended.of(last.outputs[k]))
            continue
        yes, no = (region.outputs[k] for region in op.regions)
        made = [sides[region].of(v) for region, v in zip(op.regions, (yes, no), strict=True)]
        results.append(lanes.chosen(predicate, made[0], made[1], yes in lanes.plan.lanes, no in lanes.plan.lanes))
    lanes.bind(op, results)


def _start(region: Graph, value: Value, side: Lanes) -> Value:
    """What a side makes a stack or a written array of, where the other side has gone before it."""
    if not value.type.is_stack:
        chain, start = writes_of(region, value, side.plan.lanes)
        side.writes.update(chain)
        return start
    start = root(region, value)
    if start not in region.inputs:
        raise NotImplementedError("one side of a branch makes a stack of its own")
    return start


def _is_turned(op: Op, lanes: Lanes) -> bool:
    if op not in lanes.plan.turned:
        raise NotImplementedError("it isn't known what has made a stack")
    return lanes.plan.turned[op]


def _until_all_are_done(op: Op, lanes: Lanes) -> None:
    test, body = op.regions
    count, given = op.attrs["carried"], _given(op, lanes)
    before = lanes.within(lanes.mask)
    active = _tested(test, before, [e.value for e in given], lanes.mask)
    again = any_(active, axes=(0,))
    goes_on, trip = _enter(test, lanes), _enter(body, lanes)
    shown, (trip.mask, _) = (_first_inputs(inner, active, again) for inner in (goes_on, trip))
    constants = [trip.env[v] for v in body.inputs[count:]]
    carried = _run_trip(body, trip, 0)
    after = _tested(test, trip.within(trip.mask), [*(e.value for e in carried), *constants], trip.mask)
    regions = [goes_on.build.finish([shown[1]]), trip.build.finish([after, any_(after, axes=(0,)), *carried])]
    _emit(op, lanes, [active, again, *given], regions, skip=2, carried=count + 2)


def _first_inputs(inner: Lanes, active: Expr, again: Expr) -> tuple[Expr, Expr]:
    """Which lanes are in the loop, and whether any is, as the first inputs of a region."""
    values = Value(active.type, "active"), Value(again.type, "again")
    inner.build.inputs[:0] = values
    return Expr(values[0], inner.build), Expr(values[1], inner.build)


def _tested(test: Graph, lanes: Lanes, values: Sequence[Value], mask: Expr | None) -> Expr:
    """The lanes of the mask in which a loop goes on, its test appended."""
    lanes.env.update(zip(test.inputs, values, strict=True))
    lanes.run(test.ops)
    holds = lanes.of(test.outputs[0])
    return holds if mask is None else logical_and(mask, holds)


def _run_trip(body: Graph, trip: Lanes, before: int) -> list[Expr]:
    """What a trip leaves: what it makes in the active lanes, what there was in the others."""
    assert trip.mask is not None
    pairs = list(zip(body.inputs[before:], body.outputs, strict=False))
    kept = set()  # positions of what needs no choice
    for j, (old, new) in enumerate(pairs):
        chain, start = writes_of(body, new, trip.plan.lanes)
        if start is old:
            trip.writes.update(chain)
        if start is old or old not in trip.plan.lanes or old.type.is_stack:
            kept.add(j)
    trip.run(body.ops)
    found = []
    for j, (old, new) in enumerate(pairs):
        value = trip.of(new)
        chosen = trip.chosen(trip.mask, value, trip.of(old), new in trip.plan.lanes) if j not in kept else value
        found.append(chosen)
    return found


def _longest(op: Op, lanes: Lanes) -> None:
    """As many trips as the longest lane: k counts them, i = base + k * step is its variable in each.

    active: k < trips, or where the lanes end together, k >= longest - trips.
    """
    build, step, (body,) = lanes.build, op.attrs["step"], op.regions
    start, stop = (lanes.of(v) for v in op.operands[:2])
    zero = build.constant(0, "i64")
    trips = maximum(floordiv(stop - start + (step - (1 if step > 0 else -1)), zero.const(step)), zero)
    if lanes.mask is not None:
        trips = lanes.chosen(lanes.mask, trips, zero, no_lane=False)
    longest = max_(trips, axes=(0,)) if lanes.plan.size else zero
    base, edge = start, trips
    at_end = end_together(op, lanes.plan.lanes, any(v.type.is_stack for v in op.operands) and _is_turned(op, lanes))
    if at_end:
        edge = longest - trips
        shares_stop = op.operands[1] not in lanes.plan.lanes and abs(step) == 1
        base = stop - longest * step if shares_stop else start - edge * step
    trip = _enter(body, lanes, skip=1)
    k = Expr(Value(I64, body.inputs[0].name), trip.build)
    trip.build.inputs.insert(0, k.value)
    first, bound_of_lane = (trip.build.input(e.type, name) for e, name in ((base, "first"), (edge, "edge")))
    trip.mask = (greater_equal if at_end else less)(k, bound_of_lane)
    trip.env[body.inputs[0]] = (first + k * step).value
    region = trip.build.finish(_run_trip(body, trip, BEFORE[for_loop]))
    _emit(op, lanes, [zero, longest, *_given(op, lanes), base, edge], [region], step=1)
