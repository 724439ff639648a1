"""Matrix products that a loop makes bit by bit, made whole before it or after it.

    for i in range(n):                        p = x @ w
        h = f(h, x[i] @ w)              ->    for i in range(n):
                                                  h = f(h, p[i])

    for i in range(n):                        for i in range(n):
        d = f(i, d)                               d = f(i, d)
        acc = acc + x[i].T @ d          ->        ds[i] = d
                                              acc = acc + sum over i of x[i].T @ ds[i]      (a product over two axes)

The products of single trips are small: few rows, or few terms for as many results, each added to `acc` in memory. The
great one does the same multiplications at the library's full rate. What of its factors is known before the loop
(`weft.passes.every_trip`) is taken from there, what is not is kept, trip by trip, which pays where a trip's factors
are smaller than their product. A sum of such a factor moves behind the loop with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.ir.builder import Builder, Expr
from weft.ir.dims import value_of
from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.opdef import REGISTRY
from weft.ir.ops.control import call, for_loop
from weft.ir.ops.linalg import dot, free_axes
from weft.ir.ops.movement import broadcast, reshape
from weft.ir.ops.update import dynamic_slice, dynamic_update
from weft.ir.records import dataclass, field
from weft.passes.every_trip import EveryTrip, trip_numbers

MOST = 1 << 26  # bytes that one array of all trips may have
FULL_RATE = 1 << 24  # multiplications of a product that gains nothing by being part of a greater one
LIBRARY = frozenset({"f32", "f64"})
ARRANGES = frozenset({"transpose", "reshape"})


def loop_products(graph: Graph) -> Graph:
    """The graph with the products of its loops' trips made at once; itself where it has none."""
    loops = [op for op in graph.walk() if op.kind is for_loop]
    if not any(o.kind is dot for op in loops for o in op.regions[0].ops):
        return graph
    return _walk(graph)


def _walk(graph: Graph) -> Graph:
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    env: dict[Value, Value] = {v: v for v in graph.inputs}
    number: dict[Value, int] = {}  # of 0-d integer constants
    for op in graph.ops:
        if op.regions and op.kind is not call:
            op = with_regions(op, _walk)
        if op.kind.name == "constant" and not op.result.shape and op.result.type.is_integer:
            number[op.result] = int(op.attrs["value"])
        trips = trip_numbers(op, number)
        if trips is None or not _changed(op, trips, build, env):
            build.ops.append(Op(op.kind, tuple(env[v] for v in op.operands), op.attrs, op.regions, op.results))
            env.update((r, r) for r in op.results)
    return build.finish([env[v] for v in graph.outputs])


def _changed(op: Op, trips: range, build: Builder, env: dict[Value, Value]) -> bool:
    """Append the loop with its products outside; False, and nothing appended, if it has none that leave."""
    every = EveryTrip(op, trips, build, env)
    ahead = [o for o in op.regions[0].ops if _goes_ahead(o, every)]
    after = _sums(op, every)
    if ahead or after:
        _Rewrite(op, trips, every).run(ahead, after)
    return bool(ahead or after)


def _goes_ahead(op: Op, every: EveryTrip) -> bool:
    if op.kind is not dot or op.result not in every.differs or op.result.dtype not in LIBRARY:
        return False
    terms = _sizes(op)[2]
    return value_of(op.result.type.nbytes) * every.count <= MOST and value_of(op.result.type.size) * terms <= FULL_RATE


def _sizes(op: Op) -> tuple[int, int, int]:
    """A product's rows, columns and terms."""
    (a, b), contract = op.operands, op.attrs["contract"]
    terms = 1
    for i in contract[0]:
        terms *= a.shape[i]
    batch = op.attrs["batch"]
    rows, columns = 1, 1
    for i in free_axes(len(a.shape), batch[0], contract[0]):
        rows *= a.shape[i]
    for i in free_axes(len(b.shape), batch[1], contract[1]):
        columns *= b.shape[i]
    return rows, columns, terms


