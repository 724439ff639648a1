"""Loops that keep snapshots: the trips that are run again are counted, and gradients are those of other loops."""

import functools

import numpy as np
import pytest

import weft
from weft.frontend.errors import ArgumentError
from weft.ir import REGISTRY, Builder, TensorType
from weft.ir.interpret import interpret
from weft.ir.ops.control import budget
from weft.ir.parse import parse
from weft.ir.verify import verify
from weft.passes.snapshots import MOST, UNKNOWN, advances, snapshots, split

I64 = TensorType("i64")
W = np.random.default_rng(0).random((5, 5)) * 0.3
X = np.linspace(0.1, 1, 5)
XS = np.random.default_rng(1).random((17, 5))


@functools.cache
def fewest(n, s):
    """Trips advanced over to run n backward from s snapshots, the first being taken: the dynamic program."""
    if n < 2:
        return 0
    if s == 1:
        return n * (n - 1) // 2
    return min(m + fewest(n - m, s - 1) + fewest(m, s) for m in range(1, n))


@functools.cache
def fewest_after(n, s):
    """As `fewest`, where the snapshots on the way down are there already: the forward run took them."""
    if n < 2:
        return 0
    if s == 1:
        return n * (n - 1) // 2
    return min(fewest_after(n - m, s - 1) + fewest(m, s) for m in range(1, n))


def test_the_closed_form_is_the_dynamic_program():
    assert all(advances(n, s) == fewest(n, s) for n in range(1, 90) for s in range(1, 12))


def test_the_split_is_one_of_the_best():
    build = Builder()
    n, s = (build.input(I64, name) for name in "ns")
    graph = verify(build.finish([split(build, n, s)]))
    for trips in range(2, 60):
        for places in range(2, 9):
            m = int(interpret(graph, [np.asarray(trips), np.asarray(places)])[0])
            assert m + fewest(trips - m, places - 1) + fewest(m, places) == fewest(trips, places)


@pytest.fixture
def runs(monkeypatch):
    """How often exp is computed by the interpreter."""
    kind, reference, count = REGISTRY["exp"], REGISTRY["exp"].reference, [0]

    def counting(x):
        count[0] += 1
        return reference(x)

    object.__setattr__(kind, "reference", counting)
    yield count
    object.__setattr__(kind, "reference", reference)


def decay(n, checkpoint):
    return lambda x: np.sum(weft.fori_loop(0, n, lambda i, y: np.exp(-y), x, checkpoint=checkpoint) ** 2)


@pytest.mark.parametrize("n", [*range(2, 18), 30, 77])
def test_trips_are_run_as_often_as_needed(n, runs):
    """Once forward, once backward, and as often again as the dynamic program says."""
    want = weft.grad(decay(n, None))(X)
    for s in (1, 2, 3, 4, 6, 9, n - 1, n, n + 5):
        runs[0] = 0
        np.testing.assert_array_equal(weft.grad(decay(n, s))(X), want)
        assert runs[0] == 2 * n + fewest_after(n, s)


@pytest.mark.parametrize("s", [1, 2, 3, 5])
def test_the_number_of_trips_may_be_known_only_at_run_time(s, runs):
    def gradient(x, n):
        return weft.grad(decay(n, s))(x)

    graph = weft.compile(gradient).lower(X, 3).trace
    assert graph.inputs[1].type == I64
    for n in (0, 1, 2, 3, 7, 20, 41):
        want = weft.grad(decay(n, None))(X)
        runs[0] = 0
        np.testing.assert_array_equal(interpret(graph, [X, np.asarray(n)])[0], want)
        assert runs[0] == 2 * n + fewest_after(n, s)


def test_a_while_loop_counts_its_trips_and_runs_them_once_more(runs):
    def f(checkpoint):
        step = lambda v: (np.exp(-v[0]), v[1] + 1)  # noqa: E731
        return lambda x: np.sum(weft.while_loop(lambda v: v[1] < 23, step, (x, 0), checkpoint=checkpoint)[0] ** 2)

    want = weft.grad(f(None))(X)
    for s in (1, 2, 4, 7):
        runs[0] = 0
        np.testing.assert_array_equal(weft.grad(f(s))(X), want)
        assert runs[0] == 23 + fewest(23, s) + 23


