"""Seconds of the first call with a batch of a new size, when two sizes have been seen, and how often it compiles."""

from __future__ import annotations

from benchmarks.process import Run, attempt
from benchmarks.results import Result
from benchmarks.rows import Row

SEEN, NEW = (32, 48), (40, 17, 64, 7)


def measure(row: Row, run: Run) -> list[Result]:
    results = run.blank()

    def once(result: Result) -> None:
        with run.fresh(run.peer(result)) as worker:
            vars(result).update(worker.ask("sizes", work=row.work, seen=SEEN, new=NEW))

    for result in results:
        attempt(result, lambda result=result: once(result))
    return results
