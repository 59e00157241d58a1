"""Everything that an object knows, as a tree of plain values, and back again.

A `Keeper` names in `KEPT` the attributes that are its state, and what each of them holds; the others follow
from the configuration or are made again. `capture` walks them down to arrays and plain values, `restore` puts
such a tree into objects that were made anew from the same configuration. What was restored goes on as the
captured object would have, bit for bit. Nothing in a tree says what is to be built of it: all types come from
the classes here, so a tree that somebody has changed is refused, not obeyed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, NamedTuple, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .errors import SnapshotError
from .threads import Threads

State: TypeAlias = (
    "dict[str, State] | list[State] | npt.NDArray[Any] | str | int | float | bool | bytes | None"
)
"""A tree: arrays are contiguous and of f64, f32, i64, i32, u64, u8 or bool."""
ONE = Threads(1)
_PIECE_BYTES = 1 << 22  # copied by one thread at once
_SCALARS = (str, int, float, bool, bytes, NoneType)
_DAMAGED = (
    ArithmeticError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    pa.ArrowException,
)
"""What checks may stumble over, looking at values that nobody has checked yet."""


class _Inside:
    def __repr__(self) -> str:
        return "INSIDE"


INSIDE = _Inside()
"""What an attribute holds that stays as it was made, and whose inside is kept: a `Keeper`, an array whose
length never changes, a list or dict of such, or None where the configuration has no use for it."""


class Keeper:
    """An object with state.

    >>> class Clock(Keeper):
    ...     KEPT: ClassVar = {"hours": npt.NDArray[np.int64], "_name": str | None}
    ...     def __init__(self) -> None:
    ...         self.hours, self._name = np.zeros(0, np.int64), None
    >>> one, other = Clock(), Clock()
    >>> one.hours, one._name = np.array([7, 9]), "noon"
    >>> restore(other, capture(one, copy=True))
    >>> other.hours.tolist(), other._name
    ([7, 9], 'noon')
    """

    KEPT: ClassVar[Mapping[str, Any]] = {}
    """By attribute or property, in the order in which they are restored, what it holds.

    `INSIDE`, or the type of what is made anew: arrays of one dimension, plain values, dataclasses, tables,
    and containers of all these.
    """

    def _resume(self) -> None:
        """Sees that what was restored fits together, by `require`, and makes again what follows from it."""


def require(is_right: object, wanted: str) -> None:
    """Raises SnapshotError unless restored state is right."""
    if not is_right:
        raise SnapshotError(wanted)


def require_within(numbers: npt.NDArray[np.integer[Any]], below: int, what: str, *, least: int = 0) -> None:
    """Raises SnapshotError unless restored numbers are ``least <= number < below``."""
    if len(numbers):
        is_within = least <= int(numbers.min()) and int(numbers.max()) < below
        require(is_within, f"{what} is not within {least} and {below - 1}")


def is_ascending(numbers: npt.NDArray[Any]) -> bool:
    """Whether no number is less than the one before, however large they are."""
    return bool((numbers[1:] >= numbers[:-1]).all())


class Picked(NamedTuple):
    """Some rows of a table in the place of an array, which they become when they are captured."""

    table: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]


def capture(kept: Keeper, *, copy: bool, threads: Threads = ONE) -> State:
    """The state of an object as a tree; with `copy` of arrays of its own, so that the object may go on.

    Else it shares the object's arrays, and is good until the object changes. Large arrays are copied on all
    threads, which costs what a bare copy does: 100,000 seasonal series are 203 MB and took 50 to 75 ms on a
    busy machine, a bare copy of 190 MB 45 to 50 (2026-11-24).
    """
    return _Capture(copy, threads).of(kept)


def restore(kept: Keeper, state: State, path: str = "state") -> None:
    """Fills an object that was made anew with captured state.

    Arrays that can be written are taken as they are, so that they must not be used by anybody else.
    Raises SnapshotError, with the path of what is wrong; the object is of no use then.
    """
    parts = _named(state, [name.lstrip("_") for name in kept.KEPT], path)
    for name, kind in kept.KEPT.items():
        key = name.lstrip("_")
        place = f"{path}.{key}"
        if kind is INSIDE:
            _filled(getattr(kept, name), parts[key], place)
            continue
        with _located(place, knows=True):
            made = _made(kind, parts[key], place)
        with _located(place):
            setattr(kept, name, made)
    with _located(path):
        kept._resume()


@contextmanager
def _located(path: str, *, knows: bool = False) -> Iterator[None]:
    """Makes errors that say where they are of what checks stumble over; `knows`: SnapshotErrors say it."""
    try:
        yield
    except SnapshotError as error:
        if knows:
            raise
        raise SnapshotError(f"{path}: {error}") from error
    except _DAMAGED as error:
        raise SnapshotError(f"{path}: cannot be restored: {error}") from error


class _Capture:
    """How a tree is made."""

    def __init__(self, copy: bool, threads: Threads) -> None:
        self._copy = copy
        self._threads = threads

    def of(self, value: Any) -> State:
        """A value as a part of a tree."""
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value)
            return self._copied(array) if self._copy else array
        if isinstance(value, Keeper):
            return {name.lstrip("_"): self.of(getattr(value, name)) for name in value.KEPT}
        if isinstance(value, _SCALARS):
            return value
        if isinstance(value, Mapping):
            return {_text_of(key): self.of(inner) for key, inner in value.items()}
        if isinstance(value, Picked):
            return self._picked(*value)
        if isinstance(value, list | tuple):
            return [self.of(inner) for inner in value]
        if isinstance(value, pa.Table):
            return _bytes_of(value)
        if is_dataclass(value):
            return {one.name: self.of(getattr(value, one.name)) for one in fields(value)}
        raise TypeError(f"{type(value).__name__} is no state")  # a mistake in a KEPT

    def _copied(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        made = np.empty_like(array)
        self._run(array.nbytes, len(array), lambda part: np.copyto(made[part], array[part]))
        return made

    def _picked(self, table: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        if np.array_equal(rows, np.arange(len(rows))):
            return cast("npt.NDArray[Any]", self.of(table[: len(rows)].reshape(-1)))
        made = np.empty((len(rows), *table.shape[1:]), table.dtype)

        def pick(part: slice) -> None:
            np.take(table, rows[part], axis=0, out=made[part], mode="clip")

        self._run(made.nbytes, len(rows), pick)
        return made.reshape(-1)

    def _run(self, nbytes: int, length: int, work: Callable[[slice], None]) -> None:
        """Does some work on an array of so many bytes, piece by piece."""
        pieces = min(max(nbytes // _PIECE_BYTES, 1), length)
        bounds = [length * k // max(pieces, 1) for k in range(pieces + 1)]
        for _ in self._threads.map(lambda k: work(slice(bounds[k], bounds[k + 1])), range(pieces)):
            pass


def _filled(there: Any, state: State, path: str) -> Any:
    """What is there, with its inside restored."""
    if isinstance(there, Keeper):
        restore(there, state, path)
    elif isinstance(there, np.ndarray):
        array = _array(there.dtype, state, path)
        if array.shape != there.shape:
            raise SnapshotError(f"{path}: {len(array)} numbers; they must be {len(there)}")
        there[...] = array
    elif isinstance(there, Mapping):
        parts = _named(state, [_text_of(key) for key in there], path)
        for key, inner in there.items():
            _filled(inner, parts[_text_of(key)], f"{path}[{_text_of(key)}]")
    elif isinstance(there, list | tuple):
        listed = _listed(state, path, len(there))
        for k, inner in enumerate(there):
            _filled(inner, listed[k], f"{path}[{k}]")
    elif there is None:
        _made(NoneType, state, path)
    else:
        raise TypeError(f"{type(there).__name__} has no inside")  # a mistake in a KEPT
    return there


def _made(kind: Any, state: State, path: str) -> Any:
    """A value of a type, made anew."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is np.ndarray:
        return _array(_dtype_of(kind), state, path)
    if origin in (Union, UnionType):
        [inner] = (arg for arg in args if arg is not NoneType)
        return None if state is None else _made(inner, state, path)
    if kind in _SCALARS:
        if type(state) is not kind:
            raise SnapshotError(f"{path}: {_kind_of(state)}; it must be {kind.__name__}")
        return state
    if origin in (list, tuple):
        return origin(_elements(args, origin is list or args[-1] is Ellipsis, state, path))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        parts = _named(state, None, path)
        return {_key_of(text, path): _made(args[1], part, f"{path}[{text}]") for text, part in parts.items()}
    if kind is pa.Table:
        return _table_of(_array(np.dtype(np.uint8), state, path), path)
    hints = _hints(kind)
    parts = _named(state, list(hints), path)
    return kind(**{name: _made(hint, parts[name], f"{path}.{name}") for name, hint in hints.items()})


