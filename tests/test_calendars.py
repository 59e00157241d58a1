"""Scheduled events: the buckets they fall on, what is learned of those, and the laws with events."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive_events import EventfulJob
from tests.strategies import BASE_MS, Stream, cuts, streams
from tests.test_laws import assert_identical, results
from tests.test_naive_scores import SPAN, START, job_config, same_results, seconds, stream
from tests.test_twin import small_pieces

from tidegate import ConfigError, Job
from tidegate.config import EventCalendar, ScheduledEvent, read_calendars, read_events

HOUR = 3_600_000


def calendar(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """One calendar of these events."""
    return [{"calendar_id": "c", "events": list(events)}]


def span_of(start: int, end: int, **flags: Any) -> dict[str, Any]:
    """An event."""
    return {"description": f"from {start}", "start_time": start, "end_time": end, **flags}


def test_e10_scheduled_events() -> None:
    """Buckets that overlap an event list it, score 0 and have no records; the others list none."""
    rng, start, span = random.Random(1), 1_514_764_800_000, 1_800_000
    events = {
        "first": (1_514_937_600_000, 2 * HOUR),
        "second": (1_515_067_200_000, 10 * 60_000),
        "third": (1_515_088_800_000, 3 * HOUR),
    }
    times = []
    for bucket in range(start, start + 6 * 24 * HOUR, span):
        # Events that nobody could miss, were they not known.
        is_event = any(at <= bucket < at + length for at, length in events.values())
        n = rng.randint(100, 200) * (30 if is_event else 1)
        times += [bucket + k * span // n for k in range(n)]
    given = [
        {"description": name, "start_time": at, "end_time": at + length}
        for name, (at, length) in events.items()
    ]
    config = {
        "analysis_config": {"bucket_span": "30m", "detectors": [{"function": "count"}]},
        "data_description": {"time_field": "time"},
    }
    job = Job(config, calendars=calendar(*given), threads=1)
    job.post({"time": np.array(times)})
    interim_at = times[-1] // span * span
    job.add_events([span_of(interim_at, interim_at + span)])
    job.flush(calc_interim=True)
    found = {
        bucket["timestamp"]: bucket["scheduled_events"]
        for bucket in job.buckets().to_pylist()
        if bucket["scheduled_events"]
    }
    scores = {bucket["timestamp"]: bucket["anomaly_score"] for bucket in job.buckets().to_pylist()}
    expected = {
        bucket: [name]
        for name, (at, length) in events.items()
        for bucket in range(at, at + max(length, span), span)
    }
    assert found == {**expected, interim_at: [f"from {interim_at}"]}
    assert {scores[at] for at in found} == {0.0}
    assert not found.keys() & set(job.records()["timestamp"].to_pylist())
    assert job.buckets().slice(job.buckets().num_rows - 1)["is_interim"].to_pylist() == [True]


def test_without_the_calendar_the_same_is_unusual() -> None:
    """What a calendar hides is found without it."""
    records = [{"t": START + at * SPAN, "x": 1} for at in range(200) for _ in range(40 if at == 150 else 4)]
    job, quiet = (
        Job(job_config([0]), calendars=calendar(*events), threads=1)
        for events in ([], [span_of(START + 150 * SPAN, START + 151 * SPAN)])
    )
    for one in (job, quiet):
        one.post(records)
        one.close()
    assert START + 150 * SPAN in job.records()["timestamp"].to_pylist()
    assert quiet.records().num_rows == 0


def test_a_skipped_event_is_as_if_it_had_never_been() -> None:
    """Cut out of the stream with a skip, the same stretch leaves the same results behind it."""
    records = stream(3, 240)
    first, last = START + 100 * SPAN, START + 130 * SPAN
    job = Job(job_config(range(8)), calendars=calendar(span_of(first, last)), threads=1)
    job.post(records)
    cut = Job(job_config(range(8)), threads=1)
    cut.post([record for record in records if record["t"] < first])
    cut.flush(advance_time=first // 1000)
    cut.flush(skip_time=last // 1000)
    cut.post([record for record in records if record["t"] >= last])
    job.close()
    cut.close()
    ours, others = results(job), results(cut)
    assert len(ours["buckets"]) == len(others["buckets"]) + 30
    ours["buckets"] = [row for row in ours["buckets"] if not first <= row["timestamp"] < last]
    assert len(ours["records"]) > 10
    assert_identical(ours, others)


@st.composite
def events_of(draw: st.DrawFn, start: int, span: int, buckets: int) -> list[dict[str, Any]]:
    """A few events of any kind within some buckets, at their edges and within, over one another."""
    made = []
    for k in range(draw(st.integers(1, 4))):
        begin = start + draw(st.integers(0, 4 * buckets)) * span // 4
        length = draw(st.integers(1, 30)) * span // 4
        flags = {name: draw(st.booleans()) for name in ("skip_result", "skip_model_update")}
        if draw(st.integers(0, 3)) == 0:
            flags["force_time_shift"] = draw(st.sampled_from((3600, -3600, 5000, 86_400)))
        made.append({"description": f"e{k}", "start_time": begin, "end_time": begin + length, **flags})
    return made


@settings(max_examples=30)
@given(st.integers(0, 10_000), events_of(START, SPAN, 110), st.sampled_from((0, 0, 2)), st.data())
def test_events_agree_with_the_naive_twin(
    seed: int, events: list[dict[str, Any]], latency: int, data: st.DataObject
) -> None:
    """Records, scores and scheduled events, interim ones too, are those of the twin."""
    records = stream(seed, 110)
    indexes = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=3, unique=True))
    config = job_config(indexes, latency)
    job = Job(config, calendars=calendar(*events), threads=1)
    twin = EventfulJob(config, events)
    for begin, end in pairwise(data.draw(cuts(len(records), pieces=3))):
        job.post(records[begin:end])
        twin.post(records[begin:end])
        how = data.draw(st.sampled_from(({}, {"calc_interim": True})))
        assert job.flush(**seconds(how)).last_finalized_bucket_end == twin.flush(**how)
        same_results(job, twin)
        for bucket in job.buckets().to_pylist():
            key = bucket["timestamp"], bucket["is_interim"]
            assert (bucket["scheduled_events"] or []) == twin.scheduled.get(key, [])
    assert job._engine.timeline.skipped_buckets == twin.skipped_buckets


@settings(max_examples=20)
@given(streams(), st.data())
def test_cuts_interim_results_and_threads_do_not_matter_with_events(
    stream: Stream, data: st.DataObject
) -> None:
    """Laws 1, 3 and 4 hold with events: posts, passes, interim results and threads change nothing."""
    events = data.draw(events_of(BASE_MS, stream.span, 100))
    places = data.draw(cuts(len(stream.records)))
    whole = Job(stream.config, calendars=calendar(*events), threads=1)
    whole.post(stream.records)
    with small_pieces(piece=1):
        cut = Job(stream.config, calendars=calendar(*events), threads=3)
        for begin, end in pairwise(places):
            cut.post(stream.records[begin:end])
            cut.flush(calc_interim=data.draw(st.booleans()))
    whole.close()
    cut.close()
    assert_identical(results(cut), results(whole))


def test_events_that_come_late_hold_for_what_is_open() -> None:
    """Events added to a running job hold for the buckets that are not final yet, and stay."""
    times = [{"t": START + at * SPAN} for at in range(10)]
    job = Job(job_config([0]), threads=1)
    job.post(times[:6])
    job.add_events([span_of(START, START + 7 * SPAN)])
    job.post(times[6:])
    job.close()
    named = [bucket["scheduled_events"] for bucket in job.buckets().to_pylist()]
    assert named == [*[None] * 5, *[[f"from {START}"]] * 2, None, None]
    assert [len(known.events) for known in job.calendars] == [1]
    job.set_calendars([])
    assert job.calendars == ()


def test_time_is_shifted_once() -> None:
    """From the event on the day comes so much earlier, however often the calendars are set again."""

    def value(at: int) -> float:
        hour = (at + (1 if at >= 600 else 0)) % 24
        return 500.0 if 9 <= hour < 17 else 20.0 + at % 3

    records = [{"t": START + at * SPAN, "x": value(at), "k": "a", "p": "p"} for at in range(720)]
    event = span_of(
        START + 600 * SPAN,
        START + 601 * SPAN,
        skip_result=False,
        skip_model_update=False,
        force_time_shift=3600,
    )
    found = []
    for events in ([], [event]):
        job = Job(job_config([2]), calendars=calendar(*events), threads=1)
        for begin in range(0, len(records), 50):
            job.post(records[begin : begin + 50])
            job.flush()
            job.set_calendars(calendar(*events))
        job.close()
        shown = job.records().to_pylist()
        found.append([row["record_score"] for row in shown if row["timestamp"] >= START + 600 * SPAN])
    assert max(found[0]) > 40
    assert max(found[1], default=0.0) < 10


def test_a_time_shift_moves_profiles_exactly() -> None:
    """A shift there and back by whole knots leaves every series as it was."""
    job = Job(job_config([2]), threads=1)
    job.post(stream(5, 400))
    job.flush()
    [lane] = job._engine._lanes.values()
    [model] = lane.analyses[0].models  # type: ignore[attr-defined]
    before = model._pages.copy(), model.state.copy()
    assert np.any(before[0])
    lane.shift_time(7200)
    assert not np.array_equal(before[0], model._pages)
    lane.shift_time(-7200)
    np.testing.assert_array_equal(before[0], model._pages)
    np.testing.assert_array_equal(before[1], model.state)


WRONG = [
    ({"events": []}, "events", "At least 1 event is required"),
    (
        {"events": [{"description": "d", "start_time": 2000, "end_time": 1000}]},
        "events[0].start_time",
        "Event start time [1970-01-01T00:00:02.000Z] must come before end time [1970-01-01T00:00:01.000Z]",
    ),
    (
        {"events": [{"start_time": 0, "end_time": 1000}]},
        "events[0].description",
        "Field [description] cannot be null",
    ),
    (
        {"events": [{"description": "d", "end_time": 1000}]},
        "events[0].start_time",
        "Field [start_time] cannot be null",
    ),
    (
        {"events": [{"description": "d", "start_time": "soon", "end_time": 1000}]},
        "events[0].start_time",
        "start_time must be epoch milliseconds or ISO-8601 text, not 'soon'",
    ),
]


@pytest.mark.parametrize(("given", "path", "message"), WRONG)
def test_wrong_events_are_refused(given: dict[str, Any], path: str, message: str) -> None:
    """What is wrong with an event is said where it is, in the words of the API."""
    with pytest.raises(ConfigError) as caught:
        read_events(given["events"])
    assert caught.value.problems == ((path, message),)


@pytest.mark.parametrize("name", ["_all", "Big", "a" * 65, None, "-a"])
def test_wrong_calendar_ids_are_refused(name: str | None) -> None:
    """Ids of calendars follow the pattern of job ids; `_all` is reserved."""
    with pytest.raises(ConfigError) as caught:
        Job(job_config([0]), calendars=[{"calendar_id": name, "events": []}])
    assert caught.value.problems[0][0] == "calendars[0].calendar_id"
    with pytest.raises(ConfigError, match="already exists"):
        read_calendars([{"calendar_id": "a"}, {"calendar_id": "a"}])
    with pytest.raises(ConfigError, match="must be a list"):
        read_calendars({"calendar_id": "a"})


def test_times_of_events_have_many_forms() -> None:
    """Milliseconds as a number or text, ISO-8601 text and objects that are read already."""
    forms: list[Any] = [
        1_704_067_200_000,
        "1704067200000",
        "2024-01-01",
        "2024-01-01T01:00:00+01:00",
        1704067200000.0,
    ]
    for form in forms:
        [event] = read_events([{"description": "d", "start_time": form, "end_time": 1_704_067_201_000}])
        assert event == ScheduledEvent("d", 1_704_067_200_000, 1_704_067_201_000)
        assert read_events([event]) == (event,) == read_events([event.to_dict()])
    known = EventCalendar("c", (event,))
    assert read_calendars([known]) == (known,)
    assert read_calendars([known.to_dict()]) == (known,)


def test_a_reset_job_keeps_its_calendars() -> None:
    """After a reset the same data gives the same results, events too."""
    records = stream(3, 150)
    event = span_of(START + 50 * SPAN, START + 60 * SPAN, force_time_shift=3600)
    job = Job(job_config([0, 2]), calendars=calendar(event), threads=1)
    job.post(records)
    job.close()
    first = results(job)
    job.reset()
    job.open()
    job.post(records)
    job.close()
    assert_identical(results(job), first)
    assert sum(row["scheduled_events"] is not None for row in first["buckets"]) == 10
    assert not math.isnan(sum(row["anomaly_score"] for row in first["buckets"]))
