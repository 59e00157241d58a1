"""Results of the jobs of a store, as people ask for them; reading never waits for a writer."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..current import by_score
from ..errors import NotFoundError
from ..forecasts import now_ms
from ..results import FORECAST
from .chunks import SCHEMAS
from .database import Database
from .export import export
from .expressions import expand


class Answers:
    """The part of `Store` that reads results; all of a call is as of one moment.

    Results are those of buckets from `start` to before `end` (times as in `Job.flush`) with at least a score,
    sorted by the column `sort`, downwards with `desc`; of these `size` (all, if it is None) from `from_` on.
    Wrong arguments are a RequestError, an unknown job is a NotFoundError.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def _results(self, job_id: str, kind: str, **options: Any) -> pa.Table:
        with self._database.reading() as view:
            return view.results(job_id, kind, **options).table

    def count(self, job_id: str, kind: str, **options: Any) -> int:
        """How many results of a kind match, whatever page is asked for."""
        with self._database.reading() as view:
            return view.results(job_id, kind, **{**options, "size": 0}).count

    def in_order(self, job_id: str, kind: str, *, exclude_interim: bool = False) -> pa.Table:
        """All results of a kind in the order they came, interim ones last, as `Job` gives them."""
        with self._database.reading() as view:
            view.require_job(job_id)
            interim = False if exclude_interim else None
            batches = [batch for _, batch in view.chunks(job_id, kind, interim=interim)]
        table = pa.Table.from_batches(batches, SCHEMAS[kind])
        if kind != "influencers":
            return table
        final = table.num_rows - pc.sum(table["is_interim"]).as_py() if table.num_rows else 0
        return by_score(table, table["influencer_score"].to_numpy(), final)

    def buckets(self, job_id: str, *, anomaly_score: float = 0.0, **options: Any) -> pa.Table:
        """Bucket results, by time; schema `results.BUCKETS`."""
        return self._results(job_id, "buckets", min_score=anomaly_score, **options)

    def bucket(self, job_id: str, timestamp: Any, *, exclude_interim: bool = False) -> pa.Table:
        """The bucket that starts at a time; NotFoundError if there is none."""
        with self._database.reading() as view:
            return view.bucket(job_id, timestamp, exclude_interim=exclude_interim)

    def records_of_bucket(self, job_id: str, start_ms: int, *, exclude_interim: bool = False) -> pa.Table:
        """The records of the bucket that starts then, the least probable first."""
        with self._database.reading() as view:
            return view.records_of_bucket(job_id, start_ms, exclude_interim=exclude_interim)

    def records(self, job_id: str, *, record_score: float = 0.0, **options: Any) -> pa.Table:
        """Anomaly records, the highest score first; schema `results.RECORDS`."""
        return self._results(job_id, "records", min_score=record_score, **options)

    def influencers(self, job_id: str, *, influencer_score: float = 0.0, **options: Any) -> pa.Table:
        """What records are blamed on, the highest score first; schema `results.INFLUENCERS`."""
        return self._results(job_id, "influencers", min_score=influencer_score, **options)

    def model_plot(self, job_id: str, **options: Any) -> pa.Table:
        """What the plotted series were expected to be; schema `results.MODEL_PLOT`."""
        return self._results(job_id, "model_plot", **options)

    def overall_buckets(self, expr: str = "_all", **options: Any) -> pa.Table:
        """How unusual several jobs were together; options as of `tidegate.overall_buckets`."""
        allow_no_match = bool(options.pop("allow_no_match", True))
        with self._database.reading() as view:
            chosen = expand(expr, view.groups(), allow_no_match=allow_no_match)
            return view.overall_buckets(chosen, **options)

    def categories(self, job_id: str, category_id: int | None = None, **options: Any) -> pa.Table:
        """The categories of messages as of the last flush or close; schema `results.CATEGORIES`."""
        with self._database.reading() as view:
            return view.categories(job_id, category_id, **options).table

    def categorizer_stats(self, job_id: str) -> pa.Table:
        """What became of the messages; schema `results.CATEGORIZER_STATS`."""
        return self._results(job_id, "categorizer_stats")

    def forecasts(self, job_id: str, forecast_id: str | None = None) -> pa.Table:
        """The points of all forecasts that have not expired, or of those of a comma list of ids."""
        with self._database.reading() as view:
            view.require_job(job_id)
            now = now_ms()
            present = [
                one.forecast_id
                for one in view.forecasts(job_id)
                if one.expires_ms is None or one.expires_ms > now
            ]
            if forecast_id not in (None, "_all", "*"):
                wanted = list(dict.fromkeys(part.strip() for part in str(forecast_id).split(",")))
                if unknown := [one for one in wanted if one not in present]:
                    raise NotFoundError(f"No forecast(s) [{', '.join(unknown)}] exists for job [{job_id}]")
                present = wanted
            points = [view.forecast_points(job_id, one) for one in present]
        return pa.concat_tables([FORECAST.empty_table(), *points])

    def messages(self, job_id: str) -> list[dict[str, Any]]:
        """What happened to a job, in words, the oldest first."""
        with self._database.reading() as view:
            view.require_job(job_id)
            return [
                {"timestamp": one.time_ms, "level": one.level, "message": one.text, "job_id": one.job_id}
                for one in view.messages(job_id)
            ]

    def export(
        self,
        job_id: str,
        path: str | os.PathLike[str],
        kinds: Collection[str] | None = None,
        *,
        ending: str = ".parquet",
    ) -> list[Path]:
        """Writes results to a file (of one kind, by its ending), or to a folder with a file for each kind.

        Endings are those of `tidegate detect --output`: .parquet, .arrow, .ndjson, .json, .csv and others.
        Returns the files.
        """
        return export(self._database, job_id, path, kinds, ending=ending)
