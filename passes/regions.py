"""Reverse mode of loops and branches: the recurrence of `differentiate`, trip by trip.

    x = for_loop(0, n, x0, c, body=f)        x[t+1] = f(t, x[t], c)

    δx[t] = pull of f at trip t (δx[t+1])    so a loop runs the trips backward and carries δx, and for what is the
    δc   += its part for c                   same for all trips a running total

What the pull reads of trip t, its residuals, the forward loop pushes on a stack and the backward loop pops:

    x, s    = for_loop(0, n,     x0, s0, c,           body=f and push(residuals))
    s, δ, τ = for_loop(n-1, -1,  s, δx, δc, c,        body=pop(residuals) and pull of f)

Residuals are chosen by `weft.passes.residuals`; the loop variable and the constants are none. Nor is a value that
the loop hands on, x[t+1], where x[t] is one: the backward loop has it from the trip that it ran before. A while
loop counts its trips. A branch pushes what its own backward part needs, and the same predicate chooses that.
Loops inside share the stack of the loop around them: what is pushed last is popped first, at any depth. A constant
of theirs may be a residual of the loop around, where that is cheaper than what they would push in all their trips.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from weft.ir.builder import Builder, Expr
from weft.ir.dims import value_of
from weft.ir.graph import Graph, Op, Value
from weft.ir.opdef import OpDef
from weft.ir.ops.control import BEFORE, I64, LEAD, cond, for_loop, while_loop
from weft.ir.ops.elementwise import floordiv
from weft.ir.ops.stack import pop, push
from weft.ir.types import STACK
from weft.passes.activity import useful_carried, useful_inputs, useful_operands
from weft.passes.checkpoint import Checkpoints, is_checkpointed
from weft.passes.dce import dce
from weft.passes.residuals import free_values, kept_values, recomputed
from weft.passes.sweep import Longer, Sweep
from weft.passes.trip import trip_of
from weft.passes.undo import GAIN, Chain, Undoing, chain, read_old

MANY = 16  # trips of a loop, where their number is not known


def nested(op: Op, sweep: Sweep) -> None:
    """Adjoints of a loop's or branch's operands: appends its backward op, and says what it is in the forward part."""
    _branch(op, sweep) if op.kind is cond else _loop(op, sweep)


class _Half:
    """A region cut in two: what it does, and pushes, forth, and what its pull reads, pops and computes back.

    wanted: positions of the outputs that have an adjoint. wrt: positions of the inputs that get one. totals: those
    of them whose adjoint is added to a given one. outside: positions of the inputs that the backward part can have
    as operands, and their price. carried: how many of the outputs are a next trip's inputs, and the first of those.
    """

    def __init__(
        self,
        region: Graph,
        active: Collection[Value],
        wanted: Sequence[int],
        wrt: Sequence[int],
        totals: Sequence[int],
        outside: Mapping[int, float],
        carried: tuple[int, int] = (0, 0),
    ) -> None:
        self.region = region
        self.at = carried[1]
        build = Builder(f"d_{region.name}")
        have = free_values(region.ops, (region.inputs[i] for i, price in outside.items() if not price))
        self.middle = Value(STACK, "saved")  # the stack, back from the record of this region
        self.sweep = sweep = Sweep(build, active, nested, have, Expr(self.middle, build))
        self.totals = [build.input(region.inputs[i].type, region.inputs[i].name).value for i in totals]
        self.seeds = [build.input(region.outputs[k].type, region.outputs[k].name).value for k in wanted]
        for i, total in zip(totals, self.totals, strict=True):
            sweep.adjoint[region.inputs[i]] = Expr(total, build)
        for k, seed in zip(wanted, self.seeds, strict=True):
            sweep.add(region.outputs[k], Expr(seed, build))
        sweep.run(region.ops)
        assert sweep.stack is not None
        self.gradients = [sweep.finished(region.inputs[i]).value for i in wrt]
        self.bottom = sweep.stack.value
        kept_alive = (*self.gradients, self.bottom) if self.bottom is not self.middle else tuple(self.gradients)
        self.ops = dce(Graph(build.name, (), tuple(build.ops), kept_alive)).ops
        self._choose(have, outside, carried)

    def _choose(self, have: Collection[Value], outside: Mapping[int, float], carried: tuple[int, int]) -> None:
        """Which values to push, to have from the trip before, and to compute again."""
        region = self.region
        own = {*self.seeds, *self.totals, self.middle, *(r for op in self.ops for r in op.results)}
        reads = [v for op in self.ops for v in op.operands] + self.gradients
        needed = list(dict.fromkeys(v for v in reads if v not in own))
        price = {region.inputs[i]: cost for i, cost in outside.items()}
        plan = _Plan(region, self.at, carried[0], needed, have, price, ())
        for j in range(carried[0]):
            undone = chain(region, self.at, j)
            if undone is not None and not plan.kept.isdisjoint(undone.versions):
                other = _Plan(region, self.at, carried[0], needed, have, price, (*plan.chains, undone))
                if other.nbytes * GAIN <= plan.nbytes:
                    plan = other
        self.chains, self.again, self.handed, self.pushed = plan.chains, plan.again, plan.handed, plan.pushed
        self.next = sorted({*self.handed.values(), *(c.position for c in self.chains)})
        self.uses_stack = bool(self.pushed) or self.bottom is not self.middle
        read = {*plan.needed, *(v for op in self.again for v in op.operands)}
        self.frees = [i for i in sorted(outside) if region.inputs[i] in read]

    @property
    def is_longer(self) -> bool:
        return self.uses_stack or bool(self.sweep.longer)

    def forth(self, stack: Value | None) -> tuple[list[Op], Value | None]:
        """The region's ops, those that push included, and the stack as they leave it."""
        build = Builder()
        old = {op: v for c in self.chains for op, v in zip(c.writes, c.old, strict=True)}
        for op in self.region.ops:
            if op in old:
                build.ops.append(read_old(op, old[op]))
            longer = self.sweep.longer.get(op)
            if longer is None:
                build.ops.append(op)
                continue
            build.ops += longer.make(stack)
            stack = longer.saved or stack
        if self.pushed:
            assert stack is not None
            stack = build.emit(push, [stack, *self.pushed])[0].value
        return build.ops, stack

    def back(self, stacked: bool, frees: Sequence[int], index: Value | None = None) -> Graph:
        """Takes [index,] [stack,] seeds, totals, next, free inputs; gives [stack,] gradients, next."""
        region, build = self.region, Builder(f"d_{self.region.name}")
        env: dict[Value, Value] = {}
        if index is not None:
            env[index] = build.input(index.type, index.name).value
        stack = build.input(STACK, "saved") if stacked else None
        for v in (*self.seeds, *self.totals):
            env[v] = build.input(v.type, f"d_{v.name}" if v.name else "").value
        ahead = {j: build.input(region.outputs[j].type, region.outputs[j].name).value for j in self.next}
        env.update((v, ahead[j]) for v, j in self.handed.items())
        env.update((region.outputs[c.position], ahead[c.position]) for c in self.chains)
        for i in frees:
            env[region.inputs[i]] = build.input(region.inputs[i].type, region.inputs[i].name).value
        if self.pushed:
            assert stack is not None
            types = tuple(str(v.type) for v in self.pushed)
            stack, *found = build.emit(pop, [stack.value], {"types": types}, names=["", *(v.name for v in self.pushed)])
            env.update((v, e.value) for v, e in zip(self.pushed, found, strict=True))
        if stack is not None:
            env[self.middle] = stack.value
        backward = Undoing(build, env, self.chains, self.again)
        for op in () if self.chains else self.again:
            build.copy(op, env)
        for op in self.ops:
            backward.copy(op)
        for v in (*self.gradients, *(c.versions[0] for c in self.chains)):
            backward.bring(v)
        handed_on = [env[region.inputs[self.at + j]] for j in self.next]
        bottom = [env[self.bottom]] if stacked else []
        return build.finish([*bottom, *(env[v] for v in self.gradients), *handed_on])


