"""Variables that exchange arrays which the caller knows, in loops and branches: every array ends as NumPy leaves it."""

import copy

import numpy as np
import pytest

import weft
from tests.against_numpy import interpreted
from weft import errors

rng = np.random.default_rng(0)
U, V, W = rng.standard_normal((3, 7))


def smoothed(u):
    return 0.5 * (u[2:] + u[:-2])


def heat(u, v, n):
    for _ in range(n):
        v[1:-1] = smoothed(u)
        u, v = v, u
    return u, v.sum()


def from_one(u, v, n):
    new = np.zeros_like(u)
    for _ in range(n):
        new[1:-1] = smoothed(u) + v[1:-1]
        u, new = new, u
    return u


def by_a_third_name(u, v, n):
    for _ in range(n):
        v[1:-1] = smoothed(u)
        tmp = u
        u = v
        v = tmp
    return u - v


def step(u, v):
    v[1:-1] = smoothed(u)
    return v, u


def in_a_function(u, v, n):
    for _ in range(n):
        u, v = step(u, v)
    return u


def written_after(u, v, n):
    for _ in range(n):
        v[1:-1] = smoothed(u)
        u, v = v, u
    u[0] = 5.0
    v[1:3] += u[0]
    return u * 1, v[1]


def twice(u, v, n):
    for _ in range(n):
        v[1:-1] = smoothed(u)
        u, v = v, u
    u[2] = 7.0
    for _ in range(n + 1):
        v[1:-1] = 2.0 - smoothed(u)
        u, v = v, u
    return u[1]


def backwards(u, v, n):
    for k in range(n, 0, -2):
        v[1:-1] = smoothed(u) * k
        u, v = v, u
    return u


def with_a_break(u, v, n):
    steps = 0
    for _ in range(n):
        v[1:-1] = smoothed(u)
        change = np.abs(u[1:-1] - v[1:-1]).max()
        u, v = v, u
        steps += 1
        if change < 0.4:
            break
    return steps, u


def until(u, v, n):
    while n > 0:
        v[1:-1] = smoothed(u)
        n -= 1 if u[3] > v[3] else 2
        u, v = v, u
    v[0] = 3.0
    return u


def leapfrog(u, v, w, n):
    for _ in range(n):
        w[1:-1] = 2 * v[1:-1] - u[1:-1] + 0.1 * (v[2:] - 2 * v[1:-1] + v[:-2])
        u, v, w = v, w, u
    v[0] += 1.0
    return u * 2, v, w[1:]


def two_pairs(u, v, w, n):
    x = w * 2
    for _ in range(n):
        v[1:-1] = smoothed(u)
        x[1:-1] = smoothed(w)
        u, v = v, u
        w, x = x, w
    return u + x


PAIRS = [heat, from_one, by_a_third_name, in_a_function, written_after, twice, backwards, with_a_break, until]
TRIPS = (0, 1, 2, 3, 11)


def agree(f, compiled, *given):
    mine, others = copy.deepcopy(given), copy.deepcopy(given)
    want, got = f(*mine), compiled(*others)
    for a, b in zip(*[r if isinstance(r, tuple) else (r,) for r in (want, got)], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-13)
    for a, b in zip(mine, others, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-13)


@pytest.mark.parametrize("f", [*PAIRS, leapfrog, two_pairs])
def test_by_a_number_known_when_it_runs(f):
    compiled = weft.compile(f)
    arrays = (U, V, W)[: f.__code__.co_argcount - 1]
    for n in TRIPS:
        agree(f, compiled, *arrays, n)
        agree(f, interpreted(f), *arrays, n)
    assert len(compiled.cache_info()) == 1
    kinds = [op.kind.name for op in compiled.lower(*arrays, 3).trace.ops]
    assert kinds.count("for_loop") + kinds.count("while_loop") == 1 + (f is twice)


@pytest.mark.parametrize("n", TRIPS)
def test_by_a_number_known_before(n):
    for f in (heat, by_a_third_name, written_after, twice):
        g = weft.compile(f, static_argnames="n")
        agree(f, g, U, V, n)
    loop = weft.compile(heat, static_argnames="n").lower(U, V, 11).simplified
    assert [op.kind.name for op in loop.ops if op.kind.name not in ("constant", "sum")] == ["for_loop"]


@pytest.mark.parametrize("n", TRIPS)
def test_gradients(n):
    """Through the results and what is left in the arrays."""

    def loss(u, v):
        u, v = u * 1.0, v * 1.0
        a, _ = heat(u, v, np.int64(n)) if n % 2 else heat(u, v, n)
        return np.sum(a * W) + np.sum(u * V * W) + np.sum(v**2)

    def plain(u, v, k):
        a, _ = heat(u, v, k)
        return np.sum(a * W) + np.sum(u * V * W) + np.sum(v**2)

    gradients = [weft.grad(loss, (0, 1)), weft.compile(weft.grad(loss, (0, 1)))]
    by_trips = weft.compile(lambda u, v, k: weft.grad(lambda u, v: plain(u * 1.0, v * 1.0, k), (0, 1))(u, v))
    for found in (*[g(U, V) for g in gradients], by_trips(U, V, n)):
        for at, got in enumerate(found):
            for i in range(U.size):
                ends = []
                for h in (1e-6, -1e-6):
                    moved = [U.copy(), V.copy()]
                    moved[at][i] += h
                    ends.append(loss(*moved))
                assert abs(got[i] - (ends[0] - ends[1]) / 2e-6) < 1e-7


