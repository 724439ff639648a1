"""Numbers and attributes as text, both ways.

    f32(0.5)   f32([[1.0, nan], [-inf, -0.0]])   bool(True)   u64(18446744073709551615)   f16(bits(0x7e01))
    axes=(0, 1)   dtype=f32   perm=()   types=(f32[3], i64)

A float is the shortest text that reads back to the same bits; a NaN other than the two quiet ones without a
payload is written by its bits. Reading walks the tree of Python's parser and raises `Unreadable`.
"""

from __future__ import annotations

import ast
import operator
from typing import Any

import numpy as np

from weft.ir.dims import maximum, minimum, symbol
from weft.ir.sizes import Sizes
from weft.ir.types import NAMES, STACK, TensorType, dtype_name
from weft.ir.types import read_type as type_of_text


class Unreadable(Exception):
    """What stands at `node` is not what was `expected`."""

    def __init__(self, node: Any, expected: str) -> None:
        self.node, self.expected = node, expected
        super().__init__(expected)


def literal(value: Any) -> str:
    """The shortest text that reads back to exactly this NumPy scalar, NaN payloads included."""
    if isinstance(value, np.bool_ | bool):
        return str(bool(value))
    if isinstance(value, np.integer | int):
        return str(int(value))
    if not isinstance(value, np.floating):
        value = np.float64(value)
    if np.isnan(value):
        return _nan(value)
    if np.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0 or 1e-5 <= abs(float(value)) < 1e16:
        text = np.format_float_positional(value, unique=True, trim="0")
    else:
        text = np.format_float_scientific(value, unique=True, trim="0")
    # Shortest in its own dtype; read through float64 it could round twice. Then the longer text is exact.
    return text if value.dtype.type(float(text)) == value else repr(float(value))


def _nan(value: np.floating) -> str:
    """`nan` and `-nan` are the quiet ones without a payload; any other is written by its bits."""
    width = value.dtype.itemsize
    bits = int(np.asarray(value).view(f"u{width}")[()])
    quiet = int(np.asarray(np.nan, value.dtype).view(f"u{width}")[()])
    sign = 1 << (8 * width - 1)
    if bits & ~sign != quiet & ~sign:
        return f"bits({bits:#x})"
    return "-nan" if bits & sign else "nan"


def constant_text(array: np.ndarray) -> str:
    """`f32(0.5)`, `i64([[1, 2], [3, 4]])`; an array's dims are in its line's annotation."""
    return f"{dtype_name(array.dtype)}({_nested(array)})"


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        return literal(array[()])
    if array.size == 0:
        return "[]"
    return "[" + ", ".join(_nested(np.asarray(row)) for row in array) + "]"


