"""Matrix products over the pool: every shape, layout and cut agrees with NumPy."""

import ctypes
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.codegen.objects import compile_object
from weft.runtime import blas, cpus, native, pool

pytestmark = pytest.mark.skipif(not blas.available(), reason="scipy-openblas32 is not installed")
TYPES = {"f32": np.float32, "f64": np.float64}
INT, PTR = ctypes.c_int64, ctypes.c_void_p
SHAPES = [
    (1, 1, 1),
    (2, 3, 4),
    (16, 16, 16),
    (17, 5, 33),
    (1, 40, 50),
    (50, 40, 1),
    (1, 64, 1),
    (100, 1, 90),
    (130, 20, 47),
]


@pytest.fixture(scope="module", autouse=True)
def team():
    """More threads than one, whatever this machine has."""
    pool.set_threads(3)
    yield
    pool.set_threads(cpus.usable_cpus())


def pointer(array: np.ndarray) -> int:
    return array.ctypes.data


def gemm(name, a, b, c, *, ta=0, tb=0, parts=0, ld=None, k=None):
    """C = op(A) op(B) in place of ``c``; leading dimensions from the strides unless given."""
    pool.ensure_started()
    m, n = c.shape
    k = k if k is not None else (a.shape[0] if ta else a.shape[1])
    lda, ldb, ldc = ld or [x.strides[0] // x.itemsize for x in (a, b, c)]
    function = ctypes.CFUNCTYPE(None, INT, INT, INT, INT, INT, PTR, INT, PTR, INT, PTR, INT, INT)(
        blas.address(f"weft_gemm_{name}")
    )
    function(ta, tb, m, n, k, pointer(a), lda, pointer(b), ldb, pointer(c), ldc, parts)


def gemm_batch(name, a, b, c, *, strides=None, parts=0):
    """C[i] = A[i] B[i] in place of ``c``; strides (in elements) from the arrays' unless given."""
    pool.ensure_started()
    (m, k), n = a.shape[1:], b.shape[2]
    lds = [x.strides[1] // x.itemsize for x in (a, b, c)]
    strides = strides or [x.strides[0] // x.itemsize for x in (a, b, c)]
    address = blas.address(f"weft_gemm_batch_{name}")
    function = ctypes.CFUNCTYPE(
        None, INT, INT, INT, INT, INT, PTR, INT, PTR, INT, PTR, INT, INT, INT, INT, INT, INT
    )(address)
    (lda, ldb, ldc), (sa, sb, sc) = lds, strides
    args = pointer(a), lda, pointer(b), ldb, pointer(c), ldc, len(c), sa, sb, sc, parts
    function(0, 0, m, n, k, *args)


def random(name, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(TYPES[name])


def padded(array: np.ndarray, columns: int) -> np.ndarray:
    """The same matrix with ``columns`` unused ones to its right, filled with NaN."""
    whole = np.full((array.shape[0], array.shape[1] + columns), np.nan, array.dtype)
    whole[:, : array.shape[1]] = array
    return whole[:, : array.shape[1]]


def close(name, got, a, b):
    eps = np.finfo(TYPES[name]).eps
    a, b = a.astype(np.float64), b.astype(np.float64)
    scale = np.abs(a) @ np.abs(b)
    assert np.all(np.abs(got - a @ b) <= (a.shape[-1] + 4) * eps * scale)


@pytest.mark.parametrize("parts", [0, 1, 2, 7])
@pytest.mark.parametrize("tb", [0, 1])
@pytest.mark.parametrize("ta", [0, 1])
@pytest.mark.parametrize("name", TYPES)
def test_against_numpy(name, ta, tb, parts):
    """With padding on every matrix: nothing beyond them is read into C, nothing beyond C is written."""
    for m, k, n in SHAPES:
        a, b = random(name, m, k), random(name, k, n, seed=1)
        sa, sb = padded(a.T if ta else a, 3), padded(b.T if tb else b, 2)
        c = padded(np.full((m, n), np.nan, TYPES[name]), 5)
        c.base[:, n:] = 7
        gemm(name, sa, sb, c, ta=ta, tb=tb, parts=parts)
        close(name, c, a, b)
        assert np.all(c.base[:, n:] == 7)


@settings(max_examples=60)
@given(m=st.integers(1, 200), n=st.integers(1, 200), k=st.integers(1, 8), parts=st.integers(1, 40))
def test_every_cut_covers_c_once(m, n, k, parts):
    a, b = random("f64", m, k), random("f64", k, n, seed=1)
    c = np.full((m, n), np.nan)
    gemm("f64", a, b, c, parts=parts)
    close("f64", c, a, b)


def test_a_large_product_and_its_repetition():
    a, b = random("f32", 300, 200), random("f32", 200, 260, seed=1)
    first, second = np.empty((300, 260), np.float32), np.empty((300, 260), np.float32)
    gemm("f32", a, b, first)
    gemm("f32", a, b, second)
    close("f32", first, a, b)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("parts", [0, 1, 5])
@pytest.mark.parametrize("name", TYPES)
def test_empty(name, parts):
    for m, n in [(3, 4), (1, 4), (4, 1), (100, 90)]:
        c = padded(np.full((m, n), np.nan, TYPES[name]), 2)
        gemm(
            name,
            np.empty((m, 0), TYPES[name]),
            np.empty((0, n), TYPES[name]),
            c,
            ld=[1, n, n + 2],
            parts=parts,
        )
        np.testing.assert_array_equal(c, 0)
        assert np.all(np.isnan(c.base[:, n:]))
    untouched = np.full((4, 4), 3, TYPES[name])
    for m, n in [(0, 4), (4, 0), (0, 0)]:
        gemm(name, untouched, untouched, untouched[:m, :n], ld=[4, 4, 4], k=4, parts=parts)
    np.testing.assert_array_equal(untouched, 3)


@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 6, 7), (5, 6, 1), (40, 90, 70)])
@pytest.mark.parametrize("name", TYPES)
def test_nan_and_infinity(name, shape):
    """Those of A and B come through, those that C held before do not."""
    m, k, n = shape
    a, b = random(name, m, k), random(name, k, n, seed=1)
    a[-1, 2], b[3, 0] = np.inf, np.nan
    c = np.full((m, n), np.nan, TYPES[name])
    gemm(name, a, b, c)
    with np.errstate(invalid="ignore"):
        expected = a @ b
    np.testing.assert_array_equal(np.isnan(c), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(c), np.isinf(expected))
    assert np.all(np.isnan(c[:, 0]))


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("name", TYPES)
def test_rows_that_overlap(name, parts):
    """A leading dimension of 0 or of less than a row (broadcast, sliding window) is not for BLAS."""
    row, b = random(name, 9), random(name, 9, 6, seed=1)
    c = np.empty((5, 6), TYPES[name])
    gemm(name, row, b, c, ld=[0, 6, 6], k=9, parts=parts)
    close(name, c, np.broadcast_to(row, (5, 9)), b)
    long = random(name, 13)
    window = np.lib.stride_tricks.sliding_window_view(long, 9)
    gemm(name, long, b, c, ld=[1, 6, 6], k=9, parts=parts)
    close(name, c, window, b)
    gemm(name, long, b, c, ld=[1, 6, 6], k=5, ta=1, parts=parts)  # op(A) = the window's transpose
    close(name, c, np.lib.stride_tricks.as_strided(long, (5, 5), (long.itemsize, long.itemsize)), b[:5])
    column = np.empty((20, 1), TYPES[name])
    gemm(name, random(name, 20, 9), row, column, ld=[9, 0, 1], k=9, parts=parts)  # b is one number
    close(name, column, random(name, 20, 9), np.full((9, 1), row[0]))


@pytest.mark.parametrize("parts", [0, 1, 2, 4])
@pytest.mark.parametrize("batch", [0, 1, 2, 3, 20])
@pytest.mark.parametrize("name", TYPES)
def test_batch(name, batch, parts):
    for m, k, n in [(4, 5, 6), (40, 7, 33), (1, 8, 9), (9, 8, 1), (3, 0, 2)]:
        a, b = random(name, batch, m, k), random(name, batch, k, n, seed=1)
        c = np.full((batch + 1, m, n), np.nan, TYPES[name])
        gemm_batch(name, a, b, c[:-1], parts=parts, strides=[m * k, k * n, m * n])
        close(name, c[:-1], a, b)
        assert np.all(np.isnan(c[-1]))


def test_batch_with_one_shared_matrix():
    a, b = random("f64", 6, 20, 30), random("f64", 1, 30, 10, seed=1)
    c = np.empty((6, 20, 10))
    gemm_batch("f64", a, b, c, strides=[600, 0, 200], parts=3)
    close("f64", c, a, np.broadcast_to(b, (6, 30, 10)))


def test_many_python_threads_at_once():
    failures = []

    def work(seed):
        a, b = random("f32", 90, 80, seed=seed), random("f32", 80, 100, seed=seed + 50)
        c = np.empty((90, 100), np.float32)
        try:
            for turn in range(40):
                c.fill(np.nan)
                gemm("f32", a, b, c, parts=1 + turn % 4)
                close("f32", c, a, b)
        except AssertionError as error:
            failures.append(error)

    callers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert failures == [] and not any(caller.is_alive() for caller in callers)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_in_a_forked_child():
    a, b, c = random("f64", 90, 80), random("f64", 80, 100), np.empty((90, 100))
    gemm("f64", a, b, c, parts=3)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            c.fill(np.nan)
            gemm("f64", a, b, c, parts=3)
            close("f64", c, a, b)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


# ---- which library, and how it is loaded


def run(program: str, **environment: str) -> str:
    """What a fresh process prints; none of this process's settings of OpenBLAS reach it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=inherited | environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_the_users_core_type_wins():
    program = "from weft.runtime import blas; print(blas.core())"
    assert run(program, OPENBLAS_CORETYPE="Nehalem") == "Nehalem"
    assert run(program) == blas.core() != "Nehalem"


def test_the_environment_stays_as_it_was():
    program = (
        "import os; before = dict(os.environ); from weft.runtime import blas; assert blas.available();"
        "print(before == dict(os.environ))"
    )
    assert run(program) == "True"
    assert run(program, OPENBLAS_NUM_THREADS="2") == "True"


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="no /proc here")
def test_openblas_starts_no_threads():
    count = "len(os.listdir('/proc/self/task'))"
    program = (
        f"import os; from weft.runtime import blas; b = {count}; assert blas.available(); print({count} - b)"
    )
    assert run(program, OPENBLAS_NUM_THREADS="4") == "0"


def test_without_the_wheel():
    program = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "scipy_openblas32" else find(name, *rest)
from weft.runtime import blas, native
assert not blas.available() and blas.core() == ""
from weft.codegen.objects import compile_object
text = "declare void @weft_cblas_sgemm()\\ndefine ptr @f() {\\n ret ptr @weft_cblas_sgemm\\n}"
try:
    native.load(compile_object(text))
except native.ObjectError as error:
    print(error)
"""
    assert run(program) == "OpenBLAS is not available: pip install scipy-openblas32"


def test_a_library_that_cannot_be_loaded(tmp_path):
    (tmp_path / "libscipy_openblas.so").write_bytes(b"\x7fELF nonsense")
    assert blas._load(tmp_path / "libscipy_openblas.so") is None
    (tmp_path / "other.c").write_text("")
    assert blas._load(tmp_path / "missing.so") is None


def test_kernels_find_products_by_name():
    text = "declare void @weft_gemm_f64()\ndefine ptr @where() {\n ret ptr @weft_gemm_f64\n}"
    library = native.load(compile_object(text))
    where = ctypes.CFUNCTYPE(PTR)(library.address("where"))
    assert where() == blas.address("weft_gemm_f64")
