"""How a kernel's loops run on a GPU's threads: three shapes, each a writer of Numba source.

    Elements   one loop nest, nothing accumulated: a grid-stride loop over the flat nest, neighbours side by side
    Rows       a block (for short rows, a warp) runs a chunk: its lanes share out each vector loop, keep partial
               values of what it accumulates, and combine them by a tree in shared memory where the value is read;
               what is in no vector loop every lane works out alike, and lane 0 stores it
    Columns    threads (x, y) of a block: x owns a column, y strides over the rows; partial sums stay in registers
               and are combined over y. Also what runs after all chunks, over columns and over the chunks' parts

A chunk's scratch lies in shared memory where it fits.
"""

from __future__ import annotations

from weft.codegen.cuda_block import Block, CudaWriter, Launch
from weft.codegen.cuda_nests import PURE, Nest, accumulates, column_nest, nest, reads
from weft.codegen.cuda_trees import Trees
from weft.codegen.kernel import AccumulateAt, Affine, Buffer, For, Kernel, Share, Statement, var, walk
from weft.codegen.numba_source import Names, typed
from weft.codegen.scalar_ir import width
from weft.ir.records import replace

NEAR = 40 << 10  # bytes of shared memory that a block's scratch may take: 48 KiB less room for the trees


class Elements(CudaWriter):
    """A grid-stride loop over one flat nest."""

    @staticmethod
    def fits(kernel: Kernel) -> bool:
        if kernel.final or accumulates(kernel.body) or any(b.role == "chunk" for b in kernel.buffers):
            return False
        if not kernel.body or nest(kernel.body[-1], pure=True) is None:
            return False
        return all(isinstance(s, (*PURE, Share)) for s in kernel.body[:-1])

    def write(self) -> list[str]:
        *before, last = self.body
        found = nest(last, pure=True)
        assert found is not None
        shares = {s.low: s.count for s in before if isinstance(s, Share)}
        loops = [self._whole(s, shares) for s in found.loops]
        self.total = Nest(loops, [], []).count() or 0
        self.emit([s for s in before if not isinstance(s, Share)])
        self.heads(loops)
        flat = self.names[loops[0].var] if len(loops) == 1 else self.names.fresh("i")
        with self.inside(f"for {flat} in range(cuda.grid(1), {self.total}, cuda.gridsize(1)):"):
            if len(loops) > 1:
                self.spread(flat, loops)
            self.emit([*found.between, *found.body])
        return self.lines

    @staticmethod
    def _whole(s: For, shares: dict[str, int]) -> For:
        """A loop over a chunk's share becomes one over everything: the grid shares it out."""
        count = next((shares[v] for v, _ in s.start.terms if v in shares), None)
        return s if count is None else replace(s, start=Affine(), stop=Affine(count))

    def launched(self) -> str:
        return f"blocks({self.total}, {self.launch.threads}), {self.launch.threads}"


