"""Reductions over a few elements, each far from the other in memory, become arithmetic on slices.

    y = max(x, axes=(2, 4))     x: f32[B, H, 2, W, 2, C]

    y = maximum(maximum(maximum(x[:, :, 0, :, 0], x[:, :, 0, :, 1]), x[:, :, 1, :, 0]), x[:, :, 1, :, 1])

As a loop over the reduced elements that would be a loop of two trips, or one over rows with an accumulator for every
element of the result. As arithmetic it is one loop over the result, which fuses with what makes x and what reads y:
movement below cheap arithmetic, and through the reshape that splits an axis into windows (x[:, 0::2] for x[:, :, 0]).
So pooling takes part in the kernels around it, and so does its gradient.

Results are the same bit for bit, but for float sums, which are added one after the other (of at most MOST numbers).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from weft.ir.dims import is_known, value_of
from weft.ir.graph import Graph, Value
from weft.ir.opdef import REGISTRY, all_ops
from weft.ir.space import CHEAP
from weft.ir.views import view_of
from weft.passes.convolutions import merged_axes
from weft.passes.simplify import RULES, Rewriter, simplify

MOST = 16  # elements that are reduced to one
LEAST = 64  # elements of the result: of fewer, a loop is as good
DEEP = 12  # ops that a slice is taken through

Part = Sequence[tuple[int, int, int]]  # start, stop and step of each axis


def small_reductions(graph: Graph) -> Graph:
    """The graph with its small reductions written out."""
    some = any(op.kind.family == "reduce" and op.operands[0].shape for op in graph.walk())
    return simplify(graph, WITH_SMALL) if some else graph


def written_out(ctx: Rewriter, x: Value, axes: Sequence[int], kind: str) -> Value | None:
    """The reduction of x over these axes by `kind`, written out, or None where a loop is better."""
    count = math.prod(x.shape[a] for a in axes)
    if not is_known(count) or not 1 < count <= MOST or value_of(x.type.size) < LEAST * count or x.dtype == "f16":
        return None
    if x.dtype[0] not in REGISTRY[kind].dtypes:
        return None
    trailing = tuple(axes) == tuple(range(len(x.shape) - len(axes), len(x.shape)))
    if trailing and not view_of(x, ctx.producer.get).overlaps(x.shape):
        return None  # a row: it lies together
    shape = tuple(n for d, n in enumerate(x.shape) if d not in axes)
    total: Value | None = None
    if kind == "add" and x.type.is_float:
        total = ctx.scalar(0.0, x.dtype)  # -0.0 + -0.0 is not 0.0
    for place in itertools.product(*(range(x.shape[a]) for a in axes)):
        at = dict(zip(axes, place, strict=True))
        part = [(at[d], at[d] + 1, 1) if d in at else (0, n, 1) for d, n in enumerate(x.shape)]
        one = ctx.emit("reshape", _part(ctx, x, part, [DEEP]), shape=shape)
        total = one if total is None else ctx.emit(kind, total, one)
    return total


def _part(ctx: Rewriter, v: Value, part: Part, left: list[int]) -> Value:
    """A part of v, made of parts of what v is made of."""
    if all(p == (0, n, 1) for p, n in zip(part, v.shape, strict=True)):
        return v
    op = ctx.producer.get(v)
    name = op.kind.name if op is not None else ""
    if op is not None and name == "reshape":
        inner = _unsplit(v.shape, op.operands[0].shape, part)
        if inner is not None:
            return ctx.emit("reshape", _part(ctx, op.operands[0], inner, left), shape=_extent(part))
    if op is not None and name == "transpose":
        perm = op.attrs["perm"]
        moved = _part(ctx, op.operands[0], [part[perm.index(d)] for d in range(len(perm))], left)
        return ctx.emit("transpose", moved, perm=perm)
    if op is not None and name == "broadcast":
        return ctx.emit("broadcast", _operand(ctx, op.operands[0], part, left), shape=_extent(part))
    if op is not None and op.kind.family == "elementwise" and (name in CHEAP or not ctx.shared(v)) and left[0]:
        left[0] -= 1
        operands = [_operand(ctx, u, part, left) for u in op.operands]
        made = ctx.emit(name, *operands, **op.attrs)
        return made if made.shape == _extent(part) else ctx.emit("broadcast", made, shape=_extent(part))
    start, stop, step = (tuple(p[i] for p in part) for i in range(3))
    return ctx.emit("slice", v, start=start, stop=stop, step=step)


def _extent(part: Part) -> tuple[int, ...]:
    return tuple(-(-(hi - lo) // st) for lo, hi, st in part)


def _operand(ctx: Rewriter, u: Value, part: Part, left: list[int]) -> Value:
    """The part of an operand that broadcasts."""
    own = part[len(part) - len(u.shape) :] if u.shape else []
    return _part(ctx, u, [(0, 1, 1) if n == 1 else p for p, n in zip(own, u.shape, strict=True)], left)


def _unsplit(shape: Sequence[int], dims: Sequence[int], part: Part) -> Part | None:
    """The part of an array of `dims` that is this one once its axes are split to `shape`, if it is a slice: when of the
    axes that come of one, all but one are at one place."""
    groups = merged_axes(shape, dims)
    if groups is None:
        return None
    found = []
    for group in groups:
        at, run, stride = 0, (1, 1), 1
        for d in reversed(group):
            lo, hi, st = part[d]
            count = -(-(hi - lo) // st)
            at += lo * stride
            if count != 1:
                if run[0] != 1 and (run != (stride, 1) or st != 1):
                    return None
                run = (count, st * stride) if run[0] == 1 else (run[0] * count, 1)
            stride *= shape[d]
        found.append((at, at + (run[0] - 1) * run[1] + 1, run[1]) if run[0] else (0, 0, 1))
    return found


def _rule(kind: str) -> Any:
    def rule(ctx: Rewriter, v: tuple[Value, ...], attrs: Mapping[str, Any]) -> Value | None:
        # max(x, axes=(2, 4)) -> maximum(maximum(x[:, :, 0, :, 0], x[:, :, 0, :, 1]), ...)
        return written_out(ctx, v[0], attrs["axes"], kind)

    return rule


_REDUCERS = [op for op in all_ops() if op.family == "reduce" and "combine" in op.extra and "axes" in op.attr_names]
WITH_SMALL = {**RULES, **{op.name: (*RULES.get(op.name, ()), _rule(op.extra["combine"])) for op in _REDUCERS}}
