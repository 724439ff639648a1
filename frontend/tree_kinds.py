"""What the containers of a pytree are: one `Kind` for each class, found by the class of an object.

KINDS[type(obj)]  ->  Kind(flatten, unflatten, keys), or None for a leaf
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

C = TypeVar("C", bound=type)


class Kind:
    """How one class of containers comes apart and together; compared by identity, one per class."""

    __slots__ = ("cls", "flatten", "unflatten", "keys")

    def __init__(
        self,
        cls: type,
        flatten: Callable[[Any], tuple[Iterable[Any], Hashable]] | None,
        unflatten: Callable[[Any, Sequence[Any]], Any],
        keys: Callable[[Any, int], list[str]],
    ) -> None:
        self.cls = cls
        self.flatten = flatten  # None: the object is itself the sequence of its children
        self.unflatten = unflatten
        self.keys = keys  # (aux, number of children) -> what to append to a path for each child


class _Order(tuple[Any, ...]):
    """The insertion order of a dict's keys, or None when that is the order of the children.

    It is carried along with a structure, but is no part of its identity: all orders are equal.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, _Order)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(None)


def _indices(aux: Any, count: int) -> list[str]:
    return [f"[{i}]" for i in range(count)]


def _dict_kind(cls: type) -> Kind:
    def flatten(mapping: dict[Any, Any]) -> tuple[list[Any], Hashable]:
        inserted = list(mapping)
        try:
            keys = sorted(inserted)
        except TypeError:
            keys = inserted
        order = None if keys == inserted else _Order(inserted)
        factory = mapping.default_factory if isinstance(mapping, defaultdict) else None
        return [mapping[key] for key in keys], (tuple(keys), order, factory)

    def unflatten(aux: Any, children: Sequence[Any]) -> Any:
        keys, order, factory = aux
        target = defaultdict(factory) if cls is defaultdict else cls()
        if order is not None:
            target.update(dict.fromkeys(order))
        target.update(zip(keys, children, strict=True))
        return target

    return Kind(cls, flatten, unflatten, lambda aux, count: [f"[{key!r}]" for key in aux[0]])


def _namedtuple_kind(cls: Any) -> Kind:
    names = [f".{name}" for name in cls._fields]
    return Kind(cls, None, lambda aux, children: cls._make(children), lambda aux, count: names)


def _dataclass_kind(cls: Any) -> Kind:
    fields = dataclasses.fields(cls)
    names = [field.name for field in fields if not field.metadata.get("static")]
    static = [field.name for field in fields if field.metadata.get("static")]

    def flatten(obj: Any) -> tuple[list[Any], Hashable]:
        try:
            return [getattr(obj, name) for name in names], tuple([getattr(obj, name) for name in static])
        except AttributeError as error:
            raise TypeError(f"a {cls.__qualname__} can't be flattened: {error}") from None

    def unflatten(aux: Any, children: Sequence[Any]) -> Any:
        obj = object.__new__(cls)
        for name, value in zip(names + static, [*children, *aux], strict=True):
            object.__setattr__(obj, name, value)  # also into frozen and slotted instances
        return obj

    return Kind(cls, flatten, unflatten, lambda aux, count: [f".{name}" for name in names])


UNSEEN = Kind(object, None, lambda aux, children: None, _indices)

# The class of every object met so far: its Kind, or None for a leaf.
KINDS: dict[type, Kind | None] = {
    list: Kind(list, None, lambda aux, children: list(children), _indices),
    tuple: Kind(tuple, None, lambda aux, children: tuple(children), _indices),
    dict: _dict_kind(dict),
    OrderedDict: _dict_kind(OrderedDict),
    defaultdict: _dict_kind(defaultdict),
    type(None): Kind(type(None), lambda obj: ((), None), lambda aux, children: None, _indices),
}


def classify(cls: type) -> Kind | None:
    """The kind of a class that was UNSEEN, from now on in KINDS."""
    kind: Kind | None = None
    if issubclass(cls, tuple) and hasattr(cls, "_fields") and hasattr(cls, "_make"):
        kind = _namedtuple_kind(cls)
    elif dataclasses.is_dataclass(cls):
        kind = _dataclass_kind(cls)
    return KINDS.setdefault(cls, kind)


def register(
    cls: C,
    flatten: Callable[[Any], tuple[Iterable[Any], Hashable]],
    unflatten: Callable[[Any, Sequence[Any]], Any],
) -> C:
    """Make instances of `cls` containers, and return `cls`.

    `flatten(obj)` gives `(children, aux)`: the children in a fixed order, and whatever else is needed to
    rebuild the object, which has to be hashable and comparable. `unflatten(aux, children)` rebuilds it;
    it is called with any objects as children, so it should not convert or check them.
    Raises ValueError when `cls` is a built-in container or was registered before.
    """
    if not isinstance(cls, type):
        raise TypeError(f"register takes a class, not {cls!r}")
    known = KINDS.get(cls)
    if known is not None and not dataclasses.is_dataclass(cls) and not hasattr(cls, "_fields"):
        raise ValueError(f"{cls.__qualname__} is a container already")
    KINDS[cls] = Kind(cls, flatten, unflatten, _indices)
    return cls
