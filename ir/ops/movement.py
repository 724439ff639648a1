"""Movement: ops that change where elements lie and not what they are. All are linear.

broadcast  shape=            NumPy's broadcast_to
reshape    shape=            row-major
transpose  perm=
slice      start= stop= step=    per axis, steps positive
dilate     step=             the transpose of a slice by steps: step - 1 zeros between neighbours, per axis
reverse    axes=
pad        low= high= (operands: x and a 0-d fill)
concatenate axis=            any number of operands
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.dims import same_shape, value_of
from weft.ir.opdef import REGISTRY, OpDef, register
from weft.ir.ops.families import IRTypeError, Types, aligned, in_each, normal_axes
from weft.ir.types import TensorType, broadcast_dims


def _movement(name: str, infer: Any, reference: Any, pull: Any, attrs: tuple[str, ...], **more: Any) -> OpDef:
    return register(
        OpDef(name, "movement", infer, reference, pull=pull, attr_names=attrs, **{"linear": (0,), **more})
    )


def _infer_broadcast(types: Types, attrs: Any) -> Types:
    (t,) = types
    shape = tuple(attrs["shape"])
    try:
        fits = broadcast_dims(t.dims, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise IRTypeError(f"broadcast: {t} does not broadcast to {shape}")
    return (t.with_dims(shape),)


def unbroadcast(g: Any, dims: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which an operand of shape `dims` was broadcast."""
    if same_shape(g.shape, dims):
        return g
    lead = len(g.shape) - len(dims)
    axes = tuple(range(lead)) + tuple(
        i + lead for i, d in enumerate(dims) if d == 1 and g.shape[i + lead] != 1
    )
    if axes:
        g = REGISTRY["sum"](g, axes=axes)
    return g if same_shape(g.shape, dims) else reshape(g, shape=dims)


broadcast: OpDef = _movement(
    "broadcast",
    _infer_broadcast,
    lambda a, shape: np.broadcast_to(a, shape),
    lambda g, y, x, shape: (unbroadcast(g, x.shape),),
    ("shape",),
    batch=lambda size, lanes, x, shape: broadcast(
        reshape(x, shape=(size,) + (1,) * (len(shape) - len(x.shape) + 1) + x.shape[1:]), shape=(size, *shape)
    ),
)


def _infer_reshape(types: Types, attrs: Any) -> Types:
    (t,) = types
    out = t.with_dims(tuple(attrs["shape"]))
    if out.size != t.size or any(d < 0 for d in out.dims):
        raise IRTypeError(f"reshape: {t} has {t.size} elements, shape {out.dims} has {out.size}")
    return (out,)


reshape: OpDef = _movement(
    "reshape",
    _infer_reshape,
    lambda a, shape: np.reshape(a, shape),
    lambda g, y, x, shape: (reshape(g, shape=x.shape),),
    ("shape",),
    batch=lambda size, lanes, x, shape: reshape(x, shape=(size, *shape)),
)


def expand(x: Any, axes: tuple[int, ...]) -> Any:
    """Insert axes of size 1 at positions `axes` of the result."""
    dims, rest = [], list(x.shape)
    for i in range(len(x.shape) + len(axes)):
        dims.append(1 if i in axes else rest.pop(0))
    return reshape(x, shape=tuple(dims))


def _infer_transpose(types: Types, attrs: Any) -> Types:
    (t,) = types
    perm = attrs["perm"]
    if sorted(perm) != list(range(t.rank)):
        raise IRTypeError(f"transpose: perm {tuple(perm)} is not a permutation of the axes of {t}")
    return (t.with_dims(tuple(t.dims[p] for p in perm)),)


