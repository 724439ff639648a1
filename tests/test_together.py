"""Kernels that don't wait for each other run as one."""

import numpy as np
import pytest

import weft
from weft.compiler import compile_graph
from weft.ir.parse import parse
from weft.pipeline import Stages

BIG = 1 << 18


def calls(function, *arguments):
    return weft.compile(function).lower(*arguments).step.calls


def update(params, grads):
    return [p - 0.1 * g for p, g in zip(params, grads, strict=True)]


def test_an_update_of_many_tensors_is_one_call():
    rng = np.random.default_rng(0)
    params = [rng.normal(size=s) for s in (BIG, 10, 3 * BIG, 1, (100, 100))]
    grads = [rng.normal(size=p.shape) for p in params]
    (only,) = calls(update, params, grads)
    assert " together: " in only and only.count(", ") == 4
    for got, want in zip(weft.compile(update)(params, grads), update(params, grads), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-14, atol=1e-16)


def test_small_work_stays_on_one_thread():
    params = [np.ones(8) for _ in range(5)]
    assert not any("together" in line for line in calls(update, params, params))


def test_what_waits_comes_after():
    text = calls(lambda x, w: ((y := x * 2) + w[:, None], np.sum(y)), np.ones((BIG, 2)), np.ones(BIG))
    assert not any("together" in line for line in text)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_do_not_depend_on_threads(threads):
    rng = np.random.default_rng(1)
    params = [rng.normal(size=BIG + n).astype(np.float32) for n in range(6)]
    want = weft.compile(update)(params, params)
    with weft.threads(threads):
        for got, expected in zip(weft.compile(update)(params, params), want, strict=True):
            np.testing.assert_array_equal(got, expected)


CHAIN = f"""\
@kernel
def k0(x: f64[{BIG}]) -> f64[{BIG}]:
    t0: f64[{BIG}] = add(x, f64(1.0))
    return t0

@kernel
def k1(x: f64[{BIG}]) -> f64[{BIG}]:
    t0: f64[{BIG}] = mul(x, f64(2.0))
    return t0

def f(a: f64[{BIG}], b: f64[{BIG}]) -> (f64[{BIG}], f64[{BIG}]):
    t0: f64[{BIG}] = k0(a)
    t1: f64[{BIG}] = k1(t0)
    t2: f64[{BIG}] = k0(b)
    t3: f64[{BIG}] = k1(t2)
    return t1, t3
"""


def test_buffers_that_are_used_again_keep_kernels_apart():
    """Of a, t0 and t2 the arena may have one buffer: then k0(b) may not run before k1 has read t0."""
    a, b = np.arange(float(BIG)), np.arange(float(BIG))[::-1].copy()
    graph = parse(CHAIN)
    for _ in range(3):
        one, two = compile_graph(graph)([a, b])
        np.testing.assert_array_equal(one, 2 * (a + 1))
        np.testing.assert_array_equal(two, 2 * (b + 1))
    assert Stages(graph).step.calls
