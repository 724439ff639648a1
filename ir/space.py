"""The iteration space of a group of ops: which loop each dim of each value runs along.

A kernel is a nest of loops over *axes*. Walking a group's ops, dims that must advance together are unified:
an elementwise op ties its operands' dims to its result's (right-aligned, size 1 excepted), a reduction ties
the dims that it keeps, a transpose permutes. What is left are the axes; each value varies along some of them.

    x: f32[R, C]      m = max(x, axes=(1,))      e = exp(sub(x, reshape(m)))      s = sum(e, axes=(1,))
       (r, c)             (r)                        (r, c)                            (r)

The axes are split into outer (rows, run in parallel) and inner (within a row). A reduction is then

    row      over exactly the inner axes: done when the row's loop is; usable by later loops of that row
    column   over the outer axes, keeping inner ones: accumulated over all rows, ready after the last
    full     over everything: likewise

and what depends on a column or full result runs in a final phase, after all rows. `solve` finds a split or
says that the group is not one kernel. Both the fuse pass and code generation ask it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.ir.dims import same, value_of
from weft.ir.graph import Op, Value
from weft.ir.records import dataclass, field

Axes = tuple["int | None", ...]
CHEAP = frozenset("add sub mul neg where cast less less_equal greater greater_equal equal not_equal maximum minimum "
                  "logical_and logical_or logical_not abs square limit agree".split())  # fmt: skip
LEAF_MOVES = frozenset("slice dynamic_slice moving_slice reverse pad concatenate gather windows shear dilate".split())
# Writes to a part of an array (see `weft.ir.writes`), and what reads that part.
READER = {"update": "slice", "dynamic_update": "dynamic_slice", "moving_update": "moving_slice"}
WINDOWS = frozenset(READER)
SCATTERS = frozenset({"scatter", "scatter_add"})
ONE_ROW = 1 << 16  # elements: a single longer row is cut into parallel pieces instead
ARG = frozenset({"argmax", "argmin"})


def is_unit_reshape(op: Op) -> bool:
    """A reshape that only adds or removes axes of size 1 (of a non-empty array)."""
    if op.kind.name != "reshape":
        return False
    x, y = op.operands[0].shape, op.result.shape
    return [d for d in x if d != 1] == [d for d in y if d != 1] and 0 not in x


def is_relabel(op: Op) -> bool:
    """Ops that only rename axes: the same elements at the same places of the iteration space."""
    return op.kind.name in ("broadcast", "transpose") or is_unit_reshape(op)


def is_free(op: Op) -> bool:
    """Ops that cost a kernel nothing to repeat: sources and movement, read through index arithmetic."""
    return op.kind.family == "source" or is_relabel(op) or op.kind.name in LEAF_MOVES


def is_alone(op: Op) -> bool:
    """Ops with loops of their own, which share a kernel with free ops only: scatters, recurrences, loop products."""
    return op.kind.family == "dot" or op.kind.name == "recur" or op.kind.name in SCATTERS


def reduced_axes(op: Op) -> tuple[int, ...]:
    return (op.attrs["axis"],) if op.kind.name in ARG else tuple(op.attrs["axes"])


@dataclass
class Space:
    """A solved iteration space. `extent[a]` is the trip count of axis a; axes are numbered in loop order."""

    extent: list[int]
    outer: tuple[int, ...]
    inner: tuple[int, ...]
    axes: dict[Any, Axes]
    reductions: dict[Op, str] = field(default_factory=dict)
    final: set[Op] = field(default_factory=set)

    def size(self) -> int:
        n = 1
        for e in self.extent:
            n *= e
        return n

    def of(self, op: Op, position: int) -> Axes:
        """Axes of an operand as this op uses it."""
        return self.axes[(op, position)]


class _Solver:
    """Dims are numbers, those of a value one after another; dims that are tied have one root."""

    def __init__(self, ops: Sequence[Op], tie_inputs: bool) -> None:
        self.ops = ops
        self.inside = {r for op in ops for r in op.results}
        self.tie_inputs = tie_inputs
        self.parent: list[int] = []
        self.first: dict[Any, int] = {}  # of a value (an input: as an op uses it) the number of its first dim

    def find(self, dim: int) -> int:
        parent = self.parent
        while (up := parent[dim]) != dim:
            parent[dim] = dim = parent[up]
        return dim

    def dims(self, key: Any, v: Value) -> int:
        at = self.first.get(key)
        if at is None:
            at = self.first[key] = len(self.parent)
            self.parent.extend(range(at, at + max(len(v.type.dims), 1)))  # no two begin at one
        return at

    def ties(self) -> dict[Any, tuple[int, tuple[int, ...]]]:
        """Of each result and operand that has a place: its first dim, and its shape."""
        places: dict[Any, tuple[int, tuple[int, ...]]] = {}
        parent, find = self.parent, self.find
        for op in self.ops:
            y = op.result
            to = self.dims(y, y)
            places[y] = (to, y.type.dims)
            for i, x in enumerate(op.operands):
                shape = x.type.dims
                at = self.dims(x if self.tie_inputs or x in self.inside else (op, i), x)
                pairs = correspondence(op, i)
                for j, k in pairs:
                    if shape[j] != 1:
                        parent[find(at + j)] = find(to + k)
                if pairs or op.kind.family == "reduce":
                    places[op, i] = (at, shape)
        return places

    def space(self) -> Space | None:
        places = self.ties()
        extent: dict[int, int] = {}
        together: dict[int, set[int]] = {}
        rows: dict[int, list[int | None]] = {}
        for at, shape in places.values():
            if at in rows:
                continue
            rows[at] = roots = [self.find(at + d) if n != 1 else None for d, n in enumerate(shape)]
            real = {r for r in roots if r is not None}
            if len(real) != len(roots) - roots.count(None):
                return None
            for r, n in zip(roots, shape, strict=True):
                if r is not None:
                    extent[r] = n
                    together.setdefault(r, set()).update(real)
        self._merge_strangers(extent, together, [[r for r in roots if r is not None] for roots in rows.values()])
        rows = {at: [None if r is None else self.find(r) for r in roots] for at, roots in rows.items()}
        order = _order(list(rows.values()))
        number = {root: i for i, root in enumerate(order)}
        axes = {at: tuple([None if r is None else number[r] for r in roots]) for at, roots in rows.items()}
        return Space([extent[r] for r in order], (), (), {name: axes[at] for name, (at, _) in places.items()})

    def _merge_strangers(
        self, extent: dict[int, int], together: dict[int, set[int]], rows: Sequence[Sequence[int]]
    ) -> None:
        """Two axes of one length that no value has both of may share a loop.

        Unless one has to come before the other: then some array would be walked across its rows.
        """
        roots = list(extent)
        for i, a in enumerate(roots):
            for b in roots[:i]:
                if self.find(b) != b or self.find(a) != a:
                    continue
                if same(extent[a], extent[b]) and b not in together[a] and not self._ordered(a, b, rows):
                    self.parent[a] = b
                    merged = together[a] | together[b]
                    for c in merged:
                        together[c] |= {b}
                    together[b] = merged | {b}
                    break

    def _ordered(self, a: int, b: int, rows: Sequence[Sequence[int]]) -> bool:
        """Does an axis come before the other in some value, or by way of others?"""
        after: dict[int, set[int]] = {}
        for roots in rows:
            found = [self.find(r) for r in roots]
            for x, y in zip(found, found[1:], strict=False):
                after.setdefault(x, set()).add(y)
        return _reaches(after, a, b) or _reaches(after, b, a)


def _reaches(after: dict[Any, set[Any]], start: Any, end: Any) -> bool:
    seen, todo = set(), [start]
    while todo:
        x = todo.pop()
        for y in after.get(x, ()):
            if y == end:
                return True
            if y not in seen:
                seen.add(y)
                todo.append(y)
    return False


def correspondence(op: Op, position: int) -> list[tuple[int, int]]:
    """Pairs (operand dim, result dim) that advance together."""
    x, y = op.operands[position].shape, op.result.shape
    name, family = op.kind.name, op.kind.family
    if family == "elementwise" or name in ("broadcast", "limit"):
        lead = len(y) - len(x)
        return [(d, d + lead) for d in range(len(x))]
    if name == "transpose":
        return [(p, i) for i, p in enumerate(op.attrs["perm"])]
    if name == "reshape":
        return list(
            zip((d for d, n in enumerate(x) if n != 1), (d for d, n in enumerate(y) if n != 1), strict=True)
        )
    if family == "reduce":
        kept = [d for d in range(len(x)) if d not in reduced_axes(op)]
        return [(d, k) for k, d in enumerate(kept)]
    if name == "gather" and position > 0:
        lead = len(y) - (len(op.operands[0].shape) - len(op.attrs["axes"])) - len(x)
        return [(d, d + lead) for d in range(len(x))]
    return []


def _order(rows: list[list[Any]]) -> list[Any]:
    """Axes in loop order: as in the value with most of them (the first such), others in front."""
    best = max(rows, key=lambda roots: sum(r is not None for r in roots), default=[])
    order = [r for r in best if r is not None]
    for roots in rows:
        missing = [r for r in roots if r is not None and r not in order]
        order = list(dict.fromkeys(missing)) + order
    return order


def solve(ops: Sequence[Op], outputs: Sequence[Value]) -> Space | None:
    """The iteration space of a group whose `outputs` are stored, or None when it is not one kernel."""
    if any(map(is_alone, ops)):
        return None
    free_to_read = leaves(ops)
    inside = {r for op in ops for r in op.results}
    hidden = _hidden(ops, outputs)
    waiting = waiting_values(ops)
    for op in ops:
        if op.kind.name == "limit" and op.operands[2] in waiting:
            return None  # so are lengths
        if op.kind.name in LEAF_MOVES:
            if op.kind.name in ("dynamic_slice", "moving_slice") and any(v in waiting for v in op.operands[1:]):
                return None  # starts are worked out before any row
            if any(v in inside and v not in free_to_read for v in _moved(op)):
                return None
            if op in hidden and any(v in inside and v not in free_to_read for v in op.operands):
                return None
    shown = [op for op in ops if op not in hidden]
    stored = set(outputs)
    moving = [op for op in shown if not is_free(op) or op.result not in free_to_read or op.result in stored]
    # First try: a value lies at one place, and is read once there. Else each reader of an input, or of sources
    # and movement (which then have no place), reads it where it needs it: x + transpose(x).
    for placed, tie in ((shown, True), (shown, False), (moving, False)):
        space = _Solver(placed, tie).space()
        if space is None:
            continue
        for inner in _candidates(placed, space):
            if _split(placed, outputs, space, inner, free_to_read):
                return space
    return None


def _moved(op: Op) -> tuple[Value, ...]:
    """The operands that a movement op reads at other places than its own."""
    return op.operands[:1] if op.kind.name in ("gather", "pad", "dynamic_slice", "moving_slice") else op.operands


def waiting_values(ops: Sequence[Op]) -> set[Value]:
    """Values that a reduction comes before."""
    found: set[Value] = set()
    for op in ops:
        if op.kind.family == "reduce" or any(v in found for v in op.operands):
            found.update(op.results)
    return found


def levels(ops: Sequence[Op], space: Space) -> dict[Value, int]:
    """Which of a row's loops makes each value: one that reads a row's reduction waits for the next."""
    level: dict[Value, int] = {}
    for op in ops:
        at = max((level.get(v, 0) for v in op.operands), default=0)
        level.update(dict.fromkeys(op.results, at + (space.reductions.get(op) == "row")))
    return level


def leaves(ops: Sequence[Op]) -> set[Value]:
    """Results that can be read at any index, before any loop: sources, movement, limits and 0-d arithmetic of those."""
    inside = {r for op in ops for r in op.results}
    found: set[Value] = set()
    for op in ops:
        whole = op.kind.family == "elementwise" and not op.result.shape  # one element: the same at any index
        readable = whole or is_free(op) or op.kind.name == "limit"
        if readable and all(v not in inside or v in found for v in op.operands):
            found.add(op.result)
    return found


def _hidden(ops: Sequence[Op], outputs: Sequence[Value]) -> set[Op]:
    """Free ops that are read only through further movement: they have no place in the iteration space."""
    seen = set(outputs)
    hidden: set[Op] = set()
    for op in reversed(ops):
        hide = op.result not in seen and (is_free(op) or op.kind.name == "limit")
        if hide:
            hidden.add(op)
        for v in op.operands:
            moved = op.kind.name in LEAF_MOVES and v in _moved(op)
            if not moved and not hide:
                seen.add(v)
    return hidden


def _candidates(ops: Sequence[Op], space: Space) -> list[frozenset[int]]:
    """Inner sets to try: what reductions reduce, what they keep, and nothing."""
    found: list[frozenset[int]] = []
    rest: list[frozenset[int]] = []
    last = len(space.extent) - 1
    for op in ops:
        if op.kind.family != "reduce":
            continue
        axes = space.of(op, 0)
        mask = frozenset(a for a in axes if a is not None)
        gone = frozenset(axes[d] for d in reduced_axes(op) if axes[d] is not None)
        if (last in gone and gone != mask) or op.kind.name in ARG:
            found.append(gone)  # type: ignore[arg-type]
        if last in mask - gone:
            rest.append(mask - gone)
        if last in gone and gone == mask:
            rest.append(gone)  # type: ignore[arg-type]
    return list(dict.fromkeys([*found, *rest, frozenset()]))


def _split(
    ops: Sequence[Op], outputs: Sequence[Value], space: Space, inner: frozenset[int], anywhere: set[Value]
) -> bool:
    """Try one inner set; fills in the space and returns True when the group can run that way."""
    every = frozenset(range(len(space.extent)))
    outer = every - inner
    if not outer and value_of(space.size()) > ONE_ROW:
        return False
    late: set[Value] = set()  # ready only after all rows
    steady: set[Value] = set()
    reductions: dict[Op, str] = {}
    final: set[Op] = set()
    shown = set(outputs)
    inside: set[Value] = set()
    mask_of = {op.result: frozenset(a for a in space.axes[op.result] if a is not None) for op in ops}
    for op in ops:
        y = op.result
        mask = mask_of[y]
        is_late = any(v in late for v in op.operands)
        if op.kind.family == "reduce":
            if is_late:
                return False
            axes = space.of(op, 0)
            whole = frozenset(a for a in axes if a is not None)
            gone = frozenset(a for d in reduced_axes(op) if (a := axes[d]) is not None)
            kept = whole - gone
            if not whole >= outer or whole & inner not in (inner, frozenset()):
                return False
            if gone and gone == inner:
                reductions[op] = "row"
            elif gone >= outer and not kept:
                again = op.operands[0] not in inside or op.operands[0] in anywhere
                if op.kind.name in ARG and not (len(every) == 1 and again):
                    return False  # the chunks' winners are looked up again to be compared
                reductions[op] = "full"
                late.add(y)
            elif gone == outer and outer and kept == inner:
                if op.kind.name in ARG:
                    return False
                reductions[op] = "column"
                late.add(y)
            else:
                return False
        elif all(v not in inside or v in steady for v in op.operands) and not mask:
            steady.add(y)  # one number whatever the row, cheap to work out again after the last
        if op.kind.family == "reduce":
            pass
        elif is_late:
            if not mask <= inner or op.kind.name in LEAF_MOVES:
                return False
            final.add(op)
            late.add(y)
        elif not is_free(op) and not mask >= outer:
            # would be repeated for every row
            if op.kind.name not in CHEAP or y in shown:
                return False
        elif y in shown and not mask >= outer:
            return False
        if y in shown and y not in late and inner and not (mask == every or mask == outer):
            return False
        inside.add(y)
    for op in ops:  # a row-phase op must not read what is ready only at the end
        if op not in final and any(v in late for v in op.operands):
            return False
    for op in final:
        for v in op.operands:
            if v in inside and v not in late:
                made = next(p for p in ops if v in p.results)
                if not is_free(made) and v not in steady:
                    return False
    space.outer = tuple(sorted(outer))
    space.inner = tuple(sorted(inner))
    space.reductions = reductions
    space.final = final
    return True
