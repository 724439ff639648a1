"""Products: dot, tensordot, inner, outer, vdot, kron, cross, trace, matrix powers and chains.

All come down to `dot` of two arrays in their common dtype, or to a broadcast product. Products of bools are
NumPy's: whether any pair holds.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import ShapeError, message
from weft.frontend.numpy_api.diagonals import diagonal
from weft.frontend.numpy_api.keywords import arrays, normal_axis, takes_out, wanted_dtype
from weft.frontend.numpy_api.linear_systems import inv
from weft.frontend.numpy_api.moves import cut, expanded, flat, iota, joined, moved, reshaped, spread
from weft.frontend.numpy_api.reductions import accumulator, total
from weft.frontend.numpy_api.registry import implements, method
from weft.frontend.tracer import Tracer, cast, emit, promote
from weft.frontend.ufunc import call
from weft.frontend.ufunc_rules import truth
from weft.ir import ops
from weft.ir.types import broadcast_dims

e = ops.elementwise


def contracted(a: Tracer, b: Tracer, left: Sequence[int], right: Sequence[int]) -> Tracer:
    """Sum of products over axes `left` of a and `right` of b; the others follow in order. Raises ShapeError."""
    for i, j in zip(left, right, strict=True):
        if a.type.dims[i] != b.type.dims[j] and a.extents is None and b.extents is None:
            text = f"shapes {a.shape} and {b.shape} not aligned: {a.shape[i]} (dim {i}) != {b.shape[j]} (dim {j})"
            raise ShapeError(message(text, [a.value, b.value]))
    if a.dtype == np.bool_:
        return truth(contracted(cast(a, "i64"), cast(b, "i64"), left, right))
    return emit(ops.linalg.dot, a, b, batch=((), ()), contract=(tuple(left), tuple(right)))


@implements(np.dot)
@method("dot")
@takes_out("equal")
def dot(a: Any, b: Any, out: Any = None) -> Tracer:
    """Over the last axis of a and the last but one (or only) axis of b; a scalar is a factor."""
    x, y = promote(*arrays(a, b))
    if not x.shape or not y.shape:
        return call(np.multiply, x, y)
    return contracted(x, y, (x.ndim - 1,), (max(y.ndim - 2, 0),))


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Tracer:
    x, y = promote(*arrays(a, b))
    if not x.shape or not y.shape:
        return call(np.multiply, x, y)
    return contracted(x, y, (x.ndim - 1,), (y.ndim - 1,))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Tracer:
    x, y = promote(*arrays(a, b))
    return contracted(flat(x), flat(y), (0,), (0,))


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Tracer:
    """Sum over pairs of axes: the last n of a with the first n of b, or those listed. Raises ShapeError."""
    x, y = promote(*arrays(a, b))
    if np.iterable(axes):
        left, right = (tuple(side) if np.iterable(side) else (side,) for side in axes)
    else:
        count = operator.index(axes)
        left, right = tuple(range(-count, 0)), tuple(range(count))
    left, right = tuple(normal_axis(i, x) for i in left), tuple(normal_axis(j, y) for j in right)
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        raise ShapeError(message("duplicate axes are not allowed in tensordot", [x.value, y.value]))
    if len(left) != len(right):
        raise ShapeError(message("shape-mismatch for sum", [x.value, y.value]))
    return contracted(x, y, left, right)


@implements(np.outer)
@takes_out()
def outer(a: Any, b: Any, out: Any = None) -> Tracer:
    x, y = arrays(a, b)
    return call(np.multiply, reshaped(x, (x.size, 1)), reshaped(y, (1, y.size)))


@implements(np.linalg.outer)
def vector_outer(x1: Any, x2: Any, /) -> Tracer:
    x, y = arrays(x1, x2)
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(message("Input arrays must be one-dimensional", [x.value, y.value]))
    return outer(x, y)


@implements(np.linalg.matmul)
def matmul(x1: Any, x2: Any, /) -> Tracer:
    return call(np.matmul, x1, x2)


@implements(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tracer:
    x, y = (moved(v, normal_axis(axis, v), v.ndim - 1) for v in arrays(x1, x2))
    return call(np.vecdot, x, y)


@implements(np.kron)
def kron(a: Any, b: Any) -> Tracer:
    """Every element of a times all of b, side by side."""
    x, y = arrays(a, b)
    rank = max(x.ndim, y.ndim)
    outer_, inner_ = ((1,) * (rank - v.ndim) + v.shape for v in (x, y))
    x = reshaped(x, [d for n in outer_ for d in (n, 1)])
    y = reshaped(y, [d for n in inner_ for d in (1, n)])
    return reshaped(call(np.multiply, x, y), [p * q for p, q in zip(outer_, inner_, strict=True)])


# Cross products. Vectors of two components have no third one: its products are left out.


@implements(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tracer:
    """Of vectors of three components; of two of two, the third component alone. Raises ShapeError."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = promote(*arrays(a, b))
    (a0, a1, *a2), (b0, b1, *b2) = _components(x, axisa), _components(y, axisb)
    third = _difference(_times([a0], [b1]), _times([a1], [b0]))
    if not a2 and not b2:
        return third
    first = _difference(_times([a1], b2), _times(a2, [b1]))
    second = _difference(_times(a2, [b0]), _times([a0], b2))
    shape = broadcast_dims(*(part.shape for part in (first, second, third)))
    at = normal_axis(axisc, third, len(shape) + 1)
    return joined([expanded(spread(part, shape), at) for part in (first, second, third)], at)


