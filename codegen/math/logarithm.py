"""log, log2, log10, log1p, logaddexp, logaddexp2.

    x = 2**n * m,  sqrt(1/2) <= m < sqrt(2),  f = m - 1,  s = f / (2 + f)
    log m = 2 atanh(s) = f - (f*f/2 - s * (f*f/2 + R)),   R = 2 * s*s * A(s*s)

so that the leading f is exact and all that is rounded is small beside it. In f32, and where a quotient
would cost too much, log m = f - f*f/2 + f**3 * P(f).

Written in the language of scalar_parse: read as text, never executed. Numbers: tests/fit_coefficients.py.
"""
# ruff: noqa: F821, FURB136, PLR0124, RUF100
# mypy: ignore-errors

from weft.codegen.math.exponential import _exp_short, _exp_sum_f64

LN2 = 0.6931471805599453
LN2_HI_F32 = 0.693138122558594
LN2_LO_F32 = 9.058000614868436e-06
LN2_HI_F64 = 0.6931471803691238
LN2_LO_F64 = 1.9082149292705877e-10
LOG2E_HI = 1.4426950408889634
LOG2E_LO = 2.0355273740931033e-17
LOG10E_HI = 0.4342944819032518
LOG10E_LO = 1.098319650216765e-17
LOG10_2_HI = 0.30102999566398120
LOG10_2_LO = -2.8037281277851704e-18
LOG10_2_SHORT = 0.30102999566406
LOG_F32: f32 = (
    0.3333331, -0.24999987, 0.20002227, -0.16669254, 0.1421866, -0.12384276, 0.118728995, -0.1179024,
    0.069160566,
)
ATANH_F64: f64 = (
    0.33333333333333676, 0.19999999999705528, 0.1428571437163772, 0.1111109923723266,
    0.09091784912030647, 0.0765695050828202, 0.07398765248656995,
)
ATANH_SHORT_F64: f64 = (
    0.3333333333792295, 0.1999999780242041, 0.14286055563446168, 0.11088049956509155,
    0.09792758920152324,
)


def _split_f32(x):
    """(n as f32, m) of a positive x."""
    small = x < 1.1754943508222875e-38
    code = bits(x * 8388608.0 if small else x) - 0x3F3504F3
    n = code >> 23
    return f32(n - 23 if small else n), from_bits((code & 0x7FFFFF) + 0x3F3504F3)


