"""Common subexpressions, dead code and products: exact text, the same bits, and what must stay apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy import check_close
from rewriting import agree, check, graph_of, same_bits, unchanged
from row_programs import row_program
from strategies import graphs, random_arguments

from weft.ir import REGISTRY, Builder, TensorType
from weft.ir.interpret import interpret
from weft.ir.text import print_graph
from weft.ir.verify import verify
from weft.passes.cse import COMMUTATIVE, cse
from weft.passes.dce import dce
from weft.passes.differentiate import reverse
from weft.passes.manager import Pass, run
from weft.pipeline import PASSES


def test_equal_ops_are_one():
    check(
        cse,
        """
        def main(x: f32[3], y: f32[3]) -> (f32[3], f32[3], f32, f32[3]):
            a: f32[3] = exp(x)
            b: f32[3] = exp(x)
            c: f32[3] = add(a, y)
            d: f32[3] = add(y, b)
            s: f32 = sum(c, axes=(0,))
            t: f32 = sum(d, axes=(0,))
            w: f32[3] = f32([1.0, 2.0, 3.0])
            v: f32[3] = f32([1.0, 2.0, 3.0])
            e: f32[3] = sub(w, v)
            return a, b, t, e
        """,
        """
        def main(x: f32[3], y: f32[3]) -> (f32[3], f32[3], f32, f32[3]):
            a: f32[3] = exp(x)
            c: f32[3] = add(a, y)
            s: f32 = sum(c, axes=(0,))
            w: f32[3] = f32([1.0, 2.0, 3.0])
            e: f32[3] = sub(w, w)
            return a, a, s, e
        """,
    )


def test_the_order_of_operands_matters_where_it_does():
    unchanged(
        cse,
        """
        def main(x: f32[3], y: f32[3]) -> (f32[3], f32[3], f32[3], f32[3], bool[3], bool[3]):
            a: f32[3] = sub(x, y)
            b: f32[3] = sub(y, x)
            c: f32[3] = fmax(x, y)
            d: f32[3] = fmax(y, x)
            e: bool[3] = less(x, y)
            f: bool[3] = less(y, x)
            return a, b, c, d, e, f
        """,
    )


def test_attributes_tell_ops_apart():
    """By value, dtype, order and sign of zero: each pair below differs."""
    unchanged(
        cse,
        """
        def main(x: f32[2, 2]) -> (f32[2], f32[2], f64[2, 2], f16[2, 2], f32[2], f32[2], f32[2], f32, f32[1]):
            a: f32[2] = sum(x, axes=(0,))
            b: f32[2] = sum(x, axes=(1,))
            c: f64[2, 2] = cast(x, dtype=f64)
            d: f16[2, 2] = cast(x, dtype=f16)
            p: f32[2] = f32([0.0, 1.0])
            q: f32[2] = f32([-0.0, 1.0])
            r: f32[2] = f32([nan, 1.0])
            s: f32 = f32(1.0)
            t: f32[1] = f32([1.0])
            return a, b, c, d, p, q, r, s, t
        """,
    )


def test_equal_calls_are_merged():
    text = """
        @kernel
        def k0(x: f32) -> f32:
            y: f32 = exp(x)
            return y

        def main(x: f32) -> (f32, f32):
            a: f32 = k0(x)
            b: f32 = k0(x)
            return a, b
        """
    merged = text.replace("            b: f32 = k0(x)\n", "").replace("return a, b", "return a, a")
    check(cse, text, merged)
    unchanged(dce, text)


@pytest.mark.parametrize("name", sorted(COMMUTATIVE))
def test_ops_that_are_taken_for_commutative_are(name):
    """Bit for bit, both zeros and NaN included: else two results would be exchanged for one another."""
    kind = REGISTRY[name]
    for dtype in ("bool", "i8", "u64", "f16", "f32", "f64"):
        if dtype[0] not in kind.dtypes:
            continue
        build = Builder("main")
        x, y = (build.input(TensorType(dtype, (200,)), n) for n in "xy")
        graph = build.finish([kind(x, y), kind(y, x)])
        done = cse(graph)
        assert len(done.ops) == 1 and done.outputs[0] is done.outputs[1]
        if name in ("maximum", "minimum"):  # np.maximum(-0.0, 0.0) is whichever comes first
            rng = np.random.default_rng(0)
            a, b = (rng.integers(0, 2, 200).astype(graph.inputs[0].type.np_dtype) for _ in range(2))
            assert all(map(same_bits, interpret(graph, [a, b]), interpret(done, [a, b])))
        else:
            agree(graph, done, runs=2)


def test_dead_ops_go_and_inputs_stay():
    check(
        dce,
        """
        def main(x: f32[3], n: i64, y: f32) -> (f32[3], i64):
            a: f32[3] = exp(x)
            b: f32[3] = add(a, y)
            c: f32[3] = mul(a, a)
            d: f32[3] = mul(b, c)
            e: i64 = i64(3)
            return c, n
        """,
        """
        def main(x: f32[3], n: i64, y: f32) -> (f32[3], i64):
            a: f32[3] = exp(x)
            c: f32[3] = mul(a, a)
            return c, n
        """,
    )


def test_an_op_of_several_results_stays_for_one_of_them():
    unchanged(
        dce,
        """
        @kernel
        def k0(x: f32) -> (f32, f32):
            y: f32 = exp(x)
            z: f32 = exp(y)
            return y, z

        def main(x: f32) -> f32:
            a, b = k0(x)
            return b
        """,
    )


def test_a_graph_with_nothing_to_do_is_the_same_object():
    graph = graph_of("""
        def main(x: f32[3]) -> f32[3]:
            a: f32[3] = exp(x)
            return a
    """)
    assert cse(graph) is graph and dce(graph) is graph


def test_a_long_chain_of_pairs():
    """A chain of ten thousand ops, each computed twice: linear work, and half of it goes."""
    build = Builder("main")
    x = y = build.input(TensorType("f32", (2,)), "x")
    for _ in range(5000):
        x, y = REGISTRY["sin"](x), REGISTRY["sin"](y)
    done = dce(cse(build.finish([x, y])))
    assert len(done.ops) == 5000 and done.outputs[0] is done.outputs[1]


REORDER = {"dot", "sum", "prod"}  # another layout of operands is another order of additions


def differences(before, after, arguments):
    with np.errstate(all="ignore"):
        want, got = interpret(before, arguments), interpret(after, arguments, check=True)
    return [i for i, (w, g) in enumerate(zip(want, got, strict=True)) if not same_bits(w, g)]


@settings(max_examples=80)
@given(graphs(max_ops=14), st.integers(0, 99), st.booleans())
def test_cse_and_dce_change_no_bit(graph, seed, special):
    arguments = random_arguments(graph, seed, special=special)
    text = print_graph(graph)
    for step in (cse, dce, lambda g: dce(cse(dce(g)))):
        done = verify(step(graph))
        assert len(done.ops) <= len(graph.ops)
        zeros = any(op.kind.name in ("maximum", "minimum") for op in graph.ops)
        signs = any(op.kind.name in ("signbit", "copysign", "arctan2") for op in graph.ops)
        if not (special and (zeros or signs)):
            assert not differences(graph, done, arguments)
    assert print_graph(graph) == text, "a pass wrote into the graph that it was given"


def check_the_whole_list(graph, arguments):
    """Every pass in turn: valid, same results as the graph that it was given, and that left as it was."""
    for p in PASSES:
        text = print_graph(graph)
        done, _ = run(graph, [Pass(p.name, p.run)], check=True)
        assert print_graph(graph) == text, f"{p.name} wrote into the graph that it was given"
        assert [v.type for v in done.outputs] == [v.type for v in graph.outputs]
        assert done.inputs == graph.inputs
        if differences(graph, done, arguments):
            with np.errstate(all="ignore"):
                check_close(graph, arguments, [np.asarray(r) for r in interpret(done, arguments)], p.name)
        graph = done


@settings(max_examples=80)
@given(graphs(max_ops=14), st.integers(0, 99), st.booleans())
def test_every_pass_on_random_graphs(graph, seed, special):
    check_the_whole_list(graph, random_arguments(graph, seed, special=special))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.booleans())
def test_every_pass_on_random_programs_and_their_gradients(seed, backward):
    graph = row_program(seed, products=True)
    if backward:
        floats = [i for i, v in enumerate(graph.outputs) if v.type.is_float]
        graph = reverse(graph, list(range(len(graph.inputs))), floats)
    check_the_whole_list(graph, random_arguments(graph, seed))
