"""Programs whose kernels the printers are tested on, and how to run what they print.

    kernels = kernels_of(fused, SPLIT)             lowered so that small arrays already make several chunks
    drivers = python_drivers(kernels)              or jit_drivers, cuda_drivers, native_drivers: {name: function}
    run_fused(fused, arguments, drivers)           the graph, its kernels by their drivers, the rest by NumPy
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import weft
from weft.codegen import numba_cpu, numba_cuda
from weft.codegen.cuda_block import GPU, Launch
from weft.codegen.functions import module, print_kernels, unpacking
from weft.codegen.kernel import Kernel
from weft.codegen.lower import lower
from weft.codegen.tiling import BLOCKS, THREADS, Tiling
from weft.ir import NAMES, Graph
from weft.ir.interpret import interpret
from weft.ir.writes import in_place
from weft.runtime import native

SPLIT = Tiling(work=1, chunks=3, parts=3, elements=2, rows=1, block=4, nests=False)
SPLIT_NESTS = Tiling(work=1, chunks=5, parts=4, elements=3, rows=1, block=4, nests=True)
TILINGS = {"threads": THREADS, "blocks": BLOCKS, "split": SPLIT, "split nests": SPLIT_NESTS}
SMALL = Launch(threads=8, warp=4)  # for the simulator, where a thread of the GPU is one of Python's
Drivers = Mapping[str, Callable[..., None]]


def kernels_of(fused: Graph, tiling: Tiling = THREADS) -> list[Kernel]:
    return [lower(op.regions[0], {}, tiling) for op in fused.ops if op.regions]


def run_text(text: str, name: str = "printed") -> dict[str, Any]:
    """The namespace of a printed module."""
    namespace: dict[str, Any] = {}
    exec(compile(text, name, "exec"), namespace)
    return namespace


def python_drivers(kernels: Sequence[Kernel]) -> Drivers:
    return run_text(numba_cpu.print_module(kernels, jit=False))


def jit_drivers(kernels: Sequence[Kernel]) -> Drivers:
    return run_text(numba_cpu.print_module(kernels))


def cuda_drivers(kernels: Sequence[Kernel], launch: Launch = GPU) -> Drivers:
    return run_text(numba_cuda.print_module(kernels, launch))


def native_drivers(kernels: Sequence[Kernel]) -> Drivers:
    """The same kernels as object code, through the LLVM printer."""
    wrappers = []
    for k in kernels:
        for name in (k.name, f"{k.name}_final") if k.final else (k.name,):
            if name != k.name or k.chunks == 1:  # what only a step calls takes its buffers one by one
                wrappers.append(unpacking(name, k.buffers))
            call = f"call void @{name}(ptr %a, i64 %c)"
            wrappers.append(f"define void @run_{name}(ptr %a, i64 %c) {{\n {call}\n ret void\n}}")
    library = native.build(module("\n".join([print_kernels(kernels), *wrappers])))

    def driver(k: Kernel) -> Callable[..., None]:
        run = library.function(f"run_{k.name}", None, ctypes.c_void_p, ctypes.c_int64)
        final = library.function(f"run_{k.name}_final", None, ctypes.c_void_p, ctypes.c_int64) if k.final else None

        def call(*given: np.ndarray) -> None:
            scratch = [np.empty(max(b.size, 1), NAMES[b.dtype]) for b in k.buffers[len(given) :]]
            pointers = (ctypes.c_void_p * len(k.buffers))(*[a.ctypes.data for a in (*given, *scratch)])
            for chunk in range(k.chunks):
                run(pointers, chunk)
            if final:
                final(pointers, 0)

        return call

    return {k.name: driver(k) for k in kernels}


def run_in_place(graph: Graph, arguments: Sequence[np.ndarray], make: Callable[..., Drivers]) -> list[np.ndarray]:
    """Results of a graph that is one kernel; they overwrite what arguments they may."""
    over: dict[int, int] = {}
    for o, i in sorted(in_place(graph)):
        if o not in over and i not in over.values():
            over[o] = i
    assert over
    kernel = lower(graph, over, SPLIT)
    given = [np.array(a).reshape(-1) for a in arguments]
    fresh = [np.empty(v.type.size, v.type.np_dtype) for v in graph.outputs]
    outs = [given[over[o]] if o in over else out for o, out in enumerate(fresh)]
    make([kernel])[kernel.name](*given, *(out for o, out in enumerate(outs) if o not in over))
    return [out.reshape(v.shape) for v, out in zip(graph.outputs, outs, strict=True)]


def run_fused(fused: Graph, arguments: Sequence[np.ndarray], drivers: Drivers) -> list[np.ndarray]:
    """Results of the graph; every kernel is given copies of what it reads."""
    env = dict(zip(fused.inputs, map(np.asarray, arguments), strict=True))
    for op in fused.ops:
        given = [env[v] for v in op.operands]
        if op.regions:
            outs = [np.empty(v.type.size, v.type.np_dtype) for v in op.results]
            with np.errstate(all="ignore"):
                drivers[op.regions[0].name](*(np.array(a, order="C").reshape(-1) for a in given), *outs)
            env.update((v, out.reshape(v.shape)) for v, out in zip(op.results, outs, strict=True))
        else:
            env[op.result] = np.asarray(op.kind.reference(*given, **op.attrs))
    return [env[v] for v in fused.outputs]


def expected(graph: Graph, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
    with np.errstate(all="ignore"):
        return interpret(graph, arguments)


def different(got: Sequence[np.ndarray], want: Sequence[np.ndarray]) -> str:
    """What differs by more than rounding; integers and booleans must be equal."""
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        if a.dtype != b.dtype or a.shape != b.shape:
            return f"result {i}: {a.dtype}{a.shape} for {b.dtype}{b.shape}"
        tolerance = {"float16": 2e-2, "float32": 3e-5, "float64": 1e-11}.get(b.dtype.name, 0)
        with np.errstate(all="ignore"):
            if not np.allclose(a.astype("f8"), b.astype("f8"), rtol=tolerance, atol=tolerance, equal_nan=True):
                return f"result {i}: {a} for {b}"
            if tolerance == 0 and not np.array_equal(a, b):
                return f"result {i}: {a} for {b}"
    return ""


# ---- programs


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def layer_norm(x, gain, bias):
    d = x - x.mean(1, keepdims=True)
    return d / np.sqrt((d * d).mean(1, keepdims=True) + 1e-5) * gain + bias


def backward(f, *argnums):
    return weft.grad(lambda *a: (f(*a[:-1]) * a[-1]).sum(), argnums=argnums)


def relu_layer(x, b, g):
    """The gradients of a layer's bias and input: a sum over rows beside what every element gives."""
    h = np.where(x + b > 0, g, 0)
    return h, h.sum(0), (h * x).sum(0)


