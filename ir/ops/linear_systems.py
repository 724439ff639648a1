"""Linear systems and determinants of real matrices, in the last two axes. All call NumPy (`weft.ir.ops.library`).

    solve(a, b), inv(a), pinv(a; rcond), lstsq(a, b; rcond)     x with a x = b, and the matrices that give it
    det(a), slogdet(a)                                          sign and logarithm

Derivatives are those of Giles, "An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation" (2008); of pinv and lstsq those of Golub and Pereyra, "The differentiation of
pseudo-inverses and nonlinear least squares problems whose variables separate" (1973), which hold while the rank is
what it is. Those of det and slogdet need the inverse, and raise LinAlgError where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft.ir.opdef import OpDef
from weft.ir.ops.families import IRTypeError, Types, in_each
from weft.ir.ops.matrices import (
    added,
    as_column,
    dims_of_matrix,
    identity,
    matrix_op,
    on_diagonal,
    product,
    product_of_some,
    turned,
    with_identity,
)
from weft.ir.ops.movement import broadcast, reshape, transpose
from weft.ir.ops.reduce import sum_


def infer_same(name: str) -> Any:
    def infer(types: Types, attrs: Any) -> Types:
        dims_of_matrix(name, types[0])
        return types

    return infer


inv: OpDef = matrix_op(
    "inv",
    infer_same("inv"),
    np.linalg.inv,
    harmless=with_identity,
    pull=lambda g, y, a: (-product(turned(y), g, turned(y)),),
    push=lambda tangents, y, a: -product(y, tangents[0], y),
)


def _infer_solve(types: Types, attrs: Any) -> Types:
    a, b = types
    dims_of_matrix("solve", a)
    if a.dtype != b.dtype or b.dims[:-1] != a.dims[:-1]:
        raise IRTypeError(f"solve takes matrices of one dtype and as many rows, got {a} and {b}")
    return (b,)


def _pull_solve(g: Any, x: Any, a: Any, b: Any) -> Any:
    of_b = solve(turned(a), g)
    return -product(of_b, turned(x)), of_b


def _push_solve(tangents: Any, x: Any, a: Any, b: Any) -> Any:
    of_a, of_b = tangents
    right = added(of_b, None if of_a is None else -product(of_a, x))
    return solve(a, right)


def _batch_solve(size: int, lanes: Any, a: Any, b: Any) -> Any:
    """Many right sides of one matrix are columns of one: it is factorised once."""
    if lanes[0]:
        return solve(*in_each(size, lanes, (a, b)))
    *lead, n, k = b.shape[1:]
    rank = len(b.shape)
    columns_ = reshape(transpose(b, perm=(*range(1, rank - 1), 0, rank - 1)), shape=(*lead, n, size * k))
    x = reshape(solve(a, columns_), shape=(*lead, n, size, k))
    return transpose(x, perm=(rank - 2, *range(rank - 2), rank - 1))


solve: OpDef = matrix_op(
    "solve",
    _infer_solve,
    np.linalg.solve,
    arity=2,
    harmless=with_identity,
    pull=_pull_solve,
    push=_push_solve,
    batch=_batch_solve,
)


def _infer_pinv(types: Types, attrs: Any) -> Types:
    (a,) = types
    m, n = dims_of_matrix("pinv", a, square=False)
    return (a.with_dims((*a.dims[:-2], n, m)),)


def _complements(p: Any, a: Any) -> tuple[Any, Any]:
    """What a p and p a leave of the identities."""
    left, right = product(a, p), product(p, a)
    return identity(a, left.shape) - left, identity(a, right.shape) - right


def _pull_pinv(g: Any, p: Any, a: Any, rcond: Any) -> Any:
    left, right = _complements(p, a)
    pt, gt = turned(p), turned(g)
    return (product(left, gt, p, pt) + product(pt, p, gt, right) - product(pt, g, pt),)


def _push_pinv(tangents: Any, p: Any, a: Any, rcond: Any) -> Any:
    left, right = _complements(p, a)
    t, pt = turned(tangents[0]), turned(p)
    return product(p, pt, t, left) + product(right, t, pt, p) - product(p, tangents[0], p)


pinv: OpDef = matrix_op(
    "pinv",
    _infer_pinv,
    lambda a, rcond: np.linalg.pinv(a, rcond=rcond),
    pull=_pull_pinv,
    push=_push_pinv,
    attr_names=("rcond",),
)


def _infer_lstsq(types: Types, attrs: Any) -> Types:
    a, b = types
    _, n = dims_of_matrix("lstsq", a, square=False)
    if a.dtype != b.dtype or b.dims[:-1] != a.dims[:-1]:
        raise IRTypeError(f"lstsq takes matrices of one dtype and as many rows, got {a} and {b}")
    return (b.with_dims((*a.dims[:-2], n, b.dims[-1])),)


def _lstsq(a: np.ndarray, b: np.ndarray, rcond: float | None) -> np.ndarray:
    """NumPy takes one matrix; here there may be a stack of them."""
    if a.ndim == 2:
        return np.linalg.lstsq(a, b, rcond)[0]
    x = np.empty((*a.shape[:-2], a.shape[-1], b.shape[-1]), b.dtype)
    for k in np.ndindex(a.shape[:-2]):
        x[k] = np.linalg.lstsq(a[k], b[k], rcond)[0]
    return x


def _pinv_of(a: Any, rcond: Any) -> Any:
    """The matrix p with x = p b."""
    eps = float(np.finfo(a.type.np_dtype).eps)
    return pinv(a, rcond=eps * max(a.shape[-2:]) if rcond is None else eps if rcond < 0 else rcond)


def _pull_lstsq(g: Any, x: Any, a: Any, b: Any, rcond: Any) -> Any:
    p = _pinv_of(a, rcond)
    pt, xt, left = turned(p), turned(x), b - product(a, x)
    of_b = product(pt, g)
    aside = g - product(p, a, g)
    return product(left, turned(product(p, of_b))) + product(pt, x, turned(aside)) - product(of_b, xt), of_b


def _push_lstsq(tangents: Any, x: Any, a: Any, b: Any, rcond: Any) -> Any:
    of_a, of_b = tangents
    p = _pinv_of(a, rcond)
    if of_a is None:
        return product(p, of_b)
    t, pt = turned(of_a), turned(p)
    aside = product(t, pt, x)
    moved = product(p, pt, t, b - product(a, x)) + aside - product(p, a, aside) - product(p, of_a, x)
    return added(moved, product_of_some(p, of_b))


lstsq: OpDef = matrix_op(
    "lstsq", _infer_lstsq, _lstsq, arity=2, pull=_pull_lstsq, push=_push_lstsq, attr_names=("rcond",)
)


# ---- determinants ------------------------------------------------------------------------------------


def _infer_number(count: int, name: str) -> Any:
    def infer(types: Types, attrs: Any) -> Types:
        (a,) = types
        dims_of_matrix(name, a)
        return (a.with_dims(a.dims[:-2]),) * count

    return infer


def _quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function without its warnings about overflow."""

    def reference(a: np.ndarray) -> Any:
        with np.errstate(all="ignore"):
            return function(a)

    return reference


def _scaled(g: Any, a: Any) -> Any:
    """A number for each matrix, over all of its elements."""
    return broadcast(as_column(as_column(g)), shape=a.shape)


def _trace_of_quotient(t: Any, a: Any) -> Any:
    """The trace of a⁻¹ t."""
    rank = len(a.shape)
    return sum_(on_diagonal(solve(a, t)), axes=(rank - 2, rank - 1))


det: OpDef = matrix_op(
    "det",
    _infer_number(1, "det"),
    _quiet(np.linalg.det),
    harmless=None,
    pull=lambda g, y, a: (_scaled(g * y, a) * turned(inv(a)),),
    push=lambda tangents, y, a: y * _trace_of_quotient(tangents[0], a),
)
slogdet: OpDef = matrix_op(
    "slogdet",
    _infer_number(2, "slogdet"),
    _quiet(np.linalg.slogdet),
    harmless=None,
    pull=lambda g, y, a: (None if g[1] is None else _scaled(g[1], a) * turned(inv(a)),),
    push=lambda tangents, y, a: (None, _trace_of_quotient(tangents[0], a)),
)
