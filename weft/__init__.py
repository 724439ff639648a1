"""weft: a compiler and differentiator for the NumPy you already have."""
