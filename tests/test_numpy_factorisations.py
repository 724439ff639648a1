"""Linear systems, determinants and factorisations of traced matrices, against NumPy's."""

import numpy as np
import pytest
from against_numpy import agree, differentiates

import weft
from weft import errors


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def definite(*shape, dtype=np.float64, seed=0):
    a = normal(*shape, seed=seed)
    return (a @ np.swapaxes(a, -1, -2) + shape[-1] * np.eye(shape[-1])).astype(dtype)


SQUARE = {
    "inv": lambda a: np.linalg.inv(a),
    "det": lambda a: np.linalg.det(a),
    "slogdet": lambda a: np.linalg.slogdet(a),
    "solve": lambda a: np.linalg.solve(a, a[..., :2]),
    "solve_vector": lambda a: np.linalg.solve(a, np.arange(a.shape[-1])),
    "power": lambda a: np.linalg.matrix_power(a, -3),
    "cholesky": lambda a: np.linalg.cholesky(a),
    "cholesky_upper": lambda a: np.linalg.cholesky(a, upper=True),
    "eigh": lambda a: np.linalg.eigh(a),
    "eigh_upper": lambda a: np.linalg.eigh(a, UPLO="u"),
    "eigvalsh": lambda a: np.linalg.eigvalsh(a),
    "norm_nuc": lambda a: np.linalg.norm(a, "nuc", axis=(-1, -2), keepdims=True),
}
ANY = {
    "qr": lambda a: np.linalg.qr(a),
    "qr_complete": lambda a: np.linalg.qr(a, "complete"),
    "qr_r": lambda a: np.linalg.qr(a, mode="r"),
    "svd": lambda a: np.linalg.svd(a),
    "svd_reduced": lambda a: np.linalg.svd(a, full_matrices=False),
    "svd_values": lambda a: np.linalg.svd(a, compute_uv=False),
    "svdvals": lambda a: np.linalg.svdvals(a),
    "pinv": lambda a: np.linalg.pinv(a),
    "pinv_rtol": lambda a: np.linalg.pinv(a, rtol=0.3),
    "cond": lambda a: np.linalg.cond(a),
    "cond_least": lambda a: np.linalg.cond(a, -2),
    "rank": lambda a: np.linalg.matrix_rank(a),
    "rank_tol": lambda a: np.linalg.matrix_rank(a, tol=1.0),
    "rank_rtol": lambda a: np.linalg.matrix_rank(a, rtol=0.5),
    "norm_2": lambda a: np.linalg.norm(a, 2, axis=(-2, -1)),
    "norm_least": lambda a: np.linalg.norm(a, -2, axis=(-2, -1)),
}
TUPLES = {name for name in (*SQUARE, *ANY) if name.startswith(("eigh", "slogdet", "svd", "qr"))}


@pytest.mark.parametrize("name", SQUARE)
def test_square_matrices(name):
    f = SQUARE[name]
    integers = np.array([[4, 1, 0], [1, 3, 1], [0, 1, 5]])
    samples = [definite(3, 3), definite(2, 4, 4), definite(3, 3, dtype=np.float32), integers, integers.astype(np.uint8),
               np.asfortranarray(definite(3, 3)), definite(6, 6)[::2, ::2], definite(2, 1, 3, 3)]  # fmt: skip
    if "solve" not in name and "upper" not in name and "norm" not in name:
        samples += [np.zeros((0, 0)), np.zeros((0, 2, 2))]
    for sample in samples:  # one by one: the kinds of results are NumPy's
        if name in TUPLES:
            got, want = weft.compile(f)(sample), f(sample)
            assert type(got) is type(want)
        agree(lambda a: tuple(f(a)) if name in TUPLES else f(a), sample, ulps=16)
    agree(f, normal(3), normal(2, 3), normal(3, 3, dtype=np.float16), np.float64(2.0))


@pytest.mark.parametrize("name", ANY)
def test_matrices(name):
    f = ANY[name]
    for shape in ((4, 3), (3, 4), (3, 3), (2, 4, 3), (1, 1), (2, 1, 2, 3)):
        for dtype in (np.float64, np.float32):
            agree(lambda a: tuple(f(a)) if name in TUPLES else f(a), normal(*shape, dtype=dtype), ulps=16)
    agree(f, normal(3), normal(3, 3, dtype=np.float16)) if "rank" not in name else None


