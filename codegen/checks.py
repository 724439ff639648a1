"""Indices that may be out of bounds.

A kernel goes on with a clamped index and keeps the worst one that it met, as an unsigned number: a negative index is a
very large one. At the end of the function around, an index that did not fit is reported to the call, which raises
IndexError. So a loop stays straight-line code, and one that is known to fit costs nothing. Lengths that must agree are
reported likewise, by how many elements they differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft.codegen.kernel import Buffer, Check, Compute, Report, Statement, Variable
from weft.codegen.scalar import expression
from weft.codegen.scope import Scope
from weft.ir.graph import Op

if TYPE_CHECKING:
    from weft.codegen.lower import Lowering


class Checks:
    """The `bound`s of one kernel. `bounds` numbers those of a step, from 1."""

    def __init__(self, lowering: Lowering, bounds: list[Op]) -> None:
        self.low = lowering
        self.bounds = bounds
        self.reports: list[tuple[Scope, Report]] = []
        self.error = ""  # the buffer that takes reports

    def check(self, op: Op, index: str, scope: Scope) -> str:
        """The name of the index, clamped."""
        if not op.result.type.size:
            return index  # there is none
        return self._check(op, index, op.attrs["size"], scope)

    def _check(self, op: Op, index: str, size: int, scope: Scope) -> str:
        low = self.low
        name, worst = low.names.fresh(op.result.name or "i"), low.names.fresh("worst")
        low.top.statements.insert(0, Variable(worst, "i64", 0))
        scope.statements.append(Check(name, index, size, worst))
        if not self.error:
            self.error = low.names.fresh("error")
            low.buffers.append(Buffer(self.error, "i64", 2, "error"))
        self.bounds.append(op)
        self.reports.append((low.top, Report(worst, size, self.error, len(self.bounds))))
        return name

    def agree(self, op: Op, numbers: list[str], scope: Scope) -> str:
        """The name of a length, which is another or else that is reported, by how many."""
        by = self.low.names.fresh("by")
        scope.statements.append(Compute(by, expression("a - b", ["i64", "i64"], "i64"), tuple(numbers), "sub"))
        self._check(op, by, 1, scope)
        return numbers[0]

    def report(self, top: Scope, statements: list[Statement]) -> None:
        """Report at the end of `statements` what was checked under `top`."""
        statements += [report for scope, report in self.reports if scope is top]
        self.reports = [(scope, report) for scope, report in self.reports if scope is not top]
