"""Bytes that a work adds to its process at its peak: from before the peer was given the inputs to while it runs.

Pages of files (the code of libraries) don't count, nor what was taken for compiling and given back. Inputs are NumPy
arrays that are there before: who copies them pays for that, who updates them in place does not.
"""

from __future__ import annotations

from benchmarks.process import Run, attempt
from benchmarks.results import Result
from benchmarks.rows import Row


def measure(row: Row, run: Run) -> list[Result]:
    results = run.blank()

    def once(result: Result) -> None:
        with run.fresh(run.peer(result)) as worker:
            answer = worker.ask("memory", work=row.work, seconds=20 * run.sample_seconds)
        result.samples = answer["samples"]
        result.note = f"{answer['kept'] / 1e6:.1f} MB of it also between calls"

    for result in results:
        attempt(result, lambda result=result: once(result))
    return results
