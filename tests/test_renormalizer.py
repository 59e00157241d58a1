"""Scores that change only where something changed, against all of them computed anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import event, given
from hypothesis import strategies as st
from tests.naive_renormal import CURRENT, NaiveRenormal

from tidegate.config import JobConfig
from tidegate.marks import Marks
from tidegate.model import Calendar, Run
from tidegate.renormal import INITIAL, KINDS, Renormalizer, window_ms
from tidegate.results import BUCKETS, INFLUENCERS, RECORDS

HOUR = 3_600_000
SPAN = 6 * HOUR  # so that a step has four buckets
DAY = 24 * HOUR
FIELDS = ("who", "wh o")
VALUES = ("ann", "", "o ann")
KEYS = ((0, "a", None), (0, "a b", None), (0, "", None), (1, None, "p"), (1, "a", "p"), (2, None, "p"))


def config(days: int | None = None, span: str = "6h") -> JobConfig:
    """A job with influencers and a window."""
    analysis = {"bucket_span": span, "detectors": [{"function": "count"}], "influencers": list(FIELDS)}
    window = {} if days is None else {"renormalization_window_days": days}
    return JobConfig.parse({"analysis_config": analysis, "data_description": {}, **window})


def record(rng: np.random.Generator, start: int) -> dict[str, Any]:
    """A record; those of detector 2 have no value, as those of populations."""
    detector, by, partition = KEYS[rng.integers(len(KEYS))]
    names = [name for name in FIELDS if rng.random() < 0.5]
    lists = [{"influencer_field_name": n, "influencer_field_values": some(rng)} for n in names]
    return {
        "timestamp": start,
        "detector_index": detector,
        "by_field_value": by,
        "partition_field_value": partition,
        "is_interim": False,
        "log_probability": -float(4.7 + rng.choice([0.5, 8.0, 40.0, 1e6]) * rng.random()),
        "multi_bucket_impact": float(rng.choice([-1.0, -1.0, 0.0, 2.0])),
        "typical": None if detector == 2 else [1.0],
        "actual": None if detector == 2 else [1.0 + float(rng.choice([0.0, 1.0, -1.0, 2.0 * rng.random()]))],
        "initial_record_score": float(100.0 * rng.random()),
        "influencers": lists or None,
    }


def some(rng: np.random.Generator) -> list[str]:
    """Some values of a field."""
    return [value for value in VALUES if rng.random() < 0.5]


def results(rng: np.random.Generator, number: int, most: int) -> dict[str, pa.Table]:
    """A bucket with its records and influencers, some of which influenced none of them."""
    start = number * SPAN
    records = [record(rng, start) for _ in range(rng.integers(most + 1))]
    largest = max((row["initial_record_score"] for row in records), default=0.0)
    bucket = {
        "timestamp": start,
        "is_interim": False,
        "initial_anomaly_score": float(rng.random() * largest),
        "bucket_influencers": [],
    }
    influencers = [
        {
            "timestamp": start,
            "influencer_field_name": name,
            "influencer_field_value": value,
            "is_interim": False,
            "log_probability": -float(4.0 + 20.0 * rng.random()),
            "initial_influencer_score": float(100.0 * rng.random()),
        }
        for name in FIELDS
        for value in VALUES
        if records and rng.random() < 0.5
    ]
    made = {
        "records": (records, RECORDS),
        "buckets": ([bucket], BUCKETS),
        "influencers": (influencers, INFLUENCERS),
    }
    return {
        kind: with_scores(kind, pa.Table.from_pylist(rows, schema)) for kind, (rows, schema) in made.items()
    }


def with_scores(kind: str, table: pa.Table, scores: Any = None) -> pa.Table:
    """The table with scores by now; the first ones if none are given."""
    at = table.schema.get_field_index(CURRENT[kind])
    column = table[INITIAL[kind]] if scores is None else pa.array(scores)
    return table.set_column(at, table.schema.field(at), column)


class Both:
    """A renormalizer and its naive twin, with the same results and histories."""

    def __init__(self, seed: int, days: int, most: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.days, self.most = days, most
        self.ours, self.twin = Renormalizer(config(days)), NaiveRenormal(FIELDS, days * DAY)
        self.marks = [Marks(SPAN) for _ in range(1 + len(FIELDS))]
        self.past: Any = (SimpleNamespace(marks=self.marks[0]), SimpleNamespace(marks=self.marks[1:]))
        self.scores = {kind: np.empty(0) for kind in KINDS}

    def see(self, number: int) -> dict[str, pa.Table]:
        """Ends a bucket for the twin, and gives its results."""
        tables = results(self.rng, number, self.most)
        self.twin.add(tables)
        run = Run(Calendar.of(number, number + 1, SPAN), 0, learn=True)
        rooms = [mark.of_pass(run)[1] for mark in self.marks]
        if len(rooms[0]):
            for room in rooms:
                room[:] = 3.0 * self.rng.random(len(room)) * (self.rng.random() < 0.9)
                room[-1] = room.sum() * 10.0
            self.twin.end_step((number + 1) * SPAN, np.array(rooms))
        return tables

    def add(self, numbers: range) -> None:
        """Takes in buckets, all at once, and compares the scores by now."""
        if not numbers:
            return
        seen = [self.see(number) for number in numbers]
        tables = {kind: pa.concat_tables(part[kind] for part in seen) for kind in KINDS}
        self.ours.add(tables)
        self.twin.settle()
        for kind, (rows, scores) in self.ours.update(*self.past).items():
            first = tables[kind][INITIAL[kind]].to_numpy()
            self.scores[kind] = np.append(self.scores[kind], first)
            assert (np.diff(rows) > 0).all()
            assert (self.scores[kind][rows] != scores).all()
            self.scores[kind][rows] = scores
            assert self.scores[kind].tolist() == self.twin.scores[kind].tolist(), kind

    def reopen(self) -> None:
        """Fills another renormalizer from what was stored."""
        firsts = self.ours.first_rows
        stored = {
            kind: with_scores(kind, table, self.twin.scores[kind]).slice(firsts[kind])
            for kind, table in self.twin.tables.items()
        }
        self.ours = Renormalizer(config(self.days))
        self.ours.load(stored, firsts)
        assert not any(len(rows) for rows, _ in self.ours.update(*self.past).values())


@given(st.integers(0, 2**32 - 1), st.sampled_from((0, 1, 2, 5, 30)), st.integers(0, 6), st.data())
def test_scores_are_those_of_all_computed_anew(seed: int, days: int, most: int, data: st.DataObject) -> None:
    """However results come, reopened in between or not, scores are the twin's, and only changes are told."""
    both = Both(seed, days, most)
    at = data.draw(st.integers(-3, 3))
    for _ in range(data.draw(st.integers(1, 12))):
        at += data.draw(st.sampled_from((0, 0, 0, 1, 9)))  # buckets that were skipped
        stop = at + data.draw(st.sampled_from((1, 1, 2, 3, 13)))
        both.add(range(at, stop))
        at = stop
        if data.draw(st.booleans()):
            both.reopen()
    lowered = (both.scores["records"] < both.twin.tables["records"][INITIAL["records"]].to_numpy()).any()
    event(f"lowered: {lowered}, left: {both.ours.first_rows['records'] > 0}")


