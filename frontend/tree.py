"""Pytrees: nested containers seen as a flat list of leaves and a shape to hang them on again.

    {"W": W, "b": b, "rest": [c, None]}
        flatten    -> [W, b, c],  TreeDef({'W': *, 'b': *, 'rest': [*, None]})
        unflatten  -> the same containers around other leaves

Containers are dict (also OrderedDict, defaultdict), list, tuple, namedtuples, instances of dataclasses,
None (a container of nothing) and the classes given to `register`. Everything else is a leaf, subclasses of
the above included: a subclass may hold more than its items, so it has to be registered.

Two dicts with the same keys have the same structure whatever order the keys were put in: their leaves come
in the order of the sorted keys. Only keys that can't be sorted (a string beside an int) keep the order of
insertion. `unflatten` gives dicts back in the order in which the flattened one had its keys.

A dataclass is rebuilt field by field, without `__init__` and `__post_init__`; fields declared with
`field(metadata={"static": True})` are no children but part of the structure, and compared by `==`.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from weft.frontend.tree_kinds import KINDS, UNSEEN, Kind, classify, register

__all__ = ["TreeDef", "all", "flatten", "leaves", "map", "reduce", "register", "structure", "unflatten"]

Predicate = Callable[[Any], bool]


class _Leaf:
    """The structure of a leaf."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "*"


_LEAF = _Leaf()
Spec = Any  # _LEAF, or (Kind, aux, tuple of the children's Specs)


class TreeDef:
    """The structure of a tree without its leaves: hashable, comparable, and shown with `*` for each leaf."""

    __slots__ = ("spec", "num_leaves")

    def __init__(self, spec: Spec, num_leaves: int) -> None:
        self.spec = spec
        self.num_leaves = num_leaves

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, TreeDef) and bool(self.spec == other.spec))

    def __hash__(self) -> int:
        return hash(self.spec)

    def __repr__(self) -> str:
        return f"TreeDef({_show(self.spec)})"

    def __reduce__(self) -> Any:
        return structure, (unflatten(self, [0] * self.num_leaves),)

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree of this structure around `leaves`; ValueError when they are too many or too few."""
        return unflatten(self, leaves)

    def paths(self, root: str = "") -> list[str]:
        """What to write after (or with) the name `root` to reach each leaf: `params[0]['W']`, `state.mu`."""
        found: list[str] = []
        _paths(self.spec, root, found)
        return found


def flatten(tree: Any, is_leaf: Predicate | None = None) -> tuple[list[Any], TreeDef]:
    """The leaves of `tree`, in order, and its structure.

    Objects for which `is_leaf` is true are leaves, whatever they are.
    """
    found: list[Any] = []
    try:
        spec = _flatten(tree, found) if is_leaf is None else _flatten_until(tree, found, is_leaf)
    except RecursionError:
        raise ValueError("this tree nests too deeply, or one of its containers contains itself") from None
    return found, TreeDef(spec, len(found))


def unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of structure `treedef` around `leaves`; ValueError when they are too many or too few."""
    items = leaves if isinstance(leaves, (list, tuple)) else list(leaves)
    if len(items) != treedef.num_leaves:
        raise ValueError(f"{treedef!r} has {treedef.num_leaves} leaves, but {len(items)} were given")
    return _unflatten(treedef.spec, iter(items))


def leaves(tree: Any, is_leaf: Predicate | None = None) -> list[Any]:
    """The leaves of `tree`, in order."""
    return flatten(tree, is_leaf)[0]


def structure(tree: Any, is_leaf: Predicate | None = None) -> TreeDef:
    """The structure of `tree`."""
    return flatten(tree, is_leaf)[1]


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Predicate | None = None) -> Any:
    """The tree of `f(leaf, *others)` over the leaves of `tree`, where `others` come from the trees in `rest`.

    Each of `rest` has to have the structure of `tree`, but where `tree` has a leaf it may have a whole
    subtree, which `f` gets as it is. Anything else is a ValueError that names the place.
    """
    first, treedef = flatten(tree, is_leaf)
    columns = [first]
    for position, other in enumerate(rest, start=2):
        items: list[Any] = []
        _flatten_like(treedef.spec, other, items, "", position)
        columns.append(items)
    return _unflatten(treedef.spec, iter([f(*row) for row in zip(*columns, strict=True)]))


_MISSING = object()


def reduce(f: Callable[[Any, Any], Any], tree: Any, initializer: Any = _MISSING) -> Any:
    """`functools.reduce` over the leaves of `tree`."""
    if initializer is _MISSING:
        return functools.reduce(f, leaves(tree))
    return functools.reduce(f, leaves(tree), initializer)


