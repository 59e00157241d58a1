"""The C interface of the kernels: one function each, an array being a pointer and a length.

Used when the native library is built; nothing here runs in a job.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator

from .registry import Argument, Kernel

PREFIX = "tidegate_"
RAISED = "tidegate_kernel_raised"

_C_TYPES = {
    "i64": "int64_t",
    "i32": "int32_t",
    "u64": "uint64_t",
    "u8": "uint8_t",
    "f64": "double",
    "f32": "float",
}
_IR_TYPES = {"i64": "i64", "i32": "i32", "u64": "i64", "u8": "i8", "f64": "double", "f32": "float"}
_SIZES = {"i64": 8, "i32": 4, "u64": 8, "u8": 1, "f64": 8, "f32": 4}
# C callers widen narrow numbers to a register; the other types need no attribute.
_EXTENDED = {"i32": " signext", "u8": " zeroext"}

_HEADER = """\
/* The kernels of tidegate as C functions. Made from the Python kernels when the library is built.

   An array is a pointer and the number of its elements; the pointer is aligned to the size of
   one element and may be NULL when there is none. The caller owns all memory. Nothing is
   allocated, nothing is kept between calls, and any thread may call. */
#ifndef TIDEGATE_KERNELS_H
#define TIDEGATE_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* The x86-64 level in use, 2 to 4; 0 when the processor is older than all that were built. */
int tidegate_kernels_level(void);

/* Uses a level, 2 to 4, and returns the one in use, unchanged if the processor lacks the other.
   Not while kernels run. */
int tidegate_kernels_use(int level);

{declarations}
#ifdef __cplusplus
}}
#endif

#endif
"""


def header(kernels: Iterable[Kernel]) -> str:
    """The text of ``tidegate_kernels.h``."""
    return _HEADER.format(declarations="\n".join(map(_declaration, kernels)))


def _declaration(kernel: Kernel) -> str:
    opening = f"{_C_TYPES[kernel.result.type]} {PREFIX}{kernel.name}("
    glued = ", ".join(f"{kind}{name}".replace(" ", "\0") for kind, name, _ in _flat(kernel))
    lines = [line.replace("\0", " ") for line in textwrap.wrap(f"{glued});", 96)]
    return "\n    ".join([f"/* {summary(kernel)} */\n{opening}", *lines]) + "\n"


def entries(kernels: Iterable[Kernel]) -> str:
    """A line ``ENTRY(result, name, (parameters), (arguments))`` for each kernel: see dispatch.c."""
    return "".join(
        f"ENTRY({_C_TYPES[kernel.result.type]}, {PREFIX}{kernel.name}, ({parameters(kernel)}), "
        f"({', '.join(name for _, name, _ in _flat(kernel))}))\n"
        for kernel in kernels
    )


def summary(kernel: Kernel) -> str:
    """The first line of a kernel's docstring."""
    return (kernel.python.__doc__ or kernel.name).strip().splitlines()[0].replace("*/", "* /")


def parameters(kernel: Kernel) -> str:
    """The parameters of a kernel's C function, as they stand between its parentheses."""
    return ", ".join(f"{kind}{name}" for kind, name, _ in _flat(kernel))


def _flat(kernel: Kernel) -> Iterator[tuple[str, str, Argument]]:
    """C type with its blank, name and argument of every parameter; an array makes two."""
    names = inspect.signature(kernel.python).parameters
    for name, argument in zip(names, kernel.arguments, strict=True):
        kind = _C_TYPES[argument.type]
        if argument.is_array:
            yield ("const " if argument.role == "in" else "") + f"{kind} *", name, argument
            yield "int64_t ", f"{name}_length", argument
        else:
            yield f"{kind} ", name, argument


def wrapper(kernel: Kernel, native: str) -> str:
    """LLVM code of a C function around the function that Numba makes of a kernel.

    Numba's function takes where to write the result, where to write an exception, and every
    array as (owner, parent, items, item size, data, shape, stride); it returns 0, or what went
    wrong. `native` is its name.
    """
    result = _IR_TYPES[kernel.result.type]
    formal, types, actual = [], ["ptr", "ptr"], ["ptr %result", "ptr %exception"]
    for i, argument in enumerate(kernel.arguments):
        kind, size = _IR_TYPES[argument.type], _SIZES[argument.type]
        if argument.is_array:
            formal += [f"ptr %a{i}", f"i64 %n{i}"]
            types += ["ptr", "ptr", "i64", "i64", "ptr", "i64", "i64"]
            actual += ["ptr null", "ptr null", f"i64 %n{i}", f"i64 {size}"]
            actual += [f"ptr %a{i}", f"i64 %n{i}", f"i64 {size}"]
        else:
            formal.append(f"{kind}{_EXTENDED.get(argument.type, '')} %a{i}")
            types.append(kind)
            actual.append(f"{kind} %a{i}")
    # The caller's arrays have no owner whose references could be counted.
    return f"""
define void @NRT_incref(ptr %owner) alwaysinline {{
  ret void
}}
define void @NRT_decref(ptr %owner) alwaysinline {{
  ret void
}}

declare i32 @"{native}"({", ".join(types)})
declare void @{RAISED}(ptr)

define{_EXTENDED.get(kernel.result.type, "")} {result} @{PREFIX}{kernel.name}({", ".join(formal)}) {{
  %result = alloca {result}
  %exception = alloca ptr
  %status = call i32 @"{native}"({", ".join(actual)})
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %done, label %failed
failed:
  %raised = load ptr, ptr %exception
  call void @{RAISED}(ptr %raised)
  br label %done
done:
  %value = load {result}, ptr %result
  ret {result} %value
}}
"""
