"""Recompute or store: a value that one kernel stores for others is made again by them where that moves fewer bytes.

    t, ... = k0(x)                     ... = k0(x)                 t = x * x: stored once and read once, 8 bytes an
    y = k1(t, x, z)                    y = k1(x, z)                element; made again, one multiplication and no byte

`fuse` gives every value that costs work one home. Where the homes of a cheap value's readers can't be one kernel (their
loops differ, or a path leads around) it is stored by the first and read by the others. Here the cost model
(`weft.ir.cost`) decides for each such value anew. Made again, it costs its readers the operations, and reads of what
it is made of, as far as they don't read that already; it saves one write and, for each reader, a read. The times of all
kernels concerned are compared, as the roofline has them.

All readers follow, or none: what one still reads has to be stored. What a value is made of may live longer for that,
instead of it: hardly by more bytes than the value had, and not where it is to be overwritten (a part of it is written,
or a loop carries it), which can be done in place only after its last reader. Values are taken in order, the last first,
so that a chain is followed back as far as it pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from weft.ir.cost import TYPICAL, Cost, cost, group_cost
from weft.ir.dims import value_of
from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.ops.control import call
from weft.ir.space import CHEAP, SCATTERS, WINDOWS, is_free
from weft.ir.writes import solve_writes

LONGEST = 16  # ops that are made again for one value
MOST = 64  # ops of a kernel: the time of `solve_writes` goes with them
READERS = 4  # kernels that make a value again, at most


@dataclass
class _Kernel:
    """A call while it changes: its op, and its cost once that is known."""

    op: Op
    known: Cost | None = None

    @property
    def cost(self) -> Cost:
        if self.known is None:
            self.known = cost(self.op.regions[0])
        return self.known


def recompute(graph: Graph) -> Graph:
    """Change the kernels of a fused graph, and those of its regions, so that they store less."""
    return _recompute(graph, inner=False)


def _recompute(graph: Graph, inner: bool = True) -> Graph:
    ops = [op if op.kind is call else with_regions(op, _recompute) for op in graph.ops]
    kernels = {i: _Kernel(op) for i, op in enumerate(ops) if op.kind is call}
    readers: dict[Value, list[int]] = {}
    last: dict[Value, int] = {v: len(ops) for v in graph.outputs}
    overwritten = _overwritten(ops) | (set(graph.inputs) if inner else set())
    for i, op in enumerate(ops):
        for v in op.operands:
            readers.setdefault(v, []).append(i)
            last[v] = max(last.get(v, 0), i)
    held = set(graph.outputs)
    for i in reversed(kernels):
        for v in reversed(kernels[i].op.results):
            who = readers.get(v, [])
            if v in held or not 0 < len(who) <= READERS or not all(u in kernels for u in who):
                continue
            changed = _without(v, i, kernels, who, last, overwritten)
            if changed is not None:
                for u, op in changed.items():
                    for x in kernels[u].op.operands:
                        readers[x] = [r for r in readers[x] if r != u]
                    for x in op.operands:
                        readers.setdefault(x, []).append(u)
                        last[x] = max(last[x], u)
                    kernels[u] = _Kernel(op)
    if all(k.op is ops[i] for i, k in kernels.items()) and all(a is b for a, b in zip(ops, graph.ops, strict=True)):
        return graph
    rest = [kernels[i].op if i in kernels else op for i, op in enumerate(ops)]
    return replace(graph, ops=tuple([op for op in rest if op.kind is not call or op.results]))


def _overwritten(ops: Sequence[Op]) -> set[Value]:
    """Arrays that kernels write parts of, and what loops and branches are given."""
    found: set[Value] = set()
    for op in ops:
        if op.kind is not call:
            found.update(op.operands if op.regions else ())
            continue
        outside = dict(zip(op.regions[0].inputs, op.operands, strict=True))
        bases = [o.operands[0] for o in op.regions[0].ops if o.kind.name in WINDOWS | SCATTERS]
        found.update(outside[v] for v in bases if v in outside)
    return found


def _without(
    v: Value, i: int, kernels: dict[int, _Kernel], who: Sequence[int], last: dict[Value, int], overwritten: set[Value]
) -> dict[int, Op] | None:
    """Kernel i, which makes `v`, and its readers `who`, changed so that `v` is not stored. Or None: it is dearer."""
    maker = kernels[i].op
    region = maker.regions[0]
    inner = region.outputs[maker.results.index(v)]
    chain = _chain(region, inner)
    if chain is None or region.outputs.count(inner) > 1 or not _same_bits(region, inner, chain, len(who)):
        return None
    outside = dict(zip(region.inputs, maker.operands, strict=True))
    needed = [x for x in dict.fromkeys(x for op in chain for x in op.operands) if x in outside]
    longer = [outside[x] for x in needed if last[outside[x]] < max(who)]
    if 4 * sum(value_of(x.type.nbytes) for x in longer) > 5 * value_of(v.type.nbytes) or any(x in overwritten for x in longer):
        return None
    changed = {i: _dropped(maker, v)}
    before, after = kernels[i].cost.seconds(TYPICAL), 0.0
    if changed[i].results:
        after += cost(changed[i].regions[0]).seconds(TYPICAL)
    for u in who:
        before += kernels[u].cost.seconds(TYPICAL)
        changed[u] = _taken_in(kernels[u].op, v, inner, chain, outside)
        body = changed[u].regions[0]
        after += group_cost(body.ops, body.outputs).seconds(TYPICAL)
    if after >= before or not all(_is_kernel(changed[u].regions[0]) for u in changed if changed[u].results):
        return None
    return changed


def _chain(region: Graph, v: Value) -> list[Op] | None:
    """The ops that make `v` from a kernel's inputs, in order: few, cheap, and none that reduces."""
    producer = region.producers()
    found: set[Op] = set()
    todo = [v]
    while todo:
        op = producer.get(todo.pop())
        if op is None or op in found:
            continue
        if not (is_free(op) or (op.kind.family == "elementwise" and op.kind.name in CHEAP)):
            return None
        found.add(op)
        if len(found) > LONGEST:
            return None
        todo += op.operands
    return [op for op in region.ops if op in found] if v in producer else None


