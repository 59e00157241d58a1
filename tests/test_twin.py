"""The engine against the naive twin: everything but the probabilities, over random streams and acts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tests.naive import AGREE, Cell, NaiveJob
from tests.strategies import Scenario, scenarios

from tidegate import Job
from tidegate.engine import Engine
from tidegate.model import FeatureModel
from tidegate.timeline import jump_limit_ms

"""A test of what the engine does not do yet, and what it does instead."""
Seen = dict[tuple[int, str], list[Cell]]


class _Input(NamedTuple):
    """What a model was given in one run: `cells` are (bucket, series, value, records)."""

    model: FeatureModel
    learn: bool
    cells: list[tuple[int, int, float, float]]


class Spy:
    """Sees the cells that the engine gives to its models, as the twin shows them."""

    def __init__(self) -> None:
        self._inputs: list[_Input] = []

    def note(self, model: FeatureModel, cells: Any, run: Any) -> None:
        """Copies the cells of a run: the engine will use their memory again."""
        values, counts = cells.feature(model.feature)
        series_c = np.repeat(np.arange(len(cells.first_s) - 1), np.diff(cells.first_s))
        buckets = cells.bucket_c[cells.order]
        inside = (buckets >= run.calendar.bucket_from) & (buckets < run.calendar.bucket_to)
        assert inside.all() or not run.learn, "a closed cell lies outside of its pass"
        columns = (column[inside].tolist() for column in (buckets, series_c, values, counts))
        self._inputs.append(_Input(model, run.learn, list(zip(*columns, strict=True))))

    def final(self, job: Job) -> Seen:
        """The cells that models learned."""
        return self._cells(job, [given for given in self._inputs if given.learn])

    def interim(self, job: Job) -> Seen:
        """The cells of the latest interim results."""
        return self._cells(
            job, list({id(seen.model): seen for seen in self._inputs if not seen.learn}.values())
        )

    def _cells(self, job: Job, inputs: list[_Input]) -> Seen:
        seen: Seen = defaultdict(list)
        span = job.config.analysis_config.bucket_span_ms
        for model, _, cells in inputs:
            detector = model.detector
            text = _series_texts(job, detector)
            for bucket, series, value, count in cells:
                cell = Cell(bucket * span, *text(series), None if value != value else value, int(count))
                seen[detector.detector_index, model.feature].append(cell)
        return seen


def _series_texts(job: Job, detector: Any) -> Callable[[int], tuple[str, str]]:
    """What gives the by and the partition value of a series of the detector."""
    key = (detector.by_field_name, detector.partition_field_name, detector.use_null)
    space, names = job._engine._lanes[key].space, job._engine._names
    by = [] if space.by is None else names[space.by].texts().to_pylist()
    partition = [] if space.partition is None else names[space.partition].texts().to_pylist()

    def texts(series: int) -> tuple[str, str]:
        one = np.array([series])
        return (
            by[space.by_codes(one)[0]] if by else "",
            partition[space.partition_codes(one)[0]] if partition else "",
        )

    return texts


@contextmanager
def spying() -> Iterator[Spy]:
    """Wraps `FeatureModel.run` to note what it is given."""
    spy, run = Spy(), FeatureModel.run

    def noted(self: FeatureModel, cells: Any, what: Any, pool: Any) -> Any:
        spy.note(self, cells, what)
        return run(self, cells, what, pool)

    with mock.patch.object(FeatureModel, "run", noted):
        yield spy


def same_cells(ours: Seen, twins: Seen) -> None:
    """Asserts that both saw the same cells, each series in time order."""
    assert {key for key, cells in ours.items() if cells} == {key for key, cells in twins.items() if cells}
    for key, cells in ours.items():
        series: dict[tuple[str, str], int] = {}
        for cell in cells:
            assert series.get(cell[1:3], -1) < cell.bucket, "a series goes forward in time"
            series[cell[1:3]] = cell.bucket
        found, expected = sorted(cells, key=lambda c: c[:3]), sorted(twins[key], key=lambda c: c[:3])
        assert [c[:3] + c[4:] for c in found] == [c[:3] + c[4:] for c in expected], key
        for cell, twin in zip(found, expected, strict=True):
            assert same_value(cell.value, twin.value, exact=key[1] != "varp"), (key, cell, twin)


def same_value(ours: float | None, twins: float | None, *, exact: bool) -> bool:
    """Whether two values are the same, but for the rounding of a variance."""
    if ours is None or twins is None:
        return ours is twins
    return ours == twins or (not exact and math.isclose(ours, twins, rel_tol=1e-9, abs_tol=1e-9))


def same_counts(counts: Any, twins: dict[str, Any], twin: NaiveJob) -> None:
    """Asserts that an engine's data counts are the twin's."""
    if twin.forgotten:  # whether values of forgotten records count depends on the batch they came in
        twins = {name: count for name, count in twins.items() if name != "invalid_value_count"}
    ours = {name: getattr(counts, name) for name in twins}
    assert {name: (ours[name], n) for name, n in twins.items() if ours[name] != n} == {}, "engine's, twin's"


def seconds(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a flush with times in seconds, for the engine."""
    return {k: v if v is True else datetime.fromtimestamp(v // 1000, UTC) for k, v in arguments.items()}


def play(scenario: Scenario, job: Job, twin: NaiveJob, spy: Spy) -> None:
    """Does the same with both and compares after every act."""
    for act, what in scenario.acts:
        if act == "post":
            same_counts(job.post(what), twin.post(what), twin)
            same_counts(job.data_counts, twin.data_counts, twin)
            continue
        if act == "flush":
            acknowledged = job.flush(**seconds(what))
            assert acknowledged.last_finalized_bucket_end == twin.flush(**what)
        else:
            job.close()
            twin.close()
            job.open()
            twin.open()
        compare(job, twin, spy)
    job.close()
    twin.close()
    compare(job, twin, spy)


def compare(job: Job, twin: NaiveJob, spy: Spy) -> None:
    """Asserts that results and model input are the same."""
    columns = ["timestamp", "event_count", "is_interim"]
    assert job.buckets().select(columns).to_pylist() == twin.buckets
    assert job.buckets(exclude_interim=True).num_rows == sum(not b["is_interim"] for b in twin.buckets)
    same_counts(job.data_counts, twin.data_counts, twin)
    same_cells(spy.final(job), twin.cells)
    same_cells(spy.interim(job), twin.interim_cells)


@contextmanager
def small_pieces(piece: int = 8, rows: int = 17, buckets: int = 5) -> Iterator[None]:
    """Makes the engine drain its buffer, cut its passes and split its work among threads all the time."""
    with (
        mock.patch("tidegate.model._PIECE", piece),
        mock.patch("tidegate.job._BUFFER_ROWS", 3 * rows),
        mock.patch("tidegate.engine.PASS_ROWS", rows),
        mock.patch.object(Engine, "_pass_buckets", buckets),
    ):
        yield


def run_both(scenario: Scenario) -> tuple[Job, NaiveJob]:
    """Both after the scenario, compared all along."""
    with spying() as spy:
        job, twin = Job(scenario.config, threads=1), NaiveJob(scenario.config)
        play(scenario, job, twin, spy)
    return job, twin


@settings(max_examples=5 * settings.default.max_examples)
@given(scenarios())
def test_engine_agrees_with_the_naive_twin(scenario: Scenario) -> None:
    """Buckets, acknowledgements, data counts and the input of every model are those of the twin."""
    _, twin = run_both(scenario)
    event(f"final buckets: {min(len(twin.buckets), 3)}")
    event(f"forgotten: {twin.forgotten}")
    event(f"ignored: {twin.data_counts['ignored_record_count'] > 0}")
    event(f"far future: {twin.data_counts['far_future_record_count'] > 0}")
    event(f"passed over: {twin.skipped_buckets > 0}")


@given(scenarios(), st.integers(1, 6), st.integers(1, 4))
def test_small_passes_agree_with_the_naive_twin(scenario: Scenario, rows: int, buckets: int) -> None:
    """The twin does not know what a pass is, so passes of a few rows and buckets agree with it too."""
    with small_pieces(rows=rows, buckets=buckets):
        run_both(scenario)


# Jumps in time, to the millisecond

_HOUR = 3_600_000
_START = 1_500_001_200_000
_LIMIT = jump_limit_ms(_HOUR)


def _hourly(latency_buckets: int = 0, **detector: Any) -> dict[str, Any]:
    return {
        "analysis_config": {
            "bucket_span": "1h",
            "latency": f"{latency_buckets}h",
            "detectors": [{"function": "count", **detector}],
        },
        "data_description": {"time_field": "t"},
    }


def _posts(config: dict[str, Any], *posts: list[int]) -> NaiveJob:
    acts = [act for times in posts for act in (("post", [{"t": time} for time in times]), ("flush", {}))]
    return run_both(Scenario(config, acts))[1]


def test_a_gap_up_to_the_limit_is_filled() -> None:
    """One record as far ahead as the limit is believed at once; the gap has empty buckets."""
    twin = _posts(_hourly(), [_START, _START + _LIMIT])
    assert len(twin.buckets) == _LIMIT // _HOUR


def test_nine_far_records_are_dropped_and_the_tenth_is_believed() -> None:
    """Ten agreeing records in a row make a jump; the gap and the bucket it ends in have no results."""
    far = [_START + _LIMIT + 10 * _HOUR + k for k in range(AGREE)]
    assert _posts(_hourly(), [_START], far[:-1]).data_counts["far_future_record_count"] == 9
    twin = _posts(_hourly(), [_START], far[:4], far[4:], [far[-1] + _HOUR, far[-1] + 2 * _HOUR])
    assert [b["timestamp"] for b in twin.buckets] == [_START, far[-1] - far[-1] % _HOUR + _HOUR]


def test_an_ordinary_record_ends_the_run_of_far_ones() -> None:
    """Records that agree on a jump must follow one another; a bad time in between does not matter."""
    far = [_START + _LIMIT + 10 * _HOUR + k for k in range(AGREE)]
    assert _posts(_hourly(), [_START, *far[:5], _START + 1, *far[5:]]).skipped_buckets == 0
    assert _posts(_hourly(), [_START, *far[:5], -1, *far[5:]]).skipped_buckets > 0


def test_a_stray_first_record_is_forgotten_by_the_tenth_that_disagrees() -> None:
    """A first record in the future shuts nine records out, then it is as if it had never been."""
    now = [_START - _LIMIT - 10 * _HOUR + k for k in range(AGREE + 1)]
    twin = _posts(_hourly(2), [_START, *now[:3]], now[3:])
    assert twin.data_counts["out_of_order_timestamp_count"] == AGREE - 1
    assert twin.data_counts["latest_record_timestamp"] == now[-1]
    assert (twin.data_counts["ignored_record_count"], twin.open_records) == (1, 2)


@pytest.mark.parametrize("latency_buckets", [0, 2])
@pytest.mark.parametrize("beyond", [1, _HOUR])
def test_a_believed_jump_is_passed_over_however_little_it_exceeds_the_limit(
    beyond: int, latency_buckets: int
) -> None:
    """Whether a jump needed ten records decides whether its gap is passed over."""
    _posts(_hourly(latency_buckets), [_START], [_START + _LIMIT + beyond] * AGREE)


def test_invalid_values_of_a_forgotten_record_count_however_the_stream_is_cut() -> None:
    """Data counts do not depend on where a stream with a stray first record is cut."""
    config = _hourly(function="sum", field_name="x")
    stray = [{"t": _START, "x": "x"}]
    records = [{"t": _START - 2 * _LIMIT + k, "x": 1} for k in range(AGREE)]
    one, two = Job(config, threads=1), Job(config, threads=1)
    one.post(stray + records)
    two.post(stray)
    two.post(records)
    assert one.data_counts.invalid_value_count == two.data_counts.invalid_value_count


def test_the_earliest_record_is_not_a_forgotten_one() -> None:
    """The earliest record of the job lies before its latest, also after a stray first record."""
    job = Job(_hourly(), threads=1)
    job.post([{"t": _START}])
    job.post([{"t": _START - 2 * _LIMIT + k} for k in range(AGREE)])
    assert job.data_counts.earliest_record_timestamp <= job.data_counts.latest_record_timestamp
