"""Factorisations and singular values of the matrices in the last two axes of arrays: np.linalg's.

Compiled code calls NumPy for them (`weft.ir.ops.library`), and raises its LinAlgError. Several results are NumPy's
named tuples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, ShapeError, UnsupportedError, message
from weft.frontend.extents import fixed
from weft.frontend.numpy_api.keywords import NoValue, arrays
from weft.frontend.numpy_api.moves import cut, reshaped
from weft.frontend.numpy_api.reductions import any_, masked, max_, total
from weft.frontend.numpy_api.registry import implements
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, emit_all
from weft.frontend.ufunc import call
from weft.frontend.ufunc_rules import truth
from weft.ir import ops

f, lg = ops.factorisation, ops.logic
ONE = np.eye(1)
EighResult: Any = type(np.linalg.eigh(ONE))
QRResult: Any = type(np.linalg.qr(ONE))
SVDResult: Any = type(np.linalg.svd(ONE))


def computed(x: Tracer) -> Tracer:
    """The array in the dtype in which NumPy's linear algebra computes. Raises DTypeError for halves."""
    if x.dtype == np.float16:
        text = "array type float16 is unsupported in linalg"
        raise DTypeError(message(text, [x.value], "Write x.astype(np.float32)."))
    x = fixed(x, "takes as a matrix")
    return x if x.value.type.is_float else cast(x, np.float64)


def matrices(a: Any, square: bool = True) -> Tracer:
    """An array of matrices. Raises ShapeError, DTypeError."""
    (x,) = arrays(a)
    if x.ndim < 2:
        text = f"{x.ndim}-dimensional array given. Array must be at least two-dimensional"
        raise ShapeError(message(text, [x.value]))
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(message("Last 2 dimensions of the array must be square", [x.value]))
    return computed(x)


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Tracer:
    return emit(f.cholesky, matrices(a), upper=bool(upper))


def _triangle(uplo: str, x: Tracer) -> str:
    found = uplo.upper()
    if found not in ("L", "U"):
        raise ValueError(message("UPLO argument must be 'L' or 'U'", [x.value]))
    return found


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803  (NumPy's name)
    x = matrices(a)
    return EighResult(*emit_all(f.eigh, x, uplo=_triangle(UPLO, x)))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Tracer:  # noqa: N803
    x = matrices(a)
    return emit(f.eigvalsh, x, uplo=_triangle(UPLO, x))


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """Raises ValueError, and UnsupportedError for what is LAPACK's own form."""
    if mode == "raw":
        advice = "Take the mode 'reduced', 'complete' or 'r'."
        raise UnsupportedError(message("a qr of mode 'raw' can't be traced", [arrays(a)[0].value], advice))
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(message(f"Unrecognized mode '{mode}'"))
    x = matrices(a, square=False)
    return emit(f.qr, x, mode=mode) if mode == "r" else QRResult(*emit_all(f.qr, x, mode=mode))


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    x = matrices(a, square=False)
    if hermitian:
        advice = "Write np.linalg.eigh(a): its values are the singular values but for signs and order."
        raise UnsupportedError(message("an svd with hermitian=True can't be traced", [x.value], advice))
    if compute_uv:
        return SVDResult(*emit_all(f.svd, x, full=bool(full_matrices)))
    return emit(f.svdvals, x)


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Tracer:
    return emit(f.svdvals, matrices(x, square=False))


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Tracer:
    """The ratio of the largest singular value and the smallest, or for p=-2 its inverse. Raises UnsupportedError."""
    a = matrices(x, square=False)
    if p is not None and p not in (2, -2):
        advice = "Write np.linalg.norm(x, p) * np.linalg.norm(np.linalg.inv(x), p)."
        raise UnsupportedError(message(f"np.linalg.cond of order {p!r} can't be traced", [a.value], advice))
    if not a.size:
        raise ShapeError(message("cond is not defined on empty arrays", [a.value]))
    s = emit(f.svdvals, a)
    last, k = s.ndim - 1, s.shape[-1]
    first, least = (reshaped(cut(s, last, slice(i, i + 1)), s.shape[:-1]) for i in (0, k - 1))
    ratio = call(np.divide, least, first) if p == -2 else call(np.divide, first, least)
    axes = (a.ndim - 2, a.ndim - 1)
    given_nan = emit(ops.reduce.any_, emit(lg.isnan, a), axes=axes)
    fine = call(np.logical_or, emit(lg.logical_not, emit(lg.isnan, ratio)), given_nan)
    return masked(ratio, fine, np.inf)


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Tracer:  # noqa: N803
    """How many singular values are more than tol. Raises ValueError, UnsupportedError."""
    if rtol is not None and tol is not None:
        raise ValueError(message("`tol` and `rtol` can't be both set."))
    (x,) = arrays(A)
    if x.ndim < 2:
        return cast(any_(truth(x)), "i64")
    a = matrices(x, square=False)
    if hermitian:
        raise UnsupportedError(message("a matrix rank with hermitian=True can't be traced", [a.value], "Leave it out."))
    s = emit(f.svdvals, a)
    return total(cast(call(np.greater, s, _limit(s, a, tol, rtol)), "i64"), (s.ndim - 1,))


def _limit(s: Tracer, a: Tracer, tol: Any, rtol: Any) -> Tracer:
    """The singular value from which on others count, with an axis for them."""
    if tol is not None:
        limit = as_tracer(tol, s)
        return reshaped(limit, (*limit.shape, 1))
    largest = max_(s, s.ndim - 1, keepdims=True, initial=0)
    if rtol is None:
        return call(np.multiply, largest, constant(s, max(a.shape[-2:]) * np.finfo(s.dtype).eps, s.dtype))
    part = as_tracer(rtol, s)
    return call(np.multiply, largest, reshaped(part, (*part.shape, 1)))


def relative_cutoff(rcond: Any, rtol: Any, a: Tracer) -> float:
    """The arguments rcond= and rtol= of np.linalg.pinv. Raises ValueError, UnsupportedError."""
    if rcond is not None and rtol is not NoValue:
        raise ValueError(message("`rtol` and `rcond` can't be both set.", [a.value]))
    wanted = rtol if rtol is not NoValue else 1e-15 if rcond is None else rcond
    if wanted is None:
        return float(max(a.shape[-2:]) * np.finfo(a.dtype).eps)
    if type(wanted) is Tracer and wanted.weak is not None:
        wanted = wanted.item()
    if type(wanted) is Tracer or np.ndim(wanted):
        raise UnsupportedError(message("takes one known number as rcond or rtol", [a.value]))
    return float(wanted)
