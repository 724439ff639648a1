"""Comparison, logic, bits and choice, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import OpDef, register
from weft.ir.ops.families import IRTypeError, Types, elementwise, lane_by_lane
from weft.ir.types import TensorType, broadcast_dims

less = elementwise("less", np.less, "a < b", arity=2, result="bool", pull=lambda g, y, a, b: (None, None))
less_equal = elementwise("less_equal", np.less_equal, "a <= b", arity=2, result="bool",
                         pull=lambda g, y, a, b: (None, None))  # fmt: skip
greater = elementwise("greater", np.greater, "a > b", arity=2, result="bool",
                      pull=lambda g, y, a, b: (None, None))  # fmt: skip
greater_equal = elementwise("greater_equal", np.greater_equal, "a >= b", arity=2, result="bool",
                            pull=lambda g, y, a, b: (None, None))  # fmt: skip
equal = elementwise("equal", np.equal, "a == b", arity=2, result="bool",
                    pull=lambda g, y, a, b: (None, None))  # fmt: skip
not_equal = elementwise("not_equal", np.not_equal, "a != b", arity=2, result="bool",
                        pull=lambda g, y, a, b: (None, None))  # fmt: skip

logical_and = elementwise("logical_and", np.logical_and, "a & b", arity=2, dtypes="b")
logical_or = elementwise("logical_or", np.logical_or, "a | b", arity=2, dtypes="b")
logical_xor = elementwise("logical_xor", np.logical_xor, "a ^ b", arity=2, dtypes="b")
logical_not = elementwise("logical_not", np.logical_not, "not a", dtypes="b")

bitwise_and = elementwise("bitwise_and", np.bitwise_and, "a & b", arity=2, dtypes="biu")
bitwise_or = elementwise("bitwise_or", np.bitwise_or, "a | b", arity=2, dtypes="biu")
bitwise_xor = elementwise("bitwise_xor", np.bitwise_xor, "a ^ b", arity=2, dtypes="biu")
bitwise_not = elementwise("bitwise_not", np.invert, "~a", dtypes="iu")
left_shift = elementwise("left_shift", np.left_shift, "left_shift(a, b)", arity=2, dtypes="iu")
right_shift = elementwise("right_shift", np.right_shift, "right_shift(a, b)", arity=2, dtypes="iu")

isnan = elementwise("isnan", np.isnan, "isnan(a)", result="bool", dtypes="f", pull=lambda g, y, a: (None,))
isinf = elementwise("isinf", np.isinf, "isinf(a)", result="bool", dtypes="f", pull=lambda g, y, a: (None,))
isfinite = elementwise("isfinite", np.isfinite, "isfinite(a)", result="bool", dtypes="f",
                       pull=lambda g, y, a: (None,))  # fmt: skip
signbit = elementwise("signbit", np.signbit, "signbit(a)", result="bool", dtypes="f",
                      pull=lambda g, y, a: (None,))  # fmt: skip


def _infer_where(types: Types, attrs: Any) -> Types:
    if len(types) != 3:
        raise IRTypeError(f"where takes 3 operands, got {len(types)}")
    c, a, b = types
    if c.dtype != "bool" or a.dtype != b.dtype:
        raise IRTypeError(f"where takes a bool and two operands of one dtype, got {c}, {a} and {b}")
    try:
        return (TensorType(a.dtype, broadcast_dims(c.dims, a.dims, b.dims)),)
    except ValueError as err:
        raise IRTypeError(f"where: {err}") from None


where: OpDef = register(
    OpDef(
        "where",
        "elementwise",
        _infer_where,
        lambda c, a, b: np.asarray(np.where(c, a, b)),
        arity=3,
        scalar="b if a else c",
        pull=lambda g, y, c, a, b: (None, where(c, g, g.const(0)), where(c, g.const(0), g)),
        linear=(1, 2),
        batch=lane_by_lane("where"),
    )
)
