"""Which products become part of a fused multiply-add.

    s = add(mul(a, b), c)   ->   fma(a, b, c)

That depends on the graph alone, never on the loop: a value has the same bits wherever it is computed, so that
`x == max(x)` holds. Hence also no contraction by LLVM.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from weft.ir.graph import Op, Value


def contracted(
    op: Op, producer: Mapping[Value, Op], uses: Mapping[Value, int], kept: Container[Value]
) -> tuple[int, Op] | None:
    """Position and maker of a product that this sum or difference takes in; None if there is none.

    uses: how often each value is read. kept: values that are stored for later loops.
    """
    if op.kind.name not in ("add", "sub") or op.result.dtype not in ("f32", "f64"):
        return None
    for side, v in enumerate(op.operands):
        made = producer.get(v)
        if made is not None and made.kind.name == "mul" and uses[v] == 1:
            if v.shape == op.result.shape and v not in kept:
                return side, made
    return None
