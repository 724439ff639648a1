"""The diff of a pass: what stays has the same name on both sides, numbered values too."""

import re

from weft.ir import Builder, TensorType
from weft.ir.changes import changes
from weft.ir.ops.elementwise import add, mul
from weft.ir.ops.transcendental import exp
from weft.ir.parse import parse
from weft.passes.cse import cse
from weft.passes.dce import dce
from weft.passes.fuse import fuse
from weft.passes.simplify import simplify


def unnamed():
    build = Builder("f")
    x = build.input(TensorType("f32", (4,)), "x")
    exp(exp(x))  # t1 is dead, and t0 then
    a, b = exp(x), exp(x)
    return build.finish([mul(add(a, b), 3.0)])


def test_values_keep_their_numbers():
    graph = unnamed()
    assert changes(graph, dce(graph), "dce") == (
        "--- before dce\n+++ after dce\n@@ -1,5 +1,3 @@\n def f(x: f32[4]) -> f32[4]:\n"
        "-    t0: f32[4] = exp(x)\n-    t1: f32[4] = exp(t0)\n"
        "     t2: f32[4] = exp(x)\n     t3: f32[4] = exp(x)\n"
    )
    graph = dce(graph)
    assert changes(graph, cse(graph), "cse") == (
        "--- before cse\n+++ after cse\n@@ -1,6 +1,5 @@\n def f(x: f32[4]) -> f32[4]:\n"
        "     t0: f32[4] = exp(x)\n-    t1: f32[4] = exp(x)\n"
        "-    t2: f32[4] = add(t0, t1)\n+    t2: f32[4] = add(t0, t0)\n"
        "     t3: f32[4] = mul(t2, f32(3.0))\n     return t3\n"
    )


def test_a_new_value_takes_no_old_number():
    build = Builder("f")
    x = build.input(TensorType("f32", (4,)), "x")
    before = build.finish([exp(mul(x, 2.0))])
    build.ops.clear()
    after = build.finish([exp(add(x, x))])
    text = changes(before, after, "doubling")
    assert "-    t0: f32[4] = mul(x, f32(2.0))\n-    t1: f32[4] = exp(t0)\n" in text
    assert "+    t2: f32[4] = add(x, x)\n+    t3: f32[4] = exp(t2)\n" in text


def test_nothing_changed():
    graph = unnamed()
    assert changes(graph, graph, "none") == ""
    again = parse(str(graph))
    assert changes(again, parse(str(again)), "copy") == ""


def test_kernels_come_with_their_calls():
    graph = simplify(cse(dce(unnamed())))
    text = changes(graph, fuse(graph), "fuse")
    assert "+@kernel\n+def k0(x: f32[4]) -> f32[4]:\n" in text
    (kept,) = re.findall(r"^ +return (t\d)$", text, re.M)  # the result is the value that it was before
    assert f"+    {kept}: f32[4] = k0(x)\n" in text
