"""Convolutions: products with windows, brought to the form in which they run by blocks (`weft.ir.views.streamed`).

    reshape(windows) . b  ->  windows . reshape(b)                    as im2col is written with a matrix product
    concatenate(x[0:n], x[1:n+1], x[2:n+2]) -> reshape(windows(x))    as im2col is written with slices
    sum over k of (g . w)[p - k, k]  ->  windows(pad(g)) . reverse(w)

The last is the gradient by x of windows(x) . w: what each window adds to x is a convolution as well, of the padded g
with the kernel turned around. It takes no memory for the g . w, whose elements are as many as the windows'.

They are one pass with `simplify`'s rules, but not among them: a product's sums are added in another order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from weft.ir.dims import value_of
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.linalg import free_axes
from weft.ir.space import is_relabel
from weft.ir.views import View, view_of
from weft.passes.simplify import RULES, Rewriter, simplify

Values = tuple[Value, ...]
Attrs = Mapping[str, Any]
MORE = 2.0  # multiplications of the convolution that a gradient is, to those of the product that it replaces


def convolutions(graph: Graph) -> Graph:
    """The graph with its convolutions in the form that runs by blocks."""
    kinds = {op.kind.name for op in graph.walk()}
    some = "dot" in kinds and kinds & {"windows", "shear", "concatenate"}
    return simplify(graph, WITH_CONVOLUTIONS) if some else graph


def dot_of_merged(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # reshape(windows) . b -> reshape(windows . reshape(b)), where the reshape merges neighbouring axes
    if attrs["batch"][0]:
        return None
    for side in (0, 1):
        inner = ctx.made_by(v[side], "reshape")
        if inner is None or not _overlaps(ctx, inner.operands[0]):
            continue
        x = inner.operands[0]
        groups = merged_axes(x.shape, v[side].shape)
        if groups is None:
            continue
        return _unmerged(ctx, v, attrs["contract"], side, x, groups)
    return None


def _overlaps(ctx: Rewriter, v: Value) -> bool:
    return view_of(v, ctx.producer.get).overlaps(v.shape)


def merged_axes(dims: Sequence[int], shape: Sequence[int]) -> list[tuple[int, ...]] | None:
    """Which neighbouring axes of an array of `dims` a reshape makes one of `shape`'s each of; None if it doesn't."""
    groups, at = [], 0
    for n in shape:
        size, group = 1, []
        while at < len(dims) and (size < n or dims[at] == 1) and size * dims[at] <= n:
            size *= dims[at]
            group.append(at)
            at += 1
        if size != n:
            return None
        groups.append(tuple(group))
    return groups if at == len(dims) else None


def _unmerged(
    ctx: Rewriter, v: Values, contract: Any, side: int, x: Value, groups: Sequence[tuple[int, ...]]
) -> Value:
    """The product with the array `x` before its axes were merged, in the shape in which it is with the merged."""
    other, own, others = v[1 - side], contract[side], contract[1 - side]
    split: list[tuple[int, ...]] = [(d,) for d in range(len(other.shape))]
    shape: list[int] = []
    for d, n in enumerate(other.shape):
        parts = [x.shape[i] for i in groups[own[others.index(d)]]] if d in others else [n]
        split[d] = tuple(range(len(shape), len(shape) + len(parts)))
        shape += parts
    pair = [(), ()]
    pair[side] = tuple(i for d in own for i in groups[d])
    pair[1 - side] = tuple(i for d in others for i in split[d])
    operands = [x, x]
    operands[1 - side] = ctx.emit("reshape", other, shape=tuple(shape))
    result = ctx.emit("dot", *operands, batch=((), ()), contract=tuple(pair))
    free = [free_axes(len(u.shape), (), axes) for u, axes in zip(v, contract, strict=True)]
    dims = tuple(u.shape[d] for u, axes in zip(v, free, strict=True) for d in axes)
    return ctx.emit("reshape", result, shape=dims)


def dot_of_slices(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # concatenate(x[0:n], x[1:n+1], ...) . b -> reshape(windows(x)) . b
    for side in (0, 1):
        merged = ctx.made_by(v[side], "reshape")
        inner = ctx.made_by(v[side] if merged is None else merged.operands[0], "concatenate")
        seen = None if inner is None else _windows_of_slices(ctx, inner.operands, inner.attrs["axis"])
        if seen is not None:
            operands = list(v)
            operands[side] = seen if merged is None else ctx.emit("reshape", seen, shape=merged.attrs["shape"])
            return ctx.emit("dot", *operands, **attrs)
    return None


def _windows_of_slices(ctx: Rewriter, v: Values, axis: int) -> Value | None:
    shown = [view_of(x, ctx.producer.get) for x in v]
    steps = grid(shown, v)
    seen = None if steps is None else windows_at(ctx, v[0], shown[0].source, steps)
    if seen is None or steps is None:
        return None
    rank = len(v[0].shape)
    perm = (*range(axis), *range(rank, rank + len(steps)), *range(axis, rank))
    shape = (*v[0].shape[:axis], v[0].shape[axis] * len(v), *v[0].shape[axis + 1 :])
    return ctx.emit("reshape", ctx.emit("transpose", seen, perm=perm), shape=shape)


Steps = list[tuple[int, int, int]]  # of windows: axis of the source, how many places, how far one is from the next


def grid(views: Sequence[View], values: Sequence[Value], overlap: bool = True) -> Steps | None:
    """Do these show the same of one array, but for where they begin: at all places of a grid, in their order?

    That is, are they the windows that begin at the first one's elements? At least two, which overlap if that is asked.
    """
    first = views[0]
    alike = all(
        u.source is first.source and u.steps == first.steps and x.type == values[0].type
        for u, x in zip(views, values, strict=True)
    )
    if not alike or len(views) < 2 or not values[0].type.size:
        return None
    offsets = [tuple(b - a for a, b in zip(first.start, u.start, strict=True)) for u in views]
    steps: Steps = []
    for d in range(len(first.start)):
        places = sorted({o[d] for o in offsets})
        if len(places) > 1:
            by = places[1]
            if places[0] or places != list(range(0, by * len(places), by)):
                return None
            steps.append((d, len(places), by))
    wanted = itertools.product(*(range(0, n * by, by) for _, n, by in steps))
    axes = [d for d, _, _ in steps]
    if [tuple(o[d] for d in axes) for o in offsets] != list(wanted):
        return None
    walked = {d: n for step, n in zip(first.steps, values[0].shape, strict=True) for d in step if n > 1}
    return steps if not overlap or all(d in walked for d in axes) else None


def windows_at(ctx: Rewriter, v: Value, x: Value, steps: Steps) -> Value | None:
    """What `v`, a slice of x and then relabelled, and the others of its grid show: v's axes, and then the grid's.

    None where v comes of x otherwise.
    """
    chain = []
    while v is not x:
        chain.append(ctx.producer[v])
        v = chain[-1].operands[0]
    if [op.kind.name for op in chain[-1:]] != ["slice"] or any(not is_relabel(op) for op in chain[:-1]):
        return None
    rank, extra = len(x.shape), len(steps)
    axes = tuple(d for d, _, _ in steps)
    seen = ctx.emit("windows", x, axes=axes, sizes=tuple((n - 1) * by + 1 for _, n, by in steps))
    first = chain[-1]
    parts = [
        (lo, lo + (n - 1) * step + 1, step)
        for lo, n, step in zip(first.attrs["start"], first.result.shape, first.attrs["step"], strict=True)
    ]
    parts += [(0, (n - 1) * by + 1, by) for _, n, by in steps]
    start, stop, step = (tuple(p[i] for p in parts) for i in range(3))
    seen = ctx.emit("slice", seen, start=start, stop=stop, step=step)
    for op in reversed(chain[:-1]):
        if op.kind.name == "transpose":
            rank = len(op.attrs["perm"])
            seen = ctx.emit("transpose", seen, perm=(*op.attrs["perm"], *range(rank, rank + extra)))
        else:
            seen = ctx.emit("reshape", seen, shape=(*op.result.shape, *seen.shape[len(seen.shape) - extra :]))
    return seen


def convolution_of_gradient(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # sum over k of (g . w)[p - k, k] -> windows(pad(g)) . reverse(w)
    shear = ctx.made_by(v[0], "shear")
    if shear is None or tuple(attrs["axes"]) != tuple(sorted(shear.attrs["along"])):
        return None
    places, along = shear.attrs["axes"], shear.attrs["along"]
    x = shear.operands[0]
    turned = tuple(k for k in sorted(along) if x.shape[k] > 1)
    reverse = ctx.made_by(x, "reverse")
    if turned and (reverse is None or tuple(reverse.attrs["axes"]) != turned):
        return None
    padded = ctx.made_by(reverse.operands[0] if reverse is not None else x, "pad")
    margin = [0] * len(x.shape)
    for a, k in zip(places, along, strict=True):
        margin[a] += x.shape[k] - 1
    if padded is None or ctx.constant(padded.operands[1]) != 0:
        return None
    if list(padded.attrs["low"]) != margin or list(padded.attrs["high"]) != margin:
        return None
    return _flipped(ctx, padded.operands[0], places, along)


def _widened(ctx: Rewriter, v: Value) -> tuple[Value, list[Op]]:
    """Without zeros around it and between: the value, and what puts them there, the last first."""
    chain = []
    while (op := ctx.producer.get(v)) is not None:
        zeros = op.kind.name == "dilate" or (op.kind.name == "pad" and ctx.constant(op.operands[1]) == 0)
        if not zeros or ctx.shared(v):
            break
        chain.append(op)
        v = op.operands[0]
    return v, chain


def _widen(ctx: Rewriter, x: Value, op: Op, axes: Mapping[int, int]) -> Value:
    """What `op` does along some axes, done to x, of which they are others."""
    rank = range(len(x.shape))
    back = {own: d for d, own in axes.items()}
    if op.kind.name == "dilate":
        step = tuple(op.attrs["step"][back[d]] if d in back else 1 for d in rank)
        return ctx.emit("dilate", x, step=step)
    low, high = (tuple(op.attrs[end][back[d]] if d in back else 0 for d in rank) for end in ("low", "high"))
    return ctx.emit("pad", x, ctx.scalar(0, x.dtype), low=low, high=high)


def _flipped(ctx: Rewriter, made: Value, places: Sequence[int], along: Sequence[int]) -> Value | None:
    wide_shape = made.shape
    made, widened = _widened(ctx, made)
    before = list(made.shape)
    for op in widened:
        if op.kind.name == "dilate":
            before = [n * step for n, step in zip(before, op.attrs["step"], strict=True)]
    perm = tuple(range(len(made.shape)))
    moved = ctx.made_by(made, "transpose")
    if moved is not None and not ctx.shared(made):
        perm, made = moved.attrs["perm"], moved.operands[0]
    product = _split_product(ctx, made)
    if product is None:
        return None
    operands, contract = product
    free = [free_axes(len(u.shape), (), axes) for u, axes in zip(operands, contract, strict=True)]
    where = [(side, d) for side in (0, 1) for d in free[side]]  # of each axis of the product
    at = [where[perm[a]] for a in places]
    by = [where[perm[k]] for k in along]
    side = at[0][0]
    if any(s != side for s, _ in at) or any(s == side for s, _ in by):
        return None
    g, w = operands[side], operands[1 - side]
    for op in reversed(widened):
        mine, theirs = ({d: where[p][1] for d, p in enumerate(perm) if where[p][0] == s} for s in (side, 1 - side))
        g, w = _widen(ctx, g, op, mine), _widen(ctx, w, op, theirs)
    grown = {a: wide_shape[a] for a in places}
    for a, k in zip(places, along, strict=True):
        grown[a] += wide_shape[k] - 1
    most = MORE * value_of(math.prod(before[a] for a in grown))
    if value_of(math.prod(grown.values())) > most:  # few places, many of them outside
        return None
    margin = [0] * len(g.shape)
    for (_, a), k in zip(at, along, strict=True):
        margin[a] += w.shape[where[perm[k]][1]] - 1
    wide = ctx.emit("pad", g, ctx.scalar(0, g.dtype), low=tuple(margin), high=tuple(margin))
    sizes = tuple(w.shape[d] for _, d in by)
    seen = ctx.emit("windows", wide, axes=tuple(a for _, a in at), sizes=sizes)
    back = ctx.emit("reverse", w, axes=tuple(sorted(d for _, d in by)))
    rank = len(g.shape)
    pair = (
        (*contract[side], *range(rank, rank + len(sizes))),
        (*contract[1 - side], *(d for _, d in by)),
    )
    result = ctx.emit("dot", seen, back, batch=((), ()), contract=pair)
    made_of = [(side, d) for d in free[side]] + [(1 - side, d) for d in free[1 - side] if (1 - side, d) not in by]
    wanted = [where[p] for i, p in enumerate(perm) if i not in along]
    return ctx.emit("transpose", result, perm=tuple(made_of.index(a) for a in wanted))


def _split_product(ctx: Rewriter, made: Value) -> tuple[list[Value], Any] | None:
    """Operands and contracted axes of the product that made a value, or that made what was reshaped to it: a reshape
    that splits free axes splits the operands'."""
    reshaped = ctx.made_by(made, "reshape")
    y = reshaped.operands[0] if reshaped is not None and not ctx.shared(made) else made
    op = ctx.made_by(y, "dot")
    if op is None or op.attrs["batch"][0] or ctx.shared(y):
        return None
    operands, contract = list(op.operands), list(op.attrs["contract"])
    if y is made:
        return operands, contract
    groups = merged_axes(made.shape, y.shape)
    if groups is None:
        return None
    sizes = iter([[made.shape[i] for i in group] for group in groups])
    for side in (0, 1):
        u, axes = operands[side], contract[side]
        shape: list[int] = []
        new: dict[int, int] = {}
        for d, n in enumerate(u.shape):
            new[d] = len(shape)
            shape += [n] if d in axes else next(sizes)
        operands[side] = ctx.emit("reshape", u, shape=tuple(shape))
        contract[side] = tuple(new[d] for d in axes)
    return operands, contract


