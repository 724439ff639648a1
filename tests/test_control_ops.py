"""Loops, branches and stacks in the IR: their type rules, their text, the verifier, and what they compute."""

import numpy as np
import pytest

from weft.ir import REGISTRY, Builder, Graph, IRTypeError, TensorType, Value, equal
from weft.ir.interpret import interpret
from weft.ir.parse import ParseError, parse
from weft.ir.text import print_graph
from weft.ir.verify import VerifyError, verify

F3 = TensorType("f64", (3,))
I64 = TensorType("i64")
BOOL = TensorType("bool")
STACK = TensorType("stack")

PROGRAM = """\
@region
def body0(i: i64, x: f64[3], c: f64) -> f64[3]:
    y: f64[3] = mul(x, c)
    return y

@region
def test0(x: f64[3], n: i64, c: f64) -> bool:
    s: f64 = sum(x, axes=(0,))
    more: bool = less(s, c)
    return more

@region
def body1(x: f64[3], n: i64, c: f64) -> (f64[3], i64):
    y: f64[3] = add(x, f64(1.0))
    m: i64 = add(n, i64(1))
    return y, m

@region
def then0(a: f64[3], b: f64[3]) -> f64[3]:
    d: f64[3] = add(a, b)
    return d

@region
def else0(a: f64[3], b: f64[3]) -> f64[3]:
    return b

def main(x0: f64[3], c: f64, p: bool, stop: i64) -> (f64[3], i64):
    x: f64[3] = for_loop(i64(0), stop, x0, c, carried=1, step=1, body=body0)  # net.py:3
    u, n = while_loop(x, i64(0), c, carried=2, test=test0, body=body1)
    v: f64[3] = cond(p, x, u, then=then0, orelse=else0)
    return v, n
"""

STACKS = """\
@region
def forth(i: i64, x: f64, s: stack) -> (f64, stack):
    y: f64 = mul(x, x)
    s1: stack = push(s, x, i)
    return y, s1

@region
def back(i: i64, s: stack, t: f64, k: i64) -> (stack, f64, i64):
    s1, x, j = pop(s, types=(f64, i64))
    u: f64 = add(t, x)
    return s1, u, j

def main(x0: f64, n: i64) -> (f64, f64, i64):
    s0: stack = stack_new()
    x, s = for_loop(i64(0), n, x0, s0, carried=2, step=1, body=forth)
    s2, t, k = for_loop(i64(0), n, s, f64(0.0), i64(-1), carried=3, step=1, body=back)
    return x, t, k
"""


@pytest.mark.parametrize("text", [PROGRAM, STACKS])
def test_what_is_written_is_printed(text):
    graph = verify(parse(text))
    assert print_graph(graph) == text
    assert equal(parse(print_graph(graph)), graph, names=True)
    assert equal(parse(print_graph(graph, locations=False)), graph)


def test_regions_are_compared():
    assert not equal(parse(PROGRAM), parse(PROGRAM.replace("y: f64[3] = mul(x, c)", "y: f64[3] = add(x, c)")))
    assert not equal(parse(PROGRAM), parse(PROGRAM.replace("step=1", "step=2")))
    swapped = PROGRAM.replace("then=then0, orelse=else0", "then=else0, orelse=then0")
    assert not equal(parse(PROGRAM), parse(swapped))


@pytest.mark.parametrize("stop, p", [(0, True), (1, False), (4, True)])
def test_the_interpreter_runs_regions(stop, p):
    x0, c = np.array([0.5, 1.0, -0.25]), 1.5
    v, n = interpret(parse(PROGRAM), [x0, np.float64(c), np.bool_(p), np.int64(stop)], check=True)
    x = x0.copy()
    for _ in range(stop):
        x = x * c
    u, count = x, 0
    while u.sum() < c:
        u, count = u + 1, count + 1
    np.testing.assert_array_equal(v, x + u if p else u)
    assert n == count


