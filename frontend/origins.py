"""Where a function found the arrays and settings that are not its arguments, so that it is seen when they change.

    W = W - lr * g                      a global, a closure's variable, an attribute: what was captured as W is
    model.b = ...                       fetched again at each call, by the same way

A capture knows an array that it met only by identity. What the function's code can reach by name (variables of
its closure, globals that it names, their attributes and items, and those of the functions it calls) is
searched for that array; all ways that lead to it are kept. Python numbers and strings reached by name decide
the course of a capture: they are remembered and compared.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import getitem
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

Getter = Callable[[], Any]

_DEEPEST = 6
_MOST = 5000  # objects looked at, so that a huge container costs no more than this
_SETTINGS = (bool, int, float, str, type(None))


class Stale(Exception):
    """What a capture relied on is not so any more."""


class Origins:
    """The ways to each captured array, and the settings that were read. `fetch` gives the arrays of today."""

    __slots__ = ("ways", "settings")

    def __init__(self, ways: list[tuple[int, list[Getter]]], settings: list[tuple[Getter, Any]]) -> None:
        self.ways = ways
        self.settings = settings

    def __bool__(self) -> bool:
        return bool(self.ways or self.settings)

    def fetch(self, arrays: list[Any], start: int) -> None:
        """Replace the captured arrays, which begin at `start`, by what is there now. Raises Stale."""
        try:
            for get, value in self.settings:
                now = get()
                if now is not value and (type(now) is not type(value) or now != value):
                    raise Stale
            for at, getters in self.ways:
                array = getters[0]()
                for get in getters[1:]:
                    if get() is not array:
                        raise Stale
                old = arrays[start + at]
                if array is not old:
                    if type(array) is not np.ndarray or array.dtype != old.dtype or array.shape != old.shape:
                        raise Stale
                    arrays[start + at] = array
        except (AttributeError, LookupError, TypeError, ValueError):  # the way is gone
            raise Stale from None


def find(function: Callable[..., Any], arrays: Sequence[np.ndarray]) -> Origins:
    """Search what `function` can reach by name."""
    positions = {id(array): i for i, array in enumerate(arrays)}
    ways: dict[int, list[Getter]] = {}
    settings: list[tuple[Getter, Any]] = []
    for obj, get, direct in reachable(function):
        if type(obj) is np.ndarray and id(obj) in positions:
            ways.setdefault(positions[id(obj)], []).append(get)
        elif direct and isinstance(obj, _SETTINGS):
            settings.append((get, obj))
    return Origins(sorted(ways.items()), settings)


def reachable(*roots: Any) -> Iterator[tuple[Any, Getter, bool]]:
    """(object, way to it, whether code names it) of what functions and other objects can reach by name; arrays and
    settings as often as there are ways to them."""
    seen: set[int] = set()
    names: set[str] = set()
    queue: list[tuple[Any, Getter, int, bool]] = [(root, partial(_itself, root), 0, False) for root in roots]
    for obj, get, depth, direct in queue:  # grows while it is walked
        if type(obj) is np.ndarray or isinstance(obj, _SETTINGS):
            yield obj, get, direct
            continue
        if id(obj) in seen or depth > _DEEPEST or len(queue) > _MOST:
            continue
        seen.add(id(obj))
        yield obj, get, direct
        if isinstance(obj, FunctionType):
            names |= names_of(obj.__code__)
        queue += [(child, way, depth + 1, named) for child, way, named in _children(obj, get, names)]


def _itself(obj: Any) -> Any:
    return obj


def names_of(code: CodeType) -> set[str]:
    """Globals, attributes and string keys that a function and those inside it name."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= names_of(constant)
        elif isinstance(constant, str):
            found.add(constant)
    return found


def _children(obj: Any, get: Getter, names: set[str]) -> Iterator[tuple[Any, Getter, bool]]:
    """(object, way to it, whether code names it) for what `obj` holds."""
    if isinstance(obj, FunctionType):
        for cell in obj.__closure__ or ():
            if _filled(cell):
                yield cell.cell_contents, partial(getattr, cell, "cell_contents"), True
        space = obj.__globals__
        for name in sorted(names_of(obj.__code__)) if not is_inside(obj) else ():
            if name in space:
                yield space[name], partial(getitem, space, name), True
    elif isinstance(obj, MethodType):
        yield obj.__self__, lambda: get().__self__, False
        yield obj.__func__, lambda: get().__func__, False
    elif isinstance(obj, weakref.ref):
        yield obj(), lambda: get()(), False
    elif isinstance(obj, ModuleType):
        if not is_inside(obj, obj.__name__):
            yield from _attributes(obj, get, names, others=False)
    elif isinstance(obj, dict):
        for key, item in obj.items():
            yield item, _item(get, key), isinstance(key, str) and key in names
    elif isinstance(obj, list | tuple):
        for i, item in enumerate(obj):
            yield item, _item(get, i), False
    elif hasattr(obj, "__weft_function__"):
        yield obj.__weft_function__, lambda: get().__weft_function__, False
    elif not isinstance(obj, type) and not is_inside(type(obj)):
        yield from _attributes(obj, get, names, others=True)


def is_inside(obj: Any, module: str = "") -> bool:
    """Whether a function or class (or the module of that name) is weft's or NumPy's, which keep no program's state."""
    return (module or getattr(obj, "__module__", None) or "").split(".")[0] in ("numpy", "weft")


def _attributes(obj: Any, get: Getter, names: set[str], others: bool) -> Iterator[tuple[Any, Getter, bool]]:
    space = getattr(obj, "__dict__", None)
    if not isinstance(space, Mapping):
        return
    for name, item in list(space.items()):
        if others or name in names:
            yield item, _attribute(get, name), name in names


def _item(get: Getter, key: Any) -> Getter:
    return lambda: get()[key]


def _attribute(get: Getter, name: str) -> Getter:
    return lambda: getattr(get(), name)


def _filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
