"""Columns of admitted records as codes of key fields, numbers and hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .cells import F64, I32, I64
from .columns import to_degrees, to_float
from .config import JobConfig
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
        return cls(
            keys,
            fields(lambda family: family not in (*_HASHED, "lat_long")),
            hashed,
            fields(lambda family: family == "info_content"),
            positions,
            analysis.analysed_fields(),
            tuple(dict.fromkeys((*keys, *hashed, *positions, *times))),
        )


class Encoder:
    """Turns columns into codes and numbers; the tables of strings only grow, those of texts are swept."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self.names = {field: Interner() for field in fields.keys}
        self.texts = {field: TextStore() for field in fields.kept}
        self._hashers = {field: TextHasher() for field in fields.hashed} | self.texts

    def rows(self, time: I64, columns: Mapping[str, pa.Array]) -> tuple[Rows, int]:
        """Records of these times as rows, and how many of their values are none of their kind."""
        n = len(time)
        values, invalid = self._values(n, columns)
        hashes = {
            field: hasher.hashes(columns[field]) if field in columns else np.zeros(n, np.uint64)
            for field, hasher in self._hashers.items()
        }
        return Rows(np.ascontiguousarray(time), self._codes(n, columns), values, hashes), invalid

    def _codes(self, n: int, columns: Mapping[str, pa.Array]) -> dict[str, I32]:
        return {
            field: names.codes(columns[field]) if field in columns else np.zeros(n, np.int32)
            for field, names in self.names.items()
        }

    def _values(self, n: int, columns: Mapping[str, pa.Array]) -> tuple[dict[Source, F64], int]:
        values: dict[Source, F64] = {}
        invalid = 0
        for field in self._fields.numbers:
            values["number", field] = np.full(n, np.nan)
            if field in columns:
                values["number", field], bad = to_float(columns[field])
                invalid += bad
        for field in self._fields.positions:
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
