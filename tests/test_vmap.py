"""weft.vmap: against a Python loop over the lanes, in trees, around and inside other transforms; what it refuses."""

from collections import namedtuple

import numpy as np
import pytest

import weft
from weft import errors
from weft.ir.text import print_graph

rng = np.random.default_rng(0)


def looped(f, in_axes, *args):
    """What vmap gives, lane by lane: for arrays and numbers as arguments and results."""
    size = next(a.shape[axis] for a, axis in zip(args, in_axes, strict=True) if axis is not None)
    rows = [
        f(*(a if axis is None else np.take(a, n, axis) for a, axis in zip(args, in_axes, strict=True)))
        for n in range(size)
    ]
    return weft.tree.map(lambda *leaves: np.stack(leaves), *rows)


def check(f, in_axes, *args, rtol=1e-12):
    """vmap of f, compiled and not, is the loop."""
    want = looped(f, in_axes, *args)
    for mapped in (weft.vmap(f, in_axes=tuple(in_axes)), weft.compile(weft.vmap(f, in_axes=tuple(in_axes)))):
        got = mapped(*args)
        assert weft.tree.structure(got) == weft.tree.structure(want)
        for g, w in zip(weft.tree.leaves(got), weft.tree.leaves(want), strict=True):
            assert g.dtype == w.dtype
            np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol)
    return got


def newton(a):
    x, n = a, 0
    while abs(x * x - a) > 1e-12:
        x = (x + a / x) / 2
        n += 1
    return x, n


def piecewise(x):
    if x > 1:
        y = np.sqrt(x)
    elif x > 0:
        y = x * x
    else:
        y = -x
    return y


def recurrence(x, n):
    for i in weft.rolled(range(n)):
        x = np.sin(x) + 0.1 * i
    return x


def logistic(x, n):
    history = np.zeros(12)
    for i in weft.rolled(range(n)):
        if x > 0.5:
            history[i] = x
        x = 3.7 * x * (1 - x)
    return history


X = rng.normal(size=(4, 3))
SQUARES = np.array([1.0, 2.0, 100.0, 0.25, 1e-3])
MIXED = np.array([4.0, -3.0, 0.5, 9.0, 0.25])
TRIPS = np.array([3, 0, 1, 7, 12])


@pytest.mark.parametrize(
    "f, in_axes, args",
    [
        (lambda a, b: a * b + 1, (0, 0), (X, X)),
        (lambda a, b: a @ b, (0, None), (X, X[0])),
        (lambda a, b: a @ b, (None, 1), (X, X.T)),
        (lambda a, b: (a @ b, a.sum(), b.T), (0, -1), (rng.normal(size=(5, 2, 3)), rng.normal(size=(3, 4, 5)))),
        (lambda a: np.tanh(a).mean(axis=0, keepdims=True), (1,), (rng.normal(size=(3, 4, 2)),)),
        (lambda a, i: a[i], (0, 0), (X, np.array([0, 2, -1, 1]))),
        (lambda a, i: a[i], (None, 0), (X, np.array([0, 3, -1]))),
        (lambda a: np.where(a > 0, a, 0)[::-1], (0,), (X,)),
        (lambda a, m: np.argmax(a) + m, (0, 0), (X, np.arange(4))),
        (lambda a: np.concatenate([a, np.ones(2), a[:1] * 2]), (0,), (X,)),
        (lambda s: s * 2, (0,), (np.arange(3, dtype=np.float32),)),
        (newton, (0,), (SQUARES,)),
        (piecewise, (0,), (MIXED,)),
        (recurrence, (0, 0), (MIXED, TRIPS)),
        (recurrence, (None, 0), (np.float64(0.3), TRIPS)),
        (logistic, (0, 0), (np.linspace(0.1, 0.9, 5), TRIPS)),
    ],
)
def test_against_a_loop(f, in_axes, args):
    check(f, in_axes, *args)


def test_axes_of_arguments_and_results():
    a = rng.normal(size=(2, 5, 3))
    got = weft.vmap(lambda x: (x, x.sum(), 7), in_axes=1, out_axes=(2, 0, None))(a)
    np.testing.assert_array_equal(got[0], np.moveaxis(a, 1, 2))
    np.testing.assert_allclose(got[1], a.sum(axis=(0, 2)))
    assert got[2] == 7 and np.shape(got[2]) == ()
    np.testing.assert_array_equal(weft.vmap(lambda x: x, in_axes=-1, out_axes=-2)(a), np.moveaxis(a, -1, -2))
    np.testing.assert_array_equal(weft.vmap(lambda x: np.ones(2), out_axes=1)(a), np.ones((2, 2)))
    assert weft.vmap(lambda x: x.T)(np.zeros((0, 2, 3))).shape == (0, 3, 2)


