"""What becomes one kernel, and that a kernel never computes the wrong thing."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import BY_NAME
from rewriting import check, graph_of, same_bits
from row_programs import row_program
from strategies import graphs, random_arguments

import weft
from weft.codegen.lower import lower
from weft.ir import REGISTRY, Builder, TensorType
from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.ir.plan import Loop
from weft.ir.space import ONE_ROW, solve
from weft.ir.verify import verify
from weft.ir.writes import in_place
from weft.passes.differentiate import reverse
from weft.passes.fuse import MAX_GROUP, fuse
from weft.passes.manager import run
from weft.passes.recompute import recompute
from weft.pipeline import PASSES, UNFUSED

F32 = np.float32
X = np.ones((64, 128), F32)
W, B, G = np.ones((128, 32), F32), np.ones(32, F32), np.ones(128, F32)


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def layer_norm(x, gain, bias):
    d = x - x.mean(1, keepdims=True)
    return d / np.sqrt((d * d).mean(1, keepdims=True) + 1e-5) * gain + bias


def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def dense(x, w, b):
    return np.maximum(x @ w + b, 0)


def mlp_step(params, x, y):
    def loss(params):
        w1, b1, w2, b2 = params
        z = dense(x, w1, b1) @ w2 + b2
        z = z - z.max(1, keepdims=True)
        return -(y * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum(1).mean()

    value, gradient = weft.value_and_grad(loss)(params)
    return value, [p - 0.1 * g for p, g in zip(params, gradient, strict=True)]


PARAMS = [W, B, np.ones((32, 10), F32), np.ones(10, F32)]


def scalar_loss(f):
    return lambda *a: (f(*a[:-1]) * a[-1]).sum()


# name -> (function, arguments, ops of the fused graph: "k" for a kernel)
KERNELS = {
    "a chain with several results": (lambda x: (np.exp(x), np.exp(x) * 2, np.sin(x) + x), (X,), ["k"]),
    "reductions of one array": (lambda x: (x.sum(1), x.max(1), x.sum(), x + 1), (X,), ["k"]),
    "prologue and epilogue of a row": (lambda x: np.sqrt((x * x).sum(1)) + 1, (X,), ["k"]),
    "prologue and epilogue of a full reduction": (lambda x, y: np.sqrt(((x - y) ** 2).mean()), (X, X), ["k"]),
    "prologue and epilogue of columns": (lambda x: np.sqrt((x * x).sum(0)) + 1, (X,), ["k"]),
    "variance of rows": (lambda x: x.var(1), (X,), ["k"]),
    "variance of columns reads twice": (lambda x: x.var(0), (X,), ["k", "k"]),
    "variance of everything, as a row": (lambda x: x.var(), (X,), ["k"]),
    "variance of much reads twice": (lambda x: x.var(), (np.ones((600, 500), np.float32),), ["k", "k"]),
    "softmax": (softmax, (X,), ["k"]),
    "softmax, backward": (weft.grad(scalar_loss(softmax)), (X, X), ["k"]),
    "layer norm": (layer_norm, (X, G, G), ["k"]),
    "layer norm, backward": (weft.grad(scalar_loss(layer_norm), argnums=(0, 1, 2)), (X, G, G, X), ["k"]),
    "gelu": (gelu, (X,), ["k"]),
    "gelu, backward": (weft.grad(scalar_loss(gelu)), (X, X), ["k"]),
    "product, bias, activation": (dense, (X, W, B), ["dot", "k"]),
    "product, bias, softmax": (lambda x, w, b: softmax(x @ w + b), (X, W, B), ["dot", "k"]),
    "movement in front": (lambda x: x[::-1, 1:] * x[1:, :-1][:1], (X,), ["k"]),
    "movement behind needs the whole": (
        lambda x: np.concatenate([np.exp(x)[:, 1:], x[:, :1]], 1) + 1, (X,), ["k", "k"]),
    "positions in a long array": (
        lambda x: (x.argmax() + 1, x.argmin(), x.sum()), (np.ones(70_000, F32),), ["k"]),
    "positions of long computed values": (
        lambda x: (np.exp(x).argmax(), x.sum()), (np.ones(70_000, F32),), ["k", "k"]),
    "an array and its transpose": (lambda x: x + x.T, (np.ones((9, 9), F32),), ["k"]),
    "integer products are kernels": (lambda a, b: a @ b + 1, (np.ones((3, 4), int), np.ones((4, 5), int)), ["k", "k"]),
    "a gather behind its checked places": (lambda x, i: np.exp(x[i]) * 2, (X, np.array([3, 1])), ["k", "k"]),
    "siblings that share an operand": (lambda x, y: (np.exp(x), x * y, x.sum(1)), (X, X), ["k"]),
    "strangers": (lambda x, y: (np.exp(x), np.exp(y)), (X, W), ["k", "k"]),
    "a step of a network": (
        mlp_step,
        (PARAMS, X, np.ones((64, 10), F32)),
        ["dot", "k", "dot", "k", "dot", "dot", "k", "k", "dot", "k"],
    ),
}  # fmt: skip


def shape_of(graph):
    return ["k" if op.regions else op.kind.name for op in graph.ops if op.kind.name not in ("reshape", "constant")]


@pytest.mark.parametrize("name", KERNELS)
def test_what_becomes_one_kernel(name):
    function, arguments, want = KERNELS[name]
    assert shape_of(weft.compile(function).lower(*arguments).fused) == want


def check_fused(graph, arguments):
    """The fused graph is valid, every kernel can be lowered, and all results are bit for bit those before."""
    before, _ = run(graph, PASSES[:UNFUSED], check=True)
    fused = verify(recompute(fuse(before)))
    with np.errstate(all="ignore"):
        want, got = interpret(before, arguments), interpret(fused, arguments, check=True)
    assert all(map(same_bits, want, got)), f"{before}\nbecame\n{fused}"
    for op in fused.ops:
        if op.regions:
            lower(op.regions[0])
        else:
            alone = op.kind.name in ("dot", "reshape", "constant") or op.kind.family == "library"
            assert alone, f"{op.kind.name} is left over"
            assert op.kind.name != "dot" or op.result.dtype in ("f32", "f64")
    return fused


@settings(max_examples=70)
@given(graphs(max_ops=14), st.integers(0, 99), st.booleans())
def test_random_graphs(graph, seed, special):
    check_fused(graph, random_arguments(graph, seed, special=special))


@settings(max_examples=70)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_random_programs(seed, products, backward):
    graph = row_program(seed, products=products)
    if backward:
        floats = [i for i, v in enumerate(graph.outputs) if v.type.is_float]
        graph = reverse(graph, list(range(len(graph.inputs))), floats)
    check_fused(graph, random_arguments(graph, seed))


def test_text_of_a_fused_graph():
    check(
        fuse,
        """
        def main(x: i64[2, 3], w: i64[3, 3], b: i64[3]) -> (i64[2, 3], i64[2]):
            z: i64[2, 3] = dot(x, w, batch=((), ()), contract=((1,), (0,)))
            a: i64[2, 3] = add(z, b)
            h: i64[2, 3] = maximum(a, i64(0))
            s: i64[2] = sum(h, axes=(1,))
            return h, s
        """,
        """
        @kernel
        def k0(x: i64[2, 3], w: i64[3, 3]) -> i64[2, 3]:
            z: i64[2, 3] = dot(x, w, batch=((), ()), contract=((1,), (0,)))
            return z

        @kernel
        def k1(z: i64[2, 3], b: i64[3]) -> (i64[2, 3], i64[2]):
            a: i64[2, 3] = add(z, b)
            h: i64[2, 3] = maximum(a, i64(0))
            s: i64[2] = sum(h, axes=(1,))
            return h, s

        def main(x: i64[2, 3], w: i64[3, 3], b: i64[3]) -> (i64[2, 3], i64[2]):
            z: i64[2, 3] = k0(x, w)
            h, s = k1(z, b)
            return h, s
        """,
    )


def test_a_path_that_leaves_and_comes_back_is_not_closed():
    """exp(x) and the last add may not be one kernel: the product between them needs the whole of the first."""
    graph = graph_of("""
        def main(x: f32[3, 3]) -> f32[3, 3]:
            a: f32[3, 3] = exp(x)
            d: f32[3, 3] = dot(a, a, batch=((), ()), contract=((1,), (0,)))
            c: f32[3, 3] = add(d, a)
            e: f32[3, 3] = mul(c, x)
            return e
    """)
    assert shape_of(check_fused(graph, [np.eye(3, dtype=F32)])) == ["k", "dot", "k"]


def test_a_path_through_another_kernel_is_not_closed():
    """The sum of columns and what reads the shifted a are two kernels; a third between them must stay between."""
    graph = graph_of("""
        def main(x: f64[4, 4], y: f64[4, 4]) -> (f64[4, 4], f64[4, 4]):
            a: f64[4, 4] = exp(x)
            r: f64[4, 4] = reverse(a, axes=(0,))
            b: f64[4, 4] = mul(r, y)
            q: f64[4, 4] = reverse(b, axes=(1,))
            c: f64[4, 4] = add(q, a)
            d: f64[4, 4] = add(c, x)
            return d, b
    """)
    assert shape_of(check_fused(graph, random_arguments(graph, 0))) == ["k", "k", "k"]


def test_a_path_through_kernels_that_began_earlier_is_not_closed():
    """c and f wait for d, d for b, b for a, and a's kernel, which began first, has taken in e, which reads c."""
    graph = graph_of("""
        def main(x: f64[2, 2], p: f64[1]) -> (f64[1], f64[2, 2]):
            a: f64[2, 2] = exp(x)
            s: f64 = sum(a, axes=(0, 1))
            b: f64[2, 2] = div(a, s)
            t: f64[2] = sum(b, axes=(1,))
            c: f64[1] = tanh(p)
            e: f64[2, 2] = mul(a, c)
            r: f64[1] = slice(t, start=(1,), stop=(2,), step=(1,))
            d: f64[1] = sin(r)
            f: f64[1] = add(c, d)
            return f, e
    """)
    assert shape_of(check_fused(graph, random_arguments(graph, 0))) == ["k", "k", "k", "k"]


