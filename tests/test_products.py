"""Products for the library: operands lie as (batch, free, contract) or (batch, contract, free); exact text."""

import itertools

import numpy as np
import pytest
from rewriting import agree, check, graph_of, unchanged

from weft.ir import REGISTRY, Builder, TensorType
from weft.ir.interpret import interpret
from weft.ir.ops.linalg import free_axes
from weft.ir.verify import verify
from weft.passes.products import layout, products


def test_layouts():
    assert layout(2, (), (1,)) == "fc" and layout(2, (), (0,)) == "cf"
    assert layout(3, (0,), (2,)) == "fc" and layout(3, (0,), (1,)) == "cf"
    assert layout(4, (0, 1), (2,)) == "cf" and layout(4, (0, 1), (3,)) == "fc"
    assert layout(3, (), (1,)) is None  # the contracted axis lies between free ones
    assert layout(3, (1,), (2,)) is None and layout(3, (2,), (0,)) is None
    assert layout(3, (1, 0), (2,)) is None  # batch axes in another order
    assert layout(3, (), (2, 1)) is None  # contracted axes in another order
    assert layout(1, (), (0,)) == "fc" and layout(0, (), ()) == "fc"


def test_what_is_ready_stays():
    unchanged(
        products,
        """
        def main(a: i64[2, 3], b: i64[4, 3], c: i64[5, 3, 2]) -> (i64[2, 4], i64[3, 3], i64[5, 2, 2]):
            x: i64[2, 4] = dot(a, b, batch=((), ()), contract=((1,), (1,)))
            y: i64[3, 3] = dot(a, a, batch=((), ()), contract=((0,), (0,)))
            z: i64[5, 2, 2] = dot(c, c, batch=((0,), (0,)), contract=((1,), (1,)))
            return x, y, z
        """,
    )


def test_an_operand_that_lies_otherwise_is_transposed():
    check(
        products,
        """
        def main(a: i64[2, 5, 3], b: i64[3, 4, 5]) -> i64[5, 2, 4]:
            x: i64[5, 2, 4] = dot(a, b, batch=((1,), (2,)), contract=((2,), (0,)))
            y: i64[5, 2, 4] = neg(x)
            return y
        """,
        """
        def main(a: i64[2, 5, 3], b: i64[3, 4, 5]) -> i64[5, 2, 4]:
            t0: i64[5, 2, 3] = transpose(a, perm=(1, 0, 2))
            t1: i64[5, 4, 3] = transpose(b, perm=(2, 1, 0))
            x: i64[5, 2, 4] = dot(t0, t1, batch=((0,), (0,)), contract=((2,), (2,)))
            y: i64[5, 2, 4] = neg(x)
            return y
        """,
    )


def test_several_contracted_axes_are_in_one_order():
    """a's order leads; b is transposed, because its axes pair up in another."""
    check(
        products,
        """
        def main(a: i64[2, 3, 4], b: i64[4, 3, 5]) -> i64[2, 5]:
            x: i64[2, 5] = dot(a, b, batch=((), ()), contract=((2, 1), (0, 1)))
            return x
        """,
        """
        def main(a: i64[2, 3, 4], b: i64[4, 3, 5]) -> i64[2, 5]:
            t0: i64[5, 3, 4] = transpose(b, perm=(2, 1, 0))
            x: i64[2, 5] = dot(a, t0, batch=((), ()), contract=((1, 2), (1, 2)))
            return x
        """,
    )


def dots():
    """All batch and contract choices for operands of rank up to 3, one or two of each."""
    for ra, rb in itertools.product(range(4), repeat=2):
        for nb, nc in itertools.product(range(3), repeat=2):
            if nb + nc > min(ra, rb):
                continue
            for of_a in itertools.permutations(range(ra), nb + nc):
                for of_b in itertools.permutations(range(rb), nb + nc):
                    yield ra, rb, (of_a[:nb], of_b[:nb]), (of_a[nb:], of_b[nb:])


def product_graph(ra, rb, batch, contract, dtype):
    a = [2 + i for i in range(ra)]
    b = [5 + i for i in range(rb)]
    for i, j in [*zip(*batch, strict=True), *zip(*contract, strict=True)]:
        b[j] = a[i]
    build = Builder("main")
    x, y = build.input(TensorType(dtype, tuple(a)), "a"), build.input(TensorType(dtype, tuple(b)), "b")
    return build.finish([REGISTRY["dot"](x, y, batch=batch, contract=contract)])


@pytest.mark.parametrize("ra, rb", list(itertools.product(range(4), repeat=2)))
def test_every_layout(ra, rb):
    """The result is the same, every product is ready, and at most one transpose an operand was put in."""
    for p, q, batch, contract in dots():
        if (p, q) != (ra, rb):
            continue
        graph = product_graph(ra, rb, batch, contract, "i64")
        done = verify(products(graph))
        agree(graph, done, runs=1)
        (dot,) = [op for op in done.ops if op.kind.name == "dot"]
        for side in (0, 1):
            rank = len(dot.operands[side].shape)
            assert layout(rank, dot.attrs["batch"][side], dot.attrs["contract"][side]) is not None
        assert len(done.ops) <= 3
        pairs = list(zip(*dot.attrs["contract"], strict=True))
        for of in zip(*pairs, strict=True):
            assert list(of) == sorted(of), "both contract their axes in one order"


def test_reference_of_every_layout_is_einsum():
    for ra, rb, batch, contract in dots():
        graph = product_graph(ra, rb, batch, contract, "i64")
        rng = np.random.default_rng(0)
        a, b = (rng.integers(-9, 9, v.shape) for v in graph.inputs)
        letters = iter("ijklmnop")
        la, lb = [""] * ra, [""] * rb
        for i, j in [*zip(*batch, strict=True), *zip(*contract, strict=True)]:
            la[i] = lb[j] = next(letters)
        fa, fb = free_axes(ra, batch[0], contract[0]), free_axes(rb, batch[1], contract[1])
        for labels, free in ((la, fa), (lb, fb)):
            for i in free:
                labels[i] = next(letters)
        out = "".join([la[i] for i in batch[0]] + [la[i] for i in fa] + [lb[j] for j in fb])
        want = np.einsum(f"{''.join(la)},{''.join(lb)}->{out}", a, b)
        (got,) = interpret(graph, [a, b], check=True)
        np.testing.assert_array_equal(got, want)


def test_names_and_places_stay():
    graph = graph_of("""
        def main(a: i64[2, 5, 3], b: i64[3, 5]) -> i64[5, 2]:
            x: i64[5, 2] = dot(a, b, batch=((1,), (1,)), contract=((2,), (0,)))
            return x
    """)
    assert products(graph).outputs[0].name == "x"
