"""Derivatives of loops and branches: against central differences, each mode against the other, and what they cost."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_cases import CASES
from strategies import graphs, random_arguments

import weft
from weft.frontend import transforms
from weft.frontend.apply import Halves
from weft.ir import Graph
from weft.ir import interpret as interpreter
from weft.ir.interpret import interpret
from weft.ir.ops import index
from weft.ir.ops.stack import push
from weft.ir.parse import parse
from weft.ir.text import print_graph
from weft.ir.verify import verify
from weft.passes.cse import cse
from weft.passes.dce import dce
from weft.passes.differentiate import reverse
from weft.passes.forward import forward
from weft.passes.loops import loops
from weft.passes.simplify import simplify

TANH = """\
@region
def body(i: i64, x: f64[3], w: f64[3]) -> f64[3]:
    z: f64[3] = mul(w, x)
    y: f64[3] = tanh(z)
    return y

def main(n: i64, x0: f64[3], w: f64[3]) -> f64[3]:
    x: f64[3] = for_loop(i64(0), n, x0, w, carried=1, step=1, body=body)
    return x
"""

SUM_OF_PARTS = """\
@region
def body(i: i64, s: f64, u: f64[9]) -> f64:
    w: f64[1] = dynamic_slice(u, i, sizes=(1,))
    v: f64 = reshape(w, shape=())
    a: f64 = mul(s, v)
    t: f64 = sin(a)
    r: f64 = add(t, v)
    return r

def main(n: i64, s0: f64, u: f64[9]) -> f64:
    s: f64 = for_loop(n, i64(0), s0, u, carried=1, step=-2, body=body)
    return s
"""

RECURRENCE = """\
@region
def body(i: i64, u: f64[9], c: f64) -> f64[9]:
    h: i64 = sub(i, i64(1))
    a: f64[1] = dynamic_slice(u, h, sizes=(1,))
    b: f64[1] = dynamic_slice(u, i, sizes=(1,))
    ab: f64[1] = mul(a, b)
    d: f64[1] = mul(ab, c)
    e: f64[1] = cos(d)
    v: f64[9] = dynamic_update(u, e, i)
    return v

def main(n: i64, u: f64[9], c: f64) -> f64[9]:
    v: f64[9] = for_loop(i64(1), n, u, c, carried=1, step=1, body=body)
    return v
"""

STENCIL = """\
@region
def body(i: i64, u: f64[9], k: f64) -> f64[9]:
    l: f64[7] = slice(u, start=(0,), stop=(7,), step=(1,))
    m: f64[7] = slice(u, start=(1,), stop=(8,), step=(1,))
    r: f64[7] = slice(u, start=(2,), stop=(9,), step=(1,))
    lr: f64[7] = add(l, r)
    q: f64[7] = mul(m, m)
    s: f64[7] = sub(lr, q)
    c: f64 = mul(k, f64(0.1))
    ks: f64[7] = mul(c, s)
    n: f64[7] = add(m, ks)
    v: f64[9] = update(u, n, start=(1,), stop=(8,), step=(1,))
    b: f64[1] = slice(v, start=(7,), stop=(8,), step=(1,))
    w: f64[9] = update(v, b, start=(8,), stop=(9,), step=(1,))
    return w

def main(n: i64, u: f64[9], k: f64) -> f64[9]:
    v: f64[9] = for_loop(i64(0), n, u, k, carried=1, step=1, body=body)
    return v
"""

NEWTON = """\
@region
def test(x: f64, e: f64, n: i64, a: f64, most: i64) -> bool:
    p: bool = greater(e, f64(1e-09))
    q: bool = less(n, most)
    r: bool = logical_and(p, q)
    return r

@region
def body(x: f64, e: f64, n: i64, a: f64, most: i64) -> (f64, f64, i64):
    y: f64 = div(a, x)
    s: f64 = add(x, y)
    z: f64 = mul(s, f64(0.5))
    d: f64 = sub(z, x)
    e1: f64 = abs(d)
    m: i64 = add(n, i64(1))
    return z, e1, m

