"""Reductions: sum, prod, max, min, argmax, argmin, any, all, and their keywords."""

from __future__ import annotations
