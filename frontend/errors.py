"""What users see when a program can't be captured: at their own line, and with what to write instead.

Each message has the same parts, and fewer than fifteen lines:

    model.py:12: `if loss > 1:` asks for the value of a traced array       where, and what was asked
      loss: float32[]   from model.py:11: `np.mean(e * e)`                 of which values
      Write np.where(condition, a, b) ...                                  what to write instead
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from weft.frontend.location import InputLocation, here
from weft.ir.graph import Location, Value
from weft.ir.types import NAMES, TensorType


class WeftError(Exception):
    """Base of all errors that weft raises on purpose."""


class TracingError(WeftError):
    """Something in the traced function can't be captured. guards: by position among the arguments' leaves, the Python
    numbers that were looked at before."""

    guards: Mapping[int, Any] = MappingProxyType({})


class ConcretizationError(TracingError, TypeError):
    """A Python value (a branch, an index, a loop bound) was asked of an array that has none yet."""


class LeakError(TracingError, RuntimeError):
    """A traced value was used after its function had returned."""


class UnsupportedError(TracingError, NotImplementedError):
    """A NumPy feature that weft does not have (yet)."""


class ForeignArrayError(UnsupportedError):
    """A traced value is written into a NumPy array, `array`, that others know too."""

    def __init__(self, text: str, array: Any) -> None:
        super().__init__(text)
        self.array = array


class UnsupportedAttributeError(UnsupportedError, AttributeError):
    """An attribute of arrays that traced ones do not have (yet)."""


class ControlFlowError(TracingError, ValueError):
    """A branch or a loop on traced values whose variables don't fit together."""


class ShapeError(TracingError, ValueError):
    """Shapes that do not fit."""


class AxisError(TracingError, np.exceptions.AxisError):
    """An axis that the array does not have."""


class IndexingError(TracingError, IndexError):
    """An index out of bounds, or that is none."""


class DTypeError(TracingError, TypeError):
    """dtypes that do not fit, or that weft does not have."""


class GradientError(WeftError, TypeError):
    """A derivative that does not exist: of a non-scalar, or with respect to an integer."""


class ArgumentError(WeftError, TypeError):
    """An argument of a compiled function that weft can't take."""


class HostEffectWarning(UserWarning):
    """Something that happens outside arrays, as drawing random numbers does, will happen once, and not at each call."""


class FallbackWarning(UserWarning):
    """A function that can't be captured is run by NumPy, as `weft.compile(fallback="numpy")` asked."""


def type_text(type: TensorType) -> str:
    """A type in NumPy's words: `float32[3, 4]`, `float32 scalar`."""
    name = str(NAMES[type.dtype])
    return f"{name}[{', '.join(map(str, type.dims))}]" if type.dims else f"{name} scalar"


def came_from(location: Location | None) -> str:
    """Where a value was made, as an addition to its description; or nothing."""
    if location is None:
        return ""
    if isinstance(location, InputLocation):
        return f", {location.role} {location}"
    return f", from {location}" + (f": `{location.expression}`" if location.expression else "")


def describe(value: Value, *, label: str = "") -> str:
    """One line on a value: its name, type and origin."""
    name = label or value.name or "a value"
    return f"{name}: {type_text(value.type)}{came_from(value.location)}"


def message(
    problem: str, values: Sequence[Any] = (), advice: str = "", *, location: Location | None = None
) -> str:
    """The text of an error at the user's expression.

    values: `Value`s to describe, or lines. advice: what to write instead; may have several lines.
    """
    at = location or here()
    if at is None:
        head = problem
    else:
        head = f"{at}: " + (f"`{at.expression}`: " if at.expression else "") + problem
    lines = [head]
    lines += ["  " + (describe(v) if isinstance(v, Value) else str(v)) for v in values]
    lines += ["  " + line for line in advice.splitlines()]
    return "\n".join(lines)
