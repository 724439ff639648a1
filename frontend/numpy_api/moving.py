"""The ops on arrays with axes that move (see `weft.frontend.extents`), a rule for each family.

    x + y             lengths agree; what lacks the axis is spread along it up to the length
    sum(x)            over limit(x, 0, n)
    A[:i, :i] @ v     sum(A[:i, :i] * v), over just the elements; of two matrices a product of zeros beyond the lengths
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weft.frontend.extents import (
    Extent,
    dims_of,
    extent_of,
    extents_of,
    fitted,
    fitted_axis,
    fixed,
    flipped,
    joined,
    limited,
    moving,
    with_extents,
)
from weft.frontend.lengths import agreed, most
from weft.frontend.numpy_api.registry import METHODS, method
from weft.frontend.tracer import Tracer, emit, emit_plain, view_before
from weft.ir import ops
from weft.ir.dims import same, same_shape
from weft.ir.opdef import OpDef
from weft.ir.ops.linalg import free_axes

e, m = ops.elementwise, ops.movement
EMPTY = "zero-size array to a reduction operation which has no identity"
METHODS["__fit__"] = fitted

Attrs = dict[str, Any]
Axes = tuple[Sequence[int], Sequence[int]]  # of a product's operand: batched, summed


@method("__moving__")
def emit_moving(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    """An op of which an operand's extents move, or that is asked for such a shape."""
    rule = _RULES.get(op.name) or _RULES.get(op.family)
    if rule is None:
        return emit_plain(op, *map(fixed, tracers), **attrs)
    return rule(op, tracers, attrs)


