"""The scalar language: parsing, typing, integer semantics, conversions, and both printers against NumPy."""

from __future__ import annotations

import itertools
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest
from scalar_driver import NUMPY, apply, compile_loops

from weft.codegen.scalar import Scalar, ScalarError, expression, function, function_names, numba_prelude
from weft.codegen.scalar_ir import DTYPES, FLOATS, SIGNED, UNSIGNED

INTEGERS = (*SIGNED, *UNSIGNED)
VARIABLES = "ab"


def run(template: str, dtypes: list[str], result: str, *arrays: object) -> np.ndarray:
    return compile_loops([expression(template, dtypes, result)])[0](*map(np.atleast_1d, arrays))


# ---- parsing and typing


@pytest.mark.parametrize(("template", "dtypes", "message"), [
    ("a +", ["f32"], "is not an expression"),
    ("a + b", ["f32"], "b is not defined"),
    ("a + b", ["f32", "f64"], "different dtypes: f32, f64"),
    ("a + 1.5", ["i32"], "1.5 is not an i32"),
    ("a + 300", ["i8"], "300 does not fit i8"),
    ("a + -1", ["u8"], "-1 does not fit u8"),
    ("a / b", ["i32", "i32"], "/ is not defined for i32"),
    ("a & b", ["f32", "f32"], "and is not defined for f32"),
    ("-a", ["bool"], "- is not defined for bool"),
    ("~a", ["f64"], "not defined for f64"),
    ("1 if a else 2", ["f32"], "is not a bool"),
    ("a < b < a", ["f32", "f32"], "single comparisons"),
    ("a and b", ["bool", "bool"], "BoolOp is no expression"),
    ("a.real", ["f32"], "Attribute is no expression"),
    ("__import__('os')", ["f32"], "is not defined"),
    ("open(a)", ["f32"], "there is no function open(f32)"),
    ("exp(a, a)", ["f32"], "takes 1 arguments, not 2"),
    ("fma(a, a)", ["f32"], "takes 3 arguments"),
    ("exp(x=a)", ["f32"], "positional"),
    ("exp(a)", ["i32"], "there is no function exp(i32)"),
    ("'text'", ["f32"], "is not a number"),
    ("(1.0 if a > 0 else 2.0) * 3.0", ["f32"], "no dtype here"),
    ("a[0]", ["f32"], "is not a table"),
    ("(a, a)", ["f32"], "not a table or a tuple"),
])
def test_what_is_not_well_formed_says_so(template: str, dtypes: list[str], message: str) -> None:
    with pytest.raises(ScalarError) as caught:
        expression(template, dtypes, dtypes[0])
    assert message in str(caught.value)
    assert repr(template)[1:-1] in str(caught.value)


def test_literals_take_the_dtype_beside_them() -> None:
    assert str(expression("a * 0.1 + 2", ["f32"], "f32").body) == (
        "expression(%0: f32) -> f32\n  %1: f32 = const 0.10000000149011612\n  %2: f32 = mul %0, %1\n"
        "  %3: f32 = const 2.0\n  %4: f32 = add %2, %3\n  return %4")
    assert expression("1 if a > 0 else -1", ["f64"], "i8").body.result == "i8"
    assert run("a + (1 << 4) * 2 - 30", ["u8"], "u8", 5)[0] == 7


def test_repeated_subexpressions_are_computed_once() -> None:
    scalar = expression("exp(a) * exp(a)", ["f32"], "f32")
    lines = ["%t0 = call float @weft_exp_f32(float %x)", "%t1 = fmul contract float %t0, %t0"]
    assert scalar.llvm_inline(["%x"], map("%t{}".format, range(9)).__next__) == (lines, "%t1")


def test_only_expressions_are_contracted() -> None:
    scalar = expression("a * b + a", ["f32", "f32"], "f32")
    assert [line.split()[2:4] for line in scalar.llvm_inline(["%x", "%y"], iter("pq").__next__)[0]] == [
        ["fmul", "contract"], ["fadd", "contract"]]
    plain = scalar.llvm_inline(["%x", "%y"], iter("pq").__next__, contract=False)[0]
    assert plain == ["p = fmul float %x, %y", "q = fadd float p, %x"]
    assert all("contract" not in function(n, ["f64"]).llvm_define() for n in ("exp", "sin", "log1p"))
    half = expression("a * b + a", ["f16", "f16"], "f16")
    lines = half.llvm_inline(["%x", "%y"], iter("pqrstuvw").__next__)[0]
    assert "contract" not in " ".join(lines)  # each operation rounds to f16


