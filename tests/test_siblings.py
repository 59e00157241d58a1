"""New series and their siblings: what they begin with, and that it is the same however records come."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from tests.naive_scores import ScoredJob
from tests.test_naive_scores import START, job_config, same_results

from tidegate import Job
from tidegate.siblings import Prior, common
from tidegate_kernels import state as rows

HOUR = 3_600_000
DETECTORS = [
    {"function": "mean", "field_name": "x", "by_field_name": "k"},
    {"function": "count", "by_field_name": "k"},
]


def config(detectors: list[dict[str, str]]) -> dict[str, Any]:
    """The job of the twin tests with other detectors."""
    made = job_config([])
    made["analysis_config"]["detectors"] = detectors
    return made


def shape(hour: int) -> float:
    """What all siblings' days have in common."""
    return 1.0 + 0.5 * math.sin(math.pi * (hour - 8) / 12.0) + 0.2 * math.sin(math.pi * hour / 6.0)


def stream(days: int, late: int, seed: int = 1) -> list[dict[str, Any]]:
    """Twelve series alike but for their level, and four that begin a day after `late` days, one spiked."""
    rng, records = random.Random(seed), []
    levels = [math.exp(rng.gauss(3.0, 1.0)) for _ in range(16)]
    for hour in range(24 * days):
        for k, level in enumerate(levels):
            if k >= 12 and hour < 24 * late + 24 + k:
                continue
            x = level * shape(hour) * (1.0 + rng.gauss(0.0, 0.05))
            if k == 12 and hour == 24 * late + 60:
                x *= 2.0
            for _ in range(rng.randint(1, 2)):
                records.append({"t": START + hour * HOUR + rng.randrange(HOUR), "x": x, "k": f"s{k}"})
    return sorted(records, key=lambda record: record["t"])


def given(job: Any, records: list[dict[str, Any]], cuts: tuple[int, ...] = ()) -> Any:
    """The job after the records, flushed at each cut and in the end."""
    for start, stop in zip((0, *cuts), (*cuts, len(records)), strict=True):
        job.post(records[start:stop])
        job.flush()
    return job


def test_series_with_siblings_agree_with_the_twin() -> None:
    """Old and new series, before and after each look at the siblings, have the twin's results."""
    records, settings = stream(17, 14), config(DETECTORS)
    assert same_results(given(Job(settings), records), given(ScoredJob(settings), records)) > 20


@pytest.mark.parametrize("threads", [1, 2])
def test_what_siblings_tell_does_not_depend_on_how_records_came(threads: int) -> None:
    """Cut anywhere, on any number of threads, the results are the same to the last bit."""
    records, settings = stream(16, 14), config(DETECTORS)
    whole = given(Job(settings, threads=1), records)
    rng = random.Random(3)
    cut = given(Job(settings, threads=threads), records, tuple(sorted(rng.sample(range(len(records)), 25))))
    assert whole.records().equals(cut.records())


def test_a_new_series_knows_the_day_of_its_siblings() -> None:
    """Its doubled value is told a day after it began, and hardly anything else of its first two days."""
    records = stream(17, 14)
    job = given(Job(config(DETECTORS[:1])), records)
    alone = given(Job(config(DETECTORS[:1])), [row for row in records if row["k"] in ("s12", "s13")])
    at = START + (24 * 14 + 60) * HOUR
    told = [row for row in job.records().to_pylist() if row["by_field_value"] in ("s12", "s13", "s14", "s15")]
    assert any(row["timestamp"] == at and row["probability"] < 1e-3 for row in told)
    assert sum(row["timestamp"] < at for row in told) <= 4
    assert not any(
        row["timestamp"] == at and row["probability"] < 1e-3 for row in alone.records().to_pylist()
    )


def blocks(n: int, **fields: float) -> tuple[Any, Any, Any]:
    """State, pages and page numbers of n series that are alike but for their level."""
    state = np.zeros((-(-n // rows.LANES), rows.STATE_ROWS, rows.LANES))
    pages = np.zeros((len(state), rows.PROFILE_ROWS, rows.LANES), np.float32)
    for s in range(n):
        block, lane = divmod(s, rows.LANES)
        level = 10.0 * (s + 1)
        values = {"ALIVE": 1.0, "COUNT": 100.0, "LEVEL": level, "NON_NEGATIVE": 1.0, "SEASONAL": 1.0}
        values |= {"VARIANCE_AR": (0.05 * level / 2.0) ** 2} | fields
        for name, value in values.items():
            state[block, int(getattr(rows, name)) // rows.LANES, lane] = value
        pages[block, : rows.DAY_KNOTS, lane] = level * np.sin(np.arange(rows.DAY_KNOTS))
    return state.ravel(), pages.ravel(), np.arange(len(state))


def test_siblings_that_agree_make_a_prior() -> None:
    """The common deviation and day are found; series that all agree count for the most."""
    prior = common(*blocks(20))
    assert prior.spread == pytest.approx(0.05)
    assert prior.count == 24.0
    assert prior.agreement == pytest.approx(1.0)
    assert prior.shape == pytest.approx(np.sin(np.arange(rows.DAY_KNOTS)), abs=1e-6)


@pytest.mark.parametrize(
    "made", [blocks(7), blocks(20, COUNT=10.0), blocks(20, ALIVE=0.0), blocks(20, VARIANCE_AR=0.0)]
)
def test_few_or_young_siblings_make_none(made: tuple[Any, Any, Any]) -> None:
    """Fewer than eight mature series have nothing to tell."""
    assert common(*made) == Prior()
