"""exp, exp2 and expm1.

    e**x = 2**n * e**r,   n = rint(x / ln 2),   |r| <= ln(2) / 2,   e**r = 1 + r + r*r * q(r)

ln 2 is subtracted in two parts, the first short enough that n times it is exact. 2**n is applied as two
powers, so that a subnormal result is rounded once and the largest results don't overflow on the way.

Written in the language of scalar_parse: read as text, never executed. Numbers: tests/fit_coefficients.py.
"""
# ruff: noqa: F821, FURB136, PLR0124, RUF100
# mypy: ignore-errors

LOG2E = 1.4426950408889634
LN2_HI_F32 = 0.693138122558594
LN2_LO_F32 = 9.058000614868436e-06
LN2_HI_F64 = 0.6931471803691238
LN2_LO_F64 = 1.9082149292705877e-10
SHIFTER = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer, in the low bits of the sum
SHIFTER_BITS = 0x4338000000000000
EXP_F32: f32 = (0.5, 0.16666518, 0.041666202, 0.00836889, 0.001395059)
EXP_F64: f64 = (
    0.5000000000000012, 0.166666666666667, 0.041666666666515445, 0.008333333333307066,
    0.0013888888947007198, 0.00019841269917720707, 2.4801489950878685e-05, 2.755721596449872e-06,
    2.763127758669018e-07, 2.5117976570168485e-08,
)
EXPM1_F32: f32 = (0.5, 0.16666667, 0.041666355, 0.008333273, 0.0013941008, 0.0001991424)
EXPM1_F64: f64 = (
    0.5, 0.16666666666666677, 0.0416666666666667, 0.008333333333321617, 0.0013888888888866774,
    0.0001984126988615756, 2.4801587360635693e-05, 2.755724418276194e-06, 2.7557242716010436e-07,
    2.5109044653061096e-08, 2.092445214450574e-09,
)
EXP2_F32: f32 = (0.6931472, 0.2402265, 0.05550328, 0.009618004, 0.0013400296, 0.00015476407)
EXP2_F64: f64 = (
    0.6931471805599453, 0.24022650695910133, 0.05550410866482174, 0.009618129107593278,
    0.0013333558146378876, 0.00015403530458154183, 1.525273386765007e-05, 1.3215434776687592e-06,
    1.0178046427503131e-07, 7.073867555670867e-09, 4.45739126810754e-10,
)


def _clamp_float(x, low, high):
    """x in [low, high]; a NaN stays one."""
    least = low if x < low else x
    return high if least > high else least


def _scale_f32(p, n):
    """p * 2**n for |n| <= 252."""
    half = n >> 1
    return p * from_bits((half + 127) << 23) * from_bits((n - half + 127) << 23)


def _scale_f64(p, n):
    """p * 2**n for |n| <= 2044; n is i64."""
    half = n >> 1
    return p * from_bits((half + 1023) << 52) * from_bits((n - half + 1023) << 52)


def _integer_f64(x):
    """(rint(x) as f64, and as i64) for |x| < 2**51."""
    moved = x + SHIFTER
    return moved - SHIFTER, bits(moved) - SHIFTER_BITS


def exp_f32(x):
    x = _clamp_float(x, -104.0, 89.0)
    n = rint(x * LOG2E)
    r = fma(-n, LN2_LO_F32, fma(-n, LN2_HI_F32, x))
    p = fma(r * r, poly(r, EXP_F32), r) + 1.0
    return _scale_f32(p, i32(n))


def _exp_sum_f64(x, low):
    """e**(x + low), for |low| much smaller than |x|."""
    x = _clamp_float(x, -746.0, 710.0)
    n, k = _integer_f64(x * LOG2E)
    near = fma(-n, LN2_HI_F64, x)
    rest = fma(-n, LN2_LO_F64, low)
    r = near + rest
    lost = (near - r) + rest
    p = (fma(r * r, poly(r, EXP_F64), lost) + r) + 1.0
    return _scale_f64(p, k)


def exp_f64(x):
    x = _clamp_float(x, -746.0, 710.0)
    n, k = _integer_f64(x * LOG2E)
    r = fma(-n, LN2_LO_F64, fma(-n, LN2_HI_F64, x))
    p = fma(r * r, poly(r, EXP_F64), r) + 1.0
    return _scale_f64(p, k)


def _exp_short(x):
    """e**x in f64, to f32's needs."""
    x = _clamp_float(x, -700.0, 700.0)
    n, k = _integer_f64(x * LOG2E)
    r = fma(-n, LN2_LO_F64, fma(-n, LN2_HI_F64, x))
    p = fma(r * r, poly(r, EXPM1_F32), r) + 1.0
    return p * from_bits((k + 1023) << 52)


def exp2_f32(x):
    x = _clamp_float(x, -151.0, 129.0)
    n = rint(x)
    p = fma(x - n, poly(x - n, EXP2_F32), 1.0)
    return _scale_f32(p, i32(n))


def exp2_f64(x):
    x = _clamp_float(x, -1076.0, 1025.0)
    n, k = _integer_f64(x)
    p = fma(x - n, poly(x - n, EXP2_F64), 1.0)
    return _scale_f64(p, k)


def _expm1_f32(x):
    """For -20 <= x <= 88.8, and not tiny."""
    n = rint(x * LOG2E)
    r = fma(-n, LN2_LO_F32, fma(-n, LN2_HI_F32, x))
    p = fma(r * r, poly(r, EXPM1_F32), r)
    half = from_bits((i32(n) + 126) << 23)  # 2**n may overflow where the result does not
    q = fma(half, p, half - 0.5)
    return q + q


def expm1_f32(x):
    y = _expm1_f32(_clamp_float(x, -20.0, 89.0))
    return x if abs(x) < 1e-08 else y


def _expm1_f64(x):
    """For -40 <= x <= 710, and not tiny."""
    n, k = _integer_f64(x * LOG2E)
    near = fma(-n, LN2_HI_F64, x)
    r = fma(-n, LN2_LO_F64, near)
    lost = fma(-n, LN2_LO_F64, near - r)
    p = fma(r * r, poly(r, EXPM1_F64), lost) + r
    half = from_bits((k + 1022) << 52)
    q = fma(half, p, half - 0.5)
    return q + q


def expm1_f64(x):
    y = _expm1_f64(_clamp_float(x, -40.0, 710.0))
    return x if abs(x) < 1e-17 else y
