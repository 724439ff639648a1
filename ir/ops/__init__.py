"""The ops, a file per family. Importing this package fills the table of `weft.ir.opdef`."""

from weft.ir.ops import (
    control,
    elementwise,
    index,
    library,
    linalg,
    logic,
    movement,
    moving,
    recurrence,
    reduce,
    sorting,
    source,
    stack,
    transcendental,
    update,
)

__all__ = [
    "control",
    "elementwise",
    "index",
    "library",
    "linalg",
    "logic",
    "movement",
    "moving",
    "recurrence",
    "reduce",
    "sorting",
    "source",
    "stack",
    "transcendental",
    "update",
]
