"""The verifier: what every pass receives and leaves.

A graph is valid when each operand is an input or an earlier result, no value is defined twice, each op's
result types are what its type rule infers, its attributes are those it names, and outputs are defined.
"""

from __future__ import annotations

from weft.ir.graph import Graph, Op, Value
from weft.ir.opdef import REGISTRY, IRTypeError
from weft.ir.text import Names, print_graph


class VerifyError(AssertionError):
    """A graph breaks the IR's rules: a bug in the pass that made it."""


def verify(graph: Graph, *, after: str = "") -> Graph:
    """Check `graph` and return it. Raises VerifyError with a window of IR and the user's line."""
    defined: set[Value] = set()
    for v in graph.inputs:
        if v in defined:
            raise _error(graph, None, f"input {v.name!r} appears twice", after)
        defined.add(v)
    for op in graph.ops:
        problem = _problem(op, defined)
        if problem:
            raise _error(graph, op, problem, after)
        for region in op.regions:
            verify(region, after=after)
        defined.update(op.results)
    for v in graph.outputs:
        if v not in defined:
            raise _error(graph, None, f"output {v.name!r} is never defined", after)
    return graph


def _problem(op: Op, defined: set[Value]) -> str:
    for i, v in enumerate(op.operands):
        if v not in defined:
            return f"operand {i} ({v.name or '?'}: {v.type}) is not defined before this op"
    for r in op.results:
        if r in defined:
            return f"result {r.name!r} is defined twice"
    if REGISTRY.get(op.kind.name) is not op.kind:
        return f"op {op.kind.name} is not in the table"
    if set(op.attrs) != set(op.kind.attr_names):
        return f"attributes {sorted(op.attrs)} where {op.kind.name} has {sorted(op.kind.attr_names)}"
    types = tuple(v.type for v in op.operands)
    try:
        want = op.kind.infer(types, op.attrs, op.regions) if op.regions else op.kind.infer(types, op.attrs)
    except IRTypeError as err:
        return str(err)
    have = tuple(r.type for r in op.results)
    if want != have:
        return f"results are {', '.join(map(str, have))}, the type rule says {', '.join(map(str, want))}"
    return ""


def _error(graph: Graph, op: Op | None, problem: str, after: str) -> VerifyError:
    try:
        lines = print_graph(graph, names=Names()).splitlines()
    except Exception:  # an invalid graph may not print
        lines = []
    head = f"invalid IR{f' after {after}' if after else ''} in {graph.name}: {problem}"
    if op is not None:
        at = graph.ops.index(op)
        text = f"op {at} of {len(graph.ops)}: {op.kind.name}"
        where = f" at {op.location}" if op.location else ""
        head += f"\n  {text}{where}"
        start = max(0, len(lines) - len(graph.ops) - 1 + at - 3)
        lines = lines[start : start + 7]
    return VerifyError("\n".join([head, *("  | " + line for line in lines[:12])]))
