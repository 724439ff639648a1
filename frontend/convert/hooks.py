"""What converted functions call in place of statements and operators.

Each hook looks whether what it is to decide on is traced. If not, Python goes its way; if it is, the statement
becomes an op with regions (see `weft.frontend.regions`).

A `for` over many trips (or a traced number of them), and a `while`, are kept as loops when their body reads
traced values and uses the loop's variable and what it carries as such; else Python runs them trip by trip, and
they are unrolled. `weft.unroll(range(n))` always unrolls, `weft.rolled(range(n))` never does.
"""

from __future__ import annotations

import builtins
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from weft.frontend import branches, region_parts, regions, tree
from weft.frontend.capture import back_to, mark, youngest
from weft.frontend.convert.builtin import BUILTINS
from weft.frontend.convert.iteration import Rolled, Series, Unrolled, as_series
from weft.frontend.convert.source import convert_callable
from weft.frontend.convert.stores import (
    augment,
    augment_item,
    augment_item_of,
    check_foreign,
    get_item,
    set_item,
    set_item_of,
    take_over,
    unpack,
)
from weft.frontend.numpy_api.writable import CREATED, of_symbols, owned
from weft.frontend.operators import named
from weft.frontend.randomness import is_generator, note_call, note_made
from weft.frontend.region_parts import State, Undefined
from weft.frontend.tracer import Tracer
from weft.ir.dims import is_known

UNROLL_UP_TO = 8  # trips: shorter loops over a known range are unrolled
UNROLL_NESTED_UP_TO = 3  # where another loop is inside

__all__ = [
    "Undefined", "augment", "augment_item", "augment_item_of", "get_item", "set_item", "set_item_of", "slice", "unpack",
]  # fmt: skip
slice = builtins.slice
_HOOKS = sys.modules[__name__]


# Variables.


def state(
    names: tuple[str, ...],
    getters: Sequence[Callable[[], Any]],
    setter: Callable[[Any], None],
    stored: tuple[str, ...] = (),
) -> State:
    """A statement's variables. Those whose names end in `__` are flags and results of jumps, see `jumps`."""

    def get() -> list[Any]:
        return [_value(name, g) for name, g in zip(names, getters, strict=True)]

    return State(names, get, setter, frozenset(n for n in names if n.endswith("__")), frozenset(stored))


def _value(name: str, getter: Callable[[], Any]) -> Any:
    try:
        return getter()
    except (NameError, AttributeError):
        return Undefined(name)


def no_state() -> State:
    return State((), lambda: [], lambda values: None)


def put(owner: Any, attribute: str, value: Any) -> None:
    if not isinstance(value, Undefined) and not isinstance(owner, Undefined):
        setattr(owner, attribute, value)


def returned(result: Callable[[], Any]) -> Any:
    value = result()
    return None if isinstance(value, Undefined) else value


# Decisions.


def is_open(value: Any) -> bool:
    """A condition that Python can't decide."""
    return type(value) is Tracer and value.home.depends(value.value) == "open"


def if_(test: Any, then: Callable[[], Any], orelse: Callable[[], Any], state: State) -> None:
    if is_open(test):
        take_over(state)
        branches.branch(test, then, orelse, state)
    elif test:
        then()
    else:
        orelse()


