"""The graph: typed values in static single assignment, one flat list of ops.

    Graph(name, inputs, ops, outputs)  Op(kind, operands, attrs, regions, results)  Value(type, name, where)

All three are frozen. A `Value` is compared by identity: it is defined once, by a graph's input or by one
op's result. Passes never edit a graph, they build another one (see `builder`). `equal` compares two
graphs by structure and, if asked, names, and ignores locations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.ir.records import dataclass, field
from weft.ir.types import TensorType

if TYPE_CHECKING:
    from weft.ir.opdef import OpDef


PRINTER: list[Any] = []  # `weft.ir.text` puts its printer here: it imports this module, not the reverse


@dataclass(frozen=True)
class Location:
    """Where in the user's program a value comes from: file, 1-based line, and the expression if known."""

    file: str
    line: int
    expression: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """An SSA value. `name` is a hint from the user's program or empty; printing makes names unique."""

    type: TensorType
    name: str = ""
    location: Location | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.dims

    @property
    def dtype(self) -> str:
        return self.type.dtype

    def __repr__(self) -> str:
        return f"<Value {self.name or '?'}: {self.type}>"


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """One application of an op definition. `attrs` is never mutated; `regions` are nested graphs."""

    kind: OpDef
    operands: tuple[Value, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    regions: tuple[Graph, ...] = ()
    results: tuple[Value, ...] = ()

    @property
    def result(self) -> Value:
        (value,) = self.results
        return value

    @property
    def location(self) -> Location | None:
        return self.results[0].location if self.results else None

    def __repr__(self) -> str:
        args = ", ".join(v.name or "?" for v in self.operands)
        return f"<Op {self.kind.name}({args})>"


@dataclass(frozen=True, eq=False, slots=True)
class Graph:
    """A function: typed inputs, ops in an order in which every operand is defined before its use, outputs."""

    name: str
    inputs: tuple[Value, ...]
    ops: tuple[Op, ...]
    outputs: tuple[Value, ...]

    def __str__(self) -> str:
        return PRINTER[0](self) if PRINTER else repr(self)

    def walk(self) -> Iterator[Op]:
        """All ops, those of regions after the op that holds them."""
        for op in self.ops:
            yield op
            for region in op.regions:
                yield from region.walk()

    def uses(self) -> dict[Value, int]:
        """How often each value is an operand or an output."""
        count: dict[Value, int] = {}
        for op in self.ops:
            for v in op.operands:
                count[v] = count.get(v, 0) + 1
        for v in self.outputs:
            count[v] = count.get(v, 0) + 1
        return count

    def producers(self) -> dict[Value, Op]:
        return {r: op for op in self.ops for r in op.results}


def with_regions(op: Op, change: Callable[[Graph], Graph]) -> Op:
    """`op` with its regions changed; `op` itself where nothing is."""
    regions = tuple(map(change, op.regions))
    if all(a is b for a, b in zip(regions, op.regions, strict=True)):
        return op
    return Op(op.kind, op.operands, op.attrs, regions, op.results)


def fresh(graph: Graph) -> Graph:
    """A copy of a graph with values of its own, those of its regions included."""
    env = {v: Value(v.type, v.name, v.location) for v in graph.inputs}
    ops = []
    for op in graph.ops:
        results = tuple(Value(r.type, r.name, r.location) for r in op.results)
        operands = tuple(env[v] for v in op.operands)
        ops.append(Op(op.kind, operands, op.attrs, tuple(map(fresh, op.regions)), results))
        env.update(zip(op.results, results, strict=True))
    return Graph(graph.name, tuple(env[v] for v in graph.inputs), tuple(ops), tuple(env[v] for v in graph.outputs))


def attrs_equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return a.keys() == b.keys() and all(attr_key(a[k]) == attr_key(b[k]) for k in a)


def attr_key(value: Any) -> Any:
    """A hashable stand-in for an attribute: by bits, so that -0.0 is not 0.0 and NaN equals itself."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        return ("array", array.dtype.str, array.shape, array.tobytes())
    if isinstance(value, float):
        return ("float", np.float64(value).tobytes())
    if isinstance(value, tuple | list):
        return tuple(attr_key(v) for v in value)
    return (type(value).__name__, value)


def is_literal(op: Op) -> bool:
    """A 0-d constant without a name: the text writes it where it is used, its place in `ops` says nothing."""
    if op.kind.name != "constant" or len(op.results) != 1 or op.results[0].name:
        return False
    value = op.attrs.get("value")
    return isinstance(value, np.ndarray) and value.ndim == 0


def equal(a: Graph, b: Graph, *, names: bool = False) -> bool:
    """Same structure, types and attributes (and names of values and graphs when `names`).

    Locations are ignored, and so is where in `ops` a literal stands: literals are compared at their uses.
    """
    if len(a.inputs) != len(b.inputs) or (names and a.name != b.name):
        return False
    ops_a, ops_b = [op for op in a.ops if not is_literal(op)], [op for op in b.ops if not is_literal(op)]
    if len(ops_a) != len(ops_b):
        return False
    same: dict[Value, Value] = {}
    literals = {op.result: attr_key(op.attrs["value"]) for g in (a, b) for op in g.ops if is_literal(op)}

    def define(x: Value, y: Value) -> bool:
        same[x] = y
        return x.type == y.type and (not names or x.name == y.name)

    def use(x: Value, y: Value) -> bool:
        if x in literals or y in literals:
            return literals.get(x) == literals.get(y)
        return same.get(x) is y

    def every(pairs: Iterator[tuple[Value, Value]], test: Callable[[Value, Value], bool]) -> bool:
        return all(test(x, y) for x, y in pairs)

    if not every(zip(a.inputs, b.inputs, strict=True), define):
        return False
    for p, q in zip(ops_a, ops_b, strict=True):
        if p.kind is not q.kind or len(p.operands) != len(q.operands) or len(p.results) != len(q.results):
            return False
        if not every(zip(p.operands, q.operands, strict=True), use):
            return False
        if not attrs_equal(p.attrs, q.attrs) or len(p.regions) != len(q.regions):
            return False
        if not all(equal(r, s, names=names) for r, s in zip(p.regions, q.regions, strict=True)):
            return False
        if not every(zip(p.results, q.results, strict=True), define):
            return False
    return len(a.outputs) == len(b.outputs) and every(zip(a.outputs, b.outputs, strict=True), use)
