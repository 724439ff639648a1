"""The memory plan: where each value of a fused graph lives (`weft.ir.plan` says what a plan is).

Bytes of the arena are free again after a value's last reader. A reshape lives where its operand does. A kernel's
result may take the place of an operand that dies there, when every element is read before it is overwritten
(`weft.ir.writes.in_place`); a loop's result that of its initial value, and so on through the loop.

Where that is worth most - a write to a part of an array, which would otherwise copy the rest - a *wish* says so ahead:
a sweep from the results back tells the makers of such operands where the result will be: in the caller's buffer, or
behind a pointer that a loop may exchange.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from weft.ir.dims import same
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.stack import pop
from weft.ir.plan import Place, Plan, is_small
from weft.ir.writes import in_place, writes
from weft.passes import memory_control, memory_stacks
from weft.passes.arena import Arena

ANY = -1  # pointer: whichever
SOME_POINTER = Place("pointer", ANY)


class Planner:
    """Plans one graph.

    A region's `owned` inputs (positions) may be overwritten, and have its first pointers; `favourites` are the
    inputs in whose pointers its outputs would best be.
    """

    def __init__(self, graph: Graph, constants: list[np.ndarray]) -> None:
        self.graph = graph
        self.plan = Plan(constants)
        self.whole = True
        self.owned: set[Value] = set()
        self.donated: dict[int, int | None] = {}  # input -> the output that may take its buffer, None: any
        self.arena = Arena()
        self.unused: dict[int, list[int]] = {}  # bytes -> pointers whose buffers are free
        self.used = 0  # pointers whose buffers are not
        self.wish: dict[Value, Place] = {}
        self.rooms: dict[Value, Place] = {}  # values that are made where a push leaves them
        self.roots: dict[Value, Value] = {}
        self.maker: dict[Value, Op] = {}
        self.last: dict[Value, int] = {}
        for i, op in enumerate(graph.ops):
            if op.kind.name == "reshape":
                self.roots[op.result] = self.root(op.operands[0])
            self.maker.update(dict.fromkeys(op.results, op))
            self.last.update({self.root(v): i for v in op.operands})
        self.last.update({self.root(v): len(graph.ops) for v in graph.outputs})
        self.safe = {op: in_place(op.regions[0]) for op in graph.ops if op.kind.name == "call"}
        self.safe.update((op, set(op.kind.over)) for op in graph.ops if op.kind.over)

    # ---- what holds of values --------------------------------------------------------------------------

    def root(self, v: Value) -> Value:
        """The value whose buffer `v` is."""
        return self.roots.get(v, v)

    def place(self, v: Value) -> Place:
        return self.plan.place[v]

    def ours(self, root: Value) -> bool:
        """May its buffer be overwritten once it is dead?"""
        if root in self.rooms:
            return False
        made = self.maker.get(root)
        return root in self.owned if made is None else made.kind.name != "constant"

    def dying(self, i: int) -> list[Value]:
        operands = dict.fromkeys(map(self.root, self.graph.ops[i].operands))
        return [v for v in operands if self.last[v] == i]

    def passes_on(self, i: int, p: int) -> bool:
        """Is operand p of op i read there once and never again, from a buffer that is ours?"""
        operands = [self.root(v) for v in self.graph.ops[i].operands]
        v = operands[p]
        return self.last[v] == i and self.ours(v) and operands.count(v) == 1

    # ---- planning ------------------------------------------------------------------------------------

    def region(self, graph: Graph, owned: Sequence[int] = (), favourites: Sequence[int] = ()) -> Plan:
        """The plan of a region of this graph."""
        inner = Planner(graph, self.plan.constants)
        inner.whole = False
        inner.owned = {graph.inputs[p] for p in owned}
        place = inner.plan.place
        for p, v in enumerate(graph.inputs):
            place[v] = Place("input", p)
        for p in owned:
            v = graph.inputs[p]
            place[v] = inner.slot() if is_small(v) else inner.pointer(v.type.nbytes)
        best = [place[graph.inputs[p]] for p in favourites]
        inner.run([p if p.kind == "pointer" else SOME_POINTER for p in best] or [SOME_POINTER] * len(graph.outputs))
        return inner.plan

    def run(self, favourites: Sequence[Place]) -> None:
        """Plan all ops. `favourites`: where the outputs would best be."""
        for i, op in enumerate(self.graph.ops):
            if op.kind in memory_control.PLANNERS:
                self.plan.nested[op] = memory_control.regions(self, i, op)
        self._wishes(favourites)
        self._rooms()
        for v in self.owned:
            if v not in self.last:
                self.release(self.place(v), v.type.nbytes)
        for i, op in enumerate(self.graph.ops):
            self._op(i, op)
        for j, v in enumerate(self.graph.outputs):
            if self.whole:
                self._whole_output(j, v)
        if not self.whole:
            self._region_outputs(favourites)
        self.plan.arena = self.arena.top

    def _wishes(self, favourites: Sequence[Place]) -> None:
        for v, best in zip(self.graph.outputs, favourites, strict=True):
            root = self.root(v)
            if self.ours(root) and (self.whole or not is_small(v)):
                self.wish.setdefault(root, best)
        for i, op in reversed(list(enumerate(self.graph.ops))):
            inner = self.plan.nested.get(op)
            if inner is not None:
                for p in memory_control.exchanged(inner, op):
                    self.wish[self.root(op.operands[p])] = SOME_POINTER
                pairs = memory_control.handed_on(inner, op)
            else:
                pairs = self._rewrites(op)
            for o, p in sorted(pairs):
                wish = self.wish.get(op.results[o])
                if wish is not None and self.passes_on(i, p):
                    self.wish.setdefault(self.root(op.operands[p]), wish)

    def _rooms(self) -> None:
        made = {
            r: i
            for i, op in enumerate(self.graph.ops)
            for o, r in enumerate(op.results)
            if _writes_anywhere(op) and r not in self.wish
            if not any(q == o and self.passes_on(i, p) for q, p in self._rewrites(op))
        }
        for v, where in memory_stacks.rooms(self.graph, made, self.last).items():
            self.rooms[v] = self.record(*where)

    def _rewrites(self, op: Op) -> set[tuple[int, int]]:
        """Pairs (result, operand) of a kernel: the result is the operand with a part written anew, in place. Of a
        library op: the result is best made where the operand is."""
        safe = self.safe.get(op, set())
        return safe & writes(op.regions[0]) if op.kind.name == "call" else safe

    def _op(self, i: int, op: Op) -> None:
        place = self.plan.place
        if op.kind.name == "reshape":
            place[op.result] = place[op.operands[0]]
            return
        if op.kind.name == "constant":
            place[op.result] = self._constant(op)
            return
        if op in self.plan.nested:
            taken = memory_control.place(self, i, op)
        else:
            shared: dict[int, int] = {}
            for o, r in enumerate(op.results):
                place[r] = self.result(i, op, o, self.safe.get(op, set()), shared)
            if shared:
                self.plan.shared[op] = shared
            taken = {self.root(op.operands[p]) for p in shared.values()}
        for v in self.dying(i):
            if v not in taken:
                self.release(place[v], v.type.nbytes)
        for r in op.results:
            if r not in self.last:
                self.release(place[r], r.type.nbytes)

    def _constant(self, op: Op) -> Place:
        if not op.result.shape:
            return self.slot()
        self.plan.constants.append(np.ascontiguousarray(op.attrs["value"]))
        return Place("constant", len(self.plan.constants) - 1)

    # ---- buffers -------------------------------------------------------------------------------------

    def record(self, op: Op, which: int) -> Place:
        self.plan.records.append((op, which))
        return Place("record", len(self.plan.records) - 1)

    def slot(self) -> Place:
        self.plan.slots += 1
        return Place("slot", self.plan.slots - 1)

    def pointer(self, size: int, best: int = ANY) -> Place:
        """A pointer whose buffer is free from here on."""
        self.used += 1
        unused = self.unused.get(size, [])
        if unused:
            return Place("pointer", unused.pop(unused.index(best) if best in unused else -1))
        self.plan.pointers.append(size)
        if self.whole:
            self.plan.homes.append(self.arena.take(size))
        return Place("pointer", len(self.plan.pointers) - 1)

    def release(self, place: Place, size: int) -> None:
        """The value that lived there is dead."""
        if place.kind == "arena":
            self.arena.give(place.at, size)
        elif place.kind == "pointer":
            self.used -= 1
            self.unused.setdefault(size, []).append(place.at)
            if self.whole and not self.used:  # whichever pointer has which buffer by now
                for pointers in self.unused.values():
                    for k in pointers:
                        self.arena.give(self.plan.homes[k], self.plan.pointers[k])
                self.unused.clear()

    def result(
        self, i: int, op: Op, o: int, safe: Collection[tuple[int, int]], shared: dict[int, int], exchanged: bool = False
    ) -> Place:
        """A place for result o of op i. `safe`: pairs (result, operand) that may share one; enters it in `shared` if
        they do. `exchanged`: it must be a pointer."""
        r = op.results[o]
        if r in self.rooms:
            return self.rooms[r]
        wish = SOME_POINTER if exchanged else self.wish.get(r)
        if wish is None and op.kind is pop and not is_small(r) and memory_stacks.stays(self.graph, op):
            return self.record(op, o)
        fits = [p for q, p in sorted(safe) if q == o and self.passes_on(i, p) and p not in shared.values()]
        if is_small(r) and not (wish is not None and wish.kind == "output" and _writes_anywhere(op)):
            kinds = {"slot"} if not same(r.type.size, 1) else set()
        elif wish is not None and wish.kind == "output":
            return self._output(i, op, o, wish, fits, safe, shared)
        else:
            kinds = {"arena", "pointer", "record"} if wish is None else {"pointer"}
        fits = [p for p in fits if self.place(op.operands[p]).kind in kinds]
        if wish is not None and not is_small(r):
            best = [p for p in fits if self.place(op.operands[p]) == wish]
            fits = best or ([] if wish.at in self.unused.get(r.type.nbytes, ()) else fits)
        if fits:
            shared[o] = fits[0]
            return self.place(op.operands[fits[0]])
        if is_small(r):
            return self.slot()
        if wish is not None:
            return self.pointer(r.type.nbytes, wish.at)
        return Place("arena", self.arena.take(r.type.nbytes))

    def _output(
        self,
        i: int,
        op: Op,
        o: int,
        wish: Place,
        fits: Sequence[int],
        safe: Collection[tuple[int, int]],
        shared: dict[int, int],
    ) -> Place:
        """The caller's buffer, or a donated argument's that nobody reads from here on."""
        j, r = wish.at, op.results[o]
        there = Place("input", self.plan.taken[j]) if j in self.plan.taken else wish
        for p in fits:
            if self.place(op.operands[p]) == there:
                shared[o] = p
                return there
        for d, only in sorted(self.donated.items()):
            x = self.graph.inputs[d]
            if only not in (j, None) or not self.graph.outputs[j].type.same(x.type):
                continue
            if not same(x.type.size, r.type.size) or x.dtype != r.dtype:
                continue
            last = self.last.get(x, -1)
            if last > i:
                continue
            if last == i:
                reads = [p for p, v in enumerate(op.operands) if self.root(v) is x]
                if len(reads) != 1 or (o, reads[0]) not in safe or reads[0] in shared.values():
                    continue
                shared[o] = reads[0]
            del self.donated[d]
            self.plan.taken[j] = d
            return Place("input", d)
        return wish

    # ---- the end -------------------------------------------------------------------------------------

    def _whole_output(self, j: int, v: Value) -> None:
        target = Place("output", j)
        if j not in self.plan.taken and self.place(v) != target:  # a copy: into the array that the function writes
            for d, only in sorted(self.donated.items()):
                if only == j and v.type.same(self.graph.inputs[d].type):
                    del self.donated[d]
                    self.plan.taken[j] = d
                    break
        there = Place("input", self.plan.taken[j]) if j in self.plan.taken else target
        if self.place(v) != there:
            self.plan.copies.append((there, v))
        self.plan.outputs.append(there)

    def _region_outputs(self, favourites: Sequence[Place]) -> None:
        """Every large output behind a pointer of its own."""
        claimed: set[Place] = set()
        late: list[int] = []
        for j, v in enumerate(self.graph.outputs):
            place = self.place(v)
            self.plan.outputs.append(place)
            if is_small(v):
                continue
            if place.kind != "pointer" or place in claimed:
                late.append(j)
            claimed.add(place)
        for j in late:
            v = self.graph.outputs[j]
            self.plan.outputs[j] = self.pointer(v.type.nbytes, favourites[j].at)
            self.plan.copies.append((self.plan.outputs[j], v))


def _writes_anywhere(op: Op) -> bool:
    """Does it leave its results where it is told to?"""
    return op.kind.name in ("call", "dot") or op.kind.family == "library"


def plan(graph: Graph, donated: Collection[int | tuple[int, int]] = ()) -> Plan:
    """Plan the buffers of a fused graph. `donated`: positions of inputs whose buffers results may take; with a result's
    position, that is the only one which may."""
    planner = Planner(graph, [])
    planner.plan.place.update((v, Place("input", i)) for i, v in enumerate(graph.inputs))
    results = set(map(planner.root, graph.outputs))
    pairs = [d if isinstance(d, tuple) else (d, None) for d in donated]
    planner.donated = {i: j for i, j in pairs if planner.root(graph.inputs[i]) not in results}
    planner.run([Place("output", j) for j in range(len(graph.outputs))])
    return planner.plan
