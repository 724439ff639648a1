"""What the commands print, and where: their own text alone goes to standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TextIO


class CommandError(Exception):
    """Why a command can't be done: what is printed after its name, with exit status 2."""


def take_standard_output() -> TextIO:
    """A file for what the command prints. All else that this process writes to standard output, by Python or not,
    goes to standard error from now on."""
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "w", encoding=sys.stdout.encoding)
    os.dup2(2, 1)
    return ours


def write(text: str, to: TextIO | Path) -> None:
    """Write all of it. A reader that went away, as `head` does, is no error; else raises CommandError."""
    try:
        if isinstance(to, Path):
            to.write_text(text, encoding="utf-8")
        else:
            encoding = to.encoding or "utf-8"  # in ASCII a variable δ is \\u03b4
            to.write(text.encode(encoding, "backslashreplace").decode(encoding))
            to.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), to.fileno())  # type: ignore[union-attr]  # it is flushed again
    except OSError as error:
        raise CommandError(f"{to if isinstance(to, Path) else 'standard output'}: {error.strerror or error}") from None
