"""How many CPUs this process may really use: the least of affinity and every cgroup quota above it.

    /proc/self/cgroup   "0::/a/b"     ->  /sys/fs/cgroup/{a/b, a, .}/cpu.max                  (v2)
                        "4:cpu:/a/b"  ->  /sys/fs/cgroup/cpu/{a/b, a, .}/cpu.cfs_{quota,period}_us   (v1)

A container may show its host's path in ``/proc/self/cgroup`` and its own limits at the root of the mount, so
folders that do not exist are skipped and the root is always read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


def usable_cpus() -> int:
    """Logical CPUs that this process may use at once, at least 1."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        cpus = os.cpu_count() or 1
    quota = cgroup_quota()
    if quota is not None:
        cpus = min(cpus, math.ceil(quota))
    return max(1, cpus)


def cgroup_quota(membership: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> float | None:
    """The tightest CPU quota, in CPUs, of the cgroups that this process is in; None where there is none."""
    try:
        lines = Path(membership).read_text().splitlines()
    except OSError:
        return None
    quotas = [quota for line in lines for quota in _quotas(line, Path(root))]
    return min(quotas, default=None)


def _quotas(line: str, root: Path) -> Iterator[float]:
    _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
    if controllers == "":
        mounts = [root, root / "unified"]
    elif "cpu" in controllers.split(","):
        mounts = [root / controllers, root / "cpu"]
    else:
        return
    for mount in mounts:
        folder = mount / path.strip("/")
        for place in (folder, *folder.parents):
            yield from _quota_in(place)
            if place == mount:
                break


def _quota_in(folder: Path) -> Iterator[float]:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        if quota != "max" and int(quota) > 0 and int(period) > 0:  # v1 says -1 for no quota
            yield int(quota) / int(period)
    except (OSError, ValueError):
        return
