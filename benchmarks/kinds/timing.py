"""Seconds per call. Each peer is in a process of its own; they take turns, one at a time.

round 1:  weft  numpy  jax  torch ...
round 2:  weft  numpy  jax  torch ...        a slow moment of the machine hits all alike
"""

from __future__ import annotations

from benchmarks.process import Run, attempt
from benchmarks.results import Result, compare
from benchmarks.rows import Row


def measure(row: Row, run: Run) -> list[Result]:
    results = run.blank()

    def begin(result: Result) -> None:
        worker = run.worker(run.peer(result))
        vars(result).update(worker.ask("first", work=row.work))
        worker.ask("settle", seconds=run.sample_seconds)

    def turn(result: Result) -> None:
        result.samples += run.worker(run.peer(result)).ask("round")["samples"]

    for result in results:
        attempt(result, lambda result=result: begin(result))
    for _ in range(run.rounds):
        for result in results:
            attempt(result, lambda result=result: turn(result))
    compare(results)
    return results
