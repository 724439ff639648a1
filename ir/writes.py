"""Kernels that write into a part of an array, and which buffers a kernel's inputs and outputs may share.

    y = update(x, f(x[w], z), w)        loops over the window w: y[w] = f(...), and nothing else if y is x's buffer

At the end of a group an update is only where its stores go, so the group is taken apart before its iteration space is
solved: `strip` leaves the part that is written as the group's output, with the `Window` that it goes to. The rest of x
is copied when y may not take over x's buffer. It may when no element of x is read after it was overwritten: because
it is read at its own place, or outside the window, or before anything is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.ir.dims import value_of
from weft.ir.graph import Graph, Op, Value
from weft.ir.lengths import Bounds, bounds
from weft.ir.opdef import REGISTRY, OpDef
from weft.ir.ops.movement import broadcast
from weft.ir.ops.moving import halves
from weft.ir.records import dataclass
from weft.ir.space import (
    ARG,
    LEAF_MOVES,
    READER,
    SCATTERS,
    WINDOWS,
    Space,
    is_free,
    leaves,
    levels,
    solve,
    waiting_values,
)


@dataclass(frozen=True)
class Window:
    """Where an update writes `part` into `base`: first index (an int, or a 0-d value) and step per axis. length: of a
    moving one, how many of the part's elements it writes per axis."""

    base: Value
    part: Value
    start: tuple[int | Value, ...]
    step: tuple[int, ...]
    length: tuple[Value, ...] = ()

    @property
    def most(self) -> bool:
        """Is it so large a part of its array that writing all of it anew costs little more?"""
        return not self.length and 2 * value_of(self.part.type.size) >= value_of(self.base.type.size)

    def reads(self, op: Op) -> bool:
        """Does this op read just what the window writes?"""
        if op.kind.name == "slice":
            return self.start == tuple(op.attrs["start"]) and self._same_steps(tuple(op.attrs["step"]), op)
        if op.kind.name == "moving_slice":
            alike = (self.start, self.length) == halves(op.operands[1:])
            return alike and self._same_steps((1,) * len(self.step), op)
        if op.kind.name == "dynamic_slice" and not self.length:
            return self.start == op.operands[1:] and self._same_steps((1,) * len(self.step), op)
        return False

    def _same_steps(self, step: tuple[int, ...], op: Op) -> bool:
        return op.result.shape == self.part.shape and step == self.step

    def apart(self, op: Op) -> bool:
        """Does this op read only what the window leaves?"""
        if op.kind.name != "slice" or not all(isinstance(s, int) for s in self.start):
            return False  # where the window is, only the run shows
        for mine, step, n, lo, hi in zip(
            self.start, self.step, self.part.shape, op.attrs["start"], op.attrs["stop"], strict=True
        ):
            assert isinstance(mine, int)
            if hi <= mine or mine + step * (n - 1) < lo or n == 0 or lo == hi:
                return True
        return False


def window(op: Op) -> Window:
    """The window of an update."""
    base, part, *starts = op.operands
    if op.kind.name == "update":
        return Window(base, part, tuple(op.attrs["start"]), tuple(op.attrs["step"]))
    if op.kind.name == "moving_update":
        first, length = halves(starts)
        return Window(base, part, first, (1,) * len(first), length)
    return Window(base, part, tuple(starts), (1,) * len(starts))


def reader(op: Op) -> tuple[OpDef, dict[str, Any]]:
    """The kind and the attributes of the op that reads what a write, a scatter too, is about to overwrite."""
    kind = REGISTRY[READER.get(op.kind.name, "gather")]
    return kind, {"sizes": op.operands[1].shape} if "sizes" in kind.attr_names else dict(op.attrs)


@dataclass(frozen=True)
class Stripped:
    """A group without the updates at its end: outputs that are parts, and the window of each, by its position."""

    ops: tuple[Op, ...]
    outputs: tuple[Value, ...]
    windows: dict[int, Window]


