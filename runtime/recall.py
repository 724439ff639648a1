"""Steps that were compiled before, recalled by the graph that was captured: no pass runs, no kernel is written.

    digest of the graph, weft's own sources, CPU, LLVM -> a note: kernels' and step's keys, and what a caller must pass
                                                           |
                                                           +-- objects from the cache, linked -> an executable

Nothing is recalled, and the long way gone, when sizes are symbols (passes write guards), for library ops (which run by
what they are, not by their code), when a note or an object is missing, and when places in the program that errors
show are not what they were.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from weft.codegen.unit import Needs, Unit
from weft.ir.digest import digest
from weft.ir.graph import Graph, Location, Op, Value
from weft.ir.opdef import REGISTRY
from weft.ir.records import dataclass
from weft.ir.types import TensorType
from weft.runtime.cache import default_cache
from weft.runtime.native import Library, load_cached, unit_key
from weft.runtime.stamp import stamped

MOST_CONSTANTS = 1 << 20  # bytes of constants in a note


@dataclass(frozen=True)
class Name:
    """What a step is remembered by: the key of its note, and where its ops come from."""

    key: str
    places: str


@dataclass(frozen=True)
class Recalled:
    """A step from the cache. taken: as the memory plan has it, output -> the input whose buffer it takes."""

    needs: Needs
    taken: dict[int, int]
    library: Library


def name(graph: Graph, donate: Collection[Any]) -> Name | None:
    """The name of the step that a captured graph becomes; None where it has none."""
    if default_cache().path is None:
        return None
    found = digest(graph)
    key = None if found is None else stamped("step", f"{found[0]} {sorted(map(str, donate))}")
    return None if found is None or key is None else Name(key, found[1])


def recall(name: Name) -> Recalled | None:
    """The step of that name, loaded; None where it has to be compiled."""
    cache = default_cache()
    entry = cache.get(name.key)
    if entry is None:
        return None
    note = entry.meta
    if note["bounds"] and note["places"] != name.places:
        return None
    library = load_cached([tuple(part) for part in note["parts"]], cache)
    if library is None:
        return None
    constants, at = [], 0
    for dtype, shape in note["constants"]:
        size = np.dtype(dtype).itemsize * math.prod(shape)
        constants.append(np.frombuffer(entry.payload[at : at + size], dtype).reshape(shape).copy())
        at += size
    needs = Needs(
        constants, note["arena"], note["parallel"], [_bound(*b) for b in note["bounds"]], note["errors"], note["stacks"]
    )
    return Recalled(needs, {int(j): i for j, i in note["taken"].items()}, library)


def remember(name: Name, needs: Needs, units: Collection[Unit], taken: dict[int, int], label: str) -> None:
    """Leave a note of what a step became, if it can be recalled from one."""
    constants = [np.ascontiguousarray(c) for c in needs.constants]
    if needs.library or needs.sizes or sum(c.nbytes for c in constants) > MOST_CONSTANTS:
        return
    numbers = [needs.arena, needs.errors, *(v for op in needs.bounds for v in op.attrs.values())]
    if not all(type(n) in (int, str) for n in numbers):
        return
    note = {
        "kind": "note",
        "places": name.places,
        "parts": [(u.kind, u.symbol, unit_key(u)) for u in units],
        "constants": [(c.dtype.str, np.shape(a)) for c, a in zip(constants, needs.constants, strict=True)],
        "arena": needs.arena,
        "parallel": needs.parallel,
        "bounds": [(op.kind.name, dict(op.attrs), _where(op)) for op in needs.bounds],
        "errors": needs.errors,
        "stacks": needs.stacks,
        "taken": taken,
    }
    default_cache().put(name.key, b"".join(c.tobytes() for c in constants), note, label=label)


def _where(op: Op) -> tuple[str, int, str] | None:
    at = op.location
    return None if at is None else (at.file, at.line, at.expression)


def _bound(kind: str, attrs: dict[str, Any], where: list[Any] | None) -> Op:
    """As much of an op that checks an index as an error shows."""
    location = None if where is None else Location(*where)
    return Op(REGISTRY[kind], (), attrs, (), (Value(TensorType("i64"), "", location),))
