"""The verifier: each kind of broken graph is caught, and the message shows where."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from strategies import graphs

from weft.ir import REGISTRY, Builder, Graph, Location, Op, TensorType, Value
from weft.ir.opdef import OpDef
from weft.ir.parse import parse
from weft.ir.verify import VerifyError, verify

F4 = TensorType("f32", (4,))
TEXT = """\
@kernel
def k0(a: f32[4]) -> f32[4]:
    b: f32[4] = tanh(a)
    return b

def f(x: f32[4], y: f32[4]) -> (f32[4], f32):
    p: f32[4] = mul(x, y)
    q: f32[4] = add(p, f32(1.0))
    r: f32[4] = k0(q)
    w: f32[4] = f32([1.0, 2.0, 3.0, 4.0])
    u: f32[4] = sub(r, w)
    s: f32 = sum(u, axes=(0,))  # net.py:12
    return u, s
"""


def rebuilt(change: Callable[[list[Op], Graph], Any]) -> Graph:
    """TEXT's graph with its op list changed in place; `change` may return (inputs, outputs)."""
    graph = parse(TEXT)
    ops = list(graph.ops)
    inputs, outputs = change(ops, graph) or (graph.inputs, graph.outputs)
    return Graph(graph.name, tuple(inputs), tuple(ops), tuple(outputs))


def find(ops: list[Op], name: str) -> int:
    return next(i for i, op in enumerate(ops) if op.kind.name == name)


def with_op(name: str, **fields: Any) -> Callable[[list[Op], Graph], None]:
    """Change fields of the op of that name."""

    def change(ops: list[Op], graph: Graph) -> None:
        i = find(ops, name)
        given = {k: v(ops[i]) if callable(v) and not isinstance(v, OpDef) else v for k, v in fields.items()}
        old = {k: getattr(ops[i], k) for k in ("kind", "operands", "attrs", "regions", "results")}
        ops[i] = Op(**{**old, **given})

    return change


def swap(ops: list[Op], graph: Graph) -> None:
    i = find(ops, "sub")
    ops[i], ops[i + 1] = ops[i + 1], ops[i]


def twice(ops: list[Op], graph: Graph) -> None:
    ops.append(ops[find(ops, "mul")])


def constant(value: Any) -> Callable[[list[Op], Graph], None]:
    def change(ops: list[Op], graph: Graph) -> None:
        i = max(i for i, op in enumerate(ops) if op.kind.name == "constant")
        ops[i] = Op(ops[i].kind, (), {"value": value}, (), ops[i].results)

    return change


def region_reads_outside(ops: list[Op], graph: Graph) -> None:
    i = find(ops, "call")
    body = ops[i].regions[0]
    (inner,) = body.ops
    wrong = Op(inner.kind, (ops[find(ops, "mul")].result,), {}, (), inner.results)
    ops[i] = Op(ops[i].kind, ops[i].operands, {}, (Graph("k0", body.inputs, (wrong,), body.outputs),), ops[i].results)


stray = OpDef("stray", "elementwise", lambda types, attrs: types, np.tanh)
read_only = np.zeros((4, 4), np.float32)[:, 0]
read_only.flags.writeable = False