@pytest.mark.parametrize("start, stop, step", [(0, 5, 1), (0, 5, 2), (5, 0, -1), (7, -2, -3), (3, 3, 1), (4, 2, 1)])
def test_trips_are_those_of_pythons_range(start, stop, step):
    text = f"""\
@region
def body(i: i64, x: i64) -> i64:
    a: i64 = mul(x, i64(10))
    y: i64 = add(a, i)
    return y

def main(start: i64, stop: i64) -> i64:
    x: i64 = for_loop(start, stop, i64(1), carried=1, step={step}, body=body)
    return x
"""
    (got,) = interpret(parse(text), [np.int64(start), np.int64(stop)], check=True)
    want = 1
    for i in range(start, stop, step):
        want = want * 10 + i
    assert got == want


def test_a_stack_gives_back_what_was_pushed_last_first():
    x, t, k = interpret(parse(STACKS), [np.float64(1.1), np.int64(3)], check=True)
    assert x == ((1.1**2) ** 2) ** 2 and t == (1.1**4 + 1.1**2) + 1.1 and k == 0
    assert interpret(parse(STACKS), [np.float64(1.1), np.int64(0)], check=True)[2] == -1


def test_a_stack_is_a_value():
    """Popping leaves the stack as it was: a graph may be run on it again."""
    push = parse("def f(s: stack, x: f64) -> stack:\n    t: stack = push(s, x)\n    return t\n")
    pop = parse("def f(s: stack) -> (stack, f64):\n    t, x = pop(s, types=(f64,))\n    return t, x\n")
    (empty,) = interpret(parse("def f() -> stack:\n    s: stack = stack_new()\n    return s\n"), [], check=True)
    (one,) = interpret(push, [empty, np.float64(1)], check=True)
    (two,) = interpret(push, [one, np.float64(2)], check=True)
    assert [interpret(pop, [two], check=True)[1] for _ in range(2)] == [2, 2]
    assert interpret(pop, [one], check=True)[1] == 1
    with pytest.raises(RuntimeError, match="empty stack"):
        interpret(pop, [empty])
    with pytest.raises(RuntimeError, match="was pushed"):
        interpret(parse(print_graph(pop).replace("f64", "f32")), [one])


BOUND = """\
def main(x: f64[5], i: i64) -> f64:
    j: i64 = bound(i, size=5, axis=0)  # net.py:12
    w: f64[1] = dynamic_slice(x, j, sizes=(1,))
    y: f64 = reshape(w, shape=())
    return y
"""


def test_an_index_out_of_bounds():
    x = np.arange(5.0)
    assert interpret(parse(BOUND), [x, np.int64(4)]) == [4]
    for i in (-1, 5, 7):
        with pytest.raises(IndexError) as caught:
            interpret(parse(BOUND), [x, np.int64(i)])
        assert str(caught.value) == f"index {i} is out of bounds for axis 0 with size 5"
        assert caught.value.__notes__ == ["at net.py:12"]
    with pytest.raises(IndexError, match="index -3 is out"):
        REGISTRY["bound"].reference(np.array([0, 2, -3, 9]), size=5, axis=1)
    with pytest.raises(IndexError, match="leaves an array"):
        REGISTRY["dynamic_slice"].reference(x, np.int64(3), sizes=(3,))


def region(inputs: list[TensorType], outputs: list[TensorType], name: str = "r") -> Graph:
    """A graph of those types: inputs where they fit, else constants."""
    build = Builder(name)
    values = [build.input(t).value for t in inputs]
    found = {t: build.constant(np.zeros(t.dims), t.dtype).value for t in outputs} | {v.type: v for v in values}
    return build.finish([found[t] for t in outputs])


