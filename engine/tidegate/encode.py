"""Columns of admitted records as codes of key fields, numbers and hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .categorize import Categorizer
from .cells import F64, I32, I64
from .columns import to_degrees, to_float
from .config import JobConfig
from .config.analysis import MLCATEGORY
from .kept import INSIDE, Keeper
from .keys import U64, Interner
from .position import AXES, vectors_of
from .rows import Rows, Source
from .texts import TextHasher, TextStore

_HASHED = ("distinct_count", "info_content")


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields the job reads, and as what."""

    keys: tuple[str, ...]
    """By, over and partition fields, and influencers."""
    numbers: tuple[str, ...]
    hashed: tuple[str, ...]
    """Whose values are told apart by the hashes of their text."""
    kept: tuple[str, ...]
    """Those of them whose text is needed until its bucket closes."""
    positions: tuple[str, ...]
    analysed: tuple[str, ...]
    texts: tuple[str, ...]
    """Fields that readers must leave as the text they are; a pattern for the time needs it too."""
    message: str | None
    """The field whose categories are the field mlcategory."""

    @classmethod
    def of(cls, config: JobConfig) -> Fields:
        """The fields of a job."""
        analysis, time = config.analysis_config, config.data_description

        def fields(wanted: Callable[[str], bool]) -> tuple[str, ...]:
            """The fields of the detectors whose family of functions is wanted, once each."""
            named = ((d.spec.family, d.field_name) for d in analysis.detectors)
            return tuple(dict.fromkeys(name for family, name in named if name is not None and wanted(family)))

        splits = [name for detector in analysis.detectors for name in detector.split_fields]
        keys = tuple(dict.fromkeys((*splits, *analysis.influencers)))
        hashed = fields(lambda family: family in _HASHED)
        positions = fields(lambda family: family == "lat_long")
        by_pattern = time.time_format not in ("epoch", "epoch_ms")
        times = (time.time_field,) if by_pattern else ()
        message = analysis.categorization_field_name
        read = (name for name in (*keys, *hashed, *positions, message, *times) if name is not None)
        return cls(
            keys,
            fields(lambda family: family not in (*_HASHED, "lat_long")),
            hashed,
            fields(lambda family: family == "info_content"),
            positions,
            analysis.analysed_fields(),
            tuple(dict.fromkeys(name for name in read if name != MLCATEGORY)),
            message,
        )


class Encoder(Keeper):
    """Turns columns into codes and numbers; strings and texts that nobody needs are swept."""

    KEPT: ClassVar = {"names": INSIDE, "texts": INSIDE, "categorizer": INSIDE}

    def __init__(self, config: JobConfig) -> None:
        self.fields = Fields.of(config)
        fields = self.fields
        self.names = {field: Interner() for field in fields.keys}
        self.categorizer = None if fields.message is None else Categorizer.of(config)
        self._category_partition = config.analysis_config.category_partition
        if self.categorizer is not None:
            self.names[MLCATEGORY] = self.categorizer.names
        self.texts = {field: TextStore() for field in fields.kept}
        self._hashers = {field: TextHasher() for field in fields.hashed} | self.texts

    def forget_names(self, used: Callable[[str], Iterable[npt.NDArray[np.integer]]]) -> dict[str, I32]:
        """Lets go of strings that nobody needs, once they are many; `used` gives the codes of a field.

        Returns the new codes by the old ones, of the fields in which there are any.
        """
        fixed = (MLCATEGORY, self._category_partition)
        due = [field for field, names in self.names.items() if field not in fixed and names.is_due]
        return {field: self.names[field].sweep(used(field)) for field in due}

    def no_rows(self) -> Rows:
        """Rows as this makes them, without any."""
        return self.rows(np.zeros(0, np.int64), {})[0]

    def rows(self, time: I64, columns: Mapping[str, pa.Array]) -> tuple[Rows, int]:
        """Records of these times as rows, and how many of their values are none of their kind."""
        n = len(time)
        values, invalid = self._values(n, columns)
        hashes = {
            field: hasher.hashes(columns[field]) if field in columns else np.zeros(n, np.uint64)
            for field, hasher in self._hashers.items()
        }
        # Categories last: when all else could be read, so that every message counts once.
        return Rows(np.ascontiguousarray(time), self._codes(n, columns), values, hashes), invalid

    def _codes(self, n: int, columns: Mapping[str, pa.Array]) -> dict[str, I32]:
        codes = {
            field: names.codes(columns[field]) if field in columns else np.zeros(n, np.int32)
            for field, names in self.names.items()
            if field != MLCATEGORY
        }
        if MLCATEGORY in self.fields.keys:
            codes[MLCATEGORY] = self._categories(n, columns, codes)
        return codes

    def _categories(self, n: int, columns: Mapping[str, pa.Array], codes: Mapping[str, I32]) -> I32:
        """The codes of the categories of the messages."""
        messages = None if self.fields.message is None else columns.get(self.fields.message)
        if self.categorizer is None or messages is None:
            return np.zeros(n, np.int32)
        if self._category_partition is None:
            return self.categorizer.codes(messages)
        return self.categorizer.codes(messages, codes[self._category_partition])

    def _values(self, n: int, columns: Mapping[str, pa.Array]) -> tuple[dict[Source, F64], int]:
        values: dict[Source, F64] = {}
        invalid = 0
        for field in self.fields.numbers:
            values["number", field] = np.full(n, np.nan)
            if field in columns:
                values["number", field], bad = to_float(columns[field])
                invalid += bad
        for field in self.fields.positions:
            latitude, longitude, bad = to_degrees(columns.get(field, pa.nulls(n, pa.string())))
            invalid += bad
            for axis, coordinate in zip(AXES, vectors_of(latitude, longitude), strict=True):
                values[axis, field] = coordinate
        return values, invalid

    def forget_texts(self, used: Callable[[str], Iterable[U64]]) -> None:
        """Lets go of texts that nobody needs, once they are many; `used` gives the hashes of a field."""
        for field, store in self.texts.items():
            if store.is_due:
                store.sweep(used(field))