def test_a_transpose_for_the_library_is_a_buffer_of_its_own():
    """The product reads the transposed array, and what reads the product may not be in the transpose's kernel."""
    graph = graph_of("""
        def main(k: f64[2]) -> f64[2, 2, 2]:
            w: f64[2, 2, 2] = f64([[[1.0, 2.0], [5.0, 6.0]], [[1.0, 2.0], [5.0, 6.0]]])
            s: f64[2, 2] = dot(k, w, batch=((), ()), contract=((0,), (1,)))
            t: f64[2, 2, 2] = fmax(s, w)
            return t
    """)
    assert shape_of(check_fused(graph, [np.array([1.0, -2.0])])) == ["k", "dot", "k"]


def test_movement_is_read_where_each_reader_needs_it():
    """A padded array and its transpose in one kernel: the pad has no single place in the loops."""
    graph = graph_of("""
        def main(x: f32[2, 2]) -> bool[2, 2]:
            a: f32[1, 2] = slice(x, start=(1, 0), stop=(2, 2), step=(1, 1))
            s: f32[2, 2] = pad(a, f32(0.5), low=(0, 0), high=(1, 0))
            t: f32[2, 2] = transpose(s, perm=(1, 0))
            y: bool[2, 2] = less(s, t)
            return y
    """)
    assert shape_of(check_fused(graph, random_arguments(graph, 0))) == ["k"]


