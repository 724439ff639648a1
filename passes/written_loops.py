"""Loops that passes write: the regions are Python functions over groups of values.

    p, xs = while_loop(build, ([p], xs), ([n], cs), test=lambda p, xs, n, cs: ..., body=lambda p, xs, n, cs: ...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from weft.ir.builder import Builder, Expr
from weft.ir.graph import Graph
from weft.ir.ops import control
from weft.ir.ops.control import I64

Group = Sequence[Expr]
Groups = Sequence[Group]


def while_loop(
    build: Builder, state: Groups, constants: Groups, test: Callable[..., Expr], body: Callable[..., Groups]
) -> list[list[Expr]]:
    """`while test(*state, *constants): state = body(*state, *constants)`; each group arrives as a list."""
    regions = (
        _region(build, "test", (*state, *constants), lambda *groups: [[test(*groups)]]),
        _region(build, "body", (*state, *constants), body),
    )
    carried = _flat(state)
    operands = [e.value for e in (*carried, *_flat(constants))]
    return _grouped(build.emit(control.while_loop, operands, {"carried": len(carried)}, regions=regions), state)


def for_loop(
    build: Builder,
    ends: tuple[Expr, Expr],
    step: int,
    state: Groups,
    constants: Groups,
    body: Callable[..., Groups],
    **attrs: Any,
) -> list[list[Expr]]:
    """`for t in range(*ends, step): state = body(t, *state, *constants)`."""
    region = _region(build, "body", (*state, *constants), body, index=True)
    carried = _flat(state)
    operands = [e.value for e in (*ends, *carried, *_flat(constants))]
    attrs = {"carried": len(carried), "step": step, **attrs}
    return _grouped(build.emit(control.for_loop, operands, attrs, regions=(region,)), state)


def _region(around: Builder, name: str, groups: Groups, function: Callable[..., Groups], index: bool = False) -> Graph:
    inner = Builder(name)
    inner.location = around.location
    first: list[Any] = [inner.input(I64, "t")] if index else []
    given = [[inner.input(e.type, e.value.name) for e in group] for group in groups]
    return inner.finish(_flat(function(*first, *given)))


def _flat(groups: Iterable[Group]) -> list[Expr]:
    return [e for group in groups for e in group]


def _grouped(values: Sequence[Expr], like: Groups) -> list[list[Expr]]:
    rest = iter(values)
    return [[next(rest) for _ in group] for group in like]
