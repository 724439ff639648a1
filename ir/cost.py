"""What a kernel costs: the bytes that it must move, the operations that it must do, the time that both ask for.

    def k0(x: f32[4096, 1024], b: f32[1024]) -> f32[4096]       read     x 16777216 + b 4096
        sum(tanh(add(x, broadcast(b))), axes=(1,))              written  16384
                                                                flops    4194304 * (1 + 30 + 1)

The model is the roofline (Williams, Waterman and Patterson 2009): every buffer is read once and written once, however
often a kernel's loops come by, and moving and computing overlap, so a kernel takes the longer of the two. Movement
costs nothing itself, and decides how much of a buffer is read: of a slice its elements, of what is broadcast one of
each, of a gather as many as it picks. A write to a part of an array writes that part.

A pure function of the ops: no machine is asked. What one does per second is `Machine`, which others measure.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from weft.ir.dims import value_of
from weft.ir.graph import Graph, Op, Value
from weft.ir.records import dataclass, field

if TYPE_CHECKING:
    from weft.ir.opdef import OpDef
    from weft.ir.space import Space

DIVISION = 8  # operations that a unit could do meanwhile
TRANSCENDENTAL = 30
CHEAP_CALLS = frozenset("abs min max maximum minimum fma rint floor ceil trunc copysign bits from_bits f32 f64".split())
DEAR_CALLS = {"sqrt": DIVISION, "exp": 20, "exp2": 20, "power": 80, "fmod": DIVISION, "divmod": DIVISION}
PICKED = frozenset({"slice", "dynamic_slice", "moving_slice", "gather"})  # a result's elements are what is read
PARTS = frozenset({"update", "dynamic_update", "moving_update", "scatter", "scatter_add"})


@dataclass(frozen=True)
class Machine:
    """A roofline: bytes and operations per second, of all threads together. cache: bytes that stay near the cores, and
    `near` the rate at which they are read from there. launch: seconds before a kernel's first element."""

    memory: float
    near: float
    rate: float
    cache: int = 1 << 20
    launch: float = 1e-6

    def __str__(self) -> str:
        return f"memory {self.memory / 1e9:.0f} GB/s, caches {self.near / 1e9:.0f} GB/s, {self.rate / 1e9:.0f} GF/s"


# What fusion assumes: only the ratio of its parts matters to it, and a compiled step does not depend on the hour at
# which it was compiled.
TYPICAL = Machine(memory=20e9, near=100e9, rate=50e9)


@dataclass(frozen=True)
class Cost:
    """Bytes read and written, and operations. reads: of each value that comes from outside its bytes."""

    read: int = 0
    written: int = 0
    flops: int = 0
    reads: Mapping[Value, int] = field(default_factory=dict, compare=False)

    @property
    def bytes(self) -> int:
        return self.read + self.written

    def seconds(self, machine: Machine) -> float:
        """The predicted time."""
        moving = self.bytes / (machine.near if self.bytes <= machine.cache else machine.memory)
        return machine.launch + max(moving, self.flops / machine.rate)

    def bound(self, machine: Machine) -> str:
        """What the time goes to: "launch", "caches", "memory" or "flops"."""
        near = self.bytes <= machine.cache
        moving, computing = self.bytes / (machine.near if near else machine.memory), self.flops / machine.rate
        if max(moving, computing) < machine.launch:
            return "launch"
        return "flops" if computing > moving else "caches" if near else "memory"


@functools.cache
def _weight(text: str) -> int:
    """Operations of one evaluation of a scalar body."""
    total = 0
    for node in ast.walk(ast.parse(text, mode="eval")):
        if isinstance(node, ast.BinOp):
            total += DIVISION if isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod) else 1
        elif isinstance(node, ast.UnaryOp | ast.Compare | ast.IfExp | ast.BoolOp):
            total += 1
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            total += 1 if name in CHEAP_CALLS else DEAR_CALLS.get(name, TRANSCENDENTAL)
    return total


