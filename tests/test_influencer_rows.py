"""Influencers: which rows are kept and forgotten, and values of every kind."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from tests.influence_run import (
    HOUR,
    START,
    burst,
    finished,
    folding,
    hourly,
    job_of,
    record_at,
    results,
    worst,
)
from tests.test_laws import assert_identical

# What is forgotten, and what is kept


@pytest.mark.parametrize("fold_rows", [0, 1 << 22])
def test_a_reset_bucket_blames_nobody_of_before(fold_rows: int) -> None:
    """Rows of a bucket that was reset are forgotten, folded or not."""
    with folding(fold_rows):
        job = job_of({"function": "high_count"}, "user", latency="2h")
    job.post(hourly(60, 60, user=50))
    job.post(burst(60, 200, user="wrong"))
    job.post(burst(60, 200, user="right"), reset_start=START + 60 * HOUR)
    job.flush(advance_time=START + 70 * HOUR)
    assert record_at(job, 60)["influencers"] == {"user": ["right"]}


def test_skipped_rows_are_forgotten() -> None:
    """What a skip drops is blamed for nothing, and keeps no memory."""
    job = job_of({"function": "high_count"}, "user", latency="2h")
    job.post(hourly(60, 60, user=50))
    job.flush()
    assert job._engine.influencers.log.nbytes > 0
    job.flush(skip_time=START + 100 * HOUR)
    assert job._engine.influencers.log.nbytes == 0


@pytest.mark.parametrize("latency", ["0s", "4h"])
def test_only_rows_of_open_buckets_are_kept(latency: str) -> None:
    """Between calls the log has the rows of open buckets only, however many came before."""
    job = job_of({"function": "mean", "field_name": "x"}, "user", latency=latency)
    records = hourly(300, 60, user=50)
    sizes = []
    for start in range(0, len(records), 500):
        job.post(records[start : start + 500])
        job.flush()
        sizes.append(job._engine.influencers.log.nbytes)
    open_rows = 60 * (5 if latency == "4h" else 1)
    assert max(sizes) <= 3 * open_rows * (4 + 8)


def test_folded_buckets_take_as_much_as_they_have_pairs() -> None:
    """However many rows a bucket has, what is kept depends on its distinct values, if those are few."""
    rng = np.random.default_rng(1)
    sizes: dict[int, list[int]] = {100: [], 1 << 30: []}
    for n_users, of_job in sizes.items():
        with mock.patch("tidegate.rowlog.FOLD_ROWS", 1000):
            job = job_of({"function": "mean", "field_name": "x"}, "user")
        for _ in range(10):
            n = 20_000
            users = [f"u{k}" for k in rng.integers(0, n_users, n)]
            job.post({"t": np.full(n, START + HOUR), "x": rng.normal(size=n), "user": users})
            job.flush()
            of_job.append(job._engine.influencers.log.nbytes)
    assert sizes[100][-1] == sizes[100][0] < 100_000
    assert sizes[1 << 30][-1] == 200_000 * (4 + 8)


def test_what_the_caller_changes_later_does_not_matter() -> None:
    """Numbers that share memory with the caller are copied before a call returns."""
    records = hourly(61, 600, user=50)
    time, x = np.array([r["t"] for r in records]), np.array([r["x"] for r in records])
    user = [r["user"] for r in records]
    for i, record in enumerate(records):
        if record["user"] == "user7" and record["t"] >= START + 60 * HOUR:
            x[i] += 300.0
    job = job_of({"function": "mean", "field_name": "x"}, "user")
    with mock.patch("tidegate.job._BUFFER_ROWS", 1):
        job.post({"t": time, "x": x, "user": user})
    x[:] = 1e6
    job.flush(advance_time=START + 61 * HOUR)
    assert record_at(job, 60)["influencers"] == {"user": ["user7"]}


def test_a_restarted_job_blames_no_stray() -> None:
    """When the first records prove to be strays, their rows are forgotten with them."""
    stray = burst(40_000, 5, user="stray")
    job = finished({"function": "high_count"}, hourly(72, 60, user=50) + burst(60, 90, user="m"), "user")
    other = job_of({"function": "high_count"}, "user")
    other.post(stray)
    other.flush()
    other.post(sorted(hourly(72, 60, user=50) + burst(60, 90, user="m"), key=lambda r: r["t"]))
    other.flush(advance_time=START + 73 * HOUR)
    assert record_at(other, 60)["influencers"] == {"user": ["m"]}
    assert_identical(results(other), results(job))


# Odd fields


def test_missing_and_empty_values_influence_nothing() -> None:
    """Null, empty text and a field that is nowhere are no influencers."""
    records = hourly(72, 60, user=50)
    records += [*burst(60, 100, user=None), *burst(60, 100, user="")]
    job = finished({"function": "high_count"}, records, "user", "nowhere")
    assert record_at(job, 60)["influencers"] == {}
    assert worst(job, 60) == {}


@pytest.mark.parametrize("value", [7, 7.5, True])
def test_values_that_are_no_text(value: Any) -> None:
    """Numbers and booleans influence as the text that JSON has for them."""
    records = [*hourly(72, 60), *burst(60, 100, n=value)]
    job = finished({"function": "high_count"}, records, "n")
    assert record_at(job, 60)["influencers"] == {"n": [str(value).lower()]}


def test_dictionary_columns() -> None:
    """Dictionary-encoded columns, nulls among them, blame the same values as text does."""
    records = [*hourly(72, 60, user=50), *burst(60, 100, user="mallory"), *burst(61, 5, user=None)]
    table = pa.Table.from_pylist(sorted(records, key=lambda r: r["t"]))
    encoded = table.set_column(2, "user", table["user"].dictionary_encode())
    assert table.schema.names[2] == "user"
    jobs = [job_of({"function": "high_count"}, "user") for _ in range(2)]
    for job, form in zip(jobs, (table, encoded), strict=True):
        job.post(form)
        job.flush()
    assert record_at(jobs[1], 60)["influencers"] == {"user": ["mallory"]}
    assert_identical(results(jobs[0]), results(jobs[1]))


def test_an_analysed_field_may_be_an_influencer() -> None:
    """The field that is analysed, or counted, can be blamed as well."""
    records = [*hourly(72, 60, port=8), *burst(60, 1, x=9000.0, port="port1")]
    job = finished({"function": "max", "field_name": "x"}, records, "x", "port")
    assert record_at(job, 60)["influencers"] == {"x": ["9000.0"], "port": ["port1"]}


def test_an_influencer_given_twice_counts_once() -> None:
    """A field that is named twice is one influencer."""
    records = [*hourly(72, 60, user=50), *burst(60, 100, user="mallory")]
    job = finished({"function": "high_count"}, records, "user", "user")
    assert record_at(job, 60)["influencers"] == {"user": ["mallory"]}
    assert worst(job, 60) == {"user": "mallory"}
