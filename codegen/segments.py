"""Loops cut where a test on their variable changes its outcome.

    for c in [0, 1000):                          for c in [0, 2):      y[c] = 0
      ok = 0 <= c - 2 < 996                      for c in [2, 998):    y[c] = x[c - 2]
      y[c] = x[clamp(c - 2)] if ok else 0        for c in [998, 1000): y[c] = 0

Padding and concatenation, and so the gradients of slices, read through such tests. Within a segment every test and
every clamp of the loop's variable is decided, and said to be: what is left is a loop over contiguous elements.
"""

from __future__ import annotations

from weft.codegen.kernel import Affine, Constant, For, Index, InRange, Statement, var
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
        found.append(For(loop.var, start, stop, _decided(loop, lo, hi), loop.step, loop.vector))
    return found


def _decided(loop: For, lo: int, hi: int) -> list[Statement]:
    """The body where the variable is in [lo, hi)."""
    known = {loop.var: var(loop.var)}  # names that are affine in it

    def ends(value: Affine) -> tuple[int, int] | None:
        if any(name not in known for name, _ in value.terms):
            return None
        value = value.substitute(known)
        k = value.coefficient(loop.var)
        return tuple(sorted((value.const + k * lo, value.const + k * (hi - 1))))  # type: ignore[return-value]

    found: list[Statement] = []
    for s in loop.body:
        if isinstance(s, InRange) and (at := ends(s.value)) is not None:
            inside, outside = s.low <= at[0] and at[1] < s.high, at[1] < s.low or s.high <= at[0]
            s = Constant(s.target, "bool", inside) if inside or outside else s
        elif isinstance(s, Index) and s.op in ("min", "max"):
            a, b = (s.a, s.b) if s.op == "min" else (s.b, s.a)
            first, second = ends(a), ends(b)
            if first is not None and second is not None and (first[1] <= second[0] or second[1] <= first[0]):
                same = s.a if first[1] <= second[0] else s.b
                s = Index(s.target, s.op, same, same)
                known[s.target] = same.substitute(known)
        found.append(s)
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
