"""Quality on the Numenta Anomaly Benchmark: ``python -m bench.nab --nab DIR``.

DIR is a checkout of the benchmark, or any folder with its layout (see `nab_score`). Every file is a
job of its own, the mean of its values in buckets as wide as its interval; the score is that which
the bucket had when it had just closed. Beside it, other detectors on the same rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .nab_score import (
    PROFILES,
    Corpus,
    LabelledFile,
    best_threshold,
    normalised,
    outcome,
    read_corpus,
)
from .peers import Peer, chosen, scores_of
from .quality import F64, I64, detect, publish, told
from .tables import Table

FOLDS = 5
_CHOICE = "standard"
"""The profile that thresholds are cross-validated and alerts are counted by."""


def tidegate(time_ms: I64, value: F64, span_ms: int) -> F64:
    """The initial anomaly score of each row's bucket, from 0 to 1."""
    return detect(time_ms, value, span_ms).anomaly_score / 100.0


OURS: dict[str, Peer] = {"tidegate": tidegate}


@dataclass(frozen=True, slots=True)
class Figures:
    """What one detector reaches on a corpus."""

    best: dict[str, float]
    """By profile: the benchmark's score, whose threshold is chosen on the very files scored."""
    by_file: float
    """The standard score with the threshold of each fold of files chosen on the other folds."""
    by_collection: float
    """The same with folders for folds."""
    alerts: float
    """Alerts per file at the best standard threshold."""


def measured(corpus: Corpus, scores: Sequence[F64]) -> Figures:
    """Every figure of a detector from its scores of each file's rows."""
    files, standard = corpus.files, corpus.profiles[_CHOICE]
    best = {}
    for name, profile in corpus.profiles.items():
        threshold = best_threshold(files, scores, profile)
        outcomes = [outcome(*of, threshold, profile) for of in zip(files, scores, strict=True)]
        best[name] = normalised(sum(one.total for one in outcomes), files, profile)
        if profile is standard:
            alerts = float(np.mean([one.alerts for one in outcomes]))
    folds = [k % FOLDS for k in range(len(files))]
    return Figures(
        best,
        cross_validated(corpus, scores, folds),
        cross_validated(corpus, scores, [file.collection for file in files]),
        alerts,
    )


def cross_validated(corpus: Corpus, scores: Sequence[F64], fold: Sequence[int | str]) -> float:
    """The standard score when every file has the threshold that is best for the other folds' files."""
    files, profile = corpus.files, corpus.profiles[_CHOICE]
    pairs = list(zip(files, scores, fold, strict=True))
    total = 0.0
    for held in dict.fromkeys(fold):
        others = [(file, score) for file, score, of in pairs if of != held]
        threshold = best_threshold([file for file, _ in others], [score for _, score in others], profile)
        total += sum(
            outcome(file, score, threshold, profile).total for file, score, of in pairs if of == held
        )
    return normalised(total, files, profile)


def table(corpus: Corpus, figures: Mapping[str, Figures]) -> Table:
    """Detectors and their figures."""
    rows = [
        (
            name,
            *(f"{figure.best[profile]:.1f}" for profile in PROFILES),
            f"{figure.by_file:.1f}",
            f"{figure.by_collection:.1f}",
            f"{figure.alerts:.1f}",
        )
        for name, figure in figures.items()
    ]
    windows = sum(file.n_windows for file in corpus.files)
    return Table(
        f"Numenta Anomaly Benchmark 1.1, {len(corpus.files)} files with {windows} labelled windows: a job a "
        "file, mean of the value in buckets of the file's own interval, scored as each bucket closes. The "
        "benchmark's scores, which choose one threshold per profile for the whole corpus in hindsight; the "
        f"standard score with the threshold of each file chosen on others ({FOLDS} folds of files, and "
        "collections left out one by one); and alerts (runs of rows) per file at the standard threshold.",
        (
            "detector",
            *PROFILES.values(),
            "standard, threshold of other files",
            "of other collections",
            "alerts per file",
        ),
        rows,
    )


def detail(corpus: Corpus, scores: Sequence[F64]) -> Table:
    """File by file and by collection: what the best standard threshold finds, misses and raises."""
    profile = corpus.profiles[_CHOICE]
    threshold = best_threshold(corpus.files, scores, profile)
    lines: list[tuple[str, list[float]]] = []
    for file, score in zip(corpus.files, scores, strict=True):
        one = outcome(file, score, threshold, profile)
        figures = [one.total, one.found, one.missed, one.false_rows, one.alerts]
        lines.append((file.name, figures))
    groups = dict.fromkeys(file.collection for file in corpus.files)
    sums = [(f"{group}: all", _summed(lines, corpus.files, group)) for group in groups]
    rows = [
        (name, f"{total:.3f}", *(f"{count:.0f}" for count in counts))
        for name, (total, *counts) in (*lines, *sums)
    ]
    header = ("file", "raw score", "found", "missed", "false rows", "alerts")
    return Table(f"Standard profile, threshold {threshold:.6g}.", header, rows)


def _summed(
    lines: Sequence[tuple[str, list[float]]], files: Sequence[LabelledFile], group: str
) -> list[float]:
    figures = [line for (_, line), file in zip(lines, files, strict=True) if file.collection == group]
    return [sum(column) for column in zip(*figures, strict=True)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the detection quality on the Numenta Anomaly Benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.nab", description=main.__doc__)
    parser.add_argument("--nab", type=Path, required=True, metavar="DIR", help="a checkout of the benchmark")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a detector to measure; may be repeated"
    )
    parser.add_argument("--detail", action="store_true", help="print every file and collection too")
    parser.add_argument("--write", action="store_true", help="write the table into the README")
    options = parser.parse_args(arguments)
    with told(parser):
        corpus = read_corpus(options.nab)
        figures = {}
        for name, detector in chosen(OURS, options.only).items():
            scores = [scores_of(detector, file.series) for file in corpus.files]
            figures[name] = measured(corpus, scores)
            if options.detail:
                print(f"{name}: {detail(corpus, scores).markdown()}\n", flush=True)
        publish("nab", table(corpus, figures), write=options.write)


if __name__ == "__main__":
    main()