def strip(ops: Sequence[Op], outputs: Sequence[Value]) -> Stripped | None:
    """Take the updates off the end of a group. None when something in the group reads their result."""
    updates = {op.result: op for op in ops if op.kind.name in WINDOWS}
    if any(v in updates for op in ops for v in op.operands) or any(v not in outputs for v in updates):
        return None
    kept = [op for op in ops if op.kind.name not in WINDOWS]
    outs = list(outputs)
    windows: dict[int, Window] = {}
    for j, v in enumerate(outputs):
        if v in updates:
            windows[j] = w = window(updates[v])
            outs[j] = Value(w.part.type, v.name, v.location)
            kept.append(Op(broadcast, (w.part,), {"shape": w.part.shape}, (), (outs[j],)))
    return Stripped(tuple(kept), tuple(outs), windows)


@dataclass(frozen=True)
class Solved:
    """A group that is one kernel: without its updates, the iteration space of the rest, where its loops end."""

    group: Stripped
    space: Space
    bounds: Bounds


def solve_writes(ops: Sequence[Op], outputs: Sequence[Value]) -> Solved | None:
    """How a group becomes one kernel, or None when it is none.

    Where a value that is read through index arithmetic is used along several axes (`i[:, None] < i`), each use gets
    it for itself.
    """
    group = strip(ops, outputs)
    if group is None:
        return None
    space = solve(group.ops, group.outputs)
    if space is None and (apart := _for_each_use(group.ops)):
        group = Stripped(apart, group.outputs, group.windows)
        space = solve(group.ops, group.outputs)
    if space is None:
        return None
    if group.windows:
        waiting = waiting_values(group.ops)
        if any(v in waiting for w in group.windows.values() for v in (*w.start, *w.length)):
            return None  # where a window is, is worked out before any row
    lengths = {j: w.length for j, w in group.windows.items() if w.length}
    found = bounds(group.ops, group.outputs, lengths, space)
    return None if found is None else Solved(group, space, found)


def _for_each_use(ops: Sequence[Op]) -> tuple[Op, ...]:
    """The ops with sources and movement of inputs repeated for each op that reads them; none if all have one reader."""
    free = leaves(ops)
    maker = {op.result: op for op in ops if op.result in free and op.result.shape}
    reads = [v for op in ops for v in op.operands if v in maker]
    if len(reads) == len(set(reads)):
        return ()
    found: list[Op] = []

    def own(v: Value) -> Value:
        if v not in maker:
            return v
        op, copy = maker[v], Value(v.type, v.name, v.location)
        found.append(Op(op.kind, tuple(map(own, op.operands)), op.attrs, op.regions, (copy,)))
        return copy

    for op in ops:
        operands = op.operands if op.result in maker else tuple(map(own, op.operands))
        found.append(Op(op.kind, operands, op.attrs, op.regions, op.results))
    return tuple(found)


def writes(graph: Graph) -> set[tuple[int, int]]:
    """Pairs (output, input) of a kernel: the output is the input with a part written anew."""
    base = {op.result: op.operands[0] for op in graph.ops if op.kind.name in WINDOWS | SCATTERS}
    position = {v: i for i, v in enumerate(graph.inputs)}
    found = ((o, position.get(base[y])) for o, y in enumerate(graph.outputs) if y in base)
    return {(o, i) for o, i in found if i is not None}


def in_place(graph: Graph) -> set[tuple[int, int]]:
    """Pairs (output, input) of a kernel that may share a buffer."""
    if any(op.kind.name in SCATTERS for op in graph.ops):
        reads = [v for op in graph.ops for v in op.operands]
        return {(o, i) for o, i in writes(graph) if reads.count(graph.inputs[i]) == 1}
    solved = solve_writes(graph.ops, graph.outputs)
    if solved is None:
        return set()
    group, space = solved.group, solved.space
    position = {v: i for i, v in enumerate(graph.inputs)}
    inside = {o: position[w.base] for o, w in group.windows.items() if w.base in position}
    return {(o, i) for o, i in inside.items() if untouched(group, space, o)} | _whole(graph, group, space)