@implements(np.linalg.cross)
def vector_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tracer:
    x, y = arrays(x1, x2)
    if [v.shape[normal_axis(axis, v)] for v in (x, y)] != [3, 3]:
        text = "Both input arrays must be (arrays of) 3-dimensional vectors"
        raise ShapeError(message(text, [x.value, y.value]))
    return cross(x, y, axis=axis)


def _components(x: Tracer, axis: int) -> list[Tracer]:
    if not x.shape:
        raise ShapeError(message("At least one array has zero dimension", [x.value]))
    along = normal_axis(axis, x)
    if x.shape[along] not in (2, 3):
        text = "incompatible dimensions for cross product (dimension must be 2 or 3)"
        raise ShapeError(message(text, [x.value]))
    rest = x.shape[:along] + x.shape[along + 1 :]
    return [reshaped(cut(x, along, slice(i, i + 1)), rest) for i in range(x.shape[along])]


def _times(p: list[Tracer], q: list[Tracer]) -> Tracer | None:
    return emit(e.mul, p[0], q[0]) if p and q else None


def _difference(p: Tracer | None, q: Tracer | None) -> Tracer:
    if q is None:
        assert p is not None
        return p
    if p is None:
        return call(np.negative, q)
    return call(np.subtract, p, q)


@implements(np.trace)
@method("trace")
@takes_out("unsafe")
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Tracer:
    line = diagonal(a, offset, axis1, axis2)
    return total(cast(line, wanted_dtype(dtype, accumulator(line.dtype))), (line.ndim - 1,))


@implements(np.linalg.diagonal)
def matrix_diagonal(x: Any, /, *, offset: int = 0) -> Tracer:
    return diagonal(x, offset, -2, -1)


@implements(np.linalg.trace)
def matrix_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tracer:
    return trace(x, offset, -2, -1, dtype)


# Powers and chains of matrices.


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Tracer:
    """By repeated squaring, of the inverse where n is negative. Raises ShapeError."""
    (x,) = arrays(a)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(message("takes square matrices, in the last two axes", [x.value]))
    power = operator.index(n)
    if power < 0:
        x, power = inv(x), -power
    if power == 0:
        n = x.shape[-1]
        one = emit(ops.logic.equal, iota(x, n, 0, 2), iota(x, n, 1, 2))
        return spread(cast(one, x.dtype), x.shape)
    result, square = None, x
    while True:
        if power & 1:
            result = square if result is None else call(np.matmul, result, square)
        power >>= 1
        if not power:
            assert result is not None
            return result
        square = call(np.matmul, square, square)


@implements(np.linalg.multi_dot)
@takes_out("equal")
def multi_dot(arrays_: Sequence[Any], *, out: Any = None) -> Tracer:
    """A chain of products in the order that takes the fewest multiplications. Raises ValueError."""
    if len(arrays_) < 2:
        raise ValueError("Expecting at least two arrays.")
    chain = promote(*arrays(*arrays_))
    if len(chain) == 2:
        return dot(*chain)
    for i, x in enumerate(chain):
        if x.ndim != 2 and not (x.ndim == 1 and i in (0, len(chain) - 1)):
            raise ShapeError(message(f"{x.ndim}-dimensional array given. Array must be two-dimensional", [x.value]))
    row, column = chain[0].ndim == 1, chain[-1].ndim == 1
    chain[0] = reshaped(chain[0], (1, chain[0].size)) if row else chain[0]
    chain[-1] = reshaped(chain[-1], (chain[-1].size, 1)) if column else chain[-1]
    result = _chained(chain)
    return reshaped(result, result.shape[row : 2 - column])


def _chained(chain: list[Tracer]) -> Tracer:
    """Matrix chain multiplication: the last product of a stretch splits it at the place that costs least."""
    sizes = [chain[0].shape[0], *(x.shape[1] for x in chain)]

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        """Multiplications for chain[i:j], and where it is split."""
        if j - i == 1:
            return 0, i
        costs = ((best(i, k)[0] + best(k, j)[0] + sizes[i] * sizes[k] * sizes[j], k) for k in range(i + 1, j))
        return min(costs)

    def product(i: int, j: int) -> Tracer:
        if j - i == 1:
            return chain[i]
        split = best(i, j)[1]
        return dot(product(i, split), product(split, j))

    return product(0, len(chain))
