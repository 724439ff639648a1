"""Measuring on a machine that others measure on too: all take turns, by the lock of a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import IO

MOST = 45.0  # seconds of a turn, and what is then still to be done of a row


class Turns:
    """Between `begin` and `end` nobody else holds the lock. Without a path there are no others."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.file: IO[str] | None = None
        self.since = 0.0

    def begin(self) -> None:
        """Go on with the turn, or wait for the next."""
        if self.path is None or self.file is not None:
            return
        import fcntl  # not on every system

        self.file = self.path.open("a")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.since = time.monotonic()

    def end(self) -> None:
        """Pass the turn on, if it has lasted long enough."""
        if self.file is not None and time.monotonic() - self.since > MOST:
            self.file.close()
            self.file = None
