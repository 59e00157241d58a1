"""Results on their way from the engine to the database."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from ..results import SCHEMAS, Results, pieces

Tables = dict[str, pa.Table]


class Pending(Results):
    """What a stored job found since the last time that it was written down.

    `restarted` results take the place of all that there are: those were of records that proved strays.
    """

    def __init__(self, *, restarted: bool = False) -> None:
        super().__init__()
        self.restarted = restarted
        self.sweeps = False
        """Whether the interim results that the database has are to go."""

    def add(
        self,
        buckets: pa.RecordBatch,
        records: pa.RecordBatch,
        model_plot: Iterable[pa.RecordBatch] = (),
        influencers: Iterable[pa.RecordBatch] = (),
        *,
        interim: bool,
    ) -> None:
        """Adds the results of a pass."""
        self.sweeps |= self._sweep and buckets.num_rows > 0
        super().add(buckets, records, model_plot, influencers, interim=interim)

    def __bool__(self) -> bool:
        """Whether there is anything to write down."""
        return self.restarted or self.sweeps or bool(self._final["buckets"].rows)

    def final(self, since: int | None = None) -> Tables:
        """The final results, those of buckets from a time on."""
        return {kind: _since(_table(kind, held.batches), since) for kind, held in self._final.items()}

    def interim(self) -> Tables:
        """The interim results."""
        return {kind: _table(kind, held.batches) for kind, held in self._interim.items()}

    def written(self) -> None:
        """Lets go of what is written down now."""
        self._final, self._interim = pieces(), pieces()
        self.restarted = self.sweeps = False


def _table(kind: str, batches: list[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(batches, SCHEMAS[kind])


def _since(table: pa.Table, since: int | None) -> pa.Table:
    return table if since is None else table.filter(pc.greater_equal(table["timestamp"], since))
