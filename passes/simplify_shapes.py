"""Identities of ops that only move data. Each rule's comment is the identity; see `simplify`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from weft.ir import dims
from weft.ir.graph import Value
from weft.ir.ops.linalg import free_axes

if TYPE_CHECKING:
    from weft.passes.simplify import Rewriter

Values = tuple[Value, ...]
Attrs = Mapping[str, Any]


def same_shape(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # reshape or broadcast to the shape it has -> x
    return v[0] if dims.same_shape(v[0].shape, attrs["shape"]) else None


def reshape_reshape(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # reshape(reshape(x)) -> reshape(x)
    inner = ctx.made_by(v[0], "reshape")
    return ctx.emit("reshape", inner.operands[0], shape=attrs["shape"]) if inner else None


def reshape_scalar(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # reshape(broadcast(0-d)) -> broadcast(0-d); reshape(0-d constant) -> broadcast(0-d constant)
    inner = ctx.made_by(v[0], "broadcast") or ctx.made_by(v[0], "constant")
    x = inner.operands[0] if inner is not None and inner.operands else v[0]
    return None if inner is None or x.shape else ctx.emit("broadcast", x, shape=attrs["shape"])


def broadcast_broadcast(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # broadcast(broadcast(x)) -> broadcast(x)
    inner = ctx.made_by(v[0], "broadcast")
    return ctx.emit("broadcast", inner.operands[0], shape=attrs["shape"]) if inner else None


def transpose_nothing(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # transpose by the identity -> x; moving only axes of size 1 -> reshape
    perm = attrs["perm"]
    if tuple(perm) == tuple(range(len(perm))):
        return v[0]
    moved = [p for p in perm if v[0].shape[p] != 1]
    if moved == sorted(moved):
        return ctx.emit("reshape", v[0], shape=tuple(v[0].shape[p] for p in perm))
    return None


def transpose_transpose(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # transpose(transpose(x, p), q) -> transpose(x, p[q])
    inner = ctx.made_by(v[0], "transpose")
    if inner is None:
        return None
    perm = tuple(inner.attrs["perm"][q] for q in attrs["perm"])
    return ctx.emit("transpose", inner.operands[0], perm=perm)


def transpose_dot(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # transpose(a . b) -> b . a where the transpose swaps the free axes of both as blocks, and nobody reads a . b
    inner = ctx.made_by(v[0], "dot")
    if inner is None or ctx.shared(v[0]):
        return None
    a, b = inner.operands
    batch, contract = inner.attrs["batch"], inner.attrs["contract"]
    nb = len(batch[0])
    na = len(free_axes(len(a.shape), batch[0], contract[0]))
    rank = len(v[0].shape)
    swap = (*range(nb), *range(nb + na, rank), *range(nb, nb + na))
    if tuple(attrs["perm"]) != swap:
        return None
    return ctx.emit("dot", b, a, batch=(batch[1], batch[0]), contract=(contract[1], contract[0]))


def dot_transpose(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # transpose(a) . b -> a . b with a's axes renamed, where that keeps the order of its free axes
    for side in (0, 1):
        inner = ctx.made_by(v[side], "transpose")
        if inner is None:
            continue
        perm = inner.attrs["perm"]
        axes = {k: [attrs[k][0], attrs[k][1]] for k in ("batch", "contract")}
        for k in axes:
            axes[k][side] = tuple(perm[i] for i in attrs[k][side])
        old = free_axes(len(perm), attrs["batch"][side], attrs["contract"][side])
        if [perm[i] for i in old] != sorted(perm[i] for i in old):
            continue
        operands = list(v)
        operands[side] = inner.operands[0]
        return ctx.emit("dot", *operands, batch=tuple(axes["batch"]), contract=tuple(axes["contract"]))
    return None


def slice_all(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # x[:] -> x
    whole = all(
        dims.same_shape((lo, hi, st), (0, d, 1))
        for lo, hi, st, d in zip(attrs["start"], attrs["stop"], attrs["step"], v[0].shape, strict=True)
    )
    return v[0] if whole else None


def slice_slice(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # x[a:b:s][c:d:t] -> x[a+c*s : ... : s*t]
    inner = ctx.made_by(v[0], "slice")
    if inner is None or 0 in v[0].shape:
        return None
    x = inner.operands[0]
    start, stop, step = [], [], []
    for i, d in enumerate(x.shape):
        lo, st = inner.attrs["start"][i], inner.attrs["step"][i]
        c, e, t = attrs["start"][i], attrs["stop"][i], attrs["step"][i]
        start.append(lo + c * st)
        step.append(st * t)
        n = -(-(e - c) // t)
        stop.append(min(d, start[-1] + (n - 1) * step[-1] + 1) if n else start[-1])
    if any(s > d for s, d in zip(start, x.shape, strict=True)):
        return None
    return ctx.emit("slice", x, start=tuple(start), stop=tuple(stop), step=tuple(step))


def slice_of_pad(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # pad(x)[its middle] -> x
    inner = ctx.made_by(v[0], "pad")
    if inner is None or any(s != 1 for s in attrs["step"]):
        return None
    x = inner.operands[0]
    low = tuple(inner.attrs["low"])
    stop = tuple(lo + d for lo, d in zip(low, x.shape, strict=True))
    return x if tuple(attrs["start"]) == low and tuple(attrs["stop"]) == stop else None


def reverse_nothing(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # reversing axes of size 1 or none -> x
    axes = tuple(a for a in attrs["axes"] if v[0].shape[a] > 1)
    if not axes:
        return v[0]
    return ctx.emit("reverse", v[0], axes=axes) if axes != tuple(attrs["axes"]) else None


def reverse_reverse(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # reverse(reverse(x, a), b) -> reverse(x, a xor b)
    inner = ctx.made_by(v[0], "reverse")
    if inner is None:
        return None
    axes = tuple(sorted(set(inner.attrs["axes"]) ^ set(attrs["axes"])))
    return ctx.emit("reverse", inner.operands[0], axes=axes)


def dilate_nothing(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # dilate by 1, or an axis of size 1 -> x
    return v[0] if all(s == 1 or n == 1 for s, n in zip(attrs["step"], v[0].shape, strict=True)) else None


def pad_nothing(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # pad by nothing -> x
    return v[0] if all(dims.same(n, 0) for n in (*attrs["low"], *attrs["high"])) else None


def concatenate_one(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # concatenate one -> it; operands of size 0 fall away
    full = tuple(x for x in v if x.shape[attrs["axis"]] != 0)
    if len(full) == len(v) and len(v) > 1:
        return None
    if len(full) > 1:
        return ctx.emit("concatenate", *full, axis=attrs["axis"])
    return full[0] if full else v[0]


def reduce_nothing(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # reducing no axes, or axes of size 1 -> reshape
    axes = attrs["axes"]
    if any(v[0].shape[a] != 1 for a in axes):
        return None
    return ctx.emit("reshape", v[0], shape=tuple(d for i, d in enumerate(v[0].shape) if i not in axes))


def arg_of_one(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # argmax over an axis of size 1 -> 0
    axis = attrs["axis"]
    if v[0].shape[axis] != 1:
        return None
    shape = tuple(d for i, d in enumerate(v[0].shape) if i != axis)
    zero = ctx.scalar(0, "i64")
    return ctx.emit("broadcast", zero, shape=shape) if shape else zero


def sum_nothing(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # summing axes of size 1 -> reshape; a float's sum starts at 0.0, so -0.0 becomes 0.0
    flat = reduce_nothing(ctx, v, attrs)
    if flat is None or not flat.type.is_float:
        return flat
    return ctx.emit("add", flat, ctx.scalar(0.0, flat.dtype))


def sum_of_reshape(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # sum(reshape(x), every axis) -> sum(x, every axis)
    inner = ctx.made_by(v[0], "reshape")
    if inner is None or len(attrs["axes"]) != len(v[0].shape) or 0 in v[0].shape:
        return None
    x = inner.operands[0]
    return ctx.emit("sum", x, axes=tuple(range(len(x.shape))))


Rules = tuple[Callable[..., "Value | None"], ...]
SHAPE_RULES: dict[str, Rules] = {
    "reshape": (same_shape, reshape_reshape, reshape_scalar),
    "broadcast": (same_shape, broadcast_broadcast),
    "transpose": (transpose_nothing, transpose_transpose, transpose_dot),
    "dot": (dot_transpose,),
    "slice": (slice_all, slice_slice, slice_of_pad),
    "reverse": (reverse_nothing, reverse_reverse),
    "dilate": (dilate_nothing,),
    "pad": (pad_nothing,),
    "concatenate": (concatenate_one,),
    "sum": (sum_nothing, sum_of_reshape),
    "prod": (reduce_nothing,),
    "max": (reduce_nothing,),
    "min": (reduce_nothing,),
    "any": (reduce_nothing,),
    "all": (reduce_nothing,),
    "argmax": (arg_of_one,),
    "argmin": (arg_of_one,),
}
