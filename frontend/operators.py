"""The operators of a tracer, and the names of their results.

Each operator is a NumPy ufunc; what is done about it is found in `registry.METHODS`, so that this stands
below the tracer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from weft.frontend.location import site_of
from weft.frontend.numpy_api.registry import METHODS

_Operator = Callable[[Any, Any], Any]


def _binary(ufunc: np.ufunc) -> tuple[_Operator, _Operator, _Operator]:
    """`a + b`, `b + a` where b is not traced, and `a += b`."""

    def operator(self: Any, other: Any) -> Any:
        if defers(other):
            return NotImplemented
        return named(METHODS["__operator__"](ufunc, self, other), 2)

    def reflected(self: Any, other: Any) -> Any:
        if defers(other):
            return NotImplemented
        return named(METHODS["__operator__"](ufunc, other, self), 2)

    def augmented(self: Any, other: Any) -> Any:
        if defers(other):
            return NotImplemented
        return named(METHODS["__inplace__"](ufunc, self, other), 2)

    return operator, reflected, augmented


def _unary(ufunc: np.ufunc) -> Callable[[Any], Any]:
    def operator(self: Any) -> Any:
        return named(METHODS["__operator__"](ufunc, self), 2)

    return operator


class Operators:
    """What Python's operators do to a tracer."""

    __slots__ = ()

    __add__, __radd__, __iadd__ = _binary(np.add)
    __sub__, __rsub__, __isub__ = _binary(np.subtract)
    __mul__, __rmul__, __imul__ = _binary(np.multiply)
    __truediv__, __rtruediv__, __itruediv__ = _binary(np.true_divide)
    __floordiv__, __rfloordiv__, __ifloordiv__ = _binary(np.floor_divide)
    __mod__, __rmod__, __imod__ = _binary(np.remainder)
    __pow__, __rpow__, __ipow__ = _binary(np.power)
    __matmul__, __rmatmul__, __imatmul__ = _binary(np.matmul)
    __and__, __rand__, __iand__ = _binary(np.bitwise_and)
    __or__, __ror__, __ior__ = _binary(np.bitwise_or)
    __xor__, __rxor__, __ixor__ = _binary(np.bitwise_xor)
    __lshift__, __rlshift__, __ilshift__ = _binary(np.left_shift)
    __rshift__, __rrshift__, __irshift__ = _binary(np.right_shift)
    __divmod__, __rdivmod__, _ = _binary(np.divmod)
    __lt__ = _binary(np.less)[0]
    __le__ = _binary(np.less_equal)[0]
    __gt__ = _binary(np.greater)[0]
    __ge__ = _binary(np.greater_equal)[0]
    __eq__ = _binary(np.equal)[0]  # type: ignore[assignment]
    __ne__ = _binary(np.not_equal)[0]  # type: ignore[assignment]
    __neg__ = _unary(np.negative)
    __pos__ = _unary(np.positive)
    __abs__ = _unary(np.absolute)
    __invert__ = _unary(np.invert)


_TAKEN = (Operators, np.ndarray, np.generic, int, float, complex, list, tuple)


def defers(other: Any) -> bool:
    """Whether an operator leaves the operation to the other operand, as ndarray's would."""
    if isinstance(other, _TAKEN):
        return False
    if other is None or isinstance(other, str | bytes | dict | set):
        return True
    return getattr(type(other), "__array_ufunc__", other) is None


def named(result: Any, depth: int = 1) -> Any:
    """`result`, whose value is given the name of the variable that the user's code stores it in.

    Called at the end of all that users call directly: `depth` frames up is the user, or else, when weft
    calls itself, nothing happens.
    """
    if isinstance(result, Operators):
        tracer: Any = result
        if not tracer.value.name:
            site = site_of(sys._getframe(depth))
            if site is not None and site.name and tracer.home.active:
                object.__setattr__(tracer.value, "name", site.name)  # its builder is open: nobody printed it
    return result
