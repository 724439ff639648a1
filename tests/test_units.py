"""A step's modules: equal kernels are one, all are compiled at once, and each is found again on its own."""

import gc
import re

import numpy as np
import pytest

import weft
from weft.codegen import unlocked
from weft.codegen.lowered import graph_key
from weft.codegen.objects import CompileError, compile_object, compile_objects
from weft.codegen.units import canonical
from weft.ir.parse import parse
from weft.runtime import native
from weft.runtime.cache import DiskCache, cache_key
from weft.runtime.elf import read_symbols

X = np.linspace(-1, 1, 32 * 48, dtype=np.float32).reshape(32, 48)
W = [np.full((48, 48), k / 100, np.float32) for k in range(1, 5)]


def network(x, weights):
    for w in weights:
        x = np.tanh(x @ w)
    return x


def step_of(f, *arguments):
    return weft.compile(f).lower(*arguments).step


def symbols(step):
    return [u.symbol for u in step.units[:-1]]


@pytest.fixture
def fresh(monkeypatch):
    """No kernels in the process yet, and a list of what is compiled from now on."""
    compiled = []

    def recorded(modules, *, threads):
        compiled.extend(text for text, _ in modules)
        return compile_objects(modules, threads=threads)

    monkeypatch.setattr(native, "compile_objects", recorded)
    native._kernels.clear()
    return compiled


def test_equal_layers_are_one_module():
    step = step_of(network, X, W)
    inner, last = symbols(step)  # the last writes into the result, the others in place
    assert step.units[-1].text.count(f"call void @{inner}(") == 3
    assert step.units[-1].text.count(f"call void @{last}(") == 1
    assert len({id(k.body) for k in step.kernels}) == 2  # and were lowered once
    assert [k.name for k in step.kernels] == ["k0", "k1", "k2", "k3"]


def test_names_and_lines_make_no_difference():
    def f(x, y):
        total = x * y
        return np.exp(total) + y

    def g(left, right):
        p = left * right

        return np.exp(p) + right

    assert symbols(step_of(f, X, X)) == symbols(step_of(g, X, X))
    assert symbols(step_of(f, X, X)) != symbols(step_of(g, X[1:], X[1:]))


def test_values_and_labels_are_numbered():
    one = canonical("define void @f(ptr %a) {\nentry:\n  %b.1 = load i8, ptr %a\n  br label %end\nend:\n  ret void\n}")
    other = canonical("define void @f(ptr %x) {\nstart:\n  %y = load i8, ptr %x\n  br label %l.2\nl.2:\n  ret void\n}")
    assert one == other and "%x0" in one and "\nx1:\n" in one


def test_the_whole_is_one_module_too():
    step = step_of(network, X, W)
    assert {"step"} == set(read_symbols(compile_object(step.text)).defined)
    assert "@k0_body" in step.text and "@k0_body" not in "".join(u.text for u in step.units)


def test_how_much_is_made_of_a_step():
    assert step_of(network, X, W).units[-1].level == 1
    assert step_of(network, X, W * 20).units[-1].level == 0  # hundreds of calls

    def loop(x):
        for i in range(200):
            x = x + i
        return x

    assert step_of(loop, np.float64(1)).units[-1].level == 3


def test_kernels_that_check_indices_have_no_like():
    def f(x, i):
        return x[i[0]], x[i[1]]

    run = weft.compile(f)
    x = np.arange(5.0)
    assert run(x, np.array([1, 2])) == (1.0, 2.0)
    with pytest.raises(IndexError, match="index 7 is out of bounds"):
        run(x, np.array([1, 7]))
    with pytest.raises(IndexError, match="index 9 is out of bounds"):
        run(x, np.array([9, 2]))


def test_graphs_that_differ_have_other_keys():
    text = "def k(a: f32[8], b: f32[8]) -> f32[8]:\n    t: f32[8] = sub(a, b)\n    return t\n"
    keys = {
        graph_key(parse(changed), alias)
        for changed, alias in [
            (text, {}),
            (text, {0: 0}),
            (text, {0: 1}),
            (text.replace("(a, b)", "(b, a)"), {}),
            (text.replace("f32", "f64"), {}),
            (text.replace("[8]", "[9]"), {}),
            (text.replace("return t", "return b"), {}),
            (text.replace("sub(a, b)", "sub(a, f32(0.0))"), {}),
            (text.replace("sub(a, b)", "sub(a, f32(-0.0))"), {}),
            (text.replace("t:", "other:").replace("return t", "return other"), {}),
        ]
    }
    assert len(keys) == 10
    assert graph_key(parse(text.replace("def k", "def another")), {}) in keys


