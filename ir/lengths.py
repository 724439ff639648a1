"""Where the loops of a kernel may end early: at lengths that are known only when it runs.

    s = sum(limit(x * y, 0, n))           for c in [0, n): s += x[c] * y[c]            beyond n there are zeros to add
    A = moving_update(A, v, ..., n)       for c in [0, n): A[start + c] = v[c]         and nothing to write
    y = limit(2 * x, 0, n)                for c in [0, n): y[c] = 2 * x[c]             the rest is filled with zeros

A kernel's *roots* are what it stores and what it reduces. A loop along an axis ends at a length when every root in it
that has the axis does nothing beyond: it writes a part of that length, or what it reduces or stores comes out of
`limit` (of the reduction's identity, or of a number to fill the rest with). Within the loop, `limit`s and the slices
of that length are what they are of. A row has several loops, each with roots of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from weft.ir.graph import Op, Value
from weft.ir.opdef import REGISTRY
from weft.ir.records import dataclass, field
from weft.ir.space import ARG, Space, levels


@dataclass
class Bounds:
    """By axis, the length at which its loop ends: of rows, of each loop of a row, and after all rows. fills: of outputs
    that are stored up to a length, the number behind it. guards: lengths of 0 or 1, without which nothing is done.
    """

    rows: dict[int, Value] = field(default_factory=dict)
    columns: dict[int, dict[int, Value]] = field(default_factory=dict)  # by the number of the loop
    late: dict[int, Value] = field(default_factory=dict)
    fills: dict[Value, Value] = field(default_factory=dict)
    guards: list[Value] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.axes or self.guards)

    @property
    def axes(self) -> set[int]:
        """The axes whose loops end early."""
        return {*self.rows, *self.late, *(a for ends in self.columns.values() for a in ends)}

    def loop(self, number: int) -> dict[int, Value]:
        """The ends in one of a row's loops."""
        return {**self.rows, **self.columns.get(number, {})}

    @property
    def alike(self) -> bool:
        """Whether all of a row's loops end at the same places."""
        return len({frozenset(ends.items()) for ends in self.columns.values()}) <= 1


class Lengths:
    """Which 0-d values of a group are one length: those that have agreed."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.maker = {r: op for op in ops for r in op.results}
        self.first: dict[Value, Value] = {}
        for op in ops:
            if op.kind.name == "agree":
                a, b, c = (self.of(v) for v in (*op.operands, op.result))
                self.first.update((v, a) for v in (b, c) if v is not a)

    def of(self, v: Value) -> Value:
        while v in self.first:
            v = self.first[v]
        return v

    def all_of(self, length: Value) -> list[Value]:
        """The values that are that length, as far as they have kept their promise."""
        length = self.of(length)
        return [length, *(v for v in self.first if self.of(v) is length)]

    def constant(self, v: Value) -> object:
        """The number that a 0-d constant is, or None."""
        op = self.maker.get(v)
        return op.attrs["value"][()] if op is not None and op.kind.name == "constant" else None

    def moves(self, length: Value, size: int) -> bool:
        """Whether a part may have fewer elements than its size."""
        return self.constant(length) != size

    def limits(self, v: Value, fill: object) -> tuple[Value, dict[int, Value], Value | None]:
        """What a value is up to its lengths, these by dim, and what is behind them (`fill`, or else any number)."""
        found: dict[int, Value] = {}
        behind: Value | None = None
        op = self.maker.get(v)
        while op is not None and op.kind.name == "limit":
            number = self.constant(op.operands[1])
            if number is None or (fill is not None and number != fill) or (behind not in (None, op.operands[1])):
                break
            behind = op.operands[1]
            found.setdefault(op.attrs["axis"], self.of(op.operands[2]))
            v = op.operands[0]
            op = self.maker.get(v)
        return v, found, behind


Ends = dict[int, "Value | None"]  # of one root, by axis
LATE, BETWEEN = -1, -2  # in place of a loop's number: after all rows; in a row, but in no loop over its columns


@dataclass(frozen=True)
class Root:
    loop: int
    ends: Ends
    is_part: bool = False


def bounds(
    ops: Sequence[Op], outputs: Sequence[Value], parts: Mapping[int, Sequence[Value]], space: Space
) -> Bounds | None:
    """Where the loops end. parts: of outputs that are parts of arrays, by position, their lengths.

    None when a part's length can't end the loops that write it.
    """
    if not parts and all(op.kind.name != "limit" for op in ops):
        return Bounds()
    lengths = Lengths(ops)
    found = Bounds()
    level = levels(ops, space)
    roots: list[Root] = []
    for op in ops:
        if op.kind.family == "reduce":
            by = REGISTRY["max" if op.kind.name == "argmax" else "min"] if op.kind.name in ARG else op.kind
            _, limits, _ = lengths.limits(op.operands[0], by.extra["identity"](op.operands[0].dtype))
            at = level[op.result] - (space.reductions[op] == "row")
            roots.append(Root(at, _ends(space.of(op, 0), limits)))
    for j, v in enumerate(outputs):
        made = lengths.maker.get(v)
        if made is None:
            continue
        is_late = made in space.final or space.reductions.get(made) in ("column", "full")
        axes = space.axes[v]
        if j in parts:
            limits = {d: lengths.of(n) for d, n in enumerate(parts[j]) if lengths.moves(n, v.shape[d])}
            found.guards += [n for d, n in limits.items() if axes[d] is None]
        else:
            _, limits, behind = lengths.limits(v, None)
            if behind is not None:
                found.fills[v] = behind
        inside = space.reductions.get(made) != "row" and any(a in space.inner for a in axes)
        roots.append(Root(LATE if is_late else level[v] if inside else BETWEEN, _ends(axes, limits), j in parts))
    inner, here = set(space.inner), [r for r in roots if r.loop != LATE]
    found.late = _common([r.ends for r in roots if r.loop == LATE])
    found.rows = {a: n for a, n in _common([r.ends for r in here]).items() if a not in inner}
    for loop in {r.loop for r in here}:
        ends = _common([r.ends for r in here if r.loop == loop])
        found.columns[loop] = {a: n for a, n in ends.items() if a in inner}
    for r in roots:
        ends = found.late if r.loop == LATE else found.loop(r.loop)
        if r.is_part and any(n is not None and ends.get(a) is not n for a, n in r.ends.items()):
            return None
    if found.guards and len(roots) > 1:
        return None
    found.fills = {v: n for v, n in found.fills.items() if found.axes.intersection(space.axes[v])}
    return found


def _ends(axes: Sequence[int | None], limits: Mapping[int, Value]) -> Ends:
    return {a: limits.get(d) for d, a in enumerate(axes) if a is not None}


def _common(roots: Iterable[Ends]) -> dict[int, Value]:
    """The axes whose loops end alike for all roots that have them."""
    ends: dict[int, set[Value | None]] = {}
    for root in roots:
        for a, n in root.items():
            ends.setdefault(a, set()).add(n)
    return {a: n for a, found in ends.items() if len(found) == 1 for n in found if n is not None}
