"""How far may a compiled result be from NumPy's? As far as rounding can move NumPy's own.

    exact      interpret(graph)
    noisy      the same with every float result moved by a few units in the last place (Parker 1997, Monte
               Carlo arithmetic)
    wide       the same in float64 throughout, from the same inputs

An element is right when it lies within the spread of the noisy runs (times a safety factor) of the exact run
or of the wide one, or between those: an ill-conditioned element gets as much room as it needs, a
well-conditioned one a few ulp.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.ir import Builder, Graph, TensorType, Value
from weft.ir.interpret import interpret

NAN_SIGNS = (1.0, -1.0, None, None, None)  # of the NaNs in each noisy run: all +, all -, random
ULPS = 3.0  # noise per op, in units of the dtype's epsilon
SAFETY = 16.0
QUIET = frozenset({"movement", "source", "index", "control"})  # families that move numbers and round none
EXACT = frozenset("""
    maximum minimum fmax fmin where abs neg sign floor ceil trunc rint copysign heaviside max min
""".split())  # ops that choose a number, or change its sign
CANCELS = frozenset({"sum", "prod", "dot", "logaddexp", "logaddexp2"})  # ops that may lose digits of their operands


def noisy_run(
    graph: Graph, arguments: Sequence[np.ndarray], rng: np.random.Generator, nan: float | None = None
) -> list[np.ndarray]:
    """One run of the graph with noise; NaNs that arise have the sign of `nan`, or a random one."""
    env: dict[Value, np.ndarray] = dict(zip(graph.inputs, map(np.asarray, arguments), strict=True))
    for op in graph.ops:
        operands = [env[v] for v in op.operands]
        if op.kind.name in CANCELS:
            operands = [_shaken(a, rng, nan) for a in operands]
        if op.regions:
            results = noisy_run(op.regions[0], operands, rng, nan)
        else:
            results = [np.asarray(op.kind.reference(*operands, **op.attrs))]
        if op.kind.family not in QUIET and op.kind.name not in EXACT:
            results = [_shaken(a, rng, nan) for a in results]
        env.update(zip(op.results, results, strict=True))
    return [env[v] for v in graph.outputs]


def _shaken(a: np.ndarray, rng: np.random.Generator, nan: float | None) -> np.ndarray:
    if a.dtype.kind != "f":
        return a
    info = np.finfo(a.dtype)
    noise = rng.uniform(-ULPS, ULPS, a.shape)
    with np.errstate(all="ignore"):
        moved = a.astype(np.float64) * (1 + float(info.eps) * noise) + float(info.smallest_subnormal) * noise
        out = np.where(np.isfinite(a) & (a != 0), moved.astype(a.dtype), a)
        sign = noise if nan is None else np.full(a.shape, nan)
        return np.where(np.isnan(a), np.copysign(a, sign.astype(a.dtype)), out)  # NaN has no sign to rely on


def widened(graph: Graph) -> Graph:
    """The graph with float64 in place of every float dtype."""
    build = Builder(graph.name)
    env: dict[Value, Value] = {v: build.input(_wide(v.type), v.name).value for v in graph.inputs}
    for op in graph.ops:
        attrs = dict(op.attrs)
        if op.kind.name == "constant":
            attrs["value"] = attrs["value"].astype(_wide(op.result.type).np_dtype)
        elif "dtype" in attrs and attrs["dtype"][0] == "f":
            attrs["dtype"] = "f64"
        regions = tuple(widened(r) for r in op.regions)
        made = build.emit(op.kind, [env[v] for v in op.operands], attrs, regions=regions)
        env.update((v, e.value) for v, e in zip(op.results, made, strict=True))
    return build.finish([env[v] for v in graph.outputs])


def _wide(t: TensorType) -> TensorType:
    return t.with_dtype("f64") if t.is_float else t


def check_close(graph: Graph, arguments: Sequence[np.ndarray], got: Sequence[np.ndarray], what: str = "") -> None:
    """Assert that `got` are `graph`'s outputs: types exactly, integers exactly, floats as the module says."""
    exact = interpret(graph, arguments)
    noisy = wide = None
    assert len(got) == len(exact)
    for i, (g, e) in enumerate(zip(got, exact, strict=True)):
        assert isinstance(g, np.ndarray) and g.dtype == e.dtype and g.shape == e.shape, f"{what} output {i}"
        if np.array_equal(g, e, equal_nan=g.dtype.kind == "f"):
            continue
        if noisy is None:
            rng = np.random.default_rng(0)
            noisy = [noisy_run(graph, arguments, rng, nan) for nan in NAN_SIGNS]
            wide_args = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in map(np.asarray, arguments)]
            wide = interpret(widened(graph), wide_args)
        assert wide is not None
        bad = ~_within(g, e, wide[i], [n[i] for n in noisy])
        if bad.any():
            at = tuple(map(int, np.argwhere(bad)[0]))
            raise AssertionError(
                f"{what} output {i} {graph.outputs[i].type} at {at}: got {g[at]!r}, NumPy {e[at]!r}, "
                f"wide {wide[i][at]!r}, noisy {[n[i][at] for n in noisy]}; {int(bad.sum())} of {bad.size} differ"
            )


def _within(g: np.ndarray, e: np.ndarray, wide: np.ndarray, noisy: Sequence[np.ndarray]) -> np.ndarray:
    if g.dtype.kind != "f":
        return (g == e) | np.any([n != e for n in noisy], axis=0)
    info = np.finfo(g.dtype)
    with np.errstate(all="ignore"):
        x, y, w = g.astype(np.float64), e.astype(np.float64), wide.astype(np.float64)
        runs = np.array([n.astype(np.float64) for n in noisy])
        spread = np.nanmax(np.abs(runs - y), axis=0, initial=0)
        room = SAFETY * spread + 8 * float(info.eps) * np.abs(y) + 8 * float(info.smallest_subnormal)
        same = (x == y) | (np.isnan(x) & np.isnan(y)) | (np.abs(x - y) <= room)
        as_wide = (g == wide.astype(g.dtype)) | (np.abs(x - w) <= room) | (np.isnan(x) & np.isnan(w))
        as_wide |= (np.minimum(y, w) - room <= x) & (x <= np.maximum(y, w) + room)
        unsure = np.any(np.isfinite(runs) != np.isfinite(y), axis=0) | np.any(np.isnan(runs) != np.isnan(y), axis=0)
    return same | as_wide | unsure