def _same_bits(region: Graph, v: Value, chain: Sequence[Op], readers: int) -> bool:
    """Is the value the same in all kernels? Code generation contracts a product with the one sum that reads it, if it
    is the only one in its kernel: so who reads the chain's products must not change, or nobody else must care."""
    uses = region.uses()
    for op in chain:
        if op.kind.name != "mul":
            continue
        (r,) = op.results
        if r is v:
            if uses[r] > 1 or readers > 1:
                return False
        elif uses[r] != sum(o.operands.count(r) for o in chain):
            return False
    return True


def _dropped(op: Op, v: Value) -> Op:
    """A kernel that does not give `v`, nor what only that needs."""
    region = op.regions[0]
    kept = [(r, inner) for r, inner in zip(op.results, region.outputs, strict=True) if r is not v]
    needed = {inner for _, inner in kept}
    body: list[Op] = []
    for o in reversed(region.ops):
        if any(r in needed for r in o.results):
            needed.update(o.operands)
            body.append(o)
    reads = [(x, inner) for x, inner in zip(op.operands, region.inputs, strict=True) if inner in needed]
    graph = replace(region, inputs=tuple(inner for _, inner in reads), ops=tuple(reversed(body)),
                    outputs=tuple(inner for _, inner in kept))  # fmt: skip
    return Op(call, tuple(x for x, _ in reads), {}, (graph,), tuple(r for r, _ in kept))


def _taken_in(reader: Op, v: Value, inner: Value, chain: Sequence[Op], outside: dict[Value, Value]) -> Op:
    """A kernel that makes `v` itself instead of reading it."""
    region = reader.regions[0]
    mine = dict(zip(reader.operands, region.inputs, strict=True))
    env: dict[Value, Value] = {}
    operands = [x for x in reader.operands if x is not v]
    for x in dict.fromkeys(x for op in chain for x in op.operands):
        if x in outside:
            own = mine.get(outside[x])
            if own is None:
                own = mine[outside[x]] = Value(x.type, x.name, x.location)
                operands.append(outside[x])
            env[x] = own
    copies = []
    for op in chain:
        for r in op.results:
            env[r] = Value(r.type, r.name, r.location)
        results = tuple(env[r] for r in op.results)
        copies.append(Op(op.kind, tuple(env.get(x, x) for x in op.operands), op.attrs, op.regions, results))
    old, new = mine[v], env[inner]
    body = [
        Op(o.kind, tuple(new if x is old else x for x in o.operands), o.attrs, o.regions, o.results) for o in region.ops
    ]
    outputs = tuple(new if x is old else x for x in region.outputs)
    graph = replace(region, inputs=tuple(mine[x] for x in operands), ops=(*copies, *body), outputs=outputs)
    return Op(call, tuple(operands), {}, (graph,), reader.results)


def _is_kernel(region: Graph) -> bool:
    """Is it still one iteration space, and not too much of one?"""
    return len(region.ops) <= MOST and solve_writes(region.ops, region.outputs) is not None
