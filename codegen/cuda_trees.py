"""Reductions over the lanes of a block or a warp: a tree in shared memory, as device functions.

    lane i's slot is shared[at + i * step]:   at = 0, step = 1 for a whole block, other slots for parts of one

Every lane calls one and every lane has the result. Of argmax and argmin the pair (value, position) goes up the
tree; of two that are equally good, the one of least position. `prefix` says what waits: a block, or a warp.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.codegen.kernel import Accumulate, AccumulateArg, AccumulateAt
from weft.codegen.numba_source import bare
from weft.codegen.scalar import Scalar

BARRIERS = {"block": "cuda.syncthreads()", "warp": "warp_barrier()"}
WARP_BARRIER = """\
if config.ENABLE_CUDASIM:
    def warp_barrier():
        cuda.syncthreads()  # the simulator has no warps
else:
    @device
    def warp_barrier():
        cuda.syncwarp()
"""


class Trees:
    """The device functions that a module's kernels call; each is made when it is first asked for."""

    def __init__(self) -> None:
        self.functions: dict[str, str] = {}

    def adder(self, s: Accumulate | AccumulateAt, prefix: str) -> str:
        """f(shared, value, lane, lanes, at, step): all lanes' values combined."""
        name = f"{prefix}_{s.kind}_{s.dtype}"
        lines = ["a, b = shared[here], shared[there]", *_lines(s.combine, ["a", "b"], "shared[here]", "v")]
        return self._tree(name, prefix, "shared, value", "shared[here] = value", lines, "shared[at]")

    def picker(self, s: AccumulateArg, prefix: str) -> str:
        """f(shared, places, value, place, lane, lanes, at, step): the position of the best of all lanes' values."""
        name = f"{prefix}_{s.kind}_{s.dtype}"
        lines = [
            "a, b = shared[here], shared[there]",
            *_lines(s.better, ["b", "a"], "better", "v"),
            *_lines(s.better, ["a", "b"], "worse", "w"),
            "if better or (not worse and places[there] < places[here]):",
            "    shared[here], places[here] = b, places[there]",
        ]
        put = "shared[here], places[here] = value, place"
        return self._tree(name, prefix, "shared, places, value, place", put, lines, "places[at]")

    def _tree(self, name: str, prefix: str, given: str, put: str, combine: Sequence[str], result: str) -> str:
        wait = BARRIERS[prefix]
        head = [f"def {name}({given}, lane, lanes, at, step):", "    here = at + lane * step"]
        up = ["    while lanes > 1:", "        lanes //= 2", "        if lane < lanes:"]
        inner = [" " * 12 + line for line in ["there = here + lanes * step", *combine]]
        body = [f"    {wait}", f"    {put}", f"    {wait}", *up, *inner, f"        {wait}", f"    return {result}"]
        self.functions[name] = "\n".join(["@device", *head, *body])
        return name

    def source(self) -> str:
        """All that was asked for."""
        warps = [WARP_BARRIER] if any(name.startswith("warp") for name in self.functions) else []
        return "\n\n\n".join(text.strip("\n") for text in [*warps, *self.functions.values()])


def _lines(scalar: Scalar, operands: Sequence[str], target: str, hint: str) -> list[str]:
    count = iter(range(1, 1000))
    lines, result = scalar.numba_statements(operands, lambda: f"{hint}{next(count)}")
    return [*lines, f"{target} = {bare(result)}"]
