"""What a region keeps for its backward part: a minimum cut.

The backward part reads values of the forward part. Each can be kept, at the price of its bytes, or computed again
from other values where that is cheap (movement, sources, plain arithmetic; of large arrays all that is elementwise).
So what is kept has to cut every way from values that can't be had cheaply to values that are read, and the cheapest
such cut is a minimum cut of the graph

    source ─∞─> v         v can't be computed again: a carried value, or made by an op that costs more
    u ─∞─> v              v is computed again from u
    v ─price─> v'         through each value, the price of keeping it: its bytes, or what the caller says
    v' ─∞─> sink          the backward part reads v

found by augmenting paths (Edmonds and Karp 1972). Of all minimum cuts it takes the one nearest to the sink, which
computes the fewest values again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from weft.ir.dims import value_of
from weft.ir.graph import Op, Value
from weft.ir.space import CHEAP

AGAIN = CHEAP | frozenset("""
    dynamic_slice moving_slice gather bound div reciprocal sign floor ceil trunc rint copysign heaviside fmax fmin isnan
    isinf isfinite signbit logical_xor bitwise_and bitwise_or bitwise_xor bitwise_not left_shift right_shift
""".split())
LARGE = 1 << 15  # bytes: what is pushed in every trip fits in no near cache
Network = dict[Any, dict[Any, float]]


def is_cheap(op: Op) -> bool:
    """Ops that the backward part may as well run again.

    Of a large array that is all of them that go element by element: it would be written to memory and read back, which
    takes longer than an exponential.
    """
    if op.kind.family in ("source", "movement") or op.kind.name in AGAIN:
        return True
    return op.kind.family == "elementwise" and value_of(op.result.type.nbytes) >= LARGE


def free_values(ops: Iterable[Op], inputs: Iterable[Value]) -> set[Value]:
    """`inputs`, which the backward part has anyway, and what is cheap to compute from them alone."""
    free = set(inputs)
    for op in ops:
        if is_cheap(op) and all(v in free for v in op.operands):
            free.update(op.results)
    return free


def kept_values(
    needed: Collection[Value], ops: Sequence[Op], free: Collection[Value], price: Mapping[Value, float]
) -> list[Value]:
    """The values to keep so that `needed` can be had. ops: what makes the values; free: those that cost nothing."""
    maker = {r: op for op in ops for r in op.results if is_cheap(op)}
    forced = [v for v in needed if v not in free and v not in maker]  # in every cut
    free = free_values(ops, {*free, *forced})
    network: Network = {"source": {}, "sink": {}}
    values: list[Value] = []
    todo = list(dict.fromkeys(v for v in needed if v not in free))
    for v in todo:
        _edge(network, (v, "out"), "sink", math.inf)
    seen = set(todo)
    while todo:
        v = todo.pop()
        values.append(v)
        _edge(network, (v, "in"), (v, "out"), price.get(v, value_of(v.type.nbytes)))
        op = maker.get(v)
        if op is None:
            _edge(network, "source", (v, "in"), math.inf)
            continue
        for u in op.operands:
            if u not in free:
                _edge(network, (u, "out"), (v, "in"), math.inf)
                if u not in seen:
                    seen.add(u)
                    todo.append(u)
    while path := _path(network):
        steps = list(zip(path, path[1:], strict=False))
        flow = min(network[a][b] for a, b in steps)
        for a, b in steps:
            network[a][b] -= flow
            network[b][a] += flow
    late = _late(network)
    return forced + [v for v in values if (v, "in") not in late and (v, "out") in late]


def _edge(network: Network, a: Any, b: Any, capacity: float) -> None:
    network.setdefault(a, {})[b] = capacity
    network.setdefault(b, {}).setdefault(a, 0)


def _path(network: Network) -> list[Any]:
    """A shortest path from source to sink with room on every edge; empty when there is none."""
    came: dict[Any, Any] = {"source": None}
    todo = deque(["source"])
    while todo:
        a = todo.popleft()
        for b, room in network[a].items():
            if room > 0 and b not in came:
                came[b] = a
                todo.append(b)
        if "sink" in came:
            break
    node, path = "sink" if "sink" in came else None, []
    while node is not None:
        path.append(node)
        node = came[node]
    return path[::-1]


def _late(network: Network) -> set[Any]:
    """Nodes from which the sink can still be reached."""
    late = {"sink"}
    todo = ["sink"]
    while todo:
        b = todo.pop()
        for a in network[b]:
            if a not in late and network[a][b] > 0:
                late.add(a)
                todo.append(a)
    return late


def recomputed(kept: Collection[Value], needed: Iterable[Value], ops: Sequence[Op]) -> list[Op]:
    """The ops that give `needed` from what is kept, in program order."""
    wanted = set(needed)
    found = []
    for op in reversed(ops):
        if any(r in wanted and r not in kept for r in op.results):
            found.append(op)
            wanted.update(op.operands)
    return found[::-1]
