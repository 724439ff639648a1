"""Running a captured graph: on arrays by the interpreter, on tracers by inlining it in their capture.

This is what makes transforms nest: each maps a graph to a graph, and `apply` puts the result where its
arguments live.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.capture import Known, Outer, Trace
from weft.frontend.location import here
from weft.frontend.storage import Storage
from weft.frontend.tracer import Tracer, as_tracer, innermost, read
from weft.frontend.writes import assign
from weft.ir.graph import Graph, Op, Value
from weft.ir.interpret import interpret
from weft.ir.types import dtype_name
from weft.passes.dce import dce


def apply(graph: Graph, arguments: Sequence[Any]) -> list[Any]:
    """The graph's outputs on `arguments` (arrays or tracers): arrays, or tracers when an argument is one."""
    tracers = [a for a in arguments if type(a) is Tracer]
    if not tracers:
        return list(interpret(graph, arguments))
    trace = innermost(tracers)
    values = [_value_in(trace, a) for a in arguments]
    builder = trace.builder
    builder.location = here()
    outputs = builder.inline(graph, values)
    builder.location = None
    return [Tracer(trace, e.value) for e in outputs]


def _value_in(trace: Trace, argument: Any) -> Value:
    """An argument in a capture: a tracer's value, a NumPy scalar as a constant, an array as an input."""
    if type(argument) is Tracer:
        return read(trace, argument)
    if isinstance(argument, np.generic):
        return trace.constant(argument, dtype_name(argument.dtype))
    return trace.capture(argument).value_in(trace)


def arguments_of(trace: Trace, inputs: Sequence[Value]) -> list[Any]:
    """What to give for inputs of a graph that `trace` captured: arrays, and tracers of outer captures.

    For captures whose inputs are all known or outer ones, as those of the transforms are.
    """
    found: list[Any] = []
    for value in inputs:
        source = trace.sources[value]
        if isinstance(source, Outer):
            found.append(Tracer(source.trace, source.value, source.weak))
        else:
            assert isinstance(source, Known)
            found.append(source.array)
    return found


def as_result(result: Any, weak: type | None = None, *, fresh: bool = False) -> Any:
    """A graph's output as users get it: 0-d arrays as NumPy scalars (weak ones as Python's).

    Read-only arrays (broadcasts) are copied, and with `fresh` all views.
    """
    if type(result) is Tracer:
        return Tracer(result.home, result.value, weak)
    if not result.shape:
        return result.item() if weak is not None else result[()]
    if not result.flags.writeable or (fresh and not result.flags.owndata):
        return np.array(result)
    return result


def write_back(target: Any, result: Any) -> None:
    """Store an array or tracer in what it is the new content of: an array, a tracer, a storage."""
    if isinstance(target, Storage):
        target = Tracer(target.trace, target.value, None, target)
    if type(target) is Tracer:
        assign(target, as_tracer(result, target))
    elif type(result) is Tracer:
        assign(as_tracer(target, result), result)
    else:
        np.copyto(target, result)


class Halves:
    """A graph cut in two by `split`: the first half is run at once, `finish` runs the second, any number of times.

    In a capture, what a loop leaves on a stack is there once. When the second half is run again, or in another
    capture than the first, the whole graph is run there.
    """

    def __init__(self, graph: Graph, count: int, shown: int, arguments: Sequence[Any]) -> None:
        first, self._second = split(graph, count, shown)
        found = apply(first, arguments)
        self.results = found[:shown]
        self._handed = found[shown:]
        self._graph = graph
        self._stacks = [h for h, v in zip(self._handed, first.outputs[shown:], strict=True) if v.type.is_stack]
        kept = arguments if self._stacks else ()
        self._arguments = [np.array(a) if isinstance(a, np.ndarray) else a for a in kept]
        self._used = False

    def finish(self, more: Sequence[Any]) -> list[Any]:
        """The graph's outputs behind the first ones, given its last arguments."""
        if self._stacks and not self._takes_stacks(more):
            return apply(self._graph, [*self._arguments, *more])[len(self.results) :]
        return apply(self._second, [*self._handed, *more])

    def _takes_stacks(self, more: Sequence[Any]) -> bool:
        tracers = [a for a in (*self._handed, *more) if type(a) is Tracer]
        if not tracers:
            return True  # the interpreter's stacks are values
        where = innermost(tracers)
        first_time = not self._used and all(type(s) is Tracer and s.trace is where for s in self._stacks)
        self._used = self._used or first_time
        return first_time


def split(graph: Graph, count: int, shown: int) -> tuple[Graph, Graph]:
    """Cut a graph in two: what its first `count` inputs decide, and what waits for the others.

        first(x...)             -> the graph's first `shown` outputs, and the values that `second` needs
        second(those, y...)     -> the graph's other outputs

    The first outputs must not depend on y. Ops that depend on no input at all are in both graphs rather than
    handed over.
    """
    level: dict[Value, int] = {v: 1 if i < count else 2 for i, v in enumerate(graph.inputs)}
    early: list[Op] = []
    late: list[Op] = []
    for op in graph.ops:
        at = max((level[v] for v in op.operands), default=0)
        level.update(dict.fromkeys(op.results, at))
        if at < 2:
            early.append(op)
        if at != 1:
            late.append(op)
    outputs = graph.outputs[shown:]
    waiting = [op.operands for op in late] + [outputs]
    handed = tuple(dict.fromkeys(v for values in waiting for v in values if level[v] == 1))
    first = Graph(graph.name, graph.inputs[:count], tuple(early), graph.outputs[:shown] + handed)
    second = Graph(graph.name, handed + graph.inputs[count:], tuple(late), outputs)
    return dce(first), dce(second)
