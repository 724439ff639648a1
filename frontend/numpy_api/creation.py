"""Arrays made from a shape, a number or another array: zeros_like, full_like, arange, eye, ..."""

from __future__ import annotations
