"""Kernel IR as Python source: what the printers for the CPU and for CUDA share.

Below a comment that shows it, a statement of Kernel IR is a line or two of Python:

    # e: f32 = exp(d), net.py:7
    e = exp_f32(d)

Every value has its dtype, as scalar_numba prints it. Half is held as f32: its arrays are read as u16. Names are
the kernel's own, with an underscore where Python or the module gives them another meaning.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from weft.codegen.kernel import (
    Accumulate,
    AccumulateArg,
    AccumulateAt,
    Affine,
    Assign,
    Buffer,
    Check,
    Compute,
    Constant,
    For,
    FromIndex,
    Index,
    InRange,
    Kernel,
    Load,
    Read,
    Report,
    Share,
    Statement,
    Store,
    Stream,
    ToIndex,
    Variable,
    describe,
    from_index,
    scalars,
    walk,
)
from weft.codegen.prune import defined_names, used_names
from weft.codegen.scalar import Scalar, numba_prelude
from weft.codegen.scalar_numba import literal
from weft.codegen.scalar_prelude import prelude_names


class Names:
    """Python names for the names of one kernel."""

    def __init__(self, kernel: Kernel, taken: Iterable[str]) -> None:
        self.taken = {*taken, *keyword.kwlist, *dir(builtins), "numba", "np", "chunk"}
        self.of = {"chunk": "chunk"}
        for name in _named(kernel):
            if name not in self.of:
                self.of[name] = self.fresh(name)

    def fresh(self, hint: str) -> str:
        """A name that nothing has yet."""
        name = hint
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def own(self, name: str) -> str:
        """A name of the printer's, which an index may use as `%name`."""
        self.of[f"%{name}"] = self.fresh(name)
        return self.of[f"%{name}"]

    def __getitem__(self, name: str) -> str:
        return self.of[name]


def _named(kernel: Kernel) -> Iterator[str]:
    yield from (b.name for b in kernel.buffers)
    for s in walk([*kernel.body, *kernel.final]):
        match s:
            case For():
                yield s.var
            case Share():
                yield from (s.low, s.high)
            case Variable():
                yield s.name
            case Index() | ToIndex() | Check() | FromIndex() | InRange() | Constant() | Load() | Compute() | Read():
                yield s.target


class Writer:
    """The lines of one function. A target's own writer says how loops, stores and accumulators run there."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.lines: list[str] = []
        self.depth = 1
        self.count = 0

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    @contextmanager
    def inside(self, head: str) -> Iterator[None]:
        """Lines below `head`, one step to the right."""
        self.put(head)
        self.depth += 1
        before = len(self.lines)
        yield
        if not any(line.lstrip()[0] != "#" for line in self.lines[before:]):
            self.put("pass")
        self.depth -= 1

    def comment(self, s: Statement) -> None:
        self.put(f"# {one_line(describe(s))}")

    def temporary(self) -> str:
        self.count += 1
        return self.names.fresh(f"v{self.count}")

    def emit(self, statements: Sequence[Statement]) -> None:
        for s in statements:
            self.statement(s)

    # ---- expressions

    def affine(self, index: Affine) -> str:
        """`5 * r + c - 1`"""
        text = ""
        for v, c in sorted(index.terms, key=lambda term: term[1] < 0):
            factor = self.names[v] if abs(c) == 1 else f"{abs(c)} * {self.names[v]}"
            text += (" - " if text else "-") + factor if c < 0 else (" + " if text else "") + factor
        if not text:
            return str(index.const)
        return text + (f" {'-' if index.const < 0 else '+'} {abs(index.const)}" if index.const else "")

    def element(self, buffer: str, index: Affine) -> str:
        return f"{self.names[buffer]}[{self.affine(index)}]"

    def load(self, buffer: str, dtype: str, index: Affine) -> str:
        text = self.element(buffer, index)
        return f"f16_value({text})" if dtype == "f16" else text

    def store(self, buffer: str, dtype: str, index: Affine, value: str) -> None:
        self.put(f"{self.element(buffer, index)} = {f'f16_bits({value})' if dtype == 'f16' else value}")

    def scalar(self, scalar: Scalar, operands: Sequence[str]) -> str:
        """The expression of a scalar's result; what it needs twice is put before."""
        lines, result = scalar.numba_statements(operands, self.temporary)
        for line in lines:
            self.put(line)
        return bare(result)

    # ---- statements

    def statement(self, s: Statement) -> None:
        name = self.names
        if not isinstance(s, For):
            self.comment(s)
        match s:
            case For():
                self.loop(s)
            case Index():
                self.put(f"{name[s.target]} = {self.index(s)}")
            case Share():
                self.share(s)
            case ToIndex():
                value = name[s.value]
                inside = value if s.limit is None else f"min(max({value}, 0), {s.limit - 1})"
                self.put(f"{name[s.target]} = {inside}")
            case Check():
                value, worst = name[s.value], name[s.worst]
                self.put(f"{worst} = {worst} if 0 <= {value} < {s.size} else {value}")
                self.put(f"{name[s.target]} = min(max({value}, 0), {max(s.size - 1, 0)})")
            case Report():
                with self.inside(f"if not 0 <= {name[s.worst]} < {s.size}:"):
                    self.put(f"{name[s.buffer]}[0], {name[s.buffer]}[1] = {s.site}, {name[s.worst]}")
            case FromIndex():
                self.put(f"{name[s.target]} = {self.scalar(from_index(s.dtype), [f'i64({self.affine(s.value)})'])}")
            case InRange():
                self.put(f"{name[s.target]} = {s.low} <= {self.affine(s.value)} < {s.high}")
            case Constant():
                self.put(f"{name[s.target]} = {typed(s.value, s.dtype)}")
            case Load():
                self.put(f"{name[s.target]} = {self.load(s.buffer, s.dtype, s.index)}")
            case Store():
                self.store(s.buffer, s.dtype, s.index, name[s.value])
            case Stream():
                source = f"{name[s.source]}[{self.affine(s.begin)} : {self.affine(s.begin + s.count)}]"
                self.put(f"{name[s.buffer]}[{self.affine(s.index)} : {self.affine(s.index + s.count)}] = {source}")
            case Compute():
                self.put(f"{name[s.target]} = {self.scalar(s.scalar, [name[o] for o in s.operands])}")
            case Variable():
                self.put(f"{name[s.name]} = {typed(s.value, s.dtype)}")
            case Read():
                self.put(f"{name[s.target]} = {name[s.name]}")
            case Assign():
                self.put(f"{name[s.name]} = {name[s.value]}")
            case Accumulate():
                self.put(f"{name[s.name]} = {self.scalar(s.combine, [name[s.name], name[s.value]])}")
            case AccumulateAt():
                old = self.temporary()
                self.put(f"{old} = {self.load(s.buffer, s.dtype, s.index)}")
                self.store(s.buffer, s.dtype, s.index, self.scalar(s.combine, [old, name[s.value]]))
            case AccumulateArg():
                with self.inside(f"if {self.scalar(s.better, [name[s.value], name[s.best]])}:"):
                    self.put(f"{name[s.best]}, {name[s.at]} = {name[s.value]}, i64({self.affine(s.position)})")

    def loop(self, s: For) -> None:
        self.comment(s)
        with self.inside(f"for {self.names[s.var]} in {self.range(s)}:"):
            self.emit(s.body)

    def range(self, s: For) -> str:
        bounds = [self.affine(s.stop)]
        if s.start != Affine() or s.step != 1:
            bounds.insert(0, self.affine(s.start))
        return f"range({', '.join([*bounds, str(s.step)] if s.step != 1 else bounds)})"

    def index(self, s: Index) -> str:
        a, b = self.affine(s.a), self.affine(s.b)
        if s.op in ("min", "max"):
            return a if a == b else f"{s.op}({a}, {b})"
        return f"{a if a.isidentifier() else f'({a})'} {'//' if s.op == 'floordiv' else '%'} {b}"

    def share(self, s: Share) -> None:
        self.put(f"{self.names[s.low]} = {s.count} * chunk // {s.chunks}")
        self.put(f"{self.names[s.high]} = {s.count} * (chunk + 1) // {s.chunks}")


