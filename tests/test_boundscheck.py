"""`compile(boundscheck=False)`: no IndexError, and no memory touched that is not the array's."""

import copy

import numpy as np
import pytest
from programs import BY_NAME

import weft
from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.passes.simplify import simplify
from weft.passes.unchecked import unchecked
from weft.pipeline import Stages

FAR = [0, 5, -6, 9, 6, -7, 1 << 40, -(1 << 62)]  # of six elements


def read(x, i):
    return x[i]


def write(x, i, v):
    x[i] = v
    return x.sum()


def take_rows(x, places):
    return x[places] * 2


def scatter(x, places, v):
    x[places] = v


def scan(x, places):
    total = 0.0
    for k in range(places.shape[0]):
        total += x[places[k]]
    return total


@pytest.mark.parametrize("i", FAR)
def test_scalars(i):
    unsafe, whole = weft.compile(boundscheck=False), np.arange(18.0)
    x = whole[6:12]
    got = unsafe(read)(x, np.int64(i))
    assert got == x[i] if -6 <= i < 6 else got in x
    unsafe(write)(x, np.int64(i), -1.0)
    want = np.arange(18.0)
    want[6:12][i if -6 <= i < 6 else 5] = -1.0
    np.testing.assert_array_equal(whole, want)


def test_arrays_of_indices():
    unsafe, whole = weft.compile(boundscheck=False), np.arange(36.0).reshape(18, 2)
    x, places = whole[6:12], np.array(FAR)
    rows = unsafe(take_rows)(x, places)
    np.testing.assert_array_equal(rows[:3], x[places[:3]] * 2)
    assert all(row.tolist() in (2 * x).tolist() for row in rows)
    unsafe(scatter)(x, places, -1.0)
    np.testing.assert_array_equal(whole[:6], np.arange(12.0).reshape(6, 2))
    np.testing.assert_array_equal(whole[12:], np.arange(24.0, 36.0).reshape(6, 2))
    with pytest.raises(IndexError):
        weft.compile(scan)(x[:, 0].copy(), places)
    assert np.isfinite(unsafe(scan)(x[:, 0].copy(), places))


@pytest.mark.parametrize("name", ["csr_matvec", "union_find", "insertion_sort", "binary_search", "sample_by_weights"])
def test_what_fits_is_as_ever(name):
    program = BY_NAME[name]
    given = program.arguments(np.random.default_rng(7), *program.small)
    mine, others = copy.deepcopy(given), copy.deepcopy(given)
    want = program.function(*mine)
    compiled = weft.compile(program.function, boundscheck=False)
    np.testing.assert_allclose(compiled(*others), want)
    for a, b in zip(mine, others, strict=True):
        np.testing.assert_array_equal(a, b)
    stages = compiled.lower(*given)
    assert all(op.kind.name != "bound" for op in stages.trace.walk())
    assert any(op.kind.name == "bound" for op in weft.compile(program.function).lower(*given).trace.walk())
    assert stages.step.bounds == []


def test_gradients():
    x, places = np.arange(6.0), np.array([1, 1, 4])
    gradient = weft.compile(weft.grad(lambda x, p: np.sum(x[p] ** 2)), boundscheck=False)
    np.testing.assert_array_equal(gradient(x, places), [0.0, 4.0, 0.0, 0.0, 8.0, 0.0])


def test_it_is_shown():
    f = weft.compile(read, boundscheck=False)
    f(np.arange(3.0), np.int64(1))
    assert "indices not checked" in str(f.cache_info()[0]) and "indices not checked" in repr(f)
    f = weft.compile(read)
    f(np.arange(3.0), np.int64(1))
    assert "not checked" not in str(f.cache_info()[0]) + repr(f)



LOOP = """\
@region
def body(i: i64, s: f64, x: f64[6], k: i64) -> f64:
    a: i64 = bound(i, axis=0, size=6)
    b: i64 = bound(k, axis=0, size=6)
    c: f64[1] = dynamic_slice(x, a, sizes=(1,))
    d: f64[1] = dynamic_slice(x, b, sizes=(1,))
    e: f64[1] = add(c, d)
    f: f64 = sum(e, axes=(0,))
    g: f64 = add(s, f)
    return g

def main(x: f64[6], k: i64) -> f64:
    s: f64 = for_loop(i64(0), i64(6), f64(0.0), x, k, body=body, carried=1, step=1)
    return s
"""


def test_only_what_may_not_fit_is_clamped():
    graph = unchecked(parse(LOOP))
    names = [op.kind.name for op in graph.walk() if op.kind.name in ("bound", "minimum", "cast")]
    assert names == ["cast", "minimum", "cast"]  # of k alone
    x = np.arange(6.0)
    for k in (0, 5):
        for g in (graph, parse(LOOP)):
            assert interpret(g, [x, np.array(k)])[0] == 15 + 6 * k
    for k in (-1, 6, -(1 << 63)):
        assert interpret(graph, [x, np.array(k)])[0] == 45
        assert Stages(graph, check=True).compile()([x, np.array(k)])[0] == 45


def test_a_cast_there_and_back_is_nothing_where_it_wraps():
    text = """\
def main(i: i64, j: i64) -> (i64, i64):
    a: u64 = cast(i, dtype="u64")
    b: i64 = cast(a, dtype="i64")
    c: i32 = cast(j, dtype="i32")
    d: i64 = cast(c, dtype="i64")
    return b, d
"""
    done = simplify(parse(text))
    assert done.outputs[0] is done.inputs[0] and done.outputs[1] is not done.inputs[1]
    for i in (-1, 1 << 40):
        assert [int(v) for v in interpret(done, [np.array(i), np.array(i)])] == [i, int(np.int64(i).astype(np.int32))]