def _elements(args: tuple[Any, ...], is_open: bool, state: State, path: str) -> Iterator[Any]:
    """The elements of a list, or of a tuple; `is_open`: there may be any number of them."""
    listed = _listed(state, path, None if is_open else len(args))
    for k, part in enumerate(listed):
        yield _made(args[0] if is_open else args[k], part, f"{path}[{k}]")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """The fields of a dataclass and their types."""
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in fields(kind)}


@cache
def _dtype_of(kind: Any) -> np.dtype[Any] | None:
    """The dtype of an array type; None: any."""
    [scalar] = get_args(get_args(kind)[1])
    return None if scalar is Any else np.dtype(scalar)


def _array(dtype: np.dtype[Any] | None, state: State, path: str) -> npt.NDArray[Any]:
    """An array of a dtype that can be written; the one that was given, if it is like that."""
    if not isinstance(state, np.ndarray):
        raise SnapshotError(f"{path}: {_kind_of(state)}; it must be an array")
    if state.ndim != 1 or (dtype is not None and state.dtype != dtype):
        wanted = "numbers" if dtype is None else str(dtype)
        raise SnapshotError(f"{path}: {_kind_of(state)}; it must be an array of {wanted} in one dimension")
    return np.require(state, None, ["C", "A", "W", "E"])


