"""A solved group to which ops are added, one by one, without solving it again.

    solve([...])                  O(ops), for each union that is asked about: quadratic in a group's ops
    Grown(ops, space).add(more)   O(more)

It says yes only where `weft.ir.space.solve` would find a space for all of them: the same axes, where each new value
varies along axes of the group in an order that some value has already. Whatever else there is, is for `solve` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.ir.graph import Op, Value
from weft.ir.space import (
    ARG,
    CHEAP,
    LEAF_MOVES,
    WINDOWS,
    Axes,
    Space,
    correspondence,
    is_free,
    is_relabel,
    reduced_axes,
)

OTHERS = frozenset({"limit", "agree", "bound"})  # ops that say where loops end, or whether an index is good


class Grown:
    """The ops of a group, and what is known of their values. `able`: can it grow at all?"""

    def __init__(self, ops: Sequence[Op], space: Space) -> None:
        self.every = frozenset(range(len(space.extent)))
        self.inner, self.outer = frozenset(space.inner), frozenset(space.outer)
        self.axes: dict[Value, Axes] = {}
        self.rows = {_real(axes) for axes in space.axes.values()}
        self.inside: set[Value] = set()
        self.read: set[Value] = set()
        self.late: set[Value] = set()
        self.steady: set[Value] = set()
        self.free: set[Value] = set()
        self.able = self._read(ops, space)

    def _read(self, ops: Sequence[Op], space: Space) -> bool:
        for op in ops:
            y = op.result
            if op.kind.name in OTHERS | WINDOWS or y not in space.axes:
                return False
            for i, x in enumerate(op.operands):
                place = space.axes.get((op, i))
                if place is not None and self.axes.setdefault(x, place) != place:
                    return False
            if self.axes.setdefault(y, space.axes[y]) != space.axes[y]:
                return False
            if space.reductions.get(op, "row") != "row" or op in space.final:
                self.late.add(y)
            if op.kind.family != "reduce" and self._is_steady(op, space.axes[y]):
                self.steady.add(y)
            if is_free(op):
                self.free.add(y)
            self.inside.add(y)
            self.read.update(op.operands)
        return True

    def add(self, ops: Sequence[Op], shown: Sequence[bool]) -> bool:
        """Take in `ops`, of which some results are stored; if that may be wrong, take in none and say so."""
        sets = (self.inside, self.read, self.late, self.steady, self.free)
        before = [s.copy() for s in sets] if len(ops) > 1 else []
        known = len(self.axes)
        for n, (op, stored) in enumerate(zip(ops, shown, strict=True)):
            if not self._add(op, stored):
                if n:
                    self.inside, self.read, self.late, self.steady, self.free = before
                for v in list(self.axes)[known:]:
                    del self.axes[v]
                return False
        return True

    def _add(self, op: Op, shown: bool) -> bool:
        reduce = op.kind.family == "reduce"
        if not (op.kind.family == "elementwise" or reduce or is_relabel(op) or op.kind.name == "constant"):
            return False
        if op.kind.name in OTHERS | ARG | LEAF_MOVES:
            return False
        y = op.result
        if y in self.read:
            return False  # what was an input is made now
        axes = self._placed(op)
        if axes is None:
            return False
        late = any(v in self.late for v in op.operands)
        mask = frozenset(_real(axes))
        if reduce:
            kind = None if late else self._reduction(op)
            if kind is None:
                return False
            late = kind != "row"
        elif late:
            if not mask <= self.inner or not all(map(self._after_rows, op.operands)):
                return False
        elif not mask >= self.outer and (shown or not (is_free(op) or op.kind.name in CHEAP)):
            return False
        if shown and not late and self.inner and mask not in (self.every, self.outer):
            return False
        if not reduce and self._is_steady(op, axes):
            self.steady.add(y)
        if is_free(op):
            self.free.add(y)
        if late:
            self.late.add(y)
        self.axes[y] = axes
        self.inside.add(y)
        self.read.update(op.operands)
        return True

    def _placed(self, op: Op) -> Axes | None:
        """The axes of the result, if the operands' settle them; those of new inputs are noted."""
        y = op.result.type.dims
        found: list[int | None] = [None] * len(y)
        new: dict[Value, list[tuple[int, int]]] = {}
        for i, x in enumerate(op.operands):
            pairs, place = correspondence(op, i), self.axes.get(x)
            if place is None:
                if x in self.inside or op.kind.family == "reduce":
                    return None
                if new.setdefault(x, pairs) != pairs:
                    return None
                continue
            for j, k in pairs:
                if x.type.dims[j] != 1:
                    if place[j] is None or (found[k] is not None and found[k] != place[j]):
                        return None
                    found[k] = place[j]
        if any(n != 1 and a is None for n, a in zip(y, found, strict=True)) or not self._is_row(found):
            return None
        inputs = {}
        for x, pairs in new.items():
            at: list[Any] = [None] * len(x.type.dims)
            for j, k in pairs:
                at[j] = found[k] if x.type.dims[j] != 1 else None
            if any(n != 1 and a is None for n, a in zip(x.type.dims, at, strict=True)) or not self._is_row(at):
                return None
            inputs[x] = tuple(at)
        self.axes.update(inputs)
        return tuple(found)

    def _is_row(self, axes: Sequence[int | None]) -> bool:
        row = _real(axes)
        return len(row) <= 1 or row in self.rows

    def _is_steady(self, op: Op, axes: Axes) -> bool:
        """One number whatever the row."""
        return not _real(axes) and all(v not in self.inside or v in self.steady for v in op.operands)

    def _after_rows(self, v: Value) -> bool:
        """Can what runs after all rows read it?"""
        return v not in self.inside or v in self.late or v in self.free or v in self.steady

    def _reduction(self, op: Op) -> str | None:
        axes = self.axes[op.operands[0]]
        whole = frozenset(_real(axes))
        gone = frozenset(a for d in reduced_axes(op) if (a := axes[d]) is not None)
        kept = whole - gone
        if not whole >= self.outer or whole & self.inner not in (self.inner, frozenset()):
            return None
        if gone and gone == self.inner:
            return "row"
        if gone >= self.outer and not kept:
            return "full"
        return "column" if gone == self.outer and self.outer and kept == self.inner else None


def _real(axes: Sequence[int | None]) -> tuple[int, ...]:
    return tuple([a for a in axes if a is not None])
