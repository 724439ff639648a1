"""arcsin, arccos, arctan, arctan2.

    arcsin s = s + s**3 * A(s*s)                    |s| <= 1/2
    arcsin x = pi/2 - 2 arcsin sqrt((1 - x) / 2)    above, with the root's rounding error carried along

    arctan of a ratio small/large <= 1: t = small/large, or (small - large)/(small + large) and pi/4 more,
    whichever is below tan(pi/8); arctan t = t + t**3 * B(t*t), with the quotient's rounding error carried.

Written in the language of scalar_parse: read as text, never executed. Numbers: tests/fit_coefficients.py.
"""
# ruff: noqa: F821, FURB136, PLR0124, RUF100
# mypy: ignore-errors

PI_HI = 3.141592653589793
PI_LO = 1.2246467991473532e-16
PI_2_HI = 1.5707963267948966
PI_2_LO = 6.123233995736766e-17
PI_4_HI = 0.7853981633974483
PI_4_LO = 3.061616997868383e-17
ASIN_F64: f64 = (
    0.16666666666666763, 0.07499999999970099, 0.04464285717528632, 0.030381942675273745,
    0.02237221590584931, 0.01735159550589818, 0.0139810184006378, 0.011397294712988603,
    0.010789308696508527, 0.003672243553099587, 0.021790478283155553, -0.02111644444637453,
    0.03270196877154471,
)
ATAN_F64: f64 = (
    -0.333333333333332, 0.1999999999995366, -0.14285714280203834, 0.11111110783807983,
    -0.09090897766946304, 0.07692060360062764, -0.06663105441163482, 0.05847897313123742,
    -0.050393305608661836, 0.03806494978342426, -0.01790733956670517,
)


def _arcsin_parts(size):
    """(s, low, above 1/2): arcsin of s is s + low, and of size that, or pi/2 - 2 times that."""
    above = size > 0.5
    z = 0.5 * (1.0 - size) if above else size * size
    s = sqrt(z) if above else size
    # the root's error, (z - s*s) / 2s
    lost = fma(-s, s, z) / (s + s) if above & (s > 0.0) else 0.0
    return s, fma(s * z, poly(z, ASIN_F64), lost), above


def arcsin_f64(x):
    s, low, above = _arcsin_parts(abs(x))
    near = s + low
    far = PI_2_HI - 2.0 * s
    far = far + (((PI_2_HI - far) - 2.0 * s) + fma(-2.0, low, PI_2_LO))
    return x if abs(x) < 1e-09 else copysign(far if above else near, x)


def arccos_f64(x):
    s, low, above = _arcsin_parts(abs(x))
    s = copysign(s, x)
    low = copysign(1.0, x) * low
    # pi/2 - arcsin x for |x| <= 1/2
    near = PI_2_HI - s
    near = near + (((PI_2_HI - near) - s) + (PI_2_LO - low))
    # 2 arcsin sqrt(..), from pi if x < 0
    twice = 2.0 * s
    base = PI_HI if x < 0.0 else f64(0.0)
    far = base + twice
    far = far + (((base - far) + twice) + fma(2.0, low, PI_LO if x < 0.0 else 0.0))
    return far if above else near


def _ratio(small, large):
    """arctan(small / large), 0 <= small <= large, as a sum of two; large is normal, and not huge."""
    turn = small > 0.41421356237309503 * large
    n = small - large if turn else small
    d = small + large if turn else large
    # rounding errors of the two sums
    n_low = (small - (n + large)) if turn else 0.0
    d_low = (large - d) + small if turn else 0.0
    inverse = 1.0 / d
    t = n * inverse
    lost = (fma(-t, d, n) + fma(-t, d_low, n_low)) * inverse
    z = t * t
    low = fma(t * z, poly(z, ATAN_F64), lost)
    base = PI_4_HI if turn else f64(0.0)
    high = base + t
    back = (base - high) + t if turn else 0.0
    return high, back + low + (PI_4_LO if turn else 0.0)


def arctan_f64(x):
    size = abs(x)
    size = 1e20 if size > 1e20 else size
    flip = size > 1.0
    high, low = _ratio(1.0 if flip else size, size if flip else f64(1.0))
    far = PI_2_HI - high
    far = far + (((PI_2_HI - far) - high) + (PI_2_LO - low))
    y = copysign(far if flip else high + low, x)
    return x if (abs(x) < 1e-09) | (x != x) else y


def arctan2_f64(y, x):
    a = abs(x)
    b = abs(y)
    top = maximum(a, b)
    scale = 9.313225746154785e-10 if top > 1e300 else f64(1.0)
    scale = 1.157920892373162e77 if top < 1e-200 else scale
    scale = scale * (0.0 if top == inf else f64(1.0))
    # infinities count as 1, what is finite beside them as 0
    a = 1.0 if a == inf else (0.0 if top == inf else a * scale)
    b = 1.0 if b == inf else (0.0 if top == inf else b * scale)
    flip = b > a
    large = b if flip else a
    high, low = _ratio(a if flip else b, large if large > 0.0 else 1.0)
    # from pi/2 or from pi
    left = signbit(x)
    base = PI_2_HI if flip else (PI_HI if left else f64(0.0))
    base_low = PI_2_LO if flip else (PI_LO if left else f64(0.0))
    minus = flip != left
    high = -high if minus else high
    low = -low if minus else low
    total = base + high
    total = total + (((base - total) + high) + (base_low + low))
    result = copysign(total, y)
    return x + y if (x != x) | (y != y) else result


def arcsin_f32(x):
    return f32(arcsin(f64(x)))


def arccos_f32(x):
    return f32(arccos(f64(x)))


def arctan_f32(x):
    return f32(arctan(f64(x)))


def arctan2_f32(y, x):
    return f32(arctan2(f64(y), f64(x)))
