"""Kernels that are not rows: scatters, recurrences, and products of dtypes that the library has not.

    scatter       copy the base unless its buffer is the result's, then set one element after the other
    scatter_add   likewise, and add (an index may come twice)
    recur         the axis in order: a number is carried along the last axis, along others a row is read back;
                  rows are shared out, and of numbers several rows go beside each other
    dot           row of C in scratch:  for k: for j: c[j] += a[i, k] * b[k, j]     (half summed in single)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weft.codegen.accumulate import near_dtype
from weft.codegen.kernel import (
    Affine,
    Assign,
    Buffer,
    Compute,
    Constant,
    For,
    Index,
    Kernel,
    Load,
    Read,
    Share,
    Statement,
    Store,
    ToIndex,
    Variable,
    var,
)
from weft.codegen.reading import Names, Reader, op_scalar
from weft.codegen.scalar import expression
from weft.codegen.scope import Scope
from weft.codegen.tiling import THREADS
from weft.ir.dims import maximum, minimum, same, value_of
from weft.ir.graph import Graph, Op, Value
from weft.ir.lengths import Lengths
from weft.ir.ops.linalg import free_axes
from weft.ir.types import strides_of

BESIDE = 4  # recurrences: an addition takes as long as so many that don't wait for each other


class Special:
    """The little of a lowering's state that `Reader` asks for."""

    def __init__(self, graph: Graph, alias: Mapping[int, int]) -> None:
        self.graph = graph
        self.names = Names()
        self.producer = graph.producers()
        self.alias = alias
        self.written: set[str] = set()
        self.buffers: list[Buffer] = []
        self.buffer_of: dict[Value, str] = {}
        for i, v in enumerate(graph.inputs):
            self.buffer_of[v] = self.names.fresh(v.name or "x")
            role = "inout" if i in alias.values() else "in"
            self.buffers.append(Buffer(self.buffer_of[v], v.dtype, v.type.size, role))
        self.lengths = Lengths(graph.ops)
        self.axis_of: dict[str, int] = {}
        self.top = Scope([], {})
        self.reader = Reader(self)  # type: ignore[arg-type]

    def ended(self, axis: int | None, length: Value) -> bool:
        """No loop ends at a length."""
        return False

    def out(self, v: Value) -> str:
        if self.alias:
            name = self.buffer_of[self.graph.inputs[self.alias[0]]]
        else:
            name = self.names.fresh(v.name or "y")
            self.buffers.append(Buffer(name, v.dtype, v.type.size, "out"))
        self.written.add(name)
        return name

    def nest(self, dims: Sequence[int], hint: str) -> tuple[list[str], Scope]:
        return [self.names.fresh(f"{hint}{i}") for i in range(len(dims))], Scope([], {}, self.top)

    def element(self, v: Value, index: Sequence[Affine], scope: Scope) -> str:
        return self.reader.element(v, index, scope)

    def value(self, v: Value, scope: Scope) -> str:
        """A 0-d value computed from 0-d operands."""
        op = self.producer[v]
        operands = tuple(self.element(x, [], scope) for x in op.operands)
        name = self.names.fresh(v.name or "t")
        scope.statements.append(Compute(name, op_scalar(op), operands, op.kind.name, op.location))
        return name

    def finish(self, body: list[Statement], work: int, serial: str, chunks: int = 1) -> Kernel:
        sources = tuple(dict.fromkeys(str(op.location) for op in self.graph.ops if op.location))
        statements = [*self.top.statements, *body]
        return Kernel(self.graph.name, tuple(self.buffers), chunks, statements, [], sources, work, serial)


def loops(variables: Sequence[str], dims: Sequence[int], body: list[Statement]) -> list[Statement]:
    for name, count in reversed(list(zip(variables, dims, strict=True))):
        body = [For(name, Affine(), Affine(count), body)]
    return body


def flat(dims: Sequence[int], index: Sequence[Affine]) -> Affine:
    total = Affine()
    for stride, at in zip(strides_of(tuple(dims)), index, strict=True):
        total = total + at * stride
    return total


