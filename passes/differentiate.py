"""Reverse mode is dynamic programming on the graph.

For a scalar output L, each value v poses one subproblem: its adjoint δv = dL/dv. The chain rule is the
recurrence over v's uses,

    δv = Σ over uses (op, i) of v:  pull_i(δy)        where y = op(..., v at position i, ...)

so walking the ops once, in reverse, solves every subproblem once: when an op is reached, all uses of its
result are behind us and its δ is complete. Written path by path the same rule has one term per path from v
to L, 2^n of them in a chain of n doublings; memoised there is one δ per value, and the backward op count is a
small constant times the forward's.

The rules (`OpDef.pull`) are calculus; the walk does the bookkeeping: it skips what doesn't depend on the
inputs asked for, sums over broadcast axes, and adds up the uses.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.movement import broadcast, unbroadcast


def active_values(graph: Graph, wrt: Sequence[int]) -> set[Value]:
    """Float values that depend on the inputs `wrt` through differentiable ops."""
    active = {graph.inputs[i] for i in wrt}
    for op in graph.ops:
        if op.kind.pull is not None and any(v in active for v in op.operands):
            active.update(r for r in op.results if r.type.is_float)
    return active


def reverse(graph: Graph, wrt: Sequence[int], seeds: Sequence[int]) -> Graph:
    """Append the backward graph.

    wrt: positions of the float inputs to differentiate by. seeds: positions of the float outputs that get a
    cotangent. The result's inputs are the graph's and one cotangent per seed; its outputs are the graph's
    and one gradient per `wrt` input (zeros where nothing depends on it).
    """
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    build.ops.extend(graph.ops)
    active = active_values(graph, wrt)
    adjoint: dict[Value, Expr] = {}
    for s in seeds:
        out = graph.outputs[s]
        seed = build.input(out.type, f"d_{out.name or 'out'}")
        _accumulate(adjoint, out, seed)
    for op in reversed(graph.ops):
        if any(r in adjoint for r in op.results) and any(v in active for v in op.operands):
            build.location = op.location
            _pull(op, adjoint, active, build)
    build.location = None
    gradients = [_gradient(graph.inputs[i], adjoint, build) for i in wrt]
    return build.finish([*graph.outputs, *gradients])


def _pull(op: Op, adjoint: dict[Value, Expr], active: set[Value], build: Builder) -> None:
    """Push the adjoint of one op's result on to its operands."""
    assert op.kind.pull is not None and len(op.results) == 1, op.kind.name
    delta = adjoint[op.result]
    if op.result.name:
        build.hint(delta.value, f"d_{op.result.name}")
    operands = [Expr(v, build) for v in op.operands]
    parts = op.kind.pull(delta, Expr(op.result, build), *operands, **op.attrs)
    for operand, part in zip(op.operands, parts, strict=True):
        if part is None or operand not in active:
            continue
        _accumulate(adjoint, operand, unbroadcast(part, operand.shape))


def _accumulate(adjoint: dict[Value, Expr], value: Value, part: Expr) -> None:
    known = adjoint.get(value)
    adjoint[value] = part if known is None else known + part


def _gradient(value: Value, adjoint: dict[Value, Expr], build: Builder) -> Expr:
    """The finished adjoint of an input, at the input's full shape."""
    delta = adjoint.get(value)
    if delta is None:
        delta = build.constant(0, value.dtype)
    if delta.shape != value.shape:
        delta = broadcast(delta, shape=value.shape)
    if value.name:
        build.hint(delta.value, f"d_{value.name}")
    return delta
