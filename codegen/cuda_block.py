"""Writers of CUDA functions: what all have, and what those have whose threads work on one chunk together.

In a `Block`, a statement outside of loops that threads share out is run by every thread alike; one thread stores.
A variable that such a loop accumulates into holds each thread's own part; reading it combines them (`cuda_trees`).
Threads wait for each other where one reads what another wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from weft.codegen.cuda_nests import reads, writes
from weft.codegen.cuda_trees import BARRIERS, Trees
from weft.codegen.kernel import (
    Accumulate,
    AccumulateArg,
    Buffer,
    For,
    Kernel,
    Load,
    Read,
    Statement,
    Store,
)
from weft.codegen.numba_source import Names, Writer, memory
from weft.codegen.scalar_numba import held
from weft.ir.records import dataclass


@dataclass(frozen=True)
class Launch:
    """Threads of a block, and lanes that share out a short row: a warp, on a GPU 32. Both are powers of two."""

    threads: int
    warp: int


GPU = Launch(threads=256, warp=32)


class CudaWriter(Writer):
    """The lines of one function: shared arrays and this thread's place first, then statements."""

    def __init__(self, names: Names, kernel: Kernel, body: list[Statement], launch: Launch, trees: Trees) -> None:
        super().__init__(names)
        self.kernel, self.body, self.launch, self.trees = kernel, body, launch, trees
        self.buffers = {b.name: b for b in kernel.buffers}
        self.shared: dict[str, str] = {}

    def write(self) -> list[str]:
        """All lines of the function."""
        raise NotImplementedError

    def launched(self) -> str:
        """The launch configuration, as the host driver writes it."""
        raise NotImplementedError

    def parameters(self) -> list[Buffer]:
        """Buffers that the function is passed."""
        used = reads(self.body) | writes(self.body)
        return [b for b in self.kernel.buffers if b.name in used]

    def array(self, name: str, count: int, dtype: str) -> str:
        """A shared array of the function."""
        self.shared[name] = f"    {name} = cuda.shared.array({max(count, 1)}, {memory(dtype)})"
        return name

    def spread(self, flat: str, loops: Sequence[For]) -> None:
        """The loops' variables from their flat index."""
        step = 1
        for s in reversed(loops):
            text = flat if step == 1 else f"{flat} // {step}"
            self.put(f"{self.names[s.var]} = {text}" + (f" % {s.stop.const}" if s is not loops[0] else ""))
            step *= s.stop.const

    def heads(self, loops: Iterable[For]) -> None:
        for s in loops:
            self.comment(s)


class Block(CudaWriter):
    """What Rows and Columns share: statements that every thread runs, and loops that threads share out."""

    prefix = "block"
    first = "lane == 0"  # the thread that stores what all have

    def __init__(self, names: Names, kernel: Kernel, body: list[Statement], launch: Launch, trees: Trees) -> None:
        super().__init__(names, kernel, body, launch, trees)
        self.apart = False  # in a loop that threads share out
        self.dirty: set[str] = set()  # buffers written since the last barrier
        self.partial: dict[str, Accumulate | AccumulateArg] = {}  # variables of which each thread has a part

    def emit(self, statements: Sequence[Statement]) -> None:
        for stores, run in groupby(statements, lambda s: isinstance(s, Store) and not self.apart):
            if stores:
                self.stores([s for s in run if isinstance(s, Store)])
            else:
                super().emit(list(run))

    def stores(self, run: Sequence[Store]) -> None:
        """What every thread has, one stores."""
        if any(self.buffers[s.buffer].role == "inout" for s in run):
            self.wait()  # others may still have to read what is there
        with self.inside(f"if {self.first}:"):
            super().emit(run)
        self.dirty |= writes(run)

    def wait(self) -> None:
        self.put(BARRIERS[self.prefix])
        self.dirty.clear()

    def statement(self, s: Statement) -> None:
        if isinstance(s, Load) and not self.apart:
            self.settle([s])
        if isinstance(s, Accumulate | AccumulateArg) and self.apart:
            self.partial[s.at if isinstance(s, AccumulateArg) else s.name] = s
        if isinstance(s, Read) and not self.apart and s.name in self.partial:
            self.comment(s)
            self.put(f"{self.names[s.target]} = {self.combined(self.partial[s.name])}")
            self.dirty.clear()
        else:
            super().statement(s)

    def settle(self, statements: Sequence[Statement]) -> None:
        """Wait for what other threads wrote, if that is read now."""
        if reads(statements) & self.dirty:
            self.wait()

    def uniform(self, s: For) -> None:
        """A loop that every thread runs as it stands."""
        before = set(self.dirty)
        self.comment(s)
        with self.inside(f"for {self.names[s.var]} in {self.range(s)}:"):
            self.emit(s.body)
            if reads(s.body) & writes(s.body):
                self.wait()  # before the next iteration writes what this one reads
        self.dirty |= before | writes(s.body)

    def separate(self, statements: Sequence[Statement]) -> None:
        """The body of a loop that threads share out."""
        self.apart = True
        self.emit(statements)
        self.apart = False
        self.dirty |= writes(statements)

    def lanes(self) -> str:
        """This thread's lane, how many there are, where their slots begin and how far apart they are."""
        raise NotImplementedError

    def combined(self, s: Accumulate | AccumulateArg) -> str:
        """The value of an accumulator over all lanes."""
        values = self.array(f"shared_{held(s.dtype)}", self.launch.threads, held(s.dtype))
        if isinstance(s, Accumulate):
            return f"{self.trees.adder(s, self.prefix)}({values}, {self.names[s.name]}, {self.lanes()})"
        places = self.array("places", self.launch.threads, "i64")
        pair = f"{self.names[s.best]}, {self.names[s.at]}"
        return f"{self.trees.picker(s, self.prefix)}({values}, {places}, {pair}, {self.lanes()})"
