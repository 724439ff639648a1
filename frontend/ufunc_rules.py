"""The ufuncs that are no single op: each is a few lines over others."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from weft.frontend.errors import DTypeError, ShapeError, message
from weft.frontend.numpy_api.registry import UFUNCS, ufunc_rule
from weft.frontend.tracer import WEAK_DTYPES, Tracer, as_tracer, cast, constant, emit, full
from weft.frontend.ufunc import call, convert, loop, settle
from weft.ir import ops
from weft.ir.dims import same_shape
from weft.ir.opdef import BY_NUMPY, OpDef
from weft.ir.types import broadcast_dims

_ufunc: np.ufunc  # of the loops below, over ufuncs of many precise types
e, t, lg = ops.elementwise, ops.transcendental, ops.logic


def prepared(ufunc: np.ufunc, operands: tuple[Any, ...], dtype: Any = None) -> list[Tracer]:
    """The operands in the dtypes in which NumPy computes."""
    return convert(settle(operands), loop(ufunc, operands, dtype), ufunc)


def truth(x: Tracer) -> Tracer:
    """x != 0, in bool."""
    return x if x.dtype == np.bool_ else emit(lg.not_equal, x, constant(x, 0, x.dtype))


@ufunc_rule(np.positive)
def positive(x: Any, dtype: Any = None) -> Tracer:
    (a,) = prepared(np.positive, (x,), dtype)
    return Tracer(a.home, a.value)


@ufunc_rule(np.conjugate)
def conjugate(x: Any, dtype: Any = None) -> Tracer:
    (a,) = prepared(np.conjugate, (x,), dtype)
    return Tracer(a.home, a.value)


@ufunc_rule(np.divmod)
def divmod_(x: Any, y: Any, dtype: Any = None) -> tuple[Tracer, Tracer]:
    a, b = prepared(np.divmod, (x, y), dtype)
    return emit(e.floordiv, a, b), emit(e.mod, a, b)


@ufunc_rule(np.modf)
def modf(x: Any, dtype: Any = None) -> tuple[Tracer, Tracer]:
    (a,) = prepared(np.modf, (x,), dtype)
    zero = emit(e.copysign, constant(a, 0, a.dtype), a)
    fraction = emit(lg.where, emit(lg.isinf, a), zero, emit(e.fmod, a, constant(a, 1, a.dtype)))
    return fraction, emit(e.trunc, a)


@ufunc_rule(np.invert)
def invert(x: Any, dtype: Any = None) -> Tracer:
    (a,) = prepared(np.invert, (x,), dtype)
    return emit(lg.logical_not if a.dtype == np.bool_ else lg.bitwise_not, a)


def _degrees(ufunc: np.ufunc, factor: float) -> None:
    @ufunc_rule(ufunc)
    def rule(x: Any, dtype: Any = None) -> Tracer:
        (a,) = prepared(ufunc, (x,), dtype)
        return emit(e.mul, a, constant(a, factor, a.dtype))


for _ufunc in (np.deg2rad, np.radians):
    _degrees(_ufunc, math.pi / 180)
for _ufunc in (np.rad2deg, np.degrees):
    _degrees(_ufunc, 180 / math.pi)


def _gives_bool(ufunc: np.ufunc, operands: tuple[Any, ...], dtype: Any) -> None:
    """Raises DTypeError for a dtype= that a test's result can't have."""
    if dtype is not None and np.dtype(dtype) != np.bool_:
        loop(ufunc, operands, dtype)


def _logical(ufunc: np.ufunc, op: OpDef) -> None:
    @ufunc_rule(ufunc)
    def rule(*operands: Any, dtype: Any = None) -> Tracer:
        like = next(o for o in operands if type(o) is Tracer)
        _gives_bool(ufunc, operands, dtype)
        return emit(op, *[truth(as_tracer(o, like)) for o in operands])


_logical(np.logical_and, lg.logical_and)
_logical(np.logical_or, lg.logical_or)
_logical(np.logical_xor, lg.logical_xor)
_logical(np.logical_not, lg.logical_not)


def _floating_test(ufunc: np.ufunc, op: OpDef, of_integers: bool) -> None:
    """isnan and its like, which are the same for all integers."""

    @ufunc_rule(ufunc)
    def rule(x: Tracer, dtype: Any = None) -> Tracer:
        _gives_bool(ufunc, (x,), dtype)
        a = x if x.value.type.is_float else None
        return emit(op, a) if a is not None else full(x, x.shape, of_integers, "bool")


_floating_test(np.isnan, lg.isnan, False)
_floating_test(np.isinf, lg.isinf, False)
_floating_test(np.isfinite, lg.isfinite, True)


@ufunc_rule(np.reciprocal)
def reciprocal(x: Any, dtype: Any = None) -> Tracer:
    (a,) = prepared(np.reciprocal, (x,), dtype)
    if a.value.type.is_float:
        return emit(e.reciprocal, a)
    # An integer's is 0 but for 1, -1 and, whatever this machine makes of it, 0.
    with np.errstate(all="ignore"):
        special = {n: np.reciprocal(np.array(n).astype(a.dtype)) for n in (0, 1, -1)}
    result = constant(a, 0, a.dtype)
    for n, value in special.items():
        if n >= 0 or a.dtype.kind == "i":
            hit = emit(lg.equal, a, constant(a, n, a.dtype))
            result = emit(lg.where, hit, constant(a, value, a.dtype), result)
    return result


# Powers: NumPy's own short ways (x**2 is np.square(x), x**0.5 np.sqrt(x)), and products for 3 and 4, which
# stay within 1.5 ulp and need neither a logarithm nor its derivative.


def _scalar(x: Any) -> int | float | None:
    """The value of a Python number, or of a NumPy scalar constant's Python twin; None for anything else."""
    return x if type(x) is int or type(x) is float else None


