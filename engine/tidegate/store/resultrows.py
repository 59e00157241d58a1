"""Results in the database: the chunks of each kind, and how they grow, change and go."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..cells import F64, I64
from ..errors import StoreError
from .chunks import (
    FAN,
    FULL_BYTES,
    SCHEMAS,
    Packed,
    in_pieces,
    joined,
    level,
    limited,
    pack,
    times,
    top_score,
    unpack,
)
from .jobrows import JobsView

TIMED = ("buckets", "records", "influencers", "model_plot")
"""Kinds that come in time order; the others are tables that are replaced whole."""
_BLOCK = 512
"""Limits that are read and written at once: 4 KB, a page."""
_COLUMNS = "chunk, kind, is_interim, first_row, row_count, first_time, last_time, nbytes"


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A row of the table of chunks without its payload."""

    number: int
    kind: str
    is_interim: bool
    first_row: int
    rows: int
    first_time: int
    last_time: int
    nbytes: int

    def kept(self, before_ms: float, from_ms: float) -> tuple[int, int] | None:
        """Which rows stay if those before one time, and from another on, go; None: look at their times."""
        if self.last_time < before_ms:
            return self.rows, self.rows
        if self.first_time >= from_ms:
            return 0, 0
        return (0, self.rows) if self.first_time >= before_ms and self.last_time < from_ms else None


