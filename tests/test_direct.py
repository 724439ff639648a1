"""Calls without Python: what they take, what they leave to the general way, and that both give the same."""

import gc
import sys
import threading
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

import weft
from weft.ir.boundary import MISSED
from weft.runtime.executable import DIRECT

pytestmark = pytest.mark.skipif(not DIRECT, reason="this Python's objects are taken apart by Python")
F32 = np.float32
LIMIT = 2.0


def direct_of(f, *args, **kwargs):
    """The direct way that a first call with these arguments made."""
    f(*args, **kwargs)
    assert len(f._direct) == 1, "there is no direct way"
    return f._direct[0]


def same(a, b):
    """Equal in structure, classes, dtypes and values."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        return all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        assert a.flags.num == b.flags.num
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
    return a == b


CASES = [
    (lambda x: x + 1, (np.ones(8, F32),)),
    (lambda a, b: a * b + 1.0, (2.0, 3.0)),
    (lambda a, b: (a + b, a > b, a * 2), (2, -3)),
    (lambda a: not a, (True,)),
    (lambda a, b: (a * b, np.sin(a)), (F32(2.0), 3)),
    (lambda a, b: a + b, (np.int8(3), np.float16(2))),
    (lambda a: a + 1, (np.array(2.5),)),
    (lambda p: {"z": p["b"] * 2, "a": [p["a"], (p["b"] + p["a"],)]}, ({"b": np.ones((2, 3)), "a": np.arange(3.0)},)),
    (lambda p, *rest: [p[0][1] + r for r in rest], (([1.0, np.ones(2)], None), np.arange(2), 3)),
    (lambda x: (x, x, x + 1), (np.arange(3),)),
    (lambda x: (np.sum(x), 3, "text", None, ()), (np.ones((2, 2)),)),
    (lambda x: [], (np.ones(3),)),
    (lambda x: OrderedDict(b=x * 2, a=x), (np.ones(3),)),
    (lambda x: x[:0] * 2, (np.ones(3),)),
    (lambda: (3, "text"), ()),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_direct_call_gives_what_the_general_way_gives(number):
    function, args = CASES[number]
    f = weft.compile(function)
    direct, general = direct_of(f, *args), f._call_general(args, {})
    result = direct(*args)
    assert result is not MISSED
    assert same(result, general)
    expected = function(*args)
    for got, want in zip(weft.tree.leaves(result), weft.tree.leaves(expected), strict=True):
        assert np.array_equal(got, want)


def test_what_a_direct_call_is_not_made_for_goes_the_general_way():
    class Mine(np.ndarray):
        pass

    f = weft.compile(lambda x, k: x * k)
    x = np.arange(6.0).reshape(2, 3)
    direct = direct_of(f, x, 2.0)
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.float64, offset=1).reshape(2, 3)
    others = [x[:, :2], x[:1], x.T, x.astype(F32), np.asfortranarray(x), x.astype(">f8"), unaligned, x.reshape(2, 3, 1),
              2.0, None, [x]]  # fmt: skip
    for other in others:
        assert direct(other, 2.0) is MISSED
    for k in (2, True, F32(2), np.float64(2), x):
        assert direct(x, k) is MISSED
    assert direct(x.view(Mine), 2.0) is MISSED
    assert direct(x) is MISSED
    assert direct(x, 2.0, 3.0) is MISSED
    assert direct(x, k=2.0) is MISSED
    for other in (np.asfortranarray(x), unaligned):
        assert np.array_equal(f(other, 2.0), x * 2)
    assert np.array_equal(f(x[:, :2], 3), x[:, :2] * 3)


def test_integers_beyond_64_bits_are_refused_as_ever():
    f = weft.compile(lambda k: k + 1)
    direct = direct_of(f, 3)
    assert direct(-(2**63)) == -(2**63) + 1
    assert direct(2**63) is MISSED
    with pytest.raises(OverflowError):
        f(2**63)


def test_containers_of_other_shapes_miss():
    f = weft.compile(lambda p, q: p["a"] + q[0])
    direct = direct_of(f, {"a": 1.0, "b": 2.0}, [3.0, None])
    Pair = namedtuple("Pair", "a b")
    assert direct({"b": 2.0, "a": 1.5}, [3.0, None]) == 4.5
    for p in ({"a": 1.0}, {"a": 1.0, "c": 2.0}, {"a": 1.0, "b": 2.0, "c": 3.0}, OrderedDict(a=1.0, b=2.0), [1.0, 2.0]):
        assert direct(p, [3.0, None]) is MISSED
    for q in ((3.0, None), [3.0], [3.0, 4.0], [3.0, None, 1.0], Pair(3.0, None)):
        assert direct({"a": 1.0, "b": 2.0}, q) is MISSED


def test_guards_are_part_of_the_direct_call():
    @weft.compile
    def f(x, n, scale, flag):
        for _ in range(n):
            x = x * 2
        return x + 1 if flag and scale > 0.0 else x - 1

    x = np.ones(3)
    for n, scale, flag in [(1, 1.0, True), (2, -0.0, True), (2, 0.0, True), (3, float("nan"), True), (1, 1.0, False)]:
        for _ in range(2):
            expected = x * 2**n + (1 if flag and scale > 0.0 else -1)
            assert np.array_equal(f(x, n, scale, flag), expected)
    first = f._direct[-1]
    assert len(f._direct) == 4
    assert first(x, 2, -0.0, True) is not MISSED
    assert first(x, 2, 0.0, True) is MISSED


def test_keywords_and_static_arguments():
    @weft.compile(static_argnames=("mode", "n"))
    def f(x, n, mode="sum", *, k=1.0, b=2.0):
        return {"sum": np.sum, "max": np.max}[mode](x) * k * n + b

    x = np.arange(4.0)
    assert f(x, 2, k=3.0, b=1.0) == 37.0
    (direct,) = f._direct
    assert direct(x, 2, k=3.0, b=1.0) == 37.0
    assert direct(x, 3, k=3.0, b=1.0) is MISSED
    assert direct(x, 2, b=1.0, k=3.0) is MISSED
    assert direct(x, 2, b=1.0) is MISSED
    assert direct(x, 2) is MISSED
    assert f(x, 2, b=1.0, k=3.0) == 37.0
    assert f(x, 3, b=1.0, k=3.0) == 55.0
    assert f(x, 2, "max", k=3.0, b=1.0) == 19.0


def test_settings_are_looked_at_before_each_call():
    global LIMIT
    f = weft.compile(lambda x: x * LIMIT)
    try:
        assert f(3.0) == f(3.0) == 6.0
        assert len(f._direct) == 1
        LIMIT = 5.0
        assert f(3.0) == f(3.0) == 15.0
    finally:
        LIMIT = 2.0
    assert f(3.0) == 6.0


def test_arguments_are_written_in_place_unless_they_overlap():
    @weft.compile
    def f(x, y):
        x += y
        return x

    x, y = np.arange(3.0), np.ones(3)
    direct = direct_of(f, x, y)
    assert direct(x, y) is x
    assert np.array_equal(x, [2.0, 3.0, 4.0])
    whole = np.arange(4.0)
    assert direct(whole[1:], whole[:3]) is MISSED
    assert direct(whole[:3], whole[:3]) is MISSED
    f(whole[1:], whole[:3])
    assert np.array_equal(whole, [0.0, 1.0, 3.0, 5.0])
    x.flags.writeable = False
    assert direct(x, y) is MISSED
    with pytest.raises(ValueError, match="read-only"):
        f(x, y)


def test_donated_arrays_are_taken_unless_somebody_else_has_them():
    f = weft.compile(lambda x, y: (x * 2, y), donate_argnums=0)
    x, y = np.ones(3), np.zeros(2)
    direct = direct_of(f, np.ones(3), y)
    assert direct(x, y)[0] is x
    assert np.array_equal(x, [2, 2, 2])
    assert direct(np.ones(6)[:3], y) is MISSED
    g = weft.compile(lambda x, y: x * 2 + y, donate_argnums=0)
    direct = direct_of(g, np.ones(3), np.ones(3))
    assert direct(x, x) is MISSED
    assert np.array_equal(g(x, x), [6, 6, 6])
    assert np.array_equal(x, [2, 2, 2])


def test_an_index_out_of_bounds_is_raised_and_the_next_call_works():
    f = weft.compile(lambda x, i: x[i] * 2)
    x = np.arange(3.0)
    direct = direct_of(f, x, 1)
    for _ in range(3):
        with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size 3"):
            direct(x, 7)
        assert direct(x, 2) == 4.0


def test_what_an_unflatten_raises_is_raised():
    @dataclass
    class Box:
        x: np.ndarray

    wrong = []

    class Picky:
        def __init__(self, x):
            self.x = x

    def unflatten(aux, children):
        if wrong:
            raise KeyError("wrong")
        return Picky(*children)

    weft.tree.register(Picky, lambda p: ((p.x,), None), unflatten)
    f = weft.compile(lambda x: (Box(x * 2), Picky(x)))
    direct = direct_of(f, np.ones(2))
    box, picky = direct(np.ones(2))
    assert np.array_equal(box.x, [2, 2])
    assert np.array_equal(picky.x, [1, 1])
    wrong.append(True)
    with pytest.raises(KeyError, match="wrong"):
        direct(np.ones(2))


def test_what_cannot_be_said_has_no_direct_way():
    held = np.ones(3)
    big = np.ones(1 << 17)

    @dataclass
    class Box:
        x: np.ndarray

    for function, argument in [(lambda x: x + held, np.ones(3)), (lambda x: x[1:], np.ones(3)),
                               (lambda x: x * 2, big), (lambda b: b.x * 2, Box(np.ones(3))),
                               (lambda d: d[1] * 2, {1: np.ones(3)})]:  # fmt: skip
        f = weft.compile(function)
        first, second = f(argument), f(argument)
        assert not f._direct
        assert np.array_equal(first, second)


def test_references_are_given_back():
    marker = object()
    f = weft.compile(lambda p, k: ({"a": p["a"] * k, "p": p["a"], "c": marker}, [p["b"][0] + 1]))
    p = {"a": np.ones(3), "b": [np.ones(2)]}
    direct = direct_of(f, p, 2.0)
    watched = [marker, p["a"], p["b"], p["b"][0], p, MISSED, p["a"].dtype, None, True]
    for args in [(p, 2.0), (p, 2), ({"a": p["a"], "b": [p["a"]]}, 2.0)]:
        gc.collect()
        before = [sys.getrefcount(o) for o in watched]
        for _ in range(1000):
            direct(*args)
        gc.collect()
        assert max(abs(sys.getrefcount(o) - b) for o, b in zip(watched, before, strict=True)) < 100
    result = direct(p, 2.0)
    count = sys.getrefcount(result[0]["a"])
    assert count == 2


def test_a_function_that_is_dropped_frees_its_direct_way():
    import weakref

    f = weft.compile(lambda x: x + 1)
    f(1.0)
    gone = weakref.ref(f.cache_info()[0].executable)
    del f
    gc.collect()
    assert gone() is None


def test_threads_work_in_arenas_of_their_own():
    @weft.compile
    def f(x, n):
        total = np.zeros((24, 24))
        for _ in range(n):
            total = np.sin(total @ x + x.T)
        return np.sum(total)

    xs = [np.random.default_rng(i).normal(size=(24, 24)) / 5 for i in range(4)]
    expected = [f(x, 50) for x in xs]
    direct = f._direct[0]
    failures = []

    def work(i):
        for _ in range(40):
            if direct(xs[i], 50) != expected[i]:
                failures.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_the_latest_kinds_of_arguments_are_tried_directly():
    f = weft.compile(lambda x: x * 2)
    for n in range(1, 7):
        f(np.ones(n))
    assert len(f._direct) == 4
    for n in range(1, 7):
        assert np.array_equal(f(np.ones(n)), 2 * np.ones(n))


def test_a_number_that_was_looked_at_is_a_constant_of_the_code():
    @weft.compile
    def f(x, n, k):
        for _ in range(3):
            x = np.roll(x, 1) * n * k
        return (x if n else -x) % n, n

    x = np.arange(5)
    for n in (16, 3, 16):
        result, same_n = f(x, n, 2)
        assert same_n == n
        assert np.array_equal(result, np.roll(x, 3) * (2 * n) ** 3 % n)
    graph = f.lower(x, 16, 2).trace
    used = {v for op in graph.ops for v in op.operands}
    assert [v in used for v in graph.inputs] == [True, False, True]


def test_the_derivative_by_a_number_that_was_looked_at():
    df = weft.compile(weft.grad(lambda a: a * a if a > 0 else -3 * a))
    assert df(2.0) == 4.0
    assert df(-2.0) == -3.0
