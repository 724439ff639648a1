"""Capture: pytrees, tracers and the NumPy surface."""
