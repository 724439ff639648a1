"""What ops of matrices share: the family, and what their derivatives are written in.

Matrices are in the last two axes of arrays; of an array of more axes each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft.ir.opdef import REGISTRY, OpDef
from weft.ir.ops.families import IRTypeError, in_each
from weft.ir.ops.library import library
from weft.ir.ops.linalg import dot
from weft.ir.ops.logic import equal, greater, greater_equal, where
from weft.ir.ops.movement import broadcast, reshape, slice_, transpose
from weft.ir.ops.reduce import sum_
from weft.ir.ops.source import iota
from weft.ir.types import TensorType


def dims_of_matrix(name: str, t: TensorType, square: bool = True) -> tuple[int, int]:
    if t.rank < 2 or (square and t.dims[-1] != t.dims[-2]):
        raise IRTypeError(f"{name} takes {'square ' * square}matrices, got {t}")
    if not t.is_float:
        raise IRTypeError(f"{name} does not take {t.dtype}")
    return t.dims[-2], t.dims[-1]


def _in_single(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function, of halves too: they are computed in single and rounded once."""

    def reference(*arrays: np.ndarray, **attrs: Any) -> Any:
        if arrays[0].dtype != np.float16:
            found = function(*arrays, **attrs)
            return tuple(found) if isinstance(found, tuple) else found
        found = function(*(a.astype(np.float32) for a in arrays), **attrs)
        if isinstance(found, tuple):
            return tuple(f.astype(np.float16) for f in found)
        return np.asarray(found).astype(np.float16)

    return reference


def with_identity(a: Any, *others: Any) -> tuple[Any, ...]:
    return (identity(a, a.shape), *others)


def with_zeros(a: Any, *others: Any) -> tuple[Any, ...]:
    return (none(a), *others)


def matrix_op(name: str, infer: Any, reference: Any, **more: Any) -> OpDef:
    """An op of matrices. Its axes are the last ones, so lanes are one more axis in front."""

    def batch(size: int, lanes: Any, /, *operands: Any, **attrs: Any) -> Any:
        return REGISTRY[name](*in_each(size, lanes, operands), **attrs)

    more = {"batch": batch, "harmless": with_zeros, "dtypes": "f", "domain": (-1.5, 2.5), **more}
    return library(name, infer, _in_single(reference), **more)


def added(*terms: Any) -> Any:
    """The sum of what there is, None for nothing."""
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def product_of_some(*factors: Any) -> Any:
    """A product, None where a factor is."""
    return None if any(f is None for f in factors) else product(*factors)


# ---- calculus ----------------------------------------------------------------------------------------


def turned(a: Any) -> Any:
    """The transpose of each matrix."""
    rank = len(a.shape)
    return transpose(a, perm=(*range(rank - 2), rank - 1, rank - 2))


def product(a: Any, b: Any, *others: Any) -> Any:
    """Of each pair of matrices, from the left."""
    rank = len(a.shape)
    lead = tuple(range(rank - 2))
    found = dot(a, b, batch=(lead, lead), contract=((rank - 1,), (rank - 2,)))
    return product(found, *others) if others else found


def row_and_column(like: Any, m: int, n: int) -> tuple[Any, Any]:
    """Of each element of an m x n matrix, as arrays that broadcast to it."""
    emit = like.builder.emit
    (row,) = emit(iota, (), {"shape": (m, 1), "axis": 0, "dtype": "i64"})
    (column,) = emit(iota, (), {"shape": (1, n), "axis": 1, "dtype": "i64"})
    return row, column


def on_diagonal(x: Any) -> Any:
    """Matrices with zeros beside their diagonals."""
    return where(equal(*row_and_column(x, *x.shape[-2:])), x, x.const(0))


def below(x: Any) -> Any:
    """Matrices with zeros on and above their diagonals."""
    return where(greater(*row_and_column(x, *x.shape[-2:])), x, x.const(0))


def lower(x: Any) -> Any:
    """Matrices with zeros above their diagonals."""
    return where(greater_equal(*row_and_column(x, *x.shape[-2:])), x, x.const(0))


def mirrored(x: Any) -> Any:
    """The symmetric matrices that have the lower triangles of these."""
    return where(greater_equal(*row_and_column(x, *x.shape[-2:])), x, turned(x))


def folded(g: Any) -> Any:
    """The transpose of `mirrored`: what is above a diagonal counts below it."""
    return lower(g) + below(turned(g))


def diagonal(x: Any) -> Any:
    return sum_(on_diagonal(x), axes=(len(x.shape) - 1,))


def as_row(v: Any) -> Any:
    return reshape(v, shape=(*v.shape[:-1], 1, v.shape[-1]))


def as_column(v: Any) -> Any:
    return reshape(v, shape=(*v.shape, 1))


def from_diagonal(v: Any) -> Any:
    """Matrices with these diagonals."""
    n = v.shape[-1]
    return on_diagonal(broadcast(as_row(v), shape=(*v.shape[:-1], n, n)))


def identity(like: Any, shape: tuple[int, ...]) -> Any:
    """Ones on the diagonals of matrices of these dims."""
    return on_diagonal(broadcast(like.const(1), shape=shape))


def none(like: Any, shape: tuple[int, ...] | None = None) -> Any:
    """Zeros."""
    return broadcast(like.const(0), shape=like.shape if shape is None else shape)


def columns(x: Any, first: int, last: int) -> Any:
    """Columns first to last, without the last, of each matrix."""
    lead = len(x.shape) - 1
    start, stop = (0,) * lead + (first,), (*x.shape[:-1], last)
    return x if (first, last) == (0, x.shape[-1]) else slice_(x, start=start, stop=stop, step=(1,) * (lead + 1))


def rows(x: Any, last: int) -> Any:
    """The first rows of each matrix."""
    return x if last == x.shape[-2] else turned(columns(turned(x), 0, last))


def inverse_differences(v: Any) -> Any:
    """F[i, j] = 1 / (v[j] - v[i]), and 0 where the two are equal."""
    difference = as_row(v) - as_column(v)
    same = equal(difference, difference.const(0))
    return where(same, difference.const(0), difference.const(1) / where(same, difference.const(1), difference))
