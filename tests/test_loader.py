"""Linking without LLVM: what LLVM emits runs, what the loader does not know is left to LLVM."""

import ctypes
import gc
import platform
import sys
from pathlib import Path

import pytest

from weft.codegen.objects import compile_object
from weft.runtime import loader, native

HERE = sys.platform == "linux" and platform.machine() == "x86_64"
pytestmark = pytest.mark.skipif(not HERE, reason="the loader is for x86-64 Linux")

COSINE = ctypes.cast(ctypes.CDLL("libm.so.6").cos, ctypes.c_void_p).value

CALLS = """
declare double @far(double)
define double @near(double %x) noinline { %y = call double @far(double %x)  ret double %y }
define double @both(double %x) { %y = call double @near(double %x)  %z = fadd double %y, 0.5  ret double %z }
"""
DATA = """
@count = global i64 40
@zeros = internal global [5 x i64] zeroinitializer
@table = internal constant [3 x ptr] [ptr @one, ptr @two, ptr @count]
define i64 @one(i64 %x) { ret i64 1 }
define i64 @two(i64 %x) { ret i64 2 }
define i64 @next(i64 %i) {
  %at = getelementptr ptr, ptr @table, i64 %i
  %f = load ptr, ptr %at
  %r = call i64 %f(i64 0)
  %old = load i64, ptr @count
  %new = add i64 %old, %r
  store volatile i64 %new, ptr @count
  %z = getelementptr i64, ptr @zeros, i64 %i
  %zero = load volatile i64, ptr %z
  %sum = add i64 %new, %zero
  ret i64 %sum
}
"""
SWITCH = """
define double @choose(i64 %i) {
  switch i64 %i, label %d [i64 0, label %a  i64 1, label %b  i64 2, label %c  i64 3, label %e  i64 4, label %f]
a: ret double 1.5
b: ret double -2.25
c: ret double 1.0e100
e: ret double 3.0
f: ret double 0.0
d: ret double 9.0
}
"""
THREAD_LOCAL = """
@own = thread_local global i64 3
define i64 @read() { %x = load i64, ptr @own  ret i64 %x }
"""
FIRST = "declare i64 @b(i64)\ndefine i64 @a(i64 %x) { %y = call i64 @b(i64 %x)  %z = mul i64 %y, 10  ret i64 %z }"
SECOND = "declare i64 @a(i64)\ndefine i64 @b(i64 %x) { %y = add i64 %x, 1  ret i64 %y }"


def loaded(*texts, **imports):
    found = loader.link([compile_object(t) for t in texts], imports)
    assert found is not None
    return found


def function(found, name, result, *arguments):
    return ctypes.CFUNCTYPE(result, *arguments)(found.addresses[name])


def test_calls_near_and_far():
    found = loaded(CALLS, far=COSINE)
    assert set(found.addresses) == {"near", "both"}
    assert function(found, "both", ctypes.c_double, ctypes.c_double)(0.0) == 1.5


def test_data_is_written_and_addresses_are_read():
    found = loaded(DATA)
    step = function(found, "next", ctypes.c_int64, ctypes.c_int64)
    assert [step(0), step(1), step(1)] == [41, 43, 45]
    assert ctypes.c_int64.from_address(found.addresses["count"]).value == 45


def test_tables_of_jumps_and_constants():
    found = loaded(SWITCH)
    choose = function(found, "choose", ctypes.c_double, ctypes.c_int64)
    assert [choose(i) for i in range(6)] == [1.5, -2.25, 1e100, 3.0, 0.0, 9.0]


def test_objects_call_each_other():
    found = loaded(FIRST, SECOND)
    assert function(found, "a", ctypes.c_int64, ctypes.c_int64)(4) == 50


def test_pages_are_protected():
    found = loaded(DATA)
    rights = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, how, *_ = line.split()
        start, end = (int(x, 16) for x in span.split("-"))
        for name, address in found.addresses.items():
            if start <= address < end:
                rights[name] = how
    assert rights == {"count": "rw-p", "one": "r-xp", "two": "r-xp", "next": "r-xp"}


def test_memory_goes_with_the_last_reference():
    found = loaded(SWITCH)
    page = f"{found.memory.address:x}-"
    assert any(line.startswith(page) for line in Path("/proc/self/maps").read_text().splitlines())
    gone = found.memory.address
    del found
    gc.collect()
    maps = [line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines()]
    assert not any(int(a, 16) <= gone < int(b, 16) for a, b in maps)


def test_what_it_does_not_know_is_left_to_llvm():
    assert loader.link([compile_object(THREAD_LOCAL)], {}) is None
    assert loader.link([compile_object(CALLS)], {}) is None  # nobody has `far`
    assert loader.link([compile_object(FIRST)] * 2, {"b": 0}) is None  # defined twice
    obj = compile_object(SWITCH)
    assert loader.link([obj[:-40]], {}) is None
    assert loader.link([b"\x7fELF"], {}) is None


def test_llvm_links_where_the_loader_can_not(monkeypatch):
    monkeypatch.setattr(native, "link", lambda objects, imports: None)
    library = native.load(compile_object(SWITCH))
    assert library.function("choose", ctypes.c_double, ctypes.c_int64)(1) == -2.25