def test_zero_and_minus_zero_are_two_constants() -> None:
    got = run("0.0 if a > 0.0 else -0.0", ["f32"], "f32", [1.0, -1.0])
    assert np.signbit(got).tolist() == [False, True]


def test_functions_are_instantiated_once() -> None:
    assert function("exp", ["f32"]) is function("exp", ("f32",))
    assert function("ldexp", ["f32", "i32"]).name == "ldexp_f32_i32"
    tanh16 = function("tanh", ["f16"])
    assert (tanh16.name, tanh16.result, [c.name for c in tanh16.calls]) == ("tanh_f16", "f16", ["tanh_f32"])
    assert {"exp", "floordiv", "power", "ldexp"} <= set(function_names())


def test_callees_come_before_their_callers() -> None:
    scalar = expression("arctan2(a, b) + arcsinh(a)", ["f32", "f32"], "f32")
    names = [c.name for c in scalar.calls]
    for callee in scalar.calls:
        assert all(names.index(c.name) < names.index(callee.name) for c in callee.calls)
    assert scalar.cost > sum(1 for _ in scalar.body.instrs)


# ---- integers


def edges(dtype: str) -> np.ndarray:
    info = np.iinfo(NUMPY[dtype])
    values = [0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 32, 63, 64, 100, info.max, info.max - 1, info.max // 2,
              info.min, info.min + 1, *((-1, -2, -3, -7, -100) if dtype in SIGNED else ())]
    return np.array(values, NUMPY[dtype])


def pairs(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    info = np.iinfo(NUMPY[dtype])
    rng = np.random.default_rng(3)
    wide = rng.integers(info.min, info.max, 60, NUMPY[dtype], endpoint=True)
    values = np.concatenate([edges(dtype), wide])
    a, b = np.meshgrid(values, values)
    return a.ravel(), b.ravel()


INTEGER_FUNCTIONS = {"a + b": np.add, "a - b": np.subtract, "a * b": np.multiply, "a // b": np.floor_divide,
                     "a % b": np.remainder, "fmod(a, b)": np.fmod, "a << b": np.left_shift,
                     "a >> b": np.right_shift, "a & b": np.bitwise_and, "a | b": np.bitwise_or,
                     "a ^ b": np.bitwise_xor, "maximum(a, b)": np.maximum, "minimum(a, b)": np.minimum,
                     "a ** b": np.power}
INTEGER_UNARY = {"-a": np.negative, "~a": np.invert, "abs(a)": np.abs, "sign(a)": np.sign,
                 "square(a)": np.square, "floor(a)": np.floor, "rint(a)": np.positive}
COMPARISONS = {"a == b": np.equal, "a != b": np.not_equal, "a < b": np.less, "a <= b": np.less_equal,
               "a > b": np.greater, "a >= b": np.greater_equal}


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_numpys(dtype: str) -> None:
    a, b = pairs(dtype)
    table = [*((t, f, dtype, 2) for t, f in INTEGER_FUNCTIONS.items()),
             *((t, f, "bool", 2) for t, f in COMPARISONS.items()),
             *((t, f, dtype, 1) for t, f in INTEGER_UNARY.items())]
    loops = compile_loops([expression(t, [dtype] * n, r) for t, _, r, n in table])
    for (template, reference, _, count), loop in zip(table, loops, strict=True):
        right = np.where(b < 0, -(b + 1), b) if template == "a ** b" else b  # NumPy refuses negative powers
        operands = (a, right)[:count]
        with np.errstate(all="ignore"):
            expected = reference(*operands)
        assert np.array_equal(loop(*operands), expected.astype(loop(*operands).dtype)), (template, dtype)


def test_reciprocal_of_integers() -> None:
    for dtype in ("i8", "i32", "u16", "i64"):
        x = edges(dtype)
        x = x[x != 0]
        assert np.array_equal(run("reciprocal(a)", [dtype], dtype, x), np.reciprocal(x)), dtype


def test_booleans() -> None:
    a, b = np.array([False, False, True, True]), np.array([False, True, False, True])
    for template, expected in {"a + b": a + b, "a * b": a * b, "a & b": a & b, "a | b": a | b, "a ^ b": a ^ b,
                               "not a": ~a, "~a": ~a, "a == b": a == b, "a < b": a < b,
                               "maximum(a, b)": np.maximum(a, b), "b if a else a": np.where(a, b, a)}.items():
        names = ["bool"] * 2
        assert np.array_equal(run(template, names, "bool", a, b), expected), template


# ---- conversions


@pytest.mark.parametrize("source", DTYPES)
def test_conversions_are_numpys(source: str) -> None:
    rng = np.random.default_rng(1)
    if source in FLOATS:
        x = np.concatenate([rng.uniform(-100, 100, 200), [0.0, -0.0, 0.5, -0.5, 126.9, -127.9]])
    elif source == "bool":
        x = np.array([False, True])
    else:
        x = np.concatenate([edges(source), pairs(source)[0]])
    x = np.asarray(x).astype(NUMPY[source])
    loops = compile_loops([expression("a", [source], t) for t in DTYPES])
    for target, loop in zip(DTYPES, loops, strict=True):
        values = np.abs(x) if target in UNSIGNED and source in FLOATS else x
        with np.errstate(over="ignore"):
            assert np.array_equal(loop(values), values.astype(NUMPY[target])), (source, target)


def test_large_floats_to_64_bits() -> None:
    x = np.array([2.0**62, 2.0**63, 1.5 * 2.0**63, 2.0**64 - 2.0**11, -5.7, -(2.0**62)])
    assert np.array_equal(run("u64(a)", ["f64"], "u64", x[:4]), x[:4].astype(np.uint64))
    assert np.array_equal(run("i64(a)", ["f64"], "i64", x[[0, 4, 5]]), x[[0, 4, 5]].astype(np.int64))


def test_out_of_range_conversions_do_not_trap() -> None:
    for target in INTEGERS:
        for source in FLOATS:
            run("a", [source], target, np.array([np.nan, np.inf, -np.inf, 6e4], NUMPY[source]))


def all_halves() -> np.ndarray:
    return np.arange(65536, dtype=np.uint16).view(np.float16)


def hard_for_half() -> np.ndarray:
    """f64 at, just below and just above every float16 and every midpoint of two."""
    halves = np.sort(all_halves()[np.isfinite(all_halves())].astype(np.float64))
    points = np.concatenate([halves, (halves[1:] + halves[:-1]) / 2, [65520.0, -65520.0]])
    nudged = [points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf), points * (1 + 2.0**-30)]
    return np.concatenate([*nudged, [np.inf, -np.inf, np.nan, 1e300, -1e300, 5e-324, 1e-40]])


