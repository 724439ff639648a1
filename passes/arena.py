"""The block that a call works in, handed out and taken back in bytes: first fit over its free ranges."""

from __future__ import annotations

ALIGN = 64  # bytes: a cache line


def aligned(size: int) -> int:
    return -(-max(size, 1) // ALIGN) * ALIGN


class Arena:
    """`top` is how large the block must be."""

    def __init__(self) -> None:
        self.free: list[tuple[int, int]] = []
        self.top = 0

    def take(self, size: int) -> int:
        size = aligned(size)
        for i, (at, n) in enumerate(self.free):
            if n >= size:
                self.free[i : i + 1] = [(at + size, n - size)] if n > size else []
                return at
        if self.free and sum(self.free[-1]) == self.top:
            at, n = self.free.pop()
            self.top = at + size
            return at
        at, self.top = self.top, self.top + size
        return at

    def give(self, at: int, size: int) -> None:
        ranges = sorted([*self.free, (at, aligned(size))])
        merged = [ranges[0]]
        for start, n in ranges[1:]:
            if sum(merged[-1]) == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + n)
            else:
                merged.append((start, n))
        self.free = merged
