"""Loops, branches, stacks and writes in native code: the interpreter's results, and no copies that need not be."""

import gc
import re
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ALL_OPS, JUMPS, STEEP, UPDATES, graphs, random_arguments

from weft.ir import NAMES, Builder, TensorType
from weft.ir.graph import Location
from weft.ir.interpret import interpret
from weft.ir.opdef import REGISTRY
from weft.ir.parse import parse
from weft.ir.verify import verify
from weft.passes.memory_stacks import rooms
from weft.pipeline import Stages

SMOOTH = (ALL_OPS | UPDATES) - JUMPS - STEEP
TOLERANCE = {"f16": 2e-2, "f32": 1e-3, "f64": 1e-8}


def stages(text, donate=()):
    return Stages(verify(parse(text)), donate, check=True)


def agree(graph, arguments, executable=None):
    """Run natively, twice, and compare with the interpreter; arguments stay as they were."""
    executable = executable or Stages(graph, check=True).compile()
    arguments = [np.asarray(a) for a in arguments]
    before = [a.copy() for a in arguments]
    with np.errstate(all="ignore"):
        want = interpret(graph, arguments)
    for _ in range(2):
        got = executable(arguments)
        for a, b, v in zip(got, want, graph.outputs, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            if v.type.is_float:
                tolerance = TOLERANCE[v.dtype]
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
            else:
                np.testing.assert_array_equal(a, b)
        for a, b in zip(arguments, before, strict=True):
            np.testing.assert_array_equal(a, b)
    return got


def run(text, *arguments):
    return agree(verify(parse(text)), arguments)


def in_loops(text):
    """The lines of a step that are run more than once."""
    found, loop = [], None
    for line in text[text.index("define i64 @step") :].splitlines():
        start = re.match(r"(?:for|while)\.(\d+):", line)
        if loop is None and start:
            loop = start[1]
        if line == f"done.{loop}:":
            loop = None
        if loop is not None:
            found.append(line)
    assert found
    return "\n".join(found)


# ---- random programs ---------------------------------------------------------------------------------


@settings(max_examples=40)
@given(graphs(ops=SMOOTH, dtypes=("f64", "i64", "bool"), regions=2, max_ops=6, hints=False), st.integers(0, 99))
def test_random_programs(graph, seed):
    agree(graph, random_arguments(graph, seed))


@settings(max_examples=30)
@given(graphs(ops=SMOOTH, regions=1, max_ops=6, hints=False), st.integers(0, 99))
def test_random_programs_of_all_dtypes(graph, seed):
    agree(graph, random_arguments(graph, seed))


class _Writes:
    """A random loop of writes to parts of one array, which read other parts of it."""

    def __init__(self, rnd):
        self.rnd = rnd
        self.dims = tuple(rnd.choice([3, 4, 6]) for _ in range(rnd.randint(1, 2)))
        self.body = Builder("body")
        self.i = self.body.input(TensorType("i64"), "i")
        self.x = self.body.input(TensorType("f64", self.dims), "x")
        self.z = self.body.input(TensorType("f64", self.dims), "z")

    def start(self, n, d):
        """A start of a window of n in an axis of d: the loop's variable, moved and wrapped, or a number."""
        if self.rnd.randint(0, 2) == 0:
            return self.i.const(self.rnd.randint(0, d - n))
        moved = self.i + self.rnd.randint(0, 2)
        return REGISTRY["mod"](moved, d - n + 1)

    def read(self, sizes, mine):
        """A part of an array: where the write goes, where another static or moving window is, or reversed."""
        source = self.rnd.choice([self.x, self.x, self.x, self.z])
        how = self.rnd.randint(0, 4)
        if how == 0:
            return mine(source)
        if how == 1:
            starts = [self.start(n, d) for n, d in zip(sizes, self.dims, strict=True)]
            return REGISTRY["dynamic_slice"](source, *starts, sizes=sizes)
        at = [self.rnd.randint(0, d - n) for n, d in zip(sizes, self.dims, strict=True)]
        stop = tuple(a + n for a, n in zip(at, sizes, strict=True))
        part = REGISTRY["slice"](source, start=tuple(at), stop=stop, step=(1,) * len(at))
        return REGISTRY["reverse"](part, axes=(0,)) if how == 2 else part

    def write(self):
        rnd = self.rnd
        if rnd.randint(0, 1):
            sizes = tuple(rnd.randint(1, d) for d in self.dims)
            starts = [self.start(n, d) for n, d in zip(sizes, self.dims, strict=True)]
            mine = lambda v: REGISTRY["dynamic_slice"](v, *starts, sizes=sizes)  # noqa: E731
            write = lambda u: REGISTRY["dynamic_update"](self.x, u, *starts)  # noqa: E731
        else:
            start = tuple(rnd.randint(0, d - 1) for d in self.dims)
            stop = tuple(rnd.randint(a + 1, d) for a, d in zip(start, self.dims, strict=True))
            at = {"start": start, "stop": stop, "step": tuple(rnd.choice([1, 1, 2]) for _ in start)}
            mine = lambda v: REGISTRY["slice"](v, **at)  # noqa: E731
            write = lambda u: REGISTRY["update"](self.x, u, **at)  # noqa: E731
            sizes = mine(self.x).shape
        part = self.read(sizes, mine)
        for _ in range(rnd.randint(0, 2)):
            part = REGISTRY[rnd.choice(["add", "maximum"])](part, self.read(sizes, mine)) * 0.5
        if rnd.randint(0, 3) == 0:
            total = REGISTRY["sum"](part, axes=(len(sizes) - 1,))
            part = part + REGISTRY["reshape"](total, shape=(*sizes[:-1], 1))
        late = self.x  # sometimes the array as it was is read after the write
        self.x = write(part)
        if rnd.randint(0, 4) == 0:
            self.x = self.x + late * 0.25

    def graph(self):
        for _ in range(self.rnd.randint(1, 4)):
            self.write()
        body = self.body.finish([self.x])
        main = Builder()
        x, z = (main.input(TensorType("f64", self.dims), name) for name in "xz")
        ends = [main.constant(n, "i64").value for n in (0, self.rnd.randint(0, 4))]
        regions = (body,)
        (y,) = main.emit(REGISTRY["for_loop"], [*ends, x.value, z.value], {"carried": 1, "step": 1}, regions=regions)
        return main.finish([y])


@settings(max_examples=50)
@given(st.randoms(use_true_random=False), st.integers(0, 99))
def test_random_writes_in_place(rnd, seed):
    graph = verify(_Writes(rnd).graph())
    agree(graph, random_arguments(graph, seed))


# ---- loops -------------------------------------------------------------------------------------------

COUNT = """\
@region
def body(i: i64, n: i64, x: i64) -> (i64, i64):
    m: i64 = add(n, i64(1))
    y: i64 = add(x, i)
    return m, y

def main(start: i64, stop: i64) -> (i64, i64):
    n, x = for_loop(start, stop, i64(0), i64(0), carried=2, step=STEP, body=body)
    return n, x
"""
BIG = 2**63 - 1


@pytest.mark.parametrize(
    ("start", "stop", "step"),
    [(0, 5, 1), (0, 5, 2), (5, 0, -1), (7, -2, -3), (3, 3, 1), (4, 2, 1), (2, 4, -1), (BIG - 3, BIG, 1),
     (BIG - 5, BIG, 3), (-BIG + 2, -BIG - 1, -1), (-BIG, -BIG + 9, 4), (-BIG - 1, BIG, BIG), (0, 3, 100)],
)  # fmt: skip
def test_trips_are_those_of_pythons_range(start, stop, step):
    n, x = stages(COUNT.replace("STEP", str(step))).compile()([np.asarray(start), np.asarray(stop)])
    trips = range(start, stop, step)
    assert n == len(trips) and (int(x) - sum(trips)) % 2**64 == 0


def test_while_and_nested_loops():
    text = """\
@region
def collatz(n: i64, steps: i64) -> bool:
    more: bool = greater(n, i64(1))
    return more

@region
def step(n: i64, steps: i64) -> (i64, i64):
    half: i64 = floordiv(n, i64(2))
    t: i64 = mul(n, i64(3))
    up: i64 = add(t, i64(1))
    r: i64 = mod(n, i64(2))
    even: bool = equal(r, i64(0))
    m: i64 = where(even, half, up)
    s: i64 = add(steps, i64(1))
    return m, s

@region
def body(i: i64, out: i64[30]) -> i64[30]:
    first: i64 = add(i, i64(1))
    n, steps = while_loop(first, i64(0), carried=2, test=collatz, body=step)
    u: i64[1] = reshape(steps, shape=(1,))
    y: i64[30] = dynamic_update(out, u, i)
    return y

def main(out: i64[30]) -> i64[30]:
    y: i64[30] = for_loop(i64(0), i64(30), out, carried=1, step=1, body=body)
    return y
"""
    (got,) = run(text, np.zeros(30, np.int64))
    assert got[26] == 111 and got[0] == 0
    loop = in_loops(stages(text).llvm)
    assert "memcpy" not in loop and "weft_parallel_for" not in loop


ROTATE = """\
@region
def body(i: i64, a: f64[40], b: f64[40], c: f64[40], n: i64) -> (f64[40], f64[40], f64[40], i64):
    m: i64 = add(n, i64(1))
    return b, c, a, m

def main(a: f64[40], b: f64[40], c: f64[40], trips: i64) -> (f64[40], f64[40], f64[40], f64[40], i64):
    x, y, z, n = for_loop(i64(0), trips, a, b, c, i64(0), carried=4, step=1, body=body)
    return x, y, z, x, n
"""


@pytest.mark.parametrize("trips", [0, 1, 2, 3, 7])
def test_what_changes_places_is_not_copied(trips):
    a, b, c = (np.full(40, float(k)) for k in range(3))
    run(ROTATE, a, b, c, np.int64(trips))
    assert "memcpy" not in in_loops(stages(ROTATE).llvm)


def test_one_array_in_two_carried_values():
    text = """\
@region
def body(i: i64, a: f64[40], b: f64[40]) -> (f64[40], f64[40]):
    z: f64[1] = broadcast(f64(7.0), shape=(1,))
    y: f64[40] = dynamic_update(a, z, i)
    return y, y

@region
def keep(i: i64, a: f64[40], b: f64[40], c: f64[40]) -> (f64[40], f64[40]):
    return b, c

def main(a: f64[40], trips: i64) -> (f64[40], f64[40], f64[40], f64[40], f64[40]):
    x, y = for_loop(i64(0), trips, a, a, carried=2, step=1, body=body)
    u, v = for_loop(i64(0), trips, x, a, a, carried=2, step=1, body=keep)
    s: f64[40] = add(x, a)
    return x, y, s, u, v
"""
    for trips in (0, 1, 3):
        run(text, np.arange(40.0), np.int64(trips))


def test_an_initial_value_that_is_needed_afterwards():
    text = """\
@region
def body(i: i64, u: f64[40]) -> f64[40]:
    z: f64[1] = broadcast(f64(7.0), shape=(1,))
    y: f64[40] = dynamic_update(u, z, i)
    return y

def main(a: f64[40]) -> (f64[40], f64[40]):
    e: f64[40] = mul(a, a)
    x: f64[40] = for_loop(i64(0), i64(4), e, carried=1, step=1, body=body)
    s: f64[40] = sub(x, e)
    return x, s
"""
    x, s = run(text, np.arange(40.0))
    assert (x[:4] == 7).all() and (s[4:] == 0).all()


@pytest.mark.parametrize("dtype", NAMES)
def test_carried_values_of_every_dtype(dtype):
    text = f"""\
@region
def body(i: i64, x: {dtype}, v: {dtype}[3], w: {dtype}[70], c: {dtype}) -> ({dtype}, {dtype}[3], {dtype}[70]):
    y: {dtype} = maximum(x, c)
    a: {dtype}[1] = dynamic_slice(w, i, sizes=(1,))
    v1: {dtype}[3] = dynamic_update(v, a, i)
    b: {dtype}[1] = reshape(y, shape=(1,))
    w1: {dtype}[70] = dynamic_update(w, b, i)
    return y, v1, w1

def main(x: {dtype}, v: {dtype}[3], w: {dtype}[70], c: {dtype}) -> ({dtype}, {dtype}[3], {dtype}[70]):
    a, b, d = for_loop(i64(0), i64(3), x, v, w, c, carried=3, step=1, body=body)
    return a, b, d
"""
    rng = np.random.default_rng(1)
    arguments = [rng.integers(0, 2, n).astype(NAMES[dtype]) for n in (1, 3, 70, 1)]
    run(text, arguments[0][0], arguments[1], arguments[2], arguments[3][0])


def test_empty_arrays():
    text = """\
@region
def body(i: i64, a: f64[0, 5], b: f64[3, 0]) -> (f64[0, 5], f64[3, 0]):
    x: f64[0, 5] = add(a, a)
    y: f64[3, 0] = mul(b, b)
    return x, y

@region
def swap(i: i64, a: f64[0, 5], b: f64[0, 5]) -> (f64[0, 5], f64[0, 5]):
    return b, a

def main(a: f64[0, 5], b: f64[3, 0]) -> (f64[0, 5], f64[3, 0], f64[0, 5]):
    x, y = for_loop(i64(0), i64(4), a, b, carried=2, step=1, body=body)
    u, v = for_loop(i64(0), i64(3), x, a, carried=2, step=1, body=swap)
    return x, y, u
"""
    run(text, np.zeros((0, 5)), np.zeros((3, 0)))


def test_results_that_nobody_reads_and_loops_that_carry_nothing():
    text = """\
@region
def body(i: i64, a: f64[40], b: f64[40]) -> (f64[40], f64[40]):
    x: f64[40] = add(a, b)
    y: f64[40] = mul(b, a)
    return x, y

@region
def nothing(i: i64, a: f64[40]) -> ():
    return ()

def main(a: f64[40]) -> f64[40]:
    x, y = for_loop(i64(0), i64(3), a, a, carried=2, step=1, body=body)
    return y
"""
    run(text, np.linspace(0, 1, 40))


# ---- writes ------------------------------------------------------------------------------------------

STENCIL = """\
@region
def body(t: i64, u: f64[50]) -> f64[50]:
    a: f64[48] = slice(u, start=(0,), stop=(48,), step=(1,))
    b: f64[48] = slice(u, start=(2,), stop=(50,), step=(1,))
    s: f64[48] = add(a, b)
    m: f64[48] = mul(s, f64(0.5))
    y: f64[50] = update(u, m, start=(1,), stop=(49,), step=(1,))
    return y

def main(u: f64[50], n: i64) -> f64[50]:
    x: f64[50] = for_loop(i64(0), n, u, carried=1, step=1, body=body)
    return x
"""


def test_a_stencil_changes_two_buffers():
    run(STENCIL, np.random.default_rng(0).random(50), np.int64(7))
    made = stages(STENCIL)
    (loop,) = made.memory.nested.values()
    assert len(loop.body.pointers) == 2 and loop.order == [1, 0]
    assert len(made.step.kernels) == 1 and "memcpy" not in in_loops(made.llvm)


ELEMENT = """\
@region
def body(i: i64, b: f64[50], a: f64[50]) -> f64[50]:
    before: i64 = sub(i, i64(1))
    p: f64[1] = dynamic_slice(b, before, sizes=(1,))
    q: f64[1] = dynamic_slice(a, i, sizes=(1,))
    s: f64[1] = add(p, q)
    y: f64[50] = dynamic_update(b, s, i)
    return y

def main(b: f64[50], a: f64[50]) -> f64[50]:
    x: f64[50] = for_loop(i64(1), i64(50), b, a, carried=1, step=1, body=body)
    return x
"""


def test_an_element_is_written_in_place():
    rng = np.random.default_rng(0)
    b, a = rng.random(50), rng.random(50)
    (x,) = run(ELEMENT, b, a)
    np.testing.assert_allclose(x, np.cumsum(np.concatenate([b[:1], a[1:]])))
    made = stages(ELEMENT)
    (loop,) = made.memory.nested.values()
    assert loop.order == [0] and not loop.body.arena
    assert "memcpy" not in in_loops(made.llvm)
    assert made.llvm.count("call void @llvm.memcpy") == 1  # the argument, once


def test_a_donated_argument_is_not_copied_at_all():
    made = stages(ELEMENT, donate=[0])
    assert made.llvm.count("call void @llvm.memcpy") == 0
    rng = np.random.default_rng(0)
    b, a = rng.random(50), rng.random(50)
    want = interpret(parse(ELEMENT), [b.copy(), a])[0]
    (x,) = made.compile()([b, a])
    assert x is b
    np.testing.assert_allclose(x, want)


def test_what_is_computed_first_goes_straight_to_the_result():
    text = ELEMENT.replace("f64[50] = for_loop(i64(1), i64(50), b,", "f64[50] = for_loop(i64(1), i64(50), c,").replace(
        "-> f64[50]:\n    x:", "-> f64[50]:\n    c: f64[50] = mul(b, f64(2.0))\n    x:"
    )
    run(text, np.arange(50.0), np.arange(50.0))
    assert stages(text).llvm.count("call void @llvm.memcpy") == 0


def test_a_chain_of_writes_in_nested_loops_is_in_place():
    text = """\
@region
def inner(j: i64, a: f64[6, 7], i: i64) -> f64[6, 7]:
    x: f64[1, 1] = dynamic_slice(a, i, j, sizes=(1, 1))
    y: f64[1, 1] = add(x, f64(1.0))
    b: f64[6, 7] = dynamic_update(a, y, i, j)
    return b

@region
def outer(i: i64, a: f64[6, 7]) -> f64[6, 7]:
    b: f64[6, 7] = for_loop(i64(0), i64(7), a, i, carried=1, step=1, body=inner)
    z: f64[6, 1] = broadcast(f64(0.0), shape=(6, 1))
    c: f64[6, 7] = update(b, z, start=(0, 3), stop=(6, 4), step=(1, 1))
    r: f64[1, 7] = dynamic_slice(c, i, i64(0), sizes=(1, 7))
    k: i64 = sub(i64(5), i)
    d: f64[6, 7] = dynamic_update(c, r, k, i64(0))
    return d

def main(a: f64[6, 7]) -> f64[6, 7]:
    b: f64[6, 7] = for_loop(i64(0), i64(6), a, carried=1, step=1, body=outer)
    return b
"""
    run(text, np.arange(42.0).reshape(6, 7))
    assert "memcpy" not in in_loops(stages(text).llvm)


def test_who_reads_the_array_before_the_write_stays_in_front_of_it():
    """`t` is needed only after the write: fused with its reader it would keep the old array alive."""
    text = """\
@region
def body(i: i64, x: f64[400], s: f64[400]) -> (f64[400], f64[400]):
    t: f64[400] = mul(x, x)
    z: f64[1] = broadcast(f64(1.0), shape=(1,))
    y: f64[400] = dynamic_update(x, z, i)
    u: f64[400] = add(t, y)
    v: f64[400] = add(u, s)
    return y, v

def main(x: f64[400], n: i64) -> (f64[400], f64[400]):
    y, s = for_loop(i64(0), n, x, x, carried=2, step=1, body=body)
    return y, s
"""
    run(text, np.random.default_rng(0).random(400), np.int64(5))
    made = stages(text)
    (loop,) = made.memory.nested.values()
    assert loop.order[0] == 0  # the array is written where it is
    assert not re.search(r"for once in \[chunk, 1\)", made.kernel_ir)  # and nothing of it is copied


@pytest.mark.parametrize("how", ["scatter", "scatter_add"])
def test_scatters_in_place(how):
    text = f"""\
@region
def body(i: i64, x: f64[30, 3], at: i64[4], u: f64[4, 3]) -> f64[30, 3]:
    j: i64[4] = add(at, i)
    y: f64[30, 3] = {how}(x, j, u, axes=(0,))
    return y

def main(x: f64[30, 3], at: i64[4], u: f64[4, 3]) -> f64[30, 3]:
    y: f64[30, 3] = for_loop(i64(0), i64(5), x, at, u, carried=1, step=1, body=body)
    return y
"""
    run(text, np.zeros((30, 3)), np.array([3, 20, 3, 7]), np.arange(12.0).reshape(4, 3))
    made = stages(text)
    (loop,) = made.memory.nested.values()
    assert loop.order == [0] and "memcpy" not in in_loops(made.llvm)


def test_of_two_writes_to_one_place_the_last_wins():
    text = """\
def main(x: f64[9], at: i64[6], u: f64[6]) -> f64[9]:
    y: f64[9] = scatter(x, at, u, axes=(0,))
    return y
"""
    (y,) = run(text, np.zeros(9), np.array([1, 4, 1, 4, 4, 8]), np.arange(1.0, 7))
    assert y[1] == 3 and y[4] == 5


# ---- branches ----------------------------------------------------------------------------------------

ACCEPT = """\
@region
def then(u: f64[40], v: f64[40], t: i64) -> (f64[40], i64):
    n: i64 = add(t, i64(1))
    return v, n

@region
def orelse(u: f64[40], v: f64[40], t: i64) -> (f64[40], i64):
    return u, t

@region
def body(i: i64, u: f64[40], t: i64) -> (f64[40], i64):
    a: f64[40] = reverse(u, axes=(0,))
    v: f64[40] = add(u, a)
    r: i64 = mod(i, i64(3))
    p: bool = equal(r, i64(0))
    w, n = cond(p, u, v, t, then=then, orelse=orelse)
    return w, n

def main(u: f64[40], trips: i64) -> (f64[40], i64):
    w, n = for_loop(i64(0), trips, u, i64(0), carried=2, step=1, body=body)
    return w, n
"""


def test_a_step_that_is_accepted_or_not_is_no_copy():
    for trips in (0, 1, 2, 5, 8):
        run(ACCEPT, np.linspace(0, 1, 40), np.int64(trips))
    assert "memcpy" not in in_loops(stages(ACCEPT).llvm)


def test_a_branch_that_writes_in_place():
    text = """\
@region
def then(u: f64[40], i: i64) -> f64[40]:
    z: f64[1] = broadcast(f64(9.0), shape=(1,))
    y: f64[40] = dynamic_update(u, z, i)
    return y

@region
def orelse(u: f64[40], i: i64) -> f64[40]:
    return u

@region
def body(i: i64, u: f64[40]) -> f64[40]:
    r: i64 = mod(i, i64(2))
    p: bool = equal(r, i64(0))
    w: f64[40] = cond(p, u, i, then=then, orelse=orelse)
    return w

def main(u: f64[40]) -> f64[40]:
    w: f64[40] = for_loop(i64(0), i64(40), u, carried=1, step=1, body=body)
    return w
"""
    (w,) = run(text, np.zeros(40))
    assert w.sum() == 9 * 20
    made = stages(text)
    (loop,) = made.memory.nested.values()
    assert loop.order == [0] and "memcpy" not in in_loops(made.llvm)


def test_branches_at_the_top_and_of_arguments():
    text = """\
@region
def then(u: f64[40], v: f64[40]) -> (f64[40], f64[40], f64):
    s: f64 = sum(u, axes=(0,))
    w: f64[40] = mul(u, v)
    return w, u, s

@region
def orelse(u: f64[40], v: f64[40]) -> (f64[40], f64[40], f64):
    return v, v, f64(1.5)

def main(p: bool, u: f64[40], v: f64[40]) -> (f64[40], f64[40], f64, f64[40]):
    e: f64[40] = add(u, v)
    a, b, s = cond(p, u, v, then=then, orelse=orelse)
    c, d, t = cond(p, e, v, then=then, orelse=orelse)
    f: f64[40] = add(d, c)
    return a, b, s, f
"""
    for p in (True, False):
        run(text, np.bool_(p), np.arange(40.0), np.linspace(1, 2, 40))


# ---- indices out of bounds ---------------------------------------------------------------------------


def checked(n, location=None, parallel=False):
    """x[i] for every i of an array: i64[n]; from f64[9]."""
    build = Builder("look")
    x, i = build.input(TensorType("f64", (9,)), "x"), build.input(TensorType("i64", (n,)), "i")
    build.location = location
    (j,) = build.emit(REGISTRY["bound"], [i.value], {"size": 9, "axis": 0})
    y = REGISTRY["gather"](x, j, axes=(0,))
    if parallel:
        y = REGISTRY["tanh"](y) * REGISTRY["exp"](y)
    return build.finish([y])


@pytest.mark.parametrize("n", [1, 40, 300_000])
def test_an_index_out_of_bounds_is_an_index_error(n):
    graph = verify(checked(n, Location("net.py", 12), parallel=n > 1000))
    made = Stages(graph, check=True)
    executable = made.compile()
    assert (n > 1000) == (made.step.kernels[0].chunks > 1)
    x, i = np.arange(9.0), np.arange(n) % 9
    good = agree(graph, [x, i], executable)[0]
    for wrong in (9, -1, 10**15, -(2**63)):
        bad = i.copy()
        bad[n // 2] = wrong
        with pytest.raises(IndexError, match=rf"^index {wrong} is out of bounds for axis 0 with size 9") as caught:
            executable([x, bad])
        assert caught.value.__notes__ == ["at net.py:12"]
        with pytest.raises(IndexError, match=str(wrong)):
            interpret(graph, [x, bad])
        np.testing.assert_array_equal(executable([x, i])[0], good)  # and all is well again


def test_no_index_is_in_bounds_of_an_empty_axis():
    text = """\
def main(i: i64[N]) -> i64[N]:
    j: i64[N] = bound(i, size=0, axis=1)
    k: i64[N] = add(j, i64(1))
    return k
"""
    run(text.replace("N", "0"), np.zeros(0, np.int64))
    with pytest.raises(IndexError, match="index 0 is out of bounds for axis 1 with size 0"):
        stages(text.replace("N", "3")).compile()([np.zeros(3, np.int64)])


SEARCH = """\
@region
def test(k: i64, a: f64[50], x: f64) -> bool:
    b: i64 = bound(k, size=50, axis=0)
    e: f64[1] = dynamic_slice(a, b, sizes=(1,))
    f: f64 = reshape(e, shape=())
    more: bool = less(f, x)
    return more

@region
def body(k: i64, a: f64[50], x: f64) -> i64:
    n: i64 = add(k, i64(1))
    return n

def main(a: f64[50], x: f64) -> i64:
    k: i64 = while_loop(i64(0), a, x, carried=1, test=test, body=body)
    return k
"""


def test_a_search_that_runs_off_the_end_ends():
    """NumPy would raise; a clamped index would be looked at for ever."""
    executable = stages(SEARCH).compile()
    a = np.arange(50.0)
    assert executable([a, np.asarray(30.5)])[0] == 31
    with pytest.raises(IndexError, match="index 50 is out of bounds for axis 0 with size 50"):
        executable([a, np.asarray(99.0)])
    assert executable([a, np.asarray(-1.0)])[0] == 0


@pytest.mark.parametrize("wrong", [50, -1, 10**15, -(10**15)])
def test_a_window_out_of_bounds_reads_and_writes_nothing_there(wrong):
    text = """\
def main(a: f64[50], i: i64) -> (f64[50], f64):
    k: i64 = bound(i, size=50, axis=0)
    e: f64[1] = dynamic_slice(a, k, sizes=(1,))
    f: f64 = reshape(e, shape=())
    b: f64[50] = dynamic_update(a, e, k)
    return b, f
"""
    executable = stages(text).compile()
    with pytest.raises(IndexError, match=f"index {wrong} is out of bounds"):
        executable([np.arange(50.0), np.asarray(wrong)])
    assert executable([np.arange(50.0), np.asarray(7)])[1] == 7


def test_the_first_of_two_wrong_indices_is_reported():
    text = """\
@region
def body(i: i64, s: f64, a: f64[5], b: f64[7]) -> f64:
    j: i64 = bound(i, size=5, axis=0)
    x: f64[1] = dynamic_slice(a, j, sizes=(1,))
    k: i64 = bound(i, size=7, axis=1)
    y: f64[1] = dynamic_slice(b, k, sizes=(1,))
    z: f64[1] = add(x, y)
    t: f64 = reshape(z, shape=())
    r: f64 = add(s, t)
    return r

def main(a: f64[5], b: f64[7], n: i64) -> f64:
    s: f64 = for_loop(i64(0), n, f64(0.0), a, b, carried=1, step=1, body=body)
    return s
"""
    executable = stages(text).compile()
    a, b = np.arange(5.0), np.arange(7.0)
    assert executable([a, b, np.asarray(5)])[0] == 20
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 5"):
        executable([a, b, np.asarray(20)])


# ---- stacks ------------------------------------------------------------------------------------------

STACKS = """\
@region
def forth(i: i64, x: f64, s: stack, v: f64[5]) -> (f64, stack):
    y: f64 = add(x, f64(1.0))
    w: f64[5] = mul(v, x)
    b: bool = less(x, f64(3.0))
    s1: stack = push(s, x, w, b, i)
    return y, s1

@region
def inner(j: i64, s: stack, x: f64) -> stack:
    y: f64 = mul(x, f64(0.5))
    s1: stack = push(s, y)
    return s1

@region
def outer(i: i64, s: stack, x: f64) -> (stack, f64):
    s1: stack = for_loop(i64(0), i, s, x, carried=1, step=1, body=inner)
    y: f64 = add(x, f64(1.0))
    return s1, y

@region
def unwind(i: i64, s: stack, t: f64) -> (stack, f64):
    s1, x = pop(s, types=(f64,))
    a: f64 = mul(t, f64(0.99))
    u: f64 = add(a, x)
    return s1, u

@region
def back(i: i64, s: stack, t: f64[5], k: i64, m: i64) -> (stack, f64[5], i64, i64):
    s1, x, w, b, j = pop(s, types=(f64, f64[5], bool, i64))
    d: f64[5] = mul(t, x)
    u: f64[5] = add(d, w)
    c: i64 = cast(b, dtype="i64")
    l: i64 = add(k, c)
    return s1, u, l, j

def main(n: i64, v: f64[5]) -> (f64, f64[5], i64, i64, f64):
    s0: stack = stack_new()
    x, s = for_loop(i64(0), n, f64(0.0), s0, v, carried=2, step=1, body=forth)
    z: f64[5] = mul(v, f64(0.0))
    s2, t, k, m = for_loop(i64(0), n, s, z, i64(0), i64(-1), carried=4, step=1, body=back)
    r0: stack = stack_new()
    r1, y = for_loop(i64(0), i64(7), r0, f64(1.0), carried=2, step=1, body=outer)
    r2, e = for_loop(i64(0), i64(21), r1, f64(0.0), carried=2, step=1, body=unwind)
    return x, t, k, m, e
"""


@pytest.mark.parametrize("n", [0, 1, 2, 150])
def test_stacks(n):
    run(STACKS, np.int64(n), np.linspace(0.1, 0.5, 5))


def test_stacks_grow_and_are_freed_with_the_step():
    text = STACKS.replace("mul(t, x)", "mul(t, f64(0.0))")
    executable = stages(text).compile()
    v = np.linspace(0.1, 0.5, 5)
    for n in (100_000, 3, 200_000, 100_000):
        x, t, k, m, e = executable([np.asarray(n), v])
        assert x == n and k == 3 and m == 0
        np.testing.assert_array_equal(t, v * 0)
    alive = weakref.ref(executable.library)
    del executable
    gc.collect()
    assert alive() is None


RECORDS = """\
@region
def forth(i: i64, x: f64[40], s: stack) -> (f64[40], stack):
    a: f64[40] = sin(x)
    r: f64[40] = reverse(a, axes=(0,))
    y: f64[40] = mul(r, f64(0.9))
    s1: stack = push(s, a, i)
    return y, s1

@region
def back(i: i64, s: stack, t: f64[40]) -> (stack, f64[40]):
    s1, a, j = pop(s, types=(f64[40], i64))
    b: f64[40] = mul(a, t)
    c: f64[40] = reverse(b, axes=(0,))
    u: f64[40] = add(c, a)
    return s1, u

def main(x: f64[40], n: i64) -> (f64[40], f64[40]):
    s0: stack = stack_new()
    y, s = for_loop(i64(0), n, x, s0, carried=2, step=1, body=forth)
    s2, t = for_loop(i64(0), n, s, x, carried=2, step=1, body=back)
    return y, t
"""


def test_large_values_are_made_in_their_record_and_read_from_it():
    for n in (0, 1, 5, 300):
        run(RECORDS, np.linspace(0, 1, 40), np.int64(n))
    loops = in_loops(stages(RECORDS).llvm)
    assert "@weft_stack_room" in loops and "memcpy" not in loops


@pytest.mark.parametrize(
    "changes",
    [
        # two pushes, two pops
        [("s1: stack = push(s, a, i)", "s0: stack = push(s, a, i)\n    s1: stack = push(s0, x, i)"),
         ("s1, a, j = pop(s, ", "s0, q, k = pop(s, types=(f64[40], i64))\n    s1, a, j = pop(s0, ")],
        # made in a record, and read behind the next push
        [("s1: stack = push(s, a, i)", "s0: stack = push(s, a, i)\n    s1: stack = push(s0, x, i)"),
         ("s1, a, j = pop(s, ", "s0, q, k = pop(s, types=(f64[40], i64))\n    s1, a, j = pop(s0, "),
         ("    return y, s1", "    z: f64[40] = add(y, a)\n    return z, s1")],
        # read for the last time by what could be computed in its place
        [("    s1: stack = push(s, a, i)\n", ""),
         ("r: f64[40] = reverse(a, axes=(0,))",
          "s1: stack = push(s, a, i)\n    d: f64 = dot(a, a, batch=((), ()), contract=((0,), (0,)))"),
         ("y: f64[40] = mul(r, f64(0.9))", "e: f64 = add(d, f64(1.0))\n    q: f64[40] = div(a, e)\n"
          "    y: f64[40] = reverse(q, axes=(0,))")],
        # carried as well as kept
        [("return y, s1", "return a, s1")],
        # pushed upon, and the record that was taken off is read behind that
        [("return s1, u", "s2: stack = push(s1, u, i)\n    s3, v, k = pop(s2, types=(f64[40], i64))\n"
          "    w: f64[40] = add(v, a)\n    return s3, w")],
    ],
)  # fmt: skip
def test_records_that_others_overwrite(changes):
    text = RECORDS
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    for n in (0, 1, 4, 200):
        run(text, np.linspace(0, 1, 40), np.int64(n))


def test_a_value_that_is_read_behind_the_next_push_is_not_made_in_its_record():
    """The stack may move when it grows."""
    text = """\
def f(x: f64[40], s: stack) -> (stack, f64):
    a: f64[40] = sin(x)
    s0: stack = push(s, a)
    s1: stack = push(s0, x)
    d: f64 = sum(a, axes=(0,))
    return s1, d
"""
    for program, found in ((text, []), (text.replace("push(s0, x)", "push(s0)").replace("sum(a", "sum(x"), ["a"])):
        graph = verify(parse(program))
        made = {graph.ops[0].result: 0}
        last = {v: i for i, op in enumerate(graph.ops) for v in op.operands}
        assert [v.name for v in rooms(graph, made, last)] == found


def test_a_record_of_nothing():
    text = """\
@region
def forth(i: i64, s: stack, v: f64[0, 2]) -> stack:
    s1: stack = push(s, v)
    return s1

@region
def back(i: i64, s: stack, t: f64[0, 2]) -> (stack, f64[0, 2]):
    s1, w = pop(s, types=(f64[0, 2],))
    return s1, w

def main(n: i64, v: f64[0, 2]) -> f64[0, 2]:
    s0: stack = stack_new()
    s: stack = for_loop(i64(0), n, s0, v, carried=1, step=1, body=forth)
    s2, t = for_loop(i64(0), n, s, v, carried=2, step=1, body=back)
    return t
"""
    run(text, np.int64(3), np.zeros((0, 2)))


def test_no_memory_for_a_stack():
    text = """\
@region
def forth(i: i64, s: stack, v: f64[200000]) -> stack:
    s1: stack = push(s, v)
    return s1

@region
def back(i: i64, s: stack, t: f64) -> (stack, f64):
    s1, w = pop(s, types=(f64[200000],))
    u: f64 = sum(w, axes=(0,))
    return s1, u

def main(n: i64, v: f64[200000]) -> f64:
    s0: stack = stack_new()
    s: stack = for_loop(i64(0), n, s0, v, carried=1, step=1, body=forth)
    s2, t = for_loop(i64(0), n, s, f64(0.0), carried=2, step=1, body=back)
    return t
"""
    resource = pytest.importorskip("resource")
    executable = stages(text).compile()
    v = np.ones(200_000)
    assert executable([np.asarray(3), v])[0] == 200_000
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 28), hard))
    try:
        with pytest.raises(MemoryError, match="no memory for what a loop keeps"):
            executable([np.asarray(10_000_000), v])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert executable([np.asarray(3), v])[0] == 200_000


