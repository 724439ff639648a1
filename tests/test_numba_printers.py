"""Kernels as Numba source: what is printed for the CPU and for CUDA computes what the graph means."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from printed import (
    IN_PLACE,
    PROGRAMS,
    SPLIT,
    TILINGS,
    cuda_drivers,
    different,
    expected,
    jit_drivers,
    kernels_of,
    native_drivers,
    python_drivers,
    run_fused,
    run_in_place,
    run_text,
    softmax,
    stages,
)
from rewriting import graph_of
from row_programs import row_program
from strategies import ALL_OPS, JUMPS, STEEP, graphs, random_arguments

import weft
from weft.codegen.kernel import AccumulateAt, Share, walk
from weft.codegen.lower import lower
from weft.codegen.numba_cpu import print_module
from weft.codegen.numba_cuda import CudaError
from weft.codegen.numba_cuda import print_module as print_cuda
from weft.codegen.prune import prune
from weft.codegen.scalar_prelude import numba_prelude, prelude_names
from weft.codegen.tiling import BLOCKS
from weft.ir import Builder, Graph, Location, TensorType
from weft.ir.interpret import interpret
from weft.pipeline import Stages

SMOOTH = sorted(ALL_OPS - JUMPS - STEEP)
TESTS = Path(__file__).parent


# ---- the CPU's form


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_as_plain_python_and_as_object_code(name: str) -> None:
    found, arguments = stages(name)
    want = expected(found.trace, arguments)
    for tiling in TILINGS:
        kernels = kernels_of(found.fused, TILINGS[tiling])
        for make in (python_drivers, native_drivers):
            assert not different(run_fused(found.fused, arguments, make(kernels)), want), (tiling, make.__name__)


@settings(max_examples=60)
@given(graphs(ops=SMOOTH), st.sampled_from(sorted(TILINGS)), st.integers(0, 99))
def test_random_graphs(graph: Graph, tiling: str, seed: int) -> None:
    agree(graph, tiling, seed)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from(sorted(TILINGS)))
def test_random_programs_that_fuse(seed: int, tiling: str) -> None:
    agree(row_program(seed, jumpy=False, products=True), tiling, seed)


def agree(graph: Graph, tiling: str, seed: int) -> None:
    arguments = random_arguments(graph, seed)
    fused = Stages(graph).fused
    kernels = kernels_of(fused, TILINGS[tiling])
    assert not different(run_fused(fused, arguments, python_drivers(kernels)), expected(graph, arguments))


@pytest.mark.parametrize("name", ["softmax", "layer norm, backward", "extrema", "i8", "bool", "f16"])
def test_programs_compiled_by_numba(name: str) -> None:
    found, arguments = stages(name)
    kernels = kernels_of(found.fused, SPLIT)
    got = run_fused(found.fused, arguments, jit_drivers(kernels))
    assert not different(got, expected(found.trace, arguments))
    assert not different(run_fused(found.fused, arguments, python_drivers(kernels)), got)


@pytest.mark.parametrize("name", IN_PLACE)
def test_results_in_place_of_arguments(name: str) -> None:
    graph = graph_of(IN_PLACE[name])
    arguments = random_arguments(graph)
    assert not different(run_in_place(graph, arguments, python_drivers), interpret(graph, arguments))


def test_what_is_printed() -> None:
    build = Builder("k0")
    x = build.input(TensorType("f32", (3, 4)), "x")
    build.location = Location("net.py", 7)
    y = build.emit(kind("tanh"), [x.value], names=["y"])[0]
    (s,) = build.emit(kind("sum"), [y.value], {"axes": (1,)}, names=["s"])
    text = print_module([lower(build.finish([s]))])
    assert text.startswith("# Kernels for the CPU, printed by weft.")
    assert text.endswith('''

@numba.njit(error_model="numpy")
def k0_body(x, s, chunk):
    # for r in [0, 3):
    for r in range(3):
        # var acc: f32 = 0
        acc = f32(0.0)
        # for c in [0, 4): # vector
        for c in range(4):
            # x_1: f32 = load x[4*r + c]
            x_1 = x[4 * r + c]
            # y: f32 = tanh(x_1), net.py:7
            y = tanh_f32(x_1)
            # acc = add(acc, y)
            acc = acc + y
        # t: f32 = acc
        t = acc
        # store s[r] = t
        s[r] = t


def k0(x, s):
    """x: f32[12] in, s: f32[3] out"""    # net.py:7
    for chunk in range(1):
        k0_body(x, s, chunk)
''')
    assert "def tanh_f32" in text and "def sin_f32" not in text and "round_f16" not in text


def kind(name: str) -> object:
    return weft.ir.REGISTRY[name]


AWKWARD = ("lambda", "f32", "np", "numba", "cuda", "chunk", "range", "sum", "k0", "k0_body", "exp_f32", "lane",
           "places", "round_f16", "block_add_f32", "shared_f32", "column", "row_near", "v1", "x\ny", "naïve", "7")


@pytest.mark.parametrize("name", AWKWARD)
def test_any_name_and_any_file_name(name: str) -> None:
    build = Builder("main")
    build.location = Location("my\nimport os # 'net\".py", 3)
    x = build.input(TensorType("f16", (3, 4)), name)
    y = build.emit(kind("exp"), [x.value], names=[name])[0]
    s = build.emit(kind("sum"), [y.value], {"axes": (1,)}, names=[name])[0]
    graph = build.finish([y, s])
    fused = Stages(graph).fused
    kernels = kernels_of(fused)
    arguments = random_arguments(graph)
    assert not different(run_fused(fused, arguments, python_drivers(kernels)), interpret(graph, arguments))
    compile(print_cuda(kernels), "cuda", "exec")


def test_the_stages_print_both() -> None:
    found, arguments = stages("columns beside elements")
    assert "@numba.njit" in found.kernels and "@cuda.jit" not in found.kernels
    assert "@cuda.jit" in found.cuda
    assert run_text(found.kernels)["k0"].__doc__.startswith("x: f64[130] in")


# ---- lowering that the printers depend on


def test_chunks_share_their_loop_and_add_to_columns() -> None:
    found, _ = stages("columns")
    (kernel,) = kernels_of(found.fused, SPLIT)
    assert [s.count for s in walk(kernel.body) if isinstance(s, Share)] == [17]
    assert sum(isinstance(s, AccumulateAt) for s in walk(kernel.body)) == 3


def test_scratch_holds_only_what_is_read_again() -> None:
    """exp(sin(x)) is dear to compute twice; once it is kept, nobody asks for sin(x)."""
    found = weft.compile(lambda x: softmax(np.sin(x))).lower(np.ones((4, 50)))
    (kernel,) = kernels_of(found.fused)
    scratch = [b.name for b in kernel.buffers if b.role == "chunk"]
    loads = [s.buffer for s in walk(kernel.body) if hasattr(s, "buffer") and hasattr(s, "target")]
    assert scratch and set(scratch) <= set(loads)


# ---- the prelude


@pytest.mark.parametrize("target", ["cpu", "cuda", "python"])
def test_every_part_of_the_prelude_stands_alone(target: str) -> None:
    for name in sorted(prelude_names(target) - {"Fraction"}):  # the simulator's, on a GPU not imported
        assert name in run_text(numba_prelude(target, {name}))
    assert numba_prelude(target, ()) == "\n"
    assert "round_f16" not in numba_prelude(target, {"f16_value"})


def test_prune() -> None:
    text = """
