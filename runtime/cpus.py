"""How many CPUs this process may really use: the least of affinity and every cgroup quota above it.

    /proc/self/cgroup   "0::/a/b"     ->  /sys/fs/cgroup/{a/b, a, .}/cpu.max                  (v2)
                        "4:cpu:/a/b"  ->  /sys/fs/cgroup/cpu/{a/b, a, .}/cpu.cfs_{quota,period}_us   (v1)

A container may show its host's path in ``/proc/self/cgroup`` and its own limits at the root of the mount, so
folders that do not exist are skipped and the root is always read.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator
from pathlib import Path

FUTEX_CALL = {"x86_64": 202, "amd64": 202, "aarch64": 98, "arm64": 98, "riscv64": 98, "ppc64le": 221}  # Linux's number
_DESCRIBED = 1 << 14  # bytes of /proc/cpuinfo: more than one CPU takes
_SAME = frozenset({
    "vendor_id", "cpu family", "model", "model name", "stepping", "flags",  # x86
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features",  # ARM
    "isa", "uarch", "cpu", "revision",
})  # fmt: skip


@functools.cache
def described() -> dict[str, str]:
    """What Linux says of the first CPU and that stays the same from day to day; empty elsewhere."""
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            text = file.read(_DESCRIBED).decode(errors="replace")
    except OSError:
        return {}
    lines = [line.partition(":") for line in text.partition("\n\n")[0].splitlines()]
    return {name: value.strip() for name, value in ((a.strip(), c) for a, _, c in lines) if name in _SAME}


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
