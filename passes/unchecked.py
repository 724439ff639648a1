"""Checks of indices given up: an index that is out of bounds becomes the last one that is not, and nothing is raised.

    bound(i, size=n)   ->   minimum(i, n - 1), both unsigned: a negative index is a very large one

What is computed from such an index is then of no use, but no memory is read or written that is not the array's. What
takes the check's place is ordinary arithmetic: moved out of loops, done in parallel.
"""

from __future__ import annotations

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.elementwise import minimum
from weft.ir.ops.source import cast
from weft.ir.ops.update import bound
from weft.passes.ranges import ranges


def unchecked(graph: Graph) -> Graph:
    """The graph without `bound`s, but for those of arrays without elements."""
    return _clamp_all(ranges(graph))


def _clamp_all(graph: Graph) -> Graph:
    if all(op.kind is not bound for op in graph.walk()):
        return graph
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    env: dict[Value, Value] = {}
    for op in graph.ops:
        operands = tuple(env.get(v, v) for v in op.operands)
        build.location = op.location
        if op.kind is bound and op.attrs["size"]:
            env[op.result] = _inside(build, operands[0], op.attrs["size"], op.result.name)
        else:
            build.ops.append(Op(op.kind, operands, op.attrs, tuple(map(_clamp_all, op.regions)), op.results))
    return build.finish([env.get(v, v) for v in graph.outputs])


def _inside(build: Builder, index: Value, size: int, name: str) -> Value:
    last = build.constant(size - 1, "u64").value
    (low,) = build.emit(minimum, (cast(Expr(index, build), dtype="u64").value, last), {})
    found = cast(low, dtype="i64").value
    build.hint(found, name)
    return found
