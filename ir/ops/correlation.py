"""`correlate`: sums of products of a row with another that is moved along it, by NumPy (`weft.ir.ops.library`).

    correlate(a, v; mode)    y[k] = Σ_j a[k + j - left] v[j]      what is beyond a's ends is left out

of the last axis of both, v no longer than a. mode: "valid" (left = 0, and nothing is left out), "same" (as many results
as a has elements, left = len(v) // 2), "full" (left = len(v) - 1, every product). It is linear in each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import OpDef
from weft.ir.ops.families import IRTypeError, Types, in_each
from weft.ir.ops.library import library
from weft.ir.ops.movement import pad, reverse, slice_

MODES = ("valid", "same", "full")


def margins(size: int, mode: str) -> tuple[int, int]:
    """How far v reaches beyond the ends of a."""
    left = {"valid": 0, "same": size // 2, "full": size - 1}[mode]
    return left, {"valid": 0, "same": size - size // 2 - 1, "full": size - 1}[mode]


def _infer(types: Types, attrs: Any) -> Types:
    a, v = types
    if a.rank < 1 or a.dtype != v.dtype or a.dims[:-1] != v.dims[:-1]:
        raise IRTypeError(f"correlate takes rows of one dtype, got {a} and {v}")
    if not 0 < v.dims[-1] <= a.dims[-1]:
        raise IRTypeError(f"correlate: rows of {v} are empty, or longer than those of {a}")
    if attrs["mode"] not in MODES:
        raise IRTypeError(f"correlate: mode {attrs['mode']!r} is none of {', '.join(MODES)}")
    size = v.dims[-1]
    return (a.with_dims((*a.dims[:-1], a.dims[-1] + sum(margins(size, attrs["mode"])) - size + 1)),)


def _correlate(a: np.ndarray, v: np.ndarray, mode: Any) -> np.ndarray:
    """NumPy takes one row of each; here there may be many."""
    if a.ndim == 1:
        return np.correlate(a, v, mode)
    rows = np.ndindex(a.shape[:-1])
    size = a.shape[-1] + sum(margins(v.shape[-1], mode)) - v.shape[-1] + 1
    out = np.empty((*a.shape[:-1], size), a.dtype)
    for row in rows:
        out[row] = np.correlate(a[row], v[row], mode)
    return out


def _padded(x: Any, left: int, right: int) -> Any:
    rest = (0,) * (len(x.shape) - 1)
    return pad(x, x.const(0), low=(*rest, left), high=(*rest, right)) if left or right else x


def _pull(g: Any, y: Any, a: Any, v: Any, mode: str) -> Any:
    left, right = margins(v.shape[-1], mode)
    n, last = a.shape[-1], len(a.shape) - 1
    back = reverse(v, axes=(last,))
    # g is no shorter than v, or its mirror image is moved along that
    if g.shape[-1] >= v.shape[-1]:
        of_padded = correlate(g, back, mode="full")
    else:
        of_padded = reverse(correlate(back, g, mode="full"), axes=(last,))
    rest = (0,) * last
    of_a = slice_(of_padded, start=(*rest, left), stop=(*a.shape[:-1], left + n), step=(1,) * (last + 1))
    return of_a, correlate(_padded(a, left, right), g, mode="valid")


def _push(tangents: Any, y: Any, a: Any, v: Any, mode: str) -> Any:
    of_a, of_v = tangents
    terms = [correlate(of_a, v, mode=mode)] if of_a is not None else []
    terms += [correlate(a, of_v, mode=mode)] if of_v is not None else []
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


correlate: OpDef = library(
    "correlate",
    _infer,
    _correlate,
    arity=2,
    pull=_pull,
    push=_push,
    batch=lambda size, lanes, a, v, mode: correlate(*in_each(size, lanes, (a, v)), mode=mode),
    attr_names=("mode",),
)
