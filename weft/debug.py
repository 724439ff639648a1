"""The debug ladder: WEFT_DEBUG=1..5 opens loggers of the standard library, each rung with those below it.

    1  weft.passes, weft.pipeline   each pass with its op counts and time, capture and compile times
    2  weft.passes                  the IR before and after each pass
    3  weft.kernels                 the kernels' source
    4  weft.simplify                which rewrite rules fired, and how often
    5  weft.llvm                    LLVM IR and the assembly that came of it

Without WEFT_DEBUG the logger "weft" is silent; a program may set levels and handlers on it as on any other.
From rung 1 on every graph is verified between passes.
"""

from __future__ import annotations

import logging
import os

RUNGS: dict[int, tuple[tuple[str, int], ...]] = {
    1: (("weft.passes", logging.INFO), ("weft.pipeline", logging.INFO)),
    2: (("weft.passes", logging.DEBUG),),
    3: (("weft.kernels", logging.DEBUG),),
    4: (("weft.simplify", logging.DEBUG),),
    5: (("weft.llvm", logging.DEBUG),),
}


def debug_level() -> int:
    """WEFT_DEBUG as a number from 0 to 5; 0 when it is unset, empty or not a number."""
    try:
        return min(max(int(os.environ.get("WEFT_DEBUG", "")), 0), max(RUNGS))
    except ValueError:
        return 0


def watched() -> bool:
    """Whether anybody would see what the compiler says of its work."""
    return any(logging.getLogger(name).isEnabledFor(at) for rung in RUNGS.values() for name, at in rung)


def set_up(level: int | None = None) -> None:
    """Make the logger "weft" silent, or print the rungs up to `level` (WEFT_DEBUG's) to standard error."""
    root = logging.getLogger("weft")
    if not any(isinstance(h, logging.NullHandler) for h in root.handlers):
        root.addHandler(logging.NullHandler())
    level = debug_level() if level is None else level
    if level < 1:
        return
    if not any(getattr(h, "weft_debug", False) for h in root.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[%(name)s] %(message)s"))
        handler.weft_debug = True  # type: ignore[attr-defined]
        root.addHandler(handler)
    for rung in range(1, level + 1):
        for name, at in RUNGS[rung]:
            logging.getLogger(name).setLevel(at)
