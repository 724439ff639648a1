"""weft.compile as users call it, over the interpreter: specialisations, guards, results, methods, threads."""

import inspect
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

import weft
from weft import errors
from weft.frontend.decorate import make_compile
from weft.ir.interpret import interpret
from weft.ir.verify import verify


class Interpreted:
    """A `compile_graph` that remembers the graphs it was given, and runs them by the interpreter."""

    def __init__(self):
        self.graphs = []
        self.donated = []

    def __call__(self, graph, donate=frozenset(), label=""):
        verify(graph)
        self.graphs.append(graph)
        self.donated.append(donate)
        return lambda arrays: [np.array(a) for a in interpret(graph, arrays)]

    def lower(self, graph, donate=frozenset(), label=""):
        return graph


@pytest.fixture
def backend():
    return Interpreted()


@pytest.fixture
def compiled(backend):
    return make_compile(backend)


def total(x):
    return x @ np.ones(x.shape[0], x.dtype)


def test_with_and_without_parentheses(compiled):
    @compiled
    def f(x):
        """Doc."""
        return x + 1

    @compiled()
    def g(x, y=2):
        return x + y

    x = np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(f(x), x + 1)
    np.testing.assert_array_equal(g(x), x + 2)
    np.testing.assert_array_equal(g(x, y=3), x + 3)
    assert f(x).dtype == np.float32
    assert f.__doc__ == "Doc." and f.__name__ == "f"
    assert str(inspect.signature(g)) == "(x, y=2)"
    assert f.__wrapped__(1) == 2
    assert "test_with_and_without" in repr(f)
    with pytest.raises(TypeError, match="takes a function"):
        compiled(3)


def test_one_compile_per_kind_of_arguments(compiled, backend):
    f = compiled(lambda x: x * 2)
    for x in (np.ones(3), np.zeros(3), np.ones(3)[::1], np.ones(6)[::2]):
        f(x)
    assert len(backend.graphs) == 1
    f(np.ones(4))
    f(np.ones(3, np.float32))
    f(np.float32(1))
    f([np.ones(3)][0])
    assert len(backend.graphs) == 4
    f(1.0)
    f(2.0)
    f(2)
    assert len(backend.graphs) == 6
    assert [s.arguments for s in f.cache_info()][:2] == [("x: f64[3]",), ("x: f64[4]",)]
    assert "captured in" in str(f.cache_info()[0])


def test_results_are_numpys(compiled):
    x = np.ones(2, np.float32)

    def f(x, n, s):
        scalars = {"sum": total(x), "weak": n + 1, "half": s / 2, "flag": n > 3, "strong": np.add(n, 1)}
        return scalars | {"x2": (x, [x * n])}

    got, want = compiled(f)(x, 4, 1.0), f(x, 4, 1.0)
    assert type(got["sum"]) is np.float32
    for key in ("weak", "half", "flag", "strong"):
        assert type(got[key]) is type(want[key]) and got[key] == want[key], key
    np.testing.assert_array_equal(got["x2"][1][0], want["x2"][1][0])
    assert got["x2"][0] is x


def test_arguments_and_constants_come_back_as_they_are(compiled):
    closed_over = np.ones(3)
    note = object()

    @compiled
    def f(x, p):
        return x, p["a"], closed_over, note, None, "text", np.zeros(2), x + 0.0

    x, a = np.ones(2), np.ones(1)
    for _ in range(2):
        got = f(x, {"a": a})
        assert got[0] is x and got[1] is a and got[2] is closed_over and got[3] is note and got[4] is None
        assert got[5] == "text" and not got[6].any()
        got[6][:] = 7  # made inside: another array per call
    assert f(y := np.zeros(2), {"a": a})[0] is y


def test_the_same_value_twice(compiled):
    @compiled
    def f(x):
        y = x + 1
        return y, y, np.positive(y), np.positive(x)

    x = np.ones(2)
    a, b, c, d = f(x)
    assert a is b and c is not a and not np.shares_memory(a, c) and not np.shares_memory(d, x)
    np.testing.assert_array_equal(c, a)