def every_phase(x):
    """Row, column and full reductions, and what comes after them."""
    row = x.max(1, keepdims=True)
    return (x - row).sum(0) / x.sum(), row, np.sqrt((x * x).sum()), x.argmin(1)


def integers(i, j):
    return i + j * 3, i // (abs(j) + 1), (i & j).sum(1), i.max(0), i.min(), (i ^ j) << 1, i.argmax(1), np.float32(1) / j


def booleans(p, q):
    return p & ~q, (p | q).any(1), p.all(1), q.any(), p.argmax(1), (p ^ q).sum(0), np.where(p, q, p)


def halves(h, k):
    """Half: arithmetic rounds, sums are held in single, extrema and their places."""
    return h * k + h, h.sum(1), h.sum(0), h.sum(), np.exp(h), h.max(1), h.argmin(1), h > k, h.astype(np.int8)


def wide_rows(x):
    """Reductions over two axes; the third is the row."""
    return x.sum((1, 2)), x.max((1, 2)), x - x.mean((1, 2), keepdims=True)


def tables(x):
    """A row is a table: its sum, and the sum of all tables."""
    return x.sum(0), x.sum((1, 2))


def shares(x):
    """What one loop over a table keeps is read by another."""
    e = np.exp(np.sin(x))
    return e / e.sum((1, 2), keepdims=True)


def moved(x, i):
    taken = np.take(x, i, axis=0, mode="clip")  # x[i] checks its places, which only a CPU's threads do yet
    return np.concatenate([x[::-1, 1:], x[:1, 1:] * 0, taken[:, :-1]]).sum(1), taken[:, ::2].T * 2, np.pad(x, 1).sum(0)


def array(*shape, dtype=np.float64, seed=0):
    rng = np.random.default_rng([seed, *shape])
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return rng.random(shape) < 0.6
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -9, 10, shape).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def with_nan(*shape, dtype=np.float64):
    """Ties in every row, in some of them NaN, one of nothing but infinities."""
    x = array(*shape, dtype=np.int8, seed=1).astype(dtype)
    x[1, 2::3] = np.nan
    x[2], x[3] = -np.inf, np.inf
    return x


