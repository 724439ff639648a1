"""The memory plan, by a machine that has only the plan's bytes: poisoned when a value dies, checked at the end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rewriting import graph_of, same_bits
from row_programs import row_program
from strategies import graphs, random_arguments

from weft.ir import Graph, Value
from weft.ir.interpret import interpret
from weft.ir.parse import parse
from weft.ir.plan import SMALL, Place, Plan
from weft.ir.verify import verify
from weft.passes.arena import ALIGN
from weft.passes.differentiate import reverse
from weft.passes.manager import run
from weft.passes.memory import plan
from weft.pipeline import PASSES

POISON = 0xA5


def root_of(graph: Graph) -> dict[Value, Value]:
    """Reshapes name a buffer that is there already."""
    root: dict[Value, Value] = {v: v for v in graph.inputs}
    for op in graph.ops:
        for r in op.results:
            root[r] = root[op.operands[0]] if op.kind.name == "reshape" else r
    return root


def last_uses(graph: Graph) -> dict[Value, int]:
    """Op after which a buffer's value is never needed: outputs live for ever."""
    root = root_of(graph)
    last = {root[r]: i for i, op in enumerate(graph.ops) for r in op.results}
    last |= {v: -1 for v in graph.inputs}
    for i, op in enumerate(graph.ops):
        for v in op.operands:
            last[root[v]] = max(last[root[v]], i)
    for v in graph.outputs:
        last[root[v]] = len(graph.ops)
    return last


class Machine:
    """Runs a fused graph with nothing but the buffers that its plan names."""

    def __init__(self, graph: Graph, made: Plan, arguments: list[np.ndarray], donated: set[int]) -> None:
        self.graph, self.plan = graph, made
        self.inputs = [np.array(a, order="C") for a in arguments]
        for i, a in enumerate(self.inputs):
            a.flags.writeable = i in donated
        self.outputs = [self.empty(v) for v in graph.outputs]
        self.arena = np.full(made.arena, POISON, np.uint8)
        self.slots = {p.at: np.full(SMALL, POISON, np.uint8) for p in made.place.values() if p.kind == "slot"}

    @staticmethod
    def empty(v: Value) -> np.ndarray:
        return np.full(max(v.type.nbytes, 1), POISON, np.uint8)[: v.type.nbytes].view(v.type.np_dtype).reshape(v.shape)

    def at(self, v: Value) -> np.ndarray:
        place = self.plan.place[v]
        if place.kind == "arena":
            assert place.at % ALIGN == 0 and place.at + v.type.nbytes <= self.plan.arena
            return self.arena[place.at : place.at + v.type.nbytes].view(v.type.np_dtype).reshape(v.shape)
        if place.kind == "slot":
            return self.slots[place.at][: v.type.nbytes].view(v.type.np_dtype).reshape(v.shape)
        array = {"input": self.inputs, "output": self.outputs, "constant": self.plan.constants}[place.kind][place.at]
        assert array.dtype == v.type.np_dtype
        return array.reshape(v.shape)

    def run(self) -> list[np.ndarray]:
        root, last = root_of(self.graph), last_uses(self.graph)
        for i, op in enumerate(self.graph.ops):
            if op.kind.name == "reshape":
                assert self.plan.place[op.result] == self.plan.place[op.operands[0]]
                continue
            if op.kind.name == "constant":
                if not op.result.shape:
                    self.at(op.result)[...] = op.attrs["value"]
                continue
            operands = [self.at(v).copy() for v in op.operands]
            self.check_sharing(op, i, root, last)
            for r, value in zip(op.results, apply(op, operands), strict=True):
                self.at(r)[...] = value
            for v in {root[u] for u in (*op.operands, *op.results)}:
                if last[v] == i and self.plan.place[v].kind in ("arena", "slot") and not self.taken_over(op, v, root):
                    self.at(v).reshape(-1).view(np.uint8)[...] = POISON
        for target, v in self.plan.copies:
            self.outputs[target.at][...] = self.at(v).reshape(self.outputs[target.at].shape)
        return [self.inputs[self.plan.taken[j]] if j in self.plan.taken else o for j, o in enumerate(self.outputs)]

    def taken_over(self, op, v, root) -> bool:
        return any(root[op.operands[i]] is v for i in self.plan.shared.get(op, {}).values())

    def check_sharing(self, op, i, root, last) -> None:
        """A result has the bytes of an operand only where the plan says so, and then the operand dies here."""
        shared = self.plan.shared.get(op, {})
        assert len(set(shared.values())) == len(shared)
        for o, r in enumerate(op.results):
            for p, v in enumerate(op.operands):
                if not np.shares_memory(self.at(r), self.at(v)):
                    continue
                assert o in shared and root[op.operands[shared[o]]] is root[v]
                assert self.plan.place[r] == self.plan.place[v] and r.type == v.type.with_dims(r.shape)
                assert last[root[v]] == i and p == shared[o], "overwritten, and read by another operand or later"
            for other in op.results[:o]:
                assert not np.shares_memory(self.at(r), self.at(other)), "two results in one place"


