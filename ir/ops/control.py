"""Ops that hold graphs: `call`, `cond`, `while_loop` and `for_loop`.

    z = k0(x, y)                                                the graph k0 applied, as fusion makes of a kernel's ops
    y, z = cond(p, a, b, then=f, orelse=g)                      f(a, b) where the 0-d bool p holds, else g(a, b)
    x, n = while_loop(x0, n0, c, carried=2, test=f, body=g)     x, n = x0, n0
                                                                while f(x, n, c): x, n = g(x, n, c)
    x, n = for_loop(i, j, x0, n0, c, carried=2, step=s, body=g) x, n = x0, n0
                                                                for t in range(i, j, s): x, n = g(t, x, n, c)

A region reads nothing but its own inputs: what a body needs from outside are operands behind the carried ones,
its constants. Carried values keep their types from trip to trip; a loop of no trips gives them back as they came.
A loop may say what its gradient keeps: checkpoint='sqrt', a number of snapshots, or one of bytes, '64MB'.
The interpreter runs regions itself; how loops and branches are differentiated is `weft.passes.differentiate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from weft.ir.graph import Graph, Op, Value
from weft.ir.opdef import IRTypeError, OpDef, register
from weft.ir.ops.families import Types
from weft.ir.types import TensorType

I64 = TensorType("i64")
BOOL = TensorType("bool")
Regions = tuple[Graph, ...]


AGAIN = "again"  # the `checkpoint` of a backward loop of one trip, see `weft.passes.loops`
UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4,
         "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}  # fmt: skip
_BYTES = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?I?)B", re.IGNORECASE)


def budget(checkpoint: Any) -> int | None:
    """The bytes that a text like "64 MB" or "1.5GiB" says; None for all else."""
    found = _BYTES.fullmatch(checkpoint) if isinstance(checkpoint, str) else None
    return int(float(found[1]) * UNITS[found[2].upper()]) if found and found[2].upper() in UNITS else None


def is_checkpoint(value: Any) -> bool:
    """May it be a loop's `checkpoint`?"""
    number = type(value) is int and value > 0
    return number or value in ("sqrt", AGAIN) or (budget(value) or 0) > 0


def _listed(types: Sequence[TensorType]) -> str:
    return f"({', '.join(map(str, types))})"


def _takes(op: str, region: Graph, types: Types) -> None:
    want = tuple(v.type for v in region.inputs)
    if want != types:
        raise IRTypeError(f"{op}: {region.name} takes {_listed(want)}, got {_listed(types)}")


def _gives(op: str, region: Graph, types: Types, what: str) -> None:
    have = tuple(v.type for v in region.outputs)
    if have != types:
        raise IRTypeError(f"{op}: {region.name} returns {_listed(have)}, {what} {_listed(types)}")


def _infer_call(types: Types, attrs: Any, regions: Regions = ()) -> Types:
    (body,) = regions
    _takes("call", body, types)
    return tuple(v.type for v in body.outputs)


def _infer_cond(types: Types, attrs: Any, regions: Regions = ()) -> Types:
    then, orelse = regions
    if not types or types[0] != BOOL:
        raise IRTypeError(f"cond: the predicate must be a 0-d bool, got {_listed(types[:1])}")
    _takes("cond", then, types[1:])
    _takes("cond", orelse, types[1:])
    results = tuple(v.type for v in then.outputs)
    _gives("cond", orelse, results, f"{then.name} returns")
    return results


def _carried(op: str, types: Types, attrs: Any) -> Types:
    count, checkpoint = attrs["carried"], attrs.get("checkpoint", "sqrt")
    if not is_checkpoint(checkpoint):
        raise IRTypeError(f"{op}: checkpoint={checkpoint!r} is neither \"sqrt\", a number of snapshots nor of bytes")
    if not 0 <= count <= len(types):
        raise IRTypeError(f"{op}: carried={count} of {len(types)} values")
    return types[:count]


def _infer_while(types: Types, attrs: Any, regions: Regions = ()) -> Types:
    test, body = regions
    carried = _carried("while_loop", types, attrs)
    _takes("while_loop", test, types)
    _takes("while_loop", body, types)
    _gives("while_loop", test, (BOOL,), "a test returns")
    _gives("while_loop", body, carried, "carried are")
    return carried


def _infer_for(types: Types, attrs: Any, regions: Regions = ()) -> Types:
    (body,) = regions
    if types[:2] != (I64, I64):
        raise IRTypeError(f"for_loop: start and stop must be 0-d i64, got {_listed(types[:2])}")
    if attrs["step"] == 0:
        raise IRTypeError("for_loop: step must not be zero")
    carried = _carried("for_loop", types[2:], attrs)
    _takes("for_loop", body, (I64, *types[2:]))
    _gives("for_loop", body, carried, "carried are")
    return carried


def _reference(*arrays: Any, **attrs: Any) -> Any:
    raise NotImplementedError("the interpreter runs regions itself")


def _control(
    name: str, infer: Any, regions: tuple[str, ...], attrs: tuple[str, ...] = (), optional: tuple[str, ...] = ()
) -> OpDef:
    return register(
        OpDef(name, "control", infer, _reference, arity=-1, attr_names=attrs, optional=optional, regions=regions)
    )


call = _control("call", _infer_call, ("kernel",))
cond = _control("cond", _infer_cond, ("then", "orelse"))
while_loop = _control("while_loop", _infer_while, ("test", "body"), ("carried",), ("checkpoint",))
for_loop = _control("for_loop", _infer_for, ("body",), ("carried", "step"), ("checkpoint",))

LEAD = {for_loop: 2, while_loop: 0, cond: 1}  # operands that stand before those that the regions take


BEFORE = {for_loop: 1, while_loop: 0, cond: 0}  # inputs that a body or branch has before those operands


def flows(op: Op) -> Iterator[tuple[Value, Value]]:
    """(a, b) where b is a: operands as regions' inputs, regions' outputs as results or as the next trip's inputs."""
    body = op.regions[-1]
    carried = range(op.attrs["carried"] if is_loop(op) else 0)
    given = op.operands[LEAD.get(op.kind, 0) :]
    for region in op.regions:
        inputs = region.inputs[BEFORE.get(op.kind, 0) :]
        yield from zip(given, inputs, strict=True)
        yield from ((body.outputs[j], inputs[j]) for j in carried)
        if region is body or not is_loop(op):
            yield from zip(region.outputs, op.results, strict=True)
    yield from ((given[j], op.results[j]) for j in carried)  # a loop of no trips


def is_loop(op: Op) -> bool:
    return op.kind is for_loop or op.kind is while_loop


def carried_operands(op: Op) -> tuple[Value, ...]:
    """A loop's initial values."""
    lead = LEAD[op.kind]
    return op.operands[lead : lead + op.attrs["carried"]]


def constant_operands(op: Op) -> tuple[Value, ...]:
    """What a loop's regions read from outside, trip for trip the same."""
    return op.operands[LEAD[op.kind] + op.attrs["carried"] :]
