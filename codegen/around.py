"""Copying what lies around a window: a box before it and one behind it, along each axis.

    . . . . . .
    . . . . . .      axis 0: the rows above, the rows below
    - [ w w ] -      axis 1, within the window's rows: what is left of it, what is right
    . . . . . .

Along an axis that the window walks in steps, what lies between the steps is copied as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weft.codegen.kernel import Affine, For, Statement, Store, var
from weft.codegen.scope import Scope
from weft.ir.types import strides_of
from weft.ir.writes import Window

if TYPE_CHECKING:
    from weft.codegen.lower import Lowering


def copy_around(low: Lowering, w: Window, out: str) -> list[Statement]:
    """Statements that copy the rest of the window's array to buffer `out`, for the first chunk only."""
    dims, sizes = w.base.shape, w.part.shape
    start = low.inside(w, [Affine()] * len(dims))
    found: list[Statement] = []
    for d, n in enumerate(sizes):
        end = start[d] + (w.step[d] * (n - 1) + 1 if n else 0)
        sides = [(Affine(), start[d]), (end, Affine(dims[d]))]
        for lo, hi in sides:
            if not lo.terms and not hi.terms and lo.const >= hi.const:
                continue
            i = low.names.fresh("i")
            found += [For(i, lo, hi, _rest(low, w, out, start, d, var(i)))]
        if w.step[d] > 1 and n > 1:
            k, j = low.names.fresh("k"), low.names.fresh("i")
            between = start[d] + var(k) * w.step[d] + var(j)
            inner = [For(j, Affine(1), Affine(w.step[d]), _rest(low, w, out, start, d, between))]
            found.append(For(k, Affine(), Affine(n - 1), inner))  # type: ignore[arg-type]
    once = low.names.fresh("once")
    return [For(once, var("chunk"), Affine(1), found)] if found else []


def _rest(low: Lowering, w: Window, out: str, start: Sequence[Affine], d: int, at: Affine) -> list[Statement]:
    """The loops over the other axes, where axis d is at `at`: within the window before it, everywhere behind it."""
    names = [low.names.fresh("i") for _ in w.base.shape]
    index, nest = [], []
    for a, (name, n) in enumerate(zip(names, w.base.shape, strict=True)):
        if a == d:
            index.append(at)
        elif a < d:
            index.append(start[a] + var(name) * w.step[a])
            nest.append((name, w.part.shape[a]))
        else:
            index.append(var(name))
            nest.append((name, n))
    scope = Scope([], {}, low.top)
    value = low.reader.element(w.base, index, scope)
    place = Affine()
    for stride, i in zip(strides_of(w.base.shape), index, strict=True):
        place = place + i * stride
    body: list[Statement] = [*scope.statements, Store(out, w.base.dtype, place, value)]
    for name, n in reversed(nest):
        body = [For(name, Affine(), Affine(n), body)]
    return body
