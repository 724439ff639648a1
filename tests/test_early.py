"""The order of kernels: what only frees a buffer comes early, and stays the last to read what it overwrites."""

import numpy as np
import pytest
from rewriting import graph_of

import weft
from weft.passes.early import early

TWO_LAYERS = """
    @kernel
    def k0(w: f64[64, 64], d: f64[64, 64]) -> f64[64, 64]:
        y: f64[64, 64] = sub(w, d)
        return y

    @kernel
    def k1(w: f64[64, 64], d: f64[64, 64]) -> f64[64, 64]:
        y: f64[64, 64] = sub(w, d)
        return y

    def main(
        x: f64[64, 64], h: f64[64, 64], d: f64[64, 64], v: f64[64, 64], w: f64[64, 64]
    ) -> (f64[64, 64], f64[64, 64]):
        dw: f64[64, 64] = dot(h, d, batch=((), ()), contract=((0,), (0,)))
        e: f64[64, 64] = dot(d, w, batch=((), ()), contract=((1,), (1,)))
        dv: f64[64, 64] = dot(x, e, batch=((), ()), contract=((0,), (0,)))
        new_v: f64[64, 64] = k0(v, dv)
        new_w: f64[64, 64] = k1(w, dw)
        return new_v, new_w
"""


def test_an_update_comes_behind_the_last_reader_of_what_it_updates():
    graph = graph_of(TWO_LAYERS)
    done = early(graph)
    assert [op.result.name for op in done.ops] == ["dw", "e", "new_w", "dv", "new_v"]
    assert early(done) is done


def test_what_makes_a_buffer_stays():
    """Nothing dies with k1 here that the graph has made."""
    graph = graph_of(TWO_LAYERS.replace("k1(w, dw)", "k1(w, w)"))
    assert early(graph) is graph


@pytest.mark.parametrize("layers", [2, 5])
def test_one_gradient_at_a_time(layers):
    """A step needs room for one gradient of a layer's parameters, whatever the number of layers."""
    rng = np.random.default_rng(0)
    params = [rng.standard_normal((200, 200)) * 0.05 for _ in range(layers)]

    def loss(params, x):
        for w in params:
            x = np.tanh(x @ w)
        return np.mean(x * x)

    def step(params, x):
        return [w - 0.1 * g for w, g in zip(params, weft.grad(loss)(params, x), strict=True)]

    x = rng.standard_normal((4, 200))
    donating = weft.compile(step, donate_argnums=0)
    stages = donating.lower(params, x)
    assert stages.memory.arena < 1.5 * params[0].nbytes and len(stages.memory.taken) == layers
    want = weft.compile(step)(params, x)
    for g, w in zip(donating([p.copy() for p in params], x), want, strict=True):
        np.testing.assert_array_equal(g, w)
