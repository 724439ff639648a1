"""Branches and loops on traced values: their bodies are captured once, as regions of one op.

    if err < tol: x = f(x)                      x = cond(less(err, tol), x, then=..., orelse=...)
    while err > tol: x, err = g(x, c)           x, err = while_loop(x, err, c, carried=2, test=..., body=...)
    for i in range(n): u[i] = x * i             u, x = for_loop(0, n, u, x, carried=...)

What a statement's body does is seen by running it: a variable that it rebinds and an array that it writes
are *carried*, all else that it reads from outside is a constant of the region. A first run finds out; the
body is run again, with what is carried traced from its start, until the types of that are settled (`total = 0`
becomes a float in the first trip).

The statement's variables come as `State`: `get` gives their values in order, `set` puts others in place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weft.frontend import tree
from weft.frontend.arguments import identifier
from weft.frontend.capture import Abstract, Outer, Trace, journals_of, youngest
from weft.frontend.errors import ControlFlowError, ShapeError, message, type_text
from weft.frontend.location import here
from weft.frontend.storage import Storage
from weft.frontend.tracer import WEAK_DTYPES, Tracer, as_tracer, broadcast_to, cast, constant, emit, read
from weft.ir.graph import Graph, Value
from weft.ir.opdef import REGISTRY
from weft.ir.types import TensorType, dtype_name

_MOST_RUNS = 6  # of a body, until its types are settled


class Undefined:
    """What a variable holds that was assigned on one side of a branch only, or in a loop that may not run."""

    __slots__ = ("name", "why")

    def __init__(self, name: str, why: str = "") -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "why", why)

    def _raise(self, *_: Any, **__: Any) -> Any:
        why = self.why or "it is not assigned before"
        raise ControlFlowError(message(f"uses {self.name}, but {why}", (), f"Assign {self.name} before it."))

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") and attribute not in ("__array_ufunc__", "__array__"):
            raise AttributeError(attribute)
        return self._raise()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _raise
    __getitem__ = __iter__ = __len__ = __bool__ = __float__ = __int__ = __index__ = __call__ = _raise
    __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = _raise


@dataclass(frozen=True)
class State:
    """A statement's variables: their names, and how to read and write them. `optional` ones may be missing
    before the statement, as nothing looks at them unless they were assigned (they get zeros)."""

    names: tuple[str, ...]
    get: Callable[[], Sequence[Any]]
    set: Callable[[Sequence[Any]], None]
    optional: frozenset[str] = frozenset()


@dataclass
class Leaf:
    """One array or number in a variable that is carried: its type, and whether it is Python's number."""

    path: str
    type: TensorType
    weak: type | None


@dataclass
class _Body:
    """One captured region: a graph's parts. `outer` are the values of other captures that it reads."""

    trace: Trace
    inputs: list[Value]
    outputs: list[Value]
    outer: dict[tuple[Trace, Value], Value]

    def graph(self, name: str, constants: Sequence[tuple[Trace, Value]]) -> Graph:
        """The region with `constants` (its own among them) as the last inputs."""
        rest = [self.outer.get(key) or Value(key[1].type, key[1].name) for key in constants]
        return Graph(name, (*self.inputs, *rest), tuple(self.trace.builder.ops), tuple(self.outputs))


def is_number(leaf: Any) -> bool:
    """Whether a leaf can be carried: an array, a tracer, a number."""
    return isinstance(leaf, Tracer | np.ndarray | np.generic) or type(leaf) in WEAK_DTYPES


def leaf_of(path: str, leaf: Any) -> Leaf:
    if type(leaf) is Tracer:
        return Leaf(path, leaf.type, leaf.weak)
    weak = type(leaf) if type(leaf) in WEAK_DTYPES else None
    dtype = WEAK_DTYPES[weak] if weak is not None else dtype_name(leaf.dtype)
    return Leaf(path, TensorType(dtype, np.shape(leaf)), weak)


Key = tuple[int, int]  # of a leaf: which variable, which of its leaves


