"""Factorisations of real matrices, in the last two axes. All call NumPy (`weft.ir.ops.library`).

    cholesky(a; upper)      a = l lᵀ                eigh(a; uplo)       a = v diag(w) vᵀ        eigvalsh    w alone
    qr(a; mode)             a = q r                 svd(a; full)        a = u diag(s) vᵀ        svdvals     s alone

Derivatives are those of Giles, "An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation" (2008), that of qr Walter and Lehmann's, "Algorithmic differentiation of linear algebra
functions with application in optimum experimental design" (2010).

NumPy reads one triangle of a matrix that cholesky, eigh and eigvalsh take to be symmetric, so their derivatives by the
other's elements are zero. Vectors of equal eigenvalues or singular values are not determined, and what depends on
which they are has no derivative. What depends on the space that they span has, and the rules give it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import OpDef
from weft.ir.ops.families import IRTypeError, Types
from weft.ir.ops.linear_systems import infer_same, solve
from weft.ir.ops.logic import equal, where
from weft.ir.ops.matrices import (
    added,
    as_column,
    as_row,
    below,
    columns,
    diagonal,
    dims_of_matrix,
    folded,
    from_diagonal,
    inverse_differences,
    matrix_op,
    mirrored,
    none,
    on_diagonal,
    product,
    product_of_some,
    rows,
    turned,
    with_identity,
)
from weft.ir.ops.movement import concatenate

# ---- symmetric matrices ------------------------------------------------------------------------------


def _half(x: Any) -> Any:
    """Lower triangles with the diagonals halved."""
    return below(x) + on_diagonal(x) * 0.5


def _pull_cholesky(g: Any, y: Any, a: Any, upper: bool) -> Any:
    low, g = (turned(y), turned(g)) if upper else (y, g)
    middle = _half(product(turned(low), g))
    of_a = solve(turned(low), turned(solve(turned(low), turned(middle + turned(middle)))))
    found = folded(of_a * 0.5)
    return (turned(found) if upper else found,)


def _push_cholesky(tangents: Any, y: Any, a: Any, upper: bool) -> Any:
    (t,) = tangents
    low, t = (turned(y), turned(t)) if upper else (y, t)
    found = product(low, _half(solve(low, turned(solve(low, mirrored(t))))))
    return turned(found) if upper else found


cholesky: OpDef = matrix_op(
    "cholesky",
    infer_same("cholesky"),
    lambda a, upper: np.linalg.cholesky(a, upper=upper),
    harmless=with_identity,
    pull=_pull_cholesky,
    push=_push_cholesky,
    attr_names=("upper",),
)


def _infer_eigh(types: Types, attrs: Any) -> Types:
    (a,) = types
    dims_of_matrix("eigh", a)
    if attrs["uplo"] not in ("L", "U"):
        raise IRTypeError(f"eigh: uplo {attrs['uplo']!r} is neither L nor U")
    return (a.with_dims(a.dims[:-1]), a)


def _read(g: Any, uplo: str) -> Any:
    """The derivative by the triangle that was read, from that by a symmetric matrix."""
    return folded(g) if uplo == "L" else turned(folded(turned(g)))


def _pull_eigh(g: Any, y: Any, a: Any, uplo: str) -> Any:
    (of_w, of_v), (w, v) = g, y
    middle = None if of_w is None else from_diagonal(of_w)
    if of_v is not None:
        middle = added(middle, inverse_differences(w) * product(turned(v), of_v))
    return (_read(product(v, middle, turned(v)), uplo),)


def _push_eigh(tangents: Any, y: Any, a: Any, uplo: str) -> Any:
    w, v = y
    (t,) = tangents
    middle = product(turned(v), mirrored(t if uplo == "L" else turned(t)), v)
    return diagonal(middle), product(v, inverse_differences(w) * middle)


eigh: OpDef = matrix_op(
    "eigh",
    _infer_eigh,
    lambda a, uplo: np.linalg.eigh(a, UPLO=uplo),
    pull=_pull_eigh,
    push=_push_eigh,
    attr_names=("uplo",),
)


def _pull_eigvalsh(g: Any, y: Any, a: Any, uplo: str) -> Any:
    _, v = eigh(a, uplo=uplo)
    return (_read(product(v * as_row(g), turned(v)), uplo),)


eigvalsh: OpDef = matrix_op(
    "eigvalsh",
    lambda types, attrs: _infer_eigh(types, attrs)[:1],
    lambda a, uplo: np.linalg.eigvalsh(a, UPLO=uplo),
    pull=_pull_eigvalsh,
    push=lambda tangents, y, a, uplo: _push_eigh(tangents, eigh(a, uplo=uplo), a, uplo)[0],
    attr_names=("uplo",),
)


# ---- any matrices ------------------------------------------------------------------------------------


def _infer_qr(types: Types, attrs: Any) -> Types:
    (a,) = types
    m, n = dims_of_matrix("qr", a, square=False)
    if attrs["mode"] not in ("reduced", "complete", "r"):
        raise IRTypeError(f"qr: mode {attrs['mode']!r} is none of reduced, complete, r")
    k = m if attrs["mode"] == "complete" else min(m, n)
    q, r = (a.with_dims((*a.dims[:-2], *dims)) for dims in ((m, k), (k, n)))
    return (r,) if attrs["mode"] == "r" else (q, r)


def _over(x: Any, r: Any) -> Any:
    """x r⁻¹"""
    return turned(solve(turned(r), turned(x)))


def _reduced(y: Any, a: Any, mode: str) -> tuple[Any, Any]:
    """q and r as `mode="reduced"` gives them."""
    if mode == "complete" and a.shape[-2] > a.shape[-1]:
        problem = "the derivative of a complete qr of more rows than columns is not determined"
        raise NotImplementedError(f"{problem}: use mode='reduced'")
    found: tuple[Any, Any] = qr(a, mode="reduced") if mode == "r" else y
    return found


def _pull_qr(g: Any, y: Any, a: Any, mode: str) -> Any:
    """Of a = q r with as many columns as r has rows; what more there are, b = q s, is a product with qᵀ."""
    q, r = _reduced(y, a, mode)
    of_q, of_r = (None, g) if mode == "r" else g
    m, n = a.shape[-2:]
    if m < n:
        rest = None if of_r is None else columns(of_r, m, n)
        of_rest = none(a, (*a.shape[:-2], m, n - m)) if rest is None else product(q, rest)
        of_q = added(of_q, product_of_some(columns(a, m, n), None if rest is None else turned(rest)))
        of_r = None if of_r is None else columns(of_r, 0, m)
        left = _pull_square_qr(of_q, of_r, q, columns(r, 0, m))
        return (concatenate(left, of_rest, axis=len(a.shape) - 1),)
    return (_pull_square_qr(of_q, of_r, q, r),)


def _pull_square_qr(of_q: Any, of_r: Any, q: Any, r: Any) -> Any:
    middle = added(
        None if of_r is None else product(r, turned(of_r)), None if of_q is None else -product(turned(of_q), q)
    )
    return _over(added(of_q, product(q, mirrored(middle))), turned(r))


def _push_qr(tangents: Any, y: Any, a: Any, mode: str) -> Any:
    q, r = _reduced(y, a, mode)
    (t,) = tangents
    m, n = a.shape[-2:]
    k = min(m, n)
    square = columns(r, 0, k)
    part = _over(columns(t, 0, k), square)
    middle = product(turned(q), part)
    turn = below(middle) - turned(below(middle))
    of_q = part - product(q, middle - turn)
    of_r = product(middle - turn, square)
    if n > m:
        rest = product(turned(of_q), columns(a, m, n)) + product(turned(q), columns(t, m, n))
        of_r = concatenate(of_r, rest, axis=len(a.shape) - 1)
    return of_r if mode == "r" else (of_q, of_r)


qr: OpDef = matrix_op(
    "qr",
    _infer_qr,
    lambda a, mode: np.linalg.qr(a, mode=mode),
    harmless=None,
    pull=_pull_qr,
    push=_push_qr,
    attr_names=("mode",),
)


def _infer_svd(types: Types, attrs: Any) -> Types:
    (a,) = types
    m, n = dims_of_matrix("svd", a, square=False)
    k = min(m, n)
    u, vt = ((m, m), (n, n)) if attrs["full"] else ((m, k), (k, n))
    lead = a.dims[:-2]
    return a.with_dims((*lead, *u)), a.with_dims((*lead, k)), a.with_dims((*lead, *vt))


def _no_full(a: Any, full: bool) -> None:
    if full and a.shape[-1] != a.shape[-2]:
        problem = "the derivative of a full svd of matrices that are not square is not determined"
        raise NotImplementedError(f"{problem}: use full_matrices=False")


def _of_squares(s: Any) -> Any:
    """1 / (s[j]² - s[i]²), 0 where equal."""
    return inverse_differences(s) * _reciprocal(as_row(s) + as_column(s))


def _reciprocal(x: Any) -> Any:
    """1 / x, and 0 for 0."""
    nothing, one = x.const(0), x.const(1)
    at = equal(x, nothing)
    return where(at, nothing, one / where(at, one, x))


def _pull_svd(g: Any, y: Any, a: Any, full: bool) -> Any:
    (of_u, of_s, of_vt), (u, s, vt) = g, y
    if of_u is not None or of_vt is not None:
        _no_full(a, full)
    k = s.shape[-1]
    u, vt = columns(u, 0, k), rows(vt, k)
    ut, v = turned(u), turned(vt)
    f, inverse = _of_squares(s), as_row(_reciprocal(s))
    middle = None if of_s is None else from_diagonal(of_s)
    outside = []
    if of_u is not None:
        x = product(ut, of_u)
        middle = added(middle, f * (x - turned(x)) * as_row(s))
        if a.shape[-2] > k:
            outside.append(product((of_u - product(u, x)) * inverse, vt))
    if of_vt is not None:
        of_v = turned(of_vt)
        x = product(vt, of_v)
        middle = added(middle, as_column(s) * (f * (x - turned(x))))
        if a.shape[-1] > k:
            outside.append(product(u * inverse, turned(of_v - product(v, x))))
    return (added(product(u, middle, vt), *outside),)


def _push_svd(tangents: Any, y: Any, a: Any, full: bool) -> Any:
    _no_full(a, full)
    u, s, vt = y
    (t,) = tangents
    k = s.shape[-1]
    ut, v = turned(u), turned(vt)
    f, row, inverse = _of_squares(s), as_row(s), as_row(_reciprocal(s))
    p = product(ut, t, v)
    pt = turned(p)
    of_u = product(u, f * (p * row + as_column(s) * pt))
    of_v = product(v, f * (as_column(s) * p + pt * row))
    if a.shape[-2] > k:
        x = product(t, v)
        of_u = of_u + (x - product(u, p)) * inverse
    if a.shape[-1] > k:
        x = product(turned(t), u)
        of_v = of_v + (x - product(v, pt)) * inverse
    return of_u, diagonal(p), turned(of_v)


svd: OpDef = matrix_op(
    "svd",
    _infer_svd,
    lambda a, full: np.linalg.svd(a, full_matrices=full),
    pull=_pull_svd,
    push=_push_svd,
    attr_names=("full",),
)


def _pull_svdvals(g: Any, y: Any, a: Any) -> Any:
    u, _, vt = svd(a, full=False)
    return (product(u * as_row(g), vt),)


def _push_svdvals(tangents: Any, y: Any, a: Any) -> Any:
    u, _, vt = svd(a, full=False)
    return diagonal(product(turned(u), tangents[0], turned(vt)))


svdvals: OpDef = matrix_op(
    "svdvals",
    lambda types, attrs: _infer_svd(types, {"full": False})[1:2],
    lambda a: np.linalg.svd(a, compute_uv=False),
    pull=_pull_svdvals,
    push=_push_svdvals,
)
