"""A step as several modules, each of which becomes an object of its own: its kernels, and what runs them.

    @step                       calls @weft_5f0c...(...) for @k0_body, and for @k4_body too
    @weft_5f0c...               a kernel, named by its own text

Kernels that are equal but for names are one module: a layer's kernel stands for those of all layers, of other steps and
of other processes, by way of the cache. And modules can be compiled in parallel. A kernel that is inlined in `@step`
stays with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence

from weft.codegen.functions import module, print_alone, print_kernels
from weft.codegen.kernel import Kernel
from weft.codegen.unit import KERNEL, STEP, Unit
from weft.ir.dims import same
from weft.ir.records import replace

BRANCH = "  br "
LONG = 200  # lines of a step without branches
LOCAL = re.compile(r"%([\w.]+)|^([\w.]+):$", re.M)


def units(kernels: Sequence[Kernel], inlined: Collection[str], head: Sequence[str], step: str) -> list[Unit]:
    """The modules of a step, the one of `@step` last.

    `step` is the text of `@step` itself, `head` what it needs beside kernels. `inlined` names the kernels that are to
    become part of it.
    """
    made: dict[int, Unit] = {}  # by the list of statements, which equal kernels of a step share
    called: dict[str, tuple[Kernel, Unit]] = {}
    for k in kernels:
        if k.name not in inlined:
            if id(k.body) not in made:
                made[id(k.body)] = kernel_unit(k)
            called[k.name] = (k, made[id(k.body)])
    found = {unit.symbol: (k, unit) for k, unit in called.values()}
    declared = [_declaration(k, unit.symbol) for k, unit in found.values()]
    within = print_kernels([k for k in kernels if k.name in inlined], inlined)
    symbols = {name: unit.symbol for name, (_, unit) in called.items()}
    text = module("\n".join([*head, *declared, within, _linked(step, symbols)]))
    return [*(unit for _, unit in found.values()), Unit(STEP, STEP, text, _level(step, within))]


def kernel_unit(kernel: Kernel) -> Unit:
    """The module of one kernel, which defines `@<symbol>` and, where there is something to do at last,
    `@<symbol>_final`."""
    text = module(canonical(print_alone(replace(kernel, name=KERNEL))))
    symbol = "weft_" + hashlib.sha256(text.encode()).hexdigest()[:32]
    return Unit(KERNEL, symbol, re.sub(rf"@{KERNEL}(?=[_(])", f"@{symbol}", text))


def canonical(text: str) -> str:
    """Functions with their values and labels numbered, so that names make no difference."""
    names: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        value, label = match.groups()
        if label is None:
            return "%" + names.setdefault(value, f"x{len(names)}")
        return names.setdefault(label, f"x{len(names)}") + ":"

    return LOCAL.sub(number, text)


def _level(step: str, within: str) -> int:
    """The optimisation level of `@step` and the kernels `within` it: one call after another leaves nothing to optimise,
    and where there are hundreds, looking for it would take longer than compiling the kernels."""
    step = step.partition("define i64 @step")[2]
    if BRANCH in step or within.strip():
        return 3
    return 1 if step.count("\n") <= LONG else 0


def _linked(step: str, symbols: dict[str, str]) -> str:
    """`@step`, which calls what others define."""

    def call(match: re.Match[str]) -> str:
        name, final, arguments = match.groups()
        if name not in symbols:
            return match.group()
        return f"call void @{symbols[name]}{final or ''}({arguments})"

    def handed(match: re.Match[str]) -> str:
        return f"ptr @{symbols.get(match.group(1), match.group(1))},"

    def dealt(match: re.Match[str]) -> str:
        return f"call void @{symbols.get(match.group(1), match.group(1))}(ptr {match.group(2)}"

    step = re.sub(r"call void @(\w+?)(_final)?_body\((.*), i64 0\)", call, step)
    step = re.sub(r"call void @(\w+)\(ptr (%args\.\d+)", dealt, step)
    return re.sub(r"ptr @(\w+),", handed, step)


def _declaration(kernel: Kernel, symbol: str) -> str:
    """What a caller's optimiser may know: a kernel touches its buffers and keeps no pointer to them."""
    if not same(kernel.chunks, 1):
        lines = [f"declare void @{symbol}(ptr, i64) nounwind"]
    else:
        lines = [_direct(kernel, symbol)]
    return "\n".join([*lines, *([_direct(kernel, f"{symbol}_final")] if kernel.final else [])])


def _direct(kernel: Kernel, symbol: str) -> str:
    how = ", ".join("ptr nocapture readonly" if b.role in ("in", "sizes") else "ptr nocapture" for b in kernel.buffers)
    return f"declare void @{symbol}({how}) nounwind willreturn memory(argmem: readwrite)"