class ResultsView(JobsView):
    """Results to read, chunk by chunk."""

    def next_rows(self, job_id: str) -> dict[str, int]:
        """How many final rows each kind has had so far: the number that the next one gets."""
        rows = self._sql.execute(
            "SELECT kind, max(first_row + row_count) FROM chunks"
            " WHERE job = ? AND NOT is_interim GROUP BY kind",
            (job_id,),
        ).fetchall()
        return {**dict.fromkeys(TIMED, 0), **dict(rows)}

    def chunks(
        self,
        job_id: str,
        kind: str,
        *,
        interim: bool | None = False,
        start_ms: int | None = None,
        end_ms: int | None = None,
        least: float = 0.0,
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Chunks that may have rows of these times and at least this score: first row's number, and rows.

        In order, final ones before interim ones (None: both), with scores as they are by now.
        """
        where = "job = ? AND kind = ? AND row_count > 0"
        values: list[object] = [job_id, kind]
        for condition, value in (
            ("is_interim = ?", interim),
            ("last_time >= ?", start_ms),
            ("first_time < ?", end_ms),
            ("top_score >= ?", least or None),
        ):
            if value is not None:
                where = f"{where} AND {condition}"
                values.append(value)
        for chunk in self._found(where, values):
            yield chunk.first_row, self._rows_of(chunk)

    def _found(
        self, where: str, values: Sequence[object], order: str = "is_interim, first_row"
    ) -> list[_Chunk]:
        query = f"SELECT {_COLUMNS} FROM chunks WHERE {where} ORDER BY {order}"
        return [
            _Chunk(number, kind, bool(interim), *rest)
            for number, kind, interim, *rest in self._sql.execute(query, values).fetchall()
        ]

    def _rows_of(self, chunk: _Chunk) -> pa.RecordBatch:
        """The rows of a chunk with their scores by now."""
        checksum, payload = self._sql.execute(
            "SELECT checksum, payload FROM chunks WHERE chunk = ?", (chunk.number,)
        ).fetchone()
        try:
            batch = unpack(Packed(chunk.rows, chunk.nbytes, checksum, payload), SCHEMAS[chunk.kind])
        except (ValueError, pa.ArrowException, OSError, TypeError, KeyError) as error:
            raise self._damaged(f"chunk {chunk.number} of {chunk.kind}: {error}") from None
        limit = self._limit(chunk)
        return batch if limit is None else limited(chunk.kind, batch, limit)

    def _limit(self, chunk: _Chunk) -> F64 | None:
        found = self._sql.execute("SELECT score FROM limits WHERE chunk = ?", (chunk.number,)).fetchone()
        if found is None:
            return None
        if not isinstance(found[0], bytes) or len(found[0]) != 8 * chunk.rows:
            raise self._damaged(f"scores of chunk {chunk.number} of {chunk.kind}")
        return np.frombuffer(found[0], "<f8")


class ResultsEdit(ResultsView):
    """Results to change."""

    def add_results(
        self, job_id: str, kind: str, table: pa.Table | pa.RecordBatch, *, interim: bool = False
    ) -> int:
        """Adds rows of a kind at the end; returns the number of the first one.

        They have the schema of `results` and are in time order, none before those that are there.
        """
        self.require_job(job_id)
        table = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
        if not table.schema.equals(SCHEMAS[kind]):
            raise StoreError(f"{kind} of job '{job_id}' do not have the columns of {kind}")
        tail = self._tail(job_id, kind, interim)
        first = tail[0].first_row + tail[0].rows if tail else 0
        for batch in in_pieces(table):
            self._append(job_id, kind, batch, interim)
        return first

    def drop_interim(self, job_id: str) -> None:
        """Removes all interim results of a job."""
        self._sql.execute("DELETE FROM chunks WHERE job = ? AND is_interim", (job_id,))

    def replace_table(self, job_id: str, kind: str, table: pa.Table) -> None:
        """Puts a table (categories, categorizer_stats) in the place of what there was of its kind."""
        self._sql.execute("DELETE FROM chunks WHERE job = ? AND kind = ?", (job_id, kind))
        self.add_results(job_id, kind, table)

    def rescore(self, job_id: str, kind: str, rows: I64, scores: F64) -> None:
        """Says what final rows score by now, by their numbers; what they scored first stays beside it.

        A score is never more than the first one. Of a bucket it is the largest score of its records:
        the bucket and each of its influencers score at most that. Rows that retention has dropped are
        passed over. A page of the file is written for each 512 rows near one another.
        """
        order = np.argsort(rows, kind="stable")
        row, score = np.asarray(rows, np.int64)[order], np.asarray(scores, np.float64)[order]
        if not len(row):
            return
        where = "job = ? AND kind = ? AND NOT is_interim AND first_row + row_count > ? AND first_row <= ?"
        tail = self._tail(job_id, kind, False)
        if not tail or row[-1] >= tail[0].first_row + tail[0].rows:
            raise StoreError(f"{kind} of job '{job_id}': there is no row {row[-1]} to give a score")
        for chunk in self._found(where, [job_id, kind, int(row[0]), int(row[-1])]):
            here = slice(*np.searchsorted(row, [chunk.first_row, chunk.first_row + chunk.rows]))
            if here.start < here.stop:
                self._set_limits(chunk, row[here] - chunk.first_row, score[here])

    def drop_results(self, job_id: str, *, from_ms: int | None = None, before_ms: int | None = None) -> None:
        """Removes results from a time on, or before one; without times all of them, categories too.

        The rows that stay keep their numbers. Those to come go on from the last one that stays, or that
        went because it was old.
        """
        if from_ms is None and before_ms is None:
            self._sql.execute("DELETE FROM chunks WHERE job = ?", (job_id,))
            return
        upper = math.inf if from_ms is None else from_ms
        lower = -math.inf if before_ms is None else min(before_ms, upper)
        for kind in TIMED:
            self._cut(job_id, kind, lower, upper)

    def _cut(self, job_id: str, kind: str, lower: float, upper: float) -> None:
        """Keeps the rows of a kind with lower <= time < upper."""
        left = 0
        following: int | None = None
        for chunk in self._found("job = ? AND kind = ? AND row_count > 0", [job_id, kind]):
            start, stop = chunk.kept(lower, upper) or self._rows_between(chunk, lower, upper)
            if not chunk.is_interim:
                left += stop - start
                if stop or following is None:
                    following = chunk.first_row + stop
            if stop - start < chunk.rows:
                kept = None if start == stop else self._rows_of(chunk).slice(start, stop - start)
                self._delete_chunks([chunk])
                if kept is not None:
                    self._insert_chunk(job_id, kind, chunk.is_interim, chunk.first_row + start, kept)
        if following and not left:
            self._insert_chunk(job_id, kind, False, following, SCHEMAS[kind].empty_table().combine_chunks())

    def _rows_between(self, chunk: _Chunk, lower: float, upper: float) -> tuple[int, int]:
        start, stop = np.searchsorted(times(self._rows_of(chunk)), [lower, upper])
        return int(start), int(stop)

    def _tail(self, job_id: str, kind: str, interim: bool) -> list[_Chunk]:
        """The last chunks, the very last first: as many as could be joined."""
        where = "job = ? AND kind = ? AND is_interim = ?"
        return self._found(where, [job_id, kind, interim], f"first_row DESC LIMIT {16 * FAN}")

    def _append(self, job_id: str, kind: str, batch: pa.RecordBatch, interim: bool) -> None:
        """Adds a batch as a chunk, joined with those before it when there are many of their size."""
        tail = self._tail(job_id, kind, interim)
        time = times(batch)
        if (np.diff(time) < 0).any() or (tail and tail[0].rows and time[0] < tail[0].last_time):
            raise StoreError(f"{kind} of job '{job_id}' are not in time order; nothing was added")
        group = _to_join(tail, batch.num_rows, batch.nbytes)
        first = tail[0].first_row + tail[0].rows if tail else 0
        if group:
            first = group[-1].first_row
            earlier = [self._rows_of(chunk) for chunk in reversed(group)]
            batch = joined([*earlier, batch], SCHEMAS[kind])
            self._delete_chunks(group)
        self._insert_chunk(job_id, kind, interim, first, batch)

    def _insert_chunk(
        self, job_id: str, kind: str, interim: bool, first_row: int, batch: pa.RecordBatch | pa.Table
    ) -> None:
        rows = batch.num_rows
        if rows:
            time = times(batch)
            packed, first_time, last_time = pack(batch), int(time[0]), int(time[-1])
            top = top_score(kind, batch)
        else:
            packed, first_time, last_time, top = Packed(0, 0, 0, b""), 0, 0, 0.0
        self._sql.execute(
            "INSERT INTO chunks (job, kind, is_interim, first_row, row_count, first_time, last_time,"
            " top_score, nbytes, checksum, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(job_id, kind, interim, first_row, rows, first_time, last_time, top),
                *(packed.nbytes, packed.checksum, packed.payload),
            ),
        )

    def _delete_chunks(self, chunks: list[_Chunk]) -> None:
        self._sql.executemany("DELETE FROM chunks WHERE chunk = ?", [(chunk.number,) for chunk in chunks])

    def _set_limits(self, chunk: _Chunk, row: I64, score: F64) -> None:
        """Writes the limits of rows of a chunk, block by block, where they are in the file."""
        if self._sql.execute("SELECT 1 FROM limits WHERE chunk = ?", (chunk.number,)).fetchone() is None:
            limit = np.full(chunk.rows, np.nan, "<f8")
            limit[row] = score
            self._sql.execute(
                "INSERT INTO limits (chunk, score) VALUES (?, ?)", (chunk.number, limit.tobytes())
            )
            return
        starts = np.flatnonzero(np.diff(row // _BLOCK, prepend=-1))
        with self._sql.blobopen("limits", "score", chunk.number) as blob:
            if len(blob) != 8 * chunk.rows:
                raise self._damaged(f"scores of chunk {chunk.number} of {chunk.kind}")
            for start, stop in zip(starts, [*starts[1:], len(row)], strict=True):
                at = int(row[start]) // _BLOCK * _BLOCK
                blob.seek(8 * at)
                block = np.frombuffer(blob.read(8 * _BLOCK), "<f8").copy()
                block[row[start:stop] - at] = score[start:stop]
                blob.seek(8 * at)
                blob.write(block.tobytes())


def _to_join(tail: list[_Chunk], rows: int, nbytes: int) -> list[_Chunk]:
    """Which of the last chunks, the very last first, become one with rows to be added."""
    group = [chunk for chunk in tail[:1] if chunk.rows == 0]
    while True:
        more: list[_Chunk] = []
        room = FULL_BYTES - nbytes
        for chunk in tail[len(group) :]:
            room -= chunk.nbytes
            if level(chunk.rows) > level(rows) or room < 0:
                break
            more.append(chunk)
        if len(more) + 1 < FAN:
            return group
        group += more
        rows += sum(chunk.rows for chunk in more)
        nbytes += sum(chunk.nbytes for chunk in more)
