"""What is done to a job in a crash test: a script of acts that follows from a seed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tidegate import Store

SPAN_S = 300
JOB_ID = "crashing"

CONFIGS: tuple[dict[str, Any], ...] = (
    {
        "analysis_config": {
            "bucket_span": "5m",
            "detectors": [
                {"function": "mean", "field_name": "value", "by_field_name": "host"},
                {"function": "high_count", "partition_field_name": "site"},
            ],
            "influencers": ["host", "site"],
        },
        "data_description": {"time_field": "time", "time_format": "epoch"},
        "model_plot_config": {"enabled": True, "terms": "h1"},
    },
    {
        "analysis_config": {
            "bucket_span": "5m",
            "latency": "10m",
            "detectors": [
                {"function": "rare", "by_field_name": "host", "partition_field_name": "site"},
                {"function": "median", "field_name": "value"},
                {"function": "distinct_count", "field_name": "host"},
            ],
        },
        "data_description": {"time_field": "time", "time_format": "epoch"},
    },
    {
        "analysis_config": {
            "bucket_span": "5m",
            "categorization_field_name": "message",
            "detectors": [
                {"function": "sum", "field_name": "value", "over_field_name": "host"},
                {"function": "count", "by_field_name": "mlcategory"},
            ],
            "influencers": ["site"],
        },
        "data_description": {"time_field": "time", "time_format": "epoch"},
    },
)


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that is done; `records` are those of a post."""

    name: str
    do: Callable[[Store], None]
    records: int = 0


def records(rng: np.random.Generator, first_s: int, last_s: int, n: int) -> pa.Table:
    """Records of a time range, with something unusual in about every second table."""
    time = np.sort(rng.integers(first_s, last_s, n))
    host = rng.integers(0, 6, n)
    value = rng.normal(10.0 + host, 1.0)
    if rng.random() < 0.5:
        value[rng.integers(0, n, max(n // 20, 1))] *= rng.uniform(5.0, 20.0)
    names = np.array([f"h{k}" for k in range(6)] + ["stranger"])
    rare = rng.random(n) < 0.01
    return pa.table(
        {
            "time": time,
            "host": names[np.where(rare, 6, host)],
            "site": np.array(["north", "south"])[host % 2],
            "value": value,
            "message": [f"user {k} logged {'in' if k % 2 else 'out'} on h{k}" for k in host],
            "unread": rng.random(n),
        }
    )


def script(seed: int, length: int) -> Iterator[Act]:
    """The acts of a seed."""
    rng = np.random.default_rng(seed)
    now = 1_700_000_100
    for _ in range(length):
        draw = rng.random()
        if draw < 0.6:
            until = now + int(rng.integers(60, 6 * SPAN_S))
            table = records(rng, now, until, int(rng.integers(5, 400)))
            yield Act("post", _on_job(lambda job, table=table: job.post(table)), len(table))
            now = until
        elif draw < 0.7:
            yield Act("flush", _on_job(lambda job: job.flush(calc_interim=True)))
        elif draw < 0.76:
            now += int(rng.integers(0, 3 * SPAN_S))
            yield Act("advance", _on_job(lambda job, to=now: job.flush(advance_time=to, calc_interim=True)))
        elif draw < 0.8:
            now += int(rng.integers(0, 2 * SPAN_S))
            yield Act("skip", _on_job(lambda job, to=now: job.flush(skip_time=to)))
            now += SPAN_S
        elif draw < 0.88:
            yield Act("snapshot", _on_job(lambda job: job.persist()))
        elif draw < 0.93:
            yield Act("close", _on_job(lambda job: job.close()))
        else:
            yield Act("revert", _revert)
    yield Act("close", _on_job(lambda job: job.close()))


def _on_job(do: Callable[[Any], Any]) -> Callable[[Store], None]:
    """The act on the open job, which is opened for it if it is closed."""

    def act(store: Store) -> None:
        do(store.opened_job(JOB_ID) or store.open_job(JOB_ID, threads=1))

    return act


def _revert(store: Store) -> None:
    """Goes back to the newest snapshot, if there is one; what came after it is gone."""
    store.close_job(JOB_ID, force=True)
    snapshots = store.model_snapshots(JOB_ID)
    if snapshots:
        store.revert(JOB_ID, snapshots[0]["snapshot_id"], delete_intervening_results=True)


def prepare(folder: Path, seed: int) -> None:
    """Makes the store with its job."""
    with Store(folder) as store:
        store.put_job({**CONFIGS[seed % len(CONFIGS)], "job_id": JOB_ID})
