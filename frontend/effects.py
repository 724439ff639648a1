"""What a capture may leave behind in the program, and how it is taken back when the capture failed.

    self.calls += 1;  SEEN.append(x);  rng.normal()        done while the function was traced, and when NumPy runs
                                                           it in its place they are to be done once

Containers, objects, variables of closures and globals that the function's code can reach by name are noted before
the capture, as are the states of random generators. What is printed or sent elsewhere can't be taken back.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from weft.frontend.origins import is_inside, names_of, reachable

Restore = Callable[[], None]


class Effects:
    """What `roots` (functions, objects) can change, as it is now; `undo` puts it back."""

    def __init__(self, *roots: Any) -> None:
        self._restores: list[Restore] = [_module_random(), _numpy_random()]
        for obj, _, _ in reachable(*roots):
            self._restores += _restores_of(obj)

    def undo(self) -> None:
        for restore in self._restores:
            restore()


def _restores_of(obj: Any) -> list[Restore]:
    if isinstance(obj, list | dict | set):
        return [_container(obj)]
    if is_inside(obj if isinstance(obj, FunctionType) else type(obj)) and not _is_numpy_generator(obj):
        return []
    if isinstance(obj, FunctionType):
        return [*(_cell(cell) for cell in obj.__closure__ or ()), _globals(obj)]
    if _is_numpy_generator(obj):
        return [_generator(obj)]
    if isinstance(obj, random.Random):
        return [_python_generator(obj)]
    if isinstance(getattr(obj, "__dict__", None), dict) and not isinstance(obj, type | ModuleType):
        return [_container(obj.__dict__)]
    return []


def _container(now: Any) -> Restore:
    then = now.copy()

    def restore() -> None:
        if _items(now) != _items(then):
            now.clear()
            now.extend(then) if isinstance(now, list) else now.update(then)

    return restore


def _items(container: Any) -> list[int]:
    """What it holds, by identity: elements may not compare."""
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    return [id(part) for pair in pairs for part in (pair if isinstance(container, dict) else pair[1:])]


_EMPTY = object()


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _cell(cell: Any) -> Restore:
    then = _content(cell)

    def restore() -> None:
        if _content(cell) is not then and then is not _EMPTY:
            cell.cell_contents = then

    return restore


def _globals(function: FunctionType) -> Restore:
    space = function.__globals__
    then = {name: space.get(name, _EMPTY) for name in names_of(function.__code__)}

    def restore() -> None:
        for name, value in then.items():
            if space.get(name, _EMPTY) is not value:
                space.pop(name) if value is _EMPTY else space.__setitem__(name, value)

    return restore


def _is_numpy_generator(obj: Any) -> bool:
    loaded = "numpy.random" in sys.modules  # else there is none
    return loaded and isinstance(obj, np.random.Generator | np.random.RandomState)


def _generator(owner: Any) -> Restore:
    bits = owner.bit_generator if isinstance(owner, np.random.Generator) else owner._bit_generator
    then = bits.state

    def restore() -> None:
        bits.state = then

    return restore


def _python_generator(owner: random.Random) -> Restore:
    then = owner.getstate()
    return lambda: owner.setstate(then)


def _numpy_random() -> Restore:
    then = np.random.get_state()
    return lambda: np.random.set_state(then)


def _module_random() -> Restore:
    then = random.getstate()
    return lambda: random.setstate(then)
