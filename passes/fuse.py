"""Fusion: ops that run as one kernel become one `call`.

    m = max(x); e = exp(x - m); s = sum(e); y = e / s        ->        y = k0(x)

Greedy, in program order: each op that costs work joins the groups of its operands' makers while the union is
still one iteration space (`weft.ir.space.solve`) and no path leaves the union and comes back. Sources,
movement and cheap 0-d arithmetic are free: they are repeated in every group that reads through them. What is
left are the `call`s, the library's `dot`s, and reshapes that only rename a buffer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.control import call
from weft.ir.space import CHEAP, is_alone, solve
from weft.ir.space import is_free as is_movement

MAX_GROUP = 96  # ops: bounds the time of `solve`, which is asked for every union
ALONE = frozenset({"call", "reshape"})
BLAS = frozenset({"f32", "f64"})


def is_free(op: Op) -> bool:
    """Ops that every kernel may repeat: sources, movement, and cheap arithmetic on 0-d values."""
    return is_movement(op) or (op.kind.name in CHEAP and not op.result.shape)


@dataclass(eq=False, slots=True)
class _Group:
    """Ops, by position, that a kernel is asked to compute (free ops are added when it is cut out).

    reads: the ops whose results the members read, through_free: those that they read through free ops; place: in
    the order of groups; shape: of every member's result, where all are elementwise, alike, and in one loop.
    """

    members: set[int]
    reads: set[int]
    through_free: set[int]
    place: int
    shape: tuple[int, ...] | None

    def alike(self, other: _Group) -> bool:
        """Are both elementwise and of one shape, and neither reads the other through movement?"""
        moved = self.through_free & other.members or other.through_free & self.members
        return self.shape is not None and self.shape == other.shape and not moved

    def joined(self, other: _Group) -> _Group:
        members, reads = self.members | other.members, self.reads | other.reads
        through_free, shape = self.through_free | other.through_free, self.shape if self.alike(other) else None
        return _Group(members, reads, through_free, -1, shape)


class _Fuser:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ops = graph.ops
        self.at = {r: i for i, op in enumerate(graph.ops) for r in op.results}
        self.users: dict[Value, list[int]] = {}
        for i, op in enumerate(graph.ops):
            for v in op.operands:
                self.users.setdefault(v, []).append(i)
        self.outputs = set(graph.outputs)
        self.needed = self._needed()
        self.roots: dict[int, set[Value]] = {}
        self.final_uses: dict[Value, set[int]] = {}
        self.group_of: dict[int, _Group] = {}
        self.order: list[_Group | None] = []  # a group comes after those that it reads; None where one has left
        for i in sorted(self.needed):
            self.roots[i], through_free = self._roots(i)
            for root in self.roots[i]:
                self.final_uses.setdefault(root, set()).add(i)
            op = self.ops[i]
            shape = op.result.shape if op.kind.family == "elementwise" and not is_free(op) else None
            self.group_of[i] = _Group({i}, self._made(self.roots[i]), self._made(through_free), len(self.order), shape)
            self.order.append(self.group_of[i])

    def _needed(self) -> set[int]:
        """Ops that some buffer or kernel must exist for: all but the free ones that only kernels read."""
        needed: set[int] = set()
        for i, op in enumerate(self.ops):
            if not is_free(op) or op.result in self.outputs or self._is_buffer(i):
                needed.add(i)
            elif any(self._standalone(u) and not is_free(self.ops[u]) for u in self.users.get(op.result, ())):
                needed.add(i)
        for i in reversed(range(len(self.ops))):  # a renamed buffer needs the buffer
            if i in needed and self._standalone(i):
                needed.update(self.at[v] for v in self.ops[i].operands if v in self.at)
        return needed

    def _standalone(self, i: int) -> bool:
        """Needed, but not as part of a kernel: library calls, renamed buffers, inputs of other kinds."""
        op = self.ops[i]
        if op.kind.name == "dot":
            return op.result.dtype in BLAS
        return op.kind.name in ALONE or op.kind.name == "constant"

    def closure(self, members: Iterable[int]) -> list[int]:
        """The members and all free ops that they read through, in program order."""
        seen = set(members)
        todo = list(seen)
        while todo:
            i = todo.pop()
            for v in self.ops[i].operands:
                j = self.at.get(v)
                if j is not None and j not in seen and is_free(self.ops[j]) and not self._is_buffer(j):
                    seen.add(j)
                    todo.append(j)
        return sorted(seen)

    def _is_buffer(self, j: int) -> bool:
        """A free op whose value is a buffer of its own that kernels may as well read: large constants."""
        op = self.ops[j]
        return op.kind.name == "constant" and op.attrs["value"].ndim > 0

    def _roots(self, i: int) -> tuple[set[Value], set[Value]]:
        """Values that op i reads, and those of them that it reads through free ops, as kernels do."""
        if self._standalone(i):
            return set(self.ops[i].operands), set()
        roots: set[Value] = set()
        through_free: set[Value] = set()
        for j in self.closure([i]):
            for v in self.ops[j].operands:
                k = self.at.get(v)
                if k is None or not is_free(self.ops[k]) or self._is_buffer(k):
                    roots.add(v)
                    if j != i:
                        through_free.add(v)
        return roots, through_free

    def _made(self, values: Iterable[Value]) -> set[int]:
        return {self.at[v] for v in values if v in self.at}

    def stored(self, members: set[int]) -> list[Value]:
        """Results of members that something outside the group reads."""
        out = []
        for i in sorted(members):
            v = self.ops[i].result
            readers = self.final_uses.get(v, set())
            if v in self.outputs or any(r not in members for r in readers) or is_free(self.ops[i]):
                out.append(v)
        return out

    def run(self) -> Graph:
        for i in sorted(self.needed):
            if self._joinable(i):
                for j in self._neighbours(i):
                    self._join(self.group_of[j], self.group_of[i])
        return self._emit()

    def _joinable(self, i: int) -> bool:
        return not self._standalone(i) and not is_alone(self.ops[i])

    def _neighbours(self, i: int) -> list[int]:
        """Ops whose kernels might take op i in: makers of what it reads, then readers of the same values."""
        makers = self._made(self.roots[i])
        siblings: set[int] = set()
        for v in self.roots[i]:
            if v.type.size > 1:
                siblings |= {u for u in self.final_uses.get(v, ()) if u < i}
        found = sorted(makers, reverse=True) + sorted(siblings - makers, reverse=True)
        return [j for j in found if self._joinable(j)]

    def _join(self, one: _Group, other: _Group) -> None:
        """Make one group of two, if they can be one kernel."""
        if one is other or len(one.members) + len(other.members) > MAX_GROUP:
            return
        first, last = (one, other) if one.place < other.place else (other, one)
        between = self._between(first, last)
        if between is None or not self._one_kernel(first, last):
            return
        union = first.joined(last)
        for m in union.members:
            self.group_of[m] = union
        waited_for = sorted(between, key=lambda g: g.place)
        rest = [g for g in self.order[first.place + 1 : last.place] if g is not None and g not in between]
        region = [*waited_for, union, *rest]
        for place, group in enumerate(region, first.place):
            self.order[place] = group
            group.place = place
        for place in range(first.place + len(region), last.place + 1):
            self.order[place] = None

    def _between(self, first: _Group, last: _Group) -> set[_Group] | None:
        """The groups after `first` that `last` waits for; None if one of them waits for `first`."""
        found: set[_Group] = set()
        todo = [last]
        while todo:
            group = todo.pop()
            for i in group.reads:
                maker = self.group_of[i]
                if maker is first and group is not last:
                    return None  # a path leaves the union and comes back
                if maker.place > first.place and maker is not group and maker not in found:
                    found.add(maker)
                    todo.append(maker)
        return found

    def _one_kernel(self, one: _Group, other: _Group) -> bool:
        if one.alike(other):
            return True
        union = one.members | other.members
        return solve([self.ops[i] for i in self.closure(union)], self.stored(union)) is not None

    def _emit(self) -> Graph:
        """The graph of calls, in an order in which every call comes after what it reads."""
        units: dict[int, list[int]] = {}
        for i in sorted(self.needed):
            units.setdefault(min(self.group_of[i].members), []).append(i)
        unit_of = {i: key for key, members in units.items() for i in members}
        done: set[int] = set()
        order: list[int] = []

        def visit(key: int) -> None:
            stack = [(key, iter(self._before(units[key], unit_of)))]
            done.add(key)
            while stack:
                here, rest = stack[-1]
                for nxt in rest:
                    if nxt not in done:
                        done.add(nxt)
                        stack.append((nxt, iter(self._before(units[nxt], unit_of))))
                        break
                else:
                    order.append(here)
                    stack.pop()

        for key in units:
            if key not in done:
                visit(key)
        ops: list[Op] = []
        for key in order:
            members = units[key]
            if not self._standalone(key):
                ops.append(self._cut(set(members), f"k{sum(o.kind is call for o in ops)}"))
            else:
                ops.append(self.ops[key])
        return Graph(self.graph.name, self.graph.inputs, tuple(ops), self.graph.outputs)

    def _before(self, members: list[int], unit_of: dict[int, int]) -> list[int]:
        own = unit_of[members[0]]
        found: set[int] = set()
        for i in members:
            found |= {unit_of[j] for j in self._made(self.roots[i]) if unit_of[j] != own}
        return sorted(found)

    def _cut(self, members: set[int], name: str) -> Op:
        """The group as a `call` whose region has its own values."""
        inside = [self.ops[i] for i in self.closure(members)]
        made = {r for op in inside for r in op.results}
        outs = tuple(self.stored(members))
        reads: dict[Value, None] = {}
        for op in inside:
            for v in op.operands:
                if v not in made:
                    reads[v] = None
        env = {v: Value(v.type, v.name, v.location) for v in [*reads, *(r for op in inside for r in op.results)]}
        body = tuple(
            Op(op.kind, tuple(env[v] for v in op.operands), op.attrs, op.regions, tuple(env[r] for r in op.results))
            for op in inside
        )
        region = Graph(name, tuple(env[v] for v in reads), body, tuple(env[v] for v in outs))
        return Op(call, tuple(reads), {}, (region,), outs)


def fuse(graph: Graph) -> Graph:
    """Group the ops of `graph` into kernels."""
    return _Fuser(graph).run()
