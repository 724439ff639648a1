"""The backward sweep over one graph's ops: adjoints of operands from adjoints of results.

The rules (`OpDef.pull`) are calculus; the sweep does the bookkeeping: it skips what doesn't depend on the inputs
asked for, sums over broadcast axes, and adds up the uses. Loops and branches are swept by `weft.passes.regions`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Op, Value
from weft.ir.ops.movement import broadcast, unbroadcast
from weft.ir.ops.stack import pop, zeros


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
            total = kind.pull_into(self.adjoint[op.operands[0]], delta, y, *operands, **op.attrs)
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
        self.adjoint[value] = part if known is None else known + part

    def is_free(self, value: Value) -> bool:
        return self.free is None or value in self.free

    def number(self, value: Value) -> int | None:
        """The integer that a 0-d constant of the forward part holds."""
        op = self.maker.get(value)
        return int(op.attrs["value"]) if op is not None and op.kind.name == "constant" else None

    def finished(self, value: Value) -> Expr:
        """The adjoint of a value, at the value's full shape: zeros where nothing depends on it."""
        delta = self.adjoint.get(value)
        if delta is None:
            return zeros(Expr(value, self.build))
        return delta if delta.shape == value.shape else broadcast(delta, shape=value.shape)
