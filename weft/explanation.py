"""Why a compiled function was compiled, and into what: `print(weft.explain(f))`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from weft.frontend.errors import ArgumentError
from weft.ir.dims import same
from weft.ir.sizes import LEAST
from weft.roofline import costs

SHOWN = {
    "call": "kernel",
    "dot": "matrix product",
    "for_loop": "loop",
    "while_loop": "while loop",
    "cond": "branch",
}


def explain(function: Any) -> str:
    """The specialisations of a compiled function, in the order in which they were made, as text.

    For each: its arguments; of all but the first what differs from the one before that is most like it; how long it
    took by phase, in milliseconds; its kernels and library calls, and what each must move and compute at this machine's
    rates (which are measured the first time, in a tenth of a second). Raises ArgumentError for what `weft.compile` did
    not make.
    """
    if not hasattr(function, "cache_info"):
        name = getattr(function, "__qualname__", type(function).__qualname__)
        raise ArgumentError(f"weft.explain: {name} is not compiled: give it what weft.compile returned")
    made = function.cache_info()
    name = getattr(function, "__qualname__", "the function")
    if not made:
        return f"{name}: not called yet"
    lines = [f"{name}: compiled {len(made)} time{'s' * (len(made) > 1)}"]
    for n, form in enumerate(made):
        lines += ["", f"{n + 1}. {', '.join(_facts(form))}"]
        if n:
            lines.append(f"   because {_difference(made[:n], form)}")
        lines += [f"   {line}" for line in (*_sizes(form), _times(form), *_parts(form))]
    return "\n".join(lines)


def _facts(form: Any) -> list[str]:
    """What a specialisation is for, an argument or a value each."""
    return [*form.arguments, *(f"{name} = {value!r}" for name, value in (*form.static, *form.guards))]


def _difference(before: Sequence[Any], form: Any) -> str:
    """How it differs from the one before that has most in common with it."""
    mine = _facts(form)
    nearest = max(reversed(before), key=lambda other: len(set(_facts(other)) & set(mine)))
    theirs = {_subject(fact): fact for fact in _facts(nearest)}
    changes = []
    for fact in mine:
        was = theirs.pop(_subject(fact), None)
        if was is None:
            changes.append(f"{fact}, which is new")
        elif was != fact:
            changes.append(f"{fact}, was {was[len(_subject(fact)) + 2 :].strip()}")
    changes += [f"{subject} is not given" for subject in theirs]
    return "; ".join(changes) or "something that it closes over has changed"


def _subject(fact: str) -> str:
    """Of `x: f64[3]` x, of `n = 4` n's value."""
    name, colon, _ = fact.partition(": ")
    return name if colon and " = " not in name else fact.partition(" = ")[0] + " "


def _sizes(form: Any) -> list[str]:
    """The sizes that it serves, where they are symbols."""
    if form.sizes is None:
        return []
    fits = ", ".join(form.sizes.shown())
    symbols = " and ".join(form.sizes.values)
    return [f"serves every {symbols} from {LEAST} on" + (f" for which {fits}" if fits else "")]


def _times(form: Any) -> str:
    return ", ".join(f"{name} {1e3 * s:.1f} ms" for name, s in phases(form).items())


def phases(form: Any) -> dict[str, float]:
    """Seconds that each phase of a specialisation's compilation took; `rest` is what none of them accounts for."""
    seconds = {"capture": form.capture_seconds}
    stages = getattr(form.executable, "stages", None)
    if stages is not None and stages.recalled:
        seconds["recalled"] = form.compile_seconds
    elif stages is not None:
        seconds["passes"] = sum(record.seconds for record in stages.records)
        seconds.update(stages.seconds)
    known = sum(seconds.values()) - form.capture_seconds
    seconds["rest"] = max(form.compile_seconds - known, 0.0)
    return seconds


def _parts(form: Any) -> list[str]:
    """What it consists of."""
    stages = getattr(form.executable, "stages", None)
    if stages is None:
        return []
    count = Counter(op.kind.name for op in stages.fused.walk())
    parts = [f"{count[kind]} {word}{_plural(count[kind], word)}" for kind, word in SHOWN.items() if count[kind]]
    lines = [", ".join(parts) or "nothing to compute"]
    for kernel in stages.step.kernels:
        work = "one thread" if same(kernel.chunks, 1) else f"{kernel.chunks} chunks"
        lines.append(f"  {kernel.name} ({work}): {', '.join(kernel.sources[:4])}{', ...' * (len(kernel.sources) > 4)}")
    return lines + [f"  {line.removeprefix('# ')}" for line in costs(stages.fused).splitlines()]


def _plural(n: int, word: str) -> str:
    return "" if n == 1 else "es" if word.endswith("ch") else "s"
