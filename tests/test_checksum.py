"""The checksum is XXH64, of whatever lies contiguous in memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from tidegate.store.checksum import checksum
from tidegate_kernels.checksum import xxh64

SEEDS = st.integers(0, 2**64 - 1)


@given(st.binary(max_size=200), SEEDS)
def test_the_checksum_is_xxh64(data, seed):
    """The kernel and its Python form give what the xxhash package gives."""
    expected = xxhash.xxh64_intdigest(data, seed)
    assert checksum(data, seed) == expected
    assert int(xxh64.interpret(np.frombuffer(data, np.uint8), seed)) == expected


@pytest.mark.parametrize("n", [*range(70), 4095, 4096, 1_000_003])
def test_every_length_and_place(n):
    """Any number of bytes from any address on is summed right."""
    memory = np.random.default_rng(n).integers(0, 256, n + 7, np.uint8)
    for first in range(8):
        data = memory[first : first + n]
        assert checksum(data) == xxhash.xxh64_intdigest(data.tobytes())


def test_kinds_of_buffers():
    """Bytes, memory views, arrays of any shape and Arrow buffers have the checksum of their bytes."""
    array = np.arange(60.0).reshape(3, 4, 5)
    data = array.tobytes()
    expected = xxhash.xxh64_intdigest(data)
    read_only = array.copy()
    read_only.flags.writeable = False
    for buffer in (
        data,
        bytearray(data),
        memoryview(data),
        array,
        read_only,
        array.reshape(-1),
        pa.py_buffer(data),
    ):
        assert checksum(buffer) == expected
    for empty in (b"", np.empty(0), np.empty((3, 0)), pa.py_buffer(b"")):
        assert checksum(empty) == xxhash.xxh64_intdigest(b"")
    assert checksum(np.array(1.5)) == xxhash.xxh64_intdigest(np.array(1.5).tobytes())


def test_strided_arrays_are_refused():
    """An array with gaps is refused, not copied unseen or summed wrong."""
    with pytest.raises(ValueError, match="is not contiguous"):
        checksum(np.zeros((3, 4)).T)
