"""Numba kernels of tidegate: numbers and flat arrays in, arrays out; no I/O, no objects."""
