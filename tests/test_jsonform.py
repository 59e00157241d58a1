"""The JSON form of results: copies of fields, reserved names, and nothing that is null."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from tidegate import Job, results
from tidegate.jsonform import json_lines, reserved_names, to_json
from tidegate.kinds import KINDS, Kind
from tidegate.results import BUCKETS, RECORDS


def record(**values: Any) -> dict[str, Any]:
    """A record in the JSON form, made of these values alone."""
    [made] = to_json("records", pa.Table.from_pylist([values], RECORDS))
    return made


def test_every_kind_is_read_from_a_job() -> None:
    """Each kind names a schema, and a method of a job whose table has that schema, empty or not."""
    job = Job(
        {
            "analysis_config": {"detectors": [{"function": "count"}]},
            "data_description": {"time_field": "t"},
        }
    )
    for name, kind in KINDS.items():
        assert name == kind.name
        table = getattr(job, kind.reader)()
        assert table.schema.equals(getattr(results, kind.schema))
        assert set(kind.shown.values()) <= set(table.column_names)
        assert kind.score is None or kind.score in kind.shown.values()
        assert list(to_json(name, table)) == []


def test_fields_are_there_under_their_own_names() -> None:
    """By, over and partition fields are lists of their values; a missing value is no copy."""
    made = record(
        by_field_name="airline",
        by_field_value="AAL",
        over_field_name="host",
        over_field_value="a",
        partition_field_name="dc",
        partition_field_value=None,
    )
    assert made["airline"] == ["AAL"]
    assert made["host"] == ["a"]
    assert "dc" not in made


def test_influencers_join_what_is_there() -> None:
    """Values of a field that is a key and an influencer come together, each once, in order."""
    made = record(
        by_field_name="airline",
        by_field_value="AAL",
        influencers=[
            {"influencer_field_name": "airline", "influencer_field_values": ["JZA", "AAL"]},
            {"influencer_field_name": "region", "influencer_field_values": ["eu"]},
        ],
    )
    assert (made["airline"], made["region"]) == (["AAL", "JZA"], ["eu"])


def test_causes_name_their_fields_too() -> None:
    """The members of a population and what they did are found by field as well."""
    causes = [{"by_field_name": "action", "by_field_value": value} for value in ("read", "write", "read")]
    assert record(over_field_name="user", over_field_value="x", causes=causes)["action"] == ["read", "write"]


@pytest.mark.parametrize(
    "name", ["timestamp", "causes", "function", "influencer_field_values", "max_anomaly_score"]
)
def test_reserved_names_win(name: str) -> None:
    """A field of the data that is called like one of results, of whatever kind and depth, has no copy."""
    made = record(by_field_name=name, by_field_value="x", timestamp=5)
    assert name in reserved_names()
    assert made == {"timestamp": 5, "by_field_name": name, "by_field_value": "x"}


def test_an_influencer_has_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind whose results are about one value of a field has it as it is."""
    kind = Kind("of_values", "of_values", "BUCKETS", {}, copies="value")
    monkeypatch.setattr("tidegate.jsonform.KINDS", {**KINDS, "of_values": kind})
    table = pa.table({"influencer_field_name": ["host"], "influencer_field_value": ["a"]})
    assert [row["host"] for row in to_json("of_values", table)] == ["a"]


def test_other_kinds_have_no_copies() -> None:
    """The model plot and forecasts name their series by its fields alone."""
    row = {"by_field_name": "host", "by_field_value": "a", "timestamp": 1}
    for kind in ("model_plot", "forecast"):
        assert list(to_json(kind, pa.Table.from_pylist([row], getattr(results, KINDS[kind].schema)))) == [row]


def test_lines_are_json_without_nulls() -> None:
    """Text is one object a line, not-a-number is left out, and letters of all alphabets stay letters."""
    rows = [{"job_id": "größe", "anomaly_score": float("nan"), "bucket_influencers": []}] * 9000
    made = list(json_lines("buckets", pa.Table.from_pylist(rows, BUCKETS)))
    assert len(made) == 9000
    assert made[0].decode() == '{"job_id": "größe", "bucket_influencers": []}'
    assert json.loads(made[-1]) == {"job_id": "größe", "bucket_influencers": []}
