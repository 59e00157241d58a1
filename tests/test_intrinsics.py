"""Machine instructions: compiled and plain Python forms give the same bits."""

from __future__ import annotations

import numpy as np

from tidegate_kernels.intrinsics import bits_of, double_of, load_u64, prefetch, root, trailing_zeros
from tidegate_kernels.registry import Kernel


def words(data, out):
    """Every 8 bytes of the data, and how many of their low bits are zero."""
    for i in range(len(data) - 7):
        prefetch(data, i)
        word = load_u64(data, i)
        out[2 * i] = np.int64(word >> np.uint64(1))
        out[2 * i + 1] = trailing_zeros(word)
    return len(data)


def doubles(x, out):
    """The root of every number, and the next larger double."""
    for i in range(len(x)):
        out[2 * i] = root(x[i])
        out[2 * i + 1] = double_of(bits_of(x[i]) + 1)
    return len(x)


def both(function, signature, argument, size, dtype):
    """What the compiled and the plain form write."""
    made = Kernel(function, signature)
    outs = [np.zeros(size, dtype) for _ in range(2)]
    made.compile()(argument, outs[0])
    made.interpret(argument, outs[1])
    return outs


def test_bytes_are_read_as_little_endian_words():
    """Unaligned words and their trailing zeros are those of the bytes."""
    data = np.random.default_rng(1).integers(0, 256, 40).astype(np.uint8)
    data[:20] = 0
    compiled, interpreted = both(words, "i64(in u8[], out i64[])", data, 66, np.int64)
    assert compiled.tolist() == interpreted.tolist()
    assert compiled[2 * 25] == int.from_bytes(data[25:33].tobytes(), "little") >> 1
    assert compiled[1] == 64


def test_roots_and_bits_of_doubles():
    """Roots are correctly rounded, NaN below zero; the next bits are the next double."""
    x = np.array([0.0, 2.0, -1.0, np.inf, 1e-310, 3e300, 1.0])
    compiled, interpreted = both(doubles, "i64(in f64[], out f64[])", x, 14, np.float64)
    np.testing.assert_array_equal(compiled, interpreted)
    np.testing.assert_array_equal(compiled[::2], np.sqrt(np.where(x < 0, np.nan, x)))
    assert compiled[-1] == np.nextafter(1.0, 2.0)