def main(most: i64, a: f64, x0: f64) -> f64:
    x2: f64 = mul(x0, x0)
    x1: f64 = add(x2, f64(0.5))
    b: f64 = mul(a, a)
    x, e, n = while_loop(x1, f64(1.0), i64(0), b, most, carried=3, test=test, body=body)
    return x
"""

BRANCH_IN_LOOP = """\
@region
def then(x: f64, u: f64[9], i: i64) -> (f64, f64[9]):
    w: f64[1] = dynamic_slice(u, i, sizes=(1,))
    v: f64 = reshape(w, shape=())
    y: f64 = mul(x, v)
    return y, u

@region
def orelse(x: f64, u: f64[9], i: i64) -> (f64, f64[9]):
    y: f64 = sin(x)
    t: f64[1] = reshape(y, shape=(1,))
    v: f64[9] = dynamic_update(u, t, i)
    return y, v

@region
def body(i: i64, x: f64, u: f64[9], k: f64) -> (f64, f64[9]):
    p: bool = less(x, k)
    y, v = cond(p, x, u, i, then=then, orelse=orelse)
    z: f64 = add(y, k)
    return z, v

def main(n: i64, x0: f64, u0: f64[9]) -> (f64, f64[9]):
    x, u = for_loop(i64(0), n, x0, u0, f64(0.7), carried=2, step=1, body=body)
    return x, u
"""

KINKED = """\
@region
def then(x: f64, k: f64) -> f64:
    a: f64 = sin(x)
    y: f64 = abs(a)
    return y

@region
def orelse(x: f64, k: f64) -> f64:
    y: f64 = mul(x, k)
    return y

def main(n: i64, x: f64, k: f64) -> f64:
    p: bool = less(n, i64(3))
    y: f64 = cond(p, x, k, then=then, orelse=orelse)
    return y
"""

LOOP_IN_BRANCH = """\
@region
def body(i: i64, x: f64, k: f64) -> f64:
    y: f64 = mul(x, k)
    z: f64 = cos(y)
    return z

@region
def then(n: i64, x: f64, k: f64) -> f64:
    y: f64 = for_loop(i64(0), n, x, k, carried=1, step=1, body=body)
    z: f64 = mul(y, y)
    return z

@region
def orelse(n: i64, x: f64, k: f64) -> f64:
    y: f64 = exp(k)
    return y

def main(n: i64, x: f64, k: f64) -> (f64, f64):
    p: bool = less(n, i64(3))
    y: f64 = cond(p, n, x, k, then=then, orelse=orelse)
    z: f64 = cond(p, n, y, x, then=orelse, orelse=then)
    return y, z
"""

NESTED = """\
@region
def test(a: f64, b: f64, m: i64, w: f64, i: i64) -> bool:
    p: bool = less_equal(m, i)
    return p

@region
def inner(a: f64, b: f64, m: i64, w: f64, i: i64) -> (f64, f64, i64):
    c: f64 = mul(a, w)
    d: f64 = sin(c)
    e: f64 = add(d, b)
    n: i64 = add(m, i64(1))
    return b, e, n

@region
def outer(i: i64, x: f64, y: f64, t: f64[9]) -> (f64, f64, f64[9]):
    r: f64[1] = dynamic_slice(t, i, sizes=(1,))
    w: f64 = reshape(r, shape=())
    a, b, m = while_loop(x, y, i64(0), w, i, carried=3, test=test, body=inner)
    s: f64[1] = reshape(b, shape=(1,))
    u: f64[9] = dynamic_update(t, s, i)
    return b, a, u

def main(n: i64, x0: f64, t0: f64[9]) -> (f64, f64[9]):
    x, y, t = for_loop(i64(0), n, x0, f64(0.25), t0, carried=3, step=1, body=outer)
    return y, t
"""

SCATTERS = """\
@region
def body(i: i64, u: f64[9], w: f64[3]) -> (f64[9], f64[3]):
    j: i64[3] = i64([2, 5, 2])
    k: i64[3] = add(j, i)
    l: i64[3] = mod(k, i64(9))
    g: f64[3] = gather(u, l, axes=(0,))
    a: f64[3] = mul(g, w)
    v: f64[9] = scatter(u, l, a, axes=(0,))
    x: f64[9] = scatter_add(v, j, g, axes=(0,))
    s: f64[3] = sin(w)
    return x, s

