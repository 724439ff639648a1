"""argmax and argmin in blocks: ties, NaN, infinities, rising rows, what is computed on the way."""

import numpy as np
import pytest

import weft

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("f", [np.argmax, np.argmin])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32, np.uint8, np.bool_])
def test_first_of_the_best(f, dtype) -> None:
    compiled = weft.compile(lambda x: (f(x), f(x, axis=1)))
    x = np.round(RNG.standard_normal((5, 1300)) * 3)
    for rows in (x, np.sort(x, axis=1), np.zeros_like(x), np.where(x > 3, x, -0.0)):
        rows = rows > 0 if dtype is np.bool_ else rows.astype(dtype)
        for made, true in zip(compiled(rows), (f(rows), f(rows, axis=1)), strict=True):
            np.testing.assert_array_equal(made, true)


@pytest.mark.parametrize("f", [np.argmax, np.argmin])
@pytest.mark.parametrize("at", [0, 511, 512, 1023, 1299])
def test_the_first_nan_wins(f, at: int) -> None:
    x = RNG.standard_normal((3, 1300))
    x[1, at] = np.nan
    x[1, 1200:] = np.nan
    x[2] = np.inf if f is np.argmin else -np.inf
    np.testing.assert_array_equal(weft.compile(lambda x: f(x, axis=1))(x), f(x, axis=1))


def test_beside_a_sum_and_of_what_is_computed() -> None:
    x = RNG.standard_normal((40, 900))
    at, total = weft.compile(lambda x: (np.argmax(x * x - x, axis=1), np.sum(x * x - x, axis=1)))(x)
    np.testing.assert_array_equal(at, np.argmax(x * x - x, axis=1))
    np.testing.assert_allclose(total, np.sum(x * x - x, axis=1))


def test_loops_are_vectors() -> None:
    text = weft.compile(lambda x: np.argmax(x, axis=1)).lower(np.ones((64, 4096), np.float32)).kernel_ir
    assert "argmax(" not in text
    assert "argmax(" in weft.compile(lambda x: np.argmax(x, axis=1)).lower(np.ones((64, 10), np.float32)).kernel_ir
