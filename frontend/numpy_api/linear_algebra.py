"""Products: dot, tensordot, einsum, outer, trace, norms, ..."""

from __future__ import annotations
