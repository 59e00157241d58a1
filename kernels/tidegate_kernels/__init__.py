"""Numba kernels of tidegate: numbers and flat arrays in, arrays out; no I/O, no objects."""


class NativeError(ImportError):
    """There is no native library that can be used; the message says why."""
