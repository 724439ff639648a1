"""The whole table of dtype promotion: every ufunc and operator, on every pair of dtypes and Python scalars.

Nothing is compiled: an expression is traced on operands of known dtype, and the dtype of the result is compared
with that of NumPy's on arrays of ones. Where NumPy raises an error, so does the tracer, of the same class.
"""

import itertools
import operator
import warnings

import numpy as np
import pytest

from weft.frontend.capture import Abstract, Guarded, Trace
from weft.frontend.errors import UnsupportedError
from weft.frontend.numpy_api import surface
from weft.frontend.numpy_api.registry import UFUNCS
from weft.frontend.tracer import WEAK_DTYPES, Tracer
from weft.ir import BY_NUMPY, NAMES, TensorType

assert surface  # importing it fills the tables

SCALARS = {"int": 1, "float": 1.0, "True": True}
KINDS = (*NAMES, *SCALARS)
ALL_UFUNCS = {u.__name__: u for u in vars(np).values() if isinstance(u, np.ufunc)}
REACHED = {name: u for name, u in ALL_UFUNCS.items() if u in UFUNCS or u in BY_NUMPY}
NOT_REACHED = {
    "bitwise_count", "frexp", "gcd", "isnat", "lcm", "ldexp", "nextafter", "spacing",
}  # fmt: skip


def matmul(a, b):
    """`a @ b`, with one error for scalars: NumPy's is of a class that depends on which of them is an array."""
    try:
        return a @ b
    except ValueError as error:
        raise TypeError from error


UNARY = {"-": operator.neg, "+": operator.pos, "abs": abs, "~": operator.invert}
BINARY = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow, "@": matmul, "&": operator.and_, "|": operator.or_,
    "^": operator.xor, "<<": operator.lshift, ">>": operator.rshift, "divmod": divmod, "<": operator.lt,
    "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
IN_PLACE = {
    "+=": operator.iadd, "-=": operator.isub, "*=": operator.imul, "/=": operator.itruediv, "//=": operator.ifloordiv,
    "%=": operator.imod, "**=": operator.ipow, "&=": operator.iand, "|=": operator.ior, "^=": operator.ixor,
    "<<=": operator.ilshift, ">>=": operator.irshift,
}  # fmt: skip


def array(kind):
    """An operand of NumPy's."""
    return SCALARS[kind] if kind in SCALARS else np.ones((1, 1), NAMES[kind])


def traced(trace, kind):
    """The operand as it is traced; Python scalars are weak."""
    if kind not in SCALARS:
        return Tracer(trace, trace.input(TensorType(kind, (1, 1)), Abstract()))
    number = SCALARS[kind]
    return Tracer(trace, trace.input(TensorType(WEAK_DTYPES[type(number)]), Guarded(0, number)), type(number))


