"""Processes of peers: `Worker` is one that answers questions, `Run` all that belong to one run of the benchmarks."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers import Peer, environment
from benchmarks.results import Result

START_LIMIT = 60.0  # seconds
ANSWER_LIMIT = 300.0  # of a first call, compilation included

_numbers = itertools.count()


class PeerFailed(Exception):
    """A peer's process raised, died or took too long; or does not do this. The message says which, in one line."""


class Worker:
    """The process of one peer, see `benchmarks.worker`."""

    def __init__(self, peer: Peer, threads: int, folder: Path) -> None:
        scratch = folder / f"{peer.name}-{next(_numbers)}"
        scratch.mkdir()
        self.errors = (scratch / "log").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", peer.name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment(threads, scratch),
            start_new_session=True,
        )

    def ask(self, kind: str, limit: float = ANSWER_LIMIT, **question: Any) -> dict[str, Any]:
        """The worker's answer, within `limit` seconds. Raises PeerFailed; a worker that is too late is closed."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # the process is gone: reading says how
            print(json.dumps({"kind": kind, **question}), file=self.process.stdin, flush=True)
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(limit):
                self.close()
                raise PeerFailed(f"failed: no answer in {limit:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            last = (self.errors.read().strip().splitlines() or ["without a word"])[-1]
            raise PeerFailed(f"failed: exit status {self.process.wait()}: {last}")
        answer = json.loads(line)
        if "note" in answer:
            raise PeerFailed(answer["note"])
        return answer

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # with the compilers that it may have started
        self.process.wait()


@dataclass
class Run:
    """How to measure, and the processes in which. folder: for what they leave on disk."""

    peers: list[Peer]
    folder: Path
    threads: int = 2
    rounds: int = 6
    sample_seconds: float = 0.01
    repeats: int = 3  # of what each process can do but once
    source: Path = Path(__file__).parent.parent  # of weft, to install it from
    workers: dict[str, Worker] = field(default_factory=dict)

    def blank(self) -> list[Result]:
        """A result for each peer, with a note if it is not installed."""
        return [Result(p.name, v, "" if v else "not installed") for p in self.peers for v in (p.version(),)]

    def peer(self, result: Result) -> Peer:
        return next(p for p in self.peers if p.name == result.peer)

    def worker(self, peer: Peer) -> Worker:
        """The peer's process that lives as long as the run, or until it fails."""
        known = self.workers.get(peer.name)
        if known is None or not known.alive:
            known = self.workers[peer.name] = Worker(peer, self.threads, self.folder)
        return known

    @contextlib.contextmanager
    def fresh(self, peer: Peer) -> Iterator[Worker]:
        """A process for this alone."""
        worker = Worker(peer, self.threads, self.folder)
        try:
            yield worker
        finally:
            worker.close()

    def pids(self) -> list[int]:
        return [os.getpid(), *[w.process.pid for w in self.workers.values() if w.alive]]

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


def attempt(result: Result, measure: Callable[[], Any]) -> None:
    """measure(), unless the peer has failed already; that it fails becomes its note."""
    if not result.note:
        try:
            measure()
        except PeerFailed as failure:
            result.note, result.samples = str(failure), []
