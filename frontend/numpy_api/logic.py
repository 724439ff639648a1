"""Choices and tests: where, clip, isclose, nan_to_num, ..."""

from __future__ import annotations