def test_a_loop_in_a_loop_keeps_what_it_starts_from_alone(runs):
    def f(checkpoint):
        inner = lambda i, y: weft.fori_loop(0, 9, lambda j, z: np.exp(-z), y, checkpoint=checkpoint)  # noqa: E731
        return lambda x: np.sum(weft.fori_loop(0, 4, inner, x))

    want = weft.grad(f(None))(X)
    runs[0] = 0
    np.testing.assert_array_equal(weft.grad(f(3))(X), want)
    assert runs[0] == 4 * (9 + fewest(9, 3) + 9)
    graph = weft.compile(weft.grad(f(3))).lower(X).simplified
    pushed = [v.type.nbytes for op in graph.walk() if op.kind.name == "push" for v in op.operands[1:]]
    assert sum(pushed) <= X.nbytes


def traced_number(x, n, checkpoint):
    return np.sum(weft.fori_loop(0, n, lambda i, y: np.sin(y @ W) + i * 0.1, x, checkpoint=checkpoint))


def steps_up(x, checkpoint):
    for i in weft.rolled(range(3, 41, 4), checkpoint=checkpoint):
        x = np.tanh(x @ W) + i * 0.01 * x
    return np.sum(x)


def steps_down(x, checkpoint):
    for i in weft.rolled(range(41, 3, -4), checkpoint=checkpoint):
        x = np.tanh(x @ W) + i * 0.01 * x
    return np.sum(x)


def scan_of_rows(xs, x, checkpoint):
    carry, ys = weft.scan(lambda c, z: (np.tanh(c @ W + z), np.sin(c) * z), x, xs, checkpoint=checkpoint)
    return np.sum(carry) + np.sum(ys * ys)


def scan_of_weights(w, checkpoint):
    return np.sum(weft.scan(lambda c, z: (np.tanh(c @ w + z), np.sin(c) * z), X, XS, checkpoint=checkpoint)[1] ** 2)


def loop_in_loop(x, checkpoint):
    for i in weft.rolled(range(9), checkpoint=checkpoint):
        y = weft.fori_loop(0, 7, lambda j, y, i=i: np.sin(y) * 1.1 + i * j * 0.01, x, checkpoint=checkpoint)
        x = y * np.exp(-x)
    return np.sum(x**2)


def plain_loop_in_loop(x, checkpoint):
    for i in weft.rolled(range(9), checkpoint=checkpoint):
        x = weft.fori_loop(0, 7, lambda j, y, i=i: np.sin(y) * 1.1 + i * j * 0.01, x) * np.exp(-x)
    return np.sum(x**2)


def with_a_break(x, checkpoint):
    for _ in weft.rolled(range(40), checkpoint=checkpoint):
        x = np.sin(x) * 1.05
        if np.sum(x) < 1.5:
            break
    return np.sum(x**2)


def with_a_branch(x, checkpoint):
    for _ in weft.rolled(range(12), checkpoint=checkpoint):
        x = np.cos(x) * x if np.sum(x) < 1.5 else x * x
    return np.sum(x**2)


def in_place(x, checkpoint):
    x = x.copy()
    for i in weft.rolled(range(12), checkpoint=checkpoint):
        x[1:-1] += 0.1 * np.sin(x[2:] + x[:-2])
        x[i % 5] *= 1.01
    return np.sum(x**2)


def linear(x, checkpoint):
    return np.sum(weft.fori_loop(0, 11, lambda i, y: y @ W + i, x, checkpoint=checkpoint))


def no_trips(x, checkpoint):
    return np.sum(weft.fori_loop(3, 3, lambda i, y: np.exp(y), x, checkpoint=checkpoint))


def wave(x, checkpoint):
    return np.sum(weft.fori_loop(0, 9, lambda i, y: np.sin(y @ W), x, checkpoint=checkpoint) ** 2)


def second_order(x, checkpoint):
    return np.sum(weft.grad(lambda x: wave(x, checkpoint))(x) ** 2)


def forward_first(x, checkpoint):
    return weft.jvp(lambda x: wave(x, checkpoint), (x,), (x,))[1]


def forward_last(x, checkpoint):
    return np.sum(weft.jvp(weft.grad(lambda x: wave(x, checkpoint)), (x,), (x,))[1])


def pulled(x, checkpoint):
    out, pull = weft.vjp(lambda x: weft.fori_loop(0, 9, lambda i, y: np.sin(y @ W), x, checkpoint=checkpoint), x)
    return np.sum(out) * np.sum(pull(out)[0])


PROGRAMS = [
    (traced_number, (X, 13)), (steps_up, (X,)), (steps_down, (X,)), (scan_of_rows, (XS, X)), (scan_of_weights, (W,)),
    (loop_in_loop, (X,)), (plain_loop_in_loop, (X,)), (with_a_break, (X,)), (with_a_branch, (X,)), (in_place, (X,)),
    (linear, (X,)), (no_trips, (X,)), (second_order, (X,)), (forward_first, (X,)), (forward_last, (X,)), (pulled, (X,)),
]  # fmt: skip


