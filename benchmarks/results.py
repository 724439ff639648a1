"""What was measured: of a row each peer's samples, and what follows from them."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.rows import BY_NAME as ROWS
from benchmarks.rows import Row

MUCH_DISTURBED = 0.05  # processors that others kept busy
UNDISTURBED = frozenset({"memory", "installed size"})


@dataclass
class Result:
    """One peer's samples of one row, in the unit of the row's kind. `note` says why there are none, or what is wrong.

    first: seconds that the first call took. compiles: how often it compiled for what the row asks. digest: of the
    first call's result, see `benchmarks.worker.digest`.
    """

    peer: str
    version: str | None
    note: str = ""
    samples: list[float] = field(default_factory=list)
    first: float | None = None
    compiles: int | None = None
    digest: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half of the range between the quartiles, relative to the median; 0 of a single sample."""
        if len(self.samples) < 2 or not self.median:
            return 0.0
        low, _, high = statistics.quantiles(self.samples, n=4)
        return (high - low) / 2 / self.median


@dataclass
class Measured:
    """A row's results. others: processors that other processes kept busy meanwhile."""

    row: Row
    results: list[Result]
    others: float = 0.0

    @property
    def ours(self) -> Result | None:
        return next((r for r in self.results if r.peer == "weft" and r.samples), None)

    @property
    def best(self) -> Result | None:
        """The best of the peers that the row's target is against."""
        others = [r for r in self.results if r.samples and r.peer != "weft"]
        chosen = [r for r in others if not self.row.against or r.peer in self.row.against]
        return min(chosen, key=lambda r: r.median, default=None)

    @property
    def ratio(self) -> float | None:
        """weft over the best; None where either is missing, or where the row has a limit of its own."""
        ours, best = self.ours, self.best
        if self.row.limit is not None:
            return None
        return ours.median / best.median if ours and best and best.median > 0 else None

    @property
    def relative(self) -> float | None:
        """How weft stands to its target: 1 is just met, 2 takes twice what it may."""
        ours = self.ours
        if self.row.limit is not None:
            return ours.median / self.row.limit if ours else None
        return self.ratio / self.row.target if self.ratio is not None and self.row.target else None

    @property
    def met(self) -> bool | None:
        """None where nothing is promised, or weft is not installed or has no peer; a refusal misses."""
        weft = next((r for r in self.results if r.peer == "weft"), None)
        if weft is None or (self.row.target is None and self.row.limit is None):
            return None
        if not weft.samples:
            return False if weft.note.startswith(("refused", "failed")) else None
        return None if self.relative is None else self.relative <= 1 and not weft.compiles

    @property
    def disturbed(self) -> bool:
        """Whether others were so busy that times are not to be trusted; nobody's memory is larger for that."""
        return self.others > MUCH_DISTURBED and self.row.kind not in UNDISTURBED

    @property
    def near(self) -> bool:
        """Missed by less than the samples spread: it may be met in another run."""
        ours, best = self.ours, self.best
        if self.met is not False or self.relative is None or ours is None or ours.compiles:
            return False
        return self.relative <= 1 + ours.spread + (best.spread if best and self.row.limit is None else 0.0)

    def rate(self, moved: int) -> float | None:
        """Bytes per second of weft, of a work that has to move so many."""
        return moved / self.ours.median if moved and self.ours else None

    def record(self) -> dict[str, Any]:
        results = [asdict(r) | ({"median": r.median, "spread": r.spread} if r.samples else {}) for r in self.results]
        return {"row": self.row.name, "others": self.others, "ratio": self.ratio, "met": self.met, "results": results}

    @staticmethod
    def read(record: dict[str, Any]) -> Measured:
        """The inverse of `record`. Raises KeyError for a row that is no more."""
        names = Result.__dataclass_fields__
        results = [Result(**{k: v for k, v in r.items() if k in names}) for r in record["results"]]
        return Measured(ROWS[record["row"]], results, record["others"])


def compare(results: list[Result], tolerance: float = 2e-3) -> None:
    """Note each result whose digest is not NumPy's; without NumPy's, not that of the first peer other than weft."""
    good = [r for r in results if r.digest]
    order = sorted(good, key=lambda r: (r.peer != "numpy", r.peer == "weft"))
    for r in good:
        expected = order[0].digest
        scale = [abs(expected[i - i % 2]) for i in range(len(expected))]  # pairs, see `digest`
        same = len(r.digest) == len(expected) and all(
            abs(a - b) <= tolerance * s + 1e-7 for a, b, s in zip(r.digest, expected, scale, strict=True)
        )
        if not same and not r.note:
            r.note = f"result differs from {order[0].peer}'s: {r.digest[:6]} {expected[:6]}"
