"""`compile(fallback="numpy")`: a function that can't be captured is run as it is, and a warning says so.

    capture fails  --undo what it did-->  warn, once per specialisation  -->  the function, by NumPy
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from weft.frontend.errors import (
    ArgumentError,
    AxisError,
    DTypeError,
    FallbackWarning,
    IndexingError,
    ShapeError,
    TracingError,
)
from weft.frontend.location import site_of

CAPTURE_ERRORS = (TracingError, ArgumentError)
PROGRAMS_OWN = (AxisError, DTypeError, IndexingError, ShapeError)  # as a rule NumPy raises one as well


class ByNumpy:
    """What stands in the place of a compiled form: `run`, given a call, runs the function itself."""

    def __init__(self, run: Callable[[Any], Any]) -> None:
        self.run = run


def fall_back(error: Exception, call: Any, run: Callable[[Any], Any], remember: Callable[[ByNumpy], None],
              label: str) -> Any:  # fmt: skip
    """`run(call)`, which is remembered, and warned of; neither if it shows that the error was the program's own."""
    own = isinstance(error, PROGRAMS_OWN)
    result = run(call) if own else None
    _warn(error, label)
    remember(ByNumpy(run))
    return result if own else run(call)


def _warn(error: Exception, label: str) -> None:
    """At the user's line."""
    file, line = "<unknown>", 0
    step = error.__traceback__
    while step is not None:
        if site_of(step.tb_frame) is not None:
            file, line = step.tb_frame.f_code.co_filename, step.tb_lineno
        step = step.tb_next
    text = f"{label} is run by NumPy, as it can't be captured:\n{error}"
    warnings.warn_explicit(text, FallbackWarning, file, line)
