"""Hypothesis strategies: job configurations, streams of records, and what is done with them.

`scenarios` are short and nasty, for comparing with the naive twin; `streams` are long and lively, so
that the models have something to report. Both come with their configuration.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from tests.naive import AGREE
from tests.naive_cells import OF_TEXTS, span_ms

from tidegate.timeline import jump_limit_ms

NUMBERS = ("x", "y")
KEYS = ("k", "p", "q")
_METRICS = ("metric", "mean", "low_median", "median", "min", "max", "varp", "sum", "high_non_null_sum")
_COUNTS = ("count", "low_count", "high_non_zero_count")
_BAD_TIMES = (None, True, "soon", "", -1, -1.5, float("nan"), float("inf"), 10**18, "2018-13-01", [])
_VALUES = st.one_of(
    st.integers(-20, 20),
    st.floats(-1e3, 1e3),
    st.sampled_from([None, True, float("nan"), float("inf"), 1e140, -1e-140, 0, 0.1]),
    st.sampled_from(["7", "-2.5", "1e3", "+3", "", "x", "nan", "-inf", "1e999"]),
)
_KEY_VALUES = st.sampled_from(["a", "b", "é", "", None, 7, 7.5, True, "7"])
BASE_MS = 1_500_000_000_000


# Configurations


@st.composite
def detectors(draw: st.DrawFn) -> dict[str, Any]:
    """One detector of any executed function, split in any way."""
    function = draw(st.sampled_from((*_METRICS, *_COUNTS, *OF_TEXTS)))
    detector: dict[str, Any] = {"function": function}
    if function in OF_TEXTS:
        detector["field_name"] = draw(st.sampled_from(("u", "x", "k")))
    elif function in _METRICS:
        detector["field_name"] = draw(st.sampled_from(NUMBERS))
    by, partition = draw(
        st.tuples(*[st.sampled_from((None, *KEYS))] * 2).filter(
            lambda pair: pair[0] != pair[1] or not pair[0]
        )
    )
    if by is not None:
        detector["by_field_name"] = by
        if draw(st.booleans()):
            detector["use_null"] = True
    if partition is not None:
        detector["partition_field_name"] = partition
    return detector


@st.composite
def job_configs(draw: st.DrawFn) -> dict[str, Any]:
    """A job of one to four detectors, any span, and a latency of up to three buckets."""
    span = draw(st.sampled_from(("1m", 300, "17m", "1h", "1d")))
    latency = draw(st.sampled_from((0, 0, 1, 2, 3)))
    ms = span_ms(span)
    seconds = (latency * ms - draw(st.sampled_from((0, ms // 2 if latency else 0)))) // 1000
    return {
        "job_id": "twin",
        "analysis_config": {
            "bucket_span": span,
            "latency": seconds,
            "detectors": draw(
                st.lists(detectors(), min_size=1, max_size=4, unique_by=lambda d: tuple(sorted(d.items())))
            ),
        },
        "data_description": {"time_field": "t", "time_format": draw(st.sampled_from(("epoch_ms", "epoch")))},
    }


# Scenarios


@dataclass
class Scenario:
    """A job and what is done with it: ("post", records), ("flush", arguments in ms), ("reopen", None)."""

    config: dict[str, Any]
    acts: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def records(self) -> list[dict[str, Any]]:
        """All records posted."""
        return [record for act, records in self.acts if act == "post" for record in records]


@dataclass
class _Clock:
    """Turns moves into times; `head` is about the newest time so far."""

    span: int
    latency: int
    head: int

    def floor(self, time: int) -> int:
        return time - time % self.span

    def times(self, move: str, share: float) -> list[int]:
        """The times of the records that a move stands for."""
        inside, edge = int(share * self.span), self.floor(self.head)
        limit = jump_limit_ms(self.span)
        far = limit + 3 * (self.span + self.latency)
        if move == "far":
            return [self.head + far + inside]
        if move in ("back", "back nine"):
            size = AGREE - (move == "back nine")
            start = max(self.head - limit - 20 * self.span, 0)
            times = [start + k * self.span // 3 for k in range(size)]
            self.head = times[-1]
            return times
        if move == "jump":
            times = [self.head + far + inside + k * self.span // 4 for k in range(AGREE)]
        else:
            late = min(int(share * (self.latency // self.span + 1)), self.latency // self.span)
            times = {
                "stay": [edge + inside],
                "again": [self.head],
                "step": [edge + self.span + inside],
                "edge": [edge + self.span],
                "gap": [edge + (2 + inside % 14) * self.span + inside],
                "late": [edge - late * self.span + inside],
                "latest": [edge - self.latency],
                "old": [edge - self.latency - 1 - inside],
            }[move]
        self.head = max(self.head, times[-1])
        return times


_MOVES = ("stay", "again", "step", "edge", "gap", "late", "latest", "old", "bad", "far")
_RARE_MOVES = ("jump", "back", "back nine")


def _written(time: int, time_format: str, how: int) -> Any:
    """A time as a record may have it."""
    if time_format == "epoch":
        return (time // 1000, time / 1000, str(time // 1000), float(time // 1000))[how]
    iso = datetime.fromtimestamp(time // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (time, time + 0.5, str(time), iso)[how]


@st.composite
def _records(draw: st.DrawFn, clock: _Clock, time_format: str) -> list[dict[str, Any]]:
    moves = st.sampled_from(_MOVES * 3 + _RARE_MOVES)
    records = []
    for move, share in draw(st.lists(st.tuples(moves, st.floats(0, 0.999)), max_size=14)):
        if move == "bad":
            stamps = [draw(st.sampled_from(_BAD_TIMES))]
        else:
            hows = st.sampled_from((0, 0, 0, 1, 2, 3))
            stamps = [_written(time, time_format, draw(hows)) for time in clock.times(move, share)]
        for stamp in stamps:
            record: dict[str, Any] = {"t": stamp}
            for name in NUMBERS:
                record[name] = draw(_VALUES)
            for name in (*KEYS, "u"):
                record[name] = draw(_KEY_VALUES)
            for name in draw(st.lists(st.sampled_from(("t", "x", "k", "p", "u")), max_size=1)):
                del record[name]
            records.append(record)
    return records


@st.composite
def _flushes(draw: st.DrawFn, clock: _Clock) -> dict[str, Any]:
    offsets = st.integers(-8, 12).map(lambda quarters: clock.head + quarters * clock.span // 4)
    times = st.one_of(offsets, offsets.map(clock.floor)).map(lambda time: max(time, 0) // 1000 * 1000)
    arguments: dict[str, Any] = {}
    kind = draw(st.sampled_from(("plain", "plain", "interim", "range", "advance", "skip", "both", "all")))
    if kind in ("interim", "range", "all") or draw(st.booleans()):
        arguments["calc_interim"] = True
    if kind in ("range", "all"):
        arguments["start"] = draw(times)
        end = draw(st.none() | times)
        if end is not None and end >= arguments["start"]:
            arguments["end"] = end
    if kind in ("skip", "both", "all"):
        arguments["skip_time"] = draw(times)
    if kind in ("advance", "both", "all"):
        arguments["advance_time"] = draw(times)
        if arguments["advance_time"] <= arguments.get("skip_time", -1):
            arguments["advance_time"] = arguments["skip_time"] + 1000
    if draw(st.booleans()):
        clock.head = max(clock.head, arguments.get("advance_time", 0), arguments.get("skip_time", 0))
    return arguments


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A job with posts, flushes and reopenings in any order."""
    config = draw(job_configs())
    analysis = config["analysis_config"]
    span = span_ms(analysis["bucket_span"])
    latency = -(-span_ms(analysis["latency"]) // span) * span
    start = draw(st.sampled_from((BASE_MS, BASE_MS - BASE_MS % span, 10 * span)))
    clock = _Clock(span, latency, start)
    scenario = Scenario(config)
    for act in draw(
        st.lists(st.sampled_from(("post", "post", "post", "flush", "flush", "reopen")), max_size=9)
    ):
        if act == "post":
            scenario.acts.append((act, draw(_records(clock, config["data_description"]["time_format"]))))
        elif act == "flush":
            scenario.acts.append((act, draw(_flushes(clock))))
        else:
            scenario.acts.append((act, None))
    return scenario


# Streams


@dataclass
class Stream:
    """A job with a long, clean stream: times never late, with anomalies, gaps and silent series."""

    config: dict[str, Any]
    span: int
    latency: int
    records: list[dict[str, Any]]
    seed: int

    def __repr__(self) -> str:
        return f"Stream(seed={self.seed}, {len(self.records)} records, {self.config})"


_LIVELY = (
    {"function": "count"},
    {"function": "low_count", "by_field_name": "k"},
    {"function": "mean", "field_name": "x", "by_field_name": "k"},
    {"function": "metric", "field_name": "x", "partition_field_name": "p"},
    {"function": "sum", "field_name": "x", "by_field_name": "k", "partition_field_name": "p"},
    {"function": "median", "field_name": "x", "partition_field_name": "p"},
    {"function": "distinct_count", "field_name": "u", "by_field_name": "k", "use_null": True},
    {"function": "high_info_content", "field_name": "u", "partition_field_name": "p"},
    {"function": "varp", "field_name": "x"},
    {"function": "high_non_zero_count", "by_field_name": "k"},
    {"function": "rare", "by_field_name": "u", "partition_field_name": "p"},
)


@st.composite
def streams(draw: st.DrawFn, latencies: tuple[int, ...] = (0, 0, 1, 3)) -> Stream:
    """A stream of some hundred records over 50 to 120 buckets in time order."""
    seed = draw(st.integers(0, 2**32 - 1))
    latency = draw(st.sampled_from(latencies))
    chosen = draw(st.lists(st.sampled_from(range(len(_LIVELY))), min_size=1, max_size=4, unique=True))
    span = draw(st.sampled_from((300_000, 3_600_000)))
    config = {
        "job_id": "law",
        "analysis_config": {
            "bucket_span": span // 1000,
            "latency": latency * span // 1000,
            "detectors": [_LIVELY[i] for i in chosen],
        },
        "data_description": {"time_field": "t"},
    }
    return Stream(config, span, latency * span, _lively_records(random.Random(seed), span), seed)


def _lively_records(rng: random.Random, span: int) -> list[dict[str, Any]]:
    keys = ["a", "b", "c", None][: rng.randint(1, 4)]
    level = rng.uniform(-100, 100)
    records: list[dict[str, Any]] = []
    bucket = BASE_MS // span
    start = rng.choice((0, span // 3))
    for at in range(rng.randint(50, 120)):
        bucket += 1 if rng.random() < 0.98 else rng.randint(2, 12)
        shift = rng.choice((25, -40)) if at > 30 and rng.random() < 0.06 else 0
        size = rng.choice((1, 4, 5, 5, 6)) if rng.random() < 0.97 else rng.choice((0, 30))
        times = sorted(rng.randrange(start if at == 0 else 0, span) for _ in range(size))
        if at == 0:
            times = [start, *times]
        for time in times:
            value: Any = round(level + shift + rng.gauss(0, 1), 3)
            records.append(
                {
                    "t": bucket * span + time,
                    "x": value if rng.random() < 0.97 else None,
                    "k": rng.choice(keys),
                    "p": rng.choice(("p", "q")),
                    "u": str(rng.randint(0, 4 if not shift else 400)),
                }
            )
    return records


@st.composite
def cuts(draw: st.DrawFn, size: int, pieces: int = 8) -> list[int]:
    """Places that cut `size` records into pieces, some of them empty, from 0 to `size`."""
    inner = draw(st.lists(st.integers(0, size), max_size=pieces))
    return [0, *sorted(inner), size]
