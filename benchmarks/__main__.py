"""weft beside its peers: `python -m benchmarks [--works gelu,mlp] [--peers weft,jax] [--threads 2]`.

Prints, for each work, each peer's median time per call (and half the range between the quartiles), its ratio
to the best peer's, the time of the first call in a process that has compiled something else before, and what
the work adds to the process's memory at its peak.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import machine
from benchmarks.measure import Result, measure
from benchmarks.peers import BY_NAME as PEERS
from benchmarks.works import BY_NAME as WORKS


def names(known: dict) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in chosen if name not in known]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(
                f"choose from {', '.join(known)}; not {', '.join(unknown) or 'nothing'}"
            )
        return chosen

    return parse


def duration(seconds: float) -> str:
    units = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
    unit, scale = next((u for u in units if seconds >= u[1]), units[-1])
    value = seconds / scale
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"


def print_versions(peers: list[str]) -> None:
    found = [f"{name} {PEERS[name].version() or 'not installed'}" for name in peers]
    print(f"Python {platform.python_version()}; {'; '.join(found)}")


def best_peer(results: list[Result]) -> Result | None:
    others = [r for r in results if r.samples and r.peer != "weft"]
    return min(others, key=lambda r: r.median, default=None)


def print_work(about: str, results: list[Result]) -> None:
    print(f"\n{results[0].work}: {about}")
    best = best_peer(results)
    for r in results:
        if not r.samples:
            print(f"  {r.peer:14} {r.note}")
            continue
        ratio = f"{r.median / best.median:8.2f}" if best else ""
        line = f"  {r.peer:14}{duration(r.median):>9} ±{100 * r.spread:3.0f} %{ratio}"
        line += f"   first {duration(r.first):>8}   memory {r.memory / 1e6:7.1f} MB"
        print(f"{line}   {r.note}".rstrip())
    if results[0].others > 0.05:
        print(f"  (other processes kept {results[0].others:.2f} processors busy meanwhile: distrust these)")


def print_summary(all_results: list[list[Result]]) -> None:
    """One line per work: weft over the best of the peers, by time, first call and memory."""
    head = f"{'weft over the best peer':24}{'time':>8} {'(peer)':16}{'first call':>11} {'(peer)':16}"
    print(f"\n{head}{'memory':>8} (peer)")
    for results in all_results:
        ours = next((r for r in results if r.peer == "weft" and r.samples), None)
        others = [r for r in results if r.samples and r.peer != "weft"]
        if ours is None or not others:
            continue
        time = min(others, key=lambda r: r.median)
        compiled = [r for r in others if r.peer in ("jax", "torch.compile")]
        first = min(compiled, key=lambda r: r.first, default=None)
        memory = min(others, key=lambda r: r.memory)
        line = f"{ours.work:24}{ours.median / time.median:8.2f} {'(' + time.peer + ')':16}"
        line += f"{ours.first / first.first:11.2f} {'(' + first.peer + ')':16}" if first else " " * 28
        if memory.memory >= 1e6:
            line += f"{ours.memory / memory.memory:8.2f} ({memory.peer})"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="weft beside its peers, in one run."
    )
    parser.add_argument("--works", type=names(WORKS), default=list(WORKS), help=f"of {', '.join(WORKS)}")
    parser.add_argument("--peers", type=names(PEERS), default=list(PEERS), help=f"of {', '.join(PEERS)}")
    parser.add_argument("--threads", type=int, default=2, help="threads of every peer (2)")
    parser.add_argument("--rounds", type=int, default=8, help="turns that each peer gets (8)")
    parser.add_argument(
        "--sample-seconds", type=float, default=0.01, help="length of a sample, 5 a turn (0.01)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    args = parser.parse_args()

    print(machine.describe(args.threads))
    print_versions(args.peers)
    peers = [PEERS[name] for name in args.peers]
    all_results = []
    for name in args.works:
        results = measure(
            WORKS[name], peers, threads=args.threads, rounds=args.rounds, sample_seconds=args.sample_seconds
        )
        all_results.append(results)
        print_work(WORKS[name].about, results)
        sys.stdout.flush()
    print_summary(all_results)
    if args.json:
        records = [r.record() for results in all_results for r in results]
        args.json.write_text(
            json.dumps({"machine": machine.describe(args.threads), "results": records}, indent=1)
        )


if __name__ == "__main__":
    main()
