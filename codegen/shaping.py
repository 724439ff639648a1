"""The loop over a row's columns as vectors like it: cut where tests change, searched and streamed in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weft.codegen.kernel import AccumulateArg, For, Statement
from weft.codegen.search import searched
from weft.codegen.segments import cut
from weft.codegen.streams import streamed

if TYPE_CHECKING:
    from weft.codegen.lower import Lowering


def shaped(low: Lowering, loop: For, count: int) -> list[Statement]:
    """The loop, whose variable is in [0, count), as statements. A GPU's threads split it as it is."""
    if low.tiling.nests:
        return [loop]
    found: list[Statement] = []
    for piece in cut(loop, count, low.names):
        if not isinstance(piece, For):
            found.append(piece)
        elif any(isinstance(s, AccumulateArg) for s in piece.body):
            found += searched(piece, count, low.names)
        else:
            found += streamed(low, piece, count)
    return found
