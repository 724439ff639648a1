"""Choices, tests, rounding and the like of traced arrays, against NumPy's."""

import numpy as np
import pytest
from against_numpy import DTYPES, FLOATS, agree, differentiates, layouts, sample, special

import weft
from weft import errors

# name -> function of one array
FUNCTIONS = {
    "where": lambda x: np.where(x > 0, x, x * x),
    "where_scalars": lambda x: [np.where(x, 1, 2), np.where(x, 1.5, 2), np.where(x, True, False), np.where(x, 1, True)],
    "where_weak": lambda x: [np.where(x > 1, x, 0), np.where(x > 1, 1, x), np.where(x > 1, 0.5, x)],
    "where_strong": lambda x: np.where(x > 1, x, np.float32(0.5)),
    "where_broadcast": lambda x: np.where(x[:1] > 0, x, x[:, :1]),
    "where_condition": lambda x: np.where(x, x, -1.0),
    "where_list": lambda x: np.where(x > 0, [[1], [2], [3]], x),
    "where_wide": lambda x: [np.where(x > 0, x, 300), np.select([x > 0], [x], -70_000)],
    "select": lambda x: np.select([x > 2, x > 0], [x, x * 2]),
    "select_default": lambda x: np.select([x > 2, x[0] > 0], [1, 2.5], default=x),
    "select_first": lambda x: np.select([x > 0, x > 1, [True]], [1, 2, 3]),
    "clip": lambda x: np.clip(x, 1, 3),
    "clip_floats": lambda x: np.clip(x, 0.5, 2.5),
    "clip_method": lambda x: x.clip(1, 2),
    "clip_min": lambda x: [x.clip(1), x.clip(min=1), np.clip(x, 1, None), np.clip(x, min=1)],
    "clip_max": lambda x: [x.clip(max=1), np.clip(x, None, 1), np.clip(x, max=np.float64(0.25))],
    "clip_none": lambda x: [np.clip(x, None, None), np.clip(x)],
    "clip_arrays": lambda x: np.clip(x, x[:1], np.array([[2]], np.int8)),
    "clip_crossed": lambda x: np.clip(x, 3, 1),
    "clip_wide": lambda x: [np.clip(x, -5000, 5000), np.clip(x, -(1 << 40), 1 << 70)],
    "isclose": lambda x: [np.isclose(x, x[:1]), np.isclose(x, 1), np.isclose(1.0, x)],
    "isclose_wide": lambda x: np.isclose(x, x * 2, rtol=0.6, atol=np.float32(0.1)),
    "isclose_nan": lambda x: np.isclose(x, x, equal_nan=True),
    "allclose": lambda x: [np.allclose(x, x), np.allclose(x, x, equal_nan=True), np.allclose(x + 1e-12, x)],
    "array_equal": lambda x: [np.array_equal(x, x), np.array_equal(x, x[:1]), np.array_equal(x, x, equal_nan=True)],
    "array_equal_nan": lambda x: np.array_equal(x, np.nan_to_num(x), equal_nan=True),
    "array_equiv": lambda x: [np.array_equiv(x, x[:1]), np.array_equiv(x, x), np.array_equiv(x, [1, 2])],
    "isposinf": lambda x: [np.isposinf(x), np.isneginf(x)],
    "isreal": lambda x: [np.isreal(x), np.iscomplex(x), np.isrealobj(x), np.iscomplexobj(x)],
    "real": lambda x: [np.real(x) * 2, np.imag(x), np.real_if_close(x) + 1, x.real * 3],
    "angle": lambda x: [np.angle(x), np.angle(x, deg=True)],
    "nan_to_num": lambda x: np.nan_to_num(x),
    "nan_to_num_all": lambda x: np.nan_to_num(x, nan=1.5, posinf=7, neginf=-8.0),
    "nan_to_num_array": lambda x: np.nan_to_num(x, nan=np.arange(x.shape[1])),
    "round": lambda x: np.round(x),
    "round_1": lambda x: np.around(x, 1),
    "round_3": lambda x: x.round(decimals=3),
    "round_tens": lambda x: np.round(x * 9, -1),
    "round_hundreds": lambda x: np.round(x, -2),
    "fix": lambda x: np.fix(x),
    "sinc": lambda x: np.sinc(x),
    "dtypes": lambda x: [str(np.result_type(x, 1.0, np.int8)), str(np.min_scalar_type(x))],
    "common_type": lambda x: str(np.dtype(np.common_type(x, np.float32(1)))),
    "piecewise": lambda x: np.piecewise(x, [x > 1, x > 2], [lambda v: v * 2, 7.5, -1]),
    "piecewise_else": lambda x: np.piecewise(x, [x > 1], [lambda v, k: v + k, lambda v, k: v * k], 3),
    "piecewise_small": lambda x: np.piecewise(x, [x[:, :2] > 1], [2]),
    "piecewise_none": lambda x: np.piecewise(x, [x > 1], [1]),
    "isin": lambda x: [np.isin(x, [1, 2, 5]), np.isin(x, np.ones((2, 2)), invert=True), np.isin(1, x)],
    "polyval": lambda x: [np.polyval([1, 2, 3], x), np.polyval(x[0], 2), np.polyval([1.5, -2], x)],
    "conj": lambda x: [x.conj() + 1, x.conjugate() + 1, x.imag],
    "misc": lambda x: [np.iterable(x), np.isscalar(x)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_numpy(name):
    agree(FUNCTIONS[name], *[sample(d) for d in DTYPES], *layouts(), *layouts(np.float32)[:2], special()[:3])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_numbers(name):
    samples = []
    for dtype in FLOATS:
        limits = np.finfo(dtype)
        ends = [limits.max, limits.min, limits.tiny, limits.smallest_subnormal, -limits.eps, 0.5, 1.5, 2.5, -0.5]
        samples.append(np.array([ends], dtype))
    agree(FUNCTIONS[name], *samples)


@pytest.mark.parametrize("x", [np.float32(2.5), np.int8(-3), np.bool_(True), np.array(1.5), 2.5, 3, True], ids=repr)
def test_scalars(x):
    agree(lambda x: [np.where(x, x, 0), np.where(x > 2, x, 1.5), np.clip(x, 1, 2), np.isclose(x, 3), np.fix(x)], x)
    agree(lambda x: [np.allclose(x, 3), np.array_equal(x, x), np.nan_to_num(x), np.sinc(x), np.angle(x)], x)
    agree(lambda x: [np.round(x), np.select([x > 2], [x], 1.5), np.isneginf(x)], x)


def test_piecewise_by_rows_of_conditions():
    x = sample(np.float32)
    agree(lambda x: np.piecewise(x[0], x[0] > 0, [1.5, lambda v: v * 2]), x)
    agree(lambda x: np.piecewise(x[0], x[:2] > 0, [2, 4]), x)
    agree(lambda x: np.piecewise(x[0, 0], x[0, 0] > 0, [2, lambda v: v]), x)


def test_choices_between_traced_python_numbers():
    def choices(n, s, x):
        return [np.where(x > 0, n, s), np.where(x > 0, n, x), np.where(n > 2, x, s), np.select([x > 0], [n], s)]

    agree(choices, (3, 1.5, np.ones(2, np.float32)), (3, 2, np.ones(2, np.int8)), (True, 1, np.ones(2, np.uint8)))


def test_ndarray_methods_given_traced_arguments():
    x, y = sample(np.float64), sample(np.float64, seed=1)
    agree(lambda y: [x.clip(y, 1), x.clip(0, y), np.clip(x, y, None)], y)
    agree(lambda y: np.where(x > 0, x, y), y)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("decimals", [-3, -1, 0, 1, 2, 5, 9])
def test_rounding_is_numpys_to_the_last_bit(dtype, decimals):
    rng = np.random.default_rng(decimals + 9)
    halves = np.arange(-20, 20) / 2 * 10.0**-decimals
    x = np.concatenate([rng.normal(size=200) * 10.0 ** rng.integers(-4, 4, 200), halves]).astype(dtype)
    for run in (weft.compile, lambda f: lambda x: weft.jvp(f, (x,), (x,))[0]):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(run(lambda x: np.round(x, decimals))(x), np.round(x, decimals))


@pytest.mark.parametrize("points", [1, 2, 3, 7, 64, 100])
def test_interp(points):
    rng = np.random.default_rng(points)
    xp, fp = np.sort(rng.normal(size=points)), rng.normal(size=points)
    x = np.concatenate([rng.normal(size=40) * 2, xp, [np.nan, np.inf, -np.inf, xp[0], xp[-1]]])
    agree(lambda x, xp, fp: np.interp(x, xp, fp), (x, xp, fp), (x[:1].astype(np.float32), xp, fp))
    agree(lambda x: [np.interp(x, xp, fp, left=-7), np.interp(x, xp, fp, right=np.nan)], x)
    agree(lambda fp: np.interp(x.reshape(-1, 1), xp, fp), fp)
    agree(lambda x: np.interp(x, np.arange(points), np.arange(points) * 2), 0.5, 3, np.int8(1))


def test_interp_of_infinities_and_repeated_points():
    x = np.array([0.0, 0.5, 1, 1.5, 2, 2.5, 3, 4])
    agree(lambda x: np.interp(x, [0, 1, 2, 3], [0, np.inf, np.inf, 1]), x)
    agree(lambda x: np.interp(x, [0, 1, 2, np.inf], [0, 1, 5, 5]), x)
    agree(lambda x: np.interp(x, [0, 1, 1, 3], [0, 1, 2, 3]), x)
    agree(lambda x: np.interp(x, [1, 1, 1], [0, 1, 2]), x)


A, B, P = sample(np.float64, (3, 4), 3), sample(np.float64, (3, 4), 4), abs(sample(np.float64, (3, 4), 5)) + 0.1
KNOTS = np.array([-2.0, -0.5, 0.25, 1, 2.5])
GRADIENTS = {
    "where": (lambda x, y: np.where(A > 0, x, y * 2), A, B),
    "where_broadcast": (lambda x, y: np.where(A > 0, x, y), A[:1], B[:, :1]),
    "select": (lambda x, y: np.select([A > 1, B > 0], [x, y], x * y), A, B),
    "clip": (lambda x: np.clip(x, -0.7, 0.9), A),
    "clip_bounds": (lambda x, low, high: np.clip(x, low, high), A, -P, P),
    "nan_to_num": (lambda x: np.nan_to_num(x * x), A),
    "round": (lambda x: np.round(x, 1) * x, A),
    "fix": (lambda x: np.fix(x) * x, A),
    "piecewise": (lambda x: np.piecewise(x, [x > 0], [lambda v: v * v, lambda v: np.exp(v)]), A),
    "polyval": (lambda p, x: np.polyval(p, x), KNOTS, A),
    "sinc": (lambda x: np.sinc(x), A),
    "real": (lambda x: np.real(x) * x + np.imag(x), A),
    "interp_x": (lambda x: np.interp(x, KNOTS, KNOTS**2), A),
    "interp_fp": (lambda fp: np.interp(A, KNOTS, fp), KNOTS**3),
    "interp": (lambda x, xp, fp: np.interp(x, xp, fp), A, KNOTS, KNOTS**3),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    function, *arguments = GRADIENTS[name]
    differentiates(function, *arguments)


def test_gradients_at_the_places_that_formulas_avoid():
    assert weft.grad(np.sinc)(0.0) == 0
    knots = np.array([0.0, 1, 3])
    slopes = weft.grad(lambda x: np.sum(np.interp(x, knots, [0, 2.0, 4])))(np.array([0.0, 0.5, 1, 2, 3, 5, -1]))
    np.testing.assert_array_equal(slopes, [2, 2, 1, 1, 1, 0, 0])


X = np.ones((2, 3))
REFUSED = {
    "where": (lambda x: np.where(x > 0), errors.UnsupportedError, r"Write np.where\(condition, a, b\) to choose"),
    "where_one": (lambda x: np.where(x > 0, x), ValueError, "either both or neither of x and y"),
    "where_shape": (lambda x: np.where(x > 0, x, np.ones(2)), ValueError, "do not broadcast"),
    "clip_int": (lambda x: np.clip(x.astype(np.uint8), 300, 400), OverflowError, "300 out of bounds for uint8"),
    "select": (lambda x: np.select([x], [x]), TypeError, "invalid entry 0 in condlist: should be boolean"),
    "select_length": (lambda x: np.select([x > 0], [x, x]), ValueError, "same length as list of conditions"),
    "piecewise": (lambda x: np.piecewise(x, [x > 0], [1, 2, 3]), ValueError, "either 1 or 2 functions are expected"),
    "clip": (lambda x: np.clip(x, 1), TypeError, "missing 1 required positional argument: 'a_max'"),
    "clip_twice": (lambda x: np.clip(x, 1, 2, max=3), ValueError, "is forbidden"),
    "round_bool": (lambda x: np.round(x > 0, 1), TypeError, "bools have no digits to round to"),
    "interp_period": (lambda x: np.interp(x, [1, 2], [1, 2], period=3), errors.UnsupportedError, "x % period"),
    "interp_length": (lambda x: np.interp(x, [1, 2, 3], [1, 2]), ValueError, "not of the same length"),
    "interp_rank": (lambda x: np.interp(x, x, x), ValueError, "must be 1-D sequences"),
    "interp_empty": (lambda x: np.interp(x, [], []), ValueError, "array of sample points is empty"),
    "min_scalar": (lambda x: np.min_scalar_type(np.sum(x)), errors.ConcretizationError, "min_scalar_type"),
    "i0": (lambda x: np.i0(x), errors.UnsupportedError, "np.i0 can't be traced"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_errors(name):
    function, kind, text = REFUSED[name]
    with pytest.raises(kind, match=text) as caught:
        weft.compile(function)(X)
    if isinstance(caught.value, errors.WeftError):
        assert "test_numpy_logic.py:" in str(caught.value).splitlines()[0]