REFUSED = [
    ("cond", [I64, F3], {}, [region([F3], [F3])] * 2, "predicate must be a 0-d bool"),
    ("cond", [], {}, [region([], [])] * 2, "predicate must be a 0-d bool"),
    ("cond", [BOOL, F3], {}, [region([F3], [F3]), region([I64], [I64])], r"takes \(i64\), got \(f64\[3\]\)"),
    ("cond", [BOOL, F3], {}, [region([F3], [F3]), region([F3], [I64])], r"r returns \(i64\), r returns \(f64\[3\]\)"),
    ("for_loop", [I64, F3, F3], {"carried": 1, "step": 1}, [region([I64, F3], [F3])], "start and stop must be"),
    ("for_loop", [I64, I64, F3], {"carried": 2, "step": 1}, [region([I64, F3], [F3])], "carried=2 of 1 values"),
    ("for_loop", [I64, I64, F3], {"carried": 1, "step": 0}, [region([I64, F3], [F3])], "must not be zero"),
    ("for_loop", [I64, I64, F3], {"carried": 1, "step": 1}, [region([F3], [F3])], "takes"),
    ("for_loop", [I64, I64, F3], {"carried": 1, "step": 1}, [region([I64, F3], [I64])], "carried are"),
    ("for_loop", [I64, I64, F3], {"carried": 0, "step": 1}, [region([I64, F3], [F3])], r"carried are \(\)"),
    ("while_loop", [F3], {"carried": 1}, [region([F3], [I64]), region([F3], [F3])], r"a test returns \(bool\)"),
    ("while_loop", [F3], {"carried": 1}, [region([], [BOOL]), region([F3], [F3])], "takes"),
    ("while_loop", [F3], {"carried": 1}, [region([F3], [BOOL]), region([F3], [BOOL])], "carried are"),
    ("while_loop", [F3], {"carried": -1}, [region([F3], [BOOL]), region([F3], [F3])], "carried=-1"),
]


@pytest.mark.parametrize("name, types, attrs, regions, said", REFUSED)
def test_type_rules_refuse(name, types, attrs, regions, said):
    with pytest.raises(IRTypeError, match=said):
        REGISTRY[name].infer(tuple(types), attrs, tuple(regions))


@pytest.mark.parametrize(
    "old, new, line, said",
    [
        ("body=body0", "body=bodyX", 28, "the name of a function above"),
        ("body=body0", "body=1", 28, "the name of a function above"),
        (", body=body0", "", 28, "expected for_loop with carried=, step=, body=, got carried=, step="),
        ("step=1, ", "", 28, "expected for_loop with"),
        ("body=body0", "body=test0", 28, "test0 takes"),
        ("carried=2", "carried='2'", 29, "attributes that while_loop takes"),
        ("@region\ndef else0", "@part\ndef else0", 23, "@region or @kernel and no other"),
        ("@region\ndef else0", "def else0", 26, "only functions marked"),
    ],
)
def test_errors_of_the_text(old, new, line, said):
    assert PROGRAM.count(old) == 1
    with pytest.raises(ParseError) as caught:
        parse(PROGRAM.replace(old, new))
    assert said in str(caught.value) and caught.value.line == line


BROKEN = {
    "a stack twice": (STACKS.replace("return s1, u, j", "return s, u, j"), "output s is a stack that is used already"),
    "a stack popped twice": (
        STACKS.replace("    u: f64 = add(t, x)\n", "    u: f64 = add(t, x)\n    s3, y, m = pop(s, types=(f64, i64))\n"),
        "operand 0 (s) is a stack that is used already",
    ),
    "a stack that is not carried": (
        """\
@region
def b(i: i64, x: f64, s: stack) -> f64:
    t, y = pop(s, types=(f64,))
    return y

def f(s: stack, x: f64) -> f64:
    y: f64 = for_loop(i64(0), i64(2), x, s, carried=1, step=1, body=b)
    return y
""",
        "operand 3 (s) is a stack and not carried",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_verifier_sees_how_stacks_are_used(name):
    text, said = BROKEN[name]
    with pytest.raises(VerifyError) as caught:
        verify(parse(text), after="something")
    assert said in str(caught.value)


def test_the_verifier_looks_into_regions():
    graph = parse(PROGRAM)
    loop = graph.ops[1]
    body = loop.regions[0]
    stray = Graph(body.name, body.inputs, body.ops, (Value(F3, "stray"),))
    wrong = type(loop)(loop.kind, loop.operands, loop.attrs, (stray,), loop.results)
    with pytest.raises(VerifyError, match="in body0: output stray"):
        verify(Graph(graph.name, graph.inputs, (graph.ops[0], wrong, *graph.ops[2:]), graph.outputs))
    missing = type(loop)(loop.kind, loop.operands, loop.attrs, (), loop.results)
    with pytest.raises(VerifyError, match="for_loop with 0 regions"):
        verify(Graph(graph.name, graph.inputs, (graph.ops[0], missing, *graph.ops[2:]), graph.outputs))
    with pytest.raises(VerifyError, match="no dtype of weft's"):
        build = Builder()
        verify(build.finish([build.input(TensorType("stack", (2,)), "s")]))
