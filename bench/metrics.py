"""Quality on labelled production metrics: ``python -m bench.metrics --data DIR``.

DIR has a folder per collection and in it CSV files with the columns TimeStamp, Value and Label, one
label a row. Every file is a job of its own, the mean of its values in buckets as wide as its
interval; rows are ranked by what the job said of their bucket when it had just closed: by the
probability that the model plot has of every bucket, by the score of its record, by its own. A
ranking has nothing that could be fitted to the files; the recalls take of each the threshold that
gives it one false alarm a week. A bucket without a record ranks with all others without one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .inputs import WEEK_MS
from .peers import Peer, chosen, scores_of
from .quality import F64, I64, DataError, Series, detect, publish, read_series, told
from .tables import Table
from .vus import BUFFER_ROWS, Labels, average_precision, runs, vus_pr


def by_probability(time_ms: I64, value: F64, span_ms: int) -> F64:
    """Minus the logarithm of the bucket's probability."""
    return -detect(time_ms, value, span_ms).log_p


def by_record(time_ms: I64, value: F64, span_ms: int) -> F64:
    """Minus the logarithm of the record's probability, 0 where there is no record."""
    return -detect(time_ms, value, span_ms).record_log_p


def by_score(time_ms: I64, value: F64, span_ms: int) -> F64:
    """The record's initial score."""
    return detect(time_ms, value, span_ms).record_score


OURS: dict[str, Peer] = {
    "tidegate, by probability": by_probability,
    "tidegate, by probability of records": by_record,
    "tidegate, by record score": by_score,
}


@dataclass(frozen=True, slots=True)
class Quality:
    """What a detector reaches on one file."""

    precision: float
    """Average precision."""
    volume: float
    """VUS-PR."""
    rows: float
    """The share of labelled rows that alarm, at a false alarm a week."""
    events: float
    """The share of labelled events (runs of labelled rows) with a row that alarms, likewise."""


def quality(series: Series, score: F64) -> Quality:
    """How well scores rank the rows of a labelled series; rows count in the order of time."""
    order = np.argsort(series.time_ms, kind="stable")
    is_anomaly, score = series.label[order] > 0.0, score[order]
    weeks = float(series.time_ms.max() - series.time_ms.min()) / WEEK_MS
    alarms = score >= alarm_threshold(is_anomaly, score, weeks)
    events = [alarms[first : last + 1].any() for first, last in runs(is_anomaly)]
    return Quality(
        average_precision(is_anomaly, score),
        vus_pr(is_anomaly, score),
        float(alarms[is_anomaly].mean()),
        float(np.mean(events)),
    )


def alarm_threshold(is_anomaly: Labels, score: F64, allowed: float) -> float:
    """The lowest threshold above which there are never more than so many false alarms.

    A false alarm is a run of rows at or above the threshold that are not labelled. Lower thresholds
    grow such runs together, so theirs may be fewer again: the first threshold with too many ends the
    search. A score of zero says that nothing is unusual and never alarms.
    """
    normal = np.where(is_anomaly, 0.0, score)
    thresholds = np.unique(score[score > 0.0])
    # Runs are rows less neighbours that both alarm; a pair does so up to its lower score.
    pairs = np.minimum(normal[1:], normal[:-1])
    false_alarms = _at_least(normal, thresholds) - _at_least(pairs, thresholds)
    too_many = np.flatnonzero(false_alarms > allowed)
    fit = thresholds[too_many[-1] + 1 :] if len(too_many) else thresholds
    return float(fit[0]) if len(fit) else np.inf


def _at_least(values: F64, thresholds: F64) -> I64:
    return len(values) - np.searchsorted(np.sort(values), thresholds)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over files, its standard error, and the mean of the collections' means."""

    mean: float
    error: float
    by_collection: float


def mean_of(figures: Mapping[str, float]) -> Mean:
    """Means of figures by file name, whose folder is the collection; no error of a single file."""
    all_of = np.array(list(figures.values()))
    groups: dict[str, list[float]] = {}
    for name, figure in figures.items():
        groups.setdefault(name.split("/")[0], []).append(figure)
    error = float(all_of.std(ddof=1)) / len(all_of) ** 0.5 if len(all_of) > 1 else float("nan")
    return Mean(float(all_of.mean()), error, float(np.mean([np.mean(group) for group in groups.values()])))


def read_labelled(folder: Path) -> dict[str, Series]:
    """The files that have a label, by their names with the folder's.

    Raises DataError for a file that cannot be read, and if no file has a label.
    """
    series = {
        f"{path.parent.name}/{path.name}": read_series(path, "TimeStamp", "Value", "Label")
        for path in sorted(folder.glob("*/*.csv"))
    }
    labelled = {name: one for name, one in series.items() if (one.label > 0.0).any()}
    if not labelled:
        raise DataError(f"{folder}: no */*.csv with a labelled row")
    return labelled


def table(files: Mapping[str, Series], found: Mapping[str, Mapping[str, Quality]]) -> Table:
    """Detectors, and the means of their figures over the files."""
    rows = []
    for name, by_file in found.items():
        precision, volume, rate, events = (
            mean_of({file: getattr(one, figure) for file, one in by_file.items()})
            for figure in Quality.__slots__
        )
        both = (f"{mean.mean:.3f} ± {mean.error:.3f}" for mean in (precision, volume, rate, events))
        rows.append((name, *both, f"{precision.by_collection:.3f}", f"{volume.by_collection:.3f}"))
    chance = np.mean([np.mean(one.label > 0.0) for one in files.values()])
    return Table(
        f"Labelled production metrics, {len(files)} files with labels: a job a file, mean of the value in "
        "buckets of the file's own interval, rows ranked by what was said as each bucket closed. Means over "
        f"files with their standard errors; at random the average precision is {chance:.3f}. VUS-PR has "
        f"buffers of 0 to {BUFFER_ROWS} rows. Recall of labelled rows, and of events (runs of them), at the "
        "threshold of each file that gives one false alarm (run of unlabelled rows) a week.",
        (
            "detector",
            "average precision",
            "VUS-PR",
            "recall of rows",
            "of events",
            "average precision, mean of collections",
            "VUS-PR, likewise",
        ),
        rows,
    )


def detail(found: Mapping[str, Quality]) -> Table:
    """Every file's figures, and each collection's average precision."""
    rows = [
        (name, *(f"{getattr(one, figure):.3f}" for figure in Quality.__slots__))
        for name, one in found.items()
    ]
    header = ("file", "average precision", "VUS-PR", "recall of rows", "of events")
    return Table("By file.", header, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the detection quality on labelled metrics."""
    parser = argparse.ArgumentParser(prog="python -m bench.metrics", description=main.__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folders of labelled CSV files"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a detector to measure; may be repeated"
    )
    parser.add_argument("--detail", action="store_true", help="print every file too")
    parser.add_argument("--write", action="store_true", help="write the table into the README")
    options = parser.parse_args(arguments)
    with told(parser):
        files = read_labelled(options.data)
        found = {}
        for name, detector in chosen(OURS, options.only).items():
            found[name] = {file: quality(one, scores_of(detector, one)) for file, one in files.items()}
            if options.detail:
                print(f"{name}: {detail(found[name]).markdown()}\n", flush=True)
        publish("metrics", table(files, found), write=options.write)


if __name__ == "__main__":
    main()
