"""What the kernels are made from."""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path


@cache
def stamp() -> str:
    """A checksum of every source file of this package: what was compiled from others is stale.

    Not from hashlib, whose import takes longer than all else that a job does with the library.
    """
    length = checksum = 0
    for path in sorted(Path(__file__).parent.glob("*.py")):
        source = path.read_bytes()
        length += len(source)
        checksum = zlib.crc32(source, checksum)
    return f"{length}-{checksum:08x}"
