"""A capture: the graph under construction of one call of one Python function.

    Trace     a Builder, and for each of its inputs where the value comes from (its source):
      Known     an array: the argument of a transform that runs uncompiled, or an array closed over
      Outer     a tracer of a capture around this one, whose value enters as one more input
      Guarded   a Python scalar given to a compiled function: it may be asked for, and is then a guard
      ABSTRACT  an array given to a compiled function: known by dtype and shape alone

Captures nest by the order in which they began, which is all that is needed to find where an op belongs: in
the youngest capture among its operands. There is no ambient "current" capture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NoReturn

import numpy as np

from weft.frontend.errors import ConcretizationError, DTypeError, LeakError, describe, message, type_text
from weft.frontend.location import InputLocation, here, site_of, user_frame, variable_of
from weft.ir.builder import Builder
from weft.ir.graph import Graph, Op, Value
from weft.ir.opdef import OpDef
from weft.ir.types import NAMES, TensorType, dtype_name

_SERIAL = count()


@dataclass(frozen=True, eq=False, slots=True)
class Known:
    array: np.ndarray


@dataclass(frozen=True, eq=False, slots=True)
class Outer:
    trace: Trace
    value: Value
    weak: type | None


@dataclass(frozen=True, eq=False, slots=True)
class Guarded:
    """`index` tells compiled functions which of their arguments it is."""

    index: int
    scalar: bool | int | float


@dataclass(frozen=True, eq=False, slots=True)
class Abstract:
    path: str = ""


Source = Known | Outer | Guarded | Abstract


class Trace:
    """See the module. `with trace:` ends the capture, whatever happens inside."""

    __slots__ = ("serial", "builder", "active", "sources", "guards", "captured", "examined", "lifted", "constants",
                 "_known", "_made")  # fmt: skip

    def __init__(self, name: str = "main") -> None:
        self.serial = next(_SERIAL)
        self.builder = Builder(name)
        self.active = True
        self.sources: dict[Value, Source] = {}
        self.guards: dict[int, bool | int | float] = {}  # by Guarded.index, those that were asked for
        self.captured: dict[int, tuple[np.ndarray, Value]] = {}  # by id of the array, which is kept alive
        self.examined: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # likewise: an array, and what it held
        self.lifted: dict[Value, Value] = {}
        self.constants: dict[Value, np.ndarray] = {}  # the 0-d ones
        self._known: dict[Value, np.ndarray] = {}
        self._made: dict[Value, int] = {}  # which op makes a value, up to the last concretisation

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *exception: object) -> None:
        self.active = False

    def input(self, type: TensorType, source: Source, name: str = "", argument: bool = True) -> Value:
        """One more input of the graph, which is an argument of the function or something it closes over."""
        at = here()
        if at is not None:
            known = isinstance(source, Known) and not argument
            at = InputLocation(at, "a NumPy array, used at" if known else "argument of the call at")
        value = self.builder.input(type, name, at).value
        self.sources[value] = source
        return value

    def capture(self, array: np.ndarray, name: str = "") -> Value:
        """`array`, by reference, as one more input; the same array is one input however often it is met."""
        known = self.captured.get(id(array))
        if known is not None:
            return known[1]
        type_ = TensorType(supported_dtype(array.dtype), array.shape)
        value = self.input(type_, Known(array), name or variable_of(array), argument=False)
        self.captured[id(array)] = array, value
        return value

    def examine(self, array: np.ndarray) -> None:
        """The graph depends on what `array`, which is no argument, holds now: a mask, or how often to repeat."""
        if id(array) in self.examined:
            return
        self.examined[id(array)] = array, array.copy()
        for source in self.sources.values():
            if isinstance(source, Outer):
                source.trace.examine(array)

    def lift(self, trace: Trace, value: Value, weak: type | None = None) -> Value:
        """The value of an outer capture as one more input of this one."""
        own = self.lifted.get(value)
        if own is None:
            if not trace.active:
                raise_leak(value)
            own = self.builder.input(value.type, value.name, value.location).value
            self.sources[own] = Outer(trace, value, weak)
            self.lifted[value] = own
        return own

    def emit(self, kind: OpDef, operands: Sequence[Value], attrs: Mapping[str, Any]) -> Value:
        """Append an op at the user's current expression. Raises IRTypeError, or LeakError when it is over."""
        if not self.active:
            raise_leak(operands[0] if operands else None)
        site = site_of(user_frame(2))
        location = site.location if site is not None else None
        return self.builder.emit(kind, operands, attrs, location=location)[0].value

    def constant(self, scalar: Any, dtype: str) -> Value:
        """A 0-d constant; equal ones are one op."""
        if not self.active:
            raise_leak(None)
        value = self.builder.constant(scalar, dtype).value
        if value not in self.constants:
            with np.errstate(all="ignore"):
                self.constants[value] = np.asarray(scalar).astype(NAMES[dtype])
        return value

    def finish(self, outputs: Sequence[Value]) -> Graph:
        """End the capture."""
        self.active = False
        return self.builder.finish(outputs)

    def concrete(self, value: Value, asked: str = "") -> np.ndarray:
        """The value's array, found by running the ops that it depends on. asked: "bool", "int", "float" or "".

        Python scalars given to a compiled function become guards when they are looked at. Raises
        ConcretizationError when it depends on an array of a compiled function.
        """
        if not self.active:
            raise_leak(value)
        if value in self._known:
            return self._known[value]
        ops, inputs = self._slice(value)
        blocked = self._blocking(inputs)
        if blocked is not None:
            at = self._made.get(value)
            made = self.builder.ops[at] if at is not None else None
            raise ConcretizationError(_blocked_message(value, made, *blocked, asked))
        for v in inputs:
            self._known[v] = self._read(v)
        for op in ops:
            result = op.kind.reference(*[self._known[v] for v in op.operands], **op.attrs)
            self._known[op.result] = np.asarray(result)
        return self._known[value]

    def _slice(self, value: Value) -> tuple[list[Op], list[Value]]:
        """The ops, in order, and the inputs that `value` depends on and that are not known yet."""
        ops = self.builder.ops
        for i in range(len(self._made), len(ops)):
            self._made[ops[i].result] = i
        wanted: set[int] = set()
        inputs: list[Value] = []
        seen: set[Value] = set()
        stack = [value]
        while stack:
            v = stack.pop()
            if v in seen or v in self._known:
                continue
            seen.add(v)
            at = self._made.get(v)
            if at is None:
                inputs.append(v)
            else:
                wanted.add(at)
                stack.extend(ops[at].operands)
        return [ops[i] for i in sorted(wanted)], inputs

    def _blocking(self, inputs: Sequence[Value]) -> tuple[Value, Source] | None:
        """An input without a value, if there is one, and its source."""
        for v in inputs:
            source = self.sources[v]
            if isinstance(source, Abstract):
                return v, source
            if isinstance(source, Outer) and source.value not in source.trace._known:
                if not source.trace.active:
                    raise_leak(source.value)
                below = source.trace._blocking(source.trace._slice(source.value)[1])
                if below is not None:
                    return below
        return None

    def _read(self, value: Value) -> np.ndarray:
        source = self.sources[value]
        if isinstance(source, Known):
            return source.array
        if isinstance(source, Outer):
            return source.trace.concrete(source.value)
        assert isinstance(source, Guarded)
        self.guards[source.index] = source.scalar
        return np.asarray(source.scalar, dtype=value.type.np_dtype)


