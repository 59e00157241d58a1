"""Results that are found and not reported: what is left is what it was, causes and all."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidegate.analysis import Finding
from tidegate.causes import Causes
from tidegate.config import Detector
from tidegate.keys import MemberSpace
from tidegate.model import RESULT_COLUMNS, Scored
from tidegate.withheld import values_of, without


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), max_size=12))
def test_what_is_left_keeps_its_causes(rows: list[tuple[int, bool, int]]) -> None:
    """Results that stay keep their numbers and causes; a bucket's least is that of those that stay, or 0."""
    rows = sorted(rows)
    n, first = len(rows), 100
    log_p = -10.0 - np.arange(n)
    columns: dict[str, Any] = {name: np.arange(float(n)) for name in RESULT_COLUMNS}
    columns["bucket_r"] = np.array([first + bucket for bucket, _, _ in rows], np.int64)
    columns["series_r"] = np.arange(n)
    columns["log_p_r"] = log_p
    least = np.full(5, -1.0)
    np.minimum.at(least, columns["bucket_r"] - first, log_p)
    of_result = np.repeat(np.arange(n), [count for _, _, count in rows])
    number = np.arange(len(of_result), dtype=float)
    finding = Finding(
        Detector("mean", "x", over_field_name="o"),
        MemberSpace(None, "o", None, use_null=False),
        Scored(**columns, min_log_p_b=least, scored_b=np.full(5, 9), bounds=np.empty(0)),
        causes=Causes.single(of_result, of_result.copy(), number, number, number),
    )
    actual, typical = values_of(finding)
    begins = {result: number[k] for k, result in reversed(list(enumerate(of_result.tolist())))}
    assert actual.tolist() == [begins.get(r, float(r)) for r in range(n)] == typical.tolist()
    gone = np.array([is_gone for _, is_gone, _ in rows], bool)
    left = without(finding, gone, first)
    stay = np.flatnonzero(~gone)
    np.testing.assert_array_equal(left.scored.series_r, stay)
    assert left.causes is not None
    # Every cause still belongs to the result that it belonged to, which had this number as its attribute.
    np.testing.assert_array_equal(left.scored.series_r[left.causes.result_r], left.causes.attribute)
    assert left.causes.attribute.tolist() == [r for r in of_result.tolist() if not gone[r]]
    for bucket in range(5):
        at = [r for r in range(n) if rows[r][0] == bucket]
        expected = min((log_p[r] for r in at if not gone[r]), default=0.0)
        lost = any(gone[r] for r in at)
        assert left.scored.min_log_p_b[bucket] == (expected if lost else least[bucket])
    np.testing.assert_array_equal(left.scored.scored_b, finding.scored.scored_b)
