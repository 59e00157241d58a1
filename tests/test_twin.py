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
from tests.naive import AGREE, NaiveJob
from tests.naive_cells import Cell
from tests.strategies import Scenario, scenarios

from tidegate import Job
from tidegate.engine import Engine
from tidegate.individual import Individual
from tidegate.lanes import key_of
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
        buckets, series_c, values, counts = cells.columns(model.feature, 0, len(cells))
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
        lanes = job._engine._lanes.values()
        analyses = [analysis for lane in lanes for analysis in lane.analyses]
        current = {id(model) for one in analyses if isinstance(one, Individual) for model in one.models}
        for model, _, cells in inputs:
            if id(model) not in current:  # of before the job restarted
                continue
            detector = model.detector
            text = _series_texts(job, detector)
            for bucket, series, value, count in cells:
                cell = Cell(bucket * span, *text(series), None if value != value else value, int(count))
                seen[detector.detector_index, model.feature].append(cell)
        return seen


def _series_texts(job: Job, detector: Any) -> Callable[[int], tuple[str, str]]:
    """What gives the by and the partition value of a series of the detector."""
    space, names = job._engine._lanes[key_of(detector)].keys, job._engine._names
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

    def noted(self: FeatureModel, cells: Any, what: Any, *rest: Any) -> Any:
        spy.note(self, cells, what)
        return run(self, cells, what, *rest)

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
            assert same_value(cell.value, twin.value, exact=key[1] not in ("mean", "sum", "varp")), (
                key,
                cell,
                twin,
            )


def same_value(ours: float | None, twins: float | None, *, exact: bool) -> bool:
    """Whether two values are the same, but for the rounding of sums."""
    if ours is None or twins is None:
        return ours is twins
    return ours == twins or (not exact and math.isclose(ours, twins, rel_tol=1e-9, abs_tol=1e-9))


def same_counts(counts: Any, twins: dict[str, Any]) -> None:
    """Asserts that an engine's data counts are the twin's."""
    ours = {name: getattr(counts, name) for name in twins}
    assert {name: (ours[name], n) for name, n in twins.items() if ours[name] != n} == {}, "engine's, twin's"


