"""Columns that come from elsewhere, proved to be what they say before anything relies on it.

Arrow takes the offsets of texts and lists and the indices of dictionaries on trust; a file can say
anything, and what reads with a wrong offset reads memory that is not its own.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DataError
from .flatbatch import fields_of, no_such_type

T = TypeVar("T", bound=np.generic)
_MOST_EMPTY_ROWS = 1 << 20
"""Rows of a batch that take no memory: of columns of nulls, or of none."""
_AS_BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}


def require_sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, as it is; DataError if a column has offsets, indices or lengths that cannot be.

    Text that is not UTF-8 may be in a column or in the field of a struct: `as_text` reads it. What a
    struct has where it is null may be anything. About 5 ns per text.
    """
    rows = batch.num_rows  # len() ends in a SystemError for less than none
    if not 0 <= rows <= _MOST_EMPTY_ROWS + 8 * batch.get_total_buffer_size():
        raise DataError(f"a batch is damaged: it says it has {rows} rows, of which there is nothing")
    for place, name in enumerate(batch.schema.names):
        try:
            _validate(batch.column(place))
        except KeyError as error:
            raise no_such_type(batch.schema.types[place]) from error
        except (pa.ArrowException, UnicodeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise DataError(f"column {name!r} is damaged: {reason}") from error
    return batch


def _validate(column: pa.Array) -> None:
    """Raises ArrowInvalid for a column that is not sound."""
    if pa.types.is_struct(column.type):
        column.validate()
        for _, part in fields_of(column):
            _validate(part)
    else:
        kind = _AS_BYTES.get(column.type)
        (column if kind is None else column.view(kind)).validate(full=True)


def require_indices(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, as it is; DataError if a dictionary column has an index without a value. 0.2 ns a row."""
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            _require_within(column.indices, column.dictionary)
    return batch


def _require_within(indices: pa.Array, values: Sized) -> None:
    ends = pc.min_max(indices).as_py()
    if ends["min"] is not None and not 0 <= ends["min"] <= ends["max"] < len(values):
        raise no_such_value(values)


def no_such_value(dictionary: Sized) -> DataError:
    """The error for indices that lie outside of a dictionary."""
    return DataError(f"a dictionary of {len(dictionary)} values has no value of some of its indices")


def of_rows(values: npt.NDArray[T], missing: T, column: pa.DictionaryArray) -> npt.NDArray[T]:
    """What belongs to every row of a dictionary column, of the values of its dictionary; `missing` for null.

    Raises DataError for an index without a value.

    >>> of_rows(np.array([1.5, 2.5]), np.float64(0), pa.array(["b", None, "a", "b"]).dictionary_encode())
    array([1.5, 0. , 2.5, 1.5])
    """
    n = len(values)
    _require_within(column.indices, values)
    indices = column.indices.cast(pa.int64())
    found: npt.NDArray[T] = np.append(values, missing)[indices.fill_null(n).to_numpy(zero_copy_only=False)]
    return found
