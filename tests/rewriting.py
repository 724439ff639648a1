"""Rewrite tests: IR text before, the exact text after, and the same bits from both.

    check(simplify_and_dce, '''
        def main(x: f64[3]) -> f64[3]:
            a: f64[3] = mul(x, f64(1.0))
            return a
    ''', '''
        def main(x: f64[3]) -> f64[3]:
            return x
    ''')
"""

from collections.abc import Callable, Sequence
from textwrap import dedent

import numpy as np

from weft.ir import Graph, TensorType
from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.ir.verify import verify

INTEGERS = [0, 1, -1, 2, -2, 3, 7, -128, 127]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-40, 1e30, np.inf, -np.inf, np.nan, 7.25, 6e-8, 65504.0]


def graph_of(text: str) -> Graph:
    return verify(parse(dedent(text)))


def special_values(t: TensorType, rng: np.random.Generator) -> np.ndarray:
    """An array of values at which identities break: both zeros, infinities, NaN, the ends of integer ranges."""
    if t.dtype == "bool":
        return np.asarray(rng.random(t.dims) < 0.5)
    if t.is_float:
        with np.errstate(all="ignore"):
            return np.asarray(rng.choice(np.array(FLOATS).astype(t.np_dtype), t.dims))
    info = np.iinfo(t.np_dtype)
    return np.asarray(rng.choice(np.array([*(i for i in INTEGERS if info.min <= i <= info.max), info.min, info.max],
                                          t.np_dtype), t.dims))  # fmt: skip


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal dtype, shape and bits, but for the sign and payload of NaN, on which NumPy promises nothing."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return np.array_equal(a, b)
    bits = f"u{a.dtype.itemsize}"
    alike = np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits)
    return bool(np.all(alike | (np.isnan(a) & np.isnan(b))))


def agree(before: Graph, after: Graph, runs: int = 4, limits: Sequence[int] = ()) -> None:
    """Both graphs give the same bits on special values. `limits`: int inputs are taken modulo these (0: as is)."""
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        arguments = [special_values(v.type, rng) for v in before.inputs]
        for i, n in enumerate(limits):
            if n:
                arguments[i] = arguments[i] % n
        with np.errstate(all="ignore"):
            want, got = interpret(before, arguments, check=True), interpret(after, arguments, check=True)
        for i, (w, g) in enumerate(zip(want, got, strict=True)):
            assert same_bits(w, g), f"output {i}: {w!r} became {g!r}, arguments {arguments!r}"


def check(run: Callable[[Graph], Graph], before: str, after: str, **options: object) -> Graph:
    """`run` turns `before` into exactly `after`, and they agree."""
    graph = graph_of(before)
    done = verify(run(graph))
    assert str(done) == dedent(after).lstrip("\n").rstrip() + "\n", f"it became\n{done}"
    agree(graph, done, **options)  # type: ignore[arg-type]
    return done


def unchanged(run: Callable[[Graph], Graph], text: str) -> None:
    """`run` leaves this text as it is."""
    check(run, text, text)
