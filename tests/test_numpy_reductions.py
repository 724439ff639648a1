"""Reductions and statistics of traced arrays, against NumPy's."""

import numpy as np
import pytest
from against_numpy import DTYPES, FLOATS, agree, differentiates, layouts, sample, special

import weft
from weft import errors

MASK = np.array([[True, False, True, True], [False, False, False, False], [True, True, False, True]])

REDUCTIONS = {
    "sum": lambda x: np.sum(x),
    "sum_axis": lambda x: np.sum(x, axis=0),
    "sum_last": lambda x: x.sum(-1),
    "sum_tuple": lambda x: np.sum(x, axis=(1, 0), keepdims=True),
    "sum_none": lambda x: np.sum(x, axis=()),
    "sum_dtype": lambda x: x.sum(1, dtype=np.float32),
    "sum_int": lambda x: np.sum(x, axis=1, dtype=np.int16),
    "sum_bool": lambda x: np.sum(x, axis=1, dtype=bool),
    "sum_initial": lambda x: np.sum(x, axis=1, keepdims=True, initial=3),
    "sum_initial_float": lambda x: np.sum(x, initial=2.5),
    "sum_where": lambda x: np.sum(x, axis=1, where=MASK[: x.shape[0], : x.shape[1]]),
    "sum_row_mask": lambda x: x.sum(axis=0, where=MASK[0, : x.shape[1]], initial=1),
    "sum_where_traced": lambda x: np.sum(x, axis=1, where=x > 0),
    "prod": lambda x: np.prod(x, axis=1),
    "prod_all": lambda x: x.prod(),
    "prod_more": lambda x: np.prod(x, axis=0, initial=2, where=x != 0, keepdims=True),
    "prod_bool": lambda x: np.prod(x, axis=0, dtype=bool),
    "max": lambda x: np.max(x),
    "max_axis": lambda x: x.max(axis=-1),
    "max_keep": lambda x: np.amax(x, axis=(0,), keepdims=True),
    "max_initial": lambda x: np.max(x, axis=1, initial=1),
    "max_where": lambda x: np.max(x, axis=1, initial=1, where=MASK[: x.shape[0], : x.shape[1]]),
    "max_where_alone": lambda x: np.max(x, where=x > 0),
    "min": lambda x: np.min(x, 0),
    "min_all": lambda x: x.min(keepdims=True),
    "amin": lambda x: np.amin(x, axis=(0, 1)),
    "min_where": lambda x: x.min(axis=0, initial=1, where=x < 0),
    "argmax": lambda x: np.argmax(x),
    "argmax_axis": lambda x: x.argmax(0),
    "argmax_keep": lambda x: np.argmax(x, axis=-1, keepdims=True),
    "argmax_all_kept": lambda x: np.argmax(x, keepdims=True),
    "argmin": lambda x: np.argmin(x, 1),
    "argmin_all": lambda x: x.argmin(),
    "any": lambda x: np.any(x > 5, axis=1),
    "any_number": lambda x: x.any(0, keepdims=True),
    "any_where": lambda x: np.any(x, axis=1, where=MASK[: x.shape[0], : x.shape[1]]),
    "all": lambda x: np.all(x),
    "all_axis": lambda x: x.all(axis=(0, 1)),
    "all_where": lambda x: np.all(x, axis=0, where=x > 1),
    "count_nonzero": lambda x: np.count_nonzero(x),
    "count_nonzero_axis": lambda x: np.count_nonzero(x, axis=1, keepdims=True),
    "ptp": lambda x: np.ptp(x, axis=1),
    "ptp_keep": lambda x: np.ptp(x, keepdims=True),
    "ufunc_add": lambda x: np.add.reduce(x),
    "ufunc_maximum": lambda x: np.maximum.reduce(x, axis=1, keepdims=True),
    "ufunc_where": lambda x: np.add.reduce(x, axis=1, where=x > 0, initial=2),
    "ufunc_and": lambda x: np.logical_and.reduce(x, axis=None),
    "nansum": lambda x: np.nansum(x, axis=0),
    "nansum_more": lambda x: np.nansum(x, axis=1, dtype=np.float32, keepdims=True, initial=1, where=x < 2),
    "nanprod": lambda x: np.nanprod(x, axis=1),
    "nanmax": lambda x: np.nanmax(x, axis=0),
    "nanmax_all": lambda x: np.nanmax(x, keepdims=True),
    "nanmin": lambda x: np.nanmin(x, axis=1),
    "nanmin_initial": lambda x: np.nanmin(x, axis=1, initial=1),
}
STATISTICS = {
    "mean": lambda x: np.mean(x),
    "mean_axis": lambda x: x.mean(1),
    "mean_keep": lambda x: np.mean(x, axis=(0, 1), keepdims=True),
    "mean_dtype": lambda x: np.mean(x, axis=0, dtype=np.float32),
    "mean_half": lambda x: np.mean(x, axis=0, dtype=np.float16),
    "mean_int": lambda x: np.mean(x, axis=0, dtype=np.int32),
    "mean_where": lambda x: np.mean(x, axis=1, where=MASK[: x.shape[0], : x.shape[1]]),
    "var": lambda x: np.var(x),
    "var_axis": lambda x: x.var(axis=1, ddof=1),
    "var_keep": lambda x: np.var(x, axis=0, keepdims=True, correction=1),
    "var_dtype": lambda x: np.var(x, axis=0, dtype=np.float64),
    "var_where": lambda x: np.var(x, axis=0, where=MASK[: x.shape[0], : x.shape[1]], ddof=1),
    "var_mean": lambda x: np.var(x, axis=1, mean=np.mean(x, axis=1, keepdims=True)),
    "var_few": lambda x: np.var(x, axis=0, ddof=3),
    "std": lambda x: np.std(x, axis=0),
    "std_ddof": lambda x: x.std(ddof=0.5, keepdims=True),
    "nanmean": lambda x: np.nanmean(x, axis=0),
    "nanmean_where": lambda x: np.nanmean(x, axis=1, keepdims=True, where=x < 2),
    "nanvar": lambda x: np.nanvar(x, axis=0),
    "nanvar_ddof": lambda x: np.nanvar(x, axis=1, ddof=1, keepdims=True),
    "nanstd": lambda x: np.nanstd(x, axis=1, where=x < 2),
    "average": lambda x: np.average(x),
    "average_weights": lambda x: np.average(x, axis=0, weights=np.arange(1.0, 1 + x.shape[0])),
    "average_own": lambda x: np.average(x, weights=np.ones(x.shape, np.float32), returned=True),
    "average_returned": lambda x: np.average(x, axis=1, returned=True, keepdims=True),
    "cov": lambda x: np.cov(x),
    "cov_columns": lambda x: np.cov(x, rowvar=False, bias=True),
    "cov_y": lambda x: np.cov(x, x[:1] * 2, ddof=0, dtype=np.float32),
    "corrcoef": lambda x: np.corrcoef(x, rowvar=False),
    "trapezoid": lambda x: np.trapezoid(x),
    "trapezoid_dx": lambda x: np.trapezoid(x, dx=0.5, axis=0),
    "trapezoid_x": lambda x: np.trapezoid(x, np.arange(x.shape[1]) ** 2),
    "trapezoid_xy": lambda x: np.trapezoid(x, x * 2, axis=0),
}
EVERY = REDUCTIONS | STATISTICS