def _elementwise(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    operands, extents = joined(tracers)
    return moving(emit_plain(op, *operands, **attrs), extents)


def _check(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    """A check of indices: those beyond the extents are none."""
    (x,) = tracers
    return moving(emit_plain(op, limited(x, 0, range(x.ndim)), **attrs), extents_of(x))


def _reduce(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    (x,) = tracers
    picks = op.name in ("argmax", "argmin")
    axes = (attrs["axis"],) if picks else attrs["axes"]
    by = {"argmax": ops.reduce.max_, "argmin": ops.reduce.min_}.get(op.name, op)
    if picks or op.name in ("max", "min"):
        x = with_extents(x, {a: _some(n) for a, n in enumerate(extents_of(x)) if a in axes and n is not None})
    y = emit_plain(op, limited(x, by.extra["identity"](x.type.dtype), range(x.ndim)), **attrs)
    return limited(moving(y, [n for a, n in enumerate(extents_of(x)) if a not in axes]), 0, range(y.ndim))


def _some(n: Tracer) -> Extent:
    """A length, with the promise that it is not 0."""
    assert n.room is not None
    return extent_of(agreed(n, most(n, 1), EMPTY), *n.room)


def _broadcast(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    return fitted(tracers[0], *dims_of(attrs["shape"]))


def _transpose(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    (x,) = tracers
    extents = extents_of(x)
    return moving(emit_plain(op, x, **attrs), [extents[p] for p in attrs["perm"]])


def _reshape(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    """Axes of size one come and go."""
    (x,) = tracers
    before = [n for n in x.shape if not same(n, 1)]
    after = [n for n in attrs["shape"] if not same(n, 1)]
    if not same_shape(before, after):
        return emit_plain(op, fixed(x), **attrs)
    rest = [(n, dim) for n, dim in zip(extents_of(x), x.type.dims, strict=True) if n is not None or dim != 1]
    dims, extents = [], []
    for wanted in attrs["shape"]:
        n, dim = (None, 1) if same(wanted, 1) else rest.pop(0)
        dims.append(dim)
        extents.append(n)
    return moving(emit_plain(op, x, shape=tuple(dims)), extents)


def _static_part(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    """Movement along axes that don't move."""
    x = tracers[0]
    whole = {
        "slice": lambda a, d: (attrs["start"][a], attrs["stop"][a], attrs["step"][a]) == (0, d, 1),
        "dynamic_slice": lambda a, d: attrs["sizes"][a] == d,
    }[op.name]
    moved = [a for a, n in enumerate(extents_of(x)) if n is not None]
    if not all(whole(a, x.type.dims[a]) for a in moved):
        return emit_plain(op, *map(fixed, tracers), **attrs)
    return moving(emit_plain(op, *tracers, **attrs), extents_of(x))


def _reverse(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    (x,) = tracers
    for axis in attrs["axes"]:
        x = flipped(x, axis)
    return x


def _gather(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    """By places that move; what they are beyond their extents has been a place before."""
    x, *places = tracers
    x = fixed(x)
    indices, extents = joined(places)
    y = moving(emit_plain(op, x, *indices, **attrs), (*extents, *(None,) * (x.ndim - len(places))))
    return limited(y, 0, range(len(extents)))


def _recur(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    """What lies behind the extents comes last, and must not come back in the derivative."""
    (a, b), extents = joined(tracers)
    a, b = limited(a, 0, range(a.ndim)), limited(b, 0, range(b.ndim))
    return limited(moving(emit_plain(op, a, b, **attrs), extents), 0, range(b.ndim))


def _dot(op: OpDef, tracers: Sequence[Tracer], attrs: Attrs) -> Tracer:
    """With a vector: a product and a sum, over just the elements. Of matrices: of zeros beyond their extents."""
    a, b = tracers
    (batch_a, batch_b), (sum_a, sum_b) = attrs["batch"], attrs["contract"]
    free_a, free_b = free_axes(a.ndim, batch_a, sum_a), free_axes(b.ndim, batch_b, sum_b)
    if not free_b:
        return _dot_vector(a, b, (batch_a, sum_a), (batch_b, sum_b))
    if not free_a:
        return _dot_vector(b, a, (batch_b, sum_b), (batch_a, sum_a))
    for i, j in zip((*batch_a, *sum_a), (*batch_b, *sum_b), strict=True):
        a, b = _met(a, i, b, j)
    y = emit_plain(op, limited(a, 0, sum_a), limited(b, 0, sum_b), **attrs)
    of_a, of_b = extents_of(a), extents_of(b)
    extents = [*(of_a[i] for i in (*batch_a, *free_a)), *(of_b[j] for j in free_b)]
    return limited(moving(y, extents), 0, range(y.ndim))


def _dot_vector(a: Tracer, b: Tracer, axes_a: Axes, axes_b: Axes) -> Tracer:
    """A product in which all axes of b are batched or summed: along a's axes, as they lie in memory."""
    if a.path and a.path[-1].op is m.transpose:
        perm = a.path[-1].attrs["perm"]
        extents = dict(zip(perm, extents_of(a), strict=True))
        a = moving(view_before(a), [extents[i] for i in range(a.ndim)])
        axes_a = (tuple(perm[i] for i in axes_a[0]), tuple(perm[i] for i in axes_a[1]))
        free = tuple(perm[i] for i in range(a.ndim) if perm[i] not in (*axes_a[0], *axes_a[1]))
    else:
        free = tuple(i for i in range(a.ndim) if i not in (*axes_a[0], *axes_a[1]))
    other = dict(zip((*axes_a[0], *axes_a[1]), (*axes_b[0], *axes_b[1]), strict=True))  # a's axis -> b's
    factor = emit(m.transpose, b, perm=tuple(other[i] for i in range(a.ndim) if i in other))
    rest = iter(factor.shape)
    factor = emit(m.reshape, factor, shape=tuple(next(rest) if i in other else 1 for i in range(a.ndim)))
    y = emit(ops.reduce.sum_, emit(e.mul, a, factor), axes=tuple(sorted(axes_a[1])))
    left = [i for i in range(a.ndim) if i not in axes_a[1]]
    order = [left.index(i) for i in (*axes_a[0], *free)]
    return emit(m.transpose, y, perm=tuple(order)) if order != sorted(order) else y


def _met(a: Tracer, i: int, b: Tracer, j: int) -> tuple[Tracer, Tracer]:
    """Two arrays with an axis of each at one capacity and extent."""
    n, k = extents_of(a)[i], extents_of(b)[j]
    size, other = a.type.dims[i], b.type.dims[j]
    if n is not None and k is not None and n is not k:
        n = extent_of(agreed(n, k), min(size, other))
        a, b = with_extents(a, {i: n}), with_extents(b, {j: n})
    elif n is None or k is None:
        size, other, n = (size, size, None) if n is None else (other, other, None)
    size = min(size, other)
    target = ([size], [n])
    return fitted_axis(a, i, size, n, target), fitted_axis(b, j, size, n, target)


_RULES: dict[str, Callable[[OpDef, Sequence[Tracer], Attrs], Tracer]] = {
    "elementwise": _elementwise,
    "bound": _check,
    "reduce": _reduce,
    "broadcast": _broadcast,
    "transpose": _transpose,
    "reshape": _reshape,
    "slice": _static_part,
    "dynamic_slice": _static_part,
    "reverse": _reverse,
    "gather": _gather,
    "recur": _recur,
    "dot": _dot,
}
