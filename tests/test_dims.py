"""Expressions over sizes that are symbols: what they equal, what is decided of them, and what becomes a guard."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.ir.dims import Dim, aligned, bounds, maximum, minimum, provably, same, symbol, value_of
from weft.ir.settle import evaluator
from weft.ir.sizes import LEAST, Sizes


def fresh(**values: int) -> tuple[Sizes, *tuple[Dim, ...]]:
    sizes = Sizes(values or {"B": 128, "N": 10})
    return sizes, *(symbol(sizes, name) for name in sizes.values)


def test_equal_expressions_are_one():
    sizes, b, n = fresh()
    assert same(2 * b + n - b - b, n) and 3 * b - b * 3 == 0 and (b + 1) * (b - 1) + 1 == b * b
    assert same(b * n // n, b) and same((784 * b) // 16, 49 * b) and (8 * b + 5) // 8 * 8 == 8 * b
    assert aligned(64 * b, 64) == 64 * b and (b // 2) % b == b // 2 and -1 % b == b - 1 and b % b == 0
    assert hash(b + n) == hash(n + b) and {b + n: 1}[n + b] == 1
    assert not sizes.guards


def test_what_holds_of_all_sizes_is_no_guard():
    sizes, b, n = fresh()
    assert b > 1 and b != 0 and b != 1 and b + 1 > b and b * n > n and not b - b and 2 * b >= b + 2
    assert b - b // 2 > 0 and (b + 1) // 2 <= b and maximum(b, b - 1) is b and minimum(4, maximum(1, b)) != 0
    assert provably(3 * b, ">=", b) and not provably(b, ">", 100)
    assert not sizes.guards


def test_what_does_not_is_one():
    sizes, b, n = fresh()
    assert b > 100 and b != n and n <= 64 and b // 2 == 64
    fits = sizes.holds()
    assert fits(128, 10) and fits(129, 64) and not fits(100, 10) and not fits(128, 65) and not fits(130, 10)
    assert not fits(128, 128) and not fits(LEAST - 1, 1) and not sizes.pinned()
    assert sizes.shown()[0] == "B > 100" and len(sizes.shown()) == 4
    assert operator.index(b) == 128 and sizes.pinned() and not sizes.holds()(129, 10)


def test_numbers_are_asked_for():
    sizes, b, n = fresh()
    assert len(range(b)) == 128 and len(sizes.guards) == 1
    assert float(n) == 10.0 and np.zeros((2, n)).shape == (2, 10) and f"{b}" == "B" and int(b) == 128
    assert b / 4 == 32.0 and 2.5 * n == 25.0  # without a capture, numbers are known
    with pytest.raises(TypeError):
        b + "c"
    with pytest.raises(ZeroDivisionError):
        b // 0


@settings(max_examples=200)
@given(st.data())
def test_values_bounds_and_guards(data: st.DataObject) -> None:
    """Random expressions: their values at other sizes, whether these lie within the bounds, and whether guards that
    hold there decide as the numbers do."""
    sizes, b, n = fresh(B=data.draw(st.integers(2, 40)), N=data.draw(st.integers(2, 40)))
    other = {"B": data.draw(st.integers(2, 40)), "N": data.draw(st.integers(2, 40))}
    at = evaluator(sizes, other)
    pool = [(b, other["B"]), (n, other["N"]), (3, 3), (-2, -2), (64, 64)]
    tests = []
    for _ in range(data.draw(st.integers(1, 8))):
        (x, p), (y, q) = (data.draw(st.sampled_from(pool)) for _ in range(2))
        name = data.draw(st.sampled_from(["add", "sub", "mul", "floordiv", "mod", "min", "max"]))
        if name in ("floordiv", "mod"):
            (y, q) = data.draw(st.sampled_from([(7, 7), (2, 2), (b, other["B"])]))
        if name in ("min", "max"):
            made = (minimum if name == "min" else maximum)(x, y), (min if name == "min" else max)(p, q)
        else:
            made = getattr(operator, name)(x, y), getattr(operator, name)(p, q)
        pool.append(made)
        assert at(made[0]) == made[1]
        low, high = bounds(made[0])
        for value in (made[1], value_of(made[0])):
            assert (low is None or low <= value) and (high is None or value <= high)
        how = data.draw(st.sampled_from([operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge]))
        tests.append((bool(how(made[0], pool[0][0])), bool(how(made[1], pool[0][1]))))
        assert tests[-1][0] == how(value_of(made[0]), value_of(pool[0][0]))
    assert sizes.holds()(**sizes.values)
    if sizes.holds()(**other):
        assert all(here == there for here, there in tests)