class Carry:
    """What a statement carries: found out by running its bodies, see the module.

    carried: the leaves of variables that are rebound, with the types they have at the start of a trip. arrays:
    the storages that are written. `run` captures one body; `again` tells that it has shown more to carry.
    """

    def __init__(self, state: State, what: str, optional: bool) -> None:
        self.state = state
        self.what = what
        self.optional = optional  # whether all variables that are missing before may get zeros
        self.before = list(state.get())
        self.start = list(self.before)  # with zeros for what is missing
        self.carried: dict[Key, Leaf] = {}
        self.arrays: list[Storage] = []
        self.missing: set[int] = set()
        self._inside: dict[Key, tuple[Storage, Value]] = {}
        self.again = False

    def run(self, name: str, body: Callable[..., Any], index: bool = False) -> _Body:
        """Capture `body`, called with the loop's index if it has one. The region returns what is carried; if
        `again` is true afterwards it is of no use."""
        with Trace(name, region=True) as trace:
            given, inputs = self._enter(trace, index)
            try:
                body(*given)
                after = list(self.state.get())
                self.compare(after, [s for s in trace.journal if self._is_written(s, inputs)])
                outputs = []
                if not self.again:
                    self._check_writes(after)
                    outputs = self.outputs(trace, after)
            finally:
                self.state.set(self.before)
        return _Body(trace, inputs, outputs, _outer(trace))

    def test(self, name: str, test: Callable[[], Any]) -> _Body:
        """Capture a loop's condition, which must leave the variables and arrays alone."""
        with Trace(name, region=True) as trace:
            _, inputs = self._enter(trace, False)
            try:
                holds = truth_of(test(), trace)
                if any(s.value is not v for s, v in zip(self.arrays, inputs[len(inputs) - len(self.arrays) :],
                                                       strict=True)):  # fmt: skip
                    raise ControlFlowError(message("changes an array in the condition of a loop"))
                outputs = [read(trace, holds)]
            finally:
                self.state.set(self.before)
        return _Body(trace, inputs, outputs, _outer(trace))

    def _enter(self, trace: Trace, index: bool) -> tuple[list[Tracer], list[Value]]:
        """Trace the index and all that is carried, and put it in place."""
        inputs, given = [], []
        if index:
            inputs.append(trace.input(TensorType("i64"), Abstract("the loop's variable", True), "i"))
            given.append(Tracer(trace, inputs[-1], int))
        leaves = {}
        for key, leaf in self.carried.items():
            inputs.append(trace.input(leaf.type, Abstract(leaf.path, True), identifier(leaf.path)))
            leaves[key] = Tracer(trace, inputs[-1], leaf.weak)
        self._inside = {key: (t.storage, t.value) for key, t in leaves.items()}
        for s in self.arrays:
            value = trace.input(s.value.type, Abstract(s.value.name, True), s.value.name)
            trace.journal[s] = (s.trace, s.value)
            s.trace, s.value = trace, value
            inputs.append(value)
        self.state.set(replaced(self.start, leaves))
        return given, inputs

    def _check_writes(self, after: Sequence[Any]) -> None:
        """A variable that is both rebound and written is a copy in the loop: nobody else may know its array.

        So are those that hand it their array from trip to trip (`u, v = v, u`). Raises ControlFlowError when the
        caller knows it, or another view.
        """
        written = {key for key, (storage, value) in self._inside.items() if storage.value is not value}
        key_of = {storage: key for key, (storage, _) in self._inside.items()}
        hands = {}  # variable -> the one that has its array in the next trip
        for k, n in self._inside:
            leaf = tree.leaves(after[k])[n]
            if type(leaf) is Tracer and leaf.storage in key_of:
                hands[key_of[leaf.storage]] = (k, n)
        for start in self._inside:
            key, seen = start, {start}
            while key in hands and hands[key] not in seen:
                key = hands[key]
                seen.add(key)
            if not seen & written:
                continue
            k, n = start
            leaf = tree.leaves(self.start[k])[n]
            shared = type(leaf) is Tracer and (leaf.path or leaf.storage.argument or _shown_elsewhere(leaf.storage))
            if shared or isinstance(leaf, np.ndarray):
                name = self.carried[k, n].path
                advice = f"Take a copy before {self.what}: {name} = {name}.copy()."
                text = f"{name} is assigned and written in {self.what}, and its array is known by another name too"
                raise ControlFlowError(message(text, (), advice))

    def _is_written(self, storage: Storage, inputs: Sequence[Value]) -> bool:
        """Whether a trip has left another value in an array of an outer capture."""
        if storage not in self.arrays:
            return True
        return storage.value is not inputs[len(inputs) - len(self.arrays) + self.arrays.index(storage)]

    def compare(self, after: Sequence[Any], written: Sequence[Storage]) -> None:
        """Note what a body has changed that is not carried yet, or not in that type."""
        self.again = set(written) != set(self.arrays)
        self.arrays = list(written) if self.again else self.arrays
        for k, (old, new) in enumerate(zip(self.start, after, strict=True)):
            name = self.state.names[k]
            if isinstance(old, Undefined):
                self._found(k, name, new)
                continue
            leaves, treedef = tree.flatten(old)
            others, other = tree.flatten(new)
            if treedef != other:
                text = f"{name} is {treedef} before {self.what} and {other} after it"
                raise ControlFlowError(message(text, (), "It has to keep its structure."))
            paths = treedef.paths(name)
            for n, (a, b) in enumerate(zip(leaves, others, strict=True)):
                self._compare_leaf((k, n), paths[n], a, b)

    def _found(self, k: int, name: str, new: Any) -> None:
        """A variable that is missing at the start: it gets zeros, or stays missing."""
        if isinstance(new, Undefined):
            return
        if self.optional or name in self.state.optional:
            if all(is_number(leaf) for leaf in tree.leaves(new)):
                self.start[k] = tree.map(_zero, new)
                self.again = True
                return
        self.missing.add(k)

    def _compare_leaf(self, key: Key, path: str, old: Any, new: Any) -> None:
        known = self.carried.get(key)
        if known is None and same(old, new):
            return
        if not is_number(old) or not is_number(new):
            kinds = f"{type(old).__name__} to {type(new).__name__}"
            text = f"{path} changes in {self.what}, from {kinds}, and is no number or array"
            raise ControlFlowError(message(text, (), "Only numbers and arrays can be carried by a traced loop."))
        settled = settle_type(known or leaf_of(path, old), leaf_of(path, new), self.what)
        if settled != known:
            self.carried[key] = settled
            self.again = True

    def outputs(self, trace: Trace, after: Sequence[Any]) -> list[Value]:
        """The values that the region returns."""
        anchor = Tracer(trace, trace.constant(False, "bool"))
        found = []
        for (k, n), leaf in self.carried.items():
            found.append(read(trace, fitted(tree.leaves(after[k])[n], leaf, anchor)))
        return found + [s.value_in(trace) for s in self.arrays]

    def first(self, parent: Trace) -> list[Value]:
        """The carried values before the statement."""
        anchor = Tracer(parent, parent.constant(False, "bool"))
        found = []
        for (k, n), leaf in self.carried.items():
            found.append(read(parent, fitted(tree.leaves(self.start[k])[n], leaf, anchor)))
        return found + [s.value_in(parent) for s in self.arrays]

    @property
    def names(self) -> list[str]:
        return [identifier(leaf.path) for leaf in self.carried.values()] + [s.value.name for s in self.arrays]

    def settle(self, parent: Trace, results: Sequence[Value]) -> None:
        """Bind the variables to an op's results, and give the arrays theirs."""
        leaves = {}
        for (key, leaf), value in zip(self.carried.items(), results, strict=False):
            leaves[key] = Tracer(parent, value, leaf.weak)
        _store(self.arrays, parent, results[len(self.carried) :])
        found = replaced(self.start, leaves)
        for k in self.missing:
            found[k] = Undefined(self.state.names[k], f"it is assigned only in {self.what}, which may not run")
        self.state.set(found)