def main(n: i64, u: f64[9], w: f64[3]) -> (f64[9], f64[3]):
    v, x = for_loop(i64(0), n, u, w, carried=2, step=1, body=body)
    return v, x
"""

SWAP = """\
@region
def body(i: i64, a: f64, b: f64, c: f64, k: f64, m: f64) -> (f64, f64, f64):
    s: f64 = mul(a, k)
    t: f64 = sin(s)
    u: f64 = mul(t, m)
    d: f64 = add(c, u)
    return b, d, a

def main(n: i64, x: f64, k: f64) -> (f64, f64):
    a, b, c = for_loop(n, i64(-2), x, k, x, k, k, carried=3, step=-3, body=body)
    return a, c
"""

FORGETS = """\
@region
def body(i: i64, x: f64, k: f64) -> f64:
    t: f64 = cast(i, dtype=f64)
    return t

def main(n: i64, x: f64, k: f64) -> f64:
    a: f64 = mul(x, k)
    b: f64 = for_loop(i64(0), n, a, k, carried=1, step=1, body=body)
    c: f64 = mul(b, x)
    return c
"""

PROGRAMS = {
    "forgets": FORGETS,
    "tanh": TANH,
    "sum of parts": SUM_OF_PARTS,
    "recurrence": RECURRENCE,
    "stencil": STENCIL,
    "newton": NEWTON,
    "branch in a loop": BRANCH_IN_LOOP,
    "loop in a branch": LOOP_IN_BRANCH,
    "while in a for": NESTED,
    "only a sign": KINKED,
    "scatters": SCATTERS,
    "swap": SWAP,
}


class TooSteep(Exception):
    """A random program whose values grow beyond what differences can tell."""


def cleaned(graph: Graph) -> Graph:
    for change in (dce, simplify, loops, cse, dce):
        graph = verify(change(verify(graph)), after=change.__name__)
    return graph


def floats(values) -> list[int]:
    return [i for i, v in enumerate(values) if v.type.is_float]


def run(graph: Graph, arguments) -> list[np.ndarray]:
    with np.errstate(all="ignore"):
        found = interpret(graph, arguments, check=True)
    if any(a.dtype.kind == "f" and not np.all(np.abs(a) < 1e4) for a in found):
        raise TooSteep
    return found


def moved(graph: Graph, arguments, direction, step: float) -> list[np.ndarray]:
    out = list(arguments)
    for i, t in zip(floats(graph.inputs), direction, strict=False):
        out[i] = np.asarray(out[i] + step * t)
    return out


def difference(graph: Graph, arguments, direction, step: float = 1e-3) -> list[np.ndarray]:
    """The derivative of the float outputs in a direction, by central differences of the fourth order."""

    def at(h: float) -> list[np.ndarray]:
        found = run(graph, moved(graph, arguments, direction, h))
        return [found[k] for k in floats(graph.outputs)]

    rows = zip(at(step), at(-step), at(2 * step), at(-2 * step), strict=True)
    return [(8 * (a - b) - (c - d)) / (12 * step) for a, b, c, d in rows]


def inner(a, b) -> float:
    return sum(float(np.sum(x * y)) for x, y in zip(a, b, strict=True))


def near(a, b, tolerance: float) -> None:
    size = max(1.0, *(float(np.max(np.abs(x), initial=0)) for x in (*a, *b)))
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * size)


def check(graph: Graph, arguments, rng, *, tolerance: float = 1e-6, second: bool = True) -> None:
    """Both modes against differences and each other, to second order in all combinations."""
    wrt, outs, n = floats(graph.inputs), floats(graph.outputs), len(graph.outputs)
    like = [np.asarray(rng.normal(size=graph.inputs[i].shape)) for i in wrt]
    seeds = [np.asarray(rng.normal(size=graph.outputs[k].shape)) for k in outs]
    pushed, pulled = cleaned(forward(graph, wrt)), cleaned(reverse(graph, wrt, outs))
    tangents = run(pushed, [*arguments, *like])[n:]
    results = run(pulled, [*arguments, *seeds])
    for x, y in zip(run(graph, arguments), results, strict=False):
        np.testing.assert_array_equal(x, y)
    near(tangents, difference(graph, arguments, like), tolerance)
    near([inner(seeds, tangents)], [inner(results[n:], like)], 1e-10)
    if not second:
        return
    gradients = list(range(n, len(pulled.outputs)))
    over = cleaned(forward(pulled, wrt))
    curved = run(over, [*arguments, *seeds, *like])[len(over.outputs) - len(gradients) :]
    near(curved, difference(pulled, [*arguments, *seeds], like)[-len(gradients) :], tolerance)
    again = [np.asarray(rng.normal(size=g.shape)) for g in curved]
    twice = cleaned(reverse(pulled, wrt, gradients))
    back = run(twice, [*arguments, *seeds, *again])[len(pulled.outputs) :]
    near([inner(curved, again)], [inner(back, like)], 1e-9)
    other = cleaned(reverse(pushed, wrt, list(range(n, len(pushed.outputs)))))
    near(run(other, [*arguments, *like, *seeds])[len(pushed.outputs) :], curved, 1e-9)


def sized(n: int, graph: Graph, rng) -> list[np.ndarray]:
    """Arguments: n for the first input, which says how many trips there are, floats for the others."""
    return [np.asarray(n), *(np.asarray(rng.uniform(0.3, 1.2, v.shape)) for v in graph.inputs[1:])]


@pytest.mark.parametrize("n", [0, 1, 2, 5])
@pytest.mark.parametrize("name", PROGRAMS)
def test_against_differences_to_second_order(name, n):
    rng = np.random.default_rng(n)
    graph = verify(parse(PROGRAMS[name]))
    check(graph, sized(n, graph, rng), rng)


PARTS = [c for c in CASES if c.kind.family == "index" and c.kind.pull is not None]


@pytest.mark.parametrize("case", PARTS, ids=str)
def test_reads_and_writes_of_parts(case):
    check(case.graph("f64"), case.operands("f64", 1), np.random.default_rng(0))


@pytest.mark.parametrize("few", [0, 1 << 12])
def test_of_two_writes_to_a_place_the_last_has_the_gradient(few, monkeypatch):
    monkeypatch.setattr(index, "FEW", few)
    text = """\
