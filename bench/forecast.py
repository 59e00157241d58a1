"""Forecasts, measured against what came: shares of values within bounds, and errors.

    python -m bench.forecast [--nab DIR] [--data DIR]... [--write]

On synthetic laws (`laws`), and on files if folders are given: one in the layout of the Numenta benchmark,
and any with CSV files of TimeStamp and Value. A file is cut at several places; at each the job, which has
seen what lies before, makes a forecast of a week, which is compared with what follows, incidents and all.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

import tidegate

from .laws import LAWS, Draw, Law, autoregressive, wave
from .quality import F64, I64, DataError, Series, publish, read_series, span_of, told
from .tables import Table

SERIES, BUCKETS = 64, 1500
DAY_MS = 86_400_000
HORIZONS = ((0.0, 1.0), (1.0, 3.0), (3.0, 7.0))
"""In days: the shares and errors are means over all buckets within."""
CUTS = (0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Where files are cut, as shares of their time."""
LEAST_DAYS = 2
_HOUR_MS = DAY_MS // 24
_START = 480_000
_INTRO = (
    "Share of values within the bounds of forecasts (95% is exact), of the first day, of days two and three, "
    "and of the rest of the week; and mean error of the prediction, in mean deviations of the week before "
    "from its median (of the values to come, for synthetic laws), beside that of repeating the day before. "
    f"Synthetic: {SERIES} series of {BUCKETS} hourly buckets, then a week."
)
_REAL = (
    "Files: every file cut at seven places, two days after its first value at the earliest; means over the "
    "cuts."
)


def _walk(random: np.random.Generator, series: int, buckets: int) -> F64:
    """A random walk."""
    return 1000.0 + np.cumsum(random.normal(size=(buckets, series)), axis=0)


def _slow(random: np.random.Generator, series: int, buckets: int) -> F64:
    """An autoregression that is long in coming back."""
    return 100.0 + 5.0 * autoregressive(random, series, buckets, 0.95)


def _rising(random: np.random.Generator, series: int, buckets: int) -> F64:
    """A day, and a trend of a deviation in 60 buckets."""
    values = 100.0 + 8.0 * wave(random, series, buckets, 24) + 0.05 * np.arange(buckets)[:, None]
    return values + 3.0 * random.normal(size=(buckets, series))


def _drifting(random: np.random.Generator, series: int, buckets: int) -> F64:
    """A level that wanders and rises beneath noise twenty times its steps."""
    level = np.cumsum(0.05 + 0.1 * random.normal(size=(buckets, series)), axis=0)
    return 1000.0 + level + 2.0 * random.normal(size=(buckets, series))