def test_half_conversions_are_correctly_rounded() -> None:
    widen32, widen64, narrow32, narrow64 = compile_loops([
        expression("a", ["f16"], "f32"), expression("a", ["f16"], "f64"),
        expression("a", ["f32"], "f16"), expression("a", ["f64"], "f16")])
    assert np.array_equal(widen32(all_halves()), all_halves().astype(np.float32), equal_nan=True)
    assert np.array_equal(widen64(all_halves()), all_halves().astype(np.float64), equal_nan=True)
    rng = np.random.default_rng(0)
    x = np.concatenate([hard_for_half(), rng.integers(0, 256, 800_000, np.uint8).view(np.float64)])
    with np.errstate(over="ignore"):
        for narrow, values in ((narrow64, x), (narrow32, x.astype(np.float32))):
            expected = values.astype(np.float16)
            assert np.array_equal(narrow(values), expected, equal_nan=True)
            plain = ~np.isnan(values)
            assert np.array_equal(np.signbit(narrow(values))[plain], np.signbit(expected)[plain])


def test_half_arithmetic_rounds_each_operation() -> None:
    a = all_halves()
    b = np.roll(a[np.random.default_rng(0).permutation(len(a))], 1)
    with np.errstate(all="ignore"):
        for template, expected in {"a + b": a + b, "a * b": a * b, "a / b": a / b, "a * b + b": a * b + b,
                                   "sqrt(a)": np.sqrt(a), "floor(a)": np.floor(a), "-a": -a}.items():
            names = ["f16"] * (2 if "b" in template else 1)
            got = run(template, names, "f16", *(a, b)[: len(names)])
            assert np.array_equal(got, expected, equal_nan=True), template


# ---- floats that are not transcendental


