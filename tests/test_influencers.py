"""Influencers: what results are blamed on, against the naive twin and the laws."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import event, given
from hypothesis import strategies as st
from tests.influence_run import (
    Rows,
    folding,
    results,
)
from tests.naive_cells import NaiveDetector
from tests.naive_influence import CUTOFF, MOST_VALUES, NaiveInfluencers, Result, all_influences, ordered
from tests.strategies import Scenario, Stream, cuts, scenarios, streams
from tests.test_laws import FORMS, assert_identical
from tests.test_twin import seconds, small_pieces

from tidegate import Job
from tidegate.influence import Influences, _among_most
from tidegate.influencers import Influencers

FIELDS = ("p", "u", "k", "missing", "x")
DAY_MS = 86_400_000


class Heard:
    """What the influencers of a job were told in one pass, and what they found."""

    def __init__(self, job: Influencers, found: Influences, written: Any, rest: tuple[Any, ...]) -> None:
        score_r, whole, scored_b, run = rest
        self.buckets = range(run.calendar.bucket_from, run.calendar.bucket_to)
        self.learn = run.learn
        self.whole = list(zip(whole.log_p_b.tolist(), whole.score_b.tolist(), strict=True))
        self.scored = scored_b.tolist()
        self.results = _results(job, written, score_r)
        self.found: list[dict[str, dict[str, float]]] = [defaultdict(dict) for _ in self.results]
        columns = (found.result_i, found.field_i, found.value_i, found.influence_i)
        for r, field, value, w in zip(*(column.tolist() for column in columns), strict=True):
            name = job.fields[field]
            self.found[r][name][job._names[name].texts()[value].as_py()] = w


def _results(job: Influencers, written: Any, score_r: Any) -> list[Result]:
    """The written results as the twin sees them."""
    names = ("actual_r", "typical_r", "lower_r", "upper_r", "log_p_r", "log_p_single_r")
    columns = [written.column(name).tolist() for name in names]
    made = []
    for r, numbers in enumerate(zip(*columns, strict=True)):
        finding = written.findings[written.finding_r[r]]
        series = written.column("series_r")[r : r + 1]
        keys = [
            job._names[field].texts()[int(codes(series)[0])].as_py() if field is not None else ""
            for field, codes in (
                (finding.keys.by, finding.keys.by_codes),
                (finding.keys.partition, finding.keys.partition_codes),
            )
        ]
        feature = finding.detector.spec.features[written.column("feature_r")[r]]
        index = finding.detector.detector_index
        made.append(
            Result(
                int(written.column("bucket_r")[r]), index, feature, *keys, *numbers, score=float(score_r[r])
            )
        )
    return made


@contextmanager
def hearing() -> Iterator[list[Heard]]:
    """Wraps `Influencers.score` to note what it is told."""
    heard: list[Heard] = []
    score = Influencers.score

    def noted(self: Influencers, found: Influences, written: Any, *rest: Any) -> Any:
        heard.append(Heard(self, found, written, rest))
        return score(self, found, written, *rest)

    with mock.patch.object(Influencers, "score", noted):
        yield heard


def with_influencers(stream: Stream, *fields: str) -> dict[str, Any]:
    """The configuration of a stream with influencers."""
    analysis = {**stream.config["analysis_config"], "influencers": list(fields)}
    return {**stream.config, "analysis_config": analysis}


def same_influences(ours: dict[str, float], twins: dict[str, tuple[float, float]]) -> None:
    """Asserts that values and influences are the same, but for what rounding decides."""
    expected = ordered(twins)
    kept = {value: w for value, (w, _) in twins.items() if w >= CUTOFF - 1e-6}
    least = min((twins[value][0] for value in expected), default=0.0) if len(expected) >= MOST_VALUES else 0.0
    for value, w in ours.items():
        assert math.isclose(w, kept[value], rel_tol=1e-6, abs_tol=1e-6)
    for value in expected:
        sure = twins[value][0] > max(CUTOFF, least) + 1e-6
        assert value in ours or not sure, (value, twins[value], ours)
    assert list(ours.values()) == sorted(ours.values(), reverse=True)


@given(streams())
def test_influencers_agree_with_the_naive_twin(stream: Stream) -> None:
    """What every written result is blamed on is what the twin finds in the rows of its bucket."""
    config = with_influencers(stream, *FIELDS)
    detectors = [NaiveDetector.of(i, d) for i, d in enumerate(config["analysis_config"]["detectors"])]
    by_bucket = defaultdict(list)
    for record in stream.records:
        by_bucket[record["t"] // stream.span].append(record)
    with hearing() as heard:
        job = Job(config, threads=1)
        job.post(stream.records)
        job.flush(calc_interim=True)
    blamed = 0
    for one in heard:
        for result, found in zip(one.results, one.found, strict=True):
            rows, detector = by_bucket[result.bucket], detectors[result.detector]
            for name in FIELDS:
                twins = all_influences(result, detector, rows, name)
                same_influences(found[name], twins)
                blamed += len(found[name])
            assert not found["missing"]
    event(f"blamed: {min(blamed, 3)}")


@given(streams())
def test_scores_agree_with_the_naive_twin(stream: Stream) -> None:
    """Probabilities and scores of influencers and of buckets by field are those of the twin, in its order."""
    with hearing() as heard:
        job = Job(with_influencers(stream, "p", "u"), threads=1)
        job.post(stream.records)
        job.flush()
    table = job._engine.results.table("influencers", exclude_interim=True).to_pylist()
    parts = {
        (part["timestamp"], part["influencer_field_name"]): part
        for bucket in job._engine.results.table("buckets", exclude_interim=True).to_pylist()
        for part in bucket["bucket_influencers"]
    }
    ours = {(r["timestamp"], r["influencer_field_name"], r["influencer_field_value"]): r for r in table}
    twins = {"p": NaiveInfluencers(), "u": NaiveInfluencers()}
    seen = 0
    for one in heard:
        for at, bucket in enumerate(one.buckets):
            for name, twin in twins.items():
                blamed = [
                    (result, found[name])
                    for result, found in zip(one.results, one.found, strict=True)
                    if result.bucket == bucket
                ]
                time = bucket * stream.span
                written, (log_p, score) = twin.score(time // DAY_MS, blamed, one.whole[at], one.scored[at])
                for value, value_log_p, value_score in written:
                    row = ours[time, name, value]
                    seen += 1
                    assert math.isclose(row["log_probability"], value_log_p, rel_tol=1e-6)
                    assert math.isclose(row["influencer_score"], value_score, rel_tol=1e-6)
                part = parts.get((time, name))
                assert (part is not None) == (score > 0.0)
                if part is not None:
                    assert math.isclose(part["anomaly_score"], score, rel_tol=1e-6)
                    assert math.isclose(part["raw_anomaly_score"], -log_p, rel_tol=1e-6, abs_tol=1e-9)
    assert seen == len(table)


# Laws


def whole(config: dict[str, Any], records: Rows, threads: int = 1) -> Job:
    """The job after one post and a close."""
    job = Job(config, threads=threads)
    job.post(records)
    job.close()
    return job


@given(streams(), st.data(), st.integers(0, 60))
def test_cuts_and_folds_do_not_matter(stream: Stream, data: st.DataObject, fold_rows: int) -> None:
    """However a stream is cut, and however many rows are kept, results are bit-identical (law 1)."""
    config = with_influencers(stream, *FIELDS)
    expected = results(whole(config, stream.records))
    with folding(fold_rows):
        job = Job(config, threads=1)
        for begin, end in pairwise(data.draw(cuts(len(stream.records)))):
            job.post(data.draw(st.sampled_from(FORMS))(stream.records[begin:end]))
            act = data.draw(st.sampled_from(("nothing", "flush", "interim", "reopen")))
            if act in ("flush", "interim"):
                job.flush(calc_interim=act == "interim")
            elif act == "reopen":
                job.close()
                job.open()
        job.close()
    event(f"influencers: {min(len(expected['influencers']), 3)}")
    assert_identical(results(job), expected)


@given(streams(), st.integers(1, 60), st.integers(1, 20), st.sampled_from((0, 20, 1 << 22)))
def test_passes_and_threads_do_not_matter(stream: Stream, rows: int, buckets: int, fold_rows: int) -> None:
    """How much a pass takes, and how many threads there are, changes nothing (laws 1 and 2)."""
    config = with_influencers(stream, *FIELDS)
    with small_pieces(rows=rows, buckets=buckets), folding(fold_rows):
        job = whole(config, stream.records, threads=3)
    assert_identical(results(job), results(whole(config, stream.records)))


@given(scenarios(), st.integers(1, 6), st.integers(0, 9))
def test_nasty_streams(scenario: Scenario, rows: int, fold_rows: int) -> None:
    """Disordered streams with strays, holes and odd values are blamed alike in pieces of any size."""
    analysis = {**scenario.config["analysis_config"], "influencers": ["k", "u", "x"]}
    config = {**scenario.config, "analysis_config": analysis}

    def played() -> Job:
        job = Job(config, threads=1)
        for act, what in scenario.acts:
            if act == "post":
                job.post(what)
            elif act == "flush":
                job.flush(**seconds(what))
            else:
                job.close()
                job.open()
        job.close()
        return job

    expected = results(played())
    with small_pieces(rows=rows, buckets=2), folding(fold_rows):
        assert_identical(results(played()), expected)


@given(streams(), st.integers(0, 2**32 - 1))
def test_order_within_open_buckets_does_not_matter(stream: Stream, seed: int) -> None:
    """Records in any order within the latency are blamed on the same values (law 4)."""
    rng = np.random.default_rng(seed)
    late = stream.latency // stream.span
    turn = [(r["t"] // stream.span + rng.integers(0, late + 1), rng.random()) for r in stream.records]
    records = [stream.records[i] for i in sorted(range(len(turn)), key=turn.__getitem__)]
    config = with_influencers(stream, "p", "u")
    jobs = []
    for given_in in (records, stream.records):
        jobs.append(Job(config, threads=1))
        jobs[-1].post(given_in)
        jobs[-1].flush(advance_time=max(r["t"] for r in records) // 1000 + 1)
    names = ("timestamp", "influencer_field_name", "influencer_field_value")
    mine, others = (
        {tuple(row[name] for name in names): row["probability"] for row in job.influencers().to_pylist()}
        for job in jobs
    )
    for key in mine.keys() | others.keys():  # what rounding keeps out is of the least influence
        if key in mine and key in others:
            assert math.isclose(mine[key], others[key], rel_tol=1e-5, abs_tol=1e-12)
        else:
            assert (mine.get(key) or others[key]) > 1e-5


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=60), st.integers(1, 9))
def test_the_most_influential_are_found_without_sorting(pairs: list[tuple[int, int]], groups: int) -> None:
    """What is left out of large groups is never among the ten first by influence, then by records."""
    influence, rows = np.array(pairs).T
    group = np.sort(np.arange(len(pairs)) % groups)
    with mock.patch("tidegate.influence._MANY", MOST_VALUES):
        among = _among_most(group, influence.astype(float), rows)
    for g in range(groups):
        of_group = sorted((pairs[i] for i in np.flatnonzero(group == g)), reverse=True)
        left = sorted((pairs[i] for i in np.flatnonzero((group == g) & among)), reverse=True)
        assert left[:MOST_VALUES] == of_group[:MOST_VALUES]
