"""Lowering: a fused group (a graph) becomes one kernel (Kernel IR).

    rows r, in parallel chunks          the outer axes, flattened
      loop 0 over the row's columns     values that reductions or outputs ask for, computed on demand
      row values                        between the loops: what a row's reductions gave
      loop 1 ...
    after all chunks                    sums over rows: combine the chunks' parts, then their epilogue

Values are computed where they are asked for, once per loop. One that a later loop asks for again is read
back (from the output that holds it, or a row of scratch) if it was dear, recomputed if it was cheap.

An output that is a part of an array (`weft.ir.writes`) is stored through its window. Unless the array's buffer is the
output's, the first chunk copies what lies around the window.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from weft.codegen import accumulate
from weft.codegen.around import copy_around, fill_behind
from weft.codegen.checks import Checks
from weft.codegen.kernel import (
    Affine,
    Buffer,
    Compute,
    For,
    Index,
    Kernel,
    Load,
    Share,
    Statement,
    Store,
    var,
    with_sizes,
)
from weft.codegen.reading import Names, Reader, op_scalar, rigid_axes
from weft.codegen.scalar import expression
from weft.codegen.scope import Scope
from weft.codegen.shaping import shaped
from weft.codegen.special import SPECIAL
from weft.codegen.stages import Stages
from weft.codegen.streams import pays
from weft.codegen.tiling import THREADS, Tiling, chunks_of
from weft.ir.contraction import contracted
from weft.ir.dims import may_exceed, same, value_of
from weft.ir.graph import Graph, Op, Value
from weft.ir.lengths import Lengths
from weft.ir.space import is_free, is_relabel, leaves
from weft.ir.types import strides_of
from weft.ir.writes import Window, solve_writes


class Lowering:
    """State of one kernel's lowering. `run` gives the kernel."""

    def __init__(
        self, graph: Graph, alias: Mapping[int, int], tiling: Tiling, bounds: list[Op], streams: Collection[int]
    ) -> None:
        solved = solve_writes(graph.ops, graph.outputs)
        if solved is None:
            raise ValueError(f"{graph.name} is not one kernel:\n{graph}")
        group, self.space, self.bounds = solved.group, solved.space, solved.bounds
        self.ends = self.bounds.rows  # here: axis -> the length at which its loop ends, in this phase
        self.lengths = Lengths(group.ops)
        self.graph = graph = Graph(graph.name, graph.inputs, group.ops, group.outputs)
        self.tiling = tiling
        self.windows: dict[Value, Window] = {graph.outputs[j]: w for j, w in group.windows.items()}
        self.names = Names()
        self.producer = graph.producers()
        self.alias = dict(alias)  # output position -> input position that shares its buffer
        self.buffers: list[Buffer] = []
        self.buffer_of: dict[Value, str] = {}
        self.out_of: dict[Value, str] = {}
        self._declare(streams)
        self._shape_loops()
        self.reader = Reader(self)
        self.checks = Checks(self, bounds)
        self.uses = graph.uses()
        self.stages = Stages(self)
        self.kept = self.stages.kept
        self.streams -= {buffer for buffer, _ in self.kept.values()}
        if not pays(self):
            self.streams.clear()

    def _declare(self, streams: Collection[int]) -> None:
        taken = {self.graph.inputs[i] for i in self.alias.values()}
        for v in self.graph.inputs:
            name = self.names.fresh(v.name or "x")
            self.buffer_of[v] = name
            self.buffers.append(Buffer(name, v.dtype, v.type.size, "inout" if v in taken else "in"))
        for i, v in enumerate(self.graph.outputs):
            if i in self.alias:
                self.out_of[v] = self.buffer_of[self.graph.inputs[self.alias[i]]]
                continue
            name = self.names.fresh(v.name or "y")
            self.out_of[v] = name
            whole = self.windows[v].base if v in self.windows else v
            self.buffers.append(Buffer(name, v.dtype, whole.type.size, "out"))
        self.written = {self.out_of[v] for v in self.graph.outputs}
        self.streams = {self.out_of[self.graph.outputs[i]] for i in streams if i not in self.alias}
        self.collected: dict[str, str] = {}  # streamed buffer -> where blocks of it are collected

    def _shape_loops(self) -> None:
        """Merge neighbouring axes that every buffer walks as one, and choose rows and columns."""
        space = self.space
        n = len(space.extent)
        inner = set(space.inner)
        fixed = rigid_axes(self.graph, space)
        for v, w in self.windows.items():
            walk = zip(space.axes[v], strides_of(w.base.shape), w.step, strict=True)
            fixed.walks.append({a: s * step for a, s, step in walk if a is not None})
        fixed.axes.update(self.bounds.axes)
        walks = fixed.walks
        self.axis_of: dict[str, int] = {}  # of a loop that is one axis alone
        self.axis_var: dict[int, Affine] = {}
        groups: list[list[int]] = []
        for a in range(n):
            if groups and a not in fixed.axes:
                b = groups[-1][-1]
                alike = (a in inner) == (b in inner) and b not in fixed.axes
                if alike and all(same(w.get(b, 0), w.get(a, 0) * space.extent[a]) for w in walks):
                    groups[-1].append(a)
                    continue
            groups.append([a])
        self.dims: list[tuple[str, int, bool]] = []  # (variable, trip count, inner?)
        for group in groups:
            count = 1
            for a in group:
                count *= space.extent[a]
            name = self.names.fresh(("c" if group[0] in inner else "r") + (str(group[-1]) if n > 2 else ""))
            self.dims.append((name, count, group[0] in inner))
            if len(group) == 1:
                self.axis_of[name] = group[0]
            for a in group[:-1]:
                self.axis_var[a] = Affine()
            self.axis_var[group[-1]] = var(name)
        rows = [d for d in self.dims if not d[2]]
        cols = [d for d in self.dims if d[2]]
        self.flat = not cols and len(rows) <= 1
        if not cols:
            cols, rows = rows[-1:], rows[:-1]
        self.rows, self.cols = rows, cols
        self.across = accumulate.runs_across(self)
        self.row_count = math.prod(count for _, count, _ in rows)
        # axes whose values live inside a row's loops
        col_names = {name for name, _, _ in cols}
        self.col_axes = {
            a for group, (name, _, _) in zip(groups, self.dims, strict=True) for a in group if name in col_names
        }

    def mask(self, v: Value) -> set[int]:
        return {a for a in self.space.axes.get(v, ()) if a is not None}

    def in_columns(self, v: Value) -> bool:
        """Does this value differ along a row?"""
        return bool(self.mask(v) & self.col_axes)

    # ---- emission --------------------------------------------------------------------------------

    def run(self) -> Kernel:
        self.work = self.space.size() * (self.cost() + 2 * len(self.graph.inputs) + 2)
        self.chunks = chunks_of(self)
        columns = math.prod(count for _, count, _ in self.cols)
        for v, (name, _) in self.kept.items():
            if name not in self.out_of.values():
                self.buffers.append(Buffer(name, v.dtype, columns * self.chunks, "chunk"))
        top = Scope([], {})
        self.top = top
        for j, v in enumerate(self.graph.outputs):
            if v in self.windows and j not in self.alias:
                top.statements += copy_around(self, self.windows[v], self.out_of[v])
        top.statements += fill_behind(self)
        early = leaves(self.graph.ops)
        for op in self.graph.ops:
            if op.kind.name == "agree" and op.result in early:  # whether or not it is looked at
                self.value(op.result, top)
        self.accumulators = accumulate.Rows(self)
        self.accumulators.begin(top)
        main = Scope([], {}, top) if self.bounds.guards else top
        if self.flat:
            count = self.cols[0][1] if self.cols else 1
            self._row(main, *self._bounds(main, count))
        elif self.across:
            name, count, _ = self.cols[0]
            lo, hi = self._bounds(main, count)
            inner = Scope([], {}, main)
            self.accumulators.fill(inner)
            self._rows(inner)
            main.statements.append(For(name, lo, hi, inner.statements))
        elif self.rows:
            self._rows(main)
        else:
            self._row(main, None, None)
        if self.bounds.guards:
            nest = main.statements
            for n in self.bounds.guards:
                nest = [For(self.names.fresh("once"), Affine(), self.reader.start(n), nest)]
            top.statements += nest
        self.accumulators.end(top)
        final = self.accumulators.final()
        self.checks.report(top, top.statements)
        self.checks.report(self.top, final)
        sources = tuple(dict.fromkeys(str(op.location) for op in self.graph.ops if op.location))
        serial = "a write to a part of an array" if self.windows else "bound" if self.checks.error else ""
        serial = serial or ("a slice that moves" if self.bounds else "")
        buffers, body = tuple(self.buffers), top.statements
        return Kernel(self.graph.name, buffers, self.chunks, body, final, sources, self.work, serial)

    def cost(self) -> int:
        """Instructions per element."""
        computed = (op for op in self.graph.ops if op.kind.family == "elementwise" and not is_free(op))
        return sum(op_scalar(op).cost for op in computed)

    def _bounds(self, scope: Scope, count: int) -> tuple[Affine, Affine]:
        if same(self.chunks, 1):
            return Affine(), Affine(count)
        lo, hi = self.names.fresh("lo"), self.names.fresh("hi")
        scope.statements.append(Share(lo, hi, count, self.chunks))
        return var(lo), var(hi)

    def end(self, name: str, stop: Affine, scope: Scope) -> Affine:
        """Where the loop over this variable ends: at `stop`, or at a length before."""
        n = self.ends.get(self.axis_of.get(name, -1))
        if n is None:
            return stop
        for length in self.lengths.all_of(n):  # a promise that was not kept must not lead out of an array
            end = self.names.fresh("end")
            scope.statements.append(Index(end, "min", stop, self.reader.start(length)))
            stop = var(end)
        return stop

    def loop_of(self, axis: int | None) -> str:
        """The variable of the loop that is this axis alone."""
        return next((name for name, a in self.axis_of.items() if a == axis), "")

    def _rows(self, scope: Scope) -> None:
        """The loop over rows. Where the first of its axes has enough for all chunks, or some end early, they are loops
        of their own, the first one shared: a row's place then takes no division, and what its outer axes alone decide
        is read once."""
        inner = Scope([], {}, scope)
        few = 1 < value_of(self.chunks) and value_of(self.rows[0][1]) < 2 * value_of(self.chunks) and not self.across
        if len(self.rows) > 1 and few and not any(self.axis_of.get(name) in self.ends for name, _, _ in self.rows):
            lo, hi = self._bounds(scope, self.row_count)
            row = self.names.fresh("row")
            self._decompose(row, inner)
            self._row(inner, None, None)
            scope.statements.append(For(row, lo, hi, inner.statements))
            return
        first, count, _ = self.rows[0]
        lo, hi = (Affine(), Affine(count)) if self.across else self._bounds(scope, count)
        self._row(inner, None, None)
        hi = self.end(first, hi, scope)
        nest: list[Statement] = inner.statements
        for name, count, _ in reversed(self.rows[1:]):
            nest = [For(name, Affine(), self.end(name, Affine(count), scope), nest)]
        scope.statements.append(For(first, lo, hi, nest))

    def _decompose(self, row: str, scope: Scope) -> None:
        """row -> one index per outer dim."""
        rest = var(row)
        for name, count, _ in reversed(self.rows[1:]):
            scope.statements.append(Index(name, "mod", rest, Affine(count)))
            quotient = self.names.fresh("q")
            scope.statements.append(Index(quotient, "floordiv", rest, Affine(count)))
            rest = var(quotient)
        scope.statements.append(Index(self.rows[0][0], "min", rest, rest))

    def _row(self, scope: Scope, lo: Affine | None, hi: Affine | None) -> None:
        """All loops of one row, and the row's own values between and after them."""
        self.row_scope = scope
        for loop in range(self.stages.loop_count):
            roots = [op for at, op in self.stages.roots if at == loop]
            if roots:
                self.ends = self.bounds.loop(loop)
                self._loop(scope, loop, roots, lo, hi)
        self.ends = self.bounds.rows
        for at, op in self.stages.roots:
            if at == -1:
                self.accumulators.row_value(op, self.operand(op, 0, scope), scope)
        stores: list[Statement] = []
        for v in self.graph.outputs:
            made = self.producer.get(v)
            if made is not None and made not in self.space.final and not self.in_columns(v):
                if self.space.reductions.get(made) in ("column", "full"):
                    continue
                stores.append(Store(self.out_of[v], v.dtype, self.place(v), self.value(v, scope)))
        scope.statements += stores

    def _loop(self, scope: Scope, loop: int, roots: Sequence[Op], lo: Affine | None, hi: Affine | None) -> None:
        """One pass over a row's columns."""
        partial = self.accumulators.open(scope, [op for op in roots if op.kind.family == "reduce"])
        name, count, _ = self.cols[-1] if self.cols else (self.names.fresh("c"), 1, True)
        start, stop = (lo, hi) if lo is not None and hi is not None else (Affine(), Affine(count))
        stop = self.end(name, stop, scope)
        size = self.tiling.block
        nested = len(self.cols) > 1 and not self.tiling.nests
        blocked = bool(partial.wide) and (nested or may_exceed(self.accumulators.columns, size))
        run = Scope([], {}, scope, loop)  # what surrounds the innermost loop
        body = Scope([], {}, run, loop)
        if blocked:
            partial.begin_block(run)
        stores: list[Statement] = []  # after every load: an output may share an input's buffer
        for op in roots:
            if op.kind.family == "reduce":
                partial.add(op, self.operand(op, 0, body), body)
            else:
                text = self.value(op.result, body)
                stores.append(Store(self.out_of[op.result], op.result.dtype, self.place(op.result), text))
        body.statements += stores
        if blocked and may_exceed(count, size):
            block, end = self.names.fresh("b"), self.names.fresh("e")
            limit = var(block) + size
            if start.terms or stop.terms or not same((stop.const - start.const) % size, 0):
                run.statements.append(Index(end, "min", limit, stop))
                limit = var(end)
            run.statements += shaped(self, For(name, var(block), limit, body.statements, vector=True), count)
            partial.end_block(run)
            nest: list[Statement] = [For(block, start, stop, run.statements, step=size)]
        else:
            run.statements += shaped(self, For(name, start, stop, body.statements, vector=True), count)
            if blocked:
                partial.end_block(run)
            nest = run.statements
        for outer_name, outer_count, _ in reversed(self.cols[self.across : -1]):
            nest = [For(outer_name, Affine(), self.end(outer_name, Affine(outer_count), scope), nest)]
        scope.statements.extend(nest)
        partial.close(scope)

    # ---- values ------------------------------------------------------------------------------------

    def index_of(self, axes: Sequence[int | None]) -> list[Affine]:
        return [Affine() if a is None else self.axis_var[a] for a in axes]

    def flat_index(self, dims: Sequence[int], axes: Sequence[int | None]) -> Affine:
        """Position in a row-major buffer of a value that varies along `axes`."""
        total = Affine()
        for stride, a in zip(strides_of(tuple(dims)), axes, strict=True):
            if a is not None:
                total = total + self.axis_var[a] * stride
        return total

    def place(self, v: Value) -> Affine:
        """Position in its buffer where an output's element is stored."""
        w = self.windows.get(v)
        if w is None:
            return self.flat_index(v.shape, self.space.axes[v])
        total = Affine()
        for stride, at in zip(strides_of(w.base.shape), self.inside(w, self.index_of(self.space.axes[v])), strict=True):
            total = total + at * stride
        return total

    def inside(self, w: Window, index: Sequence[Affine]) -> list[Affine]:
        """Where an index of the window's part is in the whole."""
        start = [self.reader.start(s) if isinstance(s, Value) else Affine(s) for s in w.start]
        return [at * step + lo for at, step, lo in zip(index, w.step, start, strict=True)]

    def scratch_place(self) -> Affine:
        """Position in a chunk's row of scratch."""
        total, step = Affine(), 1
        for name, count, _ in reversed(self.cols):
            total = total + var(name) * step
            step *= count
        if not same(self.chunks, 1):
            total = total + var("chunk") * step
        return total

    def operand(self, op: Op, position: int, scope: Scope) -> str:
        v = op.operands[position]
        if v in self.space.axes:
            return self.value(v, scope)
        axes = self.space.axes.get((op, position), (None,) * len(v.shape))
        return self.reader.element(v, self.index_of(axes), scope)

    def value(self, v: Value, scope: Scope) -> str:
        """The name that holds an element of `v` here, computed now if need be."""
        known = scope.find(v)
        if known is not None:
            return known
        op = self.producer[v]
        home = scope if self.in_columns(v) or scope.loop < 0 else self.row_scope
        keep = self.kept.get(v)
        if keep is not None and scope.loop > keep[1]:
            name = self.names.fresh(v.name or "t")
            at = self.place(v) if keep[0] in self.out_of.values() else self.scratch_place()
            scope.statements.append(Load(name, v.dtype, keep[0], at))
        elif is_relabel(op):
            name = self.operand(op, 0, home)
        elif is_free(op):
            name = self.reader.element(v, self.index_of(self.space.axes[v]), home)
        elif op.kind.name == "bound":
            name = self.checks.check(op, self.operand(op, 0, home), home)
        elif op.kind.name == "agree":
            name = self.checks.agree(op, [self.operand(op, i, home) for i in (0, 1)], home)
        else:
            name = self._limited(op, home) if op.kind.name == "limit" else self._compute(op, home)
            if keep is not None and keep[0] not in self.out_of.values():
                home.statements.append(Store(keep[0], v.dtype, self.scratch_place(), name))
        home.known[v] = name
        return name

    def ended(self, axis: int | None, length: Value) -> bool:
        """Whether the loop along an axis ends at this length."""
        return axis is not None and self.ends.get(axis) is self.lengths.of(length)

    def _limited(self, op: Op, home: Scope) -> str:
        """An element of what has a length: a test of its place, unless the loop ends there."""
        axis = self.space.axes[op.result][op.attrs["axis"]]
        x = self.operand(op, 0, home)
        if self.ended(axis, op.operands[2]):
            return x
        place = Affine() if axis is None else self.axis_var[axis]
        inside = self.reader.before(place, op.operands[2], home)
        return self.reader.choose(inside, x, self.operand(op, 1, home), op.result.dtype, home)

    def _compute(self, op: Op, home: Scope) -> str:
        """One element of an elementwise op."""
        product = contracted(op, self.producer, self.uses, self.kept)
        if product is not None:
            side, made = product
            parts = [(made, 0), (made, 1), (op, 1 - side)]
            template = "fma(a, b, c)" if op.kind.name == "add" else ("fma(-a, b, c)" if side else "fma(a, b, -c)")
            scalar, note = expression(template, [op.result.dtype] * 3, op.result.dtype), "fma"
        else:
            parts = [(op, i) for i in range(len(op.operands))]
            scalar, note = op_scalar(op), op.kind.name
        operands = tuple(self.operand(reader, i, home) for reader, i in parts)
        name = self.names.fresh(op.result.name or "t")
        home.statements.append(Compute(name, scalar, operands, note, op.location))
        return name


def lower(
    graph: Graph,
    alias: Mapping[int, int] | None = None,
    tiling: Tiling = THREADS,
    bounds: list[Op] | None = None,
    streams: Collection[int] = (),
) -> Kernel:
    """The kernel of a fused group.

    `alias` maps output positions to inputs whose buffer they reuse. The `bound`s that the kernel checks are added to
    `bounds`: number n (from 1) of the list is what the kernel reports as n. `streams`: output positions whose elements
    are not read again before long.
    """
    for op in graph.ops:
        if op.kind.name in SPECIAL:
            return with_sizes(SPECIAL[op.kind.name](graph, op, alias or {}))
    return with_sizes(Lowering(graph, alias or {}, tiling, [] if bounds is None else bounds, streams).run())
