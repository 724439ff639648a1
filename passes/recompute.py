"""Values that one kernel leaves for another, computed again where that moves fewer bytes.

    h, g, t = k0(z, b)      h = gelu(z + b), and what its derivative needs        h = k0(z, b)
    y = dot(h, w)                                                          ->     y = dot(h, w)
    d = k1(dy, g, t)                                                              d = k1(dy, z, b)

A kernel's arithmetic is free beside the memory that it reads and writes. So each kernel's operands that other kernels
made are asked for again: a minimum cut (`weft.passes.residuals`) between them and what is there anyway - inputs,
products, what the library reads - chooses what to read, where a value that is stored for this reader alone costs being
written and read, and one that is stored anyhow costs being read. In between are plain ops on elements only; a row's
sum or maximum is a small array that is kept.

A value has the same bits in all its kernels: what would be contracted in one and not in the other is not made again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from weft.ir.contraction import contracted
from weft.ir.dims import value_of
from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.ops.control import call
from weft.ir.records import dataclass
from weft.ir.space import CHEAP, SCATTERS, WINDOWS, is_alone
from weft.ir.writes import solve_writes
from weft.passes.dce import dce
from weft.passes.residuals import is_cheap, kept_values, recomputed

LEAST = 1 << 16  # bytes that a kernel is to read from others before it is looked at
GAIN = 0.75  # of its price, that recomputing may cost
MOST_OPS = 128  # of a kernel
MOST_CONE = 256  # ops that are looked at for one kernel


def recompute(graph: Graph) -> Graph:
    """The fused graph, loops and branches included, with kernels that compute again what is dearer to store."""
    ops = tuple(op if op.kind is call else with_regions(op, recompute) for op in graph.ops)
    if any(a is not b for a, b in zip(ops, graph.ops, strict=True)):
        graph = Graph(graph.name, graph.inputs, ops, graph.outputs)
    return _Recompute(graph).run()


@dataclass
class _Kernel:
    """A kernel under change, over the whole graph's values: what it reads, computes and leaves."""

    op: Op
    reads: list[Value]
    ops: list[Op]
    leaves: list[Value]

    @property
    def plain(self) -> bool:
        """Has it one iteration space, and no writes to parts of arrays?"""
        return not any(is_alone(o) or o.kind.name in WINDOWS | SCATTERS or o.regions for o in self.ops)

    def fits(self) -> bool:
        return len(self.ops) <= MOST_OPS and solve_writes(self.ops, self.leaves) is not None


class _Recompute:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kernels = {op: _opened(op) for op in graph.ops if op.kind is call}
        self.home = {r: k for k in self.kernels.values() for o in k.ops for r in o.results}
        self.maker = {r: o for k in self.kernels.values() if k.plain for o in k.ops for r in o.results}
        outside = [v for op in graph.ops if op.kind is not call for v in op.operands]
        self.order = {o: i for i, o in enumerate(o for k in self.kernels.values() for o in k.ops)}
        self.stored = {*graph.inputs, *graph.outputs, *outside}  # whatever the kernels do
        self.changed = False

    def run(self) -> Graph:
        for kernel in self.kernels.values():
            self._look_at(kernel)
            self.stored.update(kernel.reads)
        return self._emitted() if self.changed else self.graph

    def _is_stored(self, v: Value) -> bool:
        return v in self.stored or v not in self.home

    def _price(self, v: Value) -> float:
        return value_of(v.type.nbytes) * (1 if self._is_stored(v) else 2)

    def _look_at(self, kernel: _Kernel) -> None:
        needed = [v for v in kernel.reads if v in self.maker and is_cheap(self.maker[v])]
        if not kernel.plain or sum(value_of(v.type.nbytes) for v in needed) < LEAST:
            return
        fixed: set[Value] = set()
        for _ in range(4):
            cone = self._cone([v for v in needed if v not in fixed], fixed)
            free = {v for v in kernel.reads if v not in needed}
            values = {v for o in cone for v in (*o.operands, *o.results)} | set(needed)
            price = {v: self._price(v) for v in values}
            kept = kept_values(needed, cone, free, price)
            if sum(map(self._price, kept)) > GAIN * sum(map(self._price, needed)):
                return
            bad = self._replace(kernel, needed, kept, recomputed({*kept, *free}, needed, cone))
            if not bad:
                return
            fixed |= bad

    def _cone(self, needed: Sequence[Value], fixed: set[Value]) -> list[Op]:
        """The ops that could make these values again, behind what is there anyway, in program order."""
        found: dict[Op, None] = {}
        todo = list(needed)
        while todo and len(found) < MOST_CONE:
            op = self.maker.get(todo.pop())
            if op is None or op in found or not is_cheap(op) or not fixed.isdisjoint(op.results):
                continue
            found[op] = None
            todo += [v for v in op.operands if not self._stays(v)]
        return sorted(found, key=self.order.__getitem__)

    def _stays(self, v: Value) -> bool:
        """Is it in a buffer anyway, so that what is behind it is not asked for? (A number has no buffer.)"""
        return v in self.stored and bool(v.shape)

    def _replace(
        self, kernel: _Kernel, needed: Sequence[Value], kept: Sequence[Value], again: Sequence[Op]
    ) -> set[Value]:
        """Let a kernel compute `needed` from `kept`; if it can't be, which values are not to be computed again."""
        env: dict[Value, Value] = {}
        copies: list[tuple[Op, Op]] = []
        for o in again:
            results = tuple(Value(r.type, r.name, r.location) for r in o.results)
            copy = Op(o.kind, tuple(env.get(v, v) for v in o.operands), o.attrs, o.regions, results)
            env.update(zip(o.results, results, strict=True))
            copies.append((o, copy))
        own = [Op(o.kind, tuple(env.get(v, v) for v in o.operands), o.attrs, o.regions, o.results) for o in kernel.ops]
        reads = [v for v in kernel.reads if v not in needed or v in kept]
        reads += [v for v in kept if v not in reads]
        new = _Kernel(kernel.op, reads, [*(c for _, c in copies), *own], kernel.leaves)
        if bad := self._contracted_otherwise(kernel, new, copies, own):
            return bad
        makers: dict[int, tuple[_Kernel, list[Value]]] = {}
        for v in kept:
            home = self.home.get(v)
            if home is not None and v not in home.leaves:
                makers.setdefault(id(home), (home, []))[1].append(v)
        wider = [_Kernel(k.op, k.reads, k.ops, [*k.leaves, *more]) for k, more in makers.values()]
        if not new.fits() or not all(k.fits() for k in wider):
            return set(needed)
        for k, more in makers.values():
            k.leaves += more
        kernel.reads, kernel.ops = new.reads, new.ops
        self.changed = True
        return set()

    def _contracted_otherwise(
        self, kernel: _Kernel, new: _Kernel, copies: Sequence[tuple[Op, Op]], own: Sequence[Op]
    ) -> set[Value]:
        """Values among the copies whose sums, or whose readers' sums, would take in other products than they do now."""
        after = _products_taken_in(new)
        bad: set[Value] = set()
        back = {c.result: o.result for o, c in copies}
        now: dict[Op, dict[Value, Value]] = {}
        for o, c in copies:
            home = self.home[o.result]
            if home.op not in now:
                now[home.op] = _products_taken_in(home)
            was = now[home.op].get(o.result)
            now_taken = after.get(c.result)
            if was is not (None if now_taken is None else back.get(now_taken, now_taken)):
                bad.add(o.result)
            elif was is not None and (_may_be_kept(home, was) or _may_be_kept(new, now_taken)):
                bad.add(o.result)
        before = _products_taken_in(kernel)
        for o in own:
            taken = after.get(o.result)
            if taken is not before.get(o.result) and taken in back:
                bad.add(back[taken])
        return bad

    def _emitted(self) -> Graph:
        """The graph of the changed kernels, without results that nobody reads."""
        read = {*self.graph.outputs}
        ops: list[Op] = []
        for op in reversed(self.graph.ops):
            if op in self.kernels:
                kernel = self.kernels[op]
                op = _closed(kernel, read)
                if solve_writes(op.regions[0].ops, op.regions[0].outputs) is None:
                    op = _closed(kernel, kernel.leaves)  # with what nobody reads it is one kernel, as was seen
            ops.append(op)
            read.update(op.operands)
        found = dce(Graph(self.graph.name, self.graph.inputs, tuple(ops[::-1]), self.graph.outputs))
        return found if _moved(found) < _moved(self.graph) else self.graph


