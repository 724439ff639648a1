"""Reductions inside a kernel: where their accumulators live and how they are combined.

    row      a variable per row; long rows are summed in blocks, the blocks' sums in f64 (f64: compensated)
    full     the row's value goes on to a variable of the chunk, the chunks' values to the result
    column   an array of columns per chunk, added to by every row, combined after all chunks; or, of many columns
             along several axes, each chunk has some for itself, in all rows

Blocks keep the error no worse than that of NumPy's pairwise sum, which adds 16 numbers to each of 8 partial sums:
within a block of 512 a vector loop has 32 partial sums or more; across blocks nothing is lost (f64), or a
compensated sum is kept (Kahan 1965).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from weft.codegen.kernel import (
    Accumulate,
    AccumulateArg,
    AccumulateAt,
    Affine,
    Assign,
    Buffer,
    Compute,
    Constant,
    For,
    Index,
    Load,
    Read,
    Statement,
    Store,
    ToIndex,
    Variable,
    var,
)
from weft.codegen.scalar import Scalar, expression
from weft.codegen.scope import Scope
from weft.ir.dims import may_exceed, same, value_of
from weft.ir.graph import Op
from weft.ir.opdef import REGISTRY
from weft.ir.space import ARG

if TYPE_CHECKING:
    from weft.codegen.lower import Lowering


ACROSS = 1 << 12  # columns: chunks that each had all of so many would add to what is not in the nearest cache


def near_dtype(dtype: str) -> str:
    """dtype of a partial result: half is accumulated in single."""
    return "f32" if dtype == "f16" else dtype


def wide_dtype(op: Op) -> str:
    """dtype of what partial results are combined in."""
    dtype = near_dtype(op.result.dtype)
    return "f64" if dtype[0] == "f" and op.kind.name in ("sum", "prod") else dtype


def combiner(op: Op, dtype: str) -> Scalar:
    template = REGISTRY[op.kind.extra["combine"]].scalar_for(dtype)
    return expression(template, [dtype, dtype], dtype)


def identity(op: Op, dtype: str) -> Any:
    return op.kind.extra["identity"](dtype)


def runs_across(low: Lowering) -> bool:
    """Whether the first axis of the columns is shared out, and not the rows: for a sum over a middle axis. A chunk's
    columns are complete then when it ends, and few enough at a time to stay near while rows are added to them."""
    columns = rows = 1
    for _, count, _ in low.cols:
        columns *= value_of(count)
    for _, count, _ in low.rows:
        rows *= value_of(count)
    plain = not low.windows and not low.bounds and not low.tiling.nests and len(low.cols) > 1
    only = set(low.space.reductions.values()) == {"column"}
    return plain and only and columns > ACROSS >= rows and value_of(low.cols[0][1]) >= 2 * low.tiling.rows


class Rows:
    """The accumulators of one kernel."""

    def __init__(self, lowering: Lowering) -> None:
        self.low = lowering
        self.names = lowering.names
        self.reductions = lowering.space.reductions
        self.chunk_var: dict[Op, tuple[str, str]] = {}  # full reduction -> (sum, compensation or "")
        self.parts: dict[Op, str] = {}  # full and column reductions -> buffer of the chunks' results
        self.columns = 1
        for _, count, _ in lowering.cols:
            self.columns *= count

    # ---- helpers -----------------------------------------------------------------------------------

    def cast(self, value: str, source: str, target: str, scope: Scope) -> str:
        if source == target:
            return value
        name = self.names.fresh("t")
        scope.statements.append(Compute(name, expression("a", [source], target), (value,), f"to {target}"))
        return name

    def _wide_variable(self, op: Op, scope: Scope, hint: str) -> tuple[str, str]:
        dtype = wide_dtype(op)
        name = self.names.fresh(hint)
        scope.statements.append(Variable(name, dtype, identity(op, dtype)))
        error = ""
        if dtype == "f64" and op.result.dtype == "f64" and op.kind.name == "sum":
            error = self.names.fresh("lost")
            scope.statements.append(Variable(error, dtype, 0))
        return name, error

    def _fold(self, op: Op, into: tuple[str, str], value: str, scope: Scope) -> None:
        """Combine a partial result (already wide) into a variable, in this order."""
        name, error = into
        dtype = wide_dtype(op)
        if not error:
            old, new = self.names.fresh("t"), self.names.fresh("t")
            scope.statements.append(Read(old, dtype, name))
            scope.statements.append(Compute(new, combiner(op, dtype), (old, value), "combine"))
            scope.statements.append(Assign(name, dtype, new))
            return
        # y = value - lost; total = sum + y; lost = (total - sum) - y; infinities must not turn into NaN
        old, lost = self.names.fresh("t"), self.names.fresh("t")
        scope.statements += [Read(old, dtype, name), Read(lost, dtype, error)]
        sub, add = expression("a - b", [dtype, dtype], dtype), expression("a + b", [dtype, dtype], dtype)
        y, total, high, new = (self.names.fresh("t") for _ in range(4))
        rest = expression("(a - b if abs(a - b) <= 1.0e300 else 0.0)", [dtype, dtype], dtype)
        scope.statements += [
            Compute(y, sub, (value, lost), "sub"),
            Compute(total, add, (old, y), "add"),
            Compute(high, sub, (total, old), "sub"),
            Compute(new, rest, (high, y), "lost"),
            Assign(name, dtype, total),
            Assign(error, dtype, new),
        ]

    # ---- the chunk's accumulators --------------------------------------------------------------------

    def begin(self, top: Scope) -> None:
        chunks = self.low.chunks
        for op, kind in self.reductions.items():
            if kind == "full" and op.kind.name in ARG:
                self.parts[op] = self.names.fresh("part")
                self.low.buffers.append(Buffer(self.parts[op], "i64", chunks, "chunk"))
            elif kind == "full":
                buffer = self.names.fresh("part")
                self.parts[op] = buffer
                self.low.buffers.append(Buffer(buffer, wide_dtype(op), chunks, "chunk"))
                self.chunk_var[op] = self._wide_variable(op, top, "total")
            elif kind == "column":
                buffer = self.names.fresh("part")
                dtype = near_dtype(op.result.dtype)
                self.parts[op] = buffer
                parts = 1 if self.low.across else chunks
                self.low.buffers.append(Buffer(buffer, dtype, parts * self.columns, "chunk"))
        if not self.low.across:
            self.fill(top)

    def fill(self, scope: Scope) -> None:
        """Set the columns to their identities: the chunk's own, or those of one index of the first axis."""
        begin, count = var("chunk") * self.columns, self.columns
        if self.low.across:
            name, first, _ = self.low.cols[0]
            count = self.columns // first
            begin = var(name) * count
        for op, kind in self.reductions.items():
            if kind == "column":
                dtype = near_dtype(op.result.dtype)
                zero, i = self.names.fresh("k"), self.names.fresh("j")
                scope.statements.append(Constant(zero, dtype, identity(op, dtype)))
                body: list[Statement] = [Store(self.parts[op], dtype, begin + var(i), zero)]
                scope.statements.append(For(i, Affine(), Affine(count), body, vector=True))

    def accumulate_at(self, op: Op, at: Affine, value: str) -> AccumulateAt:
        """One value into the part of a column reduction."""
        dtype, kind = near_dtype(op.result.dtype), op.kind.extra["combine"]
        return AccumulateAt(self.parts[op], dtype, at, kind, combiner(op, dtype), identity(op, dtype), value)

    def column_place(self, chunk: str | int = "chunk") -> Affine:
        total, step = Affine(), 1
        for name, count, _ in reversed(self.low.cols):
            total = total + var(name) * step
            step *= count
        if self.low.across:
            return total
        at = Affine(chunk) if isinstance(chunk, int) else var(chunk)
        return total + at * self.columns

    def row_value(self, op: Op, value: str, scope: Scope) -> None:
        """A full reduction of something that is one number per row."""
        wide = self.cast(value, op.operands[0].dtype, wide_dtype(op), scope)
        self._fold(op, self.chunk_var[op], wide, scope)

    def end(self, top: Scope) -> None:
        for op, (name, _) in self.chunk_var.items():
            got = self.names.fresh("t")
            dtype = wide_dtype(op)
            top.statements.append(Read(got, dtype, name))
            top.statements.append(Store(self.parts[op], dtype, var("chunk"), got))

    def open(self, scope: Scope, ops: Sequence[Op]) -> Partial:
        return Partial(self, scope, ops)

    # ---- after all chunks ---------------------------------------------------------------------------

    def final(self) -> list[Statement]:
        """Combine the chunks' parts, then the epilogue: scalars first, then one loop over the columns."""
        low = self.low
        if not self.parts:
            return []
        top = Scope([], {})
        low.top = low.row_scope = top
        low.ends = low.bounds.late
        for op, buffer in self.parts.items():
            if self.reductions[op] == "full" and op.kind.name in ARG:
                top.known[op.result] = self._combine_positions(op, buffer, top)
            elif self.reductions[op] == "full":
                dtype = wide_dtype(op)
                got = self._combine_parts(op, buffer, dtype, top)
                top.known[op.result] = self.cast(got, dtype, op.result.dtype, top)
        self._column_epilogue(top)
        stores: list[Statement] = []  # after every load: an output may share an input's buffer
        for v in low.graph.outputs:
            late = low.producer.get(v)
            if late is not None and self._late(late) and not low.in_columns(v):
                stores.append(Store(low.out_of[v], v.dtype, low.place(v), low.value(v, top)))
        return top.statements + stores

    def _combine_parts(self, op: Op, buffer: str, dtype: str, top: Scope) -> str:
        """The chunks' values of a full reduction, in any order unless the sum is compensated."""
        total = self._wide_variable(op, top, "sum")
        part, c, got = self.names.fresh("t"), self.names.fresh("p"), self.names.fresh("t")
        loop = Scope([Load(part, dtype, buffer, var(c))], {})
        if total[1]:
            self._fold(op, total, part, loop)
        else:
            kind = op.kind.extra["combine"]
            loop.statements.append(Accumulate(total[0], dtype, kind, combiner(op, dtype), part))
        top.statements.append(For(c, Affine(), Affine(self.low.chunks), loop.statements, vector=not total[1]))
        top.statements.append(Read(got, dtype, total[0]))
        return got

    def _combine_positions(self, op: Op, buffer: str, top: Scope) -> str:
        """The best of the chunks' winners, each read again at its position; of equal ones the first."""
        both = Partial(self, top, [op])
        part, at, c, got = (self.names.fresh(hint) for hint in ("t", "at", "p", "t"))
        (size,) = self.low.space.extent
        loop = Scope([Load(part, "i64", buffer, var(c)), ToIndex(at, part, size)], {}, top)
        index = [Affine() if a is None else var(at) for a in self.low.space.of(op, 0)]
        both.challenge(op, self.low.reader.element(op.operands[0], index, loop), var(at), loop)
        top.statements.append(For(c, Affine(), Affine(self.low.chunks), loop.statements))
        top.statements.append(Read(got, "i64", both.part[op]))
        return got

    def _late(self, op: Op) -> bool:
        return op in self.low.space.final or self.reductions.get(op) in ("full", "column")

    def _combine_columns(self, columns: Sequence[Op], top: Scope) -> None:
        """Add the other chunks' columns to the first's, a run of columns that stays in cache at a time."""
        low = self.low
        if same(low.chunks, 1) or low.across or not columns:
            return
        chunk, column = self.names.fresh("p"), self.names.fresh("j")
        body: list[Statement] = []
        for op in columns:
            part = self.names.fresh("t")
            at = var(chunk) * self.columns + var(column)
            body += [
                Load(part, near_dtype(op.result.dtype), self.parts[op], at),
                self.accumulate_at(op, var(column), part),
            ]
        start, stop, size = Affine(), Affine(self.columns), low.tiling.block

        def others(low_column: Affine, high_column: Affine) -> For:
            return For(chunk, Affine(1), Affine(low.chunks), [For(column, low_column, high_column, body, vector=True)])

        if not may_exceed(self.columns, size):
            top.statements.append(others(start, stop))
            return
        block, end = self.names.fresh("b"), self.names.fresh("e")
        run: list[Statement] = [Index(end, "min", var(block) + size, stop), others(var(block), var(end))]
        top.statements.append(For(block, start, stop, run, step=size))

    def _column_epilogue(self, top: Scope) -> None:
        low = self.low
        made = [v for v in low.graph.outputs if v in low.producer and low.in_columns(v)]
        outs = [v for v in made if self._late(low.producer[v])]
        columns = [op for op, kind in self.reductions.items() if kind == "column"]
        if not outs and not columns:
            return
        self._combine_columns(columns, top)
        body = Scope([], {}, top, loop=0)
        for op in columns:
            dtype = near_dtype(op.result.dtype)
            total = self.names.fresh("t")
            body.statements.append(Load(total, dtype, self.parts[op], self.column_place(0)))
            body.known[op.result] = self.cast(total, dtype, op.result.dtype, body)
        stores = [Store(low.out_of[v], v.dtype, low.place(v), low.value(v, body)) for v in outs]
        body.statements += stores
        nest = body.statements
        for name, count, _ in reversed(low.cols):
            nest = [For(name, Affine(), low.end(name, Affine(count), top), nest, vector=name == low.cols[-1][0])]
        top.statements.extend(nest)


