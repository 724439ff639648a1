"""`dot`: the general batched product of two arrays.

    dot(a, b; batch=((a's axes), (b's axes)), contract=((a's axes), (b's axes)))

Result dims: batch axes in the order given, then a's free axes, then b's free axes. Matrix product is
batch=((), ()), contract=((1,), (0,)).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from weft.ir.opdef import OpDef, register
from weft.ir.ops.families import IRTypeError, Types
from weft.ir.ops.movement import inverse_permutation, to_front, transpose
from weft.ir.types import TensorType

Axes = tuple[tuple[int, ...], tuple[int, ...]]


def free_axes(rank: int, batch: tuple[int, ...], contract: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i in range(rank) if i not in batch and i not in contract)


def _infer_dot(types: Types, attrs: Any) -> Types:
    a, b = types
    batch, contract = attrs["batch"], attrs["contract"]
    if a.dtype != b.dtype or a.dtype == "bool":
        raise IRTypeError(f"dot takes two operands of one numeric dtype, got {a} and {b}")
    for pair in (batch, contract):
        if len(pair[0]) != len(pair[1]):
            raise IRTypeError(f"dot: axes {pair} don't pair up")
        for i, j in zip(*pair, strict=True):
            if not (0 <= i < a.rank and 0 <= j < b.rank) or a.dims[i] != b.dims[j]:
                raise IRTypeError(f"dot: axis {i} of {a} does not match axis {j} of {b}")
    for side in (0, 1):
        if len(set(batch[side] + contract[side])) != len(batch[side] + contract[side]):
            raise IRTypeError(f"dot: an axis is named twice in batch {batch} and contract {contract}")
    dims = [a.dims[i] for i in batch[0]]
    dims += [a.dims[i] for i in free_axes(a.rank, batch[0], contract[0])]
    dims += [b.dims[j] for j in free_axes(b.rank, batch[1], contract[1])]
    return (TensorType(a.dtype, tuple(dims)),)


def _dot(a: np.ndarray, b: np.ndarray, batch: Axes, contract: Axes) -> np.ndarray:
    """Both operands as (batch, free, contract) stacks, one matmul."""
    fa, fb = free_axes(a.ndim, batch[0], contract[0]), free_axes(b.ndim, batch[1], contract[1])
    at = a.transpose(*batch[0], *fa, *contract[0])
    bt = b.transpose(*batch[1], *contract[1], *fb)
    nb = at.shape[: len(batch[0])]
    m, n = at.shape[len(nb) : len(nb) + len(fa)], bt.shape[len(nb) + len(contract[1]) :]
    k = math.prod(at.shape[len(nb) + len(fa) :])
    size = math.prod
    with np.errstate(all="ignore"):
        out = np.matmul(at.reshape(*nb, size(m), k), bt.reshape(*nb, k, size(n)))
    return np.asarray(out).reshape((*nb, *m, *n))


def _pull_dot(g: Any, y: Any, a: Any, b: Any, batch: Axes, contract: Axes) -> Any:
    """dA = g B^T and dB = A^T g, with g's axes named (batch, a's free, b's free)."""
    ra, rb, nb = len(a.shape), len(b.shape), len(batch[0])
    fa, fb = free_axes(ra, batch[0], contract[0]), free_axes(rb, batch[1], contract[1])
    g_batch = tuple(range(nb))
    g_fa = tuple(range(nb, nb + len(fa)))
    g_fb = tuple(range(nb + len(fa), nb + len(fa) + len(fb)))

    def arrange(value: Any, order: tuple[int, ...]) -> Any:
        """`value`'s axes are listed in `order` (positions in the operand): put them in place."""
        perm = inverse_permutation(order)
        return value if perm == tuple(range(len(perm))) else transpose(value, perm=perm)

    # g . b over b's free axes: (batch, fa, contract of b in b's order)
    cb = tuple(sorted(contract[1]))
    da = _product(g, b, (g_batch, batch[1]), (g_fb, fb))
    ca = tuple(contract[0][contract[1].index(j)] for j in cb)
    # written as b-side product so that dB has b's layout where it can: (batch, contract of a in a's order, fb)
    ca2 = tuple(sorted(contract[0]))
    db = _product(a, g, (batch[0], g_batch), (fa, g_fa))
    cb2 = tuple(contract[1][contract[0].index(i)] for i in ca2)
    return arrange(da, (*batch[0], *fa, *ca)), arrange(db, (*batch[1], *cb2, *fb))


def _product(a: Any, b: Any, batch: Axes, contract: Axes) -> Any:
    """`dot`, but a number times an array is no work for the library."""
    return a * b if not a.shape or not b.shape else dot(a, b, batch=batch, contract=contract)


def _push_dot(tangents: Any, y: Any, a: Any, b: Any, batch: Axes, contract: Axes) -> Any:
    ta, tb = tangents
    terms = []
    if ta is not None:
        terms.append(dot(ta, b, batch=batch, contract=contract))
    if tb is not None:
        terms.append(dot(a, tb, batch=batch, contract=contract))
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


def _batch_dot(size: int, lanes: Any, a: Any, b: Any, batch: Axes, contract: Axes) -> Any:
    """Lanes on both sides are one more batch axis; on one side they are one more free axis, of one great product."""
    batch, contract = (
        (tuple(i + lanes[0] for i in pair[0]), tuple(j + lanes[1] for j in pair[1])) for pair in (batch, contract)
    )
    if all(lanes):
        return dot(a, b, batch=((0, *batch[0]), (0, *batch[1])), contract=contract)
    fa, fb = free_axes(len(a.shape), batch[0], contract[0]), free_axes(len(b.shape), batch[1], contract[1])
    if lanes[1] and fb == (0,):  # W x of many x is X W', which has the lanes before W's axis
        return to_front(dot(b, a, batch=batch[::-1], contract=contract[::-1]), len(batch[0]))
    at = len(batch[0]) + (len(fa) if lanes[1] else 0)
    return to_front(dot(a, b, batch=batch, contract=contract), at)


dot: OpDef = register(
    OpDef(
        "dot",
        "dot",
        _infer_dot,
        _dot,
        arity=2,
        pull=_pull_dot,
        push=_push_dot,
        batch=_batch_dot,
        attr_names=("batch", "contract"),
        dtypes="iuf",
    )
)