# ---- in the process, and in the cache ----------------------------------------------------------------


def test_what_an_earlier_step_brought_along_is_used_from_there(fresh, tmp_path):
    cache = DiskCache(tmp_path / "c")
    short, long = step_of(network, X, W[:2]), step_of(network, X, W)
    assert symbols(short) == symbols(long)
    first = native.build_units(short.units, threads=2, cache=cache)
    second = native.build_units(long.units, threads=2, cache=cache)
    assert fresh.count(short.units[0].text) == 1
    assert symbols(short)[0] in first.symbols and symbols(short)[0] not in second.symbols
    del first
    gc.collect()
    assert symbols(short)[0] in native._kernels  # kept by the one that calls it
    del second
    gc.collect()
    assert symbols(short)[0] not in native._kernels


def test_results_of_steps_that_share_kernels(fresh):
    short, long = weft.compile(network), weft.compile(network)
    for _ in range(2):
        assert np.allclose(short(X, W[:2]), network(X, W[:2]), atol=1e-6)
        assert np.allclose(long(X, W), network(X, W), atol=1e-6)
    del short
    gc.collect()
    assert np.allclose(long(X, W), network(X, W), atol=1e-6)


def test_another_process_compiles_what_changed_only(fresh, tmp_path):
    cache = DiskCache(tmp_path / "c")
    native.build_units(step_of(network, X, W[:3]).units, threads=2, cache=cache)
    native._kernels.clear()
    del fresh[:]
    step = step_of(network, X, W)
    native.build_units(step.units, threads=2, cache=DiskCache(tmp_path / "c"))
    assert fresh == [step.units[-1].text]


@pytest.mark.parametrize("payload", [b"", b"\x7fELF", compile_object("define void @f() { ret void }")])
def test_entries_that_cannot_be_linked_are_made_anew(fresh, tmp_path, payload):
    cache = DiskCache(tmp_path / "c")
    units = step_of(network, X, W).units
    native.build_units(units, threads=2, cache=cache)
    native._kernels.clear()
    key = cache_key("kernel", units[0].text, version="O3")
    good = cache.get(key).payload
    cache.put(key, payload)
    assert "step" in native.build_units(units, threads=2, cache=cache).symbols
    assert cache.get(key).payload == good


def test_an_error_of_ours_is_not_hidden(fresh, tmp_path):
    units = step_of(network, X, W).units
    broken = [*units[:-1], type(units[-1])("step", "step", units[-1].text.replace("ret i64 0", "ret i32 0"))]
    with pytest.raises(CompileError):
        native.build_units(broken, threads=2, cache=DiskCache(tmp_path / "c"))


# ---- side by side ------------------------------------------------------------------------------------


def test_threads_make_the_same_objects():
    def f(x):
        return np.exp(x) @ np.tanh(x.T) + np.sum(x), np.log(x * x + 1), np.cumsum(x, axis=1)

    units = step_of(f, X).units
    modules = [(u.text, u.level) for u in units] * 3
    assert len(modules) >= 9
    alone = compile_objects(modules, threads=1)
    assert alone == compile_objects(modules, threads=4) == [compile_object(text, level=n) for text, n in modules]


def test_one_bad_module_of_several():
    good = ("define void @f() { ret void }", 3)
    with pytest.raises(CompileError, match="end of file"):
        compile_objects([good, ("define void @f() {", 3), *[good] * 5], threads=3)
    assert len(compile_objects([good, good], threads=2)) == 2
    assert compile_objects([], threads=2) == []


def test_the_lock_is_passed_by_where_there_is_one():
    from llvmlite.binding import ffi

    wrapped = ffi.lib.LLVMPY_ParseAssembly
    assert unlocked._function("LLVMPY_ParseAssembly") is getattr(wrapped, "_cfn", wrapped)


def test_a_wrapper_without_the_function_serves_as_well(monkeypatch):
    from llvmlite.binding import ffi

    monkeypatch.setattr(unlocked, "_function", lambda name: getattr(ffi.lib, name))
    assert re.match(rb"\x7fELF", compile_object("define void @f() { ret void }"))
