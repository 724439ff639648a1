"""The block that a call works in, handed out and taken back in bytes: first fit over its free ranges."""

from __future__ import annotations

import functools

from weft.ir import dims

ALIGN = 64  # bytes: a cache line


def aligned(size: int) -> int:
    return dims.aligned(dims.maximum(size, 1), ALIGN)


def _before(one: tuple[int, int], other: tuple[int, int]) -> int:
    """Ranges in order: of two, one's end is no larger than the other's start whatever the sizes are."""
    return -1 if dims.provably(other[0], ">=", one[0]) else 1


class Arena:
    """`top` is how large the block must be. Sizes may be symbols (`weft.ir.dims`): a range serves what is known to fit
    whatever they are."""

    def __init__(self) -> None:
        self.free: list[tuple[int, int]] = []
        self.top = 0

    def take(self, size: int) -> int:
        size = aligned(size)
        for i, (at, n) in enumerate(self.free):
            if dims.provably(n, ">=", size):
                self.free[i : i + 1] = [] if dims.same(n, size) else [(at + size, n - size)]
                return at
        if self.free and dims.same(sum(self.free[-1]), self.top) and dims.provably(size, ">=", self.free[-1][1]):
            at, n = self.free.pop()
            self.top = at + size
            return at
        at, self.top = self.top, self.top + size
        return at

    def give(self, at: int, size: int) -> None:
        ranges = sorted([*self.free, (at, aligned(size))], key=functools.cmp_to_key(_before))
        merged = [ranges[0]]
        for start, n in ranges[1:]:
            if dims.same(sum(merged[-1]), start):
                merged[-1] = (merged[-1][0], merged[-1][1] + n)
            else:
                merged.append((start, n))
        self.free = merged
