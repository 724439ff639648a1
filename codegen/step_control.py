"""Loops, branches and stacks in a step's function.

    for i in range(start, stop, step): a trip         head:  k < trips?     body: i = start + step*k; the body's ops
                                                      end of a trip: small values are copied to where the next trip
                                                      has them, pointers are exchanged
    while test: a trip                                head: the test's ops
    cond                                              then: ...   orelse: ...

A trip never goes back to Python. An index that was out of bounds ends while loops: who knows whether the test would
ever say so.
"""

from __future__ import annotations

from collections.abc import Callable

from weft.codegen import together, windowed
from weft.codegen.step_writer import Frame, Writer, record_layout
from weft.ir.graph import Graph, Op, Value
from weft.ir.ops.control import LEAD
from weft.ir.plan import Branch, Loop, Place, is_small
from weft.ir.types import TensorType

I64 = TensorType("i64")
PTR = TensorType("stack")


def write_graph(w: Writer, frame: Frame, graph: Graph) -> None:
    """All ops of a graph or region, in order, and the copies at its end."""
    for ops in together.runs(w, frame, graph.ops) if frame.depth == 0 else ([op] for op in graph.ops):
        if len(ops) > 1:
            together.write(w, frame, ops)
            continue
        (op,) = ops
        write = Writer.called_back if op.kind.family == "library" else _OPS.get(op.kind.name)
        if write is None:
            raise ValueError(f"no code for op {op.kind.name} outside a kernel")
        write(w, frame, op)
    for target, v in frame.plan.copies:
        w.copy(w.at(frame, target, v.type), w.pointer(frame, v), v.type)


def _call(w: Writer, frame: Frame, op: Op) -> None:
    """A kernel, or a product by blocks."""
    stream = windowed.stream_of(op.regions[0])
    if stream is None:
        w.kernel(frame, op)
    else:
        windowed.write(w, frame, op, stream)


# ---- loops -------------------------------------------------------------------------------------------


def _for_loop(w: Writer, frame: Frame, op: Op) -> None:
    loop = frame.plan.nested[op]
    assert isinstance(loop, Loop)
    w.note(frame, f"for_loop {op.regions[0].name}:")
    start, stop = (w.load(frame, v) for v in op.operands[:2])
    trips = _trips(w, start, stop, op.attrs["step"])
    i, k = w.variable(I64, "i"), w.variable(I64, "k")
    inner = _loop_frame(w, frame, op, loop, [i])
    head, body, end = w.labels("for", "trip", "done")
    w.put(f"store i64 0, ptr {k}")
    w.put(f"br label %{head}")
    w.label(head)
    at = w.let(f"load i64, ptr {k}")
    w.put(f"br i1 {w.let(f'icmp ult i64 {at}, {trips}')}, label %{body}, label %{end}")
    w.label(body)
    step = w.let(f"mul i64 {at}, {op.attrs['step']}")
    w.put(f"store i64 {w.let(f'add i64 {start}, {step}')}, ptr {i}")
    write_graph(w, inner, op.regions[0])
    _end_of_trip(w, inner, op, loop)
    w.put(f"store i64 {w.let(f'add nuw i64 {at}, 1')}, ptr {k}")
    w.put(f"br label %{head}")
    w.label(end)


def _trips(w: Writer, start: str, stop: str, step: int) -> str:
    """len(range(start, stop, step)), as a u64."""
    low, high = (start, stop) if step > 0 else (stop, start)
    some = w.let(f"icmp slt i64 {low}, {high}")
    count = w.let(f"sub i64 {high}, {low}")
    if abs(step) > 1:
        count = w.let(f"sub i64 {count}, 1")
        count = w.let(f"udiv i64 {count}, {abs(step)}")
        count = w.let(f"add i64 {count}, 1")
    return w.let(f"select i1 {some}, i64 {count}, i64 0")


