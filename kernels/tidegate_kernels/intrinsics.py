"""Single machine instructions that Numba has no name for, each with its meaning in plain Python.

`lower` gives each its LLVM form. They keep the rule of all kernels: compiled and interpreted
code agree to the last bit.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from .fold import lower_fold

Array = Any


def load_u64(data: Array, at: Any) -> Any:
    """The 8 bytes ``data[at:at + 8]`` as a little-endian u64; they need not be aligned.

    The caller makes sure that ``at + 8 <= len(data)``.
    """
    word: int = np.uint64(int.from_bytes(data[at : at + 8].tobytes(), "little"))  # type: ignore[assignment]
    return word


def prefetch(array: Array, at: Any) -> None:
    """Asks for the cache line of ``array[at]`` to be fetched for writing; no effect on values."""


def trailing_zeros(word: Any) -> int:
    """How many of the lowest bits of a u64 are zero; 64 for zero."""
    word = int(word)
    return (word & -word).bit_length() - 1 if word else 64


def root(x: float) -> float:
    """sqrt(x), correctly rounded; NaN for x < 0. Numba's own is a call, which keeps loops scalar."""
    return math.sqrt(x) if x >= 0.0 else math.nan


def bits_of(x: float) -> int:
    """The bits of a double as i64."""
    bits: int = struct.unpack("<q", struct.pack("<d", x))[0]
    return bits


def double_of(bits: int) -> float:
    """The double with the bits of an i64."""
    x: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return x


def lower() -> None:
    """Teaches Numba the LLVM form of every function above."""
    import numba.extending
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils

    numba_extending: Any = numba.extending
    intrinsic, overload = numba_extending.intrinsic, numba_extending.overload
    i64, f64 = ir.IntType(64), ir.DoubleType()

    def element(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        """The address of ``args[0][args[1]]``."""
        array = context.make_array(signature.args[0])(context, builder, args[0])
        index = context.cast(builder, args[1], signature.args[1], types.intp)
        return builder.gep(array.data, [index])

    def build_load(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.bitcast(element(context, builder, signature, args), i64.as_pointer())
        loaded = builder.load(pointer)
        loaded.align = 1
        return loaded

    def build_prefetch(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        address = builder.bitcast(element(context, builder, signature, args), byte)
        builder.call(function, [address, i32(1), i32(3), i32(1)])
        return context.get_dummy_value()

    def build_zeros(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.IntType(1)(0))

    def build_root(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(f64, [f64])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.sqrt.f64")
        return builder.call(function, args)

    def build_bits(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], i64)

    def build_double(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], f64)

    @intrinsic
    def load_u64_(typing_context: Any, data: Any, at: Any) -> Any:
        return types.uint64(data, at), build_load

    @intrinsic
    def prefetch_(typing_context: Any, array: Any, at: Any) -> Any:
        return types.void(array, at), build_prefetch

    @intrinsic
    def trailing_zeros_(typing_context: Any, word: Any) -> Any:
        return types.int64(types.uint64), build_zeros

    @intrinsic
    def root_(typing_context: Any, x: Any) -> Any:
        return types.float64(types.float64), build_root

    @intrinsic
    def bits_of_(typing_context: Any, x: Any) -> Any:
        return types.int64(types.float64), build_bits

    @intrinsic
    def double_of_(typing_context: Any, bits: Any) -> Any:
        return types.float64(types.int64), build_double

    inline = {"forceinline": True}
    overload(load_u64, jit_options=inline)(lambda data, at: lambda data, at: load_u64_(data, at))
    overload(prefetch, jit_options=inline)(lambda array, at: lambda array, at: prefetch_(array, at))
    overload(trailing_zeros, jit_options=inline)(lambda word: lambda word: trailing_zeros_(word))
    overload(root, jit_options=inline)(lambda x: lambda x: root_(x))
    overload(bits_of, jit_options=inline)(lambda x: lambda x: bits_of_(x))
    overload(double_of, jit_options=inline)(lambda bits: lambda bits: double_of_(bits))
    lower_fold()
