"""What a value of a loop's body is in every trip, as one array made outside of the loop.

    for i in range(2, 8):  x[i] - c      ->      x[2:8] - c        the trips are the first axis, in the order of i

That can be said of what depends on the loop's variable and its constants alone: parts of a constant at a place that
moves with the variable, and what movement, arithmetic and products make of them. An op for all trips is the op with
the trips as lanes (`OpDef.batch`).
"""

from __future__ import annotations

from typing import Any

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Op, Value
from weft.ir.ops.control import for_loop
from weft.ir.ops.linalg import dot
from weft.ir.ops.movement import reshape, reverse, slice_, to_front
from weft.ir.ops.update import dynamic_slice

STEPS: dict[str, Any] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[0], a[1] - b[1]),
    "neg": lambda a: (-a[0], -a[1]),
    "mul": lambda a, b: (a[0] * b[1] + a[1] * b[0], a[1] * b[1]) if not (a[0] and b[0]) else None,
}
FAMILIES = frozenset({"movement", "elementwise"})
MAY_FAIL = frozenset({"bound", "agree", "limit"})


def trip_numbers(op: Op, number: dict[Value, int]) -> range | None:
    """The loop's variable, trip for trip; None where the trips are not known or are fewer than two."""
    if op.kind is not for_loop or op.operands[0] not in number or op.operands[1] not in number:
        return None
    trips = range(number[op.operands[0]], number[op.operands[1]], op.attrs["step"])
    return trips if len(trips) > 1 else None


class EveryTrip:
    """The values of a `for_loop`'s body that are known outside of it.

    build: where they are made. env: its values by those of the graph around the loop. `numbers` is the loop's
    variable, ascending.
    """

    def __init__(self, op: Op, trips: range, build: Builder, env: dict[Value, Value]) -> None:
        self.build = build
        self.env = env
        self.numbers = trips if trips.step > 0 else trips[::-1]
        self.count = len(trips)
        body, carried = op.regions[0], op.attrs["carried"]
        self.variable = body.inputs[0]
        outside = zip(body.inputs[1 + carried :], op.operands[2 + carried :], strict=True)
        self.outer = {v: env[o] for v, o in outside}  # constants of the loop, by what they are outside
        self.line: dict[Value, tuple[int, int]] = {self.variable: (1, 0)}  # a, b of what is a * variable + b
        self.maker = {r: o for o in body.ops for r in o.results}
        self.same = set(self.outer)
        self.differs: set[Value] = set()
        self.stacks: dict[Value, Value] = {}
        for o in body.ops:
            self._look_at(o)

    def _look_at(self, op: Op) -> None:
        """Enter what an op makes: is it the same in every trip, or known for each?"""
        if op.kind.name == "constant":
            if not op.result.shape and op.result.type.is_integer:
                self.line[op.result] = (0, int(op.attrs["value"]))
            self.same.add(op.result)
            return
        if op.kind.name in STEPS and all(v in self.line for v in op.operands):
            found = STEPS[op.kind.name](*(self.line[v] for v in op.operands))
            if found is not None:
                self.line[op.result] = found
                return
        if op.kind is dynamic_slice:
            if self._moves(op) is not None:
                self.differs.add(op.result)
            return
        known = self.same | self.differs
        if op.regions or op.kind.name in MAY_FAIL or any(v not in known for v in op.operands):
            return
        if self.differs.isdisjoint(op.operands):
            if op.kind.family in FAMILIES or op.kind.family == "source":
                self.same.add(op.result)
        elif op.kind.family in FAMILIES or (op.kind is dot and not self.differs.issuperset(op.operands)):
            self.differs.add(op.result)

    def _moves(self, op: Op) -> int | None:
        """The one axis of a constant along which a slice moves from trip to trip, one element long."""
        x, *starts = op.operands
        if x not in self.outer or any(s not in self.line for s in starts):
            return None
        lines = [self.line[s] for s in starts]
        moving = [d for d, (a, _) in enumerate(lines) if a]
        for d, (a, b) in enumerate(lines):
            ends = [a * i + b for i in (self.numbers[0], self.numbers[-1])]
            if min(ends) < 0 or max(ends) + op.attrs["sizes"][d] > x.shape[d]:
                return None
        return moving[0] if len(moving) == 1 and op.attrs["sizes"][moving[0]] == 1 else None

    def outside(self, v: Value) -> Value:
        """A value that is the same in every trip."""
        if v not in self.outer:
            op = self.maker[v]
            env = {o: self.outside(o) for o in op.operands}
            self.build.copy(op, env)
            self.outer[v] = env[v]
        return self.outer[v]

    def stacked(self, v: Value) -> Expr:
        """The value of every trip, of one of those that `differs` holds."""
        if v not in self.stacks:
            op = self.maker[v]
            if op.kind is dynamic_slice:
                self.build.location = op.location
                made = self._slices(op)
            else:
                lanes = [o in self.differs for o in op.operands]
                given = [self.stacked(o) if lane else self._of(o) for o, lane in zip(op.operands, lanes, strict=True)]
                assert op.kind.batch is not None, op.kind.name
                self.build.location = op.location
                made = op.kind.batch(self.count, lanes, *given, **op.attrs)
            self.build.hint(made.value, v.name)
            self.build.location = None
            self.stacks[v] = made.value
        return Expr(self.stacks[v], self.build)

    def _of(self, v: Value) -> Expr:
        return Expr(self.outside(v), self.build)

    def _slices(self, op: Op) -> Expr:
        """All that a moving slice meets: a slice of as many elements as there are trips, that axis in front."""
        axis = self._moves(op)
        assert axis is not None
        lines = [self.line[s] for s in op.operands[1:]]
        a, b = lines[axis]
        ends = sorted(a * i + b for i in (self.numbers[0], self.numbers[-1]))
        start, sizes = [line[1] for line in lines], op.attrs["sizes"]
        stop = [s + n for s, n in zip(start, sizes, strict=True)]
        start[axis], stop[axis] = ends[0], ends[1] + 1
        step = tuple(abs(a) * self.numbers.step if d == axis else 1 for d in range(len(sizes)))
        x = self._of(op.operands[0])
        found = x
        if (tuple(start), tuple(stop), set(step)) != ((0,) * len(sizes), x.shape, {1}):
            found = slice_(x, start=tuple(start), stop=tuple(stop), step=step)
        if a < 0:
            found = reverse(found, axes=(axis,))
        return reshape(to_front(found, axis), shape=(self.count, *sizes))