def choose(test: Any, then: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
    """`then if test else orelse`."""
    if not is_open(test):
        return then() if test else orelse()
    result: list[Any] = [Undefined("the conditional expression")]

    def side(value: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            result[0] = value()

        return run

    one = State(("the conditional expression",), lambda: list(result), lambda v: result.__setitem__(0, v[0]))
    branches.branch(test, side(then), side(orelse), one)
    return named(result[0], 2)


def and_(*values: Callable[[], Any]) -> Any:
    """`a and b and ...`: of traced truths the logical product, the later ones seen only where the first hold."""
    return _first_that(False, values)


def or_(*values: Callable[[], Any]) -> Any:
    """`a or b or ...`."""
    return _first_that(True, values)


def _first_that(decides: bool, values: Sequence[Callable[[], Any]]) -> Any:
    """The first value whose truth is `decides`, or the last."""
    first = values[0]()
    for i in range(1, len(values)):
        if is_open(first):
            return _either(decides, first, lambda: _first_that(decides, values[i:]))  # noqa: B023  # called here
        if bool(first) is decides:
            return first
        first = values[i]()
    return first


def _either(decides: bool, first: Tracer, rest: Callable[[], Any]) -> Any:
    """A traced value, and the rest that is looked at only if that does not decide."""
    known: Callable[[], Any] = lambda: first  # noqa: E731
    other = rest
    if first.type.dtype == "bool":
        known, other = lambda: decides, lambda: _truth(rest())
    return choose(first, known, other) if decides else choose(first, other, known)


def _truth(value: Any) -> Any:
    if type(value) is not Tracer:
        return bool(value)
    trace = youngest()
    assert trace is not None
    found = region_parts.truth_of(value, trace)
    return Tracer(found.home, found.value, bool)


def not_(value: Any) -> Any:
    if not is_open(value):
        return not value
    trace = youngest()
    assert trace is not None
    made: Any = np.logical_not(region_parts.truth_of(value, trace))  # type: ignore[call-overload]
    return Tracer(made.home, made.value, bool)


_COMPARE = {
    "Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt,
    "GtE": operator.ge, "Is": operator.is_, "IsNot": operator.is_not,
    "In": lambda a, b: a in b, "NotIn": lambda a, b: a not in b,
}  # fmt: skip


def compare(ops: str, first: Any, *rest: Callable[[], Any]) -> Any:
    """`a < b <= c`."""
    left = [first]

    def one(op: str, right: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> Any:
            b = right()
            found = _COMPARE[op](left[0], b)
            left[0] = b
            return found

        return run

    return and_(*[one(op, right) for op, right in zip(ops.split(), rest, strict=True)])


def assert_(test: Callable[[], Any], text: Callable[[], Any]) -> None:
    """`assert`: of what is known now; a traced condition can't stop compiled code."""
    if not __debug__:
        return
    holds = test()
    if not is_open(holds) and not holds:
        found = text()
        raise AssertionError(*([] if found is None else [found]))


# Loops.


def touches(reads: Sequence[Callable[[], Any]], state: State) -> bool:
    """Whether a loop's body reads anything traced."""
    values = [_value("", r) for r in reads] + list(state.get())
    for value in values:
        leaves = tree.leaves(value)
        if any(type(leaf) is Tracer for leaf in leaves):
            return True
        for leaf in leaves:
            inside = getattr(leaf, "__dict__", None)
            if isinstance(inside, dict) and not isinstance(leaf, type) and not callable(leaf):
                if any(type(x) is Tracer for x in tree.leaves(list(inside.values()))):
                    return True
    return False


class _Containers:
    """The lists, dicts and sets that a body can reach, as they were: a region can't grow them trip by trip."""

    def __init__(self, reads: Sequence[Callable[[], Any]], state: State) -> None:
        self.seen: list[tuple[Any, Any]] = []
        for value in [_value("", r) for r in reads] + list(state.get()):
            self._note(value, 3)

    def _note(self, value: Any, depth: int) -> None:
        if isinstance(value, list | dict | set):
            self.seen.append((value, value.copy()))
        if depth and isinstance(value, list | tuple | dict):
            for item in value.values() if isinstance(value, dict) else value:
                if isinstance(item, list | dict | set | tuple):
                    self._note(item, depth - 1)

    def restore(self) -> bool:
        """Put them back as they were; whether they had changed."""
        changed = False
        for value, old in self.seen:
            now, then = _items(value), _items(old)
            if len(now) != len(then) or any(a is not b for a, b in zip(now, then, strict=True)):
                changed = True
                value.clear()
                value.extend(old) if isinstance(value, list) else value.update(old)
        return changed


def _items(container: Any) -> Any:
    return [x for pair in container.items() for x in pair] if isinstance(container, dict) else list(container)


class _NotKept(Exception):
    """The body changes a container: it is run trip by trip."""


def _try_region(capture: Callable[[], None], state: State, reads: Sequence[Callable[[], Any]]) -> bool:
    """Capture a loop as a region; False, with everything as it was, when its body can't be one."""
    take_over(state)
    marked, before, containers = mark(), list(state.get()), _Containers(reads, state)
    try:
        capture()
        if containers.restore():
            raise _NotKept
    except Exception:
        containers.restore()
        state.set(before)
        back_to(marked)
        return False
    return True


def while_(test: Callable[[], Any], body: Callable[[], Any], state: State, reads: Sequence[Callable[[], Any]]) -> None:
    tried = youngest() is None
    while True:
        holds = test()
        if is_open(holds):
            take_over(state)
            regions.while_loop(test, body, state)
            return
        if not tried and (type(holds) is Tracer or holds) and touches(reads, state):
            tried = True
            if _try_region(lambda: regions.while_loop(test, body, state), state, reads):
                return
        if not holds:
            return
        body()


def for_(
    iterable: Any,
    body: Callable[[Any], Any],
    go: Callable[[], Any] | None,
    state: State,
    reads: Sequence[Callable[[], Any]],
    nested: bool,
) -> None:
    """`for item in iterable: body(item)`, as long as `go()` holds where it is given (the loop has a `break`).

    nested: whether the body has another loop in it.
    """
    if isinstance(iterable, Unrolled) and not isinstance(iterable, Rolled):
        _run(iter(iterable), body, go, state)
        return
    series = as_series(iterable)
    if series is None or youngest() is None:
        _run(iter(iterable), body, go, state)
        return
    if not series.open:
        most = UNROLL_NESTED_UP_TO if nested else UNROLL_UP_TO
        long = isinstance(iterable, Rolled) or not is_known(series.trips) or series.trips > most
        if not long or not touches(reads, state) and not series.traced:
            _run(iter(series), body, go, state)
            return
        if isinstance(iterable, Rolled):
            _capture(series, body, go, state, iterable.checkpoint)
        elif not _try_region(lambda: _capture(series, body, go, state), state, reads):
            _run(iter(series), body, go, state)
        return
    _capture(series, body, go, state, iterable.checkpoint if isinstance(iterable, Rolled) else None)


def _run(items: Iterator[Any], body: Callable[[Any], Any], go: Callable[[], Any] | None, state: State) -> None:
    """Trip by trip. Where a `break` depends on traced values, the rest of the trips are branches."""
    for item in items:
        body(item)
        if go is None:
            continue
        more = go()
        if is_open(more):
            _run_rest(items, body, go, more, state)
            return
        if not more:
            return


def _run_rest(items: Iterator[Any], body: Callable[[Any], Any], go: Callable[[], Any], more: Any, state: State) -> None:
    """The trips that are left, each in a branch that is taken if no trip before has ended the loop."""
    take_over(state)
    for item in items:
        branches.branch(more, lambda item=item: body(item), lambda: None, state)  # type: ignore[misc]
        more = go()
        if not is_open(more) and not more:
            return


def _capture(
    series: Series,
    body: Callable[[Any], Any],
    go: Callable[[], Any] | None,
    state: State,
    checkpoint: int | str | None = None,
) -> None:
    take_over(state)

    def trip(i: Tracer) -> None:
        body(series.at(i))

    if go is None:
        regions.for_loop(series.start, series.stop, series.step, trip, state, checkpoint)
    else:
        regions.for_loop_while(series.start, series.stop, series.step, go, trip, state, checkpoint)


# Calls.


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """`function(*args, **kwargs)`: the user's functions are converted, built-ins and NumPy's makers know tracers."""
    if youngest() is None:
        return function(*args, **kwargs)
    return named(_call(function, args, kwargs), 2)


def _call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        special, makes = BUILTINS.get(function), function in CREATED or of_symbols(function, args, kwargs)
    except TypeError:  # no hash
        special, makes = None, False
    if special is not None:
        return special(*args, **kwargs)
    if makes:
        return owned(function, args, kwargs)
    owner = getattr(function, "__self__", None)
    if is_generator(owner):
        note_call(function, owner)
    written = args[0] if args and _is_writer(function) else kwargs.get("out")
    if type(written) is np.ndarray:
        check_foreign(written, args, kwargs)
    result = convert_callable(function, _HOOKS)(*args, **kwargs)
    if is_generator(result):
        note_made(result, bool(args or kwargs))
    return result


_WRITERS = frozenset({np.copyto, np.put, np.putmask, np.place, np.put_along_axis, np.fill_diagonal})


def _is_writer(function: Any) -> bool:
    """Whether a function writes into its first argument."""
    try:
        return function in _WRITERS
    except TypeError:  # no hash
        return False
