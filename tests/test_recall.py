"""Steps recalled by the graph that was captured: the same results without the pipeline, and the long way where anything
is not as it was."""

import subprocess
import sys

import numpy as np
import pytest

import weft
from weft.ir.digest import digest
from weft.runtime import recall, stamp
from weft.runtime.cache import DiskCache, default_cache

X = np.linspace(-1, 2, 12).reshape(3, 4)


def program(x, n):
    return np.tanh(x) @ np.ones((4, 2)) + n, np.sum(x, axis=0)


def graph_of(f, *arguments):
    return weft.compile(f).lower(*arguments).trace


@pytest.fixture
def compiled(cache_dir, monkeypatch):
    """How many graphs went the long way."""
    from weft.pipeline import Stages

    count = []
    plain = Stages.compile

    def counted(self, *rest):
        count.append(self.label)
        return plain(self, *rest)

    monkeypatch.setattr(Stages, "compile", counted)
    return count


def test_a_second_compilation_is_recalled(compiled):
    want = weft.compile(program)(X, 2.5)
    again = weft.compile(program)
    got = again(X, 2.5)
    assert compiled == ["program"]
    assert all(np.array_equal(a, b) for a, b in zip(want, got, strict=True))
    assert "def program" in str(again.cache_info()[0].executable.stages.trace)  # made when asked for
    assert "kernel" in weft.explain(again) and " recalled " in weft.explain(again)


@pytest.mark.parametrize(
    "other",
    [
        lambda x: np.tanh(x) + 1.0,
        lambda x: np.tanh(x) + np.float64(2.0000000000000004),
        lambda x: np.tanh(x) - 2.0,
        lambda x: np.tanh(x).T + 2.0,
        lambda x: (np.tanh(x) + 2.0, x),
        lambda x: np.tanh(x) + np.full(4, 2.0),
    ],
)
def test_other_graphs_have_other_digests(other):
    assert digest(graph_of(other, X)) != digest(graph_of(lambda x: np.tanh(x) + 2.0, X))


def test_types_and_dims_count_and_names_do_not():
    def f(x):
        y = x * 2
        return y

    def g(z):
        w = z * 2
        return w

    assert digest(graph_of(f, X))[0] == digest(graph_of(g, X))[0]
    assert len({digest(graph_of(f, a))[0] for a in (X, X.T, X.astype("f4"), X[:, :3])}) == 4


def test_minus_zero_is_not_zero():
    assert digest(graph_of(lambda x: x + 0.0, X)) != digest(graph_of(lambda x: x + -0.0, X))


def test_donation_counts(compiled):
    def f(x):
        return x + 1

    weft.compile(f)(X)
    mine = X.copy()
    assert np.array_equal(weft.compile(f, donate_argnums=0)(mine), X + 1)
    assert len(compiled) == 2
    again = X.copy()
    assert np.array_equal(weft.compile(f, donate_argnums=0)(again), X + 1)
    assert len(compiled) == 2


def test_sizes_that_are_symbols_go_the_long_way(compiled):
    for _ in range(2):
        f = weft.compile(lambda x: x * len(x))
        assert [float(f(np.ones(n))[0]) for n in (3, 5, 9)] == [3, 5, 9]
    assert len(compiled) == 3  # the first size once, then its symbol twice


def test_library_ops_go_the_long_way(compiled):
    for _ in range(2):
        assert np.array_equal(weft.compile(lambda x: np.sort(-x))(np.arange(3.0)), [-2, -1, 0])
    assert len(compiled) == 2


def test_constants_are_kept(compiled):
    table = np.arange(5.0)
    for _ in range(2):
        assert np.array_equal(weft.compile(lambda x: x * (table + 1))(np.ones(5)), table + 1)
    assert len(compiled) == 1


def test_an_index_out_of_bounds_says_where(compiled):
    def f(x, i):
        return x[i] * 2

    for _ in range(2):
        g = weft.compile(f)
        assert g(X, np.int64(2)).tolist() == (X[2] * 2).tolist()
        with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size 3") as error:
            g(X, np.int64(7))
        assert "test_recall.py" in error.value.__notes__[0]
    assert len(compiled) == 1


def test_places_count_where_they_are_shown(compiled):
    weft.compile(lambda x, i: x[i] * 2)(X, np.int64(1))
    weft.compile(
        lambda x, i: x[i] * 2  # on another line
    )(X, np.int64(1))
    assert len(compiled) == 2


@pytest.mark.parametrize("what", ["lost", "damaged", "foreign"])
def test_an_object_that_is_gone_is_made_again(compiled, what):
    weft.compile(program)(X, 2.5)
    cache = default_cache()
    name = recall.name(graph_of(program, X, 2.5), frozenset())
    note = cache.get(name.key)
    for kind, _, key in note.meta["parts"]:
        if kind == "step":
            path = cache._file(key)
            if what == "lost":
                path.unlink()
            elif what == "damaged":
                path.write_bytes(path.read_bytes()[:-7])
            else:
                cache.put(key, b"no object")
    assert np.array_equal(weft.compile(program)(X, 2.5)[1], X.sum(0))
    assert len(compiled) == 2
    weft.compile(program)(X, 2.5)
    assert len(compiled) == 2


def test_other_sources_make_another_name(monkeypatch, cache_dir, tmp_path):
    graph = graph_of(program, X, 2.5)
    names = {recall.name(graph, frozenset()).key}
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "a.py").write_text("a = 1")
    place = stamp._place
    monkeypatch.setattr(stamp, "_place", lambda p: str(folder) if p == "weft.codegen" else place(p))
    for text in ("a = 1", "a = 22"):
        (folder / "a.py").write_text(text)
        stamp._stamp.cache_clear()
        names.add(recall.name(graph, frozenset()).key)
    stamp._stamp.cache_clear()
    assert len(names) == 3


@pytest.mark.parametrize("gone", ["described", "_place"])
def test_without_facts_there_are_no_names(monkeypatch, cache_dir, gone):
    def missing(*_):
        if gone == "described":
            return {}
        raise ImportError

    monkeypatch.setattr(stamp, gone, missing)
    stamp._stamp.cache_clear()
    try:
        assert recall.name(graph_of(program, X, 2.5), frozenset()) is None
        assert np.array_equal(weft.compile(program)(X, 2.5)[1], X.sum(0))
    finally:
        stamp._stamp.cache_clear()


def test_without_a_disk_there_are_no_names(monkeypatch):
    monkeypatch.setenv("WEFT_CACHE", "0")
    assert isinstance(default_cache(), DiskCache)
    assert recall.name(graph_of(program, X, 2.5), frozenset()) is None


RECALLED = """
import sys, numpy as np, weft
x, w = np.ones((4, 3)), np.ones(3)
loss = lambda w, x: np.mean(np.tanh(x @ w) ** 2)
print(weft.compile(lambda w, x: w - 0.1 * weft.grad(loss)(w, x))(w, x).tolist())
unneeded = ("weft.pipeline", "weft.passes.fuse", "weft.codegen.lower", "weft.codegen.llvm", "numpy.ma", "numba",
            "tempfile", "sysconfig", "llvmlite")
print([name for name in unneeded if name in sys.modules])
"""


def test_a_process_that_recalls_loads_no_pipeline(cache_dir, tmp_path):
    file = tmp_path / "recalled.py"
    file.write_text(RECALLED)
    first, second = [subprocess.run([sys.executable, file], capture_output=True, text=True, check=True) for _ in "ab"]
    assert first.stdout.splitlines()[0] == second.stdout.splitlines()[0]
    assert second.stdout.splitlines()[1] == "[]"
