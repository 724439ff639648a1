"""Source conversion: statements on traced values do what Python's do, and what needs no hook stays Python."""

import copy
import math

import numpy as np
import pytest

import weft
from tests.against_numpy import interpreted
from weft import errors
from weft.passes.dce import dce

V = np.linspace(-1.0, 2.0, 20)


def same(f, *arguments, rtol=1e-13):
    """The traced call's result and what it leaves in its arguments are NumPy's."""
    ours, numpys = copy.deepcopy(arguments), copy.deepcopy(arguments)
    got, want = interpreted(f)(*ours), f(*numpys)
    for g, w in zip(weft.tree.leaves([got, ours]), weft.tree.leaves([want, numpys]), strict=True):
        np.testing.assert_allclose(g, w, rtol=rtol)
    return got


def kinds(f, *arguments):
    """Names of the ops outside regions."""
    return [op.kind.name for op in dce(interpreted(f).lower(*arguments)).ops]


def early(x):
    if x.sum() > 0:
        return x * 2
    y = x - 1
    if y.sum() < -10:
        return y * 3
    return y


def find(x, v):
    for i in range(len(x)):
        if x[i] > v:
            return i
    return -1


def skipping(n, x):
    total = 0.0
    for i in range(n):
        if i % 3 == 0:
            continue
        if i > 40:
            break
        total += i * x
    return total


def with_else(x):
    found = 0
    for i in range(20):
        if x[i] > 1.5:
            found = i
            break
    else:
        found = -1
    return found


def collatz(x):
    n = 0
    while x != 1:
        if x % 2 == 0:
            x = x // 2
        else:
            x = 3 * x + 1
        n += 1
    return n


def pairs(a, b):
    total = 0.0
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        total += i * x * y
    for v in reversed(a):
        total = total * 0.5 + v
    return total


def chained(x):
    inside = 0 < x[0] < 5 and not x[1] > 2 or x[2] == 7
    return 1.0 if inside else 2.0


def nested(x):
    def scaled(y):
        if y.sum() > 3:
            return y * 2
        return y

    doubled = lambda z: z * 2 if z.max() > 1 else z  # noqa: E731
    return doubled(scaled(x))


def builtins(x):
    a, b = float(x[0]), int(x[1] * 3)
    n = max(a, b, x[2]) + min(x[0], 0.5) + abs(x[3])
    return n + sum([x[0], x[1]]) + math.sqrt(abs(x[4])) + math.floor(x[5]) + round(x[6], 1) + (1 if any(x > 5) else 2)


def swapped(u, n):
    u = u.copy()
    v = u.copy()
    for _ in range(n):
        v[1:-1] = 0.5 * (u[2:] + u[:-2])
        u, v = v, u
    return u


def histogram(x, n):
    h = np.zeros(n, dtype=int)
    for v in x:
        h[int(v * n)] += 1
    return h


def masked(x):
    for i in range(20):
        x[x > 5] = i
        x += 1
    return x


@pytest.mark.parametrize(
    "f, arguments",
    [
        (early, (V,)), (early, (-V,)), (early, (V - 9,)), (find, (V, 0.7)), (find, (V, 7.0)), (skipping, (100, 2.0)),
        (skipping, (5, 2.0)), (with_else, (V,)), (with_else, (-V,)), (collatz, (np.array(27),)), (pairs, (V, V[::-1])),
        (chained, (np.array([1.0, 2.0, 3.0]),)), (chained, (np.array([8.0, 2.0, 3.0]),)),
        (chained, (np.array([8.0, 2.0, 7.0]),)), (nested, (np.ones(2),)), (nested, (np.ones(5),)), (builtins, (V,)),
        (swapped, (V, 7)), (swapped, (V, 30)), (histogram, (np.abs(V) / 3, 5)), (masked, (np.arange(10.0),)),
    ],
    ids=lambda x: x.__name__ if callable(x) else "",
)  # fmt: skip
def test_statements(f, arguments):
    same(f, *arguments)


def test_long_loops_are_kept_and_short_ones_unrolled():
    def f(x, n):
        for _ in range(n):
            x = np.tanh(x)
        return x

    assert "for_loop" in kinds(lambda x: f(x, 100), V)
    assert kinds(lambda x: f(x, 3), V) == ["tanh"] * 3
    assert "for_loop" in kinds(f, V, 3), "a traced number of trips"
    assert kinds(lambda x: f(x, 10), V) == kinds(lambda x: f(x, 10_000), V)

    def forced(x):
        for _ in weft.rolled(range(2)):
            x = np.tanh(x)
        for _ in weft.unroll(range(20)):
            x = np.sin(x)
        return x

    found = kinds(forced, V)
    assert found.count("for_loop") == 1 and found.count("sin") == 20
    same(forced, V)


def test_what_needs_python_is_run_by_python():
    layers = [np.full((2, 2), 0.1 * i) for i in range(12)]

    def deep(x):
        for i in range(len(layers)):
            x = np.tanh(layers[i] @ x)
        return x

    def listed(x):
        out = []
        for i in range(12):
            out.append(x[i] * 2)
        return np.array(out)

    same(deep, np.ones(2))
    same(listed, V)
    assert "for_loop" not in kinds(deep, np.ones(2)) + kinds(listed, V)


class Counter:
    def __init__(self):
        self.__rate = 3.0
        self.steps = 0

    def step(self, x):
        for _ in range(10):
            self.steps = self.steps + 1
            x = x * self.__rate
        return x + self.steps


def test_methods_their_attributes_and_private_names():
    want = Counter().step(V)
    np.testing.assert_allclose(interpreted(Counter().step)(V), want)