Pair = namedtuple("Pair", "w b")


def test_trees():
    tree = {"p": Pair(rng.normal(size=(4, 3)), np.arange(3.0)), "s": 2.0}

    def f(t, x):
        return {"y": t["p"].w * x + t["p"].b, "n": None, "z": (t["s"] * x,)}

    axes = ({"p": Pair(0, None), "s": None}, 0)
    got = weft.vmap(f, in_axes=axes, out_axes={"y": 1, "n": 0, "z": 0})(tree, X)
    np.testing.assert_allclose(got["y"], (tree["p"].w * X + tree["p"].b).T)
    np.testing.assert_allclose(got["z"][0], 2 * X)
    assert got["n"] is None
    got = weft.vmap(lambda pair, k: pair[0] * k, in_axes=((0, None),))((X, 3), k=np.arange(4.0))
    np.testing.assert_allclose(got, X * np.arange(4.0)[:, None])


def test_results_are_arrays_of_their_own():
    a = X.copy()
    got = weft.vmap(lambda x: (x, x.sum() * 0 + 1, np.zeros(2)))(a)
    for leaf in got:
        leaf += 1
    np.testing.assert_array_equal(a, X)


def test_what_is_not_mapped_keeps_its_value():
    """Python may look at it: it is one for all lanes."""
    got = weft.vmap(lambda x, n, how: getattr(np, how)(np.stack([x * k for k in range(n)])), in_axes=(0, None, None))
    assert got(np.ones(2), 3, "sum").tolist() == [3.0, 3.0]
    np.testing.assert_array_equal(weft.vmap(lambda x, m: x if m[0] > 0 else -x, in_axes=(0, None))(X, X[0] ** 2), X)


def test_a_lane_is_traced_once():
    calls = []
    weft.vmap(lambda x: calls.append(x.shape) or x)(X)
    assert calls == [(3,)]


def test_nested():
    a, b = rng.normal(size=3), rng.normal(size=(4, 2))
    outer = weft.vmap(weft.vmap(lambda x, y: x * y.sum(), in_axes=(None, 0)), in_axes=(0, None))
    np.testing.assert_allclose(outer(a, b), np.outer(a, b.sum(axis=1)))
    np.testing.assert_allclose(weft.compile(outer)(a, b), np.outer(a, b.sum(axis=1)))
    twice = weft.vmap(weft.vmap(newton))
    roots, trips = twice(SQUARES[None] * np.ones((2, 1)))
    np.testing.assert_allclose(roots[1], np.sqrt(SQUARES))
    assert trips[0].tolist() == [newton(s)[1] for s in SQUARES]


def total(f):
    return lambda *args: np.sum(f(*args))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_of_each_lane(order):
    f = recurrence
    for _ in range(order):
        f = weft.grad(f)
    check(f, (0, 0), MIXED, TRIPS, rtol=1e-9)
    g = lambda a: newton(a)[0]  # noqa: E731
    for _ in range(order):
        g = weft.grad(g)
    check(g, (0,), SQUARES[1:4], rtol=1e-7)
    h = piecewise
    for _ in range(order):
        h = weft.grad(h)
    check(h, (0,), MIXED, rtol=1e-9)


