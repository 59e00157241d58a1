"""Custom rules that forbid to learn, for analyses that do not obey rules themselves.

A bucket that such a rule holds for is scored without learning, all its cells; then the cells that the rule
does not hold for are learned. As every bucket is scored before it is learned, that gives the results
of one run over it, however buckets are cut into runs. What is forbidden weighs nothing, unlike in the
models of single series, which learn it with a weight of 0.005.

Buckets in which no cell is forbidden, and those in which all are, are worked on many at once. The others cost
two runs each: 0.15 to 0.4 ms more with ten cells in a bucket (4,000 buckets, 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .analysis import Analysis, Finding, LaneCells
from .causes import Causes
from .cells import F64, ClosedCells
from .model import Run, consecutive
from .rules import SKIP_UPDATE, DetectorRules, actions

Flags = npt.NDArray[np.bool_]
Execute = Callable[[LaneCells, Run], Finding]
_LEARNED, _FORBIDDEN, _MIXED = range(3)


def run_unlearned(
    analysis: Analysis, rules: DetectorRules, cells: LaneCells, run: Run, span_ms: int, execute: Execute
) -> Finding:
    """What `execute` finds in the cells of a run, in which it learns those that no rule forbids to learn."""

    def is_forbidden(closed: ClosedCells) -> Flags:
        seconds: F64 = closed.bucket_c * np.float64(span_ms / 1000.0)
        actual = analysis.actual_of(closed)
        masks = rules.masks[closed.series_c]
        acts = actions(rules.table, masks, seconds, actual, np.full(len(closed), np.nan))
        forbidden: Flags = (acts & SKIP_UPDATE) != 0
        return forbidden

    inside = cells.within(run.calendar.bucket_from, run.calendar.bucket_to)
    closed = inside[analysis.sources[0]]
    forbidden_c = is_forbidden(closed)
    if not forbidden_c.any():
        return execute(cells, run)
    findings = []
    for first, last, kind in _stretches(closed, forbidden_c, run):
        part, here = inside.within(first, last), replace(run, calendar=run.calendar.within(first, last))
        findings.append(execute(part, here if kind == _LEARNED else replace(here, learn=False)))
        if kind == _MIXED:
            execute(part.where(lambda closed: ~is_forbidden(closed)), here)
    return _joined(findings)


def _stretches(closed: ClosedCells, forbidden_c: Flags, run: Run) -> Iterator[tuple[int, int, int]]:
    """Cuts a run into buckets that are dealt with alike: first bucket, the one after the last, and how."""
    bucket_b, first_b = np.unique(closed.bucket_c, return_index=True)
    cells_b = np.diff(np.append(first_b, len(closed)))
    forbidden_b = np.add.reduceat(forbidden_c.astype(np.int64), first_b)
    kind_b = np.where(forbidden_b == 0, _LEARNED, np.where(forbidden_b == cells_b, _FORBIDDEN, _MIXED))
    begins = np.flatnonzero((np.diff(kind_b, prepend=-1) != 0) | (kind_b == _MIXED))
    places = [run.calendar.bucket_from, *bucket_b[begins[1:]].tolist(), run.calendar.bucket_to]
    return zip(places[:-1], places[1:], kind_b[begins].tolist(), strict=True)


def _joined(findings: list[Finding]) -> Finding:
    """What was found in one stretch of buckets after the other."""
    scored = [finding.scored for finding in findings]
    causes = [finding.causes for finding in findings if finding.causes is not None]
    return replace(
        findings[0],
        scored=consecutive(scored),
        causes=Causes.consecutive(causes, [len(part) for part in scored]) if causes else None,
    )