@dataclass
class _Sum:
    """Carried value `at` to which every trip adds what `op` makes and `moves` arrange."""

    at: int
    op: Op
    moves: list[Op] = field(default_factory=list)


def _sums(op: Op, every: EveryTrip) -> list[_Sum]:
    """The sums over the trips that are made after the loop: of products, then of what they keep anyway."""
    body = op.regions[0]
    uses: dict[Value, int] = {}
    for v in [*(v for o in body.ops for v in o.operands), *body.outputs]:
        uses[v] = uses.get(v, 0) + 1
    found = [s for j in range(op.attrs["carried"]) if (s := _sum(j, body, every, uses)) is not None]
    products = [s for s in found if s.op.kind is dot and _pays(s.op, every)]
    kept = {v for s in products for v in s.op.operands}
    return products + [s for s in found if s.op.kind.name == "sum" and s.op.operands[0] in kept]


def _sum(j: int, body: Graph, every: EveryTrip, uses: dict[Value, int]) -> _Sum | None:
    """Is carried value j one to which a product, or a sum, is added, and that is read by nobody else?"""
    total, new = body.inputs[1 + j], body.outputs[j]
    add = every.maker.get(new)
    if add is None or add.kind.name != "add" or total not in add.operands or total.type.dtype not in LIBRARY:
        return None
    (part,) = [v for v in add.operands if v is not total] or [total]
    if part.shape != new.shape or any(uses[v] != 1 for v in (total, new, part)):
        return None
    moves: list[Op] = []
    made = every.maker.get(part)
    while made is not None and made.kind.name in ARRANGES and uses[made.operands[0]] == 1:
        moves.insert(0, made)
        made = every.maker.get(made.operands[0])
    return _Sum(j, made, moves) if made is not None and (made.kind is dot or made.kind.name == "sum") else None


def _pays(op: Op, every: EveryTrip) -> bool:
    """What a trip keeps for the product, written and read, is to be less than the sum, read and written twice."""
    if any(v in every.same for v in op.operands) or value_of(op.result.type.size) * _sizes(op)[2] > FULL_RATE:
        return False
    kept = [v for v in dict.fromkeys(op.operands) if v not in every.differs]
    fits = all(value_of(v.type.nbytes) * every.count <= MOST for v in op.operands)
    return fits and sum(value_of(v.type.size) for v in kept) <= 2 * value_of(op.result.type.size)