def outcome(function, *operands, **keywords):
    """What says of a result how it promotes: dtypes, or Python types where it is weak; or the error's class."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = function(*operands, **keywords)
    except UnsupportedError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        return next(c for c in (OverflowError, ValueError, TypeError) if isinstance(error, c))
    return [_promotes(r) for r in (result if isinstance(result, tuple) else (result,))]


def _promotes(result):
    if type(result) is Tracer:
        return result.dtype if result.weak is None else result.weak
    return result.dtype if isinstance(result, np.ndarray | np.generic) else type(result)


def check(function, *kinds, plain=()):
    """Compare on operands of these kinds; those at places `plain` are not traced."""
    trace = Trace()
    operands = [array(k) if i in plain else traced(trace, k) for i, k in enumerate(kinds)]
    got, want = outcome(function, *operands), outcome(function, *map(array, kinds))
    assert got == want, f"{kinds}, not traced: {plain}"


def pairs():
    """Every pair, with both operands traced, and with the one that is a Python scalar as it is."""
    for kinds in itertools.product(KINDS, repeat=2):
        yield kinds, ()
        for i in (0, 1):
            if kinds[i] in SCALARS:
                yield kinds, (i,)


def test_the_ufuncs_that_are_not_reached():
    assert set(ALL_UFUNCS) - set(REACHED) == NOT_REACHED
    for name in NOT_REACHED:
        ufunc = ALL_UFUNCS[name]
        with pytest.raises(UnsupportedError, match=f"np.{name} can't be traced"):
            ufunc(*[traced(Trace(), "f32")] * ufunc.nin)


@pytest.mark.parametrize("name", [n for n, u in REACHED.items() if u.nin == 1])
def test_unary_ufuncs(name):
    for kind in KINDS:
        check(REACHED[name], kind)


@pytest.mark.parametrize("name", [n for n, u in REACHED.items() if u.nin == 2])
def test_binary_ufuncs(name):
    for kinds, plain in pairs():
        check(REACHED[name], *kinds, plain=plain)


@pytest.mark.parametrize("name", UNARY)
def test_unary_operators(name):
    for kind in KINDS:
        check(UNARY[name], kind)


@pytest.mark.parametrize("name", BINARY)
def test_binary_operators(name):
    for kinds, plain in pairs():
        check(BINARY[name], *kinds, plain=plain)


@pytest.mark.parametrize("name", BINARY)
def test_operators_with_arrays_and_numpy_scalars_that_are_not_traced(name):
    for left, right in itertools.product(NAMES, KINDS):
        for other in (array(left), array(left)[0, 0], array(left)[0]):
            got = outcome(BINARY[name], other, traced(Trace(), right))
            assert got == outcome(BINARY[name], other, array(right)), (left, right, type(other))
            got = outcome(BINARY[name], traced(Trace(), right), other)
            assert got == outcome(BINARY[name], array(right), other), (right, left, type(other))


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_operators(name):
    for left, right in itertools.product(NAMES, KINDS):
        check(IN_PLACE[name], left, right)


def test_where():
    for kinds in itertools.product(KINDS, repeat=2):
        for condition in ("bool", "i8", "f64"):
            check(lambda c, x, y: np.where(c, x, y), condition, *kinds)


def test_clip():
    for kinds in itertools.product(NAMES, KINDS, KINDS):
        check(lambda x, low, high: np.clip(x, low, high), *kinds)
        check(lambda x, low, high: np.clip(x, low, high), *kinds, plain=(1, 2))


def test_concatenate_and_dot():
    for kinds in itertools.product(NAMES, repeat=2):
        check(lambda a, b: np.concatenate([a, b]), *kinds)
    for kinds in itertools.product(KINDS, repeat=2):
        check(np.dot, *kinds)


@pytest.mark.parametrize("function", [np.sum, np.prod, np.mean, np.any, np.max, np.argmin, np.nansum, np.ptp])
def test_reductions(function):
    for kind in KINDS:
        check(function, kind)
    if function in (np.sum, np.prod, np.mean, np.nansum):
        for kind, dtype in itertools.product(KINDS, NAMES.values()):
            got = outcome(function, traced(Trace(), kind), dtype=dtype)
            assert got == outcome(function, array(kind), dtype=dtype), (kind, dtype)


@pytest.mark.parametrize("name", ["add", "multiply", "divide", "sqrt", "logical_and", "less"])
def test_the_dtype_argument_of_ufuncs(name):
    ufunc = REACHED[name]
    for kind, dtype in itertools.product(KINDS, NAMES.values()):
        operands = [kind] * ufunc.nin
        got = outcome(ufunc, *[traced(Trace(), k) for k in operands], dtype=dtype)
        assert got == outcome(ufunc, *map(array, operands), dtype=dtype), (kind, dtype)


OUT_OF_RANGE = {"i8": (127, 128, -129), "u8": (255, 256, -1), "i64": (1 << 63, -(1 << 63)), "u64": (1 << 64, -1),
                "f16": (1 << 70,)}  # fmt: skip


@pytest.mark.parametrize("kind", OUT_OF_RANGE)
def test_python_ints_that_may_not_fit(kind):
    for number, name in itertools.product(OUT_OF_RANGE[kind], ("+", "*", "//", "%", "&", "<", "==", "<<")):
        x, y = traced(Trace(), kind), array(kind)
        assert outcome(BINARY[name], x, number) == outcome(BINARY[name], y, number), (number, name)
        assert outcome(BINARY[name], number, x) == outcome(BINARY[name], number, y), (number, name)
