"""Whether p is a probability: how often p < 0.01, 0.001 and 1e-4 come where nothing is unusual.

    python -m bench.calibration [--nab DIR] [--data DIR]... [--write]

On synthetic laws (`laws`), and on the clean stretches of labelled data if its folders are given:
one in the layout of the Numenta benchmark, and any with CSV files of TimeStamp, Value, Label.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .clean import Stretches, metric_files, nab_files
from .grid import F64, I64, SPAN_MS, Flags, judge, runs
from .laws import LAWS, Law
from .quality import detect, publish, span_of, told
from .tables import Table

NOMINAL = (0.01, 0.001, 1e-4)
SCORES = (25.0, 50.0, 75.0)
SERIES, BUCKETS = 64, 3000
WARM_UP = 0.25
"""Of the synthetic series; of real ones `clean.WARM_UP`."""
WEEK_MS = 7 * 86_400_000

_INTRO = (
    "How often a small probability comes where nothing is unusual, over how often it should (1 is "
    f"exact), and how many records with an initial score above {SCORES[0]:g}, {SCORES[1]:g} and "
    f"{SCORES[2]:g} come in a week of one series: runs of consecutive buckets, in brackets buckets. "
    f"Synthetic: {SERIES} series of {BUCKETS} hourly buckets, the first quarter left out as warm-up, one "
    "job a series; counts are real records. A ratio at 1e-4 has a standard error of 0.3 or more by "
    "chance alone."
)
_REAL = (
    "Real data: rows that are not labelled, after the first 15% of each file; not in a label window or, "
    "by its own width, behind it (NAB); more than 24 rows from a label (other data). What is unusual "
    "there and not labelled counts."
)
_NOTES = (
    "constant with steps of 1: every step, one in 200 buckets, is a change, told until it is learned.",
    "counts of few distinct values: p of the least probable of them can only be below the nominal rate.",
)


@dataclass(frozen=True, slots=True)
class Tally:
    """Small probabilities and alarms, counted in buckets where nothing is unusual."""

    scored: int
    weeks: float
    below: I64
    """Buckets with p below each of `NOMINAL`."""
    runs: I64
    """Runs of buckets with a score above each of `SCORES`."""
    buckets: I64
    """Those buckets themselves."""

    @classmethod
    def of(cls, log_p: F64, score: F64, is_counted: Flags, span_ms: int) -> Tally:
        """Counts in a grid (buckets, series); a week is one of time, with values or without."""
        below = [int((log_p[is_counted] < np.log(p)).sum()) for p in NOMINAL]
        alarms = [score > least for least in SCORES]
        return cls(
            int(is_counted.sum()),
            log_p.size * span_ms / WEEK_MS,
            np.array(below),
            np.array([runs(alarm) for alarm in alarms]),
            np.array([int(alarm.sum()) for alarm in alarms]),
        )

    @property
    def ratios(self) -> F64:
        """Observed over nominal rates of small probabilities."""
        return np.asarray(self.below / (self.scored * np.array(NOMINAL)))


def pooled(tallies: Sequence[Tally]) -> Tally:
    """All buckets together."""
    return Tally(
        sum(one.scored for one in tallies),
        sum(one.weeks for one in tallies),
        np.sum([one.below for one in tallies], axis=0),
        np.sum([one.runs for one in tallies], axis=0),
        np.sum([one.buckets for one in tallies], axis=0),
    )


def of_law(law: Law, series: int = SERIES, buckets: int = BUCKETS) -> Tally:
    """A law's tally; an empty bucket is judged where it is a count of zero, and only there."""
    values = law.values(series, buckets)
    judged = judge(values, law.function)
    used = slice(int(WARM_UP * buckets), None)
    return Tally.of(judged.log_p[used], judged.score[used], ~np.isnan(values[used]), SPAN_MS)


def of_file(data: Stretches) -> Tally:
    """The tally of a file's clean buckets; a stretch that is left out ends a run."""
    span_ms = span_of(data.time_ms)
    found = detect(data.time_ms, data.value, span_ms)
    _, first = np.unique(data.time_ms // span_ms, return_index=True)
    clean = data.is_clean[first]
    score = np.where(clean, found.record_score[first], 0.0)
    tally = Tally.of(found.record_log_p[first, None], score[:, None], clean[:, None], span_ms)
    return Tally(tally.scored, tally.scored * span_ms / WEEK_MS, tally.below, tally.runs, tally.buckets)


def _row(name: str, assumed: str, function: str, ratios: F64, alarms: F64, in_all: F64) -> tuple[str, ...]:
    shown = [_figure(ratio) for ratio in ratios]
    shown += [f"{_figure(run)} ({_figure(all_)})" for run, all_ in zip(alarms, in_all, strict=True)]
    return (name, assumed, function, *shown)


def _figure(figure: float) -> str:
    """Two digits where it is small.

    >>> [_figure(x) for x in (0.0, 0.002, 0.034, 1.26, 37.2)]
    ['0', '<0.01', '0.03', '1.3', '37']
    """
    if figure < 0.005:
        return "<0.01" if figure > 0.0 else "0"
    return f"{figure:.2f}" if figure < 0.995 else f"{figure:.1f}" if figure < 9.95 else f"{figure:.0f}"


def _rows_of_laws() -> Iterator[tuple[str, ...]]:
    for law in LAWS.values():
        tally = of_law(law)
        weekly = tally.runs / tally.weeks, tally.buckets / tally.weeks
        yield _row(law.name, law.assumed, law.function, tally.ratios, *weekly)


def _rows_of_files(name: str, files: Sequence[Stretches]) -> Iterator[tuple[str, ...]]:
    """Pooled, and the median of the files."""
    tallies = [tally for tally in map(of_file, files) if tally.scored]
    if not tallies:
        return
    whole = pooled(tallies)
    weekly = whole.runs / whole.weeks, whole.buckets / whole.weeks
    yield _row(f"{name}, {len(tallies)} files together", "", "mean", whole.ratios, *weekly)
    middle = [
        _median([one.ratios for one in tallies]),
        _median([one.runs / one.weeks for one in tallies]),
        _median([one.buckets / one.weeks for one in tallies]),
    ]
    yield _row(f"{name}, median file", "", "mean", *middle)


def _median(figures: Sequence[npt.NDArray[np.float64]]) -> F64:
    return np.asarray(np.median(figures, axis=0))


def table(nab: Path | None, folders: Sequence[Path]) -> Table:
    """The laws, and the clean stretches of what labelled data there is."""
    rows, intro = list(_rows_of_laws()), _INTRO
    if nab or folders:
        intro = f"{_INTRO} {_REAL}"
    if nab:
        rows += _rows_of_files("NAB", list(nab_files(nab)))
    for folder in folders:
        rows += _rows_of_files(folder.name, list(metric_files(folder)))
    header = [f"p < {p:g}" for p in NOMINAL] + [f"score > {least:g}" for least in SCORES]
    return Table(intro, ("values", "as the model assumes", "function", *header), rows, _NOTES)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures how exact probabilities are where nothing is unusual."""
    parser = argparse.ArgumentParser(prog="python -m bench.calibration", description=main.__doc__)
    parser.add_argument("--nab", type=Path, metavar="DIR", help="a checkout of the Numenta benchmark")
    parser.add_argument(
        "--data", type=Path, action="append", default=[], metavar="DIR", help="CSV files with labels"
    )
    parser.add_argument("--write", action="store_true", help="write the table into the README")
    options = parser.parse_args(arguments)
    with told(parser):
        publish("calibration", table(options.nab, options.data), write=options.write)


if __name__ == "__main__":
    main()
