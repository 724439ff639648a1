"""grad, value_and_grad, vjp and jvp: values against closed forms and finite differences, trees, nesting."""

import math
from collections import namedtuple

import numpy as np
import pytest

import weft
from weft import errors
from weft.ir.text import print_graph


def total(x):
    return x @ np.ones(x.shape[0], x.dtype) if x.ndim == 1 else total(x @ np.ones(x.shape[1], x.dtype))


def cubic(x):
    return x**3 - 2.0 * x


def test_grad_of_a_python_float_is_a_float64():
    g = weft.grad(cubic)(3.0)
    assert type(g) is np.float64 and g == 25.0


def test_gradients_keep_the_dtype():
    x = np.arange(3, dtype=np.float32)
    value, g = weft.value_and_grad(lambda x: total(x * x))(x)
    assert type(value) is np.float32 and value == 5
    assert g.dtype == np.float32
    np.testing.assert_array_equal(g, 2 * x)


def test_a_weak_float_takes_the_other_dtype():
    seen = []

    def f(s, x):
        y = s * x
        seen.append(y.dtype)
        return total(y)

    g = weft.grad(f)(2.0, np.ones(3, np.float32))
    assert seen == [np.float32] and g == 3.0 and g.dtype == np.float64


def test_argnums():
    f = lambda x, y, z: x * y + z * z  # noqa: E731
    assert weft.grad(f, argnums=1)(2.0, 3.0, 4.0) == 2.0
    assert weft.grad(f, argnums=(0, -1))(2.0, 3.0, 4.0) == (3.0, 8.0)
    with pytest.raises(ValueError, match="argnums=3, but the call has 3"):
        weft.grad(f, argnums=3)(2.0, 3.0, 4.0)
    with pytest.raises(ValueError, match="twice"):
        weft.grad(f, argnums=(0, 0))(2.0, 3.0, 4.0)


Layer = namedtuple("Layer", "W b")


def test_trees():
    params = {"layers": [Layer(np.ones((3, 2)), np.zeros(2)), Layer(np.ones((2, 1)), None)], "scale": 2.0}
    x = np.ones((4, 3))

    def loss(p):
        first, second = p["layers"]
        assert second.b is None
        h = np.tanh(x @ first.W * 0.1 + first.b)
        return total(h @ second.W) * p["scale"]

    value, g = weft.value_and_grad(loss)(params)
    t = np.tanh(0.3)
    assert value == pytest.approx(4 * 2 * t * 2.0)
    assert weft.tree.structure(g) == weft.tree.structure(params)
    assert type(g["layers"][0]) is Layer and type(g["scale"]) is np.float64
    np.testing.assert_allclose(g["layers"][0].W, np.full((3, 2), 4 * 0.1 * 2 * (1 - t * t)))
    np.testing.assert_allclose(g["layers"][1].W, np.full((2, 1), 8 * t))
    assert g["scale"] == pytest.approx(8 * t)


def test_has_aux():
    def f(x):
        return total(x * x), {"doubled": x * 2, "note": "as it was", "n": 3}

    (value, aux), g = weft.value_and_grad(f, has_aux=True)(np.ones(2))
    assert value == 2 and aux["note"] == "as it was" and aux["n"] == 3
    assert type(aux["doubled"]) is np.ndarray
    np.testing.assert_array_equal(aux["doubled"], [2, 2])
    g2, aux2 = weft.grad(f, has_aux=True)(np.ones(2))
    np.testing.assert_array_equal(g, g2)
    np.testing.assert_array_equal(aux2["doubled"], [2, 2])


def test_gradients_are_writable_arrays_of_their_own():
    x = np.ones((2, 3))
    g = weft.grad(total)(x)
    g += 1  # a gradient of a sum is a broadcast inside
    np.testing.assert_array_equal(g, np.full((2, 3), 2.0))


