"""Which buffers a kernel's inputs and outputs may share, and what fusion makes of writes to parts of arrays."""

import numpy as np
import pytest

from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.ir.verify import verify
from weft.ir.writes import in_place, strip, writes
from weft.passes.fuse import fuse
from weft.pipeline import Stages


def body(lines, inputs, outputs, types):
    text = "\n".join(f"    {line}" for line in lines.strip().splitlines())
    return verify(parse(f"def k({inputs}) -> {types}:\n{text}\n    return {outputs}\n"))


ROWS = """
m: f64[8] = max(x, axes=(1,))
n: f64[8, 1] = reshape(m, shape=(8, 1))
d: f64[8, 6] = sub(x, n)
e: f64[8, 6] = exp(d)
s: f64[8] = sum(e, axes=(1,))
t: f64[8, 1] = reshape(s, shape=(8, 1))
y: f64[8, 6] = div(e, t)
z: f64[8, 6] = add(x, x)
w: f64[8, 6] = mul(e, e)"""


@pytest.mark.parametrize(
    ("outputs", "safe"),
    [
        ("y", {(0, 0)}),  # made in the last loop, which reads x, through e, for the last time
        ("z, y", {(1, 0)}),  # z in the first loop: later ones read x again
        ("w, y", {(1, 0)}),  # w in the second, y in the third
    ],
)
def test_a_row_kernels_output_may_take_over_what_no_later_loop_reads(outputs, safe):
    count = len(outputs.split(","))
    types = ", ".join(["f64[8, 6]"] * count)
    graph = body(ROWS, "x: f64[8, 6]", outputs, f"({types})")
    assert in_place(graph) == safe
    region = str(body(ROWS, "i: i64, " + ", ".join(f"{v}: f64[8, 6]" for v in "xq"[:count]), outputs, f"({types})"))
    first = ", ".join(["x"] * count)
    loop = f"for_loop(i64(0), i64(3), {first}, carried={count}, step=1, body=k)"
    results, made = ("a, b", "a, b") if count == 2 else ("a", "a: f64[8, 6]")
    text = f"@region\n{region}\ndef main(x: f64[8, 6]) -> ({types}):\n    {made} = {loop}\n    return {results}\n"
    graph = verify(parse(text))
    x = np.random.default_rng(0).normal(size=(8, 6))
    for a, b in zip(Stages(graph, check=True).compile()([x]), interpret(graph, [x]), strict=True):
        np.testing.assert_allclose(a, b)


SLICE = "p: f64[4] = slice(x, start=(2,), stop=(6,), step=(1,))\n"
NEXT = "q: f64[4] = slice(x, start=(3,), stop=(7,), step=(1,))\n"
APART = "q: f64[4] = slice(x, start=(6,), stop=(10,), step=(1,))\n"
WRITE = "y: f64[10] = update(x, u, start=(2,), stop=(6,), step=(1,))"
MOVING = "p: f64[4] = dynamic_slice(x, i, sizes=(4,))\n"
MOVED = "j: i64 = add(i, i64(1))\nq: f64[4] = dynamic_slice(x, j, sizes=(4,))\n"
DYNAMIC = "y: f64[10] = dynamic_update(x, u, i)"


@pytest.mark.parametrize(
    ("lines", "safe"),
    [
        (SLICE + "u: f64[4] = mul(p, p)\n" + WRITE, True),
        (NEXT + "u: f64[4] = mul(q, q)\n" + WRITE, False),
        (APART + "u: f64[4] = mul(q, q)\n" + WRITE, True),
        (SLICE + NEXT + "u: f64[4] = mul(p, q)\n" + WRITE, False),
        (SLICE + "r: f64[4] = reverse(p, axes=(0,))\nu: f64[4] = mul(r, r)\n" + WRITE, False),
        (MOVING + "u: f64[4] = mul(p, p)\n" + DYNAMIC, True),
        (MOVED + "u: f64[4] = mul(q, q)\n" + DYNAMIC, False),
        (SLICE + "u: f64[4] = mul(p, p)\n" + DYNAMIC, False),
        # all of x is read before anything is stored
        (MOVED + "s: f64 = sum(q, axes=(0,))\nv: f64[1] = reshape(s, shape=(1,))\n"
         "u: f64[4] = broadcast(v, shape=(4,))\n" + DYNAMIC, False),
        ("j: i64 = add(i, i64(1))\nq: f64[1] = dynamic_slice(x, j, sizes=(1,))\nu: f64[1] = mul(q, q)\n"
         + DYNAMIC, True),
    ],
)  # fmt: skip
def test_a_window_may_be_written_where_nothing_overwritten_is_read(lines, safe):
    graph = body(lines, "x: f64[10], i: i64", "y", "f64[10]")
    assert writes(graph) == {(0, 0)}
    assert in_place(graph) == ({(0, 0)} if safe else set())


def test_scatters_may_be_done_in_place_where_the_base_is_read_once():
    graph = body("y: f64[10] = scatter(x, i, u, axes=(0,))", "x: f64[10], i: i64[3], u: f64[3]", "y", "f64[10]")
    assert in_place(graph) == {(0, 0)}
    graph = body(
        "u: f64[3] = slice(x, start=(0,), stop=(3,), step=(1,))\ny: f64[10] = scatter_add(x, i, u, axes=(0,))",
        "x: f64[10], i: i64[3]", "y", "f64[10]",
    )  # fmt: skip
    assert in_place(graph) == set()