MORE: dict[str, Draw] = {
    "autoregressive 0.95": _slow,
    "random walk": _walk,
    "day and trend": _rising,
    "drifting level beneath noise": _drifting,
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What a forecast was worth, by horizon; NaN where nothing is known."""

    inside: F64
    error: F64
    repeated: F64
    """The error of repeating the day before the forecast."""


def figures_of(ahead_days: F64, value: F64, bounds: tuple[F64, F64, F64], day: F64, scale: float) -> Figures:
    """Of one series: the values that came so many days ahead, what was foretold, and the day before."""
    lower, prediction, upper = bounds
    # Rounding of what is exactly constant is no miss.
    near = 1e-9 * np.abs(value)
    inside = (value >= lower - near) & (value <= upper + near)
    rows = []
    for start, stop in HORIZONS:
        there = (ahead_days >= start) & (ahead_days < stop) & ~np.isnan(value)
        if not there.any():
            rows.append((np.nan, np.nan, np.nan))
            continue
        off, other = np.abs(value - prediction)[there] / scale, np.abs(value - day)[there] / scale
        rows.append((float(inside[there].mean()), float(off.mean()), _known_mean(other)))
    # One file that leaves its past behind must not be all of the mean.
    columns = np.minimum(np.array(rows).T, 20.0)
    return Figures(*columns)


def _known_mean(values: F64) -> float:
    """The mean of what is known; NaN if nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def mean_of(parts: Sequence[Figures]) -> Figures:
    """The means over the forecasts that have such a horizon."""
    stacked = [np.array([getattr(part, name) for part in parts]) for name in Figures.__slots__]
    return Figures(*(np.array([_known_mean(column) for column in figures.T]) for figures in stacked))


def _config(span_ms: int, function: str, by: str | None) -> dict[str, object]:
    detector = {"function": function} | ({"field_name": "value"} if function != "count" else {})
    detector |= {"by_field_name": by} if by else {}
    return {
        "analysis_config": {"bucket_span": f"{span_ms // 1000}s", "detectors": [detector]},
        "data_description": {"time_field": "time", "time_format": "epoch_ms"},
    }


def _moment(time_ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)


def of_law(law: Law, series: int = SERIES, buckets: int = BUCKETS) -> Figures:
    """Means over the series of a law."""
    week = 7 * 24
    values = law.values(series, buckets + week)
    at, which = np.nonzero(~np.isnan(values[:buckets]))
    seen = values[at, which]
    if law.function == "count":
        many = seen.astype(int)
        at, which, seen = np.repeat(at, many), np.repeat(which, many), np.zeros(many.sum())
    names = pa.array([str(k) for k in range(series)])
    keys = pa.DictionaryArray.from_arrays(pa.array(which.astype(np.int32)), names)
    with tidegate.Job(_config(_HOUR_MS, law.function, "key"), threads=1) as job:
        job.post(pa.table({"time": (_START + at) * _HOUR_MS, "value": seen, "key": keys}))
        job.flush(advance_time=_moment((_START + buckets) * _HOUR_MS))
        points = job.forecast("7d")
    parts = []
    ahead = np.arange(week) / 24
    for key, bounds in _by_series(points):
        future, day = values[buckets:, int(key)], values[buckets - 24 : buckets, int(key)]
        scale = float(np.nanmean(np.abs(future - np.nanmedian(future)))) or 1.0
        parts.append(figures_of(ahead, future, bounds, np.resize(day, week), scale))
    return mean_of(parts)


def _by_series(points: pa.Table) -> Iterator[tuple[str, tuple[F64, F64, F64]]]:
    """The bounds of each series; its rows are together."""
    keys = np.array(points["by_field_value"].to_pylist(), str)
    columns = [points[f"forecast_{name}"].to_numpy() for name in ("lower", "prediction", "upper")]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    for start, stop in zip(starts, [*starts[1:], len(keys)], strict=True):
        lower, prediction, upper = (column[start:stop] for column in columns)
        yield str(keys[start]), (lower, prediction, upper)


def of_file(data: Series) -> list[Figures]:
    """Of every place where a file is cut."""
    span_ms = span_of(data.time_ms)
    known = ~np.isnan(data.value)
    order = np.argsort(data.time_ms[known], kind="stable")
    time, value = data.time_ms[known][order], data.value[known][order]
    mean = _means(time // span_ms, value)
    first = int(time[0] // span_ms)
    parts, posted = [], 0
    with tidegate.Job(_config(span_ms, "mean", None), threads=1) as job:
        for share in CUTS:
            cut = first + int(share * (len(mean) - 1))
            if (cut - first) * span_ms < LEAST_DAYS * DAY_MS:
                continue
            until = int(np.searchsorted(time, cut * span_ms))
            job.post(pa.table({"time": time[posted:until], "value": value[posted:until]}))
            posted = until
            job.flush(advance_time=_moment(cut * span_ms))
            try:
                points = job.forecast("7d", expires_in=0)
            except tidegate.RequestError:
                continue  # too few values yet
            job.delete_forecast()
            if (made := _compared(points, mean, cut - first, span_ms)) is not None:
                parts.append(made)
    return parts


def _means(bucket: I64, value: F64) -> F64:
    """The mean of every bucket from the first on, NaN where there is no value."""
    place = bucket - bucket[0]
    many = np.bincount(place)
    means: F64 = np.where(many > 0, np.bincount(place, value) / np.maximum(many, 1), np.nan)
    return means


def _compared(points: pa.Table, mean: F64, cut: int, span_ms: int) -> Figures | None:
    """A forecast beside what came; None if there is nothing to compare."""
    day = max(DAY_MS // span_ms, 1)
    future, past = mean[cut : cut + len(points)], mean[max(cut - 7 * day, 0) : cut]
    if np.isnan(future).all() or np.isnan(past).all():
        return None
    n = len(future)
    [(_, bounds)] = _by_series(points)
    lower, prediction, upper = (bound[:n] for bound in bounds)
    scale = float(np.nanmean(np.abs(past - np.nanmedian(past)))) + 1e-9 * abs(float(np.nanmean(past))) + 1e-12
    ahead = np.arange(n) * (span_ms / DAY_MS)
    return figures_of(ahead, future, (lower, prediction, upper), np.resize(mean[cut - day : cut], n), scale)


def _row(name: str, figures: Figures) -> tuple[str, ...]:
    inside = [f"{100.0 * share:.1f}%" for share in figures.inside]
    errors = [
        f"{ours:.2f} / {other:.2f}" for ours, other in zip(figures.error, figures.repeated, strict=True)
    ]
    return (name, *inside, *errors)


def _files(folders: Sequence[Path], nab: Path | None) -> Iterator[tuple[str, list[Figures]]]:
    """The figures of all cuts of each collection."""
    if nab is not None:
        paths = sorted((nab / "data").glob("*/*.csv"))
        yield "NAB", [part for path in paths for part in of_file(read_series(path, "timestamp", "value"))]
    for folder in folders:
        paths = sorted(folder.rglob("*.csv"))
        if not paths:
            raise DataError(f"{folder}: no CSV files")
        yield (
            folder.name,
            [part for path in paths for part in of_file(read_series(path, "TimeStamp", "Value"))],
        )


def table(nab: Path | None, folders: Sequence[Path]) -> Table:
    """The laws, and what files there are."""
    laws = [*LAWS.values(), *(Law(name, draw) for name, draw in MORE.items())]
    rows = [_row(law.name, of_law(law)) for law in laws]
    for name, parts in _files(folders, nab):
        rows.append(_row(f"{name}, {len(parts)} cuts", mean_of(parts)))
    spans = ("day 1", "days 2-3", "days 4-7")
    header = ("values", *(f"inside, {span}" for span in spans), *(f"error, {span}" for span in spans))
    return Table(f"{_INTRO} {_REAL}" if nab or folders else _INTRO, header, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures what forecasts are worth."""
    parser = argparse.ArgumentParser(prog="python -m bench.forecast", description=main.__doc__)
    parser.add_argument("--nab", type=Path, metavar="DIR", help="a checkout of the Numenta benchmark")
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="DIR", help="CSV files")
    parser.add_argument("--write", action="store_true", help="write the table into the README")
    options = parser.parse_args(arguments)
    with told(parser):
        publish("forecast", table(options.nab, options.data), write=options.write)


if __name__ == "__main__":
    main()
