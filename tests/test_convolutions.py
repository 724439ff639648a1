"""Convolutions written in NumPy: values, first and second derivatives, in both layouts; that they run by blocks."""

import numpy as np
import pytest
from convolution_forms import FORMS, GRADIENT_COPIES, image, last_einsum, last_tensordot
from hypothesis import given, settings
from hypothesis import strategies as st
from rewriting import graph_of

import weft
from weft.ir.interpret import interpret
from weft.ir.verify import verify
from weft.ir.views import view_of
from weft.passes.convolutions import convolutions, merged_axes
from weft.passes.dce import dce
from weft.passes.shifts import shifts

TOLERANCE = {"f4": 2e-4, "f8": 1e-11}


def close(got, want, dtype):
    for g, w in zip(got, want, strict=True):
        assert g.dtype == w.dtype and g.shape == w.shape
        scale = np.abs(w).max(initial=0) or 1
        assert np.abs(g - w).max(initial=0) <= TOLERANCE[dtype] * scale


def both(f, x, k):
    return weft.compile(weft.grad(f, argnums=(0, 1)))(x, k), weft.grad(f, argnums=(0, 1))(x, k)


def blocks(stages):
    return [line for line in stages.step.calls if "windows" in line]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", FORMS)
def test_values_and_derivatives(name, dtype):
    rng = np.random.default_rng(0)
    f, x = FORMS[name], image(rng, name, (3, 9, 8, 2), dtype)
    k = rng.standard_normal((3, 2, 2, 4)).astype(dtype)
    y = f(x, k)
    close([weft.compile(f)(x, k)], [y], dtype)
    weights = rng.standard_normal(y.shape).astype(dtype)

    def loss(x, k):
        return np.sum(weights * np.tanh(f(x, k)))

    def slope(x, k):
        return sum(np.sum(g * g) for g in weft.grad(loss, argnums=(0, 1))(x, k))

    for function in (loss, slope):
        close(*both(function, x, k), dtype)


@pytest.mark.parametrize("name", FORMS)
def test_gradients_are_finite_differences(name):
    rng = np.random.default_rng(1)
    f, x = FORMS[name], image(rng, name, (2, 6, 5, 2), "f8")
    k = rng.standard_normal((2, 3, 2, 3))
    weights = rng.standard_normal(f(x, k).shape)
    loss = lambda x, k: np.sum(weights * np.sin(f(x, k)))  # noqa: E731
    gradients = weft.compile(weft.grad(loss, argnums=(0, 1)))(x, k)
    for _ in range(3):
        dx, dk = rng.standard_normal(x.shape), rng.standard_normal(k.shape)
        h = 1e-6
        slope = (loss(x + h * dx, k + h * dk) - loss(x - h * dx, k - h * dk)) / (2 * h)
        assert abs(slope - np.sum(gradients[0] * dx) - np.sum(gradients[1] * dk)) < 1e-6 * max(1, abs(slope))


@pytest.mark.parametrize("name", FORMS)
def test_columns_are_never_made_as_a_whole(name):
    rng = np.random.default_rng(2)
    f, x = FORMS[name], image(rng, name, (8, 20, 20, 4), "f4")
    k = rng.standard_normal((3, 3, 4, 4)).astype("f4")
    stages = weft.compile(weft.grad(lambda x, k: np.sum(f(x, k) ** 2), argnums=(0, 1))).lower(x, k)
    assert len(blocks(stages)) == (2 if name in GRADIENT_COPIES else 3)
    forward = weft.compile(f).lower(x, k)
    assert len(blocks(forward)) == 1 and forward.memory.arena <= 2 * x.nbytes
    if name not in GRADIENT_COPIES:  # what is padded, and the result in two layouts
        assert stages.memory.arena < 6 * x.nbytes