def _split_f64(x):
    """(n as f64, m) of a positive x."""
    small = x < 2.2250738585072014e-308
    code = bits(x * 18014398509481984.0 if small else x) - 0x3FE6A09E667F3BCD
    # n + 2**52 * 1.5 by its bits: cheaper than a conversion from i64
    n = from_bits((code >> 52) + 0x4338000000000000) - 6755399441055744.0
    return n - 54.0 if small else n, from_bits((code & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)


def _edges(x, y):
    """y = log x where x is positive and finite; elsewhere what the limit says."""
    y = y if x < inf else x
    y = y if x >= 0.0 else nan
    return -inf if x == 0.0 else y


def log_f32(x):
    n, m = _split_f32(x)
    f = m - 1.0
    z = f * f
    tail = fma(z * f, poly(f, LOG_F32), n * LN2_LO_F32)
    y = fma(n, LN2_HI_F32, f + fma(-0.5, z, tail))
    return _edges(x, y)


def _log_parts_f64(f):
    """(f*f/2, s*(f*f/2 + R)): log(1 + f) = f - (the first - the second)."""
    s = f / (2.0 + f)
    z = s * s
    half = 0.5 * f * f
    return half, s * fma(z + z, poly(z, ATANH_F64), half)


def log_f64(x):
    n, m = _split_f64(x)
    f = m - 1.0
    half, second = _log_parts_f64(f)
    y = fma(n, LN2_HI_F64, f - (half - fma(n, LN2_LO_F64, second)))
    return _edges(x, y)


def _log_short(x):
    """log x in f64 to 1e-14, for positive finite x that are normal."""
    n, m = _split_f64(x)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    return fma(n, LN2, 2.0 * fma(z * s, poly(z, ATANH_SHORT_F64), s))


def _log_two_f64(m):
    """log m as a head of 21 bits or fewer zeros cut off, and a tail."""
    f = m - 1.0
    half, second = _log_parts_f64(f)
    head = from_bits(bits(f - half) & -0x100000000)
    return head, (f - head) - half + second


def log2_f64(x):
    n, m = _split_f64(x)
    head, tail = _log_two_f64(m)
    big = head * LOG2E_HI
    small = fma(head, LOG2E_HI, -big) + fma(tail + head, LOG2E_LO, tail * LOG2E_HI)
    total = n + big
    return _edges(x, total + ((n - total) + big + small))


def log10_f64(x):
    n, m = _split_f64(x)
    head, tail = _log_two_f64(m)
    big = head * LOG10E_HI
    small = fma(head, LOG10E_HI, -big) + fma(tail + head, LOG10E_LO, tail * LOG10E_HI)
    whole = n * LOG10_2_HI
    small = small + (fma(n, LOG10_2_HI, -whole) + n * LOG10_2_LO)
    total = whole + big
    return _edges(x, total + ((whole - total) + big + small))


def log2_f32(x):
    return _edges(x, f32(_log_short(f64(x)) * LOG2E_HI))


def log10_f32(x):
    return _edges(x, f32(_log_short(f64(x)) * LOG10E_HI))


def log1p_f32(x):
    u = 1.0 + x
    lost = x - (u - 1.0) if abs(x) < 1.0 else 1.0 - (u - x)
    n, m = _split_f32(u)
    near = i32(n)
    near = 126 if near > 126 else near  # beyond, lost is nothing
    f = (m - 1.0) + lost * from_bits((127 - near) << 23)
    z = f * f
    tail = fma(z * f, poly(f, LOG_F32), n * LN2_LO_F32)
    y = fma(n, LN2_HI_F32, f + fma(-0.5, z, tail))
    return x if abs(x) < 1e-08 else _edges(u, y)


def log1p_f64(x):
    u = 1.0 + x
    lost = x - (u - 1.0) if abs(x) < 1.0 else 1.0 - (u - x)
    n, m = _split_f64(u)
    # 2**-n by the bits of an integer-valued sum; beyond n = 1022 lost is nothing
    scale = from_bits(bits(6755399441055744.0 + (1023.0 - (1022.0 if n > 1022.0 else n))) << 52)
    near = m - 1.0
    rest = lost * scale
    f = near + rest
    rest = (near - f) + rest
    half, second = _log_parts_f64(f)
    y = fma(n, LN2_HI_F64, f - (half - (fma(n, LN2_LO_F64, second) + rest)))
    return x if abs(x) < 1e-17 else _edges(u, y)


def _gap(x, y):
    """-|x - y| as a sum of two: where max(x, y) is near 0 the rounding error would be seen."""
    high = x - y
    back = high - x
    low = (x - (high - back)) - (y + back)
    return -abs(high), (-low if high > 0.0 else low) if abs(high) < 800.0 else 0.0


def logaddexp_f64(x, y):
    larger = maximum(x, y)
    gap, rest = _gap(x, y)
    total = larger + log1p(_exp_sum_f64(gap, rest))
    return x + LN2 if x == y else total  # also where both are one infinity


def _log1p_short(x):
    """log(1 + x) in f64, for 0 <= x <= 1."""
    u = 1.0 + x
    return _log_short(u) + (x - (u - 1.0))


def logaddexp_f32(x, y):
    a = f64(x)
    b = f64(y)
    larger = maximum(a, b)
    total = f32(larger + _log1p_short(_exp_short(-abs(a - b))))
    return f32(a + LN2) if x == y else total


def logaddexp2_f64(x, y):
    larger = maximum(x, y)
    gap, rest = _gap(x, y)
    small = exp2(gap)
    total = larger + log1p(fma(small, rest * LN2, small)) * LOG2E_HI
    return x + 1.0 if x == y else total


def logaddexp2_f32(x, y):
    a = f64(x)
    b = f64(y)
    larger = maximum(a, b)
    total = f32(larger + _log1p_short(_exp_short(-abs(a - b) * LN2)) * LOG2E_HI)
    return f32(a + 1.0) if x == y else total