def dot_of_dilated(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # x . dilate(w) -> x[..., ::step] . w, of axes that are contracted
    for side in (0, 1):
        reverse = ctx.made_by(v[side], "reverse")
        inner = ctx.made_by(v[side] if reverse is None else reverse.operands[0], "dilate")
        own, others = attrs["contract"][side], attrs["contract"][1 - side]
        if inner is None or any(s > 1 and d not in own for d, s in enumerate(inner.attrs["step"])):
            continue
        w, x = inner.operands[0], v[1 - side]
        if reverse is not None:
            w = ctx.emit("reverse", w, axes=reverse.attrs["axes"])
        step = [1] * len(x.shape)
        for d, e in zip(own, others, strict=True):
            step[e] = inner.attrs["step"][d]
        part = ctx.emit("slice", x, start=(0,) * len(step), stop=x.shape, step=tuple(step))
        operands = (w, part) if side == 0 else (part, w)
        return ctx.emit("dot", *operands, **attrs)
    return None


_OWN: dict[str, tuple[Any, ...]] = {
    "dot": (dot_of_dilated, dot_of_slices, dot_of_merged),
    "sum": (convolution_of_gradient,),
}
WITH_CONVOLUTIONS = {**RULES, **{name: rules + RULES.get(name, ()) for name, rules in _OWN.items()}}