def _moved(graph: Graph) -> int:
    """The bytes that its kernels read and write."""
    return sum(v.type.nbytes for op in graph.ops if op.kind is call for v in (*op.operands, *op.results))


def _opened(op: Op) -> _Kernel:
    """A call's kernel, over the values of the graph that it is in."""
    (region,) = op.regions
    env = {**dict(zip(region.outputs, op.results, strict=True)), **dict(zip(region.inputs, op.operands, strict=True))}
    ops = []
    for o in region.ops:
        results = tuple(env.get(r, r) for r in o.results)
        ops.append(Op(o.kind, tuple(env.get(v, v) for v in o.operands), o.attrs, o.regions, results))
    return _Kernel(op, list(op.operands), ops, list(op.results))


def _closed(kernel: _Kernel, read: Collection[Value]) -> Op:
    """The call again, with values of the region's own, of what is read."""
    results = tuple(v for v in kernel.leaves if v in read)
    live = set(results)
    ops = []
    for o in reversed(kernel.ops):
        if any(r in live for r in o.results):
            ops.append(o)
            live.update(o.operands)
    made = {r for o in ops for r in o.results}
    operands = tuple(dict.fromkeys(v for v in kernel.reads if v in live and v not in made))
    env = {v: Value(v.type, v.name, v.location) for v in operands}
    body = []
    for o in reversed(ops):
        own = tuple(Value(r.type, r.name, r.location) for r in o.results)
        body.append(Op(o.kind, tuple(env[v] for v in o.operands), o.attrs, o.regions, own))
        env.update(zip(o.results, own, strict=True))
    name = kernel.op.regions[0].name
    region = Graph(name, tuple(env[v] for v in operands), tuple(body), tuple(env[v] for v in results))
    return Op(call, operands, kernel.op.attrs, (region,), results)


def _may_be_kept(kernel: _Kernel, product: Value | None) -> bool:
    """Might a product be stored for a later loop of a row, so that no sum takes it in? What is dear to compute is."""
    maker = {r: o for o in kernel.ops for r in o.results}
    made = maker.get(product) if product is not None else None
    if made is None or all(v not in maker or maker[v].kind.name in CHEAP for v in made.operands):
        return False
    solved = solve_writes(kernel.ops, kernel.leaves)
    return solved is None or "row" in solved.space.reductions.values()


def _products_taken_in(kernel: _Kernel) -> dict[Value, Value]:
    """The product that each sum or difference takes in (`weft.ir.contraction`)."""
    producer = {r: o for o in kernel.ops for r in o.results}
    uses: dict[Value, int] = {}
    for v in [*(v for o in kernel.ops for v in o.operands), *kernel.leaves]:
        uses[v] = uses.get(v, 0) + 1
    found = {}
    for o in kernel.ops:
        if (taken := contracted(o, producer, uses, ())) is not None:
            found[o.result] = taken[1].result
    return found