def main(x: f64[2, 3], i: i64[2, 2], j: i64[2], u: f64[2, 2]) -> f64[2, 3]:
    y: f64[2, 3] = scatter(x, i, j, u, axes=(0, 1))
    return y
"""
    i, j = np.array([[0, 1], [0, 1]]), np.array([2, 2])
    graph = verify(parse(text))
    check(graph, [np.ones((2, 3)), i, j, np.ones((2, 2))], np.random.default_rng(0))
    pulled = reverse(graph, [0, 3], [0])
    assert ("any" in {op.kind.name for op in pulled.ops}) == bool(few)
    _, dx, du = interpret(pulled, [np.ones((2, 3)), i, j, np.ones((2, 2)), np.arange(1.0, 7).reshape(2, 3)], check=True)
    np.testing.assert_array_equal(dx, [[1, 2, 0], [4, 5, 0]])
    np.testing.assert_array_equal(du, [[0, 0], [3, 6]])


@pytest.mark.parametrize("name", ["tanh", "recurrence", "while in a for", "branch in a loop"])
def test_third_order(name):
    """Reverse over reverse over reverse, against differences of the second order."""
    rng = np.random.default_rng(3)
    graph = verify(parse(PROGRAMS[name]))
    arguments = sized(3, graph, rng)
    wrt, m = floats(graph.inputs), len(graph.outputs)
    for _ in range(2):
        graph = cleaned(reverse(graph, wrt, floats(graph.outputs)[-1:]))
        arguments.append(np.asarray(rng.normal(size=graph.inputs[len(arguments)].shape)))
    assert m < len(graph.outputs)
    check(graph, arguments, rng, tolerance=1e-5, second=False)


def test_the_gradient_of_a_loop_as_text():
    """One value per trip is kept: w * x is not, nor is tanh(w * x), which is the next trip's x."""
    graph = dce(reverse(verify(parse(TANH)), [1], [0]))
    assert print_graph(graph) == """\
@region
def body(i: i64, x: f64[3], saved: stack, w: f64[3]) -> (f64[3], stack):
    z: f64[3] = mul(w, x)
    y: f64[3] = tanh(z)
    t0: stack = push(saved, y)
    return y, t0

@region
def d_body(i: i64, saved: stack, d_y: f64[3], w: f64[3]) -> (stack, f64[3]):
    t0, y = pop(saved, types=(f64[3],))
    t1: f64[3] = mul(y, y)
    t2: f64[3] = sub(f64(1.0), t1)
    d_z: f64[3] = mul(d_y, t2)
    t3: f64[3] = mul(d_z, w)
    return t0, t3

def main(n: i64, x0: f64[3], w: f64[3], d_x: f64[3]) -> (f64[3], f64[3]):
    t0: stack = stack_new()
    x, saved = for_loop(i64(0), n, x0, t0, w, carried=2, step=1, body=body)
    t1: i64 = sub(n, i64(1))
    t2: i64 = sub(i64(0), i64(1))
    t3, d_x0 = for_loop(t1, t2, saved, d_x, w, carried=2, step=-1, body=d_body)
    return x, d_x0
"""


