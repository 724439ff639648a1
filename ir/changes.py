"""What a pass changed, as a unified diff of the text before and after it.

    --- before cse
    +++ after cse
    @@ -5,3 +5,2 @@
     a: f32[4] = exp(x)
    -t3: f32[4] = exp(x)
    -b: f32[4] = add(a, t3)
    +b: f32[4] = add(a, a)

Printing numbers the values without names anew for each graph, and one op less would rename all that follow it.
Here a value that is in both graphs has one name in both texts.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from weft.ir.graph import Graph, Value, is_literal
from weft.ir.text import Names, function_names, print_graph

CONTEXT = 2  # lines around each change


def changes(before: Graph, after: Graph, name: str) -> str:
    """The diff that the pass `name` made, or "" when both graphs have the same text."""
    functions = {*function_names(before).values(), *function_names(after).values()}
    old = Names(functions)
    for v in _values(before):
        old(v)
    # A name of the user's may pass to another value; a number may not, or lines would look alike that are not.
    new = Names([*functions, *(text for v, text in old.of.items() if not v.name)])
    for v in _values(after):
        if v in old.of:
            new.of[v] = old.of[v]
            new.taken.add(old.of[v])
    a, b = (print_graph(g, names=n).splitlines() for g, n in ((before, old), (after, new)))
    lines = difflib.unified_diff(a, b, f"before {name}", f"after {name}", n=CONTEXT, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _values(graph: Graph) -> Iterator[Value]:
    """The values that have a name in the text, in its order."""
    yield from graph.inputs
    for op in graph.ops:
        if not is_literal(op):
            yield from op.results
