"""What the frontend is handed: the compiler of graphs. A step that was compiled before comes from the cache, without
the pipeline; so this module doesn't load it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol

from weft.debug import set_up, watched
from weft.ir.graph import Graph

if TYPE_CHECKING:
    from weft.pipeline import Stages

Donate = Collection[int | tuple[int, int]]  # inputs whose buffers results may take, see `weft.passes.memory`
set_up()


class Watcher(Protocol):
    """Who looks on: `weft dump` while it runs a script, for one."""

    def declared(self, name: str) -> None:
        """`weft.compile` was given a function of this name."""

    def captured(self, stages: Stages) -> None:
        """A call was captured; it will be compiled next, unless this raises."""


class Compiler:
    """Compile a graph, or show its stages. Its `watcher`, if any, looks on."""

    watcher: Watcher | None = None
    symbolic = True  # sizes may be symbols (`weft.ir.dims`): what it makes has `at(values)`

    def __call__(self, graph: Graph, donate: Donate = (), label: str = "") -> Any:
        if self.watcher is not None or watched():
            stages = self.lower(graph, donate, label)
            if self.watcher is not None:
                self.watcher.captured(stages)
            return stages.compile()
        from weft.runtime import recall
        from weft.runtime.executable import Executable

        name = recall.name(graph, donate)
        found = recall.recall(name) if name is not None else None
        if found is None:
            return self.lower(graph, donate, label).compile(name)
        def explained() -> Stages:
            made = self.lower(graph, donate, label)
            made.recalled = True
            return made

        return Executable(graph, found.needs, found.taken, found.library, explained)

    def declared(self, name: str) -> None:
        if self.watcher is not None:
            self.watcher.declared(name)

    def lower(self, graph: Graph, donate: Donate = (), label: str = "") -> Stages:
        from weft.pipeline import Stages

        return Stages(graph, donate, label)


compile_graph = Compiler()
