"""One thread pool for fused kernels, BLAS tiles and loops.

    Python thread --ctypes, no GIL--> weft_pool_worker: spin, sleep, run chunks   (pool_ir)
    compiled step --------> weft_parallel_for(fn, args, n): fn(args, i) for i in 0..n-1

The workers are daemon Python threads that spend their lives in native code.  They are started by the first
``ensure_started``, stopped at exit and before a change of size, and started again by a forked child when it
first needs them.  The number of threads is ``WEFT_NUM_THREADS``, else what affinity and cgroups allow.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from weft.runtime import native
from weft.runtime.cpus import FUTEX_CALL, usable_cpus

_SPIN_SECONDS = 40e-6
_JOIN_SECONDS = 5.0
_log = logging.getLogger("weft")


def supported() -> bool:
    """Whether this system has what the workers sleep on (Linux futexes, with a known system call number)."""
    return sys.platform == "linux" and platform.machine().lower() in FUTEX_CALL


class _State:
    """What changes: which workers run, and whether ``ensure_started`` has anything left to do."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ready = False
        self.exiting = False
        self.wanted: int | None = None  # set_threads
        self.workers: list[threading.Thread] = []
        self.functions: dict[str, Callable[..., Any]] | None = None


_state = _State()


def threads() -> int:
    """How many threads a parallel job uses, the calling one included."""
    return _state.wanted if _state.wanted is not None else _default_threads()


def set_threads(n: int) -> None:
    """Use ``n`` threads from the next parallel job on; ``ValueError`` unless ``n`` is an integer from 1.

    Waits for a job that is running.  Results do not depend on the number of threads.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"the number of threads must be an integer of at least 1, not {n!r}")
    with _state.lock:
        _state.wanted = n if supported() else 1
        _stop_workers()


class limited:  # noqa: N801  (weft.threads, used as a function is)
    """`with weft.threads(n):` parallel jobs use n threads, the calling one included, until the block ends.

    That goes for all Python threads of the process. Raises ValueError unless n is an integer from 1.
    """

    def __init__(self, n: int) -> None:
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ValueError(f"the number of threads must be an integer of at least 1, not {n!r}")
        self.n = n
        self._before: list[int | None] = []

    def __enter__(self) -> None:
        self._before.append(_state.wanted)
        set_threads(self.n)

    def __exit__(self, *exception: object) -> None:
        before = self._before.pop()
        set_threads(before if before is not None else _default_threads())
        _state.wanted = before


def ensure_started() -> None:
    """Start the workers unless they run already: to be called before native code with parallel work in it."""
    if not _state.ready:
        _start_workers()


def parallel_for_address() -> int:
    """The address of ``void weft_parallel_for(void (*fn)(void *args, int64 i), void *args, int64 n)``."""
    return _library().address("weft_parallel_for")


def _start_workers() -> None:
    with _state.lock:
        if _state.ready or _state.exiting:
            return
        count = threads() - 1
        if count > 0:
            functions = _functions()
            # More threads than CPUs: a spinning thread would keep the one it waits for from running.
            spins = _spin_count() if count < usable_cpus() else 1
            functions["start"](0, spins)
            for index in range(count):
                worker = threading.Thread(target=functions["worker"], name=f"weft-{index}", daemon=True)
                try:
                    worker.start()
                except RuntimeError as error:  # the system gives no more threads
                    _log.warning("weft runs on %d threads instead of %d: %s", index + 1, count + 1, error)
                    break
                _state.workers.append(worker)
            functions["start"](len(_state.workers), spins)
        _state.ready = True


def _stop_workers() -> None:
    """Send the workers home (with the lock held); a job that is running is finished by its caller."""
    _state.ready = False
    workers, _state.workers = _state.workers, []
    if workers and _state.functions is not None:
        _state.functions["stop"]()
        deadline = time.monotonic() + _JOIN_SECONDS
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))


def _at_exit() -> None:
    _state.exiting = True
    with _state.lock:
        _stop_workers()


def _in_forked_child() -> None:
    """The child has this thread only: no workers, and no lock that another thread held."""
    wanted, functions = _state.wanted, _state.functions
    _state.__init__()  # type: ignore[misc]
    _state.wanted, _state.functions = wanted, functions
    if functions is not None:
        functions["reset"]()


@functools.cache
def _default_threads() -> int:
    if not supported():
        return 1
    text = os.environ.get("WEFT_NUM_THREADS", "").strip()
    if text:
        if text.isdecimal() and int(text) >= 1:
            return int(text)
        _log.warning("WEFT_NUM_THREADS=%r is not a number of threads; it is ignored", text)
    return usable_cpus()


@native.once
def _library() -> native.Library:
    return native.build_source(source())


def source() -> native.Source:
    """The pool's module."""
    return native.Source("pool", "thread pool", _write)


def _write() -> str:
    from weft.runtime.pool_ir import pool_ir

    return pool_ir()


def _functions() -> dict[str, Callable[..., Any]]:
    if _state.functions is None:
        library, integer = _library(), ctypes.c_int32
        signatures: dict[str, tuple[Any, ...]] = {
            "start": (None, integer, integer),
            "stop": (None,),
            "reset": (None,),
            "worker": (None,),
            "spin": (None, integer),
        }
        _state.functions = {
            name: library.function(f"weft_pool_{name}", *signature) for name, signature in signatures.items()
        }
    return _state.functions


@functools.cache
def _spin_count() -> int:
    """How many turns of the spin loop last about ``_SPIN_SECONDS`` (a pause is 5 to 60 ns, by CPU)."""
    spin, turns = _functions()["spin"], 500
    best = min(_seconds(spin, turns) for _ in range(5))
    return max(1, min(int(_SPIN_SECONDS / best * turns), 1_000_000))


def _seconds(function: Callable[..., Any], argument: int) -> float:
    start = time.perf_counter()
    function(argument)
    return max(time.perf_counter() - start, 1e-9)


native.provide("weft_parallel_for", parallel_for_address, lambda: [source()])
native.provide("weft_pool_size", lambda: _library().address("weft_pool_size"))
atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
