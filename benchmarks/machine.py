"""What the run's machine is, and how much of it other processes took."""

from __future__ import annotations

import os
import platform
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
    """Processor seconds that processes other than `ours` took since the start: `share()` per second.

    Always 0 where there is no /proc.
    """

    def __init__(self, ours: list[int]) -> None:
        self.ours = ours
        self.start = self._now()

    def _now(self) -> tuple[float, float]:
        """Ticks of all processors so far (busy with others' work, and in all)."""
        try:
            fields = [int(f) for f in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
            busy = sum(fields) - fields[3] - fields[4]  # idle and waiting for disks
            for pid in self.ours:
                stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                busy -= int(stat[11]) + int(stat[12])
        except OSError:
            return 0.0, 1.0
        return busy, sum(fields) / (os.cpu_count() or 1)

    def share(self) -> float:
        """How many processors others kept busy, on average."""
        busy, total = self._now()
        return max(0.0, (busy - self.start[0]) / max(1.0, total - self.start[1]))
