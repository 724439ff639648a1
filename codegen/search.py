"""argmax and argmin in loops that vectorise: first how good the best is, then, where it beats what came before, where.

    for c in [lo, hi):  # vector                      for b in [lo, hi) step 512:
      best, at = argmax(best, at, x, c)                 for c in [b, e):  # vector         top = maximum(top, x)
                                                        once, if top beats best:
                                                          for c in [b, e):  # vector       found = the least c: x is top
                                                          best, at = top, found

A pair (best, at) that each element may replace keeps a loop scalar: no vector unit has such a reduction. Maxima and
least positions it has. Of a row in random order few blocks beat those before, and the second loop hardly ever runs; it
reads a block that is in cache still. So does a rising row's, whose every block is walked twice.
"""

from __future__ import annotations

import dataclasses

from weft.codegen.kernel import (
    Accumulate,
    AccumulateArg,
    Affine,
    Assign,
    Compute,
    Constant,
    For,
    FromIndex,
    Index,
    InRange,
    Load,
    Read,
    Statement,
    ToIndex,
    Variable,
    var,
)
from weft.codegen.reading import Names
from weft.codegen.scalar import expression
from weft.ir.dims import value_of
from weft.ir.opdef import REGISTRY

BLOCK = 512  # elements that are searched again, at most
SHORT = 64  # trips: a shorter loop is left as it is
NOWHERE = (1 << 63) - 1


def searched(loop: For, count: int, names: Names) -> list[Statement]:
    """The loop of `count` trips at most, with its searches cut into blocks."""
    searches = [s for s in loop.body if isinstance(s, AccumulateArg)]
    strided = any(isinstance(s, Load) and s.index.coefficient(loop.var) not in (-1, 0, 1) for s in loop.body)
    if not searches or value_of(count) < SHORT or not loop.vector or loop.step != 1 or strided:
        return [loop]  # elements that lie apart are no vector: one pass over them is dear enough
    block, end = names.fresh("b"), names.fresh("e")
    before: list[Statement] = []
    run: list[Statement] = [Index(end, "min", var(block) + BLOCK, loop.stop)]
    after: list[Statement] = []
    first: dict[AccumulateArg, Accumulate] = {}
    for s in searches:
        start, top = names.fresh("k"), names.fresh("top")
        reduce = REGISTRY["max" if s.kind == "argmax" else "min"]
        worst, combine = reduce.extra["identity"](s.dtype), reduce.extra["combine"]
        before += [Variable(top, s.dtype, worst), Constant(start, s.dtype, worst)]
        run.append(Assign(top, s.dtype, start))
        scalar = expression(REGISTRY[combine].scalar_for(s.dtype), [s.dtype, s.dtype], s.dtype)
        first[s] = Accumulate(top, s.dtype, combine, scalar, s.value)
        after += _where(s, top, loop, block, end, names)
    body: list[Statement] = [first[s] if isinstance(s, AccumulateArg) else s for s in loop.body]
    run.append(dataclasses.replace(loop, start=var(block), stop=var(end), body=body))
    return [*before, For(block, loop.start, loop.stop, [*run, *after], step=BLOCK)]


def _where(s: AccumulateArg, top: str, loop: For, block: str, end: str, names: Names) -> list[Statement]:
    """If the block's best beats the one so far: the first place that has it."""
    best, now, beats, number, trips = (names.fresh(hint) for hint in ("t", "t", "beats", "t", "trips"))
    nowhere, found, at, hit, place, got = (names.fresh(hint) for hint in ("k", "found", "i", "hit", "t", "t"))
    same = "a == b" if s.dtype[0] != "f" else "(a == b) | ((a != a) & (b != b))"
    test = expression(same, [s.dtype, s.dtype], "bool")
    choose = expression("b if a else c", ["bool", "i64", "i64"], "i64")
    least = expression(REGISTRY["minimum"].scalar_for("i64"), ["i64", "i64"], "i64")
    body = [
        *_needed(loop.body, s.value),
        Compute(hit, test, (s.value, now), "equal"),
        FromIndex(at, "i64", s.position),
        Compute(place, choose, (hit, at, nowhere), "where"),
        Accumulate(found, "i64", "minimum", least, place),
    ]
    inside: list[Statement] = [
        Variable(found, "i64", NOWHERE),
        For(loop.var, var(block), var(end), body, vector=True),
        Read(got, "i64", found),
        Assign(s.best, s.dtype, now),
        Assign(s.at, "i64", got),
    ]
    return [
        Read(now, s.dtype, top),
        Read(best, s.dtype, s.best),
        Compute(beats, s.better, (now, best), "beats"),
        Compute(number, expression("1 if a else 0", ["bool"], "i64"), (beats,), "cast"),
        ToIndex(trips, number),
        Constant(nowhere, "i64", NOWHERE),
        For(names.fresh("once"), Affine(), var(trips), inside),
    ]


def _needed(body: list[Statement], value: str) -> list[Statement]:
    """The statements that `value` is computed by."""
    wanted = {value}
    found: list[Statement] = []
    for s in reversed(body):
        if not isinstance(s, Load | Compute | Constant | FromIndex | InRange | Index | ToIndex):
            continue
        if s.target not in wanted:
            continue
        found.append(s)
        match s:
            case Load():
                wanted.update(v for v, _ in s.index.terms)
            case Compute():
                wanted.update(s.operands)
            case FromIndex() | InRange():
                wanted.update(v for v, _ in s.value.terms)
            case Index():
                wanted.update(v for a in (s.a, s.b) for v, _ in a.terms)
            case ToIndex():
                wanted.add(s.value)
    return found[::-1]
