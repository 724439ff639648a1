"""Tracers: they stand for arrays while a function is captured, and note what is done to them.

    y = np.tanh(x @ W + b)      ->      t0 = dot(x, W, ...); t1 = add(t0, b); y = tanh(t1)

A `Tracer` is a value of a capture (its `home`, see `capture`) that answers like an ndarray. NumPy finds it through
`__array_ufunc__` and `__array_function__`; what it finds is in the tables of `numpy_api.registry`.

A *weak* tracer stands for a Python int, float or bool: it takes the other operand's dtype, as NEP 50 says,
and arithmetic among weak tracers and Python numbers is Python's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from weft.frontend.capture import Trace, raise_leak, supported_dtype, youngest
from weft.frontend.errors import (
    ConcretizationError,
    DTypeError,
    ShapeError,
    UnsupportedAttributeError,
    UnsupportedError,
    message,
    type_text,
)
from weft.frontend.location import in_subscript
from weft.frontend.numpy_api.registry import CREATORS, FUNCTIONS, METHODS
from weft.frontend.operators import Operators, named
from weft.frontend.python_numbers import PythonNumbers
from weft.frontend.storage import Path, Storage, View, is_relabelling, read_path, shows_copy
from weft.ir import ops
from weft.ir.dims import Dim
from weft.ir.graph import Value
from weft.ir.opdef import REGISTRY, IRTypeError, OpDef
from weft.ir.types import NAMES, dtype_name

WEAK_DTYPES: dict[type, str] = {bool: "bool", int: "i64", float: "f64"}
VIEWS = frozenset(
    REGISTRY[name]
    for name in ("slice", "reshape", "transpose", "reverse", "broadcast", "dynamic_slice", "moving_slice", "windows")
)


class Tracer(Operators, PythonNumbers):
    """Stands for an ndarray, or for a NumPy or Python scalar, of known dtype and shape. See the module.

    storage, path: the array that it shows, and by which views (see `storage`). extents: the lengths of axes that move,
    where there are any, and room: of such a length the most that it may be, and whether it is that unless it is cut
    off (see `extents`).
    """

    __slots__ = ("storage", "path", "weak", "type", "extents", "room", "_shown", "_of", "_start", "__weakref__")
    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]  # as ndarray: == is element by element

    def __init__(
        self, trace: Trace, value: Value, weak: type | None = None, storage: Storage | None = None, path: Path = ()
    ) -> None:
        self.storage = Storage(trace, value) if storage is None else storage
        self.path = path
        self.weak = weak
        self.type = value.type
        self.extents: tuple[Tracer | None, ...] | None = trace.extents.get(value)
        self.room: tuple[int, bool] | None = None
        self._shown = value
        self._of = self.storage.value  # what the storage held when `_shown` was read
        starts = [s for view in path for s in view.starts]
        self._start = max(starts, key=lambda s: s.trace.serial) if starts else None

    @property
    def home(self) -> Trace:
        """The capture in which it has a value: its array's, or one inside that in which its place is known."""
        trace, start = self.storage.trace, self._start
        return trace if start is None or start.trace.serial <= trace.serial else start.trace

    @property
    def value(self) -> Value:
        """What it shows now."""
        storage = self.storage
        if self._of is not storage.value:
            trace = self.home
            self._shown = read_path(trace, storage.value_in(trace), self.path)
            self._of = storage.value
            if self.extents is not None:
                trace.extents[self._shown] = self.extents
        return self._shown

    # What an array says of itself.

    @property
    def shape(self) -> tuple[int, ...]:
        dims = self.type.dims
        if self.extents is None:
            return dims
        return tuple(d if n is None else n for d, n in zip(dims, self.extents, strict=True))  # type: ignore[misc]

    @property
    def dtype(self) -> np.dtype:
        return self.type.np_dtype

    @property
    def ndim(self) -> int:
        return len(self.type.dims)

    @property
    def size(self) -> int:
        return self.type.size if self.extents is None else math.prod(self.shape[1:], start=self.shape[0])

    @property
    def nbytes(self) -> int:
        return self.type.nbytes

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def T(self) -> Tracer:
        perm = tuple(reversed(range(self.ndim)))
        return named(emit(ops.movement.transpose, self, perm=perm) if self.ndim > 1 else self, 2)

    @property
    def mT(self) -> Tracer:
        if self.ndim < 2:
            raise ShapeError(message("mT takes an array of two or more axes", [self.value]))
        perm = (*range(self.ndim - 2), self.ndim - 1, self.ndim - 2)
        return named(emit(ops.movement.transpose, self, perm=perm), 2)

    @property
    def real(self) -> Tracer:
        return self

    @property
    def imag(self) -> Tracer:
        return full(self, self.shape, 0, self.dtype)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tracer]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def __repr__(self) -> str:
        name = f" {self.value.name}" if self.value.name else ""
        return f"<traced {type_text(self.value.type)}{name}>"

    def __format__(self, spec: str) -> str:
        return format(self._python(""), spec) if spec else repr(self)

    def __copy__(self) -> Tracer:
        return Tracer(self.home, self.value, self.weak)

    def __deepcopy__(self, memo: Any) -> Tracer:
        return self.__copy__()

    def __reduce__(self) -> NoReturn:
        raise UnsupportedError(message("pickles a traced value", [self.value]))

    # Indexing, methods, NumPy.

    def __getitem__(self, key: Any) -> Tracer:
        return named(METHODS["__getitem__"](self, key), 2)

    def __setitem__(self, key: Any, value: Any) -> None:
        METHODS["__setitem__"](self, key, value)

    def __getattr__(self, name: str) -> Any:
        implementation = METHODS.get(name)
        if implementation is not None and not name.startswith("__"):
            return _BoundMethod(self, implementation)
        if hasattr(np.ndarray, name) and not name.startswith("_"):
            raise UnsupportedAttributeError(
                message(f"traced arrays have no .{name} (yet)", [self.value], _instead(name))
            )
        raise AttributeError(f"{type_text(self.value.type)}: a traced array has no attribute {name!r}")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return named(METHODS["__array_ufunc__"](ufunc, method, inputs, kwargs), 2)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        implementation = FUNCTIONS.get(function)
        if implementation is None and function in CREATORS:
            return named(CREATORS[function](self, *args, **kwargs), 2)
        if implementation is None:
            name = f"{getattr(function, '__module__', 'numpy')}.{getattr(function, '__name__', function)}"
            name = name.replace("numpy.", "np.", 1)
            values = [a.value for a in args if isinstance(a, Tracer)] or [self.value]
            advice = "Write it with functions that can, or call it outside the traced function."
            raise UnsupportedError(message(f"{name} can't be traced (yet)", values, advice))
        return named(implementation(*args, **kwargs), 2)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.weak is int or self.weak is bool:  # np.arange(n) asks so
            return np.array(self.item(), dtype)
        advice = (
            "np.array, np.asarray, np.full and functions outside NumPy can't take a traced array.\n"
            "Use it as it is, np.stack for a list of traced values, np.broadcast_to(x, shape) for np.full,\n"
            "np.asarray(a, like=x) for an array a of which np.take takes elements, .astype for another dtype."
        )
        if in_subscript():
            advice = (
                "An array that is not traced does not take a traced index. Write np.asarray(array, like=i)[i];\n"
                "for rows of np.eye(n), i[:, None] == np.arange(n); for a mask, np.where(mask, array, other)."
            )
        raise ConcretizationError(message("needs the elements of a traced array", [self.value], advice))

    def __contains__(self, element: Any) -> bool:
        return bool(METHODS["any"](self == element))


