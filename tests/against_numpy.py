"""One NumPy expression, traced and by NumPy: `agree` compares values, dtypes, shapes and kinds of result.

A function is run on each sample alone by the interpreter, so that errors can be compared too, and on all
samples in one compiled function, which keeps the tests fast.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import weft
from weft.frontend.decorate import make_compile
from weft.ir.dims import Dim
from weft.ir.interpret import interpret
from weft.ir.settle import evaluator, settle
from weft.ir.verify import verify

DTYPES = (np.bool_, np.int8, np.uint8, np.int32, np.uint64, np.int64, np.float16, np.float32, np.float64)
FLOATS = (np.float16, np.float32, np.float64)


class Runs:
    """A graph, run by the interpreter; of symbolic sizes, too, for each of their values."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def __call__(self, arrays: Any) -> Any:
        return [np.array(a) for a in interpret(self.graph, arrays, check=True)]

    def at(self, values: Any) -> "Runs":
        size = next(n for v in self.graph.inputs for n in v.type.dims if isinstance(n, Dim))
        graph = settle(self.graph, evaluator(size.sizes, values))
        verify(graph)
        return Runs(graph)


class Interpreted:
    """A `compile_graph` that verifies graphs and runs them by the interpreter."""

    symbolic = True

    def __call__(self, graph: Any, donate: Any = frozenset(), label: str = "") -> Any:
        verify(graph)
        return Runs(graph)

    def lower(self, graph: Any, donate: Any = frozenset(), label: str = "") -> Any:
        return graph


interpreted = make_compile(Interpreted())


def sample(dtype: Any, shape: Sequence[int] = (3, 4), seed: int = 0) -> np.ndarray:
    """Numbers around 0, in no order, some of them equal to others where they are integers."""
    rng = np.random.default_rng([seed, *shape])
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return np.asarray(rng.random(shape) < 0.6)
    if dtype.kind in "iu":
        return np.asarray(rng.integers(0 if dtype.kind == "u" else -9, 10, shape)).astype(dtype)
    return np.asarray(rng.normal(size=shape) * 1.5).astype(dtype)


def layouts(dtype: Any = np.float64, seed: int = 1) -> list[np.ndarray]:
    """Matrices of 3 x 4 laid out in every way, and those that are empty or hold one element."""
    base = sample(dtype, (6, 8), seed)
    return [
        np.asfortranarray(base[:3, :4]),
        base[::-2, ::-2],
        base[1::2, 3:7],
        np.broadcast_to(base[:1, :4], (3, 4)),
        np.broadcast_to(base[:3, :1], (3, 4)),
        base[:1, :1],
        base[:3, :0],
        base[:0, :4],
    ]


def special(dtype: Any = np.float64) -> np.ndarray:
    """NaNs, infinities and zeros of both signs, with columns and rows of each alone."""
    n, i = np.nan, np.inf
    rows = [[n, n, n, n, n, n], [1.0, n, i, -0.0, n, -i], [-0.0, -0.0, -0.0, -0.0, n, 0.0], [2.0, 3.0, i, 0.0, n, 1.5]]
    return np.array(rows, dtype)


def quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    """NumPy's answer without its warnings."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments)


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result, or the error."""
    try:
        return quietly(function, *arguments)
    except Exception as error:
        return error


def precise(array: Any) -> Any:
    """Floats in the widest dtype there is."""
    wide = isinstance(array, np.ndarray | np.generic) and array.dtype.kind == "f"
    return array.astype(np.longdouble) if wide else array


def same(got: Any, want: Any, exact: Any, size: float, ulps: float, signs: bool, where: str) -> None:
    """Assert that `got` is `want`, or, of floats, that it is as near to `exact` as that within some ulps of `size`."""
    if isinstance(want, list | tuple):
        assert len(got) == len(want), where
        exacts = exact if isinstance(exact, list | tuple) else [None] * len(want)
        for g, w, x in zip(got, want, exacts, strict=True):
            same(g, w, x, size, ulps, signs, where)
        return
    want = want[()] if isinstance(want, np.ndarray) else want  # some of NumPy's functions give 0-d arrays
    assert type(got) is type(want), f"{where}: {type(got)} is not {type(want)}"
    if not isinstance(want, np.ndarray | np.generic):
        assert got == want or (got != got and want != want), f"{where}: {got} != {want}"
        return
    assert got.dtype == want.dtype, f"{where}: {got.dtype} is not {want.dtype}"
    assert got.shape == want.shape, f"{where}: {got.shape} is not {want.shape}"
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want, where)
        return
    close(np.asarray(got), np.asarray(want), exact, size, ulps, signs, where)