def supported_dtype(dtype: np.dtype, what: str = "this array") -> str:
    """IR name of an array's dtype. Raises DTypeError for those that weft doesn't have, byte-swapped too."""
    if not dtype.isnative:
        advice = f"Convert it first: array.astype({dtype.newbyteorder('=').name!r})."
        raise DTypeError(message(f"{what} has dtype {dtype} in non-native byte order", advice=advice))
    try:
        return dtype_name(dtype)
    except TypeError:
        have = "weft has " + ", ".join(str(d) for d in NAMES.values()) + "."
        text = message(f"{what} has dtype {dtype}, which weft does not have", advice=have)
        raise DTypeError(text) from None


def raise_leak(value: Value | None) -> NoReturn:
    """Raise the error for the use of a value whose capture is over."""
    made = [describe(value)] if value is not None else []
    advice = (
        "It stands for an array only while its function is traced. Return it from that function\n"
        "instead of keeping it in a global, an attribute, a closure or a list made outside."
    )
    raise LeakError(message("uses a traced value after its function returned", made, advice))


_ADVICE = {
    "bool": "For a branch write np.where(condition, a, b), or np.maximum, np.minimum, np.clip.",
    "int": "Bounds, sizes and indices in Python have to be Python ints: arguments of their own, or x.shape.",
    "float": "Use NumPy's functions, np.sqrt(x) for math.sqrt(x); they work on 0-d arrays as well.",
    "": "Return the value from the compiled function, and look at it there.",
}


def _blocked_message(value: Value, made: Op | None, source: Value, kind: Source, asked: str) -> str:
    values: list[Any] = [value]
    if made is not None and not value.name:
        values = [v for v in made.operands if v.location is not None] or values
    if source not in values:
        path = kind.path if isinstance(kind, Abstract) else source.name
        values.append(f"it depends on the array argument {path or source.name}: {type_text(source.type)}")
    advice = (
        "Under weft.compile an array has no value while the function is traced.\n"
        f"{_ADVICE[asked]}\n"
        "For a setting, pass a Python number: the function is then compiled for each value of it."
    )
    problem = "branches on a traced array" if asked == "bool" else f"needs the {asked or 'value'} of a traced array"
    return message(problem, values, advice)
