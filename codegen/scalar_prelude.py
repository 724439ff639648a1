"""The names that printed Numba source uses, as source: dtypes, `device`, and what no Python operator says.

One text a target. `cuda` works on a GPU through libdevice, and in the CUDA simulator (where there is no
libdevice and values are NumPy scalars) as `python` does, through NumPy.
"""

from __future__ import annotations

from collections.abc import Collection
from textwrap import indent

from weft.codegen.prune import defined_names, prune

_DTYPES = """\
import numpy as np

f32, f64 = np.float32, np.float64
i8, i16, i32, i64 = np.int8, np.int16, np.int32, np.int64
u8, u16, u32, u64 = np.uint8, np.uint16, np.uint32, np.uint64
inf, nan = np.inf, np.nan
"""

_CPU = """\
import math
import numba
from numba.extending import intrinsic

device = numba.njit(error_model="numpy", inline="never")


@intrinsic
def _fma(context, a, b, c):
    return a(a, a, a), lambda context, builder, signature, values: builder.fma(*values)


def _rounding(name):
    @intrinsic
    def operation(context, a):
        def generate(context, builder, signature, values):
            function = builder.module.declare_intrinsic(name, [values[0].type])
            return builder.call(function, values)
        return a(a), generate
    return operation


_sqrt, _abs, _floor = _rounding("llvm.sqrt"), _rounding("llvm.fabs"), _rounding("llvm.floor")
_ceil, _trunc, _rint = _rounding("llvm.ceil"), _rounding("llvm.trunc"), _rounding("llvm.rint")


@device
def _mul(a, b):
    return a * b


@device
def bits_f32(x):
    return f32(x).view(np.int32)


@device
def bits_f64(x):
    return f64(x).view(np.int64)


@device
def from_bits_f32(x):
    return i32(x).view(np.float32)


@device
def from_bits_f64(x):
    return i64(x).view(np.float64)


@device
def _copysign_f32(x, y):
    return from_bits_f32(i32((bits_f32(x) & i32(0x7FFFFFFF)) | (bits_f32(y) & i32(-0x80000000))))


@device
def _copysign_f64(x, y):
    return from_bits_f64((bits_f64(x) & 0x7FFFFFFFFFFFFFFF) | (bits_f64(y) & -0x8000000000000000))


fma_f32 = fma_f64 = _fma
mul_f32 = mul_f64 = _mul
sqrt_f32 = sqrt_f64 = _sqrt
abs_f32 = abs_f64 = _abs
floor_f32 = floor_f64 = _floor
ceil_f32 = ceil_f64 = _ceil
trunc_f32 = trunc_f64 = _trunc
rint_f32 = rint_f64 = _rint
copysign_f32, copysign_f64 = _copysign_f32, _copysign_f64
"""

_PYTHON = """\
from fractions import Fraction


def device(function):
    return function


def fma_f64(a, b, c):
    rough = a * b + c
    if not np.isfinite(rough) or not (np.isfinite(a) and np.isfinite(b) and np.isfinite(c)):
        return f64(rough)
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    return f64(float(exact)) if exact else f64(rough)


def fma_f32(a, b, c):
    return f32(f64(a) * f64(b) + f64(c))  # the product is exact


mul_f32 = mul_f64 = np.multiply
sqrt_f32 = sqrt_f64 = np.sqrt
abs_f32 = abs_f64 = np.abs
floor_f32 = floor_f64 = np.floor
ceil_f32 = ceil_f64 = np.ceil
trunc_f32 = trunc_f64 = np.trunc
rint_f32 = rint_f64 = np.rint
copysign_f32 = copysign_f64 = np.copysign


def bits_f32(x):
    return f32(x).view(np.int32)


def bits_f64(x):
    return f64(x).view(np.int64)


def from_bits_f32(x):
    return i32(x).view(np.float32)


def from_bits_f64(x):
    return i64(x).view(np.float64)
"""

