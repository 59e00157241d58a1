"""Runs ``rare`` and ``freq_rare`` alone, on activations, as a job does on the cells of closed buckets."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from tidegate.analysis import Finding, LaneCells
from tidegate.cells import I64, ClosedCells
from tidegate.config import JobConfig
from tidegate.keys import Keys, KeySpace, MemberSpace
from tidegate.model import NO_PLOT, Calendar, Run
from tidegate.rare import Rare
from tidegate.threads import Threads
from tidegate.timeline import DAY_MS

SPAN_MS = 900_000
NO_LIMIT = 1 << 30
COUNT = ("count", None)


class Active(NamedTuple):
    """Something active in a bucket; names are small numbers."""

    bucket: int
    by: int
    over: int = 0
    partition: int = 0
    records: int = 1


@dataclass(frozen=True)
class Kind:
    """What kind of detector it is."""

    function: str = "rare"
    is_population: bool = False
    is_partitioned: bool = False
    span_ms: int = SPAN_MS


KINDS = {
    "individual": Kind(),
    "by partition": Kind(is_partitioned=True),
    "population": Kind(is_population=True),
    "populations": Kind(is_population=True, is_partitioned=True),
    "frequency": Kind("freq_rare", is_population=True),
    "frequencies, a year": Kind("freq_rare", is_population=True, is_partitioned=True, span_ms=DAY_MS // 2),
}


class RareRun:
    """A detector with its keys, given activations pass by pass."""

    def __init__(self, kind: Kind, threads: int = 1) -> None:
        detector: dict[str, Any] = {"function": kind.function, "by_field_name": "b"}
        over = "o" if kind.is_population else None
        partition = "p" if kind.is_partitioned else None
        if over:
            detector["over_field_name"] = over
        if partition:
            detector["partition_field_name"] = partition
        config = {
            "analysis_config": {"bucket_span": kind.span_ms // 1000, "detectors": [detector]},
            "data_description": {"time_field": "t"},
        }
        self.model = Rare(JobConfig.parse(config).analysis_config.detectors[0], kind.span_ms)
        self.keys: Keys = (
            KeySpace("b", partition, use_null=True)
            if over is None
            else MemberSpace("b", over, partition, use_null=True)
        )
        self._kind = kind
        self._pool = Threads(threads)

    def run(
        self, rows: Sequence[Active], first: int, last: int, *, learn: bool = True, skipped: int = 0
    ) -> Finding:
        """The finding for the buckets [first, last), which all rows are of; any order within a bucket."""
        return self.run_columns(np.array(rows, np.int64).reshape(-1, 5), first, last, learn, skipped)

    def run_columns(self, rows: I64, first: int, last: int, learn: bool = True, skipped: int = 0) -> Finding:
        """The same of rows as an array."""
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        codes = {name: np.ascontiguousarray(rows[:, 1 + k] + 1, np.int32) for k, name in enumerate("bop")}
        series = self.keys.series(codes, NO_LIMIT)
        closed = ClosedCells(rows[:, 0].copy(), series, rows[:, 4].astype(float), 1)
        calendar = Calendar.of(first, last, self._kind.span_ms)
        cells = LaneCells({COUNT: closed}, len(self.keys))
        return self.model.run(cells, self.keys, Run(calendar, skipped, learn), self._pool, NO_PLOT)


def stream(rng: random.Random, kind: Kind, buckets: int) -> list[Active]:
    """Activations with common, rare and new by values, and gaps between buckets."""
    rows = {}
    bucket = 1000
    for at in range(buckets):
        bucket += 1 if rng.random() < 0.9 else rng.randint(2, 60)
        for _ in range(rng.choice((1, 6, 12))):
            by = rng.randint(0, 8) if rng.random() < 0.998 else rng.randint(100, 160)
            over = rng.randint(0, 5) if kind.is_population else 0
            partition = rng.choice((0, 0, 0, 1)) if kind.is_partitioned else 0
            rows[bucket, by, over, partition] = 1 if rng.random() < 0.7 else rng.randint(1, 20)
        if at in (buckets - 20, buckets - 5):
            rows[bucket, 900 + at, 0, 0] = 300
    return [Active(*key, records) for key, records in rows.items()]


def passes(rng: random.Random, rows: list[Active], pieces: int) -> list[tuple[int, int, list[Active]]]:
    """The rows cut into stretches of buckets, in any order within each."""
    first, last = rows[0].bucket, rows[-1].bucket + 1
    cuts = sorted({first, last, *(rng.randint(first, last) for _ in range(pieces - 1))})
    made = []
    for begin, end in pairwise(cuts):
        part = [row for row in rows if begin <= row.bucket < end]
        rng.shuffle(part)
        made.append((begin, end, part))
    return made
