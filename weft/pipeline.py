"""The compiler, as one list: what happens to a captured graph, in order. Open this file first.

    capture (frontend)  ->  PASSES  ->  memory plan  ->  kernels and one native step  ->  executable

Each pass takes a valid graph and leaves one; `weft.passes.manager` names, times, logs and (in debug mode and
in tests) verifies them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from functools import cached_property
from typing import Any

from weft.codegen.step import Step, write_step
from weft.debug import debug_level
from weft.ir.graph import Graph
from weft.passes.convolutions import convolutions
from weft.passes.cse import cse
from weft.passes.dce import dce
from weft.passes.fuse import fuse
from weft.passes.loop_products import loop_products
from weft.passes.loops import loops
from weft.passes.manager import Pass, Record, run
from weft.passes.memory import Plan, plan
from weft.passes.products import products
from weft.passes.ranges import ranges
from weft.passes.recompute import recompute
from weft.passes.shifts import shifts
from weft.passes.simplify import simplify
from weft.passes.sink import sink
from weft.passes.small_reductions import small_reductions
from weft.passes.trim import trim

PASSES = [
    Pass("dce", dce),
    Pass("simplify", simplify),
    Pass("loops", loops),
    Pass("cse", cse),
    Pass("ranges", ranges),
    Pass("simplify again", simplify),  # what cse made equal may simplify
    Pass("loop products", loop_products),
    Pass("shifts", shifts),
    Pass("convolutions", convolutions),
    Pass("small reductions", small_reductions),
    Pass("sink", sink),
    Pass("trim", trim),
    Pass("dce again", dce),
    Pass("products", products),
    Pass("loops again", loops),  # a transpose that a product in a loop needs
    Pass("fuse", fuse),
    Pass("recompute", recompute),
]
BY_NAME = {p.name: p for p in PASSES}
UNFUSED = [p.name for p in PASSES].index("fuse")
GRAPHS = {"trace": 0, "grad": 1, "simplified": UNFUSED, "fused": len(PASSES)}  # how many passes ran
Donate = Collection[int | tuple[int, int]]  # inputs whose buffers results may take, see `weft.passes.memory`
log = logging.getLogger("weft.pipeline")
KERNELS, LLVM = logging.getLogger("weft.kernels"), logging.getLogger("weft.llvm")


class Stages:
    """A function's way through the compiler; each stage prints. Later ones are made when asked for."""

    def __init__(self, graph: Graph, donate: Donate = (), label: str = "", check: bool | None = None) -> None:
        self.trace = graph
        self.donate = frozenset(donate)
        self.label = label or graph.name
        self.check = debug_level() >= 1 if check is None else check
        self.seconds: dict[str, float] = {}
        self.recalled = False  # its object code was found without coming this way

    @cached_property
    def _passed(self) -> tuple[Graph, list[Record]]:
        return run(self.trace, PASSES, check=self.check)

    @property
    def records(self) -> list[Record]:
        """One record per pass: name, seconds, op counts, the graph that it left."""
        return self._passed[1]

    @property
    def grad(self) -> Graph:
        """The graph with its backward part, cleaned of dead ops, before any rewriting."""
        return self.records[GRAPHS["grad"] - 1].graph

    @property
    def simplified(self) -> Graph:
        return self.records[GRAPHS["simplified"] - 1].graph

    @property
    def fused(self) -> Graph:
        return self._passed[0]

    @cached_property
    def memory(self) -> Plan:
        return plan(self.fused, self.donate)

    @cached_property
    def step(self) -> Step:
        fused = self.fused  # made before the clock starts: the passes have times of their own
        return self._timed("kernels", lambda: write_step(fused, self.memory))

    @property
    def kernel_ir(self) -> str:
        return "\n".join(map(str, self.step.kernels))

    @property
    def kernels(self) -> str:
        """The kernels as Numba source for the CPU: readable, and what the object code computes."""
        from weft.codegen.numba_cpu import print_module

        return print_module(self.step.kernels)

    @property
    def cuda(self) -> str:
        """The kernels as numba.cuda source, cut for a GPU's blocks. Raises CudaError for what has no such form."""
        from weft.codegen.lower import lower
        from weft.codegen.numba_cuda import print_module
        from weft.codegen.tiling import BLOCKS

        shared = self.memory.shared
        calls = [op for op in self.fused.ops if op.kind.name == "call"]
        return print_module([lower(op.regions[0], shared.get(op), BLOCKS) for op in calls])

    @property
    def llvm(self) -> str:
        return self.step.text

    @property
    def asm(self) -> str:
        from weft.codegen.objects import assembly

        return assembly(self.step.text)

    def _timed(self, name: str, work: Any) -> Any:
        start = time.perf_counter()
        out = work()
        self.seconds[name] = time.perf_counter() - start
        log.info("%s: %s in %.2f ms", self.label, name, self.seconds[name] * 1e3)
        return out

    def compile(self, name: Any = None) -> Any:
        """The executable. Its object code comes from the disk cache when it was compiled before. name: to recall it
        by, see `weft.runtime.recall`."""
        from weft.runtime import native, pool, recall
        from weft.runtime.executable import Executable

        step = self.step
        if KERNELS.isEnabledFor(logging.DEBUG):
            KERNELS.debug("%s: kernels\n%s", self.label, self.kernels)
        if LLVM.isEnabledFor(logging.DEBUG):
            LLVM.debug("%s: LLVM IR\n%s\nassembly\n%s", self.label, step.text, self.asm)
        build = lambda: native.build_units(step.units, threads=pool.threads(), label=self.label)  # noqa: E731
        library = self._timed("object code", build)
        if name is not None:
            recall.remember(name, step, step.units, self.memory.taken, self.label)
        return Executable(self.fused, step, self.memory.taken, library, lambda: self)

    def __str__(self) -> str:
        return f"{self.fused}\n{self.memory}"