@pytest.mark.parametrize(("f", "arguments"), PROGRAMS, ids=[f.__name__ for f, _ in PROGRAMS])
def test_gradients_are_those_of_the_loop_without(f, arguments):
    want = weft.grad(lambda *a: f(*a, None))(*arguments)
    for checkpoint in (1, 3, "sqrt", "2KB"):
        got = weft.grad(lambda *a, c=checkpoint: f(*a, c))(*arguments)
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
    compiled = weft.compile(weft.grad(lambda *a: f(*a, 3)))(*arguments)
    np.testing.assert_allclose(compiled, want, rtol=1e-12, atol=1e-14)


def planned(n, checkpoint):
    """Bytes of the plan, and those that a trip leaves on a stack."""
    u = np.zeros(1000)
    stages = weft.compile(weft.grad(lambda u: np.sum(fade(u, n, checkpoint)))).lower(u)
    pushed = sum(v.type.nbytes for op in stages.fused.walk() if op.kind.name == "push" for v in op.operands[1:])
    return (stages.memory.arena + sum(stages.memory.pointers)) / u.nbytes, pushed / u.nbytes


def fade(u, n, checkpoint):
    for _ in weft.rolled(range(n), checkpoint=checkpoint):
        u = np.sin(u) * u
    return u


def test_memory_grows_with_the_root_of_the_number_of_trips():
    (small, a), (large, b), (fixed, c) = planned(100, "sqrt"), planned(10_000, "sqrt"), planned(10_000, 7)
    assert a == b == c == 0
    assert 10 < small < 30 and 100 < large < 160  # arrays
    assert fixed < 20
    bytes_, trips = planned(100, None)
    assert trips >= 1 and bytes_ < 10


def test_a_budget_is_kept():
    for given, most in (("80KB", 10), ("16 KB", 2), ("1B", 1)):
        arrays, _ = planned(1000, given)
        assert most <= arrays <= most + 8


def test_what_a_loop_collects_is_in_no_snapshot():
    graph = weft.compile(weft.grad(lambda w: scan_of_weights(w, 4))).lower(W).simplified
    held = {r.type for op in graph.walk() if op.kind.name == "while_loop" for r in op.results}
    assert TensorType("f64", (4, 5)) in held
    assert TensorType("f64", (4, 17, 5)) not in held


def test_a_linear_loop_keeps_nothing():
    graph = weft.compile(weft.grad(lambda x: linear(x, 4))).lower(X).simplified
    assert not any(op.kind.name in ("while_loop", "push") for op in graph.walk())


def test_how_many_snapshots():
    assert [snapshots("sqrt", 8, n) for n in (10_000, 2, None)] == [142, 2, UNKNOWN]
    assert all(advances(n, snapshots("sqrt", 8, n)) <= 2 * n for n in range(1, 500))
    assert snapshots(7, 8, 100) == 7 and snapshots(7, 8, 3) == 3 and snapshots(7, 8, None) == 7
    assert snapshots("1KB", 100, 50) == 10 and snapshots("1KB", 5000, 50) == 1 and snapshots("1GB", 8, None) == MOST
    assert [budget(t) for t in ("64MB", "1.5 KiB", "7B", "64", "MB", "3XB", 5)] == [64_000_000, 1536, 7, *[None] * 4]


@pytest.mark.parametrize("checkpoint", [0, -1, 2.5, "fast", "again", "0B", "64", [3]])
def test_other_values_are_refused(checkpoint):
    with pytest.raises(ArgumentError, match="checkpoint"):
        weft.rolled(range(3), checkpoint=checkpoint)
    with pytest.raises(ArgumentError, match="number of snapshots"):
        weft.fori_loop(0, 3, lambda i, x: x, 1.0, checkpoint=checkpoint)


def test_without_traced_values_it_changes_nothing():
    assert [i for i in weft.rolled(range(3), checkpoint=2)] == [0, 1, 2]
    assert weft.fori_loop(0, 3, lambda i, x: x + i, 1, checkpoint=True) == 4
    assert weft.while_loop(lambda x: x < 9, lambda x: x * 2, 1, checkpoint="sqrt") == 16


TEXT = """\
@region
def body(i: i64, x: f64) -> f64:
    y: f64 = sin(x)
    return y

def f(x: f64, n: i64) -> f64:
    y: f64 = for_loop(i64(0), n, x, carried=1, step=1, checkpoint=CHECKPOINT, body=body)
    return y
"""


