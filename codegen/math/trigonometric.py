"""sin, cos, tan.

    x = k * pi/2 + r (+ t),   sin r = r + r**3 * S(r*r),   cos r = 1 - r*r/2 + r**4 * C(r*r)

and the quadrant k mod 4 chooses between them, and the sign. In f32 the polynomials are evaluated in f64:
the reduced argument is there already, and they are short.

Written in the language of scalar_parse: read as text, never executed. Numbers: tests/fit_coefficients.py.
"""
# ruff: noqa: F821, FURB136, PLR0124, RUF100
# mypy: ignore-errors

from weft.codegen.math.reduction import _reduce_f32, _reduce_f64

SIN_F64: f64 = (
    -0.16666666666666632, 0.008333333333322413, -0.00019841269829807607, 2.7557313691786023e-06,
    -2.5050758089448664e-08, 1.589679398308269e-10,
)
COS_F64: f64 = (
    0.0416666666666666, -0.0013888888888874125, 2.4801587289482272e-05, -2.7557314352351035e-07,
    2.087572327467497e-09, -1.1359647828714595e-11,
)
SIN_SHORT_F64: f64 = (
    -0.1666666664160969, 0.008333329383874955, -0.00019839334171441102, 2.7183049989152144e-06,
)
COS_SHORT_F64: f64 = (
    0.04166666662279282, -0.0013888883750714516, 2.479951933769476e-05, -2.721018332160401e-07,
)


def _sin_cos_short(r):
    z = r * r
    return fma(z * r, poly(z, SIN_SHORT_F64), r), fma(z * z, poly(z, COS_SHORT_F64), fma(-0.5, z, 1.0))


def _sin_cos(r, t):
    z = r * r
    sine = r + fma(z * r, poly(z, SIN_F64), fma(-0.5 * z, t, t))
    half = 0.5 * z
    top = 1.0 - half
    cosine = top + (((1.0 - top) - half) + fma(z * z, poly(z, COS_F64), -r * t))
    return sine, cosine


def sin_f32(x):
    k, r = _reduce_f32(x)
    s, c = _sin_cos_short(r)
    y = c if (k & 1) != 0 else s
    y = from_bits(bits(y) ^ ((k & 2) << 62))
    return x if abs(x) < 1e-04 else f32(y)


def cos_f32(x):
    k, r = _reduce_f32(x)
    s, c = _sin_cos_short(r)
    y = s if (k & 1) != 0 else c
    return f32(from_bits(bits(y) ^ (((k + 1) & 2) << 62)))


def tan_f32(x):
    k, r = _reduce_f32(x)
    s, c = _sin_cos_short(r)
    odd = (k & 1) != 0
    y = (-c if odd else s) / (s if odd else c)
    return x if abs(x) < 1e-04 else f32(y)


def sin_f64(x):
    k, r, t = _reduce_f64(x)
    s, c = _sin_cos(r, t)
    y = c if (k & 1) != 0 else s
    y = from_bits(bits(y) ^ ((k & 2) << 62))
    return x if abs(x) < 1e-08 else y


def cos_f64(x):
    k, r, t = _reduce_f64(x)
    s, c = _sin_cos(r, t)
    y = s if (k & 1) != 0 else c
    return from_bits(bits(y) ^ (((k + 1) & 2) << 62))


def tan_f64(x):
    k, r, t = _reduce_f64(x)
    s, c = _sin_cos(r, t)
    odd = (k & 1) != 0
    y = (-c if odd else s) / (s if odd else c)
    return x if abs(x) < 1e-08 else y