def one_line(text: str) -> str:
    """For a comment: a user's file may have any name."""
    return " ".join(text.split())


def bare(text: str) -> str:
    """Without parentheses around the whole."""
    if not text.startswith("("):
        return text
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if not depth:
            return text[1:-1] if i == len(text) - 1 else text
    return text


def typed(value: Any, dtype: str) -> str:
    """A constant of that dtype, also in plain Python: `f64(0.5)`, `i64(3)`, `True`."""
    text = literal(value, dtype)
    return f"{dtype}({text})" if dtype in ("i64", "f64") else text


def memory(dtype: str) -> str:
    """The dtype of an array that holds elements of dtype, as source."""
    return {"bool": "np.bool_", "f16": "u16"}.get(dtype, dtype)


def definitions(kernels: Sequence[Kernel]) -> str:
    """The scalar functions that the kernels call, each after those that it calls itself."""
    needed = {c.name: c for k in kernels for s in scalars([*k.body, *k.final]) for c in s.calls}
    return "\n\n".join(c.numba_define() for c in needed.values())


def module(title: str, target: str, helpers: str, functions: str, kernels: str) -> str:
    """A whole module: what of the prelude and of `helpers` is used, then the functions and kernels."""
    parts = [helpers, functions, kernels]
    used = used_names("\n".join(parts))
    text = "\n\n\n".join(part.strip("\n") for part in (numba_prelude(target, used), *parts) if part.strip())
    return f"# {title}\n\n{text}\n"


def reserved(target: str, functions: str, kernels: Sequence[Kernel]) -> set[str]:
    """Names that a kernel's own must keep clear of."""
    drivers = {f"{k.name}{phase}" for k in kernels for phase in ("", "_body", "_final")}
    return prelude_names(target) | defined_names(functions) | drivers


def signature(kernel: Kernel, names: Names) -> tuple[list[str], str]:
    """The driver's parameters and its docstring: the buffers that a caller passes."""
    given = [b for b in kernel.buffers if b.role not in ("chunk", "final")]
    about = ", ".join(f"{names[b.name]}: {b.dtype}[{b.size}] {b.role}" for b in given)
    where = f"    # {one_line(', '.join(kernel.sources))}" if kernel.sources else ""
    return [names[b.name] for b in given], f'"""{about}"""{where}'


def halves(buffers: Sequence[Buffer], names: Names) -> list[str]:
    """Lines of a driver that take arrays of f16 as what they are read as."""
    return [f"{names[b.name]} = {names[b.name]}.view(u16)" for b in buffers if b.dtype == "f16" and b.role != "chunk"]
