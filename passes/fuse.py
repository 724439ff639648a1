"""Fusion: ops that run as one kernel become one `call`.

    m = max(x); e = exp(x - m); s = sum(e); y = e / s        ->        y = k0(x)

Greedy, in program order: each op that costs work joins the groups of its operands' makers while the union is
still one iteration space (`weft.ir.space.solve`) and no path leaves the union and comes back. Sources,
movement and cheap 0-d arithmetic are free: they are repeated in every group that reads through them. What is
left are the `call`s, the library's `dot`s, reshapes that only rename a buffer, stacks, and loops and branches,
whose regions are fused in the same way (each is given values of its own: from here on a value has one place).

A write to a part of an array takes in what it writes, unless that reads elements that were overwritten by then: then
what it writes is made first (or, where the part is most of the array, the array is written anew, by the same kernel).
Whoever reads an array before a part of it is overwritten stays in front of that write, so that the write may be done
in place; a small part that is read before, and used after it, is kept in a buffer of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator

from weft.ir.graph import Graph, Op, Value, fresh, with_regions
from weft.ir.ops.control import LEAD, call, carried_operands, cond, is_loop
from weft.ir.space import CHEAP, SCATTERS, WINDOWS, is_alone, leaves
from weft.ir.space import is_free as is_movement
from weft.ir.writes import solve_writes, untouched, window

SMALL_PART = 8  # parts of an array, of which one is kept rather than the array
WINDOW_READS = frozenset({"slice", "dynamic_slice", "moving_slice"})
MAX_GROUP = 96  # ops: bounds the time of `solve`, which is asked for every union
ALONE = frozenset({"call", "reshape"})
ALONE_FAMILIES = frozenset({"control", "stack"})
BLAS = frozenset({"f32", "f64"})


def is_free(op: Op) -> bool:
    """Ops that every kernel may repeat: sources, movement, and cheap arithmetic on 0-d values."""
    return is_movement(op) or (op.kind.name in CHEAP and not op.result.shape)


class _Group:
    """Positions of the ops that a kernel is asked to compute (free ops are added when it is cut out)."""

    __slots__ = ("members",)

    def __init__(self, members: set[int]) -> None:
        self.members = members


class _Fuser:
    def __init__(self, graph: Graph, numbers: Iterator[int]) -> None:
        self.graph = graph
        self.numbers = numbers  # of the kernels
        self.ops = graph.ops
        self.at = {r: i for i, op in enumerate(graph.ops) for r in op.results}
        self.users: dict[Value, list[int]] = {}
        for i, op in enumerate(graph.ops):
            for v in op.operands:
                self.users.setdefault(v, []).append(i)
        self.outputs = set(graph.outputs)
        self.kept = self._kept()
        self.apart: set[int] = set()  # writes of what is made by another kernel
        self.apart.update(
            i for i, op in enumerate(self.ops) if op.kind.name in WINDOWS and not self._fits({i}, [op.result])
        )
        self.needed = self._needed()
        self.group_of: dict[int, _Group] = {}
        self.spans: dict[_Group, tuple[int, int]] = {}  # first and last op of each group of several
        self.final_uses: dict[Value, set[int]] = {}
        for i in range(len(self.ops)):
            if i in self.needed:
                for root in self._roots(i):
                    self.final_uses.setdefault(root, set()).add(i)
        self.after = {i: self._readers_before(i) for i in self.needed}

    def _kept(self) -> set[int]:
        """Small parts of arrays that are written before the part's readers come: they are read ahead of the write."""
        found: set[int] = set()
        for i, _ in enumerate(self.ops):
            for v in self._overwritten(i):
                for j in self.users[v]:
                    part = self.ops[j]
                    if j < i and part.kind.name in WINDOW_READS and part.result.type.size * SMALL_PART <= v.type.size:
                        if max(self._readers(j), default=j) > i or self._feeds(j, i):
                            found.add(j)
        return found

    def _feeds(self, j: int, i: int) -> bool:
        """Whether write i, of a large part of an array, works with part j of it, which lies elsewhere."""
        part, op = self.ops[j], self.ops[i]
        if op.kind.name not in WINDOWS:
            return False
        w = window(op)
        if part.result.type.size * SMALL_PART > w.part.type.size or w.reads(part) or w.apart(part):
            return False
        todo, seen = [w.part], set()
        while todo:
            v = todo.pop()
            at = self.at.get(v, -1)
            if at == j:
                return True
            if at > j and v not in seen:
                seen.add(v)
                todo.extend(self.ops[at].operands)
        return False

    def _readers(self, i: int) -> set[int]:
        """Who reads op i, through free ops."""
        found: set[int] = set()
        todo = [i]
        while todo:
            for u in self.users.get(self.ops[todo.pop()].result, ()):
                if u not in found:
                    found.add(u)
                    todo += [u] if is_free(self.ops[u]) else []
        return found

    def _needed(self) -> set[int]:
        """Ops that some buffer or kernel must exist for: all but the free ones that only kernels read."""
        needed: set[int] = set()
        for i, op in enumerate(self.ops):
            if not is_free(op) or op.result in self.outputs or self._is_buffer(i):
                needed.add(i)
            elif any(op.result in self._buffers(u) and not is_free(self.ops[u]) for u in self.users.get(op.result, ())):
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
        return op.kind.name in ALONE or op.kind.family in ALONE_FAMILIES or op.kind.name == "constant"

    def _buffers(self, i: int) -> Collection[Value]:
        """Operands that op i must find in a buffer, even if they are free to make."""
        op = self.ops[i]
        if self._standalone(i):
            return () if is_free(op) else op.operands
        if op.kind.name not in WINDOWS:
            return ()
        base = () if window(op).most else op.operands[:1]
        return (*base, *(op.operands[1:2] if i in self.apart else ()))

    def _overwritten(self, i: int) -> tuple[Value, ...]:
        """Operands whose buffers op i would like to write in."""
        op = self.ops[i]
        if op.kind.name in WINDOWS | SCATTERS:
            return op.operands[:1]
        if op.kind is cond:
            return op.operands[LEAD[cond] :]
        return carried_operands(op) if is_loop(op) else ()

    def _readers_before(self, i: int) -> set[int]:
        """Ops that read, ahead of op i, what it overwrites."""
        return {u for v in self._overwritten(i) if v.shape for u in self.final_uses.get(v, ()) if u < i}

    def closure(self, members: Iterable[int]) -> list[int]:
        """The members and all free ops that they read through, in program order."""
        seen = set(members)
        todo = list(seen)
        while todo:
            i = todo.pop()
            for v in self.ops[i].operands:
                j = self.at.get(v)
                if j is None or j in seen or v in self._buffers(i):
                    continue
                if is_free(self.ops[j]) and not self._is_buffer(j):
                    seen.add(j)
                    todo.append(j)
        return sorted(seen)

    def _is_buffer(self, j: int) -> bool:
        """A free op whose value is a buffer of its own: large constants, and what is kept."""
        op = self.ops[j]
        return j in self.kept or (op.kind.name == "constant" and op.attrs["value"].ndim > 0)

    def _roots(self, i: int) -> set[Value]:
        """Values that op i reads: a kernel looks through free ops, what stands alone reads its operands."""
        if self._standalone(i):
            return set(self.ops[i].operands)
        out: set[Value] = set()
        for j in self.closure([i]):
            for v in self.ops[j].operands:
                k = self.at.get(v)
                if k is None or not is_free(self.ops[k]) or self._is_buffer(k) or v in self._buffers(j):
                    out.add(v)
        return out

    def _reads(self, i: int) -> set[Value]:
        """Values that must be there before op i: what stands alone reads even a free op's result as a buffer."""
        return set(self.ops[i].operands) if self._standalone(i) else self._roots(i)

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
        for i in range(len(self.ops)):
            if i not in self.needed or self._standalone(i):
                continue
            group = _Group({i})
            for j in () if is_alone(self.ops[i]) else self._makers(i):
                other = self.group_of.get(j)
                if other is None or other is group or group.members & other.members:
                    continue
                union = group.members | other.members
                if self._one_kernel(union):
                    self.spans.pop(group, None)
                    self.spans.pop(other, None)
                    group = _Group(union)
                    self.spans[group] = min(union), max(union)
                    for m in union:
                        self.group_of[m] = group
            for m in group.members:
                self.group_of[m] = group
        return self._emit()

    def _makers(self, i: int) -> list[int]:
        """Ops whose kernels might take op i in: makers of what it reads, then readers of the same values."""
        roots = self._roots(i)
        makers = sorted({self.at[v] for v in roots if v in self.at}, reverse=True)
        siblings: set[int] = set()
        for v in roots:
            if v.type.size > 1:
                siblings |= {u for u in self.final_uses.get(v, ()) if u < i}
        return makers + sorted(siblings - set(makers), reverse=True)

    def _one_kernel(self, union: set[int]) -> bool:
        if len(union) > MAX_GROUP or self._cyclic(union):
            return False
        return self._fits(union, self.stored(union))

    def _fits(self, members: set[int], outputs: list[Value]) -> bool:
        """Are they one iteration space, in which writes to a part of an array overwrite nothing still to be read?"""
        inside = [self.ops[i] for i in self.closure(members)]
        solved = solve_writes(inside, outputs)
        if solved is None:
            return False
        group, space = solved.group, solved.space
        made = {r for op in inside for r in op.results}
        for o, w in group.windows.items():
            if w.base in made:
                if not w.most or w.base not in leaves(inside):
                    return False
            elif not w.most and not untouched(group, space, o):
                return False
        return True

    def _cyclic(self, union: set[int]) -> bool:
        """Does a path leave the union and come back?

        What lies before the union's first op can't lead to it, unless a group began there and ends behind it.
        """
        low = min(union)
        spanned = any(first < low <= last and first not in union for first, last in self.spans.values())
        todo = [j for i in union for j in self._ahead(i)]
        seen: set[int] = set()
        while todo:
            j = todo.pop()
            if j in seen or j in union:
                continue
            seen.add(j)
            group = self.group_of.get(j)
            members = group.members if group else {j}
            if not spanned and max(members) < low:
                continue
            for m in members:
                for k in self._ahead(m):
                    if k in union:
                        return True
                    todo.append(k)
        return False

    def _ahead(self, i: int) -> set[int]:
        """Ops that must have run before op i."""
        return {self.at[v] for v in self._reads(i) if v in self.at} | self.after.get(i, set())

    def _emit(self) -> Graph:
        """The graph of calls, in an order in which every call comes after what it reads."""
        units: dict[int, list[int]] = {}
        for i in sorted(self.needed):
            group = self.group_of.get(i)
            key = min(group.members) if group else i
            units.setdefault(key, []).append(i)
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
            if key in self.group_of:
                ops.append(self._cut(set(members), f"k{next(self.numbers)}"))
            elif self.ops[key].kind is call:
                ops.append(self.ops[key])
            else:
                ops.append(with_regions(self.ops[key], lambda region: _Fuser(fresh(region), self.numbers).run()))
        return Graph(self.graph.name, self.graph.inputs, tuple(ops), self.graph.outputs)

    def _before(self, members: list[int], unit_of: dict[int, int]) -> list[int]:
        own = unit_of[members[0]]
        found: set[int] = set()
        for i in members:
            for j in self._ahead(i):
                if j in unit_of and unit_of[j] != own:
                    found.add(unit_of[j])
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
    return _Fuser(graph, itertools.count()).run()
