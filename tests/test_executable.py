"""What an executable takes, gives and keeps: any layout of arguments, results of their own, donated buffers."""

import gc
import threading
import weakref

import numpy as np
import pytest
from rewriting import graph_of

from weft.ir import NAMES
from weft.pipeline import Stages
from weft.runtime import executable
from weft.runtime.executable import REUSE

N = REUSE // 8 + 3  # elements of f64: results this large are taken up again


def compiled(text, donate=()):
    return Stages(graph_of(text), donate, check=True).compile()


def doubling(n, donate=()):
    return compiled(f"def main(x: f64[{n}]) -> f64[{n}]:\n    y: f64[{n}] = add(x, x)\n    return y\n", donate)


def layouts(base):
    """(name, array): the values of a 3 x 4 array in other layouts of memory."""
    wide = np.zeros((6, 8), base.dtype)
    wide[::2, ::2] = base
    raw = np.zeros(base.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(base.dtype).reshape(base.shape)
    misaligned[...] = base
    locked = base.copy()
    locked.flags.writeable = False
    yield "as it is", base
    yield "Fortran order", np.asfortranarray(base)
    yield "negative strides", base[::-1, ::-1].copy()[::-1, ::-1]
    yield "steps", wide[::2, ::2]
    yield "read-only", locked
    yield "misaligned", misaligned
    yield "a subclass", base.view(type("Sub", (np.ndarray,), {}))


@pytest.mark.parametrize("dtype", ["f64", "f32", "f16", "i16", "u8", "bool"])
def test_arguments_in_any_layout(dtype):
    op = "logical_and" if dtype == "bool" else "sub"
    run = compiled(f"""
        def main(x: {dtype}[3, 4], y: {dtype}[3, 4]) -> {dtype}[3, 4]:
            z: {dtype}[3, 4] = {op}(x, y)
            return z
    """)
    a, b = (np.random.default_rng(i).integers(0, 9, (3, 4)).astype(NAMES[dtype]) for i in range(2))
    want = a & b if dtype == "bool" else a - b
    for _, x in layouts(a):
        for _, y in layouts(b):
            before = x.copy(), y.copy()
            (got,) = run([x, y])
            np.testing.assert_array_equal(got, want)
            assert np.array_equal(x, before[0]) and np.array_equal(y, before[1])
            assert got.flags.c_contiguous and got.flags.writeable and not np.shares_memory(got, x)


def test_zero_strides_the_same_array_twice_and_overlapping_views():
    run = compiled("""
        def main(x: f64[4], y: f64[4]) -> (f64[4], f64):
            z: f64[4] = sub(x, y)
            s: f64 = sum(y, axes=(0,))
            return z, s
    """)
    a = np.arange(8.0)
    still = np.broadcast_to(a[3], 4)
    for x, y in [(a[:4], a[:4]), (a[:4], a[2:6]), (a[4:], a[7:3:-1]), (still, a[:4]), (a[::2], a[1::2])]:
        z, s = run([x, y])
        np.testing.assert_array_equal(z, x - y)
        assert s == y.sum() and s.shape == ()


def test_results_are_arrays_of_their_own():
    run = compiled("""
        def main(x: f64[3]) -> (f64[3], f64[3], f64[3], f64[1, 3], f64, f64[2]):
            y: f64[3] = exp(x)
            z: f64[1, 3] = reshape(x, shape=(1, 3))
            w: f64[2] = f64([1.0, 2.0])
            return x, y, y, z, f64(5.0), w
    """)
    x = np.arange(3.0)
    first, second = run([x]), run([x])
    arrays = [x, *first, *second]
    for i, a in enumerate(arrays):
        assert isinstance(a, np.ndarray) and a.flags.writeable
        assert not any(np.shares_memory(a, b) for b in arrays[:i])
    first[5][:] = 9  # the constant itself is not handed out
    assert run([x])[5].tolist() == [1.0, 2.0] and run([x])[4] == 5


def test_a_donated_buffer_becomes_the_result():
    run = doubling(4, donate=[0])
    x = np.arange(4.0)
    (y,) = run([x])
    assert y is x and x.tolist() == [0, 2, 4, 6]
    for name, given in layouts(np.arange(12.0).reshape(3, 4)):
        if name in ("as it is", "a subclass"):
            continue
        run = compiled("def main(x: f64[3, 4]) -> f64[3, 4]:\n    y: f64[3, 4] = add(x, x)\n    return y\n", [0])
        before = given.copy()
        (y,) = run([given])
        np.testing.assert_array_equal(y, before * 2)
        np.testing.assert_array_equal(given, before, err_msg=name)  # could not be overwritten in place: copied


def test_without_the_native_entry(monkeypatch):
    """Where arrays do not lie in memory as the step's entry reads them, Python reads their addresses."""
    monkeypatch.setattr(executable, "NATIVE_ENTRY", False)
    test_a_donated_buffer_becomes_the_result()
    test_arguments_in_any_layout("f32")
    test_results_are_arrays_of_their_own()


# Large results are taken up again.


def address(a):
    return a.__array_interface__["data"][0]


def test_a_dropped_result_is_used_again_and_a_held_one_is_not():
    run, x = doubling(N), np.ones(N)
    (y,) = run([x])
    where = address(y)
    y += 1
    (z,) = run([x])
    assert address(z) != where and y[0] == 3 and z[0] == 2
    del y
    seen = {address(run([x])[0]) for _ in range(6)}
    assert where in seen and len(seen) <= 2


VIEWS = [lambda y: y[5:7], lambda y: y.T, memoryview, lambda y: y.reshape(-1, 1), lambda y: [y]]


@pytest.mark.parametrize("hold", VIEWS)
def test_whatever_still_shows_a_result_keeps_it(hold):
    run, x = doubling(N), np.ones(N)
    (y,) = run([x])
    view = hold(y)
    del y
    others = [run([x * k])[0] for k in range(2, 6)]
    flat = np.asarray(view[0] if isinstance(view, list) else view).reshape(-1)
    assert (flat == 2).all()
    assert [o[0] for o in others] == [4, 6, 8, 10]


def test_what_a_caller_did_to_a_dropped_result_is_not_seen_again():
    run, x = doubling(N), np.ones(N)
    changes = [
        lambda y: setattr(y.flags, "writeable", False),
        lambda y: y.resize((1, N), refcheck=False),
        lambda y: y.resize((N // 2,), refcheck=False),
    ]
    for change in changes:
        (y,) = run([x])
        change(y)
        del y
        for _ in range(3):
            (z,) = run([x])
            assert z.shape == (N,) and z.flags.writeable and z.flags.owndata and z[0] == 2 and z[-1] == 2
            del z


def test_the_result_of_one_call_is_the_argument_of_the_next():
    run, x = doubling(N), np.ones(N)
    (y,) = run([x])
    for k in range(2, 8):
        (y,) = run([y])
        assert y[0] == 2**k and y[-1] == 2**k
    assert run(run(run([x])))[0][3] == 8


def test_donated_results_in_a_loop():
    run, y = doubling(N, donate=[0]), np.ones(N)
    where = address(y)
    for k in range(1, 8):
        (y,) = run([y])
        assert y[0] == 2**k and address(y) == where


def test_results_die_with_the_executable():
    run, x = doubling(N), np.ones(N)
    (y,) = run([x])
    ref = weakref.ref(y)
    del y, run
    gc.collect()
    assert ref() is None


def test_callers_in_several_threads_get_results_of_their_own():
    run = doubling(N)
    wrong = []

    def work(k):
        x = np.full(N, float(k))
        for _ in range(60):
            (y,) = run([x])
            if y[0] != 2 * k or y[N // 2] != 2 * k or y[-1] != 2 * k:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