BROKEN = {
    "defined later": (swap, "operand 0 (u: f32[4]) is not defined before this op"),
    "defined nowhere": (with_op("mul", operands=(Value(F4, "z"), Value(F4, "z"))), "operand 0 (z: f32[4])"),
    "defined twice": (twice, "result p: f32[4] is defined twice"),
    "two results are one value": (
        with_op("mul", results=lambda op: op.results * 2),
        "result p: f32[4] is defined twice",
    ),
    "an input twice": (lambda ops, g: (g.inputs[:1] * 2, g.outputs), "input 'x' appears twice"),
    "an output of nowhere": (lambda ops, g: (g.inputs, (Value(F4, "z"),)), "output z: f32[4] is never defined"),
    "not in the table": (with_op("mul", kind=stray), "op stray is not in the table"),
    "an attribute missing": (with_op("sum", attrs={}), "attributes [] where sum has ['axes']"),
    "an attribute too many": (with_op("mul", attrs={"axes": ()}), "attributes ['axes'] where mul has []"),
    "a wrong attribute": (with_op("sum", attrs={"axes": (1,)}), "axis 1 is out of range for rank 1"),
    "an attribute of another kind": (with_op("sum", attrs={"axes": 0}), "the type rule of sum fails: TypeError"),
    "a list for an attribute": (with_op("sum", attrs={"axes": [0]}), "attribute axes holds a list"),
    "a NumPy int in an attribute": (with_op("sum", attrs={"axes": (np.int64(0),)}), "attribute axes holds a int64"),
    "a wrong dtype": (
        with_op("mul", results=lambda op: (Value(F4.with_dtype("f64"), "p"),)),
        "results are f64[4], the type rule says f32[4]",
    ),
    "wrong dims": (
        with_op("sum", results=lambda op: (Value(F4, "s"),)),
        "results are f32[4], the type rule says f32",
    ),
    "no result": (with_op("sum", results=()), "results are , the type rule says f32"),
    "an operand too many": (with_op("mul", operands=lambda op: op.operands * 2), "4 operands where mul takes 2"),
    "operands that don't fit": (
        with_op("mul", operands=lambda op: (op.operands[0], Value(F4.with_dtype("i8"), "n"))),
        "operand 1 (n: i8[4]) is not defined",
    ),
    "a call without its kernel": (with_op("call", regions=()), "call with 0 regions"),
    "a kernel where none belongs": (with_op("mul", regions=(parse(TEXT),)), "mul with 1 regions"),
    "a kernel of other inputs": (
        with_op("call", regions=(parse("def k0(a: f32[5]) -> f32[5]:\n    return a\n"),)),
        "call: k0 takes (f32[5]), got (f32[4])",
    ),
    "a kernel that reads outside": (region_reads_outside, "in k0: operand 0 (p: f32[4]) is not defined"),
    "a constant that is no array": (constant([1.0, 2.0, 3.0, 4.0]), "attribute value is a list, not an array"),
    "a constant that the user can change": (constant(np.zeros(4, np.float32)), "not native, contiguous and read-only"),
    "a constant in strides": (constant(read_only), "not native, contiguous and read-only"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_graphs_are_caught(name):
    change, said = BROKEN[name]
    with pytest.raises(VerifyError) as caught:
        verify(rebuilt(change), after="fuse")
    text = str(caught.value)
    assert said in text
    assert text.startswith("invalid IR after fuse in ")
    assert sum(line.startswith("  > ") for line in text.splitlines()) == 1
    assert len(text.splitlines()) <= 10


def test_the_graph_they_are_made_of_is_valid():
    graph = parse(TEXT)
    assert verify(graph) is graph


@given(graphs(calls=True))
def test_random_graphs_are_valid(graph):
    assert verify(graph) is graph


def test_the_message_shows_the_op_its_neighbours_and_the_users_line():
    with pytest.raises(VerifyError) as caught:
        verify(rebuilt(with_op("sum", results=lambda op: (Value(F4, "s", Location("net.py", 12)),))))
    assert str(caught.value) == """\
invalid IR in f: results are f32[4], the type rule says f32
  op 6 of 7: sum at net.py:12
  | r: f32[4] = k0(q)
  | w: f32[4] = f32([1.0, 2.0, 3.0, 4.0])
  | u: f32[4] = sub(r, w)
  > s: f32[4] = sum(u, axes=(0,))  # net.py:12
  | return u, s_1""".replace("  | ", "  |     ").replace("  > ", "  >     ")


@pytest.mark.parametrize("dims", [(-1,), (2.0,), (True,), [3]])
def test_dims_are_non_negative_ints(dims):
    build = Builder()
    x = build.input(TensorType("f32", dims), "x")
    with pytest.raises(VerifyError, match="are not a tuple of non-negative ints"):
        verify(build.finish([x]))


def test_an_unknown_dtype():
    build = Builder()
    x = build.input(TensorType("c64", ()), "x")
    with pytest.raises(VerifyError, match="no dtype of weft's"):
        verify(build.finish([x]))


def test_a_graph_that_cannot_print_is_still_an_error():
    op = Op(REGISTRY["sum"], (Value(F4, 3),), {"axes": ()}, (), (Value(F4),))  # type: ignore[arg-type]
    with pytest.raises(VerifyError, match="not defined before this op"):
        verify(Graph("f", (), (op,), ()))
