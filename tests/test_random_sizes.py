"""Random NumPy programs, compiled once or twice and called with many sizes: what is decided by one size must not be
taken for granted at another."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft

SIZES = (2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 129, 511, 513)
Array = Any


def filtered(x: Array) -> Array:
    y, total = np.zeros_like(x), 0.0
    for i in range(len(x)):
        total = 0.5 * total + x[i]
        y[i] = total
    return y


def smoothed(x: Array) -> Array:
    y = x.copy()
    for _ in range(5):
        y[1:-1] += 0.25 * (y[2:] - 2 * y[1:-1] + y[:-2])
    return y


def backwards(x: Array) -> Array:
    y = x.copy()
    for i in range(len(x) - 2, -1, -1):
        y[i] = y[i] + 0.3 * y[i + 1]
    return y


def halved(x: Array) -> Array:
    trips = 0
    while np.sum(x * x) > 1.0 and trips < 20:
        x = x / 2
        trips += 1
    return x + trips


def exchanged(x: Array) -> Array:
    half = len(x) // 2
    y = np.empty_like(x)
    y[:half] = x[-half:]
    y[half:] = x[: len(x) - half] * 2
    return y


def counted(x: Array) -> Array:
    y = np.zeros(len(x) // 2 + 1)
    np.add.at(y, np.arange(len(x)) // 2, x)
    return y


def normal(x: Array) -> Array:
    return (x - x.mean()) / (x.std() + 0.5)


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return e / e.sum()


VECTORS: list[Callable[[Array], Array]] = [
    filtered, smoothed, backwards, halved, exchanged, counted, normal, softmax, np.tanh, np.sort,
    lambda x: np.cumsum(x) / len(x), lambda x: x[::-1], lambda x: x[1:], lambda x: x[::2], lambda x: x[: len(x) // 2],
    lambda x: x[-(len(x) // 2) :], lambda x: x[len(x) // 3 :], lambda x: np.pad(x, (1, 2)),
    lambda x: np.pad(x, 1, mode="edge"), lambda x: np.roll(x, len(x) // 3), lambda x: np.repeat(x, 2),
    lambda x: np.concatenate([x, x[:2], -x[: len(x) // 2]]), lambda x: x[np.arange(len(x)) * 7 % len(x)],
    lambda x: x[np.argsort(x)[::-1]], lambda x: np.diff(x), lambda x: x + np.argmax(x), lambda x: x - np.median(x),
    lambda x: x[: len(x) // 4 * 4].reshape(4, -1).T.reshape(-1), lambda x: x[: len(x) // 2 * 2].reshape(-1, 2).sum(1),
    lambda x: np.convolve(x, [0.25, 0.5, 0.25], "same"), lambda x: np.outer(x, x + 1) @ x / len(x),
    lambda x: x[2:] if len(x) > 40 else x, lambda x: x * np.linspace(0, 1, len(x)), lambda x: x + min(len(x), 7),
    lambda x: np.tril(np.outer(x, np.ones(len(x)))).sum(0) / len(x), lambda x: np.mod(x, len(x)),
    lambda x: np.vstack([x, -x]).T.reshape(-1)[::3], lambda x: np.diag(np.outer(x, x)),
]  # fmt: skip


def gradient_of(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    def total(x: Array) -> Array:
        y = function(x)
        return np.sum(np.sin(y) * np.arange(1, len(y) + 1))

    return lambda x: weft.grad(total)(x)


def cut(a: Array, b: Array) -> tuple[Array, Array]:
    n = min(len(a), len(b))
    return a[:n], b[:n]


def alike(a: Array, b: Array) -> Array:
    return a + b if len(a) == len(b) else a + b.sum()


PAIRS: list[Callable[[Array, Array], Array]] = [
    alike, lambda a, b: np.add(*cut(a, b)), lambda a, b: np.maximum(*cut(a, b)), lambda a, b: np.concatenate([a, b]),
    lambda a, b: a * np.dot(*cut(a, b)) / len(a), lambda a, b: (a[:, None] - b[None, :]).max(1),
    lambda a, b: np.outer(a, b) @ b / len(b),
]  # fmt: skip


def program(rng: np.random.Generator) -> Callable[[Array, Array], tuple[Array, ...]]:
    steps: list[tuple[Callable[..., Array], list[int]]] = []
    for known in range(2, 2 + int(rng.integers(3, 8))):
        if rng.random() < 0.25:
            steps.append((PAIRS[rng.integers(len(PAIRS))], [int(rng.integers(known)), int(rng.integers(known))]))
            continue
        function = VECTORS[rng.integers(len(VECTORS))]
        smooth = function in (filtered, smoothed, backwards, exchanged, normal, softmax, np.tanh)
        steps.append((gradient_of(function) if smooth and rng.random() < 0.4 else function, [int(rng.integers(known))]))

    def run(x: Array, y: Array) -> tuple[Array, ...]:
        values = [x, y]
        for function, operands in steps:
            values.append(function(*[values[i] for i in operands]))
        return tuple(values[2:])

    return run


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(30))
def test_random_programs_at_many_sizes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    function = program(rng)
    compiled = weft.compile(function)
    equal = rng.random() < 0.4
    for _ in range(6):
        n = int(rng.choice(SIZES))
        m = n if equal else int(rng.choice(SIZES))
        x, y = rng.standard_normal(n), rng.standard_normal(m)
        try:
            want = function(x.copy(), y.copy())
        except (ValueError, IndexError, ZeroDivisionError) as error:
            with pytest.raises(type(error)):
                compiled(x, y)
            continue
        for got, w in zip(compiled(x, y), want, strict=True):
            assert np.shape(got) == np.shape(w)
            scale = np.abs(w[np.isfinite(w)]).max(initial=1)
            np.testing.assert_allclose(got, w, rtol=1e-6, atol=1e-8 * scale)
