"""Statistics over reductions: mean, var, std, average, ptp, ..."""

from __future__ import annotations
