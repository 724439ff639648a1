"""`weft dump`: the IR of a script's compiled function, or of a file of IR text, at a stage of the compiler.

    graph of a call, or of a file  --passes named by hand-->  --PASSES up to the stage-->  text, diff or picture

Everything is verified between passes. What can't be done is a CommandError.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from weft.cli_output import CommandError
from weft.cli_script import stages_of
from weft.codegen.numba_cuda import CudaError
from weft.ir.builder import Builder
from weft.ir.changes import changes
from weft.ir.draw import print_dot
from weft.ir.draw_svg import print_svg
from weft.ir.graph import Graph
from weft.ir.layout import TooLarge
from weft.ir.parse import ParseError, parse
from weft.ir.verify import VerifyError, verify
from weft.passes.dce import dce
from weft.passes.differentiate import reverse
from weft.passes.manager import Pass, Record, run
from weft.pipeline import GRAPHS, PASSES, Stages

STAGES = (*GRAPHS, "memory", "kernels", "llvm", "asm")
TARGETS = ("cpu", "cuda")
FORMATS = ("text", "dot", "svg")


@dataclass(frozen=True)
class Request:
    """What was asked for. stage: "" for what suits the other options."""

    file: Path
    arguments: Sequence[str] = ()
    function: str = ""
    passes: str = ""
    stage: str = ""
    target: str = "cpu"
    diff: bool = False
    format: str = "text"

    @property
    def is_ir(self) -> bool:
        return self.file.suffix == ".ir"


def dump(request: Request) -> str:
    """The text or picture that was asked for. Raises CommandError."""
    stage = request.stage or ("trace" if request.is_ir or request.passes else "fused")
    named = _named_passes(request.passes)
    _check(request, stage)
    start = read_ir(request.file) if request.is_ir else None
    donate: Collection[int | tuple[int, int]] = ()
    if start is None:
        captured = stages_of(request.file, request.arguments, request.function)
        start, donate = captured.trace, captured.donate
    try:
        passes = [*named, *PASSES[: GRAPHS.get(stage, 0)]]
        graph, records = run(start, passes, check=True)
        if request.diff:
            return _diff(start, records)
        if stage in GRAPHS:
            return _graph(graph, request.format) + _costs(graph, stage, request.format)
        return _later(Stages(graph, donate, check=True), stage, request.target)
    except VerifyError as error:
        raise CommandError(str(error)) from None


def _check(request: Request, stage: str) -> None:
    """Refuse what can't be, before a script is run for it."""
    for what, word, known in (
        ("stage", stage, STAGES),
        ("target", request.target, TARGETS),
        ("format", request.format, FORMATS),
    ):
        if word not in known:
            raise CommandError(f"unknown {what} {word!r}: there are {', '.join(known)}")
    if request.function and request.is_ir:
        raise CommandError(f"--function is for scripts: {request.file} holds one graph")
    if request.arguments and request.is_ir:
        raise CommandError(f"arguments are for scripts: {request.file} is IR text")
    if stage not in GRAPHS and (request.diff or request.format != "text"):
        what = "--diff compares" if request.diff else f"--format {request.format} draws"
        raise CommandError(f"{what} graphs: --stage {', '.join(GRAPHS)}, not {stage}")
    if request.diff and request.format != "text":
        raise CommandError(f"--diff is text: no --format {request.format}")
    if request.target == "cuda" and stage in ("llvm", "asm"):
        raise CommandError(f"stage {stage} is for the target cpu: for cuda there is --stage kernels")


def read_ir(path: Path) -> Graph:
    """The graph in a file of IR text. Raises CommandError with line and column."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise CommandError(f"{path} is a binary file, not IR text")
    try:
        return verify(parse(text), after="reading")
    except ParseError as error:
        where = f"{path}:{error.line}" + (f":{error.column}" if error.column else "")
        raise CommandError(f"{where}: {error.problem}") from None
    except VerifyError as error:
        raise CommandError(f"{path}: {error}") from None


def _named_passes(names: str) -> list[Pass]:
    """The passes of `--passes a,b,c`; "none" stands for none."""
    known = {p.name: p for p in PASSES if not p.name.endswith(" again")} | {"grad": Pass("grad", gradient)}
    chosen = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        if name not in known and name != "none":
            raise CommandError(f"unknown pass {name!r}: there are {', '.join(known)} and none")
        chosen += [known[name]] if name != "none" else []
    return chosen


def gradient(graph: Graph) -> Graph:
    """The graph with the gradients of its first output by all float inputs as further outputs.

    Raises CommandError unless that output is a float scalar, and for graphs whose ops are fused already.
    """
    first = graph.outputs[0].type if graph.outputs else None
    if first is None or first.dims or not first.is_float:
        raise CommandError(f"grad needs a float scalar as the first output: {graph.name} returns {first or 'nothing'}")
    if any(op.regions for op in graph.ops):
        raise CommandError(f"grad needs a graph before fusion: {graph.name} calls kernels")
    wrt = [i for i, v in enumerate(graph.inputs) if v.type.is_float]
    backward = reverse(graph, wrt, [0])
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    one = build.constant(1, first.dtype)
    return dce(build.finish(build.inline(backward, [*graph.inputs, one.value])))


def _diff(graph: Graph, records: Sequence[Record]) -> str:
    """For each pass its name, op counts and what it changed."""
    parts = []
    for record in records:
        diff = changes(graph, record.graph, record.name)
        count = f"{record.before} -> {record.after}" if record.before != record.after else f"{record.after}"
        unseen = ", nothing changed" if record.before == record.after else ", nothing but unused literals changed"
        parts.append(f"{record.name}: {count} ops" + (f"\n{diff}\n" if diff else f"{unseen}\n"))
        graph = record.graph
    return "".join(parts) or "no passes\n"


def _graph(graph: Graph, format: str) -> str:
    draw: dict[str, Callable[[Graph], str]] = {"dot": print_dot, "svg": print_svg}
    try:
        return draw.get(format, str)(graph)
    except TooLarge as error:
        raise CommandError(f"{error}: --format dot, or an earlier stage, or a smaller function") from None


def _costs(graph: Graph, stage: str, format: str) -> str:
    """Below a fused graph's text, as comments: what each kernel must move and compute."""
    if stage != "fused" or format != "text":
        return ""
    from weft.roofline import costs

    table = costs(graph)
    return f"\n{table}" if table else ""


def _later(stages: Stages, stage: str, target: str) -> str:
    if stage == "memory":
        return str(stages)
    if stage == "kernels":
        try:
            return stages.cuda if target == "cuda" else stages.kernels
        except CudaError as error:
            raise CommandError(str(error)) from None
    return stages.llvm if stage == "llvm" else stages.asm
