"""Products for the library: every `dot` becomes one (batched) matrix product of row-major buffers.

    A: (batch..., free..., contract...) or (batch..., contract..., free...)      likewise B, contracted in one order

An operand whose axes lie otherwise is transposed first. `layout` says how a ready operand lies. Windows of an array,
which are never made as a whole (see `weft.codegen.windowed`), come first, their rows before their columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph, Op, Value, with_regions
from weft.ir.ops.linalg import dot, free_axes
from weft.ir.ops.movement import transpose
from weft.ir.views import View, view_of


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
    if all(op.kind is not dot for op in graph.walk()):
        return graph
    maker = graph.producers()
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    env: dict[Value, Value] = {v: v for v in graph.inputs}
    for op in graph.ops:
        build.location = op.location
        if op.kind is dot:
            operands = [Expr(env[v], build) for v in op.operands]
            side = _with_windows(op, maker.get)
            if side is None:
                env[op.result] = _canonical(op, operands)
            else:
                env[op.result] = _by_blocks(op, operands, side, view_of(op.operands[side], maker.get))
            if op.result.name:
                build.hint(env[op.result], op.result.name)
        else:
            done = Op(op.kind, tuple(env[v] for v in op.operands), op.attrs, op.regions, op.results)
            build.ops.append(with_regions(done, products))
            env.update((r, r) for r in op.results)
    return build.finish([env[v] for v in graph.outputs])



def _with_windows(op: Op, maker: Callable[[Value], Op | None]) -> int | None:
    """Which operand of a product for the library is windows (see `weft.ir.views`), and is to be made block by block."""
    if op.result.dtype not in ("f32", "f64") or op.attrs["batch"][0]:
        return None
    for side, v in enumerate(op.operands):
        free = free_axes(len(v.shape), (), op.attrs["contract"][side])
        if free and op.attrs["contract"][side] and view_of(v, maker).overlaps(v.shape):
            return side
    return None


def _by_blocks(op: Op, operands: list[Expr], side: int, view: View) -> Value:
    """The product with windows first, in the order in which blocks of them are made: rows, which are the more, and
    then what is in one, as it lies in memory."""
    windows, other = operands[side], operands[1 - side]
    own, others = op.attrs["contract"][side], op.attrs["contract"][1 - side]
    free, free_other = (
        free_axes(len(x.shape), (), axes) for x, axes in ((windows, own), (other, others))
    )
    far_first = sorted(range(len(windows.shape)), key=lambda d: -abs(view.strides[d]))
    sizes = [math.prod(windows.shape[d] for d in axes) for axes in (free, own)]
    contracted = [d for d in far_first if d in own]
    kept = list(free) if sizes[0] >= sizes[1] else [d for d in far_first if d in free]
    order = (*kept, *contracted) if sizes[0] >= sizes[1] else (*contracted, *kept)
    x = _transposed(windows, order)
    pairs = [others[own.index(d)] for d in contracted]
    at = tuple(order.index(d) for d in contracted)
    if tuple(range(len(other.shape))) not in ((*free_other, *pairs), (*pairs, *free_other)):
        other = _transposed(other, (*pairs, *free_other))
        pairs = list(range(len(pairs)))
    result: Expr = dot(x, other, batch=((), ()), contract=(at, tuple(pairs)))
    n = len(kept)
    back = [kept.index(d) for d in free]
    rest = list(range(n, n + len(free_other)))
    return _transposed(result, tuple(back + rest if side == 0 else rest + back)).value


def _transposed(x: Expr, perm: tuple[int, ...]) -> Expr:
    done: Expr = x if perm == tuple(range(len(perm))) else transpose(x, perm=perm)
    return done


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
