"""How a view lies in memory: the stride of each of its axes, for NumPy's question whether a reshape copies.

    a[:, 1:].reshape(-1)     of a in row-major order: a copy, as a row of the view is followed by an element that is not
                             its own

Sizes may be symbols (`weft.ir.dims`): what their comparison decides is then a guard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from weft.ir import ops
from weft.ir.opdef import OpDef
from weft.ir.types import strides_of

move = ops.movement
Layout = list[tuple[Any, Any]]  # size and stride of each axis, in elements or bytes alike


def row_major(shape: Sequence[Any], strides: Sequence[Any] | None) -> Layout:
    """Of an array of these strides; None: in row-major order."""
    return list(zip(shape, strides_of(tuple(shape)) if strides is None else strides, strict=True))


def stepped(layout: Layout, op: OpDef, attrs: Mapping[str, Any]) -> Layout | None:
    """That of a view made by a movement op; None where NumPy has no such view, and copies."""
    if op is move.slice_:
        rows = zip(layout, attrs["start"], attrs["stop"], attrs["step"], strict=True)
        return [((stop - start + step - 1) // step, s * step) for (_, s), start, stop, step in rows]
    if op is move.transpose:
        return [layout[p] for p in attrs["perm"]]
    if op is move.reverse:
        return [(n, -s if axis in attrs["axes"] else s) for axis, (n, s) in enumerate(layout)]
    if op is move.broadcast:
        lead = len(attrs["shape"]) - len(layout)
        spread = [(n, 0) for n in attrs["shape"][:lead]]
        own = zip(attrs["shape"][lead:], layout, strict=True)
        return spread + [(n, s if known == n else 0) for n, (known, s) in own]
    if op is ops.windows.windows:
        sizes = dict(zip(attrs["axes"], attrs["sizes"], strict=True))
        places = [(n - sizes[axis] + 1 if axis in sizes else n, s) for axis, (n, s) in enumerate(layout)]
        return places + [(n, layout[axis][1]) for axis, n in sizes.items()]
    if op is move.reshape:
        return reshaped(layout, attrs["shape"])
    return [(n, s) for n, (_, s) in zip(attrs["sizes"], layout, strict=True)]  # wherever a dynamic slice starts


def reshaped(layout: Layout, shape: Sequence[Any]) -> Layout | None:
    """The view of another shape, of as many elements; None where there is none.

    Axes are cut and merged in runs of equal size, from the left; a run may be merged where each of its axes steps
    over just the next.
    """
    if any(n == 0 for n, _ in layout):
        return row_major(shape, None)
    old = [(n, s) for n, s in layout if n != 1]
    found: Layout = []
    at = 0
    for run in _runs(shape, old):
        axes = old[at : at + run[1]]
        at += run[1]
        if any(s != after[0] * after[1] for (_, s), after in zip(axes, axes[1:], strict=False)):
            return None
        stride = axes[-1][1]
        made: Layout = []
        for n in reversed(shape[len(found) : len(found) + run[0]]):
            made.append((n, stride))
            stride = stride * n
        found += reversed(made)
    return found + [(n, 1) for n in shape[len(found) :]]  # of size 1: their strides don't matter


def _runs(shape: Sequence[Any], old: Layout) -> list[tuple[int, int]]:
    """How many new and old axes make a run of equal size each."""
    runs, i, j = [], 0, 0
    while i < len(shape) and j < len(old):
        new, had = shape[i], old[j][0]
        first, i, j = (i, j), i + 1, j + 1
        while new != had:
            if new < had:
                new, i = new * shape[i], i + 1
            else:
                had, j = had * old[j][0], j + 1
        runs.append((i - first[0], j - first[1]))
    return runs
