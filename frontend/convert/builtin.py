"""Python's built-in functions and `math`, of traced values: what they would give, traced.

    abs(x)  max(a, b)  float(x)  range(n)  math.sqrt(x)

A result that is a Python number in Python is a weak tracer here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from weft.frontend.convert.iteration import enumerate_, range_, reversed_, zip_
from weft.frontend.tracer import WEAK_DTYPES, Tracer, as_tracer, cast, emit
from weft.ir.dims import Dim
from weft.ir.opdef import REGISTRY


def weak(x: Any, kind: type) -> Tracer:
    """A 0-d tracer as a Python number of that kind."""
    if x.shape:
        x = emit(REGISTRY["reshape"], x, shape=())
    made = cast(x, WEAK_DTYPES[kind])
    return Tracer(made.home, made.value, kind)


def _number(kind: type) -> Callable[..., Any]:
    def convert(*args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or kwargs or type(args[0]) is not Tracer or args[0].size != 1:
            return kind(*args, **kwargs)
        x = args[0]
        if kind is bool:
            return weak(x if x.type.dtype == "bool" else np.not_equal(x, 0), bool)
        return weak(x, kind)

    return convert


def _extreme(python: Callable[..., Any], better: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """max and min: of several traced numbers, or of a traced array's elements."""

    def function(*args: Any, **kwargs: Any) -> Any:
        items = list(args[0]) if len(args) == 1 and isinstance(args[0], list | tuple) else list(args)
        if kwargs or not any(type(x) is Tracer for x in items):
            return python(*args, **kwargs)
        if len(items) == 1:
            (x,) = items
            return (np.max if python is max else np.min)(x) if x.ndim == 1 else python(x)
        found = items[0]
        for item in items[1:]:
            found = _where(better(item, found), item, found)
        return found

    return function


def _where(test: Any, a: Any, b: Any) -> Any:
    """`a if test else b` of numbers: weak when both are."""
    if type(test) is not Tracer:
        return a if test else b
    kinds = [x.weak if type(x) is Tracer else type(x) if type(x) in WEAK_DTYPES else None for x in (a, b)]
    if None in kinds:
        return np.where(test, a, b)
    kind = max(kinds, key=(bool, int, float).index)  # type: ignore[arg-type]
    like = next(x for x in (test, a, b) if type(x) is Tracer)
    one, two = (cast(as_tracer(x, like), WEAK_DTYPES[kind]) for x in (a, b))  # type: ignore[index]
    made = emit(REGISTRY["where"], cast(test, "bool"), one, two)
    return Tracer(made.home, made.value, kind)


def _len(x: Any) -> Any:
    return x.shape[0] if type(x) is Tracer and x.shape else len(x)


def _sum(iterable: Any, /, start: Any = 0) -> Any:
    if type(iterable) is Tracer and iterable.ndim == 1 and type(start) in (int, float) and start == 0:
        return np.sum(iterable)
    return sum(iterable, start)


def _isinstance(x: Any, kinds: Any, /) -> bool:
    return isinstance(0 if type(x) is Dim else x, kinds)


def _type(*args: Any, **kwargs: Any) -> Any:
    return int if len(args) == 1 and type(args[0]) is Dim else type(*args, **kwargs)


def _quantifier(python: Callable[..., Any], numpy: Callable[..., Any]) -> Callable[..., Any]:
    """any and all."""

    def function(iterable: Any) -> Any:
        if type(iterable) is Tracer and iterable.ndim == 1:
            return numpy(iterable)
        items = list(iterable)
        if any(type(x) is Tracer for x in items):
            return numpy(np.stack([x if type(x) is Tracer else np.asarray(x) for x in items]))
        return python(items)

    return function


def _round(number: Any, ndigits: int | None = None) -> Any:
    if type(number) is not Tracer:
        return round(number) if ndigits is None else round(number, ndigits)
    return weak(np.rint(number), int) if ndigits is None else np.round(number, ndigits)


def _math(python: Callable[..., Any], numpy: Callable[..., Any], kind: type = float) -> Callable[..., Any]:
    """A function of `math`: its numbers are floats, or of `kind`."""

    def function(*args: Any) -> Any:
        if not any(type(x) is Tracer for x in args):
            return python(*args)
        given = [weak(x, float) if type(x) is Tracer else float(x) for x in args]
        return weak(numpy(*given), kind)

    return function


BUILTINS: dict[Any, Callable[..., Any]] = {
    range: range_,
    enumerate: enumerate_,
    zip: zip_,
    reversed: reversed_,
    float: _number(float),
    int: _number(int),
    bool: _number(bool),
    max: _extreme(max, lambda a, b: a > b),
    min: _extreme(min, lambda a, b: a < b),
    len: _len,
    isinstance: _isinstance,
    type: _type,
    sum: _sum,
    any: _quantifier(any, np.any),
    all: _quantifier(all, np.all),
    round: _round,
    math.floor: _math(math.floor, np.floor, int),
    math.ceil: _math(math.ceil, np.ceil, int),
    math.trunc: _math(math.trunc, np.trunc, int),
    math.isnan: _math(math.isnan, np.isnan, bool),
    math.isinf: _math(math.isinf, np.isinf, bool),
    math.isfinite: _math(math.isfinite, np.isfinite, bool),
    math.fabs: _math(math.fabs, np.abs),
    math.pow: _math(math.pow, np.power),
}
for _name, _other in {
    "sqrt": "sqrt", "cbrt": "cbrt", "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log2": "log2", "log10": "log10",
    "log1p": "log1p", "sin": "sin", "cos": "cos", "tan": "tan", "asin": "arcsin", "acos": "arccos", "atan": "arctan",
    "atan2": "arctan2", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "asinh": "arcsinh", "acosh": "arccosh",
    "atanh": "arctanh", "hypot": "hypot", "copysign": "copysign", "fmod": "fmod", "degrees": "degrees",
    "radians": "radians",
}.items():  # fmt: skip
    BUILTINS[getattr(math, _name)] = _math(getattr(math, _name), getattr(np, _other))


def _log(x: Any, *base: Any) -> Any:
    if not any(type(v) is Tracer for v in (x, *base)):
        return math.log(x, *base)
    logs = [weak(np.log(weak(v, float)), float) if type(v) is Tracer else math.log(v) for v in (x, *base)]
    return logs[0] if not base else logs[0] / logs[1]


BUILTINS[math.log] = _log
