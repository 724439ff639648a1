"""The command line: `weft --version`, `weft cache ...`, `weft dump ...`. Also `python -m weft`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import weft
from weft.cli_output import CommandError, take_standard_output, write

EXAMPLES = """examples:
  weft dump train.py -- --epochs 1                       what the first compiled call becomes
  weft dump train.py --function step --stage kernels     the kernels of `step`
  weft dump train.py --diff                              what each pass changes
  weft dump train.py -o step.svg                         a picture
  weft dump loss.ir --passes grad,simplify,cse           a pass on IR text
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. To dump a script takes over the process: see `take_standard_output`."""
    given = list(sys.argv[1:] if argv is None else argv)
    cut = given.index("--") if "--" in given else len(given)
    parser = _parser()
    options, unknown = parser.parse_known_args(given[:cut])
    if unknown:
        hint = " (a script's own come after --)" if options.command == "dump" else ""
        parser.error(f"unknown arguments: {' '.join(unknown)}{hint}")
    try:
        if options.command == "dump":
            return _dump(options, given[cut + 1 :])
        if options.command == "cache":
            return _cache(options.action)
    except CommandError as error:
        print(f"weft {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    parser.error("no command: cache or dump, see weft --help")


def _parser() -> _Parser:
    parser = _Parser(prog="weft", description="A compiler and differentiator for the NumPy you already have.")
    parser.add_argument("--version", action="version", version=f"weft {weft.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    cache = commands.add_parser("cache", help="look at the disk cache of object code, or empty it")
    cache.add_argument("action", choices=("path", "list", "clear", "verify"))
    dump = commands.add_parser(
        "dump",
        help="print or draw what a function becomes in the compiler",
        usage="weft dump FILE [options] [-- SCRIPT ARGUMENTS]",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = dump.add_argument
    add("file", type=Path, metavar="FILE", help="a Python script, run up to its first compiled call; or IR text, *.ir")
    add("--function", default="", metavar="NAME", help="wait for a call of this compiled function")
    add("--passes", default="", metavar="A,B", help="run these passes first, grad or none among them")
    add("--stage", default="", help="trace, grad, simplified, fused, memory, kernels, llvm or asm")
    add("--target", default="cpu", help="cpu or cuda, for --stage kernels")
    add("--diff", action="store_true", help="what each pass changes on the way to the stage")
    add("--format", default="", help="text, dot (for graphviz) or svg; by default what -o ends in, or text")
    add("-o", dest="output", type=Path, metavar="OUT", help="write here instead of to standard output")
    return parser


def _cache(action: str) -> int:
    from weft.cli_cache import cache_text

    logging.basicConfig(format="weft cache: %(message)s")  # why there is no cache, if there is none
    text, status = cache_text(action)
    write(text, sys.stdout)
    return status


def _dump(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    from weft.cli_dump import Request, dump

    out: Path | None = options.output.absolute() if options.output else None  # the script may go elsewhere
    if out is not None and not out.parent.is_dir():
        raise CommandError(f"{out}: there is no folder {out.parent}")
    suffix = out.suffix[1:] if out is not None else ""
    request = Request(
        options.file,
        arguments,
        options.function,
        options.passes,
        options.stage,
        options.target,
        options.diff,
        options.format or (suffix if suffix in ("dot", "svg") else "text"),
    )
    to = out or (sys.stdout if request.is_ir else take_standard_output())
    write(dump(request), to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
