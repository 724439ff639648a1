"""A graph for many lanes at once: what depends on an input that has lanes gets one more axis, in front.

    f(x: f32[3], w: f32[3]) -> f32             with x mapped, for 8 lanes:   f(x: f32[8, 3], w: f32[3]) -> f32[8]
      y: f32[3] = mul(x, w)                                                    y: f32[8, 3] = mul(x, w)
      s: f32 = sum(y, axes=(0,))                                               s: f32[8] = sum(y, axes=(1,))

What all lanes share is computed once. The rule of each op is its own (`OpDef.batch`); loops and branches are those of
`weft.passes.batch_control`. In a part that only some lanes go through, `mask` says which: what is wrong in the others,
an index out of bounds, is no error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph, Op, Value, fresh
from weft.ir.ops.families import aligned, in_each
from weft.ir.ops.index import gather, scatter, scatter_add
from weft.ir.ops.logic import where
from weft.ir.ops.movement import to_front, transpose
from weft.ir.ops.moving import agree, moving_slice, moving_update
from weft.ir.ops.reduce import any_
from weft.ir.ops.update import bound, dynamic_slice, dynamic_update
from weft.ir.records import dataclass
from weft.ir.types import TensorType
from weft.passes.batch_control import run_regions
from weft.passes.batch_writes import masked_write
from weft.passes.inline import inline_calls
from weft.passes.lanes import with_lanes
from weft.passes.stack_order import threaded, turned_ops

PROMISES = (bound, agree)  # ops that raise an error where what they promise isn't so
# Operands that say where something is, and have to be within the array.
PLACES = {
    dynamic_slice: slice(1, None), dynamic_update: slice(2, None), gather: slice(1, None), scatter: slice(1, -1),
    moving_slice: slice(1, None), moving_update: slice(2, None), scatter_add: slice(1, -1),
}  # fmt: skip


def batch(
    graph: Graph, size: int, in_axes: Sequence[int | None], out_axes: Sequence[int | None]
) -> tuple[Graph, list[bool]]:
    """`graph` for `size` lanes.

    in_axes: for each input the axis of the lanes that it has now, or None for one value for all. out_axes: where the
    outputs' lanes are to stand; None leaves an output as it is, without them if it depends on no mapped input. Axes are
    not negative. Also tells which outputs do depend on one.
    """
    graph = threaded(fresh(inline_calls(graph)))  # fresh: of a region used twice, each may have other lanes
    turned = turned_ops(graph)
    mapped = {v for v, axis in zip(graph.inputs, in_axes, strict=True) if axis is not None}
    build = Builder(graph.name)
    lanes = Lanes(build, Plan(size, with_lanes(graph, mapped, turned), turned))
    for value, axis in zip(graph.inputs, in_axes, strict=True):
        lanes.env[value] = _input(build, value, size, axis)
    lanes.run(graph.ops)
    outputs = [lanes.output(v, axis) for v, axis in zip(graph.outputs, out_axes, strict=True)]
    return build.finish(outputs), [v in lanes.plan.lanes for v in graph.outputs]


def _input(build: Builder, value: Value, size: int, axis: int | None) -> Value:
    if axis is None:
        return build.input(value.type, value.name, value.location).value
    dims = (*value.shape[:axis], size, *value.shape[axis:])
    return to_front(build.input(value.type.with_dims(dims), value.name, value.location), axis).value


@dataclass(frozen=True)
class Plan:
    """size: how many lanes. lanes: the values that have them, see `lanes`. turned: see `stack_order`."""

    size: int
    lanes: Collection[Value]
    turned: Mapping[Op, bool]

    def type_of(self, value: Value) -> TensorType:
        if value not in self.lanes or value.type.is_stack:
            return value.type
        return value.type.with_dims((self.size, *value.shape))


class Lanes:
    """Appends ops for all lanes. env: values here by those of the graph; those in `plan.lanes` have the lanes' axis.
    mask: a bool for each lane, None for all of them. writes: ops that may change the lanes of the mask alone. safe:
    values of the graph that are within an array in all lanes."""

    def __init__(self, build: Builder, plan: Plan, mask: Expr | None = None) -> None:
        self.build = build
        self.plan = plan
        self.mask = mask
        self.env: dict[Value, Value] = {}
        self.writes: set[Op] = set()
        self.safe: set[Value] = set()

    def run(self, ops: Iterable[Op]) -> None:
        for op in ops:
            self.build.location = op.location
            if op.regions:
                run_regions(op, self)
            elif op in self.writes:
                masked_write(op, self)
            elif op.kind in PROMISES and self.mask is not None:
                self._promise(op)
            elif op.kind.harmless is not None and self.mask is not None and not self._has_lanes(op):
                self.bind(op, self.build.emit(op.kind, [x.value for x in self.operands(op)], op.attrs))
            elif self._has_lanes(op):
                self.bind(op, self._emit(op, [v in self.plan.lanes for v in op.operands], self.operands(op)))
                if op.kind.family == "movement" and self.safe.issuperset(op.operands):
                    self.safe.add(op.result)
            else:
                self.build.copy(op, self.env)
        self.build.location = None

    def operands(self, op: Op) -> list[Expr]:
        """An op's operands; places that are another lane's and may be anywhere are 0."""
        found = [self.of(v) for v in op.operands]
        if self.mask is not None and op.kind.harmless is not None:
            pairs = zip(op.operands, found, op.kind.harmless(*found), strict=True)
            return [x if x is safe else self._where_it_counts(v, x, safe) for v, x, safe in pairs]
        if self.mask is not None and op.kind in PLACES:
            for i in range(len(found))[PLACES[op.kind]]:
                v = op.operands[i]
                if v in self.plan.lanes and v not in self.safe:
                    found[i] = self.chosen(self.mask, found[i], found[i].const(0), no_lane=False)
        return found

    def _has_lanes(self, op: Op) -> bool:
        return any(v in self.plan.lanes for v in op.operands)

    def _where_it_counts(self, value: Value, x: Expr, safe: Expr) -> Expr:
        """An operand, and in lanes that don't count one that raises no error; what all share counts if a lane does."""
        assert self.mask is not None
        own = value in self.plan.lanes
        return self.chosen(self.mask if own else any_(self.mask, axes=(0,)), x, safe, own, own)

    def of(self, value: Value) -> Expr:
        return Expr(self.env[value], self.build)

    def in_each(self, value: Value) -> Expr:
        """A value that is to have the lanes' axis whether or not it differs."""
        (found,) = in_each(self.plan.size, [value in self.plan.lanes], [self.of(value)])
        return found

    def output(self, value: Value, axis: int | None) -> Expr:
        """A value with its lanes at that axis."""
        if axis is None:
            return self.of(value)
        found = self.in_each(value)
        perm = (*range(1, axis + 1), 0, *range(axis + 1, len(found.shape)))
        return transpose(found, perm=perm) if axis else found

    def bind(self, op: Op, results: Sequence[Expr]) -> None:
        for value, result in zip(op.results, results, strict=True):
            self.build.hint(result.value, value.name)
            self.env[value] = result.value

    def inside(self, name: str) -> Lanes:
        """The same for a region: a graph and an env of its own."""
        return Lanes(Builder(name), self.plan)

    def within(self, mask: Expr | None) -> Lanes:
        """The same for a part that the lanes of `mask` go through, with an env of its own."""
        return Lanes(self.build, self.plan, mask)

    def chosen(self, mask: Expr, yes: Expr, no: Expr, yes_lane: bool = True, no_lane: bool = True) -> Expr:
        """`yes` in the lanes of `mask`, `no` in the others."""
        found: Expr = where(*aligned((bool(mask.shape), yes_lane, no_lane), (mask, yes, no)))
        return found

    def _emit(self, op: Op, lanes: Sequence[bool], operands: Sequence[Expr]) -> Sequence[Expr]:
        assert op.kind.batch is not None, op.kind.name
        found = op.kind.batch(self.plan.size, lanes, *operands, **op.attrs)
        return found if isinstance(found, tuple) else (found,)

    def _promise(self, op: Op) -> None:
        """What counts in some lanes only: in the others, or if there are no such lanes, the promise is kept.

        An index is 0 there, a length what it is to agree with.
        """
        assert self.mask is not None
        value, *other = map(self.of, op.operands)
        own, *others = (v in self.plan.lanes for v in op.operands)
        kept = other[0] if other else value.const(0)
        lanes = own or any(others)
        mask = self.mask if lanes else any_(self.mask, axes=(0,))
        if op.attrs.get("size") != 0:
            value = where(*aligned((lanes, own, any(others)), (mask, value, kept)))
        if lanes:
            self.bind(op, self._emit(op, [True, *others], [value, *other]))
            self.safe.add(op.result)
        else:
            self.bind(op, [op.kind(value, *other, **op.attrs)])
