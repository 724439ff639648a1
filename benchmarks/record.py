"""What a run found, as a file of JSON: written after each row, and read back to print, draw or go on with it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.results import Measured
from benchmarks.rows import ROWS


@dataclass
class Record:
    """machine: a line; versions: of each peer."""

    machine: str
    versions: dict[str, str | None]
    rows: dict[str, Measured] = field(default_factory=dict)

    def add(self, measured: Measured) -> None:
        self.rows[measured.row.name] = measured

    @property
    def measured(self) -> list[Measured]:
        """In the order of the table."""
        return [self.rows[row.name] for row in ROWS if row.name in self.rows]

    def write(self, path: Path) -> None:
        rows = [m.record() for m in self.measured]
        text = json.dumps({"machine": self.machine, "versions": self.versions, "rows": rows}, indent=1)
        path.write_text(text + "\n", "utf-8")

    @staticmethod
    def read(path: Path) -> Record:
        """Without the rows that are no more."""
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        record = Record(data["machine"], data["versions"])
        known = {row.name for row in ROWS}
        for row in data["rows"]:
            if row["row"] in known:
                record.add(Measured.read(row))
        return record
