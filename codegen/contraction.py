"""Which products are contracted: x + a * b as one fused multiply-add.

    p = mul(a, b); y = add(p, c)    ->    y = fma(a, b, c)        where nobody else reads p

That depends on the kernel's graph alone, never on the loop: a value has the same bits wherever it is computed, so
that `x == max(x)` holds in a kernel that computes x for its maximum and again to compare. LLVM, which would decide
anew in each loop, is not let contract.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from weft.codegen.reading import op_scalar
from weft.codegen.scalar import Scalar, expression
from weft.ir.graph import Op, Value

Application = tuple[Scalar, str, list[tuple[Op, int]]]  # scalar, note, and operands as (reader, position)


def whole(op: Op) -> Application:
    """An elementwise op as it stands."""
    return op_scalar(op), op.kind.name, [(op, i) for i in range(len(op.operands))]


def contracted(op: Op, producer: Mapping[Value, Op], alone: Collection[Value]) -> Application | None:
    """A sum or difference that takes in a product of its shape, of those values that have one reader."""
    if op.kind.name not in ("add", "sub") or op.result.dtype not in ("f32", "f64"):
        return None
    for side, v in enumerate(op.operands):
        made = producer.get(v)
        if made is None or made.kind.name != "mul" or v not in alone or v.shape != op.result.shape:
            continue
        template = "fma(a, b, c)" if op.kind.name == "add" else ("fma(-a, b, c)" if side else "fma(a, b, -c)")
        scalar = expression(template, [op.result.dtype] * 3, op.result.dtype)
        return scalar, "fma", [(made, 0), (made, 1), (op, 1 - side)]
    return None
