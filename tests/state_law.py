"""Two jobs that do the same: one all by itself, one that is handed over to a new job before every act."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tidegate import Job

Act = tuple[str, Any]
KINDS = ("buckets", "records", "influencers", "model_plot")
LOOKED_AT = ".marks"
"""In the way to what depends on when somebody read the results, which are not handed over."""
WALL_CLOCK = ("last_data_time", "create_ms", "expiry_ms", "processing_time_ms", "points", "forecasts")


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of captured state by its path; arrays as their dtype and bytes."""
    if isinstance(tree, dict):
        for name, inner in tree.items():
            yield from leaves(inner, f"{path}.{name}")
    elif isinstance(tree, list):
        yield f"{path}.length", len(tree)
        for k, inner in enumerate(tree):
            yield from leaves(inner, f"{path}[{k}]")
    elif isinstance(tree, np.ndarray):
        yield path, (tree.dtype.str, tree.shape, tree.tobytes())
    else:
        yield path, (type(tree), repr(tree))


def known(job: Job) -> dict[str, Any]:
    """All that a job knows but when it was run."""
    found = dict(leaves(job._capture(copy=False)))
    return {
        path: leaf
        for path, leaf in found.items()
        if not any(name in path for name in (LOOKED_AT, *WALL_CLOCK))
    }


def reborn(job: Job) -> Job:
    """A new job that takes over all that this one knows."""
    other = Job(job.config, calendars=job.calendars, filters=job.filters, threads=1)
    other._restore(job._capture(copy=True))
    return other


def results(job: Job, *, interim: bool) -> dict[str, list[str]]:
    """The results as they were written; the text of a float has all its bits."""
    found = {}
    for kind in KINDS:
        final = job._engine.results.table(kind, exclude_interim=True)
        table = job._engine.results.table(kind, exclude_interim=False)
        table = table.slice(final.num_rows) if interim else final
        named = [name for name in table.schema.names if name != "processing_time_ms"]
        found[kind] = list(map(repr, table.select(named).to_pylist()))
    return found


def perform(job: Job, act: Act) -> None:
    """Does one thing with a job."""
    verb, what = act
    if verb in ("post", "update", "set_calendars", "add_events"):
        getattr(job, verb)(what)
    elif verb == "reopen":
        job.close()
        job.open()
    else:
        getattr(job, verb)(**what)


def readings(job: Job) -> list[Any]:
    """What else can be read of a job."""
    forecasts = job.forecasts()
    timeless = [name for name in forecasts.schema.names if "timestamp" not in name or name == "timestamp"]
    counts = job.data_counts.to_dict()
    counts.pop("last_data_time", None)
    return [
        job.categories().to_pylist(),
        job.categorizer_stats().to_pylist(),
        forecasts.select([name for name in timeless if name != "forecast_id"]).to_pylist(),
        counts,
        {**job.model_size_stats.to_dict(), "log_time": 0},
    ]


def assert_law(job: Job, acts: list[Act]) -> Job:
    """Asserts that a job and one that is reborn before every act come to the same; returns the first."""
    twin = reborn(job)
    made: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for act in acts:
        before = twin
        twin = reborn(before)
        for kind, rows in results(before, interim=False).items():
            made[kind] += rows
        engine = twin._engine
        perform(job, act)
        perform(twin, act)
        if twin._engine is not engine:  # all before were strays
            made = {kind: [] for kind in KINDS}
        if twin._engine.results._interim["buckets"].rows:
            assert results(twin, interim=True) == results(job, interim=True)
    for kind, rows in results(twin, interim=False).items():
        assert made[kind] + rows == results(job, interim=False)[kind], kind
    ours, others = known(twin), known(job)
    assert ours.keys() == others.keys()
    assert [path for path in ours if ours[path] != others[path]] == []
    assert list(map(repr, readings(twin))) == list(map(repr, readings(job)))
    return job
