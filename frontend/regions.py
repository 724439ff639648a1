"""Branches and loops on traced values: their bodies are captured once, as regions of one op.

    if err < tol: x = f(x)                      x = cond(less(err, tol), x, then=..., orelse=...)
    while err > tol: x, err = g(x, c)           x, err = while_loop(x, err, c, carried=2, test=..., body=...)
    for i in range(n): u[i] = x * i             u, x = for_loop(0, n, u, x, carried=...)

What a statement's body does is seen by running it: a variable that it rebinds and an array that it writes
are *carried*, all else that it reads from outside is a constant of the region. A first run finds out; the
body is run again, with what is carried traced from its start, until the types of that are settled (`total = 0`
becomes a float in the first trip).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from weft.frontend import tree
from weft.frontend.arguments import identifier
from weft.frontend.capture import Abstract, Trace, youngest
from weft.frontend.errors import ControlFlowError, message
from weft.frontend.lengths import Range, greatest_of, least_of, trip_count
from weft.frontend.region_parts import (
    Body,
    Key,
    Leaf,
    State,
    Undefined,
    emit_op,
    fitted,
    is_number,
    is_shared,
    leaf_of,
    outer_values,
    replaced,
    same,
    settle_type,
    shown_name,
    store_all,
    structure_text,
    trips_of,
    truth_of,
    with_variable,
    zero,
)
from weft.frontend.rotation import Held, Rotation, Trips, cycle_of, is_read
from weft.frontend.storage import Storage
from weft.frontend.tracer import Tracer, anchor_in, as_tracer, cast, emit, read
from weft.frontend.writes import link
from weft.ir.graph import Value
from weft.ir.opdef import REGISTRY
from weft.ir.types import TensorType

_MOST_RUNS = 8  # of a body, until its types are settled


class Carry:
    """What a statement carries: found out by running its bodies, see the module.

    carried: the leaves of variables that are rebound, with the types they have at the start of a trip. arrays:
    the storages that are written. `run` captures one body; `again` tells that it has shown more to carry.
    """

    def __init__(self, state: State, what: str, optional: bool, trips: Trips | None = None) -> None:
        self.state = state
        self.trips = trips  # looked at after the statement
        self.what = what
        self.optional = optional  # whether all variables that are missing before may get zeros
        self.before = list(state.get())
        self.start = list(self.before)  # with zeros for what is missing
        self.carried: dict[Key, Leaf] = {}
        self.arrays: list[Storage] = []
        self.missing: dict[int, str] = {}  # and why
        self.rotations: tuple[Rotation, ...] = ()
        self._inside: dict[Key, tuple[Storage, Value]] = {}
        self._source: dict[Key, Key] = {}  # of a variable after a trip, the one that had its array before
        self._outside: dict[Key, Tracer] = {}  # arrays from outside that a trip leaves in variables
        self._stale: dict[Storage, Value] = {}  # arrays that only the variables may read here, and what stands for them
        self.again = False

    def run(self, name: str, body: Callable[..., Any], index: Range | None = None) -> Body:
        """Capture `body`, called with the loop's index if it has one (`index`: its range). The region returns what is
        carried; if `again` is true afterwards it is of no use."""
        with Trace(name, region=True) as trace:
            given, inputs = self._enter(trace, index)
            try:
                body(*given)
                after = list(self.state.get())
                self.compare(after, [s for s in trace.journal if self._is_written(s, inputs)])
                outputs = []
                if not self.again:
                    self._check_writes(trace, after)
                    outputs = self.values(trace, after)
                if not self.again:
                    self._check_stale(trace, outputs)
                    last = {key: _at(after, key) for key in self.carried}
                    self._outside = {key: leaf for key, leaf in last.items() if self._is_outside(leaf, trace)}
            finally:
                self.state.set(self.before)
        return Body(trace, inputs, outputs, outer_values(trace))

    def test(self, name: str, test: Callable[[], Any]) -> Body:
        """Capture a loop's condition, which must leave the variables and arrays alone."""
        with Trace(name, region=True) as trace:
            _, inputs = self._enter(trace)
            try:
                holds = truth_of(test(), trace)
                if any(s.value is not v for s, v in zip(self.arrays, inputs[len(inputs) - len(self.arrays) :],
                                                       strict=True)):  # fmt: skip
                    raise ControlFlowError(message("changes an array in the condition of a loop"))
                outputs = [read(trace, holds)]
                self._check_stale(trace, outputs)  # even if the body is to be run again: it is the same test then
            finally:
                self.state.set(self.before)
        return Body(trace, inputs, outputs, outer_values(trace))

    def _enter(self, trace: Trace, index: Range | None = None) -> tuple[list[Tracer], list[Value]]:
        """Trace the index and all that is carried, and put it in place."""
        inputs, given = [], []
        if index is not None:
            inputs.append(trace.input(TensorType("i64"), Abstract("the loop's variable", True), "i"))
            trace.ranges[inputs[-1]] = index
            given.append(Tracer(trace, inputs[-1], int))
        leaves = {}
        for key, leaf in self.carried.items():
            inputs.append(trace.input(leaf.type, Abstract(leaf.path, True), identifier(leaf.path)))
            leaves[key] = Tracer(trace, inputs[-1], leaf.weak)
            leaves[key].storage.argument = self._shared(key)
        self._inside = {key: (t.storage, t.value) for key, t in leaves.items()}
        for s in self.arrays:
            value = trace.input(s.value.type, Abstract(s.value.name, True), s.value.name)
            trace.journal[s] = (s.trace, s.value)
            s.trace, s.value = trace, value
            inputs.append(value)
        self._stale = {}
        for s in (array.storage for rotation in self.rotations for array in rotation.arrays):
            value = self._stale[s] = trace.input(s.value.type, Abstract(s.value.name, True), s.value.name)
            trace.journal[s] = (s.trace, s.value)
            s.trace, s.value = trace, value
        self.state.set(replaced(self.start, leaves))
        return given, inputs

    def _shared(self, key: Key) -> bool:
        """Whether somebody else knows the array that a carried variable holds at the start, or may know it."""
        leaf = self._start_leaf(key)
        if type(leaf) is not Tracer:
            return isinstance(leaf, np.ndarray)
        return bool(leaf.path) or is_shared(leaf.storage)

    def _start_leaf(self, key: Key) -> Any:
        return _at(self.start, key)

    def _is_outside(self, leaf: Any, trace: Trace) -> bool:
        """Whether this is an array that was there before the body, and is none of those handed from trip to trip."""
        if type(leaf) is not Tracer or not leaf.type.dims or leaf.storage in self._stale:
            return False
        return leaf.storage.trace is not trace or leaf.storage in trace.journal

    def _histories(self) -> dict[Key, list[Held]]:
        """Of variables that may show an array that others know, which, after how many trips."""
        rotated = {key for rotation in self.rotations for key in rotation.keys}
        found = {}
        for key, leaf in self.carried.items():
            if key in rotated or not leaf.type.dims:
                continue
            chain = [key]  # the variable that had its array a trip before, that one's before, ...
            while chain[-1] in self._source and self._source[chain[-1]] not in chain:
                chain.append(self._source[chain[-1]])
            period = len(chain) if self._source.get(chain[-1]) == key else 0
            held = [Held(self._start_leaf(k), r, period) for r, k in enumerate(chain) if self._shared(k)]
            if chain[-1] in self._outside:
                held.append(Held(self._outside[chain[-1]], len(chain), 0, True))
            held = [h for h in held if type(h.array) is Tracer and h.array.type == leaf.type]
            if held:
                found[key] = held
        return found

    @property
    def counts(self) -> bool:
        """Whether it matters to others how often the loop runs."""
        return bool(self.rotations or self._histories())

    def _link(self) -> dict[Key, Tracer]:
        """Tie what the loop left to the arrays that it may be; what is known to be one."""
        found = {}
        for key, held in self._histories().items() if self.trips is not None else ():
            assert self.trips is not None
            trips, made = self.trips(), _at(self.state.get(), key)
            for h in held:
                if type(trips) is not int:
                    link(made, h.array, h.holds(trips))
                elif h.holds(trips):
                    found[key] = h.array
        return found

    def _check_writes(self, trace: Trace, after: Sequence[Any]) -> None:
        """Variables that are both rebound and written hand each other their arrays from trip to trip (`u, v = v, u`):
        a `Rotation`. Others are copies in the loop, and nobody else may know their arrays. Raises ControlFlowError.
        """
        written = {key for key, (storage, value) in self._inside.items() if storage.value is not value}
        key_of = {storage: key for key, (storage, _) in self._inside.items()}
        source, hands = {}, {}  # variable -> the one whose array it has after the trip; and the reverse, of views too
        for key in self._inside:
            leaf = tree.leaves(after[key[0]])[key[1]]
            if type(leaf) is Tracer and leaf.storage in key_of:
                hands[key_of[leaf.storage]] = key
                if not leaf.path:
                    source[key] = key_of[leaf.storage]
        found: list[Rotation] = []
        for start in self._inside:
            key, seen = start, {start}
            while key in hands and hands[key] not in seen:
                key = hands[key]
                seen.add(key)
            if not seen & written or any(start in r.keys for r in found):
                continue
            rotation = self._rotation(cycle_of(start, source))
            if rotation is not None and not self._read_as_another(trace, rotation, source):
                found.append(rotation)
            elif self._shared(start):
                self._refuse(start)
        self._source = source
        self.again = tuple(r.keys for r in found) != tuple(r.keys for r in self.rotations)
        self.rotations = tuple(found) if self.again else self.rotations

    def _rotation(self, keys: tuple[Key, ...]) -> Rotation | None:
        """The variables of a cycle, if each is a whole array, and none another's."""
        arrays = tuple(map(self._start_leaf, keys))
        for key, array in zip(keys, arrays, strict=True):
            if type(array) is not Tracer or array.path or array.type != self.carried[key].type:
                return None
        distinct = {a.storage for a in arrays}
        whole = keys and len(distinct) == len(keys) and not distinct & set(self.arrays)
        return Rotation(keys, arrays) if whole else None

    def _read_as_another(self, trace: Trace, rotation: Rotation, source: Mapping[Key, Key]) -> bool:
        """Whether a variable keeps one of the arrays for the next trip (`tmp = u; u = v; v = tmp` does not)."""
        others = [key for key, there in source.items() if there in rotation.keys and key not in rotation.keys]
        return any(key in source.values() or is_read(trace, self._inside[key][1]) for key in others)

    def _check_stale(self, trace: Trace, outputs: Sequence[Value]) -> None:
        """Nobody but its variables may look at an array, or write it, while they hand it around."""
        for rotation in self.rotations:
            for key, array in zip(rotation.keys, rotation.arrays, strict=True):
                held = self._stale.get(array.storage)
                if held is not None and (array.storage.value is not held or is_read(trace, held, outputs)):
                    self._refuse(key)

    def _refuse(self, key: Key) -> NoReturn:
        name = self.carried[key].path
        advice = f"Take a copy before {self.what}: {name} = {name}.copy()."
        text = f"{name} is assigned and written in {self.what}, and its array is known by another name too"
        raise ControlFlowError(message(text, (), advice))

    def _is_written(self, storage: Storage, inputs: Sequence[Value]) -> bool:
        """Whether a trip has left another value in an array of an outer capture."""
        if storage in self._stale:
            return False
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
                kinds = f"{structure_text(treedef)} before {self.what} and {structure_text(other)} after it"
                text = f"{shown_name(name)} is {kinds}"
                raise ControlFlowError(message(text, (), "It has to keep its structure."))
            paths = treedef.paths(name)
            for n, (a, b) in enumerate(zip(leaves, others, strict=True)):
                self._compare_leaf((k, n), paths[n], a, b)

    def _found(self, k: int, name: str, new: Any) -> None:
        """A variable that is missing at the start: it gets zeros, or stays missing."""
        if isinstance(new, Undefined):
            return
        if any(type(leaf) is Tracer and leaf.extents is not None for leaf in tree.leaves(new)):
            self.missing[k] = "it has another size in each trip"
        elif self.optional or name in self.state.optional:
            if all(is_number(leaf) for leaf in tree.leaves(new)):
                self.start[k] = tree.map(zero, new)
                self.again = True
                return
        self.missing.setdefault(k, f"it is assigned only in {self.what}, which may not run")

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

    def values(self, trace: Trace, variables: Sequence[Any]) -> list[Value]:
        """What is carried, as values of `trace`, where the variables hold these."""
        anchor = anchor_in(trace)
        found = []
        for (k, n), leaf in self.carried.items():
            found.append(read(trace, fitted(tree.leaves(variables[k])[n], leaf, anchor)))
        return found + [s.value_in(trace) for s in self.arrays]

    def first(self, parent: Trace) -> list[Value]:
        """The carried values before the statement."""
        return self.values(parent, self.start)

    @property
    def names(self) -> list[str]:
        return [identifier(leaf.path) for leaf in self.carried.values()] + [s.value.name for s in self.arrays]

    def settle(self, parent: Trace, results: Sequence[Value]) -> None:
        """Bind the variables to an op's results, and give the arrays theirs."""
        leaves = {}
        for (key, leaf), value in zip(self.carried.items(), results, strict=False):
            leaves[key] = Tracer(parent, value, leaf.weak)
        store_all(self.arrays, parent, results[len(self.carried) :])
        found = replaced(self.start, leaves)
        for k, why in self.missing.items():
            found[k] = Undefined(self.state.names[k], why)
        self.state.set(found)  # how often it ran may be one of them
        self.state.set(replaced(list(self.state.get()), self._link()))
        for rotation in self.rotations:
            assert self.trips is not None
            by_key = dict(zip(self.carried, results, strict=False))
            self.state.set(replaced(list(self.state.get()), rotation.bind(parent, by_key, self.trips())))


