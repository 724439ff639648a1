"""Integer shifts and powers, with NumPy's results at the edges.

Written in the language of scalar_parse: read as text, never executed.
"""
# ruff: noqa: F821, FURB136, PLR0124, RUF100
# mypy: ignore-errors


def left_shift_int(a, n):
    return a << n


def right_shift_int(a, n):
    return a >> n


def _power(a, n, bits):
    """a**n modulo the width by squaring, for n >= 0."""
    result = a if (n & 1) != 0 else 1
    for k in range(1, bits):
        a = a * a
        result = result * a if ((n >> k) & 1) != 0 else result
    return result


def power_i8(a, n):
    return _power(a, n, 7)


def power_u8(a, n):
    return _power(a, n, 8)


def power_i16(a, n):
    return _power(a, n, 15)


def power_u16(a, n):
    return _power(a, n, 16)


def power_i32(a, n):
    return _power(a, n, 31)


def power_u32(a, n):
    return _power(a, n, 32)


def power_i64(a, n):
    return _power(a, n, 63)


def power_u64(a, n):
    return _power(a, n, 64)


def reciprocal_int(x):
    return x if (x == 1) | (x + 1 == 0) & (x < 0) else 0
