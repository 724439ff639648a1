"""Arrays like another, and grids: zeros_like, full_like, meshgrid, linspace, geomspace, tri, vander, ...

np.zeros, np.arange, np.eye and their like make NumPy arrays: they are not told of tracers, except by `like=`.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from weft.frontend.errors import ShapeError, message
from weft.frontend.lengths import trip_count
from weft.frontend.numpy_api.keywords import arrays, normal_axis, wanted_dtype
from weft.frontend.numpy_api.movement import fresh, one
from weft.frontend.numpy_api.moves import (
    cut,
    expanded,
    find_tracer,
    first_tracer,
    integers,
    iota,
    joined,
    moved,
    reshaped,
    spread,
)
from weft.frontend.numpy_api.registry import creates, implements
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, full
from weft.frontend.ufunc import call
from weft.ir import ops
from weft.ir.dims import Dim, as_size, same
from weft.ir.types import broadcast_dims

e, lg = ops.elementwise, ops.logic


def _filled_like(function: Any, scalar: int) -> None:
    @implements(function)
    def implementation(
        a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
    ) -> Tracer:  # fmt: skip
        x = one(a)
        return full(x, x.shape if shape is None else integers(shape), scalar, wanted_dtype(dtype, x.dtype))


for _function, _scalar in ((np.zeros_like, 0), (np.ones_like, 1), (np.empty_like, 0)):
    _filled_like(_function, _scalar)


@implements(np.full_like)
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *,
    device: Any = None,
) -> Tracer:  # fmt: skip
    x = one(a)
    return _full(x, x.shape if shape is None else integers(shape), fill_value, wanted_dtype(dtype, x.dtype))


def _full(like: Tracer, shape: tuple[int, ...], fill: Any, dtype: np.dtype) -> Tracer:
    return fresh(spread(cast(as_tracer(fill, like), dtype), shape))


# Traced by like=; without it they make NumPy arrays.


@creates(np.full)
def full_of(
    like: Tracer, shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, device: Any = None
) -> Tracer:
    (fill,) = arrays(as_tracer(fill_value, like))
    return _full(like, integers(shape), fill, wanted_dtype(dtype, fill.dtype))


def _filled(function: Any, scalar: int) -> None:
    @creates(function)
    def implementation(
        like: Tracer, shape: Any, dtype: Any = None, order: str = "C", *, device: Any = None
    ) -> Tracer:
        return full(like, integers(shape), scalar, wanted_dtype(dtype, np.dtype(np.float64)))


def _made(function: Any, of_symbols: Any) -> None:
    @creates(function)
    def implementation(like: Tracer, *args: Any, **kwargs: Any) -> Tracer:
        if any(isinstance(a, Dim) for a in (*args, *kwargs.values())):
            return of_symbols(like, *args, **kwargs)  # type: ignore[no-any-return]
        return as_tracer(function(*args, **kwargs), like)


def _arange(like: Tracer, start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tracer:
    """np.arange of sizes that are symbols."""
    start, stop = (0, start) if stop is None else (start, stop)
    if not all(isinstance(n, int | Dim) for n in (start, stop)) or not isinstance(step, int) or not step:
        return as_tracer(np.arange(*map(float, (start, stop, step)), dtype=dtype), like)  # for the very values
    i = iota(like, trip_count(start, stop, step))
    i = emit(e.mul, i, constant(i, step, "i64")) if step != 1 else i
    i = emit(e.add, i, constant(i, start, "i64")) if not same(start, 0) else i
    return cast(i, wanted_dtype(dtype, i.dtype))


def _eye(like: Tracer, n: Any, m: Any = None, k: Any = 0, dtype: Any = float, compare: Any = None) -> Tracer:
    """np.eye of sizes that are symbols, and np.tri: where column - row equals k, or does not exceed it."""
    rows, columns = as_size(n), as_size(n if m is None else m)
    offset = emit(e.sub, iota(like, columns, 1, 2), iota(like, rows, 0, 2))
    inside = emit(compare or lg.equal, offset, constant(like, as_size(k), "i64"))
    return cast(inside, wanted_dtype(dtype, np.dtype(np.float64)))


_filled(np.zeros, 0)
_filled(np.ones, 1)
_filled(np.empty, 0)
_made(np.eye, lambda like, N, M=None, k=0, dtype=float: _eye(like, N, M, k, dtype))
_made(np.tri, lambda like, N, M=None, k=0, dtype=float: _eye(like, N, M, k, dtype, lg.less_equal))
_made(np.identity, lambda like, n, dtype=None: _eye(like, n, dtype=float if dtype is None else dtype))
_made(np.arange, _arange)


# Grids.


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Tracer, ...]:
    if indexing not in ("xy", "ij"):
        raise ShapeError(message("Valid values for `indexing` are 'xy' and 'ij'."))
    given = arrays(*xi)
    rank = len(given)
    along = list(range(rank))
    if indexing == "xy" and rank > 1:
        along[:2] = 1, 0
    lines = [reshaped(x, [x.size if i == at else 1 for i in range(rank)]) for x, at in zip(given, along, strict=True)]
    if not sparse:
        shape = broadcast_dims(*[line.shape for line in lines])
        lines = [spread(line, shape) for line in lines]
    return tuple([fresh(line) for line in lines]) if copy else tuple(lines)


@implements(np.linspace)
def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
    axis: Any = 0, *, device: Any = None,
) -> Any:  # fmt: skip
    count = operator.index(num)
    if count < 0:
        raise ShapeError(message(f"Number of samples, {count}, must be non-negative."))
    like = first_tracer([start, stop])
    computed = _inexact(np.result_type(*[_promoting(x) for x in (start, stop)]))
    first, last = (cast(as_tracer(x, like), computed) for x in (start, stop))
    wanted = wanted_dtype(dtype, computed)
    delta = emit(e.sub, last, first)
    i = iota(like, count, 0, delta.ndim + 1, first.value.type.dtype)
    parts = count - 1 if endpoint else count
    step = call(np.true_divide, delta, parts) if parts > 0 else full(like, delta.shape, math.nan, computed)
    y = emit(e.add, emit(e.mul, i, step if parts > 0 else delta), first)
    if endpoint and count > 1:
        at_end = emit(lg.equal, i, constant(i, count - 1, i.dtype))
        y = emit(lg.where, at_end, last, y)
    y = moved(y, 0, normal_axis(axis, y))
    if wanted.kind in "iu":
        y = emit(e.floor, y)
    y = cast(y, wanted)
    return (y, step) if retstep else y


def _promoting(x: Any) -> Any:
    """What takes part in a promotion: a Python number weakly, all else by its dtype."""
    if type(x) is Tracer:
        return x.dtype if x.weak is None else x.weak(0)
    return x if isinstance(x, int | float) else np.asarray(x).dtype


def _inexact(dtype: np.dtype) -> np.dtype:
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


@implements(np.logspace)
def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: Any = 0
) -> Tracer:
    like = first_tracer([start, stop, base])
    if np.ndim(base):
        ends = arrays(*[as_tracer(x, like) for x in (start, stop, base)])
        rank = max(x.ndim for x in ends)
        start, stop, base = (reshaped(x, (1,) * (rank - x.ndim) + x.shape) for x in ends)
        base = expanded(base, normal_axis(axis, base, rank + 1))
    grid = np.linspace if find_tracer([start, stop]) is None else linspace
    y = call(np.power, base, as_tracer(grid(start, stop, num, endpoint, axis=axis), like))
    return y if dtype is None else cast(y, wanted_dtype(dtype, y.dtype))


@implements(np.geomspace)
def geomspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: Any = 0
) -> Tracer:
    """By logarithms of the absolute values, and by the sign of `start`; traced ends are taken not to be zero."""
    like = first_tracer([start, stop])
    first, last = arrays(as_tracer(start, like), as_tracer(stop, like))
    computed = np.result_type(first.dtype, last.dtype, np.float64 if dtype is None else np.dtype(dtype))
    computed = _inexact(computed)
    first, last = cast(first, computed), cast(last, computed)
    sign = call(np.sign, first)
    first, last = first / sign, last / sign
    count = operator.index(num)
    y = logspace(call(np.log10, first), call(np.log10, last), count, endpoint)
    inner = cut(y, 0, slice(1, count - 1 if endpoint else count))
    rows = [expanded(spread(x, y.shape[1:]), 0) for x in (first, last)]
    kept = [rows[0], inner, rows[1]] if endpoint and count > 1 else [rows[0], inner]
    y = joined(kept, 0) * sign if count else y
    return cast(moved(y, 0, normal_axis(axis, y)), wanted_dtype(dtype, computed))


@implements(np.vander)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Tracer:
    """Columns of powers, each the one before times x."""
    a = one(x)
    if a.ndim != 1:
        raise ShapeError(message("x must be a one-dimensional array or sequence.", [a.value]))
    count = a.size if N is None else operator.index(N)
    a = cast(a, np.promote_types(a.dtype, np.int64))
    powers = [full(a, a.shape, 1, a.dtype)]
    while len(powers) < count:
        powers.append(a if len(powers) == 1 else emit(e.mul, powers[-1], a))
    columns = powers[:count] if increasing else powers[:count][::-1]
    return joined([expanded(p, 1) for p in columns], 1) if columns else full(a, (a.size, 0), 0, a.dtype)