def _named(state: State, names: list[str] | None, path: str) -> dict[str, State]:
    """The parts of a tree by name, of which there must be these."""
    if not isinstance(state, dict):
        raise SnapshotError(f"{path}: {_kind_of(state)}; it must be an object")
    if names is not None and state.keys() != set(names):
        missing, unknown = sorted(set(names) - state.keys()), sorted(state.keys() - set(names))
        found = [
            f"{', '.join(some)} {what}" for some, what in ((missing, "missing"), (unknown, "unknown")) if some
        ]
        raise SnapshotError(f"{path}: {'; '.join(found)}")
    return state


def _listed(state: State, path: str, length: int | None) -> list[State]:
    if not isinstance(state, list) or length not in (None, len(state)):
        wanted = "a list" if length is None else f"a list of {length}"
        raise SnapshotError(f"{path}: {_kind_of(state)}; it must be {wanted}")
    return state


def _kind_of(state: Any) -> str:
    """What a part of a tree is, for messages."""
    if isinstance(state, np.ndarray):
        return f"an array of {state.dtype}" + (f" in {state.ndim} dimensions" if state.ndim != 1 else "")
    if isinstance(state, list):
        return f"a list of {len(state)}"
    return {"dict": "an object", "NoneType": "nothing"}.get(type(state).__name__, type(state).__name__)


def _text_of(key: Any) -> str:
    """A key of a dict as text: JSON, tuples as lists."""
    return json.dumps(key, ensure_ascii=False)


def _key_of(text: str, path: str) -> Any:
    """The key of a text."""

    def plain(value: Any) -> Any:
        return tuple(map(plain, value)) if isinstance(value, list) else value

    key = plain(json.loads(text))
    hash(key)
    return key


def _bytes_of(table: pa.Table) -> npt.NDArray[np.uint8]:
    """A table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return np.frombuffer(sink.getvalue(), np.uint8)


def _table_of(data: npt.NDArray[np.uint8], path: str) -> pa.Table:
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        table = reader.read_all()
    table.validate(full=True)
    return table
