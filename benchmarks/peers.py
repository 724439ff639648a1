"""The peers: which module does their works, which package they are, and the environment that they run in."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.works import Inputs, Work


class NotMeasured(Exception):
    """The peer does not do this work: nobody would, or it would take too long."""


@dataclass(frozen=True)
class Peer:
    name: str
    module: str
    package: str

    def version(self) -> str | None:
        """The installed version, None when the package isn't there."""
        if importlib.util.find_spec(self.package) is None:
            return None
        return importlib.metadata.version(self.package)

    def load(self) -> Session:
        """Import the peer's module. Only for the peer's own process."""
        return Session(self, importlib.import_module(self.module))


class Session:
    """A loaded peer: `warm` has it compile something, `finish` waits for a result."""

    def __init__(self, peer: Peer, module: Any) -> None:
        self.peer = peer
        self.module = module
        self.finish: Callable[[Any], Any] = module.finish
        self.torch = peer.package == "torch"
        self.compile: Any = None
        if self.torch:
            import torch

            torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
            self.compile = torch.compile if peer.name == "torch.compile" else None

    def warm(self) -> None:
        self.module.warm(self.compile) if self.torch else self.module.warm()

    def build(self, work: Work, inputs: Inputs) -> Callable[..., Any]:
        """A function that does the work each time it is called. Raises NotMeasured."""
        make = self.module.WORKS.get(work.name)
        if make is None or self.compile and not work.inductor:
            raise NotMeasured
        if not self.torch:
            return make(inputs)
        if self.compile:  # forgets what it compiled for other works: these share functions, not sizes
            import torch

            torch.compiler.reset()
        return make(inputs, self.compile)


PEERS = (
    Peer("weft", "benchmarks.in_weft", "weft"),
    Peer("numpy", "benchmarks.in_numpy", "numpy"),
    Peer("numba", "benchmarks.in_numba", "numba"),
    Peer("jax", "benchmarks.in_jax", "jax"),
    Peer("torch", "benchmarks.in_torch", "torch"),
    Peer("torch.compile", "benchmarks.in_torch", "torch"),
)
BY_NAME = {peer.name: peer for peer in PEERS}


def environment(threads: int, scratch: Path) -> dict[str, str]:
    """Variables for a peer's process: `threads` threads for everybody, and disk caches below `scratch`.

    Python may write bytecode, whatever it is told outside: installed packages have theirs, weft may run from source.
    """
    limits = ("OMP", "OPENBLAS", "MKL", "NUMBA", "WEFT")
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **inherited,
        **{f"{name}_NUM_THREADS": str(threads) for name in limits},
        "JAX_PLATFORMS": "cpu",
        "WEFT_CACHE_DIR": str(scratch / "weft"),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
    }
