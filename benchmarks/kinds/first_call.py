"""Seconds of the first call of a work, compilation included, in a process that has compiled something else before."""

from __future__ import annotations

from benchmarks.process import Run, attempt
from benchmarks.results import Result, compare
from benchmarks.rows import Row

COMPILERS = frozenset({"weft", "numba", "jax", "torch.compile"})
SLOW = frozenset({"torch.compile"})  # is asked once


def measure(row: Row, run: Run) -> list[Result]:
    results = [r for r in run.blank() if r.peer in COMPILERS]

    def once(result: Result) -> None:
        with run.fresh(run.peer(result)) as worker:
            answer = worker.ask("first", work=row.work)
        result.samples.append(answer["first"])
        result.digest = answer["digest"]

    for turn in range(run.repeats):
        for result in results:
            if not turn or result.peer not in SLOW:
                attempt(result, lambda result=result: once(result))
    compare(results)
    return results