def test_closed_over_arrays_are_captured_by_reference(compiled, backend):
    w = np.ones(3)
    f = compiled(lambda x: x * w + w)
    np.testing.assert_array_equal(f(np.ones(3)), [2, 2, 2])
    w[:] = 5
    np.testing.assert_array_equal(f(np.ones(3)), [10, 10, 10])
    assert len(backend.graphs) == 1 and len(backend.graphs[0].inputs) == 2


def test_trees_as_arguments(compiled, backend):
    @compiled
    def step(params, lr, *rest, scale=1.0, **more):
        return {k: p - lr * scale * more["g"][k] for k, p in params.items()}, rest[0] + 1

    p = {"b": np.ones(2), "a": np.ones(1)}
    new, r = step(p, 0.5, np.zeros(2), g={"a": np.ones(1), "b": np.ones(2)})
    assert list(new) == ["b", "a"]
    np.testing.assert_array_equal(new["b"], [0.5, 0.5])
    step({"a": np.ones(1), "b": np.ones(2)}, 0.5, np.zeros(2), g={"a": np.ones(1), "b": np.ones(2)})
    assert len(backend.graphs) == 1  # the order of keys does not matter
    assert [v.name for v in backend.graphs[0].inputs] == ["params_a", "params_b", "lr", "rest_0", "g_a", "g_b"]


# Python scalars, guards and static arguments.


def test_a_python_scalar_is_traced(compiled, backend):
    f = compiled(lambda x, s: x * s)
    assert f(np.ones(2, np.float32), 2.0).dtype == np.float32
    for s in (0.0, -1.5, 7.0):
        np.testing.assert_array_equal(f(np.ones(2), s), np.full(2, s))
    assert len(backend.graphs) == 2


def test_guards(compiled, backend):
    @compiled
    def f(x, n, flag, lr):
        for _ in weft.unroll(range(n)):
            x = x * 2
        return x + lr if flag else x - lr

    def check(*args):
        np.testing.assert_array_equal(f(*args), f.__wrapped__(*args))

    x = np.ones(2)
    check(x, 3, True, 1.0)
    check(x, 3, True, 2.0)
    assert len(backend.graphs) == 1
    check(x, 2, True, 1.0)
    check(x, 2, False, 1.0)
    assert len(backend.graphs) == 3
    check(x, 3, True, 5.0)
    check(x, 2, True, 5.0)
    assert len(backend.graphs) == 3
    assert [dict(s.guards) for s in f.cache_info()] == [
        {"n": 3, "flag": True}, {"n": 2, "flag": True}, {"n": 2, "flag": False}
    ]  # fmt: skip


def test_guards_on_derived_values(compiled, backend):
    @compiled
    def f(x, n):
        k = n // 2 + 1
        return x * k if k > 2 else x

    for n in (2, 8, 2, 8, 9):
        np.testing.assert_array_equal(f(np.ones(2), n), f.__wrapped__(np.ones(2), n))
    assert len(backend.graphs) == 3


def test_special_floats_as_guards(compiled, backend):
    f = compiled(lambda x, s: x + 1 if s > 0 else x - 1)
    for s in (float("nan"), float("nan"), 0.0, -0.0):
        f(np.ones(1), s)
    assert len(backend.graphs) == 3


@pytest.mark.parametrize("options", [{"static_argnums": 1}, {"static_argnames": "mode"}, {"static_argnums": (-1,)}])
def test_static_arguments(compiled, backend, options):
    @compiled(**options)
    def f(x, mode):
        return x + 1 if mode == "inc" else x - 1

    np.testing.assert_array_equal(f(np.ones(2), "inc"), [2, 2])
    np.testing.assert_array_equal(f(np.ones(2), "dec"), [0, 0])
    np.testing.assert_array_equal(f(np.zeros(2), mode="inc"), [1, 1])
    np.testing.assert_array_equal(f(np.ones(2), "inc"), [2, 2])
    f(x=np.ones(2), mode="inc")
    assert len(backend.graphs) <= 4
    with pytest.raises(errors.ArgumentError, match="static argument mode is a list, which has no hash"):
        f(np.ones(2), ["inc"])


