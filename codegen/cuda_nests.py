"""Loops of Kernel IR as a GPU's threads see them: nests that are one flat loop, and what statements touch."""

from __future__ import annotations

from collections.abc import Iterable

from weft.codegen.kernel import (
    Accumulate,
    AccumulateArg,
    AccumulateAt,
    Affine,
    Compute,
    Constant,
    For,
    FromIndex,
    Index,
    InRange,
    Load,
    Statement,
    Store,
    ToIndex,
    walk,
)
from weft.ir.records import dataclass

PURE = (Index, ToIndex, FromIndex, InRange, Constant, Load, Compute)


@dataclass
class Nest:
    """Loops that hold nothing but each other, around `body`; `between` are pure statements before inner loops."""

    loops: list[For]
    between: list[Statement]
    body: list[Statement]

    def count(self) -> int | None:
        """Number of iterations, if all loops go from 0 to a constant."""
        total = 1
        for s in self.loops:
            if s.start != Affine() or s.stop.terms or s.step != 1:
                return None
            total *= s.stop.const
        return total


def nest(s: Statement, pure: bool = False) -> Nest | None:
    """The loops from `s` in to a vector loop, with pure statements between them where those are allowed."""
    if not isinstance(s, For):
        return None
    loops, between = [s], list[Statement]()
    while not loops[-1].vector:
        if not loops[-1].body:
            return None
        *before, last = loops[-1].body
        if not isinstance(last, For) or (before and not pure) or not all(isinstance(b, PURE) for b in before):
            return None
        between += before
        loops.append(last)
    return Nest(loops, between, loops[-1].body)


def column_nest(s: Statement) -> Nest | None:
    """A loop over rows that only adds to columns (and stores): its loops may change places."""
    found = nest(s, pure=True)
    if found is None or len(found.loops) < 2 or accumulates(found.body):
        return None
    sums = [t for t in found.body if isinstance(t, AccumulateAt)]
    columns = {s.var for s in found.loops[1:]}
    owned = all({v for v, _ in t.index.terms} - {"chunk"} == columns for t in sums)
    return found if sums and owned and found.loops[0].step == 1 else None


def reads(statements: Iterable[Statement]) -> set[str]:
    return {s.buffer for s in walk(statements) if isinstance(s, Load | AccumulateAt)}


def writes(statements: Iterable[Statement]) -> set[str]:
    return {s.buffer for s in walk(statements) if isinstance(s, Store | AccumulateAt)}


def accumulates(statements: Iterable[Statement]) -> bool:
    """Is there a variable that threads would keep partial values of?"""
    return any(isinstance(s, Accumulate | AccumulateArg) for s in walk(statements))
