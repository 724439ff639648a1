"""Products of an array's shifts become one product, with its windows: convolutions written as sums of slices.

    x[0:n] . w0 + x[1:n+1] . w1 + x[2:n+2] . w2             ->  windows(x) . stack(w0, w1, w2)
    pad(g . w0; 0, 2) + pad(g . w1; 1, 1) + ...             ->  windows(pad(g; 2, 2)) . stack(.., w1, w0)
    x[0:n] . g;  x[1:n+1] . g;  x[2:n+2] . g                ->  parts of windows(x) . g

The second and third are what the first's gradient is made of, by x and by the w. One product of many terms runs at
another rate than many of a few, and needs none of the shifted copies (see `weft.codegen.windowed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.ops.control import call
from weft.ir.ops.linalg import dot, free_axes
from weft.ir.ops.movement import inverse_permutation
from weft.ir.records import dataclass
from weft.ir.views import View, view_of
from weft.passes.convolutions import grid, windows_at
from weft.passes.simplify import Rewriter

BLAS = ("f32", "f64")


@dataclass(frozen=True, eq=False)
class Term:
    """A product in a sum: `op`, of which operand `side` is shifted, transposed, and padded (as if before) or not."""

    op: Op
    side: int
    low: tuple[int, ...] | None
    high: tuple[int, ...] | None
    perm: tuple[int, ...]
    key: Any


def shifts(graph: Graph) -> Graph:
    """The graph, regions included, with such products as one. What is left without readers is for dce."""
    ops = tuple(op if op.kind is call else with_regions(op, shifts) for op in graph.ops)
    if any(a is not b for a, b in zip(ops, graph.ops, strict=True)):
        graph = Graph(graph.name, graph.inputs, ops, graph.outputs)
    if sum(op.kind is dot for op in graph.ops) < 2:
        return graph
    return _Shifter(graph).run()


class _Shifter:
    """sums: of the last addition of each sum, its terms. kin: of each product, those that differ in a shift alone."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.maker = graph.producers()
        self.uses = graph.uses()
        self.sums = self._sums()
        self.kin = self._kin()
        self.ctx = Rewriter(graph, {})
        self.env: dict[Value, Value] = {}
        self.made: dict[Any, Value] = {}

    def run(self) -> Graph:
        if not self.sums and not self.kin:
            return self.graph
        build = self.ctx.build
        for op in self.graph.ops:
            build.location = op.location
            done = self._sum(op) if op in self.sums else self._part(op) if op in self.kin else None
            if done is not None:
                self.env[op.result] = done
                continue
            copy = Op(op.kind, tuple(self._now(v) for v in op.operands), op.attrs, op.regions, op.results)
            build.ops.append(copy)
            self.ctx.producer.update(dict.fromkeys(op.results, copy))
        return build.finish([self._now(v) for v in self.graph.outputs])

    def _now(self, v: Value) -> Value:
        return self.env.get(v, v)

    # ---- sums ----------------------------------------------------------------------------------------

    def _sums(self) -> dict[Op, list[Value]]:
        """The last addition of each sum that has two products or more, and all that is added."""
        inner: set[Op] = set()
        found: dict[Op, list[Value]] = {}
        for op in reversed(self.graph.ops):
            if op.kind.name != "add" or op in inner or op.result.dtype not in BLAS:
                continue
            leaves = self._leaves(op, inner)
            terms = [t for v in leaves if (t := self._term(v)) is not None]
            keys = [t.key for t in terms]
            if any(keys.count(k) > 1 for k in keys):
                found[op] = leaves
        return found

    def _leaves(self, root: Op, inner: set[Op]) -> list[Value]:
        todo, found = list(root.operands), []
        while todo:
            v = todo.pop(0)
            op = self.maker.get(v)
            if op is not None and op.kind.name == "add" and v.shape == root.result.shape and self.uses[v] == 1:
                inner.add(op)
                todo = [*op.operands, *todo]
            else:
                found.append(v)
        return found

    def _term(self, v: Value) -> Term | None:
        """A value as a product with something shifted, by which it may be one with others."""
        low = high = None
        op = self.maker.get(v)
        if op is not None and op.kind.name == "pad":
            fill = self.maker.get(op.operands[1])
            if fill is None or fill.kind.name != "constant" or fill.attrs["value"] != 0:
                return None
            low, high = tuple(op.attrs["low"]), tuple(op.attrs["high"])
            v = op.operands[0]
            op = self.maker.get(v)
        perm = tuple(range(len(v.shape)))
        if op is not None and op.kind.name == "transpose":
            perm, v = tuple(op.attrs["perm"]), op.operands[0]
            op = self.maker.get(v)
        if low is not None and high is not None:
            back = inverse_permutation(perm)
            low, high = (tuple(ends[i] for i in back) for ends in (low, high))
        if op is None or op.kind is not dot or op.attrs["batch"][0] or not v.type.size:
            return None
        for side in (0, 1):
            a, b = op.operands[side], op.operands[1 - side]
            contract = (op.attrs["contract"][side], op.attrs["contract"][1 - side])
            common = (side, contract, a.type, b.type, perm)
            if low is None or high is None:
                view = view_of(a, self.maker.get)
                if view.source is not a and any(len(s) for s in view.steps):
                    shown = tuple(tuple(sorted(s.items())) for s in view.steps)
                    return Term(op, side, None, None, perm, (*common, view.source, shown))
                continue
            free = free_axes(len(a.shape), (), contract[0])
            first = 0 if side == 0 else len(v.shape) - len(free)
            if all(first <= d < first + len(free) for d, n in enumerate(map(max, low, high)) if n):
                total = tuple(map(sum, zip(low, high, strict=True)))
                return Term(op, side, low, high, perm, (*common, a, total))
        return None

    def _sum(self, op: Op) -> Value | None:
        """The sum, with one product for all terms that have a key."""
        groups: dict[Any, list[Term]] = {}
        rest: list[Value] = []
        of: dict[Value, Term] = {}
        for v in self.sums[op]:
            term = self._term(v)
            if term is None:
                rest.append(v)
            else:
                of.setdefault(v, term)
                groups.setdefault(term.key, []).append(term)
        total: Value | None = None
        for key, terms in groups.items():
            one = self._product(terms) if len(terms) > 1 else None
            if one is None:
                rest += [v for v in self.sums[op] if v in of and of[v].key == key]
            else:
                total = one if total is None else self.ctx.emit("add", total, one)
        if total is None:
            return None
        for v in rest:
            total = self.ctx.emit("add", total, self._now(v))
        return total if total.shape == op.result.shape else None

    def _product(self, terms: Sequence[Term]) -> Value | None:
        ctx, side = self.ctx, terms[0].side
        shifted = [self._shifted(t, terms) for t in terms]
        if any(v is None for v in shifted):
            return None
        seen = [(view_of(v, ctx.producer.get), v, t) for v, t in zip(shifted, terms, strict=True) if v is not None]
        seen.sort(key=lambda row: row[0].start)
        views, values = [row[0] for row in seen], [row[1] for row in seen]
        steps = grid(views, values)
        if steps is None:
            return None
        a = windows_at(ctx, values[0], views[0].source, steps)
        if a is None:
            return None
        others = [self._now(row[2].op.operands[1 - side]) for row in seen]
        counts = tuple(n for _, n, _ in steps)
        b = self._stack(others, counts)
        contract = terms[0].op.attrs["contract"]
        rank, extra = len(values[0].shape), len(counts)
        own = (*contract[side], *range(rank, rank + extra))
        their = (*(d + extra for d in contract[1 - side]), *range(extra))
        pair, operands = ((own, their), (a, b)) if side == 0 else ((their, own), (b, a))
        made = ctx.emit("dot", *operands, batch=((), ()), contract=pair)
        perm = terms[0].perm
        return made if perm == tuple(range(len(perm))) else ctx.emit("transpose", made, perm=perm)

    def _shifted(self, term: Term, terms: Sequence[Term]) -> Value | None:
        """The operand as it is read: padded terms read parts of what is padded for all of them."""
        ctx, op, side = self.ctx, term.op, term.side
        a = self._now(op.operands[side])
        if term.low is None:
            return a
        free = free_axes(len(a.shape), (), op.attrs["contract"][side])
        first = 0 if side == 0 else len(term.low) - len(free)
        low, high, start = [0] * len(a.shape), [0] * len(a.shape), [0] * len(a.shape)
        stop = list(a.shape)
        for i, d in enumerate(free):
            ends = [(t.low[first + i], t.high[first + i]) for t in terms if t.low is not None and t.high is not None]
            low[d], high[d] = (max(end) for end in zip(*ends, strict=True))
            start[d] = low[d] - term.low[first + i]
            stop[d] = start[d] + a.shape[d] + sum(ends[0])
        key = (a, tuple(low), tuple(high))
        if key not in self.made:
            self.made[key] = ctx.emit("pad", a, ctx.scalar(0, a.dtype), low=tuple(low), high=tuple(high))
        return ctx.emit("slice", self.made[key], start=tuple(start), stop=tuple(stop), step=(1,) * len(start))

    def _stack(self, values: Sequence[Value], counts: tuple[int, ...]) -> Value:
        """The values along axes of `counts` in front: a part of what they are parts of, or joined."""
        ctx, shape = self.ctx, values[0].shape
        if (whole := self._whole(values, counts)) is not None:
            return whole
        if (whole := self._whole(values[::-1], counts)) is not None:
            return ctx.emit("reverse", whole, axes=tuple(range(len(counts))))
        rows = [ctx.emit("reshape", v, shape=(1, *shape)) for v in values]
        return ctx.emit("reshape", ctx.emit("concatenate", *rows, axis=0), shape=(*counts, *shape))

    def _whole(self, values: Sequence[Value], counts: tuple[int, ...]) -> Value | None:
        ctx = self.ctx
        views = [view_of(v, ctx.producer.get) for v in values]
        x = views[0].source
        steps = grid(views, values, overlap=False)
        chain, v = [], values[0]
        while v is not x:
            chain.append(ctx.producer[v].kind.name)
            v = ctx.producer[v].operands[0]
        if steps is None or set(chain) - {"slice", "reshape"} or chain.count("slice") != 1:
            return None
        first, at = views[0].start, {d: n for d, n, _ in steps}
        if tuple(at.values()) != counts or any(by != 1 for _, _, by in steps):
            return None
        part = next(op for op in self._up(values[0], x) if op.kind.name == "slice")
        stop = tuple(first[d] + at[d] if d in at else part.attrs["stop"][d] for d in range(len(x.shape)))
        whole = ctx.emit("slice", x, start=first, stop=stop, step=part.attrs["step"])
        perm = (*at, *(d for d in range(len(x.shape)) if d not in at))
        return ctx.emit("reshape", ctx.emit("transpose", whole, perm=perm), shape=(*counts, *values[0].shape))

    def _up(self, v: Value, x: Value) -> list[Op]:
        found = []
        while v is not x:
            found.append(self.ctx.producer[v])
            v = found[-1].operands[0]
        return found

    # ---- kin -----------------------------------------------------------------------------------------

    def _kin(self) -> dict[Op, tuple[int, list[Op]]]:
        """Of each product, those that differ from it in a shift of operand `side` alone, in the grid's order."""
        groups: dict[Any, list[tuple[View, Op]]] = {}
        for op in self.graph.ops:
            if op.kind is not dot or op.result.dtype not in BLAS or op.attrs["batch"][0] or not op.result.type.size:
                continue
            for side in (0, 1):
                a, other = op.operands[side], op.operands[1 - side]
                view = view_of(a, self.maker.get)
                if view.source is not a:
                    shown = tuple(tuple(sorted(s.items())) for s in view.steps)
                    key = (side, other, tuple(op.attrs["contract"]), a.type, view.source, shown)
                    groups.setdefault(key, []).append((view, op))
        found: dict[Op, tuple[int, list[Op]]] = {}
        for (side, *_), members in groups.items():
            members.sort(key=lambda m: m[0].start)
            ops = [op for _, op in members]
            if grid([v for v, _ in members], [op.operands[side] for op in ops]) and not any(op in found for op in ops):
                found.update((op, (side, ops)) for op in ops)
        return found

    def _part(self, op: Op) -> Value | None:
        """The product as a part of that of all its kin; None where not all of them can be made by now."""
        ctx = self.ctx
        side, ops = self.kin[op]
        if ops[0] not in self.made and any(not self._there(o.operands[side]) for o in ops):
            for o in ops:
                del self.kin[o]
            return None
        values = [self._now(o.operands[side]) for o in ops]
        views = [view_of(v, ctx.producer.get) for v in values]
        steps = grid(views, values)
        if steps is None:
            return None
        if ops[0] not in self.made:
            a = windows_at(ctx, values[0], views[0].source, steps)
            if a is None:
                return None
            operands = (a, self._now(op.operands[1])) if side == 0 else (self._now(op.operands[0]), a)
            self.made[ops[0]] = ctx.emit("dot", *operands, batch=((), ()), contract=op.attrs["contract"])
        whole = self.made[ops[0]]
        contract = op.attrs["contract"][side]
        behind = len(free_axes(len(op.operands[1].shape), (), op.attrs["contract"][1])) if side == 0 else 0
        first = len(whole.shape) - behind - len(steps)  # the first of the grid's axes
        assert len(whole.shape) == len(op.result.shape) + len(steps) and contract
        at = ops.index(op)
        start, stop = [0] * len(whole.shape), list(whole.shape)
        for i, (_, n, _) in reversed(list(enumerate(steps))):
            start[first + i], stop[first + i], at = at % n, at % n + 1, at // n
        one = ctx.emit("slice", whole, start=tuple(start), stop=tuple(stop), step=(1,) * len(start))
        return ctx.emit("reshape", one, shape=op.result.shape)

    def _there(self, v: Value) -> bool:
        """Is it made by now?"""
        return v in self.ctx.producer or v in self.env or v not in self.maker
