"""Whole jobs with influencers, beside the same job without."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import tidegate

from .inputs import DAY_MS, Events, config, events
from .measure import Run, Size, in_child, medians, memory_now
from .tables import Table, at_least

FIELDS = 3
VALUES = 10_000
GOAL_PER_CORE = 1.0


def names(n_fields: int) -> list[str]:
    """The influencer fields."""
    return [f"who{k}" for k in range(n_fields)]


def with_values(data: Events, n_fields: int) -> pa.Table:
    """The records with a random value of every influencer field, as dictionaries."""
    random = np.random.default_rng(11)
    texts = pa.array([f"value-{k:05d}" for k in range(VALUES)])
    table = data.table()
    for name in names(n_fields):
        codes = pa.array(random.integers(0, VALUES, len(data)).astype(np.int32))
        table = table.append_column(name, pa.DictionaryArray.from_arrays(codes, texts))
    return table


def job(records: pa.Table, function: str, n_fields: int, *, span: str = "5m", split: bool = True) -> Run:
    """A whole job on one thread over the records, with the values of so many fields for influencers."""
    settings = config(function, span)
    settings["analysis_config"]["influencers"] = names(n_fields)
    if not split:
        settings["analysis_config"]["detectors"][0].pop("by_field_name")

    def run() -> int:
        with tidegate.Job(settings, threads=1) as whole:
            counts = whole.post(records)
            whole.flush(advance_time=records["time"][-1].as_py() + DAY_MS)
            if counts.processed_record_count != len(records):
                raise AssertionError(f"not all records were used: {counts}")
            return int(whole.influencers().num_rows)

    return run


def peak(rows: int, n_fields: int) -> dict[str, float]:
    """Peak bytes of a job over so many records (a child's work)."""
    job(with_values(events(rows, 1_000), n_fields), "mean", n_fields)()
    return {"peak": memory_now()[1]}


def table(size: Size) -> Table:
    """Rates with and without influencers, on one thread, and how much more memory they take."""
    plain = events(size.rows, 1_000)
    data = with_values(plain, FIELDS)
    some = f"{FIELDS} influencers"
    jobs = {
        "mean, no influencers": job(plain.table(), "mean", 0),
        f"mean, {some}": job(data, "mean", FIELDS),
        f"count, {some}": job(data, "count", FIELDS),
        f"median, {some}": job(data, "median", FIELDS),
        f"mean, one series, {some}": job(data, "mean", FIELDS, split=False),
        f"mean in buckets of a day, {some}": job(data, "mean", FIELDS, span="1d"),
    }
    taken = medians(jobs, size.repeats)
    first = next(iter(taken.values()))
    rows: list[tuple[str, ...]] = []
    for name, spent in taken.items():
        rate = size.rows / spent / 1e6
        goal = at_least(rate, GOAL_PER_CORE, " M") if name.endswith(some) else ("", "")
        rows.append((name, f"{rate:.1f}", f"{spent / first:.2f}x", *goal))
    small = min(size.rows, 5_000_000)
    peaks = [in_child(peak, small, n)["peak"] / 1e9 for n in (0, FIELDS)]
    return Table(
        f"Influencers: {size.rows / 1e6:g} M rows, 1,000 series, {FIELDS} influencer fields of {VALUES:,} "
        "values each as dictionaries, 5-minute buckets over a week, one thread.",
        ("job", "M rows/s", "its time / without influencers", "goal a core", "met"),
        rows,
        [
            f"Peak memory with {small / 1e6:g} M rows, the input included: {peaks[0]:.2f} GB without, "
            f"{peaks[1]:.2f} GB with influencers, of which {12 * small / 1e9:.2f} GB are their input."
        ],
    )
