"""What a store shows of its jobs, and what it asks of new ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from .. import __version__
from ..config import JobConfig
from ..counts import DataCounts
from ..errors import ConfigError, ExistsError
from ..forecasts import statistics_of
from .durable import StoredJob
from .forecastrows import StoredForecast
from .jobrows import StoredJob as JobRow
from .timing import Timing


def job_shown(row: JobRow) -> dict[str, Any]:
    """The configuration of a job as the JSON API shows it, with what the store adds."""
    added = {
        "create_time": row.created_ms,
        "finished_time": row.finished_ms,
        "model_snapshot_id": row.snapshot_id,
        "job_version": __version__,
    }
    return {**row.config, **{name: value for name, value in added.items() if value is not None}}


def job_stats(row: JobRow, job: StoredJob | None, forecasts: Sequence[StoredForecast]) -> dict[str, Any]:
    """Counts, sizes, state and timing of a job: those of now if it is open here, else those last written."""
    counters = row.counters
    counts = counters.get("data_counts") or DataCounts(job_id=row.job_id).to_dict()
    sizes = counters.get("model_size_stats") or {
        "job_id": row.job_id,
        "model_bytes": 0,
        "memory_status": "ok",
    }
    shown: dict[str, Any] = {
        "job_id": row.job_id,
        "state": row.state,
        "data_counts": counts if job is None else job.data_counts.to_dict(),
        "model_size_stats": sizes if job is None else job.model_size_stats.to_dict(),
        "forecasts_stats": _forecast_stats(forecasts),
        "timing_stats": Timing(**counters.get("timing", {})).to_dict(
            row.job_id, JobConfig.parse(row.config).analysis_config.bucket_span_ms
        ),
    }
    if job is not None:
        shown["open_time"] = f"{int(time.time() - job.opened_at)}s"
    return shown


def _forecast_stats(forecasts: Sequence[StoredForecast]) -> dict[str, Any]:
    present = [one.info for one in forecasts if one.expires_ms is None or one.expires_ms > time.time() * 1000]
    return statistics_of(present)


def require_names(config: JobConfig, others: Mapping[str, Sequence[str]]) -> None:
    """Raises ExistsError if the id of a job is a group of another one, or a group of it is a job."""
    names = [(config.job_id, groups) for groups in others.values()]
    names += [(other, config.groups) for other in (*others, config.job_id)]
    for job_id, groups in names:
        if job_id in groups:
            both = f"job [{job_id}] and group [{job_id}]"
            raise ExistsError(f"job and group names must be unique but {both} have the same name")


def require_memory(config: JobConfig, row: JobRow) -> None:
    """Raises ConfigError for a limit below what the models of a closed job take."""
    usage = int((row.counters.get("model_size_stats") or {}).get("model_bytes", 0))
    limit = config.analysis_limits.model_memory_limit_bytes
    known = JobConfig.parse(row.config).analysis_limits.model_memory_limit_bytes
    if limit < min(usage, known):
        message = (
            "Invalid update value for analysis_limits: model_memory_limit cannot be decreased below "
            f"current usage; current usage [{-(-usage >> 20)}mb], "
            f"update had [{config.analysis_limits.model_memory_limit}]"
        )
        raise ConfigError([("analysis_limits.model_memory_limit", message)])
