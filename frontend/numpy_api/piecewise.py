"""np.piecewise: a chain of choices, the last condition that holds first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.frontend.errors import IndexingError, message
from weft.frontend.numpy_api.keywords import arrays
from weft.frontend.numpy_api.moves import find_tracer, rank_of, spread, zeros
from weft.frontend.numpy_api.registry import implements
from weft.frontend.tracer import Tracer, as_tracer, cast, constant, emit
from weft.frontend.ufunc import fitting
from weft.frontend.ufunc_rules import truth
from weft.ir import ops


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Tracer:
    """The value of the last condition that holds, in x's dtype; one value more is for where none does, else 0.

    Functions are called with all of x and should go element by element: NumPy calls them with those elements at
    which the condition holds. Raises ValueError, IndexingError.
    """
    like = find_tracer([x, condlist])
    assert like is not None
    (a,) = arrays(as_tracer(x, like))
    conditions = [truth(as_tracer(c, like)) for c in (condlist if _several(condlist, a) else [condlist])]
    n = len(conditions)
    if len(funclist) not in (n, n + 1):
        raise ValueError(f"with {n} condition(s), either {n} or {n + 1} functions are expected")
    values = [_value(f(a, *args, **kw) if callable(f) else f, a) for f in funclist]
    result = spread(values.pop(), a.shape) if len(values) > n else zeros(a, a.shape, a.dtype)
    for condition, value in zip(conditions, values, strict=True):
        if condition.shape != a.shape:
            text = f"a condition of shape {condition.shape} does not match the array's shape {a.shape}"
            raise IndexingError(message(text, [a.value, condition.value]))
        result = emit(ops.logic.where, condition, value, result)
    return result


def _several(condlist: Any, a: Tracer) -> bool:
    """Whether it is a list of conditions. As to NumPy, one row of bools for an array is a single condition."""
    if not isinstance(condlist, list | tuple) and not rank_of(condlist):
        return False
    return not a.shape or (len(condlist) > 0 and rank_of(condlist[0]) > 0)


def _value(value: Any, a: Tracer) -> Tracer:
    """A value as it is stored in an array of a's dtype. Raises OverflowError."""
    if type(value) is int:
        return constant(a, fitting(value, a.dtype), a.dtype)
    return cast(as_tracer(value, a), a.dtype)
