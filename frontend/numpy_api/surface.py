"""Importing this module fills the tables of `registry`: every module of NumPy functions is listed here."""

from __future__ import annotations

from weft.frontend import ufunc, ufunc_rules
from weft.frontend.numpy_api import (
    assignment,
    conversion,
    creation,
    differences,
    indexing,
    joining,
    linear_algebra,
    logic,
    movement,
    padding,
    reductions,
    selection,
    statistics,
)

__all__ = [
    "assignment",
    "conversion",
    "creation",
    "differences",
    "indexing",
    "joining",
    "linear_algebra",
    "logic",
    "movement",
    "padding",
    "reductions",
    "selection",
    "statistics",
    "ufunc",
    "ufunc_rules",
]