def seconds(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a flush with times in seconds, for the engine."""
    return {k: v if v is True else datetime.fromtimestamp(v // 1000, UTC) for k, v in arguments.items()}


def play(scenario: Scenario, job: Job, twin: NaiveJob, spy: Spy) -> None:
    """Does the same with both and compares after every act."""
    for act, what in scenario.acts:
        if act == "post":
            same_counts(job.post(what), twin.post(what))
            same_counts(job.data_counts, twin.data_counts)
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
    same_counts(job.data_counts, twin.data_counts)
    same_cells(spy.final(job), twin.cells)
    same_cells(spy.interim(job), twin.interim_cells)


@contextmanager
def small_pieces(piece: int = 8, rows: int = 17, buckets: int = 5) -> Iterator[None]:
    """Makes the engine drain its buffer, cut its passes and split its work among threads all the time."""
    with (
        mock.patch("tidegate.model._PIECE", piece),
        mock.patch("tidegate.job._BUFFER_ROWS", 3 * rows),
        mock.patch("tidegate.passes.PASS_ROWS", rows),
        mock.patch("tidegate.passes._PIECE_ROWS", 2),
        mock.patch.object(Engine, "_pass_buckets", buckets),
    ):
        yield


def run_both(scenario: Scenario) -> tuple[Job, NaiveJob]:
    """Both after the scenario, compared all along; they pass over believed gaps of more than 60 buckets."""
    fills = mock.patch("tidegate.engine.MAX_FILLED_BUCKETS", 60), mock.patch("tests.naive.MAX_FILLED", 60)
    with fills[0], fills[1], spying() as spy:
        job, twin = Job(scenario.config, threads=1), NaiveJob(scenario.config)
        play(scenario, job, twin, spy)
    return job, twin


@settings(max_examples=5 * settings.default.max_examples)
@given(scenarios())
def test_engine_agrees_with_the_naive_twin(scenario: Scenario) -> None:
    """Buckets, acknowledgements, data counts and the input of every model are those of the twin."""
    _, twin = run_both(scenario)
    event(f"final buckets: {min(len(twin.buckets), 3)}")
    event(f"restarted: {twin.restarts > 0}")
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


def test_a_gap_is_filled_up_to_the_limit() -> None:
    """A record as far ahead as buckets are filled for is believed at once; the gap has empty buckets."""
    assert len(_posts(_hourly(), [_START, _START + 60 * _HOUR]).buckets) == 60
    assert len(_posts(_hourly(), [_START, _START + 62 * _HOUR]).buckets) == 1


def test_nine_far_records_wait_and_the_tenth_is_believed() -> None:
    """Ten records in a row that are far ahead make a jump, and none of them is lost."""
    far = [_START + _LIMIT + 10 * _HOUR + k for k in range(AGREE)]
    assert len(_posts(_hourly(), [_START], far[:-1]).buckets) == 0
    twin = _posts(_hourly(), [_START], far[:4], far[4:], [far[-1] + _HOUR])
    assert [b["event_count"] for b in twin.buckets] == [1, AGREE]
    assert twin.data_counts["ignored_record_count"] == 0


def test_sparse_records_are_all_used() -> None:
    """Records that are each far from the one before are used ten at a time, however far they are."""
    times = [_START + k * (_LIMIT + _HOUR) for k in range(3 * AGREE + 1)]
    twin = _posts(_hourly(), times)
    assert sum(b["event_count"] for b in twin.buckets) + twin.open_records == len(times)


def test_an_ordinary_record_gives_the_waiting_ones_up() -> None:
    """Records that agree on a jump must follow one another; dropped ones in between do not matter."""
    far = [_START + _LIMIT + 10 * _HOUR + k for k in range(AGREE)]
    twin = _posts(_hourly(), [_START, *far[:5], _START + 1, *far[5:]])
    assert twin.skipped_buckets == 0
    assert twin.data_counts["far_future_record_count"] == 5
    assert _posts(_hourly(), [_START, *far[:5], -1, _START - 1, *far[5:]]).skipped_buckets > 0


@pytest.mark.parametrize("strays", [[0], [0, 1], [0, 30], [0, 3, 70, 71]])
def test_stray_first_records_are_forgotten_by_ten_that_disagree(strays: list[int]) -> None:
    """A few first records in the future are as if they had never been, once ten are far before them."""
    now = [_START - _LIMIT - 10 * _HOUR + k * _HOUR // 4 for k in range(2 * AGREE)]
    first = [_START + k * _HOUR for k in strays]
    twin = _posts(_hourly(2), first, now[:3], now[3:])
    assert twin.restarts == 1
    assert twin.data_counts["ignored_record_count"] == len(strays)
    assert twin.data_counts["latest_record_timestamp"] == now[-1]
    assert twin.data_counts["earliest_record_timestamp"] == now[0]
    assert sum(b["event_count"] for b in twin.buckets) + twin.open_records == len(now)


@pytest.mark.parametrize("how", ["advance_time", "skip_time"])
def test_time_that_is_moved_on_releases_the_waiting(how: str) -> None:
    """Records that wait are used once an advance or a skip has come near them, if it left them open."""
    far = _START + 2 * _LIMIT
    acts = [("post", [{"t": _START}]), ("post", [{"t": far}, {"t": far + _HOUR}, {"t": far + 2 * _HOUR}])]
    for moved in (_START + _HOUR, far + _HOUR):
        acts += [("flush", {how: moved}), ("flush", {"calc_interim": True})]
    twin = run_both(Scenario(_hourly(1), [*acts, ("post", [{"t": far + 3 * _HOUR}])]))[1]
    assert twin.data_counts["far_future_record_count"] == 0
    assert twin.data_counts["ignored_record_count"] == (how == "skip_time")


def test_a_grown_job_does_not_begin_anew() -> None:
    """Old records sent to a job that has used ten are out of order, however many there are."""
    old = [_START - 2 * _LIMIT + k for k in range(3 * AGREE)]
    twin = _posts(_hourly(), [_START + k for k in range(AGREE)], old)
    assert (twin.restarts, twin.data_counts["out_of_order_timestamp_count"]) == (0, len(old))


def test_counts_of_waiting_records_do_not_depend_on_the_cut() -> None:
    """Data counts do not depend on where a stream with a stray first record is cut."""
    config = _hourly(function="sum", field_name="x")
    stray = [{"t": _START, "x": "x"}]
    records = [{"t": _START - 2 * _LIMIT + k, "x": 1} for k in range(AGREE)]
    one, two = Job(config, threads=1), Job(config, threads=1)
    one.post(stray + records)
    two.post(stray)
    for record in records:
        two.post([record])
    for name in (
        "invalid_value_count",
        "processed_record_count",
        "ignored_record_count",
        "missing_field_count",
    ):
        assert getattr(one.data_counts, name) == getattr(two.data_counts, name)
