"""Runs the peers of one work side by side: each in a process of its own, taking turns, one at a time.

round 1:  weft  numpy  jax  torch ...
round 2:  weft  numpy  jax  torch ...        a slow moment of the machine hits all alike
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import Others
from benchmarks.peers import Peer, environment
from benchmarks.works import Work

FIRST_CALL_LIMIT = 300.0  # seconds, imports included
ROUND_LIMIT = 60.0


class PeerFailed(Exception):
    """A peer's process raised, died or took too long; the message says which, in one line."""


@dataclass
class Result:
    """What one peer took for one work. `note` says why there are no numbers, or what is wrong with them."""

    work: str
    peer: str
    version: str | None
    note: str = ""
    first: float = 0.0
    samples: list[float] = field(default_factory=list)
    memory: int = 0
    digest: list[float] = field(default_factory=list)
    others: float = 0.0  # processors that other processes kept busy meanwhile

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half of the range between the quartiles, relative to the median."""
        low, _, high = statistics.quantiles(self.samples, n=4)
        return (high - low) / 2 / self.median

    def record(self) -> dict[str, Any]:
        numbers = {"median": self.median, "spread": self.spread} if self.samples else {}
        return asdict(self) | numbers


class Worker:
    """The process of one peer; `ask` sends a line and reads the answer."""

    def __init__(self, peer: Peer, work: Work, threads: int, sample_seconds: float, scratch: Path) -> None:
        self.errors = (scratch / f"{peer.name}-{work.name}.log").open("w+", encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "benchmarks.worker",
            peer.name,
            work.name,
            str(threads),
            str(sample_seconds),
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment(threads, scratch),
            start_new_session=True,
        )

    def answer(self, limit: float) -> dict[str, Any]:
        """The next line of the process, within `limit` seconds. Raises PeerFailed."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(limit):
                raise PeerFailed(f"no answer in {limit:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            last = (self.errors.read().strip().splitlines() or ["without a word"])[-1]
            raise PeerFailed(f"exit status {self.process.wait()}: {last}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerFailed(answer["error"].strip().splitlines()[0][:200])
        return answer

    def ask(self, question: str, limit: float = ROUND_LIMIT) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            print(question, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # the process is gone: reading says how
        return self.answer(limit)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # with the compilers that it may have started
        self.process.wait()
        self.errors.close()


def measure(
    work: Work, peers: list[Peer], *, threads: int, rounds: int, sample_seconds: float
) -> list[Result]:
    """All peers' results for one work, in the order of `peers`."""
    results = [Result(work.name, peer.name, peer.version()) for peer in peers]
    workers: dict[str, Worker] = {}

    def ask(result: Result, question: str, limit: float = ROUND_LIMIT) -> dict[str, Any]:
        """The answer of the result's worker; once it has failed, an empty one."""
        if not result.note:
            try:
                return workers[result.peer].ask(question, limit)
            except PeerFailed as failure:
                result.note, result.samples = f"failed: {failure}", []
        return {}

    with tempfile.TemporaryDirectory(prefix="weft-benchmarks-") as folder:
        try:
            for peer, result in zip(peers, results, strict=True):
                if result.version is None:
                    result.note = "not installed"
                    continue
                scratch = Path(folder) / peer.name
                scratch.mkdir()
                workers[peer.name] = Worker(peer, work, threads, sample_seconds, scratch)
                vars(result).update(ask(result, "first", FIRST_CALL_LIMIT))
                ask(result, "settle")
            others = Others([worker.process.pid for worker in workers.values()])
            for _ in range(rounds):
                for result in results:
                    result.samples += ask(result, "round").get("samples", [])
            for result in results:
                result.others = others.share()
                vars(result).update(ask(result, "memory"))
        finally:
            for worker in workers.values():
                worker.close()
    compare(results)
    return results


def compare(results: list[Result]) -> None:
    """Note each result whose digest is not that of the peers before it."""
    good = [r for r in results if r.digest]
    reference = next((r for r in good if r.peer == "numpy"), good[0] if good else None)
    for r in good:
        assert reference is not None
        close = len(r.digest) == len(reference.digest) and all(
            abs(a - b) <= 1e-3 * abs(b) + 1e-6 for a, b in zip(r.digest, reference.digest, strict=True)
        )
        if not close and not r.note:
            r.note = f"result differs from {reference.peer}'s: {r.digest} {reference.digest}"
