"""Shapes: reshape, transpose, concatenate, stack, split, pad, roll, ..."""

from __future__ import annotations
