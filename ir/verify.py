"""The verifier: what every pass receives and leaves.

A graph is valid when

* each operand is an input or the result of an earlier op, and no value is defined twice;
* each op is in the table, has the attributes that it names, and results as its type rule infers them;
* attributes are plain (numbers, strings, bools, None, tuples), so that they print, hash and compare;
* a constant is an array of its own: contiguous, native, and not writeable by whoever gave it;
* a region reads only its own inputs, and is valid itself;
* a stack is used at most once, and is no constant of a loop;
* every output is defined.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.dims import Dim
from weft.ir.graph import Graph, Op, Value
from weft.ir.opdef import REGISTRY, IRTypeError
from weft.ir.ops.control import constant_operands, is_loop
from weft.ir.text import listing
from weft.ir.types import NAMES, TensorType

WINDOW = 3  # lines of IR shown before and after the op to blame


class VerifyError(AssertionError):
    """A graph breaks the IR's rules: a bug in the pass that made it."""


def verify(graph: Graph, *, after: str = "") -> Graph:
    """Check `graph` and return it. Raises VerifyError with a window of IR and the user's line."""
    defined: set[Value] = set()
    for v in graph.inputs:
        problem = f"input {v.name!r} appears twice" if v in defined else _type_problem(v.type)
        if problem:
            raise _error(graph, None, problem, after)
        defined.add(v)
    used: set[Value] = set()
    for i, op in enumerate(graph.ops):
        problem = _problem(op, defined) or _stack_problem(op, used)
        if problem:
            raise _error(graph, i, problem, after)
        for region in op.regions:
            verify(region, after=after)
        defined.update(op.results)
    for v in graph.outputs:
        if v not in defined:
            raise _error(graph, len(graph.ops), f"output {v.name or '?'}: {v.type} is never defined", after)
        if v in used:
            raise _error(graph, len(graph.ops), f"output {v.name or '?'} is a stack that is used already", after)
        used.update((v,) if v.type.is_stack else ())
    return graph


def _problem(op: Op, defined: set[Value]) -> str:
    for i, v in enumerate(op.operands):
        if v not in defined:
            return f"operand {i} ({v.name or '?'}: {v.type}) is not defined before this op"
    for i, r in enumerate(op.results):
        if r in defined or r in op.results[:i]:
            return f"result {r.name or '?'}: {r.type} is defined twice"
    if REGISTRY.get(op.kind.name) is not op.kind:
        return f"op {op.kind.name} is not in the table"
    if set(op.attrs) - set(op.kind.optional) != set(op.kind.attr_names):
        return f"attributes {sorted(op.attrs)} where {op.kind.name} has {sorted(op.kind.attr_names)}"
    if len(op.regions) != len(op.kind.regions):
        return f"{op.kind.name} with {len(op.regions)} regions"
    for name, value in op.attrs.items():
        problem = _constant_problem(value) if op.kind.name == "constant" else _attribute_problem(value)
        if problem:
            return f"attribute {name} {problem}"
    if op.kind.arity not in (-1, len(op.operands)):
        return f"{len(op.operands)} operands where {op.kind.name} takes {op.kind.arity}"
    return _result_problem(op)


def _stack_problem(op: Op, used: set[Value]) -> str:
    """Enters the stacks that this op uses."""
    for i, v in enumerate(op.operands):
        if v.type.is_stack:
            if v in used:
                return f"operand {i} ({v.name or '?'}) is a stack that is used already"
            if is_loop(op) and v in constant_operands(op):
                return f"operand {i} ({v.name or '?'}) is a stack and not carried"
            used.add(v)
    return ""


def _result_problem(op: Op) -> str:
    types = tuple(v.type for v in op.operands)
    try:
        want = op.kind.infer(types, op.attrs, op.regions) if op.regions else op.kind.infer(types, op.attrs)
    except IRTypeError as err:
        return str(err)
    except Exception as err:  # a rule that was handed attributes of a kind it never expected
        return f"the type rule of {op.kind.name} fails: {type(err).__name__}: {err}"
    have = tuple(r.type for r in op.results)
    if want != have:
        return f"results are {', '.join(map(str, have))}, the type rule says {', '.join(map(str, want))}"
    return next(filter(None, map(_type_problem, have)), "")


def _is_dim(d: object) -> bool:
    return isinstance(d, Dim) or (type(d) is int and d >= 0)


def _type_problem(t: TensorType) -> str:
    if t.is_stack and t.dims == ():
        return ""
    if t.dtype not in NAMES:
        return f"{t} has no dtype of weft's"
    if type(t.dims) is not tuple or not all(map(_is_dim, t.dims)):
        return f"dims {t.dims!r} are not a tuple of non-negative ints, or of symbols"
    return ""


def _attribute_problem(value: Any) -> str:
    if isinstance(value, tuple):
        return next(filter(None, map(_attribute_problem, value)), "")
    if value is None or type(value) in (bool, int, float, str, Dim):
        return ""
    return f"holds a {type(value).__name__}: attributes are numbers, strings, bools, None and tuples of them"


def _constant_problem(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return f"is a {type(value).__name__}, not an array"
    if not value.dtype.isnative or value.flags.writeable or not value.flags.c_contiguous:
        return "is an array that is not native, contiguous and read-only"
    return ""


def _error(graph: Graph, at: int | None, problem: str, after: str) -> VerifyError:
    """`at`: which op is to blame; len(ops) for the last line, None for the header."""
    head = f"invalid IR{f' after {after}' if after else ''} in {graph.name}: {problem}"
    if at is not None and at < len(graph.ops):
        op = graph.ops[at]
        where = f" at {op.location}" if op.location else ""
        head += f"\n  op {at} of {len(graph.ops)}: {op.kind.name}{where}"
    try:
        lines, places = listing(graph)
    except Exception:  # a graph this broken may not print
        return VerifyError(head)
    blamed = 0 if at is None else [*places, len(lines) - 1][at]
    first = max(0, blamed - WINDOW)
    window = lines[first : blamed + WINDOW + 1]
    marked = (f"  {'>' if i == blamed else '|'} {line[:160]}" for i, line in enumerate(window, first))
    return VerifyError("\n".join([head, *marked]))
