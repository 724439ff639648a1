"""NumPy programs with loops, in weft beside NumPy and Numba: `python -m benchmarks.loops [--programs heat_2d,...]`.

Prints for each program of `tests.programs` the median time per call of NumPy, of weft and of Numba (the same source,
or one written by hand where that is faster), the time of their first calls, weft's time for the gradient over its time
for the value, and how long weft takes to compile for 10, 1000 and 10000 trips. All take turns in one process, on one
thread, on fresh copies of the same arguments.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.__main__ import chosen as names
from benchmarks.table import duration
from tests.programs import BY_NAME, Program

NUMBA = ("as is", "by hand")
TRIPS = (10, 1000, 10_000)
NUMPY_SECONDS = 2.0  # as much as NumPy gets for a program, which is one call at least
SHAPED = frozenset({"cholesky", "lu", "gauss_jordan", "gram_schmidt", "householder", "floyd_warshall", "matrix_chain",
                    "floyd_warshall_elements", "forward_by_rows", "back_by_rows", "cholesky_columns", "lu_updates",
                    "lu_pivoted", "gram_schmidt_columns", "householder_parts", "csr_rows"})  # fmt: skip
MOST_SHAPED = 1000  # trips of those whose arguments are as large as the square of them


NUMBERS = itertools.count()


@dataclass
class Timed:
    """One way to run a program: seconds of the first call, and per call of each sample."""

    name: str
    first: float = 0.0
    samples: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


@dataclass
class Row:
    """What was measured of a program. `numba`: the faster of its versions, None without Numba."""

    program: str
    numpy: Timed
    weft: Timed
    numba: list[Timed]
    gradient: Timed | None
    compiled: dict[int, float]  # trips -> seconds
    note: str = ""

    @property
    def best_numba(self) -> Timed | None:
        return min(self.numba, key=lambda t: t.median, default=None)

    def cells(self) -> list[str]:
        best = self.best_numba
        return [
            self.program,
            duration(self.numpy.median),
            duration(self.weft.median),
            f"{duration(best.median)}{' *' if best.name == 'by hand' else ''}" if best else "-",
            f"{self.numpy.median / self.weft.median:.1f}",
            f"{self.weft.median / best.median:.2f}" if best else "-",
            f"{self.gradient.median / self.weft.median:.1f}" if self.gradient else "-",
            duration(self.weft.first),
            duration(best.first) if best else "-",
            duration(self.gradient.first) if self.gradient else "-",
            " ".join(f"{1e3 * s:.0f}" for s in self.compiled.values()),
            self.note,
        ]


HEADINGS = ["program", "numpy", "weft", "numba", "numpy/weft", "weft/numba", "grad/weft", "first weft", "first numba",
            "first grad", "compile ms: 10, 1k, 10k trips", ""]  # fmt: skip


def sample(function: Callable[..., Any], arguments: tuple[Any, ...], calls: int = 1) -> float:
    """Seconds per call, on copies of the arguments."""
    given = [copy.deepcopy(arguments) for _ in range(calls)]
    start = time.perf_counter()
    for one in given:
        function(*one)
    return (time.perf_counter() - start) / calls


def loss_of(program: Program) -> Callable[..., Any]:
    """The sum of all float results."""

    def loss(*args: Any) -> Any:
        results = program.function(*args)
        results = results if isinstance(results, tuple) else (results,)
        return sum(np.sum(r) for r in results if np.asarray(r, like=r).dtype.kind == "f" or isinstance(r, float))

    return loss


def measure(program: Program, rounds: int, sample_seconds: float) -> Row:
    import weft

    arguments = program.arguments(np.random.default_rng(0), *program.large)
    compiled = compile_times(program)
    ways = {"numpy": program.function, "weft": weft.compile(program.function), **numba_versions(program)}
    if program.smooth:
        ways["gradient"] = weft.compile(weft.grad(loss_of(program), argnums=program.smooth))
    timed = {name: Timed(name) for name in ways}
    calls = {}
    results = {}
    note = ""
    for name, function in list(ways.items()):
        given = copy.deepcopy(arguments)
        forget()
        start = time.perf_counter()
        try:
            results[name] = function(*given)
        except Exception as error:
            if name not in NUMBA:
                raise
            note = f"Numba, {name}: {type(error).__name__}"
            del ways[name], timed[name]
            continue
        timed[name].first = time.perf_counter() - start
        once = sample(function, arguments)
        calls[name] = max(1, min(1000, int(sample_seconds / once)))
        if name == "numpy":
            timed[name].samples.append(once)
    for _ in range(rounds):
        for name, function in ways.items():
            if name != "numpy" or sum(timed["numpy"].samples) < NUMPY_SECONDS:
                timed[name].samples.append(sample(function, arguments, calls[name]))
    numba = [t for name, t in timed.items() if name in NUMBA]
    row = Row(program.name, timed["numpy"], timed["weft"], numba, timed.get("gradient"), compiled)
    row.note = note if agree(results["weft"], results["numpy"]) else "results differ from NumPy's"
    return row


def numba_versions(program: Program) -> dict[str, Callable[..., Any]]:
    try:
        from benchmarks.loops_in_numba import versions
    except ImportError:
        return {}
    return versions(program)


def compile_times(program: Program) -> dict[int, float]:
    """Seconds from a call's arguments to its machine code. The trips are those of the outermost loop."""
    import weft

    found = {}
    for trips in TRIPS:
        if program.name in SHAPED and trips > MOST_SHAPED:
            continue
        arguments = program.arguments(np.random.default_rng(0), program.small[0], trips)
        forget()
        start = time.perf_counter()
        weft.compile(program.function).lower(*arguments).compile()
        found[trips] = time.perf_counter() - start
    return found


