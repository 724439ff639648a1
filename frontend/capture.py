"""A capture: the graph under construction of one call of one Python function.

    Trace     a Builder, and for each of its inputs where the value comes from (its source):
      Known     an array: the argument of a transform that runs uncompiled, or an array closed over
      Outer     a tracer of a capture around this one, whose value enters as one more input
      Guarded   a Python scalar given to a compiled function: it may be asked for, and is then a guard
      ABSTRACT  an array given to a compiled function: known by dtype and shape alone

Captures nest by the order in which they began, which is all that is needed to find where an op belongs: in
the youngest capture among its operands. A write to an array belongs to the youngest capture at all (the body
of a loop must not be left by it): each thread has a stack of its captures, which nothing else reads.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, NoReturn

import numpy as np

from weft.frontend.errors import ConcretizationError, DTypeError, LeakError, describe, message, type_text
from weft.frontend.location import InputLocation, here, variable_of
from weft.frontend.storage import Storage, Written
from weft.ir.builder import Builder
from weft.ir.dims import Dim
from weft.ir.graph import Graph, Location, Op, Value
from weft.ir.interpret import interpret
from weft.ir.opdef import OpDef
from weft.ir.records import dataclass, replace
from weft.ir.types import NAMES, TensorType, dtype_name

_SERIAL = count()


class _Captures(threading.local):
    """This thread's captures, outermost first."""

    def __init__(self) -> None:
        self.stack: list[Trace] = []


_CAPTURES = _Captures()


Mark = list[tuple["Trace", dict[int, Any], dict[Value, np.ndarray], int]]


def mark() -> Mark:
    """What this thread's captures have looked at so far, and their ops; `back_to` it when a try to capture something
    failed."""
    return [(t, dict(t.guards), dict(t._known), len(t.builder.ops)) for t in _CAPTURES.stack]


def back_to(marked: Mark) -> None:
    for trace, guards, known, first in marked:
        trace.guards, trace._known = guards, known
        trace.tried.update(op for op in trace.builder.ops[first:])


def journals_of(storage: Storage) -> int:
    """How many of this thread's captures have a storage in their journal."""
    return sum(storage in t.journal for t in _CAPTURES.stack)


def captures() -> list[Trace]:
    """This thread's, outermost first."""
    return _CAPTURES.stack


def youngest() -> Trace | None:
    """The capture that this thread is in, of all those around it the innermost."""
    return _CAPTURES.stack[-1] if _CAPTURES.stack else None


def reader_of(array: np.ndarray) -> Trace | None:
    """This thread's capture that has read `array`, by reference."""
    return next((t for t in _CAPTURES.stack if id(array) in t.arrays), None)


def note_overwritten(array: np.ndarray) -> None:
    """A NumPy array is written while this thread captures: each capture keeps what it held."""
    for t in _CAPTURES.stack:
        if id(array) not in t.overwritten:
            t.overwritten[id(array)] = array, array.copy()


def in_region() -> bool:
    """Whether this thread captures the body of a loop or a branch: what is done there may happen never, or often."""
    return any(t.region for t in _CAPTURES.stack)


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
    """`path`: how the user writes it; `loop`: it changes from trip to trip of a loop, `mapped`: from lane to lane."""

    path: str = ""
    loop: bool = False
    mapped: bool = False


Source = Known | Outer | Guarded | Abstract


