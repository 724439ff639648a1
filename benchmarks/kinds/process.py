"""Seconds from the start of a Python process until it has done a work once: imports and compilation included.

With empty caches on disk, or with what a process before it has left there. JAX is told to use its own. The bytecode of
all modules is there either way, as installers leave it: a process that is not timed writes it.
`python -m benchmarks.kinds.process PEER WORK THREADS` is that process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.peers import BY_NAME, Peer, environment
from benchmarks.process import ANSWER_LIMIT, PeerFailed, Run, attempt
from benchmarks.results import Result
from benchmarks.rows import Row

SLOW = frozenset({"torch.compile"})  # is asked once
NEVER = frozenset({"numba"})  # has no such work


def seconds(peer: Peer, work: str, threads: int, scratch: Path) -> float:
    """How long one such process takes, which keeps its caches in `scratch`. Raises PeerFailed."""
    scratch.mkdir(exist_ok=True)
    caches = {
        "JAX_COMPILATION_CACHE_DIR": str(scratch / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-m", "benchmarks.kinds.process", peer.name, work, str(threads)]
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(threads, scratch) | caches,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - start
        try:
            process.wait(ANSWER_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
    if line != b"done\n":
        raise PeerFailed(f"failed: exit status {process.returncode}")
    return took


def _measure(row: Row, run: Run, filled: bool) -> list[Result]:
    results = [r for r in run.blank() if r.peer not in NEVER]

    def once(result: Result, turn: int) -> None:
        peer, scratch = run.peer(result), run.folder / f"{row.name}-{result.peer}"
        if turn == 0:
            seconds(peer, row.work, run.threads, scratch)
        cache = scratch if filled else run.folder / f"{row.name}-{result.peer}-{turn}"
        result.samples.append(seconds(peer, row.work, run.threads, cache))

    for turn in range(run.repeats):
        for result in results:
            if not turn or result.peer not in SLOW:
                attempt(result, lambda result=result: once(result, turn))  # noqa: B023
    return results


def cold(row: Row, run: Run) -> list[Result]:
    return _measure(row, run, filled=False)


def cached(row: Row, run: Run) -> list[Result]:
    return _measure(row, run, filled=True)


def main() -> None:
    peer, work, threads = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from benchmarks import machine

    machine.pin(int(threads))
    session = BY_NAME[peer].load()

    import numpy as np

    from benchmarks import works

    chosen = works.BY_NAME[work]
    session.finish(session.build(chosen, chosen.inputs(np.random.default_rng(0)))())
    print("done", file=answers, flush=True)


if __name__ == "__main__":
    main()
