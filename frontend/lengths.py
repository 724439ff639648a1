"""Lengths: Python integers, or traced ones where only the run shows them.

    A[i + 1:] with i a loop's variable        start i + 1, length n - (i + 1), as ops on 0-d integers

A slice's bounds are clipped as Python clips them; `passes.ranges` takes the clips away that can't matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weft.frontend.capture import Trace
from weft.frontend.tracer import Tracer, cast, constant, emit
from weft.ir import ops
from weft.ir.graph import Value
from weft.ir.opdef import OpDef

Length = int | Tracer
e = ops.elementwise
DIFFER = "operands could not be broadcast together: their lengths differ"


def same(a: Any, b: Any) -> bool:
    """Whether two dims are known to be equal."""
    return a is b or (type(a) is int and type(b) is int and a == b)


def same_shape(a: Sequence[Any], b: Sequence[Any]) -> bool:
    return len(a) == len(b) and all(map(same, a, b))


def i64(x: Length, like: Tracer) -> Tracer:
    return constant(like, x, "i64") if isinstance(x, int) else cast(x, "i64")


def _arithmetic(op: OpDef, python: Callable[[int, int], int]) -> Callable[[Length, Length], Length]:
    def function(a: Length, b: Length) -> Length:
        if isinstance(a, int) and isinstance(b, int):
            return python(a, b)
        like = a if isinstance(a, Tracer) else b
        assert isinstance(like, Tracer)
        return emit(op, i64(a, like), i64(b, like))

    return function


add = _arithmetic(e.add, lambda a, b: a + b)
sub = _arithmetic(e.sub, lambda a, b: a - b)
least = _arithmetic(e.minimum, min)
most = _arithmetic(e.maximum, max)


def place_of(s: Length, n: Length, behind: int = 0) -> Length:
    """A bound of a slice as a place in [0, n], as Python clips it; or the place `behind` that."""
    if isinstance(s, int):
        if s < 0:
            return most(add(n, s + behind), 0)
        return least(s + behind, n) if s + behind else 0
    at = add(s, behind) if behind else s
    negative = emit(ops.logic.less, s, constant(s, 0, "i64"))
    return emit(ops.logic.where, negative, i64(most(add(at, n), 0), s), i64(least(at, n), s))


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


def difference(stop: Any, start: Any) -> int | None:
    """stop - start, where that is a number whatever they are."""
    if type(stop) is not Tracer or type(start) is not Tracer or stop.home is not start.home:
        return None
    (a, c), (b, d) = _linear(stop.home, stop.value), _linear(start.home, start.value)
    return c - d if a == b else None