def test_gradients_per_example():
    w, x, y = rng.normal(size=(5, 3)), rng.normal(size=(8, 3)), rng.normal(size=(8, 5))
    loss = lambda w, x, y: np.mean((np.tanh(w @ x) - y) ** 2)  # noqa: E731
    got = check(weft.value_and_grad(loss), (None, 0, 0), w, x, y, rtol=1e-10)
    assert got[1].shape == (8, 5, 3)
    np.testing.assert_allclose(
        got[1].mean(axis=0),
        weft.grad(lambda w: np.mean(weft.vmap(loss, in_axes=(None, 0, 0))(w, x, y)))(w),
        rtol=1e-10,
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_derivatives_of_what_is_mapped(compiled):
    """The lanes are independent: the gradient of the sum is each lane's."""
    wrap = weft.compile if compiled else lambda f: f
    mapped = weft.vmap(lambda x, n: recurrence(x, n))
    each = weft.vmap(weft.grad(recurrence))(MIXED, TRIPS)
    np.testing.assert_allclose(wrap(weft.grad(total(mapped)))(MIXED, TRIPS), each, rtol=1e-12)
    root = lambda a: newton(a)[0]  # noqa: E731
    got = wrap(weft.grad(total(weft.vmap(root))))(SQUARES)
    np.testing.assert_allclose(got, weft.vmap(weft.grad(root))(SQUARES))
    curved = wrap(weft.grad(lambda x: np.sum(weft.grad(total(lambda x: mapped(x, TRIPS)))(x) ** 2)))(MIXED)
    twice = weft.vmap(weft.grad(lambda x, n: weft.grad(recurrence)(x, n) ** 2))(MIXED, TRIPS)
    np.testing.assert_allclose(curved, twice, rtol=1e-10)


def test_jvp_and_vjp():
    t = rng.normal(size=5)
    value, moved = weft.vmap(lambda x, n, t: weft.jvp(lambda x: recurrence(x, n), (x,), (t,)))(MIXED, TRIPS, t)
    np.testing.assert_allclose(moved, weft.vmap(weft.grad(recurrence))(MIXED, TRIPS) * t, rtol=1e-12)
    np.testing.assert_allclose(value, weft.vmap(recurrence)(MIXED, TRIPS))
    np.testing.assert_allclose(weft.jvp(lambda x: weft.vmap(recurrence)(x, TRIPS), (MIXED,), (t,))[1], moved)
    a = rng.normal(size=(3, 3))

    def f(x):
        for _ in weft.rolled(range(3)):
            x = np.sin(a @ x)
        return x

    x = rng.normal(size=3)
    _, pull = weft.vjp(f, x)
    (rows,) = weft.vmap(pull)(np.eye(3))
    columns = weft.vmap(lambda t: weft.jvp(f, (x,), (t,))[1], out_axes=1)(np.eye(3))
    np.testing.assert_allclose(rows, columns, rtol=1e-10)
    hessian = weft.vmap(weft.vjp(weft.grad(lambda x: np.sum(f(x) ** 2)), x)[1])(np.eye(3))[0]
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-12)


def test_control_flow_as_functions():
    x, k = np.linspace(0.1, 1, 4), np.array([0, 1, 2, 7])
    sides = [np.sin, np.cos, lambda v: v * v]
    got = weft.vmap(lambda k, x: weft.switch(k, sides, x))(k, x)
    np.testing.assert_allclose(got, [sides[min(i, 2)](v) for i, v in zip(k, x, strict=True)])
    carry, rows = weft.vmap(lambda c: weft.scan(lambda c, t: (c * t, c + t), c, np.arange(1.0, 6.0)))(x)
    np.testing.assert_allclose(carry, x * 120)
    assert rows.shape == (4, 5)
    got = weft.vmap(lambda x: weft.while_loop(lambda v: v < 3, lambda v: v * 2, x))(x)
    np.testing.assert_allclose(got, [v * 2 ** int(np.ceil(np.log2(3 / v))) for v in x])


def test_an_index_is_checked_where_its_lane_gets():
    table = np.arange(4.0)

    def look(i):
        if i < 4:
            y = table[i]
        else:
            y = -1.0
        return y

    def walk(n):
        s = 0.0
        for i in weft.rolled(range(n)):
            s += table[i]
        return s

    for wrap in (lambda f: f, weft.compile):
        assert wrap(weft.vmap(look))(np.array([0, 9, 3])).tolist() == [0.0, -1.0, 3.0]
        assert wrap(weft.vmap(walk))(np.array([0, 4, 2])).tolist() == [0.0, 6.0, 1.0]
        for f, i in ((lambda i: table[i], 4), (walk, 5)):
            with pytest.raises(IndexError, match="index 4 is out of bounds for axis 0 with size 4"):
                wrap(weft.vmap(f))(np.array([0, i, 3]))


@pytest.mark.parametrize("wrap", [lambda f: f, weft.compile])
def test_a_mapped_array_may_be_written(wrap):
    def f(a, s):
        a[1:] += s
        return a.sum()

    for axis in (0, 1):
        a = np.moveaxis(X.copy(), 0, axis).copy()
        got = wrap(weft.vmap(f, in_axes=(axis, 0)))(a, np.arange(4.0))
        want = X.copy()
        want[:, 1:] += np.arange(4.0)[:, None]
        np.testing.assert_allclose(got, want.sum(axis=1))
        np.testing.assert_allclose(np.moveaxis(a, axis, 0), want)
    shared = np.zeros(2)
    with pytest.raises(errors.UnsupportedError, match="writes"):
        wrap(weft.vmap(f, in_axes=(None, 0)))(shared, np.arange(3.0))
    assert not shared.any()


