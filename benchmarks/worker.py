"""The process of one peer and one work: `python -m benchmarks.worker PEER WORK THREADS SAMPLE_SECONDS`.

It answers each line that it reads with a line of JSON: "first" with the seconds of the first call and a
digest of its result, "settle" when it has warmed up, "round" with a list of seconds per call, "memory" with
bytes.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, peers, works

SAMPLES_PER_ROUND = 5


def digest(result: Any) -> list[float]:
    """The mean magnitude of each array of a result, in order: enough to see that peers did the same work."""
    if isinstance(result, list | tuple):
        return [number for part in result for number in digest(part)]
    if hasattr(result, "detach"):
        result = result.detach()
    return [float(np.mean(np.abs(np.asarray(result, dtype=np.float64))))]


def resident() -> int:
    """Bytes that this process holds now; what it once held at most where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak()


def forget_peak() -> None:
    """From now on `peak` counts from here, where the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def sampler(
    call: Callable[[], Any], finish: Callable[[Any], Any], seconds: float
) -> Callable[[], list[float]]:
    """A function that takes SAMPLES_PER_ROUND samples of about `seconds`, as seconds per call."""

    def sample(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            finish(call())
        return (time.perf_counter() - start) / calls

    calls = 1
    while calls * sample(calls) < seconds and calls < 1 << 20:  # also the warm-up
        calls *= 2
    return lambda: [sample(calls) for _ in range(SAMPLES_PER_ROUND)]


def main() -> None:
    peer, work, threads, seconds = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the peer prints is no answer

    def answer(**fields: Any) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    try:
        machine.pin(int(threads))
        session = peers.BY_NAME[peer].load()
        session.warm()
        inputs = works.BY_NAME[work].inputs(np.random.default_rng(0))
        call = session.build(work, inputs)
        before = resident()
        take_samples: Callable[[], list[float]] = list
        for line in sys.stdin:
            question = line.strip()
            if question == "first":
                start = time.perf_counter()
                result = session.finish(call())
                answer(first=time.perf_counter() - start, digest=digest(result))
                del result
                forget_peak()
            elif question == "settle":
                take_samples = sampler(call, session.finish, float(seconds))
                answer()
            elif question == "round":
                answer(samples=take_samples())
            elif question == "memory":
                answer(memory=max(0, peak() - before))
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main()
