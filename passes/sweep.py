"""The backward sweep over one graph's ops: adjoints of operands from adjoints of results.

The rules (`OpDef.pull`) are calculus; the sweep does the bookkeeping: it skips what doesn't depend on the inputs
asked for, sums over broadcast axes, and adds up the uses. Loops and branches are swept by `weft.passes.regions`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Op, Value
from weft.ir.ops.movement import broadcast, pad, unbroadcast
from weft.ir.ops.stack import pop, stack_new, zeros
from weft.ir.ops.update import update
from weft.ir.records import dataclass
from weft.ir.space import READER


@dataclass(frozen=True)
class Longer:
    """What takes the place of a loop or branch in the forward part.

    `make` gives it (the op, and constants that it needs). Where it leaves something on a stack, that is `saved`, one
    of its results, and `make` is given the stack before.
    """

    make: Callable[[Value | None], list[Op]]
    saved: Value | None


class Sweep:
    """Adjoints under construction.

    build: where the backward ops go; they read the forward part's values. active: see `weft.passes.activity`.
    free: forward values that the backward part can have at no cost, None for all. stack: in the backward part of a
    region, the stack as it is when the sweep gets there; None in a graph that has both parts, where each loop and
    branch has a stack of its own.
    """

    def __init__(
        self,
        build: Builder,
        active: Collection[Value],
        nested: Callable[[Op, Sweep], None],
        free: Collection[Value] | None = None,
        stack: Expr | None = None,
    ) -> None:
        self.build = build
        self.active = active
        self.nested = nested
        self.free = free
        self.stack = stack
        self.adjoint: dict[Value, Expr] = {}
        self.longer: dict[Op, Longer] = {}
        self.maker: dict[Value, Op] = {}
        self._made: dict[Value, Op] = {}
        self._seen = 0

    def run(self, ops: Sequence[Op]) -> None:
        self.maker = {r: op for op in ops for r in op.results}
        for op in reversed(ops):
            has_adjoint = op.kind is pop or any(r in self.adjoint for r in op.results)  # of a pop, a record: of zeros
            if has_adjoint and any(v in self.active for v in op.operands):
                self.build.location = op.location
                self._name(op)
                self.nested(op, self) if op.regions else self._pull(op)
        self.build.location = None

    def _name(self, op: Op) -> None:
        for r in op.results:
            if r in self.adjoint and r.name:
                self.build.hint(self.adjoint[r].value, f"d_{r.name}")

    def _pull(self, op: Op) -> None:
        """Push the adjoints of an op's results on to its operands."""
        kind = op.kind
        assert kind.pull is not None, kind.name
        one = len(op.results) == 1
        delta = self.adjoint[op.result] if one else tuple(self.adjoint.get(r) for r in op.results)
        results = tuple(Expr(r, self.build) for r in op.results)
        operands = [Expr(v, self.build) for v in op.operands]
        y = results[0] if one else results
        if kind.pull_into is not None and self.has_whole(op.operands[0]):
            known = self.adjoint[op.operands[0]]
            total = self._refilled(known, op, delta) if isinstance(delta, Expr) else None
            if total is None:
                total = kind.pull_into(known, delta, y, *operands, **op.attrs)
            if total is not None:
                self.adjoint[op.operands[0]] = total
                return
        for operand, part in zip(op.operands, kind.pull(delta, y, *operands, **op.attrs), strict=True):
            if part is not None and operand in self.active:
                self.add(operand, unbroadcast(part, operand.shape))

    def has_whole(self, value: Value) -> bool:
        """Is there an adjoint at the value's full shape yet?"""
        return value in self.adjoint and self.adjoint[value].shape == value.shape

    def add(self, value: Value, part: Expr) -> None:
        known = self.adjoint.get(value)
        assert known is None or not value.type.is_stack, "a stack is used once"
        self.adjoint[value] = part if known is None else self._filled(known, part) or known + part

    def _filled(self, known: Expr, part: Expr) -> Expr | None:
        """x with zeros in a window, plus u padded to that window: x with u there. So `a[1:-1] += b` is pulled back."""
        hole, patch = self._maker(known.value), self._maker(part.value)
        if hole is None or patch is None or hole.kind is not update or patch.kind is not pad:
            return None
        x, hollow, at = *hole.operands, hole.attrs
        u, fill = patch.operands
        same = tuple(at["start"]) == tuple(patch.attrs["low"]) and u.shape == hollow.shape and set(at["step"]) == {1}
        if not same or not self._is_zero(hollow) or not self._is_zero(fill):
            return None
        return self.build.emit(update, [x, u], at)[0]

    def _refilled(self, total: Expr, read: Op, delta: Expr) -> Expr | None:
        """x with zeros in a window, to which the adjoint of that very window is added: x with the adjoint there.

        So `a[i] += b` is pulled back.
        """
        hole = self._maker(total.value)
        if hole is None or READER.get(hole.kind.name) != read.kind.name or delta.shape != read.result.shape:
            return None
        x, hollow, *places = hole.operands
        same = tuple(places) == read.operands[1:] and hollow.shape == read.result.shape
        if read.kind.name == "slice":
            same = same and hole.attrs == read.attrs
        if not same or not self._is_zero(hollow):
            return None
        return self.build.emit(hole.kind, [x, delta.value, *places], hole.attrs)[0]

    def _maker(self, value: Value) -> Op | None:
        """The op of the backward part that makes a value."""
        self._made.update((r, op) for op in self.build.ops[self._seen :] for r in op.results)
        self._seen = len(self.build.ops)
        return self._made.get(value)

    def _is_zero(self, value: Value) -> bool:
        op = self._maker(value)
        while op is not None and op.kind is broadcast:
            op = self._maker(op.operands[0])
        return op is not None and op.kind.name == "constant" and not np.any(op.attrs["value"])

    def is_free(self, value: Value) -> bool:
        return self.free is None or value in self.free

    def number(self, value: Value) -> int | None:
        """The integer that a 0-d constant of the forward part holds."""
        op = self.maker.get(value)
        return int(op.attrs["value"]) if op is not None and op.kind.name == "constant" else None

    def taken(self, values: Sequence[Value]) -> list[Expr]:
        """The adjoints of these values so far, which somebody goes on adding to; of a value met twice, once."""
        return [(self.finished(v), self.adjoint.pop(v, None))[0] for v in values]

    def finished(self, value: Value) -> Expr:
        """The adjoint of a value, at the value's full shape: zeros where nothing depends on it."""
        delta = self.adjoint.get(value)
        if delta is None:
            return zeros(Expr(value, self.build))
        return delta if delta.shape == value.shape else broadcast(delta, shape=value.shape)


def forth(ops: Sequence[Op], sweep: Sweep) -> list[Op]:
    """The forward part: loops and branches that leave something for the backward part have a stack each."""
    build = Builder()
    for op in ops:
        longer = sweep.longer.get(op)
        if longer is None:
            build.ops.append(op)
            continue
        empty = build.emit(stack_new, (), location=op.location)[0].value if longer.saved else None
        build.ops += longer.make(empty)
    return build.ops
