"""Stores around the cache: large cheap results, from any address on, whatever is left over at the ends of a block."""

import numpy as np
import pytest

import weft
from weft.codegen.lower import lower
from weft.codegen.numba_cpu import print_module
from weft.codegen.step_writer import STREAMED
from weft.ir.parse import parse
from weft.ir.types import TensorType


def test_a_large_cheap_result_is_streamed() -> None:
    n = STREAMED // 4 + 7
    x = np.arange(n, dtype=np.float32)
    f = weft.compile(lambda x: x + 1)
    assert "stream y[" in f.lower(x).kernel_ir
    assert "nontemporal" in f.lower(x).llvm
    np.testing.assert_array_equal(f(x), x + 1)


@pytest.mark.parametrize("what", ["small", "dear", "in place"])
def test_what_is_not_streamed(what: str) -> None:
    x = np.ones(1000 if what == "small" else STREAMED // 8)
    compiled = weft.compile(np.tanh if what == "dear" else np.negative, donate_argnums=0 if what == "in place" else ())
    assert "stream " not in compiled.lower(x).kernel_ir


@pytest.mark.parametrize(("rows", "columns", "dtype"), [(1, 5003, "f32"), (37, 1003, "f64"), (3, 1025, "f16"),
                                                         (9, 300, "bool"), (5, 2048, "i8")])  # fmt: skip
def test_streams_in_rows_and_views(rows: int, columns: int, dtype: str) -> None:
    op = "logical_not(x)" if dtype == "bool" else "add(x, x)"
    array = f"{dtype}[{rows}, {columns}]"
    kernel = lower(parse(f"def f(x: {array}) -> {array}:\n    y: {array} = {op}\n    return y\n"), streams=[0])
    assert "stream y[" in str(kernel)
    x = (np.arange(rows * columns) % 7).astype(TensorType(dtype).np_dtype)
    y = np.zeros_like(x)
    module: dict = {}
    exec(print_module([kernel], jit=False), module)
    module["f"](x, y)
    np.testing.assert_array_equal(y, ~x if dtype == "bool" else x + x)