def _at(variables: Sequence[Any], key: Key) -> Any:
    """A leaf of the variables."""
    return tree.leaves(variables[key[0]])[key[1]]


def _settled(carry: Carry, capture: Callable[[], list[Body]]) -> list[Body]:
    """Run the bodies until nothing more turns out to be carried."""
    for _ in range(_MOST_RUNS):
        bodies = capture()
        if not carry.again:
            return bodies
    names = ", ".join(leaf.path for leaf in carry.carried.values())
    raise ControlFlowError(message(f"the types of {names} do not settle in {carry.what}"))


def while_loop(
    test: Callable[[], Any],
    body: Callable[[], Any],
    state: State,
    checkpoint: int | str | None = None,
    trips: Trips | None = None,
) -> None:
    """`while test(): body()`."""
    carry = Carry(state, "the loop", False, trips)
    bodies = _settled(carry, lambda: [carry.test("test", test), carry.run("body", body)])
    if carry.counts and trips is None:
        _counted(test, body, state, checkpoint)
        return
    count = len(carry.carried) + len(carry.arrays)
    kept = _kept(checkpoint)
    emit_op("while_loop", bodies, ("test", "body"), carry.first, carry.names, carry.settle, carried=count, **kept)


def _kept(checkpoint: int | str | None) -> dict[str, int | str]:
    """The attribute that says what a loop's gradient keeps."""
    return {} if checkpoint is None else {"checkpoint": checkpoint}


