"""Lengths: Python integers, or traced ones where only the run shows them.

    A[i + 1:] with i a loop's variable        start i + 1, length n - (i + 1), as ops on 0-d integers

A slice's bounds are clipped as Python clips them; `passes.ranges` takes the clips away that can't matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weft.frontend.capture import Trace
from weft.frontend.tracer import Tracer, cast, constant, emit
from weft.ir import ops
from weft.ir.dims import Dim, as_size, bounds, is_known, maximum, minimum, same
from weft.ir.graph import Value
from weft.ir.opdef import OpDef

Length = int | Dim | Tracer
e = ops.elementwise
DIFFER = "operands could not be broadcast together: their lengths differ"


def i64(x: Length, like: Tracer) -> Tracer:
    return cast(x, "i64") if isinstance(x, Tracer) else constant(like, x, "i64")


def _arithmetic(op: OpDef, python: Callable[[Any, Any], Any]) -> Callable[[Length, Length], Length]:
    def function(a: Length, b: Length) -> Length:
        if not isinstance(a, Tracer) and not isinstance(b, Tracer):
            return python(a, b)
        like = a if isinstance(a, Tracer) else b
        assert isinstance(like, Tracer)
        return emit(op, i64(a, like), i64(b, like))

    return function


add = _arithmetic(e.add, lambda a, b: a + b)
sub = _arithmetic(e.sub, lambda a, b: a - b)
least = _arithmetic(e.minimum, minimum)
most = _arithmetic(e.maximum, maximum)


def from_start(index: Tracer, n: Length) -> Tracer:
    """An index (i64) into n elements, negative ones counted from the end; not checked."""
    negative = emit(ops.logic.less, index, constant(index, 0, "i64"))
    return emit(ops.logic.where, negative, i64(add(index, n), index), index)


def place_of(s: Length, n: Length, behind: int = 0) -> Length:
    """A bound of a slice as a place in [0, n], as Python clips it; or the place `behind` that."""
    if not isinstance(s, Tracer):
        if s < 0:
            return most(add(n, s + behind), 0)
        return least(s + behind, n) if s + behind else 0
    at = add(s, behind) if behind else s
    negative = emit(ops.logic.less, s, constant(s, 0, "i64"))
    return emit(ops.logic.where, negative, i64(most(add(at, n), 0), s), i64(least(at, n), s))


def trip_count(start: Any, stop: Any, step: int) -> Any:
    """How many trips a loop over that range makes; start and stop may be sizes that are symbols."""
    if is_known(start) and is_known(stop):
        return len(range(start, stop, step))
    span = stop - start if step > 0 else start - stop
    return (span - 1) // abs(step) + 1 if span > 0 else 0


def agreed(a: Length, b: Length, problem: str = DIFFER) -> Length:
    """`a`, with the promise that it is b."""
    if same(a, b):
        return a
    like = a if isinstance(a, Tracer) else b
    assert isinstance(like, Tracer)
    return emit(ops.moving.agree, i64(a, like), i64(b, like), problem=problem)


def _linear(trace: Trace, value: Value) -> tuple[dict[Value, int], int]:
    """A traced integer as Σ coefficient * value + constant."""
    number = trace.constants.get(value)
    if number is not None:
        return {}, int(number)
    op = trace.maker(value)
    name = op.kind.name if op is not None else ""
    if op is None or name not in ("add", "sub", "mul"):
        return {value: 1}, 0
    (left, c), (right, d) = (_linear(trace, v) for v in op.operands)
    if name == "mul" and left and right:
        return {value: 1}, 0
    if name == "mul":
        terms, k = (left, d) if left else (right, c)
        return {v: n * k for v, n in terms.items()}, c * d
    sign = 1 if name == "add" else -1
    total = {v: left.get(v, 0) + sign * right.get(v, 0) for v in {**left, **right}}
    return {v: n for v, n in total.items() if n}, c + sign * d


def room_between(stop: Any, start: Any) -> tuple[int, bool] | None:
    """How far `stop` can be behind `start` at most, if that is a number whatever they are; and whether it always is.

    `x[max(t - 4, 0) : t + 5]` has at most 9 elements, as it starts no earlier than at t - 4. (If t + 5 could be
    negative, it would count from the end.)
    """
    if type(stop) is not Tracer or type(start) is not Tracer or stop.home is not start.home:
        return None
    trace, found = stop.home, []
    least = least_of(stop)
    counts_from_start = least is not None and least >= 0
    for i, b in enumerate(_never_beyond(trace, stop.value, "minimum")):
        for j, a in enumerate(_never_beyond(trace, start.value, "maximum")):
            (left, c), (right, d) = _linear(trace, b), _linear(trace, a)
            is_exact = not i and not j
            if left == right and (counts_from_start or (is_exact and c >= d)):
                found.append((c - d, is_exact))
    return min(found, key=lambda room: room[0], default=None)


Range = tuple[int | None, int | None]  # least and greatest, as far as they are known


def least_of(x: Any) -> int | None:
    """A number that an integer is not below."""
    return _range(x.home, x.value)[0] if type(x) is Tracer else bounds(as_size(x))[0]


def greatest_of(x: Any) -> int | None:
    return _range(x.home, x.value)[1] if type(x) is Tracer else as_size(x)


def _range(trace: Trace, value: Value) -> Range:
    known = trace.ranges.get(value)
    if known is not None:
        return known
    op = trace.maker(value)
    if op is not None and op.kind.name in ("minimum", "maximum", "where"):
        lows, highs = zip(*(_range(trace, v) for v in op.operands[-2:]), strict=True)
        return min(lows) if None not in lows else None, max(highs) if None not in highs else None
    terms, const = _linear(trace, value)
    if value in terms:
        return None, None
    low: int | None = const
    high: int | None = const
    for v, k in terms.items():
        ends = _range(trace, v) if k > 0 else _range(trace, v)[::-1]
        low = None if low is None or ends[0] is None else low + k * ends[0]
        high = None if high is None or ends[1] is None else high + k * ends[1]
    return low, high


def _never_beyond(trace: Trace, value: Value, extreme: str) -> list[Value]:
    """A value and its operands, where it is their `minimum` (or `maximum`), of which it is never on the other side."""
    op = trace.maker(value)
    if op is None:
        return [value]
    if op.kind.name == extreme:
        return [value, *op.operands]
    test = trace.maker(op.operands[0]) if op.kind.name == "where" else None
    if test is None or set(op.operands[1:]) != set(test.operands):
        return [value]
    below = test.kind.name in ("less", "less_equal")
    if not below and test.kind.name not in ("greater", "greater_equal"):
        return [value]
    takes_first = op.operands[1:] == test.operands  # `p if p < q else q`, as Python's min and max
    return [value, *test.operands] if (below == takes_first) == (extreme == "minimum") else [value]
