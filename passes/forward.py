"""Forward mode: a tangent beside each value, pushed through the same op definitions.

    linear op:         ẏ = op(ẋ)
    elementwise op:    ẏ = Σ_i pull_i(ẋ_i)      its Jacobian is diagonal, so pulling equals pushing
    the few others:    ẏ = push(ẋ...)
    loops, branches:   x, ẋ = for_loop(..., x0, ẋ0, c, ċ, body=f and its tangents)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.control import BEFORE, LEAD, is_loop
from weft.ir.ops.movement import broadcast
from weft.ir.ops.stack import pop, stack_new, zeros
from weft.passes.activity import active_values
from weft.passes.inline import inline_calls


def forward(graph: Graph, wrt: Sequence[int]) -> Graph:
    """Append tangents.

    The result's inputs are the graph's and one tangent per `wrt` input; its outputs are the graph's and one
    tangent per float output (zeros where it doesn't depend on `wrt`).
    """
    graph = inline_calls(graph)
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    tangents = _Tangents(build, active_values(graph, (graph.inputs[i] for i in wrt)))
    for i in wrt:
        x = graph.inputs[i]
        dot = build.input(x.type, f"t_{x.name or i}")
        tangents.of[x] = tangents.of[x] + dot if x in tangents.of else dot
    tangents.run(graph.ops)
    outs = [tangents.full(v) for v in graph.outputs if v.type.is_float]
    return build.finish([*graph.outputs, *outs])


class _Tangents:
    """Appends a graph's ops with the tangents of their results behind them."""

    def __init__(self, build: Builder, active: Collection[Value]) -> None:
        self.build = build
        self.active = active
        self.of: dict[Value, Expr] = {}

    def run(self, ops: Iterable[Op]) -> None:
        for op in ops:
            self.build.location = op.location
            if op.regions:
                self._region_op(op)
                continue
            self.build.ops.append(op)
            if op.kind is stack_new and op.result in self.active:
                self.of[op.result] = zeros(Expr(op.result, self.build))
            elif op.kind.pull is not None and any(v in self.of for v in op.operands):
                self._push(op)
        self.build.location = None

    def full(self, value: Value) -> Expr:
        """The tangent of a value, at the value's full shape: zeros where it has none."""
        t = self.of.get(value)
        if t is None:
            return zeros(Expr(value, self.build))
        return t if t.shape == value.shape else broadcast(t, shape=value.shape)

    def _push(self, op: Op) -> None:
        kind = op.kind
        operands = [Expr(v, self.build) for v in op.operands]
        given = [self.of.get(v) for v in op.operands]
        results = tuple(Expr(r, self.build) for r in op.results)
        moved: Sequence[Expr | None]
        if kind is pop:
            moved = kind.push(given, results, *operands, **op.attrs) if kind.push is not None else ()
        elif not any(r in self.active for r in op.results):
            return
        elif kind.push is not None and len(results) > 1:
            moved = kind.push(given, results, *operands, **op.attrs)
        elif kind.push is not None:
            moved = [kind.push(given, results[0], *operands, **op.attrs)]
        elif kind.family == "elementwise" and kind.name != "cast":
            moved = [self._diagonal(op, given, operands)]
        else:
            moved = [self._linear(op, given, operands)]
        for r, t in zip(op.results, moved, strict=True):
            if t is not None:
                self.of[r] = t
                self.build.hint(t.value, f"t_{r.name}" if r.name else "")

    def _linear(self, op: Op, given: Sequence[Expr | None], operands: Sequence[Expr]) -> Expr | None:
        linear = range(len(operands)) if op.kind.linear == (-1,) else op.kind.linear
        if all(given[i] is None for i in linear):
            return None
        moved = [
            (zeros(x) if t is None else t) if i in linear else x
            for i, (t, x) in enumerate(zip(given, operands, strict=True))
        ]
        found: Expr = op.kind(*moved, **op.attrs)
        return found

    def _diagonal(self, op: Op, given: Sequence[Expr | None], operands: Sequence[Expr]) -> Expr | None:
        """Sum of the pulls, each applied to its own operand's tangent."""
        assert op.kind.pull is not None
        y = Expr(op.result, self.build)
        total: Expr | None = None
        for i, t in enumerate(given):
            if t is None:
                continue
            t = t if t.shape == y.shape else broadcast(t, shape=y.shape)
            part = op.kind.pull(t, y, *operands, **op.attrs)[i]
            if part is not None:
                total = part if total is None else total + part
        return total

    def _region_op(self, op: Op) -> None:
        """The op with tangents behind its carried values, its constants and its results."""
        lead, before, count = LEAD[op.kind], BEFORE[op.kind], op.attrs.get("carried", 0)
        given = dict(enumerate(op.operands[lead:], before))  # by position among a region's inputs
        if not any(v in self.active for v in given.values()):
            self.build.ops.append(op)
            return
        active = sorted({i for region in op.regions for i, v in enumerate(region.inputs) if v in self.active})
        carried, constants = [i for i in active if i < before + count], [i for i in active if i >= before + count]
        leaving = [k for k, r in enumerate(op.results) if r in self.active]
        first, last = ([self.full(given[i]).value for i in row] for row in (carried, constants))
        operands = _beside(op.operands, lead + count, first, last)
        regions = []
        for region in op.regions:
            made = [] if is_loop(op) and region is not op.regions[-1] else leaving
            regions.append(self._region(region, before + count, carried, constants, made))
        results = tuple(Value(op.results[k].type, _named(op.results[k]), op.location) for k in leaving)
        attrs = {**op.attrs, "carried": count + len(carried)} if is_loop(op) else op.attrs
        done = Op(op.kind, tuple(operands), attrs, tuple(regions), (*op.results, *results))
        self.build.ops.append(done)
        self.of.update((op.results[k], Expr(r, self.build)) for k, r in zip(leaving, results, strict=True))

    def _region(
        self, region: Graph, at: int, carried: Sequence[int], constants: Sequence[int], made: Sequence[int]
    ) -> Graph:
        """The region with tangents of those inputs (the first of them put at `at`), and of its outputs `made`."""
        build = Builder(region.name)
        inner = _Tangents(build, self.active)
        given = {i: Value(region.inputs[i].type, _named(region.inputs[i])) for i in (*carried, *constants)}
        build.inputs += _beside(region.inputs, at, [given[i] for i in carried], [given[i] for i in constants])
        inner.of.update((region.inputs[i], Expr(t, build)) for i, t in given.items())
        inner.run(region.ops)
        return build.finish([*region.outputs, *(inner.full(region.outputs[k]) for k in made)])


def _named(value: Value) -> str:
    return f"t_{value.name}" if value.name else ""


def _beside(values: Sequence[Value], at: int, first: Sequence[Value], last: Sequence[Value]) -> list[Value]:
    """`values` with `first` put at that position and `last` at the end."""
    return [*values[:at], *first, *values[at:], *last]