def for_loop(
    start: Any,
    stop: Any,
    step: int,
    body: Callable[[Tracer], Any],
    state: State,
    checkpoint: int | str | None = None,
) -> None:
    """`for i in range(start, stop, step): body(i)`; start and stop may be traced."""
    known = type(start) is not Tracer and type(stop) is not Tracer
    count_of = lambda: (trip_count if known else trips_of)(start, stop, step)  # noqa: E731
    carry = Carry(state, "the loop", known and trip_count(start, stop, step) > 0, count_of)
    first, last = (start, stop) if step > 0 else (stop, start)
    most = greatest_of(last)
    index = least_of(first), most if most is None or step < 0 else most - 1
    bodies = _settled(carry, lambda: [carry.run("body", body, index)])
    count = len(carry.carried) + len(carry.arrays)

    def operands(parent: Trace) -> list[Value]:
        anchor = anchor_in(parent)
        return [*(read(parent, cast(as_tracer(b, anchor), "i64")) for b in (start, stop)), *carry.first(parent)]

    kept = _kept(checkpoint)
    emit_op("for_loop", bodies, ("body",), operands, carry.names, carry.settle, carried=count, step=step, **kept)


def for_loop_while(
    start: Any,
    stop: Any,
    step: int,
    go: Callable[[], Any],
    body: Callable[[Tracer], Any],
    state: State,
    checkpoint: int | str | None = None,
) -> None:
    """As `for_loop`, until `go()` is false after a trip: the loop has a `break`, and is a while loop."""
    index, both = with_variable(state, "index__", start)

    def test() -> Any:
        parent = youngest()
        assert parent is not None
        anchor = anchor_in(parent)
        i, end = as_tracer(index[0], anchor), as_tracer(stop, anchor)
        inside = emit(REGISTRY["less" if step > 0 else "greater"], cast(i, "i64"), cast(end, "i64"))
        return emit(REGISTRY["logical_and"], truth_of(go(), parent), inside)

    def trip() -> None:
        i = index[0]
        body(i)
        index[0] = i + step

    while_loop(test, trip, both, checkpoint, lambda: (index[0] - start) // step)


def _counted(
    test: Callable[[], Any], body: Callable[[], Any], state: State, checkpoint: int | str | None = None
) -> None:
    """As `while_loop`, with its trips counted."""
    count, both = with_variable(state, "trips__", 0)

    def trip() -> None:
        before = count[0]
        body()
        count[0] = before + 1

    while_loop(test, trip, both, checkpoint, lambda: count[0])
