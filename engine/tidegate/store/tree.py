"""A tree of state as JSON text and a list of arrays, and back.

The text is the tree with what JSON has no form for left out: an object with the one key ``$array``,
``$bytes`` (the place in the list) or ``$float`` (the bits in hexadecimal) stands for it. A key of the
tree that begins with ``$`` is written with one ``$`` more.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import StoreError
from ..kept import State

DTYPES = {
    name: np.dtype(name) for name in ("float64", "float32", "int64", "int32", "uint64", "uint8", "bool")
}
"""What arrays may hold, by its name in files."""
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_DEEPEST = 100
_LONGEST = 4096
"""Bits of an integer: Python refuses to write or read far longer ones as text."""


class Leaf(NamedTuple):
    """An array of a tree: its path for people, its dtype's name or "bytes", and the array itself."""

    path: str
    dtype: str
    array: npt.NDArray[Any]


def flattened(state: State) -> tuple[str, list[Leaf]]:
    """The text and the arrays of a tree; arrays are not copied, unless they are not contiguous.

    Raises StoreError for what is no part of a tree. A NumPy number becomes Python's.

    >>> text, leaves = flattened({"mean": np.zeros(3), "seen": [7, None]})
    >>> text, leaves[0].path
    ('{"mean":{"$array":0},"seen":[7,null]}', 'mean')
    """
    leaves: list[Leaf] = []
    return json.dumps(_plain(state, "", 0, leaves), allow_nan=False, separators=(",", ":")), leaves


def grown(text: bytes, arrays: list[npt.NDArray[Any]]) -> State:
    """The tree of a text and its arrays.

    Raises ValueError, TypeError or LookupError if they do not belong together.

    >>> grown(b'{"mean":{"$array":0},"seen":[7,null]}', [np.zeros(3)])
    {'mean': array([0., 0., 0.]), 'seen': [7, None]}
    """

    def whole(part: dict[str, Any]) -> Any:
        match part:
            case {"$array": place, **rest} if not rest:
                return arrays[place]
            case {"$bytes": place, **rest} if not rest:
                return arrays[place].tobytes()
            case {"$float": bits, **rest} if not rest:
                return struct.unpack(">d", bytes.fromhex(bits))[0]
        return {key[1:] if key.startswith("$") else key: value for key, value in part.items()}

    state: State = json.loads(text, object_hook=whole)
    return state


def _plain(state: Any, path: str, depth: int, leaves: list[Leaf]) -> Any:
    """A part of a tree as JSON has it; its arrays go to `leaves`."""
    if isinstance(state, np.generic):
        state = state.item()
    if state is None or isinstance(state, str | bool):
        return state
    if isinstance(state, int) and state.bit_length() <= _LONGEST:
        return state
    if isinstance(state, float):
        return state if math.isfinite(state) else {"$float": struct.pack(">d", state).hex()}
    if isinstance(state, bytes):
        leaves.append(Leaf(path, "bytes", np.frombuffer(state, np.uint8)))
        return {"$bytes": len(leaves) - 1}
    if isinstance(state, np.ndarray) and state.dtype in _NAMES:
        leaves.append(Leaf(path, _NAMES[state.dtype], np.asarray(state, order="C")))
        return {"$array": len(leaves) - 1}
    if depth < _DEEPEST:
        if isinstance(state, list):
            return [_plain(part, f"{path}[{k}]", depth + 1, leaves) for k, part in enumerate(state)]
        if isinstance(state, dict) and all(isinstance(key, str) for key in state):
            return {
                f"${key}" if key.startswith("$") else key: _plain(part, _inside(path, key), depth + 1, leaves)
                for key, part in state.items()
            }
    raise StoreError(f"{path or 'the state'}: {_kind(state)} cannot be kept; {_allowed(state)}")


def _inside(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _kind(state: Any) -> str:
    """What a value is, for a message."""
    match state:
        case np.ndarray():
            return f"an array of {state.dtype}"
        case int():
            return f"an integer of {state.bit_length()} bits"
        case dict():
            odd = next((key for key in state if not isinstance(key, str)), None)
            return "a dict in too many others" if odd is None else f"a dict with the key {odd!r}"
        case list():
            return "a list in too many others"
    return f"a value of type {type(state).__name__}"


def _allowed(state: Any) -> str:
    """What would be allowed instead, for a message."""
    match state:
        case np.ndarray():
            return f"arrays may be of {', '.join(str(dtype) for dtype in _NAMES)}"
        case int():
            return f"integers may have {_LONGEST} bits"
        case dict() if not all(isinstance(key, str) for key in state):
            return "keys may be text"
        case dict() | list():
            return f"they may be {_DEEPEST} deep"
    return "it may be a dict, list, array, text, number, bytes or None"