def test_closures_share_their_cells():
    rate = 2.0

    def f(x):
        if x.sum() > 0:
            x = x * rate
        return x

    compiled = interpreted(f)
    np.testing.assert_array_equal(compiled(V), V * 2)
    rate = 3.0
    np.testing.assert_array_equal(compiled(V), V * 3)


def test_plain_python_keeps_its_meaning():
    """Nothing traced: exceptions, generators, globals and evaluation order are Python's."""
    seen = []

    def note(value):
        seen.append(value)
        return value

    def items():
        yield 1
        yield 2

    def f(x):
        total = 0
        for i in items():
            total += note(i)
        try:
            {}["no"]
        except KeyError:
            total += 10
        flag = note(0) and note(5) or note(7)
        while total < 20:
            total += 3
        return x * total + flag

    np.testing.assert_array_equal(interpreted(f)(V), V * 22 + 7)
    assert seen == [1, 2, 0, 7]


def test_arrays_made_in_the_function_can_be_written():
    def f(x, n):
        a, b, c = np.zeros((n, 3)), np.array([1.0, 2.0, 3.0]), np.empty_like(x[:3])
        a[1], b[0], c[:] = x[:3], x[0], x[1:4]
        b += x[:3]
        d = np.full(2, x[5])
        d[0] -= 1
        view = a[1:]
        view[0, 1:] *= 2
        return a, b, c, d, np.array([[x[0], 1], [2, x[1]]])

    same(f, V, 3)


def test_a_writable_argument_is_written_and_a_shared_one_run_by_numpy():
    @weft.compile
    def f(x, y):
        x[1:] += y[:-1]
        return x

    x, y = np.arange(4.0), np.ones(4)
    assert f(x, y) is x and x.tolist() == [0, 2, 3, 4]
    z = np.arange(4.0)
    f(z, z)
    want = np.arange(4.0)
    want[1:] += want[:-1].copy()
    np.testing.assert_array_equal(z, want)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        f(x, y)


def test_out_of_bounds_raises_from_compiled_code():
    f = weft.compile(lambda x, i: x[i] * 2)
    assert f(V, -1) == V[-1] * 2
    with pytest.raises(IndexError, match="index 20 is out of bounds for axis 0 with size 20"):
        f(V, 20)
    guarded = weft.compile(lambda x, i: x[i] if i < 20 else 0.0)
    assert guarded(V, np.int64(20)) == 0.0 and guarded(V, np.int64(3)) == V[3]


def test_functional_forms():
    rows = V.reshape(10, 2)

    def step(c, v):
        return c * 0.5 + v, c * 2

    same(lambda x: weft.scan(step, np.zeros(2), x), rows)
    same(lambda x: weft.scan(step, np.zeros(2), x, reverse=True), rows)
    same(lambda x: weft.map(lambda v: v @ v, x), rows)
    same(lambda x: weft.fori_loop(0, 5, lambda i, v: v + i, x), rows)
    same(lambda x: weft.while_loop(lambda v: v.sum() < 1e4, lambda v: v * 2, x), rows)
    for i in (-1, 0, 1, 2, 9):
        forms = [lambda v: v * 2, lambda v: v + 1, lambda v: -v]
        same(lambda x, i: weft.switch(i, forms, x), rows, np.int64(i))  # noqa: B023
    same(lambda x: weft.cond(x.sum() > 0, np.sin, np.cos, x), rows)
    summed = interpreted(lambda x: weft.associative_scan(np.add, x))(rows)
    np.testing.assert_allclose(summed, rows.cumsum(0))
    with pytest.raises(errors.ShapeError, match="one length"):
        weft.scan(step, 0.0, (rows, V))


def test_gradients_through_statements():
    def loss(x):
        total = 0.0
        u = swapped(x, 20)
        while total < 3.0:
            total += u @ u
        return total if total < 100.0 else total * 2

    g = weft.grad(loss)(V)
    for compiled in (weft.compile(weft.grad(loss)), interpreted(weft.grad(loss))):
        np.testing.assert_allclose(compiled(V), g, rtol=1e-12)
    d = np.cos(np.arange(20.0))
    assert abs(g @ d - (loss(V + 1e-6 * d) - loss(V - 1e-6 * d)) / 2e-6) < 1e-6 * abs(g @ d)


def test_a_failed_try_leaves_no_ops():
    """A loop that can't be kept is unrolled as if nobody had tried, in other loops too."""
    weights = [0.5 + k for k in range(12)]

    def layers(x, trips):
        y = x[1:] * 2
        z = x.reshape(2, 3)
        for k in trips:
            x[0] += 1
            y = np.tanh(y * z[0, 1:].sum()) + weights[k]
        return y.sum() + x[1:].T

    def outer(x, trips):
        for _ in range(20):
            x = x + layers(x * 1, trips).sum()
        return x

    for f in (layers, outer):
        tried = weft.compile(f, static_argnames="trips").lower(V[:6], range(12)).trace
        never = weft.compile(lambda x, f=f: f(x, weft.unroll(range(12)))).lower(V[:6]).trace
        assert str(tried) == str(never).replace("def lambda_(", f"def {f.__name__}(")
        got, want = weft.compile(f, static_argnames="trips")(V[:6].copy(), range(12)), f(V[:6].copy(), range(12))
        np.testing.assert_allclose(got, want)


def yielding(x):
    for i in range(3):
        yield x[i] * 2


def test_a_generator_is_no_result():
    """Used as a loop it is fine; returned, its body would run too late."""
    assert interpreted(lambda x: sum(yielding(x)))(V) == sum(yielding(V))
    line = yielding.__code__.co_firstlineno
    for f in (yielding, lambda x: (x.sum(), yielding(x))):
        with pytest.raises(errors.ControlFlowError, match="yield") as caught:
            interpreted(f)(V)
        assert f"test_convert.py:{line}: `yielding`" in str(caught.value)