@pytest.mark.parametrize("shapes", [((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (3, 2)), ((3, 3), (2, 3, 2)),
                                    ((2, 1, 3, 3), (4, 3, 1)), ((3, 3), (2,)), ((2, 3, 3), (3, 3, 1))])  # fmt: skip
def test_right_sides(shapes):
    a, b = normal(*shapes[0]), normal(*shapes[1], seed=1)
    agree(np.linalg.solve, (a, b), (a.astype(np.float32), b), (a, (9 * b).astype(np.int32)), ulps=64)


def test_least_squares():
    single = normal(4, 2, dtype=np.float32), normal(4, dtype=np.float32)
    for a, b in ((normal(5, 3), normal(5, 2)), (normal(5, 3), normal(5)), (normal(3, 5), normal(3)),
                 (normal(3, 3), normal(3, 2)), single):  # fmt: skip
        for rcond in (None, 1e-3, -1.0):
            got = weft.compile(lambda a, b, rcond=rcond: np.linalg.lstsq(a, b, rcond))(a, b)
            want = np.linalg.lstsq(a, b, rcond)
            for g, w in zip(got, want, strict=True):
                np.testing.assert_allclose(g, w, rtol=1e-4 if a.dtype == np.float32 else 1e-12)
                assert np.asarray(g).dtype == np.asarray(w).dtype and np.shape(g) == np.shape(w)
    flawed = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    x, rest, rank, _ = weft.compile(lambda a, b: np.linalg.lstsq(a, b))(flawed, np.ones(3))
    np.testing.assert_allclose(x, np.linalg.lstsq(flawed, np.ones(3))[0])
    assert np.isnan(rest).all() and rank == 1


def test_tensors():
    a, b = normal(2, 3, 6), normal(2, 3)
    np.testing.assert_allclose(weft.compile(np.linalg.tensorsolve)(a, b), np.linalg.tensorsolve(a, b), rtol=1e-12)
    f = lambda a, b: np.linalg.tensorsolve(a, b, axes=(0,))  # noqa: E731
    a, b = normal(4, 2, 3, 6), normal(2, 3, 6)[..., :4].reshape(2, 12)[:, :12]
    a, b = normal(2, 3, 2, 3), normal(2, 3)
    np.testing.assert_allclose(weft.compile(np.linalg.tensorinv)(a), np.linalg.tensorinv(a), rtol=1e-9)
    a = normal(6, 2, 3)
    np.testing.assert_allclose(weft.compile(f)(np.moveaxis(a, 0, 2).transpose(2, 0, 1), b), f(a, b), rtol=1e-9)
    inverse = lambda a: np.linalg.tensorinv(a, ind=1)  # noqa: E731
    np.testing.assert_allclose(weft.compile(inverse)(a), inverse(a), rtol=1e-9)


SMOOTH = {
    "solve": lambda a: np.linalg.solve(a, a[:, :2] ** 2),
    "solve_vector": lambda a: np.linalg.solve(a, np.sin(a[0])),
    "inv": lambda a: np.linalg.inv(a),
    "det": lambda a: np.linalg.det(a),
    "slogdet": lambda a: np.linalg.slogdet(a)[1],
    "cholesky": lambda a: np.linalg.cholesky(a @ a.T),
    "cholesky_upper": lambda a: np.linalg.cholesky(a @ a.T, upper=True),
    "eigh": lambda a: np.linalg.eigh(a + a.T)[1] ** 2 @ np.arange(3.0),
    "eigenvalues": lambda a: np.linalg.eigh(a + a.T).eigenvalues,
    "eigvalsh": lambda a: np.linalg.eigvalsh(a, "U"),
    "qr": lambda a: np.linalg.qr(a)[0] * np.linalg.qr(a)[1],
    "qr_tall": lambda a: np.linalg.qr(a[:, :2])[0],
    "qr_wide": lambda a: np.linalg.qr(a[:2])[1],
    "qr_r": lambda a: np.linalg.qr(a, mode="r"),
    "svd": lambda a: np.linalg.svd(a)[0] ** 2 * np.linalg.svd(a)[2],
    "svd_values": lambda a: np.linalg.svd(a)[1],
    "svdvals": lambda a: np.linalg.svdvals(a[:2]),
    "pinv": lambda a: np.linalg.pinv(a[:, :2]),
    "lstsq": lambda a: np.linalg.lstsq(a[:, :2], a[:, 2])[0],
    "residuals": lambda a: np.linalg.lstsq(a[:, :2], a[:, 2])[1],
    "power": lambda a: np.linalg.matrix_power(a, -2),
    "norm_2": lambda a: np.linalg.norm(a, 2),
    "nuclear norm": lambda a: np.linalg.norm(a, "nuc"),
    "cond": lambda a: np.linalg.cond(a),
    "log likelihood": lambda a: np.linalg.slogdet(a @ a.T)[1] + a[0] @ np.linalg.solve(a @ a.T, a[0]),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name):
    """First and second ones against differences, and forward ones against backward ones."""
    f, a = SMOOTH[name], normal(3, 3, seed=4) + 2 * np.eye(3)
    differentiates(f, a)
    weights = np.random.default_rng(4).normal(size=np.shape(f(a)))
    differentiates(weft.grad(lambda a: np.sum(weights * f(a) ** 2)), a)
    t = np.random.default_rng(5).normal(size=a.shape)
    _, forward = weft.jvp(f, (a,), (t,))
    (backward,) = weft.vjp(f, a)[1](weights)
    np.testing.assert_allclose(np.vdot(weights, forward), np.vdot(backward, t), rtol=1e-10)
    compiled = weft.compile(weft.grad(lambda a: np.sum(weights * f(a))))(a)
    np.testing.assert_allclose(compiled, backward, rtol=1e-10, atol=1e-12)


def test_what_has_no_derivative():
    a = normal(3, 2)
    for f in (lambda a: np.linalg.svd(a)[0].sum(), lambda a: np.linalg.qr(a, "complete")[0].sum()):
        with pytest.raises(NotImplementedError, match="not determined"):
            weft.grad(f)(a)
    np.testing.assert_allclose(weft.grad(lambda a: np.linalg.svd(a)[1].sum())(a),
                               weft.grad(lambda a: np.linalg.svdvals(a).sum())(a), rtol=1e-12)  # fmt: skip


def test_equal_eigenvalues():
    """A function of the matrix alone, whichever vectors span its spaces."""

    def root(a):
        w, v = np.linalg.eigh(a)
        return np.sum((v * np.sqrt(w)) @ v.T)

    np.testing.assert_allclose(weft.grad(lambda s: root(s * np.eye(3)))(4.0), 3 * 0.25)
    assert np.isfinite(weft.grad(root)(4.0 * np.eye(3))).all()


@pytest.mark.parametrize("name", [*SQUARE, *ANY])
def test_lanes(name):
    f = (SQUARE | ANY)[name]
    a = definite(4, 3, 3) if name in SQUARE else normal(4, 3, 2)
    lanes = weft.compile(weft.vmap(f))(a)
    for k in range(4):
        mine, theirs = (x if isinstance(x, tuple) else (x,) for x in (lanes, f(a[k])))
        for got, want in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(got[k], want, rtol=1e-12, atol=1e-13)


def test_many_right_sides_are_one_system():
    a, b = normal(3, 3), normal(5, 3)
    f = weft.vmap(np.linalg.solve, in_axes=(None, 0))
    np.testing.assert_allclose(f(a, b), np.linalg.solve(a, b.T).T, rtol=1e-12)
    assert [line for line in weft.compile(f).lower(a, b).step.calls if "solve" in line] == [
        "solve f64[3, 3], f64[3, 5]"
    ]
    matrices = normal(5, 2, 3, 4)
    f = weft.vmap(np.linalg.solve, in_axes=(None, 0))
    np.testing.assert_allclose(f(a, matrices), np.linalg.solve(a, matrices), rtol=1e-12)
    jacobian = weft.jacrev(lambda b: np.linalg.solve(a, b))(b[0])
    np.testing.assert_allclose(jacobian, np.linalg.inv(a), rtol=1e-12)


# Errors.


def line_of_solve(a, b):
    c = a * 1.0
    return np.linalg.solve(c, b) + 1


SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize("f", [
    lambda a: np.linalg.inv(a), lambda a: np.linalg.cholesky(-a), lambda a: line_of_solve(a, a),
    lambda a: np.linalg.svd(a * np.nan), lambda a: np.linalg.matrix_power(a, -1),
])  # fmt: skip
def test_numpys_error_is_raised(f):
    run = weft.compile(f)
    for _ in range(3):
        with pytest.raises(np.linalg.LinAlgError) as caught:
            run(SINGULAR)
        assert any("test_numpy_factorisations.py" in note for note in caught.value.__notes__)


def test_an_error_loses_nothing():
    """Not the stacks of a loop, nor another call's results."""

    def f(a, n):
        total = 0.0
        for i in weft.rolled(range(n)):
            total = total + np.sum(np.linalg.inv(a - i * np.eye(2)) ** 2)
        return total

    run = weft.compile(weft.grad(f))
    a = np.array([[30.5, 1.0], [0.0, 3.0]])
    good = run(a, 3)
    for _ in range(20):
        with pytest.raises(np.linalg.LinAlgError):
            run(a, 9)
    np.testing.assert_array_equal(run(a, 3), good)
    x = a.copy()
    with pytest.raises(np.linalg.LinAlgError):
        weft.compile(lambda x: x.__setitem__(0, np.linalg.inv(x - x)[0]))(x)


def test_an_op_that_may_fail_stays_where_it_stands():
    """In a loop of no trips, in the branch that is not taken, in lanes that do not get there."""

    def loop(a, n):
        total = np.zeros((2, 2))
        for _ in range(n):
            total += np.linalg.inv(a)
        return total

    run = weft.compile(loop)
    np.testing.assert_array_equal(run(SINGULAR, 0), np.zeros((2, 2)))
    with pytest.raises(np.linalg.LinAlgError):
        run(SINGULAR, 1)

    def branch(a):
        return np.linalg.inv(a) if np.linalg.det(a) > 1e-9 else a

    many = np.array([SINGULAR, np.eye(2) * 2, SINGULAR, -np.eye(2)])
    wants = [branch(a) for a in many]
    for a, want in zip(many, wants, strict=True):
        np.testing.assert_allclose(weft.compile(branch)(a), want)
    np.testing.assert_allclose(weft.compile(weft.vmap(branch))(many), wants)

    def shared(a, flag):
        return np.linalg.inv(a) @ np.ones(2) if flag else np.ones(2)

    run = weft.compile(weft.vmap(shared, in_axes=(None, 0)))
    np.testing.assert_array_equal(run(SINGULAR, np.array([False, False])), np.ones((2, 2)))
    np.testing.assert_array_equal(run(2 * np.eye(2), np.array([False, True])), [[1, 1], [0.5, 0.5]])
    with pytest.raises(np.linalg.LinAlgError):
        run(SINGULAR, np.array([False, True]))


def test_what_is_refused():
    for f, error in (
        (lambda a: np.linalg.inv(a[:2]), ValueError),
        (lambda a: np.linalg.inv(a[0]), ValueError),
        (lambda a: np.linalg.solve(a, a[:2]), ValueError),
        (lambda a: np.linalg.lstsq(a, a[0, :2]), ValueError),
        (lambda a: np.linalg.qr(a, "full"), ValueError),
        (lambda a: np.linalg.eigh(a, "X"), ValueError),
        (lambda a: np.linalg.tensorinv(a, 0), ValueError),
        (lambda a: np.linalg.inv(a.astype(np.float16)), TypeError),
        (lambda a: np.linalg.qr(a, "raw"), errors.UnsupportedError),
        (lambda a: np.linalg.svd(a, hermitian=True), errors.UnsupportedError),
        (lambda a: np.linalg.pinv(a, hermitian=True), errors.UnsupportedError),
        (lambda a: np.linalg.cond(a, "fro"), errors.UnsupportedError),
        (lambda a: np.linalg.eig(a), errors.UnsupportedError),
        (lambda a: np.linalg.matrix_rank(a, tol=1, rtol=1), ValueError),
        (lambda a: np.linalg.pinv(a, 1, rtol=1), ValueError),
    ):
        with pytest.raises(error):
            weft.compile(f)(normal(3, 3))
