"""The kinds of measurement. Each is a function of a row and a run that gives a result per peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.kinds import first_call, installed, memory, new_size, process, timing
from benchmarks.process import Run
from benchmarks.results import Result
from benchmarks.rows import Row


@dataclass(frozen=True)
class Kind:
    """unit: "s" or "B", of the samples."""

    measure: Callable[[Row, Run], list[Result]]
    unit: str = "s"


KINDS = {
    "time": Kind(timing.measure),
    "first call": Kind(first_call.measure),
    "cold process": Kind(process.cold),
    "cached process": Kind(process.cached),
    "new size": Kind(new_size.measure),
    "memory": Kind(memory.measure, "B"),
    "installed size": Kind(installed.measure, "B"),
}