def test_elementwise_ops_that_movement_parts_are_not_taken_for_one_loop():
    """b reads a turned: with what is added to it later, that is no plain chain any more."""
    build = Builder("main")
    x, y = (build.input(TensorType("f64", (3, 3)), n) for n in "xy")
    a = x * y
    b = REGISTRY["transpose"](REGISTRY["exp"](a), perm=(1, 0)) + y
    c = b * x
    d = REGISTRY["sin"](a) + c
    graph = build.finish([d + a, c])
    check_fused(graph, random_arguments(graph, 0))


def test_a_number_that_waits_for_a_reduction_is_no_source():
    """The broadcast of a full reduction is ready after all rows, wherever it is read from."""
    graph = graph_of("""
        def main(x: f64[2, 3]) -> (f64[2, 3], f64[3], f64):
            s: f64 = sum(x, axes=(0, 1))
            a: f64 = div(s, f64(6.0))
            b: f64[2, 3] = broadcast(a, shape=(2, 3))
            e: f64[2, 3] = tanh(b)
            m: i64[3] = argmin(e, axis=0)
            f: f64[3] = cast(m, dtype=f64)
            return b, f, a
    """)
    check_fused(graph, random_arguments(graph, 0))


def test_a_long_chain_is_cut_and_not_slow():
    """Kernels have at most MAX_GROUP ops; five hundred make a handful of them."""
    build = Builder("main")
    x = build.input(TensorType("f32", (8,)), "x")
    y = x
    for i in range(500):
        y = y * x + float(i % 7)
    fused = fuse(build.finish([y]))
    sizes = [sum(o.kind.name != "constant" for o in op.regions[0].ops) for op in fused.ops]
    assert sum(sizes) == 1000 and max(sizes) <= MAX_GROUP and len(sizes) <= 2 + 1000 // MAX_GROUP