def test_a_closed_over_array_is_looked_up_again():
    table = np.arange(4.0)
    f = weft.compile(weft.vmap(lambda i: table[i]))
    assert f(np.array([1, 3])).tolist() == [1.0, 3.0]
    table[1] = 7
    assert f(np.array([1, 3])).tolist() == [7.0, 3.0]
    mask = np.array([True, False, True])
    g = weft.compile(weft.vmap(lambda x: x[mask].sum()))
    np.testing.assert_allclose(g(X), X[:, mask].sum(axis=1))
    mask[0] = False
    np.testing.assert_allclose(g(X), X[:, 2])


def test_what_is_mapped_may_be_any_function():
    class Layer:
        def __init__(self):
            self.w = np.eye(3)

        def __call__(self, x):
            return self.w @ x

    layer = Layer()
    np.testing.assert_array_equal(weft.vmap(np.add)(X, X), 2 * X)
    np.testing.assert_array_equal(weft.vmap(layer)(X), X)
    np.testing.assert_array_equal(weft.vmap(weft.compile(lambda x: x[::-1]))(X), X[:, ::-1])
    f = weft.compile(weft.vmap(layer))
    f(X)
    layer.w = 2 * np.eye(3)
    np.testing.assert_array_equal(f(X), 2 * X)
    np.testing.assert_allclose(weft.compile(weft.vmap(np.sum))(X.T), X.sum(axis=0))


def test_jumps():
    def until(x, most):
        for i in range(20):
            x = x * 1.5
            if x > most:
                break
            x = x + 0.01 * i
        return x

    def early(x):
        if x < 0:
            return -1.0
        y = np.sqrt(x)
        if y > 2:
            return y
        return y * 10

    check(until, (0, 0), np.array([1.0, 2.0, 3.0]), np.array([5.0, 100.0, 1e9]))
    check(weft.grad(until), (0, 0), np.array([1.0, 2.0, 3.0]), np.array([5.0, 100.0, 1e9]))
    check(early, (0,), np.array([-1.0, 9.0, 1.0]))
    check(weft.grad(early), (0,), np.array([-1.0, 9.0, 1.0]))


@pytest.mark.parametrize("checkpoint", ["sqrt", 3])
def test_loops_with_checkpoints(checkpoint):
    def f(x, n):
        return weft.fori_loop(0, n, lambda i, v: np.sin(v) + 0.1 * i, x, checkpoint=checkpoint)

    def g(x):
        return weft.while_loop(lambda v: v < 3, lambda v: 0.5 * v * v + v + 0.3, x, checkpoint=checkpoint)

    x = np.linspace(0.1, 0.9, 5)
    for wrap in (lambda f: f, weft.compile):
        np.testing.assert_allclose(
            wrap(weft.vmap(weft.grad(f)))(x, TRIPS), weft.vmap(weft.grad(recurrence))(x, TRIPS), rtol=1e-12
        )
        np.testing.assert_allclose(wrap(weft.vmap(weft.grad(g)))(x), [weft.grad(g)(v) for v in x], rtol=1e-12)
    sines = weft.checkpoint(lambda x: np.sin(np.exp(x)).sum())
    want = np.cos(np.exp(X)) * np.exp(X)
    np.testing.assert_allclose(weft.vmap(weft.grad(sines))(X), want, rtol=1e-12)
    np.testing.assert_allclose(weft.grad(total(weft.vmap(sines)))(X), want, rtol=1e-12)


def test_slices_that_move():
    def factor(a):
        n = len(a)
        low = np.zeros((n, n))
        for j in weft.rolled(range(n)):
            low[j, j] = np.sqrt(a[j, j] - low[j, :j] @ low[j, :j])
            low[j + 1 :, j] = (a[j + 1 :, j] - low[j + 1 :, :j] @ low[j, :j]) / low[j, j]
        return low

    def parts(x, n):
        y = x * 0
        y[:n] = 2 * x[:n]
        return y, x[n:].sum()

    m = rng.normal(size=(4, 5, 5))
    a = m @ m.transpose(0, 2, 1) + 5 * np.eye(5)
    for wrap in (lambda f: f, weft.compile):
        np.testing.assert_allclose(wrap(weft.vmap(factor))(a), np.linalg.cholesky(a), rtol=1e-10, atol=1e-12)
    check(parts, (0, 0), X, np.array([0, 1, 3, 2]))
    check(weft.grad(lambda x, n: np.sum(parts(x, n)[0] ** 2) + parts(x, n)[1]), (0, 0), X, np.array([0, 1, 3, 2]))


