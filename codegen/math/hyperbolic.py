"""sinh, cosh, tanh.

    |x| = n ln 2 + r,  e**r = C + r S with C = cosh r = 1 + c, r S = sinh r,  q = 4**-n
    sinh|x| = 2**(n-1) * ((1 - q) + ((1 - q) c + (1 + q) r S))
    cosh x  = 2**(n-1) * ((1 + q) + ((1 + q) c + (1 - q) r S))

No division, and at n = 0 sinh is r S itself. tanh |x| = t / (t + 2) with t = e**(2|x|) - 1; in f32 it is a
polynomial below 5/8, and 1 - 2 / (e**(2|x|) + 1) above.

Written in the language of scalar_parse: read as text, never executed. Numbers: tests/fit_coefficients.py.
"""
# ruff: noqa: F821, FURB136, PLR0124, RUF100
# mypy: ignore-errors

from weft.codegen.math.exponential import _clamp_float, _expm1_f64, _integer_f64

LOG2E = 1.4426950408889634
LN2_HI_F32 = 0.693138122558594
LN2_LO_F32 = 9.058000614868436e-06
LN2_HI_F64 = 0.6931471803691238
LN2_LO_F64 = 1.9082149292705877e-10
SINH_F64: f64 = (
    0.16666666666666666, 0.008333333333333337, 0.00019841269841253207, 2.755731926519127e-06,
    2.5052056788107654e-08, 1.6090820850481968e-10,
)
COSH_F64: f64 = (
    0.5, 0.04166666666666671, 0.0013888888888863931, 2.4801587363407198e-05, 2.7557241814906965e-07,
    2.092442851777755e-09,
)
TANH_F32: f32 = (-0.3333333, 0.1333321, -0.05394719, 0.021702887, -0.008182467, 0.0021473402)
EXPM1_F32: f32 = (0.5, 0.16666667, 0.041666355, 0.008333273, 0.0013941008, 0.0001991424)


def _parts(x):
    """(n, q, c, r*S) for x >= 0."""
    x = _clamp_float(x, 0.0, 720.0)
    n, k = _integer_f64(x * LOG2E)
    near = fma(-n, LN2_HI_F64, x)
    r = fma(-n, LN2_LO_F64, near)
    lost = fma(-n, LN2_LO_F64, near - r)
    z = r * r
    c = fma(z, poly(z, COSH_F64), r * lost)
    s = r + fma(z * r, poly(z, SINH_F64), lost)
    q = from_bits((1023 - k - k) << 52) if k < 50 else 0.0
    return k, q, c, s


def _scaled(y, k):
    """y * 2**(k - 1), for 0 <= k <= 1040."""
    half = k >> 1
    return y * from_bits((half + 1022) << 52) * from_bits((k - half + 1023) << 52)


def sinh_f64(x):
    k, q, c, s = _parts(abs(x))
    below = 1.0 - q
    y = _scaled(below + fma(below, c, fma(q, s, s)), k)
    y = x if abs(x) < 1e-08 else y
    return copysign(y, x)


def cosh_f64(x):
    k, q, c, s = _parts(abs(x))
    above = 1.0 + q
    return _scaled(above + fma(above, c, fma(-q, s, s)), k)


def sinh_f32(x):
    return f32(sinh(f64(x)))


def cosh_f32(x):
    return f32(cosh(f64(x)))


def tanh_f32(x):
    size = abs(x)
    z = x * x
    low = fma(size * z, poly(z, TANH_F32), size)
    y = _clamp_float(size + size, 0.0, 20.0)
    n = rint(y * LOG2E)
    r = fma(-n, LN2_LO_F32, fma(-n, LN2_HI_F32, y))
    e = (fma(r * r, poly(r, EXPM1_F32), r) + 1.0) * from_bits((i32(n) + 127) << 23)
    high = 1.0 - 2.0 / (e + 1.0)
    return copysign(low if size < 0.625 else high, x)


def tanh_f64(x):
    size = abs(x)
    t = _expm1_f64(_clamp_float(size + size, 0.0, 44.0))
    y = t / (t + 2.0)
    return x if size < 1e-09 else copysign(y, x)
