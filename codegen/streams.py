"""Stores that go around the cache: results that nobody reads before they would have left it.

    for c in [lo, hi):  # vector          for b in [lo, hi) step 1024:
      store y[c] = t                        for c in [b, e):  # vector      store block[c - b] = t
                                            stream y[b] = block[0], e - b elements

A store to memory that is not in the cache reads it first, a whole line, to change a part of it. Whole lines can be
written without, if they are written at once; so a block of results is collected in the nearest cache, and its lines are
handed on from there. That saves a third of what an elementwise kernel moves, and leaves its operands in the cache.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from weft.codegen.kernel import Affine, Buffer, For, Index, Statement, Store, Stream, var
from weft.ir.dims import may_exceed, same, value_of

if TYPE_CHECKING:
    from weft.codegen.lower import Lowering

BLOCK = 1024  # elements that are collected
SHORT = 256  # trips: in a shorter loop the collecting costs as much as it saves


def pays(low: Lowering) -> bool:
    """Is a kernel so cheap that its stores wait for memory, and not for what is stored?"""
    return low.cost() <= sum(v.type.np_dtype.itemsize for v in (*low.graph.inputs, *low.graph.outputs))


def streamed(low: Lowering, loop: For, most: int) -> list[Statement]:
    """The loop, of `most` trips, with its stores to streamed buffers collected in blocks."""
    found = [
        s for s in loop.body if isinstance(s, Store) and s.buffer in low.streams and s.index.coefficient(loop.var) == 1
    ]
    if not found or value_of(most) < SHORT or not loop.vector or loop.step != 1:
        return [loop]
    start, stop = loop.start, loop.stop
    if may_exceed(most, BLOCK):
        block, end = low.names.fresh("b"), low.names.fresh("e")
        start, stop = var(block), var(end)
    body: list[Statement] = []
    after: list[Statement] = []
    for s in loop.body:
        if s not in found:
            body.append(s)
            continue
        assert isinstance(s, Store)
        begin = var("chunk") * BLOCK if not same(low.chunks, 1) else Affine()
        held = _collected(low, s)
        body.append(Store(held, s.dtype, begin + var(loop.var) + start * -1, s.value))
        after.append(Stream(s.buffer, s.dtype, s.index.substitute({loop.var: start}), held, begin, stop + start * -1))
    inner = dataclasses.replace(loop, start=start, stop=stop, body=body)
    if not may_exceed(most, BLOCK):
        return [inner, *after]
    run = [Index(end, "min", var(block) + BLOCK, loop.stop), inner, *after]
    return [For(block, loop.start, loop.stop, run, step=BLOCK)]


def _collected(low: Lowering, s: Store) -> str:
    """The buffer in which a streamed buffer's elements are collected."""
    if s.buffer not in low.collected:
        low.collected[s.buffer] = low.names.fresh("block")
        low.buffers.append(Buffer(low.collected[s.buffer], s.dtype, BLOCK * low.chunks, "chunk"))
    return low.collected[s.buffer]
