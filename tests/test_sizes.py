"""Sizes as symbols: what is compiled for the second size of an axis serves all others (`weft.frontend.sizes`)."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft.frontend.sizes import INSTANCES
from weft.ir.parse import parse
from weft.ir.sizes import Sizes

Inputs = Callable[[np.random.Generator, int], tuple[Any, ...]]
SIZES = (12, 7, 300, 9, 4001)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def layer_norm(x, gamma):
    d = x - np.mean(x, axis=1, keepdims=True)
    return gamma * d / np.sqrt(np.mean(d * d, axis=1, keepdims=True) + 1e-5)


def layer_norm_gradient(x, gamma):
    return weft.grad(lambda x, gamma: np.sum(layer_norm(x, gamma) ** 3), argnums=(0, 1))(x, gamma)


def smoothed(x):
    y = x.copy()
    for _ in range(20):
        y[1:-1] += 0.25 * (y[2:] - 2 * y[1:-1] + y[:-2])
    return y


def row_by_row(x):
    total = np.zeros(x.shape[1])
    for i in range(len(x)):
        total = np.tanh(total + x[i])
    return total


def rows_written(x):
    y = np.zeros_like(x)
    for i in range(1, x.shape[0]):
        y[i] = 0.5 * y[i - 1] + x[i]
    return y


def trips_of_a_while(x):
    n = 0
    while np.sum(x * x) > 1:
        x = x / 2
        n += 1
    return x, n


def means(x):
    return x.mean(), x.mean(axis=0), x.mean(axis=1), x.var(axis=0), x.std(axis=1, ddof=1), np.sum(x) / len(x)


def joined(x):
    return np.concatenate([x[:1], x, -x[-2:]]), np.pad(x, ((1, 2), (0, 0))), np.stack([x, x + 1]), x[::-1], x[::2]


def attention(q, k, v):
    b, t, d = q.shape
    split = lambda x: x.reshape(b, x.shape[1], 2, d // 2).transpose(0, 2, 1, 3)  # noqa: E731
    scores = split(q) @ split(k).transpose(0, 1, 3, 2) / np.sqrt(d // 2)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    out = (e / e.sum(axis=-1, keepdims=True)) @ split(v)
    return out.transpose(0, 2, 1, 3).reshape(b, t, d)


def attention_gradient(q, k, v):
    return weft.grad(lambda *a: np.sum(attention(*a) ** 2), argnums=(0, 1, 2))(q, k, v)


def ranged(x):
    return np.arange(x.shape[0]) + x[:, 0], np.ones((len(x), 2)), np.eye(3) * x.shape[0], x.size / 2, len(x) * x.mean()


def gathered(x, i):
    return x[i], x[-1], x[len(x) // 2], np.where(x > 0, x, 0)


def distances(x, y):
    return np.sqrt(((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=-1))


def convolved(x, k):
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    y = np.maximum(np.einsum("bijckl,klcd->bijd", windows, k), 0)
    return y.reshape(len(x), 4, 2, 4, 2, -1).max(axis=(2, 4)).sum(axis=(1, 2))


def matrix(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    return (rng.normal(size=(n, 5)),)


PROGRAMS: dict[str, tuple[Callable[..., Any], Inputs]] = {
    "softmax": (softmax, matrix),
    "layer_norm_gradient": (layer_norm_gradient, lambda rng, n: (*matrix(rng, n), rng.normal(size=5))),
    "smoothed": (smoothed, matrix),
    "smoothed_gradient": (lambda x: weft.grad(lambda x: np.sum(smoothed(x) ** 2))(x), matrix),
    "row_by_row": (row_by_row, matrix),
    "row_by_row_gradient": (lambda x: weft.grad(lambda x: np.sum(row_by_row(x)))(x), matrix),
    "rows_written": (rows_written, matrix),
    "rows_written_gradient": (lambda x: weft.grad(lambda x: np.sum(np.sin(rows_written(x))))(x), matrix),
    "trips_of_a_while": (trips_of_a_while, matrix),
    "means": (means, matrix),
    "joined": (joined, matrix),
    "joined_gradient": (
        lambda x: weft.grad(lambda x: sum(np.sum(y**3) * w for y, w in zip(joined(x), range(1, 9), strict=False)))(x),
        matrix,
    ),
    "attention": (attention, lambda rng, n: tuple(rng.normal(size=(3, min(n, 40), 8)) for _ in range(3))),
    "attention_gradient": (
        attention_gradient,
        lambda rng, n: tuple(rng.normal(size=(min(n, 40), 6, 8)) for _ in range(3)),
    ),
    "distances": (distances, lambda rng, n: (rng.normal(size=(min(n, 90), 3)), rng.normal(size=(min(n, 90) + 1, 3)))),
    "columns": (lambda x: (x.sum(axis=0), x.max(axis=1), x * x.sum(axis=1, keepdims=True)),
                lambda rng, n: (rng.normal(size=(6, n)),)),
    "long_sums": (lambda x: (x.sum(), x.max(), np.sum(x * x, axis=1)), lambda rng, n: (rng.normal(size=(7, 3 * n)),)),
    "flat": (lambda x: (np.tanh(x) * 2 + 1, x.reshape(-1), x.T @ x, x @ x.T), lambda rng, n: matrix(rng, min(n, 300))),
    "arg": (lambda x: (x.argmax(axis=0), x.argmin(), np.cumsum(x, axis=0)), matrix),
    "gathered": (gathered, lambda rng, n: (*matrix(rng, n), rng.integers(0, n, 6))),
    "scattered": (lambda x, i: weft.grad(lambda x: np.sum(x[i] ** 2))(x),
                  lambda rng, n: (*matrix(rng, n), rng.integers(0, n, n + 3))),
    "ranged": (ranged, matrix),
    "many": (lambda x: weft.vmap(lambda row: row / np.linalg.norm(row))(x), matrix),
    "convolved": (convolved, lambda rng, n: (rng.normal(size=(min(n, 40), 10, 10, 2)), rng.normal(size=(3, 3, 2, 3)))),
    "convolved_gradient": (
        lambda x, k: weft.grad(lambda x, k: np.sum(convolved(x, k) ** 2), argnums=(0, 1))(x, k),
        lambda rng, n: (rng.normal(size=(min(n, 40), 10, 10, 2)), rng.normal(size=(3, 3, 2, 3))),
    ),
    "sorted": (lambda x: (np.sort(x, axis=0), np.argsort(x[:, 0]), np.median(x, axis=1)), matrix),
    "solved": (lambda x: np.linalg.solve(x.T @ x + np.eye(5), x.T), matrix),
    "products": (lambda x: np.einsum("ij,ik->jk", x, x) + np.tensordot(x, x, (0, 0)), matrix),
    "integers": (lambda x: ((x * 10).astype(np.int32) // 3, (x > 0).sum(axis=0), np.any(x > 2, axis=1)), matrix),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_their_graphs_read_back(name: str) -> None:
    function, inputs = PROGRAMS[name]
    compiled = weft.compile(function)
    for n in (12, 17):
        compiled(*inputs(np.random.default_rng(n), n))
    form = compiled.cache_info()[1]
    for graph in (form.executable.stages.trace, form.executable.stages.fused):
        again = parse(str(graph), Sizes(form.sizes.values))
        assert str(again) == str(graph)


def close(got: Any, want: Any) -> None:
    got, want = weft.tree.leaves(got), weft.tree.leaves(want)
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        assert np.shape(g) == np.shape(w) and np.asarray(g).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-11)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of means of nothing
@pytest.mark.parametrize("name", PROGRAMS)
def test_two_sizes_are_compiled_and_serve_all(name: str) -> None:
    function, inputs = PROGRAMS[name]
    compiled = weft.compile(function)
    for n in SIZES:
        arguments = inputs(np.random.default_rng(n), n)
        close(compiled(*arguments), function(*arguments))
    assert len(compiled.cache_info()) == 2, "\n".join(map(str, compiled.cache_info()))
    for n in (1, 0):  # sizes that broadcast or are empty are compiled for
        try:
            arguments = inputs(np.random.default_rng(n), n)
            want = function(*arguments)
        except (ValueError, IndexError):
            continue
        close(compiled(*arguments), want)


def test_many_sizes_are_not_all_kept() -> None:
    compiled = weft.compile(softmax)
    for n in range(5, 205):
        close(compiled(np.full((n, 2), 1.0)), np.full((n, 2), 0.5))
    assert len(compiled.cache_info()) == 2
    assert len(compiled._runners) <= 2 * INSTANCES + 4 and len(compiled._specialised) <= INSTANCES + 2
    close(compiled(np.full((6, 2), 1.0)), np.full((6, 2), 0.5))  # one that was let go


def test_what_depends_on_a_size_is_compiled_for_those_that_decide_alike() -> None:
    @weft.compile
    def f(x):
        return x * 2 if len(x) > 100 else x + 1

    for n in (5, 50, 60, 500, 600, 7, 8, 700):
        x = np.arange(float(n))
        np.testing.assert_array_equal(f(x), x * 2 if n > 100 else x + 1)
    shown = [form.sizes and form.sizes.shown() for form in f.cache_info()]
    assert shown == [None, ["B <= 100"], ["B > 100"]]


def test_sizes_that_were_equal_by_chance_part() -> None:
    @weft.compile
    def f(x, y):
        return np.sum(x) + np.sum(y)

    for n, m in ((3, 3), (4, 4), (5, 5), (6, 7), (8, 9)):
        assert f(np.ones(n), np.ones(m)) == n + m
    assert len(f.cache_info()) == 3


def test_views_sizes_and_errors_are_those_of_the_call() -> None:
    @weft.compile
    def f(x, i):
        return x[: len(x) // 2], x.shape[0], len(x) + 0.5, x[i]

    for n in (10, 20, 30, 41):
        x = np.arange(float(n))
        half, size, number, element = f(x, n - 1)
        assert half.base is x and half.shape == (n // 2,) and size == n and number == n + 0.5 and element == n - 1
        with pytest.raises(IndexError, match=f"index {n} is out of bounds for axis 0 with size {n}"):
            f(x, n)


def test_donated_and_written_arrays() -> None:
    @weft.compile
    def f(x, y):
        x[1:] += y[:-1]
        return np.max(x)

    for n in (10, 20, 30, 41):
        x, y = np.zeros(n), np.arange(float(n))
        assert f(x, y) == n - 2 and x[-1] == n - 2 and x[0] == 0
    g = weft.compile(lambda p, d: p - d, donate_argnums=0)
    for n in (10, 20, 30, 41):
        p = np.ones(n)
        assert g(p, np.ones(n)) is p and not p.any()


SCALES = {5: 2.0, 3: 3.0}
MADE: dict[int, float] = {}


@functools.lru_cache
def scale_of(n):
    return float(n)


def remembered(x):
    if len(x) not in MADE:
        MADE[len(x)] = np.hanning(len(x)).sum()
    return x * MADE[len(x)]


LOOKS: dict[str, Callable[[Any], Any]] = {  # at the number itself, by other ways than comparing sizes with integers
    "a set": lambda x: x * 2 if x.shape[0] in {5, 7} else x,
    "a dict": lambda x: x * SCALES.get(x.shape[0], 1.0),
    "a dict that is filled": remembered,
    "a cache": lambda x: x * scale_of(len(x)),
    "text": lambda x: x * 2 if f"{len(x)}, {x.shape}" == "5, (5,)" else x,
    "digits": lambda x: x * len(str(x.shape[0])),
    "a format": lambda x: x if f"{len(x):02d}" == "05" else -x,
    "a class": lambda x: x * 2 if isinstance(len(x), int) and not isinstance(len(x), float) else x,
    "a type": lambda x: x * 2 if type(x.shape[0]) is int else x,
    "a float": lambda x: x * 2 if len(x) == 5.0 else x,
    "a bool": lambda x: x * 2 if (len(x) % 2) == True else x,  # noqa: E712
    "bits": lambda x: x * 2 if len(x) & (len(x) - 1) else x[: len(x) >> 1],
    "a key of the result": lambda x: {len(x): x + 1},
    "text in the result": lambda x: (f"{len(x)}", x + 1),
}


@pytest.mark.parametrize("how", LOOKS)
def test_numbers_that_are_looked_at_are_those_of_the_call(how: str) -> None:
    function = LOOKS[how]
    compiled = weft.compile(function)
    for n in (10, 7, 5, 12, 3, 8):
        x = np.arange(float(n))
        want, got = function(x), compiled(x)
        assert weft.tree.structure(got) == weft.tree.structure(want)
        for a, b in zip(weft.tree.leaves(got), weft.tree.leaves(want), strict=True):
            assert a == b if isinstance(b, str) else np.array_equal(a, b)


def test_divisors_that_are_zero_of_other_sizes() -> None:
    @weft.compile
    def f(x):
        return x * (len(x) // (len(x) // 4))

    for n in (10, 7, 5):
        np.testing.assert_array_equal(f(np.ones(n)), np.ones(n) * (n // (n // 4)))
    with pytest.raises(ZeroDivisionError):
        f(np.ones(3))


def test_library_ops_alone_serve_all_sizes() -> None:
    compiled = weft.compile(np.sort)
    for n in SIZES:
        x = np.random.default_rng(n).standard_normal(n)
        np.testing.assert_array_equal(compiled(x), np.sort(x))
    assert len(compiled.cache_info()) == 2


def test_what_an_attempt_with_symbols_did_is_taken_back() -> None:
    done, held = [], np.zeros(2)

    @weft.compile
    def f(x):
        done.append(1)
        held[0] += 1
        return x * 2 + len(x).conjugate()  # what a size that is a symbol does not have

    for count, n in enumerate((4, 5, 6), start=1):
        np.testing.assert_array_equal(f(np.ones(n)), np.full(n, 2.0 + n))
        assert len(done) == held[0] == count


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_sizes_meet_narrow_integers_as_numbers_do(dtype: type) -> None:
    def add(x):
        return x + len(x)

    def compare(x):
        return x < len(x), np.where(x > 3, x, 7)

    for function in (add, compare):
        compiled = weft.compile(function)
        for n in (10, 20, 30, 200, 300, 40):
            x = np.arange(n).astype(dtype)
            try:
                want = function(x)
            except OverflowError:
                with pytest.raises(OverflowError):
                    compiled(x)
                continue
            for a, b in zip(weft.tree.leaves(compiled(x)), weft.tree.leaves(want), strict=True):
                assert a.dtype == b.dtype and np.array_equal(a, b)


def test_a_number_that_was_asked_for_is_a_guard_at_every_size():
    """A form for symbolic sizes has the powers of one count in it, and must not serve another."""

    def powers(x, count):
        return np.stack([x ** (k + 1) for k in range(count)])

    f = weft.compile(powers)
    for rows, count in ((4, 2), (5, 2), (6, 2), (7, 3), (8, 3), (9, 2), (10, 4)):
        x = np.arange(1.0, rows + 1)
        np.testing.assert_array_equal(f(x, count), powers(x, count))
