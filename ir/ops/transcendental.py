"""Transcendental functions: the reference is NumPy's, the scalar body our own (codegen/math).

Derivatives: Abramowitz and Stegun, chapter 4.
"""

from __future__ import annotations

import math

import numpy as np

from weft.ir.opdef import OpDef
from weft.ir.ops.families import elementwise
from weft.ir.ops.logic import equal, where

LN2, LN10 = math.log(2.0), math.log(10.0)


sqrt = elementwise(
    "sqrt", np.sqrt, "sqrt(a)", pull=lambda g, y, x: (g * 0.5 / y,), domain=(0.2, 3), dtypes="f"
)
cbrt = elementwise(
    "cbrt", np.cbrt, "cbrt(a)", pull=lambda g, y, x: (g / (y * y * 3),), domain=(0.2, 3), dtypes="f"
)
exp = elementwise("exp", np.exp, "exp(a)", pull=lambda g, y, x: (g * y,), dtypes="f")
exp2 = elementwise("exp2", np.exp2, "exp2(a)", pull=lambda g, y, x: (g * y * LN2,), dtypes="f")
expm1 = elementwise("expm1", np.expm1, "expm1(a)", pull=lambda g, y, x: (g * (y + 1),), dtypes="f")
log = elementwise("log", np.log, "log(a)", pull=lambda g, y, x: (g / x,), domain=(0.2, 3), dtypes="f")
log2 = elementwise(
    "log2", np.log2, "log2(a)", pull=lambda g, y, x: (g / (x * LN2),), domain=(0.2, 3), dtypes="f"
)
log10 = elementwise(
    "log10", np.log10, "log10(a)", pull=lambda g, y, x: (g / (x * LN10),), domain=(0.2, 3), dtypes="f"
)
log1p = elementwise(
    "log1p", np.log1p, "log1p(a)", pull=lambda g, y, x: (g / (x + 1),), domain=(-0.6, 2), dtypes="f"
)

sin = elementwise("sin", np.sin, "sin(a)", pull=lambda g, y, x: (g * cos(x),), dtypes="f")
cos: OpDef = elementwise("cos", np.cos, "cos(a)", pull=lambda g, y, x: (-(g * sin(x)),), dtypes="f")
tan = elementwise(
    "tan", np.tan, "tan(a)", pull=lambda g, y, x: (g * (y * y + 1),), domain=(-1.2, 1.2), dtypes="f"
)
arcsin = elementwise("arcsin", np.arcsin, "arcsin(a)", pull=lambda g, y, x: (g / sqrt(1 - x * x),),
                     domain=(-0.8, 0.8), dtypes="f")  # fmt: skip
arccos = elementwise("arccos", np.arccos, "arccos(a)", pull=lambda g, y, x: (-(g / sqrt(1 - x * x)),),
                     domain=(-0.8, 0.8), dtypes="f")  # fmt: skip
arctan = elementwise("arctan", np.arctan, "arctan(a)", pull=lambda g, y, x: (g / (x * x + 1),), dtypes="f")
arctan2 = elementwise("arctan2", np.arctan2, "arctan2(a, b)", arity=2, domain=(0.3, 2), dtypes="f",
                      pull=lambda g, y, a, b: (g * b / (a * a + b * b), -(g * a) / (a * a + b * b)))  # fmt: skip

sinh = elementwise("sinh", np.sinh, "sinh(a)", pull=lambda g, y, x: (g * cosh(x),), dtypes="f")
cosh: OpDef = elementwise("cosh", np.cosh, "cosh(a)", pull=lambda g, y, x: (g * sinh(x),), dtypes="f")
tanh = elementwise("tanh", np.tanh, "tanh(a)", pull=lambda g, y, x: (g * (1 - y * y),), dtypes="f")
arcsinh = elementwise(
    "arcsinh", np.arcsinh, "arcsinh(a)", pull=lambda g, y, x: (g / sqrt(x * x + 1),), dtypes="f"
)
arccosh = elementwise("arccosh", np.arccosh, "arccosh(a)", pull=lambda g, y, x: (g / sqrt(x * x - 1),),
                      domain=(1.2, 3), dtypes="f")  # fmt: skip
arctanh = elementwise("arctanh", np.arctanh, "arctanh(a)", pull=lambda g, y, x: (g / (1 - x * x),),
                      domain=(-0.8, 0.8), dtypes="f")  # fmt: skip

hypot = elementwise(
    "hypot", np.hypot, "hypot(a, b)", arity=2, dtypes="f", domain=(0.3, 2),
    pull=lambda g, y, a, b: (g * a / _nonzero(y), g * b / _nonzero(y)),
)  # fmt: skip
logaddexp = elementwise("logaddexp", np.logaddexp, "logaddexp(a, b)", arity=2, dtypes="f",
                        pull=lambda g, y, a, b: (g * exp(a - y), g * exp(b - y)))  # fmt: skip
logaddexp2 = elementwise("logaddexp2", np.logaddexp2, "logaddexp2(a, b)", arity=2, dtypes="f",
                         pull=lambda g, y, a, b: (g * exp2(a - y), g * exp2(b - y)))  # fmt: skip


def _nonzero(y):  # type: ignore[no-untyped-def]
    """y, or 1 where it is 0: hypot's gradient at the origin is taken as 0."""
    return where(equal(y, y.const(0)), y.const(1), y)
