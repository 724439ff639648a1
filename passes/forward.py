"""Forward mode: a tangent beside each value, pushed through the same op definitions.

    linear op:       ẏ = op(ẋ)
    elementwise op:  ẏ = Σ_i pull_i(ẋ_i)      its Jacobian is diagonal, so pulling equals pushing
    the few others:  ẏ = push(ẋ...)
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.movement import broadcast


def forward(graph: Graph, wrt: Sequence[int]) -> Graph:
    """Append tangents.

    The result's inputs are the graph's and one tangent per `wrt` input; its outputs are the graph's and one
    tangent per float output (zeros where it doesn't depend on `wrt`).
    """
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    tangent: dict[Value, Expr] = {}
    for i in wrt:
        x = graph.inputs[i]
        dot = build.input(x.type, f"t_{x.name or i}")
        tangent[x] = tangent[x] + dot if x in tangent else dot
    for op in graph.ops:
        build.ops.append(op)
        if op.kind.pull is not None and any(v in tangent for v in op.operands):
            if op.result.type.is_float:
                build.location = op.location
                _push(op, tangent, build)
    build.location = None
    outs = [_full(tangent.get(v), v, build) for v in graph.outputs if v.type.is_float]
    return build.finish([*graph.outputs, *outs])


def _push(op: Op, tangent: dict[Value, Expr], build: Builder) -> None:
    kind, y = op.kind, op.result
    operands = [Expr(v, build) for v in op.operands]
    given = [tangent.get(v) for v in op.operands]
    if kind.push is not None:
        result = kind.push(given, Expr(y, build), *operands, **op.attrs)
    elif kind.family == "elementwise" and kind.name != "cast":
        result = _diagonal(op, given, operands, build)
    else:
        linear = range(len(operands)) if kind.linear == (-1,) else kind.linear
        moved = [
            (t if t is not None else _zeros(o)) if i in linear else o
            for i, (t, o) in enumerate(zip(given, operands, strict=True))
        ]
        if all(given[i] is None for i in linear):
            return
        result = kind(*moved, **op.attrs)
    if result is None:
        return
    if y.name:
        build.hint(result.value, f"t_{y.name}")
    tangent[y] = result


def _diagonal(op: Op, given: list[Expr | None], operands: list[Expr], build: Builder) -> Expr | None:
    """Sum of the pulls, each applied to its own operand's tangent."""
    assert op.kind.pull is not None
    y = Expr(op.result, build)
    total: Expr | None = None
    for i, t in enumerate(given):
        if t is None:
            continue
        t = t if t.shape == y.shape else broadcast(t, shape=y.shape)
        part = op.kind.pull(t, y, *operands, **op.attrs)[i]
        if part is not None:
            total = part if total is None else total + part
    return total


def _zeros(like: Expr) -> Expr:
    zero = like.const(0)
    return zero if not like.shape else broadcast(zero, shape=like.shape)


def _full(t: Expr | None, value: Value, build: Builder) -> Expr:
    if t is None:
        t = build.constant(0, value.dtype)
    return t if t.shape == value.shape else broadcast(t, shape=value.shape)
