"""Reverse mode of a loop that keeps snapshots of what it carries, and no residuals.

    x = for_loop(0, n, x0, c, body=f, checkpoint=s)

The forward loop takes snapshots on its way down (see `weft.passes.snapshots` for where), `slots` and the trips `at`
which they were taken being carried arrays:

    p, k, x = 0, 0, x0                                       at trip p, with k snapshots
    while p < n:
        slots[k], at[k] = x, p
        m = p + split(n - p, s - k), or n when no snapshot is left
        for t in range(p, m): x = f(t, x, c)
        p, k = m, k + 1

The backward loop has one trip for each forward one. It goes on from the last snapshot, takes those again whose place
is free by now, and makes its residuals where it needs them:

    for t in n-1, ..., 0:
        x, p = slots[top], at[top]
        while p + 1 < t and top + 1 < s:                     as above, of the trips p to t
            ...
        for i in range(p, t): x = f(i, x, c)
        δx, δc = pull of f at trip t (x, δx, δc)
        if at[top] == t: top = top - 1

What is carried but not needed to run a trip again (the rows that a scan collects) is in no snapshot. A while loop
counts its trips, and the backward part begins with a sweep of its own from x0; and so does that of a loop in a loop or
branch without checkpoints, which would else have to keep all snapshots of all its trips.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.ir.builder import Builder, Expr
from weft.ir.dims import value_of
from weft.ir.graph import Graph, Op, Value, fresh
from weft.ir.ops import control
from weft.ir.ops.control import AGAIN, BEFORE, LEAD
from weft.ir.ops.elementwise import floordiv, maximum
from weft.ir.ops.logic import equal, logical_and, where
from weft.ir.ops.movement import broadcast, reshape
from weft.ir.ops.update import dynamic_slice, dynamic_update
from weft.ir.records import dataclass
from weft.passes.snapshots import snapshots, split
from weft.passes.trip import Trip
from weft.passes.written_loops import Group, for_loop, while_loop


def is_checkpointed(op: Op) -> bool:
    """A loop of derivatives, which pops what another pushed, is run once."""
    return op.attrs.get("checkpoint") is not None and not any(v.type.is_stack for v in op.regions[-1].inputs)


@dataclass
class Snapshots:
    """top: the place of the last one; slots: the states; at: the trips at which they were taken."""

    top: Expr
    slots: list[Expr]
    at: Expr

    def on(self, build: Builder) -> Snapshots:
        """The same values for another builder."""
        top, *slots, at = (Expr(e.value, build) for e in (self.top, *self.slots, self.at))
        return Snapshots(top, slots, at)


class Checkpoints:
    """The backward part of a checkpointed loop, and what the forward part leaves for it.

    trips: their number, None where it is known only when the program runs.
    """

    def __init__(self, trip: Trip, trips: int | None) -> None:
        self.trip = trip
        self.trips = trips
        self.op = op = trip.op
        self.state = [op.operands[LEAD[op.kind] + j] for j in trip.kept]  # the initial one
        self.most = snapshots(op.attrs["checkpoint"], sum(value_of(v.type.nbytes) for v in self.state), trips)

    def count(self, build: Builder, counter: Value | None) -> tuple[Expr, Expr]:
        """Where the loop starts, and how many trips it has."""
        zero = build.constant(0, "i64")
        if counter is not None:
            return zero, Expr(counter, build)
        start, stop, step = Expr(self.op.operands[0], build), Expr(self.op.operands[1], build), self.op.attrs["step"]
        way = stop - start if step > 0 else start - stop
        by = abs(step)
        trips = way if by == 1 else floordiv(way + (by - 1), way.const(by))
        return start, maximum(trips, zero)

    def plain(self) -> Op:
        """The loop as the forward part runs it where it leaves nothing."""
        attrs = {k: v for k, v in self.op.attrs.items() if k != "checkpoint"}
        return Op(self.op.kind, self.op.operands, attrs, self.op.regions, self.op.results)

    def _room(self, build: Builder) -> tuple[list[Expr], Expr]:
        """Empty slots, and the trips at which they will be taken."""
        shapes = [(v.dtype, (self.most, *v.shape)) for v in self.state]
        slots = [broadcast(build.constant(0, dtype), shape=shape) for dtype, shape in shapes]
        return slots, broadcast(build.constant(0, "i64"), shape=(self.most,))

    def begin(self, build: Builder) -> Snapshots:
        """The initial state as the only snapshot."""
        slots, at = self._room(build)
        zero = build.constant(0, "i64")
        return Snapshots(zero, _stored(slots, zero, [Expr(v, build) for v in self.state]), at)

    def _advance(self, build: Builder, body: Graph, a: Expr, b: Expr, start: Expr, xs: Group, cs: Group) -> list[Expr]:
        """The trips a to b of the loop."""
        step = self.op.attrs.get("step", 1)
        ends = [start + a * step, start + b * step]
        operands = [e.value for e in (*ends, *xs, *cs)]
        attrs = {"carried": len(xs), "step": step}
        return list(build.emit(control.for_loop, operands, attrs, regions=(fresh(body),)))

    def forward(self) -> tuple[list[Op], Snapshots]:
        """The ops of the loop that takes snapshots, and what it leaves."""
        op, build = self.op, Builder()
        build.location = op.location
        count = op.attrs["carried"]
        start, n = self.count(build, None)
        zero = build.constant(0, "i64")
        given = [Expr(v, build) for v in op.operands[LEAD[op.kind] :]]
        slots, at = self._room(build)
        whole = self.trip.whole()

        def test(now: Group, xs: Group, slots: Group, at: Group, ends: Group, cs: Group) -> Expr:
            return now[0] < ends[1]

        def body(now: Group, xs: Group, slots: Group, at: Group, ends: Group, cs: Group) -> list[list[Expr]]:
            (p, k), (start, n) = now, ends
            inner = p.builder
            slots = _stored(slots, k, [xs[j] for j in self.trip.kept])
            at = _stored(at, k, [p])
            m = n
            if self.most > 1:
                two = p.const(2)
                part = p + split(inner, maximum(n - p, two), maximum(self.most - k, two))
                m = where(logical_and(p + 1 < n, k + 1 < p.const(self.most)), part, n)
            xs = self._advance(inner, whole, p, m, start, xs, cs)
            return [[m, k + 1], xs, list(slots), list(at)]

        state = ([zero, zero], given[:count], slots, [at])
        (_, taken), _, slots, (at,) = while_loop(build, state, ([start, n], given[count:]), test, body)
        done = build.ops.pop()
        results = (*done.results[:2], *op.results, *done.results[2 + count :])
        build.ops.append(Op(done.kind, done.operands, done.attrs, done.regions, results))
        top = taken - 1
        return build.ops, Snapshots(top, slots, at)

    def backward(
        self,
        build: Builder,
        ends: tuple[Expr, Expr],
        left: Snapshots,
        deltas: Group,
        totals: Group,
    ) -> list[Expr]:
        """Append the backward loop; gives the adjoints of the initial state and the totals. ends: see `count`."""
        (start, n), step = ends, self.op.attrs.get("step", 1)
        trip, again = self.trip, self.trip.forth()
        cs = [Expr(self.op.operands[i + LEAD[self.op.kind] - BEFORE[self.op.kind]], build) for i in trip.outside]

        def body(
            t: Expr, top: Group, slots: Group, at: Group, deltas: Group, totals: Group, start: Group, cs: Group
        ) -> list[list[Expr]]:
            inner = t.builder
            xs: list[Expr] = []
            if trip.kept:
                top, slots, at, xs = self._reach(t, top, slots, at, start, cs, again)
            found = trip.pull(inner, start[0] + t * step, xs, cs, deltas, totals)
            return [list(top), list(slots), list(at), found[: len(deltas)], found[len(deltas) :]]

        state = ([left.top], left.slots, [left.at], deltas, totals) if trip.kept else ([], [], [], deltas, totals)
        one = n.const(1)
        kept = {"checkpoint": AGAIN} if self.trips == 1 else {}  # its residuals stay in it
        *_, first, last = for_loop(build, (n - one, -one), -1, state, ([start], cs), body, **kept)
        return [*first, *last]

    def _reach(
        self, t: Expr, top: Group, slots: Group, at: Group, start: Group, cs: Group, again: Graph
    ) -> tuple[list[Expr], list[Expr], list[Expr], list[Expr]]:
        """What is carried at trip t, from the last snapshot, with others taken on the way; and what is left of them."""
        inner = t.builder
        xs = [_taken(s, top[0]) for s in slots]
        p = _taken(at[0], top[0])
        if self.most > 1:

            def test(now: Group, xs: Group, slots: Group, at: Group, given: Group, cs: Group) -> Expr:
                (p, top), (t, _) = now, given
                return logical_and(p + 1 < t, top + 1 < t.const(self.most))

            def body(now: Group, xs: Group, slots: Group, at: Group, given: Group, cs: Group) -> list[list[Expr]]:
                (p, top), (t, start) = now, given
                m = p + split(p.builder, t + 1 - p, self.most - top)
                xs = self._advance(p.builder, again, p, m, start, xs, cs)
                top = top + 1
                return [[m, top], xs, _stored(slots, top, xs), _stored(at, top, [m])]

            state = ([p, top[0]], xs, slots, at)
            (p, last), xs, slots, at = while_loop(inner, state, ([t, start[0]], cs), test, body)
            top = [last]
        xs = self._advance(inner, again, p, t, start[0], xs, cs)
        left = where(equal(p, t), top[0] - 1, top[0])
        return [left], list(slots), list(at), xs


def _stored(slots: Sequence[Expr], k: Expr, xs: Group) -> list[Expr]:
    """The slots with these at place k."""
    zero = k.const(0)
    rows = [reshape(x, shape=(1, *x.shape)) for x in xs]
    return [dynamic_update(s, x, k, *[zero] * (len(x.shape) - 1)) for s, x in zip(slots, rows, strict=True)]


def _taken(slots: Expr, k: Expr) -> Expr:
    """What is at place k."""
    rest = slots.shape[1:]
    return reshape(dynamic_slice(slots, k, *[k.const(0)] * len(rest), sizes=(1, *rest)), shape=rest)