_LIBDEVICE = """\
from numba.cuda import libdevice as _l
device = cuda.jit(device=True)
fma_f32, fma_f64 = _l.fmaf_rn, _l.fma_rn
mul_f32, mul_f64 = _l.fmul_rn, _l.dmul_rn
sqrt_f32, sqrt_f64 = _l.fsqrt_rn, _l.dsqrt_rn
abs_f32, abs_f64 = _l.fabsf, _l.fabs
floor_f32, floor_f64 = _l.floorf, _l.floor
ceil_f32, ceil_f64 = _l.ceilf, _l.ceil
trunc_f32, trunc_f64 = _l.truncf, _l.trunc
rint_f32, rint_f64 = _l.rintf, _l.rint
copysign_f32, copysign_f64 = _l.copysignf, _l.copysign
bits_f32, bits_f64 = _l.float_as_int, _l.double_as_longlong
from_bits_f32, from_bits_f64 = _l.int_as_float, _l.longlong_as_double
"""

_CUDA = f"""\
from numba import config, cuda

if config.ENABLE_CUDASIM:
{indent(_PYTHON, "    ")}
else:
{indent(_LIBDEVICE, "    ")}
"""

_SHARED = """\


@device
def quotient(a, b):  # C's, for b != 0
    q = a // b
    if q * b != a and (a < 0) != (b < 0):
        q = q + 1
    return q


@device
def remainder(a, b):
    return a - quotient(a, b) * b


@device
def round_f16(x):  # the nearest float16, as a float32
    code = bits_f32(x)
    size = i32(code & i32(0x7FFFFFFF))
    tiny = (abs_f32(x) + f32(0.5)) - f32(0.5)
    near = i32(i32(size + i32(0xFFF) + i32(i32(size >> i32(13)) & i32(1))) & i32(-0x2000))
    y = from_bits_f32(near if near < i32(0x47800000) else i32(0x7F800000))
    y = tiny if size < i32(0x38800000) else y
    return copysign_f32(y, x) if size < i32(0x7F800000) else x


@device
def f16_bits(x):  # the u16 code of a float32 that is a float16's value
    code = bits_f32(x)
    sign = i32(i32(code >> i32(16)) & i32(0x8000))
    size = i32(code & i32(0x7FFFFFFF))
    normal = i32(i32(size >> i32(13)) - i32(0x1C000))
    tiny = i32(abs_f32(x) * f32(16777216.0)) if size < i32(0x38800000) else i32(0)
    y = tiny if size < i32(0x38800000) else normal
    y = i32(0x7C00) if size == i32(0x7F800000) else y
    y = i32(0x7E00) if size > i32(0x7F800000) else y
    return u16(i32(y | sign))


@device
def f16_value(code):  # the float32 of a u16 code
    wide = i32(code)
    size = i32(wide & i32(0x7FFF))
    y = from_bits_f32(i32(i32(size << i32(13)) + i32(0x38000000)))
    y = f32(size) * f32(5.9604644775390625e-08) if size < i32(0x400) else y
    y = from_bits_f32(i32(i32(size << i32(13)) | i32(0x7F800000))) if size >= i32(0x7C00) else y
    return f32(-y) if wide > i32(0x7FFF) else f32(y)


@device
def bits_f16(x):
    return i16(f16_bits(x))


@device
def from_bits_f16(x):
    return f16_value(u16(x))
"""


_TARGETS = {"cpu": _CPU, "cuda": _CUDA, "python": _PYTHON}


def numba_prelude(target: str, used: Collection[str] | None = None) -> str:
    """Source to put before printed scalar code: all of it, or what defines the names in `used`.

    target is "cpu", "cuda" (a GPU, or the simulator) or "python": plain functions over NumPy scalars, to step
    through. A kernel that holds inline expressions must itself be compiled with `error_model="numpy"` on the CPU."""
    text = _DTYPES + _TARGETS[target] + _SHARED
    return text if used is None else prune(text, used)


def prelude_names(target: str) -> set[str]:
    """Names that the prelude of a target defines."""
    return defined_names(_DTYPES + _TARGETS[target] + _SHARED)
