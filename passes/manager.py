"""Runs a list of passes: each is named, timed, logged, and verified where asked.

`run(graph, passes)` returns the last graph and a record per pass (seconds, op counts, the graph it left).
Logger "weft.passes": names and times at INFO, the IR before and after at DEBUG.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from weft.ir.graph import Graph
from weft.ir.ops.control import call
from weft.ir.records import dataclass
from weft.ir.verify import verify

log = logging.getLogger("weft.passes")


@dataclass(frozen=True)
class Pass:
    """A named function from graph to graph."""

    name: str
    run: Callable[[Graph], Graph]


@dataclass(frozen=True)
class Record:
    """What one pass did: its name, seconds, op counts before and after, and the graph it left."""

    name: str
    seconds: float
    before: int
    after: int
    graph: Graph


def count(graph: Graph) -> int:
    """Ops, those of loops and branches included; a kernel is one."""
    return sum(1 + (0 if op.kind is call else sum(map(count, op.regions))) for op in graph.ops)


def run(graph: Graph, passes: Sequence[Pass], *, check: bool = False) -> tuple[Graph, list[Record]]:
    """Run `passes` in order. With `check`, every graph is verified (VerifyError names the pass)."""
    records = []
    if check:
        verify(graph, after="capture")
    for p in passes:
        start = time.perf_counter()
        new = p.run(graph)
        seconds = time.perf_counter() - start
        if check:
            verify(new, after=p.name)
        before, after = count(graph), count(new)
        records.append(Record(p.name, seconds, before, after, new))
        log.info("%s: %s %d -> %d ops in %.2f ms", graph.name, p.name, before, after, seconds * 1e3)
        if log.isEnabledFor(logging.DEBUG) and new is not graph:
            log.debug("%s before %s:\n%s", graph.name, p.name, graph)
            log.debug("%s after %s:\n%s", graph.name, p.name, new)
        graph = new
    return graph, records
