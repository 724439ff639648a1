"""weft beside its peers: `python -m benchmarks [--only gelu*,mlp] [--peers weft,jax] [--json FILE] [--picture FILE]`.

Prints a block per row of the table in `rows.py`: each peer's median and half the range between the quartiles, and its
ratio to the best of the others; then one table of weft over the best peer beside what weft promises, and writes JSON
and a picture. All of it takes about a quarter of an hour; without torch.compile, which compiles for half of that, less.
`--json FILE --go-on` keeps the rows of FILE that are not measured anew.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine, table
from benchmarks.kinds import KINDS
from benchmarks.peers import BY_NAME as PEERS
from benchmarks.picture import draw
from benchmarks.process import Run
from benchmarks.record import Record
from benchmarks.results import Measured
from benchmarks.rows import BY_NAME as ROWS
from benchmarks.rows import Row
from benchmarks.turns import Turns

ON_REQUEST = frozenset({"installed"})  # takes a minute, and a package index
QUICK = {"rounds": 1, "sample_seconds": 0.001, "repeats": 1}


def chosen(known: dict[str, Any]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        try:
            return table.names(known)(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def measure(row: Row, run: Run) -> Measured:
    others = machine.Others(run.pids)
    results = KINDS[row.kind].measure(row, run)
    return Measured(row, results, others.share())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="weft beside its peers, in one run.")
    default = [name for name in ROWS if name not in ON_REQUEST]
    parser.add_argument("--only", type=chosen(ROWS), default=default, help=f"rows, of {', '.join(ROWS)}")
    parser.add_argument("--installed", action="store_true", help="also the installed size, which takes a minute")
    parser.add_argument("--peers", type=chosen(PEERS), default=list(PEERS), help=f"of {', '.join(PEERS)}")
    parser.add_argument("--threads", type=int, default=2, help="threads of every peer (2)")
    parser.add_argument("--rounds", type=int, default=6, help="turns that each peer gets (6)")
    parser.add_argument("--sample-seconds", type=float, default=0.01, help="length of a sample, 5 a turn (0.01)")
    parser.add_argument("--repeats", type=int, default=3, help="processes for what each can do but once (3)")
    parser.add_argument("--quick", action="store_true", help="one short turn: to see that everything runs")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="share the machine with who holds this file's lock")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--go-on", action="store_true", help="keep the other rows of that file")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw the table there")
    parser.add_argument("--show", action="store_true", help="measure nothing: print and draw what --json holds")
    args = parser.parse_args()
    if (args.go_on or args.show) and args.json is None:
        parser.error("--go-on and --show need --json FILE")
    return args


def main() -> None:
    args = arguments()
    fresh = Record(machine.describe(args.threads), {name: PEERS[name].version() for name in args.peers})
    record = Record.read(args.json) if args.show or args.go_on and args.json.exists() else fresh
    record.versions |= {} if args.show else fresh.versions
    print(record.machine)
    versions = [f"{name} {version or 'not installed'}" for name, version in record.versions.items()]
    print(f"Python {platform.python_version()}; {'; '.join(versions)}", flush=True)
    if not args.show:
        _measure_all(args, record)
    print(f"\n{table.summary(record.measured)}")
    if args.picture:
        args.picture.write_text(draw(record.measured, record.machine), "utf-8")


def _measure_all(args: argparse.Namespace, record: Record) -> None:
    settings = {name: getattr(args, name) for name in QUICK} | (QUICK if args.quick else {})
    rows = [*args.only, *(["installed"] if args.installed and "installed" not in args.only else [])]
    turns = Turns(args.lock)
    with tempfile.TemporaryDirectory(prefix="weft-benchmarks-") as folder:
        run = Run([PEERS[name] for name in args.peers], Path(folder), args.threads, **settings)
        try:
            for name in rows:
                turns.begin()
                measured = measure(ROWS[name], run)
                turns.end()
                record.add(measured)
                print(f"\n{table.block(measured)}", flush=True)
                if args.json:
                    record.write(args.json)
        finally:
            run.close()


if __name__ == "__main__":
    main()
