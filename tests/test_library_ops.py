"""Library ops in compiled code: NumPy called from a step, wherever the op stands, and what it raises."""

import os
import threading

import numpy as np
import pytest
from rewriting import graph_of

import weft
from weft.ir.interpret import interpret
from weft.pipeline import Stages


def both(text, *arguments):
    """A graph's results compiled, which have to be the interpreter's."""
    graph = graph_of(text)
    got = Stages(graph, check=True).compile()([a.copy() for a in arguments])
    for g, w in zip(got, interpret(graph, arguments, check=True), strict=True):
        np.testing.assert_array_equal(g, w)
    return got


X = np.random.default_rng(0).normal(size=(6, 50))


def test_between_kernels():
    both(
        """
        def main(x: f64[6, 50]) -> (f64[6, 50], i64[6, 50]):
            t: f64[6, 50] = mul(x, x)
            s: f64[6, 50] = sort(t, axis=1, kind="stable")
            i: i64[6, 50] = argsort(s, axis=0, kind="stable")
            u: f64[6, 50] = add(s, x)
            return u, i
        """,
        X,
    )


def test_a_sort_of_what_dies_there_is_in_place():
    graph = graph_of("""
        def main(x: f64[1000]) -> f64[1000]:
            t: f64[1000] = mul(x, x)
            s: f64[1000] = sort(t, axis=0, kind="quicksort")
            return s
    """)
    stages = Stages(graph, check=True)
    places = [str(p) for p in stages.memory.place.values()]
    assert places == ["input 0", "output 0", "output 0"] and stages.memory.arena == 0
    assert stages.step.calls == ["k0: 1 chunk", "sort f64[1000]"]
    x = np.random.default_rng(1).normal(size=1000)
    np.testing.assert_array_equal(stages.compile()([x])[0], np.sort(x * x))


def test_a_donated_array_is_sorted_where_it_is():
    f = weft.compile(lambda x: np.sort(x), donate_argnums=0)
    x = X[0].copy()
    want = np.sort(x)
    got = f(x)
    assert got is x
    np.testing.assert_array_equal(got, want)
    y = X[1].copy()
    np.testing.assert_array_equal(weft.compile(np.sort)(y), np.sort(y))
    np.testing.assert_array_equal(y, X[1])


def test_in_loops_and_branches():
    def f(x, n):
        total = np.zeros(50)
        for i in weft.rolled(range(6)):
            if x[i, 0] > 0:
                row = np.sort(x[i])
            else:
                row = np.sort(-x[i])[::-1]
            total += row * np.median(x[i])
            x[i].sort()
        k = 0
        while np.sort(total)[-1] < n:
            total = np.sort(total + 1)
            k += 1
        return total, k

    mine, theirs = X.copy(), X.copy()
    got, want = weft.compile(f)(mine, 20.0), f(theirs, 20.0)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-13)
    assert got[1] == want[1]
    np.testing.assert_array_equal(mine, theirs)


def test_the_gradient_of_a_loop():
    def f(x):
        for i in weft.rolled(range(12)):
            x = np.sort(x * (1 + 0.1 * np.cos(x))) + 0.01 * i * x
        return np.sum(x**3)

    x, step = np.random.default_rng(2).normal(size=7), 1e-6
    found = weft.compile(weft.grad(f))(x)
    np.testing.assert_allclose(found, weft.grad(f)(x), rtol=1e-12)
    for e in np.eye(7):
        np.testing.assert_allclose(found @ e, (f(x + step * e) - f(x - step * e)) / (2 * step), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (1,), (2, 1, 3)])
def test_small_and_empty(shape):
    x = np.random.default_rng(3).normal(size=shape)
    np.testing.assert_array_equal(weft.compile(lambda x: np.sort(x, 0) + 1)(x), np.sort(x, 0) + 1)


def test_any_layout():
    f = weft.compile(lambda x: np.sort(x, axis=0))
    for x in (np.asfortranarray(X), X[::-1, ::2], X.T, np.broadcast_to(X[0], (3, 50))):
        np.testing.assert_array_equal(f(x), np.sort(x, axis=0))


def test_many_threads_at_once():
    f = weft.compile(lambda x: np.sort(np.sort(x * 2, axis=1) + 1, axis=0) * x)
    inputs = [np.random.default_rng(k).normal(size=(40, 500)) for k in range(6)]
    wants = [np.sort(np.sort(x * 2, axis=1) + 1, axis=0) * x for x in inputs]
    wrong = []

    def work(k):
        for _ in range(40):
            if not np.array_equal(f(inputs[k]), wants[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_in_a_forked_child():
    f = weft.compile(lambda x: np.sort(np.exp(x), axis=1) * 2)
    want = f(X)
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(f(X), want) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_object_code_is_found_again(tmp_path, monkeypatch):
    """It holds no address of this process: nothing of what calls NumPy is in its text."""
    first, second = (Stages(graph_of("""
        def main(x: f64[4]) -> f64[4]:
            s: f64[4] = sort(x, axis=0, kind="stable")
            return s
    """)) for _ in range(2))  # fmt: skip
    runs = [first.compile(), second.compile()]
    assert first.llvm == second.llvm and "%host" in first.llvm
    del runs[0]
    np.testing.assert_array_equal(runs[0]([np.array([3.0, 1.0, 2.0, 0.0])])[0], np.arange(4.0))


def test_an_index_that_was_out_of_bounds_before_is_what_is_told():
    @weft.compile
    def f(x, i):
        return np.linalg.solve(np.eye(3) * x[i], np.ones(3))

    for n in (4, 5, 6):
        x = np.zeros(n)
        x[0] = 2.0
        with pytest.raises(IndexError, match="index 7 is out of bounds"):
            f(x, 7)
        with pytest.raises(np.linalg.LinAlgError):
            f(x, 1)
        np.testing.assert_array_equal(f(x, 0), np.full(3, 0.5))
