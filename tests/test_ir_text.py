"""The textual form: what prints parses back equal, names and bits included; what doesn't parse says why."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs, random_arguments

from weft.ir import NAMES, REGISTRY, Builder, Graph, TensorType, equal
from weft.ir.interpret import interpret
from weft.ir.parse import ParseError, parse
from weft.ir.text import print_graph
from weft.ir.verify import verify

STEP = """\
@kernel
def k0(z: f32[4], y: f32[4]) -> (f32[4], f32):
    e: f32[4] = sub(z, y)
    h: f32[4] = mul(e, f32(0.5))
    s: f32 = sum(h, axes=(0,))
    return h, s

def step(w: f32[3], x: f32[4, 3], y: f32[4]) -> (f32[4], f32):
    z: f32[4] = dot(x, w, batch=((), ()), contract=((1,), (0,)))  # my net.py:7
    h, s = k0(z, y)
    n: i32 = i32(-7)
    table: f16[2, 2] = f16([[1.0, nan], [-inf, -0.0]])
    nothing: bool[0, 3] = bool([])
    c: u8[4] = cast(h, dtype=u8)
    return h, f32(0.1)
"""


def round_trip(graph: Graph) -> Graph:
    """Assert everything that a round trip promises; gives the graph that came back."""
    text = print_graph(graph)
    back = parse(text)
    assert equal(graph, back)
    assert print_graph(back) == text
    assert equal(back, parse(print_graph(back)), names=True)
    return back


def test_what_is_written_is_printed():
    assert print_graph(parse(STEP)) == STEP
    round_trip(parse(STEP))


def test_locations_are_comments():
    graph = parse(STEP)
    assert str(graph.ops[0].location) == "my net.py:7"
    assert "#" not in print_graph(graph, locations=False)
    assert equal(parse(print_graph(graph, locations=False)), graph, names=True)


@given(graphs(calls=True))
def test_random_graphs_come_back(graph):
    verify(round_trip(verify(graph)))


@given(graphs(calls=True), st.integers(0, 99))
def test_what_comes_back_computes_the_same(graph, seed):
    arguments = random_arguments(graph, seed, special=True)
    back = interpret(parse(print_graph(graph)), arguments)
    for x, y in zip(interpret(graph, arguments), back, strict=True):
        assert x.dtype == y.dtype and x.tobytes() == y.tobytes()


def constant_graph(array: np.ndarray, name: str) -> Graph:
    build = Builder()
    array.flags.writeable = False
    (value,) = build.emit(REGISTRY["constant"], (), {"value": array}, names=[name])
    return build.finish([value])


@pytest.mark.parametrize("name", ["", "c"])
@pytest.mark.parametrize("dtype", NAMES)
@given(data=st.data())
def test_every_bit_pattern_is_a_literal(dtype, name, data):
    width = NAMES[dtype].itemsize
    bits = data.draw(st.integers(0, 1 if dtype == "bool" else 256**width - 1))
    array = np.array(bits, f"u{width}").view(NAMES[dtype])
    (back,) = interpret(parse(print_graph(constant_graph(array, name))), [])
    assert back.dtype == array.dtype and back.tobytes() == array.tobytes()


def test_every_float16_is_a_literal():
    array = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    (back,) = interpret(parse(print_graph(constant_graph(array, "all"))), [])
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "text, bits",
    [
        ("f16(0.1)", 0x2E66),
        ("f16(65500.0)", 0x7BFF),
        ("f32(nan)", 0x7FC00000),
        ("f32(-nan)", 0xFFC00000),
        ("f32(bits(0x7fc00001))", 0x7FC00001),
        ("f64(-inf)", 0xFFF0000000000000),
        ("f32(-0.0)", 0x80000000),
        ("f32(1.0e-45)", 1),
        ("u64(18446744073709551615)", 0xFFFFFFFFFFFFFFFF),
        ("i64(-9223372036854775808)", 0x8000000000000000),
        ("bool(True)", 1),
    ],
)
def test_literals(text, bits):
    source = f"def f() -> {text.partition('(')[0]}:\n    return {text}\n"
    graph = parse(source)
    (array,) = interpret(graph, [])
    assert int(array.view(f"u{array.itemsize}")) == bits
    assert print_graph(graph) == source


def test_a_short_float_that_would_round_twice():
    """A float32's shortest text is read through float64: where that rounds twice, the text is longer."""
    rng = np.random.default_rng(0)
    for pattern in rng.integers(0, 0x7F7FFFFF, 2000):
        (value,) = struct.unpack("<f", struct.pack("<I", int(pattern)))
        text = print_graph(constant_graph(np.array(value, np.float32), "c"))
        (back,) = interpret(parse(text), [])
        assert back == np.float32(value)