def test_cheap_numbers_are_repeated_and_dear_ones_are_not():
    graph = graph_of("""
        def main(x: f32[4], y: f32[5], s: f32) -> (f32[4], f32[5]):
            a: f32 = mul(s, f32(2.0))
            b: f32 = tanh(a)
            c: f32[4] = mul(x, b)
            d: f32[5] = mul(y, b)
            e: f32[5] = add(d, a)
            return c, e
    """)
    fused = check_fused(graph, random_arguments(graph, 0))
    kinds = Counter(o.kind.name for op in fused.ops for o in op.regions[0].ops)
    assert kinds["tanh"] == 1


def test_sources_are_written_into_every_kernel_that_reads_them():
    graph = graph_of("""
        def main(x: f32[3], y: f32[2, 2]) -> (f32[3], f32[2, 2]):
            i: f32[3] = iota(shape=(3,), axis=0, dtype=f32)
            a: f32[3] = mul(x, i)
            z: f32[2, 2] = broadcast(f32(2.0), shape=(2, 2))
            b: f32[2, 2] = mul(y, z)
            return a, b
    """)
    fused = check_fused(graph, random_arguments(graph, 0))
    assert shape_of(fused) == ["k", "k"] and [len(op.operands) for op in fused.ops] == [1, 1]


# Iteration spaces.


def space_of(text):
    graph = graph_of(text)
    return graph, solve(graph.ops, graph.outputs)


def test_rows_and_columns_of_softmax():
    graph, space = space_of("""
        def main(x: f32[4, 5]) -> f32[4, 5]:
            m: f32[4] = max(x, axes=(1,))
            k: f32[4, 1] = reshape(m, shape=(4, 1))
            e: f32[4, 5] = exp(x)
            d: f32[4, 5] = mul(e, k)
            return d
    """)
    assert space.extent == [4, 5] and space.outer == (0,) and space.inner == (1,)
    assert list(space.reductions.values()) == ["row"] and not space.final
    assert space.axes[graph.outputs[0]] == (0, 1) and space.axes[graph.ops[1].result] == (0, None)


def test_kinds_of_reduction():
    _, space = space_of("""
        def main(x: f32[4, 5]) -> (f32[4], f32[5], f32, f32):
            a: f32[4] = sum(x, axes=(1,))
            b: f32[5] = sum(x, axes=(0,))
            c: f32 = sum(x, axes=(0, 1))
            d: f32 = sqrt(c)
            return a, b, c, d
    """)
    assert list(space.reductions.values()) == ["row", "column", "full"]
    assert [op.kind.name for op in space.final] == ["sqrt"]


def test_what_is_not_one_kernel():
    _, space = space_of("""
        def main(x: f32[400, 500]) -> f32[400, 500]:
            s: f32 = sum(x, axes=(0, 1))
            y: f32[400, 500] = mul(x, s)
            return y
    """)
    assert space is None, "each row would wait for all others"
    _, space = space_of(f"""
        def main(x: f32[{ONE_ROW + 1}]) -> f32[{ONE_ROW + 1}]:
            s: f32 = sum(x, axes=(0,))
            y: f32[{ONE_ROW + 1}] = mul(x, s)
            return y
    """)
    assert space is None, "one row this long is for several threads"
    _, space = space_of("""
        def main(x: f32[4], i: i64[4], u: f32[4]) -> f32[4]:
            y: f32[4] = scatter_add(x, i, u, axes=(0,))
            return y
    """)
    assert space is None, "a scatter has loops of its own"


# Which results may take the place of an operand.

