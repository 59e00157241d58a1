"""What of a job can be read at any time: its results, forecasts and categories."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa

from . import categories
from .config import JobConfig
from .current import CurrentScores
from .engine import Engine
from .forecasts import Forecasts
from .intake import Intake


class Outcome:
    """The part of `Job` that is read: tables, in whatever state the job is."""

    config: JobConfig
    _engine: Engine
    _current: CurrentScores
    _intake: Intake
    _forecasts: Forecasts
    _lock: threading.RLock

    def buckets(self, *, exclude_interim: bool = False) -> pa.Table:
        """The bucket results so far, in time order, interim ones last; schema `results.BUCKETS`."""
        with self._lock:
            return self._current.table("buckets", exclude_interim=exclude_interim)

    def records(self, *, exclude_interim: bool = False) -> pa.Table:
        """The anomaly records so far, bucket by bucket; schema `results.RECORDS`."""
        with self._lock:
            return self._current.table("records", exclude_interim=exclude_interim)

    def influencers(self, *, exclude_interim: bool = False) -> pa.Table:
        """The values that records are blamed on so far, by time, then by score; `results.INFLUENCERS`.

        Empty unless ``analysis_config`` of the job names `influencers`.
        """
        with self._lock:
            return self._current.table("influencers", exclude_interim=exclude_interim)

    def model_plot(self) -> pa.Table:
        """What the plotted series were expected to be, final bucket by final bucket; `results.MODEL_PLOT`.

        Empty unless ``model_plot_config`` of the job is enabled; its ``terms`` choose the series.
        """
        with self._lock:
            return self._engine.results.table("model_plot", exclude_interim=True)

    def forecasts(self, forecast_id: str | None = None) -> pa.Table:
        """The points of all forecasts that are kept, or of those of a comma list of ids."""
        with self._lock:
            return self._forecasts.table(forecast_id)

    def delete_forecast(self, forecast_id: str = "_all", *, allow_no_forecasts: bool = True) -> None:
        """Drops forecasts by a comma list of ids, or all; RequestError for one that does not exist."""
        with self._lock:
            self._forecasts.delete(forecast_id, allow_no_forecasts=allow_no_forecasts)

    @property
    def forecasts_stats(self) -> dict[str, Any]:
        """What the statistics of the job say of its forecasts, as the JSON API has it."""
        with self._lock:
            return self._forecasts.stats()

    def categories(self) -> pa.Table:
        """The categories of messages so far, by id; schema `results.CATEGORIES`.

        Empty unless the job has a ``categorization_field_name``.
        """
        with self._lock:
            return categories.table(self.config, self._intake.categorizer, self._intake.names)

    def categorizer_stats(self) -> pa.Table:
        """What became of the messages, for every partition if each has its own categories.

        The schema is `results.CATEGORIZER_STATS`; empty unless messages are categorised.
        """
        with self._lock:
            return categories.stats_table(self.config, self._intake.categorizer, self._intake.names)
