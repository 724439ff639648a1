"""Fusion: ops that run as one kernel become one `call`.

    m = max(x); e = exp(x - m); s = sum(e); y = e / s        ->        y = k0(x)

Greedy, in program order: each op that costs work joins the groups of its operands' makers while the union is
still one iteration space (`weft.ir.space.solve`, or `weft.ir.grow` where a look is enough) and no path leaves the
union and comes back. Groups are kept in an order in which each comes after what it waits for, so that only those
between the two can be on such a path. Sources, movement and cheap 0-d arithmetic are free: they are repeated in every
group that reads through them. What is left are the `call`s, the library's `dot`s, reshapes that only rename a buffer,
stacks, and loops and branches, whose regions are fused in the same way (each is given values of its own: from here on
a value has one place).

A write to a part of an array takes in what it writes, unless that reads elements that were overwritten by then: then
what it writes is made first (or, where the part is most of the array, the array is written anew, by the same kernel).
Whoever reads an array before a part of it is overwritten stays in front of that write, so that the write may be done
in place; a small part that is read before, and used after it, is kept in a buffer of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence

from weft.ir.cost import TYPICAL, group_cost, read_again
from weft.ir.dims import same, value_of
from weft.ir.graph import Graph, Op, Value, fresh, with_regions
from weft.ir.ops.control import LEAD, call, carried_operands, cond, is_loop
from weft.ir.records import replace
from weft.ir.space import CHEAP, READER, SCATTERS, WINDOWS, is_alone, leaves
from weft.ir.space import is_free as is_movement
from weft.ir.views import streamed, view_of
from weft.ir.writes import solve_writes, untouched, window
from weft.passes.early import early
from weft.passes.groups import Group, Solved

SMALL_PART = 8  # parts of an array, of which one is kept rather than the array
WINDOW_READS = frozenset(READER.values())
MAX_GROUP = 96  # ops: bounds the time of `solve`, which is asked for every union
MOST_SIBLINGS = 16  # groups, the latest, that are tried for one because they read the same value
NONE: frozenset[int] = frozenset()
ALONE = frozenset({"call", "reshape"})
ALONE_FAMILIES = frozenset({"control", "stack", "library"})
BLAS = frozenset({"f32", "f64"})


def free_ops(ops: Sequence[Op]) -> set[int]:
    """Ops that every kernel may repeat: sources, movement, cheap arithmetic on 0-d values, and limits of free ones."""
    found: set[int] = set()
    made: set[Value] = set()
    for i, op in enumerate(ops):
        cheap = op.kind.name in CHEAP and not op.result.shape
        if is_movement(op) or cheap or (op.kind.name == "limit" and op.operands[0] in made):
            found.add(i)
            made.update(op.results)
    return found


class _Fuser:
    def __init__(self, graph: Graph, numbers: Iterator[int]) -> None:
        self.graph = graph
        self.numbers = numbers  # of the kernels
        self.ops = graph.ops
        self.at = {r: i for i, op in enumerate(graph.ops) for r in op.results}
        self.free = free_ops(graph.ops)
        self.users: dict[Value, list[int]] = {}
        for i, op in enumerate(graph.ops):
            for v in op.operands:
                self.users.setdefault(v, []).append(i)
        self.outputs = set(graph.outputs)
        values = (*graph.inputs, *(r for op in graph.ops for r in op.results))
        self.long = {v for v in values if value_of(v.type.nbytes) > TYPICAL.cache}
        self.streamed = self._streamed()
        self.kept = self._kept()
        self._last: Solved | None = None  # of `_fits`, when it said yes
        self.apart: set[int] = set()  # writes of what is made by another kernel
        self.apart.update(
            i for i, op in enumerate(self.ops) if op.kind.name in WINDOWS and not self._fits({i}, [op.result])
        )
        self.needed = self._needed()
        self.roots: dict[int, set[Value]] = {}
        self.final_uses: dict[Value, set[int]] = {}
        self.group_of: dict[int, Group] = {}
        self.recent: dict[Value, list[int]] = {}
        self.order: list[Group | None] = []  # a group comes after those that it waits for; None where one has left
        for i in sorted(self.needed):
            self.roots[i], through_free = self._roots(i)
            for root in self.roots[i]:
                self.final_uses.setdefault(root, set()).add(i)
            ahead = self._made(self.roots[i]) | self._readers_before(i)
            self.group_of[i] = Group({i}, ahead, self._made(through_free), len(self.order), self._shape(i))
            self.order.append(self.group_of[i])

    def _is_free(self, i: int) -> bool:
        return i in self.free

    def _streamed(self) -> set[int]:
        """Products that make their windows themselves (see `weft.codegen.windowed`)."""
        maker = {r: op for op in self.ops for r in op.results}.get
        return {i for i, op in enumerate(self.ops) if streamed(op, maker)}

    def _kept(self) -> set[int]:
        """Small parts of arrays that are written before the part's readers come: they are read ahead of the write.
        Also what is padded for windows: a test for every element of all of them would cost more than the copy."""
        maker = {r: op for op in self.ops for r in op.results}.get
        sources = (view_of(self.ops[i].operands[0], maker).source for i in self.streamed)
        found = {self.at[v] for v in sources if v in self.at and self._is_free(self.at[v])}
        for i, _ in enumerate(self.ops):
            for v in self._overwritten(i):
                for j in self.users[v]:
                    part = self.ops[j]
                    if j < i and part.kind.name in WINDOW_READS and _is_small(part.result, v):
                        if max(self._readers(j), default=j) > i or self._feeds(j, i):
                            found.add(j)
        return found

    def _feeds(self, j: int, i: int) -> bool:
        """Whether write i, of a large part of an array, works with part j of it, which lies elsewhere."""
        part, op = self.ops[j], self.ops[i]
        if op.kind.name not in WINDOWS:
            return False
        w = window(op)
        if not _is_small(part.result, w.part) or w.reads(part) or w.apart(part):
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
                    todo += [u] if self._is_free(u) else []
        return found

    def _needed(self) -> set[int]:
        """Ops that some buffer or kernel must exist for: all but the free ones that only kernels read."""
        needed: set[int] = set()
        for i, op in enumerate(self.ops):
            if not self._is_free(i) or op.result in self.outputs or self._is_buffer(i):
                needed.add(i)
            elif any(op.result in self._buffers(u) and not self._is_free(u) for u in self.users.get(op.result, ())):
                needed.add(i)
        for i in reversed(range(len(self.ops))):  # a renamed buffer needs the buffer
            if i in needed and self._standalone(i):
                needed.update(self.at[v] for v in self.ops[i].operands if v in self.at)
        return needed

    def _standalone(self, i: int) -> bool:
        """Needed, but not as part of a kernel: library calls, renamed buffers, inputs of other kinds."""
        op = self.ops[i]
        if op.kind.name == "dot":
            return op.result.dtype in BLAS and i not in self.streamed
        return op.kind.name in ALONE or op.kind.family in ALONE_FAMILIES or op.kind.name == "constant"

    def _buffers(self, i: int) -> Collection[Value]:
        """Operands that op i must find in a buffer, even if they are free to make."""
        op = self.ops[i]
        if self._standalone(i):
            return () if self._is_free(i) else op.operands
        if i in self.streamed:
            return op.operands[1:]
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
                if self._is_free(j) and not self._is_buffer(j):
                    seen.add(j)
                    todo.append(j)
        return sorted(seen)

    def _is_buffer(self, j: int) -> bool:
        """A free op whose value is a buffer of its own: large constants, and what is kept."""
        op = self.ops[j]
        return j in self.kept or (op.kind.name == "constant" and op.attrs["value"].ndim > 0)

    def _roots(self, i: int) -> tuple[set[Value], set[Value]]:
        """Values that must be there before op i, and those of them that a kernel reads through free ops: what stands
        alone reads its operands, even a free op's result as a buffer."""
        if self._standalone(i):
            return set(self.ops[i].operands), set()
        roots: set[Value] = set()
        through_free: set[Value] = set()
        for j in self.closure([i]):
            for v in self.ops[j].operands:
                k = self.at.get(v)
                if k is None or not self._is_free(k) or self._is_buffer(k) or v in self._buffers(j):
                    roots.add(v)
                    if j != i:
                        through_free.add(v)
        return roots, through_free

    def _made(self, values: Iterable[Value]) -> set[int]:
        return {self.at[v] for v in values if v in self.at}

    def _shape(self, i: int) -> tuple[int, ...] | None:
        """Of what is computed element by element, in any loop over this shape."""
        op = self.ops[i]
        return op.result.shape if op.kind.family == "elementwise" and not self._is_free(i) else None

    def stored(self, members: set[int]) -> list[Value]:
        """Results of members that something outside the group reads."""
        return [self.ops[i].result for i in sorted(members) if self._is_stored(i, members)]

    def _is_stored(self, i: int, members: set[int]) -> bool:
        v = self.ops[i].result
        return v in self.outputs or self._is_free(i) or not self.final_uses.get(v, NONE) <= members

    def run(self) -> Graph:
        for i in sorted(self.needed):
            if self._joinable(i):
                for j in self._neighbours(i):
                    self._join(self.group_of[j], self.group_of[i])
                self._remember(i)
        return self._emit()

    def _joinable(self, i: int) -> bool:
        return not self._standalone(i) and not is_alone(self.ops[i])

    def _neighbours(self, i: int) -> list[int]:
        """Ops whose kernels might take op i in: makers of what it reads, then readers of the same values."""
        makers = self._made(self.roots[i])
        siblings = {u for v in self.roots[i] for u in self.recent.get(v, ())}
        found = sorted(makers, reverse=True) + sorted(siblings - makers, reverse=True)
        return [j for j in found if self._joinable(j)]

    def _remember(self, i: int) -> None:
        """Of the readers of a value, the latest of each of the latest groups."""
        for v in self.roots[i]:
            if not same(v.type.size, 1):
                recent = self.recent.setdefault(v, [])
                if recent and self.group_of[recent[-1]] is self.group_of[i]:
                    recent.pop()
                recent.append(i)
                del recent[:-MOST_SIBLINGS]

    def _join(self, one: Group, other: Group) -> None:
        """Make one group of two, if they can be one kernel."""
        if one is other or len(one.members) + len(other.members) > MAX_GROUP:
            return
        first, last = (one, other) if one.place < other.place else (other, one)
        between = self._between(first, last)
        if between is None:
            return
        fits, solved = self._one_kernel(first, last)
        if not fits:
            return
        union = first.joined(last)
        union.solved = solved
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

    def _between(self, first: Group, last: Group) -> set[Group] | None:
        """The groups after `first` that `last` waits for; None if one of them waits for `first`."""
        found: set[Group] = set()
        todo = [last]
        while todo:
            group = todo.pop()
            for i in group.ahead:
                maker = self.group_of[i]
                if maker is first and group is not last:
                    return None  # a path leaves the union and comes back
                if maker.place > first.place and maker is not group and maker not in found:
                    found.add(maker)
                    todo.append(maker)
        return found

    def _one_kernel(self, one: Group, other: Group) -> tuple[bool, Solved | None]:
        union = one.members | other.members
        if not one.alike(other) and self._reads_long(union):
            self._last = None
            fits = self._fits(union, self.stored(union)) and self._pays(one.members, other.members)
            return fits, self._last if fits else None
        small, large = sorted((one, other), key=lambda group: len(group.members))
        if self._grows(large.solved, small, union):
            return True, large.solved
        if one.alike(other):
            return True, None
        self._last = None
        return self._fits(union, self.stored(union)), self._last

    def _grows(self, solved: Solved | None, more: Group, union: set[int]) -> bool:
        """Does a group that has been solved take in another without being solved again?"""
        if solved is None or not solved.grown.able:
            return False
        new = [i for i in self.closure(more.members) if i not in solved.closure]
        if not solved.grown.add([self.ops[i] for i in new], [i in union and self._is_stored(i, union) for i in new]):
            return False
        solved.closure.update(new)
        return True

    def _reads_long(self, members: set[int]) -> bool:
        """Does a group read arrays that don't stay near the cores, and that its rows might read again and again?"""
        if not any(v in self.long for i in members for v in self.roots[i]):
            return False
        inside = [self.ops[i] for i in self.closure(members)]
        most = max(value_of(op.result.type.size) for op in inside)
        return any(v in self.long and value_of(v.type.size) < most for op in inside for v in op.operands)

    def _pays(self, one: set[int], other: set[int]) -> bool:
        """Are they faster as one kernel? They move fewer bytes, unless its rows read long arrays again and again."""
        return self._seconds(one | other) <= self._seconds(one) + self._seconds(other)

    def _seconds(self, members: set[int]) -> float:
        inside, outputs = [self.ops[i] for i in self.closure(members)], self.stored(members)
        found, solved = group_cost(inside, outputs), solve_writes(inside, outputs)
        if solved is None:
            return found.seconds(TYPICAL)  # a kernel by itself, of another kind
        again = read_again(solved.group.ops, solved.space, TYPICAL.cache)
        return replace(found, read=found.read + again).seconds(TYPICAL)

    def _fits(self, members: set[int], outputs: list[Value]) -> bool:
        """Are they one iteration space, in which writes to a part of an array overwrite nothing still to be read?"""
        closure = self.closure(members)
        inside = [self.ops[i] for i in closure]
        solved = solve_writes(inside, outputs)
        if solved is None:
            return False
        self._last = Solved(closure, solved.group.ops, solved.space)
        group, space = solved.group, solved.space
        made = {r for op in inside for r in op.results}
        for o, w in group.windows.items():
            if w.base in made:
                if not w.most or w.base not in leaves(inside):
                    return False
            elif not w.most and not untouched(group, space, o):
                return False
        return True

    def _emit(self) -> Graph:
        """The graph of calls, in an order in which every call comes after what it waits for."""
        groups = dict.fromkeys(self.group_of[i] for i in sorted(self.needed))
        number = {group: n for n, group in enumerate(groups)}
        done: set[Group] = set()
        order: list[Group] = []

        def visit(group: Group) -> None:
            stack = [(group, iter(self._before(group, number)))]
            done.add(group)
            while stack:
                here, rest = stack[-1]
                for other in rest:
                    if other not in done:
                        done.add(other)
                        stack.append((other, iter(self._before(other, number))))
                        break
                else:
                    order.append(here)
                    stack.pop()

        for group in groups:
            if group not in done:
                visit(group)
        ops = tuple([self._emitted(group) for group in order])
        return Graph(self.graph.name, self.graph.inputs, ops, self.graph.outputs)

    def _emitted(self, group: Group) -> Op:
        i = min(group.members)
        if not self._standalone(i):
            return self._cut(group.members, f"k{next(self.numbers)}")
        if self.ops[i].kind is call:
            return self.ops[i]
        return with_regions(self.ops[i], lambda region: _Fuser(fresh(region), self.numbers).run())

    def _before(self, group: Group, number: dict[Group, int]) -> list[Group]:
        found = {self.group_of[i] for i in group.ahead}
        return sorted(found - {group}, key=number.__getitem__)

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


def _is_small(part: Value, whole: Value) -> bool:
    """Whether a part of an array is so small that it had rather be kept than the array."""
    return value_of(part.type.size) * SMALL_PART <= value_of(whole.type.size)


def fuse(graph: Graph) -> Graph:
    """Group the ops of `graph` into kernels, those that free a buffer as early as they may run."""
    return early(_Fuser(graph, itertools.count()).run())