def inverse_permutation(perm: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(perm.index(i) for i in range(len(perm)))


transpose: OpDef = _movement(
    "transpose",
    _infer_transpose,
    lambda a, perm: np.transpose(a, perm),
    lambda g, y, x, perm: (transpose(g, perm=inverse_permutation(perm)),),
    ("perm",),
    batch=lambda size, lanes, x, perm: transpose(x, perm=(0, *(p + 1 for p in perm))),
)


def to_front(x: Any, axis: int) -> Any:
    """`x` with that axis as the first one."""
    rest = (i for i in range(len(x.shape)) if i != axis)
    return transpose(x, perm=(axis, *rest)) if axis else x


def _infer_slice(types: Types, attrs: Any) -> Types:
    (t,) = types
    start, stop, step = attrs["start"], attrs["stop"], attrs["step"]
    if not len(start) == len(stop) == len(step) == t.rank:
        raise IRTypeError(f"slice: needs start, stop and step for every axis of {t}")
    for d, lo, hi, st in zip(t.dims, start, stop, step, strict=True):
        if not 0 <= lo <= hi <= d or st < 1:
            raise IRTypeError(f"slice: {lo}:{hi}:{st} is out of range for an axis of {d} in {t}")
    dims = tuple(-(-(hi - lo) // st) for lo, hi, st in zip(start, stop, step, strict=True))
    return (t.with_dims(dims),)


def _slice(a: np.ndarray, start: Any, stop: Any, step: Any) -> np.ndarray:
    return a[tuple(slice(*s) for s in zip(start, stop, step, strict=True))]


def _pull_slice(g: Any, y: Any, x: Any, start: Any, stop: Any, step: Any) -> Any:
    low = tuple(start)
    if any(s != 1 for s in step):
        g = dilate(g, step=tuple(step))
    high = tuple(d - lo - n for d, lo, n in zip(x.shape, low, g.shape, strict=True))
    return (pad(g, g.const(0), low=low, high=high),)


def _pull_slice_into(total: Any, g: Any, y: Any, x: Any, **at: Any) -> Any:
    """A small part of an array gets its cotangent in place; a great one's is padded, to be fused with the others."""
    if value_of(y.type.size) * SMALL_PART > value_of(x.type.size):
        return None
    return REGISTRY["update"](total, slice_(total, **at) + g, **at)


SMALL_PART = 8
slice_: OpDef = _movement(
    "slice",
    _infer_slice,
    _slice,
    _pull_slice,
    ("start", "stop", "step"),
    pull_into=_pull_slice_into,
    batch=lambda size, lanes, x, **at: slice_(x, **of_each(size, **at)),
)


def _infer_dilate(types: Types, attrs: Any) -> Types:
    (t,) = types
    step = attrs["step"]
    if len(step) != t.rank or any(s < 1 for s in step):
        raise IRTypeError(f"dilate: needs a step of 1 or more for every axis of {t}, got {tuple(step)}")
    return (t.with_dims(tuple((d - 1) * s + 1 if d else 0 for d, s in zip(t.dims, step, strict=True))),)


def _dilate(a: np.ndarray, step: Any) -> np.ndarray:
    (t,) = _infer_dilate((TensorType("f64", a.shape),), {"step": step})
    out = np.zeros(t.dims, a.dtype)
    out[tuple(slice(None, None, s) for s in step)] = a
    return out


dilate: OpDef = _movement(
    "dilate",
    _infer_dilate,
    _dilate,
    lambda g, y, x, step: (slice_(g, start=(0,) * len(step), stop=g.shape, step=tuple(step)),),
    ("step",),
    batch=lambda size, lanes, x, step: dilate(x, step=(1, *step)),
)


def of_each(size: int, start: Any, stop: Any, step: Any) -> dict[str, Any]:
    """A slice's attributes for all of `size` lanes."""
    return {"start": (0, *start), "stop": (size, *stop), "step": (1, *step)}


def _infer_reverse(types: Types, attrs: Any) -> Types:
    (t,) = types
    if normal_axes(attrs["axes"], t.rank, "reverse") != tuple(attrs["axes"]):
        raise IRTypeError(f"reverse: axes {attrs['axes']} must be increasing and non-negative")
    return (t,)


reverse: OpDef = _movement(
    "reverse",
    _infer_reverse,
    lambda a, axes: np.flip(a, axes),
    lambda g, y, x, axes: (reverse(g, axes=axes),),
    ("axes",),
    batch=lambda size, lanes, x, axes: reverse(x, axes=tuple(a + 1 for a in axes)),
)


def _infer_pad(types: Types, attrs: Any) -> Types:
    if len(types) != 2:
        raise IRTypeError("pad takes an operand and a 0-d fill")
    t, fill = types
    low, high = attrs["low"], attrs["high"]
    if fill.dims or fill.dtype != t.dtype:
        raise IRTypeError(f"pad: the fill must be a 0-d {t.dtype}, got {fill}")
    if not len(low) == len(high) == t.rank or any(p < 0 for p in (*low, *high)):
        raise IRTypeError(f"pad: needs a non-negative low and high for every axis of {t}, got {low}, {high}")
    return (t.with_dims(tuple(d + a + b for d, a, b in zip(t.dims, low, high, strict=True))),)


def _pad(a: np.ndarray, fill: np.ndarray, low: Any, high: Any) -> np.ndarray:
    out = np.full(tuple(d + p + q for d, p, q in zip(a.shape, low, high, strict=True)), fill, a.dtype)
    out[tuple(slice(p, p + d) for d, p in zip(a.shape, low, strict=True))] = a
    return out


def _pull_pad(g: Any, y: Any, x: Any, fill: Any, low: Any, high: Any) -> Any:
    stop = tuple(lo + d for lo, d in zip(low, x.shape, strict=True))
    inner = slice_(g, start=tuple(low), stop=stop, step=(1,) * len(low))
    every = tuple(range(len(g.shape)))
    return inner, REGISTRY["sum"](g, axes=every) - REGISTRY["sum"](inner, axes=every)


def _batch_pad(size: int, lanes: Any, x: Any, fill: Any, low: Any, high: Any) -> Any:
    """Where each lane has a fill of its own, that is chosen outside of what is x: a pad of trues with false."""
    every = {"low": (0, *low), "high": (0, *high)}
    if not lanes[1]:
        return pad(x, fill, **every)
    true = x.builder.constant(True, "bool")
    inside = pad(broadcast(true, shape=x.shape[lanes[0] :]), true.const(False), low=low, high=high)
    padded = pad(x, x.const(0), **every) if lanes[0] else pad(x, x.const(0), low=low, high=high)
    return REGISTRY["where"](*aligned((False, lanes[0], True), (inside, padded, fill)))


pad: OpDef = _movement(
    "pad",
    _infer_pad,
    _pad,
    _pull_pad,
    ("low", "high"),
    arity=2,
    linear=(0, 1),
    batch=_batch_pad,
)


def _infer_concatenate(types: Types, attrs: Any) -> Types:
    if not types:
        raise IRTypeError("concatenate needs an operand")
    first, axis = types[0], attrs["axis"]
    if not 0 <= axis < first.rank:
        raise IRTypeError(f"concatenate: axis {axis} is out of range for {first}")
    for t in types[1:]:
        same = t.rank == first.rank and all(
            i == axis or a == b for i, (a, b) in enumerate(zip(t.dims, first.dims, strict=True))
        )
        if t.dtype != first.dtype or not same:
            raise IRTypeError(f"concatenate: {first} and {t} differ off axis {axis}")
    total = sum(t.dims[axis] for t in types)
    return (TensorType(first.dtype, (*first.dims[:axis], total, *first.dims[axis + 1 :])),)


def _pull_concatenate(g: Any, y: Any, *xs: Any, axis: int) -> Any:
    out, at, rank = [], 0, len(g.shape)
    for x in xs:
        n = x.shape[axis]
        start = tuple(at if i == axis else 0 for i in range(rank))
        stop = tuple(at + n if i == axis else d for i, d in enumerate(g.shape))
        out.append(slice_(g, start=start, stop=stop, step=(1,) * rank))
        at += n
    return out


concatenate: OpDef = _movement(
    "concatenate",
    _infer_concatenate,
    lambda *arrays, axis: np.concatenate(arrays, axis),
    _pull_concatenate,
    ("axis",),
    arity=-1,
    linear=(-1,),
    batch=lambda size, lanes, *xs, axis: concatenate(*in_each(size, lanes, xs), axis=axis + 1),
)