F16, F32 = np.float16, np.float32
PROGRAMS: dict[str, tuple[Callable[..., Any], Sequence[Any]]] = {
    "broadcasting": (lambda x, r, c, s: np.tanh(x * r + c) - s, (array(4, 7), array(7), array(4, 1), array())),
    "one long axis": (lambda x, y: np.where(x > y, x * y, x / y), (array(101, dtype=F32), array(101, dtype=F32) - 1)),
    "three axes": (lambda x, y: np.maximum(x, y.T), (array(3, 4, 5, dtype=F32), array(5, 4, 3, dtype=F32))),
    "a scalar": (lambda x: np.sqrt(x * x + 1), (np.float32(2.5),)),
    "softmax": (softmax, (array(5, 11, dtype=F32),)),
    "softmax, backward": (backward(softmax, 0), (array(5, 11, dtype=F32), array(5, 11, dtype=F32, seed=1))),
    "layer norm": (layer_norm, (array(6, 13), array(13), array(13, seed=1))),
    "layer norm, backward": (backward(layer_norm, 0, 1, 2), (array(6, 13), array(13), array(13), array(6, 13, seed=1))),
    "columns": (lambda x: (np.sqrt((x * x).sum(0)), x.max(0), x.prod(0)), (array(17, 9, dtype=F32),)),
    "columns beside elements": (relu_layer, (array(13, 10), array(10), array(13, 10, seed=1))),
    "columns of few": (lambda x: x.mean(0), (array(50, 2, dtype=F32),)),
    "everything": (lambda x: (x.sum(), (x * x).mean(), x.max(), x.min()), (array(9, 21, dtype=F32),)),
    "a compensated sum": (lambda x: (x.sum(), np.abs(x).prod()), (array(60),)),
    "every phase": (every_phase, (array(7, 9),)),
    "extrema": (lambda x: (x.argmax(1), x.argmin(1), x.max(1), x.min(1)), (with_nan(6, 14),)),
    "extrema of columns": (lambda x: (x.argmax(0), x.min(0)), (with_nan(9, 6, dtype=F32),)),
    "extrema of everything": (lambda x, y: (x.argmax(), y.argmin(), x.max()), (with_nan(6, 14), array(40, dtype=F32))),
    "rows of two axes": (wide_rows, (array(4, 3, 5, dtype=F32),)),
    "tables": (tables, (array(7, 3, 6),)),
    "shares of a table": (shares, (array(7, 3, 6),)),
    "movement": (moved, (array(4, 6), np.array([2, 0, 3]))),
    "i8": (integers, (array(5, 6, dtype=np.int8), array(5, 6, dtype=np.int8, seed=1))),
    "i16": (integers, (array(5, 6, dtype=np.int16), array(5, 6, dtype=np.int16, seed=1))),
    "i32": (integers, (array(5, 6, dtype=np.int32), array(5, 6, dtype=np.int32, seed=1))),
    "i64": (integers, (array(5, 6, dtype=np.int64) << 60, array(5, 6, dtype=np.int64, seed=1))),
    "u8": (integers, (array(5, 6, dtype=np.uint8) * 25, array(5, 6, dtype=np.uint8, seed=1))),
    "u16": (integers, (array(5, 6, dtype=np.uint16), array(5, 6, dtype=np.uint16, seed=1))),
    "u32": (integers, (array(5, 6, dtype=np.uint32) << 28, array(5, 6, dtype=np.uint32, seed=1))),
    "u64": (integers, (array(5, 6, dtype=np.uint64) << 60, array(5, 6, dtype=np.uint64, seed=1))),
    "bool": (booleans, (array(5, 6, dtype=np.bool_), array(5, 6, dtype=np.bool_, seed=1))),
    "f16": (halves, (array(5, 6, dtype=F16), array(5, 6, dtype=F16, seed=1))),
    "nothing": (lambda x: (x + 1, x.sum(0), x.sum(1), x.sum()), (array(0, 3),)),
}  # fmt: skip

IN_PLACE = {  # kernels one of whose results may take the place of an argument
    "elements": """
        def k(p: f64[30], m: f64[30], g: f64[30]) -> (f64[30], f64[30]):
            h: f64[30] = mul(m, f64(0.9))
            n: f64[30] = add(h, g)
            q: f64[30] = sub(p, n)
            return q, n
    """,
    "a number of each row": """
        def k(s: f64[12], x: f64[12, 20]) -> (f64[12], f64[20]):
            t: f64[12] = tanh(s)
            c: f64[12, 1] = reshape(t, shape=(12, 1))
            y: f64[12, 20] = mul(x, c)
            z: f64[20] = sum(y, axes=(0,))
            return t, z
    """,
    "a total": """
        def k(t: f64, x: f64[5, 9]) -> f64:
            s: f64 = sum(x, axes=(0, 1))
            u: f64 = add(t, s)
            return u
    """,
    "columns": """
        def k(c: f32[9], x: f32[5, 9]) -> f32[9]:
            s: f32[9] = sum(x, axes=(0,))
            u: f32[9] = add(c, s)
            return u
    """,
}


def stages(name: str) -> tuple[Any, list[np.ndarray]]:
    """A program's stages, and its arguments as arrays."""
    function, arguments = PROGRAMS[name]
    return weft.compile(function).lower(*arguments), [np.asarray(a) for a in arguments]