# NumPy raises ZeroDivisionError for empty averages, and its cast of NaN to an integer is the machine's own.
NOT_EMPTY = ("average", "mean_int")
NO_NANS = ("cov", "corrcoef", "mean_int")
# Among zeros of both signs NumPy's own extrema are of either sign, by the length of the array.
EITHER_ZERO = ("max", "min", "amin", "nanmax", "nanmin", "ufunc_maximum", "ptp")


@pytest.mark.parametrize("name", EVERY)
def test_against_numpy(name):
    samples = [sample(d) for d in DTYPES] + layouts() + layouts(np.float32)[:2]
    if name.startswith(NOT_EMPTY):
        samples = [x for x in samples if x.size]
    if not name.startswith(NO_NANS):
        samples += [special(), special(np.float32)[1:]]
    agree(EVERY[name], *samples, either_zero=name.startswith(EITHER_ZERO))


@pytest.mark.parametrize("axis", [None, 0, -1, (0,), (0, 2), (-1, 1), (2, 0, 1), ()], ids=str)
def test_every_choice_of_axes(axis):
    functions = (np.sum, np.max, np.mean, np.any, np.var)
    agree(lambda x: [f(x, axis=axis, keepdims=k) for f in functions for k in (0, 1)], sample(np.float64, (2, 3, 4)))


@pytest.mark.parametrize("x", [np.float32(2.5), np.int8(-3), np.bool_(True), np.array(1.5), 2.5, 3, True], ids=repr)
def test_scalars(x):
    functions = (np.sum, np.prod, np.max, np.min, np.argmax, np.argmin, np.any, np.all, np.mean, np.var, np.nanmax)
    agree(lambda x: [f(x) for f in functions], x)
    others = [f for f in functions if f not in (np.mean, np.var)]  # which take no axis of a scalar
    agree(lambda x: [f(x, axis=0) for f in others], x)
    agree(lambda x: [f(x, axis=-1, keepdims=True) for f in others], x)
    agree(lambda x: np.mean(x, axis=0), x)
    agree(lambda x: np.var(x, axis=0), x)
    agree(lambda x: [np.count_nonzero(x), np.average(x), np.nanmean(x), np.add.reduce(x, axis=None)], x)