HINTS = ["sum", "f32", "lambda", "x", "x", "x_1", "t0", "", "a.b", "3d", "ﬁ", "µ", "é", "日本", "nan", "kernel", "\n",
         "return", "None", "match", "f", "__debug__", "-", "def", "a\u0301"]  # fmt: skip


def test_names_that_are_taken_or_none_are_changed():
    build = Builder("f")
    x = build.input(TensorType("f32"), "x")
    for hint in HINTS:
        (x,) = build.emit(REGISTRY["neg"], [x.value], names=[hint])
    back = round_trip(build.finish([x]))
    names = [v.name for v in back.inputs] + [op.result.name for op in back.ops]
    assert len(set(names)) == len(names) and all(n.isidentifier() for n in names)
    assert names[:4] == ["x", "sum_1", "f32_1", "lambda_1"] and "日本" in names and "match" in names


@pytest.mark.parametrize("name", ["<lambda>", "sum", "f32", "", "step 2", "class", "été"])
def test_function_names(name):
    build = Builder(name)
    x = build.input(TensorType("f32"), "x")
    inner = Builder("k0")
    kernel = inner.finish([inner.input(TensorType("f32"), "k0")])
    other = Builder("k0")
    other.input(TensorType("f32"), "a")
    twin = other.finish([])
    (y,) = build.emit(REGISTRY["call"], [x.value], regions=(kernel,))
    build.emit(REGISTRY["call"], [y.value], regions=(twin,))
    (z,) = build.emit(REGISTRY["call"], [y.value], regions=(kernel,))
    graph = build.finish([z, z])
    assert print_graph(graph).count("@kernel") == 2
    back = round_trip(graph)
    assert back.ops[0].regions[0] is back.ops[2].regions[0]


def test_literals_are_compared_where_they_are_used():
    """Passes move 0-d constants about and make them twice: that changes no text and no equality."""
    a = parse("def f(x: f32) -> f32:\n    y: f32 = mul(x, f32(2.0))\n    return add(y, f32(2.0))\n".replace(
        "return add(y, f32(2.0))", "z: f32 = add(y, f32(2.0))\n    return z"))  # fmt: skip
    build = Builder("f")
    x = build.input(TensorType("f32"), "x")
    twos = [build.emit(REGISTRY["constant"], (), {"value": np.array(2, np.float32)})[0] for _ in range(3)]
    y = x * twos[1]
    b = build.finish([y + twos[0]])
    assert equal(a, b)
    c = build.finish([y + y.const(3)])
    assert not equal(a, c)


def test_differences_are_seen():
    swaps = [("f32(0.5)", "f32(0.25)"), ("sub(z, y)", "sub(y, z)"), ("axes=(0,)", "axes=()"), ("i32(-7)", "i32(7)")]
    for old, new in swaps:
        other = STEP.replace(old, new)
        if "axes=()" in other:
            other = other.replace("f32[4], f32)", "f32[4], f32[4])").replace("s: f32 =", "s: f32[4] =")
            other = other.replace("return h, f32(0.1)", "return h, s")
        assert not equal(parse(STEP), parse(other)), (old, new)
    assert not equal(parse(STEP), parse(STEP.replace("n: i32", "m: i32")), names=True)
    assert equal(parse(STEP), parse(STEP.replace("z: f32[4], y", "zz: f32[4], y").replace("sub(z", "sub(zz")))


