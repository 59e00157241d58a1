"""How soon a change is told, how soon it is learned, and what is left of the detector after it.

    python -m bench.adapt [--write]

The job and its peers see the same hourly values of `changes`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .changes import BEFORE, SERIES, TASKS, Task
from .grid import F64, I64, SPAN_MS, Flags, judge, runs, times
from .laws import DAY, WEEK
from .peers import PEERS
from .quality import publish, told
from .tables import Table

MATURE = 3 * WEEK
"""Buckets after which false alarms before the change count."""
THEN = 2 * WEEK
"""Buckets in which they count after it."""
RARE = -math.log(0.001)
SEEN = 50.0
WEEKS_AFTER = (2, 4, 8)
SPIKE = 8.0
"""Deviations, of the time after the change, that a single bucket is off by to see if that is told."""

_INTRO = (
    f"Changes at known times: {SERIES} series of hourly values, normal with a deviation of 5 around 100 "
    f"unless said, {BEFORE // WEEK} weeks before the change. Share of series in which an alarm tells it "
    "within a day (a trend: a week) and the median of hours until then / median of hours until a week "
    "is as quiet as 19 in 20 were before (after a day's incident: from its end) / false alarms in a "
    "week of one series, in the two weeks after that one. The first three are tidegate: by the "
    "probability, by the record's initial score, and, as all others, by the threshold that gave one "
    "false alarm in a week of one series before the change: at it 13% tell any day by chance, and 63% "
    "any week. The last two are tidegate too: whether p is still exact, and whether p < 0.001 for a "
    f"single bucket that is off by {SPIKE:g} deviations."
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a detector makes of a task; medians over the series, which are infinite if half never do."""

    detected: float
    """Share of series with an alarm in ``task.within``."""
    delay: float
    """Buckets from the change to the first alarm, of those detected; 0 is the first changed bucket."""
    accepted: float
    """Buckets from the change, or from the end of one that does not last, until all is quiet."""
    false: float
    """Runs of alarms in a week of one series, after the quiet week."""


def figures(alarm: Flags, change_s: I64, task: Task) -> Figures:
    """Follows the alarms (buckets, series) of every series from its change on.

    All is quiet from the first bucket on that begins a week with no more alarms than 19 in 20 weeks
    before the change have: a threshold of one false alarm a week would wait for long for a week of
    none. False alarms are counted in the two weeks after the quiet one, which was chosen to be quiet.
    """
    quiet = _usual(alarm, change_s)
    delays, accepted, false = [], [], []
    for s, change in enumerate(change_s):
        told = np.flatnonzero(alarm[change : change + task.within, s])
        delays += told[:1].tolist()
        end = int(change) + task.lasts
        at = _first_quiet(alarm[end:, s], quiet)
        accepted.append(at)
        then = alarm[end + int(at) + WEEK :, s][:THEN] if at < math.inf else alarm[:0, s]
        if len(then):
            false.append(runs(then[:, None]) * WEEK / len(then))
    return Figures(
        len(delays) / len(change_s),
        float(np.median(delays)) if delays else math.inf,
        float(np.median(accepted)),
        float(np.mean(false)) if false else math.nan,
    )


def _usual(alarm: Flags, change_s: I64) -> int:
    """How many alarms 19 in 20 weeks before the change have at most."""
    weeks = [
        int(alarm[end - WEEK : end, s].sum())
        for s, change in enumerate(change_s)
        for end in range(int(change), MATURE + WEEK - 1, -WEEK)
    ]
    return int(np.quantile(weeks, 0.95, method="higher"))


def _first_quiet(alarm: Flags, most: int) -> float:
    """The first bucket that begins a week of so many alarms at most."""
    sums = np.append(0, np.cumsum(alarm))
    quiet = np.flatnonzero(sums[WEEK:] - sums[:-WEEK] <= most)
    return float(quiet[0]) if len(quiet) else math.inf


def threshold(score: F64, change_s: I64, weekly: float = 1.0) -> float:
    """The score to be exceeded in a run a week of one series, or fewer, before the change.

    The k-th largest for growing k, until there are more; the lowest score if there never are.
    """
    used = score[MATURE : BEFORE + int((change_s - BEFORE).min())]
    most = weekly * used.size / WEEK
    falling = np.sort(used, axis=None)[::-1]
    least, k = float(falling[0]), 1
    while k < len(falling):
        if runs(used > falling[k]) > most:
            break
        least = float(falling[k])
        k += 1 + k // 20
    return least