shapes = st.tuples(st.integers(0, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(FORMS)),
    shape=shapes,
    size=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    seed=st.integers(0, 99),
)
def test_any_sizes(name, shape, size, seed):
    """Also none, one, and windows as large as the image."""
    spread = 2 if "dilated" in name else 1
    if name in ("last_stacked", "last_im2col", "first_columns", "last_concatenated") and not shape[0]:
        shape = (1, *shape[1:])  # NumPy can't tell a size of -1 there
    kernel = (min(size[0], (shape[1] - 1) // spread + 1), min(size[1], (shape[2] - 1) // spread + 1), shape[3], size[2])
    rng = np.random.default_rng(seed)
    f, x, k = FORMS[name], image(rng, name, shape, "f8"), rng.standard_normal(kernel)
    close([weft.compile(f)(x, k)], [f(x, k)], "f8")
    close(*both(lambda x, k: np.sum(np.sin(f(x, k))), x, k), "f8")


def test_along_one_axis_and_along_three():
    rng = np.random.default_rng(3)
    windows = np.lib.stride_tricks.sliding_window_view
    x, k = rng.standard_normal((4, 300)), rng.standard_normal(20)
    close([weft.compile(lambda x, k: windows(x, 20, axis=1) @ k)(x, k)], [windows(x, 20, axis=1) @ k], "f8")
    close(*both(lambda x, k: np.sum((windows(x, 20, axis=1) @ k) ** 2), x, k), "f8")
    x, k = rng.standard_normal((2, 5, 6, 7, 2)), rng.standard_normal((2, 3, 2, 2, 3))
    solid = lambda x, k: np.einsum("bxyzcijk,ijkco->bxyzo", windows(x, (2, 3, 2), axis=(1, 2, 3)), k)  # noqa: E731
    close([weft.compile(solid)(x, k)], [solid(x, k)], "f8")
    close(*both(lambda x, k: np.sum(solid(x, k) ** 2), x, k), "f8")


def test_of_many_lanes_and_in_a_loop():
    rng = np.random.default_rng(4)
    x, k = rng.standard_normal((5, 2, 6, 6, 2)), rng.standard_normal((3, 3, 2, 2))
    many = weft.compile(weft.vmap(last_einsum, in_axes=(0, None)))
    close([many(x, k)], [np.stack([last_einsum(one, k) for one in x])], "f8")
    kernels = rng.standard_normal((5, *k.shape))
    each = weft.compile(weft.vmap(last_tensordot))
    close([each(x, kernels)], [np.stack(list(map(last_tensordot, x, kernels)))], "f8")

    def repeated(x, k, n):
        for _ in range(n):
            x = np.tanh(last_einsum(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), k))
        return np.sum(x * x)

    close([weft.compile(repeated)(x[0], k, 12)], [repeated(x[0], k, 12)], "f8")
    gradient = weft.compile(weft.grad(lambda x, k: repeated(x, k, 12), argnums=(0, 1)))
    close(gradient(x[0], k), weft.grad(lambda x, k: repeated(x, k, 12), argnums=(0, 1))(x[0], k), "f8")


def test_the_same_bits_for_any_number_of_threads():
    rng = np.random.default_rng(5)
    x, k = rng.standard_normal((8, 30, 30, 4), np.float32), rng.standard_normal((3, 3, 4, 8), np.float32)
    f = weft.compile(weft.grad(lambda x, k: np.sum(last_einsum(x, k) ** 2), argnums=(0, 1)))
    results = []
    for n in (1, 2):
        with weft.threads(n):
            results.append([g.tobytes() for g in f(x, k)])
    assert results[0] == results[1]


def test_integers_and_half_have_their_own_loops():
    rng = np.random.default_rng(6)
    x, k = rng.integers(-5, 5, (2, 6, 6, 2)), rng.integers(-5, 5, (3, 3, 2, 2))
    assert np.array_equal(weft.compile(last_tensordot)(x, k), last_tensordot(x, k))
    half = weft.compile(last_tensordot)(x.astype("f2"), k.astype("f2"))
    assert half.dtype == np.float16 and np.array_equal(half, last_tensordot(x, k).astype("f2"))


# ---- rewriting -----------------------------------------------------------------------------------------


def test_a_gradient_becomes_a_convolution():
    before = graph_of(
        """
        def main(g: f64[6, 2], w: f64[3, 4, 2]) -> f64[8, 4]:
            t: f64[6, 3, 4] = dot(g, w, batch=((), ()), contract=((1,), (2,)))
            p: f64[10, 3, 4] = pad(t, f64(0.0), low=(2, 0, 0), high=(2, 0, 0))
            r: f64[10, 3, 4] = reverse(p, axes=(1,))
            s: f64[8, 3, 4] = shear(r, axes=(0,), along=(1,))
            y: f64[8, 4] = sum(s, axes=(1,))
            return y
        """
    )
    after = dce(verify(convolutions(before)))
    assert [op.kind.name for op in after.ops if op.kind.name != "constant"] == ["pad", "windows", "reverse", "dot"]
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal(v.shape) for v in before.inputs]
    np.testing.assert_allclose(interpret(after, arguments)[0], interpret(before, arguments)[0], rtol=1e-12)


