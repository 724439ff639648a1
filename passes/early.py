"""The order of a fused graph: what ends the life of a buffer, and makes none, comes as early as it may.

    dw = dot(h, d)          dw = dot(h, d)
    d1 = dot(d, w)          d1 = dot(d, w)
    dv = dot(x, d1)         new_w = k0(w, dw)       dw's bytes are free, w's are new_w's
    new_w = k0(w, dw)       dv = dot(x, d1)         may take them

Such an op's results are all results of the graph, whose buffers are there from the beginning, and it is the last to
read something that the graph makes. It moves up to behind what it waits for, and behind the other readers of whatever
it is the last to read: it stays the last, and may write in place as before.
"""

from __future__ import annotations

from weft.ir.graph import Graph, Op, Value

MOVABLE = frozenset({"call", "dot"})


def early(graph: Graph) -> Graph:
    """The graph with such ops moved up. Its ops and values are the same."""
    maker = graph.producers()
    outputs = set(graph.outputs)
    root: dict[Value, Value] = {}
    last: dict[Value, Op] = {}
    readers: dict[Value, list[Op]] = {}
    for op in graph.ops:
        if op.kind.name == "reshape":
            root[op.result] = root.get(op.operands[0], op.operands[0])
            continue
        for v in op.operands:
            v = root.get(v, v)
            last[v] = op
            readers.setdefault(v, []).append(op)
    kept = {root.get(v, v) for v in outputs}
    slots: list[list[Op]] = [[op] for op in graph.ops]  # ops that come right behind the first one of theirs
    at = {op: i for i, op in enumerate(graph.ops)}
    for i, op in enumerate(graph.ops):
        operands = {root.get(v, v) for v in op.operands}
        if op.kind.name == "reshape":
            where = max((at[m] for v in op.operands if (m := maker.get(v))), default=i)
        elif op.kind.name in MOVABLE and all(r in outputs or r not in last for r in op.results):
            ended = [v for v in operands if last.get(v) is op and v not in kept]
            if not any(v in maker and maker[v].kind.name != "constant" for v in ended):
                continue
            waits = {m for v in op.operands if (m := maker.get(v))} | {o for v in ended for o in readers[v]} - {op}
            where = max((at[o] for o in waits), default=i)
        else:
            continue
        if where < i:
            slots[i].remove(op)
            slots[where].append(op)
            at[op] = where
    ops = tuple(op for slot in slots for op in slot)
    return graph if ops == graph.ops else Graph(graph.name, graph.inputs, ops, graph.outputs)
