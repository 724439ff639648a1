"""Convolutions, correlations and counts of traced arrays, against NumPy's."""

import numpy as np
import pytest
from against_numpy import DTYPES, agree, differentiates, sample

import weft
from weft import errors

PAIRS = [(5, 3), (3, 5), (4, 4), (1, 1), (9, 1), (1, 6), (40, 17), (20, 33), (30, 16)]


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("function", [np.convolve, np.correlate], ids=lambda f: f.__name__)
def test_moved_along(function, mode):
    f = lambda a, v: function(a, v, mode)  # noqa: E731
    for dtype in DTYPES:
        if dtype is not np.float16:
            agree(f, *((sample(dtype, (n,)), sample(dtype, (m,), 1)) for n, m in PAIRS), ulps=256, either_zero=True)
    agree(f, (sample(np.int8, (5,)), sample(np.float32, (3,))), (sample(np.float64, (2, 3)), sample(np.float64, (3,))),
          (np.zeros(0), np.ones(3)), (np.array([1.0, np.inf, 2.0, np.nan, 5.0]), np.array([np.inf, 1.0])),
          (np.float64(3.0), np.ones(3)), ulps=64)  # fmt: skip
    for n, m in PAIRS:
        differentiates(f, sample(np.float64, (n,)), sample(np.float64, (m,), 1))
    a, v = sample(np.float64, (3, 40)), sample(np.float64, (3, 20))
    found = weft.compile(weft.vmap(f))(a, v)
    np.testing.assert_allclose(found, [f(p, q) for p, q in zip(a, v, strict=True)], rtol=1e-12, atol=1e-13)
    found = weft.vmap(f, in_axes=(None, 0))(a[0], v)
    np.testing.assert_allclose(found, [f(a[0], q) for q in v], rtol=1e-12, atol=1e-13)


def test_a_short_one_is_one_kernel():
    stages = weft.compile(lambda x, v: np.tanh(np.convolve(x, v, "same")) + x).lower(np.ones(10_000), np.ones(5))
    assert len(stages.step.calls) == 1
    second = weft.hessian(lambda v: np.sum(np.convolve(sample(np.float64, (30,)), v) ** 2))(np.ones(20))
    np.testing.assert_allclose(second, second.T, rtol=1e-12)


HISTOGRAMS = {
    "ten bins": lambda x: np.histogram(x),
    "range": lambda x: np.histogram(x, 7, (-3, 4.5)),
    "edges": lambda x: np.histogram(x, [-2, 0, 1, 4]),
    "density": lambda x: np.histogram(x, 5, density=True),
    "edges alone": lambda x: np.histogram_bin_edges(x, 4),
    "of all": lambda x: np.histogram(x * 2, bins=np.linspace(-3, 3, 5), density=True),
}


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_histograms(name):
    dtypes = [d for d in DTYPES if d is not np.float16 and d is not np.bool_]
    samples = [sample(d) for d in dtypes if name != "of all" or np.dtype(d).kind == "f"]
    agree(HISTOGRAMS[name], *samples, sample(np.float64, (50,)), np.full(4, 2.5), ulps=4)
    if name in ("ten bins", "range", "edges"):
        agree(HISTOGRAMS[name], np.zeros(0), ulps=4)


def test_edges_have_derivatives():
    x = np.random.default_rng(0).normal(size=9)
    differentiates(lambda x: np.histogram(x, 4)[1], x)
    t = np.random.default_rng(1).normal(size=9)
    _, forward = weft.jvp(lambda x: np.histogram(x, 4)[1], (x,), (t,))
    step = 1e-6
    want = (np.histogram(x + step * t, 4)[1] - np.histogram(x - step * t, 4)[1]) / (2 * step)
    np.testing.assert_allclose(forward, want, rtol=1e-6)


def test_what_only_the_run_shows():
    for f in (lambda x: np.histogram(x), lambda x: np.histogram(x[:3], x)):
        run = weft.compile(f)
        with pytest.raises(ValueError):
            run(np.array([1.0, np.nan, 3.0, 2.0]))
    count = weft.compile(lambda x: np.bincount(x, minlength=4))
    np.testing.assert_array_equal(count(np.array([3, 0, 3])), [1, 0, 0, 2])
    for bad in ([4, 0], [-1, 0]):
        with pytest.raises(IndexError, match="out of bounds for axis 0 with size 4"):
            count(np.array(bad))


def test_bincount():
    for dtype in (np.int64, np.uint8, np.int16, np.bool_):
        x = abs(sample(dtype, (20,)).astype(np.int64)).astype(dtype)
        agree(lambda x: np.bincount(x, minlength=12), x)
        weights = sample(np.float64, (20,)), sample(np.int32, (20,))
        agree(lambda x, w: np.bincount(x, w, minlength=12), *((x, w) for w in weights))
    x = np.array([0, 2, 2, 1])
    differentiates(lambda w: np.bincount(x, w, 3) ** 2, np.array([1.0, 2.0, -1.0, 0.5]))
    lanes = weft.vmap(lambda x: np.bincount(x, minlength=3))(np.array([[0, 2], [1, 1]]))
    np.testing.assert_array_equal(lanes, [[1, 0, 1], [0, 2, 0]])
    lanes = weft.vmap(lambda x: np.histogram(x, 3))(sample(np.float64, (4, 9)))
    for k, row in enumerate(sample(np.float64, (4, 9))):
        np.testing.assert_array_equal(lanes[0][k], np.histogram(row, 3)[0])


def test_what_is_refused():
    x = np.array([1, 0, 2])
    for f, error in (
        (lambda x: np.bincount(x), errors.UnsupportedError),
        (lambda x: np.bincount(x * 0.5, minlength=3), TypeError),
        (lambda x: np.bincount(x, x[:2], minlength=3), ValueError),
        (lambda x: np.histogram(x, "auto"), errors.UnsupportedError),
        (lambda x: np.histogram(x, weights=x), errors.UnsupportedError),
        (lambda x: np.histogram(x, range=(x[0], x[1])), errors.UnsupportedError),
        (lambda x: np.histogram(x, 0), ValueError),
        (lambda x: np.histogram(x, 3, (2, 1)), ValueError),
        (lambda x: np.convolve(x, x, "most"), ValueError),
        (lambda x: np.convolve(x, x[:0]), ValueError),
        (lambda x: np.correlate(x, x[None]), ValueError),
    ):
        with pytest.raises(error):
            weft.compile(f)(x)
