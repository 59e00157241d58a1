"""The results of a job as a store keeps them, the slow and obvious way: lists of rows."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

SCORES = {"buckets": "anomaly_score", "records": "record_score", "influencers": "influencer_score"}
TIES = {
    "buckets": ["timestamp"],
    "records": [
        "record_score",
        "over_field_value",
        "partition_field_value",
        "by_field_value",
        "field_name",
        "function",
    ],
    "influencers": [],
    "model_plot": [],
}


class NaiveResults:
    """Final and interim rows of each kind; a final row has a number for ever."""

    def __init__(self) -> None:
        self.final: dict[str, dict[int, Row]] = {kind: {} for kind in TIES}
        self.interim: dict[str, list[Row]] = {kind: [] for kind in TIES}
        self.next: dict[str, int] = dict.fromkeys(TIES, 0)

    def add(self, kind: str, rows: list[Row], interim: bool) -> None:
        for row in rows:
            if interim:
                self.interim[kind].append(row)
            else:
                self.final[kind][self.next[kind]] = row
                self.next[kind] += 1

    def drop_interim(self) -> None:
        self.interim = {kind: [] for kind in TIES}

    def rescore(self, kind: str, number: int, score: float) -> None:
        row = self.final[kind].get(number)
        if row is None:
            return
        name = SCORES[kind]
        row[name] = min(row[f"initial_{name}"], score)
        for influencer in row.get("bucket_influencers", []):
            influencer["anomaly_score"] = min(influencer["initial_anomaly_score"], score)

    def drop(self, from_ms: int | None, before_ms: int | None) -> None:
        for kind in TIES:
            cut = [
                n
                for n, row in self.final[kind].items()
                if from_ms is not None and row["timestamp"] >= from_ms
            ]
            old = [
                n
                for n, row in self.final[kind].items()
                if before_ms is not None and row["timestamp"] < before_ms
            ]
            if cut:
                self.next[kind] = min(cut)
            for number in {*cut, *old}:
                del self.final[kind][number]
            self.interim[kind] = [
                row
                for row in self.interim[kind]
                if not (from_ms is not None and row["timestamp"] >= from_ms)
                and not (before_ms is not None and row["timestamp"] < before_ms)
            ]

    def find(
        self,
        kind: str,
        *,
        start: int | None = None,
        end: int | None = None,
        min_score: float = 0.0,
        exclude_interim: bool = False,
        sort: str | None = None,
        desc: bool | None = None,
        from_: int = 0,
        size: int | None = None,
    ) -> tuple[list[Row], int]:
        """A page of the rows that match, and how many match."""
        rows = list(self.final[kind].values())
        if not exclude_interim:
            rows += self.interim[kind]
        if start is not None:
            rows = [row for row in rows if row["timestamp"] >= start]
        if end is not None:
            rows = [row for row in rows if row["timestamp"] < end]
        if kind in SCORES:
            rows = [row for row in rows if row[SCORES[kind]] >= min_score]
        by_score = kind in ("records", "influencers")
        main = sort or (SCORES[kind] if by_score else "timestamp")
        for name in reversed([main, *TIES[kind]]):
            known = [row for row in rows if row[name] is not None]
            unknown = [row for row in rows if row[name] is None]
            known.sort(key=lambda row: row[name], reverse=by_score if desc is None else desc)
            rows = known + unknown
        return rows[from_:][:size], len(rows)
