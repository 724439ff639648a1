"""weft.explain: why a function was compiled, how long it took and what came of it."""

import numpy as np
import pytest

import weft
from weft import errors


def scaled(x, n, how="sum"):
    total = (x[:n] @ x[:n].T).sum()
    return np.tanh(total) if how == "tanh" else total


def test_what_differs_is_said():
    f = weft.compile(static_argnames="how")(scaled)
    assert weft.explain(f) == "scaled: not called yet"
    a, b = np.ones((3, 4)), np.ones((5, 4), np.float32)
    f(a, 2)
    f(a, 3)
    f(b, 3)
    f(b, 3, how="tanh")
    text = weft.explain(f)
    assert text.startswith("scaled: compiled 4 times\n\n1. x: f64[3, 4], n: i64, n = 2\n")
    reasons = [line.strip() for line in text.splitlines() if line.startswith("   because")]
    assert reasons == [
        "because n = 3, was 2",
        "because x: f32[5, 4], was f64[3, 4]",
        "because how = 'tanh', which is new",
    ]
    assert text.count("1 matrix product") == 4 and text.count("capture ") == 4 and "object code" in text
    assert "test_explain.py:" in text  # of each kernel, the user's lines


def test_what_is_closed_over():
    mask = np.ones(3, bool)
    f = weft.compile(lambda x: x[mask])
    f(np.ones(3))
    mask[1] = False
    f(np.ones(3))
    assert "because something that it closes over has changed" in weft.explain(f)


def test_methods_and_what_is_not_compiled():
    class Model:
        @weft.compile
        def step(self, x):
            return x + 1

    model = Model()
    model.step(np.ones(2))
    assert "Model.step: compiled 1 time\n" in weft.explain(model.step)
    with pytest.raises(errors.ArgumentError, match="scaled is not compiled"):
        weft.explain(scaled)


def test_phases_are_disjoint(monkeypatch):
    """The passes are asked for by what writes the kernels, and must not be counted there again."""
    monkeypatch.setenv("WEFT_CACHE", "0")
    step = weft.compile(lambda x: np.tanh(x) * x)
    step(np.ones(5))
    (form,) = step.cache_info()
    stages = form.executable.stages
    assert not stages.recalled
    assert sum(r.seconds for r in stages.records) + sum(stages.seconds.values()) <= form.compile_seconds
