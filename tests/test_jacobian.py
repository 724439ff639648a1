"""jacfwd, jacrev and hessian: against each other, differences and closed forms, in trees, under other transforms."""

import numpy as np
import pytest

import weft
from weft import errors

rng = np.random.default_rng(0)
A = rng.normal(size=(3, 3))
X = rng.normal(size=3)


def curve(x):
    return np.tanh(A @ x) * x[0]


def looped(x):
    for _ in weft.rolled(range(4)):
        x = np.sin(A @ x)
    return x


def branched(x):
    if x[0] > 0:
        y = x * x[1]
    else:
        y = np.exp(x)
    return y


def difference(f, x, h=1e-5):
    """The Jacobian, with an axis for each of x."""
    columns = []
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = h
        columns.append((f(x + step) - f(x - step)) / (2 * h))
    return np.moveaxis(np.array(columns), 0, -1).reshape(*np.shape(f(x)), *x.shape)


@pytest.mark.parametrize("f", [curve, looped, branched, lambda x: np.outer(x, x * x), lambda x: x @ A @ x])
@pytest.mark.parametrize("wrap", [lambda f: f, weft.compile])
def test_both_ways(f, wrap):
    want = difference(f, X)
    for way in (weft.jacfwd, weft.jacrev, weft.jacobian):
        got = wrap(way(f))(X)
        assert got.shape == want.shape and got.dtype == np.float64
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)
    x = rng.normal(size=(2, 3))
    g = lambda x: np.sin(x @ A)  # noqa: E731
    np.testing.assert_allclose(wrap(weft.jacrev(g))(x), difference(g, x), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(wrap(weft.jacfwd(g))(x), difference(g, x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("f", [curve, looped, branched])
@pytest.mark.parametrize("wrap", [lambda f: f, weft.compile])
def test_hessian(f, wrap):
    loss = lambda x: np.sum(f(x) ** 2)  # noqa: E731
    want = difference(weft.grad(loss), X)
    for h in (weft.hessian(loss), weft.jacrev(weft.grad(loss)), weft.jacfwd(weft.jacfwd(loss))):
        got = wrap(h)(X)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(got, got.T, rtol=1e-9, atol=1e-12)
    assert weft.hessian(f)(X).shape == (3, 3, 3)
    assert weft.hessian(lambda s: s**3)(2.0) == 12.0


def test_trees_and_argnums():
    def f(p, y, n):
        assert type(n) is int
        return {"a": p["w"] * y, "b": (np.sum(p["w"]) * y, p["c"])}

    p = {"w": np.array([1.0, 2.0]), "c": 3.0}
    for way in (weft.jacfwd, weft.jacrev):
        got = way(f)(p, 2.0, 7)
        np.testing.assert_array_equal(got["a"]["w"], 2 * np.eye(2))
        np.testing.assert_array_equal(got["a"]["c"], np.zeros(2))
        np.testing.assert_array_equal(got["b"][0]["w"], [2.0, 2.0])
        assert got["b"][1]["c"] == 1.0 and type(got["b"][1]["c"]) is np.float64
        by_p, by_y = way(f, argnums=(0, 1))(p, 2.0, 7)["a"]
        np.testing.assert_array_equal(by_p["w"], 2 * np.eye(2))
        np.testing.assert_array_equal(by_y, p["w"])
        np.testing.assert_array_equal(way(f, argnums=-1)(p, 2.0, n=7)["a"], p["w"])
    second = weft.hessian(lambda p: np.sum(p["w"] ** 2) * p["c"])(p)
    np.testing.assert_array_equal(second["w"]["w"], 6 * np.eye(2))
    np.testing.assert_array_equal(second["w"]["c"], 2 * p["w"])
    assert second["c"]["c"] == 0


def test_dtypes():
    x = X.astype(np.float32)
    assert weft.jacrev(np.sin)(x).dtype == np.float32 and weft.jacfwd(np.sin)(x).dtype == np.float32
    assert weft.jacfwd(lambda x: x.astype(np.float64))(x).dtype == np.float64


def test_has_aux():
    got, aux = weft.jacrev(lambda x: (x * x, {"note": "as it was", "n": x.sum()}), has_aux=True)(X)
    np.testing.assert_allclose(got, np.diag(2 * X))
    assert aux["note"] == "as it was" and aux["n"] == pytest.approx(X.sum())
    got, aux = weft.jacfwd(lambda x: (x * x, x.sum()), has_aux=True)(X)
    np.testing.assert_allclose(got, np.diag(2 * X))
    assert aux == pytest.approx(X.sum())
    got, aux = weft.hessian(lambda x: (np.sum(x**3), x[0]), has_aux=True)(X)
    np.testing.assert_allclose(got, np.diag(6 * X))
    assert aux == X[0]


def test_under_other_transforms():
    xs = rng.normal(size=(4, 3))
    each = np.stack([weft.jacrev(looped)(x) for x in xs])
    for wrap in (lambda f: f, weft.compile):
        np.testing.assert_allclose(wrap(weft.vmap(weft.jacrev(looped)))(xs), each, rtol=1e-9)
        np.testing.assert_allclose(wrap(weft.vmap(weft.jacfwd(looped)))(xs), each, rtol=1e-9)
    size = lambda x: np.sum(weft.jacrev(curve)(x) ** 2)  # noqa: E731
    np.testing.assert_allclose(weft.grad(size)(X), difference(size, X), rtol=1e-6)


def test_results_are_arrays_of_their_own():
    p = {"a": X.copy(), "b": X.copy()}
    got = weft.jacrev(lambda p: (p["a"], p["b"]))(p)
    for leaf in weft.tree.leaves(got):
        leaf += 1
    np.testing.assert_array_equal(got[0]["a"], np.eye(3) + 1)
    np.testing.assert_array_equal(got[0]["b"], np.ones((3, 3)))


def test_what_is_refused():
    with pytest.raises(errors.GradientError, match=r"differentiate by n, which is int64\[3\]"):
        weft.jacrev(lambda n: n * 2)(np.arange(3))
    with pytest.raises(errors.GradientError, match=r"differentiate by n, which is int64\[3\]"):
        weft.jacfwd(lambda n: n * 2)(np.arange(3))
    with pytest.raises(errors.GradientError, match=r"of floats by floats, and the result\[1\] is bool\[3\]"):
        weft.jacrev(lambda x: (x, x > 0))(X)
    with pytest.raises(ValueError, match="argnums=1, but the call has 1"):
        weft.jacfwd(np.sin, argnums=1)(X)


@pytest.mark.peers
def test_against_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    f = lambda xp: lambda x: {"y": xp.tanh(A @ x), "z": (x[0] * x,)}  # noqa: E731
    for name in ("jacfwd", "jacrev", "hessian"):
        got, want = getattr(weft, name)(f(np))(X), getattr(jax, name)(f(jax.numpy))(X)
        np.testing.assert_allclose(got["y"], want["y"], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(got["z"][0], want["z"][0], rtol=1e-10, atol=1e-12)
