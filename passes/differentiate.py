"""Reverse mode is dynamic programming on the graph.

For a scalar output L, each value v poses one subproblem: its adjoint δv = dL/dv. The chain rule is the
recurrence over v's uses,

    δv = Σ over uses (op, i) of v:  pull_i(δy)        where y = op(..., v at position i, ...)

so walking the ops once, in reverse, solves every subproblem once: when an op is reached, all uses of its
result are behind us and its δ is complete. Written path by path the same rule has one term per path from v
to L, 2^n of them in a chain of n doublings; memoised there is one δ per value, and the backward op count is a
small constant times the forward's.

Loops and branches are one op each here; inside, the same recurrence holds trip by trip (see `weft.passes.regions`).
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.ir.builder import Builder
from weft.ir.graph import Graph
from weft.passes.activity import active_values
from weft.passes.inline import inline_calls
from weft.passes.loops import loops
from weft.passes.regions import nested
from weft.passes.sweep import Sweep, forth


def reverse(graph: Graph, wrt: Sequence[int], seeds: Sequence[int]) -> Graph:
    """Append the backward graph.

    wrt: positions of the float inputs to differentiate by. seeds: positions of the float outputs that get a
    cotangent. The result's inputs are the graph's and one cotangent per seed; its outputs are the graph's
    and one gradient per `wrt` input (zeros where nothing depends on it).
    """
    graph = loops(inline_calls(graph), derive=True)  # what a loop computes once need not be kept for every trip
    build = Builder(graph.name)
    build.inputs.extend(graph.inputs)
    sweep = Sweep(build, active_values(graph, (graph.inputs[i] for i in wrt)), nested)
    for s in seeds:
        out = graph.outputs[s]
        sweep.add(out, build.input(out.type, f"d_{out.name or 'out'}"))
    sweep.run(graph.ops)
    gradients = [sweep.finished(graph.inputs[i]) for i in wrt]
    for i, delta in zip(wrt, gradients, strict=True):
        build.hint(delta.value, f"d_{graph.inputs[i].name}" if graph.inputs[i].name else "")
    build.ops[:0] = forth(graph.ops, sweep)
    return build.finish([*graph.outputs, *gradients])
