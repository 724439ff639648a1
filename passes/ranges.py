"""Intervals of integers: checks, wraps and clips of indices that can't be needed go away.

    for i in range(n):  x[bound(i, size=n)]                   ->  x[i]
    where(i < 0, i + n, i)  with  0 <= i                      ->  i < 0 is False (and simplify does the rest)
    mod(i, n), minimum(maximum(i, 0), n)  with  0 <= i < n    ->  i        likewise i & 7, which is mod(i, 8)

Every integer and bool value has an interval that holds all its elements, found in one walk of the ops. A loop's
variable is between its ends; of a carried value nothing is assumed but its initial interval, if every trip keeps it.
Arithmetic that may overflow, and what no rule knows, may be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from weft.ir.builder import Builder
from weft.ir.graph import Graph, Op, Value
from weft.ir.opdef import REGISTRY
from weft.ir.ops.control import LEAD, call, cond, for_loop, while_loop

Interval = tuple[int, int]  # both ends belong to it
ASK = frozenset({"bound", "agree", "moving_slice", "moving_update"})  # who gains by it


def ranges(graph: Graph) -> Graph:
    """The graph without needless checks of indices and clips of slices; itself where it has none."""
    if all(op.kind.name not in ASK for op in graph.walk()):
        return graph
    return _walk(graph, {})[0]


def limits(v: Value) -> Interval | None:
    """What a value's dtype can hold, None for floats and stacks."""
    if v.dtype == "bool":
        return 0, 1
    if not v.type.is_integer:
        return None
    info = np.iinfo(v.type.np_dtype)
    return int(info.min), int(info.max)


class _Known:
    """The intervals of a graph's values."""

    def __init__(self, given: Mapping[Value, Interval]) -> None:
        self.of: dict[Value, Interval] = dict(given)

    def __call__(self, v: Value) -> Interval | None:
        return self.of.get(v) or limits(v)

    def set(self, v: Value, interval: Interval | None) -> None:
        """Enter an interval, unless it leaves the dtype: then arithmetic wrapped around."""
        whole = limits(v)
        if interval is not None and whole is not None and within(interval, whole):
            self.of[v] = interval


def within(a: Interval | None, b: Interval | None) -> bool:
    return a is not None and b is not None and b[0] <= a[0] and a[1] <= b[1]


def union(intervals: Sequence[Interval | None]) -> Interval | None:
    if not intervals or any(i is None for i in intervals):
        return None
    return min(i[0] for i in intervals if i), max(i[1] for i in intervals if i)


def _walk(graph: Graph, given: Mapping[Value, Interval]) -> tuple[Graph, list[Interval | None]]:
    """The graph rewritten, for inputs in the intervals `given`, and the intervals of its outputs."""
    known = _Known(given)
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    env: dict[Value, Value] = {v: v for v in graph.inputs}
    for op in graph.ops:
        build.location = op.location
        op = Op(op.kind, tuple(env[v] for v in op.operands), op.attrs, op.regions, op.results)
        env.update((r, r) for r in op.results)
        if op.regions and op.kind is not call:
            op = _REGIONS[op.kind](op, known)
        elif len(op.results) == 1:
            same = _needless(op, known, build)
            if same is not None:
                env[op.result] = same
                continue
            rule = RULES.get(op.kind.name)
            known.set(op.result, rule(op, [known(v) for v in op.operands]) if rule else None)
        build.ops.append(op)
    outputs = [env[v] for v in graph.outputs]
    return build.finish(outputs), [known(v) for v in outputs]


def _needless(op: Op, known: _Known, build: Builder) -> Value | None:
    """An operand that is the result, or a constant that is."""
    name, x = op.kind.name, op.operands[0] if op.operands else None
    if x is None or not (x.type.is_integer and limits(op.result)):
        return None
    a = known(x)
    if name == "bound":
        return x if within(a, (0, op.attrs["size"] - 1)) else None
    if len(op.operands) != 2 or a is None:
        return None
    b = known(op.operands[1])
    if b is None:
        return None
    if name == "agree":
        return x if a == b and a[0] == a[1] else None
    if name in DECIDED:
        return _decided(op, DECIDED[name](a, b), known, build)
    keeps_first = {
        "mod": 0 <= a[0] and a[1] < b[0],
        "bitwise_and": b[0] == b[1] and b[0] & (b[0] + 1) == 0 and within(a, (0, b[0])),
        "minimum": a[1] <= b[0],
        "maximum": a[0] >= b[1],
    }.get(name, False)
    keeps_second = {"minimum": b[1] <= a[0], "maximum": b[0] >= a[1]}.get(name, False)
    for keeps, v in ((keeps_first, x), (keeps_second, op.operands[1])):
        if keeps and v.shape == op.result.shape:
            return v
    return None


def _decided(op: Op, truth: bool | None, known: _Known, build: Builder) -> Value | None:
    """A comparison whose outcome is the same for all elements."""
    if truth is None:
        return None
    value = build.constant(truth, "bool")
    if op.result.shape:
        (value,) = build.emit(REGISTRY["broadcast"], (value.value,), {"shape": op.result.shape})
    known.set(value.value, (int(truth), int(truth)))
    return value.value


def _less(a: Interval, b: Interval) -> bool | None:
    return True if a[1] < b[0] else False if a[0] >= b[1] else None


def _less_equal(a: Interval, b: Interval) -> bool | None:
    return True if a[1] <= b[0] else False if a[0] > b[1] else None