def pushes(graph: Graph) -> list[str]:
    """The types of what is pushed, in all regions."""
    return sorted(str(v.type) for op in graph.walk() if op.kind is push for v in op.operands[1:])


LINEAR = TANH.replace("    y: f64[3] = tanh(z)\n", "    y: f64[3] = add(z, w)\n")
LEAPFROG = """\
@region
def body(i: i64, a: f64[3], b: f64[3]) -> (f64[3], f64[3]):
    s: f64[3] = sin(b)
    c: f64[3] = sub(s, a)
    return b, c

def main(n: i64, a0: f64[3], b0: f64[3]) -> f64[3]:
    a, b = for_loop(i64(0), n, a0, b0, carried=2, step=1, body=body)
    return b
"""
LOGISTIC = """\
@region
def body(i: i64, x: f64[3], r: f64) -> f64[3]:
    t: f64 = cast(i, dtype=f64)
    u: f64 = mul(t, r)
    a: f64[3] = sub(f64(1.0), x)
    b: f64[3] = mul(x, a)
    c: f64[3] = mul(b, u)
    y: f64[3] = maximum(c, f64(0.0))
    return y

def main(n: i64, x0: f64[3], r: f64) -> f64[3]:
    x: f64[3] = for_loop(i64(0), n, x0, r, carried=1, step=1, body=body)
    return x
"""
ONCE = """\
@region
def body(i: i64, x: f64[3], w: f64[3]) -> f64[3]:
    e: f64[3] = exp(w)
    y: f64[3] = mul(x, e)
    return y

def main(n: i64, x0: f64[3], w: f64[3]) -> f64[3]:
    x: f64[3] = for_loop(i64(0), n, x0, w, carried=1, step=1, body=body)
    return x
"""


@pytest.mark.parametrize(
    "text, wrt, kept",
    [
        (TANH, [1, 2], ["f64[3]"]),  # x; its next value is had from the trip after
        (LINEAR, [1], []),
        (LINEAR, [1, 2], ["f64[3]"]),
        (LEAPFROG, [1, 2], ["f64[3]"]),
        (LOGISTIC, [1, 2], ["f64[3]"]),  # all else is cheap to compute again from x, i and r
        (ONCE, [1], []),  # exp(w) is computed before the loop
        (SUM_OF_PARTS, [1, 2], ["f64"]),  # u[i] is read again
        (RECURRENCE, [1], ["f64[1]", "f64[1]"]),  # of u, what is read
        (STENCIL, [1], ["f64[7]"]),
        (NEWTON, [1, 2], ["f64"]),
        (NESTED, [1], ["f64", "f64", "i64"]),  # in each inner trip a, in each outer one t[i] and the inner trips
        (BRANCH_IN_LOOP, [1, 2], ["bool", "f64", "f64", "f64"]),  # the predicate; x and v, or x
    ],
)
def test_no_more_is_kept_than_needed(text, wrt, kept):
    graph = parse(text)
    assert pushes(dce(reverse(graph, wrt, floats(graph.outputs)))) == kept


