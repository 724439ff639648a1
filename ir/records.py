"""`dataclass` as the standard library's, but that a class's methods are not generated when it is defined.

The library writes Python text for each method of each class and compiles it, a tenth of a millisecond a method: for
all of weft's records that would be half of what importing weft takes. Here equality, hash, repr and frozenness are
closures, and `__init__` is written when the first instance is made, which of most classes is never.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field", "fields", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, eq=True, slots=False):
        """The class with `__init__`, `__repr__` and, as asked for, equality, a hash, and fields that can't be assigned.

        What the class defines itself stays. A class that inherits is not told its base's fields' defaults twice.
        """
        if cls is None:
            return lambda c: dataclass(c, frozen=frozen, eq=eq, slots=slots)
        cls.__doc__ = cls.__doc__ or cls.__name__  # else the library asks for a signature, to show that
        made = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=slots)
        own = set(made.__dict__)
        all_fields = fields(made)
        _define(made, own, "__init__", _first_init(made, frozen))
        _define(made, own, "__repr__", _repr_of([f.name for f in all_fields if f.repr]))
        if eq:
            _define_equality(made, own, _values_of([f.name for f in all_fields if f.compare]), frozen)
        if frozen:
            made.__setattr__, made.__delattr__ = _no_setattr, _no_delattr
            if slots:
                made.__getstate__, made.__setstate__ = _getstate, _setstate
        return made


def _define(cls: type, own: set[str], name: str, method: Callable[..., Any]) -> None:
    if name not in own:
        method.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, method)


def _first_init(cls: type, frozen: bool) -> Callable[..., None]:
    """An `__init__` that has itself replaced when it is first called."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        made = _init_of(fields(cls), frozen, hasattr(cls, "__post_init__"))  # type: ignore[arg-type]
        made.__qualname__ = f"{cls.__qualname__}.__init__"
        cls.__init__ = made  # type: ignore[misc]
        made(self, *args, **kwargs)

    return __init__


def _init_of(all_fields: Sequence[Field[Any]], frozen: bool, post: bool) -> Callable[..., None]:
    known: dict[str, Any] = {"missing": MISSING, "assign": object.__setattr__}
    parameters, lines = ["self"], []
    for n, f in enumerate(all_fields):
        value = f.name
        if f.default_factory is not MISSING:
            known[f"default{n}"] = f.default_factory
            value = f"default{n}() if {f.name} is missing else {f.name}" if f.init else f"default{n}()"
        elif f.default is not MISSING:
            known[f"default{n}"] = f.default
            value = f.name if f.init else f"default{n}"
        elif not f.init:
            continue
        if f.init:
            has_factory = f.default_factory is not MISSING
            default = "=missing" if has_factory else f"=default{n}" if f.default is not MISSING else ""
            parameters.append(f.name + default)
        lines.append(f"assign(self, {f.name!r}, {value})" if frozen else f"self.{f.name} = {value}")
    lines += ["self.__post_init__()"] if post else []
    body = "\n    ".join(lines or ["pass"])
    exec(f"def __init__({', '.join(parameters)}):\n    {body}\n", known)
    made: Callable[..., None] = known["__init__"]
    return made


def _values_of(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple([getattr(self, name) for name in names])


def _define_equality(cls: type, own: set[str], values: Callable[[Any], tuple[Any, ...]], frozen: bool) -> None:
    def __eq__(self: Any, other: Any) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(values(self))

    hashed = cls.__dict__.get("__hash__") is not None
    _define(cls, own, "__eq__", __eq__)
    if not hashed:
        cls.__hash__ = __hash__ if frozen else None  # type: ignore[method-assign, assignment]


def _repr_of(names: Sequence[str]) -> Callable[[Any], str]:
    def __repr__(self: Any) -> str:
        shown = ", ".join([f"{name}={getattr(self, name)!r}" for name in names])
        return f"{self.__class__.__qualname__}({shown})"

    return __repr__


def _no_setattr(self: Any, name: str, value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _no_delattr(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, f.name) for f in fields(self)]


def _setstate(self: Any, state: list[Any]) -> None:
    for f, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, f.name, value)