def test_what_does_not_depend_has_zero_gradient():
    gx, gy = weft.grad(lambda x, y: total(x), argnums=(0, 1))(np.ones(2), np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(gy, np.zeros((2, 2), np.float32))
    assert gy.dtype == np.float32
    assert weft.grad(lambda x: 3.0)(1.0) == 0.0


def test_other_arguments_and_keywords_pass_as_they_are():
    def f(x, power, *, shift):
        assert type(power) is int and type(shift) is np.ndarray
        return total(x**power + shift)

    np.testing.assert_allclose(weft.grad(f)(np.full(2, 3.0), 2, shift=np.ones(2)), [6, 6])


def test_signature_and_doc_are_kept():
    def f(x, y=2.0):
        """Doc."""
        return x * y

    g = weft.grad(f)
    assert g.__doc__ == "Doc." and g.__name__ == "f" and g.__wrapped__ is f


# Nesting.


def test_grad_of_grad():
    x = 0.7
    assert weft.grad(weft.grad(np.tanh))(x) == pytest.approx(-2 * np.tanh(x) * (1 - np.tanh(x) ** 2))
    third = weft.grad(weft.grad(weft.grad(lambda x: x**4)))
    assert third(2.0) == pytest.approx(48.0)


def test_jvp_of_grad_is_grad_of_jvp():
    f = lambda x: np.sin(x) * x  # noqa: E731
    x = 0.3
    want = 2 * np.cos(x) - x * np.sin(x)
    _, forward_over_reverse = weft.jvp(weft.grad(f), (x,), (1.0,))
    reverse_over_forward = weft.grad(lambda x: weft.jvp(f, (x,), (1.0,))[1])(x)
    assert forward_over_reverse == pytest.approx(want)
    assert reverse_over_forward == pytest.approx(want)


def test_vjp_inside_grad_and_pullback_later():
    def f(x):
        out, pullback = weft.vjp(lambda z: z * z * x, x)
        (g,) = pullback(x)  # (2 x * x) * x
        return g + out

    assert weft.grad(f)(2.0) == pytest.approx(3 * 2 * 4.0 + 3 * 4.0)


def test_vjp_called_outside_a_capture_and_pulled_inside():
    out, pullback = weft.vjp(lambda x: np.tanh(x) * 3, np.array([0.1, 0.2]))
    g = weft.grad(lambda c: total(pullback(c * c)[0]))(np.array([1.0, 2.0]))
    np.testing.assert_allclose(g, 2 * np.array([1.0, 2.0]) * 3 * (1 - np.tanh([0.1, 0.2]) ** 2))


def test_closures_over_outer_tracers():
    def f(x):
        inner = weft.grad(lambda y: x * x * y * y)  # 2 x^2 y
        return inner(3.0)

    assert weft.grad(f)(2.0) == pytest.approx(24.0)

    def g(x):  # the inner function does not use its own argument with x: its gradient is plain
        return x * weft.grad(lambda y: y * y)(3.0)

    assert weft.grad(g)(2.0) == 6.0


def test_perturbations_are_not_confused():
    """d/dx (x * d/dy (x + y) at y = 1) is 1, not 2."""
    assert weft.grad(lambda x: x * weft.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    _, t = weft.jvp(lambda x: x * weft.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))
    assert t == 1.0


def test_outer_values_in_aux_and_results():
    def f(x):
        g, aux = weft.grad(lambda y: (y * x, x), has_aux=True)(2.0)
        return g * aux

    assert weft.grad(f)(3.0) == pytest.approx(6.0)


def test_control_flow_on_values_uncompiled():
    def f(x):
        n = 0
        while x < 100:
            x = x * x
            n += 1
        return x * n if n > 1 else -x

    assert weft.value_and_grad(f)(3.0) == (6561.0 * 3, pytest.approx(8 * 3.0**7 * 3))
    assert weft.grad(f)(50.0) == -100.0
    assert weft.grad(weft.grad(f))(50.0) == -2.0  # the branch looks through both captures


# vjp and jvp.


def test_vjp_of_a_tree():
    def f(x, p):
        return {"a": x * p["s"], "n": np.less(x, 0.5)}

    x = np.array([0.0, 1.0])
    out, pullback = weft.vjp(f, x, {"s": 3.0})
    np.testing.assert_array_equal(out["n"], [True, False])
    for _ in range(2):
        gx, gp = pullback({"a": np.array([1.0, 2.0]), "n": 0})
        np.testing.assert_array_equal(gx, [3.0, 6.0])
        assert gp == {"s": 2.0}


def test_vjp_has_aux():
    out, pullback, aux = weft.vjp(lambda x: (x * x, "aux"), 3.0, has_aux=True)
    assert out == 9.0 and aux == "aux" and pullback(1.0) == (6.0,)


def test_jvp_of_a_tree():
    out, tangent = weft.jvp(lambda p: (p["x"] * 2, np.sign(p["x"]) > 0), ({"x": np.ones(2)},), ({"x": np.ones(2)},))
    np.testing.assert_array_equal(out[0], [2, 2])
    np.testing.assert_array_equal(tangent[0], [2, 2])
    assert tangent[1].dtype == bool and not tangent[1].any()


def test_vjp_and_jvp_agree():
    rng = np.random.default_rng(0)
    W, x, t, c = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=3), rng.normal(size=4)
    f = lambda x: np.tanh(x @ W)  # noqa: E731
    _, tangent = weft.jvp(f, (x,), (t,))
    _, pullback = weft.vjp(f, x)
    assert np.dot(c, tangent) == pytest.approx(np.dot(pullback(c)[0], t))
    h = 1e-6
    np.testing.assert_allclose(tangent, (f(x + h * t) - f(x - h * t)) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: weft.jvp(np.sin, 1.0, 1.0), "as a tuple"),
        (lambda: weft.jvp(np.sin, (np.ones(2),), (np.ones(3),)), r"it has to be float64\[2\]"),
        (lambda: weft.jvp(np.sin, (1.0,), ([1.0],)), "structure"),
        (lambda: weft.vjp(np.sin, 1.0)[1]((1.0,)), "structure"),
        (lambda: weft.grad(lambda x: (x, x))(1.0), "one float, not a tuple"),
        (lambda: weft.grad(lambda x: x, has_aux=True)(1.0), "has_aux"),
        (lambda: weft.grad(lambda x: x > 0)(1.0), "returns a float"),
        (lambda: weft.grad(lambda x: x)("text"), "a str is no array"),
        (lambda: weft.grad(lambda x: x)({"a": 1}), r"x\['a'\], which is a Python int"),
    ],
)
def test_what_has_no_derivative(call, text):
    with pytest.raises(errors.GradientError, match=text):
        call()


