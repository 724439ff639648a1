"""Loops and branches for many lanes at once.

    cond, one predicate for all      stays one
    cond(p, a, b)                    where(p, a, b): both branches are run, each with its lanes as the mask
    while_loop, one test for all     stays one
    while_loop(x)                    active = test(x); while any(active): x = where(active, body(x), x); active &= test(x)
    for_loop, one range for all      stays one
    for_loop                         as many trips as the longest lane has, which waits at the end

Stacks get a record for all lanes in every trip and from both branches; what they are used for takes them off in the
same way, backward (see `stack_order`): there a loop's shorter lanes wait at the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.control import BEFORE, I64, LEAD, call, cond, for_loop, is_loop, while_loop
from weft.ir.ops.elementwise import floordiv, maximum
from weft.ir.ops.logic import greater_equal, less, logical_and, logical_not
from weft.ir.ops.reduce import any_, max_
from weft.ir.ops.update import bound
from weft.ir.types import TensorType
from weft.passes.lanes import end_together, has_own_trips
from weft.passes.stack_order import root

if TYPE_CHECKING:
    from weft.passes.batch import Lanes

MASKED = (bound, while_loop, for_loop)  # what does something else in lanes that don't count


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
    return any(op.kind in MASKED for region in regions for op in region.walk())


def _given(op: Op, lanes: Lanes) -> list[Expr]:
    """What an op's regions take, with lanes where they have them."""
    pairs = zip(op.operands[LEAD[op.kind] :], op.regions[-1].inputs[BEFORE[op.kind] :], strict=True)
    return [lanes.in_each(v) if inside in lanes.plan.lanes else lanes.of(v) for v, inside in pairs]


def _enter(region: Graph, lanes: Lanes, skip: int = 0) -> Lanes:
    """A region's inputs, but for the first ones, in a graph of its own."""
    inner = type(lanes)(Builder(region.name), lanes.plan)
    for v in region.inputs[skip:]:
        inner.env[v] = inner.build.input(lanes.plan.type_of(v), v.name).value
    return inner


def _emit(op: Op, lanes: Lanes, operands: Sequence[Expr], regions: Sequence[Graph], skip: int = 0, **attrs: int) -> None:
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
    done: list[tuple[Graph, Lanes]] = []
    for n in (1, 0) if _is_turned(op, lanes) else (0, 1):
        region = op.regions[n]
        side = lanes.within(goes[n] if _counts_lanes(region) else None)
        side.env.update(zip(region.inputs, given, strict=True))
        for before, ended in done:
            _go_on(region, side, before, ended)
        side.run(region.ops)
        done.append((region, side))
    last, ended = done[-1]
    sides = [side for region in op.regions for r, side in done if r is region]
    results = []
    for k, r in enumerate(op.results):
        if r.type.is_stack:
            results.append(ended.of(last.outputs[k]))
            continue
        yes, no = (region.outputs[k] for region in op.regions)
        differ = [v in lanes.plan.lanes for v in (yes, no)]
        results.append(lanes.chosen(predicate, sides[0].of(yes), sides[1].of(no), *differ))
    lanes.bind(op, results)


def _go_on(region: Graph, side: Lanes, before: Graph, ended: Lanes) -> None:
    """Let a branch's stacks be what the other branch has left."""
    makers = region.producers()
    for mine, theirs in zip(region.outputs, before.outputs, strict=True):
        if mine.type.is_stack:
            start = root(region, mine)
            if start in makers and makers[start].regions:
                raise NotImplementedError("a branch's stack is made in a loop of its own")
            side.env[start] = ended.env[theirs]


def _is_turned(op: Op, lanes: Lanes) -> bool:
    if op not in lanes.plan.turned:
        raise NotImplementedError("it isn't known what has made a stack")
    return lanes.plan.turned[op]


def _until_all_are_done(op: Op, lanes: Lanes) -> None:
    test, body = op.regions
    count, given = op.attrs["carried"], _given(op, lanes)
    before = lanes.within(lanes.mask)
    active = _tested(test, before, [e.value for e in given], lanes.mask)
    goes_on = _enter(test, lanes)
    some = any_(Expr(_first_input(goes_on, active), goes_on.build), axes=(0,))
    trip = _enter(body, lanes)
    trip.mask = Expr(_first_input(trip, active), trip.build)
    constants = [trip.env[v] for v in body.inputs[count:]]
    trip.run(body.ops)
    carried = _kept(body, trip, 0)
    after = _tested(test, trip.within(trip.mask), [*(e.value for e in carried), *constants], trip.mask)
    regions = [goes_on.build.finish([some]), trip.build.finish([after, *carried])]
    _emit(op, lanes, [active, *given], regions, skip=1, carried=count + 1)


def _first_input(inner: Lanes, like: Expr) -> Value:
    value = Value(like.type, "active")
    inner.build.inputs.insert(0, value)
    return value


def _tested(test: Graph, lanes: Lanes, values: Sequence[Value], mask: Expr | None) -> Expr:
    """The lanes of the mask in which a loop goes on, its test appended."""
    lanes.env.update(zip(test.inputs, values, strict=True))
    lanes.run(test.ops)
    holds = lanes.of(test.outputs[0])
    return holds if mask is None else logical_and(mask, holds)


def _kept(body: Graph, trip: Lanes, before: int) -> list[Expr]:
    """What a trip leaves: what it makes in the active lanes, what there was in the others."""
    assert trip.mask is not None
    found = []
    for old, new in zip(body.inputs[before:], body.outputs, strict=False):
        value = trip.of(new)
        if old in trip.plan.lanes and not old.type.is_stack and old is not new:
            value = trip.chosen(trip.mask, value, trip.of(old), new in trip.plan.lanes)
        found.append(value)
    return found


def _longest(op: Op, lanes: Lanes) -> None:
    """    for k in range(max(trips)):  i = base + k * step;  active = k < trips, or k >= max(trips) - trips"""
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
    trip.run(body.ops)
    region = trip.build.finish(_kept(body, trip, BEFORE[for_loop]))
    _emit(op, lanes, [zero, longest, *_given(op, lanes), base, edge], [region], step=1)
