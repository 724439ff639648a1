"""Results as text: a block per row, and one table of what weft promises and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from benchmarks.kinds import KINDS
from benchmarks.results import Measured, Result
from benchmarks.rows import COPY, Row
from benchmarks.works import BY_NAME as WORKS

ENOUGH = 0.9  # of the rate of a copy, for works that only move memory
MARKS = {True: "met", False: "MISSED", None: ""}


def names(known: Mapping[str, object]) -> Callable[[str], list[str]]:
    """A parser of comma-separated names; `gelu*` stands for all that match. Raises ValueError for what is unknown."""

    def parse(text: str) -> list[str]:
        patterns = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [p for p in patterns if not any(fnmatchcase(name, p) for name in known)]
        if unknown or not patterns:
            raise ValueError(f"choose from {', '.join(known)}; not {', '.join(unknown) or 'nothing'}")
        return [name for name in known if any(fnmatchcase(name, p) for p in patterns)]

    return parse


def duration(seconds: float) -> str:
    return _scaled(seconds, (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)))


def size(count: float) -> str:
    return _scaled(count, (("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)))


def _scaled(number: float, units: Sequence[tuple[str, float]]) -> str:
    unit, scale = next((u for u in units if number >= u[1]), units[-1])
    value = number / scale
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"


def shown(row: Row, number: float) -> str:
    return duration(number) if KINDS[row.kind].unit == "s" else size(number)


def promise(row: Row) -> str:
    """What is to be met: `<= 0.85`, `<= 0.6 of jax`, `<= 300 MB`."""
    if row.limit is not None:
        return f"<= {shown(row, row.limit)}"
    if row.target is None:
        return ""
    return f"<= {row.target:g}" + (f" of {', '.join(row.against)}" if row.against else "")


def title(row: Row) -> str:
    about = WORKS[row.work].about if row.work else "weft and what it requires"
    return about if row.kind == "time" else f"{row.kind}: {about}"


def block(measured: Measured) -> str:
    """All peers of a row."""
    row, best = measured.row, measured.best
    lines = [f"{row.name}: {title(row)}"]
    for r in measured.results:
        if r.note != "not measured":
            lines.append(f"  {_line(row, r, best)}".rstrip())
    silent = [r.peer for r in measured.results if r.note == "not measured"]
    if silent:
        lines.append(f"  (not measured: {', '.join(silent)})")
    if measured.disturbed:
        busy = f"other processes kept {measured.others:.2f} processors busy meanwhile"
        lines.append(f"  ({busy}: distrust these)")
    return "\n".join(lines)


def _line(row: Row, r: Result, best: Result | None) -> str:
    if not r.samples:
        return f"{r.peer:14} {r.note}"
    ratio = f"{r.median / best.median:8.2f}" if best and best.median else ""
    line = f"{r.peer:14}{shown(row, r.median):>9} ±{100 * r.spread:3.0f} %{ratio}"
    if r.first is not None:
        line += f"   first {duration(r.first):>8}"
    if r.compiles is not None:
        line += f"   {r.compiles} compile{'s' * (r.compiles != 1)}"
    return f"{line}   {r.note}"


def summary(all_measured: Sequence[Measured]) -> str:
    """A line per row: weft, the best peer, their ratio, the promise, and whether it is kept.

    "near" is missed by less than the samples spread.
    """
    head = f"{'row':22}{'weft':>9} {'best peer':>9}  {'':14}{'ratio':>6}  {'promised':16}"
    lines = [head.rstrip()]
    copy = max((rate for m in all_measured if m.row is COPY for rate in _rates(m)), default=None)
    for group in dict.fromkeys(m.row.group for m in all_measured):
        lines.append(f"-- {group}")
        lines += [_summary_line(m, copy) for m in all_measured if m.row.group == group]
    judged = [m.met for m in all_measured if m.met is not None]
    lines.append(f"{sum(judged)} of {len(judged)} promises met")
    return "\n".join(lines)


def _rates(copy: Measured) -> list[float]:
    moved = WORKS[copy.row.work].moved
    return [moved / r.median for r in copy.results if r.samples]


def _summary_line(measured: Measured, copy: float | None) -> str:
    row, ours, best = measured.row, measured.ours, measured.best
    weft = next((r for r in measured.results if r.peer == "weft"), None)
    mine = shown(row, ours.median) if ours else (weft.note.split(":")[0] if weft and weft.note else "-")
    line = f"{row.name:22}{mine:>9} {shown(row, best.median) if best else '-':>9}  {best.peer if best else '':14}"
    line += f"{measured.ratio:6.2f}" if measured.ratio is not None else f"{'-':>6}"
    line += f"  {promise(row):16}{'near' if measured.near else MARKS[measured.met]:7}"
    rate = measured.rate(WORKS[row.work].moved) if row.kind == "time" else None
    if rate:
        line += f" {rate / 1e9:.0f} GB/s"
    if rate and copy and row is not COPY:
        share = rate / copy
        line += f", {100 * share:.0f} % of a copy's (>= {100 * ENOUGH:.0f} %: {MARKS[share >= ENOUGH]})"
    if ours and ours.compiles:
        line += f" {ours.compiles} compiles, not 0"
    if ours and "differs" in ours.note:
        line += " RESULT DIFFERS"
    if measured.disturbed:
        line += f"  ({measured.others:.1f} others)"
    return line.rstrip()