def test_strides_and_dilation_in_a_gradient():
    """What stands between the windows and the product goes to the operands."""
    before = graph_of(
        """
        def main(g: f64[5, 2], w: f64[4, 2]) -> f64[15]:
            t: f64[5, 4] = dot(g, w, batch=((), ()), contract=((1,), (1,)))
            u: f64[9, 7] = dilate(t, step=(2, 2))
            p: f64[21, 7] = pad(u, f64(0.0), low=(6, 0), high=(6, 0))
            r: f64[21, 7] = reverse(p, axes=(1,))
            s: f64[15, 7] = shear(r, axes=(0,), along=(1,))
            y: f64[15] = sum(s, axes=(1,))
            return y
        """
    )
    after = dce(verify(convolutions(before)))
    kinds = [op.kind.name for op in after.ops if op.kind.name != "constant"]
    assert kinds == ["dilate", "pad", "windows", "reverse", "slice", "dot"]  # no dilated w: every second place instead
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal(v.shape) for v in before.inputs]
    np.testing.assert_allclose(interpret(after, arguments)[0], interpret(before, arguments)[0], rtol=1e-12)


def test_few_places_of_long_windows_stay_a_product():
    """Most of what a convolution would multiply there is padding."""
    text = """
        def main(g: f64[2, 2], w: f64[40, 2]) -> f64[41]:
            t: f64[2, 40] = dot(g, w, batch=((), ()), contract=((1,), (1,)))
            p: f64[80, 40] = pad(t, f64(0.0), low=(39, 0), high=(39, 0))
            r: f64[80, 40] = reverse(p, axes=(1,))
            s: f64[41, 40] = shear(r, axes=(0,), along=(1,))
            y: f64[41] = sum(s, axes=(1,))
            return y
    """
    assert "windows" not in str(convolutions(graph_of(text)))


def test_shifted_products_are_one():
    before = graph_of(
        """
        def main(x: f64[8, 2], w: f64[3, 2, 5]) -> f64[6, 5]:
            x0: f64[6, 2] = slice(x, start=(0, 0), stop=(6, 2), step=(1, 1))
            x1: f64[6, 2] = slice(x, start=(1, 0), stop=(7, 2), step=(1, 1))
            x2: f64[6, 2] = slice(x, start=(2, 0), stop=(8, 2), step=(1, 1))
            s0: f64[1, 2, 5] = slice(w, start=(0, 0, 0), stop=(1, 2, 5), step=(1, 1, 1))
            s1: f64[1, 2, 5] = slice(w, start=(1, 0, 0), stop=(2, 2, 5), step=(1, 1, 1))
            s2: f64[1, 2, 5] = slice(w, start=(2, 0, 0), stop=(3, 2, 5), step=(1, 1, 1))
            w0: f64[2, 5] = reshape(s0, shape=(2, 5))
            w1: f64[2, 5] = reshape(s1, shape=(2, 5))
            w2: f64[2, 5] = reshape(s2, shape=(2, 5))
            y0: f64[6, 5] = dot(x0, w0, batch=((), ()), contract=((1,), (0,)))
            y2: f64[6, 5] = dot(x2, w2, batch=((), ()), contract=((1,), (0,)))
            y1: f64[6, 5] = dot(x1, w1, batch=((), ()), contract=((1,), (0,)))
            a: f64[6, 5] = add(y0, y2)
            y: f64[6, 5] = add(a, y1)
            return y
        """
    )
    after = dce(verify(shifts(before)))
    assert sum(op.kind.name == "dot" for op in after.ops) == 1 and "windows" in str(after)
    assert "concatenate" not in str(after)  # the w are all of w
    rng = np.random.default_rng(0)
    arguments = [rng.standard_normal(v.shape) for v in before.inputs]
    np.testing.assert_allclose(interpret(after, arguments)[0], interpret(before, arguments)[0], rtol=1e-12)


