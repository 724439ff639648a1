"""How many snapshots a checkpointed loop keeps, and where: Revolve (Griewank and Walther, ACM TOMS 799, 2000).

To run n trips backward from s snapshots of what is carried, the first of them being the initial state: advance m
trips from the last snapshot and take another; run the n - m trips behind it backward with the s - 1 that are left,
then the m before it with all s. The fewest trips to advance in all are

    t(n, s) = min over m of  m + t(n - m, s - 1) + t(m, s)        t(1, s) = 0,   t(n, 1) = n (n - 1) / 2

which has a closed form: with b(s, r) = (s + r)! / (s! r!), the trips that s snapshots reach when none is run more
than r times, and r the least for which n <= b(s, r),

    t(n, s) = r n - b(s + 1, r - 1)        for every m with  b(s, r-2) <= m <= b(s, r-1)
                                                        and  b(s-1, r-1) <= n - m <= b(s-1, r)

The last such m is taken. It is computed where the program runs, in integers, so n need not be known before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from weft.ir.builder import Builder, Expr
from weft.ir.ops.control import budget
from weft.ir.ops.elementwise import floordiv, minimum
from weft.passes.written_loops import while_loop

UNKNOWN = 64  # snapshots for "sqrt", where the number of trips is not known before the run: 47905 trips are run thrice
MOST = 4096  # of a budget in bytes, where the number of trips is not known


def snapshots(checkpoint: int | str, nbytes: int, trips: int | None) -> int:
    """How many to keep at most. nbytes: of one. trips: None where their number is not known."""
    if isinstance(checkpoint, int):
        found = checkpoint
    elif (room := budget(checkpoint)) is not None:
        found = min(room // max(nbytes, 1), MOST if trips is None else trips)
    else:  # the root: trips <= b(s, 2), so that none is advanced over more than twice
        found = UNKNOWN if trips is None else math.isqrt(2 * trips) + 1
    return max(1, found if trips is None else min(found, trips))


def advances(n: int, s: int) -> int:
    """t(n, s)."""
    if n < 2:
        return 0
    r = 1
    while math.comb(s + r, s) < n:
        r += 1
    return r * n - math.comb(s + r, r - 1)


def split(build: Builder, n: Expr, s: Expr) -> Expr:
    """m, for n trips and s snapshots, both of them at least 2."""
    one = build.constant(1, "i64")
    state = [one, build.constant(0, "i64"), one, s + 1]
    ((_, before, last, _),) = while_loop(build, [state], [[n, s]], _reaches_less, _one_more)
    return minimum(last, n - last + before)


def _reaches_less(state: Sequence[Expr], given: Sequence[Expr]) -> Expr:
    return state[3] < given[0]


def _one_more(state: Sequence[Expr], given: Sequence[Expr]) -> list[list[Expr]]:
    """r, b(s, r-2), b(s, r-1), b(s, r) for the next r."""
    (r, _, last, reach), (_, s) = state, given
    return [[r + 1, last, reach, floordiv(reach * (s + r + 1), r + 1)]]
