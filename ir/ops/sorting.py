"""Sorts, and what NumPy does by parts of a sort. All call NumPy (`weft.ir.ops.library`).

    sort(x; axis, kind)             argsort                  the whole order
    partition(x; axis, kth)         argpartition             the elements at ranks kth, smaller ones before each
    ranked(x; axis, ranks)          argranked                those elements alone
    at_ranks(x, ranks)              arg_at_ranks             likewise, along the last axis, at ranks that the run shows
    searchsorted(a, v; side)                                 where v would be inserted in a, in order

NaNs come last. An order is a permutation p along the axis, y[i] = x[p[i]], and constant but where elements meet. So
its derivative moves tangents as it moves elements: t_y[i] = t_x[p[i]], and cotangents back. Which of equal elements
comes first is a convention; that of the stable order here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.ir.opdef import REGISTRY, OpDef
from weft.ir.ops.families import IRTypeError, Types, in_each
from weft.ir.ops.index import gather, scatter, scatter_add
from weft.ir.ops.library import library
from weft.ir.ops.movement import broadcast
from weft.ir.ops.source import iota
from weft.ir.types import TensorType

KINDS = ("quicksort", "heapsort", "stable")


def _along(name: str, t: TensorType, axis: int) -> None:
    if not 0 <= axis < t.rank:
        raise IRTypeError(f"{name}: axis {axis} is out of range for {t}")


def _within(name: str, t: TensorType, axis: int, ranks: tuple[int, ...]) -> None:
    _along(name, t, axis)
    if not ranks or not all(0 <= k < t.dims[axis] for k in ranks):
        raise IRTypeError(f"{name}: ranks {ranks} are out of range for axis {axis} of {t}")


def _infer(name: str, result: str | None) -> Any:
    def infer(types: Types, attrs: Any) -> Types:
        (t,) = types
        _along(name, t, attrs["axis"])
        if attrs["kind"] not in KINDS:
            raise IRTypeError(f"{name}: kind {attrs['kind']!r} is none of {', '.join(KINDS)}")
        return (t.with_dtype(result or t.dtype),)

    return infer


def _infer_partition(name: str, result: str | None) -> Any:
    def infer(types: Types, attrs: Any) -> Types:
        (t,) = types
        _within(name, t, attrs["axis"], attrs["kth"])
        return (t.with_dtype(result or t.dtype),)

    return infer


def _infer_ranked(name: str, result: str | None) -> Any:
    def infer(types: Types, attrs: Any) -> Types:
        (t,) = types
        axis, ranks = attrs["axis"], attrs["ranks"]
        _within(name, t, axis, ranks)
        dims = (*t.dims[:axis], len(ranks), *t.dims[axis + 1 :])
        return (TensorType(result or t.dtype, dims),)

    return infer


def _in_lanes(name: str) -> Callable[..., Any]:
    return lambda size, lanes, x, axis, **attrs: REGISTRY[name](x, axis=axis + 1, **attrs)


def index_along(p: Any, axis: int) -> list[Any]:
    """Index arrays with which `gather` by all axes takes, along one, the places p."""
    found = []
    for k, n in enumerate(p.shape):
        own = tuple(n if i == k else 1 for i in range(len(p.shape)))
        found.append(p if k == axis else p.builder.emit(iota, (), {"shape": own, "axis": k, "dtype": "i64"})[0])
    return found


def take_along(x: Any, p: Any, axis: int) -> Any:
    """x[p] along an axis: elsewhere each result is at its own place."""
    return gather(x, *index_along(p, axis), axes=tuple(range(len(x.shape))))


def put_along(g: Any, p: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """The transpose of `take_along`."""
    zeros = broadcast(g.const(0), shape=shape)
    return scatter_add(zeros, *index_along(p, axis), g, axes=tuple(range(len(shape))))


def _moves(order: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """The derivative of x[p] along an axis, p = order(y, x, **attrs)."""

    def pull(g: Any, y: Any, x: Any, axis: int, **attrs: Any) -> Any:
        return (put_along(g, order(y, x, axis=axis, **attrs), axis, x.shape),)

    def push(tangents: Any, y: Any, x: Any, axis: int, **attrs: Any) -> Any:
        return take_along(tangents[0], order(y, x, axis=axis, **attrs), axis)

    return {"pull": pull, "push": push}


def _nowhere(g: Any, y: Any, x: Any, **attrs: Any) -> Any:
    """The derivative of an order: none."""
    return (None,)


def _still(tangents: Any, y: Any, x: Any, **attrs: Any) -> Any:
    return None


ORDER: dict[str, Any] = {"pull": _nowhere, "push": _still}


def _sort_into(results: Sequence[np.ndarray], x: np.ndarray, axis: int, kind: Any) -> None:
    """In the result, which may be x itself."""
    y = results[0]
    if y is not x:
        y[...] = x
    y.sort(axis, kind)


def _partition_into(results: Sequence[np.ndarray], x: np.ndarray, axis: int, kth: tuple[int, ...]) -> None:
    y = results[0]
    if y is not x:
        y[...] = x
    y.partition(kth, axis)


argsort: OpDef = library(
    "argsort",
    _infer("argsort", "i64"),
    lambda x, axis, kind: np.argsort(x, axis=axis, kind=kind),
    batch=_in_lanes("argsort"),
    attr_names=("axis", "kind"),
    **ORDER,
)
sort: OpDef = library(
    "sort",
    _infer("sort", None),
    lambda x, axis, kind: np.sort(x, axis=axis, kind=kind),
    into=_sort_into,
    over=((0, 0),),
    batch=_in_lanes("sort"),
    attr_names=("axis", "kind"),
    **_moves(lambda y, x, axis, kind: argsort(x, axis=axis, kind="stable")),
)


def _order_of_partition(y: Any, x: Any, axis: int, kth: tuple[int, ...]) -> Any:
    """NumPy doesn't say how a partition moves elements, so: what is r-th in x went where what is r-th in y is."""
    before, after = argsort(x, axis=axis, kind="stable"), argsort(y, axis=axis, kind="stable")
    nowhere = broadcast(before.const(0), shape=before.shape)
    return scatter(nowhere, *index_along(after, axis), before, axes=tuple(range(len(x.shape))))


