"""power of floats, float_power, cbrt, hypot.

    x**y = e**(y * log|x|), with log|x| to 2**-64 as a sum of two floats: y * log|x| is up to 745, and its
    absolute error is the result's relative one. log m = 2s + 2s*w, w = z/3 + z*z*Q(z), z = s*s, as in
    logarithm.py, with s, z and w as sums of two. For f32, f64 has those digits to spare.

    cbrt: Newton's step on m**(-1/3), which needs no division.

Written in the language of scalar_parse: read as text, never executed. Numbers: tests/fit_coefficients.py.
"""
# ruff: noqa: F821, FURB136, PLR0124, RUF100
# mypy: ignore-errors

from weft.codegen.math.exponential import _exp_short, _exp_sum_f64
from weft.codegen.math.logarithm import _log_short, _split_f64

THIRD = 0.3333333333333333
THIRD_LO = 1.850371707708594e-17
LN2_HI_F64 = 0.6931471803691238
LN2_LO_F64 = 1.9082149292705877e-10
ATANH_LONG_F64: f64 = (
    0.20000000000001136, 0.14285714285046017, 0.11111111260666579, 0.09090892119332164,
    0.07693381731362353, 0.06628335173114429, 0.06598868426510442,
)
CBRT_F64: f64 = (
    1.783050647974161, -1.5730773676349608, 1.2536061188868537, -0.6046119206630847, 0.158350322289863,
    -0.017322962991866225,
)


def _log_sum(x):
    """log x of a positive finite x as a sum of two f64."""
    n, m = _split_f64(x)
    f = m - 1.0
    d = m + 1.0
    inverse = 1.0 / d
    s = f * inverse
    s_low = (fma(-s, d, f) - s * ((1.0 - d) + m)) * inverse
    z = s * s
    z_low = fma(s, s, -z) + 2.0 * s * s_low
    q = z * poly(z, ATANH_LONG_F64)
    p = THIRD + q
    p_low = ((THIRD - p) + q) + fma(z_low, 0.2, THIRD_LO)
    w = z * p
    w_low = fma(z, p, -w) + fma(z, p_low, z_low * p)
    s = s + s
    s_low = s_low + s_low
    t = s * w
    t_low = fma(s, w, -t) + fma(s, w_low, s_low * w)
    head = s + t
    tail = ((s - head) + t) + (t_low + s_low)
    whole = n * LN2_HI_F64
    total = whole + head
    back = total - whole
    return total, ((whole - (total - back)) + (head - back)) + fma(n, LN2_LO_F64, tail)


def _power_edges(x, y, size):
    """size = |x|**y where x is finite and neither is 0: the sign, and the cases that C's pow lists."""
    whole = rint(y) == y
    odd = whole & (rint(0.5 * y) != 0.5 * y)
    y_size = abs(y)
    x_size = abs(x)
    end = inf if (x_size > 1.0) == (y > 0.0) else 0.0
    size = end if (x_size == 0.0) | (x_size == inf) | (y_size == inf) else size
    size = nan if (x < 0.0) & (x_size < inf) & (not whole) else size
    size = -size if odd & signbit(x) else size
    size = x + y if (x != x) | (y != y) else size
    return 1.0 if (x == 1.0) | (y == 0.0) | ((x == -1.0) & (y_size == inf)) else size


def power_f64(x, y):
    high, low = _log_sum(abs(x))
    product = high * y
    rest = fma(high, y, -product) + low * y
    far = abs(product) > 800.0
    size = _exp_sum_f64(copysign(800.0, product) if far else product, 0.0 if far else rest)
    return _power_edges(x, y, size)


def power_f32(x, y):
    product = _log_short(f64(abs(x))) * f64(y)
    return _power_edges(x, y, f32(_exp_short(product)))


def float_power_f64(x, y):
    return power(x, y)


def cbrt_f64(x):
    """|x| = 8**n * 2**k * m, k in 0..2: the root of 2**k * m in [1, 8), times 2**n."""
    size = abs(x)
    small = size < 2.2250738585072014e-308
    code = bits(size * 18014398509481984.0 if small else size)
    e = i32(code >> 52)
    n = (e * 21846) >> 16  # e / 3, for e below 2**15
    k = e - 3 * n
    m = from_bits((code & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000)
    shrink = 0.7937005259840998 if k == 1 else (0.6299605249474366 if k == 2 else f64(1.0))
    a = m * (2.0 if k == 1 else (4.0 if k == 2 else f64(1.0)))
    t = poly(m, CBRT_F64) * shrink  # a**(-1/3) to 2**-16
    t = fma(t * THIRD, fma(-a, t * t * t, 1.0), t)
    t = fma(t * THIRD, fma(-a, t * t * t, 1.0), t)
    y = a * t * t
    # one Newton step on y**3 = a, its residual exact to f64's last place
    yy = y * y
    residual = fma(-y, yy, a) - y * fma(y, y, -yy)
    y = fma(residual * THIRD, t * t, y)
    # the exponents' offset 1023 is 3 * 341
    y = y * from_bits(i64(n + (664 if small else 682)) << 52)
    return x if (size == 0.0) | (size == inf) | (x != x) else copysign(y, x)


def cbrt_f32(x):
    return f32(cbrt(f64(x)))


def hypot_f64(x, y):
    a = abs(x)
    b = abs(y)
    large = maximum(a, b)
    scale = 5.260135901548374e210 if large < 1e-150 else f64(1.0)
    scale = 2.409919865102884e-181 if large > 1e150 else scale
    a = a * scale
    b = b * scale
    aa = a * a
    bb = b * b
    # the root's residual, from the squares' rounding errors
    total = aa + bb
    back = total - aa
    lost = (aa - (total - back)) + (bb - back)
    lost = lost + (fma(a, a, -aa) + fma(b, b, -bb))
    root = sqrt(total)
    residual = fma(-root, root, total) + lost
    root = root + (residual / (root + root) if root > 0.0 else 0.0)
    root = root / scale
    return inf if (abs(x) == inf) | (abs(y) == inf) else root


def hypot_f32(x, y):
    a = f64(x)
    b = f64(y)
    root = f32(sqrt(fma(a, a, b * b)))
    return inf if (abs(x) == inf) | (abs(y) == inf) else root
