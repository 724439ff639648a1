"""Comparisons, signs, classification and scaling, with NumPy's NaNs and signed zeros.

Written in the language of scalar_parse: read as text, never executed.
"""
# ruff: noqa: F821, FURB136, PLR0124, RUF100
# mypy: ignore-errors

DEGREE = 0.017453292519943295  # pi / 180
RADIAN = 57.29577951308232
RADIAN_F32 = 57.2957763671875  # NumPy divides 180 by pi in f32


def maximum(a, b):
    return a if a > b else b


def minimum(a, b):
    return a if a < b else b


def maximum_float(a, b):
    larger = a if a > b else b  # b where either is a NaN
    return a if a != a else larger


def minimum_float(a, b):
    smaller = a if a < b else b
    return a if a != a else smaller


def fmax(a, b):
    return a if a > b else b


def fmin(a, b):
    return a if a < b else b


def fmax_float(a, b):
    larger = a if a > b else b
    return a if b != b else larger


def fmin_float(a, b):
    smaller = a if a < b else b
    return a if b != b else smaller


def sign_float(x):
    rest = 0.0 if x == 0.0 else x  # a NaN stays; of -0 the sign is +0
    below = -1.0 if x < 0.0 else rest
    return 1.0 if x > 0.0 else below


def sign_sint(x):
    below = -1 if x < 0 else 0
    return 1 if x > 0 else below


def sign_uint(x):
    return 1 if x > 0 else x


def isnan_float(x):
    return x != x


def isnan(x):
    return False


def isinf_float(x):
    return abs(x) == inf


def isinf(x):
    return False


def isfinite_float(x):
    return abs(x) < inf


def isfinite(x):
    return True


def signbit_float(x):
    return bits(x) < 0


def heaviside_float(x, middle):
    side = 0.0 if x < 0.0 else 1.0
    away = x if x != x else side
    return middle if x == 0.0 else away


def reciprocal_float(x):
    return 1.0 / x


def square(x):
    return x * x


def deg2rad_f32(x):
    return x * DEGREE


def deg2rad_f64(x):
    return x * DEGREE


def rad2deg_f32(x):
    return x * RADIAN_F32


def rad2deg_f64(x):
    return x * RADIAN


def _clamp(n, low, high):
    least = low if n < low else n
    return high if least > high else least


def _power_of_two_f64(n):
    return from_bits((i64(n) + 1023) << 52)


def ldexp_f64(x, n):
    # Steps of at most 2**1023, and of 2**-969 = 2**53 * 2**-1022 below: then a step that rounds a subnormal
    # is the last one that matters.
    n = i32(_clamp(n, -2200, 2200))
    first = n if (n >= -1022) & (n <= 1023) else (-969 if n < 0 else 1023)
    n = n - first
    second = n if (n >= -1022) & (n <= 1023) else (-969 if n < 0 else 1023)
    third = n - second
    return x * _power_of_two_f64(first) * _power_of_two_f64(second) * _power_of_two_f64(third)


def ldexp_f32(x, n):
    # in f64 nothing overflows or is lost up to 2**±800, where every f32 is 0 or infinite
    return f32(f64(x) * _power_of_two_f64(i32(_clamp(n, -800, 800))))
