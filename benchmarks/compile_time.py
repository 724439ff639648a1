"""How compile time grows with a program: `python -m benchmarks.compile_time [--programs chain,mixed] [--ops 100,1000]`.

Prints for programs of 10^2, 10^3, ... ops what their capture, the passes, the writing of kernels and their object code
took, as `weft.explain` splits it, and the exponent with which all of it grows from size to size: 1 is linear. Each is
compiled in a process of its own, with nothing cached, that is ended at a time limit; larger programs are then left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import weft
from benchmarks import machine
from benchmarks.table import names
from weft.explanation import phases

PHASES = ("capture", "passes", "kernels", "object code", "rest")


@dataclass(frozen=True)
class Program:
    """`make(ops)` gives a function of about so many ops, and its arguments."""

    about: str
    make: Callable[[int], tuple[Callable[..., Any], tuple[Any, ...]]]


def chain(ops: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    def f(x: Any, a: Any, b: Any) -> Any:
        for _ in weft.unroll(range(ops // 2)):
            x = x * a + b
        return x

    return f, tuple(np.ones(1000, np.float32) for _ in range(3))


def mixed(ops: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    def f(x: Any, w: Any, b: Any) -> Any:
        for _ in weft.unroll(range(ops // 9)):
            h = np.tanh(x @ w + b)
            x = h / (1 + np.sum(h * h, axis=1, keepdims=True))
        return x

    return f, (np.ones((32, 32), np.float32), np.ones((32, 32), np.float32), np.ones(32, np.float32))


def gradient(ops: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    f, arguments = mixed(ops // 4)
    return weft.grad(lambda x, w, b: np.sum(f(x, w, b))), arguments


def updates(ops: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    def f(p: Any, g: Any) -> Any:
        return [a - 0.1 * b for a, b in zip(p, g, strict=True)]

    leaves = [[np.ones(10 + i % 7, np.float32) for i in range(ops // 2)] for _ in range(2)]
    return f, tuple(leaves)


PROGRAMS = {
    "chain": Program("x * a + b, again and again", chain),
    "mixed": Program("products, tanh, sums of rows, divisions", mixed),
    "gradient": Program("of such a program a quarter as long", gradient),
    "updates": Program("p - 0.1 g of many small arrays", updates),
}


def compiled(program: str, ops: int) -> dict[str, Any]:
    """Ops captured, seconds by phase, and the dearest pass."""
    weft.compile(lambda x: np.tanh(x) @ x)(np.ones((3, 3), np.float32))  # what the first compilation sets up
    f, arguments = PROGRAMS[program].make(ops)
    step = weft.compile(f)
    step(*arguments)
    (form,) = step.cache_info()
    stages = form.executable.stages
    by_name: dict[str, float] = {}
    for r in stages.records:
        name = r.name.removesuffix(" again")
        by_name[name] = by_name.get(name, 0.0) + r.seconds
    return {
        "ops": stages.records[0].before,
        "seconds": phases(form),
        "dearest": max(by_name.items(), key=lambda p: p[1]),
    }


def apart(program: str, ops: int, limit: float) -> dict[str, Any] | str:
    """What `compiled` gives in a process of its own; or why there is nothing."""
    command = [sys.executable, "-m", "benchmarks.compile_time", "--inside", program, str(ops)]
    environment = os.environ | {"WEFT_CACHE": "0"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment)
    except subprocess.TimeoutExpired:
        return f"longer than {limit:.0f} s"
    if done.returncode:
        return f"exit status {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1][:120]}"
    return json.loads(done.stdout.splitlines()[-1])


def exponent(before: tuple[int, float] | None, now: tuple[int, float]) -> str:
    if before is None or before[0] == now[0]:
        return ""
    return f"{math.log(now[1] / before[1]) / math.log(now[0] / before[0]):.2f}"


def curve(program: str, counts: list[int], limit: float) -> None:
    print(f"\n{program}: {PROGRAMS[program].about}")
    print(
        f"{'ops':>8}"
        + "".join(f"{phase:>12}" for phase in PHASES)
        + f"{'all':>9}{'per op':>9}{'growth':>8}  dearest pass"
    )
    before = None
    for count in counts:
        found = apart(program, count, limit)
        if isinstance(found, str):
            print(f"{count:8}  {found}", flush=True)
            break
        seconds = [found["seconds"].get(phase, 0.0) for phase in PHASES]
        total, ops = sum(seconds), found["ops"]
        line = f"{ops:8}" + "".join(f"{1e3 * s:9.1f} ms" for s in seconds)
        line += f"{total:7.2f} s{1e6 * total / ops:6.0f} us{exponent(before, (ops, total)):>8}"
        name, took = found["dearest"]
        print(f"{line}  {name} {1e3 * took:.1f} ms", flush=True)
        before = (ops, total)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_time", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--programs", type=names(PROGRAMS), default=list(PROGRAMS), help=f"of {', '.join(PROGRAMS)}")
    parser.add_argument("--ops", default="100,1000,10000,100000", help="sizes, rising (100,1000,10000,100000)")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that one program may take (60)")
    parser.add_argument("--inside", nargs=2, metavar=("PROGRAM", "OPS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        print(json.dumps(compiled(args.inside[0], int(args.inside[1]))))
        return
    print(machine.describe(len(os.sched_getaffinity(0))), flush=True)
    for program in args.programs:
        curve(program, [int(count) for count in args.ops.split(",")], args.limit)


if __name__ == "__main__":
    main()
