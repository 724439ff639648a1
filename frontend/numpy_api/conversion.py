"""dtypes: astype, copies, what a promotion would give; and np.array and np.asarray with like=."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, message
from weft.frontend.numpy_api.keywords import arrays, wanted_dtype
from weft.frontend.numpy_api.movement import fresh, one
from weft.frontend.numpy_api.moves import reshaped, unsupported, view
from weft.frontend.numpy_api.registry import creates, implements, method
from weft.frontend.tracer import Tracer, as_tracer, cast


@method("astype")
def astype(
    x: Tracer, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
) -> Tracer:
    """x in another dtype, as an array of its own unless copy is false and the dtype is x's. Raises DTypeError."""
    wanted = wanted_dtype(dtype, x.dtype)
    if not np.can_cast(x.dtype, wanted, casting):  # type: ignore[arg-type]
        text = f"Cannot cast array data from {x.dtype} to {wanted} according to the rule '{casting}'"
        raise DTypeError(message(text, [x.value]))
    y = cast(x, wanted)
    return fresh(y) if copy else y


@implements(np.astype)
def astype_function(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Tracer:
    return astype(one(x), dtype, copy=copy)


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Tracer:
    return fresh(one(a))


@method("copy")
def copy_method(x: Tracer, order: str = "C") -> Tracer:
    return fresh(one(x))


@method("view")
def view_method(x: Tracer, dtype: Any = None, type: Any = None) -> Tracer:
    """All of x. Refused with another dtype: bits have no other reading here."""
    if type is not None or (dtype is not None and wanted_dtype(dtype, x.dtype) != x.dtype):
        advice = "Write x.astype(dtype) to convert the values."
        raise unsupported("reads the bits of a traced array in another way", x, advice=advice)
    return view(one(x))


# Traced by like=; without it they ask for the elements (see Tracer.__array__).


@creates(np.array)
def array(
    like: Tracer, object: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", subok: bool = False,
    ndmin: int = 0, ndmax: int = 0,
) -> Tracer:  # fmt: skip
    (x,) = arrays(as_tracer(object, like))
    x = reshaped(x, (1,) * (ndmin - x.ndim) + x.shape)
    return fresh(cast(x, wanted_dtype(dtype, x.dtype)))


@creates(np.asarray, np.asanyarray)
def asarray(
    like: Tracer, a: Any, dtype: Any = None, order: Any = None, *, device: Any = None, copy: Any = None
) -> Tracer:
    return array(like, a, dtype)


@creates(np.ascontiguousarray, np.asfortranarray)
def ascontiguousarray(like: Tracer, a: Any, dtype: Any = None) -> Tracer:
    return array(like, a, dtype, ndmin=1)


@implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    return np.result_type(*[_typed(a) for a in arrays_and_dtypes])


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    return np.can_cast(_typed(from_), _typed(to), casting)  # type: ignore[arg-type]


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    return False


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    return True


def _typed(x: Any) -> Any:
    """What takes part in a promotion in place of a tracer."""
    if type(x) is not Tracer:
        return x
    return x.dtype if x.weak is None else x.weak(0)
