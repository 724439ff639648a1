"""Indexing: basic and integer-array keys, take, take_along_axis, ..."""

from __future__ import annotations