@ufunc_rule(np.power)
def power(x: Any, y: Any, dtype: Any = None) -> Tracer:
    exponent = _scalar(y)
    types = loop(np.power, (x, y), dtype)
    if types[0].kind in "iu" and exponent is not None and exponent < 0:
        raise ValueError("Integers to negative integer powers are not allowed.")
    if exponent is not None and types[0].kind in "iuf" and type(x) is Tracer:
        result = _known_power(cast(x, types[0]), exponent)
        if result is not None:
            return result
    return emit(e.power, *convert(settle((x, y)), types, np.power))


def _known_power(a: Tracer, exponent: int | float) -> Tracer | None:
    if exponent == 2:
        return emit(e.square, a)
    if exponent == 1:
        return Tracer(a.home, a.value)
    if not a.value.type.is_float:
        return None
    if exponent == 0.5:
        return emit(t.sqrt, a)
    if exponent == -1:
        return emit(e.reciprocal, a)
    if exponent == 0:
        return full(a, a.shape, 1, a.dtype)
    if a.dtype == np.float16:  # a product would round twice
        return None
    if exponent == 3:
        return emit(e.mul, emit(e.square, a), a)
    if exponent == 4:
        return emit(e.square, emit(e.square, a))
    return None


@ufunc_rule(np.float_power)
def float_power(x: Any, y: Any, dtype: Any = None) -> Tracer:
    a, b = prepared(np.float_power, (x, y), dtype)
    return emit(e.power, a, b)


# Comparisons: signed with unsigned 64-bit integers have no common dtype, and Python ints may be out of range.


def _comparison(ufunc: np.ufunc, op: OpDef) -> None:
    @ufunc_rule(ufunc)
    def rule(x: Any, y: Any, dtype: Any = None) -> Tracer:
        _gives_bool(ufunc, (x, y), dtype)
        for a, b, flipped in ((x, y, False), (y, x, True)):
            if type(b) is int and type(a) is Tracer and a.weak is None and a.dtype.kind in "iu":
                info = np.iinfo(a.dtype)
                if not info.min <= b <= info.max:
                    sample = np.array([0])  # any element compares alike
                    answer = ufunc(b, sample) if flipped else ufunc(sample, b)
                    return full(a, a.shape, answer[0], "bool")
        types = loop(ufunc, (x, y))
        if types[0] == types[1]:
            return emit(op, *convert(settle((x, y)), types, ufunc))
        a, b = convert(settle((x, y)), types, ufunc)
        return _mixed_signs(ufunc, op, a, b)