import math
import numpy as np
a, b = 1, 2
if math.pi > 3:
    c = a
    d = 4
else:
    c = 5


def f(x):
    return g(x) + c


@np.vectorize
def g(x):  # stays with f
    return x


h = f
"""
    assert prune(text, {"b"}) == "a, b = 1, 2\n"
    assert prune(text, {"c"}) == "import math\n\na, b = 1, 2\n\nif math.pi > 3:\n    c = a\nelse:\n    c = 5\n"
    assert prune(text, {"d"}) == "import math\n\nif math.pi > 3:\n    d = 4\n"
    whole = prune(text, {"h"})
    assert "import numpy" in whole and "d = 4" not in whole and "@np.vectorize\ndef g(x):  # stays with f" in whole
    assert prune(text, {"nothing"}) == "\n"


# ---- CUDA


def test_cuda_in_the_simulator() -> None:
    """All programs and random graphs, in a process of their own: the simulator is chosen when Numba is imported."""
    run = subprocess.run([sys.executable, "simulate_cuda.py", "10"], cwd=TESTS, capture_output=True, text=True,
                         env={**os.environ, "PYTHONWARNINGS": "ignore"})  # fmt: skip
    assert run.returncode == 0, run.stderr
    *wrong, last = run.stdout.splitlines()
    assert not wrong, "\n".join(wrong)
    assert int(last.split()[0]) > 120 and last.endswith("kernels ran")


def rows(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


LAUNCHES: dict[str, tuple[Callable[..., object], tuple[np.ndarray, ...], list[str]]] = {
    "elements": (lambda x, c: x * c, (rows(300, 40), rows(300, 1)), ["k0_body[blocks(12000, 256), 256]"]),
    "long rows": (softmax, (rows(300, 1000),), ["k0_body[300, 256]"]),
    "rows of a hundred": (softmax, (rows(300, 100),), ["k0_body[300, 128]"]),
    "short rows": (softmax, (rows(300, 10),), ["k0_body[38, (32, 8)]"]),
    "many rows": (softmax, (rows(9000, 100),), ["k0_body[4096, 128]"]),
    "columns": (lambda x: x.sum(0), (rows(640, 100),), ["k0_body[(4, 40), (32, 8)]", "k0_final[4, (32, 8)]"]),
    "everything": (lambda x: x.sum(), (rows(500, 500),), ["k0_body[16, (32, 8)]", "k0_final[1, (32, 8)]"]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAUNCHES)
def test_launches(name: str) -> None:
    function, arguments, want = LAUNCHES[name]
    text = weft.compile(function).lower(*arguments).cuda
    assert re.findall(r"^    (k0_\w+\[.*\])\(", text, re.M) == want


def test_elements_lie_side_by_side() -> None:
    """Neighbouring threads read neighbouring elements, also where rows are short."""
    text = weft.compile(lambda x, c: x * c).lower(rows(300, 3), rows(300, 1)).cuda
    assert "for i in range(cuda.grid(1), 900, cuda.gridsize(1)):\n        r_1 = i % 3\n        r = i // 3\n" in text
    assert "shared" not in text and "x[3 * r + r_1]" in text


def test_rows_stay_in_shared_memory() -> None:
    long, longer = (weft.compile(softmax).lower(rows(64, n)).cuda for n in (4000, 40000))
    assert "row_near = cuda.shared.array(4000, f32)" in long and "device_array" not in long
    assert "row_near" not in longer and "row = cuda.device_array(" in longer


REFUSED = {
    "scatter_add": """
        def main(x: f32[4], i: i64[3], u: f32[3]) -> f32[4]:
            y: f32[4] = scatter_add(x, i, u, axes=(0,))
            return y
    """,
    "dot": """
        def main(a: i64[3, 4], b: i64[4, 5]) -> i64[3, 5]:
            y: i64[3, 5] = dot(a, b, batch=((), ()), contract=((1,), (0,)))
            return y
    """,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_cuda_form_yet(name: str, tmp_path: Path) -> None:
    graph = graph_of(REFUSED[name])
    with pytest.raises(CudaError, match=f"^k0: {name} has no CUDA form yet$"):
        _ = Stages(graph).cuda
    assert name in Stages(graph).kernels or "k0_body" in Stages(graph).kernels
    path = tmp_path / "main.ir"
    path.write_text(str(graph))
    command = [sys.executable, "-m", "weft", "dump", "--stage", "kernels", "--target", "cuda", str(path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode != 0 and len(run.stderr.splitlines()) == 1
    assert f"k0: {name} has no CUDA form yet" in run.stderr


def test_blocks_do_not_race_for_a_number() -> None:
    """The last phase's blocks all read t, which one of them would overwrite."""
    graph = graph_of("""
        def k(t: f64, x: f64[90, 70]) -> (f64, f64[70]):
            s: f64 = sum(x, axes=(0, 1))
            u: f64 = add(t, s)
            c: f64[70] = sum(x, axes=(0,))
            v: f64[70] = mul(c, u)
            return u, v
    """)
    print_cuda([lower(graph, {}, BLOCKS)])
    with pytest.raises(CudaError, match="^k: t is overwritten in place while other blocks may read it"):
        print_cuda([lower(graph, {0: 0}, BLOCKS)])


