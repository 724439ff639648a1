"""What the tests and the benchmark want to know of a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Maker = Callable[[np.random.Generator, int, int], tuple[Any, ...]]


@dataclass(frozen=True)
class Program:
    """A NumPy function with loops, and arguments for it.

    arguments(rng, n, trips): for an array size `n` and a number of trips of the outermost loop. small, large: such
    (n, trips) for a test and for a measurement. smooth: positions of float arguments with a gradient everywhere near
    `arguments`. njit: whether Numba compiles it as it stands. kept: whether weft keeps all loops as loops, so that
    its graph is as large for any number of trips.
    """

    function: Callable[..., Any]
    arguments: Maker
    small: tuple[int, int]
    large: tuple[int, int]
    smooth: tuple[int, ...] = ()
    njit: bool = True
    kept: bool = True

    @property
    def name(self) -> str:
        return self.function.__name__
