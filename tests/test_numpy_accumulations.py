"""Cumulative sums and products of traced arrays, against NumPy's."""

import numpy as np
import pytest
from against_numpy import DTYPES, FLOATS, agree, differentiates, layouts, sample, special

import weft
from weft import errors

ACCUMULATIONS = {
    "cumsum": lambda x: np.cumsum(x),
    "cumsum_axis": lambda x: x.cumsum(0),
    "cumsum_last": lambda x: np.cumsum(x, axis=-1),
    "cumsum_dtype": lambda x: np.cumsum(x, 1, dtype=np.float32),
    "cumsum_int": lambda x: x.cumsum(axis=0, dtype=np.int16),
    "cumprod": lambda x: np.cumprod(x),
    "cumprod_axis": lambda x: np.cumprod(x, 0),
    "cumprod_last": lambda x: x.cumprod(axis=1),
    "nancumsum": lambda x: np.nancumsum(x, axis=1),
    "nancumprod": lambda x: np.nancumprod(x),
    "of a view": lambda x: np.cumsum(x.T[::-1, 1:], axis=0),
    "of a sum": lambda x: np.cumsum(x * 2 + 1, axis=1) - 1,
    "add.accumulate": lambda x: np.add.accumulate(x),
    "multiply.accumulate": lambda x: np.multiply.accumulate(x, axis=1),
}
if hasattr(np, "cumulative_sum"):
    ACCUMULATIONS["cumulative_sum"] = lambda x: np.cumulative_sum(x, axis=1, include_initial=True)
    ACCUMULATIONS["cumulative_prod"] = lambda x: np.cumulative_prod(x, axis=0)


@pytest.mark.parametrize("name", ACCUMULATIONS)
def test_values(name):
    """In NumPy's order, so that floats are the same to the bit but where a cast comes in between."""
    f = ACCUMULATIONS[name]
    agree(f, *(sample(d) for d in DTYPES if d is not np.float16), *layouts(), special(), ulps=1)
    agree(f, sample(np.float16), ulps=64)


@pytest.mark.parametrize("name", [n for n in ACCUMULATIONS if "int" not in n and "nan" not in n and "dtype" not in n])
def test_derivatives(name):
    differentiates(ACCUMULATIONS[name], sample(np.float64) + 2.0)


def test_zeros_among_the_factors():
    """No division: a product's derivative by its zero is the product of the others."""
    x = np.array([2.0, 0.0, 3.0, 0.0, 5.0])
    jacobian = weft.jacrev(np.cumprod)(x)
    want = np.array([[1, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0, 6, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], float)
    np.testing.assert_array_equal(jacobian, want)
    np.testing.assert_array_equal(weft.jacfwd(np.cumprod)(x), want)


def test_long_sums_are_numpys():
    for dtype in FLOATS[1:]:
        x = np.random.default_rng(0).standard_normal((3, 10_000)).astype(dtype)
        for axis in (0, 1):
            np.testing.assert_array_equal(weft.compile(lambda x, axis=axis: x.cumsum(axis))(x), x.cumsum(axis))


def test_lanes_and_parts():
    x = sample(np.float64, (3, 5, 2))
    np.testing.assert_allclose(weft.vmap(lambda x: np.cumsum(x, 0), in_axes=2)(x), np.moveaxis(np.cumsum(x, 0), 2, 0))

    def f(x):
        total = 0.0
        for i in weft.rolled(range(len(x))):
            total = total + np.cumsum(x[i:]).max() + np.cumprod(x[: i + 1])[-1]
        return total

    y = sample(np.float64, (9,))
    np.testing.assert_allclose(weft.compile(f)(y), f(y))
    found, step = weft.grad(f)(y), 1e-6
    for d in np.eye(9):
        np.testing.assert_allclose(found @ d, (f(y + step * d) - f(y - step * d)) / (2 * step), rtol=1e-5, atol=1e-7)


def test_what_is_refused():
    with pytest.raises(errors.DTypeError, match="bools as bools"):
        weft.compile(lambda x: np.cumsum(x, dtype=bool))(np.ones(3, bool))
    with pytest.raises(np.exceptions.AxisError):
        weft.compile(lambda x: np.cumsum(x, axis=2))(np.ones((2, 2)))


@pytest.mark.parametrize("shape", [(2051, 300), (5, 200, 301), (400, 3, 5), (300, 4, 1), (3, 1)])
def test_recurrences_in_many_rows(shape) -> None:
    """Rows are shared out, several beside each other, and what is left over one by one."""
    x = np.random.default_rng(0).standard_normal(shape)
    for axis in range(len(shape)):
        found = weft.compile(np.cumsum, static_argnames="axis")(x, axis=axis)
        np.testing.assert_allclose(found, np.cumsum(x, axis=axis), 1e-12, 1e-12)
