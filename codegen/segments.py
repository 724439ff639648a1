"""Loops cut where a test on their variable changes its outcome.

    for c in [0, 1000):                          for c in [0, 2):      y[c] = 0
      ok = 0 <= c - 2 < 996                      for c in [2, 998):    y[c] = x[c - 2]
      y[c] = x[clamp(c - 2)] if ok else 0        for c in [998, 1000): y[c] = 0

Padding and concatenation, and so the gradients of slices, read through such tests. Within a segment every test and
every clamp is decided by the loop's bounds, which LLVM sees: what is left is a loop over contiguous elements. The body
is the same in all of them.
"""

from __future__ import annotations

from weft.codegen.kernel import Affine, For, Index, InRange, Statement, var
from weft.codegen.reading import Names

MOST = 7  # segments: beyond that, only the longest is cut out
LONG = 16  # trips: a shorter loop is left whole
LINES = 400  # statements, all segments together


def cut(loop: For, count: int, names: Names) -> list[Statement]:
    """The loop as a sequence of loops. Its variable is in [0, count)."""
    places = _places(loop, count)
    if not places or count < LONG:
        return [loop]
    ends = [0, *places, count]
    if len(ends) - 1 > MOST or (len(ends) - 1) * len(loop.body) > LINES:
        longest = max(range(len(ends) - 1), key=lambda k: ends[k + 1] - ends[k])
        ends = sorted({0, ends[longest], ends[longest + 1], count})
    if (len(ends) - 1) * len(loop.body) > LINES:
        return [loop]
    found: list[Statement] = []
    for lo, hi in zip(ends, ends[1:], strict=False):
        start, stop = loop.start, loop.stop
        if lo and not _at_least(start, lo):
            name = names.fresh("from")
            found.append(Index(name, "max", start, Affine(lo)))
            start = var(name)
        if hi < count:
            name = names.fresh("to")
            found.append(Index(name, "min", stop, Affine(hi)))
            stop = var(name)
        found.append(For(loop.var, start, stop, loop.body, loop.step, loop.vector))
    return found


def _at_least(start: Affine, lo: int) -> bool:
    return not start.terms and start.const >= lo


def _places(loop: For, count: int) -> list[int]:
    """Where in (0, count) a test in the body changes."""
    found: set[int] = set()
    for s in loop.body:
        if isinstance(s, InRange) and [v for v, _ in s.value.terms] == [loop.var]:
            k, c = s.value.coefficient(loop.var), s.value.const
            for bound in (s.low, s.high):
                # the first x from which on k*x + c >= bound is what it is for large x
                found.add(-((c - bound) // k) if k > 0 else (c - bound) // -k + 1)
    return sorted(x for x in found if 0 < x < count)
