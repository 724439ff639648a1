"""Slices whose extent moves with a loop: values, gradients, what the kernels do, what is refused."""

import copy
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs, random_arguments

import weft
from tests.against_numpy import interpreted
from weft import errors
from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.ir.text import print_graph
from weft.ir.verify import verify
from weft.passes.trim import trim
from weft.pipeline import Stages

rolled = weft.rolled
X = np.random.default_rng(5).standard_normal(11)
A = np.random.default_rng(6).standard_normal((9, 9))


def same(f, *arguments, rtol=1e-12):
    """By the interpreter and compiled: NumPy's result, and what it leaves in the arguments. `f` has a rolled loop."""
    numpys = copy.deepcopy(arguments)
    want = f(*numpys)
    for compiler in (interpreted, weft.compile):
        ours = copy.deepcopy(arguments)
        got = compiler(f)(*ours)
        for g, w in zip(weft.tree.leaves([got, ours]), weft.tree.leaves([want, numpys]), strict=True):
            np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol)
            assert np.asarray(g).dtype == np.asarray(w).dtype


PARTS = {
    "x[i:]": lambda x, i: x[i:],
    "x[:i]": lambda x, i: x[:i],
    "x[i:7]": lambda x, i: x[i:7],
    "x[i:-2]": lambda x, i: x[i:-2],
    "x[3:i]": lambda x, i: x[3:i],
    "x[-3:i]": lambda x, i: x[-3:i],
    "x[i:i+3]": lambda x, i: x[i : i + 3],
    "x[i:2*i]": lambda x, i: x[i : 2 * i],
    "x[-i:]": lambda x, i: x[-i:],
    "x[:-i]": lambda x, i: x[:-i],
    "x[i::-1]": lambda x, i: x[i::-1],
    "x[:i:-1]": lambda x, i: x[:i:-1],
    "x[i+2:i:-1]": lambda x, i: x[i + 2 : i : -1],
    "x[i:][::-1]": lambda x, i: x[i:][::-1],
    "x[i:][:-1]": lambda x, i: x[i:][:-1],
    "x[i:][2:5]": lambda x, i: x[i:][2:5],
    "x[:i][i//2:]": lambda x, i: x[:i][i // 2 :],
    "x[::2][i:]": lambda x, i: x[::2][i:],
    "np.flip": lambda x, i: np.flip(x[i:]),
    "x[i:] + 1": lambda x, i: x[i:] + 1,
    "x[:i] * x[-1]": lambda x, i: x[:i] * x[-1],
    "1 / (1 + x[i:] ** 2)": lambda x, i: 1 / (1 + x[i:] ** 2),
    "np.where": lambda x, i: np.where(x[:i] > 0, x[:i], 2.0),
    "x[i:].copy()": lambda x, i: x[i:].copy(),
    "x[i:].astype(int)": lambda x, i: (10 * x[i:]).astype(np.int64),
    "np.zeros_like": lambda x, i: np.zeros_like(x[i:]),
    "np.outer": lambda x, i: np.outer(x[i:], x[:i]).sum(0),
    "x[i:, None]": lambda x, i: (x[i:, None] + x[None, :3]).sum(1),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts(name):
    """At places before, in and behind the array: which elements, in which order, and how many."""
    part = PARTS[name]

    def f(x):
        out = np.zeros((len(x) + 6, 2))
        for i in rolled(range(-3, len(x) + 3)):
            shown = part(x, i)
            digest = 0.0
            for v in shown:
                digest = 0.5 * digest + v
            out[i + 3, 0] = digest
            out[i + 3, 1] = len(shown) + shown.shape[0] * shown.size
        return out

    same(f, X)


TAKEN = {
    "sum": lambda v: v.sum(),
    "prod": lambda v: v.prod(),
    "mean": lambda v: v.mean(),
    "var": lambda v: v.var(),
    "max": lambda v: v.max(),
    "argmin": lambda v: np.argmin(v),
    "any": lambda v: (v > 1).any(),
    "all": lambda v: (v > -1).all(),
    "dot": lambda v: v @ v,
    "norm": lambda v: np.linalg.norm(v),
    "ptp": lambda v: np.ptp(v),
    "count_nonzero": lambda v: np.count_nonzero(v > 0),
    "softmax": lambda v: (np.exp(v - v.max()) / np.exp(v - v.max()).sum())[0],
    "v[0]": lambda v: v[0],
    "v[-1]": lambda v: v[-1],
}


@pytest.mark.parametrize("name", TAKEN)
def test_taken_of_a_part(name):
    take = TAKEN[name]

    def f(x):
        out = np.zeros((len(x), 2))
        for i in rolled(range(len(x))):
            out[i, 0] = take(x[i:])
            out[i, 1] = take(x[: i + 1])
        return out

    same(f, X)


def grows(a, b):
    for i in rolled(range(len(a))):
        b[i, i:] = a[i:, i]
        b[i:, i] += a[i, i:] * 2
        b[:i, :i] += a[:i, :i].T
    return b[1:]


def backwards(x):
    for k in rolled(range(len(x))):
        x[:k][::-1] += x[:k] * 0.5
        x[k - 1 :: -1] *= 1.1
        x[k:] = x[k]


def swapped(a):
    for k in rolled(range(len(a) - 1)):
        t = a[k, k:].copy()
        a[k, k:] = a[k + 1, k:]
        a[k + 1, k:] = t
    return a


def rows_of_zeros(a):
    """Parts of one row, of none."""
    out = np.zeros(len(a))
    for i in rolled(range(len(a))):
        a[i : i + 1, i:] -= 1.0
        out[i] = a[i:i].sum() + a[i : i + 1].sum()
    return out


def by_mask(x):
    for i in rolled(range(len(x))):
        part = x[i:]
        x[i:] = np.where(part > 0.5, part - 0.5, part)


def by_data(x, n):
    """Not the loop but the data says how many."""
    k = n.sum()
    x[:k] = x[:k] * 2 + x[k : 2 * k].sum()
    return x[k:].mean()


@pytest.mark.parametrize("f, arguments", [
    (grows, (A, A.T.copy())), (backwards, (X,)), (swapped, (A,)), (rows_of_zeros, (A,)), (by_mask, (X,)),
    (by_data, (X, np.array([True, False, True, True]))), (rows_of_zeros, (np.ones((1, 1)),)),
], ids=lambda p: getattr(p, "__name__", ""))  # fmt: skip
def test_writes(f, arguments):
    same(f, *arguments)


def bound(code, i, n):
    """A slice's bound by number: of the array, of the trip, or none."""
    return (None, i, i + 1, n - i, i - 3, -i, 2, -2, n, i + 4)[code]


@given(st.lists(st.integers(0, 9), min_size=6, max_size=6), st.sampled_from([1, -1]), st.sampled_from([1, 2, 5]))
def test_any_bounds(codes, step, n):
    """Reads and writes by whatever bounds, in arrays of whatever size."""

    def f(x, a):
        total = 0.0
        for i in rolled(range(n)):
            lo, hi, p, q, s, t = (bound(c, i, n) for c in codes)
            part = x[lo:hi:step] if step == 1 else x[hi:lo:step]
            total = total + part.sum() * (i + 1) + part.size
            a[p:q, s:t] *= 1.5
            a[p:q, i] += part.sum()
        return total + a[i:].sum()

    rng = np.random.default_rng(sum(codes))
    same(f, rng.standard_normal(n), rng.standard_normal((n, n)))


# ---- derivatives


def smooth(x, a):
    """All that has a rule of its own."""
    total = 0.0
    for i in rolled(range(1, len(x))):
        part = x[:i]
        total = total + np.sin(part).sum() * part.mean() + (part / (2 + x[i])).prod() + part.max()
        total = total + (a[i:, :i] @ part).sum() + part[::-1] @ a[:i, i] + (a[:i, :i] @ a[:i, i:]).sum()
        total = total + (x[i] / (3 + a[i, :i])).sum() + np.outer(part, a[i, i:]).var()
        a[i, :i] = part * a[0, 0]
        a[i:, i] *= x[0]
    return total + (a * a).sum()


@pytest.mark.parametrize("compiler", [weft.compile, lambda f: f], ids=["compiled", "interpreted"])
def test_gradients(compiler):
    """What lies behind a part, in memory or in a value, must not come into it: there are zeros to divide by."""
    x, a = 0.5 * X[:7], 0.3 * A[:7, :7]
    a[:, 3] = 0.0
    found = compiler(weft.grad(smooth, argnums=(0, 1)))(x.copy(), a.copy())
    rng = np.random.default_rng(0)
    for k, array in enumerate((x, a)):
        d = rng.standard_normal(array.shape)

        def at(t, k=k, d=d):
            moved = [x.copy(), a.copy()]
            moved[k] += t * d
            return smooth(*moved)

        h = 1e-4
        want = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        np.testing.assert_allclose(np.sum(found[k] * d), want, rtol=1e-6)


def triangle(x):
    total = 0.0
    for i in rolled(range(len(x))):
        total = total + (x[: i + 1] ** 3).sum() * x[i] + np.exp(x[i:]).sum()
    return total


def test_second_derivatives():
    x, d = 0.5 * X[:6], np.cos(np.arange(6.0))
    gradient = weft.grad(triangle)
    product = weft.compile(lambda x: weft.jvp(gradient, (x,), (d,))[1])(x)
    h = 1e-5
    np.testing.assert_allclose(product, (gradient(x + h * d) - gradient(x - h * d)) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(product, weft.grad(lambda x: gradient(x) @ d)(x), rtol=1e-12)


# ---- what the kernels do


def kernel_ir(f, *arguments):
    return weft.compile(f).lower(*arguments).kernel_ir


def test_loops_end_at_the_length():
    """In a product with a part, a sum over it and a write of it there is no element too many."""

    def f(L, b):
        x = np.zeros_like(b)
        for i in rolled(range(len(b))):
            x[i] = b[i] - L[i, :i] @ x[:i]
        return x

    text = kernel_ir(f, A, X[:9])
    loop = text[text.index("for c in [0, ") :].split("\n")[0]
    assert re.fullmatch(r"for c in \[0, end\w*\):  # vector", loop), text
    assert "where" not in text and "less" not in text


def rank_one(A):
    for k in rolled(range(len(A) - 1)):
        A[k + 1 :, k] /= A[k, k]
        A[k + 1 :, k + 1 :] -= np.outer(A[k + 1 :, k], A[k, k + 1 :])
    return A


def test_updates_are_done_in_place():
    """The column and the row are kept, the rest is updated where it lies: nothing as large as the array is copied."""
    stages = weft.compile(rank_one).lower(A)
    sizes = [v.type.size for op in stages.fused.walk() if op.kind.name == "call" for v in op.results]
    assert sizes.count(A.size) == 2 and max(n for n in sizes if n != A.size) <= 2 * len(A), sizes
    assert stages.kernel_ir.count(f"f64[{A.size}] inout") == 2
    assert f"f64[{A.size}] out" not in stages.kernel_ir


def test_what_is_stored_for_later_ends_there_too():
    def f(a, x):
        for i in rolled(range(len(x))):
            y = a[i:, i:] @ x[i:]
            x[i:] = y / np.sqrt(y @ y)
        return x

    text = kernel_ir(f, A, X[:9])
    assert not re.search(r"for [rc]\w* in \[0, 9\)", text), text
    same(f, A, X[:9])


def test_compile_time_does_not_grow():
    few, many = (weft.compile(rank_one).lower(np.eye(n)).trace for n in (10, 500))
    assert sum(1 for _ in few.walk()) == sum(1 for _ in many.walk())


MOVES = "moving_slice moving_update limit agree add mul sum max where argmax broadcast transpose reshape slice".split()


@given(graph=graphs(ops=MOVES, dtypes=("f64", "i64"), max_ops=14), seed=st.integers(0, 99))
def test_random_graphs(graph, seed):
    arguments = random_arguments(graph, seed)
    want = interpret(graph, arguments)
    verify(trim(graph))
    compiled = Stages(graph, check=True).compile()
    for got in (interpret(trim(graph), arguments), compiled([np.array(a) for a in arguments])):
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-12, atol=1e-12)


WAITING = """\
def main(a: f64[6], u: f64[3], k: i64[4]) -> f64[6]:
    n: i64 = max(k, axes=(0,))
    y: f64[6] = moving_update(a, u, i64(2), n)
    return y
"""


def test_a_length_is_worked_out_before_the_loop_that_it_ends():
    arguments = [np.arange(6.0), np.ones(3), np.array([0, 2, 1, 0])]
    (got,) = Stages(parse(WAITING)).compile()(arguments)
    np.testing.assert_array_equal(got, [0, 1, 1, 1, 4, 5])


TRIMMED = """\
def main(a: f64[8], x: f64[8], c: f64, s: i64, n: i64) -> (f64[8], f64):
    b: f64[8] = broadcast(c, shape=(8,))
    t: f64[8] = limit(b, f64(0.0), n, axis=0)
    u: f64[8] = mul(x, t)
    y: f64[8] = moving_update(a, u, s, n)
    v: f64[8] = limit(u, f64(0.0), n, axis=0)
    z: f64 = sum(v, axes=(0,))
    return y, z
"""


def test_trim():
    """A limit stays where somebody looks beyond it, and before a sum."""
    text = print_graph(trim(parse(TRIMMED)))
    assert text.count("limit(") == 1 and "mul(x, b)" in text and "limit(u," in text
    seen = TRIMMED.replace("return y, z", "return u, z")
    assert print_graph(trim(parse(seen))) == seen
    other = TRIMMED.replace("moving_update(a, u, s, n)", "moving_update(a, u, s, s)")
    assert "limit(b" in print_graph(trim(parse(other)))


# ---- what is refused, and what goes wrong when the code runs


def returned(x):
    return x[: x.sum().astype(np.int64)]


def carried(x):
    part = x[:3]
    for i in rolled(range(9)):
        part = x[i:]
    return part


def looked_at_later(x):
    for i in rolled(range(9)):
        part = x[i:]
    return part.sum()


def sorted_part(x):
    return sum(np.concatenate([x[i:], x]).sum() for i in rolled(range(9)))


REFUSED = [
    (returned, errors.UnsupportedError, "returns an array of a fixed size"),
    (carried, errors.ControlFlowError, "part has as many elements as the loop says"),
    (looked_at_later, errors.ControlFlowError, "it has another size in each trip"),
]


@pytest.mark.parametrize("f, kind, words", REFUSED, ids=lambda p: getattr(p, "__name__", ""))
def test_what_is_refused(f, kind, words):
    with pytest.raises(kind, match=words) as caught:
        weft.compile(f)(X)
    assert "test_moving.py" in str(caught.value) and str(caught.value).count("\n") < 15


def unequal(x):
    total = 0.0
    for i in rolled(range(4)):
        total = total + (x[i:] * x[: i + 5]).sum()
    return total


def emptied(x):
    total = 0.0
    for i in rolled(range(4)):
        total = total + x[:i].max()
    return total


def too_far(x):
    total = 0.0
    for i in rolled(range(4)):
        total = total + x[:i][2]
    return total


def cut_off(x):
    total = np.zeros(3)
    for i in rolled(range(len(x))):
        total = total + x[i : i + 3]
    return total


@pytest.mark.parametrize("f, kind, words", [
    (unequal, ValueError, "their lengths differ"), (emptied, ValueError, "zero-size array"),
    (too_far, IndexError, "out of bounds"), (cut_off, ValueError, "too few elements"),
], ids=lambda p: getattr(p, "__name__", ""))  # fmt: skip
def test_errors_of_a_run(f, kind, words):
    with pytest.raises(kind):
        f(X)
    for compiler in (interpreted, weft.compile):
        with pytest.raises(kind, match=words):
            compiler(f)(X)


def written_unequally(x, y):
    for i in rolled(range(len(x))):
        y[i:] = x[: i + 5] + x[i]
        y[: i + 2] += x[i:]


def test_what_goes_on_after_an_error_stays_in_its_array():
    """The arrays lie in larger ones, whose other elements must not be written."""
    around = np.arange(60.0)
    x, y = around[5:16], around[30:41]
    with pytest.raises(ValueError, match="lengths differ"):
        weft.compile(written_unequally)(x, y)
    others = [*range(5), *range(16, 30), *range(41, 60)]
    np.testing.assert_array_equal(around[others], others)


def test_how_large_a_part_can_be():
    """The array, or what its bounds are apart, from whichever side they are cut off."""

    def f(x):
        total = 0.0
        for t in rolled(range(len(x))):
            total = total + x[max(t - 2, 0) : t + 3].sum() + x[t : min(t + 4, 9)].sum() + x[t:].sum()
            total = total + x[np.maximum(t - 1, 1) : 2 * t - t + 2].sum()
        return total

    text = str(weft.compile(f).lower(X).trace)
    assert re.findall(r"moving_slice\(.*sizes=\((\d+),\)\)", text) == ["5", "4", "11", "3"]
    same(f, X)


def test_bounds_that_may_count_from_the_end():
    """`x[t + 2:t]` is empty, but not at t = -1; `x[max(t - 4, 0):t + 5]` has 9 elements at most, but not at t = -6."""

    def f(x):
        total = 0.0
        for t in rolled(range(-9, 3)):
            total = total + x[t + 2 : t].sum() + 10 * x[max(t - 4, 0) : t + 5].sum()
        return total

    same(f, np.arange(1.0, 15.0))


def test_a_size_that_fits_is_fixed():
    """Where nothing is cut off `x[t:t + k]` is an array of k elements, which may be kept and returned."""

    def f(x):
        best = x[:3]
        for t in rolled(range(len(x) - 2)):
            part = x[t : t + 3]
            best = np.where(part.sum() > best.sum(), part, best)
        return best, np.stack([best, best])

    same(f, X)
