"""How the loops of a kernel are cut: how many chunks run in parallel, and how long one partial sum gets.

    THREADS   a chunk is a task of a CPU thread: long enough to be worth handing out, few enough to combine
    BLOCKS    a chunk is a block (or a warp) of a GPU: thousands of them, whose threads split what is in a chunk, so
              that a thread's own partial sum of a row is of 64 numbers at most
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft.ir.dims import maximum, minimum
from weft.ir.records import dataclass

if TYPE_CHECKING:
    from weft.codegen.lower import Lowering


@dataclass(frozen=True)
class Tiling:
    """Bounds, from which lowering works out the number of chunks."""

    work: int  # instructions per chunk, at least
    chunks: int  # at most
    parts: int  # chunks at most, where each has a partial result to be combined after all of them
    elements: int  # per chunk of one flat loop, at least
    rows: int  # per chunk of a sum over rows, at least
    block: int  # columns per partial sum of a float reduction, at most
    nests: bool  # nested loops over columns run as one; else each run of the innermost has its own partial sum


THREADS = Tiling(work=1 << 16, chunks=64, parts=64, elements=64, rows=8, block=512, nests=False)
BLOCKS = Tiling(work=1, chunks=4096, parts=512, elements=2048, rows=16, block=1 << 14, nests=True)


def chunks_of(low: Lowering) -> int:
    """How many chunks a kernel is cut into."""
    tiling, kinds = low.tiling, set(low.space.reductions.values())
    many = (low.cols[0][1] if low.cols else 1) // tiling.elements if low.flat else low.row_count
    if low.across:
        many = low.cols[0][1]
    elif "column" in kinds:
        many = minimum(many, low.row_count // tiling.rows)
    limit = tiling.parts if kinds & {"full", "column"} else tiling.chunks
    return maximum(1, minimum(limit, low.work // tiling.work, many))  # type: ignore[no-any-return]