def _mixed_signs(ufunc: np.ufunc, op: OpDef, a: Tracer, b: Tracer) -> Tracer:
    """Compare as unsigned, but where the signed one is negative it is less than the other."""
    signed = a if a.dtype.kind == "i" else b
    below = ufunc(-1, 0) if signed is a else ufunc(0, -1)
    negative = emit(lg.less, signed, constant(signed, 0, signed.dtype))
    same = emit(op, cast(a, "u64"), cast(b, "u64"))
    return emit(lg.where, negative, constant(a, below, "bool"), same)


for _ufunc in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal):
    _comparison(_ufunc, BY_NUMPY[_ufunc])


# Products of matrices.


def _no_scalars(name: str, a: Tracer, b: Tracer) -> None:
    if not a.ndim or not b.ndim:
        raise ValueError(message(f"{name} takes no scalar operands", [a.value, b.value], "Write a * b."))


@ufunc_rule(np.matmul)
def matmul(x: Any, y: Any, dtype: Any = None) -> Tracer:
    """Matrix product over the last two axes, broadcasting those before them."""
    a, b = prepared(np.matmul, (x, y), dtype)
    _no_scalars("matmul", a, b)
    if a.dtype == np.bool_:
        return truth(matmul(cast(a, "i64"), cast(b, "i64")))
    return _stacked(a, b, 1 if a.ndim == 1 else 2, 1 if b.ndim == 1 else 2)


def _stacked(a: Tracer, b: Tracer, a_core: int, b_core: int) -> Tracer:
    """`dot` of the last axis of a with the last but one (or only) core axis of b, the axes before batched."""
    a_lead, b_lead = a.shape[: a.ndim - a_core], b.shape[: b.ndim - b_core]
    left, right = a.ndim - 1, b.ndim - b_core
    if a.type.dims[left] != b.type.dims[right] and a.extents is None and b.extents is None:
        text = f"matmul: axis {left} of shape {a.shape} does not match axis {right} of shape {b.shape}"
        raise ShapeError(message(text, [a.value, b.value]))
    if not a_lead or not b_lead:  # one side has no batch: its free axis follows the other's batch axes
        result = emit(ops.linalg.dot, a, b, batch=((), ()), contract=((left,), (right,)))
        if b_lead and a_core == 2:  # came out as (a's free, b's batch, b's free)
            order = (*range(1, 1 + len(b_lead)), 0, *range(1 + len(b_lead), result.ndim))
            result = Tracer(result.home, emit(ops.movement.transpose, result, perm=order).value)
        return result
    lead = _lead(a, b, a_core, b_core)
    a = _spread(a, lead, a_core)
    b = _spread(b, lead, b_core)
    axes = tuple(range(len(lead)))
    contract = ((a.ndim - 1,), (b.ndim - b_core,))
    return emit(ops.linalg.dot, a, b, batch=(axes, axes), contract=contract)


def _spread(x: Tracer, lead: tuple[int, ...], core: int) -> Tracer:
    shape = lead + x.shape[x.ndim - core :]
    return x if same_shape(x.shape, shape) else emit(ops.movement.broadcast, x, shape=shape)


def _vector_products() -> None:
    """vecdot, and from NumPy 2.2 on matvec and vecmat."""
    for name, a_core, b_core in (("vecdot", 1, 1), ("matvec", 2, 1), ("vecmat", 1, 2)):
        ufunc = getattr(np, name, None)
        if ufunc is None:
            continue

        UFUNCS[ufunc] = functools.partial(_vector_product, ufunc, a_core, b_core)