class Trace:
    """See the module. `with trace:` ends the capture, whatever happens inside.

    journal: arrays of outer captures that were written here, and what those had. arrays: by id, the arrays
    that were captured by reference. examined: by id, the arrays whose elements decided something, and what they
    held. overwritten: by id, NumPy arrays that were written meanwhile, and what they held. tried: ops of tries to
    capture something that failed: some may be of use. variables: inputs by which a derivative is taken. region: it is
    the body of a loop or a branch, see `regions`. compiled: it is run again and again. seeded, warned: see
    `randomness`.
    """

    __slots__ = ("serial", "builder", "region", "active", "sources", "guards", "arrays", "examined", "overwritten",
                 "lifted", "constants", "numbers", "extents", "ranges", "rowmajor", "journal", "tried", "variables",
                 "compiled", "seeded", "warned", "_known", "_made", "_numbered")  # fmt: skip

    def __init__(self, name: str = "main", region: bool = False, compiled: bool = False) -> None:
        self.serial = next(_SERIAL)
        self.region = region
        self.compiled = compiled
        self.seeded: list[Any] = []
        self.warned = False
        self.builder = Builder(name)
        self.active = True
        self.sources: dict[Value, Source] = {}
        self.guards: dict[int, bool | int | float] = {}  # by Guarded.index, those that were asked for
        self.arrays: dict[int, tuple[np.ndarray, Storage, Value]] = {}  # the array is kept alive
        self.examined: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # likewise: an array, and what it held
        self.overwritten: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # likewise
        self.rowmajor: set[Storage] = set()  # arguments of which a reshape was taken for the view that it then is
        self.ranges: dict[Value, tuple[int | None, int | None]] = {}  # of loops' variables, see `lengths`
        self.journal: dict[Storage, tuple[Trace, Value]] = {}
        self.tried: set[Op] = set()
        self.variables: set[Value] = set()
        self.lifted: dict[Value, Value] = {}
        self.constants: dict[Value, np.ndarray] = {}  # the 0-d ones
        self.numbers: dict[Value, Dim] = {}  # sizes that are symbols, as numbers
        self.extents: dict[Value, Any] = {}  # of values with axes that move, their lengths
        self._known: dict[Value, np.ndarray] = {}
        self._numbered = 0
        self._made: dict[Value, int] = {}  # which op makes a value, up to the last concretisation

    def __enter__(self) -> Trace:
        _CAPTURES.stack.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        self.active = False
        _CAPTURES.stack.remove(self)
        self._hand_back()

    def _hand_back(self) -> None:
        for storage, (outer, value) in self.journal.items():
            storage.trace, storage.value = outer, value
        self.journal.clear()

    def written(self) -> list[Written]:
        """What was written that is not this capture's own; the arrays of outer captures are handed back."""
        found = [Written(storage, storage.value) for storage in self.journal]
        self._hand_back()
        arrays = self.arrays.values()
        found += [Written(a, s.value) for a, s, first in arrays if s.trace is self and s.value is not first]
        return found

    def input(self, type: TensorType, source: Source, name: str = "", argument: bool = True) -> Value:
        """One more input of the graph, which is an argument of the function or something it closes over."""
        at = here()
        if at is not None:
            known = isinstance(source, Known) and not argument
            at = InputLocation(at, "a NumPy array, used at" if known else "argument of the call at")
        value = self.builder.input(type, name, at).value
        self.sources[value] = source
        return value

    def capture(self, array: np.ndarray, name: str = "") -> Storage:
        """`array`, by reference, as one more input; the same array is one input however often it is met.

        An array that a capture around this one has met belongs to that.
        """
        around = [t for t in _CAPTURES.stack if t.serial < self.serial]
        for trace in (self, *reversed(around)):
            known = trace.arrays.get(id(array))
            if known is not None:
                return known[1]
        if self.region and around:
            return around[-1].capture(array, name)
        type_ = TensorType(supported_dtype(array.dtype), array.shape)
        value = self.input(type_, Known(array), name or variable_of(array), argument=False)
        strides = None if array.flags.c_contiguous else array.strides
        storage = Storage(self, value, True, strides)
        self.arrays[id(array)] = array, storage, value
        return storage

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
            number = trace.constants.get(value, trace.numbers.get(value))
            if number is not None:
                return self.constant(number, value.type.dtype)
            own = self.builder.input(value.type, value.name, value.location).value
            self.sources[own] = Outer(trace, value, weak)
            if value in trace.ranges:
                self.ranges[own] = trace.ranges[value]
            self.lifted[value] = own
        return own

    def emit(self, kind: OpDef, operands: Sequence[Value], attrs: Mapping[str, Any]) -> Value:
        return self.emit_all(kind, operands, attrs)[0]

    def emit_all(self, kind: OpDef, operands: Sequence[Value], attrs: Mapping[str, Any]) -> list[Value]:
        """Append an op at the user's current expression. Raises IRTypeError, or LeakError when it is over."""
        if not self.active:
            raise_leak(operands[0] if operands else None)
        return [e.value for e in self.builder.emit(kind, operands, attrs, location=here(4))]

    def emit_region(
        self, kind: OpDef, operands: Sequence[Value], attrs: Mapping[str, Any], regions: tuple[Graph, ...],
        names: Sequence[str] = (), location: Location | None = None,
    ) -> list[Value]:  # fmt: skip
        """Append an op that holds graphs; its results."""
        made = self.builder.emit(kind, operands, attrs, regions=regions, names=names, location=location)
        return [e.value for e in made]

    def constant(self, scalar: Any, dtype: str) -> Value:
        """A 0-d constant; equal ones are one op."""
        if not self.active:
            raise_leak(None)
        value = self.builder.constant(scalar, dtype).value
        if isinstance(scalar, Dim):
            self.numbers[value] = scalar
        elif value not in self.constants:
            with np.errstate(all="ignore"):
                self.constants[value] = np.asarray(scalar).astype(NAMES[dtype])
        return value

    def finish(self, outputs: Sequence[Value]) -> Graph:
        """End the capture."""
        self.active = False
        return replace(self.builder.finish(outputs), ops=self.ops_for(outputs))

    def ops_for(self, outputs: Sequence[Value]) -> tuple[Op, ...]:
        """The ops, without those that only a failed try has asked for, and numbers that were met on the way."""
        used, found = set(outputs), []
        for op in reversed(self.builder.ops):
            kept = op not in self.tried and op.kind.name != "constant"
            if kept or not used.isdisjoint(op.results):
                used.update(op.operands)
                found.append(op)
        return tuple(reversed(found))

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
            alone = Graph("", tuple(dict.fromkeys(op.operands)), (op,), op.results)
            results = interpret(alone, [self._known[v] for v in alone.inputs])
            self._known.update(zip(op.results, results, strict=True))
        return self._known[value]

    def depends(self, value: Value) -> str:
        """What the value depends on: "open" (arrays of a compiled function, a loop's trips), "guard" (its Python
        scalars) or "fixed" (nothing but what is known now)."""
        if value in self.constants or value in self._known:
            return "fixed"
        found = "fixed"
        for v in self._slice(value)[1]:
            source = self.sources[v]
            kind = "fixed"
            if isinstance(source, Abstract):
                return "open"
            if isinstance(source, Outer):
                kind = source.trace.depends(source.value)
            elif isinstance(source, Guarded):
                kind = "guard"
            if kind == "open":
                return kind
            found = kind if kind == "guard" else found
        return found

    def is_differentiated(self, value: Value) -> bool:
        """Whether a number, which was looked at, depends by way of floats on what a derivative is taken by."""
        seen: set[Value] = set()
        stack = [value]
        while stack:
            v = stack.pop()
            if v in seen or not v.type.is_float:
                continue
            seen.add(v)
            source, at = self.sources.get(v), self._made.get(v)
            if v in self.variables or (isinstance(source, Outer) and source.trace.is_differentiated(source.value)):
                return True
            stack += self.builder.ops[at].operands if at is not None else ()
        return False

    def maker(self, value: Value) -> Op | None:
        """The op that makes a value of this capture."""
        self._number()
        at = self._made.get(value)
        return None if at is None else self.builder.ops[at]

    def _number(self) -> None:
        ops = self.builder.ops
        for i in range(self._numbered, len(ops)):
            self._made.update(dict.fromkeys(ops[i].results, i))
        self._numbered = len(ops)

    def _slice(self, value: Value) -> tuple[list[Op], list[Value]]:
        """The ops, in order, and the inputs that `value` depends on and that are not known yet."""
        self._number()
        inputs: list[Value] = []
        wanted, seen, stack = set[int](), set[Value](), [value]
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
                stack.extend(self.builder.ops[at].operands)
        return [self.builder.ops[i] for i in sorted(wanted)], inputs

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
    mapped = isinstance(kind, Abstract) and kind.mapped
    advice = (
        f"Under {'weft.vmap' if mapped else 'weft.compile'} an array has no value while the function is traced.\n"
        f"{_ADVICE[asked]}\n"
    )
    advice += (
        "A setting that is one for all lanes has its value, with None in in_axes."
        if mapped
        else "For a setting, pass a Python number: the function is then compiled for each value of it."
    )
    problem = "branches on a traced array" if asked == "bool" else f"needs the {asked or 'value'} of a traced array"
    return message(problem, values, advice)
