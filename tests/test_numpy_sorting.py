"""Sorts, searches, medians and quantiles of traced arrays, against NumPy's."""

import numpy as np
import pytest
from against_numpy import DTYPES, FLOATS, agree, differentiates, layouts, sample, special

import weft
from weft import errors

ORDERED = {
    "sort": lambda x: np.sort(x),
    "sort_axis": lambda x: np.sort(x, axis=0, kind="stable"),
    "sort_all": lambda x: np.sort(x, axis=None, kind="heapsort"),
    "sort_stable": lambda x: np.sort(x, 1, stable=True),
    "argsort_stable": lambda x: np.argsort(x, kind="mergesort"),
    "argsort_axis": lambda x: x.argsort(axis=0, stable=True),
    "argsort_all": lambda x: x.argsort(None, "stable"),
    "of a view": lambda x: np.sort(x.T[::-1, 1:], axis=0),
    "of a sum": lambda x: np.sort(x + x, axis=-1) + x,
    "lexsort": lambda x: np.lexsort((x[0], x[1])) if len(x) > 2 else x,
    "lexsort_rows": lambda x: np.lexsort(x) if len(x) else x,
    "searchsorted": lambda x: np.searchsorted(np.sort(x, axis=None), x, side="right"),
    "sorter": lambda x: x[0].searchsorted(x, sorter=np.argsort(x[0], kind="stable")) if len(x) else x,
    "digitize": lambda x: np.digitize(x, [-1, 0, 2]),
    "digitize_down": lambda x: np.digitize(x, np.array([2.0, 0.5, -1.0]), right=True),
}
STATISTICS = {
    "median": lambda x: np.median(x),
    "median_axis": lambda x: np.median(x, axis=0),
    "median_keep": lambda x: np.median(x, axis=1, keepdims=True),
    "median_axes": lambda x: np.median(x, axis=(0, 1)),
    "nanmedian": lambda x: np.nanmedian(x),
    "nanmedian_axis": lambda x: np.nanmedian(x, axis=0, keepdims=True),
    "percentile": lambda x: np.percentile(x, 30),
    "percentile_axis": lambda x: np.percentile(x, 62.5, axis=1),
    "percentiles": lambda x: np.percentile(x, [0, 25.0, 100], axis=0, keepdims=True),
    "percentiles_2d": lambda x: np.percentile(x, np.array([[10, 20], [90, 55]]), axis=-1),
    "quantile": lambda x: np.quantile(x, 0.37),
    "quantile_scalar": lambda x: np.quantile(x, np.float64(0.37), axis=0),
    "quantiles": lambda x: np.quantile(x, [0.1, 0.75], axis=(0, 1)),
    "nanquantile": lambda x: np.nanquantile(x, 0.37, axis=1),
    "nanpercentile": lambda x: np.nanpercentile(x, [0, 10.0, 100], axis=0),
}
METHODS = (
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
)  # fmt: skip


@pytest.mark.parametrize("name", ORDERED)
def test_orders(name):
    agree(ORDERED[name], *(sample(d) for d in DTYPES), *layouts(), special(), special(np.float32), ulps=0)


def test_zeros_and_nans_are_where_numpy_puts_them():
    for dtype in FLOATS:
        x = np.array([0.0, -0.0, np.nan, -np.inf, -0.0, 0.0, -np.nan, np.inf] * 5, dtype)
        for kind in ("quicksort", "stable", "heapsort"):
            got = weft.compile(lambda x, kind=kind: (np.sort(x, kind=kind), np.argsort(x, kind=kind)))(x)
            assert got[0].tobytes() == np.sort(x, kind=kind).tobytes()
            np.testing.assert_array_equal(got[1], np.argsort(x, kind=kind))