def test_a_write_that_something_in_the_group_reads_is_no_end_of_it():
    graph = body(SLICE + "u: f64[4] = mul(p, p)\n" + WRITE + "\nz: f64[10] = neg(y)", "x: f64[10]", "z", "f64[10]")
    assert strip(graph.ops, graph.outputs) is None
    assert len(fuse(graph).ops) == 2


def kernels(graph):
    return [[op.kind.name for op in call.regions[0].ops] for call in fuse(graph).ops if call.regions]


def test_a_small_part_is_made_first_where_it_reads_what_it_overwrites():
    """A row from the next: in one kernel the whole array would have to be copied."""
    lines = """
j: i64 = add(i, i64(1))
r: f64[1, 6] = dynamic_slice(x, j, i64(0), sizes=(1, 6))
s: f64[1, 6] = mul(r, r)
y: f64[8, 6] = dynamic_update(x, s, i, i64(0))"""
    found = kernels(body(lines, "x: f64[8, 6], i: i64", "y", "f64[8, 6]"))
    assert [names[-1] for names in found] == ["mul", "dynamic_update"]
    plain = "y: f64[8, 6] = dynamic_update(x, r, i, i64(0))"
    lines = "\n".join([*lines.strip().splitlines()[:2], plain])
    found = kernels(body(lines, "x: f64[8, 6], i: i64", "y", "f64[8, 6]"))
    assert [names[-1] for names in found] == ["dynamic_slice", "dynamic_update"]


def test_most_of_an_array_is_written_anew_by_the_kernel_that_makes_it():
    lines = """
a: f64[98] = slice(x, start=(0,), stop=(98,), step=(1,))
b: f64[98] = slice(x, start=(2,), stop=(100,), step=(1,))
u: f64[98] = add(a, b)
y: f64[100] = update(x, u, start=(1,), stop=(99,), step=(1,))"""
    graph = body(lines, "x: f64[100]", "y", "f64[100]")
    assert len(kernels(graph)) == 1
    x = np.random.default_rng(0).random(100)
    np.testing.assert_array_equal(Stages(graph, check=True).compile()([x])[0], interpret(graph, [x])[0])


@pytest.mark.parametrize("step", [(1, 1, 1), (2, 1, 3), (1, 3, 1)])
@pytest.mark.parametrize(
    ("start", "stop"),
    [
        ((0, 0, 0), (5, 4, 7)),
        ((1, 0, 2), (4, 4, 7)),
        ((0, 1, 0), (5, 4, 6)),
        ((2, 3, 6), (3, 4, 7)),
        ((1, 2, 2), (4, 2, 5)),
    ],
)
def test_what_lies_around_a_window_is_copied(start, stop, step):
    """Windows at corners, in the middle, empty, and walked in steps; static and moving."""
    dims = (5, 4, 7)
    sizes = [-(-(b - a) // s) for a, b, s in zip(start, stop, step, strict=True)]
    rng = np.random.default_rng(0)
    x, u = rng.random(dims), rng.random(sizes)
    text = f"""\
def f(x: f64{list(dims)}, u: f64{sizes}) -> (f64{list(dims)}, f64{list(dims)}):
    v: f64{sizes} = neg(u)
    y: f64{list(dims)} = update(x, v, start={start}, stop={stop}, step={step})
    z: f64{list(dims)} = dynamic_update(x, u, {", ".join(f"i64({d - n})" for d, n in zip(dims, sizes, strict=True))})
    return y, z
"""
    graph = verify(parse(text))
    for a, b in zip(Stages(graph, check=True).compile()([x, u]), interpret(graph, [x, u]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_later_loop_must_not_read_what_a_window_overwrote():
    lines = """
p: f64[2, 6] = slice(x, start=(1, 0), stop=(3, 6), step=(1, 1))
u: f64[2, 6] = mul(p, p)
s: f64[2] = sum(p, axes=(1,))
t: f64[2, 1] = reshape(s, shape=(2, 1))
z: f64[2, 6] = sub(p, t)
y: f64[8, 6] = update(x, WHAT, start=(1, 0), stop=(3, 6), step=(1, 1))"""
    # u is made in the first loop over a row, z in the second, where p is read again
    for what, safe in {"u": set(), "z": {(1, 0)}}.items():
        graph = body(lines.replace("WHAT", what), "x: f64[8, 6]", "z, y", "(f64[2, 6], f64[8, 6])")
        assert in_place(graph) == safe


def test_a_source_may_be_read_along_two_axes():
    lines = """
i: i64[4] = iota(shape=(4,), axis=0, dtype="i64")
r: i64[4, 1] = reshape(i, shape=(4, 1))
b: bool[4, 4] = less(r, i)
f: f64[4, 4] = where(b, x, f64(0.0))"""
    graph = body(lines, "x: f64[4, 4]", "f", "f64[4, 4]")
    assert len(kernels(graph)) == 1
    x = np.random.default_rng(0).random((4, 4))
    np.testing.assert_array_equal(Stages(graph, check=True).compile()([x])[0], np.triu(x, 1))


def test_arrays_that_would_be_walked_across_their_rows_are_kernels_of_their_own():
    """Axes of one length share a loop, but not the rows of one array and the columns of another."""
    lines = """
a: f64[30, 29] = add(x, x)
b: f64[29, 30] = add(y, y)"""
    graph = body(lines, "x: f64[30, 29], y: f64[29, 30]", "a, b", "(f64[30, 29], f64[29, 30])")
    assert len(kernels(graph)) == 2
