"""What the run's machine is, and how much of it other processes took."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable
from pathlib import Path


def describe(threads: int) -> str:
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    return f"{model}, {threads} of {os.cpu_count()} processors"


def pin(threads: int) -> None:
    """Keep this process on its first `threads` processors: JAX sizes its pool by that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class Others:
    """Processor seconds that processes other than `ours()` took since the start: `share()` per second.

    What those of ours took that have ended counts by their parent, which waited for them. Always 0 where there is
    no /proc.
    """

    def __init__(self, ours: Callable[[], list[int]]) -> None:
        self.ours = ours
        self.start = self._now()

    def _now(self) -> tuple[float, float]:
        """Ticks of all processors so far (busy with others' work, and in all)."""
        try:
            fields = [int(f) for f in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
            busy = sum(fields) - fields[3] - fields[4]  # idle and waiting for disks
            for pid in self.ours():
                stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                busy -= sum(map(int, stat[11:15]))  # its own, and its children's that have ended
        except OSError:
            return 0.0, 1.0
        return busy, sum(fields) / (os.cpu_count() or 1)

    def share(self) -> float:
        """How many processors others kept busy, on average."""
        busy, total = self._now()
        return max(0.0, (busy - self.start[0]) / max(1.0, total - self.start[1]))


def resident() -> int:
    """Bytes that this process holds now, without the pages of files, which the system may drop, and what was freed."""
    _trim()
    return _status("VmRSS") - _status("RssFile")


def peak() -> int:
    """The most that `resident` was since `forget_peak`."""
    return _status("VmHWM") - _status("RssFile")


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _trim() -> None:
    """Have the C library give back what was freed, where it can."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:
        pass


def _status(name: str) -> int:
    """Raises OSError where there is no /proc."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":")) * 1024