def read_by_another_name(u, v, n):
    first = u
    for _ in range(n):
        v[1:-1] = smoothed(u) + first[1:-1]
        u, v = v, u
    return u


def written_by_another_name(u, v, n):
    first = u
    for _ in range(n):
        v[1:-1] = smoothed(u)
        first[0] = 2.0
        u, v = v, u
    return u


def read_in_the_condition(u, v, n):
    first = u
    while first[1] + n > 0:
        v[1:-1] = smoothed(u)
        u, v = v, u
        n -= 1
    return u


def let_go(u, v, n):
    for _ in range(n):
        u[0] = 1.0
        u = u * 2
    return u


def at_times(u, v, n):
    for k in range(n):
        v[1:-1] = smoothed(u)
        if u[0] > k:
            u, v = v, u
    return u


def views(u, v, n):
    a, b = u[:4], u[3:]
    for _ in range(n):
        b[1:] = a[:3]
        a, b = b, a
    return u


def in_two_loops(u, v, n):
    for _ in range(n):
        for _ in range(n):
            v[1:-1] = smoothed(u)
            u, v = v, u
    return u


@pytest.mark.parametrize("f", [read_by_another_name, written_by_another_name, read_in_the_condition, let_go, at_times,
                               views, in_two_loops])  # fmt: skip
def test_what_is_no_rotation_is_refused(f):
    with pytest.raises(errors.ControlFlowError, match="known by another name too"):
        weft.compile(f)(U.copy(), V.copy(), 12)


# Branches.


def one_of_two(u, v, n):
    if u[0] > n:
        u = v
    u[0] = 5.0
    return u.sum()


def another_or_itself(u, v, n):
    if u[0] > n:
        u = u * 2
    u[0] = 5.0
    return u.sum()


def exchanged(u, v, n):
    if u[0] > n:
        u, v = v, u
    u[0] = 5.0
    v[1] = u[0] + 1
    return v[0], u[1]


def one_row(u, v, n):
    a = np.stack([u, v])
    row = a[0] if u[0] > n else a[1]
    row[1:] = 7.0
    a[:, 2] = 4.0
    return a, row * 2


def through_two_choices(u, v, n):
    p = u if u[0] > n else v
    q = v if u[1] > n else p
    p[0] = 7.0
    q[1:] += p[0]
    u[2] = 3.0
    return p * 1, q * 2


def in_a_loop_afterwards(u, v, n):
    p = u if u[0] > n else v
    for k in range(4 + 9):
        p[k % 7] += k
        v[3] = p[4]
    return p * 1


@pytest.mark.parametrize("f", [one_of_two, another_or_itself, exchanged, one_row, through_two_choices,
                               in_a_loop_afterwards])  # fmt: skip
def test_a_branch_decides_which_array_is_written(f):
    compiled = weft.compile(f)
    for n in (-9, 0, 9):
        agree(f, compiled, U, V, n)
        agree(f, compiled, U[::-1].copy(), V, n)


# Loops that give a variable another array.


def scaled_and_written(u, v, n):
    for _ in range(n):
        u = u * 2
    u[0] = 5.0
    return u.sum()


def set_to_another(u, v, n):
    for _ in range(n):
        u = v
    u[0] = 5.0
    return u.sum()


def set_to_a_view(u, v, n):
    row = u[1:]
    for _ in range(n):
        row = v[:-1]
    row[0] = 7.0
    return row * 1


def scaled_and_then_written_in_a_loop(u, v, n):
    for _ in range(n):
        u = u * 0.5
    for i in range(n):
        u[i % 3] += i
    return u * 1


@pytest.mark.parametrize("f", [scaled_and_written, set_to_another, set_to_a_view, scaled_and_then_written_in_a_loop])
def test_a_loop_decides_which_array_is_written(f):
    """If it does not run, the variable's own from before."""
    compiled, known = weft.compile(f), weft.compile(f, static_argnames="n")
    for n in (0, 1, 12):
        agree(f, compiled, U, V, n)
        agree(f, known, U, V, n)


def other_while(u, v, n):
    i = 0
    while i < n:
        u = v
        i += 1
    u[0] = 5.0
    return u * 1


def sums_while(u, v, n):
    i = 0
    while i < n:
        u, v = v, u + v
        i += 1
    u[0], v[1] = 7.0, -7.0
    return u * v


def sums_for(u, v, n):
    for _ in range(n):
        u, v = v, u + v
    u[0], v[1] = 7.0, -7.0
    return u * v


def handed_down(u, v, n):
    w = v * 2
    i = 0
    while v[0] * 0 + i < n:
        u, v, w = v, w, w + 1
        i += 1
    u[0] = 5.0
    v[1] = 6.0
    return w + u


def exchanged_only(u, v, n):
    i = 0
    while i < n:
        u, v = v, u
        i += 1
    u[2] = 9.0
    return v * 1


def new_while(u, v, n):
    i = 0
    while i < n:
        u = u + v
        i += 1
    u[0] = 5.0
    return u * 1


@pytest.mark.parametrize("f", [other_while, sums_while, sums_for, handed_down, exchanged_only, new_while])
def test_how_often_a_loop_ran_decides_which_array_is_written(f):
    compiled = weft.compile(f)
    for n in (0, 1, 2, 3, 12):
        agree(f, compiled, U, V, np.int64(n))
