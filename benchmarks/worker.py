"""The process of one peer: `python -m benchmarks.worker PEER THREADS`.

It reads questions and answers them, a line of JSON each: {"kind": "first", "work": "mlp"} is answered by the function
of that name below, or by {"note": ...} where the peer can't.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from benchmarks import machine, peers, works
from benchmarks.peers import NotMeasured, Session

SAMPLES, ROUND_SECONDS = 5, 0.3  # a round is so many samples, fewer if they take longer than that


def digest(result: Any) -> list[float]:
    """Two numbers for each array of a result, in order: the mean magnitude, and a mean with weights by place."""
    if isinstance(result, Mapping):
        result = [result[key] for key in sorted(result)]
    if isinstance(result, list | tuple):
        return [number for part in result for number in digest(part)]
    array = np.asarray(result.detach() if hasattr(result, "detach") else result, dtype=np.float64).reshape(-1)
    return [float(np.mean(np.abs(array))), float(np.mean(array * np.cos(np.arange(array.size))))]


def changes(result: Any, before: Any) -> Any:
    """A step's result with what it added to the parameters in their place: what it adds is small."""
    flat = [p for layer in before for p in layer]
    new = [p for layer in result[0] for p in layer] if isinstance(result[0][0], list | tuple) else result[0]
    new = [np.asarray(p.detach() if hasattr(p, "detach") else p) for p in new]
    return [1e3 * (p - q) for p, q in zip(new, flat, strict=True)], *result[1:]


class Worker:
    """What a peer's process holds between questions."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.call: Callable[..., Any] = lambda: None
        self.calls = 1

    def build(self, work: str) -> Any:
        """Forget the last work and prepare this one. Its inputs."""
        self.call = lambda: None
        gc.collect()
        inputs = works.BY_NAME[work].inputs(np.random.default_rng(0))
        self.call = self.session.build(works.BY_NAME[work], inputs)
        return inputs

    def first(self, work: str) -> dict[str, Any]:
        """Seconds of the first call, and a digest of its result."""
        before = deepcopy(works.BY_NAME[work].inputs(np.random.default_rng(0)).get("params"))
        self.build(work)
        start = time.perf_counter()
        result = self.session.finish(self.call())
        seconds = time.perf_counter() - start
        return {"first": seconds, "digest": digest(result if before is None else changes(result, before))}

    def settle(self, seconds: float) -> dict[str, Any]:
        """Find how many calls make a sample of so many seconds; which also warms up."""
        self.calls = 1
        while self.calls * self._sample() < seconds and self.calls < 1 << 20:
            self.calls *= 2
        return {}

    def round(self) -> dict[str, Any]:
        """Samples, in seconds per call."""
        self.session.finish(self.call())  # what the others did to the caches is nobody's fault
        samples = [self._sample()]
        while len(samples) < SAMPLES and sum(samples) * self.calls < ROUND_SECONDS:
            samples.append(self._sample())
        return {"samples": samples}

    def memory(self, work: str, seconds: float) -> dict[str, Any]:
        """Bytes that the work takes at its peak beyond its inputs, and those that stay when it is not running."""
        self.build("add1")
        inputs = works.BY_NAME[work].inputs(np.random.default_rng(0))
        before = machine.resident()
        self.call = self.session.build(works.BY_NAME[work], inputs)
        self.session.finish(self.call())
        self.session.finish(self.call())  # some compile anew for results that come back as arguments
        kept = machine.resident()
        machine.forget_peak()
        start = time.perf_counter()
        for _ in range(3):
            self.session.finish(self.call())
        while time.perf_counter() - start < seconds:
            self.session.finish(self.call())
        return {"samples": [max(0, machine.peak() - before)], "kept": max(0, kept - before)}

    def sizes(self, work: str, seen: list[int], new: list[int]) -> dict[str, Any]:
        """Seconds of the first call with each new size, after those seen, and how often it compiled for them."""
        self.build(work)
        for size in (*seen, *seen):
            self.session.finish(self.call(size))
        compiled = self.call.compiles()
        samples = []
        for size in new:
            start = time.perf_counter()
            self.session.finish(self.call(size))
            samples.append(time.perf_counter() - start)
        return {"samples": samples, "compiles": self.call.compiles() - compiled}

    def _sample(self) -> float:
        call, finish = self.call, self.session.finish
        start = time.perf_counter()
        for _ in range(self.calls):
            finish(call())
        return (time.perf_counter() - start) / self.calls

    def answer(self, kind: str, **question: Any) -> dict[str, Any]:
        try:
            return getattr(self, kind)(**question)
        except NotMeasured:
            return {"note": "not measured"}
        except Exception as error:
            text = f"{type(error).__name__}: {error}".strip().splitlines()[0][:200]
            refusals = {"UnsupportedError", "CaptureError", "WeftError"}
            refused = refusals & {c.__name__ for c in type(error).__mro__}
            return {"note": f"{'refused' if refused else 'failed'}: {text}"}


def main() -> None:
    peer, threads = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the peer prints is no answer
    machine.pin(int(threads))
    session = peers.BY_NAME[peer].load()
    session.warm()
    worker = Worker(session)
    for line in sys.stdin:
        print(json.dumps(worker.answer(**json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