def _vector_product(ufunc: np.ufunc, a_core: int, b_core: int, x: Any, y: Any, dtype: Any = None) -> Tracer:
    a, b = prepared(ufunc, (x, y), dtype)
    _no_scalars(ufunc.__name__, a, b)
    if a.dtype == np.bool_:
        return truth(_vector_product(ufunc, a_core, b_core, cast(a, "i64"), cast(b, "i64")))
    lead = _lead(a, b, a_core, b_core)
    return _stacked(_spread(a, lead, a_core), _spread(b, lead, b_core), a_core, b_core)


def _lead(a: Tracer, b: Tracer, a_core: int, b_core: int) -> tuple[int, ...]:
    """Common shape of the axes before the core ones. Raises ShapeError."""
    left, right = a.shape[: a.ndim - a_core], b.shape[: b.ndim - b_core]
    try:
        return broadcast_dims(left, right)
    except ValueError as error:
        raise ShapeError(message(f"batch {error}", [a.value, b.value])) from None


_vector_products()


# Operators among Python numbers and weak tracers.


def weak_kind(x: Any) -> Any:
    """The Python type that a weak operand stands for."""
    return x.weak if type(x) is Tracer else type(x)


def _weak(ufunc: np.ufunc, result: Any) -> None:
    """`result(kinds)` -> (the kind in which it is computed, the kind of the result)."""

    def rule(*operands: Any) -> Any:
        kinds = [weak_kind(o) for o in operands]
        computed, kind = result(kinds)
        like = next(o for o in operands if type(o) is Tracer)
        ready = [cast(as_tracer(o, like), WEAK_DTYPES[computed]) for o in operands]
        made = call(ufunc, *ready)
        if isinstance(made, tuple):
            return tuple(Tracer(m.home, m.value, kind) for m in made)
        return Tracer(made.home, made.value, kind)

    UFUNCS["weak", ufunc] = rule


def _number(kinds: list[type]) -> tuple[type, type]:
    kind = float if float in kinds else int
    return kind, kind


def _bits(kinds: list[type]) -> tuple[type, type]:
    if float in kinds:
        raise DTypeError(message("bit operations take no floats"))
    kind = bool if all(k is bool for k in kinds) else int
    return kind, kind


def _integer(kinds: list[type]) -> tuple[type, type]:
    if float in kinds:
        raise DTypeError(message("bit operations take no floats"))
    return int, int


for _ufunc in (np.add, np.subtract, np.multiply, np.floor_divide, np.remainder, np.divmod, np.negative,
               np.positive, np.absolute):  # fmt: skip
    _weak(_ufunc, _number)
for _ufunc in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal):
    _weak(_ufunc, lambda kinds: (_number(kinds)[0], bool))
for _ufunc in (np.bitwise_and, np.bitwise_or, np.bitwise_xor):
    _weak(_ufunc, _bits)
for _ufunc in (np.left_shift, np.right_shift, np.invert):
    _weak(_ufunc, _integer)
_weak(np.true_divide, lambda kinds: (float, float))
_weak(np.power, _number)
_integer_power = UFUNCS["weak", np.power]


@ufunc_rule(("weak", np.power))
def weak_power(x: Any, y: Any) -> Any:
    """Python's `**`: of two ints an int or a float, by the exponent's sign, which has to be known."""
    if weak_kind(x) is not float and weak_kind(y) is not float:
        exponent = int(y)
        base = x if exponent >= 0 else cast(as_tracer(x, y), "f64") if type(x) is Tracer else float(x)
        if type(base) is Tracer and base.weak is None:
            base = Tracer(base.home, base.value, float)
        if type(x) is not Tracer:
            return base**exponent
        return _exact_power(base, exponent)  # type: ignore[arg-type]  # of a tracer
    if type(y) is int or type(y) is float:
        return _exact_power(x, y)
    return _integer_power(x, y)


def _exact_power(base: Tracer, exponent: int | float) -> Tracer:
    kind = float if base.weak is float or type(exponent) is float else int
    made = power(cast(base, WEAK_DTYPES[kind]), exponent)
    return Tracer(made.home, made.value, kind)
