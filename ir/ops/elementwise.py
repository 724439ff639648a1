"""Arithmetic, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.ir.opdef import OpDef
from weft.ir.ops.families import elementwise
from weft.ir.ops.logic import equal, logical_or, not_equal, where
from weft.ir.ops.transcendental import log


def _signless(name: str, unsigned: str = "a") -> Any:
    """The scalar body `name(a)`, or `unsigned` where the dtype has no sign."""
    return lambda dtype: unsigned if dtype[0] in "ub" else f"{name}(a)"


def _int_is(body: str, integer: str = "a") -> Any:
    """`body` for floats, `integer` for ints (rounding an integer is the identity)."""
    return lambda dtype: body if dtype[0] == "f" else integer


def _tie(x: Any, y: Any, other: Any) -> Any:
    """1 where x is the result alone, 1/2 where both are, 0 elsewhere: the subgradient of max and min."""
    return where(equal(x, y), where(equal(x, other), x.const(0.5), x.const(1)), x.const(0))


def _base(a: Any, b: Any) -> Any:
    """a, but 1 where b is 0 and a has no reciprocal: the derivative of a**b by a is 0 there, not 0 * inf."""
    return where(logical_or(not_equal(b, b.const(0)), absolute(a) > 0), a, a.const(1))


add = elementwise(
    "add", np.add, lambda d: "a | b" if d == "bool" else "a + b", arity=2,
    pull=lambda g, y, a, b: (g, g), linear=(0, 1),
)  # fmt: skip
sub = elementwise(
    "sub", np.subtract, "a - b", arity=2, pull=lambda g, y, a, b: (g, -g), linear=(0, 1), dtypes="iuf"
)
mul = elementwise(
    "mul", np.multiply, lambda d: "a & b" if d == "bool" else "a * b", arity=2,
    pull=lambda g, y, a, b: (g * b, g * a),
)  # fmt: skip
div = elementwise(
    "div", np.true_divide, "a / b", arity=2, dtypes="f", domain=((-2, 2), (0.5, 2)),
    pull=lambda g, y, a, b: (g / b, -(g * y) / b),
)  # fmt: skip
neg = elementwise("neg", np.negative, "-a", pull=lambda g, y, a: (-g,), linear=(0,), dtypes="iuf")
floordiv = elementwise("floordiv", np.floor_divide, "floordiv(a, b)", arity=2, dtypes="iuf",
                       pull=lambda g, y, a, b: (None, None), domain=((-2, 2), (0.5, 2)))  # fmt: skip
mod = elementwise("mod", np.remainder, "mod(a, b)", arity=2, dtypes="iuf", numpy=(np.remainder,),
                  pull=lambda g, y, a, b: (g, -(g * floordiv(a, b))), domain=((0.1, 0.9), (1.1, 2)))  # fmt: skip
fmod = elementwise("fmod", np.fmod, "fmod(a, b)", arity=2, dtypes="iuf",
                   pull=lambda g, y, a, b: (g, -(g * trunc(a / b))), domain=((2.3, 2.9), (1.1, 1.4)))  # fmt: skip
power: OpDef = elementwise(
    "power", np.power, "power(a, b)", arity=2, dtypes="iuf", numpy=(np.power, np.float_power),
    domain=((0.5, 2), (-2, 2)),
    pull=lambda g, y, a, b: (
        g * b * power(_base(a, b), b - 1),
        g * where(a > 0, y * log(where(a > 0, a, a.const(1))), a.const(0)),
    ),
)  # fmt: skip
square = elementwise("square", np.square, "a * a", pull=lambda g, y, a: (g * a * 2,), dtypes="iuf")
reciprocal = elementwise("reciprocal", np.reciprocal, "1 / a", pull=lambda g, y, a: (-(g * y * y),),
                         dtypes="f", domain=(0.5, 2))  # fmt: skip
absolute = elementwise("abs", np.absolute, _signless("abs"), numpy=(np.absolute, np.fabs),
                       pull=lambda g, y, a: (g * sign(a),), domain=(0.3, 2))  # fmt: skip
sign: OpDef = elementwise("sign", np.sign, "sign(a)", pull=lambda g, y, a: (None,), dtypes="iuf", domain=(0.3, 2))
maximum = elementwise("maximum", np.maximum, lambda d: "a | b" if d == "bool" else "maximum(a, b)", arity=2,
                      pull=lambda g, y, a, b: (g * _tie(a, y, b), g * _tie(b, y, a)))  # fmt: skip
minimum = elementwise("minimum", np.minimum, lambda d: "a & b" if d == "bool" else "minimum(a, b)", arity=2,
                      pull=lambda g, y, a, b: (g * _tie(a, y, b), g * _tie(b, y, a)))  # fmt: skip
fmax = elementwise("fmax", np.fmax, lambda d: "a | b" if d == "bool" else "fmax(a, b)", arity=2,
                   pull=lambda g, y, a, b: (g * _tie(a, y, b), g * _tie(b, y, a)))  # fmt: skip
fmin = elementwise("fmin", np.fmin, lambda d: "a & b" if d == "bool" else "fmin(a, b)", arity=2,
                   pull=lambda g, y, a, b: (g * _tie(a, y, b), g * _tie(b, y, a)))  # fmt: skip
floor = elementwise("floor", np.floor, _int_is("floor(a)"), pull=lambda g, y, a: (None,), domain=(0.1, 0.9))
ceil = elementwise("ceil", np.ceil, _int_is("ceil(a)"), pull=lambda g, y, a: (None,), domain=(0.1, 0.9))
trunc: OpDef = elementwise("trunc", np.trunc, _int_is("trunc(a)"), pull=lambda g, y, a: (None,), domain=(0.1, 0.9),
                    numpy=(np.trunc,))  # fmt: skip
rint = elementwise("rint", np.rint, "rint(a)", pull=lambda g, y, a: (None,), domain=(0.1, 0.4), dtypes="f")
copysign = elementwise("copysign", np.copysign, "copysign(a, b)", arity=2, dtypes="f", domain=(0.3, 2),
                       pull=lambda g, y, a, b: (g * sign(a) * sign(y), None))  # fmt: skip
heaviside = elementwise("heaviside", np.heaviside, "heaviside(a, b)", arity=2, dtypes="f", domain=(0.3, 2),
                        pull=lambda g, y, a, b: (
                            None, g * where(equal(a, a.const(0)), a.const(1), a.const(0))))  # fmt: skip
