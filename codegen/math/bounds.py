"""Largest errors of the functions, in units of the last place of the exact result.

Tested against mpmath over the whole range of arguments (tests/test_math_accuracy.py), not proved; the
largest error seen is below. A float16 result is the float32 one rounded once more: 0.51.

For logaddexp and logaddexp2 the unit is that of the larger of |result| and |max(x, y)|: where the two
cancel, the result keeps that absolute accuracy.
"""

BOUNDS: dict[tuple[str, str], float] = {
    ("exp", "f32"): 1.0, ("exp", "f64"): 1.0,
    ("exp2", "f32"): 1.0, ("exp2", "f64"): 1.0,
    ("expm1", "f32"): 1.5, ("expm1", "f64"): 1.5,
    ("log", "f32"): 1.0, ("log", "f64"): 1.0,
    ("log2", "f32"): 1.0, ("log2", "f64"): 1.0,
    ("log10", "f32"): 1.0, ("log10", "f64"): 1.0,
    ("log1p", "f32"): 1.5, ("log1p", "f64"): 1.5,
    ("sin", "f32"): 1.0, ("sin", "f64"): 1.0,
    ("cos", "f32"): 1.0, ("cos", "f64"): 1.0,
    ("tan", "f32"): 1.0, ("tan", "f64"): 2.0,
    ("arcsin", "f32"): 1.0, ("arcsin", "f64"): 1.0,
    ("arccos", "f32"): 1.0, ("arccos", "f64"): 1.0,
    ("arctan", "f32"): 1.0, ("arctan", "f64"): 1.0,
    ("arctan2", "f32"): 1.0, ("arctan2", "f64"): 1.0,
    ("sinh", "f32"): 1.0, ("sinh", "f64"): 1.5,
    ("cosh", "f32"): 1.0, ("cosh", "f64"): 1.5,
    ("tanh", "f32"): 1.5, ("tanh", "f64"): 2.0,
    ("arcsinh", "f32"): 1.0, ("arcsinh", "f64"): 3.0,
    ("arccosh", "f32"): 1.0, ("arccosh", "f64"): 3.0,
    ("arctanh", "f32"): 1.0, ("arctanh", "f64"): 3.0,
    ("cbrt", "f32"): 1.0, ("cbrt", "f64"): 1.0,
    ("sqrt", "f32"): 0.5, ("sqrt", "f64"): 0.5,
    ("power", "f32"): 1.0, ("power", "f64"): 1.0,
    ("hypot", "f32"): 1.0, ("hypot", "f64"): 1.0,
    ("logaddexp", "f32"): 1.0, ("logaddexp", "f64"): 2.0,
    ("logaddexp2", "f32"): 1.0, ("logaddexp2", "f64"): 2.0,
}
