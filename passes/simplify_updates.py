"""Identities of ops that read or write a part of an array. Each rule's comment is the identity; see `simplify`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from weft.ir.graph import Op, Value
from weft.ir.ops.moving import halves

if TYPE_CHECKING:
    from weft.passes.simplify import Rewriter

Values = tuple[Value, ...]
Attrs = Mapping[str, Any]


def _whole(attrs: Attrs, dims: tuple[int, ...]) -> bool:
    """A static slice of every element. (An axis of size 1 has no step to speak of.)"""
    axes = zip(attrs["start"], attrs["stop"], attrs["step"], dims, strict=True)
    return all(lo == 0 and hi == d and (st == 1 or d == 1) for lo, hi, st, d in axes)


def _fixed(ctx: Rewriter, starts: Values, sizes: tuple[int, ...], dims: tuple[int, ...]) -> dict[str, Any] | None:
    """The static slice that a window is, where its starts are constants in range."""
    found = []
    for s, n, d in zip(starts, sizes, dims, strict=True):
        at = ctx.constant(s)
        if at is None or not 0 <= at <= d - n:
            return None
        found.append(int(at))
    stop = tuple(s + n for s, n in zip(found, sizes, strict=True))
    return {"start": tuple(found), "stop": stop, "step": (1,) * len(found)}


def _apart(a: Attrs, b: Attrs) -> bool:
    """Static slices that share no element, because along some axis one ends before the other starts."""
    axes = zip(a["start"], a["stop"], b["start"], b["stop"], strict=True)
    return any(stop <= other or end <= start for start, stop, other, end in axes)


def update_all(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # x[:] = u -> u
    return v[1] if _whole(attrs, v[0].shape) else None


def update_nothing(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # x[empty] = u -> x
    return v[0] if 0 in v[1].shape else None


def update_same(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # x[a:b] = x[a:b] -> x
    inner = ctx.made_by(v[1], "slice")
    return v[0] if inner and inner.operands[0] is v[0] and inner.attrs == attrs else None


def write_same(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # a window that is written as it was read from there -> as if nothing was written
    inner = ctx.made_by(v[1], "dynamic_slice") or ctx.made_by(v[1], "moving_slice")
    return v[0] if inner and inner.operands == (v[0], *v[2:]) else None


def update_again(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # x[a:b] = u; x[a:b] = w -> x[a:b] = w
    inner = ctx.made_by(v[0], "update")
    return ctx.emit("update", inner.operands[0], v[1], **attrs) if inner and inner.attrs == attrs else None


def slice_of_update(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # x[a:b] = u; x[a:b] -> u; x[c:d] elsewhere -> as if nothing was written
    x = v[0]
    while (inner := ctx.made_by(x, "update")) is not None:  # there may be many of them
        if inner.attrs == attrs:
            return inner.operands[1]
        if not _apart(inner.attrs, attrs):
            break
        x = inner.operands[0]
    return ctx.emit("slice", x, **attrs) if x is not v[0] else None


def window_all(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # a window of the whole array -> the array
    return v[0] if tuple(attrs["sizes"]) == v[0].shape else None


def window_fixed(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # a window at constants -> slice
    at = _fixed(ctx, v[1:], attrs["sizes"], v[0].shape)
    return ctx.emit("slice", v[0], **at) if at is not None else None


def window_of_scalar(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # a window of broadcast(0-d) -> broadcast(0-d)
    inner = ctx.made_by(v[0], "broadcast")
    if inner is None or inner.operands[0].shape:
        return None
    return ctx.emit("broadcast", inner.operands[0], shape=tuple(attrs["sizes"]))


def _in_whole(ctx: Rewriter, starts: Values, cut: Op) -> Values | None:
    """Where a window of a static slice without steps starts in the array that it is a slice of."""
    if any(step != 1 for step in cut.attrs["step"]):
        return None
    at = [ctx.scalar(lo, s.dtype) for s, lo in zip(starts, cut.attrs["start"], strict=True)]
    return tuple(ctx.emit("add", s, lo) for s, lo in zip(starts, at, strict=True))


def window_of_slice(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # a window of x[a:b] -> a window of x
    cut = ctx.made_by(v[0], "slice")
    starts = _in_whole(ctx, v[1:], cut) if cut is not None else None
    return ctx.emit("dynamic_slice", cut.operands[0], *starts, **attrs) if cut and starts is not None else None


def update_by_window(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # x[a:b] = (x[a:b] with a window written) -> x with that window written
    write = ctx.made_by(v[1], "dynamic_update")
    cut = ctx.made_by(write.operands[0], "slice") if write is not None else None
    if write is None or cut is None or cut.operands[0] is not v[0] or cut.attrs != attrs:
        return None
    starts = _in_whole(ctx, write.operands[2:], cut)
    return ctx.emit("dynamic_update", v[0], write.operands[1], *starts) if starts is not None else None


def _same_window(inner: Op | None, shape: tuple[int, ...], starts: Values) -> bool:
    return inner is not None and inner.operands[1].shape == shape and inner.operands[2:] == starts


def window_of_update(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # the window that was just written -> what was written
    inner = ctx.made_by(v[0], "dynamic_update")
    return inner.operands[1] if inner and _same_window(inner, tuple(attrs["sizes"]), v[1:]) else None


def write_all(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # writing the whole array -> what is written; writing nothing -> the array
    if 0 in v[1].shape:
        return v[0]
    return v[1] if v[1].shape == v[0].shape else None


def write_fixed(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # a window at constants -> update
    at = _fixed(ctx, v[2:], v[1].shape, v[0].shape)
    return ctx.emit("update", v[0], v[1], **at) if at is not None else None


def write_again(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # writing one window twice -> the second time alone
    inner = ctx.made_by(v[0], "dynamic_update")
    if inner is None or not _same_window(inner, v[1].shape, v[2:]):
        return None
    return ctx.emit("dynamic_update", inner.operands[0], *v[1:])


def bound_kept(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # bound of a constant in range, or of what has been through a bound as tight -> as it is
    at = ctx.constant(v[0])
    inner = ctx.made_by(v[0], "bound")
    inside = at is not None and 0 <= at < attrs["size"]
    return v[0] if inside or (inner is not None and inner.attrs["size"] <= attrs["size"]) else None


def _of_full_size(ctx: Rewriter, lengths: Values, sizes: tuple[int, ...]) -> bool:
    return all(ctx.constant(n) == size for n, size in zip(lengths, sizes, strict=True))


def moving_fixed(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # a moving slice of its full size -> dynamic_slice
    starts, lengths = halves(v[1:])
    sizes = tuple(attrs["sizes"])
    return ctx.emit("dynamic_slice", v[0], *starts, sizes=sizes) if _of_full_size(ctx, lengths, sizes) else None


def moving_write_fixed(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # a moving update of its full size -> dynamic_update; of no elements at all -> the array
    starts, lengths = halves(v[2:])
    if any(ctx.constant(n) == 0 for n in lengths):
        return v[0]
    return ctx.emit("dynamic_update", *v[:2], *starts) if _of_full_size(ctx, lengths, v[1].shape) else None


def moving_write_bare(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # writing what is limited at the part's lengths -> writing it as it is
    part = v[1]
    lengths = halves(v[2:])[1]
    while (inner := ctx.made_by(part, "limit")) and inner.operands[2] is lengths[inner.attrs["axis"]]:
        part = inner.operands[0]
    return ctx.emit("moving_update", v[0], part, *v[2:]) if part is not v[1] else None


def moving_write_again(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # writing one moving part twice -> the second time alone
    inner = ctx.made_by(v[0], "moving_update")
    if inner is None or inner.operands[1].shape != v[1].shape or inner.operands[2:] != v[2:]:
        return None
    return ctx.emit("moving_update", inner.operands[0], *v[1:])


def moving_of_write(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # the moving part that was just written -> what was written, up to its lengths
    inner = ctx.made_by(v[0], "moving_update")
    if inner is None or inner.operands[1].shape != tuple(attrs["sizes"]) or inner.operands[2:] != v[1:]:
        return None
    found = inner.operands[1]
    zero = ctx.scalar(0, found.dtype)
    for axis, n in enumerate(halves(v[1:])[1]):
        found = ctx.emit("limit", found, zero, n, axis=axis)
    return found


def limit_kept(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # a limit beyond the end, or once more -> as it is
    n, size = ctx.constant(v[2]), v[0].shape[attrs["axis"]]
    inner = ctx.made_by(v[0], "limit")
    again = inner is not None and inner.operands[1:] == v[1:] and inner.attrs == attrs
    return v[0] if again or (n is not None and n >= size) else None


def agree_kept(ctx: Rewriter, v: Values, attrs: Attrs) -> Value | None:
    # a length agrees with itself, a number with its equal
    a, b = ctx.constant(v[0]), ctx.constant(v[1])
    return v[0] if v[0] is v[1] or (a is not None and a == b) else None


UPDATE_RULES: dict[str, tuple[Callable[..., Value | None], ...]] = {
    "slice": (slice_of_update,),
    "update": (update_all, update_nothing, update_same, update_again, update_by_window),
    "dynamic_slice": (window_all, window_fixed, window_of_scalar, window_of_update, window_of_slice),
    "dynamic_update": (write_all, write_fixed, write_same, write_again),
    "bound": (bound_kept,),
    "moving_slice": (moving_fixed, moving_of_write),
    "moving_update": (moving_write_fixed, moving_write_bare, write_same, moving_write_again),
    "limit": (limit_kept,),
    "agree": (agree_kept,),
}