def ours(values: F64, function: str) -> dict[str, tuple[F64, float | None]]:
    """Scores of the job (buckets, series) with the threshold of each; None: to be chosen."""
    judged = judge(values, function)
    return {
        "p < 0.001": (-judged.log_p, RARE),
        f"score > {SEEN:g}": (judged.score, SEEN),
        "p, one a week": (-judged.log_p, None),
    }


def peers(values: F64) -> dict[str, tuple[F64, float | None]]:
    """Scores of the peers, whose thresholds are to be chosen."""
    time_ms = times(len(values))
    return {
        name: (np.stack([peer(time_ms, column, SPAN_MS) for column in values.T], axis=1), None)
        for name, peer in PEERS.items()
    }


def measured(task: Task, scores: Mapping[str, tuple[F64, float | None]], change_s: I64) -> Iterator[str]:
    """A cell of the table for each of the scores."""
    for score, least in scores.values():
        alarm = score > (threshold(score, change_s) if least is None else least)
        yield _shown(figures(alarm, change_s, task))


def rates_after(task: Task, log_p: F64, change_s: I64) -> list[float]:
    """Observed over nominal rate of p < 0.01 in each of the weeks of `WEEKS_AFTER`."""
    rates = []
    for week in WEEKS_AFTER:
        first_s = change_s + task.lasts + (week - 1) * WEEK
        found = [log_p[first : first + WEEK, s] < 0.0 for s, first in enumerate(first_s)]
        rates.append(float(np.mean(found)) / 0.01)
    return rates


def spikes_told(task: Task, values: F64, change_s: I64) -> list[float]:
    """Share of series in which p < 0.001 for a spike, before the change and after `WEEKS_AFTER`.

    Each in a run of its own, so that no spike is judged by what another has taught.
    """
    every = np.arange(len(change_s))
    shares = []
    for at_s, deviation in (
        (change_s - DAY, TASKS["+2 deviations"].deviation),
        *((change_s + task.lasts + week * WEEK, task.deviation) for week in WEEKS_AFTER),
    ):
        spiked = values.copy()
        spiked[at_s, every] += SPIKE * deviation
        log_p = judge(spiked, task.function).log_p[at_s, every]
        shares.append(float((-log_p > RARE).mean()))
    return shares


def _listed(figures: Sequence[float], form: str) -> str:
    return " / ".join(format(figure, form) for figure in figures)


def _shown(of: Figures) -> str:
    """Share and delay, acceptance, false alarms.

    >>> _shown(Figures(1.0, 2.0, math.inf, 0.25))
    '100% 2 / never / 0.2'
    """
    delay = f" {of.delay:.0f}" if of.detected else ""
    accepted = "never" if math.isinf(of.accepted) else f"{of.accepted:.0f}"
    false = "" if math.isnan(of.false) else f"{of.false:.1f}"
    return f"{of.detected:.0%}{delay} / {accepted} / {false}"


def row(task: Task) -> dict[str, str]:
    """The cells of one task by the heads of their columns."""
    values, change_s = task.values()
    scores = ours(values, task.function) | peers(values)
    cells = dict(zip(scores, measured(task, scores, change_s), strict=True))
    log_p = -scores["p, one a week"][0]
    weeks = f"{_listed(WEEKS_AFTER, '')} weeks"
    return {
        "change": task.name,
        **cells,
        f"p < 0.01 over nominal after {weeks}": _listed(rates_after(task, log_p, change_s), ".1f"),
        f"spike told before / after {weeks}": _listed(spikes_told(task, values, change_s), ".0%"),
    }


def table() -> Table:
    """All tasks, ours and the peers."""
    rows = [row(task) for task in TASKS.values()]
    return Table(_INTRO, tuple(rows[0]), [tuple(cells.values()) for cells in rows])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures how a job and its peers take synthetic changes."""
    parser = argparse.ArgumentParser(prog="python -m bench.adapt", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into the README")
    options = parser.parse_args(arguments)
    with told(parser):
        publish("adapt", table(), write=options.write)


if __name__ == "__main__":
    main()
