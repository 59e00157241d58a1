"""What the quality benchmarks share: one job over one series, and the README's tables.

Each module beside this one that measures quality (`nab`, `metrics`, `calibration`, `adapt`, `forecast`) is
a program of its own, since it needs data that is not in this repository. All see the engine as a program
would, through `tidegate.Job`, in one configuration: a function of one field, in buckets as wide as the
data's own interval. Nothing is chosen for a data set.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

import tidegate

from .measure import machine
from .tables import Table, keep

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


class BenchError(Exception):
    """A benchmark cannot run as it was asked to; the message is one line for the user."""


class DataError(BenchError):
    """The data of a benchmark is not there, or not as it should be."""


@contextmanager
def told(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Ends the program with one line and status 2 when a benchmark cannot run."""
    try:
        yield
    except BenchError as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")


@dataclass(frozen=True, slots=True)
class Series:
    """A file of values, row by row as it lies there."""

    time_ms: I64
    value: F64
    """NaN where there is none."""
    label: F64
    """All zero for a file that was read without labels."""


def read_series(path: Path, time: str, value: str, label: str | None = None) -> Series:
    """The named columns of a CSV file; times are ISO-8601 in UTC, with or without a final Z.

    Raises DataError, which names the file, for one that cannot be read.
    """
    types = {time: pa.string()} | {name: pa.float64() for name in (value, label) if name}
    options = csv.ConvertOptions(column_types=types, include_columns=list(types))
    try:
        table = csv.read_csv(path, convert_options=options)
        texts = [text.removesuffix("Z") for text in table[time].to_pylist()]
        times = np.array(texts, "datetime64[ms]").astype(np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}") from None
    if not len(times):
        raise DataError(f"{path}: no rows")
    labels = table[label].to_numpy() if label else np.zeros(len(times))
    return Series(times, table[value].to_numpy(), labels)


@dataclass(frozen=True, slots=True)
class Detected:
    """What a job says of every row that it was given: that of the row's bucket, in the rows' order.

    A row whose bucket has no result (the bucket that the job begins in) has the values of a row
    that is nothing out of the ordinary: zero everywhere.
    """

    log_p: F64
    """Natural logarithm of the probability of the bucket, unusual or not: from the model plot."""
    record_log_p: F64
    """Natural logarithm of the probability of the bucket's record; 0 where there is no record."""
    record_score: F64
    """The record's score from 0 to 100, as it was when the bucket had just closed."""
    anomaly_score: F64
    """The bucket's score from 0 to 100, as it was when the bucket had just closed."""


def span_of(time_ms: I64) -> int:
    """Bucket span in milliseconds: the median distance of distinct times, in whole seconds, 1 at least.

    >>> span_of(np.array([0, 300_000, 300_000, 600_400, 3_600_000]))
    300000
    """
    apart = np.diff(np.unique(time_ms))
    seconds = round(float(np.median(apart)) / 1000) if len(apart) else 1
    return 1000 * max(1, seconds)


def detect(
    time_ms: I64, value: F64, span_ms: int, function: str = "mean", field: str | None = "value"
) -> Detected:
    """Runs one job over a series, on one thread; returns what it found for each row given.

    The rows are posted in the order of time, all at once, and time is advanced to the end of the
    last bucket. Every score is causal: later rows have no part in it. `field` is None for a
    function without one (`count`). `span_ms` is whole seconds.
    """
    order = np.argsort(time_ms, kind="stable")
    end_ms = int(time_ms.max()) // span_ms * span_ms + span_ms
    with tidegate.Job(_config(span_ms, function, field), threads=1) as job:
        job.post(pa.table({"time": time_ms[order], "value": value[order]}))
        job.flush(advance_time=datetime.datetime.fromtimestamp(end_ms / 1000, datetime.UTC))
        buckets, records, plot = job.buckets(), job.records(), job.model_plot()
    bucket = time_ms // span_ms * span_ms
    return Detected(
        0.0 - _highest(bucket, plot, -plot["log_probability"].fill_null(0.0).to_numpy()),
        0.0 - _highest(bucket, records, -records["log_probability"].to_numpy()),
        _highest(bucket, records, records["initial_record_score"].to_numpy()),
        _highest(bucket, buckets, buckets["initial_anomaly_score"].to_numpy()),
    )


def _config(span_ms: int, function: str, field: str | None) -> dict[str, Any]:
    """The one configuration: no parameter but the span, which is the data's own."""
    detector = {"function": function} | ({"field_name": field} if field else {})
    return {
        "analysis_config": {"bucket_span": f"{span_ms // 1000}s", "detectors": [detector]},
        "data_description": {"time_field": "time", "time_format": "epoch_ms"},
        "model_plot_config": {"enabled": True},
    }


def _highest(bucket: I64, results: pa.Table, figure: F64) -> F64:
    """The highest figure of the results of each row's bucket; 0 where it has none or all are below."""
    starts, which = np.unique(bucket, return_inverse=True)
    at = np.searchsorted(starts, results["timestamp"].to_numpy())
    found = np.append(starts, -1)[at] == results["timestamp"].to_numpy()
    highest = np.zeros(len(starts))
    np.maximum.at(highest, at[found], figure[found])
    return highest[which]


def publish(name: str, table: Table, *, write: bool) -> None:
    """Prints a table with its date and machine; with `write` it also becomes the README's section.

    `name` is one of `tables.ORDER`, which says where in the README it goes.
    """
    text = f"Measured on {datetime.date.today()}: {machine()}. {table.markdown()}"
    print(f"{text}\n", flush=True)
    if write:
        keep(name, text)