def test_what_is_made_of_shared_values_may_be_written():
    def f(x, s):
        y = x * 2
        y[0] = s
        return y

    for wrap in (lambda f: f, weft.compile):
        got = wrap(weft.vmap(f, in_axes=(None, 0)))(X[0], np.arange(3.0))
        np.testing.assert_array_equal(got, np.stack([[s, *2 * X[0, 1:]] for s in range(3)]))


def test_the_products_of_all_lanes_are_one():
    w = rng.normal(size=(5, 4))
    text = print_graph(weft.compile(weft.vmap(lambda x: np.tanh(w @ x))).lower(rng.normal(size=(8, 4))).fused)
    assert "f64[8, 5] = dot(" in text and "transpose" not in text and "batch=((), ())" in text


def refused(error, said, f, *args, **axes):
    with pytest.raises(error, match=said) as caught:
        weft.vmap(f, **axes)(*args)
    return str(caught.value)


def test_what_is_refused():
    add = lambda a, b: a + b  # noqa: E731
    text = refused(errors.ShapeError, "axes of different sizes", add, X, np.ones(3))
    assert text.startswith(__file__.rpartition("/")[2]) or "test_vmap.py:" in text
    assert "a: float64[4, 3], 4 along axis 0" in text and "b: float64[3], 3 along axis 0" in text
    refused(errors.AxisError, r"axis 2 of b, which is float64\[4, 3\]", add, X, X, in_axes=(0, 2))
    refused(errors.AxisError, r"axis -3 of a", add, X, X, in_axes=-3)
    refused(ValueError, "1 entries, and the call has 2", add, X, X, in_axes=(0,))
    refused(ValueError, "no argument to map over", add, X, X, in_axes=None)
    refused(ValueError, "no argument to map over", lambda: 1)
    text = refused(errors.ArgumentError, "b, which is float64 scalar and has no axes", add, X, 2.0)
    assert "None in in_axes" in text or "entry in in_axes is None" in text
    refused(errors.ArgumentError, "b, which is a str", add, X, "s")
    refused(ValueError, r"in_axes of vmap do not fit the arguments at \[0\]: a dict with keys 'a'",
            lambda d: d["a"], {"a": X, "b": X}, in_axes=({"a": 0},))  # fmt: skip
    refused(ValueError, "out_axes of vmap do not fit the result", lambda a: (a, a), X, out_axes=(0, 0, 0))
    refused(ValueError, "out_axes of vmap is None for the result, which is not the same", lambda a: a, X, out_axes=None)
    refused(errors.AxisError, r"out_axes of vmap is 3 for the result\[1\]", lambda a: (a, a), X, out_axes=(0, 3))
    refused(errors.ArgumentError, "the result of a function under vmap is a str", lambda a: "no", X)
    refused(errors.ConcretizationError, "needs the int of a traced", lambda i: np.zeros(int(i)), np.arange(3))
    assert "under weft.vmap" in refused(TypeError, "(?s).*", lambda i: np.zeros(int(i)), np.arange(3)).lower()
    with pytest.raises(TypeError, match="takes a function, got int"):
        weft.vmap(3)
    for axes in ("x", (0, 1.5), True):
        with pytest.raises(TypeError, match="in_axes are ints and None"):
            weft.vmap(add, in_axes=axes)
    with pytest.raises(TypeError, match="out_axes are ints and None"):
        weft.vmap(add, out_axes="x")


@pytest.mark.peers
def test_against_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    m = rng.normal(size=(5, 2, 3))
    for xp, f in ((m, "x @ y"), (m, "xp.sum(x, axis=0) * y[:, 0]"), (m, "xp.tanh(x).T")):
        mine = eval(f"lambda x, y: {f}", {"xp": np})  # noqa: S307
        theirs = eval(f"lambda x, y: {f}", {"xp": jnp})  # noqa: S307
        y = rng.normal(size=(3, 4))
        for in_axes, x in (((0, None), xp), ((-1, None), np.moveaxis(xp, 0, -1))):
            for out_axes in (0, -1):
                got = weft.vmap(mine, in_axes, out_axes)(x, y)
                np.testing.assert_allclose(got, jax.vmap(theirs, in_axes, out_axes)(x, y), rtol=1e-10)

    def jax_newton(a):
        return jax.lax.while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: (x + a / x) / 2, a)

    np.testing.assert_allclose(weft.vmap(newton)(SQUARES)[0], jax.vmap(jax_newton)(SQUARES), rtol=1e-12)