def interpreted(graph: Graph, arguments, monkeypatch) -> int:
    """How many ops the interpreter runs, those of loops in every trip."""
    counted = itertools.count()
    run_op = interpreter._apply

    def counting(*given):
        next(counted)
        return run_op(*given)

    with monkeypatch.context() as patch:
        patch.setattr(interpreter, "_apply", counting)
        interpret(graph, arguments)
    return next(counted)


@pytest.mark.parametrize("name", ["tanh", "sum of parts", "recurrence", "stencil", "while in a for", "scatters"])
def test_a_gradient_costs_a_small_constant_times_the_forward(name, monkeypatch):
    rng = np.random.default_rng(0)
    graph = parse(PROGRAMS[name])
    wrt, outs = floats(graph.inputs), floats(graph.outputs)
    pulled = cleaned(reverse(graph, wrt, outs))
    twice = cleaned(reverse(pulled, wrt, list(range(len(graph.outputs), len(pulled.outputs)))))
    costs = []
    for n in (2, 8):
        arguments = sized(n, graph, rng)
        given = [np.ones(v.shape) for v in twice.inputs[len(arguments) :]]
        row = [interpreted(graph, arguments, monkeypatch)]
        row.append(interpreted(pulled, [*arguments, *given[: len(outs)]], monkeypatch))
        row.append(interpreted(twice, [*arguments, *given], monkeypatch))
        costs.append(row)
    trips = [b - a for a, b in zip(*costs, strict=True)]  # of six trips (of the inner loop: more)
    assert trips[1] <= 6 * trips[0] and trips[2] <= 30 * trips[0], trips


def test_ops_of_a_gradient_do_not_grow_with_depth_of_paths():
    """Twenty doublings in a body: 2^20 paths through each trip, and some hundred ops in the gradient."""
    lines = "".join(f"    x{k + 1}: f64 = add(x{k}, x{k})\n" for k in range(20))
    text = f"""\
@region
def body(i: i64, x0: f64) -> f64:
{lines}    y: f64 = sin(x20)
    return y

def main(n: i64, x: f64) -> f64:
    y: f64 = for_loop(i64(0), n, x, carried=1, step=1, body=body)
    return y
"""
    graph = dce(reverse(parse(text), [1], [0]))
    assert sum(1 for _ in graph.walk()) < 80


@pytest.mark.parametrize("text", [RECURRENCE, SUM_OF_PARTS, NESTED, BRANCH_IN_LOOP])
def test_what_is_read_of_an_array_costs_what_the_read_costs(text):
    """No op in a gradient's loop makes an array as large as the one of which an element is read."""
    graph = parse(text.replace("f64[9]", "f64[5000]"))
    pulled = cleaned(reverse(graph, floats(graph.inputs), floats(graph.outputs)))
    regions = [r for op in pulled.ops for r in op.regions]
    inside = [op for r in regions for op in r.walk()]
    made = {op.kind.name for op in inside for r in op.results if r.type.size == 5000 and op.kind.family != "control"}
    assert made <= {"dynamic_update"}, made


def test_a_linear_chain_of_writes_is_done_in_place():
    """In a gradient each array that is written dies there: it is read before."""
    graph = parse(RECURRENCE)
    pulled = cleaned(reverse(graph, [1], [0]))
    for region in [r for op in pulled.ops for r in op.regions]:
        for i, op in enumerate(region.ops):
            if op.kind.name == "dynamic_update":
                later = [v for o in region.ops[i + 1 :] for v in o.operands] + list(region.outputs)
                assert op.operands[0] not in later


def test_inactive_loops_are_left_alone():
    text = """\
@region
def body(i: i64, x: f64, k: i64) -> (f64, i64):
    y: f64 = sin(x)
    m: i64 = add(k, i)
    return y, m

def main(n: i64, x: f64, w: f64) -> (f64, i64, f64):
    y, k = for_loop(i64(0), n, x, i64(0), carried=2, step=1, body=body)
    z: f64 = mul(y, w)
    return z, k, y
"""
    graph = verify(parse(text))
    pulled = dce(reverse(graph, [2], [0]))
    assert [op.kind.name for op in pulled.ops if op.regions] == ["for_loop"] and not pushes(pulled)
    pushed = dce(forward(graph, [2]))
    assert pushed.ops[1].attrs["carried"] == 2
    check(graph, sized(3, graph, np.random.default_rng(0)), np.random.default_rng(1))


