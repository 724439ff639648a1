"""arcsinh, arccosh, arctanh, by log1p.

    arcsinh x = log1p(x + x*x / (1 + sqrt(x*x + 1)))     x >= 0
    arccosh x = log1p(t + sqrt(2t + t*t)),  t = x - 1
    arctanh x = log1p(2x / (1 - x)) / 2                  x >= 0

and log x + log 2 where x*x would overflow or 1 doesn't count.

Written in the language of scalar_parse: read as text, never executed. Numbers: tests/fit_coefficients.py.
"""
# ruff: noqa: F821, FURB136, PLR0124, RUF100
# mypy: ignore-errors

LN2 = 0.6931471805599453


def arcsinh_f64(x):
    size = abs(x)
    far = size > 1e18
    near = 1.0 if far else size
    square = near * near
    inner = near + square / (1.0 + sqrt(square + 1.0))
    y = log1p(size if far else inner) + (LN2 if far else 0.0)
    return x if size < 1e-09 else copysign(y, x)


def arccosh_f64(x):
    far = x > 1e18
    t = x - 1.0
    inner = t + sqrt(fma(t, t, t + t))
    y = log1p(t if far else inner) + (LN2 if far else 0.0)
    return nan if x < 1.0 else y


def arctanh_f64(x):
    size = abs(x)
    y = 0.5 * log1p((size + size) / (1.0 - size))
    return x if size < 1e-09 else copysign(y, x)


def arcsinh_f32(x):
    return f32(arcsinh(f64(x)))


def arccosh_f32(x):
    return f32(arccosh(f64(x)))


def arctanh_f32(x):
    return f32(arctanh(f64(x)))