def attribute(value: Any) -> str:
    """An attribute: a number, a string (types bare), a bool, None, or a tuple of those."""
    if isinstance(value, np.ndarray):
        return constant_text(value)
    if isinstance(value, str) and type_of_text(value) is not None:
        return value
    if isinstance(value, float | np.generic):
        return literal(value)
    if isinstance(value, tuple | list):
        inner = ", ".join(map(attribute, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def read_type(node: ast.expr | None, owner: Any, sizes: Sizes | None = None) -> TensorType:
    """`f32`, `f32[3]`, `f32[B, 2*B + 1]` with the symbols of `sizes`. `owner` is blamed where there is no node."""
    dims: list[ast.expr] = []
    name = node
    if isinstance(node, ast.Subscript):
        name = node.value
        dims = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if isinstance(node, ast.Name) and node.id == STACK.dtype:
        return STACK
    if not isinstance(name, ast.Name) or name.id not in NAMES:
        raise Unreadable(node or owner, f"expected a type such as f32[4, 3] (dtypes: {', '.join(NAMES)})")
    out = []
    for d in dims:
        if not isinstance(d, ast.Constant) and sizes is not None:
            out.append(read_size(d, sizes))
            continue
        if not isinstance(d, ast.Constant) or type(d.value) is not int:
            raise Unreadable(d, "expected dims that are non-negative integers")
        out.append(d.value)
    return TensorType(name.id, tuple(out))


def read_size(node: ast.expr, sizes: Sizes) -> Any:
    """An expression over symbols, as `weft.ir.dims` writes them."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name) and node.id in sizes.values:
        return symbol(sizes, node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -1 * read_size(node.operand, sizes)
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        return _ARITHMETIC[type(node.op)](read_size(node.left, sizes), read_size(node.right, sizes))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _EXTREMES:
        return _EXTREMES[node.func.id](*[read_size(a, sizes) for a in node.args])
    known = ", ".join(sizes.values)
    raise Unreadable(node, f"expected a size: integers, symbols ({known}), +, -, *, //, min and max")


_ARITHMETIC: dict[type, Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv
}  # fmt: skip
_EXTREMES = {"min": minimum, "max": maximum}


def read_number(node: ast.expr, dtype: str) -> Any:
    """One literal of that dtype, as a NumPy scalar."""
    kind = NAMES[dtype].type
    body, negative = _unsigned(node)
    value = body.value if isinstance(body, ast.Constant) else None
    if dtype == "bool":
        if type(value) is not bool or negative:
            raise Unreadable(node, "expected True or False in a bool")
        return kind(value)
    if dtype[0] in "iu":
        if type(value) is not int:
            raise Unreadable(node, f"expected an integer in an {dtype}")
        value = -value if negative else value
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        if not low <= value <= high:
            raise Unreadable(node, f"expected an integer in {dtype}'s range, {low} to {high}")
        return kind(value)
    number = _float(body, value, dtype)
    return np.negative(number) if negative else number


def _unsigned(node: ast.expr) -> tuple[ast.expr, bool]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return node.operand, True
    return node, False


def _float(node: ast.expr, value: Any, dtype: str) -> np.generic:
    kind = NAMES[dtype].type
    if isinstance(node, ast.Name) and node.id in ("nan", "inf"):
        return kind(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "bits":
        return _bits(node, dtype)
    if type(value) not in (int, float):
        raise Unreadable(node, f"expected a number, nan, inf or bits(0x...) in an {dtype}")
    with np.errstate(over="ignore"):
        try:
            number = kind(float(value))
        except OverflowError:
            number = kind("inf")
    if np.isinf(number):
        raise Unreadable(node, f"expected a number that {dtype} can hold, or inf")
    return number


def _bits(node: ast.Call, dtype: str) -> np.generic:
    width = NAMES[dtype].itemsize
    arg = node.args[0] if len(node.args) == 1 and not node.keywords else None
    if not isinstance(arg, ast.Constant) or type(arg.value) is not int or not 0 <= arg.value < 256**width:
        raise Unreadable(node, f"expected bits(n) with an integer of {8 * width} bits")
    number: Any = np.asarray(arg.value, f"u{width}").view(NAMES[dtype])
    return number[()]


def read_constant(node: ast.Call, type: TensorType | None) -> np.ndarray:
    """`f32(0.5)` or `f32([[...], ...])` as a read-only array; the dims are the annotation's."""
    assert isinstance(node.func, ast.Name)
    dtype = node.func.id
    if len(node.args) != 1 or node.keywords:
        raise Unreadable(node, f"expected one number or list in {dtype}(...)")
    dims = () if type is None else type.dims
    empty = 0 in dims
    flat: list[Any] = []

    def collect(item: ast.expr, rest: tuple[int, ...]) -> None:
        if not rest:
            flat.append(read_number(item, dtype))
        elif not isinstance(item, ast.List) or len(item.elts) != (0 if empty else rest[0]):
            raise Unreadable(item, f"expected {dtype}(...) to hold numbers in lists of shape {dims}")
        else:
            for e in item.elts:
                collect(e, rest[1:])

    collect(node.args[0], dims)
    out = np.array(flat, NAMES[dtype]).reshape(dims)
    out.flags.writeable = False
    return out


def read_attribute(node: ast.expr, sizes: Sizes | None = None) -> Any:
    if isinstance(node, ast.Tuple):
        return tuple(read_attribute(e, sizes) for e in node.elts)
    if isinstance(node, ast.Subscript) or isinstance(node, ast.Name) and node.id in (*NAMES, STACK.dtype):
        return str(read_type(node, node, sizes))
    symbolic = isinstance(node, ast.BinOp | ast.Call) or isinstance(node, ast.Name) and node.id not in ("nan", "inf")
    if sizes is not None and symbolic:
        return read_size(node, sizes)
    body, negative = _unsigned(node)
    value = body.value if isinstance(body, ast.Constant) else None
    if isinstance(body, ast.Name) and body.id in ("nan", "inf"):
        value = float(body.id)
    known = isinstance(body, ast.Constant) and (value is None or type(value) in (bool, str))
    if type(value) not in (int, float) and (negative or not known):
        raise Unreadable(node, "expected an attribute: a number, string, dtype, True, False, None or tuple")
    return -value if negative else value  # type: ignore[operator]  # a number, if negative
