"""`weft dump SCRIPT.py`: run a script as Python would, up to the first call of a compiled function.

The pipeline tells its watcher of each captured graph before it compiles it. The watcher keeps the graph that was
asked for and stops the script by an exception, which leaves through the script's own `finally` blocks.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

from weft.cli_output import CommandError
from weft.compiler import compile_graph
from weft.pipeline import Stages


class Lookout:
    """The pipeline's watcher: waits for a captured call of the function `wanted`, or of any if that is ""."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.names: list[str] = []
        self.called: list[str] = []
        self.found: Stages | None = None

    def declared(self, name: str) -> None:
        if name not in self.names:
            self.names.append(name)

    def captured(self, stages: Stages) -> None:
        if self.found is None:
            self.called.append(stages.label)
            if not self.wanted or self.is_wanted(stages.label):
                self.found = stages
        if self.found is not None:  # also when the script caught the first one and went on
            raise SystemExit  # passes `except Exception`, and ends a thread without a word

    def is_wanted(self, name: str) -> bool:
        """By its qualified name or the last part of that."""
        return self.wanted in (name, name.rpartition(".")[2])


def stages_of(path: Path, arguments: Sequence[str], wanted: str = "") -> Stages:
    """Run a script until it calls the compiled function `wanted`; "" for any. What that call would compile.

    Raises CommandError when the script can't be run, fails, or makes no such call.
    """
    code = _compiled(path)
    lookout = Lookout(wanted)
    compile_graph.watcher = lookout
    ended = "ends"
    try:
        _run(path, code, arguments)
    except SystemExit as stop:
        ended = "ends" if stop.code in (None, 0) else f"exits (status {stop.code})"
    except Exception as error:
        if lookout.found is None:
            raise CommandError(_failure(error, path)) from None
    finally:
        compile_graph.watcher = None
    if lookout.found is None:
        raise CommandError(f"{path} {ended} without {_missed(lookout)}")
    return lookout.found


def _compiled(path: Path) -> CodeType:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    if b"\0" in source:
        raise CommandError(f"{path} is a binary file, not a Python script")
    try:
        return compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f"{path}:{error.lineno}" if error.lineno else str(path)
        raise CommandError(f"{where}: not Python: {error.msg}") from None


def _run(path: Path, code: CodeType, arguments: Sequence[str]) -> None:
    """Execute the script as the module `__main__`, which it stays: its threads and exit handlers look there."""
    module = ModuleType("__main__")
    module.__dict__.update(__file__=str(path), __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = module
    sys.argv = [str(path), *arguments]
    folder = os.path.dirname(os.path.realpath(path))
    sys.path[: 0 if sys.flags.safe_path else 1] = [folder]  # in place of what Python put there for us
    exec(code, module.__dict__)


def _failure(error: Exception, path: Path) -> str:
    """`file:line: ValueError: ...`, the place being the last one of the traceback outside weft and NumPy."""
    place, step = str(path), error.__traceback__
    while step is not None:
        frame = step.tb_frame
        if frame.f_globals.get("__name__", "").partition(".")[0] not in ("weft", "numpy"):
            place = f"{frame.f_code.co_filename}:{step.tb_lineno}"
        step = step.tb_next
    said = str(error).strip().partition("\n")[0]
    return f"{place}: {type(error).__name__}" + (f": {said}" if said else "")


def _missed(lookout: Lookout) -> str:
    """What the script did not do, and the compiled functions that it has."""
    if not lookout.names:
        return "giving a function to weft.compile"
    known = ", ".join(f"{name} (called)" if name in lookout.called else name for name in lookout.names)
    what = "a call of " + (repr(lookout.wanted) if lookout.wanted else "a compiled function")
    if lookout.wanted and not any(map(lookout.is_wanted, lookout.names)):
        what = f"a compiled function {lookout.wanted!r}"
    return f"{what}; it has {known}"