def test_not_a_function():
    with pytest.raises(TypeError, match="takes a function"):
        weft.grad(3)


# The tracer.


def test_arrays_meet_tracers_from_both_sides():
    a = np.arange(3.0)
    for f in (lambda x: a * x, lambda x: x * a, lambda x: np.multiply(a, x), lambda x: np.float64(1) * x * a):
        np.testing.assert_array_equal(weft.grad(lambda x, f=f: total(f(x)))(np.ones(3)), a)
    np.testing.assert_array_equal(weft.grad(lambda x: total([1.0, 2.0] * x))(np.ones(2)), [1, 2])


def test_augmented_assignment():
    def f(x):
        y = x * 2
        alias = y
        y += x  # y is an array of this function's own, and nobody sees through it
        y *= 2
        return total(alias)

    np.testing.assert_array_equal(weft.grad(f)(np.ones(2)), [6.0, 6.0])

    def g(x):
        s = total(x)
        t = s
        s += 1  # scalars are immutable
        return t * s

    assert weft.value_and_grad(g)(np.ones(2))[0] == 6.0


def test_augmented_assignment_casts_like_numpy():
    def f(x):
        y = x * 1
        y += np.ones(2)  # float64 into float32
        assert y.dtype == np.float32
        return total(y)

    weft.grad(f)(np.ones(2, np.float32))
    with pytest.raises(errors.DTypeError, match="same-kind"):

        def g(x):
            n = (x > 0) ^ True
            n += x
            return total(x)

        weft.grad(g)(np.ones(2))
    with pytest.raises(errors.ShapeError, match="in place"):

        def h(x):
            y = x * 2
            y += np.ones((2, 2))
            return total(y)

        weft.grad(h)(np.ones(2))


def test_deferring_to_other_classes():
    class Other:
        __array_ufunc__ = None

        def __radd__(self, x):
            return "radd"

    seen = []
    weft.grad(lambda x: (seen.append((x + Other(), x == None, x != "a")), x)[1])(1.0)  # noqa: E711
    assert seen == [("radd", False, True)]


