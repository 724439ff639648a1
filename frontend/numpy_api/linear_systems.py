"""Linear systems, inverses and determinants, of the matrices in the last two axes of arrays: np.linalg's.

Compiled code calls NumPy for them (`weft.ir.ops.library`), and raises its LinAlgError.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from weft.frontend.errors import ShapeError, UnsupportedError, message
from weft.frontend.numpy_api.factorisations import computed, matrices, relative_cutoff
from weft.frontend.numpy_api.keywords import NoValue, arrays
from weft.frontend.numpy_api.moves import first_tracer, flat, permuted, reshaped, spread, zeros
from weft.frontend.numpy_api.reductions import masked, max_, total
from weft.frontend.numpy_api.registry import implements
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit, emit_all, promote
from weft.frontend.ufunc import call
from weft.ir import ops
from weft.ir.types import broadcast_dims

e, lin = ops.elementwise, ops.linear_systems
SlogdetResult = type(np.linalg.slogdet(np.eye(1)))


def _both(a: Any, b: Any, square: bool) -> tuple[Tracer, Tracer]:
    """Matrices and right sides in one dtype."""
    like = first_tracer([a, b])
    x, y = arrays(as_tracer(a, like), as_tracer(b, like))
    x, y = promote(matrices(x, square), computed(y))
    return x, y


def _stacks(a: Tracer, b: Tracer) -> tuple[Tracer, Tracer]:
    """Both with the same axes in front. Raises ShapeError."""
    if a.shape[-2] != b.shape[-2]:
        text = f"the matrices have {a.shape[-2]} rows, and the right sides {b.shape[-2]}"
        raise ShapeError(message(text, [a.value, b.value]))
    try:
        lead = broadcast_dims(a.shape[:-2], b.shape[:-2])
    except ValueError as error:
        raise ShapeError(message(str(error), [a.value, b.value])) from None
    return spread(a, (*lead, *a.shape[-2:])), spread(b, (*lead, *b.shape[-2:]))


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Tracer:
    """A vector b is one right side; else the columns of its matrices are."""
    x, y = _both(a, b, square=True)
    if not y.ndim:
        raise ShapeError(message("0-dimensional array given. Array must be at least one-dimensional", [y.value]))
    vector = y.ndim == 1
    found = emit(lin.solve, *_stacks(x, reshaped(y, (*y.shape, 1)) if vector else y))
    return reshaped(found, found.shape[:-1]) if vector else found


@implements(np.linalg.inv)
def inv(a: Any) -> Tracer:
    return emit(lin.inv, matrices(a))


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = NoValue) -> Tracer:
    x = matrices(a, square=False)
    if hermitian:
        raise UnsupportedError(message("a pinv with hermitian=True can't be traced", [x.value], "Leave it out."))
    return emit(lin.pinv, x, rcond=relative_cutoff(rcond, rtol, x))


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Any, ...]:
    """x, residuals, rank and singular values. NumPy gives no residuals where the rank is less than the number of
    columns; here there are as many as ever then, and they are NaN. Raises ShapeError."""
    x, y = _both(a, b, square=False)
    if x.ndim != 2 or y.ndim not in (1, 2):
        raise ShapeError(message("np.linalg.lstsq takes a matrix, and a vector or matrix", [x.value, y.value]))
    sides = reshaped(y, (y.size, 1)) if y.ndim == 1 else y
    if x.shape[0] != sides.shape[0]:
        raise ShapeError(message("Incompatible dimensions", [x.value, y.value]))
    m, n = x.shape
    cutoff = None if rcond is None else relative_cutoff(rcond, NoValue, x)
    found = emit(lin.lstsq, x, sides, rcond=cutoff)
    s = emit(ops.factorisation.svdvals, x)
    eps = float(np.finfo(x.dtype).eps)
    part = eps * max(m, n) if cutoff is None else eps if cutoff < 0 else cutoff
    limit = call(np.multiply, max_(s, 0, keepdims=True, initial=0), constant(s, part, s.dtype))
    rank = total(cast(call(np.greater, s, limit), "i32"), (0,))
    if m > n:
        left = emit(e.square, call(np.subtract, sides, call(np.matmul, x, found)))
        rest = masked(total(left, (0,)), call(np.equal, rank, n), np.nan)
    else:
        rest = zeros(x, (0,), x.dtype)
    return (reshaped(found, (n,)) if y.ndim == 1 else found), rest, rank, s


@implements(np.linalg.det)
def det(a: Any) -> Tracer:
    return emit(lin.det, matrices(a))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    return SlogdetResult(*emit_all(lin.slogdet, matrices(a)))


# Systems of arrays of more axes.


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Tracer:
    """x with tensordot(a, x, x.ndim) = b. Raises ShapeError."""
    x, y = arrays(*(as_tracer(v, first_tracer([a, b])) for v in (a, b)))
    if axes is not None:
        order = list(range(x.ndim))
        for k in axes:
            order.remove(k)
            order.insert(x.ndim, k)
        x = permuted(x, order)
    shape = x.shape[-(x.ndim - y.ndim) :]
    size = math.prod(shape)
    if x.size != size**2:
        text = "Input arrays must satisfy the requirement prod(a.shape[b.ndim:]) == prod(a.shape[:b.ndim])"
        raise ShapeError(message(text, [x.value, y.value]))
    return reshaped(solve(reshaped(x, (size, size)), flat(y)), shape)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Tracer:
    """x with tensordot(x, a, ind) the identity. Raises ValueError."""
    (x,) = arrays(a)
    at = operator.index(ind)
    if at <= 0:
        raise ValueError(message("Invalid ind argument.", [x.value]))
    size = math.prod(x.shape[at:])
    return reshaped(inv(reshaped(x, (size, x.size // max(size, 1)))), (*x.shape[at:], *x.shape[:at]))