class _Plan:
    """What a region keeps, where the writes of `chains` are taken back (see `weft.passes.undo`).

    kept: the values that a trip of the backward part must be given; of these, `pushed` are on the stack, and `handed`
    it has from the trip before, by position. again: ops that it runs again. needed: what it reads.
    """

    def __init__(
        self,
        region: Graph,
        at: int,
        count: int,
        needed: Sequence[Value],
        have: Collection[Value],
        price: Mapping[Value, float],
        chains: tuple[Chain, ...],
    ) -> None:
        self.chains = chains
        versions = {v for c in chains for v in c.versions}
        self.needed = list(dict.fromkeys([*needed, *(v for c in chains for v in c.places)]))
        asked = [v for v in self.needed if v not in versions]
        kept = kept_values(asked, region.ops, {*have, *versions}, price)
        self.kept = set(kept)
        self.again = recomputed({*kept, *versions}, self.needed, region.ops)
        self.handed: dict[Value, int] = {}  # x[t+1], by position, where x[t] is kept
        for j in range(count):
            if region.outputs[j] in self.kept and region.inputs[at + j] in self.kept:
                self.handed.setdefault(region.outputs[j], j)
        self.pushed = [v for v in kept if v not in self.handed and v not in price]
        self.pushed += [v for c in chains for v in c.old]

    @property
    def nbytes(self) -> int:
        return sum(value_of(v.type.nbytes) for v in self.pushed)