@pytest.mark.parametrize("dtype", DTYPES)
def test_partitions(dtype):
    """NumPy says what is at the ranks, and what is before and behind them."""
    x = sample(dtype, (5, 9))
    f = weft.compile(lambda x: (np.partition(x, 3), np.partition(x, (-1, 2), 0), np.argpartition(x, 4, None), x + x))
    a, b, i, _ = f(x)
    order = np.sort(x)
    np.testing.assert_array_equal(a[:, 3], order[:, 3])
    np.testing.assert_array_equal(np.sort(a[:, :3]), order[:, :3])
    np.testing.assert_array_equal(np.sort(a), order)
    np.testing.assert_array_equal(b[[-1, 2]], np.sort(x, 0)[[-1, 2]])
    np.testing.assert_array_equal(np.sort(x.ravel()[i][:5]), np.sort(x, None)[:5])
    with pytest.raises(ValueError, match="out of bounds"):
        weft.compile(lambda x: np.partition(x, 9))(x)
    with pytest.raises(TypeError, match="integer"):
        weft.compile(lambda x: np.partition(x, 0.5))(x)


def test_in_place():
    def f(x, y):
        x.sort(axis=0)
        y[1:].partition(2)
        row = x[1]
        row.sort()
        x[0, ::-1].sort()
        return x.sum(axis=0)

    x, y = sample(np.float64, (4, 5)), sample(np.int32, (4, 5), seed=2)
    mine, theirs = (x.copy(), y.copy()), (x.copy(), y.copy())
    np.testing.assert_array_equal(weft.compile(f)(*mine), f(*theirs))
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert weft.compile(lambda x: x.sort())(x.copy()) is None


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics(name):
    samples = [sample(d) for d in DTYPES if d is not np.float16 and not (d is np.bool_ and "median" not in name)]
    fine = [x for x in layouts() if x.size]
    samples.append(sample(np.float64, (5, 6)))
    agree(STATISTICS[name], *samples, *fine, special(), special(np.float32), ulps=2, either_zero="nan" in name)
    if "median" in name:
        agree(STATISTICS[name], sample(np.float16), sample(np.bool_), *layouts(), ulps=2)


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_quantiles(method):
    for n in (1, 2, 7, 10):
        for q in (0, 1, 0.5, 0.1, 0.23, 0.9, [0.0, 0.05, 0.3, 0.5, 0.95, 1.0]):
            x = sample(np.float64, (n,), seed=n)
            f = lambda x, q=q: np.quantile(x, q, method=method)  # noqa: E731
            np.testing.assert_allclose(weft.compile(f)(x), f(x), rtol=1e-15, atol=1e-15)


def test_quantiles_at_a_traced_place():
    x, q = sample(np.float64, (5, 6)), np.array([0.0, 0.2, 0.55, 1.0])
    f = lambda x, q: np.quantile(x, q, axis=1)  # noqa: E731
    np.testing.assert_allclose(weft.compile(f)(x, q), f(x, q), rtol=1e-15)
    np.testing.assert_allclose(weft.compile(f)(x, q[1]), f(x, q[1]), rtol=1e-15)
    differentiates(f, x, np.array([0.13, 0.44]))
    assert weft.compile(lambda x, p: np.percentile(x, p))(x, 25) == np.percentile(x, 25)


def test_long_rows():
    """Partitioned one by one, where others are sorted all at once."""
    x = np.random.default_rng(6).normal(size=(3, 5001))
    x[0, ::7] = np.nan
    for f in (lambda x: np.nanmedian(x, axis=1), lambda x: np.nanquantile(x, [0.1, 0.77], axis=1),
              lambda x: np.nanpercentile(x, 30.5)):  # fmt: skip
        np.testing.assert_allclose(weft.compile(f)(x), f(x), rtol=1e-14)
    gradient = weft.grad(lambda x: np.sum(np.nanquantile(x, 0.3, axis=1) ** 2))(x)
    t = np.random.default_rng(7).normal(size=x.shape)
    step = 1e-9
    f = lambda x: np.sum(np.nanquantile(x, 0.3, axis=1) ** 2)  # noqa: E731
    np.testing.assert_allclose(np.vdot(gradient, t), (f(x + step * t) - f(x - step * t)) / (2 * step), rtol=1e-5)
    assert np.count_nonzero(gradient) == 4  # of two rows 0.3 * 5000 is a rank