BROKEN = [
    ("", 1, "got nothing"),
    ("x = 1", 1, "expected a function"),
    ("def f(:", 1, "not Python syntax"),
    ("def f():\n    return", 1, "expected the result types"),
    ("def f(x: f32) -> f32:\n    y: f32 = neg(x)", 2, "expected the last line to be `return"),
    ("def f(x) -> f32:\n    return x", 1, "expected a type"),
    ("def f(x: f31) -> f32:\n    return x", 1, "expected a type"),
    ("def f(x: f32[-1]) -> f32:\n    return x", 1, "non-negative integers"),
    ("def f(x: f32[n]) -> f32:\n    return x", 1, "non-negative integers"),
    ("def f(x: f32, x: f32) -> f32:\n    return x", 1, "an input already"),
    ("def f(x: f32 = 1) -> f32:\n    return x", 1, "plain inputs"),
    ("def f(x: f32) -> f64:\n    return x", 2, "got f32"),
    ("def f(x: f32) -> f32:\n    return xx", 2, "did you mean 'x'?"),
    ("def f(x: f32) -> f32:\n    y: f32 = tnah(x)\n    return y", 2, "did you mean 'tanh'?"),
    ("def f(x: f32) -> f32:\n    y: f32 = tanh(x, x)\n    return y", 2, "1 operand, got 2"),
    ("def f(x: f32) -> f32:\n    y: f64 = tanh(x)\n    return x", 2, "expected the type f32"),
    ("def f(x: f32) -> f32:\n    x: f32 = tanh(x)\n    return x", 2, "defined already"),
    ("def f(x: f32) -> f32:\n    y = tanh(x)\n    return y", 2, "name: type = op"),
    ("def f(x: f32) -> f32:\n    y, z = tanh(x)\n    return y", 2, "1 name for the results, got 2"),
    ("def f(x: f32) -> f32:\n    tanh(x)\n    return x", 2, "1 name for the results, got 0"),
    ("def f(x: f32) -> f32:\n    y: f32 = tanh(x) + x\n    return y", 2, "expected op(...)"),
    ("def f(x: f32) -> f32:\n    y: f32 = add(x, 2)\n    return y", 2, "a literal such as f32(0.5)"),
    ("def f(x: f32) -> f32:\n    y: f32 = add(x, i32(2))\n    return y", 2, "operands of one dtype"),
    ("def f(x: f32) -> f32:\n    y: f32 = sum(x)\n    return y", 2, "sum with axes=, got none"),
    ("def f(x: f32) -> f32:\n    y: f32 = sum(x, axes=(1,))\n    return y", 2, "axis 1 is out of range"),
    ("def f(x: f32) -> f32:\n    y: f32 = sum(x, axes='ab')\n    return y", 2, "operands and attributes that sum"),
    ("def f(x: f32) -> f32:\n    y: f32 = sum(x, axes=open('/'))\n    return y", 2, "expected an attribute"),
    ("def f(x: f32) -> f32:\n    y: f32 = sum(x, **{})\n    return y", 2, "sum with axes="),
    ("def f(x: f32) -> f32:\n    y: f32 = iota(shape=(-1,), axis=0, dtype=f32)\n    return x", 2, "iota"),
    ("def f(x: f32) -> f32:\n    y: f32 = iota(shape=(1,), axis=0, dtype='no')\n    return x", 2, "iota"),
    ("def f(x: f32) -> f32:\n    y: f32[2] = f32([1])\n    return x", 2, "lists of shape (2,)"),
    ("def f(x: f32) -> f32:\n    y: i8 = i8(128)\n    return x", 2, "range, -128 to 127"),
    ("def f(x: f32) -> f32:\n    y: i8 = i8(1.0)\n    return x", 2, "expected an integer in an i8"),
    ("def f(x: f32) -> f32:\n    y: bool = bool(1)\n    return x", 2, "True or False"),
    ("def f(x: f32) -> f32:\n    y: f16 = f16(1e9)\n    return x", 2, "that f16 can hold"),
    ("def f(x: f32) -> f32:\n    y: f32 = f32(bits(-1))\n    return x", 2, "integer of 32 bits"),
    ("def f(x: f32) -> f32:\n    y: f32 = call(x)\n    return y", 2, "an op or a kernel defined above"),
    ("def f(x: f32) -> f32:\n    return x\ndef g(x: f32) -> f32:\n    return x", 3, "marked @kernel"),
    ("@jit\ndef f(x: f32) -> f32:\n    return x", 1, "@kernel and no other"),
    ("def sum(x: f32) -> f32:\n    return x", 1, "is taken"),
    ("@kernel\ndef k(x: f32) -> f32:\n    return x\ndef f(x: i8) -> i8:\n    y: i8 = k(x)\n    return y", 5, "k takes"),
    ("def f(x: f32) -> f32:\n    if x:\n        pass\n    return x", 2, "name: type = op"),
    ("def f(x: f32) -> f32:\n    return x\n    return x", 2, "name: type = op"),
    ("def f(x: f32\0) -> f32:\n    return x", 1, "not Python syntax"),
    ("def f(x: f32) -> f32:\n    return " + "(" * 300 + "x" + ")" * 300, 2, "not Python syntax"),
]  # fmt: skip


@pytest.mark.parametrize("text, line, said", BROKEN)
def test_errors_say_what_was_expected_where(text, line, said):
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert caught.value.line == line and f"line {line}: " in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_mangled_text_is_a_parse_error_or_a_valid_graph(data):
    """Whatever stands in the text, nothing but ParseError comes out of `parse`."""
    text = STEP
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 8)))
        pieces = ["", "0", "-1", "f32", "(", ")", "[", "]", ",", "\n", " ", "="]
        pieces += ["x", "None", "'s'", "*", "sum(", ":", "{}"]
        text = text[:start] + data.draw(st.sampled_from(pieces)) + text[stop:]
    try:
        graph = parse(text)
    except ParseError:
        return
    verify(graph)
    round_trip(graph)


def test_nothing_is_executed(tmp_path):
    target = tmp_path / "made"
    for expression in (f"open({str(target)!r}, 'w')", f"__import__('pathlib').Path({str(target)!r}).touch()"):
        with pytest.raises(ParseError):
            parse(f"def f(x: f32) -> f32:\n    y: f32 = sum(x, axes={expression})\n    return y\n")
        with pytest.raises(ParseError):
            parse(f"@{expression}\ndef f(x: f32) -> f32:\n    return x\n")
    assert not target.exists()
