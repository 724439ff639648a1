"""Which of a row's loops computes what.

    m = max(x); e = exp(x - m); s = sum(e); y = e / s         loop 0: m        loop 1: e, s        loop 2: y

A value waits for the reductions that it reads. Each loop has its *roots*, what it reduces and what it stores, and
computes what these ask for. One that a later loop asks for again is kept if it was dear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft.codegen.reading import op_scalar
from weft.ir.graph import Op, Value
from weft.ir.space import is_free

if TYPE_CHECKING:
    from weft.codegen.lower import Lowering

DEAR = 12  # instructions: above this a value is kept for later loops instead of recomputed


class Stages:
    """The loops of one lowering's rows. roots: (number of the loop, or -1 for what is one number per row; op)."""

    def __init__(self, lowering: Lowering) -> None:
        self.low = low = lowering
        level: dict[Value, int] = {}
        self.row_ops = [op for op in low.graph.ops if op not in low.space.final]
        for op in self.row_ops:
            at = max((level.get(v, 0) for v in op.operands), default=0)
            level[op.result] = at + (low.space.reductions.get(op) == "row")
        self.level = level
        self.kept: dict[Value, tuple[str, int]] = {}  # value -> (scratch buffer, loop that fills it)
        asked: dict[Value, set[int]] = {}
        self.roots: list[tuple[int, Op]] = []
        shown = set(low.graph.outputs)
        for op in self.row_ops:
            if op.kind.family == "reduce":
                at = level[op.result] - (low.space.reductions[op] == "row")
                if self._reads_columns(op):
                    self.roots.append((at, op))
                    self._ask(op.operands[0], at, asked)
                else:
                    self.roots.append((-1, op))
            if op.result in shown and op not in low.space.reductions and low.in_columns(op.result):
                self.roots.append((level[op.result], op))
                self._ask(op.result, level[op.result], asked)
        self.loop_count = 1 + max((at for at, _ in self.roots), default=0)
        self._keep(asked, shown)

    def _reads_columns(self, op: Op) -> bool:
        low = self.low
        return bool({a for a in low.space.of(op, 0) if a is not None} & low.col_axes)

    def _ask(self, v: Value, at: int, asked: dict[Value, set[int]]) -> None:
        low = self.low
        todo = [v]
        while todo:
            x = todo.pop()
            op = low.producer.get(x)
            if op is None or not low.in_columns(x) or at in asked.setdefault(x, set()):
                continue
            asked[x].add(at)
            if op.kind.family != "reduce":
                todo.extend(op.operands)

    def _keep(self, asked: dict[Value, set[int]], shown: set[Value]) -> None:
        """Values that more than one loop asks for and that are dear to compute again."""
        low = self.low
        every = len(low.space.extent)
        dear: dict[Value, int] = {}
        for op in self.row_ops:
            own = 0 if is_free(op) or op.kind.family == "reduce" else op_scalar(op).cost
            dear[op.result] = own + (0 if op.kind.family == "reduce" else sum(
                dear.get(v, 0) for v in op.operands if v not in self.kept))
            v = op.result
            loops = asked.get(v, set())
            if len(loops) < 2 or is_free(op) or op.kind.family == "reduce":
                continue
            if dear[v] > DEAR and len(low.mask(v)) == every:
                first = min(loops)
                if v in shown and self.level[v] == first and low.out_of[v] not in self._shared():
                    self.kept[v] = (low.out_of[v], first)
                else:
                    self.kept[v] = (low.names.fresh("row"), first)
        again = self._read_again() if low.bounds.alike else set()  # else one loop would keep less than another reads
        self.kept = {v: place for v, place in self.kept.items() if v in again}

    def _read_again(self) -> set[Value]:
        """Kept values that a later loop reads itself, not only to make another that is kept too."""
        low = self.low
        found: set[Value] = set()
        for at, root in self.roots:
            todo = [root.operands[0] if root.kind.family == "reduce" else root.result]
            seen: set[Value] = set()
            while todo:
                x = todo.pop()
                op = low.producer.get(x)
                if op is None or x in seen or not low.in_columns(x):
                    continue
                seen.add(x)
                if x in self.kept and self.kept[x][1] < at:
                    found.add(x)
                elif op.kind.family != "reduce":
                    todo.extend(op.operands)
        return found

    def _shared(self) -> set[str]:
        low = self.low
        return {low.out_of[low.graph.outputs[i]] for i in low.alias}