def test_a_value_that_a_loop_carries_for_others_is_not_seeded():
    """What does not reach the result has no adjoint, though it depends on the input."""
    text = """\
@region
def body(i: i64, x: f64, d: f64) -> (f64, f64):
    y: f64 = sin(x)
    e: f64 = exp(x)
    f: f64 = add(d, e)
    return y, f

def main(n: i64, x: f64) -> (f64, f64):
    y, d = for_loop(i64(0), n, x, f64(0.0), carried=2, step=1, body=body)
    return y, d
"""
    graph = dce(reverse(parse(text), [1], [0]))
    assert pushes(graph) == ["f64"]
    back = graph.ops[-1].regions[0]
    assert "exp" not in {op.kind.name for op in back.ops} and graph.ops[-1].attrs["carried"] == 2


def test_gradients_through_calls():
    text = """\
@kernel
def k0(x: f64, w: f64) -> f64:
    z: f64 = mul(x, w)
    y: f64 = sin(z)
    return y

@region
def body(i: i64, x: f64, w: f64) -> f64:
    y: f64 = k0(x, w)
    return y

def main(n: i64, x0: f64, w: f64) -> f64:
    y: f64 = k0(x0, w)
    x: f64 = for_loop(i64(0), n, y, w, carried=1, step=1, body=body)
    return x
"""
    graph = verify(parse(text))
    check(graph, sized(3, graph, np.random.default_rng(0)), np.random.default_rng(1))


def halves(x0, w, n=3):
    graph = parse(TANH.replace("main(n: i64, ", "main(").replace("n, x0", f"i64({n}), x0"))
    both = dce(reverse(graph, [0, 1], [0]))
    return Halves(both, 2, 1, [x0, w])


def test_a_pullback_is_called_any_number_of_times():
    x0, w = np.array([0.3, -0.5, 0.9]), np.array([1.1, 0.7, -0.4])
    found = halves(x0, w)
    graph = parse(TANH)
    np.testing.assert_array_equal(found.results[0], interpret(graph, [np.int64(3), x0, w])[0])
    whole = dce(reverse(graph, [1, 2], [0]))
    for ct in np.eye(3):
        want = interpret(whole, [np.int64(3), x0, w, ct])[1:]
        for a, b in zip(found.finish([ct]), want, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_pullback_in_a_capture_takes_each_stack_once(monkeypatch):
    """Called twice, and in captures inside and around the one that it was made in; and differentiated."""
    monkeypatch.setattr(transforms, "reverse", lambda graph, *rest: reverse(verify(graph), *rest))
    x0, w = np.array([0.3, -0.5, 0.9]), np.array([1.1, 0.7, -0.4])
    made = halves(x0, w)

    def twice(x):
        here = halves(x, w)
        a, b = here.finish([np.ones(3)])
        c, d = here.finish([x])
        e, f = made.finish([x])
        (inside,) = weft.jvp(lambda y: here.finish([y * y])[0], (x,), (w,))[1:]
        return a * b + c * d + e * f + inside

    step, ct = 1e-5, np.array([0.2, 1.3, -0.6])
    want = [(ct * (twice(x0 + step * t) - twice(x0 - step * t))).sum() / (2 * step) for t in np.eye(3)]
    _, pullback = weft.vjp(twice, x0)
    for _ in range(2):
        np.testing.assert_allclose(pullback(ct)[0], want, rtol=1e-6)


SMOOTH = frozenset("""
    add sub mul tanh sin cos where sum dot dynamic_slice dynamic_update slice update gather scatter scatter_add
    broadcast reshape transpose concatenate pad reverse less less_equal cast bound iota max neg
""".split())


@given(graph=graphs(ops=SMOOTH, dtypes=("f64",), regions=2, max_ops=7, hints=False), seed=st.integers(0, 99))
def test_random_programs(graph, seed):
    if not floats(graph.inputs) or not floats(graph.outputs):
        return
    rng = np.random.default_rng(seed)
    try:
        check(graph, random_arguments(graph, seed), rng, tolerance=1e-4)
    except TooSteep:
        pass
