"""A reader with mistakes in it, to see that the fuzzer finds them."""

from __future__ import annotations

import os
import signal

from tests.fuzz.targets import Target

from tidegate.errors import DataError


def check_planted(data: bytes) -> None:
    """Does by its first letter what no reader may do, or what any may."""
    match data[:1]:
        case b"d":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"e":
            raise IndexError("from inside")
        case b"l":
            assert len(data) % 2, "a law is broken"
        case b"m":
            raise DataError("what is wrong\nand a second line")
        case b"t":
            raise DataError("what is wrong")


TARGETS = {"planted": Target(check_planted, lambda: [b"t", b"e", b"l1", b"m", b"d", b""], most_bytes=8)}