def test_products_of_other_places_stay():
    """Two shifts of three, and one twice, are no windows."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((9, 2)), rng.standard_normal((4, 2, 5))

    def uneven(x, w):
        return x[0:5] @ w[0] + x[1:6] @ w[1] + x[4:9] @ w[2] + x[1:6] @ w[3]

    close([weft.compile(uneven)(x, w)], [uneven(x, w)], "f8")
    close(*both(lambda x, w: np.sum(np.sin(uneven(x, w))), x, w), "f8")
    assert not blocks(weft.compile(uneven).lower(x, w))


def test_which_axes_a_reshape_merges():
    assert merged_axes((4, 3, 2), (12, 2)) == [(0, 1), (2,)]
    assert merged_axes((4, 1, 2), (4, 2)) == [(0, 1), (2,)]
    assert merged_axes((4, 6), (8, 3)) is None and merged_axes((4, 6), (24,)) == [(0, 1)]
    assert merged_axes((4,), (4, 1)) == [(0,), ()]


def test_what_movement_shows():
    graph = graph_of(
        """
        def main(x: f64[8, 5]) -> f64[2, 3, 3]:
            a: f64[6, 5, 3] = windows(x, axes=(0,), sizes=(3,))
            b: f64[3, 5, 6] = transpose(a, perm=(2, 1, 0))
            c: f64[3, 5, 6] = reverse(b, axes=(1,))
            y: f64[2, 3, 3] = slice(c, start=(1, 0, 0), stop=(3, 5, 6), step=(1, 2, 2))
            return y
        """
    )
    view = view_of(graph.outputs[0], graph.producers().get)
    x = np.arange(40.0).reshape(8, 5)
    (y,) = interpret(graph, [x])
    index = np.indices(y.shape)
    at = [lo + sum(s.get(d, 0) * index[i] for i, s in enumerate(view.steps)) for d, lo in enumerate(view.start)]
    assert view.source is graph.inputs[0] and np.array_equal(x[tuple(at)], y)
    assert view.overlaps(y.shape) and view.strides == (5, -2, 10)


# ---- a network -----------------------------------------------------------------------------------------


def pooled(h):
    b, m, n, c = h.shape
    return h[:, : m // 2 * 2, : n // 2 * 2].reshape(b, m // 2, 2, n // 2, 2, c).max(axis=(2, 4))


def network(form):
    def loss(params, x, y):
        k1, b1, k2, b2, w, b = params
        h = pooled(np.maximum(form(x, k1) + b1, 0))
        h = pooled(np.maximum(form(h, k2) + b2, 0))
        z = h.reshape(len(h), -1) @ w + b
        z = z - z.max(axis=1, keepdims=True)
        z = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
        return -np.mean(np.sum(y * z, axis=1))

    return loss


@pytest.mark.parametrize("name", [n for n in FORMS if n.startswith("last") and "strided" not in n and "dil" not in n])
def test_a_network_learns_as_in_numpy(name):
    rng = np.random.default_rng(0)
    loss = network(FORMS[name])
    shapes = [(3, 3, 1, 4), (4,), (3, 3, 4, 6), (6,), (2 * 2 * 6, 3), (3,)]
    params = [rng.standard_normal(s) * 0.3 for s in shapes]
    x, y = rng.standard_normal((5, 14, 14, 1)), np.eye(3)[rng.integers(0, 3, 5)]

    @weft.compile
    def step(params, x, y):
        value, grads = weft.value_and_grad(loss)(params, x, y)
        return value, weft.tree.map(lambda p, g: p - 0.1 * g, params, grads)

    value, new = step(params, x, y)
    np.testing.assert_allclose(value, loss(params, x, y), rtol=1e-12)
    for i, p in enumerate(params):
        d = rng.standard_normal(p.shape)
        moved = lambda h: [q + h * d if j == i else q for j, q in enumerate(params)]  # noqa: B023, E731
        slope = (loss(moved(1e-6), x, y) - loss(moved(-1e-6), x, y)) / 2e-6
        assert abs(slope - np.sum((p - new[i]) / 0.1 * d)) < 1e-6
    for _ in range(30):
        value, params = step(params, x, y)
    assert value < loss(new, x, y) / 2
