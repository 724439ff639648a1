"""NumPy's public functions over the primitives."""