@pytest.mark.parametrize("checkpoint", ["3", "'sqrt'", "'64MB'"])
def test_text(checkpoint):
    text = TEXT.replace("CHECKPOINT", checkpoint)
    assert str(verify(parse(text))).strip() == text.strip()


def test_text_with_another_value_is_refused():
    with pytest.raises(Exception, match="neither"):
        parse(TEXT.replace("CHECKPOINT", '"some"'))


def layer(x, w):
    h = np.tanh(x @ w)
    return np.sin(h) * np.exp(-h) + x


def network(f):
    def loss(weights, x):
        for w in weights:
            x = f(x, w)
        return np.sum(x**2)

    return loss


WEIGHTS = [np.random.default_rng(k).random((5, 5)) * 0.3 for k in range(4)]


def test_a_function_is_run_again_in_the_backward_pass(runs):
    want = weft.grad(network(layer), argnums=(0, 1))(WEIGHTS, XS)
    again = weft.grad(network(weft.checkpoint(layer)), argnums=(0, 1))
    runs[0] = 0
    got = again(WEIGHTS, XS)
    assert runs[0] == 2 * len(WEIGHTS)
    for found in (got, weft.compile(again)(WEIGHTS, XS)):
        for a, b in zip(weft.tree.leaves(found), weft.tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_function_keeps_its_arguments_alone():
    x = np.ones((2000, 5))
    with_, without = (weft.compile(weft.grad(network(f))).lower(WEIGHTS, x) for f in (weft.checkpoint(layer), layer))
    assert with_.memory.arena < without.memory.arena  # of which `recompute` has left the least that it needs


def test_a_function_without_a_gradient_is_as_it_was():
    plain, kept = (weft.compile(lambda x, f=f: f(x, W)).lower(XS).fused for f in (layer, weft.checkpoint(layer)))
    assert [op.kind.name for op in kept.walk()] == [op.kind.name for op in plain.walk()]


def test_a_function_with_several_results_that_writes_to_its_argument():
    @weft.checkpoint
    def both(x, scale=2.0):
        x[1:] *= np.sin(x[:-1])
        return {"a": np.exp(x) * scale, "b": (x, np.sum(x))}

    def loss(f):
        def run(x):
            x = x.copy()
            found = f(x, scale=3.0)
            return np.sum(found["a"]) * found["b"][1] + np.sum(found["b"][0] * x)

        return run

    want = weft.grad(loss(both.__wrapped__))(X)
    np.testing.assert_allclose(weft.grad(loss(both))(X), want, rtol=1e-12)
    np.testing.assert_allclose(weft.compile(weft.grad(loss(both)))(X), want, rtol=1e-12)
    assert loss(both)(X) == loss(both.__wrapped__)(X)


def test_a_function_to_second_order():
    def twice(f):
        return weft.grad(lambda x: np.sum(weft.grad(lambda x: network(f)(WEIGHTS, x))(x) ** 2))

    want = twice(layer)(XS)
    np.testing.assert_allclose(twice(weft.checkpoint(layer))(XS), want, rtol=1e-11)
    np.testing.assert_allclose(weft.compile(twice(weft.checkpoint(layer)))(XS), want, rtol=1e-11)


def in_lanes(x, n, checkpoint):
    return np.sum(weft.fori_loop(0, n, lambda i, y: np.sin(y @ W) + i * 0.1, x, checkpoint=checkpoint) ** 2)


@pytest.mark.parametrize("checkpoint", [1, 3])
def test_in_many_lanes_each_with_its_number_of_trips(checkpoint):
    rows, trips = XS[:4], np.array([0, 3, 9, 5])
    want = np.stack([weft.grad(in_lanes)(x, int(n), None) for x, n in zip(rows, trips, strict=True)])
    first = weft.vmap(weft.grad(lambda x, n: in_lanes(x, n, checkpoint)))
    last = weft.grad(lambda x, n: np.sum(weft.vmap(lambda x, n: in_lanes(x, n, checkpoint))(x, n)))
    for gradient in (first, last, weft.compile(first)):
        np.testing.assert_allclose(gradient(rows, trips), want, rtol=1e-11, atol=1e-14)


def test_a_hessian():
    want = weft.hessian(lambda x: wave(x, None))(X)
    np.testing.assert_allclose(weft.hessian(lambda x: wave(x, 3))(X), want, rtol=1e-11, atol=1e-13)