def forget() -> None:
    """Let weft know of no machine code: its cache is another from here on, and off the disk."""
    os.environ["WEFT_CACHE_DIR"] = f"/nowhere/{next(NUMBERS)}"


def agree(got: Any, want: Any) -> bool:
    if isinstance(want, tuple):
        return all(agree(a, b) for a, b in zip(got, want, strict=True))
    a, b = np.asarray(got), np.asarray(want)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-6, atol=1e-9)


def line(cells: list[str]) -> str:
    widths = (27, 8, 8, 10, 11, 11, 10, 11, 12, 11, 32)
    first, *rest = [c.rjust(w) for c, w in zip(cells, widths, strict=False)]
    return f"{first.strip():{widths[0]}} {' '.join(rest)}  {cells[-1]}".rstrip()


def warm_up() -> None:
    """Let both compilers compile something before: what they load, they load once."""
    import weft

    weft.compile(lambda x: x + 1)(np.ones(3))
    for function in numba_versions(BY_NAME["newton"]).values():
        function(0.5, 1.0, 1e-9)


def print_summary(rows: list[Row]) -> None:
    def middle(values: list[float]) -> str:
        return f"{statistics.geometric_mean(values):.2f}" if values else "-"

    numba = [r.weft.median / r.best_numba.median for r in rows if r.best_numba]
    slower = [r.program for r in rows if r.best_numba and r.weft.median > 1.1 * r.best_numba.median]
    gradient = [r.gradient.median / r.weft.median for r in rows if r.gradient]
    print(f"\ngeometric means: weft/numba {middle(numba)}, gradient/value {middle(gradient)}")
    print(f"slower than numba by more than a tenth: {len(slower)} of {len(numba)}: {', '.join(slower)}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loops", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--programs", type=names(BY_NAME), default=list(BY_NAME), help="some of them, by name")
    parser.add_argument("--rounds", type=int, default=7, help="turns that each gets (7)")
    parser.add_argument("--sample-seconds", type=float, default=0.01, help="length of a sample (0.01)")
    parser.add_argument("--threads", type=int, default=1, help="threads of weft, where Numba has one (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ["WEFT_NUM_THREADS"] = str(args.threads)
    os.environ["WEFT_CACHE"] = "0"  # first calls compile
    print(machine.describe(args.threads), flush=True)
    others = machine.Others(lambda: [os.getpid()])
    rows = []
    warm_up()
    print(line(HEADINGS))
    for name in args.programs:
        rows.append(measure(BY_NAME[name], args.rounds, args.sample_seconds))
        print(line(rows[-1].cells()), flush=True)
    print("(* written by hand as loops over elements)")
    print_summary(rows)
    print(f"other processes kept {others.share():.2f} processors busy meanwhile")
    if args.json:
        args.json.write_text(json.dumps({"machine": machine.describe(args.threads), "rows": [asdict(r) for r in rows]}))


if __name__ == "__main__":
    main()
