"""Movement below cheap arithmetic, so that what reads a computed array at an offset is one kernel with what makes it.

    h = mul(k, d)                         h is made by one kernel, stored, and read by another
    y = add(pad(h; 0, 2), pad(h; 2, 0))

    y = add(mul(pad(k; 0, 2), pad(d; 0, 2)), mul(pad(k; 2, 0), pad(d; 2, 0)))        one kernel, and no h

A kernel reads its buffers through slices and pads at no cost (see `weft.ir.space`), but not what it has just
computed. The gradient of a stencil is a sum of padded arrays; where those are cheap arithmetic on buffers, computing
them once per reader costs less than storing them.

A pad's fill has to be what the arithmetic makes of its operands' fills: 0 of 0 + 0, a zero of the right sign of a
product. Results are the same bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.ir.builder import Builder
from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.ops.control import call
from weft.ir.ops.movement import broadcast, pad, slice_
from weft.ir.ops.update import dynamic_slice
from weft.ir.space import CHEAP
from weft.ir.types import NAMES

MOST_ONCE = 12  # ops that are computed again for a reader
MOST_ALL = 48  # for all readers of an array
BUFFERS = frozenset({"control", "stack", "dot", "library", "source"})  # whose results are buffers, or cost nothing
LEFT = object()  # the fill of an operand that needs none


def sink(graph: Graph) -> Graph:
    """The graph, regions included, with slices and pads below cheap arithmetic where that saves a buffer.

    What is left without readers is for dce.
    """
    ops = tuple(op if op.kind is call else with_regions(op, sink) for op in graph.ops)
    if any(a is not b for a, b in zip(ops, graph.ops, strict=True)):
        graph = Graph(graph.name, graph.inputs, ops, graph.outputs)
    sinker = _Sinker(graph)
    return sinker.run() if sinker.moves else graph


class _Sinker:
    """moves: the slices and pads that are to sink."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.maker = graph.producers()
        self.stored = {v for op in graph.ops if op.kind.family in BUFFERS for v in op.operands} | {*graph.outputs}
        self.moves = self._chosen()
        self.build = Builder(graph.name)
        self.env: dict[Value, Value] = {}
        self.done: dict[Any, Value] = {}  # of the move at hand

    def _chosen(self) -> set[Op]:
        readers: dict[Value, list[Op]] = {}
        for op in self.graph.ops:
            if op.kind in (pad, slice_) and self._computed(op.operands[0]) and op.operands[0] not in self.stored:
                readers.setdefault(op.operands[0], []).append(op)
        found: set[Op] = set()
        for value, moves in readers.items():
            costs = [self._cost(value, self._fill(move), set()) for move in moves]
            if sum(costs) <= MOST_ALL:
                found.update(moves)
        return found

    def _computed(self, value: Value) -> Op | None:
        """The cheap arithmetic that makes an array, None where something else does: a limit goes by places."""
        op = self.maker.get(value)
        cheap = op is not None and op.kind.name in CHEAP and op.kind.family == "elementwise"
        return op if cheap and value.shape else None

    def _fill(self, move: Op) -> Any:
        """What a move fills with: a number, LEFT for a slice, None where it isn't known."""
        return LEFT if move.kind is slice_ else self._number(move.operands[1])

    def _number(self, value: Value) -> Any:
        op = self.maker.get(value)
        return op.attrs["value"][()] if op is not None and op.kind.name == "constant" and not value.shape else None

    def _fills(self, op: Op, fill: Any) -> Sequence[Any] | None:
        """What the operands are to be filled with; None where that is not known."""
        if fill is LEFT:
            return [LEFT] * len(op.operands)
        rule = FILLS.get(op.kind.name)
        if rule is None or fill is None:
            return None
        return rule(fill, op, [self._number(v) for v in op.operands])

    def _cost(self, value: Value, fill: Any, seen: set[Any]) -> float:
        """How many ops are computed again when a move sinks below `value`; inf where it can't, saves no buffer, or they
        are too many."""
        op = self._computed(value)
        if op is None:
            return 0 if self._is_buffer(value) else math.inf
        if (key := _key(value, fill)) in seen:
            return 0
        seen.add(key)
        fills = self._fills(op, fill)
        if fills is None or len(seen) > MOST_ONCE:
            return math.inf
        return 1 + sum(self._cost(v, f, seen) for v, f in zip(op.operands, fills, strict=True))

    def _is_buffer(self, value: Value) -> bool:
        """Is it one, or a part of one?"""
        todo, left = [value], MOST_ONCE
        while todo and left:
            left -= 1
            v = todo.pop()
            op = self.maker.get(v)
            if op is None or not v.shape or op.kind.family in BUFFERS:
                continue
            if op.kind is dynamic_slice:
                todo.append(op.operands[0])
            elif op.kind.family == "movement":
                todo += op.operands
            else:
                return False
        return not todo

    def run(self) -> Graph:
        self.build.inputs.extend(self.graph.inputs)
        self.env.update((v, v) for v in self.graph.inputs)
        for op in self.graph.ops:
            self.build.location = op.location
            if op in self.moves:
                self.done = {}
                self.env[op.result] = self._moved(op.operands[0], op, self._fill(op))
                continue
            operands = tuple(self.env[v] for v in op.operands)
            self.build.ops.append(Op(op.kind, operands, op.attrs, op.regions, op.results))
            self.env.update((r, r) for r in op.results)
        return self.build.finish([self.env[v] for v in self.graph.outputs])

    def _moved(self, value: Value, move: Op, fill: Any) -> Value:
        """What `move`, with this fill, makes of a value."""
        key = _key(value, fill)
        if key not in self.done:
            op = self._computed(value)
            if op is None:
                self.done[key] = self._move(self.env[value], move, fill)
            else:
                fills = self._fills(op, fill)
                assert fills is not None
                operands = [self._operand(v, value, move, f) for v, f in zip(op.operands, fills, strict=True)]
                self.done[key] = self.build.emit(op.kind, operands, op.attrs)[0].value
        return self.done[key]

    def _operand(self, operand: Value, result: Value, move: Op, fill: Any) -> Value:
        if operand.shape == result.shape:
            return self._moved(operand, move, fill)
        if fill is LEFT and not operand.shape:
            return self.env[operand]
        return self._move(self.build.emit(broadcast, [self.env[operand]], {"shape": result.shape})[0].value, move, fill)

    def _move(self, value: Value, move: Op, fill: Any) -> Value:
        operands = [value] if fill is LEFT else [value, self.build.constant(fill, value.dtype).value]
        return self.build.emit(move.kind, operands, move.attrs)[0].value