def test_static_values_of_different_classes_are_different(compiled, backend):
    f = compiled(lambda x, n: x * n, static_argnums=1)
    assert f(np.ones(1, np.int32), 1).dtype == np.int32
    assert f(np.ones(1, np.int32), 1.0).dtype == np.float64
    assert f(np.ones(1, np.int32), True).dtype == np.int32


def test_static_names_are_checked(compiled):
    with pytest.raises(ValueError, match="static_argnames"):
        compiled(lambda x: x, static_argnames="y")
    with pytest.raises(ValueError, match="static_argnums"):
        compiled(lambda x: x, static_argnums=1)


def test_donated_arguments(compiled, backend):
    f = compiled(lambda p, x, keep: ([p[0] * 2, p[1] + x], keep), donate_argnums=(0, 2))
    p, keep = [np.ones(2), np.ones(2)], np.ones(3)
    assert f(p, np.ones(2), keep)[1] is keep
    assert backend.donated == [{0, 1}]  # not the one that is returned as it is


def test_written_arguments_hold_what_was_written_to_them():
    """A buffer that is written is lent to the result that it shall hold, to no other."""

    def f(x, y):
        a, b = np.sin(x), np.cos(y)  # either could be where its operand was
        x[:] = b[::-1]
        y[:] = a[::-1]
        return a, b

    for options in ({}, {"donate_argnums": (0, 1)}):
        got, want = ([np.arange(12.0), np.ones(12)] for _ in range(2))
        results, wanted = weft.compile(f, **options)(*got), f(*want)
        np.testing.assert_allclose(results, wanted, rtol=1e-15)
        np.testing.assert_allclose(got, want, rtol=1e-15)


def test_the_gradient_by_an_array_that_is_written():
    w = np.arange(1.0, 13.0)

    def loss(x, n):
        for i in range(1, n):
            x[i] += 0.5 * x[i - 1]
        return np.sum(x * w)

    x = np.ones(12)
    dx = weft.compile(weft.grad(loss))(x, 12)
    want = w.copy()
    for i in range(11, 0, -1):
        want[i - 1] += 0.5 * want[i]
    np.testing.assert_allclose(dx, want)
    np.testing.assert_allclose(x, 2 - 0.5 ** np.arange(12))


def test_a_donated_array_that_is_given_twice_is_copied():
    def overwrite(graph, donate=(), label=""):
        def run(arrays):
            arrays[0][:] = 7
            return [arrays[1] + 0]

        return run

    f = make_compile(overwrite)(lambda a, b: a + b, donate_argnums=0)
    x = np.ones(2)
    np.testing.assert_array_equal(f(x, x), [1, 1])
    np.testing.assert_array_equal(x, [1, 1])
    base = np.ones(4)
    f(base[:2], base[1:3])
    np.testing.assert_array_equal(base, np.ones(4))
    f(x, np.ones(2))
    np.testing.assert_array_equal(x, [7, 7])


# Nesting.


def test_transforms_nest(compiled, backend):
    inner = compiled(lambda x: np.tanh(x) * x)
    outer = compiled(weft.grad(inner))
    x = 0.3
    want = np.tanh(x) + x * (1 - np.tanh(x) ** 2)
    assert weft.grad(inner)(x) == pytest.approx(want)
    assert outer(x) == pytest.approx(want)
    assert len(backend.graphs) == 1  # inlined, not called
    assert compiled(compiled(inner))(x) == pytest.approx(np.tanh(x) * x)
    second = compiled(weft.grad(compiled(weft.grad(inner))))
    assert second(x) == pytest.approx(weft.grad(weft.grad(inner))(x))
    _, tangent = compiled(lambda x: weft.jvp(weft.grad(inner), (x,), (1.0,)))(x)
    assert tangent == pytest.approx(second(x))