def replaced(values: Sequence[Any], leaves: dict[Key, Any]) -> list[Any]:
    """The variables with some of their leaves replaced."""
    found = list(values)
    for k in {k for k, _ in leaves}:
        old, treedef = tree.flatten(values[k])
        found[k] = tree.unflatten(treedef, [leaves.get((k, n), leaf) for n, leaf in enumerate(old)])
    return found


def _store(arrays: Sequence[Storage], parent: Trace, results: Sequence[Value]) -> None:
    """Let arrays hold an op's results."""
    for s, value in zip(arrays, results, strict=True):
        s.move_to(parent)
        s.value = value


_ONE_TRACER = 3  # references to a storage: a tracer's, the argument's, getrefcount's


def _shown_elsewhere(storage: Storage) -> bool:
    """Whether more than one tracer shows a storage."""
    return sys.getrefcount(storage) > _ONE_TRACER + journals_of(storage)


def _outer(trace: Trace) -> dict[tuple[Trace, Value], Value]:
    return {(src.trace, src.value): v for v, src in trace.sources.items() if isinstance(src, Outer)}


def _zero(leaf: Any) -> Any:
    if type(leaf) is Tracer:
        return leaf.weak(0) if leaf.weak is not None else np.zeros(leaf.shape, leaf.dtype)
    return type(leaf)(0) if type(leaf) in WEAK_DTYPES else np.zeros_like(leaf)


