"""What this machine does per second, measured by weft's own kernels: `machine()`. And a fused graph's costs beside it.

Asked for when costs are shown, never by a compilation. One measurement takes about a tenth of a second and is kept in
the cache, for each number of threads, until that is cleared.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np

from weft.ir.cost import Machine, cost, op_cost
from weft.ir.graph import Graph, Op
from weft.ir.parse import parse
from weft.pipeline import Stages
from weft.runtime import pool
from weft.runtime.cache import cache_key, default_cache

LARGE = 1 << 24  # elements: no cache holds them
NEAR = 1 << 17
CHAINS, LENGTH = 8, 6  # of multiplications with additions: enough that none waits for another
SHOWN = 200  # kernels
COPY = "def copy(x: f32[{n}]) -> f32[{n}]:\n    y: f32[{n}] = neg(x)\n    return y\n"


def machine() -> Machine:
    """The roofline of this machine with as many threads as weft uses now. Measured when it is first asked for."""
    threads = pool.threads()
    key = cache_key("roofline", f"{LARGE} {NEAR} {CHAINS} {LENGTH} {threads}")
    entry = default_cache().get(key)
    if entry is not None:
        return Machine(**json.loads(entry.payload))
    found = _measure()
    numbers = {"memory": found.memory, "near": found.near, "rate": found.rate}
    default_cache().put(key, json.dumps(numbers).encode(), {}, label="roofline")
    return found


def _measure() -> Machine:
    call = _seconds(COPY.format(n=16), 16, 50)
    memory = _seconds(COPY.format(n=LARGE), LARGE, 7)
    near = _seconds(COPY.format(n=NEAR), NEAR, 100) - call
    text = _chains(NEAR)
    compute = _seconds(text, NEAR, 100) - call
    rate = cost(parse(text)).flops / max(compute, 1e-9)
    return Machine(8 * LARGE / memory, max(8 * NEAR / max(near, 1e-9), 8 * LARGE / memory), rate)


def _seconds(text: str, n: int, times: int) -> float:
    """The least time of a call: a roofline is what the machine can do when it is left alone."""
    run, x = Stages(parse(text), check=False).compile(), np.ones(n, np.float32)
    run([x])
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        run([x])
        taken.append(time.perf_counter() - start)
    return min(taken)


def _chains(n: int) -> str:
    """x*x + 1 and so on, several times beside each other."""
    lines, heads = [], []
    for c in range(CHAINS):
        last = "x"
        for k in range(LENGTH):
            lines.append(f"p{c}_{k}: f32[{n}] = mul({last}, f32({0.5 + 0.01 * c}))")
            lines.append(f"s{c}_{k}: f32[{n}] = add(p{c}_{k}, x)")
            last = f"s{c}_{k}"
        heads.append(last)
    for c, head in enumerate(heads[1:]):
        lines.append(f"y{c}: f32[{n}] = add({heads[0] if c == 0 else f'y{c - 1}'}, {head})")
    body = "".join(f"    {line}\n" for line in lines)
    return f"def chains(x: f32[{n}]) -> f32[{n}]:\n{body}    return y{CHAINS - 2}\n"


def costs(graph: Graph) -> str:
    """A table of a fused graph's kernels and products, as comments: what each must move and compute, and how long that
    takes at this machine's rates. Of what is in a loop, one trip."""
    rows = [(name, op_cost(op)) for op, name in _parts(graph)]
    if not rows:
        return ""
    here = machine()
    head = ("", "read", "written", "flops", "predicted", "bound by")
    table: list[tuple[str, ...]] = [head]
    for name, found in rows[:SHOWN]:
        amounts = [amount(n, unit) for n, unit in ((found.read, "B"), (found.written, "B"), (found.flops, ""))]
        table.append((name, *amounts, duration(found.seconds(here)), found.bound(here)))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [f"# {row[0]:{widths[0]}}" + "".join(f"  {t:>{w}}" for t, w in zip(row[1:], widths[1:], strict=True))
             for row in table]  # fmt: skip
    more = [f"# and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return "\n".join([f"# {pool.threads()} threads: {here}", *lines, *more]) + "\n"


def _parts(graph: Graph) -> Iterator[tuple[Op, str]]:
    """Kernels, by name, and products, also those of loops and branches."""
    for op in graph.ops:
        if op.kind.name == "call":
            yield op, op.regions[0].name
        elif op.kind.name == "dot":
            yield op, f"dot {op.result.name}".strip()
        else:
            for region in op.regions:
                yield from _parts(region)


def amount(n: float, unit: str) -> str:
    """A number with a prefix: 1.5 MB."""
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= scale:
            return f"{n / scale:.3g} {prefix}{unit}"
    return f"{n:.3g} {unit}".strip()


def duration(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} us"
