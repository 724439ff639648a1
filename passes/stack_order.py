"""Loops and branches that use a stack in reverse, which matters where many lanes share one.

    for t in range(n): ...; push         lanes with few trips wait at the end
    for t in reversed(range(n)): pop     and at the beginning here: the records on top are none of theirs

    if p: push a   else: push b          lanes that go either way: both, first a, then b
    if p: pop a    else: pop b           so first b, then a

An op that pops what another has pushed is *turned* when that is not: the backward part is, what goes backward through
that, in a second derivative, is not, and so on. Which op has pushed what is found by following each stack:

    top of a stack  =  a record, or what an op with regions has pushed (each region, in one trip), and what is below
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.ops.control import BEFORE, LEAD, cond, is_loop
from weft.ir.ops.stack import pop, push, stack_new
from weft.ir.records import dataclass
from weft.ir.types import STACK


@dataclass(frozen=True, eq=False)
class _Top:
    """What lies on a stack; nothing that is known is below where `below` is None. `inner`: see the module."""

    below: _Top | None = None
    by: Op | None = None
    inner: tuple[_Top, ...] = ()


def turned_ops(graph: Graph) -> dict[Op, bool]:
    """Whether an op with regions, of regions too, is turned; those are missing for which it isn't known."""
    found: dict[Op, bool] = {}
    _walk(graph.ops, {}, found)
    return found


def root(region: Graph, stack: Value) -> Value:
    """Where a region's stack comes from: an input, or what makes it."""
    maker = region.producers()
    while (op := maker.get(stack)) is not None and op.kind is not stack_new:
        before = _before(op, op.results.index(stack))
        if before is None:
            break
        stack = before
    return stack


def _before(op: Op, k: int) -> Value | None:
    """The operand that an op's k-th result, a stack, goes on with."""
    if not op.regions:
        return op.operands[0]
    inner = op.regions[-1]
    start = root(inner, inner.outputs[k])
    if start not in inner.inputs:
        return None
    return op.operands[LEAD[op.kind] + inner.inputs.index(start) - BEFORE[op.kind]]


def threaded(graph: Graph) -> Graph:
    """The graph, whose values are its own, with branches that are given each stack that they return, and return each
    that they are given: where both sides run, the second goes on with what the first leaves."""
    ops = [made for op in graph.ops for made in _threaded(with_regions(op, threaded))]
    return Graph(graph.name, graph.inputs, tuple(ops), graph.outputs)


def _threaded(op: Op) -> list[Op]:
    if op.kind is not cond:
        return [op]
    starts = [{k: root(r, v) for k, v in enumerate(r.outputs) if v.type.is_stack} for r in op.regions]
    new = {inner.result for region in op.regions for inner in region.ops if inner.kind is stack_new}
    made = [k for k in starts[0] if all(start[k] in new for start in starts)]
    kept = {i for s, r in zip(starts, op.regions, strict=True) for i, v in enumerate(r.inputs) if v in s.values()}
    lost = [i for i, v in enumerate(op.operands[1:]) if v.type.is_stack and i not in kept]  # `dce` cuts them off
    regions = []
    for region, start in zip(op.regions, starts, strict=True):
        own = [start[k] for k in made]
        ops = tuple(inner for inner in region.ops if not any(r in own for r in inner.results))
        outputs = (*region.outputs, *(_end(region, region.inputs[i]) for i in lost))
        regions.append(Graph(region.name, (*region.inputs, *own), ops, outputs))
    empty = [Op(stack_new, (), {}, (), (Value(STACK, op.results[k].name, op.location),)) for k in made]
    operands = (*op.operands, *(e.result for e in empty))
    results = (*op.results, *(Value(STACK, op.operands[1 + i].name, op.location) for i in lost))
    return [*empty, Op(op.kind, operands, op.attrs, tuple(regions), results)]


def _end(region: Graph, stack: Value) -> Value:
    """What a region makes of one of its stacks."""
    for op in region.ops:
        if stack in op.operands:
            stack = next(r for k, r in enumerate(op.results) if r.type.is_stack and _before(op, k) is stack)
    return stack


def _walk(ops: Sequence[Op], top: dict[Value, _Top], found: dict[Op, bool]) -> None:
    for op in ops:
        if op.kind is stack_new:
            top[op.result] = _Top()
        elif op.kind is push:
            top[op.result] = _Top(top[op.operands[0]])
        elif op.kind is pop:
            record = top[op.operands[0]]
            top[op.results[0]] = (record.below if record.by is None else None) or _Top()
        elif op.regions:
            _walk_regions(op, top, found)


def _walk_regions(op: Op, top: dict[Value, _Top], found: dict[Op, bool]) -> None:
    lead, before = LEAD.get(op.kind, 0), BEFORE.get(op.kind, 0)
    given = {i: v for i, v in enumerate(op.operands[lead:], before) if v.type.is_stack}
    popped = {i: top[v] for i, v in given.items() if any(_pops(r, r.inputs[i]) for r in op.regions)}
    makers = {found.get(t.by) if t.by is not None else None for t in popped.values()}
    if not makers:
        found[op] = False
    elif len(makers) == 1 and None not in makers:
        found[op] = not makers.pop()
    left: list[list[tuple[int | None, _Top | None]]] = []
    for n, region in enumerate(op.regions):
        entered = {i: _entered(popped.get(i), n - len(op.regions)) for i in given}
        inside = {region.inputs[i]: t for i, t in entered.items()}
        _walk(region.ops, inside, found)
        bottoms = {_bottom(t): i for i, t in entered.items()}
        left.append([_left(inside[v], bottoms) if v.type.is_stack else (None, None) for v in region.outputs])
    for k, r in enumerate(op.results):
        if r.type.is_stack:
            ends = [row[k] for row in (left[-1:] if is_loop(op) else left)]
            at = ends[-1][0]
            pushes = any(more is not None for _, more in ends)
            if at in popped:
                top[r] = _Top() if pushes else popped[at].below or _Top()
                continue
            below = _Top() if at is None else top[given[at]]
            top[r] = _Top(below, op, tuple(more or _Top() for _, more in ends)) if pushes else below


def _entered(popped: _Top | None, region: int) -> _Top:
    """A region's stack at its start: what there is for it to pop, if it does."""
    if popped is None or len(popped.inner) < -region:
        return _Top()
    return popped.inner[region]


def _left(end: _Top, bottoms: dict[_Top, int]) -> tuple[int | None, _Top | None]:
    """Which of its inputs a region's stack was, and what is on it now that was not."""
    bottom = _bottom(end)
    return bottoms.get(bottom), None if end is bottom else end


def _bottom(top: _Top) -> _Top:
    while top.below is not None:
        top = top.below
    return top


def _pops(region: Graph, stack: Value) -> bool:
    """Whether the first thing that a region does with a stack is to take something off."""
    user = next((op for op in region.ops if stack in op.operands), None)
    if user is None or not user.regions:
        return user is not None and user.kind is pop
    at = user.operands.index(stack) - LEAD[user.kind] + BEFORE[user.kind]
    return any(_pops(inner, inner.inputs[at]) for inner in user.regions)