def truth_of(condition: Any, trace: Trace) -> Tracer:
    """A condition as a 0-d bool of `trace`. Raises ShapeError for an array of more than one element."""
    tracer = as_tracer(condition, Tracer(trace, trace.constant(False, "bool")))
    if tracer.size != 1:
        text = "the truth value of an array of more than one element is ambiguous"
        raise ShapeError(message(text, [tracer.value], "Use np.any(...) or np.all(...)."))
    if tracer.shape:
        tracer = emit(REGISTRY["reshape"], tracer, shape=())
    if tracer.dtype == np.bool_:
        return cast(tracer, "bool")
    return emit(REGISTRY["not_equal"], tracer, constant(tracer, 0, tracer.dtype))


def _settled(carry: Carry, capture: Callable[[], list[_Body]]) -> list[_Body]:
    """Run the bodies until nothing more turns out to be carried."""
    for _ in range(_MOST_RUNS):
        bodies = capture()
        if not carry.again:
            return bodies
    names = ", ".join(leaf.path for leaf in carry.carried.values())
    raise ControlFlowError(message(f"the types of {names} do not settle in {carry.what}"))


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
        text = f"{old.path} is {type_text(old.type)} before {what} and {type_text(new.type)} after it"
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


def _emit(
    kind: str, bodies: Sequence[_Body], regions: Sequence[str], operands: Callable[[Trace], list[Value]],
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


@dataclass
class _Side:
    """One side of a branch: what its variables hold after it, the numbers that it changed as values of its own."""

    trace: Trace
    after: list[Any]
    written: dict[Storage, Value]

    def body(self, outputs: list[Value]) -> _Body:
        return _Body(self.trace, [], outputs, _outer(self.trace))


def _side(name: str, run: Callable[[], Any], state: State, before: list[Any]) -> _Side:
    with Trace(name, region=True) as trace:
        try:
            run()
            after = list(state.get())
        finally:
            state.set(before)
        anchor = Tracer(trace, trace.constant(False, "bool"))

        def settled(leaf: Any) -> Any:
            if type(leaf) is not Tracer:
                return leaf
            return Tracer(trace, read(trace, as_tracer(leaf, anchor)), leaf.weak)

        changed = [new if new is old else tree.map(settled, new) for old, new in zip(before, after, strict=True)]
        written = {w.target: w.value for w in trace.written() if isinstance(w.target, Storage)}
    return _Side(trace, changed, written)


def branch(condition: Tracer, then: Callable[[], Any], orelse: Callable[[], Any], state: State) -> None:
    """`if condition: then() else: orelse()`. Raises ControlFlowError where the two sides don't fit together."""
    before = list(state.get())
    a, b = _side("then", then, state, before), _side("orelse", orelse, state, before)
    found: list[Any] = []
    outputs: dict[Key, tuple[Any, Any, Leaf]] = {}
    for k, (x, y) in enumerate(zip(a.after, b.after, strict=True)):
        if state.names[k] in state.optional:
            x, y = _zeros_for_missing(x, y), _zeros_for_missing(y, x)
        found.append(_joined(k, state.names[k], x, y, outputs))
    arrays = list(dict.fromkeys([*a.written, *b.written]))
    bodies = []
    for side, at in ((a, 0), (b, 1)):
        side.trace.active = True
        anchor = Tracer(side.trace, side.trace.constant(False, "bool"))
        values = [read(side.trace, fitted(pair[at], pair[2], anchor)) for pair in outputs.values()]
        values += [side.written[s] if s in side.written else s.value_in(side.trace) for s in arrays]
        bodies.append(side.body(values))
        side.trace.active = False

    def settle(parent: Trace, results: Sequence[Value]) -> None:
        pairs = zip(outputs.items(), results, strict=False)
        leaves = {key: Tracer(parent, value, leaf.weak) for (key, (_, _, leaf)), value in pairs}
        _store(arrays, parent, results[len(outputs) :])
        state.set(replaced(found, leaves))

    names = [pair[2].path for pair in outputs.values()] + [s.value.name for s in arrays]
    _emit("cond", bodies, ("then", "orelse"), lambda p: [read(p, truth_of(condition, p))], names, settle)


def _zeros_for_missing(x: Any, other: Any) -> Any:
    """A variable that nobody looks at unless it was assigned: zeros like what the other side gives it."""
    if not isinstance(x, Undefined) or isinstance(other, Undefined):
        return x
    return tree.map(_zero, other) if all(is_number(leaf) for leaf in tree.leaves(other)) else x


def _joined(k: int, name: str, x: Any, y: Any, outputs: dict[Key, tuple[Any, Any, Leaf]]) -> Any:
    """A variable after a branch, given what it holds after each side; leaves that differ go to `outputs`."""
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        both = isinstance(x, Undefined) and isinstance(y, Undefined)
        return x if both else Undefined(name, "it is assigned on one side of a branch only")
    leaves, treedef = tree.flatten(x)
    others, other = tree.flatten(y)
    if treedef != other:
        text = f"{name} is {treedef} after one side of the branch and {other} after the other"
        raise ControlFlowError(message(text, (), "Both sides have to give it the same structure."))
    paths = treedef.paths(name)
    for n, (p, q) in enumerate(zip(leaves, others, strict=True)):
        if same(p, q):
            continue
        if not is_number(p) or not is_number(q):
            text = f"{paths[n]} is one {type(p).__name__} or another after the branch, and no number or array"
            raise ControlFlowError(message(text, (), "Only numbers and arrays can depend on a traced condition."))
        one, two = leaf_of(paths[n], p), leaf_of(paths[n], q)
        leaf = settle_type(one, two, "one side of the branch")
        if one.type.dims != two.type.dims:
            sides = f"{type_text(one.type)} after one side of the branch, {type_text(two.type)} after the other"
            text = f"{paths[n]} is {sides}"
            raise ControlFlowError(message(text, (), "Both sides have to give it one shape."))
        outputs[k, n] = (p, q, leaf)
    return x


def while_loop(test: Callable[[], Any], body: Callable[[], Any], state: State) -> None:
    """`while test(): body()`."""
    carry = Carry(state, "the loop", optional=False)
    bodies = _settled(carry, lambda: [carry.test("test", test), carry.run("body", body)])
    count = len(carry.carried) + len(carry.arrays)
    _emit("while_loop", bodies, ("test", "body"), carry.first, carry.names, carry.settle, carried=count)


def for_loop(start: Any, stop: Any, step: int, body: Callable[[Tracer], Any], state: State) -> None:
    """`for i in range(start, stop, step): body(i)`; start and stop may be traced."""
    known = type(start) is int and type(stop) is int
    carry = Carry(state, "the loop", optional=known and len(range(start, stop, step)) > 0)
    bodies = _settled(carry, lambda: [carry.run("body", body, index=True)])
    count = len(carry.carried) + len(carry.arrays)

    def operands(parent: Trace) -> list[Value]:
        anchor = Tracer(parent, parent.constant(False, "bool"))
        return [*(read(parent, cast(as_tracer(b, anchor), "i64")) for b in (start, stop)), *carry.first(parent)]

    _emit("for_loop", bodies, ("body",), operands, carry.names, carry.settle, carried=count, step=step)


def for_loop_while(
    start: Any, stop: Any, step: int, go: Callable[[], Any], body: Callable[[Tracer], Any], state: State
) -> None:
    """As `for_loop`, until `go()` is false after a trip: the loop has a `break`, and is a while loop."""
    index = [start]
    names = (*state.names, "index__")

    def set_all(values: Sequence[Any]) -> None:
        state.set(values[:-1])
        index[0] = values[-1]

    both = State(names, lambda: [*state.get(), index[0]], set_all, state.optional)

    def test() -> Any:
        parent = youngest()
        assert parent is not None
        anchor = Tracer(parent, parent.constant(False, "bool"))
        i, end = as_tracer(index[0], anchor), as_tracer(stop, anchor)
        inside = emit(REGISTRY["less" if step > 0 else "greater"], cast(i, "i64"), cast(end, "i64"))
        return emit(REGISTRY["logical_and"], truth_of(go(), parent), inside)

    def trip() -> None:
        i = index[0]
        body(i)
        index[0] = i + step

    while_loop(test, trip, both)