class _Rewrite:
    """One loop, its products outside."""

    def __init__(self, op: Op, trips: range, every: EveryTrip) -> None:
        self.op = op
        self.trips = trips
        self.every = every
        self.build = every.build
        body = op.regions[0]
        self.inside = Builder(body.name)
        self.env: dict[Value, Value] = {}  # the body's values by what they were
        self.kept: dict[Value, Value] = {}  # what is kept of every trip, by the body's input that has it so far
        self.constants: dict[Value, Value] = {}  # arrays of all trips that the body reads, by its input for them
        for v in body.inputs:
            self.inside.inputs.append(v)
            self.env[v] = v

    def run(self, ahead: Sequence[Op], after: Sequence[_Sum]) -> None:
        op, body = self.op, self.op.regions[0]
        for made in dict.fromkeys(v for s in after for v in s.op.operands):
            if made not in self.every.differs:
                self.kept[made] = Value(made.type.with_dims((self.every.count, *made.shape)), made.name)
        moved = set(ahead)
        for o in body.ops:
            self.inside.location = o.location
            if o in moved:
                self.env[o.result] = self._trip_of(o.result)
                self.inside.hint(self.env[o.result], o.result.name)
            else:
                given = tuple(self.env[v] for v in o.operands)
                self.inside.ops.append(Op(o.kind, given, o.attrs, o.regions, o.results))
                self.env.update((r, r) for r in o.results)
        self.inside.location = None
        ends = [self._keep(v, array) for v, array in self.kept.items()]
        leaves = {s.at for s in after}
        stay = [j for j in range(op.attrs["carried"]) if j not in leaves]
        outer = [self.every.env[v] for v in op.operands]
        first = 2 + op.attrs["carried"]
        empty = [broadcast(self.build.constant(0, v.dtype), shape=v.shape).value for v in self.kept.values()]
        operands = [*outer[:2], *(outer[2 + j] for j in stay), *empty, *outer[first:], *self.constants]
        inputs = [body.inputs[0], *(body.inputs[1 + j] for j in stay), *self.kept.values()]
        inputs += [*body.inputs[first - 1 :], *self.constants.values()]
        outputs = [*(self.env[body.outputs[j]] for j in stay), *ends]
        live = _needed(self.inside.ops, outputs)
        region = Graph(body.name, tuple(inputs), tuple(live), tuple(outputs))
        arrays = [Value(v.type, v.name) for v in self.kept.values()]
        results = (*(op.results[j] for j in stay), *arrays)
        attrs = {**op.attrs, "carried": len(stay) + len(arrays)}
        self.build.ops.append(Op(op.kind, tuple(operands), attrs, (region,), results))
        self.every.env.update((op.results[j], op.results[j]) for j in stay)
        self.every.stacks.update(zip(self.kept, arrays, strict=True))
        for s in after:
            self.every.env[op.results[s.at]] = self._total(s, Expr(outer[2 + s.at], self.build)).value
            self.build.hint(self.every.env[op.results[s.at]], op.results[s.at].name)

    def _place(self) -> Expr:
        """Which of `numbers` the trip's is."""
        at = Expr(self.env[self.every.variable], self.inside)
        numbers = self.every.numbers
        at = at - numbers[0] if numbers[0] else at
        return at if numbers.step == 1 else REGISTRY["floordiv"](at, numbers.step)

    def _window(self, rank: int) -> list[Expr]:
        return [self._place(), *[self.inside.constant(0, "i64")] * (rank - 1)]

    def _trip_of(self, v: Value) -> Value:
        """A trip's part of the array that was made before the loop."""
        whole = self.every.stacked(v).value
        if whole not in self.constants:
            self.constants[whole] = Value(whole.type, whole.name)
        x = Expr(self.constants[whole], self.inside)
        part = dynamic_slice(x, *self._window(len(x.shape)), sizes=(1, *v.shape))
        found: Expr = reshape(part, shape=v.shape)
        return found.value

    def _keep(self, v: Value, array: Value) -> Value:
        """The array of all trips with this one's value in its place."""
        part = reshape(Expr(self.env[v], self.inside), shape=(1, *v.shape))
        found: Expr = dynamic_update(Expr(array, self.inside), part, *self._window(len(array.shape)))
        return found.value

    def _total(self, s: _Sum, before: Expr) -> Expr:
        """What there was before the loop, and what all trips add."""
        given = [self.every.stacked(v) for v in s.op.operands]
        self.build.location = s.op.location
        if s.op.kind is dot:
            batch, contract = (
                tuple(tuple(i + 1 for i in side) for side in s.op.attrs[name]) for name in ("batch", "contract")
            )
            contract = ((0, *contract[0]), (0, *contract[1]))
            found = dot(*given, batch=batch, contract=contract)
        else:
            found = REGISTRY["sum"](*given, axes=(0, *(a + 1 for a in s.op.attrs["axes"])))
        for move in s.moves:
            found = move.kind(found, **move.attrs)
        total: Expr = before + found
        self.build.location = None
        return total


def _needed(ops: Sequence[Op], outputs: Sequence[Value]) -> list[Op]:
    """Without what only the sums that left needed: they read inputs that are no more."""
    live = set(outputs)
    found = []
    for op in reversed(ops):
        if any(r in live for r in op.results):
            found.append(op)
            live.update(op.operands)
    return found[::-1]
