"""Object code: what is loaded runs, what cannot be loaded is an error that says why."""

import ctypes
import gc
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import weft
from weft.codegen.objects import CompileError, assembly, compile_object, host_key, optimised
from weft.runtime import native
from weft.runtime.elf import ObjectError, read_symbols

LOOP = """
declare double @exp(double)
@table = internal constant [4 x float] [float 1.0, float 2.0, float 3.0, float 4.0]
define void @scale(ptr noalias %a, i64 %n) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%i1, %loop]
  %p = getelementptr float, ptr %a, i64 %i
  %v = load float, ptr %p
  %w = fmul float %v, 2.0
  store float %w, ptr %p
  %i1 = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %i1, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}
define float @look(i64 %i) {
  %p = getelementptr [4 x float], ptr @table, i64 0, i64 %i
  %v = load float, ptr %p
  ret float %v
}
define double @e(double %x) {
  %y = call double @exp(double %x)
  ret double %y
}
"""
OBJECT = compile_object(LOOP)
ANSWER = "declare i64 @{0}()\ndefine i64 @ask() {{\n %r = call i64 @{0}()\n ret i64 %r\n}}"


def test_load_and_call():
    library = native.load(OBJECT)
    assert library.symbols == ("e", "look", "scale")
    data = (ctypes.c_float * 37)(*range(37))
    library.function("scale", None, ctypes.c_void_p, ctypes.c_int64)(ctypes.addressof(data), 37)
    assert list(data) == [2.0 * i for i in range(37)]
    assert library.function("look", ctypes.c_float, ctypes.c_int64)(2) == 3.0
    assert library.function("e", ctypes.c_double, ctypes.c_double)(0.0) == 1.0
    with pytest.raises(ObjectError, match="no symbol 'table' .*e, look, scale"):
        library.address("table")


def test_compiling_is_repeatable_and_optimised():
    assert compile_object(LOOP) == OBJECT
    assert "<" in optimised(LOOP) and "x float>" in optimised(LOOP)  # vectorised
    assert "x float>" not in optimised(LOOP, level=0)
    assert "scale:" in assembly(LOOP)
    assert "llvm-" in host_key() and "\n" not in host_key()


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_levels(level):
    library = native.load(compile_object(LOOP, level=level))
    assert library.function("look", ctypes.c_float, ctypes.c_int64)(3) == 4.0


@pytest.mark.parametrize("text", ["nonsense", "define void @f() { ret i32 0 }", "define void @f() {"])
def test_text_that_does_not_parse(text):
    with pytest.raises(CompileError):
        compile_object(text)
    assert compile_object(LOOP) == OBJECT  # and LLVM is none the worse


def test_symbols():
    symbols = read_symbols(OBJECT)
    assert symbols.defined == {"scale", "look", "e"}
    assert symbols.undefined == {"exp"}


def test_a_missing_symbol_is_named():
    with pytest.raises(ObjectError, match="'weft_test_missing'"):
        native.load(compile_object(ANSWER.format("weft_test_missing")))


def test_defined_and_provided_symbols():
    answer = ctypes.CFUNCTYPE(ctypes.c_int64)(lambda: 42)
    address = ctypes.cast(answer, ctypes.c_void_p).value
    native.define_symbol("weft_test_defined", address)
    asked = []
    native.provide("weft_test_provided", lambda: asked.append(1) or address)
    assert asked == []
    for name in ("weft_test_defined", "weft_test_provided", "weft_test_provided"):
        library = native.load(compile_object(ANSWER.format(name)))
        assert library.function("ask", ctypes.c_int64)() == 42
    assert asked == [1]
    assert native.symbol_address("weft_test_defined") == address
    assert native.symbol_address("malloc") is not None
    assert native.symbol_address("weft_test_nothing") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o: b"", "not an ELF"),
        (lambda o: b"\x7fELF", "truncated"),
        (lambda o: b"MZ" + o[2:], "not an ELF"),
        (lambda o: o[:4] + b"\1" + o[5:], "64-bit"),
        (lambda o: o[:16] + b"\2\0" + o[18:], "not a relocatable"),
        (lambda o: o[:18] + b"\x28\0" + o[20:], "another machine"),
        (lambda o: o[:-200], "truncated"),
        (lambda o: o[:60], "truncated"),
    ],
)
def test_wrong_objects(change, message):
    with pytest.raises(ObjectError, match=message):
        native.load(change(OBJECT))


