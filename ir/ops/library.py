"""Ops of NumPy's that compiled code calls: sorts, factorisations. What they are there is their NumPy reference.

    y = sort(x, axis=0)      a kernel makes x; the reference, in Python, reads it and makes y; the next kernel reads y

So such an op is no slower than NumPy's, and not faster; what is around it is compiled as ever. Besides what every op
states (`weft.ir.opdef`):

* `into(results, *operands, **attrs)`, where the reference would make an array only to have it copied: writes the
  results in these arrays. Where a result may be made in an operand's buffer it is handed one array for both.
* `over`: pairs (result, operand) for which `into` allows that.
* `harmless(*operands)`, of ops that may raise LinAlgError: operands on which they don't. Such an op stays in the loop
  or branch that it stands in, and has these in the lanes that don't get there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weft.ir.opdef import Infer, OpDef, register


def library(name: str, infer: Infer, reference: Callable[..., Any], **more: Any) -> OpDef:
    """An op that compiled code calls NumPy for."""
    return register(OpDef(name, "library", infer, reference, **more))
