"""`if` on a traced value: both sides are captured, and one is run.

    if p: x = f(x)              x = cond(p, x, ..., then={f}, orelse={x as it was})
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.frontend import tree
from weft.frontend.capture import Trace
from weft.frontend.errors import ControlFlowError, message, type_text
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
    truth_of,
    zero,
)
from weft.frontend.storage import Storage
from weft.frontend.tracer import Tracer, anchor_in, as_tracer, read
from weft.frontend.writes import link
from weft.ir.graph import Value
from weft.ir.records import dataclass


@dataclass
class _Side:
    """One side of a branch: what its variables show after it, and hold: the numbers that it changed as values of its
    own."""

    trace: Trace
    shown: list[Any]
    after: list[Any]
    written: dict[Storage, Value]

    def body(self, outputs: list[Value]) -> Body:
        return Body(self.trace, [], outputs, outer_values(self.trace))


def _side(name: str, run: Callable[[], Any], state: State, before: list[Any]) -> _Side:
    with Trace(name, region=True) as trace:
        try:
            run()
            after = list(state.get())
        finally:
            state.set(before)
        anchor = anchor_in(trace)

        def settled(leaf: Any) -> Any:
            if type(leaf) is not Tracer:
                return leaf
            return Tracer(trace, read(trace, as_tracer(leaf, anchor)), leaf.weak)

        changed = [new if new is old else tree.map(settled, new) for old, new in zip(before, after, strict=True)]
        written = {w.target: w.value for w in trace.written() if isinstance(w.target, Storage)}
    return _Side(trace, after, changed, written)


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
        anchor = anchor_in(side.trace)
        values = [read(side.trace, fitted(pair[at], pair[2], anchor)) for pair in outputs.values()]
        values += [side.written[s] if s in side.written else s.value_in(side.trace) for s in arrays]
        bodies.append(side.body(values))
        side.trace.active = False

    def settle(parent: Trace, results: Sequence[Value]) -> None:
        pairs = zip(outputs.items(), results, strict=False)
        leaves = {key: Tracer(parent, value, leaf.weak) for (key, (_, _, leaf)), value in pairs}
        store_all(arrays, parent, results[len(outputs) :])
        state.set(replaced(found, leaves))
        for key, made in leaves.items():
            for side, holds in ((a, condition), (b, np.logical_not(condition))):
                if made.shape and _is_known(side, key, before, arrays):
                    link(made, tree.leaves(side.shown[key[0]])[key[1]], truth_of(holds, parent))

    names = [pair[2].path for pair in outputs.values()] + [s.value.name for s in arrays]
    emit_op("cond", bodies, ("then", "orelse"), lambda p: [read(p, truth_of(condition, p))], names, settle)


def _is_known(side: _Side, key: Key, before: Sequence[Any], arrays: Sequence[Storage]) -> bool:
    """Whether what a variable shows after a side is an array, or a view of one, that others know by then."""
    shown = tree.leaves(side.shown[key[0]])
    leaf = shown[key[1]] if key[1] < len(shown) else None
    if type(leaf) is not Tracer or leaf.storage.trace is side.trace:
        return False
    own = any(leaf is old for old in tree.leaves(before[key[0]]))
    return not own or bool(leaf.path) or is_shared(leaf.storage, 2 * (leaf.storage in arrays))


def _zeros_for_missing(x: Any, other: Any) -> Any:
    """A variable that nobody looks at unless it was assigned: zeros like what the other side gives it."""
    if not isinstance(x, Undefined) or isinstance(other, Undefined):
        return x
    return tree.map(zero, other) if all(is_number(leaf) for leaf in tree.leaves(other)) else x


def _joined(k: int, name: str, x: Any, y: Any, outputs: dict[Key, tuple[Any, Any, Leaf]]) -> Any:
    """A variable after a branch, given what it holds after each side; leaves that differ go to `outputs`."""
    if isinstance(x, Undefined) or isinstance(y, Undefined):
        both = isinstance(x, Undefined) and isinstance(y, Undefined)
        return x if both else Undefined(name, "it is assigned on one side of a branch only")
    leaves, treedef = tree.flatten(x)
    others, other = tree.flatten(y)
    if treedef != other:
        sides = f"{structure_text(treedef)} after one side of the branch and {structure_text(other)} after the other"
        text = f"{shown_name(name)} is {sides}"
        raise ControlFlowError(message(text, (), "Both sides have to give it the same structure."))
    paths = treedef.paths(name)
    for n, (p, q) in enumerate(zip(leaves, others, strict=True)):
        if same(p, q):
            continue
        if not is_number(p) or not is_number(q):
            text = f"{paths[n]} is one {type(p).__name__} or another after the branch, and no number or array"
            raise ControlFlowError(message(text, (), "Only numbers and arrays can depend on a traced condition."))
        one, two = leaf_of(paths[n], p), leaf_of(paths[n], q)
        if one.type.dims != two.type.dims or (one.weak is two.weak is None and one.type != two.type):
            sides = f"{type_text(one.type)} after one side of the branch and {type_text(two.type)} after the other"
            text = f"{shown_name(paths[n])} is {sides}"
            raise ControlFlowError(message(text, (), "Both sides have to give it one dtype and shape."))
        leaf = settle_type(one, two, "the branch")
        outputs[k, n] = (p, q, leaf)
    return x
