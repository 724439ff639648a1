"""What Python asks of a tracer when it wants a number: `if x`, `range(x)`, `float(x)`, `x.item()`, `round(x)`.

It is known in an uncompiled capture; of the Python scalars of a compiled function, at the price of a guard; elsewhere
the question is an error. So is taking a float out of what is being differentiated: its derivative would be lost.
"""

from __future__ import annotations

import math
from typing import Any

from weft.frontend.errors import ConcretizationError, ShapeError, message, type_text
from weft.frontend.numpy_api.registry import METHODS
from weft.frontend.operators import named


class PythonNumbers:
    """Mixed into `Tracer`."""

    __slots__ = ()
    size: Any
    shape: Any
    home: Any
    value: Any
    weak: Any

    def item(self, *index: Any) -> Any:
        """The Python scalar of a one-element array (or of `self[index]`). Raises ConcretizationError."""
        one: Any = METHODS["__getitem__"](self, index) if index else self
        return one._number(".item()")

    def _python(self, asked: str) -> Any:
        if self.size != 1:
            advice = "Use np.any(...), np.all(...) or np.where(condition, a, b)." if asked == "bool" else ""
            what = "the truth value" if asked == "bool" else f"the {asked or 'value'}"
            text = f"{what} of an array of more than one element is ambiguous"
            raise ShapeError(message(text, [self.value], advice))
        return self.home.concrete(self.value, asked).item()

    def _number(self, asked: str) -> Any:
        """A Python number to compute with. Raises ConcretizationError where it would be cut off from a derivative."""
        found = self._python(asked.removesuffix("()").removeprefix(".item"))
        if type(found) is float and self.home.is_differentiated(self.value):
            advice = (
                "A Python number has no derivative. Write np.sqrt(x) for math.sqrt(x), x for x.item() and float(x):\n"
                "NumPy's functions take 0-d arrays as well. To print it, use f'{x:.6g}'."
            )
            text = f"takes a Python number, by {asked}, from what is being differentiated"
            raise ConcretizationError(message(text, [self.value], advice))
        return found

    def __bool__(self) -> bool:
        return bool(self._python("bool"))

    def __int__(self) -> int:
        return int(self._python("int"))

    def __float__(self) -> float:
        return float(self._number("float()"))

    def __floor__(self) -> int:
        return math.floor(self._python("int"))

    def __ceil__(self) -> int:
        return math.ceil(self._python("int"))

    def __trunc__(self) -> int:
        return math.trunc(self._python("int"))

    def __complex__(self) -> complex:
        return complex(self._number("float()"))

    def __index__(self) -> int:
        if self.shape or not (self.value.type.is_integer or self.weak is bool):
            raise TypeError(f"{type_text(self.value.type)} can't be used as an index")
        return int(self._python("int"))

    def __round__(self, digits: int | None = None) -> Any:
        if digits is None:
            return round(self._python("int"))
        return named(METHODS["round"](self, digits), 2)