partition: OpDef = library(
    "partition",
    _infer_partition("partition", None),
    lambda x, axis, kth: np.partition(x, kth, axis=axis),
    into=_partition_into,
    over=((0, 0),),
    batch=_in_lanes("partition"),
    attr_names=("axis", "kth"),
    **_moves(_order_of_partition),
)
argpartition: OpDef = library(
    "argpartition",
    _infer_partition("argpartition", "i64"),
    lambda x, axis, kth: np.argpartition(x, kth, axis=axis),
    batch=_in_lanes("argpartition"),
    attr_names=("axis", "kth"),
    **ORDER,
)


def _argranked(x: np.ndarray, axis: int, ranks: tuple[int, ...]) -> np.ndarray:
    return np.take(np.argpartition(x, ranks, axis=axis), ranks, axis=axis)


argranked: OpDef = library(
    "argranked",
    _infer_ranked("argranked", "i64"),
    _argranked,
    batch=_in_lanes("argranked"),
    attr_names=("axis", "ranks"),
    **ORDER,
)


def _ranked(x: np.ndarray, axis: int, ranks: tuple[int, ...]) -> np.ndarray:
    return np.take(np.partition(x, ranks, axis=axis), ranks, axis=axis)


ranked: OpDef = library(
    "ranked",
    _infer_ranked("ranked", None),
    _ranked,
    batch=_in_lanes("ranked"),
    attr_names=("axis", "ranks"),
    **_moves(lambda y, x, axis, ranks: argranked(x, axis=axis, ranks=ranks)),
)


LONG = 1 << 12  # elements of a row that is partitioned by itself, not sorted with all others


def _infer_at_ranks(name: str, result: str | None) -> Any:
    def infer(types: Types, attrs: Any) -> Types:
        x, ranks = types
        if x.rank < 1 or ranks.dtype != "i64" or ranks.dims[:-1] != x.dims[:-1] or ranks.rank != x.rank:
            raise IRTypeError(f"{name} takes rows and ranks (i64) in each, got {x} and {ranks}")
        if not x.dims[-1] and ranks.size:
            raise IRTypeError(f"{name}: rows of {x} have no elements")
        return (ranks.with_dtype(result or x.dtype),)

    return infer


def _row_by_row(part: Callable[..., Any], whole: Callable[..., Any], is_order: bool) -> Callable[..., Any]:
    def reference(x: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        if x.shape[-1] < LONG or not ranks.size:
            return np.take_along_axis(whole(x, axis=-1), ranks, -1)
        out = np.empty(ranks.shape, np.int64 if is_order else x.dtype)
        for row in np.ndindex(x.shape[:-1]):
            out[row] = part(x[row], np.unique(ranks[row]))[ranks[row]]
        return out

    return reference


arg_at_ranks: OpDef = library(
    "arg_at_ranks",
    _infer_at_ranks("arg_at_ranks", "i64"),
    _row_by_row(np.argpartition, np.argsort, True),
    arity=2,
    pull=lambda g, y, x, ranks: (None, None),
    push=lambda tangents, y, x, ranks: None,
    batch=lambda size, lanes, *operands: arg_at_ranks(*in_each(size, lanes, operands)),
)
at_ranks: OpDef = library(
    "at_ranks",
    _infer_at_ranks("at_ranks", None),
    _row_by_row(np.partition, np.sort, False),
    arity=2,
    pull=lambda g, y, x, ranks: (put_along(g, arg_at_ranks(x, ranks), len(x.shape) - 1, x.shape), None),
    push=lambda tangents, y, x, ranks: take_along(tangents[0], arg_at_ranks(x, ranks), len(x.shape) - 1),
    batch=lambda size, lanes, *operands: at_ranks(*in_each(size, lanes, operands)),
)


def _infer_search(types: Types, attrs: Any) -> Types:
    a, v = types
    if a.rank < 1 or a.dtype != v.dtype or v.dims[: a.rank - 1] != a.dims[:-1]:
        raise IRTypeError(f"searchsorted takes rows of one dtype and values for each, got {a} and {v}")
    if attrs["side"] not in ("left", "right"):
        raise IRTypeError(f"searchsorted: side {attrs['side']!r} is neither left nor right")
    return (TensorType("i64", v.dims),)


def _search(a: np.ndarray, v: np.ndarray, side: Any) -> np.ndarray:
    """NumPy searches in one row; here the axes before the last one of `a` are v's too."""
    out = np.empty(v.shape, np.int64)
    for row in np.ndindex(a.shape[:-1]):
        out[row] = np.searchsorted(a[row], v[row], side)
    return out


def _batch_search(size: int, lanes: Any, a: Any, v: Any, side: str) -> Any:
    if not lanes[0] and len(a.shape) == 1:
        return searchsorted(a, v, side=side)
    a, v = in_each(size, lanes, (a, v))
    return searchsorted(a, v, side=side)


searchsorted: OpDef = library(
    "searchsorted",
    _infer_search,
    _search,
    arity=2,
    pull=lambda g, y, a, v, side: (None, None),
    push=lambda tangents, y, a, v, side: None,
    batch=_batch_search,
    attr_names=("side",),
)