def all(tree: Any) -> bool:
    """Whether all leaves of `tree` are true."""
    return builtins.all(leaves(tree))


def _flatten(tree: Any, found: list[Any]) -> Spec:
    kind = KINDS.get(type(tree), UNSEEN)
    if kind is UNSEEN:
        kind = classify(type(tree))
    if kind is None:
        found.append(tree)
        return _LEAF
    return _flatten_node(tree, kind, found)


def _flatten_node(tree: Any, kind: Kind, found: list[Any]) -> Spec:
    # The hot loop of every compiled call: leaves are handled here, without a call for each.
    children, aux = (tree, None) if kind.flatten is None else kind.flatten(tree)
    specs = []
    for child in children:
        below = KINDS.get(type(child), UNSEEN)
        if below is None:
            found.append(child)
            specs.append(_LEAF)
        elif below is UNSEEN:
            specs.append(_flatten(child, found))
        else:
            specs.append(_flatten_node(child, below, found))
    return kind, aux, tuple(specs)


def _flatten_until(tree: Any, found: list[Any], is_leaf: Predicate) -> Spec:
    kind = None if is_leaf(tree) else KINDS.get(type(tree), UNSEEN)
    if kind is UNSEEN:
        kind = classify(type(tree))
    if kind is None:
        found.append(tree)
        return _LEAF
    children, aux = (tree, None) if kind.flatten is None else kind.flatten(tree)
    return kind, aux, tuple([_flatten_until(child, found, is_leaf) for child in children])


def _unflatten(spec: Spec, items: Any) -> Any:
    if spec is _LEAF:
        return next(items)
    kind, aux, specs = spec
    return kind.unflatten(aux, [next(items) if s is _LEAF else _unflatten(s, items) for s in specs])


def _flatten_like(spec: Spec, tree: Any, found: list[Any], path: str, position: int) -> None:
    """Append to `found` what `tree` has at each leaf of `spec`."""
    if spec is _LEAF:
        found.append(tree)
        return
    kind, aux, specs = spec
    keys = kind.keys(aux, len(specs))
    other = KINDS.get(type(tree), UNSEEN)
    if other is UNSEEN:
        other = classify(type(tree))
    children, other_aux = _open(tree, other)
    if other is not kind or other_aux != aux or len(children) != len(specs):
        leaf = f"a leaf ({type(tree).__qualname__})"
        theirs = leaf if other is None else _describe(other, other_aux, children)
        where = f"at {path}" if path else "at the root"
        raise ValueError(
            f"tree.map: argument {position} differs in structure from the first {where}: "
            f"{_describe(kind, aux, specs)} in the first, {theirs} in argument {position}"
        )
    for child_spec, child, key in zip(specs, children, keys, strict=True):
        _flatten_like(child_spec, child, found, path + key, position)


def _open(tree: Any, kind: Kind | None) -> tuple[Sequence[Any], Any]:
    if kind is None or kind.flatten is None:
        return (() if kind is None else tree), None
    children, aux = kind.flatten(tree)
    return list(children), aux


def _describe(kind: Kind, aux: Any, children: Sequence[Any]) -> str:
    name = kind.cls.__qualname__
    if issubclass(kind.cls, dict):
        return f"a {name} with keys {', '.join([repr(key) for key in aux[0]]) or '(none)'}"
    if kind.cls is type(None):
        return "None"
    count = len(children)
    about = f" ({aux!r})" if aux else ""
    return f"a {name}{about} of {count} item{'' if count == 1 else 's'}"


def _paths(spec: Spec, path: str, found: list[str]) -> None:
    if spec is _LEAF:
        found.append(path)
        return
    kind, aux, specs = spec
    for child, key in zip(specs, kind.keys(aux, len(specs)), strict=True):
        _paths(child, path + key, found)


def _show(spec: Spec) -> str:
    if spec is _LEAF:
        return "*"
    kind, aux, specs = spec
    name, inner = kind.cls.__qualname__, [_show(child) for child in specs]
    if kind.cls is type(None):
        return "None"
    if kind.cls is list:
        return f"[{', '.join(inner)}]"
    if kind.cls is tuple:
        return f"({', '.join(inner)}{',' if len(inner) == 1 else ''})"
    if issubclass(kind.cls, dict):
        items = ", ".join([f"{key!r}: {child}" for key, child in zip(aux[0], inner, strict=True)])
        return f"{{{items}}}" if kind.cls is dict else f"{name}({{{items}}})"
    keys = kind.keys(aux, len(specs))
    labels = [f"{key[1:]}=" if key.startswith(".") else "" for key in keys]
    parts = [label + child for label, child in zip(labels, inner, strict=True)]
    return f"{name}({', '.join([*parts, repr(aux)] if aux else parts)})"
