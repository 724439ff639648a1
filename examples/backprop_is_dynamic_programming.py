"""Backpropagation is dynamic programming, on a function that shows why it has to be.

    python examples/backprop_is_dynamic_programming.py [--out PICTURE.svg]

In `x = x * np.cos(x)` the new x depends on the old one directly and through its cosine. After n such lines
there are 2^n paths from the first x to the last, and the chain rule is a sum over all of them. Its recursive
form,

    δv = Σ over uses y of v:  ∂y/∂v · δy            δ of the output = 1

walks every path when it is taken literally. Remember each δ in a table and the same lines of Python do one
multiplication per edge of the graph: that is dynamic programming, and it is what weft's `differentiate` pass
writes out as code. This program counts both.
"""

import argparse
import math
import re
import sys
from functools import cache
from html import escape
from pathlib import Path

import numpy as np

import weft
from weft.ir import Builder, Graph
from weft.ir.interpret import interpret
from weft.ir.text import print_graph
from weft.passes.differentiate import reverse

X = 0.5
EXPAND_UP_TO = 16  # path by path, a step more takes twice as long

SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"
 viewBox="0 0 {width} {height}" font-family="sans-serif">
<style>.edge {{ fill: none; stroke: #888; stroke-width: 1.5; marker-end: url(#tip) }}</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 Z" fill="#888"/></marker></defs>
<rect width="100%" height="100%" fill="white"/>
{parts}
</svg>
"""


def chain(n):
    def f(x):
        for _ in weft.unroll(range(n)):  # as ops one after the other, whatever n
            x = x * np.cos(x)
        return x

    return f


def traced(n):
    """The IR graph of chain(n), its values named x0, c1, x1, c2, x2, ... in the order of their ops."""
    graph = weft.compile(chain(n)).lower(X).trace
    build = Builder(f"chain{n}")
    values = {v: build.input(v.type, "x0").value for v in graph.inputs}
    count = {"mul": 0, "cos": 0}
    for op in graph.ops:
        count[op.kind.name] += 1
        name = ("x" if op.kind.name == "mul" else "c") + str(count[op.kind.name])
        (result,) = build.emit(op.kind, [values[v] for v in op.operands], op.attrs, names=[name])
        values[op.result] = result.value
    return build.finish([values[v] for v in graph.outputs])


def local_partials(graph, x):
    """value -> its uses, each as (the result y, ∂y/∂value as a number); and each value as a number."""
    values = (*graph.inputs, *(op.result for op in graph.ops))
    everything = interpret(Graph("all", graph.inputs, graph.ops, values), [x])
    numbers = dict(zip(values, everything, strict=True))
    uses = {v: [] for v in values}
    for op in graph.ops:
        # The rule of the op's own record, applied to δy = 1.
        build = Builder("partials")
        y, *operands = [build.input(v.type) for v in (op.result, *op.operands)]
        partials = build.finish(op.kind.pull(y.const(1), y, *operands))
        arguments = [numbers[v] for v in (op.result, *op.operands)]
        for operand, partial in zip(op.operands, interpret(partials, arguments), strict=True):
            uses[operand].append((op.result, float(partial)))
    return uses, numbers


class ChainRule:
    """The recursive chain rule, literally. `remember` is all that makes it backpropagation."""

    def __init__(self, uses, output, remember):
        self.uses, self.output = uses, output
        self.multiplications = self.paths = 0
        if remember:
            self.delta = cache(self.delta)

    def delta(self, v):
        if v is self.output:
            self.paths += 1
            return 1.0
        total = 0.0
        for y, partial in self.uses[v]:
            total += partial * self.delta(y)
            self.multiplications += 1
        return total


def census(uses, output):
    """What ChainRule counts without memory, for each value: (paths, multiplications); without doing it."""

    @cache
    def count(v):
        if v is output:
            return 1, 0
        below = [count(y) for y, _ in uses[v]]
        return sum(p for p, _ in below), sum(m + 1 for _, m in below)

    return {v: count(v) for v in uses}


def compare(n):
    """One line of the table; whether all derivatives agree."""
    graph = traced(n)
    uses, _ = local_partials(graph, np.float64(X))
    (x,), (output,) = graph.inputs, graph.outputs
    paths, products = census(uses, output)[x]
    memory = ChainRule(uses, output, remember=True)
    deltas = [memory.delta(x), float(weft.grad(chain(n))(X))]
    if n <= EXPAND_UP_TO:
        expanded = ChainRule(uses, output, remember=False)
        deltas.append(expanded.delta(x))
        assert (expanded.paths, expanded.multiplications) == (paths, products)
    backward = [op for op in reverse(graph, [0], [0]).ops[len(graph.ops) :] if op.kind.name != "constant"]
    agree = all(math.isclose(d, deltas[0], rel_tol=1e-12) for d in deltas)
    by_path = f"{deltas[2]:.15f}" if n <= EXPAND_UP_TO else "not run"
    print(
        f"{n:3} {paths:17,} {products:17,} {memory.multiplications:8} {len(graph.ops):8} {len(backward):8}   "
        f"{by_path:>17} {deltas[1]:17.15f}  {'agree' if agree else 'DIFFER'}"
    )
    return agree


def backward_text(n):
    """The backward graph as weft prints it, with δ for the `d_` of its adjoints' names."""
    graph = traced(n)
    return re.sub(r"\bd_", "δ", print_graph(reverse(graph, [0], [0]), locations=False))


def picture(n):
    """SVG: the graph with its local partials as arcs, and below each value its memoised adjoint."""
    graph = traced(n)
    uses, numbers = local_partials(graph, np.float64(X))
    (output,) = graph.outputs
    paths = census(uses, output)
    rule = ChainRule(uses, output, remember=True)
    delta = {v: rule.delta(v) for v in uses}
    column = {v: 150 + 100 * i for i, v in enumerate(uses)}
    width, line = 100 * len(uses) + 130, 150
    parts = []

    def text(x, y, content, size=13, anchor="middle", fill="#222", extra=""):
        parts.append(
            f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" {extra}>'
            f"{escape(content)}</text>"
        )

    def edge(v, y, partial):
        a, b = column[v], column[y]
        if b - a == 100:
            parts.append(f'<path class="edge" d="M{a + 22} {line} H{b - 23}"/>')
            text((a + b) / 2, line + 16, f"{partial:.3f}", 11, fill="#a33")
        else:
            top = line - 80
            curve = f"M{a + 8} {line - 22} C{a + 50} {top} {b - 50} {top} {b - 9} {line - 23}"
            parts.append(f'<path class="edge" d="{curve}"/>')
            text((a + b) / 2, top + 6, f"{partial:.3f}", 11, fill="#a33")

    title = f"Backpropagation is dynamic programming: {n} times x = x * cos(x)"
    text(20, 32, title, 17, "start")
    legend = (
        "On each edge its local partial ∂y/∂v; below, the table: one δ per value, filled from right to left."
    )
    text(20, 54, legend, 13, "start", "#666")
    for v, followers in uses.items():
        for y, partial in followers:
            edge(v, y, partial)
    rows = ("value", "adjoint δ", "solved as no.", "paths it sums")
    for i, label in enumerate(rows):
        y = line + 62 + 30 * i
        parts.append(f'<path d="M20 {y + 10} H{width - 30}" stroke="#ddd"/>')
        text(20, y, label, 13, "start", "#666")
    for i, (v, x) in enumerate(column.items()):
        fill = "#dbe9f6" if v.name.startswith("x") else "#fdf0d5"
        parts.append(f'<circle cx="{x}" cy="{line}" r="22" fill="{fill}" stroke="#456"/>')
        text(x, line + 5, v.name, 15)
        cells = (f"{float(numbers[v]):.4f}", f"{delta[v]:.4f}", str(len(uses) - i), f"{paths[v][0]:,}")
        for row, cell in enumerate(cells):
            bold = 'font-weight="bold"' if row == 1 else ""
            text(x, line + 62 + 30 * row, cell, fill="#1a5c9e" if row == 1 else "#222", extra=bold)
    height = line + 66 + 30 * len(rows)
    literally = paths[graph.inputs[0]][1]
    counts = f"With the table: {rule.multiplications} multiplications. Path by path: {literally:,}."
    text(20, height, counts, 13, "start")
    return SVG.format(width=width, height=height + 20, parts="\n".join(parts))


def main():
    parser = argparse.ArgumentParser(description="The chain rule without and with memory, counted.")
    default = Path(__file__).parent / "out" / "backprop.svg"
    parser.add_argument("--out", type=Path, default=default, metavar="PICTURE.svg")
    args = parser.parse_args()

    print(f"f(x): n times x = x * np.cos(x), at x = {X}\n")
    print(f"{'chain rule, path by path':>39} {'table':>8} {'weft, ops':>17}   {'derivative':>35}")
    head = f"{'n':>3} {'paths':>17} {'mult.':>17} {'mult.':>8} {'forward':>8} {'backward':>8}   "
    print(head + f"{'path by path':>17} {'by weft':>17}")
    agree = [compare(n) for n in (1, 2, 3, 4, 6, 8, 12, 16, 20, 30, 40)]

    print(
        "\nWhat the pass writes for n = 3: after the forward ops, one δ per value, each from finished ones.\n"
    )
    print(backward_text(3))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(picture(4), encoding="utf-8")
    print(f"The table of adjoints over the graph: {args.out}")
    if not all(agree):
        sys.exit("The derivatives differ.")


if __name__ == "__main__":
    main()
