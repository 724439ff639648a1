"""Every math function against mpmath, over the whole range of its arguments, in a vectorised loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import mpmath as mp
import numpy as np
import pytest
from scalar_driver import NUMPY, Loop, apply, compile_loops, compile_text

from weft.codegen.math.bounds import BOUNDS

BINARY = ("power", "hypot", "logaddexp", "logaddexp2", "arctan2")
NAMES = sorted({name for name, _ in BOUNDS})
RELATIVE_TO_OPERAND = ("logaddexp", "logaddexp2")

# where each function is curved: sampled uniformly, beside all magnitudes
CURVED = {"exp": (-750, 715), "exp2": (-1080, 1030), "expm1": (-40, 715), "sinh": (-715, 715),
          "cosh": (-715, 715), "tanh": (-22, 22), "log1p": (-1, 3), "log": (0, 3), "log2": (0, 3),
          "log10": (0, 3), "arcsin": (-1, 1), "arccos": (-1, 1), "arctanh": (-1, 1), "arccosh": (1, 4)}


def _bounded(f: Callable[[mp.mpf], mp.mpf]) -> Callable[[mp.mpf], mp.mpf]:
    """f of what overflows or underflows anyway, cut off where mpmath would take forever."""
    return lambda x: f(max(min(x, mp.mpf(20000)), mp.mpf(-20000)))


def _power(x: mp.mpf, y: mp.mpf) -> mp.mpf:
    size = _bounded(mp.exp)(y * mp.log(abs(x)))
    return -size if x < 0 and int(y) % 2 else size


_exp2 = _bounded(lambda x: mp.mpf(2) ** x)
EXACT: dict[str, Callable[..., mp.mpf]] = {
    "exp": _bounded(mp.exp), "exp2": _exp2, "expm1": _bounded(mp.expm1),
    "log": mp.log, "log2": lambda x: mp.log(x) / mp.log(2), "log10": lambda x: mp.log(x) / mp.log(10),
    "log1p": mp.log1p, "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "arcsin": mp.asin, "arccos": mp.acos,
    "arctan": mp.atan, "arctan2": mp.atan2, "sinh": _bounded(mp.sinh), "cosh": _bounded(mp.cosh),
    "tanh": _bounded(mp.tanh), "arcsinh": mp.asinh, "arccosh": mp.acosh, "arctanh": mp.atanh,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)), "sqrt": mp.sqrt, "power": _power, "hypot": mp.hypot,
    "logaddexp": lambda x, y: max(x, y) + mp.log1p(_bounded(mp.exp)(-abs(x - y))),
    "logaddexp2": lambda x, y: max(x, y) + mp.log1p(_exp2(-abs(x - y))) / mp.log(2),
}


@cache
def loops() -> dict[tuple[str, str], Loop]:
    keys = [(n, d) for n in NAMES for d in ("f16", "f32", "f64")]
    scalars = [apply(n, [d] * (2 if n in BINARY else 1)) for n, d in keys]
    return dict(zip(keys, compile_loops(scalars), strict=True))


def specials(dtype: str) -> np.ndarray:
    info = np.finfo(NUMPY[dtype])
    values = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 10.0, 100.0, math.inf, math.nan, math.pi, math.pi / 2, math.e,
              info.max, info.tiny, info.smallest_subnormal, info.eps, 1 + info.eps, 1 - info.epsneg, 1e-30,
              1e30, 2.0**31]
    with np.errstate(over="ignore"):
        return np.array([s * v for v in values for s in (1, -1)], NUMPY[dtype])


def spread(rng: np.random.Generator, dtype: str, count: int) -> np.ndarray:
    """Any bits."""
    size = NUMPY[dtype].itemsize
    return rng.integers(0, 256, count * size, np.uint8).view(NUMPY[dtype])


def arguments(name: str, dtype: str, count: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(len(name))
    kind = NUMPY[dtype]
    if name in BINARY:
        a, b = np.meshgrid(specials(dtype), specials(dtype))
        near = np.exp(rng.uniform(-20, 20, (2, count))) * rng.choice([1, -1], (2, count))
        around = rng.uniform(-5, 5, (2, count))
        if name == "power":
            around[0] = 1 + 10.0 ** rng.uniform(-8, 0, count) * rng.choice([-0.9, 1], count)
            around[1] = rng.uniform(-1, 1, count) * 700 / np.abs(np.log(around[0]))
            near[1] = np.where(rng.random(count) < 0.3, np.rint(np.minimum(near[1], 1e6)), near[1] / 1e7)
        wild = [spread(rng, dtype, count // 2) for _ in range(2)]
        with np.errstate(over="ignore"):
            return tuple(np.concatenate([m.ravel(), n.astype(kind), r.astype(kind), w])
                         for m, n, r, w in zip((a, b), near, around, wild, strict=True))
    low, high = CURVED.get(name, (-10, 10))
    if dtype == "f32" and high > 200:
        low, high = low * 0.14, high * 0.14
    curved = rng.uniform(low, high, count).astype(kind)
    small = (np.exp(rng.uniform(-40, 1, count // 2)) * rng.choice([1, -1], count // 2)).astype(kind)
    around_one = (1 + np.exp(rng.uniform(-36, 0, count // 4)) * rng.choice([1, -1], count // 4)).astype(kind)
    parts = [specials(dtype), spread(rng, dtype, count), curved, small, around_one]
    if name in ("sin", "cos", "tan"):
        turns = np.rint(np.exp(rng.uniform(0, 34 if dtype == "f64" else 15, count // 2)))
        parts.append((turns * (np.pi / 2)).astype(kind))  # zeros and poles: the reduction cancels most
        hard = [6381956970095103 * 2.0**797, 1e22] if dtype == "f64" else [16367173 * 2.0**72]
        parts.append(np.array(hard, kind))
    return (np.concatenate(parts),)


def error(got: float, exact: mp.mpf, dtype: str, floor: float = 0.0) -> float:
    """|got - exact| in units of the last place of the larger of |exact| and floor."""
    info = np.finfo(NUMPY[dtype])
    digits, least = info.nmant + 1, int(info.minexp)
    size = max(abs(exact), mp.mpf(floor))
    exponent = max(int(mp.frexp(size)[1]) - 1 if size else least, least)
    unit = mp.ldexp(1, exponent - digits + 1)
    if math.isinf(got):  # as if the range went on
        got = math.copysign(2.0, got) * float(mp.ldexp(1, info.maxexp - 1)) if dtype != "f64" else got
        limit = mp.ldexp(1, int(info.maxexp))
        return float(max(limit - abs(exact), 0) / mp.ldexp(1, int(info.maxexp) - digits))
    return float(abs(mp.mpf(got) - exact) / unit)


def check(name: str, dtype: str, count: int) -> tuple[float, tuple[float, ...]]:
    """The largest error and where; asserts on special values as it goes."""
    xs = arguments(name, dtype, count)
    got = loops()[name, dtype](*xs)
    with np.errstate(all="ignore"):
        like = getattr(np, name)(*(x.astype(np.float64) for x in xs))
    mp.mp.prec = 160
    worst, where = 0.0, (0.0,)
    for row in zip(got.tolist(), like.tolist(), *(x.tolist() for x in xs), strict=True):
        value, reference, *point = row
        label = f"{name}_{dtype}{tuple(point)} = {value}, NumPy {reference}"
        if math.isnan(reference) or not all(map(math.isfinite, point)):
            assert math.isnan(reference) if math.isnan(value) else _close(value, reference), label
            continue
        if name in ("power", "arctan2") and 0.0 in point:
            assert _close(value, reference), label
            continue
        if (reference == 0.0 or math.isinf(reference)) and 0.0 in (*map(abs, point), 1 - abs(point[0])):
            assert value == reference and math.copysign(1, value) == math.copysign(1, reference), label
            continue
        assert not math.isnan(value) and (math.copysign(1, value) == math.copysign(1, reference)), label
        exact = EXACT[name](*map(mp.mpf, point))
        floor = abs(max(point)) if name in RELATIVE_TO_OPERAND else 0.0
        off = error(value, exact, dtype, floor)
        if off > worst:
            worst, where = off, tuple(point)
    return worst, where


def _close(value: float, reference: float) -> bool:
    """For limits at infinity, which may be a multiple of pi."""
    same = value == reference or abs(value - reference) < 1e-6 * abs(reference)
    return same and math.copysign(1, value) == math.copysign(1, reference)


@pytest.mark.parametrize(("name", "dtype"), sorted(BOUNDS))
def test_error_is_within_its_bound(name: str, dtype: str) -> None:
    worst, where = check(name, dtype, 400)
    assert worst <= BOUNDS[name, dtype], f"{name}_{dtype}{where}: {worst:.3f}"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dtype"), sorted(BOUNDS))
def test_error_is_within_its_bound_densely(name: str, dtype: str) -> None:
    worst, where = check(name, dtype, 30000)
    assert worst <= BOUNDS[name, dtype], f"{name}_{dtype}{where}: {worst:.3f}"


@pytest.mark.parametrize("name", [n for n in NAMES if n not in BINARY])
def test_every_float16(name: str) -> None:
    x = np.arange(65536, dtype=np.uint16).view(np.float16)
    got = loops()[name, "f16"](x).astype(np.float64)
    near = loops()[name, "f64"](x.astype(np.float64))
    with np.errstate(all="ignore"):
        rounded = near.astype(np.float16)
        unit = np.spacing(np.abs(rounded)).astype(np.float64)
        off = np.abs(got - near) / unit
    plain = np.isfinite(rounded) & np.isfinite(got)
    assert np.array_equal(np.isnan(got), np.isnan(near))
    assert np.array_equal(got[~plain & ~np.isnan(got)], rounded[~plain & ~np.isnan(got)].astype(np.float64))
    assert np.max(off[plain]) <= 0.51
    assert np.array_equal(np.signbit(got)[plain], np.signbit(near)[plain])


def test_loops_vectorise_and_call_nothing() -> None:
    names = ["exp", "log", "tanh", "sin", "cos", "expm1", "log1p", "sqrt"]
    for dtype in ("f32", "f64"):
        for name in names:
            assembly = compile_text([apply(name, [dtype])])[1]
            assert "call" not in assembly, f"{name}_{dtype}"
            assert "%ymm" in assembly or "%zmm" in assembly or "%xmm" in assembly, f"{name}_{dtype}"