@pytest.mark.parametrize("name", ["softmax, backward", "columns beside elements", "every phase", "i8", "bool", "f16"])
def test_cuda_compiles_to_ptx(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU: compiled where the driver would launch, for the arrays that it would pass."""
    pytest.importorskip("numba_cuda")
    import numba
    from numba import cuda

    if cuda.config.ENABLE_CUDASIM:
        pytest.skip("there is no PTX in the simulator")
    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: SimpleNamespace(compute_capability=(9, 0)))
    monkeypatch.setattr(cuda, "device_array", np.empty)
    found, _ = stages(name)
    compiled = []

    class Compile:
        def __init__(self, kernel: object) -> None:
            self.kernel = kernel

        def __getitem__(self, launch: object) -> Callable[..., None]:
            def run(*arrays: np.ndarray) -> None:
                signature = numba.void(*map(numba.typeof, arrays))
                compiled.append(cuda.compile_ptx(self.kernel.py_func, signature, cc=(9, 0))[0])

            return run

    kernels = kernels_of(found.fused, BLOCKS)
    namespace = dict(cuda_drivers(kernels))
    globals_of = namespace[kernels[0].name].__globals__
    for k in kernels:
        for phase in ("body", "final") if k.final else ("body",):
            globals_of[f"{k.name}_{phase}"] = Compile(globals_of[f"{k.name}_{phase}"])
        given = [np.empty(b.size, weft.ir.NAMES[b.dtype]) for b in k.buffers if b.role != "chunk"]
        namespace[k.name](*given)
    assert compiled and all(".visible .entry" in ptx for ptx in compiled)
