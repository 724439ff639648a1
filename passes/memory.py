"""The memory plan: where each value of a fused graph lives.

    input i     an argument's buffer (also for a result that takes over a donated argument)
    output j    a result's buffer, allocated by the caller
    arena + o   one block per call; a value's bytes are free again after its last reader (first fit)
    constant k  a buffer made once

A reshape lives where its operand does. A kernel's result may take the place of an operand that dies there,
when every element is read before it is overwritten (`weft.ir.space.in_place`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from weft.ir.graph import Graph, Op, Value
from weft.ir.space import in_place
from weft.ir.text import Names

ALIGN = 64  # bytes: a cache line


@dataclass(frozen=True)
class Place:
    """kind: "input", "output", "arena" or "constant"; at: position, or byte offset in the arena."""

    kind: str
    at: int

    def __str__(self) -> str:
        return f"{self.kind}{'+' if self.kind == 'arena' else ' '}{self.at}"


@dataclass
class Plan:
    """`place` of every value; `shared[op]` maps a kernel's outputs to inputs whose buffer they take over;
    `copies` are outputs (position, value) that must be copied from elsewhere; `taken` maps outputs to the
    donated inputs that they live in."""

    place: dict[Value, Place] = field(default_factory=dict)
    shared: dict[Op, dict[int, int]] = field(default_factory=dict)
    copies: list[tuple[int, Value]] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)
    arena: int = 0

    def __str__(self) -> str:
        name = Names()  # met in the graph's order, so unnamed values are called what the graph's text calls them
        lines = [f"arena: {self.arena} bytes"]
        for v, p in self.place.items():
            literal = p.kind == "constant" and not v.name and not v.shape
            lines.append(f"  {'a literal' if literal else name(v)}: {v.type} in {p}")
        lines += [f"  output {j} takes over donated input {i}" for j, i in self.taken.items()]
        lines += [f"  output {j} is copied from {name(v)}" for j, v in self.copies]
        return "\n".join(lines) + "\n"


class _Arena:
    """First fit over free ranges, in bytes."""

    def __init__(self) -> None:
        self.free: list[tuple[int, int]] = []
        self.top = 0

    def take(self, size: int) -> int:
        size = -(-max(size, 1) // ALIGN) * ALIGN
        for i, (at, n) in enumerate(self.free):
            if n >= size:
                self.free[i : i + 1] = [(at + size, n - size)] if n > size else []
                return at
        if self.free and sum(self.free[-1]) == self.top:
            at, n = self.free.pop()
            self.top = at + size
            return at
        at, self.top = self.top, self.top + size
        return at

    def give(self, at: int, size: int) -> None:
        size = -(-max(size, 1) // ALIGN) * ALIGN
        ranges = sorted([*self.free, (at, size)])
        merged = [ranges[0]]
        for start, n in ranges[1:]:
            if sum(merged[-1]) == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + n)
            else:
                merged.append((start, n))
        self.free = merged


class _Planner:
    def __init__(self, graph: Graph, donated: Collection[int]) -> None:
        self.graph = graph
        self.plan = Plan()
        self.arena = _Arena()
        self.root: dict[Value, Value] = {}
        for op in graph.ops:
            if op.kind.name == "reshape":
                self.root[op.result] = self.root.get(op.operands[0], op.operands[0])
        self.last: dict[Value, int] = {}
        for i, op in enumerate(graph.ops):
            for v in op.operands:
                self.last[self._root(v)] = i
        for v in graph.outputs:
            self.last[self._root(v)] = len(graph.ops)
        self.position = {v: i for i, v in enumerate(graph.inputs)}
        self.donated = set(donated)

    def _root(self, v: Value) -> Value:
        return self.root.get(v, v)

    def run(self) -> Plan:
        place = self.plan.place
        for i, v in enumerate(self.graph.inputs):
            place[v] = Place("input", i)
        wanted: dict[Value, int] = {}  # root -> output position that it may be written into
        for j, v in enumerate(self.graph.outputs):
            root = self._root(v)
            if root in wanted or root in self.position:
                self.plan.copies.append((j, v))
            else:
                wanted[root] = j
        constants = 0
        for i, op in enumerate(self.graph.ops):
            if op.kind.name == "reshape":
                place[op.result] = place[op.operands[0]]
                continue
            if op.kind.name == "constant":
                place[op.result] = Place("constant", constants)
                constants += 1
                if op.result in wanted:
                    self.plan.copies.append((wanted[op.result], op.result))
                continue
            dying = [v for v in dict.fromkeys(map(self._root, op.operands)) if self.last[v] == i]
            self._results(i, op, wanted, dying)
            for v in dying:
                if place[v].kind == "arena" and not self._taken_over(op, v):
                    self.arena.give(place[v].at, v.type.nbytes)
            for r in op.results:
                if place[r].kind == "arena" and r not in self.last:
                    self.arena.give(place[r].at, r.type.nbytes)
        self.plan.arena = self.arena.top
        return self.plan

    def _taken_over(self, op: Op, v: Value) -> bool:
        shared = self.plan.shared.get(op, {})
        return any(self._root(op.operands[i]) is v for i in shared.values())

    def _results(self, i: int, op: Op, wanted: dict[Value, int], dying: list[Value]) -> None:
        safe = in_place(op.regions[0]) if op.regions else set()
        shared: dict[int, int] = {}
        place = self.plan.place
        for o, r in enumerate(op.results):
            j = wanted.get(r)
            if j is not None:
                place[r] = self._output(i, op, o, r, j, safe, shared)
                continue
            source = self._reusable(op, o, dying, safe, shared)
            if source is not None:
                shared[o] = source
                place[r] = place[op.operands[source]]
            else:
                place[r] = Place("arena", self.arena.take(r.type.nbytes))
        if shared:
            self.plan.shared[op] = shared

    def _reusable(self, op: Op, o: int, dying: list[Value], safe: set[tuple[int, int]],
                  shared: dict[int, int]) -> int | None:  # fmt: skip
        """An operand in the arena that dies here and whose buffer output `o` may take."""
        used = {self._root(op.operands[s]) for s in shared.values()}
        for out, inp in sorted(safe):
            v = self._root(op.operands[inp])
            if out == o and v in dying and v not in used and self.plan.place[v].kind == "arena":
                if sum(self._root(u) is v for u in op.operands) == 1:
                    return inp
        return None

    def _output(self, i: int, op: Op, o: int, r: Value, j: int, safe: set[tuple[int, int]],
                shared: dict[int, int]) -> Place:  # fmt: skip
        """The caller's buffer, or a donated argument's that nobody reads from here on."""
        for d in sorted(self.donated):
            x = self.graph.inputs[d]
            if x.type.size != r.type.size or x.dtype != r.dtype or self.graph.outputs[j].type != x.type:
                continue
            last = self.last.get(x, -1)
            if last > i:
                continue
            if last == i:
                reads = [p for p, v in enumerate(op.operands) if self._root(v) is x]
                if len(reads) != 1 or (o, reads[0]) not in safe or reads[0] in shared.values():
                    continue
                shared[o] = reads[0]
            self.donated.discard(d)
            self.plan.taken[j] = d
            return Place("input", d)
        return Place("output", j)


def plan(graph: Graph, donated: Collection[int] = ()) -> Plan:
    """Plan the buffers of a fused graph. `donated`: positions of inputs whose buffers results may take."""
    return _Planner(graph, donated).run()
