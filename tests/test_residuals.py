"""What is kept for a backward part is as little as can be: against trying every choice."""

import itertools
import random

import pytest

from weft.ir import REGISTRY, Builder, Graph, TensorType, Value
from weft.passes.residuals import LARGE, free_values, is_cheap, kept_values, recomputed


def random_body(seed: int) -> tuple[Graph, list[Value], list[Value]]:
    """A graph of cheap and dear ops on values of several sizes, some needed values, and some inputs that are free."""
    rnd = random.Random(seed)
    build = Builder()
    types = [TensorType(dtype, dims) for dtype in ("f32", "f64") for dims in ((), (4,))]
    pool = [build.input(rnd.choice(types), f"x{k}").value for k in range(3)]
    for _ in range(rnd.randint(2, 7)):
        x = rnd.choice(pool)
        operands, attrs = [x], {}
        kind = rnd.choice(["exp", "neg", "square", "cast", "broadcast", "sum", "add", "mul"])
        if kind == "cast":
            attrs = {"dtype": rnd.choice(["f32", "f64"])}
        elif kind == "broadcast":
            attrs = {"shape": x.shape or (4,)}
        elif kind == "sum":
            attrs = {"axes": tuple(range(len(x.shape)))}
        elif kind in ("add", "mul"):
            operands.append(rnd.choice([v for v in pool if v.dtype == x.dtype]))
        pool.append(build.emit(REGISTRY[kind], operands, attrs)[0].value)
    needed = rnd.sample(pool, rnd.randint(1, 4))
    free = [v for v in build.inputs if rnd.random() < 0.3]
    return build.finish([]), needed, free


def suffices(graph: Graph, kept: set[Value], needed: list[Value], free: list[Value]) -> bool:
    had = free_values(graph.ops, {*free, *kept})
    return all(v in had for v in needed)


@pytest.mark.parametrize("seed", range(300))
def test_the_cut_is_minimal(seed):
    graph, needed, free = random_body(seed)
    price = {v: v.type.nbytes / 3 for v in graph.inputs if seed % 2}
    cost = lambda values: sum(price.get(v, v.type.nbytes) for v in values)  # noqa: E731
    have = free_values(graph.ops, free)
    kept = kept_values(needed, graph.ops, have, price)
    assert len(set(kept)) == len(kept) and suffices(graph, set(kept), needed, free)
    values = [*graph.inputs, *(r for op in graph.ops for r in op.results)]
    values = [v for v in values if v not in have]
    least = min(
        cost(choice)
        for n in range(len(values) + 1)
        for choice in itertools.combinations(values, n)
        if suffices(graph, set(choice), needed, free)
    )
    assert cost(kept) == pytest.approx(least)
    again = recomputed(kept, needed, graph.ops)
    assert all(is_cheap(op) for op in again)
    had = {*free, *kept}
    for op in again:
        assert had.issuperset(op.operands)
        had.update(op.results)
    assert had.issuperset(needed)


def test_of_cuts_that_cost_the_same_the_one_that_computes_least_again():
    build = Builder()
    x = build.input(TensorType("f64", (4,)), "x")
    y = build.emit(REGISTRY["neg"], [x.value])[0]
    z = build.emit(REGISTRY["square"], [y.value])[0]
    graph = build.finish([])
    assert kept_values([z.value], graph.ops, (), {}) == [z.value]
    assert kept_values([z.value, y.value], graph.ops, (), {}) == [y.value]
    assert kept_values([z.value, x.value], graph.ops, (), {}) == [x.value]


def test_a_predicate_is_kept_rather_than_what_it_is_made_of():
    build = Builder()
    x = build.input(TensorType("f64", (4,)), "x")
    p = x < x.const(0)
    assert kept_values([p.value], build.ops, (), {}) == [p.value]


def test_of_an_array_what_is_read():
    build = Builder()
    u = build.input(TensorType("f64", (100,)), "u")
    i = build.input(TensorType("i64"), "i")
    part = REGISTRY["dynamic_slice"](u, i, sizes=(1,))
    have = free_values(build.ops, [i.value])
    assert kept_values([part.value], build.ops, have, {}) == [part.value]
    assert kept_values([part.value, u.value], build.ops, have, {}) == [u.value]
    assert kept_values([part.value], build.ops, have, {u.value: 4.0}) == [u.value]


def test_of_a_large_array_an_exponential_is_computed_again():
    def kept(size):
        build = Builder()
        x = build.input(TensorType("f64", (size,)), "x")
        y = REGISTRY["sin"](REGISTRY["exp"](x))
        return kept_values([x.value, y.value], build.ops, (), {}), x.value, y.value

    found, x, y = kept(LARGE // 8 - 1)
    assert found == [x, y]
    found, x, _ = kept(LARGE // 8)
    assert found == [x]


def test_a_sum_is_not_computed_again():
    build = Builder()
    x = build.input(TensorType("f64", (2, LARGE)), "x")
    y = REGISTRY["sum"](x, axes=(0,))
    assert kept_values([x.value, y.value], build.ops, (), {}) == [x.value, y.value]