@settings(max_examples=300)
@given(st.integers(0, len(OBJECT) - 1), st.integers(1, 255), st.integers(0, len(OBJECT)))
@example(47, 128, len(OBJECT))  # section headers said to lie beyond any address
def test_the_reader_survives_anything(at, flip, length):
    """Symbols or ObjectError, whatever the bytes (LLVM itself is only shown what passed the checksum)."""
    data = (OBJECT[:at] + bytes([OBJECT[at] ^ flip]) + OBJECT[at + 1 :])[:length]
    try:
        read_symbols(data)
    except ObjectError:
        pass


def test_every_truncation_is_an_error():
    for length in range(0, len(OBJECT)):
        with pytest.raises(ObjectError):
            native.load(OBJECT[:length])


def test_many_libraries_come_and_go():
    keep = native.load(OBJECT)
    for _ in range(50):
        library = native.load(OBJECT)
        assert library.function("look", ctypes.c_float, ctypes.c_int64)(1) == 2.0
        del library
        gc.collect()
    assert keep.function("look", ctypes.c_float, ctypes.c_int64)(0) == 1.0


def test_threads_compile_and_load():
    results = []

    def work(number):
        text = f"define i64 @n() {{\n ret i64 {number}\n}}"
        results.append(native.load(compile_object(text)).function("n", ctypes.c_int64)() == number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 12


FORK = """
import os, threading, time, warnings
from weft.codegen.objects import compile_object
warnings.simplefilter("ignore")
text = "define i64 @n() { ret i64 3 }"
stop = False
def compile_for_ever():
    while not stop:
        compile_object(text)
other = threading.Thread(target=compile_for_ever)
other.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        compile_object(text)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop = True
other.join()
"""


def test_fork_while_another_thread_compiles():
    result = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")


def test_importing_costs_no_llvm():
    program = "import sys, weft.runtime.blas; print('llvmlite' in sys.modules, 'numba' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout.split() == ["False", "False"]


def test_a_long_vectorised_loop_stays_rolled_and_a_short_one_may_not():
    """LLVM would unroll it, on top of the vectors that it takes at once: twice the time to compile, for nothing."""
    f = weft.compile(lambda x: np.max(x, axis=1))
    text = f.lower(np.ones((8, 4096), np.float32)).llvm
    assert text.count("!llvm.loop !") == 2  # and the one around it
    assert text.count('!"llvm.loop.unroll.disable"') == text.count('!"llvm.loop.interleave.count"') == 1
    rolled, free = assembly(text), assembly(re.sub(r", !llvm.loop !\d+", "", text))
    assert len(rolled.splitlines()) < len(free.splitlines())
    assert "!llvm.loop" not in f.lower(np.ones((8, 8), np.float32)).llvm


def test_loops_have_metadata_of_their_own():
    f = weft.compile(lambda x: (np.exp(x) + np.exp(-x)) / np.sum(x * x, axis=1, keepdims=True))
    text = f.lower(np.ones((50, 1000))).llvm
    used = re.findall(r"!llvm.loop !(\d+)", text)
    counts = re.findall(r'"llvm.loop.interleave.count", i32 (\d)', text)
    assert len(used) == len(set(used)) >= 3
    assert "4" in counts and counts != ["4"] * len(counts)
    assert all(re.search(rf"^!{n} = distinct !{{!{n}, !0[,}}]", text, re.M) for n in used)


def test_once_is_once_for_all_threads() -> None:
    made: list[str] = []
    start = threading.Barrier(8)

    @native.once
    def library(name: str) -> object:
        made.append(name)
        time.sleep(0.02)  # another thread would come in between
        return object()

    found: list[object] = []

    def ask() -> None:
        start.wait()
        found.append(library("a"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["a"] and len(set(map(id, found))) == 1 and library("b") is not found[0]
