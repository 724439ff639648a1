"""Histograms of rows, by NumPy (`weft.ir.ops.library`). Rows are the last axis.

    histogram(x; bins, low, high)     counts, and the edges of bins of one width: from the least element to the greatest
                                      where low and high are None
    binned(x, edges)                  counts between given edges
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import OpDef
from weft.ir.ops.families import IRTypeError, Types, in_each
from weft.ir.ops.library import library
from weft.ir.ops.logic import equal, where
from weft.ir.ops.movement import broadcast, reshape, slice_
from weft.ir.ops.reduce import sum_
from weft.ir.ops.source import iota
from weft.ir.types import TensorType


def _infer_histogram(types: Types, attrs: Any) -> Types:
    (x,) = types
    if x.rank < 1 or x.dtype == "bool":
        raise IRTypeError(f"histogram takes rows of numbers, got {x}")
    bins, lead = attrs["bins"], x.dims[:-1]
    if bins < 1:
        raise IRTypeError(f"histogram: {bins} bins")
    return TensorType("i64", (*lead, bins)), TensorType(x.dtype if x.is_float else "f64", (*lead, bins + 1))


def _histogram(x: np.ndarray, bins: int, low: float | None, high: float | None) -> Any:
    """NumPy counts all elements; here those of each row."""
    ends = None if low is None or high is None else (low, high)
    counts = np.empty((*x.shape[:-1], bins), np.int64)
    edges = np.empty((*x.shape[:-1], bins + 1), x.dtype if x.dtype.kind == "f" else np.float64)
    for row in np.ndindex(x.shape[:-1]):
        counts[row], edges[row] = np.histogram(x[row], bins, ends)
    return counts, edges


def _parts(like: Any, bins: int) -> Any:
    """How far each edge is from the first to the last: 0 to 1."""
    (i,) = like.builder.emit(iota, (), {"shape": (bins + 1,), "axis": 0, "dtype": like.dtype})
    return i / float(bins)


def _at(x: Any, edges: Any, end: int) -> Any:
    """The share of each element in being the least, or the greatest: as great as that edge."""
    last, n = len(edges.shape) - 1, edges.shape[-1]
    start = (0,) * last + (end % n,)
    edge = slice_(edges, start=start, stop=(*edges.shape[:-1], end % n + 1), step=(1,) * (last + 1))
    hit = where(equal(x, edge), x.const(1), x.const(0))
    count = reshape(sum_(hit, axes=(last,)), shape=edge.shape)
    return hit / where(equal(count, count.const(0)), count.const(1), count)


def _pull_histogram(g: Any, y: Any, x: Any, bins: int, low: Any, high: Any) -> Any:
    if g[1] is None or low is not None or not x.type.is_float:
        return (None,)
    t, last = _parts(g[1], bins), len(x.shape) - 1
    shape = (*x.shape[:-1], 1)
    of_last = reshape(sum_(g[1] * t, axes=(last,)), shape=shape)
    of_first = reshape(sum_(g[1], axes=(last,)), shape=shape) - of_last
    return (of_first * _at(x, y[1], 0) + of_last * _at(x, y[1], -1),)


def _push_histogram(tangents: Any, y: Any, x: Any, bins: int, low: Any, high: Any) -> Any:
    if low is not None or not x.type.is_float:
        return None, None
    last, shape = len(x.shape) - 1, (*x.shape[:-1], 1)
    first, end = (reshape(sum_(tangents[0] * _at(x, y[1], k), axes=(last,)), shape=shape) for k in (0, -1))
    return None, first + (end - first) * _parts(first, bins)


def _nothing(x: Any, *others: Any) -> Any:
    return (broadcast(x.const(0), shape=x.shape), *others)


histogram: OpDef = library(
    "histogram",
    _infer_histogram,
    _histogram,
    pull=_pull_histogram,
    push=_push_histogram,
    batch=lambda size, lanes, x, **attrs: histogram(x, **attrs),
    harmless=_nothing,
    dtypes="iuf",
    attr_names=("bins", "low", "high"),
)


def _infer_binned(types: Types, attrs: Any) -> Types:
    x, edges = types
    if x.rank < 1 or x.dtype == "bool" or edges.dims[:-1] != x.dims[:-1] or not edges.rank or edges.dims[-1] < 1:
        raise IRTypeError(f"binned takes rows of numbers and edges for each, got {x} and {edges}")
    return (TensorType("i64", (*x.dims[:-1], edges.dims[-1] - 1)),)


def _binned(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts = np.empty((*x.shape[:-1], edges.shape[-1] - 1), np.int64)
    for row in np.ndindex(x.shape[:-1]):
        counts[row] = np.histogram(x[row], edges[row])[0]
    return counts


binned: OpDef = library(
    "binned",
    _infer_binned,
    _binned,
    arity=2,
    pull=lambda g, y, x, edges: (None, None),
    push=lambda tangents, y, x, edges: None,
    batch=lambda size, lanes, x, edges: binned(*in_each(size, lanes, (x, edges))),
    harmless=lambda x, edges: (*_nothing(x), *_nothing(edges)),
    dtypes="iuf",
)
