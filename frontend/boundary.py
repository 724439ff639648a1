"""What a compiled call takes and gives, in the words of `weft.ir.boundary`, where those suffice.

They do for arrays, NumPy and Python scalars in tuples, lists and dicts with strings for keys. They don't when Python
has to look at something at each call: arrays and settings that the function closes over, views among the results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weft.frontend import tree
from weft.frontend.origins import Origins, Stale
from weft.frontend.specialise import Capture, Leaves
from weft.frontend.tracer import WEAK_DTYPES
from weft.ir.boundary import MISSED, Argument, Boundary, Constant, Container, Leaf, Node, Result
from weft.ir.types import NAMES

_LEAF = tree.structure(0).spec
_PLAIN = (tuple, list, dict)


class _Unsaid(Exception):
    """There is no word for it."""


def boundary(
    captured: Capture, spec: tree.TreeDef, leaves: Leaves, donated: set[int], static: dict[int, Any]
) -> Boundary | None:
    """The boundary of a captured call; None if it can't be said.

    spec: the structure of (positional arguments, keywords). static: positional arguments that are compiled for.
    """
    if captured.captured or captured.examined or (captured.stores and captured.rowmajor):
        return None
    try:
        left = iter([_leaf(i, leaf, captured.guards.get(i)) for i, leaf in enumerate(leaves)])
        positional, keywords = spec.spec[2]
        arguments = [
            _fixed(static[n]) if n in static else _argument(child, left) for n, child in enumerate(positional[2])
        ]
        keys, order, _ = keywords[1]
        named = {key: _argument(child, left) for key, child in zip(keys, keywords[2], strict=True)}
        names = list(keys if order is None else order)
        places = iter([_result(captured, place) for place in captured.places])
        result = _outcome(captured.treedef.spec, places)
    except _Unsaid:
        return None
    return Boundary(arguments + [named[n] for n in names], names, result, frozenset(donated), tuple(captured.stores))


def _fixed(value: Any) -> Node:
    """A static argument is equal to what was compiled for if it is the same object; others are left to Python."""
    if value is None or type(value) in (bool, int, str):
        return Constant(value)
    raise _Unsaid


def _leaf(i: int, leaf: Any, fixed: Any) -> Node:
    if type(leaf) is np.ndarray or type(leaf) in WEAK_DTYPES or type(leaf) in _SCALARS:
        return Leaf(i, type(leaf), fixed)
    raise _Unsaid


_SCALARS = frozenset(dtype.type for dtype in NAMES.values())


def _argument(spec: tree.Spec, left: Any) -> Node:
    if spec is _LEAF:
        found: Node = next(left)
        return found
    kind, aux, specs = spec
    if kind.cls is type(None):
        return Constant(None)
    if kind.cls not in _PLAIN:
        raise _Unsaid
    keys = _keys(aux) if kind.cls is dict else None
    return Container(kind.cls, [_argument(child, left) for child in specs], keys)


def _keys(aux: Any) -> list[str]:
    keys = list(aux[0])
    if not all(type(key) is str for key in keys):
        raise _Unsaid
    return keys


def _result(captured: Capture, place: tuple[Any, ...]) -> Node:
    kind, at, *more = place
    if kind == "constant":
        return Constant(at)
    if kind == "argument" and not more[0]:
        return Argument(at)
    if kind == "result" or (kind == "copy" and not captured.graph.outputs[at].type.dims):
        type_ = captured.graph.outputs[at].type
        weak = more[0] if not type_.dims else None
        if weak is None or WEAK_DTYPES[weak] == type_.dtype:
            return Result(at, weak)
    raise _Unsaid


def _outcome(spec: tree.Spec, places: Any) -> Node:
    if spec is _LEAF:
        found: Node = next(places)
        return found
    kind, aux, specs = spec
    if kind.cls is type(None):
        return Constant(None)
    children = [_outcome(child, places) for child in specs]
    if kind.cls is not dict or not all(type(key) is str for key in aux[0]):
        return Container(kind.cls, children, make=None if kind.cls in _PLAIN[:2] else _maker(kind, aux))
    keys, order, _ = aux
    named = dict(zip(keys, children, strict=True))
    inserted = list(keys if order is None else order)
    return Container(dict, [named[key] for key in inserted], inserted)


def _maker(kind: Any, aux: Any) -> Callable[[list[Any]], Any]:
    return lambda children: kind.unflatten(aux, children)


def checking(direct: Callable[..., Any], origins: Origins) -> Callable[..., Any]:
    """A call without Python of a function that reads settings: only while they are what they were."""

    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            origins.fetch([], 0)
        except Stale:
            return MISSED
        return direct(*args, **kwargs)

    return run