def test_a_step(compiled, backend):
    def loss(p, x, y):
        e = np.tanh(x @ p["W"] + p["b"]) - y
        return total((e * e) @ np.ones(2, np.float32)) / len(x)

    def step(p, x, y, lr):
        value, g = weft.value_and_grad(loss)(p, x, y)
        return value, weft.tree.map(lambda a, d: a - lr * d, p, g)

    rng = np.random.default_rng(1)
    p = {"W": rng.normal(size=(3, 2)).astype(np.float32), "b": np.zeros(2, np.float32)}
    x, y = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(4, 2)).astype(np.float32)
    got, want = compiled(step)(p, x, y, 0.1), step(p, x, y, 0.1)
    assert type(got[0]) is np.float32
    np.testing.assert_allclose(got[0], want[0], rtol=1e-6)
    np.testing.assert_allclose(got[1]["W"], want[1]["W"], rtol=1e-6)
    names = {v.name for op in backend.graphs[0].ops for v in op.results}
    assert {"e", "d_e"} <= names
    assert backend.graphs[0].name == "step"


def test_closing_over_an_outer_tracer(compiled, backend):
    def f(x):
        inner = compiled(lambda y: x * y)
        return inner(3.0) + inner(4.0)

    assert weft.grad(f)(2.0) == 7.0
    assert compiled(f)(2.0) == 14.0
    assert len(backend.graphs) == 1


def test_an_outer_guard_reaches_through_an_inner_capture(compiled, backend):
    def f(x, n):
        return weft.grad(lambda y: y * y if n > 2 else y * x)(3.0)

    g = compiled(f)
    assert (g(2.0, 3), g(2.0, 1), g(5.0, 1), g(5.0, 3)) == (6.0, 2.0, 5.0, 6.0)
    assert [dict(s.guards) for s in g.cache_info()] == [{"n": 3}, {"n": 1}]


# Methods.


def test_methods(compiled, backend):
    class Model:
        def __init__(self, w):
            self.w = np.full(2, w)

        @compiled
        def scaled(self, x, s=2.0):
            """Doc."""
            return x * self.w * s

    a, b = Model(1.0), Model(3.0)
    x = np.ones(2)
    np.testing.assert_array_equal(a.scaled(x), [2, 2])
    np.testing.assert_array_equal(b.scaled(x), [6, 6])
    np.testing.assert_array_equal(a.scaled(x, s=3.0), [3, 3])
    a.w[:] = 10
    np.testing.assert_array_equal(a.scaled(x), [20, 20])
    assert len(backend.graphs) == 3
    assert a.scaled.__doc__ == "Doc." and str(inspect.signature(a.scaled)) == "(x, s=2.0)"
    assert a.scaled is a.scaled and a.scaled is not b.scaled
    assert isinstance(Model.scaled, type(a.scaled))


def test_methods_of_dataclasses_trace_their_fields(compiled, backend):
    @dataclass
    class Model:
        w: np.ndarray

        @compiled
        def scaled(self, x):
            return x * self.w

    m = Model(np.ones(2))
    np.testing.assert_array_equal(m.scaled(np.ones(2)), [1, 1])
    m.w = np.full(2, 5.0)
    np.testing.assert_array_equal(m.scaled(np.ones(2)), [5, 5])
    assert len(backend.graphs) == 1


