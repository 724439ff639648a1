"""Copying what lies around a window: a box before it and one behind it, along each axis.

    . . . . . .
    . . . . . .      axis 0: the rows above, the rows below
    - [ w w ] -      axis 1, within the window's rows: what is left of it, what is right
    . . . . . .

Along an axis that the window walks in steps, what lies between the steps is copied as well. A window may have a length
that is known only when the kernel runs. So may what is stored of an output: behind it a number is put.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weft.codegen.kernel import Affine, For, Index, Statement, Store, var
from weft.codegen.scope import Scope
from weft.ir.graph import Value
from weft.ir.types import strides_of
from weft.ir.writes import Window, is_late

if TYPE_CHECKING:
    from weft.codegen.lower import Lowering


Loop = tuple[str, Affine, Affine]  # a variable, and where it begins and ends


def copy_around(low: Lowering, w: Window, out: str) -> list[Statement]:
    """Statements that copy the rest of the window's array to buffer `out`, for the first chunk only."""
    dims, sizes = w.base.shape, w.part.shape
    start = low.inside(w, [Affine()] * len(dims))
    length = _lengths(low, w)
    found: list[Statement] = []
    for d, n in enumerate(sizes):
        end = start[d] + (length[d] if w.length else Affine(w.step[d] * (n - 1) + 1 if n else 0))
        sides = [(Affine(), start[d]), (end, Affine(dims[d]))]
        for lo, hi in sides:
            if not lo.terms and not hi.terms and lo.const >= hi.const:
                continue
            i = low.names.fresh("i")
            found += _rest(low, w, out, start, length, d, var(i), [(i, lo, hi)])
        if w.step[d] > 1 and n > 1:
            k, j = low.names.fresh("k"), low.names.fresh("i")
            between = start[d] + var(k) * w.step[d] + var(j)
            along = [(k, Affine(), Affine(n - 1)), (j, Affine(1), Affine(w.step[d]))]
            found += _rest(low, w, out, start, length, d, between, along)
    once = low.names.fresh("once")
    return [For(once, var("chunk"), Affine(1), found)] if found else []


def _lengths(low: Lowering, w: Window) -> list[Affine]:
    """How many elements the window has per axis."""
    return [low.reader.start(n) for n in w.length] if w.length else [Affine(n) for n in w.part.shape]


def fill_behind(low: Lowering) -> list[Statement]:
    """Statements that fill outputs behind the lengths to which they are stored, for the first chunk only."""
    found: list[Statement] = []
    for v, number in low.bounds.fills.items():
        low.ends = ends = _ends(low, v)
        axes = low.space.axes[v]
        for d, a in enumerate(axes):
            if a not in ends:
                continue
            names = [low.names.fresh("i") for _ in axes]
            scope = Scope([], {}, low.top)
            place = Affine()
            for stride, name in zip(strides_of(v.shape), names, strict=True):
                place = place + var(name) * stride
            scope.statements.append(Store(low.out_of[v], v.dtype, place, low.reader.element(number, [], scope)))
            body = scope.statements
            for b, name in reversed(list(enumerate(names))):
                along, whole = axes[b], Affine(v.shape[b])
                ended = along in ends and b <= d
                end = low.end(low.loop_of(along), whole, low.top) if ended else whole
                if b == d:
                    first = low.names.fresh("first")
                    low.top.statements.append(Index(first, "max", end, Affine()))
                    body = [For(name, var(first), whole, body)]
                else:
                    body = [For(name, Affine(), end, body)]
            found += body
    low.ends = low.bounds.rows
    return [For(low.names.fresh("once"), var("chunk"), Affine(1), found)] if found else []


def _ends(low: Lowering, v: Value) -> dict[int, Value]:
    """The lengths at which the loops that store an output end, by axis."""
    if is_late(low.producer[v], low.space):
        return low.bounds.late
    return low.bounds.loop(low.stages.level[v])


def _rest(
    low: Lowering,
    w: Window,
    out: str,
    start: Sequence[Affine],
    length: Sequence[Affine],
    d: int,
    at: Affine,
    along: list[Loop],
) -> list[Statement]:
    """The loops over all axes, in order: the loops `along` axis d, where it is at `at`, within the window before it,
    everywhere behind it."""
    names = [low.names.fresh("i") for _ in w.base.shape]
    index: list[Affine] = []
    nest: list[Loop] = []
    for a, (name, n) in enumerate(zip(names, w.base.shape, strict=True)):
        if a == d:
            index.append(at)
            nest += along
        elif a < d:
            index.append(start[a] + var(name) * w.step[a])
            nest.append((name, Affine(), length[a]))
        else:
            index.append(var(name))
            nest.append((name, Affine(), Affine(n)))
    scope = Scope([], {}, low.top)
    value = low.reader.element(w.base, index, scope)
    place = Affine()
    for stride, i in zip(strides_of(w.base.shape), index, strict=True):
        place = place + i * stride
    body: list[Statement] = [*scope.statements, Store(out, w.base.dtype, place, value)]
    for name, lo, hi in reversed(nest):
        body = [For(name, lo, hi, body)]
    return body
