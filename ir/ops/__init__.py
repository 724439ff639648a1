"""The ops, a file per family. Importing this package fills the table of `weft.ir.opdef`."""

from weft.ir.ops import (
    control,
    elementwise,
    index,
    linalg,
    logic,
    movement,
    moving,
    recurrence,
    reduce,
    source,
    stack,
    transcendental,
    update,
    windows,
)

__all__ = [
    "control",
    "elementwise",
    "index",
    "linalg",
    "logic",
    "movement",
    "moving",
    "recurrence",
    "reduce",
    "source",
    "stack",
    "transcendental",
    "update",
    "windows",
]
