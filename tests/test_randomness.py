"""Random numbers that a compiled function, or a loop that is kept, draws once: a warning names the line."""

import random
import subprocess
import sys
import warnings

import numpy as np
import pytest

import weft
from weft import errors

X = np.ones(3)
GENERATOR = np.random.default_rng(0)
OLD = np.random.RandomState(1)
PYTHONS = random.Random(2)

DRAWS = [
    lambda x: x + GENERATOR.normal(size=3),
    lambda x: x + np.random.rand(3),
    lambda x: x + OLD.randint(3),
    lambda x: x + random.random(),
    lambda x: x + random.gauss(0, 1),
    lambda x: x + PYTHONS.uniform(0, 1),
    lambda x: x + np.random.default_rng().normal(),
    lambda x: x[np.random.permutation(3)],
]


@pytest.mark.parametrize("f", DRAWS, ids=[str(i) for i in range(len(DRAWS))])
def test_draws(f):
    compiled = weft.compile(f)
    with pytest.warns(errors.HostEffectWarning) as caught:
        np.testing.assert_array_equal(compiled(X), compiled(X))
    assert len(caught) == 1 and caught[0].filename == __file__ and caught[0].lineno == f.__code__.co_firstlineno
    assert f"test_randomness.py:{caught[0].lineno}: `" in str(caught[0].message)
    assert "pass them as an argument" in str(caught[0].message)


def test_once_in_a_capture():
    def f(x):
        for _ in range(3):
            x = x + np.random.rand(3) * GENERATOR.random()
        return x

    with pytest.warns(errors.HostEffectWarning) as caught:
        compiled = weft.compile(f)
        compiled(X), compiled(X), compiled(X.astype(np.float32))
    assert len(caught) == 2


def helper(x):
    return np.sum(x * np.random.rand(3))


def test_in_functions_called_and_differentiated():
    for f in (lambda x: helper(x) + 1, weft.grad(helper), lambda x: weft.grad(helper)(x)):
        with pytest.warns(errors.HostEffectWarning) as caught:
            weft.compile(f)(X)
        assert len(caught) == 1 and caught[0].lineno == helper.__code__.co_firstlineno + 1


def test_without_source():
    for text in ("lambda x: x + np.random.rand(3)", "lambda x: x + random.random()"):
        with pytest.warns(errors.HostEffectWarning, match="lambda.* draws random numbers, in code whose source"):
            weft.compile(eval(text, {"np": np, "random": random}))(X)  # noqa: S307


def seeded(x):
    rng = np.random.default_rng(3)
    return x + rng.normal(size=3) + random.Random(4).random()


def test_what_is_the_same_each_time_anyway():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(weft.compile(seeded)(X), seeded(X))
        weft.compile(lambda x, y: x + y)(X, np.random.rand(3))
        weft.grad(helper)(X)  # runs once, as it should
        assert np.any(weft.grad(helper)(X) != weft.grad(helper)(X))


def walk(x):
    for _ in range(30):
        x = x + np.random.rand(3)
    return np.sum(x)


def test_in_a_loop_that_is_kept():
    with pytest.warns(errors.HostEffectWarning) as caught:
        weft.grad(walk)(X)
    assert len(caught) == 1


def test_a_numpy_array_written_by_a_function_in_a_loop():
    """It would be written once, when the loop is traced."""
    table = np.zeros(3)

    def f(x, n):
        for _ in range(n):
            np.copyto(table, table + 1)
            np.add(table, 1, out=table)
            x = x + table
        return x

    with pytest.raises(errors.ForeignArrayError):
        weft.compile(f)(X, 20)
    assert not table.any()


UNLOADED = """
import sys, warnings
import numpy as np, weft
hidden = {}
exec("def draw(x):\\n    import numpy\\n    return x + numpy.random.rand()", hidden)
exec("def load(x):\\n    import numpy.random\\n    return x + 1.0", hidden)
assert "numpy.random" not in sys.modules
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    weft.compile(hidden[sys.argv[1]])(np.ones(2))
print([w.category.__name__ for w in seen])
"""


@pytest.mark.parametrize(("what", "said"), [("draw", "['HostEffectWarning']"), ("load", "[]")])
def test_numpy_generators_are_not_loaded_to_be_watched(what, said):
    done = subprocess.run([sys.executable, "-c", UNLOADED, what], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said