class Partial:
    """The reductions of one loop over columns."""

    def __init__(self, rows: Rows, scope: Scope, ops: Sequence[Op]) -> None:
        self.rows = rows
        self.names = rows.names
        self.ops = [op for op in ops if rows.reductions[op] != "column"]
        self.wide = {op for op in self.ops if op.result.type.is_float and op.kind.name in ("sum", "prod")}
        self.part: dict[Op, str] = {}
        self.total: dict[Op, tuple[str, str]] = {}
        self.best: dict[Op, str] = {}
        self.blocked = False
        for op in self.ops:
            if op.kind.name in ARG:
                self._begin_arg(op, scope)
            else:
                self._variable(op, scope)

    def _variable(self, op: Op, scope: Scope) -> None:
        dtype = near_dtype(op.result.dtype)
        self.part[op] = self.names.fresh("acc")
        scope.statements.append(Variable(self.part[op], dtype, identity(op, dtype)))

    def _begin_arg(self, op: Op, scope: Scope) -> None:
        dtype = op.operands[0].dtype
        worst = REGISTRY["max" if op.kind.name == "argmax" else "min"].extra["identity"](dtype)
        self.best[op] = self.names.fresh("best")
        self.part[op] = self.names.fresh("at")
        scope.statements.append(Variable(self.best[op], dtype, worst))
        scope.statements.append(Variable(self.part[op], "i64", 0))

    def begin_block(self, run: Scope) -> None:
        """The loop is cut into blocks: each starts its own partial, folded into a wide total."""
        self.blocked = True
        outside = run.parent
        assert outside is not None
        for op in self.ops:
            if op in self.wide:
                self.total[op] = self.rows._wide_variable(op, outside, "wide")
                dtype = near_dtype(op.result.dtype)
                start = self.names.fresh("k")
                outside.statements.append(Constant(start, dtype, identity(op, dtype)))
                run.statements.append(Assign(self.part[op], dtype, start))

    def end_block(self, run: Scope) -> None:
        for op, total in self.total.items():
            dtype = near_dtype(op.result.dtype)
            got = self.names.fresh("t")
            run.statements.append(Read(got, dtype, self.part[op]))
            self.rows._fold(op, total, self.rows.cast(got, dtype, wide_dtype(op), run), run)

    def add(self, op: Op, value: str, body: Scope) -> None:
        """One element into its reduction."""
        rows = self.rows
        if op.kind.name in ARG:
            axis = rows.low.space.of(op, 0)[op.attrs["axis"]]
            self.challenge(op, value, Affine() if axis is None else rows.low.axis_var[axis], body)
            return
        dtype = near_dtype(op.result.dtype)
        value = rows.cast(value, op.operands[0].dtype, dtype, body)
        if rows.reductions[op] == "column":
            body.statements.append(rows.accumulate_at(op, rows.column_place(), value))
        else:
            kind = op.kind.extra["combine"]
            body.statements.append(Accumulate(self.part[op], dtype, kind, combiner(op, dtype), value))

    def challenge(self, op: Op, value: str, position: Affine, body: Scope) -> None:
        """A candidate for the best element of an argmax or argmin."""
        dtype = op.operands[0].dtype
        sign = ">" if op.kind.name == "argmax" else "<"
        if dtype[0] == "f":  # the first NaN wins
            test = f"(a {sign} b) | ((a != a) & (b == b))"
        elif dtype == "bool":
            test = "a & (a ^ b)" if sign == ">" else "b & (a ^ b)"
        else:
            test = f"a {sign} b"
        better = expression(test, [dtype, dtype], "bool")
        best, at = self.best[op], self.part[op]
        body.statements.append(AccumulateArg(best, at, dtype, op.kind.name, better, value, position))

    def close(self, scope: Scope) -> None:
        """After the loop: row results become the row's values, full ones go on to the chunk."""
        rows = self.rows
        for op in self.ops:
            if op.kind.name in ARG:
                at = self._read(self.part[op], "i64", scope)
                if rows.reductions[op] == "full":
                    scope.statements.append(Store(rows.parts[op], "i64", var("chunk"), at))
                else:
                    scope.known[op.result] = at
                continue
            blocked = op in self.total
            dtype = wide_dtype(op) if blocked else near_dtype(op.result.dtype)
            got = self._read(self.total[op][0] if blocked else self.part[op], dtype, scope)
            if rows.reductions[op] == "row":
                scope.known[op.result] = rows.cast(got, dtype, op.result.dtype, scope)
            else:
                rows._fold(op, rows.chunk_var[op], rows.cast(got, dtype, wide_dtype(op), scope), scope)

    def _read(self, name: str, dtype: str, scope: Scope) -> str:
        target = self.names.fresh("t")
        scope.statements.append(Read(target, dtype, name))
        return target