def test_scalars_of_arithmetic_are_as_strong_as_numpys():
    x, y = np.ones(3, np.float32), np.ones(3)
    agree(lambda x, y: [np.sum(x) * y, np.sum(y) * x, np.count_nonzero(x) * x, np.argmax(x) * x], (x, y))


def test_ufunc_reductions():
    x = special()
    agree(lambda x: [np.fmax.reduce(x), np.fmin.reduce(x, axis=1)], x, either_zero=True)
    agree(lambda x: [np.logical_or.reduce(x, axis=1), np.multiply.reduce(x, keepdims=True)], x)
    agree(lambda x: np.minimum.reduce(x, axis=(0, 1), initial=1), x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_of_many_numbers_are_no_worse_than_numpys(dtype):
    x = (np.random.default_rng(0).random(30_000) + 0.1).astype(dtype)
    right = float(x.astype(np.longdouble).mean())
    mean, total = weft.compile(lambda x: (np.mean(x), np.sum(x[:3000])))(x)
    assert abs(float(mean) - right) <= abs(float(np.mean(x)) - right) + np.spacing(dtype(right))
    right = float(x[:3000].astype(np.longdouble).sum())
    assert abs(float(total) - right) <= abs(float(np.sum(x[:3000])) - right) + np.spacing(dtype(right))


def test_half_precision_does_not_overflow_on_the_way():
    x = np.full(1000, 300, np.float16)
    agree(np.mean, x)
    found = weft.compile(lambda x: [np.var(x), np.std(x * 2), np.nanmean(x), np.average(x)])(x)
    assert [float(f) for f in found] == [0, 0, 300, 300]
    assert all(f.dtype == np.float16 for f in found)


def test_nan_arg_extrema_of_integers():
    agree(lambda x: [np.nanargmax(x), np.nanargmin(x, axis=0, keepdims=True)], sample(np.int32))


A, P = sample(np.float64, (3, 4), 3), abs(sample(np.float64, (3, 4), 4)) + 0.5
GRADIENTS = {
    "sum": (lambda x: np.sum(x, axis=0), A),
    "sum_where": (lambda x: np.sum(x * x, axis=1, where=MASK, initial=2), A),
    "prod": (lambda x: np.prod(x, axis=1, keepdims=True), P),
    "max": (lambda x: np.max(x, axis=1), A),
    "min_initial": (lambda x: np.min(x, initial=0.1, where=MASK), P),
    "mean": (lambda x: np.mean(x, axis=(0, 1)), A),
    "mean_where": (lambda x: np.mean(x, axis=0, where=MASK), A),
    "var": (lambda x: np.var(x, axis=1, ddof=1), A),
    "var_where": (lambda x: np.var(x, axis=0, where=MASK[[0, 2, 0]]), A),
    "std": (lambda x: np.std(x, axis=0), A),
    "average": (lambda x, w: np.average(x, axis=1, weights=w), A, P),
    "average_row": (lambda x, w: np.average(x, axis=1, weights=w), A, P[0]),
    "ptp": (lambda x: np.ptp(x, axis=0), A),
    "nansum": (lambda x: np.nansum(np.where(MASK, x, np.nan), axis=0), A),
    "nanprod": (lambda x: np.nanprod(np.where(MASK, x, np.nan), axis=0), A),
    "nanmax": (lambda x: np.nanmax(np.where(MASK, x, np.nan)), A),
    "nanmean": (lambda x: np.nanmean(np.where(MASK, x, np.nan), axis=0), A),
    "nanstd": (lambda x: np.nanstd(np.where(MASK[[0, 2, 0]], x, np.nan), axis=1), A),
    "cov": (lambda x: np.cov(x), A),
    "cov_weights": (lambda x, w: np.cov(x, aweights=w, fweights=[1, 2, 1, 3]), A, P[0]),
    "corrcoef": (lambda x: np.corrcoef(x)[0, 1:], A),
    "trapezoid": (lambda y, x: np.trapezoid(y, x), A, P[0]),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    function, *arguments = GRADIENTS[name]
    differentiates(function, *arguments)


@pytest.mark.parametrize("ddof", [None, 0, 1])
def test_weighted_covariances(ddof):
    x, f, a = sample(np.float64, (3, 5)), np.array([1, 2, 0, 3, 1]), np.array([0.5, 1, 2, 0.1, 1])
    agree(lambda x: [np.cov(x, fweights=f, ddof=ddof), np.cov(x, aweights=a, ddof=ddof)], x)
    agree(lambda x: np.cov(x, x[0] * x[1], aweights=a, fweights=f, ddof=ddof), x)


def test_covariances_of_one_and_two_variables():
    x = sample(np.float64, (3, 5))
    agree(lambda x: [np.cov(x[0]), np.cov(x[0], x[1]), np.corrcoef(x[0]), np.corrcoef(x, x[:1], rowvar=True)], x)
    agree(lambda x: np.cov(x, x[:1], rowvar=False), x[:1])


def test_weights_along_several_axes():
    x, w = sample(np.float32, (2, 3, 4)), abs(sample(np.float64, (4, 2)))
    agree(lambda x, w: np.average(x, axis=(2, 0), weights=w, returned=True, keepdims=True), (x, w))
    agree(lambda w: np.average(x, axis=(2, 0), weights=w), w)


X = np.ones((2, 3))
REFUSED = {
    "axis": (lambda x: np.sum(x, axis=2), np.exceptions.AxisError, "axis 2 is out of bounds for array of dimension 2"),
    "axes": (lambda x: x.mean(axis=(0, -3)), np.exceptions.AxisError, "axis -3 is out of bounds"),
    "twice": (lambda x: np.max(x, axis=(0, -2)), ValueError, "duplicate value in 'axis'"),
    "float_axis": (lambda x: np.sum(x, axis=1.0), TypeError, "'float' object cannot be interpreted as an integer"),
    "empty_max": (lambda x: x[:0].max(axis=0), ValueError, "zero-size array to reduction operation maximum which has"),
    "empty_arg": (lambda x: np.argmin(x[:0]), ValueError, "attempt to get argmin of an empty sequence"),
    "where": (lambda x: np.min(x, where=x > 0), ValueError, "reduction operation 'minimum' does not have an identity"),
    "mask": (lambda x: np.sum(x, where=x), TypeError, "where= takes a mask of bools, not of float64"),
    "mask_shape": (lambda x: np.any(x, where=[True] * 4), ValueError, r"where= of shape \(4,\) does not broadcast"),
    "initial": (lambda x: np.sum(x, initial=[1.0]), ValueError, "initial= takes a scalar"),
    "initial_int": (lambda x: np.sum(x.astype(np.uint8), dtype=np.uint8, initial=300), OverflowError, "300"),
    "out": (lambda x: np.sum(x, 0, out=np.arange(3.0)), errors.UnsupportedError, "Make it in the traced function"),
    "out_method": (lambda x: x.var(0, None, np.arange(3.0)), errors.UnsupportedError, "Make it in the traced function"),
    "complex": (lambda x: np.sum(x, dtype=complex), errors.DTypeError, "complex128, which weft does not have"),
    "var_int": (lambda x: np.var(x, dtype=int), errors.DTypeError, "a variance has no dtype int64"),
    "ddof": (lambda x: np.var(x, ddof=1, correction=1), ValueError, "can't be provided simultaneously"),
    "nanmean_int": (lambda x: np.nanmean(x, dtype=int), TypeError, "dtype must be inexact"),
    "nanargmax": (lambda x: np.nanargmax(x, axis=1), errors.UnsupportedError, r"np.where\(np.isnan\(x\), -np.inf"),
    "weights": (lambda x: np.average(x, weights=[1.0, 2.0]), TypeError, "Axis must be specified when shapes"),
    "weights_shape": (lambda x: np.average(x, 0, weights=[1.0] * 3), ValueError, "Shape of weights must be consistent"),
    "cov": (lambda x: np.cov(x[None]), ValueError, "at most 2 dimensions"),
    "cov_weights": (lambda x: np.cov(x, fweights=[1, 2]), ValueError, "one for each of 3 observations"),
    "list": (lambda x: np.sum([x, x]), errors.ConcretizationError, "np.stack for a list of traced values"),
    "list_max": (lambda x: np.max([x[0], x[1]]), errors.ConcretizationError, "np.stack for a list of traced values"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_errors(name):
    function, kind, text = REFUSED[name]
    with pytest.raises(kind, match=text) as caught:
        weft.compile(function)(X)
    if isinstance(caught.value, errors.WeftError):
        assert "test_numpy_reductions.py:" in str(caught.value).splitlines()[0]


@pytest.mark.parametrize("shape", [(100, 37, 70), (33, 200, 300), (64, 3, 5, 100)])
def test_over_middle_axes(shape) -> None:
    """Each chunk has some of the columns for itself, and adds all rows to them."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    axes = tuple(range(1, len(shape) - 1))
    f = weft.compile(lambda x: (np.sum(x, axis=axes), np.max(x * x, axis=axes) + 1, np.var(x, axis=1)))
    wide = x.astype(np.float64)
    expected = (wide.sum(axes), np.max(wide * wide, axis=axes) + 1, np.var(wide, axis=1))
    for made, true in zip(f(x), expected, strict=True):
        np.testing.assert_allclose(made, true, rtol=2e-5, atol=1e-4)