def _while_loop(w: Writer, frame: Frame, op: Op) -> None:
    loop = frame.plan.nested[op]
    assert isinstance(loop, Loop) and loop.test is not None
    test, body = op.regions
    w.note(frame, f"while_loop {test.name} {body.name}:")
    inner = _loop_frame(w, frame, op, loop, [])
    head, trip, end = w.labels("while", "trip", "done")
    w.put(f"br label %{head}")
    w.label(head)
    seen = [w.pointer(inner, v) for v in body.inputs]
    tested = Frame(loop.test, inner.base, seen, depth=inner.depth)
    write_graph(w, tested, test)
    more = w.let(f"trunc i8 {w.load(tested, test.outputs[0])} to i1")
    if any(o.kind.name in ("bound", "agree") for region in op.regions for o in region.walk()):
        fine = w.let(f"icmp eq i64 {w.let('load i64, ptr %error')}, 0")
        more = w.let(f"and i1 {more}, {fine}")
    w.put(f"br i1 {more}, label %{trip}, label %{end}")
    w.label(trip)
    write_graph(w, inner, body)
    _end_of_trip(w, inner, op, loop)
    w.put(f"br label %{head}")
    w.label(end)


def _loop_frame(w: Writer, frame: Frame, op: Op, loop: Loop, own: list[str]) -> Frame:
    """The frame of a loop's body, its carried values set. `own`: pointers to inputs that are the loop's."""
    lead, plan = LEAD[op.kind], loop.body
    inputs = op.regions[-1].inputs
    carried = inputs[len(own) : len(own) + op.attrs["carried"]]
    inner = Frame(plan, frame.base + loop.base, depth=frame.depth + 1)
    for k, p in loop.copied.items():
        v = op.operands[p]
        w.copy(w.at(frame, loop.bound[k], v.type), w.pointer(frame, v), v.type)
    inner.pointers = _bind(w, frame, inner, loop.bound)
    for j, v in enumerate(carried):
        if is_small(v):
            variable = w.at(frame, frame.plan.place[op.results[j]], v.type)
            w.copy(variable, w.pointer(frame, op.operands[lead + j]), v.type)
            inner.slots[plan.place[v].at] = variable
    constants = [_outer(w, frame, v) for v in op.operands[lead + len(carried) :]]
    inner.inputs = [*own, *[""] * len(carried), *constants]
    return inner


def _bind(w: Writer, frame: Frame, inner: Frame, bound: list[Place]) -> list[str]:
    """A region's pointers: variables of the frame around for those that it exchanges, else what they are."""
    found = []
    for k, place in enumerate(bound):
        found.append(frame.pointers[place.at] if k in inner.plan.moved else w.at(frame, place, PTR))
    return found


def _outer(w: Writer, frame: Frame, v: Value) -> str:
    """A pointer to what a region reads from outside: small values in variables, where nothing else can write."""
    pointer = w.pointer(frame, v)
    if not is_small(v) or frame.plan.place[v].kind == "slot":
        return pointer
    variable = w.variable(v.type)
    w.copy(variable, pointer, v.type)
    return variable


def _end_of_trip(w: Writer, inner: Frame, op: Op, loop: Loop) -> None:
    """Carry on: all is read before anything is written."""
    body = op.regions[-1]
    carried = body.inputs[len(body.inputs) - len(op.operands) + LEAD[op.kind] :][: op.attrs["carried"]]
    moves: list[tuple[str, str, TensorType]] = []
    for v, new in zip(carried, body.outputs, strict=True):
        if is_small(v) and loop.body.place[v] != loop.body.place[new]:
            moves.append((w.pointer(inner, v), w.pointer(inner, new), v.type))
    for k, source in enumerate(loop.order):
        if k != source:
            moves.append((inner.pointers[k], inner.pointers[source], PTR))
    _move(w, moves)


