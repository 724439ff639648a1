"""`weft cache path|list|clear|verify`: look at the disk cache of object code, and empty it."""

from __future__ import annotations

import time

from weft.cli_output import CommandError
from weft.runtime.cache import DiskCache, default_cache


def cache_text(action: str) -> tuple[str, int]:
    """What `weft cache ACTION` prints, and its exit status: 1 when `verify` found bad entries.

    Raises CommandError when the disk cache is off.
    """
    cache = default_cache()
    if cache.path is None:
        raise CommandError("the disk cache is off (by WEFT_CACHE, or for what a warning above says)")
    if action == "path":
        return f"{cache.path}\n", 0
    if action == "list":
        return _listing(cache, time.time()), 0
    if action == "clear":
        entries, size = cache.clear()
        return f"{_count(entries)} removed from {cache.path}, {size:,} bytes\n", 0
    bad = cache.verify()
    lines = [f"{name}: {wrong}\n" for name, wrong in bad]
    return "".join(lines) + f"{_count(len(cache.entries()))} good, {len(bad)} bad\n", 1 if bad else 0


def _listing(cache: DiskCache, now: float) -> str:
    """A table, the most recently used entry first. Uses are noted once a day."""
    rows = [("key", "kind", "bytes", "age", "last use", "label")]
    for entry in cache.entries():
        kind, label = (str(entry.meta.get(name, "")) for name in ("kind", "label"))
        rows.append((entry.key[:12], kind, f"{entry.size:,}", _ago(now - entry.created), _ago(now - entry.used), label))
    if len(rows) == 1:
        return ""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        aligned = [f"{text:{side}{width}}" for text, side, width in zip(row, "<<>>><", widths, strict=True)]
        lines.append("  ".join(aligned).rstrip() + "\n")
    return "".join(lines)


def _ago(seconds: float) -> str:
    """`40 s`, `5 min`, `3 h`, `12 days`."""
    for unit, length, most in (("s", 1, 60), ("min", 60, 60), ("h", 3600, 48)):
        if seconds < length * most:
            return f"{max(int(seconds / length), 0)} {unit}"
    return f"{int(seconds / 86400)} days"


def _count(entries: int) -> str:
    return "1 entry" if entries == 1 else f"{entries} entries"
