"""What branches and loops over regions share: the variables of a statement, their types, and a region's parts.

A statement's variables come as `State`: `get` gives their values in order, `set` puts others in place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.frontend import tree
from weft.frontend.capture import Outer, Trace, journals_of, youngest
from weft.frontend.errors import ControlFlowError, ShapeError, message, type_text
from weft.frontend.location import here
from weft.frontend.storage import Storage
from weft.frontend.tracer import WEAK_DTYPES, Tracer, anchor_in, as_tracer, cast, constant, emit
from weft.frontend.writes import broadcast_to
from weft.ir.graph import Graph, Value
from weft.ir.opdef import REGISTRY
from weft.ir.records import dataclass
from weft.ir.types import TensorType, dtype_name

Key = tuple[int, int]  # of a leaf: which variable, which of its leaves


class Undefined:
    """What a variable holds that was assigned on one side of a branch only, or in a loop that may not run."""

    __slots__ = ("name", "why")

    def __init__(self, name: str, why: str = "") -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "why", why)

    def refuse(self, *_: Any, **__: Any) -> Any:
        why = self.why or "it is not assigned before"
        raise ControlFlowError(message(f"uses {self.name}, but {why}", (), f"Assign {self.name} before it."))

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute not in ("__array_ufunc__", "__array__"):
            raise AttributeError(attribute)
        return self.refuse()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = refuse
    __getitem__ = __iter__ = __len__ = __bool__ = __float__ = __int__ = __index__ = __call__ = refuse
    __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = refuse


@dataclass(frozen=True)
class State:
    """A statement's variables: their names, and how to read and write them. `optional` ones may be missing
    before the statement, as nothing looks at them unless they were assigned (they get zeros). Arrays of `stored` ones
    may be changed in place."""

    names: tuple[str, ...]
    get: Callable[[], Sequence[Any]]
    set: Callable[[Sequence[Any]], None]
    optional: frozenset[str] = frozenset()
    stored: frozenset[str] = frozenset()


@dataclass
class Leaf:
    """One array or number in a variable that is carried: its type, and whether it is Python's number."""

    path: str
    type: TensorType
    weak: Any  # int, float or bool; None for NumPy's


@dataclass
class Body:
    """One captured region: a graph's parts. `outer` are the values of other captures that it reads."""

    trace: Trace
    inputs: list[Value]
    outputs: list[Value]
    outer: dict[tuple[Trace, Value], Value]

    def graph(self, name: str, constants: Sequence[tuple[Trace, Value]]) -> Graph:
        """The region with `constants` (its own among them) as the last inputs."""
        rest = [self.outer.get(key) or Value(key[1].type, key[1].name) for key in constants]
        return Graph(name, (*self.inputs, *rest), self.trace.ops_for(self.outputs), tuple(self.outputs))


def shown_name(path: str) -> str:
    """A variable as the user knows it: the results of `return` have none."""
    return "the function's result" if path.startswith("result__") else path


def structure_text(treedef: tree.TreeDef) -> str:
    """`None`, `an array`, `[*, *]`."""
    text = repr(treedef)[len("TreeDef(") : -1]
    return "an array or number" if text == "*" else text


def moves(leaf: Any) -> bool:
    """Whether this is an array of a size that only the run shows (see `extents`)."""
    lengths = leaf.extents or () if type(leaf) is Tracer else ()
    return any(n is not None and n.room is not None and not n.room[1] for n in lengths)


def is_number(leaf: Any) -> bool:
    """Whether a leaf can be carried: an array, a tracer, a number."""
    return isinstance(leaf, Tracer | np.ndarray | np.generic) or type(leaf) in WEAK_DTYPES


def leaf_of(path: str, leaf: Any) -> Leaf:
    if type(leaf) is Tracer:
        if moves(leaf):
            text = f"{shown_name(path)} has as many elements as the loop says, which may change from trip to trip"
            advice = f"Give {path} a fixed size, and write a part of it: {path}[:n] = ..."
            raise ControlFlowError(message(text, [leaf.value], advice))
        return Leaf(path, leaf.type, leaf.weak)
    weak = type(leaf) if type(leaf) in WEAK_DTYPES else None
    dtype = WEAK_DTYPES[weak] if weak is not None else dtype_name(leaf.dtype)
    return Leaf(path, TensorType(dtype, np.shape(leaf)), weak)