def _whole(graph: Graph, group: Stripped, space: Space) -> set[tuple[int, int]]:
    """Outputs that are stored where an input's element was read, in the last loop that reads it."""
    producer = {r: op for op in group.ops for r in op.results}
    level = levels(group.ops, space)
    bases = {w.base for w in group.windows.values()}
    moved = _read_elsewhere(group.ops)
    safe = set()
    for i, x in enumerate(graph.inputs):
        uses = [(op, p) for op in group.ops for p, v in enumerate(op.operands) if v is x]
        if x in bases or x in graph.outputs or x in moved:
            continue
        for o, y in enumerate(group.outputs):
            maker = producer.get(y)
            if maker is None or not y.type.same(x.type) or o in group.windows:
                continue
            late = is_late(maker, space)
            mask = {a for a in space.axes[y] if a is not None}
            if late and mask and mask != set(space.inner):
                continue  # the loop over the columns would come to an element again
            same = all(
                space.axes.get((op, p), ()) == space.axes[y] and (op in space.final) == late for op, p in uses
            )
            if same and (late or _last_loop(x, group, space, level) <= level[y]):
                safe.add((o, i))
    return safe


def _read_elsewhere(ops: Sequence[Op]) -> set[Value]:
    """Values that are read at other places than their own: through slices, pads and the like, or as winners."""
    moved: set[Value] = set()
    for op in reversed(ops):
        if op.kind.name in LEAF_MOVES | ARG or (is_free(op) and op.result in moved):
            moved.update(op.operands)
    return moved


def _last_loop(x: Value, group: Stripped, space: Space, level: dict[Value, int]) -> int:
    """The last of a row's loops that may read x: what it works out from x, a later loop may work out again."""
    if "row" not in space.reductions.values():
        return 0
    last = 0
    for op in group.ops:
        reduced = op.kind.family == "reduce"
        for v in op.operands if reduced else [r for r in op.results if r in group.outputs]:
            if x in _cone(v, group):
                last = max(last, level.get(v, 0))
    return last


def _cone(v: Value, group: Stripped) -> set[Value]:
    """Values that v is worked out from in one loop."""
    maker = {r: op for op in group.ops for r in op.results}
    found, todo = set(), [v]
    while todo:
        x = todo.pop()
        if x in found:
            continue
        found.add(x)
        op = maker.get(x)
        if op is not None and op.kind.family != "reduce":
            todo.extend(op.operands)
    return found


def is_late(op: Op, space: Space) -> bool:
    """Is its result ready only after all rows?"""
    return op in space.final or op in space.reductions


def untouched(group: Stripped, space: Space, o: int) -> bool:
    """Is each element that window o overwrites read before, if at all?"""
    w = group.windows[o]
    if sum(other.base is w.base for other in group.windows.values()) > 1:
        return False
    maker = next(op for op in group.ops if group.outputs[o] in op.results)
    late = is_late(maker, space)
    one = space.size() == 1 and "row" not in space.reductions.values()
    level = levels(group.ops, space)
    for op in group.ops:
        if w.base not in op.operands or w.apart(op):
            continue
        in_final = _in_final(op, group, space)
        if late and not any(in_final):
            continue
        if late != any(in_final) or late != all(in_final):
            return False
        aligned = w.reads(op) and _at_its_place(op, group, space, o)
        if not one and not (aligned and (late or _last_loop(w.base, group, space, level) <= level[group.outputs[o]])):
            return False
    return True


def _in_final(op: Op, group: Stripped, space: Space) -> list[bool]:
    """Of the ops that work on what `op` reads: do they run after all rows?"""
    if not is_free(op):
        return [op in space.final]
    readers = [user for user in group.ops if op.result in user.operands]
    found = [late for user in readers for late in _in_final(user, group, space)]
    return found or [op in space.final]


def _at_its_place(op: Op, group: Stripped, space: Space, o: int) -> bool:
    """Is the slice walked as the window is?"""
    moved = any(op.result in user.operands and user.kind.name in LEAF_MOVES for user in group.ops)
    return not moved and space.axes.get(op.result) == space.axes[group.outputs[o]]
