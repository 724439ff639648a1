"""Values that kernels compute again rather than read: exact text, the same bits, fewer bytes."""

import contextlib
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rewriting import graph_of, same_bits
from row_programs import row_program
from strategies import random_arguments

import weft
from weft.codegen.lower import lower
from weft.ir.interpret import interpret
from weft.ir.verify import verify
from weft.passes import recompute as module
from weft.passes import residuals
from weft.passes.differentiate import reverse
from weft.passes.manager import run
from weft.passes.recompute import recompute
from weft.pipeline import PASSES, Stages

FUSED = [p for p in PASSES if p.name != "recompute"]


@contextlib.contextmanager
def of_all_sizes():
    """Small arrays too are worth it, and everything on elements is computed again."""
    with mock.patch.object(module, "LEAST", 0), mock.patch.object(residuals, "LARGE", 0):
        yield


def moved(graph):
    """The bytes that kernels read and write."""
    return sum(v.type.nbytes for op in graph.ops if op.regions for v in (*op.operands, *op.results))


TWO = """\
    @kernel
    def k0(z: f32[64, 512], b: f32[512]) -> (f32[64, 512], f32[64, 512], f32[64, 512]):
        x: f32[64, 512] = add(z, b)
        t: f32[64, 512] = tanh(x)
        h: f32[64, 512] = mul(x, t)
        return x, t, h

    @kernel
    def k1(g: f32[64, 512], x: f32[64, 512], t: f32[64, 512]) -> f32[64, 512]:
        p: f32[64, 512] = mul(t, x)
        d: f32[64, 512] = mul(p, g)
        return d

    def main(a: f32[64, 8], v: f32[8, 512], b: f32[512], w: f32[512, 512]) -> f32[64, 512]:
        z: f32[64, 512] = dot(a, v, batch=((), ()), contract=((1,), (0,)))
        x, t, h = k0(z, b)
        g: f32[64, 512] = dot(h, w, batch=((), ()), contract=((1,), (0,)))
        d: f32[64, 512] = k1(g, x, t)
        return d
"""


def test_what_another_kernel_left_is_made_again_from_what_it_was_made_of():
    changed = verify(recompute(graph_of(TWO)))
    assert (
        str(changed)
        == """\
@kernel
def k0(z: f32[64, 512], b: f32[512]) -> f32[64, 512]:
    x: f32[64, 512] = add(z, b)
    t: f32[64, 512] = tanh(x)
    h: f32[64, 512] = mul(x, t)
    return h

@kernel
def k1(g: f32[64, 512], b: f32[512], z: f32[64, 512]) -> f32[64, 512]:
    x: f32[64, 512] = add(z, b)
    t: f32[64, 512] = tanh(x)
    p: f32[64, 512] = mul(t, x)
    d: f32[64, 512] = mul(p, g)
    return d

def main(a: f32[64, 8], v: f32[8, 512], b: f32[512], w: f32[512, 512]) -> f32[64, 512]:
    z: f32[64, 512] = dot(a, v, batch=((), ()), contract=((1,), (0,)))
    h: f32[64, 512] = k0(z, b)
    g: f32[64, 512] = dot(h, w, batch=((), ()), contract=((1,), (0,)))
    d: f32[64, 512] = k1(g, b, z)
    return d
"""
    )


def test_small_arrays_stay():
    graph = graph_of(TWO.replace("512", "51"))
    assert recompute(graph) is graph


def test_a_product_that_a_sum_takes_in_is_taken_in_by_it_everywhere():
    """In k0 two read the product r, so x is a product and a sum, each rounded; k1 would contract them to one."""
    product = "r: f32[64, 512] = mul(z, z)\n        "
    text = TWO.replace("x: f32[64, 512] = add(z, b)", f"{product}x: f32[64, 512] = add(r, b)")
    text = text.replace("h: f32[64, 512] = mul(x, t)", "h: f32[64, 512] = mul(r, t)")
    changed = verify(recompute(graph_of(text)))
    last = changed.ops[-1].regions[0]
    assert "add" not in [op.kind.name for op in last.ops] and "tanh" in [op.kind.name for op in last.ops]


def programs(seed, products, backward):
    graph = row_program(seed, products=products)
    if backward:
        floats = [i for i, v in enumerate(graph.outputs) if v.type.is_float]
        graph = reverse(graph, list(range(len(graph.inputs))), floats)
    return graph


@settings(max_examples=100)
@example(16624, False, True)  # without a result that nobody reads, what is left is not one kernel
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_random_programs_have_the_same_bits_and_move_no_more(seed, products, backward):
    graph, _ = run(programs(seed, products, backward), FUSED, check=True)
    with of_all_sizes():
        changed = verify(recompute(graph))
    assert moved(changed) <= moved(graph)
    arguments = random_arguments(graph, seed)
    with np.errstate(all="ignore"):
        want, got = interpret(graph, arguments), interpret(changed, arguments, check=True)
    assert all(map(same_bits, want, got)), f"{graph}\nbecame\n{changed}"
    for op in changed.ops:
        if op.regions:
            lower(op.regions[0])


@pytest.mark.parametrize("seed", range(12))
def test_compiled_too_the_bits_are_the_same(seed):
    """Whatever is contracted or kept for a later loop of a row is so in every kernel that computes it."""
    graph = programs(seed, True, True)
    arguments = [np.ascontiguousarray(a) for a in random_arguments(graph, seed)]
    with of_all_sizes():
        got = Stages(graph).compile()(*[arguments])
    with mock.patch("weft.pipeline.PASSES", FUSED):
        want = Stages(graph).compile()(*[arguments])
    assert all(map(same_bits, want, got))


def test_the_gradient_of_a_dense_layer_keeps_the_product_alone():
    def loss(w, b, v, x):
        z = x @ w + b
        return np.mean((0.5 * z * (1 + np.tanh(0.8 * (z + 0.04 * z * z * z))) @ v) ** 2)

    x, w, b, v = (np.ones(s, np.float32) for s in ((64, 32), (32, 512), (512,), (512, 32)))
    stages = weft.compile(weft.grad(loss, argnums=(0, 1, 2))).lower(w, b, v, x)
    wide = [op for op in stages.fused.ops if op.regions and (64, 512) in [r.shape for r in op.results]]
    assert len(wide) == 2  # the activations, which the next product reads, and the gradient of the product
    assert all([r.shape for r in op.results].count((64, 512)) == 1 for op in wide)
