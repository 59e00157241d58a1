"""Whole jobs with the field mlcategory: bursts of a template, partitions, missing messages, and the laws."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from bench.loglines import HELD_OUT, lines_of
from tests.config_samples import CATEGORY, job, problems_of

from tidegate import Job
from tidegate.results import CATEGORIES, CATEGORIZER_STATS

START = 1_699_999_200_000
HOUR = 3_600_000
RARE = "certificate of server {} expires soon"


def configured(*detectors: dict[str, Any], **analysis: Any) -> dict[str, Any]:
    """The configuration of a job over messages."""
    return {
        "analysis_config": {
            "bucket_span": "30m",
            "detectors": list(detectors),
            CATEGORY: "message",
            **analysis,
        },
        "data_description": {"time_field": "time"},
    }


def logs(hours: int = 72, seed: int = 1) -> pa.Table:
    """Logs of an hourly rare message; between one hour and the next, at two thirds, it comes 60 times."""
    random = np.random.default_rng(seed)
    messages, _ = lines_of({"spring": HELD_OUT["spring"]}, 60 * hours, seed)
    time = np.sort(random.integers(0, hours * HOUR, len(messages)))
    burst = hours * 2 // 3 * HOUR + random.integers(0, HOUR // 2, 60)
    rare_time = np.concatenate([np.arange(hours) * HOUR + 1, burst])
    rare = [RARE.format(k) for k in range(len(rare_time))]
    order = np.argsort(np.concatenate([time, rare_time]), kind="stable")
    return pa.table(
        {
            "time": np.concatenate([time, rare_time])[order] + START,
            "message": pa.array([*messages, *rare]).take(pa.array(order)),
            "site": pa.array(["north", "south"]).take(pa.array(random.integers(0, 2, len(order)))),
        }
    )


COUNT = {"function": "count", "by_field_name": "mlcategory"}


def result(config: dict[str, Any], batches: list[pa.Table], **options: Any) -> dict[str, Any]:
    """All results of a job."""
    made = Job(config, **options)
    for batch in batches:
        made.post(batch)
    made.flush()
    return {
        "records": made.records().to_pylist(),
        "categories": made.categories().to_pylist(),
        "stats": made.categorizer_stats().to_pylist(),
        "counts": made.data_counts.to_dict() | {"last_data_time": None, "input_bytes": None},
    }


def test_a_burst_of_a_rare_message_is_the_worst_anomaly():
    """`count by mlcategory` finds the half hour in which an hourly message comes sixty times."""
    found = result(configured(COUNT), [logs()])
    worst = max(found["records"], key=lambda record: record["record_score"])
    assert worst["timestamp"] == START + 48 * HOUR
    assert worst["by_field_name"] == "mlcategory"
    [category] = [own for own in found["categories"] if str(own["category_id"]) == worst["by_field_value"]]
    assert category["terms"] == "certificate of server expires soon"
    assert category["num_matches"] == 72 + 60
    assert category["examples"] == [RARE.format(k) for k in range(4)]
    assert category["grok_pattern"] == ".*?certificate.+?of.+?server.+?%{NUMBER:field}.+?expires.+?soon.*"
    assert worst["actual"] == [61.0]


@pytest.mark.parametrize("per_partition", [False, True])
def test_results_do_not_depend_on_posts_or_threads(per_partition):
    """However the records are cut into posts and encoded, on one thread or three, results are identical."""
    detectors = [COUNT | {"partition_field_name": "site"}]
    config = configured(*detectors, per_partition_categorization={"enabled": per_partition})
    table = logs(24)
    expected = result(config, [table], threads=1)
    encoded = table.set_column(1, "message", table["message"].combine_chunks().dictionary_encode())
    cuts = [0, 1, 700, 701, 1100, len(table)]
    pieces = [encoded.slice(a, b - a) for a, b in pairwise(cuts)]
    assert result(config, pieces, threads=3) == expected
    assert len(expected["records"]) > 0


def test_every_partition_has_its_own_categories():
    """With per-partition categorization no category has messages of two partitions, and each says which."""
    table = logs(24)
    config = configured(
        COUNT | {"partition_field_name": "site"}, per_partition_categorization={"enabled": True}
    )
    found = result(config, [table])
    sites = dict(zip(*map(pc.list_flatten, map(pa.array, [[["north", "south"]], [[0, 0]]])), strict=True))
    totals = {str(site): 0 for site in sites}
    for category in found["categories"]:
        assert category["partition_field_name"] == "site"
        totals[category["partition_field_value"]] += category["num_matches"]
    counted = {row["values"].as_py(): row["counts"].as_py() for row in table["site"].value_counts()}
    assert totals == counted
    assert {row["partition_field_value"]: row["categorized_doc_count"] for row in found["stats"]} == counted


@pytest.mark.parametrize("role", ["by_field_name", "partition_field_name"])
@pytest.mark.parametrize("use_null", [False, True])
def test_a_missing_message_is_a_missing_field(role, use_null):
    """Records without a message are treated as those without the key field of any name."""
    random = np.random.default_rng(5)
    time = np.sort(random.integers(0, 48 * HOUR, 3000)) + START
    kinds = pa.array(["disk full", "user left", "", None])
    own = kinds.take(pa.array(random.integers(0, 4, 3000)))
    table = pa.table({"time": time, "message": own, "key": own})
    span = {"bucket_span": "1h"}
    by_category = Job(configured({"function": "count", role: "mlcategory", "use_null": use_null}, **span))
    by_key = Job(
        configured({"function": "count", role: "key", "use_null": use_null}, **span, **{CATEGORY: None})
    )
    for made in (by_category, by_key):
        made.post(table)
        made.flush()
    assert by_category.series_count == by_key.series_count
    assert by_category.records()["probability"].equals(by_key.records()["probability"])
    assert by_category.data_counts.missing_field_count == by_key.data_counts.missing_field_count
    assert by_category.categorizer_stats()["categorized_doc_count"].to_pylist() == [
        pc.sum(pc.greater(pc.utf8_length(own), 0)).as_py()
    ]


def test_the_first_message_of_its_kind_is_rare():
    """`rare by mlcategory` finds the one half hour in which a new kind of message comes."""
    table = logs(48)
    at = table["time"].combine_chunks().to_numpy()
    message = table["message"].to_pylist()
    row = int(np.searchsorted(at, START + 40 * HOUR))
    message[row] = "kernel panic: unable to mount the root filesystem"
    config = configured({"function": "rare", "by_field_name": "mlcategory"})
    found = result(config, [table.set_column(1, "message", pa.array(message))])
    worst = max(found["records"], key=lambda record: record["record_score"])
    assert worst["timestamp"] == START + 40 * HOUR
    terms = {str(own["category_id"]): own["terms"] for own in found["categories"]}
    assert terms[worst["by_field_value"]] == "kernel panic unable to mount the root filesystem"


def test_the_message_field_may_be_absent():
    """Without any message there are no categories, and the job goes on."""
    made = Job(configured(COUNT))
    counts = made.post([{"time": START + k * HOUR} for k in range(10)])
    assert counts.missing_field_count == counts.processed_record_count == 10
    made.flush()
    assert made.categories().num_rows == 0
    assert made.categorizer_stats()["categorized_doc_count"].to_pylist() == [0]


def test_only_admitted_records_are_categorised():
    """A record that is dropped, too late or without a time, makes no category and counts for none."""
    made = Job(configured(COUNT))
    made.post([{"time": START + k * HOUR, "message": "all is well"} for k in range(5)])
    made.flush()
    made.post([{"time": START, "message": "too late to matter"}, {"time": "x", "message": "never at all"}])
    assert made.categories().select(["category_id", "num_matches"]).to_pylist() == [
        {"category_id": 1, "num_matches": 5}
    ]


def test_a_job_without_messages_has_no_categories():
    """The tables are empty, with their schemas."""
    made = Job(job({"function": "count"}))
    assert made.categories().schema == CATEGORIES
    assert made.categorizer_stats().schema == CATEGORIZER_STATS
    assert made.categories().num_rows == made.categorizer_stats().num_rows == 0


def test_messages_come_as_text_from_ndjson():
    """Lines of JSON give the same categories as columns, whatever type a message has."""
    rows = [
        {"time": START + k, "message": message}
        for k, message in enumerate(["user eve left", 17, True, "user max left", None, 1.5, "user eve left"])
    ]
    made = Job(configured(COUNT))
    made.post("\n".join(map(json.dumps, rows)).encode())
    assert made.categories().select(["terms", "num_matches", "examples"]).to_pylist() == [
        {"terms": "user left", "num_matches": 3, "examples": ["user eve left", "user max left"]},
        {"terms": "", "num_matches": 2, "examples": ["17", "1.5"]},
        {"terms": "true", "num_matches": 1, "examples": ["true"]},
    ]


def test_the_memory_limit_is_shared():
    """Categories take at most a quarter of the memory limit, and are part of the size of the models."""
    config = configured(COUNT) | {"analysis_limits": {"model_memory_limit": "4mb"}}
    random = np.random.default_rng(2)
    letters = random.choice(list("ghijklmnop"), (8000, 24))
    messages = ["".join(row[:8]) + " " + "".join(row[8:16]) + " " + "".join(row[16:]) for row in letters]
    made = Job(config)
    made.post(pa.table({"time": np.arange(8000) + START, "message": messages}))
    [figures] = made.categorizer_stats().to_pylist()
    assert figures["failed_category_count"] == 8000 - figures["categorized_doc_count"] > 0
    assert figures["total_category_count"] > 500
    assert figures["categorization_status"] == "warn"
    assert 500_000 < made.model_size_stats.model_bytes < 4 << 20


CATEGORIZED = {CATEGORY: "m"}
PER_PARTITION = CATEGORIZED | {"per_partition_categorization": {"enabled": True}}
RULE = "for detectors that reference mlcategory when per-partition categorization is enabled"


@pytest.mark.parametrize(
    ("detectors", "analysis", "path", "message"),
    [
        (
            [COUNT],
            CATEGORIZED | {"categorization_filters": ["a", "(b"]},
            "categorization_filters[1]",
            "'(b' is not a regular expression of RE2: missing )",
        ),
        (
            [COUNT],
            CATEGORIZED | {"categorization_analyzer": "english"},
            "categorization_analyzer",
            "'english' is not one of ml_standard, ml_classic, standard, whitespace, simple, letter",
        ),
        (
            [COUNT],
            CATEGORIZED | {"categorization_analyzer": {"tokenizer": "ngram"}},
            "categorization_analyzer.tokenizer",
            "'ngram' is not supported; allowed are ml_standard, ml_classic, standard, whitespace, simple, "
            "letter and objects of type simple_pattern_split or pattern",
        ),
        (
            [COUNT],
            CATEGORIZED | {"categorization_analyzer": {"tokenizer": {"type": "pattern", "pattern": "["}}},
            "categorization_analyzer.tokenizer.pattern",
            "'[' is not a regular expression of RE2: missing ]",
        ),
        (
            [COUNT],
            CATEGORIZED | {"categorization_analyzer": {"char_filter": [{"type": "html_strip"}]}},
            "categorization_analyzer.char_filter[0]",
            "an object of type 'html_strip' is not supported; allowed are first_non_blank_line, "
            "first_line_with_letters and objects of type pattern_replace",
        ),
        (
            [COUNT],
            CATEGORIZED | {"categorization_analyzer": {"filter": ["lowercase"]}},
            "categorization_analyzer.filter[0]",
            "'lowercase' is not supported; allowed are objects of type stop with a list of stopwords, and of "
            "type limit",
        ),
        (
            [COUNT],
            PER_PARTITION,
            "detectors[0].partition_field_name",
            f"partition_field_name must be set {RULE}",
        ),
        (
            [
                COUNT | {"partition_field_name": "p"},
                {"function": "mean", "field_name": "x"},
                COUNT | {"partition_field_name": "q"},
            ],
            PER_PARTITION,
            "detectors[2].partition_field_name",
            f"partition_field_name must be the same {RULE}: 'q' is not 'p'",
        ),
        (
            [{"function": "count", "partition_field_name": "mlcategory"}],
            PER_PARTITION,
            "detectors[0].partition_field_name",
            f"partition_field_name cannot be mlcategory {RULE}",
        ),
    ],
)
def test_what_cannot_be_done_is_said(detectors, analysis, path, message):
    """A pattern, an analyzer or a partition that cannot be followed is a problem of the configuration."""
    assert problems_of(job(*detectors, analysis=analysis)) == {f"analysis_config.{path}": [message]}