class _BoundMethod:
    """`tracer.mean`, ready to be called."""

    __slots__ = ("tracer", "implementation")

    def __init__(self, tracer: Tracer, implementation: Callable[..., Any]) -> None:
        self.tracer = tracer
        self.implementation = implementation

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return named(self.implementation(self.tracer, *args, **kwargs), 2)


def innermost(tracers: Sequence[Tracer]) -> Trace:
    """The youngest capture among tracers: where an op on them belongs."""
    trace = tracers[0].home
    for t in tracers[1:]:
        if t.home.serial > trace.serial:
            trace = t.home
    return trace


def read(trace: Trace, tracer: Tracer) -> Value:
    """The tracer's value in `trace`, which is its own or one inside that."""
    if tracer.home is trace:
        return tracer.value
    value = trace.lift(tracer.home, tracer.value, tracer.weak)
    if tracer.extents is not None:
        trace.extents[value] = tracer.extents
    return value


def emit(op: OpDef, *tracers: Tracer, **attrs: Any) -> Tracer:
    """The op applied to tracers of the right dtypes. Raises ShapeError, DTypeError, LeakError."""
    for t in tracers:
        if t.extents is not None:
            return METHODS["__moving__"](op, tracers, attrs)  # type: ignore[no-any-return]
    if "shape" in attrs and any(type(n) is Tracer for n in attrs["shape"]):
        return METHODS["__moving__"](op, tracers, attrs)  # type: ignore[no-any-return]
    return emit_plain(op, *tracers, **attrs)