def lower_scatter(graph: Graph, op: Op, alias: Mapping[int, int]) -> Kernel:
    low = Special(graph, alias)
    x, *places, updates = op.operands
    axes = op.attrs["axes"]
    out = low.out(op.result)
    body: list[Statement] = []
    if not alias:
        at, copy = low.nest(x.shape, "i")
        index = [var(n) for n in at]
        copy.statements.append(Store(out, x.dtype, flat(x.shape, index), low.element(x, index, copy)))
        body = loops(at, x.shape, copy.statements)
    names, each = low.nest(updates.shape, "u")
    index = [var(n) for n in names]
    lead = len(updates.shape) - (len(x.shape) - len(axes))
    where, rest = index[:lead], index[lead:]
    target: list[Affine] = []
    for d, n in enumerate(x.shape):
        if d not in axes:
            target.append(rest.pop(0))
            continue
        i = places[list(axes).index(d)]
        own = [Affine() if k == 1 else a for k, a in zip(i.shape, where[lead - len(i.shape) :], strict=True)]
        slot = low.names.fresh("at")
        each.statements.append(ToIndex(slot, low.element(i, own, each), n))
        target.append(var(slot))
    place = flat(x.shape, target)
    value = low.element(updates, index, each)
    if op.kind.name == "scatter_add":
        old, new = low.names.fresh("t"), low.names.fresh("t")
        add = expression("a + b", [x.dtype, x.dtype], x.dtype)
        each.statements += [Load(old, x.dtype, out, place), Compute(new, add, (old, value), "add", op.location)]
        value = new
    each.statements.append(Store(out, x.dtype, place, value))
    body += loops(names, updates.shape, each.statements)
    return low.finish(body, (0 if alias else x.type.size) + updates.type.size, op.kind.name)


def lower_dot(graph: Graph, op: Op, alias: Mapping[int, int]) -> Kernel:
    low = Special(graph, alias)
    a, b = op.operands
    batch, contract = op.attrs["batch"], op.attrs["contract"]
    fa, fb = free_axes(len(a.shape), batch[0], contract[0]), free_axes(len(b.shape), batch[1], contract[1])
    dims_batch = [a.shape[i] for i in batch[0]]
    dims_m, dims_n = [a.shape[i] for i in fa], [b.shape[i] for i in fb]
    dims_k = [a.shape[i] for i in contract[0]]
    out = low.out(op.result)
    dtype = near_dtype(op.result.dtype)
    width = 1
    for d in dims_n:
        width *= d
    row = low.names.fresh("row")
    low.buffers.append(Buffer(row, dtype, width, "chunk"))
    at_batch, _ = low.nest(dims_batch, "g")
    at_m, _ = low.nest(dims_m, "m")
    at_k, _ = low.nest(dims_k, "k")
    at_n, inner = low.nest(dims_n, "n")
    of_a: list[Affine] = [Affine()] * len(a.shape)
    of_b: list[Affine] = [Affine()] * len(b.shape)
    for names, axes_a, axes_b in ((at_batch, *batch), (at_k, *contract)):
        for name, i, j in zip(names, axes_a, axes_b, strict=True):
            of_a[i] = of_b[j] = var(name)
    for names, axes, target in ((at_m, fa, of_a), (at_n, fb, of_b)):
        for name, i in zip(names, axes, strict=True):
            target[i] = var(name)
    place = flat(dims_n, [var(n) for n in at_n])

    def near(value: str, dtype_of: str, scope: Scope) -> str:
        if dtype_of == dtype:
            return value
        name = low.names.fresh("t")
        scope.statements.append(Compute(name, expression("a", [dtype_of], dtype), (value,), "cast"))
        return name

    outer = Scope([], {})
    x = near(low.element(a, of_a, outer), a.dtype, outer)
    y = near(low.element(b, of_b, inner), b.dtype, inner)
    old, product, new = (low.names.fresh("t") for _ in range(3))
    inner.statements += [
        Load(old, dtype, row, place),
        Compute(product, expression("a * b", [dtype, dtype], dtype), (x, y), "mul", op.location),
        Compute(new, expression("a + b", [dtype, dtype], dtype), (old, product), "add", op.location),
        Store(row, dtype, place, new),
    ]
    zero = low.names.fresh("zero")
    low.top.statements.append(Constant(zero, dtype, 0))
    clear = loops(at_n, dims_n, [Store(row, dtype, place, zero)])
    sums = loops(at_k, dims_k, [*outer.statements, *loops(at_n, dims_n, inner.statements)])
    got, done = low.names.fresh("t"), Scope([], {})
    done.statements.append(Load(got, dtype, row, place))
    value = got
    if dtype != op.result.dtype:
        value = low.names.fresh("t")
        done.statements.append(Compute(value, expression("a", [dtype], op.result.dtype), (got,), "cast"))
    full = flat(op.result.shape, [var(n) for n in (*at_batch, *at_m, *at_n)])
    done.statements.append(Store(out, op.result.dtype, full, value))
    body = loops([*at_batch, *at_m], [*dims_batch, *dims_m], [*clear, *sums, *loops(at_n, dims_n, done.statements)])
    depth = a.type.size // max(1, a.shape[0] if a.shape else 1)
    return low.finish(body, op.result.type.size * max(1, depth), "dot")


