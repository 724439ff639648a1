"""Products for the library: every `dot` becomes one (batched) matrix product of row-major buffers.

    A: (batch..., free..., contract...) or (batch..., contract..., free...)      likewise B, contracted in one order

An operand whose axes lie otherwise is transposed first. `layout` says how a ready operand lies.
"""

from __future__ import annotations

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.ops.linalg import dot, free_axes
from weft.ir.ops.movement import transpose


def layout(rank: int, batch: tuple[int, ...], contract: tuple[int, ...]) -> str | None:
    """"fc" for (batch, free, contract), "cf" for (batch, contract, free), None for anything else."""
    free = free_axes(rank, batch, contract)
    if tuple(range(rank)) == (*batch, *free, *contract):
        return "fc"
    if tuple(range(rank)) == (*batch, *contract, *free):
        return "cf"
    return None


def products(graph: Graph) -> Graph:
    """Put transposes where the operands of a `dot` need them."""
    if all(op.kind is not dot or _ready(op) for op in graph.walk()):
        return graph
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    env: dict[Value, Value] = {v: v for v in graph.inputs}
    for op in graph.ops:
        build.location = op.location
        if op.kind is dot:
            env[op.result] = _canonical(op, [Expr(env[v], build) for v in op.operands])
            if op.result.name:
                build.hint(env[op.result], op.result.name)
        else:
            done = Op(op.kind, tuple(env[v] for v in op.operands), op.attrs, op.regions, op.results)
            build.ops.append(with_regions(done, products))
            env.update((r, r) for r in op.results)
    return build.finish([env[v] for v in graph.outputs])


def _ready(op: Op) -> bool:
    batch, contract = op.attrs["batch"], op.attrs["contract"]
    return all(layout(len(v.shape), batch[i], contract[i]) for i, v in enumerate(op.operands))


def _canonical(op: Op, operands: list[Expr]) -> Value:
    batch, contract = op.attrs["batch"], op.attrs["contract"]
    pairs = sorted(zip(*contract, strict=True))  # contract in a's order
    contract = (tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))
    ready = []
    axes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for i, x in enumerate(operands):
        rank = len(x.shape)
        own_batch, own_contract = batch[i], contract[i]
        if layout(rank, own_batch, own_contract) is None:
            perm = (*own_batch, *free_axes(rank, own_batch, own_contract), *own_contract)
            x = transpose(x, perm=perm)
            own_batch = tuple(range(len(own_batch)))
            own_contract = tuple(range(rank - len(own_contract), rank))
        ready.append(x)
        axes.append((own_batch, own_contract))
    result: Expr = dot(*ready, batch=(axes[0][0], axes[1][0]), contract=(axes[0][1], axes[1][1]))
    return result.value
