"""Loops and branches made smaller: what need not be in them is put outside.

    for i in range(n): x = x * exp(c)     ->  e = exp(c); for i in range(n): x = x * e      computed once
    for i in range(n): x, c = f(x, c), c  ->  for i in range(n): x = f(x, c)                c is a constant
    for i in range(3, 4): x = f(i, x)     ->  x = f(3, x)                                   one trip; or none
    x = f(x) if True else g(x)            ->  x = f(x)

An op leaves a body when its operands are constants of the loop. Ops that cost a kernel nothing (sources, movement)
leave only with an op that reads them and leaves, or where what reads them needs them as a buffer. What may fail, or
not end, leaves only a loop that is sure to run; a test runs at least once.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.ir.builder import Builder
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.control import AGAIN, BEFORE, LEAD, call, cond, for_loop, is_loop
from weft.ir.ops.linalg import dot
from weft.ir.space import is_free
from weft.passes.simplify import MAY_RAISE

MAY_FAIL = MAY_RAISE | {"while_loop"}


def loops(graph: Graph, derive: bool = False) -> Graph:
    """The graph with its loops and branches made smaller, inner ones first; itself where it has none.

    derive: it will be differentiated, so what is checkpointed stays a loop, of one trip too. (The backward loop of one
    trip says `again`, and stays for good: what it computes, it computes so that nobody has to keep it.)
    """
    if not any(op.regions and op.kind is not call for op in graph.ops):
        return graph
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    env: dict[Value, Value] = {v: v for v in graph.inputs}
    number: dict[Value, int] = {}  # of 0-d integer and bool constants
    for op in graph.ops:
        operands = tuple(env[v] for v in op.operands)
        env.update((r, r) for r in op.results)
        regions = op.regions if op.kind is call else tuple(loops(region, derive) for region in op.regions)
        op = Op(op.kind, operands, op.attrs, regions, op.results)
        if op.kind.name == "constant" and not op.result.shape and not op.result.type.is_float:
            number[op.result] = int(op.attrs["value"])
        if op.kind is cond and operands[0] in number:
            _inline(build, env, op, op.regions[0 if number[operands[0]] else 1], operands[1:])
        elif is_loop(op):
            _smaller_loop(build, env, op, number, derive)
        else:
            build.ops.append(op)
    return build.finish([env[v] for v in graph.outputs])


def _inline(build: Builder, env: dict[Value, Value], op: Op, region: Graph, arguments: Sequence[Value]) -> None:
    """A region's ops in place of the op that holds it."""
    for r, e in zip(op.results, build.inline(region, arguments), strict=True):
        env[r] = e.value
        build.hint(e.value, r.name)


def _smaller_loop(build: Builder, env: dict[Value, Value], op: Op, number: dict[Value, int], derive: bool) -> None:
    op = _without_unchanged(op, env)
    trips = None
    if op.kind is for_loop and op.operands[0] in number and op.operands[1] in number:
        trips = len(range(number[op.operands[0]], number[op.operands[1]], op.attrs["step"]))
    if trips == 0:
        env.update(zip(op.results, op.operands[2:], strict=False))
    elif trips == 1 and "checkpoint" in op.attrs and (derive or op.attrs["checkpoint"] == AGAIN):
        build.ops.append(op)
    elif trips == 1:
        _inline(build, env, op, op.regions[0], (op.operands[0], *op.operands[2:]))
    else:
        build.ops += _hoisted(op, runs=trips is not None)


def _without_unchanged(op: Op, env: dict[Value, Value]) -> Op:
    """Carried values that every trip hands on as they came are constants, and their results the initial values."""
    body, before, lead, count = op.regions[-1], BEFORE[op.kind], LEAD[op.kind], op.attrs["carried"]
    carried = range(count)
    same = [j for j in carried if body.outputs[j] is body.inputs[before + j]]
    if not same:
        return op
    env.update((op.results[j], op.operands[lead + j]) for j in same)
    kept = [j for j in carried if j not in same]
    order = [*kept, *range(count, len(op.operands) - lead), *(j for j in same if not op.results[j].type.is_stack)]
    regions = []
    for region in op.regions:
        at = len(region.inputs) - len(op.operands) + lead
        inputs = (*region.inputs[:at], *(region.inputs[at + i] for i in order))
        outputs = tuple(body.outputs[j] for j in kept) if region is body else region.outputs
        regions.append(Graph(region.name, inputs, region.ops, outputs))
    operands = (*op.operands[:lead], *(op.operands[lead + i] for i in order))
    results = tuple(op.results[j] for j in kept)
    return Op(op.kind, operands, {**op.attrs, "carried": len(kept)}, tuple(regions), results)


def _hoisted(op: Op, runs: bool) -> list[Op]:
    """The ops that leave the loop, and the loop without them. runs: does the body run at least once?"""
    first = LEAD[op.kind] + op.attrs["carried"]
    outside: list[Op] = []
    entering: dict[Value, Value] = {}  # values made outside, by the values that they were inside
    leaving: list[set[Op]] = []
    for region in op.regions:
        constants = region.inputs[len(region.inputs) - len(op.operands) + first :]
        env = dict(zip(constants, op.operands[first:], strict=True))
        sure = runs or region is not op.regions[-1]
        left = _leaving(region, constants, sure)
        leaving.append(left)
        for inner in _with_what_they_read(region, left):
            results = tuple(Value(r.type, r.name, r.location) for r in inner.results)
            outside.append(Op(inner.kind, tuple(env[v] for v in inner.operands), inner.attrs, inner.regions, results))
            env.update(zip(inner.results, results, strict=True))
        entering.update((r, env[r]) for o in region.ops if o in left for r in o.results)
    if not entering:
        return [op]
    regions = []
    for region, left in zip(op.regions, leaving, strict=True):
        made = {r for o in left for r in o.results}
        inputs = tuple(r if r in made else Value(r.type, r.name) for r in entering)
        ops = tuple(o for o in region.ops if o not in left)
        regions.append(Graph(region.name, (*region.inputs, *inputs), ops, region.outputs))
    operands = (*op.operands, *entering.values())
    return [*outside, Op(op.kind, operands, op.attrs, tuple(regions), op.results)]


def _leaving(region: Graph, constants: Sequence[Value], sure: bool) -> set[Op]:
    """The ops of a region that are computed outside."""
    invariant = set(constants)
    found: list[Op] = []
    for op in region.ops:
        if op.kind.family == "stack" or any(v not in invariant for v in op.operands):
            continue
        if not sure and _may_fail(op):
            continue
        invariant.update(op.results)
        found.append(op)
    buffers = {v for op in region.ops if op.kind is dot or op.regions for v in op.operands}
    return {op for op in found if not is_free(op) or (op.operands and any(r in buffers for r in op.results))}


def _may_fail(op: Op) -> bool:
    inside = (inner for region in op.regions for inner in region.walk())
    return any(o.kind.name in MAY_FAIL or o.kind.harmless is not None for o in (op, *inside))


def _with_what_they_read(region: Graph, left: set[Op]) -> list[Op]:
    """These ops and those free ones that make what they read, in program order."""
    wanted: set[Value] = set()
    found = []
    for op in reversed(region.ops):
        if op in left or any(r in wanted for r in op.results):
            found.append(op)
            wanted.update(op.operands)
    return found[::-1]
