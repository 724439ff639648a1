"""`call`: apply a nested graph. The fuse pass groups ops into calls; each becomes one kernel."""

from __future__ import annotations

from typing import Any

from weft.ir.graph import Graph
from weft.ir.opdef import IRTypeError, OpDef, register
from weft.ir.ops.families import Types


def _infer_call(types: Types, attrs: Any, regions: tuple[Graph, ...] = ()) -> Types:
    (body,) = regions
    want = tuple(v.type for v in body.inputs)
    if want != types:
        raise IRTypeError(
            f"call: {body.name} takes ({', '.join(map(str, want))}), got ({', '.join(map(str, types))})"
        )
    return tuple(v.type for v in body.outputs)


def _call(*arrays: Any) -> Any:
    raise NotImplementedError("the interpreter runs a call's region itself")


call = register(OpDef("call", "control", _infer_call, _call, arity=-1, attr_names=()))