SMOOTH = {
    "sort": lambda x: np.sort(x, axis=0),
    "sort_all": lambda x: np.sort(x * x, axis=None),
    "partition": lambda x: np.partition(x, 2) ** 2,
    "median": lambda x: np.median(x, axis=1),
    "median of all": lambda x: np.median(np.exp(x)),
    "nanmedian": lambda x: np.nanmedian(x, axis=0),
    "percentile": lambda x: np.percentile(x, [10, 75.0], axis=1),
    "midpoint": lambda x: np.quantile(x, 0.3, method="midpoint"),
    "trimmed mean": lambda x: np.sort(x, axis=1)[:, 1:-1].mean(axis=1),
    "by its order": lambda x: np.take_along_axis(x, np.argsort(x, axis=0), axis=0),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name):
    x = np.random.default_rng(3).permutation(20).reshape(4, 5) / 7 - 1.03
    f = SMOOTH[name]
    differentiates(f, x)
    weights = np.random.default_rng(4).normal(size=np.shape(f(x)))
    square = lambda x: np.sum(weights * f(x) ** 2)  # noqa: E731
    differentiates(weft.grad(square), x)
    t = np.random.default_rng(5).normal(size=x.shape)
    _, forward = weft.jvp(f, (x,), (t,))
    (backward,) = weft.vjp(f, x)[1](weights)
    np.testing.assert_allclose(np.vdot(weights, forward), np.vdot(backward, t), rtol=1e-12)


def test_lanes():
    x = sample(np.float64, (3, 5, 4))
    lanes = weft.vmap(lambda x: (np.sort(x, 0), np.median(x, 1), x[:, 0].argsort(), np.percentile(x, 30)), in_axes=2)
    for k in range(4):
        part = x[:, :, k]
        for got, want in zip(lanes(x), (np.sort(part, 0), np.median(part, 1), part[:, 0].argsort(),
                                        np.percentile(part, 30)), strict=True):  # fmt: skip
            np.testing.assert_array_equal(got[k], want)
    a, v = np.sort(x[0], axis=1), x[1, :, :2]
    found = weft.vmap(np.searchsorted)(a, v)
    np.testing.assert_array_equal(found, [np.searchsorted(p, q) for p, q in zip(a, v, strict=True)])
    found = weft.vmap(np.searchsorted, in_axes=(None, 0))(a[0], v)
    np.testing.assert_array_equal(found, np.searchsorted(a[0], v))


def test_what_is_refused():
    x = np.ones((3, 4))
    for f, error in (
        (lambda x: np.sort(x, axis=2), np.exceptions.AxisError),
        (lambda x: np.sort(x, kind="bubble"), ValueError),
        (lambda x: np.sort(x, kind="stable", stable=True), ValueError),
        (lambda x: np.sort(x, order="f"), ValueError),
        (lambda x: np.searchsorted(x, x), ValueError),
        (lambda x: np.searchsorted(x[0], x, side="middle"), ValueError),
        (lambda x: np.digitize(x, [0, 2, 1]), ValueError),
        (lambda x: np.percentile(x, 101), ValueError),
        (lambda x: np.quantile(x, 0.5, method="guess"), ValueError),
        (lambda x: np.unique(x), errors.UnsupportedError),
        (lambda x: np.quantile(x, 0.5, weights=x, method="inverted_cdf"), errors.UnsupportedError),
        (lambda x: np.quantile(x[0], x[1], method="hazen"), errors.UnsupportedError),
        (lambda x: np.sort(x[0, : x.sum().astype(int)]).sum(), errors.UnsupportedError),
    ):
        with pytest.raises(error):
            weft.compile(f)(x)