def settle_type(old: Leaf, new: Leaf, what: str) -> Leaf:
    """The type of a carried value that is `old` before a trip and `new` after it. Raises ControlFlowError."""
    if old.weak is not None and new.weak is not None:
        kind = max(old.weak, new.weak, key=(bool, int, float).index)
        return Leaf(old.path, TensorType(WEAK_DTYPES[kind], new.type.dims), kind)
    if old.weak is not None or new.weak is not None:
        strong, number = (new, old) if old.weak is not None else (old, new)
        assert number.weak is not None
        dtype = dtype_name(np.result_type(strong.type.np_dtype, number.weak(0)))
        return Leaf(old.path, TensorType(dtype, strong.type.dims), None)
    if old.type != new.type:
        advice = f"Give {old.path} its final dtype and shape before it."
        text = f"{shown_name(old.path)} is {type_text(old.type)} before {what} and {type_text(new.type)} after it"
        raise ControlFlowError(message(text, (), advice))
    return old


def fitted(value: Any, leaf: Leaf, like: Tracer) -> Tracer:
    """A leaf as the carried type has it."""
    return broadcast_to(cast(as_tracer(value, like), leaf.type.dtype), leaf.type.dims)


def same(a: Any, b: Any) -> bool:
    """Whether a variable's leaf was left as it was."""
    if a is b:
        return True
    if type(a) is Tracer and type(b) is Tracer:
        return a.storage is b.storage and a.path == b.path and a.weak is b.weak
    return type(a) is type(b) and type(a) in (*WEAK_DTYPES, str) and repr(a) == repr(b)


def replaced(values: Sequence[Any], leaves: dict[Key, Any]) -> list[Any]:
    """The variables with some of their leaves replaced."""
    found = list(values)
    for k in {k for k, _ in leaves}:
        old, treedef = tree.flatten(values[k])
        found[k] = tree.unflatten(treedef, [leaves.get((k, n), leaf) for n, leaf in enumerate(old)])
    return found


def store_all(arrays: Sequence[Storage], parent: Trace, results: Sequence[Value]) -> None:
    """Let arrays hold an op's results."""
    for s, value in zip(arrays, results, strict=True):
        s.move_to(parent)
        s.value = value


def outer_values(trace: Trace) -> dict[tuple[Trace, Value], Value]:
    return {(src.trace, src.value): v for v, src in trace.sources.items() if isinstance(src, Outer)}


_ONE_TRACER = 3  # references to a storage: a tracer's, the argument's, getrefcount's


def is_shared(storage: Storage, held: int = 0) -> bool:
    """Whether somebody knows the array besides one tracer, or may know it; `held`: our own references to it."""
    if storage.argument or sys.getrefcount(storage) > _ONE_TRACER + journals_of(storage) + held:
        return True
    return any(is_shared(a.shown.storage) for a in storage.aliases if a.made.storage is storage)


def zero(leaf: Any) -> Any:
    if type(leaf) is Tracer:
        return leaf.weak(0) if leaf.weak is not None else np.zeros(leaf.type.dims, leaf.dtype)
    return type(leaf)(0) if type(leaf) in WEAK_DTYPES else np.zeros_like(leaf)


def truth_of(condition: Any, trace: Trace) -> Tracer:
    """A condition as a 0-d bool of `trace`. Raises ShapeError for an array of more than one element."""
    tracer = as_tracer(condition, anchor_in(trace))
    if tracer.size != 1:
        text = "the truth value of an array of more than one element is ambiguous"
        raise ShapeError(message(text, [tracer.value], "Use np.any(...) or np.all(...)."))
    if tracer.shape:
        tracer = emit(REGISTRY["reshape"], tracer, shape=())
    if tracer.dtype == np.bool_:
        return cast(tracer, "bool")
    return emit(REGISTRY["not_equal"], tracer, constant(tracer, 0, tracer.dtype))


def emit_op(
    kind: str, bodies: Sequence[Body], regions: Sequence[str], operands: Callable[[Trace], list[Value]],
    names: Sequence[str], settle: Callable[[Trace, Sequence[Value]], None], **attrs: Any,
) -> None:  # fmt: skip
    """Append the op to the youngest capture and bind its results: `operands` come before the constants."""
    parent = youngest()
    assert parent is not None
    constants = list(dict.fromkeys(key for body in bodies for key in body.outer))
    graphs = tuple(b.graph(name, constants) for b, name in zip(bodies, regions, strict=True))
    outside = [v if t is parent else parent.lift(t, v) for t, v in constants]
    given = [*operands(parent), *outside]
    settle(parent, parent.emit_region(REGISTRY[kind], given, attrs, graphs, names, here()))


def with_variable(state: State, name: str, value: Any) -> tuple[list[Any], State]:
    """The statement's variables and one more, which is the one item of the list."""
    held = [value]

    def set_all(values: Sequence[Any]) -> None:
        state.set(values[:-1])
        held[0] = values[-1]

    return held, State((*state.names, name), lambda: [*state.get(), held[0]], set_all, state.optional)


def trips_of(start: Any, stop: Any, step: int) -> Any:
    """len(range(start, stop, step)) of traced numbers."""
    return np.maximum(-((start - stop) // step), 0)