def float_pairs(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    info = np.finfo(NUMPY[dtype])
    least = info.smallest_subnormal
    with np.errstate(over="ignore"):
        values = np.concatenate([
            [0.0, -0.0, 0.5, -0.5, 1, -1, 1.5, -1.5, 2, 2.5, -2.5, 3, -7, np.inf, -np.inf, np.nan],
            [info.max, -info.max, info.tiny, least, -least, 7 * least],
            rng.uniform(-10, 10, 100), np.exp(rng.uniform(-700, 700, 150)) * rng.choice([1, -1], 150),
            rng.integers(0, 256, 100 * info.dtype.itemsize, np.uint8).view(info.dtype)]).astype(info.dtype)
    a, b = np.meshgrid(values, values)
    return a.ravel(), b.ravel()


FLOAT_FUNCTIONS = {"a % b": np.remainder, "a // b": np.floor_divide, "fmod(a, b)": np.fmod,
                   "copysign(a, b)": np.copysign, "maximum(a, b)": np.maximum, "minimum(a, b)": np.minimum,
                   "fmax(a, b)": np.fmax, "fmin(a, b)": np.fmin, "heaviside(a, b)": np.heaviside}
FLOAT_UNARY = {"sign(a)": np.sign, "rint(a)": np.rint, "floor(a)": np.floor, "ceil(a)": np.ceil,
               "trunc(a)": np.trunc, "abs(a)": np.abs, "reciprocal(a)": np.reciprocal, "square(a)": np.square,
               "deg2rad(a)": np.deg2rad, "rad2deg(a)": np.rad2deg, "-a": np.negative}
FLOAT_TESTS = {"isnan(a)": np.isnan, "isinf(a)": np.isinf, "isfinite(a)": np.isfinite,
               "signbit(a)": np.signbit}
TIES_OF_ZEROS = ("maximum(a, b)", "minimum(a, b)", "fmax(a, b)", "fmin(a, b)")  # +0 or -0: not promised


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_helpers_are_numpys(dtype: str) -> None:
    a, b = float_pairs(dtype)
    table = [*((t, f, dtype, 2) for t, f in FLOAT_FUNCTIONS.items()),
             *((t, f, "bool", 2) for t, f in COMPARISONS.items()),
             *((t, f, dtype, 1) for t, f in FLOAT_UNARY.items()),
             *((t, f, "bool", 1) for t, f in FLOAT_TESTS.items())]
    loops = compile_loops([expression(t, [dtype] * n, r) for t, _, r, n in table])
    for (template, reference, result, count), loop in zip(table, loops, strict=True):
        operands = (a, b)[:count]
        with np.errstate(all="ignore"):
            got, expected = loop(*operands), reference(*operands)
        assert np.array_equal(got, expected, equal_nan=result != "bool"), (template, dtype)
        if template not in TIES_OF_ZEROS and result != "bool":
            plain = ~np.isnan(expected)
            assert np.array_equal(np.signbit(got)[plain], np.signbit(expected)[plain]), (template, dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_ldexp(dtype: str) -> None:
    a = float_pairs(dtype)[0][:400]
    powers = [0, 1, -1, 10, -10, 100, -149, -1000, -1030, -1074, -1100, 2000, -2100, 2**31 - 1, -(2**31)]
    x, n = (v.ravel() for v in np.meshgrid(a, np.array(powers, np.int32)))
    loop = compile_loops([apply("ldexp", [dtype, "i32"])])[0]
    with np.errstate(all="ignore"):
        assert np.array_equal(loop(x, n), np.ldexp(x, n), equal_nan=True)


# ---- the Numba printer


AGREEING = [*(function(name, [dtype] * 2) for name, dtype in (
    ("mod", "f64"), ("floordiv", "i32"), ("floordiv", "i64"), ("right_shift", "i16"), ("maximum", "f32"),
    ("power", "u8"))), function("exp", ["f32"]), function("sin", ["f64"]), function("tanh", ["f32"])]


def source(scalars: list[Scalar], target: str) -> str:
    callees = {c.name: c for s in scalars for c in (*s.calls, s)}
    return "\n".join([numba_prelude(target), *(c.numba_define() for c in callees.values())])


def samples(dtype: str, count: int) -> list[np.ndarray]:
    values = edges(dtype) if dtype in INTEGERS else float_pairs(dtype)[0][:60]
    grid = [g.ravel() for g in np.meshgrid(*[values] * count)]
    return grid


@lru_cache(maxsize=1)
def numba_namespace() -> dict[str, object]:
    namespace: dict[str, object] = {}
    exec(source(AGREEING, "cpu"), namespace)
    return namespace


@pytest.mark.parametrize("scalar", AGREEING, ids=lambda s: s.name)
def test_numba_source_agrees_with_llvm(scalar: Scalar) -> None:
    letters = ", ".join("abc"[: len(scalar.args)])
    stem = scalar.name.rsplit("_", 1)[0]
    inputs = samples(scalar.args[0], len(scalar.args))
    expected = compile_loops([expression(f"{stem}({letters})", scalar.args, scalar.result)])[0](*inputs)
    compiled = numba_namespace()[scalar.name]
    got = np.array([compiled(*row) for row in zip(*inputs, strict=True)], expected.dtype)  # type: ignore[operator]
    assert np.array_equal(got, expected, equal_nan=expected.dtype.kind == "f")


def test_numba_expressions_agree_with_llvm() -> None:
    namespace: dict[str, object] = {}
    exec(numba_prelude("cpu"), namespace)
    cases = [("f16(a) + f16(b) * 2", ["f64", "f64"], "f64"), ("i8(a + b) << 3", ["i32", "i32"], "i64"),
             ("u32(a) * u32(b) >> 7", ["i64", "i64"], "u32"),
             ("from_bits(bits(a) ^ 1) if not a > b else -b", ["f32", "f32"], "f32")]
    for index, (template, dtypes, result) in enumerate(cases):
        scalar = expression(template, dtypes, result)
        names = map("t{}".format, itertools.count()).__next__
        lines, value = scalar.numba_statements(["a", "b"], names)
        text = "\n    ".join([f"@device\ndef whole{index}(a, b):", *lines, f"return {value}"])
        text += f"\n\n@device\ndef nested{index}(a, b):\n    return {scalar.numba_inline(['a', 'b'])}\n"
        exec(text, namespace)
        inputs = [np.tile(samples(t, 1)[0], 2)[:40] for t in dtypes]
        inputs[1] = inputs[1][::-1].copy()
        inputs = [np.clip(v, -1000, 1000) if v.dtype.kind == "f" else v for v in inputs]
        expected = compile_loops([scalar])[0](*inputs)
        for name in (f"whole{index}", f"nested{index}"):
            compiled = namespace[name]
            got = np.array([compiled(*row) for row in zip(*inputs, strict=True)], expected.dtype)  # type: ignore[operator]
            assert np.array_equal(got, expected, equal_nan=expected.dtype.kind == "f"), (name, template)


def test_half_helpers_of_the_prelude() -> None:
    namespace: dict[str, object] = {}
    exec(numba_prelude("cpu"), namespace)
    value, code = namespace["f16_value"], namespace["f16_bits"]
    rounded = namespace["round_f16"]
    for half in all_halves()[::7]:
        word = half.view(np.uint16)
        wide = value(word)  # type: ignore[operator]
        assert np.array_equal(np.float32(wide), np.float32(half), equal_nan=True)
        assert code(np.float32(wide)) == word or np.isnan(half)  # type: ignore[operator]
    x = hard_for_half()[::41].astype(np.float32)
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16).astype(np.float32)
    got = np.array([rounded(v) for v in x], np.float32)  # type: ignore[operator]
    assert np.array_equal(got, expected, equal_nan=True)


def test_cuda_source_compiles_to_ptx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU: the dispatcher asks the current device only for its compute capability."""
    numba = pytest.importorskip("numba")
    pytest.importorskip("numba_cuda")
    from numba import cuda

    if cuda.config.ENABLE_CUDASIM:
        pytest.skip("there is no PTX in the simulator")
    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device",
                        lambda: SimpleNamespace(compute_capability=(9, 0)))
    scalars = [function("tanh", ["f16"]), function("sin", ["f64"]), function("mod", ["i32", "i32"])]
    text = source(scalars, "cuda") + """
def kernel(x, y, n):
    x[0] = tanh_f16(x[0])
    y[0] = sin_f64(y[0])
    n[0] = mod_i32(n[0], n[1])
"""
    namespace: dict[str, object] = {}
    exec(text, namespace)
    signature = numba.void(numba.float32[:], numba.float64[:], numba.int32[:])
    ptx, _ = cuda.compile_ptx(namespace["kernel"], signature, cc=(9, 0))
    assert "fma.rn.f64" in ptx and "ld.const" in ptx
