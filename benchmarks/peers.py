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

from benchmarks.works import Inputs


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
        module = importlib.import_module(self.module)
        if self.package != "torch":
            return Session(module.warm, lambda work, inputs: module.WORKS[work](inputs), module.finish)
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        compile = torch.compile if self.name == "torch.compile" else None
        return Session(
            lambda: module.warm(compile),
            lambda work, inputs: module.WORKS[work](inputs, compile),
            module.finish,
        )


@dataclass(frozen=True)
class Session:
    """A loaded peer. `build(work, inputs)` gives a function that does the work; `finish` waits for it."""

    warm: Callable[[], None]
    build: Callable[[str, Inputs], Callable[[], Any]]
    finish: Callable[[Any], Any]


PEERS = (
    Peer("weft", "benchmarks.in_weft", "weft"),
    Peer("numpy", "benchmarks.in_numpy", "numpy"),
    Peer("jax", "benchmarks.in_jax", "jax"),
    Peer("torch", "benchmarks.in_torch", "torch"),
    Peer("torch.compile", "benchmarks.in_torch", "torch"),
)
BY_NAME = {peer.name: peer for peer in PEERS}


def environment(threads: int, scratch: Path) -> dict[str, str]:
    """Variables for a peer's process: `threads` threads for everybody, and empty disk caches."""
    count = str(threads)
    limits = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "WEFT_NUM_THREADS",
    )
    return {
        **os.environ,
        **dict.fromkeys(limits, count),
        "JAX_PLATFORMS": "cpu",
        "WEFT_CACHE_DIR": str(scratch / "weft"),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
    }