def close(got: np.ndarray, want: np.ndarray, exact: Any, size: float, ulps: float, signs: bool, where: str) -> None:
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite], where)
    assert np.isfinite(got[finite]).all(), where
    zero = (want == 0) & (got == 0) & signs
    assert (np.signbit(got) == np.signbit(want))[zero].all(), f"{where}: sign of zero in {got}, {want}"
    slack = ulps * np.finfo(want.dtype).eps * np.maximum(abs(want[finite]), size)
    got, want = got[finite].astype(np.longdouble), want[finite].astype(np.longdouble)
    good = abs(got - want) <= slack
    if isinstance(exact, np.ndarray | np.generic) and exact.shape == finite.shape:
        right = np.asarray(exact)[finite]
        good |= abs(got - right) <= abs(want - right) + slack
    assert good.all(), f"{where}: {got[~good]} is not {want[~good]}"


def agree(function: Callable[..., Any], *samples: Any, ulps: float = 4, either_zero: bool = False) -> None:
    """Assert that traced and compiled, `function` gives NumPy's results, or errors of NumPy's class.

    samples: arrays, or tuples of arguments. Floats may be further from NumPy's than `ulps` of the largest number
    around when they are nearer to the result in long doubles. either_zero: zeros may be of the other sign.
    """
    calls = [s if isinstance(s, tuple) else (s,) for s in samples]
    wants = [outcome(function, *c) for c in calls]
    exacts = [outcome(function, *map(precise, c)) for c in calls]
    sizes = [max([1.0, *(_size(a) for a in c)]) for c in calls]
    labels = [", ".join(f"{a.dtype}{a.shape}" if isinstance(a, np.ndarray) else str(a) for a in c) for c in calls]
    fine = []
    for i, (call, want) in enumerate(zip(calls, wants, strict=True)):
        got = outcome(interpreted(function), *call)
        if isinstance(want, Exception):
            base = next(c for c in (ValueError, TypeError, IndexError, OverflowError) if isinstance(want, c))
            assert isinstance(got, base), f"{labels[i]}: {got!r} instead of {want!r}"
            continue
        if isinstance(got, Exception):
            raise AssertionError(f"{labels[i]}: {got!r}") from got
        same(got, want, exacts[i], sizes[i], ulps, not either_zero, f"interpreted, {labels[i]}")
        fine.append(i)
        grown_too(function, call, sizes[i], ulps, not either_zero, labels[i])
    if fine:
        gots = weft.compile(lambda calls: [function(*c) for c in calls])([list(calls[i]) for i in fine])
        for i, got in zip(fine, gots, strict=True):
            same(got, wants[i], exacts[i], sizes[i], ulps, not either_zero, f"compiled, {labels[i]}")


def grown_too(function: Callable[..., Any], call: Any, size: float, ulps: float, signs: bool, label: str) -> None:
    """Assert the same of larger arguments, whose sizes are symbols to the function that has met these."""
    run = interpreted(function)
    run(*call)
    for more in (1, 2):
        larger = tuple(grown(a, more) for a in call)
        want, exact = outcome(function, *larger), outcome(function, *map(precise, larger))
        got = outcome(run, *larger)
        if isinstance(want, Exception):
            assert isinstance(got, Exception), f"grown by {more}, {label}: {got!r} instead of {want!r}"
        elif isinstance(got, Exception):
            raise AssertionError(f"grown by {more}, {label}: {got!r}") from got
        else:
            same(got, want, exact, size, ulps, signs, f"grown by {more}, {label}")


def grown(x: Any, more: int) -> Any:
    """An array with more rows, columns and so on, in no other order."""
    if type(x) is not np.ndarray or not x.size:
        return x
    for axis, n in enumerate(x.shape):
        if n > 1:
            x = np.take(x, [*range(n), *range(more)], axis)
    return x


def _size(array: Any) -> float:
    numbers = np.abs(np.asarray(array, dtype=np.float64))
    numbers = numbers[np.isfinite(numbers)]
    return float(numbers.max()) if numbers.size else 0.0


def differentiates(function: Callable[..., Any], *arguments: np.ndarray, step: float = 1e-4) -> None:
    """Assert that the gradient by every argument is the quotient of central differences, to 1e-6."""
    shape = np.shape(function(*arguments))
    weights = np.random.default_rng(5).normal(size=shape)
    loss = lambda *a: np.sum(function(*a) * weights)  # noqa: E731
    found = weft.grad(loss, argnums=tuple(range(len(arguments))))(*arguments)
    for n, (argument, gradient) in enumerate(zip(arguments, found, strict=True)):
        assert gradient.shape == argument.shape and gradient.dtype == argument.dtype
        want = np.empty(argument.shape)
        for place in np.ndindex(argument.shape):
            sides = []
            for sign in (2, 1, -1, -2):
                moved = [np.array(a) for a in arguments]
                moved[n][place] += sign * step
                sides.append(loss(*moved))
            want[place] = (8 * (sides[1] - sides[2]) - (sides[0] - sides[3])) / (12 * step)
        np.testing.assert_allclose(gradient, want, rtol=1e-6, atol=1e-8)