def _loop(op: Op, sweep: Sweep) -> None:
    body, build, count = op.regions[-1], sweep.build, op.attrs["carried"]
    lead, before = LEAD[op.kind], BEFORE[op.kind]
    given = dict(enumerate(op.operands[lead:], before))  # by position among the body's inputs
    have = [j for j, r in enumerate(op.results) if r in sweep.adjoint]
    carried = sorted(useful_carried(op, have, sweep.active))
    read = useful_inputs(body, carried, sweep.active)
    constants = [i for i, v in given.items() if i >= before + count and i in read and v in sweep.active]
    if not carried and not constants:
        return
    if is_checkpointed(op):
        _checkpointed(op, sweep, carried, constants)
        return
    trips = _trips(op, sweep) or MANY
    outside = dict.fromkeys(range(before), 0.0)
    for i in range(before + count, len(body.inputs)):
        outside[i] = 0 if sweep.is_free(given[i]) else value_of(given[i].type.nbytes) / trips
    half = _Half(
        body,
        sweep.active,
        wanted=carried,
        wrt=[*(before + j for j in carried), *constants],
        totals=constants,
        outside=outside,
        carried=(count, before),
    )
    counter = Value(I64, "trips") if op.kind is while_loop else None
    saved = Value(STACK, "saved") if half.uses_stack else None
    if half.is_longer or counter is not None:
        sweep.longer[op] = Longer(lambda stack: _longer_loop(op, half.forth, counter, stack, saved), saved)
    deltas = [sweep.finished(op.results[j]) for j in carried]
    state = [*_stack(sweep, saved), *deltas, *sweep.taken([given[i] for i in constants])]
    state += [Expr(op.results[j], build) for j in half.next]
    frees = [i for i in half.frees if i >= before]
    start, stop, step = _backward(op, build, counter)
    index = body.inputs[0] if op.kind is for_loop else Value(I64, "i")
    regions = (half.back(saved is not None, frees, index),)
    operands = [start, stop, *state, *(Expr(given[i], build) for i in frees)]
    results = _emit(sweep, for_loop, operands, {"carried": len(state), "step": step}, regions, saved)
    places = [*(before + j for j in carried), *constants]
    for i, delta in zip(places, results, strict=False):
        if given[i] in sweep.active:
            sweep.add(given[i], delta)


def _checkpointed(op: Op, sweep: Sweep, carried: Sequence[int], constants: Sequence[int]) -> None:
    """A loop that keeps snapshots instead of residuals, see `weft.passes.checkpoint`."""
    build, lead, before = sweep.build, LEAD[op.kind], BEFORE[op.kind]
    loop = Checkpoints(trip_of(op, sweep, carried, constants), _trips(op, sweep))
    counter = Value(I64, "trips") if op.kind is while_loop else None
    snapshot = None
    if counter is not None:
        sweep.longer[op] = Longer(lambda _: _longer_loop(op, lambda _: ([*op.regions[-1].ops], None), counter), None)
    elif sweep.free is None and loop.state:
        ops, left = loop.forward()
        sweep.longer[op] = Longer(lambda _: ops, None)
        snapshot = left.on(build)
    else:
        sweep.longer[op] = Longer(lambda _: [loop.plain()], None)
    deltas = [sweep.finished(op.results[j]) for j in carried]
    places = [op.operands[i + lead - before] for i in (*(before + j for j in carried), *constants)]
    totals = sweep.taken(places[len(carried) :])
    found = loop.backward(build, loop.count(build, counter), snapshot or loop.begin(build), deltas, totals)
    for v, delta in zip(places, found, strict=True):
        if v in sweep.active:
            sweep.add(v, delta)


def _stack(sweep: Sweep, saved: Value | None) -> list[Expr]:
    """The stack that a backward op pops from, if it does."""
    if saved is None:
        return []
    return [sweep.stack if sweep.stack is not None else Expr(saved, sweep.build)]


def _emit(
    sweep: Sweep,
    kind: OpDef,
    operands: Sequence[Expr],
    attrs: dict[str, Any],
    regions: tuple[Graph, ...],
    saved: Value | None,
) -> list[Expr]:
    """Append the backward op; gives its results, but for the stack that it leaves to the ops before."""
    results = list(sweep.build.emit(kind, [e.value for e in operands], attrs, regions=regions))
    if saved is not None:
        below = results.pop(0)
        sweep.stack = below if sweep.stack is not None else None
    return results


Forth = Callable[["Value | None"], "tuple[list[Op], Value | None]"]


