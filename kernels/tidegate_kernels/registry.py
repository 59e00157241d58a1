"""The one place that knows the compiler: how a kernel is declared, typed and compiled.

A kernel is a plain Python function over numbers and flat, contiguous arrays::

    @kernel("f64(in f64[], i64)")
    def total(x, n): ...

``in`` arrays are read-only inputs (a writable array is accepted too), ``out`` arrays
are written. Nothing is compiled until a kernel is first called; the compiled form is
cached on disk beside the source (or in the user's cache folder).

Rules for every kernel, so that it can also be compiled ahead of time: the caller
allocates, nothing raises (a status or a position is returned, "grow and call again"),
no Python objects. Helpers (`device`) may live in any file of this package: what is
cached on disk is stamped with the content of all of them.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

KERNELS: dict[str, Kernel] = {}
_DEVICES: list[Callable[..., Any]] = []
_ARGUMENT = re.compile(r"^(?:(in|out) )?(i64|i32|u64|u8|f64)(\[\])?$")
_NUMBA_NAMES = {"i64": "int64", "i32": "int32", "u64": "uint64", "u8": "uint8", "f64": "float64"}


class Kernel:
    """A registered kernel: call it, or take its plain Python form from ``.python``."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.python = function
        self.name = function.__name__
        self.signature = signature
        self.result, self.arguments = parse_signature(signature)
        self.__doc__ = function.__doc__
        self._call: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        if self._call is None:
            self._call = self.interpret if mode() == "python" else self.compile()
        return self._call(*args)

    def interpret(self, *args: Any) -> Any:
        """Runs the plain Python form, with the wrap-around of machine integers."""
        import numpy as np

        with np.errstate(all="ignore"):
            return self.python(*args)

    def compile(self) -> Callable[..., Any]:
        """The compiled form, from the on-disk cache when its source has not changed."""
        from numba import njit, types
        from numba.extending import register_jitable

        _lower_intrinsics()
        # Inlined whatever their size: a model update is 38% faster than when LLVM chooses.
        while _DEVICES:
            register_jitable(forceinline=True)(_DEVICES.pop())

        def numba_type(argument: tuple[str, str, bool]) -> Any:
            role, name, is_array = argument
            scalar = getattr(types, _NUMBA_NAMES[name])
            return types.Array(scalar, 1, "C", readonly=role == "in") if is_array else scalar

        dispatcher: Any = njit(nogil=True, cache=True, error_model="numpy")(self.python)
        # Numba stamps a cached kernel with the file that defines it; a change of a helper in
        # another file would go unseen. tests/test_kernels.py holds this line to account.
        dispatcher._cache._cache_file._source_stamp = _package_stamp()
        dispatcher.compile(numba_type(self.result)(*map(numba_type, self.arguments)))
        dispatcher.disable_compile()
        compiled: Callable[..., Any] = dispatcher
        return compiled

    def __repr__(self) -> str:
        return f"<kernel {self.name}: {self.signature}>"


def kernel(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Registers a function as the kernel of its name with an eager signature."""

    def register(function: Callable[..., Any]) -> Kernel:
        made = Kernel(function, signature)
        if made.name in KERNELS and KERNELS[made.name].python.__module__ != function.__module__:
            raise ValueError(f"two kernels are named {made.name!r}")
        KERNELS[made.name] = made
        return made

    return register


def device(function: F) -> F:
    """Marks a helper that kernels call; it stays plain Python otherwise."""
    _DEVICES.append(function)
    return function


@cache
def _lower_intrinsics() -> None:
    """Once in a process, before anything is compiled."""
    from tidegate_kernels.intrinsics import lower

    lower()


@cache
def _package_stamp() -> str:
    """A digest of every source file of this package."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def mode() -> str:
    """How kernels run: ``jit``, or ``python`` when TIDEGATE_KERNELS=python."""
    chosen = os.environ.get("TIDEGATE_KERNELS", "jit")
    if chosen not in ("jit", "python"):
        print(f"TIDEGATE_KERNELS={chosen!r} is not one of jit, python; using jit", file=sys.stderr)
        return "jit"
    return chosen


def parse_signature(text: str) -> tuple[tuple[str, str, bool], list[tuple[str, str, bool]]]:
    """Result and arguments as (role, type name, is array) triples.

    >>> parse_signature("i64(in f64[], out i64[], i64)")[1]
    [('in', 'f64', True), ('out', 'i64', True), ('', 'i64', False)]
    """
    result, _, inner = text.partition("(")
    pieces = [result.strip(), *(piece.strip() for piece in inner.rstrip(")").split(","))]
    parsed = []
    for piece in pieces:
        match = _ARGUMENT.match(piece)
        if match is None or bool(match[3]) != bool(match[1]):
            raise ValueError(f"kernel signature {text!r}: {piece!r} is not a type")
        parsed.append((match[1] or "", match[2], bool(match[3])))
    return parsed[0], parsed[1:]
