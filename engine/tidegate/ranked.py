"""All results of a pass in the order in which they are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .analysis import Finding
from .causes import Causes
from .cells import I64
from .model import INTEGER_COLUMNS

MAX_RECORDS_PER_BUCKET = 100
"""The least probable records of a bucket that are kept."""


class Ranked:
    """All results of a pass, bucket by bucket, the least probable first."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = [finding for finding in findings if len(finding.scored)]
        sizes = [len(finding.scored) for finding in self.findings]
        self._order: I64 = np.arange(sum(sizes))
        self.finding_r = np.repeat(np.arange(len(sizes)), sizes)
        order = np.lexsort((self._order, self.column("log_p_r"), self.column("bucket_r")))
        self._order, self.finding_r = order, self.finding_r[order]

    def __len__(self) -> int:
        return len(self._order)

    def column(self, name: str) -> npt.NDArray[Any]:
        """One column of all results."""
        if not self.findings:
            return np.empty(0, np.int64 if name in INTEGER_COLUMNS else np.float64)
        joined: npt.NDArray[Any] = np.concatenate([getattr(f.scored, name) for f in self.findings])[
            self._order
        ]
        return joined

    @property
    def place_r(self) -> I64:
        """The place of every result among those of its finding."""
        sizes = np.array([len(finding.scored) for finding in self.findings], np.int64)
        return self._order - (np.cumsum(sizes) - sizes)[self.finding_r]

    def least_probable(self) -> npt.NDArray[np.bool_]:
        """Which results are among the `MAX_RECORDS_PER_BUCKET` least probable of their bucket."""
        bucket = self.column("bucket_r")
        worst: npt.NDArray[np.bool_] = (
            np.arange(len(bucket)) - np.searchsorted(bucket, bucket) < MAX_RECORDS_PER_BUCKET
        )
        return worst

    def has_causes(self) -> npt.NDArray[np.bool_]:
        """Which results are of members of a population."""
        of_finding = np.array([finding.causes is not None for finding in self.findings], bool)
        return of_finding[self.finding_r]

    def causes(self) -> tuple[I64, list[Causes]]:
        """The causes of the results, finding by finding, and the row of the result of each of them."""
        sizes = [len(finding.scored) for finding in self.findings]
        row_of = np.full(sum(sizes), -1)
        row_of[self._order] = np.arange(len(self))
        rows, parts = [np.empty(0, np.int64)], []
        for finding, first in zip(self.findings, np.cumsum([0, *sizes]), strict=False):
            causes = finding.causes or Causes.none()
            row = row_of[causes.result_r + first]
            parts.append(causes.only(row >= 0))
            rows.append(row[row >= 0])
        return np.concatenate(rows), parts

    def only(self, chosen: npt.NDArray[np.bool_]) -> Ranked:
        """Some of the results."""
        part = Ranked([])
        part.findings, part._order, part.finding_r = (
            self.findings,
            self._order[chosen],
            self.finding_r[chosen],
        )
        return part
