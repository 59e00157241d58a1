"""Results that were found and are not to be reported."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .analysis import Finding
from .causes import Causes
from .cells import F64
from .model import RESULT_COLUMNS, Scored


def values_of(finding: Finding) -> tuple[F64, F64]:
    """The value and the typical value of every result; of a population those of the first of its causes."""
    scored, causes = finding.scored, finding.causes
    if causes is None or not len(causes):
        return scored.actual_r, scored.typical_r
    result = np.arange(len(scored))
    first = np.minimum(np.searchsorted(causes.result_r, result), len(causes) - 1)
    has_cause = causes.result_r[first] == result
    return (
        np.where(has_cause, causes.actual[first], scored.actual_r),
        np.where(has_cause, causes.typical[first], scored.typical_r),
    )


def without(finding: Finding, gone_r: npt.NDArray[np.bool_], bucket_from: int) -> Finding:
    """What is left of a finding without some of its results, and their causes."""
    if not gone_r.any():
        return finding
    causes = finding.causes
    if causes is not None:
        kept = ~gone_r[causes.result_r]
        place = np.cumsum(~gone_r) - 1
        columns = {name: getattr(causes, name)[kept] for name in Causes.__slots__}
        causes = Causes(**{**columns, "result_r": place[columns["result_r"]]})
    return replace(finding, scored=withheld(finding.scored, gone_r, bucket_from), causes=causes)


def withheld(scored: Scored, gone_r: npt.NDArray[np.bool_], bucket_from: int) -> Scored:
    """What is left without some results: their series count as scored, and as unremarkable.

    The least probability of a bucket that has lost a result is that of those left, or 1: what it was of the
    unremarkable ones nobody kept.
    """
    columns = {name: getattr(scored, name)[~gone_r] for name in RESULT_COLUMNS}
    least = scored.min_log_p_b.copy()
    least[scored.bucket_r[gone_r] - bucket_from] = 0.0
    np.minimum.at(least, columns["bucket_r"] - bucket_from, columns["log_p_r"])
    return replace(scored, **columns, min_log_p_b=least)
