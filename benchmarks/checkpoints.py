"""Gradients of long loops with and without checkpoints: `python -m benchmarks.checkpoints [--trips 1000]`.

Prints for each program, and for each way to keep what its gradient needs, the median time of the gradient, that over
the median time of the value, and the memory: the bytes of the plan and those that all trips leave on a stack. All take
turns in one process, on one thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import weft
from benchmarks import machine
from benchmarks.table import duration

WAYS: tuple[int | str | None, ...] = (None, "sqrt", 100, 20, 5)


def heat(u: Any, k: Any, trips: int, checkpoint: Any) -> Any:
    """A bar that conducts heat: what a trip needs to be run backward by k is one array."""
    for _ in weft.rolled(range(trips), checkpoint=checkpoint):
        u[1:-1] += k * (u[2:] - 2 * u[1:-1] + u[:-2])
    return u


def reaction(u: Any, k: Any, trips: int, checkpoint: Any) -> Any:
    """Diffusion and reaction on a square."""
    for _ in weft.rolled(range(trips), checkpoint=checkpoint):
        flow = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1]
        u[1:-1, 1:-1] += k * flow + 0.01 * np.sin(u[1:-1, 1:-1])
    return u


def recurrence(u: Any, w: Any, trips: int, checkpoint: Any) -> Any:
    """A recurrent network without inputs."""
    for _ in weft.rolled(range(trips), checkpoint=checkpoint):
        u = np.tanh(u @ w)
    return u


def programs() -> dict[str, tuple[Callable[..., Any], tuple[Any, Any]]]:
    rng = np.random.default_rng(0)
    return {
        "heat, 10000 cells": (heat, (rng.random(10_000), 0.1)),
        "reaction, 200 x 200": (reaction, (rng.random((200, 200)), 0.1)),
        "recurrence, 64 x 64": (recurrence, (rng.random((64, 64)), rng.random((64, 64)) / 32)),
    }


@dataclass
class Way:
    """A compiled function, its times in seconds, and its memory in bytes."""

    name: str
    run: Callable[..., Any]
    memory: int
    samples: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


def compiled(name: str, function: Callable[..., Any], arguments: tuple[Any, Any], trips: int) -> Way:
    run = weft.compile(function)
    stages = run.lower(*arguments)
    pushed = sum(v.type.nbytes for op in stages.fused.walk() if op.kind.name == "push" for v in op.operands[1:])
    run(*arguments)
    return Way(name, run, stages.memory.arena + sum(stages.memory.pointers) + pushed * trips)


def measure(function: Callable[..., Any], arguments: tuple[Any, Any], trips: int, rounds: int) -> list[Way]:
    def loss(checkpoint: Any) -> Callable[..., Any]:
        return lambda u, k: np.sum(function(u.copy(), k, trips, checkpoint) ** 2)

    ways = [compiled("value", loss(None), arguments, trips)]
    for kept in WAYS:
        gradient = weft.grad(loss(kept), argnums=(0, 1))
        ways.append(compiled("no checkpoints" if kept is None else f"checkpoint={kept!r}", gradient, arguments, trips))
    for _ in range(rounds):
        for way in ways:
            start = time.perf_counter()
            way.run(*arguments)
            way.samples.append(time.perf_counter() - start)
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoints", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trips", type=int, default=1000, help="of each loop (1000)")
    parser.add_argument("--rounds", type=int, default=9, help="turns that each gets (9)")
    args = parser.parse_args()
    os.environ["WEFT_NUM_THREADS"] = "1"
    print(machine.describe(1), flush=True)
    others = machine.Others(lambda: [os.getpid()])
    for name, (function, arguments) in programs().items():
        print(f"\n{name}, {args.trips} trips")
        ways = measure(function, arguments, args.trips, args.rounds)
        for way in ways:
            times = f"{way.median / ways[0].median:6.1f} times the value" if way is not ways[0] else ""
            print(f"  {way.name:18} {duration(way.median):>8} {way.memory / 1e6:9.1f} MB  {times}".rstrip(), flush=True)
    print(f"\nother processes kept {others.share():.2f} processors busy meanwhile")


if __name__ == "__main__":
    main()