def contiguous(values) -> list[np.ndarray]:
    return [np.array(a, order="C") for a in values]


def apply(op, operands: list[np.ndarray]) -> list[np.ndarray]:
    results = interpret(op.regions[0], operands) if op.regions else [op.kind.reference(*operands, **op.attrs)]
    return contiguous(results)


def run_apart(graph: Graph, arguments: list[np.ndarray]) -> list[np.ndarray]:
    """Every value in an array of its own, contiguous as buffers are: NumPy's sums depend on the layout."""
    env = dict(zip(graph.inputs, contiguous(arguments), strict=True))
    for op in graph.ops:
        env.update(zip(op.results, apply(op, [env[v] for v in op.operands]), strict=True))
    return [env[v] for v in graph.outputs]


def fused(graph: Graph) -> Graph:
    return verify(run(graph, PASSES)[0])


def check_plan(graph: Graph, arguments: list[np.ndarray], donated: set[int] = frozenset()) -> Plan:
    """The plan's machine gives what a run with room for everything gives; arguments that aren't donated stay."""
    made = plan(graph, donated)
    machine = Machine(graph, made, arguments, set(donated))
    with np.errstate(all="ignore"):
        want, got = run_apart(graph, arguments), machine.run()
    for w, g in zip(want, got, strict=True):
        assert same_bits(w, g), f"{graph}\n{made}"
    for i, (before, now) in enumerate(zip(arguments, machine.inputs, strict=True)):
        assert i in made.taken.values() or same_bits(np.asarray(before), now)
    assert set(made.taken.values()) <= set(donated) and len(set(made.taken.values())) == len(made.taken)
    homes = [made.taken.get(j, ("own", j)) for j in range(len(graph.outputs))]
    assert len(set(homes)) == len(homes), "two outputs in one buffer"
    for j, v in enumerate(graph.outputs):  # written where it belongs, or copied there
        place = made.place[v]
        lives = (place.kind, place.at) == (("input", made.taken[j]) if j in made.taken else ("output", j))
        assert lives != any(target == Place("output", j) for target, _ in made.copies)
    need = sum(-(-max(v.type.nbytes, 1) // ALIGN) * ALIGN for v, p in made.place.items() if p.kind == "arena")
    assert made.arena <= need
    return made


@settings(max_examples=80)
@given(graphs(max_ops=16), st.integers(0, 99), st.sets(st.integers(0, 5)))
def test_random_graphs(graph, seed, donated):
    graph = fused(graph)
    check_plan(graph, random_arguments(graph, seed), {i for i in donated if i < len(graph.inputs)})


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.booleans(), st.sets(st.integers(0, 5)))
def test_random_programs(seed, backward, donated):
    graph = row_program(seed, products=True)
    if backward:
        floats = [i for i, v in enumerate(graph.outputs) if v.type.is_float]
        graph = reverse(graph, list(range(len(graph.inputs))), floats)
    graph = fused(graph)
    check_plan(graph, random_arguments(graph, seed), {i for i in donated if i < len(graph.inputs)})


def planned(text, donated=frozenset()):
    graph = graph_of(text)
    return graph, check_plan(graph, random_arguments(graph, 0), donated)


KERNELS = """
@kernel
def k0(x: f64[10]) -> f64[10]:
    y: f64[10] = exp(x)
    return y

@kernel
def rows(x: f64[2, 5]) -> f64[2, 5]:
    s: f64[2] = sum(x, axes=(1,))
    k: f64[2, 1] = reshape(s, shape=(2, 1))
    r: f64[2, 5] = reverse(x, axes=(1,))
    y: f64[2, 5] = mul(r, k)
    return y

@kernel
def two(x: f64[10], y: f64[10]) -> (f64[10], f64[10]):
    a: f64[10] = add(x, y)
    b: f64[10] = mul(x, y)
    return a, b

"""


def test_text_of_a_plan():
    _, made = planned(
        KERNELS
        + """
def main(x: f64[10], n: i64) -> (f64[2, 5], f64[10], i64, f64[2]):
    a: f64[10] = k0(x)
    b: f64[10] = k0(a)
    c: f64[10] = k0(b)
    w: f64[2] = f64([1.0, 2.0])
    d: f64[2, 5] = reshape(c, shape=(2, 5))
    e: f64[2, 5] = rows(d)
    f: f64[10] = reshape(e, shape=(10,))
    return e, f, n, w
"""
    )
    assert (
        str(made)
        == """\
arena: 128 bytes
  x: f64[10] in input 0
  n: i64 in input 1
  a: f64[10] in arena+0
  b: f64[10] in arena+0
  c: f64[10] in arena+0
  w: f64[2] in constant 0
  d: f64[2, 5] in arena+0
  e: f64[2, 5] in output 0
  f: f64[10] in output 0
  output 1 is copied from f
  output 2 is copied from n
  output 3 is copied from w
"""
    )


def test_bytes_are_used_again():
    """A chain of kernels that can't work in place needs two buffers, not ten."""
    lines = ["    a0: f64[2, 5] = rows(x)"] + [f"    a{i}: f64[2, 5] = rows(a{i - 1})" for i in range(1, 10)]
    graph, made = planned(KERNELS + "def main(x: f64[2, 5]) -> f64[2, 5]:\n" + "\n".join(lines) + "\n    return a9\n")
    assert made.arena == 2 * 128 and not made.shared


def test_free_ranges_join():
    """Three dead neighbours make room for one value of their size."""
    _, made = planned("""
        @kernel
        def one(x: f64[16]) -> f64[16]:
            y: f64[16] = sin(x)
            return y

        @kernel
        def join(x: f64[16], y: f64[16], z: f64[16]) -> f64:
            a: f64[16] = add(x, y)
            b: f64[16] = add(a, z)
            s: f64 = sum(b, axes=(0,))
            return s

        @kernel
        def wide(s: f64) -> f64[48]:
            y: f64[48] = broadcast(s, shape=(48,))
            return y

        @kernel
        def low(x: f64[48]) -> f64:
            y: f64 = sum(x, axes=(0,))
            return y

        def main(x: f64[16]) -> f64:
            a: f64[16] = one(x)
            b: f64[16] = one(x)
            c: f64[16] = one(x)
            s: f64 = join(a, b, c)
            w: f64[48] = wide(s)
            r: f64 = low(w)
            return r
    """)
    assert made.arena == 3 * 128 and made.place[next(v for v in made.place if v.name == "w")].at == 0


def test_an_operand_that_is_read_later_is_not_overwritten():
    graph, made = planned(
        KERNELS
        + """
def main(x: f64[10]) -> (f64[10], f64[10]):
    a: f64[10] = k0(x)
    b: f64[10] = k0(a)
    c, d = two(a, b)
    e: f64[10] = k0(d)
    return c, e
"""
    )
    assert graph.ops[1] not in made.shared  # a is read again
    assert made.shared[graph.ops[2]] == {1: 0}  # b's result d may have a's bytes: both a and b die
    assert made.place[graph.outputs[0]].kind == "output"


def test_one_buffer_for_two_operands_is_not_overwritten():
    graph, made = planned(
        KERNELS
        + """
def main(x: f64[10]) -> f64[10]:
    a: f64[10] = k0(x)
    b, c = two(a, a)
    d, e = two(b, c)
    return e
"""
    )
    assert graph.ops[1] not in made.shared


DONATIONS = {
    # body, outputs, donated -> taken: output to input
    "read where the result is made": ("    a: f64[10] = k0(x)\n", "a", {0}, {0: 0}),
    "not given": ("    a: f64[10] = k0(x)\n", "a", set(), {}),
    "read by a loop before": ("    a: f64[10] = k0(x)\n    b: f64[10] = k0(a)\n", "b", {0}, {0: 0}),
    "read later": ("    a: f64[10] = k0(x)\n    b, c = two(a, x)\n", "a, c", {0}, {1: 0}),
    "read elsewhere than it is written": (
        "    r: f64[2, 5] = reshape(x, shape=(2, 5))\n    s: f64[2, 5] = rows(r)\n"
        "    a: f64[10] = reshape(s, shape=(10,))\n",
        "a", {0}, {}),
    "returned as it is": ("    a: f64[10] = k0(x)\n", "a, x", {0}, {}),
    "returned under another name": (
        "    r: f64[2, 5] = reshape(x, shape=(2, 5))\n    a: f64[10] = k0(x)\n", "a, r", {0}, {}),
    "never read": ("    a: f64[10] = k0(y)\n", "a", {0}, {0: 0}),
    "two results, two buffers": ("    a, b = two(x, y)\n", "a, b", {0, 1}, {0: 0, 1: 1}),
    "two results, one buffer": ("    a, b = two(x, y)\n", "a, b", {1}, {0: 1}),
    "one result twice": ("    a: f64[10] = k0(x)\n", "a, a", {0}, {0: 0}),
}  # fmt: skip


@pytest.mark.parametrize("name", DONATIONS)
def test_donation(name):
    body, outputs, donated, taken = DONATIONS[name]
    results = ", ".join("f64[2, 5]" if o.strip() == "r" else "f64[10]" for o in outputs.split(","))
    results = f"({results})" if "," in outputs else results
    _, made = planned(f"{KERNELS}def main(x: f64[10], y: f64[10]) -> {results}:\n{body}    return {outputs}\n", donated)
    assert made.taken == taken


def test_a_donated_buffer_of_another_type_is_left_alone():
    for t in ("f32[10]", "f64[5, 2]", "i64[10]", "f64[11]"):
        text = f"{KERNELS}def main(x: f64[10], d: {t}) -> f64[10]:\n    a: f64[10] = k0(x)\n    return a\n"
        assert planned(text, {1})[1].taken == {}


def test_empty_arrays_have_places_too():
    _, made = planned("""
        @kernel
        def k0(x: f64[0]) -> f64[0]:
            y: f64[0] = exp(x)
            return y

        def main(x: f64[0]) -> f64[0]:
            a: f64[0] = k0(x)
            b: f64[0] = k0(a)
            return b
    """)
    assert made.arena == ALIGN


def test_an_argument_that_is_overwritten_by_another_is_copied_to_once():
    graph = parse("def f(out: f64[100], x: f64[100]) -> f64[100]:\n    return x\n")
    made = plan(graph, {(0, 0)})
    assert made.taken == {0: 0} and [target for target, _ in made.copies] == [Place("input", 0)]
    assert plan(graph, {(0, 0)}).arena == 0 and not plan(graph, ()).taken
