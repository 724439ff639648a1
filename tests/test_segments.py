"""Loops cut at the places where a test on their variable changes: the same results, and no test left in the middle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.codegen.kernel import Affine, Constant, For, Index, InRange, Store, var
from weft.codegen.objects import optimised
from weft.codegen.reading import Names
from weft.codegen.segments import cut
from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.ir.verify import verify
from weft.pipeline import Stages


def trips(loop_statements, lo, hi):
    """The values of `c`, with what each test and clamp gives, in the order in which the loops run."""
    known = {"lo": lo, "hi": hi}
    found = []

    def value(a):
        return a.const + sum(k * known[v] for v, k in a.terms)

    def outcome(s):
        if isinstance(s, Index):
            known[s.target] = (min if s.op == "min" else max)(value(s.a), value(s.b))
            return known[s.target]
        return s.value if isinstance(s, Constant) else s.low <= value(s.value) < s.high

    for s in loop_statements:
        if isinstance(s, Index):
            outcome(s)
            continue
        inside = []
        for c in range(value(s.start), value(s.stop)):
            known["c"] = c
            inside.append((c, tuple(map(outcome, s.body))))
        found.append(inside)
    return found


@given(
    st.lists(st.tuples(st.sampled_from([-3, -1, 1, 2]), st.integers(-40, 40), st.integers(0, 30)), max_size=4),
    st.integers(16, 40), st.integers(0, 40), st.integers(0, 40),
)  # fmt: skip
def test_every_test_is_decided_in_a_segment(tests, count, lo, hi):
    """For a part [lo, hi) of the whole range, as a chunk of a kernel has it."""
    lo, hi = min(lo, count), min(hi, count)
    body = []
    for i, (k, c, n) in enumerate(tests):
        at = var("c") * k + c
        body.append(InRange(f"t{i}", at, 0, n))
        body += [Index(f"a{i}", "max", at, Affine(0)), Index(f"b{i}", "min", var(f"a{i}"), Affine(n))]
    whole = For("c", var("lo"), var("hi"), body)
    segments = trips(cut(whole, count, Names()), lo, hi)
    assert [t for s in segments for t in s] == [t for s in trips([whole], lo, hi) for t in s]
    if len(tests) < 4:  # few enough to be cut everywhere
        loops = [s for s in cut(whole, count, Names()) if isinstance(s, For)]
        assert len(loops) == 1 or all(isinstance(s, Constant) for loop in loops for s in loop.body[::3])


def test_a_clamp_that_is_decided_is_none():
    at = var("c") + -2
    body = [Index("i", "max", at, Affine(0)), Index("j", "min", var("i"), Affine(9)), InRange("t", at, 0, 10)]
    first, middle, last = (s.body for s in cut(For("c", Affine(), Affine(20), body), 20, Names()) if isinstance(s, For))
    assert first[0] == Index("i", "max", Affine(0), Affine(0)) and first[2] == Constant("t", "bool", False)
    assert middle[:2] == [Index("i", "max", at, at), Index("j", "min", var("i"), var("i"))]
    assert middle[2] == Constant("t", "bool", True)
    assert last[1] == Index("j", "min", Affine(9), Affine(9)) and last[2] == Constant("t", "bool", False)


def test_a_loop_without_tests_is_one_loop():
    loop = For("c", Affine(), Affine(100), [InRange("t", var("r") + -1, 0, 5)])
    assert cut(loop, 100, Names()) == [loop]


PADDED = """\
def f(x: f64[N], y: f64[N]) -> f64[M]:
    a: f64[M] = pad(x, f64(0.0), low=(2,), high=(0,))
    b: f64[M] = pad(y, f64(1.0), low=(1,), high=(1,))
    r: f64[N] = reverse(x, axes=(0,))
    c: f64[M] = pad(r, f64(0.0), low=(0,), high=(2,))
    s: f64[M] = mul(a, b)
    t: f64[M] = add(s, c)
    return t
"""


@pytest.mark.parametrize("n", [3, 1000, 300_000])
def test_padding(n):
    graph = verify(parse(PADDED.replace("N", str(n)).replace("M", str(n + 2))))
    made = Stages(graph, check=True)
    rng = np.random.default_rng(0)
    arguments = [rng.random(n), rng.random(n)]
    np.testing.assert_allclose(made.compile()(arguments)[0], interpret(graph, arguments)[0])
    if n == 1000:
        text = optimised(made.llvm)
        assert "x double>" in text and "gather" not in text  # contiguous vectors


def test_pieces_side_by_side():
    text = """\
def f(x: f64[4, 30], y: f64[4, 50]) -> (f64[4, 80], f64[4]):
    a: f64[4, 80] = concatenate(x, y, axis=1)
    b: f64[4, 80] = mul(a, a)
    s: f64[4] = sum(b, axes=(1,))
    return b, s
"""
    graph = verify(parse(text))
    rng = np.random.default_rng(0)
    arguments = [rng.random((4, 30)), rng.random((4, 50))]
    for a, b in zip(Stages(graph, check=True).compile()(arguments), interpret(graph, arguments), strict=True):
        np.testing.assert_allclose(a, b)


def nested(statements, loops=()):
    """Each statement that is no loop, with the loops around it, outermost first."""
    for s in statements:
        if isinstance(s, For):
            yield from nested(s.body, (*loops, s))
        else:
            yield s, loops


@pytest.mark.parametrize(
    ("dims", "window"),
    [
        ("20, 1", "start=(0, 29), stop=(20, 30), step=(1, 1)"),
        ("6, 8", "start=(1, 0), stop=(19, 29), step=(3, 4)"),
    ],
)
def test_what_lies_around_a_window_is_copied_in_the_order_of_memory(dims, window):
    text = f"""\
def f(x: f64[20, 30], u: f64[{dims}]) -> (f64[20, 30], f64[20, 30]):
    y: f64[20, 30] = update(x, u, {window})
    z: f64[20, 30] = update(x, u, start=(0, 0), stop=({dims}), step=(1, 1))
    return y, z
"""
    graph = verify(parse(text))
    made = Stages(graph, check=True)
    rng = np.random.default_rng(0)
    arguments = [rng.random(v.shape) for v in graph.inputs]
    for a, b in zip(made.compile()(arguments), interpret(graph, arguments), strict=True):
        np.testing.assert_array_equal(a, b)
    copies = 0
    for kernel in made.step.kernels:
        for s, loops in nested(kernel.body):
            if isinstance(s, Store) and len(loops) == 3 and loops[0].var.startswith("once"):
                strides = [s.index.coefficient(loop.var) for loop in loops[1:]]
                assert strides == sorted(strides, reverse=True)
                copies += 1
    assert copies


def test_one_pad_read_twice_is_tested_once():
    text = """\
def f(x: f64[30], y: f64[30]) -> f64[33]:
    a: f64[33] = pad(x, f64(0.0), low=(1,), high=(2,))
    b: f64[33] = pad(y, f64(0.0), low=(1,), high=(2,))
    c: f64[33] = mul(a, b)
    return c
"""
    (kernel,) = Stages(verify(parse(text)), check=True).step.kernels
    loops = [{id(s): s for s in loops[-1].body}.values() for _, loops in nested(kernel.body) if loops]
    assert loops
    for body in loops:
        assert sum(s.target.startswith("ok") for s in body if isinstance(s, InRange | Constant)) == 1
        assert sum(isinstance(s, Index) for s in body) == 2