def emit_plain(op: OpDef, *tracers: Tracer, **attrs: Any) -> Tracer:
    """As `emit`, of the largest sizes that axes may have: their extents are the caller's business."""
    trace, (result, *_) = _emitted(op, tracers, attrs)
    if op not in VIEWS:
        return Tracer(trace, result)
    base = tracers[0]
    storage = base.storage
    path = (*base.path, View(op, attrs, tuple(t.storage for t in tracers[1:])))
    if op is ops.movement.reshape:
        if storage.argument and not is_relabelling(base.type.dims, result.type.dims):
            storage.trace.rowmajor.add(storage)  # whether it is a view depends on how the caller's array lies
        if shows_copy(storage.value.type.dims, storage.strides, path):
            return Tracer(trace, result)
    return Tracer(trace, result, None, storage, path)


def emit_all(op: OpDef, *tracers: Tracer, **attrs: Any) -> list[Tracer]:
    """The results of an op that has several, on tracers no extent of which moves. Raises as `emit` does."""
    trace, results = _emitted(op, tracers, attrs)
    return [Tracer(trace, r) for r in results]


def _emitted(op: OpDef, tracers: Sequence[Tracer], attrs: Mapping[str, Any]) -> tuple[Trace, list[Value]]:
    trace = innermost(tracers)
    around = youngest()
    if around is not None and around.region and around.serial > trace.serial and op not in VIEWS:
        trace = around  # not before the branch that may not be taken; passes move it out of loops
    values = [t.value if t.home is trace else read(trace, t) for t in tracers]
    try:
        return trace, trace.emit_all(op, values, attrs)
    except IRTypeError as error:
        raise refused(error, values) from None


def view_before(tracer: Tracer) -> Tracer:
    """What the last view of a tracer's path is a view of; its extents are the caller's business."""
    storage, path = tracer.storage, tracer.path[:-1]
    known_in = [storage.trace, *(s.trace for view in path for s in view.starts)]
    trace = max(known_in, key=lambda t: t.serial)
    return Tracer(trace, read_path(trace, storage.value_in(trace), path), None, storage, path)


def detached(tracer: Tracer) -> Tracer:
    """The tracer's value as an array of its own."""
    return Tracer(tracer.home, tracer.value, tracer.weak)


def anchor_in(trace: Trace) -> Tracer:
    """A tracer of that capture, for what takes one to see where its ops belong."""
    return Tracer(trace, trace.constant(False, "bool"))


def emit_source(like: Tracer, op: OpDef, **attrs: Any) -> Tracer:
    """An op without operands (iota, constant) in the capture of `like`."""
    return Tracer(like.home, like.home.emit(op, (), attrs))


def constant(like: Tracer, scalar: Any, dtype: Any) -> Tracer:
    """A 0-d constant of a dtype (NumPy's, or an IR name) in the capture of `like`."""
    name = dtype if isinstance(dtype, str) and dtype in NAMES else dtype_name(dtype)
    return Tracer(like.home, like.home.constant(scalar, name))


def full(like: Tracer, shape: Sequence[int], scalar: Any, dtype: Any) -> Tracer:
    """An array of one number in the capture of `like`."""
    one = constant(like, scalar, dtype)
    return Tracer(one.home, emit(ops.movement.broadcast, one, shape=tuple(shape)).value) if shape else one


def refused(error: IRTypeError, values: Sequence[Value]) -> Exception:
    """A type rule's complaint as an error at the user's line."""
    text = str(error)
    if "broadcast" in text or ("does not take" not in text and len({v.type.dtype for v in values}) <= 1):
        advice = ""
        if "broadcast" in text:
            advice = "Shapes are matched from the right; x[:, None] or x.reshape(...) gives another match."
        return ShapeError(message(text, values, advice))
    return DTypeError(message(text, values))


