"""Largest errors of the functions, in units of the last place of the exact result.

Tested against mpmath over the whole range of arguments (tests/test_math_accuracy.py), not proved. The f32
functions at 0.51 are computed in f64 and rounded once. A float16 result is the float32 one rounded once
more: 0.51.

For logaddexp and logaddexp2 the unit is that of the larger of |result| and |max(x, y)|: where the two
cancel, the result keeps that absolute accuracy.
"""

BOUNDS: dict[tuple[str, str], float] = {
    ("exp", "f32"): 1.1, ("exp", "f64"): 1.1,
    ("exp2", "f32"): 1.1, ("exp2", "f64"): 1.1,
    ("expm1", "f32"): 1.5, ("expm1", "f64"): 2.0,
    ("log", "f32"): 1.0, ("log", "f64"): 1.0,
    ("log2", "f32"): 0.51, ("log2", "f64"): 1.0,
    ("log10", "f32"): 0.51, ("log10", "f64"): 1.0,
    ("log1p", "f32"): 1.5, ("log1p", "f64"): 1.5,
    ("sin", "f32"): 0.51, ("sin", "f64"): 1.0,
    ("cos", "f32"): 0.51, ("cos", "f64"): 1.0,
    ("tan", "f32"): 0.51, ("tan", "f64"): 2.5,
    ("arcsin", "f32"): 0.51, ("arcsin", "f64"): 1.0,
    ("arccos", "f32"): 0.51, ("arccos", "f64"): 1.0,
    ("arctan", "f32"): 0.51, ("arctan", "f64"): 1.0,
    ("arctan2", "f32"): 0.51, ("arctan2", "f64"): 1.0,
    ("sinh", "f32"): 0.51, ("sinh", "f64"): 2.0,
    ("cosh", "f32"): 0.51, ("cosh", "f64"): 1.5,
    ("tanh", "f32"): 1.5, ("tanh", "f64"): 2.5,
    ("arcsinh", "f32"): 0.51, ("arcsinh", "f64"): 2.0,
    ("arccosh", "f32"): 0.51, ("arccosh", "f64"): 2.5,
    ("arctanh", "f32"): 0.51, ("arctanh", "f64"): 2.0,
    ("cbrt", "f32"): 0.51, ("cbrt", "f64"): 0.6,
    ("sqrt", "f32"): 0.5, ("sqrt", "f64"): 0.5,
    ("power", "f32"): 0.52, ("power", "f64"): 1.0,
    ("hypot", "f32"): 0.51, ("hypot", "f64"): 0.6,
    ("logaddexp", "f32"): 0.51, ("logaddexp", "f64"): 2.5,
    ("logaddexp2", "f32"): 0.51, ("logaddexp2", "f64"): 4.0,
}
