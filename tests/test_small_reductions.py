"""Reductions of a few elements that lie apart, written out: the same bits, and one loop over the result."""

import random

import numpy as np
import pytest
from rewriting import agree, graph_of, unchanged

import weft
from weft.ir import REGISTRY, Builder, TensorType
from weft.ir.verify import verify
from weft.passes.dce import dce
from weft.passes.small_reductions import small_reductions

KINDS = ["max", "min", "any", "all", "sum", "prod"]


def pooling(seed):
    """A reduction of windows, by a reshape or not, of cheap arithmetic, by rows or by columns."""
    rnd = random.Random(seed)
    kind = rnd.choice(KINDS)
    dtype = "bool" if kind in ("any", "all") else rnd.choice(["f64", "f32", "i32"]) if kind in ("max", "min") else "i32"
    build = Builder()
    m, n, c, p, q = (rnd.randint(2, 4) for _ in range(5))
    x = build.input(TensorType(dtype, (m * p * 4, n * q, c)), "x")
    y = build.input(TensorType(dtype, (c,)), "y")
    if rnd.random() < 0.5:
        x = REGISTRY["logical_and" if dtype == "bool" else "maximum"](x, y)
    if rnd.random() < 0.3:
        x = REGISTRY["windows"](x, axes=(0, 1), sizes=(2, 3))
        axes = (3, 4)
    else:
        x = REGISTRY["reshape"](x, shape=(m * 4, p, n, q, c))
        axes = rnd.choice([(1, 3), (1,), (3,)])
        if rnd.random() < 0.3:
            x, axes = REGISTRY["transpose"](x, perm=(4, 0, 1, 2, 3)), tuple(a + 1 for a in axes)
    return build.finish([REGISTRY[kind](x, axes=axes)])


@pytest.mark.parametrize("seed", range(60))
def test_the_same_bits(seed):
    graph = verify(pooling(seed))
    done = dce(verify(small_reductions(graph)))
    agree(graph, done)


def test_pooling_is_slices_of_what_was_split():
    graph = graph_of(
        """
        def main(x: f32[16, 8, 4]) -> f32[8, 4, 4]:
            t: f32[8, 2, 4, 2, 4] = reshape(x, shape=(8, 2, 4, 2, 4))
            y: f32[8, 4, 4] = max(t, axes=(1, 3))
            return y
        """
    )
    done = dce(small_reductions(graph))
    kinds = [op.kind.name for op in done.ops]
    assert kinds.count("slice") == 4 and kinds.count("maximum") == 3 and "max" not in kinds
    assert {op.operands[0] for op in done.ops if op.kind.name == "slice"} == set(done.inputs)
    agree(graph, done)


def test_rows_and_small_results_stay():
    for text in (
        "def main(x: f32[100, 4]) -> f32[100]:\n    y: f32[100] = max(x, axes=(1,))\n    return y\n",
        "def main(x: f32[4, 10]) -> f32[10]:\n    y: f32[10] = max(x, axes=(0,))\n    return y\n",
        "def main(x: f32[40, 100]) -> f32[100]:\n    y: f32[100] = sum(x, axes=(0,))\n    return y\n",
        "def main(x: f16[4, 100]) -> f16[100]:\n    y: f16[100] = sum(x, axes=(0,))\n    return y\n",
    ):
        unchanged(small_reductions, text)


def test_sums_begin_at_zero():
    x = np.full((2, 100), -0.0)
    y = weft.compile(lambda x: np.sum(x, axis=0))(x)
    assert not np.signbit(y).any() and not np.signbit(np.zeros(())).any()


def test_a_pool_takes_in_what_it_reads():
    def pooled(x, b):
        h = np.maximum(x + b, 0)
        return h.reshape(8, 16, 2, 16, 2, 4).max(axis=(2, 4))

    x, b = np.random.default_rng(0).standard_normal((8, 32, 32, 4)), np.arange(4.0) - 2
    stages = weft.compile(pooled).lower(x, b)
    assert [op.kind.name for op in stages.fused.ops] == ["call"] and stages.memory.arena == 0
    np.testing.assert_array_equal(weft.compile(pooled)(x, b), pooled(x, b))