def _move(w: Writer, moves: list[tuple[str, str, TensorType]]) -> None:
    """Copies (target, source) that happen at once."""
    held = []
    for _, source, t in moves:
        between = w.variable(t)
        w.copy(between, source, t)
        held.append(between)
    for (target, _, t), between in zip(moves, held, strict=True):
        w.copy(target, between, t)


# ---- branches ----------------------------------------------------------------------------------------


def _cond(w: Writer, frame: Frame, op: Op) -> None:
    branch = frame.plan.nested[op]
    assert isinstance(branch, Branch)
    w.note(frame, f"cond {op.regions[0].name} {op.regions[1].name}:")
    for k, p in branch.copied.items():
        v = op.operands[p]
        w.copy(w.at(frame, branch.bound[0][k], v.type), w.pointer(frame, v), v.type)
    inputs = [_outer(w, frame, v) for v in op.operands[1:]]
    results = [w.pointer(frame, r) if is_small(r) else "" for r in op.results]
    then, orelse, end = w.labels("then", "orelse", "joined")
    holds = w.let(f"trunc i8 {w.load(frame, op.operands[0])} to i1")
    w.put(f"br i1 {holds}, label %{then}, label %{orelse}")
    for side, label in enumerate((then, orelse)):
        w.label(label)
        region, plan = op.regions[side], branch.plans[side]
        inner = Frame(plan, frame.base + branch.base, inputs, depth=frame.depth + 1)
        inner.pointers = _bind(w, frame, inner, branch.bound[side])
        write_graph(w, inner, region)
        for v, target in zip(region.outputs, results, strict=True):
            if target:
                w.copy(target, w.pointer(inner, v), v.type)
        if side:
            _move(w, [(frame.pointers[k], frame.pointers[s], PTR) for k, s in branch.exchanged.items()])
        w.put(f"br label %{end}")
    w.label(end)


# ---- stacks ------------------------------------------------------------------------------------------


def _stack_new(w: Writer, frame: Frame, op: Op) -> None:
    w.stacks = True
    stack = w.let("call ptr @weft_stack_new(ptr %stacks, ptr %spares)")
    w.unless_null(stack)
    w.put(f"store ptr {stack}, ptr {w.pointer(frame, op.result)}")


def _push(w: Writer, frame: Frame, op: Op) -> None:
    stack, *values = op.operands
    offsets, size = record_layout(values)
    room = w.room(frame, op)
    for p, (v, offset) in enumerate(zip(values, offsets, strict=True), 1):
        place = frame.plan.place[v]
        if place.kind != "record" or frame.plan.records[place.at] != (op, p):
            w.copy(w.let(f"getelementptr inbounds i8, ptr {room}, i64 {w.number(offset)}"), w.pointer(frame, v), v.type)
    s = w.load(frame, stack)
    w.put(f"call void @weft_stack_push(ptr {s}, i64 {w.number(size)})")
    w.put(f"store ptr {s}, ptr {w.pointer(frame, op.result)}")


def _pop(w: Writer, frame: Frame, op: Op) -> None:
    below, *values = op.results
    offsets, size = record_layout(values)
    s = w.load(frame, op.operands[0])
    record = w.let(f"call ptr @weft_stack_pop(ptr {s}, i64 {w.number(size)})")
    for v, offset in zip(values, offsets, strict=True):
        place, at = frame.plan.place[v], w.let(f"getelementptr inbounds i8, ptr {record}, i64 {w.number(offset)}")
        if place.kind == "record":
            frame.records[place.at] = at
        else:
            w.copy(w.pointer(frame, v), at, v.type)
    w.put(f"store ptr {s}, ptr {w.pointer(frame, below)}")


_OPS: dict[str, Callable[[Writer, Frame, Op], None]] = {
    "call": _call, "dot": Writer.dot, "constant": Writer.constant, "reshape": lambda w, frame, op: None,
    "for_loop": _for_loop, "while_loop": _while_loop, "cond": _cond,
    "stack_new": _stack_new, "push": _push, "pop": _pop,
}  # fmt: skip
