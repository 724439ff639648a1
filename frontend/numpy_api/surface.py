"""Importing this module fills the tables of `registry`: every module of NumPy functions is listed here."""

from __future__ import annotations

from weft.frontend import ufunc, ufunc_rules

__all__ = ["ufunc", "ufunc_rules"]