DECIDED: dict[str, Callable[[Interval, Interval], bool | None]] = {
    "less": _less,
    "less_equal": _less_equal,
    "greater": lambda a, b: _less(b, a),
    "greater_equal": lambda a, b: _less_equal(b, a),
}

Rule = Callable[[Op, list["Interval | None"]], "Interval | None"]


def _constant(op: Op, _: Any) -> Interval | None:
    value = op.attrs["value"]
    return (int(value.min()), int(value.max())) if value.size and value.dtype.kind in "iub" else None


def _corners(function: Callable[[int, int], int]) -> Rule:
    """A function of two numbers that is monotone in each."""

    def rule(op: Op, given: list[Interval | None]) -> Interval | None:
        a, b = given
        if a is None or b is None:
            return None
        found = [function(x, y) for x in a for y in b]
        return min(found), max(found)

    return rule


def _mod(op: Op, given: list[Interval | None]) -> Interval | None:
    divisor = given[1]
    return (0, divisor[1] - 1) if divisor is not None and divisor[0] > 0 else None


def _floordiv(op: Op, given: list[Interval | None]) -> Interval | None:
    divisor = given[1]
    return _corners(lambda x, y: x // y)(op, given) if divisor is not None and divisor[0] > 0 else None


def _bitwise_and(op: Op, given: list[Interval | None]) -> Interval | None:
    """No more than an operand that is not negative."""
    most = [i[1] for i in given if i is not None and i[0] >= 0]
    return (0, min(most)) if most else None


def _right_shift(op: Op, given: list[Interval | None]) -> Interval | None:
    by = given[1]
    return _corners(lambda x, k: x >> k)(op, given) if by is not None and 0 <= by[0] <= by[1] < 64 else None


def _where(op: Op, given: list[Interval | None]) -> Interval | None:
    if given[0] in ((0, 0), (1, 1)):
        return given[1] if given[0] == (1, 1) else given[2]
    return union(given[1:])


def _bound(op: Op, given: list[Interval | None]) -> Interval | None:
    a, last = given[0], op.attrs["size"] - 1
    if a is None or last < 0:
        return None
    return min(max(a[0], 0), last), max(min(a[1], last), 0)


RULES: dict[str, Rule] = {
    "constant": _constant,
    "iota": lambda op, _: (0, max(op.attrs["shape"][op.attrs["axis"]] - 1, 0)),
    "add": _corners(lambda x, y: x + y),
    "sub": _corners(lambda x, y: x - y),
    "mul": _corners(lambda x, y: x * y),
    "minimum": _corners(min),
    "maximum": _corners(max),
    "neg": lambda op, given: given[0] and (-given[0][1], -given[0][0]),
    "mod": _mod,
    "floordiv": _floordiv,
    "bitwise_and": _bitwise_and,
    "right_shift": _right_shift,
    "bound": _bound,
    "agree": lambda op, given: given[0],
    "cast": lambda op, given: given[0],
    "where": _where,
    "argmax": lambda op, _: (0, max(op.operands[0].shape[op.attrs["axis"]] - 1, 0)),
    "argmin": lambda op, _: (0, max(op.operands[0].shape[op.attrs["axis"]] - 1, 0)),
    **dict.fromkeys(
        ("broadcast", "reshape", "transpose", "slice", "dynamic_slice", "reverse", "gather"),
        lambda op, given: given[0],
    ),
    "moving_slice": lambda op, given: union([given[0], (0, 0)]),
    **dict.fromkeys(("concatenate", "pad"), lambda op, given: union(given)),
    **dict.fromkeys(("update", "dynamic_update", "moving_update", "limit"), lambda op, given: union(given[:2])),
}


# ---- regions -----------------------------------------------------------------------------------------


def _given(region: Graph, intervals: Sequence[Interval | None]) -> dict[Value, Interval]:
    return {v: i for v, i in zip(region.inputs, intervals, strict=True) if i is not None}


def _cond(op: Op, known: _Known) -> Op:
    given = [known(v) for v in op.operands[LEAD[cond] :]]
    sides = [_walk(region, _given(region, given)) for region in op.regions]
    for r, a, b in zip(op.results, sides[0][1], sides[1][1], strict=True):
        known.set(r, union([a, b]))
    return Op(op.kind, op.operands, op.attrs, tuple(region for region, _ in sides), op.results)


def _loop(op: Op, known: _Known, own: list[Interval | None]) -> Op:
    """A loop. `own`: intervals of the inputs that are the loop's."""
    lead, count = LEAD[op.kind], op.attrs["carried"]
    first: list[Interval | None] = [known(v) for v in op.operands[lead:]]
    while True:
        body, after = _walk(op.regions[-1], _given(op.regions[-1], [*own, *first]))
        grown = [j for j in range(count) if first[j] is not None and not within(after[j], first[j])]
        if not grown:
            break
        for j in grown:
            first[j] = None
    for r, interval in zip(op.results, first, strict=False):
        known.set(r, interval)
    tests = [_walk(region, _given(region, first))[0] for region in op.regions[:-1]]
    return Op(op.kind, op.operands, op.attrs, (*tests, body), op.results)


def _for_loop(op: Op, known: _Known) -> Op:
    start, stop = (known(v) for v in op.operands[:2])
    assert start is not None and stop is not None
    trip = (start[0], stop[1] - 1) if op.attrs["step"] > 0 else (stop[0] + 1, start[1])
    return _loop(op, known, [trip if trip[0] <= trip[1] else None])


_REGIONS: dict[Any, Callable[[Op, _Known], Op]] = {
    for_loop: _for_loop,
    while_loop: lambda op, known: _loop(op, known, []),
    cond: _cond,
}