def test_rebound_arrays_are_seen(compiled, backend):
    """An attribute, a closure's variable or a global that is another array at the next call."""

    class Model:
        def __init__(self):
            self.w = np.ones(2)

        @compiled
        def scaled(self, x):
            return x * self.w

    m = Model()
    np.testing.assert_array_equal(m.scaled(np.ones(2)), [1, 1])
    m.w = np.full(2, 5.0)
    np.testing.assert_array_equal(m.scaled(np.ones(2)), [5, 5])
    m.w = np.full(1, 7.0)
    np.testing.assert_array_equal(m.scaled(np.ones(2)), [7, 7])

    w, params = np.ones(2), {"layers": [np.ones(2)]}

    def helper(x):
        return x * w + params["layers"][0]

    f = compiled(lambda x: helper(x))
    np.testing.assert_array_equal(f(np.ones(2)), [2, 2])
    w = np.full(2, 3.0)
    np.testing.assert_array_equal(f(np.ones(2)), [4, 4])
    params["layers"][0] = np.zeros(2)
    np.testing.assert_array_equal(f(np.ones(2)), [3, 3])
    params["layers"] = [np.ones(1, np.float32)]
    np.testing.assert_array_equal(f(np.ones(2)), [4, 4])


def test_instances_are_not_kept_alive(compiled):
    import gc
    import weakref

    class Model:
        @compiled
        def f(self, x):
            return x + 1

    m = Model()
    m.f(np.ones(1))
    gone = weakref.ref(m)
    del m
    gc.collect()
    assert gone() is None


# Threads.


def test_concurrent_first_calls_compile_once():
    started = []

    def slow(graph, donate=(), label=""):
        started.append(label)
        time.sleep(0.05)
        return lambda arrays: [np.array(a) for a in interpret(graph, arrays)]

    f = make_compile(slow)(lambda x, n: x * n if n > 1 else x)
    results, barrier = [], threading.Barrier(8)

    def work(i):
        barrier.wait()
        results.append((i, f(np.full(2, float(i)), 2 + i % 2)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i, r in results:
        np.testing.assert_array_equal(r, np.full(2, i * (2.0 + i % 2)))
    assert len(results) == 8 and len(started) == 2  # one for each guard's value


def test_a_failed_capture_does_not_block_others(compiled):
    calls = []

    @compiled
    def f(x):
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("first")
        return x + 1

    with pytest.raises(KeyError):
        f(np.ones(1))
    np.testing.assert_array_equal(f(np.ones(1)), [2])


def test_recursion(compiled):
    @compiled
    def f(x, n):
        return x if n == 0 else f(x * 2, n - 1)

    np.testing.assert_array_equal(f(np.ones(1), 3), [8])


# What is seen of it, and what is refused.


def test_lower(compiled):
    @compiled
    def double(x, n):
        y = x * 2
        for _ in range(n):
            y = y + 1
        return y

    text = str(double.lower(np.ones(2), 1))
    assert text.startswith("@region\ndef body(i: i64, y: f64[2]) -> f64[2]:") and "for_loop(i64(0), n, y," in text
    assert "def double(x: f64[2], n: i64) -> f64[2]:" in text
    assert "y: f64[2] = mul(x, f64(2.0))" in text and "test_compile_api.py" in text


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        (np.ones(2, ">f8"), "non-native byte order"),
        (np.ones(2, complex), "complex128"),
        (np.ones(2, np.longdouble), "longdouble|float128"),
        (np.array([None]), "object"),
        ("text", r"argument p\['k'\] is a str(.|\n)*static_argnames=\('p',\)"),
        (1j, "is a complex"),
        (np.ma.masked_array([1.0]), "MaskedArray"),
        (1 << 70, "no 64-bit integer"),
    ],
)
def test_arguments_that_are_no_arrays(compiled, argument, text):
    with pytest.raises((errors.ArgumentError, errors.DTypeError), match=text) as caught:
        compiled(lambda p: p["k"])({"k": argument})
    assert "p['k']" in str(caught.value)


def test_the_real_compiler():
    @weft.compile
    def f(x, s):
        return np.tanh(x) * s, total(x)

    x = np.linspace(-1, 1, 8, dtype=np.float32)
    y, t = f(x, 2.0)
    np.testing.assert_allclose(y, np.tanh(x) * 2, rtol=1e-6)
    assert type(t) is np.float32
    assert "tanh" in str(f.lower(x, 2.0).trace)