# ---- the rest ----------------------------------------------------------------------------------------


def test_concurrent_callers():
    """Threads share an executable: each call has its own arena, stacks and errors."""
    texts = (STACKS, ACCEPT, SEARCH)
    made = [stages(t).compile() for t in texts]
    v, u, a = np.linspace(0.1, 0.5, 5), np.linspace(0, 1, 40), np.arange(50.0)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(60):
            n = int(rng.integers(0, 400))
            if made[0]([np.asarray(n), v])[0] != n:
                wrong.append("stacks")
            if made[1]([u, np.asarray(n)])[1] != -(-n // 3):
                wrong.append("accept")
            try:
                if made[2]([a, np.asarray(n + 0.5)])[0] != n + 1 or n > 48:
                    wrong.append("search")
            except IndexError:
                if n < 49:
                    wrong.append("error")

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_large_kernels_of_a_loop_use_the_pool_and_small_ones_do_not():
    text = """\
@region
def body(i: i64, x: f64[N], c: f64) -> (f64[N], f64):
    a: f64[N] = exp(x)
    b: f64[N] = mul(a, c)
    d: f64 = mul(c, f64(0.5))
    return b, d

def main(x: f64[N], c: f64) -> (f64[N], f64):
    y, d = for_loop(i64(0), i64(3), x, c, carried=2, step=1, body=body)
    return y, d
"""
    large, small = text.replace("N", "60000"), text.replace("N", "100")
    for program, n in ((large, 60_000), (small, 100)):
        run(program, np.random.default_rng(0).random(n), 0.5)
    assert "weft_parallel_for" in in_loops(stages(large).llvm)
    assert "weft_parallel_for" not in in_loops(stages(small).llvm)


def test_products_in_loops():
    text = """\
@region
def body(i: i64, h: f64[4, 30], w: f64[30, 30]) -> f64[4, 30]:
    a: f64[4, 30] = dot(h, w, batch=((), ()), contract=((1,), (0,)))
    b: f64[4, 30] = tanh(a)
    return b

def main(h: f64[4, 30], w: f64[30, 30]) -> f64[4, 30]:
    y: f64[4, 30] = for_loop(i64(0), i64(6), h, w, carried=1, step=1, body=body)
    return y
"""
    rng = np.random.default_rng(0)
    run(text, rng.normal(size=(4, 30)), rng.normal(size=(30, 30)) * 0.3)
    assert "memcpy" not in in_loops(stages(text).llvm)


def test_what_a_step_does_is_told():
    made = stages(ACCEPT)
    told = [line.split(":")[0] for line in made.step.calls]
    assert told == ["for_loop body", "  k0", "  k1", "  cond then orelse", "    k2"]
    text = str(made.memory)
    assert "for_loop body: arena+" in text and "cond then:" in text and "at the end of" in text