def as_tracer(x: Any, like: Tracer) -> Tracer:
    """`x` as a tracer that can meet `like`.

    Arrays are captured by reference, scalars become constants (weak ones if they are Python's), lists and
    tuples that hold tracers are stacked, other objects are converted by np.asarray. Raises DTypeError.
    """
    if type(x) is Tracer:
        if not x.home.active:
            raise_leak(x.value)
        return x
    kind = type(x)
    if kind is Dim:
        return Tracer(like.home, like.home.constant(x, "i64"), int)
    if kind in WEAK_DTYPES:
        name = WEAK_DTYPES[kind]
        if kind is int and not -(1 << 63) <= x < 1 << 63:
            if x >= 1 << 64 or x < 0:
                raise OverflowError(f"Python integer {x} is too large for NumPy's integers")
            return Tracer(like.home, like.home.constant(x, "u64"))
        return Tracer(like.home, like.home.constant(x, name), kind)
    if isinstance(x, np.generic):
        return Tracer(like.home, like.home.constant(x, supported_dtype(x.dtype, "this scalar")))
    if isinstance(x, list | tuple) and _holds_tracers(x):
        rows = [as_tracer(item, like) for item in x]
        return stack(promote(*[cast(row, row.dtype) for row in rows]))  # in a list no number is weak
    array = x if isinstance(x, np.ndarray) else np.asarray(x)
    if array.dtype.hasobject:
        raise DTypeError(message(f"a {type(x).__qualname__} is no array of numbers", [like.value]))
    if type(x) is list or type(x) is tuple:
        array = array.copy()
    storage = like.home.capture(array)
    return Tracer(storage.trace, storage.value, None, storage)


def _holds_tracers(items: Sequence[Any]) -> bool:
    return any(type(i) is Tracer or (isinstance(i, list | tuple) and _holds_tracers(i)) for i in items)


def stack(rows: Sequence[Tracer]) -> Tracer:
    """Tracers of one dtype and shape along a new first axis."""
    first = rows[0]
    for row in rows:
        if row.shape != first.shape:
            raise ShapeError(message("makes an array of rows of different shapes", [first.value, row.value]))
    expanded = [emit(ops.movement.reshape, row, shape=(1, *row.shape)) for row in rows]
    return emit(ops.movement.concatenate, *expanded, axis=0)


def cast(tracer: Tracer, dtype: Any) -> Tracer:
    """The tracer in another dtype (NumPy's, or an IR name), no longer weak; itself where nothing changes."""
    name = dtype if isinstance(dtype, str) and dtype in NAMES else dtype_name(dtype)
    if tracer.value.type.dtype == name:
        return tracer if tracer.weak is None else Tracer(tracer.home, tracer.value)
    if tracer.weak is int and tracer.value in tracer.home.numbers:
        _check_fits(tracer.home.numbers[tracer.value], NAMES[name])
    if tracer.weak is not None or not tracer.value.type.dims:
        folded = _fold_constant(tracer, name)
        if folded is not None:
            return folded
    return emit(ops.source.cast, tracer, dtype=name)


def _check_fits(n: Dim, dtype: np.dtype) -> None:
    """Raises OverflowError where a size, an int of Python's, doesn't fit in a dtype; that it does is a guard."""
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= n <= np.iinfo(dtype).max:
        raise OverflowError(f"Python integer {n} out of bounds for {dtype}")


def _fold_constant(tracer: Tracer, name: str) -> Tracer | None:
    """A constant in another dtype is another constant."""
    made = tracer.home.constants.get(tracer.value)
    if made is None:
        return None
    with np.errstate(all="ignore"):
        return Tracer(tracer.home, tracer.home.constant(made.astype(NAMES[name]), name))


def promote(*operands: Any) -> list[Tracer]:
    """The operands as tracers of their common dtype (NEP 50). At least one must be a tracer already."""
    like = next(o for o in operands if type(o) is Tracer)
    tracers = [as_tracer(o, like) for o in operands]
    dtype = common_dtype(tracers)
    return [cast(t, dtype) for t in tracers]


def common_dtype(tracers: Sequence[Tracer]) -> np.dtype:
    """NEP 50's common dtype, in which weak tracers count as Python scalars."""
    return np.result_type(*[t.weak(0) if t.weak is not None else t.dtype for t in tracers])


def _instead(name: str) -> str:
    known = {
        "tolist": "Return the array from the traced function and call .tolist() outside.",
        "flat": "Use x.reshape(-1).",
        "resize": "Write np.resize(x, shape): an array keeps its size.",
    }
    return known.get(name, "Call it on the array outside the traced function.")
