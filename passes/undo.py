"""Arrays that a loop writes into, backwards: what a trip overwrote is put back.

    forth    old = A[k];  push(old);  A' = dynamic_update(A, f(A), k)
    back     old = pop();  A = dynamic_update(A', old, k)

A trip's backward part may read an array as it was before a write, or between two. Keeping the whole array in every trip
costs as many copies as there are trips. But the backward loop can have the array as the forward loop left it, carry it
along, and take the writes back one by one: then the parts that were overwritten are all that is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from weft.ir.builder import Builder
from weft.ir.dims import value_of
from weft.ir.graph import Graph, Op, Value
from weft.ir.opdef import REGISTRY
from weft.ir.records import dataclass
from weft.ir.space import SCATTERS, WINDOWS
from weft.ir.writes import reader

GAIN = 4  # times less to be kept than without: the writes have to be done again


@dataclass(frozen=True)
class Chain:
    """A carried array's way through a trip: writes[m] makes versions[m + 1] of versions[m], and overwrites old[m]."""

    position: int
    versions: tuple[Value, ...]
    writes: tuple[Op, ...]
    old: tuple[Value, ...]

    @property
    def places(self) -> list[Value]:
        """Where the writes go."""
        return [v for op in self.writes for v in _places(op)]

    @property
    def nbytes(self) -> int:
        return sum(value_of(v.type.nbytes) for v in self.old)


def _places(op: Op) -> tuple[Value, ...]:
    return op.operands[1:-1] if op.kind.name in SCATTERS else op.operands[2:]


def chain(region: Graph, at: int, j: int) -> Chain | None:
    """That of carried value j, whose input is number `at` + j: if the trip does nothing but write into it."""
    maker = {r: op for op in region.ops for r in op.results}
    writes: list[Op] = []
    v = region.outputs[j]
    while v is not region.inputs[at + j]:
        op = maker.get(v)
        if op is None or op.kind.name not in WINDOWS | SCATTERS:
            return None
        writes.append(op)
        v = op.operands[0]
    writes.reverse()
    versions = (v, *(op.result for op in writes))
    old = tuple(Value(_part(op).type, "old") for op in writes)
    return Chain(j, versions, tuple(writes), old) if writes else None


def _part(op: Op) -> Value:
    """What is written: as large as what is overwritten."""
    return op.operands[-1] if op.kind.name in SCATTERS else op.operands[1]


def read_old(op: Op, old: Value) -> Op:
    """The op that reads what a write is about to overwrite."""
    kind, attrs = reader(op)
    return Op(kind, (op.operands[0], *_places(op)), attrs, (), (old,))


def put_back(build: Builder, op: Op, after: Value, old: Value, places: Sequence[Value]) -> Value:
    """The array before a write, of the array after it."""
    if op.kind.name in SCATTERS:
        return build.emit(REGISTRY["scatter"], [after, *places, old], op.attrs)[0].value
    return build.emit(op.kind, [after, old, *places], op.attrs)[0].value


class Undoing:
    """Backward ops in an order in which arrays are read before the writes into them are taken back.

    env: what the backward trip has, by what it was in the forward one. again: ops that are run again.
    """

    def __init__(self, build: Builder, env: dict[Value, Value], chains: Collection[Chain], again: Sequence[Op]) -> None:
        self.build = build
        self.env = env
        self.maker = {r: op for op in again for r in op.results}
        self.again = again
        self.next: dict[Value, tuple[Op, Value]] = {}  # a version -> the write into it, and what that overwrote
        self.versions = {v for c in chains for v in c.versions}
        for c in chains:
            self.next.update((v, (op, old)) for v, op, old in zip(c.versions, c.writes, c.old, strict=False))
        self.busy: set[Value] = set()

    def bring(self, v: Value) -> None:
        """Have a value of the forward part."""
        if v in self.env or v in self.busy:
            return
        self.busy.add(v)
        if v in self.next:
            op, old = self.next[v]
            for w in (op.result, *_places(op)):
                self.bring(w)
            self._read(op.result)
            places = [self.env[w] for w in _places(op)]
            self.env[v] = put_back(self.build, op, self.env[op.result], self.env[old], places)
        elif v in self.maker:
            op = self.maker[v]
            for w in op.operands:
                self.bring(w)
            if v not in self.env:
                self.build.copy(op, self.env)
        self.busy.discard(v)

    def _read(self, version: Value) -> None:
        """Do what is to be done again with this version and none before it: it will be overwritten."""
        for op in self.again:
            arrays = [w for w in op.operands if w in self.versions]
            if version in arrays and all(w in self.env for w in arrays):
                for r in op.results:
                    self.bring(r)

    def copy(self, op: Op) -> None:
        """A backward op."""
        for v in op.operands:
            self.bring(v)
        self.build.copy(op, self.env)