def weight(kind: OpDef, dtype: str) -> int:
    """Operations per element of an op: of the operand where it is a reduction, else of the result."""
    if kind.family == "elementwise":
        return _weight(kind.scalar_for(dtype))
    if kind.family == "reduce" or kind.name == "scatter_add":
        return 1
    return 2 if kind.name == "recur" else 0


def flops(op: Op) -> int:
    """Operations of a whole op."""
    if op.kind.family == "dot":
        n = 1
        for d in op.attrs["contract"][0]:
            n *= value_of(op.operands[0].shape[d])
        return 2 * n * value_of(op.result.type.size)
    if op.kind.name == "call":
        return cost(op.regions[0]).flops
    if op.kind.name == "scatter_add":
        return value_of(op.operands[-1].type.size)
    if not op.operands or len(op.results) != 1:
        return 0
    x = op.operands[1 if op.kind.name == "where" else 0]
    elements = x.type.size if op.kind.family == "reduce" else op.result.type.size
    return weight(op.kind, x.dtype) * value_of(elements)


def _asked(op: Op, reached: int) -> Iterator[tuple[Value, int]]:
    """How many elements of each operand an op reads to make `reached` of its result's."""
    name = op.kind.name
    for i, v in enumerate(op.operands):
        size = value_of(v.type.size)
        if op.kind.family in ("reduce", "dot", "control", "stack") or name == "call":
            yield v, size
        elif name in PARTS:
            yield v, 0 if i == 0 else size  # the array is written in place
        elif name in PICKED and i == 0:
            yield v, min(size, reached)
        else:
            yield v, min(size, max(reached, 1))


def reads(ops: Sequence[Op], outputs: Iterable[Value]) -> dict[Value, int]:
    """Elements read of each value that the ops don't make themselves. A buffer is read once at most."""
    made = {r for op in ops for r in op.results}
    reach: dict[Value, int] = {v: value_of(v.type.size) for v in outputs}
    for op in reversed(ops):
        reached = max((min(reach.get(r, 0), value_of(r.type.size)) for r in op.results), default=0)
        if reached or not all(r.type.size for r in op.results):
            for v, n in _asked(op, reached):
                reach[v] = reach.get(v, 0) + n
    return {v: min(n, value_of(v.type.size)) for v, n in reach.items() if v not in made}


def group_cost(ops: Sequence[Op], outputs: Sequence[Value]) -> Cost:
    """The cost of a kernel that computes `ops` and stores `outputs`."""
    asked = {v: n * v.type.np_dtype.itemsize for v, n in reads(ops, outputs).items()}
    producer = {r: op for op in ops for r in op.results}
    written = 0
    for v in outputs:
        made = producer.get(v)
        part = made.operands[1 if "update" in made.kind.name else -1] if made and made.kind.name in PARTS else v
        written += value_of(part.type.nbytes)
    return Cost(sum(asked.values()), int(written), sum(map(flops, ops)), asked)


def read_again(ops: Sequence[Op], space: Space, near: int) -> int:
    """Bytes that a kernel's rows read again, one after the other, of what has too many to stay near the cores: in
    `x[None, :] * w[:, None]` every row reads all of x."""
    made = {r for op in ops for r in op.results}
    outer = set(space.outer)
    times: dict[Value, int] = {}
    for op in ops:
        for i, v in enumerate(op.operands):
            axes = space.axes.get((op, i))
            if v in made or axes is None or value_of(v.type.nbytes) <= near:
                continue
            k = 1
            for a in outer - set(axes):
                k *= value_of(space.extent[a])
            times[v] = max(times.get(v, 1), k)
    return sum((k - 1) * value_of(v.type.nbytes) for v, k in times.items())


def cost(graph: Graph) -> Cost:
    """The cost of a kernel's graph."""
    return group_cost(graph.ops, graph.outputs)


def op_cost(op: Op) -> Cost:
    """The cost of an op of a fused graph: of a kernel what its ops cost, of a product its operands and its result."""
    return cost(op.regions[0]) if op.kind.name == "call" else group_cost([op], op.results)