def _key(value: Value, fill: Any) -> Any:
    return (value, fill.tobytes() if isinstance(fill, np.generic) else fill)


Fills = Sequence[Any] | None


def _zero(dtype: str, negative: Any = False) -> Any:
    """0, or -0.0 where that is asked for and the dtype has it."""
    return NAMES[dtype].type(-0.0 if negative and dtype[0] == "f" else 0)


def _alike(fill: Any, op: Op, numbers: Sequence[Any]) -> Fills:
    """0 + 0 -> 0 and -0.0 + -0.0 -> -0.0; maximum and minimum likewise, and `and` and `or` of False."""
    return [fill, fill] if fill == 0 else None


def _difference(fill: Any, op: Op, numbers: Sequence[Any]) -> Fills:
    """0 - 0 -> 0; -0.0 - 0 -> -0.0."""
    return [fill, _zero(op.result.dtype)] if fill == 0 else None


def _negated(fill: Any, op: Op, numbers: Sequence[Any]) -> Fills:
    """-(-0.0) -> 0."""
    return [np.negative(fill)] if fill == 0 else None


def _product(fill: Any, op: Op, numbers: Sequence[Any]) -> Fills:
    """c * 0 -> 0 of the sign of c, where c is finite; 0 * 0 -> 0 and -0.0 * 0 -> -0.0."""
    if fill != 0:
        return None
    for i, c in enumerate(numbers):
        if c is not None and np.isfinite(c):
            zero = _zero(op.result.dtype, np.signbit(fill) != np.signbit(c))
            return [LEFT, zero] if i == 0 else [zero, LEFT]
    return [fill, _zero(op.result.dtype)]


def _positive(fill: Any, op: Op, numbers: Sequence[Any]) -> Fills:
    """0 squared, and its magnitude, are 0."""
    return [fill] if fill == 0 and not np.signbit(fill) else None


def _cast(fill: Any, op: Op, numbers: Sequence[Any]) -> Fills:
    """0 is 0 in every dtype, -0.0 in every float."""
    dtype = op.operands[0].dtype
    if fill != 0 or (np.signbit(fill) and dtype[0] != "f"):
        return None
    return [_zero(dtype, np.signbit(fill))]


def _choice(fill: Any, op: Op, numbers: Sequence[Any]) -> Fills:
    """where(False, 0, 0) -> 0."""
    return [np.bool_(False), fill, fill]


def _test(*operands: float) -> Callable[..., Fills]:
    """A comparison that is False of these."""
    return lambda fill, op, numbers: None if fill else [NAMES[op.operands[0].dtype].type(x) for x in operands]


FILLS: dict[str, Callable[[Any, Op, Sequence[Any]], Fills]] = {
    "add": _alike,
    "sub": _difference,
    "mul": _product,
    "neg": _negated,
    "where": _choice,
    "cast": _cast,
    "less": _test(0, 0),
    "less_equal": _test(1, 0),
    "greater": _test(0, 0),
    "greater_equal": _test(0, 1),
    "equal": _test(0, 1),
    "not_equal": _test(0, 0),
    "maximum": _alike,
    "minimum": _alike,
    "logical_and": _alike,
    "logical_or": _alike,
    "abs": _positive,
    "square": _positive,
}
