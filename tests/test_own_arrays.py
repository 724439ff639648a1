"""NumPy arrays that a function makes, and writes in its branches and loops: they are written when it runs."""

import numpy as np
import pytest

import weft
from weft import errors


def in_a_branch(x):
    a = np.arange(3.0)
    if x > 0:
        a[0] = 5.0
    return a + x


def in_a_loop(x, n):
    a = np.arange(3.0)
    for _ in range(n):
        a[0] = a[0] + 1
        a += 1
    return a + x


def at_traced_places(x, places):
    a = np.linspace(0.0, 1.0, 5)
    for k in range(len(places)):
        a[places[k]] = a[places[k] - 1] + x
    return a


def in_both_loops(x, n):
    parent = np.arange(6)
    for i in range(n):
        k = i
        while parent[k] != k and k > 0:
            parent[k] = parent[parent[k]]
            k -= 1
        parent[i] = max(i - 2, 0)
    return parent * x


def behind_a_return(x):
    a = np.eye(2)
    if x > 1:
        a[0, 1] = 7.0
        return a
    a[1, 0] = x
    return a


def made_inside(x, n):
    total = 0.0
    for i in range(n):
        w = np.linspace(0.0, 1.0, 4)
        w[0] = 3.0
        w *= 2
        total += w[i % 4] * x
    return total


CASES = [
    (in_a_branch, (np.float64(1.0),)),
    (in_a_branch, (np.float64(-1.0),)),
    (in_a_loop, (1.0, 5)),
    (in_a_loop, (1.0, 0)),
    (at_traced_places, (0.5, np.array([1, 3, 1, 0]))),
    (in_both_loops, (2.0, 6)),
    (behind_a_return, (np.float64(2.0),)),
    (behind_a_return, (np.float64(0.5),)),
    (made_inside, (2.0, 9)),
]


@pytest.mark.parametrize("f, arguments", CASES, ids=[f"{f.__name__}{a}" for f, a in CASES])
def test_own_arrays(f, arguments):
    compiled = weft.compile(f)
    for _ in range(2):
        np.testing.assert_allclose(compiled(*arguments), f(*arguments))


def test_a_mask_stays_known_where_nothing_traced_decides():
    def f(x):
        keep = np.arange(4) % 2 == 0
        keep[0] = False
        return x[keep]

    np.testing.assert_array_equal(weft.compile(f)(np.arange(4.0)), [2.0])


TABLE = np.zeros(3)


def test_others_arrays_are_refused():
    """Whoever else knows the array would not see it change, or would see it change at the wrong time."""

    def a_global(x):
        if x > 0:
            TABLE[0] = 7.0
        return TABLE * x

    def another_name(x):
        a = b = np.arange(3.0)
        if x > 0:
            a[0] = 7.0
        return b * x

    for f in (a_global, another_name):
        with pytest.raises(errors.UnsupportedError, match="Make it in the traced function"):
            weft.compile(f)(np.float64(-1.0))
    assert TABLE[0] == 0


def reshaped(a):
    """A view or a copy, by how `a` lies."""
    b = a.reshape(-1)
    b[0] = 9.0
    a.T.ravel()[1] = 7.0
    return (a * b.reshape(a.shape)).sum()


@pytest.mark.parametrize("first", "CF")
def test_a_reshape_is_a_view_where_numpys_is(first):
    """Whichever layout was met first, and in what has no compiled form."""
    compiled = weft.compile(reshaped)
    for order in (first, *"CFC"):
        a = np.asarray(np.arange(6.0).reshape(2, 3), order=order)
        mine, others = a.copy(order="K"), a.copy(order="K")
        want = reshaped(mine)
        assert compiled(others) == want
        np.testing.assert_array_equal(others, mine)
        mine, others = a.copy(order="K"), a.copy(order="K")
        want = reshaped(mine)
        assert weft.value_and_grad(reshaped)(others)[0] == want
        np.testing.assert_array_equal(others, mine)
