"""One trip of a loop, to be run again: forward alone, or forward and backward in one.

    x1 = f(t, x, c)        forth: t, x, c -> x1        of what is carried, what f needs to run again, and no more
                           pull: t, x, c, δx1, δc -> δx, δc        the adjoint pass of f, residuals and all, inside
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph, Op, Value, fresh
from weft.ir.ops.control import BEFORE, I64, for_loop
from weft.ir.records import dataclass
from weft.passes.dce import dce, read
from weft.passes.sweep import Sweep, forth
from weft.passes.written_loops import Group


@dataclass
class Trip:
    """One trip of a loop, to be run again and to be run backward.

    carried, constants: positions of the body's inputs that have adjoints. back: the trip forward and backward, with
    the adjoints at first and last; it takes the body's inputs, `deltas` of what the trip makes and `totals`.
    """

    op: Op
    back: Graph
    deltas: list[Value]
    totals: list[Value]

    @property
    def body(self) -> Graph:
        return self.op.regions[-1]

    @cached_property
    def kept(self) -> list[int]:
        """What is carried and needed to run a trip again, forward or backward, by position among the carried."""
        at = BEFORE[self.op.kind]
        count = self.op.attrs["carried"]
        reads = read(self.back)
        kept: set[int] = set()
        while more := {j for j in range(count) if self.body.inputs[at + j] in reads} - kept:
            kept |= more
            reads = read(self._cut(kept))
        return sorted(kept)

    @cached_property
    def outside(self) -> list[int]:
        """The constants that are needed, by position among the body's inputs."""
        reads = read(self.back) | read(self._cut(self.kept))
        first = BEFORE[self.op.kind] + self.op.attrs["carried"]
        return [i for i in range(first, len(self.body.inputs)) if self.body.inputs[i] in reads]

    def _cut(self, carried: Collection[int]) -> Graph:
        body = self.body
        return dce(Graph(body.name, body.inputs, body.ops, tuple(body.outputs[j] for j in sorted(carried))))

    def forth(self) -> Graph:
        """Takes the loop's variable, what is kept and what is needed from outside; gives what is kept."""
        body, at = self.body, BEFORE[self.op.kind]
        inputs = [body.inputs[at + j] for j in self.kept] + [body.inputs[i] for i in self.outside]
        return _indexed(self.op, inputs, self._cut(self.kept))

    def whole(self) -> Graph:
        """Takes the loop's variable, what is carried and all constants; gives what is carried."""
        return _indexed(self.op, self.body.inputs[BEFORE[self.op.kind] :], self.body)

    def pull(self, build: Builder, index: Expr, xs: Group, cs: Group, deltas: Group, totals: Group) -> list[Expr]:
        """Append the trip backward: adjoints of what it starts from, and the totals."""
        at = BEFORE[self.op.kind]
        env = {self.body.inputs[at + j]: x.value for j, x in zip(self.kept, xs, strict=True)}
        env.update((self.body.inputs[i], c.value) for i, c in zip(self.outside, cs, strict=True))
        env.update((v, e.value) for v, e in zip((*self.deltas, *self.totals), (*deltas, *totals), strict=True))
        if at:
            env[self.body.inputs[0]] = index.value
        for op in self.back.ops:
            build.copy(op, env)
        return [Expr(env[v], build) for v in self.back.outputs]


def _indexed(op: Op, inputs: Sequence[Value], body: Graph) -> Graph:
    index = body.inputs[0] if op.kind is for_loop else Value(I64, "t")
    return fresh(Graph(body.name, (index, *inputs), body.ops, body.outputs))


def trip_of(op: Op, sweep: Sweep, carried: Sequence[int], constants: Sequence[int]) -> Trip:
    """carried: positions of what is carried and has an adjoint; constants: likewise, among the body's inputs."""
    body, before = op.regions[-1], BEFORE[op.kind]
    build = Builder(f"d_{body.name}")
    build.inputs.extend(body.inputs)
    inner = Sweep(build, sweep.active, sweep.nested)
    totals = [build.input(body.inputs[i].type).value for i in constants]
    deltas = [build.input(body.outputs[j].type).value for j in carried]
    inner.adjoint.update((body.inputs[i], Expr(v, build)) for i, v in zip(constants, totals, strict=True))
    for j, v in zip(carried, deltas, strict=True):
        inner.add(body.outputs[j], Expr(v, build))
    inner.run(body.ops)
    found = [inner.finished(body.inputs[i]).value for i in (*(before + j for j in carried), *constants)]
    build.ops[:0] = forth(body.ops, inner)
    return Trip(op, dce(build.finish(found)), deltas, totals)
