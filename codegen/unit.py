"""What a step is made of, and what running it takes: all that a process needs to know of one compiled before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np

from weft.ir.dims import Dim
from weft.ir.graph import Op
from weft.ir.records import dataclass, field, replace

STEP = "step"
KERNEL = "kernel"


@dataclass(frozen=True)
class Unit:
    """One module: what kind ("kernel" or "step"), the symbol that others call it by, its LLVM IR text, and how much
    LLVM is to make of it."""

    kind: str
    symbol: str
    text: str
    level: int = 3


@dataclass
class Needs:
    """What a caller of a step must pass.

    arena: bytes to work in. errors: where in them the first index out of bounds is recorded, as number (from 1) of one
    of `bounds`, and the index. parallel: does it use the pool? stacks: does it keep any (to be released by `release`)?
    library: the ops that the host runs, by their numbers. sizes: what the last constant has the values of, where there
    are symbols. threads: it uses the pool where one of these is positive.
    """

    constants: list[np.ndarray]
    arena: int
    parallel: bool
    bounds: list[Op] = field(default_factory=list)
    errors: int = 0
    stacks: bool = False
    library: list[Op] = field(default_factory=list)
    sizes: list[Dim] = field(default_factory=list)
    threads: list[int | Dim] = field(default_factory=list)

    def at(self, evaluate: Callable[[int | Dim], int], sizes: np.ndarray) -> Self:
        """The same for sizes that are numbers. `sizes`: those of the table."""
        return replace(
            self,
            constants=[*self.constants[:-1], sizes] if self.sizes else self.constants,
            arena=evaluate(self.arena),
            errors=evaluate(self.errors),
            parallel=any(evaluate(n) > 0 for n in self.threads),
        )