class Rows(Block):
    """A chunk per block, or per warp where rows are short."""

    def __init__(self, names: Names, kernel: Kernel, body: list[Statement], launch: Launch, trees: Trees) -> None:
        super().__init__(names, kernel, body, launch, trees)
        longest = self._longest()
        self.groups = 1
        self.width = launch.warp
        if longest <= 2 * launch.warp:
            self.prefix = "warp"
            while 2 * self.groups <= min(launch.threads // launch.warp, kernel.chunks):
                self.groups *= 2
        while self.width < min(longest, launch.threads) and self.prefix == "block":
            self.width *= 2
        self.lane, self.group, self.slot = (names.own(name) for name in ("lane", "group", "slot"))
        self.first = f"{self.lane} == 0"
        self.near = self._near()
        self.near_name = {b: names.fresh(f"{names[b]}_near") for b in self.near}

    def _longest(self) -> int:
        """The most iterations of a loop that lanes share out."""
        shares = {s.low: s.count // s.chunks + 1 for s in self.body if isinstance(s, Share)}
        found = [1]
        for s in walk(self.body):
            inner = nest(s)
            if inner is not None:
                found.append(inner.count() or 1)
                found += [shares[v] for v, _ in inner.loops[0].start.terms if v in shares]
        return max(found)

    def _near(self) -> dict[str, int]:
        """Scratch that lies in shared memory, with its size for one chunk."""
        found: dict[str, int] = {}
        room = NEAR
        for b in self.kernel.buffers:
            size = b.size // self.kernel.chunks
            bytes_ = max(1, width(b.dtype) // 8) * size * self.groups
            if b.role == "chunk" and size > 1 and bytes_ <= room:
                found[b.name] = size
                room -= bytes_
        return found

    def parameters(self) -> list[Buffer]:
        late = reads(self.kernel.final)
        return [b for b in super().parameters() if b.name not in self.near or b.name in late]

    def element(self, buffer: str, index: Affine) -> str:
        if buffer not in self.near:
            return super().element(buffer, index)
        own = var("%group") if self.groups > 1 else Affine()
        return f"{self.near_name[buffer]}[{self.affine(index.substitute({'chunk': own}))}]"

    def lanes(self) -> str:
        at = f"{self.group} * {self.width}" if self.groups > 1 else "0"
        return f"{self.lane}, {self.width}, {at}, 1"

    def write(self) -> list[str]:
        self.put(f"{self.lane} = cuda.threadIdx.x")
        if self.groups > 1:
            self.put(f"{self.group} = cuda.threadIdx.y")
            self.put(f"chunk = cuda.blockIdx.x * {self.groups} + {self.group}")
            if self.kernel.chunks % self.groups:
                with self.inside(f"if chunk >= {self.kernel.chunks}:"):
                    self.put("return")
        else:
            self.put("chunk = cuda.blockIdx.x")
        for name, size in self.near.items():
            self.array(self.near_name[name], size * self.groups, self.buffers[name].dtype)
        self.emit(self.body)
        self._flush()
        return [*self.shared.values(), *self.lines]

    def _flush(self) -> None:
        """What runs after all chunks reads scratch of this one: from global memory."""
        late = [b for b in self.kernel.buffers if b.name in self.near and b.name in reads(self.kernel.final)]
        if late:
            self.wait()
        for b in late:
            size, slot = self.near[b.name], self.slot
            with self.inside(f"for {slot} in range({self.lane}, {size}, {self.width}):"):
                own = f" + {self.group} * {size}" if self.groups > 1 else ""
                self.put(f"{self.names[b.name]}[{slot} + {size} * chunk] = {self.near_name[b.name]}[{slot}{own}]")

    def loop(self, s: For) -> None:
        found = nest(s)
        if self.apart or found is None:
            self.uniform(s)
            return
        if len(found.loops) > 1 and found.count() is None:
            self.uniform(s)
            return
        self.settle(found.body)
        self.heads(found.loops)
        flat = self.names[s.var] if len(found.loops) == 1 else self.names.fresh("i")
        stop = self.affine(s.stop) if len(found.loops) == 1 else str(found.count())
        start = self.affine(s.start + var("%lane")) if len(found.loops) == 1 else self.lane
        with self.inside(f"for {flat} in range({start}, {stop}, {self.width}):"):
            if len(found.loops) > 1:
                self.spread(flat, found.loops)
            self.separate(found.body)

    def launched(self) -> str:
        if self.groups == 1:
            return f"{self.kernel.chunks}, {self.width}"
        return f"{-(-self.kernel.chunks // self.groups)}, ({self.width}, {self.groups})"


class Columns(Block):
    """A column per thread x, rows strided over by threads y; blocks own tiles of columns, of one chunk's rows."""

    def __init__(self, names: Names, kernel: Kernel, body: list[Statement], launch: Launch, trees: Trees) -> None:
        super().__init__(names, kernel, body, launch, trees)
        self.late = body is kernel.final
        self.x, self.y = launch.warp, launch.threads // launch.warp
        self.sums: dict[int, str] = {}
        self.column, self.strand, self.lane = (names.own(name) for name in ("column", "strand", "lane"))
        self.first = f"cuda.blockIdx.x == 0 and {self.lane} == 0"
        self.columns = max([1, *(self._stop(n) for s in walk(body) if (n := nest(s)) and not accumulates(n.body))])

    @staticmethod
    def _stop(found: Nest) -> int:
        inner = found.loops[-1]
        return found.count() or (0 if inner.stop.terms else inner.stop.const)

    @staticmethod
    def fits(kernel: Kernel) -> bool:
        """Column sums of one loop nest over rows, and nothing else that a row must wait for."""
        if accumulates(kernel.body) or not any(isinstance(s, AccumulateAt) for s in walk(kernel.body)):
            return False
        return all(isinstance(s, (*PURE, Share)) or nest(s) or column_nest(s) for s in kernel.body)

    def write(self) -> list[str]:
        self.put(f"{self.column} = cuda.blockIdx.x * {self.x} + cuda.threadIdx.x")
        self.put(f"{self.strand} = cuda.threadIdx.y")
        self.put(f"{self.lane} = {self.strand} * {self.x} + cuda.threadIdx.x")
        if not self.late:
            self.put("chunk = cuda.blockIdx.y")
        self.emit(self.body)
        return [*self.shared.values(), *self.lines]

    def lanes(self) -> str:
        return f"{self.lane}, {self.x * self.y}, 0, 1"

    def loop(self, s: For) -> None:
        found = nest(s)
        if self.apart:
            self.uniform(s)
        elif (sums := column_nest(s)) is not None:
            self.column_sums(s, sums)
        elif found is not None and accumulates(found.body):
            self.settle(found.body)
            self.heads([s])
            start = self.affine(s.start + var("%lane"))
            with self.inside(f"for {self.names[s.var]} in range({start}, {self.affine(s.stop)}, {self.x * self.y}):"):
                self.separate(found.body)
        elif found is not None:
            self.settle(found.body)
            self.heads(found.loops)
            with self.inside(f"if {self.strand} == 0 and {self.owned(found)}:"):
                self.separate(found.body)
        else:
            self.uniform(s)

    def owned(self, found: Nest) -> str:
        """Set the loops' variables to this thread's column; the condition that it is one of theirs."""
        count = found.count()
        if len(found.loops) > 1 and count is not None:
            self.spread(self.column, found.loops)
            return f"{self.column} < {count}"
        inner = found.loops[-1]
        self.put(f"{self.names[inner.var]} = {self.column}")
        low = f"{self.affine(inner.start)} <= " if inner.start != Affine() else ""
        return f"{low}{self.column} < {self.affine(inner.stop)}"

    def column_sums(self, s: For, sums: Nest) -> None:
        """for r: for c: part[c] += v      becomes      for this thread's c: for its r: sum += v"""
        self.settle(sums.body)
        parts = [t for t in sums.body if isinstance(t, AccumulateAt)]
        self.heads(sums.loops)
        own = self.owned(Nest(sums.loops[1:], [], []))
        names = {id(t): self.names.fresh("sum") for t in parts}
        for t in parts:
            self.put(f"{names[id(t)]} = {typed(t.identity, t.dtype)}")
        with self.inside(f"if {own}:"):
            start = self.affine(s.start + var("%strand"))
            with self.inside(f"for {self.names[s.var]} in range({start}, {self.affine(s.stop)}, {self.y}):"):
                self.sums = names
                self.separate([*sums.between, *sums.body])
                self.sums = {}
        for t in parts:
            name = names[id(t)]
            values = self.array(f"shared_{t.dtype}", self.launch.threads, t.dtype)
            place = f"{self.strand}, {self.y}, cuda.threadIdx.x, {self.x}"
            self.put(f"{name} = {self.trees.adder(t, self.prefix)}({values}, {name}, {place})")
        with self.inside(f"if {self.strand} == 0 and {own}:"):
            for t in parts:
                self.comment(t)
                old = self.temporary()
                self.put(f"{old} = {self.load(t.buffer, t.dtype, t.index)}")
                self.store(t.buffer, t.dtype, t.index, self.scalar(t.combine, [old, names[id(t)]]))
        self.dirty.clear()

    def statement(self, s: Statement) -> None:
        name = self.sums.get(id(s))
        if isinstance(s, AccumulateAt) and name is not None:
            self.comment(s)
            self.put(f"{name} = {self.scalar(s.combine, [name, self.names[s.value]])}")
        else:
            super().statement(s)

    def launched(self) -> str:
        tiles = -(-self.columns // self.x)
        grid = f"({tiles}, {self.kernel.chunks})" if self.kernel.chunks > 1 and not self.late else str(tiles)
        return f"{grid}, ({self.x}, {self.y})"
