"""Division that floors, and remainders, of integers and floats, as NumPy defines them.

Integers: up to 32 bits a float division with more bits than both operands together need is exact after
floor, and vectorises; 64 bits use the machine's division with its two traps (0, -1) taken out first.

Floats: fmod(x, y) = mx * 2**d mod my, with integer significands mx, my and d the difference of exponents.
2**d mod my comes from squaring, a few steps whatever d is, each product reduced exactly by fma.

Written in the language of scalar_parse: read as text, never executed.
"""
# ruff: noqa: F821, FURB136, PLR0124, RUF100
# mypy: ignore-errors


# ---- integers


def _nonzero(b):
    return 1 if b == 0 else b


def _floordiv_f32(a, b):
    return floor(f32(a) / f32(_nonzero(b)))


def _floordiv_f64(a, b):
    return floor(f64(a) / f64(_nonzero(b)))


def floordiv_i8(a, b):
    return 0 if b == 0 else i8(_floordiv_f32(a, b))


def floordiv_u8(a, b):
    return 0 if b == 0 else u8(_floordiv_f32(a, b))


def floordiv_i16(a, b):
    return 0 if b == 0 else i16(_floordiv_f32(a, b))


def floordiv_u16(a, b):
    return 0 if b == 0 else u16(_floordiv_f32(a, b))


def floordiv_i32(a, b):
    q = -a if b == -1 else i32(_floordiv_f64(a, b))  # -2**31 / -1 is out of i32's range
    return 0 if b == 0 else q


def floordiv_u32(a, b):
    return 0 if b == 0 else u32(_floordiv_f64(a, b))


def _quotient_i64(a, b):
    safe = 1 if (b == 0) | (b == -1) else b
    q = quotient(a, safe)
    return 0 if b == 0 else (-a if b == -1 else q)


def floordiv_i64(a, b):
    q = _quotient_i64(a, b)
    r = a - q * b
    return q - 1 if (r != 0) & ((r ^ b) < 0) & (b != 0) else q


def floordiv_u64(a, b):
    return 0 if b == 0 else quotient(a, _nonzero(b))


def mod_int(a, b):
    return 0 if b == 0 else a - floordiv(a, b) * b


def fmod_sint(a, b):
    r = mod(a, b)
    return r - b if (r != 0) & ((a ^ b) < 0) else r  # the sign of a, where mod has that of b


def fmod_uint(a, b):
    return mod(a, b)


# ---- floats


def _square_mod(p, m, inverse, double):
    """p * p (* 2 if double) mod m, for m < 2**24 and p < m, in f64."""
    z = p * p
    z = z + z if double else z
    q = floor(z * inverse)  # off by one at most
    r = fma(-q, m, z)
    r = r + m if r < 0.0 else r
    return r - m if r >= m else r


def fmod_f32(x, y):
    cx = bits(f64(abs(x)))  # in f64 no f32 is subnormal
    cy = bits(f64(abs(y)))
    mx = from_bits((cx & 0xFFFFFFFFFFFFF) | 0x4160000000000000)  # in [2**23, 2**24)
    my = from_bits((cy & 0xFFFFFFFFFFFFF) | 0x4160000000000000)
    ex = i32(cx >> 52)
    ey = i32(cy >> 52)
    d = ex - ey
    d = 0 if d < 0 else d
    d = 511 if d > 511 else d
    inverse = 1.0 / my
    p = from_bits(i64((d >> 5) + 1023) << 52)  # 2**(d >> 5), below my
    for k in range(5):
        p = _square_mod(p, my, inverse, (d & (16 >> k)) != 0)
    z = mx * p
    r = fma(-floor(z * inverse), my, z)
    r = r + my if r < 0.0 else r
    r = r - my if r >= my else r
    scaled = f32(r * from_bits(i64(ey - 23) << 52))
    size = abs(x) if abs(x) < abs(y) else scaled
    legal = (abs(x) < inf) & (abs(y) > 0.0) & (y == y)
    return copysign(size, x) if legal else nan


def _multiply_mod(a, b, m, inverse):
    """a * b mod m as a residue in about [-m/2, m/2], for integers below 2**53 and |a|, |b| <= m/2."""
    high = a * b
    low = fma(a, b, -high)
    r = fma(-rint(high * inverse), m, high) + low  # exact: below 2**53
    return fma(-rint(r * inverse), m, r)


def _significand(x):
    """(integer in [2**52, 2**53), e) with x = integer * 2**(e - 1075), for finite x > 0."""
    small = x < 2.2250738585072014e-308
    code = bits(x * 18014398509481984.0 if small else x)  # 2**54
    m = from_bits((code & 0xFFFFFFFFFFFFF) | 0x4330000000000000)
    e = i32(code >> 52) & 0x7FF
    return m, e - 54 if small else e


def fmod_f64(x, y):
    mx, ex = _significand(abs(x))
    my, ey = _significand(abs(y))
    d = ex - ey
    d = 0 if d < 0 else d
    inverse = 1.0 / my
    p = from_bits(i64((d >> 6) + 1023) << 52)  # 2**(d >> 6), at most 2**33
    for k in range(6):
        p = _multiply_mod(p, p, my, inverse)
        twice = p + p
        twice = twice - copysign(my, twice) if abs(twice) > 0.5 * my else twice
        p = twice if (d & (32 >> k)) != 0 else p
    a = fma(-rint(mx * inverse), my, mx)
    r = _multiply_mod(a, p, my, inverse)
    r = r + my if r < 0.0 else r
    # r * 2**(ey - 1075) in two exact steps: it is a multiple of y's last place
    low = ey < 1
    scale = from_bits(i64(ey + 54 if low else ey) << 52)
    scaled = r * 2.220446049250313e-16 * scale * (5.551115123125783e-17 if low else 1.0)
    size = abs(x) if abs(x) < abs(y) else scaled
    legal = (abs(x) < inf) & (abs(y) > 0.0) & (y == y)
    return copysign(size, x) if legal else nan


def _floor_mod(a, b):
    r = fmod(a, b)
    moved = r + b if (b < 0.0) != (r < 0.0) else r
    return copysign(0.0, b) if r == 0.0 else moved


def mod_f32(a, b):
    return _floor_mod(a, b)


def mod_f64(a, b):
    return _floor_mod(a, b)


def _floor_quotient(a, b):
    r = fmod(a, b)
    q = (a - r) / b
    q = q - 1.0 if (r != 0.0) & ((b < 0.0) != (r < 0.0)) else q
    whole = floor(q)
    whole = whole + 1.0 if q - whole > 0.5 else whole
    whole = copysign(0.0, a / b) if q == 0.0 else whole
    return a / b if b == 0.0 else whole


def floordiv_f32(a, b):
    return _floor_quotient(a, b)


def floordiv_f64(a, b):
    return _floor_quotient(a, b)