def _longer_loop(
    op: Op, forth: Forth, counter: Value | None, stack: Value | None = None, saved: Value | None = None
) -> list[Op]:
    """The forward loop that counts its trips, if asked, and leaves its residuals on a stack, if there are any.

    forth: the ops of a trip, and the stack as they leave it, from the stack before.
    """
    body, outside, inside = op.regions[-1], Builder(), Builder()
    inner = Value(STACK, "saved") if saved is not None else None
    inside.ops, left = forth(inner)
    more: list[tuple[Value | None, Value | None, Value | None, Value]] = []  # operand, input, output, result
    if counter is not None:
        counted = Value(I64, "trips")
        more.append((outside.constant(0, "i64").value, counted, (Expr(counted, inside) + 1).value, counter))
    if saved is not None:
        more.append((stack, inner, left, saved))
    entered, taken, returned, results = ([v for v in column if v is not None] for column in zip(*more, strict=True))
    count = op.attrs["carried"]
    regions = [_with_inputs(test, count, [Value(v.type, v.name) for v in taken]) for test in op.regions[:-1]]
    longer = Graph(body.name, body.inputs, tuple(inside.ops), (*body.outputs, *returned))
    regions.append(_with_inputs(longer, BEFORE[op.kind] + count, taken))
    at = LEAD[op.kind] + count
    operands = (*op.operands[:at], *entered, *op.operands[at:])
    attrs = {**op.attrs, "carried": count + len(results)}
    return [*outside.ops, Op(op.kind, operands, attrs, tuple(regions), (*op.results, *results))]


def _with_inputs(region: Graph, at: int, more: Sequence[Value]) -> Graph:
    return Graph(region.name, (*region.inputs[:at], *more, *region.inputs[at:]), region.ops, region.outputs)


def _trips(op: Op, sweep: Sweep) -> int | None:
    """How often the body runs, where that is known (and not 0)."""
    if op.kind is not for_loop:
        return None
    start, stop = sweep.number(op.operands[0]), sweep.number(op.operands[1])
    return None if start is None or stop is None else len(range(start, stop, op.attrs["step"]))


def _backward(op: Op, build: Builder, counter: Value | None) -> tuple[Expr, Expr, int]:
    """Start, stop and step of a for loop that runs the trips in reverse."""
    if counter is not None:
        return build.constant(0, "i64"), Expr(counter, build), 1
    start, stop, step = Expr(op.operands[0], build), Expr(op.operands[1], build), op.attrs["step"]
    one = 1 if step > 0 else -1
    if step == one:
        return stop - one, start - one, -step
    last = start + floordiv(stop - start - one, start.const(step)) * step
    return last, start - step, -step


def _branch(op: Op, sweep: Sweep) -> None:
    build, given = sweep.build, op.operands[1:]
    wanted = [k for k, r in enumerate(op.results) if r in sweep.adjoint and r in sweep.active]
    wrt = sorted(i - 1 for i in useful_operands(op, wanted, sweep.active))
    if not wrt:
        return
    totals = [i for i in wrt if sweep.has_whole(given[i]) and given[i] not in given[:i]]
    free = {i: 0.0 for i, v in enumerate(given) if sweep.is_free(v)}
    halves = [_Half(region, sweep.active, wanted, wrt, totals, free) for region in op.regions]
    saved = Value(STACK, "saved") if any(half.uses_stack for half in halves) else None
    if any(half.is_longer for half in halves):
        sweep.longer[op] = Longer(lambda stack: [_longer_branch(op, halves, stack, saved)], saved)
    frees = sorted({i for half in halves for i in half.frees})
    seeds = [sweep.finished(op.results[k]) for k in wanted]
    operands = [Expr(op.operands[0], build), *_stack(sweep, saved), *seeds]
    operands += [*sweep.taken([given[i] for i in totals]), *(Expr(given[i], build) for i in frees)]
    regions = tuple(half.back(saved is not None, frees) for half in halves)
    results = _emit(sweep, cond, operands, {}, regions, saved)
    for i, delta in zip(wrt, results, strict=True):
        sweep.add(given[i], delta)


def _longer_branch(op: Op, halves: Sequence[_Half], stack: Value | None, saved: Value | None) -> Op:
    """The forward branch that leaves its residuals on a stack, if there are any."""
    regions = []
    for region, half in zip(op.regions, halves, strict=True):
        inner = Value(STACK, "saved") if saved is not None else None
        ops, left = half.forth(inner)
        outputs = (*region.outputs, left) if left is not None else region.outputs
        longer = Graph(region.name, region.inputs, tuple(ops), outputs)
        regions.append(_with_inputs(longer, len(region.inputs), [inner] if inner is not None else []))
    operands = (*op.operands, stack) if stack is not None and saved is not None else op.operands
    results = (*op.results, saved) if saved is not None else op.results
    return Op(op.kind, operands, op.attrs, tuple(regions), results)
