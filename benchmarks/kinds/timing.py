"""Seconds per call. Each peer is in a process of its own; they take turns, one at a time.

round 1:  weft  numpy  jax  torch ...
round 2:  weft  numpy  jax  torch ...        a slow moment of the machine hits all alike

Between turns is a pause: threads of libraries go on spinning for a while when there is nothing to do, OpenBLAS's for
30 ms, and would take a processor from whoever comes next.
"""

from __future__ import annotations

import time

from benchmarks.process import Run, attempt
from benchmarks.results import Result, compare
from benchmarks.rows import Row

PAUSE = 0.06  # seconds


def measure(row: Row, run: Run) -> list[Result]:
    results = run.blank()

    def begin(result: Result) -> None:
        worker = run.worker(run.peer(result))
        vars(result).update(worker.ask("first", work=row.work))
        time.sleep(PAUSE)
        worker.ask("settle", seconds=run.sample_seconds)

    def turn(result: Result) -> None:
        time.sleep(PAUSE)
        result.samples += run.worker(run.peer(result)).ask("round")["samples"]

    for result in results:
        attempt(result, lambda result=result: begin(result))
    for _ in range(run.rounds):
        for result in results:
            attempt(result, lambda result=result: turn(result))
    compare(results)
    return results