def test_weak_arithmetic_is_pythons():
    def step(n, s):
        assert (n + 1).weak is int and (n / 2).weak is float and (n > 2).weak is bool
        assert (n + s).weak is float and (s // 2).weak is float and (-n).weak is int
        assert np.add(n, 1).weak is None
        assert (n * np.float32(2)).dtype == np.float32 and (n + np.int8(1)).dtype == np.int8
        return n + 1, n / 2, n > 2, n + s, -n, n**2, n**-1, abs(-n), divmod(n, 2), ~n, True + n

    got = weft.compile(step)(5, 0.5)
    n, s = 5, 0.5
    want = (n + 1, n / 2, n > 2, n + s, -n, n**2, n**-1, abs(-n), divmod(n, 2), ~n, True + n)
    assert got == want
    assert [type(g) for g in got] == [type(w) for w in want]


def test_a_compiled_gradients_seed_is_a_constant():
    """It is folded: what is left of a division's backward part is one number, not a chain from an input."""
    stages = weft.compile(weft.grad(lambda x: np.tanh(x) / 4)).lower(0.5)
    assert [v.name for v in stages.trace.inputs] == ["x"]
    assert print_graph(stages.simplified, locations=False).splitlines() == [
        "def lambda_(x: f64) -> f64:",
        "    t0: f64 = tanh(x)",
        "    t1: f64 = mul(t0, t0)",
        "    t2: f64 = sub(f64(1.0), t1)",
        "    d_x: f64 = mul(f64(0.25), t2)",
        "    return d_x",
    ]


def test_the_memory_plan_names_values_as_the_graph_does():
    stages = weft.compile(lambda x, w: np.tanh(x @ w) @ w).lower(np.ones((3, 3)), np.ones((3, 3)))
    lines = str(stages.fused).rpartition("def ")[2].splitlines()[1:-1]
    defined = [line.split(":")[0].strip() for line in lines]
    assert len(defined) == 3 and defined[0] == "t0"
    assert [line.split(":")[0].strip() for line in str(stages.memory).splitlines()[3:]] == defined


def test_other_arguments_may_be_written():
    """An array that is not differentiated by is written as NumPy would: in place, once, whoever else shows it."""

    def f(h, u, g, steps):
        first = u  # another name
        u[0] += 1  # nothing traced: done at once, and again when the function is called anew
        for _ in range(steps):
            u[1:] -= g * (h[1:] - h[:-1])
            h[:-1] -= u[1:] - u[:-1]
        return np.sum(h * h) + first[2]

    def run(function):
        h, u = np.arange(5.0) ** 2, np.ones(5)
        return function(h, u, 0.3, 12), h, u

    value, *want = run(f)
    for transform in (lambda f: f, weft.compile):
        (got, dg), *arrays = run(transform(weft.value_and_grad(f, argnums=2)))
        np.testing.assert_allclose(got, value)
        np.testing.assert_allclose(arrays, want)
        near = [run(lambda h, u, g, n, d=d: f(h, u, g + d, n))[0] for d in (-1e-6, 1e-6)]
        np.testing.assert_allclose(dg, (near[1] - near[0]) / 2e-6, rtol=1e-7)


def without_source(text):
    return eval(text, {"np": np, "math": math, "weft": weft})  # noqa: S307


TAKES_A_NUMBER = [
    "lambda x: math.sqrt(x) * x",
    "lambda x: float(x) * x",
    "lambda x: x.item() * x",
    "lambda x: np.sum(x * math.exp(np.sin(x)))",
    "lambda x: weft.grad(lambda y: math.exp(x) * y)(1.0) * x",
]


@pytest.mark.parametrize("text", TAKES_A_NUMBER)
def test_a_number_taken_from_what_is_differentiated_is_no_constant(text):
    """In code that could not be converted; else float(x) and math.sqrt(x) are seen."""
    f = without_source(text)
    calls = [weft.grad(f), lambda x: weft.jvp(f, (x,), (1.0,)), lambda x: weft.vjp(f, x), weft.compile(weft.grad(f))]
    for call in calls:
        with pytest.raises(errors.ConcretizationError, match="np.sqrt"):
            call(2.0)
    assert weft.compile(without_source("lambda x: math.sqrt(x)"))(2.0) == math.sqrt(2.0)


def test_a_number_that_no_derivative_depends_on_may_be_taken():
    for text, want in (
        ("lambda x: x * math.floor(x) + round(x) + int(x) + math.ceil(x) + math.trunc(x)", 2.0),
        ("lambda x: x * float(x > 0)", 1.0),
        ("lambda x: float(f'{x:.1f}') * x", 2.5),
        ("lambda x, k=4.0: x * math.sqrt(k)", 2.0),
        ("lambda x: x * math.sqrt(np.argmax(np.stack([x, 2 * x])))", 1.0),
    ):
        assert weft.grad(without_source(text))(2.5) == want

    def with_source(x):
        return math.sqrt(x) * float(x)

    assert abs(weft.grad(with_source)(4.0) - 3.0) < 1e-12
