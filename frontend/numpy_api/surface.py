"""Importing this module fills the tables of `registry`: every module of NumPy functions is listed here."""

from __future__ import annotations

from weft.frontend import ufunc, ufunc_rules
from weft.frontend.numpy_api import (
    arithmetic,
    assignment,
    conversion,
    covariance,
    creation,
    diagonals,
    differences,
    einsum,
    indexing,
    interpolation,
    joining,
    linear_algebra,
    logic,
    movement,
    nan_reductions,
    norms,
    padding,
    piecewise,
    reductions,
    selection,
    statistics,
)

__all__ = [
    "arithmetic",
    "assignment",
    "conversion",
    "covariance",
    "creation",
    "diagonals",
    "differences",
    "einsum",
    "indexing",
    "interpolation",
    "joining",
    "linear_algebra",
    "logic",
    "movement",
    "nan_reductions",
    "norms",
    "padding",
    "piecewise",
    "reductions",
    "selection",
    "statistics",
    "ufunc",
    "ufunc_rules",
]
