"""How the numbers in codegen/math were made: `python tests/fit_coefficients.py` prints them (needs mpmath).

    minimax(g, low, high, n, weight)   max |weight * (polynomial of degree n - g)| is least

by Remez's exchange in 60-digit arithmetic, then rounded to the dtype. `weight` makes it the relative error
of the whole function, not of the factor that is fitted.
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np

Real = Callable[[mp.mpf], mp.mpf]


def minimax(g: Real, low: float, high: float, degree: int, weight: Real) -> tuple[list[mp.mpf], mp.mpf]:
    """Coefficients, lowest first, and the largest weighted error."""
    a, b = mp.mpf(low), mp.mpf(high)
    count = degree + 2
    points = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * (k + mp.mpf(1) / 2) / count) for k in range(count)]
    grid = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * k / (40 * count)) for k in range(40 * count + 1)]
    values = [(x, g(x), weight(x)) for x in grid]
    coefficients: list[mp.mpf] = []
    worst = mp.mpf(0)
    for _ in range(12):
        system = mp.matrix(count, count)
        right = mp.matrix(count, 1)
        for i, x in enumerate(points):
            for j in range(degree + 1):
                system[i, j] = x**j
            system[i, degree + 1] = (-1) ** i / weight(x)
            right[i] = g(x)
        solution = mp.lu_solve(system, right)
        coefficients = [solution[j] for j in range(degree + 1)]
        errors = [(w * (mp.polyval(coefficients[::-1], x) - y), x) for x, y, w in values]
        worst = max(abs(e) for e, _ in errors)
        exchanged = _extrema(errors)
        if len(exchanged) != count or worst < abs(solution[degree + 1]) * 1.01:
            break
        points = exchanged
    return coefficients, worst


def _extrema(errors: list[tuple[mp.mpf, mp.mpf]]) -> list[mp.mpf]:
    """The largest error of each run of one sign."""
    best: list[tuple[mp.mpf, mp.mpf]] = []
    for error, x in errors:
        if best and (best[-1][0] > 0) == (error > 0):
            if abs(error) > abs(best[-1][0]):
                best[-1] = (error, x)
        else:
            best.append((error, x))
    return [x for _, x in best]


def show(name: str, dtype: str, coefficients: list[mp.mpf], worst: mp.mpf) -> None:
    number = np.float32 if dtype == "f32" else np.float64
    texts = [str(number(float(c))) if dtype == "f32" else repr(float(c)) for c in coefficients]
    print(f"# weighted error {mp.nstr(worst, 2)}\n{name}: {dtype} = ({', '.join(texts)})")


def _even(f: Real, start: int, odd: bool) -> Real:
    """z -> the Taylor series of f in z = x*x, from x**start on, divided by x**start."""
    terms = mp.taylor(f, 0, 60)

    def g(z: mp.mpf) -> mp.mpf:
        return mp.fsum(terms[k] * z ** ((k - start) // 2) for k in range(start, 61, 2))
    assert start % 2 == odd
    return g


def reduction_tables() -> None:
    """2**j * 2/pi modulo 4 as sums of floats, a row for each j (codegen/math/reduction.py)."""
    mp.mp.prec = 1400

    def row(j: int, reduced: bool, bits: list[int]) -> list[float]:
        rest = mp.ldexp(2 / mp.pi, j)
        rest -= 4 * mp.floor((rest + 2) / 4) if reduced else 0
        parts = []
        for count in bits:
            mantissa, exponent = mp.frexp(rest)
            parts.append(float(mp.ldexp(mp.nint(mp.ldexp(mantissa, count)), int(exponent) - count)))
            rest -= mp.mpf(parts[-1])
        return parts

    print("TWO_OVER_PI_F32:", [row(min(j, 104), j > -24, [29, 53]) for j in range(-24, 106)])
    print("TWO_OVER_PI_F64:", [row(16 * r - 53, r > 0, [53, 53, 53, 53]) for r in range(65)])


def main() -> None:
    mp.mp.dps = 60
    half = float(mp.log(2) / 2) * 1.0001
    quarter = float(mp.pi / 4) * 1.0001
    one = mp.mpf(1)

    def series(terms: list[mp.mpf]) -> Real:
        return lambda x: mp.polyval(terms[::-1], x)

    exp_rest = series([1 / mp.factorial(k + 2) for k in range(30)])  # (e**r - 1 - r) / r**2
    exp2_rest = series([mp.log(2) ** (k + 1) / mp.factorial(k + 1) for k in range(40)])  # (2**r - 1) / r
    log_rest = series([(-1) ** k * one / (k + 3) for k in range(600)])  # (log(1+f) - f + f*f/2) / f**3
    atanh_rest = series([one / (2 * k + 3) for k in range(200)])  # (atanh(s) - s) / s**3, in s*s
    sin3, cos4 = _even(mp.sin, 3, True), _even(mp.cos, 4, False)
    sinh3, cosh2 = _even(mp.sinh, 3, True), _even(mp.cosh, 2, False)
    asin3 = series([mp.binomial(2 * k, k) / (mp.mpf(4) ** k * (2 * k + 1)) for k in range(1, 120)])
    atan3 = series([(-1) ** (k + 1) * one / (2 * k + 3) for k in range(200)])

    def rows(name: str, g: Real, low: float, high: float, weight: Real, *sizes: tuple[str, int]) -> None:
        for dtype, degree in sizes:
            show(f"{name}_{dtype.upper()}", dtype, *minimax(g, low, high, degree, weight))

    rows("EXP", exp_rest, -half, half, lambda r: r * r + mp.mpf("1e-9"), ("f32", 4), ("f64", 9))
    rows("EXPM1", exp_rest, -half, half, lambda r: abs(r) + mp.mpf("1e-9"), ("f32", 5), ("f64", 10))
    rows("EXP2", exp2_rest, -0.5001, 0.5001, lambda r: abs(r) + mp.mpf("1e-9"), ("f32", 5), ("f64", 10))
    low, high = float(mp.sqrt(0.5)) - 1, float(mp.sqrt(2)) - 1
    rows("LOG", log_rest, low, high, lambda f: f * f + mp.mpf("1e-9"), ("f32", 8))
    s2 = float((high / (2 + high)) ** 2) * 1.001
    tiny = mp.mpf("1e-9")
    rows("ATANH", atanh_rest, 0, s2, lambda z: z + tiny, ("f64", 6))
    rows("ATANH_SHORT", atanh_rest, 0, s2, lambda z: z + tiny, ("f64", 4))
    rows("ATANH_LONG", lambda z: (atanh_rest(z) - one / 3) / z if z else one / 5, 0, s2,
         lambda z: z * z + tiny, ("f64", 6))
    rows("SIN", sin3, 0, quarter**2, lambda z: z + tiny, ("f32", 2), ("f64", 5))
    rows("COS", cos4, 0, quarter**2, lambda z: z * z + tiny, ("f32", 2), ("f64", 5))
    rows("SIN_SHORT", sin3, 0, quarter**2, lambda z: z + tiny, ("f64", 3))
    rows("COS_SHORT", cos4, 0, quarter**2, lambda z: z * z + tiny, ("f64", 3))
    rows("TANH", lambda z: (mp.tanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z if z else -one / 3, 0, 0.3907,
         lambda z: z + tiny, ("f32", 5))
    rows("SINH", sinh3, 0, half**2, lambda z: z + tiny, ("f64", 5))
    rows("COSH", cosh2, 0, half**2, lambda z: z + tiny, ("f64", 5))
    rows("ASIN", asin3, 0, 0.2501, lambda z: z + tiny, ("f64", 12))
    t2 = float(mp.tan(mp.pi / 8) ** 2) * 1.001
    rows("ATAN", atan3, 0, t2, lambda z: z + tiny, ("f64", 10))
    rows("CBRT", lambda m: m ** (-one / 3), 1.0, 2.0, lambda m: one, ("f64", 5))
    reduction_tables()


if __name__ == "__main__":
    main()