def test_what_left_the_window_keeps_its_score() -> None:
    """A record that a later one outgrows is lowered within the window and keeps its score after it."""
    for days, is_lowered in ((1, False), (2, True), (30, True), (0, False)):
        ours, marks = Renormalizer(config(days)), Marks(SPAN)
        past: Any = (SimpleNamespace(marks=marks), SimpleNamespace(marks=[Marks(SPAN), Marks(SPAN)]))
        score = 80.0
        for number, size in ((0, 1.0), (8, 10.0)):
            rng = np.random.default_rng(0)
            row = {**record(rng, number * SPAN), "detector_index": 0, "by_field_value": "a", "typical": [0.0]}
            row |= {"actual": [size], "multi_bucket_impact": -1.0, "partition_field_value": None}
            row["initial_record_score"] = 80.0
            bucket = results(rng, number, 0)["buckets"]
            table = with_scores("records", pa.Table.from_pylist([row], RECORDS))
            for mark in (marks, *past[1].marks):
                for passed in range(number - 6, number + 1):  # all buckets up to this one
                    mark.of_pass(Run(Calendar.of(passed, passed + 1, SPAN), 0, learn=True))
            ours.add({"records": table, "buckets": bucket, "influencers": INFLUENCERS.empty_table()})
            rows, scores = ours.update(*past)["records"]
            score = dict(zip(rows.tolist(), scores.tolist(), strict=True)).get(0, score)
        assert score == (80.0 * (1.5 * 0.1) if is_lowered else 80.0), days


def test_the_window_is_that_of_the_contract() -> None:
    """By default the larger of 30 days and 100 spans; else the days that are asked for."""
    assert window_ms(config()) == 30 * DAY
    assert window_ms(config(span="1d")) == 100 * DAY
    assert window_ms(config(7, span="1d")) == 7 * DAY
    assert window_ms(config(0)) == 0
