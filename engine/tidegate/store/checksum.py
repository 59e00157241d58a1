"""Checksums of what is written to files: XXH64."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.checksum import xxh64


def checksum(buffer: Any, seed: int = 0) -> int:
    """The XXH64 of the bytes of anything contiguous: bytes, memoryview, NumPy or Arrow buffer.

    From 0 to 2**64 - 1, which SQLite's integers do not hold. Other threads run meanwhile.

    >>> f"{checksum(b'tidegate'):016x}"
    'f51dd4021f18b3ec'
    """
    return int(xxh64(flat_bytes(buffer), seed))


def flat_bytes(buffer: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The bytes of anything contiguous as an array on the same memory; ValueError if it is strided."""
    if isinstance(buffer, np.ndarray):
        if not buffer.flags.c_contiguous:
            raise ValueError(
                f"an array of shape {buffer.shape} and strides {buffer.strides} is not contiguous"
            )
        return buffer.reshape(-1).view(np.uint8)
    return np.frombuffer(buffer, np.uint8)