def lower_recur(graph: Graph, op: Op, alias: Mapping[int, int]) -> Kernel:
    low = Special(graph, alias)
    axis, dims = op.attrs["axis"], op.result.shape
    low.out(op.result)
    names, _ = low.nest(dims, "i")
    outer, is_number = names[:axis], all(n == 1 for n in dims[axis + 1 :])
    work = 3 * op.result.type.size
    if not outer:
        return low.finish(_recurrence(low, op, names, [0]), work, "recur")
    chunks = maximum(1, minimum(THREADS.chunks, work // THREADS.work, dims[0] // BESIDE))
    start, stop = Affine(), Affine(dims[0])
    body: list[Statement] = []
    if not same(chunks, 1):
        start, stop = var(low.names.fresh("lo")), var(low.names.fresh("hi"))
        body.append(Share(start.terms[0][0], stop.terms[0][0], dims[0], chunks))
    last = outer[-1]  # of whose rows several go beside each other
    begin, end = (start, stop) if len(outer) == 1 else (Affine(), Affine(dims[axis - 1]))
    rows: list[Statement]
    if is_number and value_of(dims[axis - 1]) >= BESIDE:
        count, middle = low.names.fresh("n"), low.names.fresh("to")
        rows = [
            Index(count, "floordiv", end + begin * -1, Affine(BESIDE)),
            Index(middle, "min", begin + var(count) * BESIDE, end),
            For(last, begin, var(middle), _recurrence(low, op, names, list(range(BESIDE))), step=BESIDE),
            For(last, var(middle), end, _recurrence(low, op, names, [0])),
        ]
    else:
        rows = [For(last, begin, end, _recurrence(low, op, names, [0]))]
    if len(outer) > 1:
        rows = [For(outer[0], start, stop, loops(outer[1:-1], dims[1 : axis - 1], rows))]
    return low.finish([*body, *rows], work, "recur", chunks)


def _recurrence(low: Special, op: Op, names: Sequence[str], rows: Sequence[int]) -> list[Statement]:
    """The loop along the axis, in several rows at once: each waits for its own last number only."""
    a, b = op.operands
    axis, dims, dtype = op.attrs["axis"], op.result.shape, op.result.dtype
    out = next(iter(low.written))
    is_number = all(n == 1 for n in dims[axis + 1 :])
    begin, trip = Scope([], {}, low.top), Scope([], {}, low.top)
    start: list[Statement] = []
    for row in rows:
        at = [var(n) + row if row and i == axis - 1 else var(n) for i, n in enumerate(names)]
        carried = low.names.fresh("y")
        value = low.element(b, at, begin)
        begin.statements.append(Store(out, dtype, flat(dims, at), value))
        factor, term = low.element(a, at, trip), low.element(b, at, trip)
        old, product, new = (low.names.fresh("t") for _ in range(3))
        before = [i + -1 if d == axis else i for d, i in enumerate(at)]
        trip.statements += [
            Read(old, dtype, carried) if is_number else Load(old, dtype, out, flat(dims, before)),
            Compute(product, expression("a * b", [dtype, dtype], dtype), (factor, old), "mul", op.location),
            Compute(new, expression("a + b", [dtype, dtype], dtype), (product, term), "add", op.location),
            Store(out, dtype, flat(dims, at), new),
        ]
        if is_number:
            start.append(Variable(carried, dtype, 0))
            begin.statements.append(Assign(carried, dtype, value))
            trip.statements.append(Assign(carried, dtype, new))
    inner, n, rest = names[axis + 1 :], dims[axis], dims[axis + 1 :]
    first = For(names[axis], Affine(), Affine(min(n, 1)), loops(inner, rest, begin.statements))
    others = For(names[axis], Affine(1), Affine(n), loops(inner, rest, trip.statements))
    return [*start, first, others]


SPECIAL = {"recur": lower_recur, "scatter": lower_scatter, "scatter_add": lower_scatter, "dot": lower_dot}

