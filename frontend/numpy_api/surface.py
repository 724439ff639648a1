"""Importing this module fills the tables of `registry`: every module of NumPy functions is listed here."""

from __future__ import annotations

from weft.frontend import ufunc, ufunc_rules
from weft.frontend.numpy_api import creation, indexing, linear_algebra, logic, movement, reductions, statistics

__all__ = [
    "creation",
    "indexing",
    "linear_algebra",
    "logic",
    "movement",
    "reductions",
    "statistics",
    "ufunc",
    "ufunc_rules",
]
