"""`compile(fallback="numpy")`: what can't be captured is run as it is, once, and one warning says so."""

import random
import threading
import warnings

import numpy as np
import pytest

import weft
from weft import errors

X = np.array([3.0, 1.0, 2.0])


def sorts(x):
    y = x * 2
    return np.unique(y)


def test_it_runs_with_one_warning_for_each_kind_of_arguments():
    f = weft.compile(sorts, fallback="numpy")
    with pytest.warns(weft.FallbackWarning) as caught:
        for x in (X, X + 1, X.astype(np.float32), X - 1):
            np.testing.assert_array_equal(f(x), sorts(x))
            assert f(x).dtype == x.dtype
    assert len(caught) == 2
    text = str(caught[0].message)
    assert "sorts is run by NumPy" in text and "test_fallback.py:18: `np.unique(y)`" in text
    assert caught[0].filename == __file__ and caught[0].lineno == 18
    assert f.cache_info() == []
    with pytest.raises(errors.UnsupportedError):
        f.lower(X)


def test_without_it_an_error():
    with pytest.raises(errors.UnsupportedError, match="np.unique"):
        weft.compile(sorts)(X)
    with pytest.raises(ValueError, match="fallback=None or 'numpy', got 'python'"):
        weft.compile(sorts, fallback="python")


def test_what_can_be_captured_is_compiled():
    f = weft.compile(fallback="numpy")(lambda x: x * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(f(X), X * 2)
    assert len(f.cache_info()) == 1


class Model:
    def __init__(self):
        self.calls = 0
        self.seen = []
        self.table = np.zeros(3)

    def step(self, x):
        self.calls += 1
        self.seen.append(self.calls)
        self.table[0] += 1
        x[0] += 1
        return np.unique(x)


def test_effects_of_the_failed_capture_are_not_seen():
    model, x, y = Model(), X.copy(), X.copy()
    f = weft.compile(model.step, fallback="numpy")
    with pytest.warns(weft.FallbackWarning):
        np.testing.assert_array_equal(f(x), [1.0, 2.0, 4.0])
    assert (model.calls, model.seen, model.table[0], x[0]) == (1, [1], 1.0, 4.0)
    f(x)
    assert (model.calls, model.seen, model.table[0], x[0]) == (2, [1, 2], 2.0, 5.0)
    plain = Model()
    plain.step(y)
    assert plain.calls == 1


COUNT = 0
NAMES = {"a": 1}


def test_variables_containers_and_random_numbers_are_as_numpy_would_leave_them():
    inner, generator = 0, np.random.default_rng(1)

    def f(x, options):
        global COUNT
        nonlocal inner
        COUNT += 1
        inner += 1
        NAMES[f"b{COUNT}"] = x
        options.append(1)
        draw = generator.normal() + random.random() + np.random.rand()
        return np.unique(x) + draw

    compiled = weft.compile(f, fallback="numpy")
    random.seed(3)
    np.random.seed(4)
    given = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = compiled(X, given)
    assert (COUNT, inner, given) == (1, 1, [1]) and NAMES["b1"] is X
    random.seed(3)
    np.random.seed(4)
    want = np.random.default_rng(1).normal() + random.random() + np.random.rand() + np.unique(X)
    np.testing.assert_array_equal(got, want)


def test_by_the_python_values_that_were_looked_at():
    def f(x, mode):
        return np.unique(x) if mode > 1 else x + mode

    compiled = weft.compile(f, fallback="numpy")
    with pytest.warns(weft.FallbackWarning) as caught:
        for mode in (2, 1, 2, 3, 1, 0, 3):
            np.testing.assert_array_equal(compiled(X, mode), f(X, mode))
    assert len(caught) == 2
    assert sorted(form.guards for form in compiled.cache_info()) == [(("mode", 0),), (("mode", 1),)]


def test_the_programs_own_errors_go_through():
    class Mine(Exception):
        pass

    def raises(x):
        raise Mine

    def beyond(x):
        return x[7]

    def shapes(x):
        return x + np.ones(2)

    def late(x, i):
        x[0] = 9.0
        return x[i]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Mine):
            weft.compile(raises, fallback="numpy")(X)
        for f, kind in ((beyond, IndexError), (shapes, ValueError)):
            with pytest.raises(kind) as caught:
                weft.compile(f, fallback="numpy")(X)
            assert not isinstance(caught.value, weft.WeftError)  # NumPy's
        with pytest.raises(IndexError):
            weft.compile(late, fallback="numpy")(X.copy(), np.int64(5))


def test_arguments_that_are_no_arrays():
    class Thing:
        scale = 2.0

    f = weft.compile(lambda x, thing: x * thing.scale, fallback="numpy")
    with pytest.warns(weft.FallbackWarning, match="argument thing is a"):
        np.testing.assert_array_equal(f(X, Thing()), X * 2)


def test_with_static_and_keyword_arguments_and_methods():
    class Sorter:
        sign = -1.0

        @weft.compile(static_argnames="axis", fallback="numpy")
        def run(self, x, axis):
            return np.unique(self.sign * x, axis=axis)

    with pytest.warns(weft.FallbackWarning):
        sorter = Sorter()
        np.testing.assert_array_equal(sorter.run(X, axis=0), [-3.0, -2.0, -1.0])
        np.testing.assert_array_equal(sorter.run(X, -1), [-3.0, -2.0, -1.0])


def test_a_gradient_falls_back_to_the_uncompiled_one():
    def loss(x, n):
        scale = (0.0, 1.0, 2.0)[n[0]]  # which depends on an array
        return scale * np.sum(x * x)

    f = weft.compile(weft.grad(loss), fallback="numpy")
    with pytest.warns(weft.FallbackWarning, match="n"):
        np.testing.assert_allclose(f(X, np.array([2])), 4 * X)


def test_in_a_compiled_function_it_is_a_part_of_that():
    inner = weft.compile(sorts, fallback="numpy")
    with pytest.raises(errors.UnsupportedError):
        weft.compile(lambda x: inner(x) + 1)(X)


def test_from_several_threads():
    f, found = weft.compile(sorts, fallback="numpy"), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=lambda: found.append(f(X))) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert len(found) == 8 and all((r == [2.0, 4.0, 6.0]).all() for r in found)