IN_PLACE = {
    "a chain": ("x: f32[3]", ["a: f32[3] = exp(x)", "b: f32[3] = add(a, x)"], "b", {(0, 0)}),
    "two results": ("x: f32[3]", ["a: f32[3] = exp(x)", "b: f32[3] = sin(x)"], "a, b", {(0, 0), (1, 0)}),
    "another shape": ("x: f32[3], y: f32[2, 3]", ["a: f32[2, 3] = add(x, y)"], "a", {(0, 1)}),
    "another dtype": ("x: f32[3]", ["a: f64[3] = cast(x, dtype=f64)"], "a", set()),
    "reversed": ("x: f32[3]", ["r: f32[3] = reverse(x, axes=(0,))", "a: f32[3] = exp(r)"], "a", set()),
    "read twice, once elsewhere": (
        "x: f32[3]", ["r: f32[3] = reverse(x, axes=(0,))", "a: f32[3] = add(r, x)"], "a", set()),
    "transposed": ("x: f32[3, 3]", ["t: f32[3, 3] = transpose(x, perm=(1, 0))", "a: f32[3, 3] = exp(t)"], "a", set()),
    "transposed there and back": (
        "x: f32[3, 3]",
        ["t: f32[3, 3] = transpose(x, perm=(1, 0))", "a: f32[3, 3] = exp(t)",
         "b: f32[3, 3] = transpose(a, perm=(1, 0))"],
        "b", {(0, 0)}),
    "reversed behind a transpose": (
        "x: f32[3, 3]",
        ["t: f32[3, 3] = transpose(x, perm=(1, 0))", "r: f32[3, 3] = reverse(t, axes=(0,))",
         "y: f32[3, 3] = add(t, r)", "z: f32[3, 3] = transpose(y, perm=(1, 0))"],
        "z", set()),
    "a row is read twice": (
        "x: f32[2, 3]",
        ["s: f32[2] = sum(x, axes=(1,))", "k: f32[2, 1] = reshape(s, shape=(2, 1))", "a: f32[2, 3] = mul(x, k)"],
        "a", {(0, 0)}),
    "summed on the way": ("x: f32[2, 3]", ["s: f32[2, 3] = exp(x)", "t: f32 = sum(s, axes=(0, 1))"], "s, t", {(0, 0)}),
    "written at the end, read before": (
        "x: f32[2, 3], y: f32[3]", ["s: f32[3] = sum(x, axes=(0,))", "t: f32[3] = add(s, y)"], "t", {(0, 1)}),
    "written at the end, once for every column": (
        "x: f32[4, 2, 3], y: f32[3]",
        ["s: f32[2, 3] = sum(x, axes=(0,))", "t: f32 = sum(x, axes=(0, 1, 2))", "u: f32[3] = mul(y, t)"],
        "s, u", set()),
    "one number at the end": (
        "x: f32[4, 3], y: f32[3], z: f32",
        ["s: f32[3] = sum(x, axes=(0,))", "t: f32 = sum(x, axes=(0, 1))", "u: f32[3] = mul(y, t)",
         "v: f32 = mul(z, t)"],
        "s, u, v", {(0, 1), (1, 1), (2, 2)}),
    "read by rows, written at the end": (
        "x: f32[2, 3], y: f32[3]",
        ["a: f32[2, 3] = mul(x, y)", "s: f32[3] = sum(a, axes=(0,))", "t: f32[3] = mul(s, f32(2.0))"], "t", set()),
    "its greatest element is looked up again": (
        "x: f32[70000]", ["a: f32[70000] = exp(x)", "m: i64 = argmax(x, axis=0)"], "a, m", set()),
    "scattered": (
        "x: f32[3], i: i64[3], u: f32[3]", ["y: f32[3] = scatter_add(x, i, u, axes=(0,))"], "y", {(0, 0)}),
    "a scatter's updates": (
        "i: i64[3], u: f32[3]",
        ["z: f32[3] = broadcast(f32(0.0), shape=(3,))", "y: f32[3] = scatter_add(z, i, u, axes=(0,))"], "y", set()),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_pairs(name):
    """(output, input) pairs: every element is read before it is overwritten, and nowhere else."""
    inputs, lines, outputs, want = IN_PLACE[name]
    types = dict(line.split(" = ")[0].split(": ") for line in lines)
    results = ", ".join(types[o.strip()] for o in outputs.split(","))
    results = f"({results})" if "," in outputs else results
    body = "".join(f"    {line}\n" for line in lines)
    graph = graph_of(f"def main({inputs}) -> {results}:\n{body}    return {outputs}\n")
    assert in_place(graph) == want


def test_rule_of_ops_with_no_place():
    """`lower` says what it cannot lower."""
    graph = graph_of("""
        def main(x: f32[400, 500]) -> f32[400, 500]:
            s: f32 = sum(x, axes=(0, 1))
            y: f32[400, 500] = mul(x, s)
            return y
    """)
    with pytest.raises(ValueError, match="not one kernel"):
        lower(graph)
    assert REGISTRY["sum"].family == "reduce"


def test_an_element_that_is_used_after_it_is_overwritten_is_read_before():
    """Else the whole array would be copied for it. Half of the array is not kept: it is as much work as the copy."""
    graph = graph_of("""
        def main(x: f64[64], i: i64, v: f64[1], w: f64[32]) -> (f64[64], f64[1], f64[32]):
            a: f64[1] = dynamic_slice(x, i, sizes=(1,))
            h: f64[32] = slice(x, start=(0,), stop=(32,), step=(1,))
            y: f64[64] = dynamic_update(x, v, i)
            s: f64 = sum(y, axes=(0,))
            b: f64[1] = add(a, s)
            c: f64[32] = mul(h, s)
            return y, b, c
    """)
    fused = fuse(graph)
    verify(fused)
    made = [[op.kind.name for op in call.regions[0].ops] for call in fused.ops]
    first = next(names for names in made if "dynamic_update" in names)
    assert "dynamic_slice" in first and first.index("dynamic_slice") < first.index("dynamic_update")
    assert all("dynamic_slice" not in names for names in made if names is not first)
    assert not any(names == ["slice"] for names in made)


@pytest.mark.parametrize("name", ["gauss_seidel", "lu", "red_black_sor", "dynamic_time_warping", "thomas"])
def test_gradients_of_element_loops_copy_nothing_in_them(name):
    """A trip forward or back takes the time of its elements, not that of its arrays."""
    program = BY_NAME[name]
    given = program.arguments(np.random.default_rng(0), 16, 16)
    stages = weft.compile(weft.grad(lambda *a: np.sum(program.function(*a)), argnums=program.smooth)).lower(*given)
    inner = [loop for loop in loops_of(stages.memory) if not list(loops_of(loop.body))]
    assert len(inner) >= 2
    for loop in inner:
        assert not loop.body.copies and not any(p.kind == "arena" for p in loop.body.place.values())
        assert len(loop.body.pointers) == len([p for p in set(loop.body.place.values()) if p.kind == "pointer"])
        assert loop.order == sorted(loop.order)


def loops_of(plan):
    for inner in plan.nested.values():
        if isinstance(inner, Loop):
            yield inner
        for below in (inner.body,) if isinstance(inner, Loop) else inner.plans:
            yield from loops_of(below)


@pytest.mark.parametrize("dims", [(30_000, 3), (3, 30_000), (1000, 3, 30)])
def test_a_sum_over_everything_runs_over_it_as_over_a_flat_array(dims):
    """A loop over a short last axis would start anew for every three elements."""
    x = np.random.default_rng(0).normal(size=dims).astype(F32)
    f = weft.compile(lambda x: np.sum(x * x))
    (kernel,) = f.lower(x).step.kernels
    (flat,) = f.lower(x.reshape(-1)).step.kernels
    assert str(kernel).replace("r2", "r") == str(flat)
    np.testing.assert_allclose(f(x), np.sum(x.astype(np.float64) ** 2), rtol=1e-6)


def test_rows_that_share_a_long_array_read_one_of_it():
    """`(x + y + z)[None, :] * w[:, None]`: fused, each row would read three arrays, past every cache."""
    text = """
def f(x: f32[1000000], y: f32[1000000], z: f32[1000000], w: f32[8, 1]) -> f32[8, 1000000]:
    t: f32[1000000] = add(x, y)
    u: f32[1000000] = add(t, z)
    v: f32[8, 1000000] = mul(u, w)
    return v
"""
    assert len(fuse(parse(text)).ops) == 2
    assert len(fuse(parse(text.replace("1000000", "1000"))).ops) == 1
