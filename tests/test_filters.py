"""Filters: what an item stands for, what is refused, and filters that change under a running job."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.naive_rules import in_filter as naive_in_filter
from tests.test_naive_scores import DETECTORS, SPAN, START, job_config, stream

from tidegate import ConfigError, Job, RequestError
from tidegate.config import Filter, read_filters
from tidegate.filters import FilterSet, in_filter
from tidegate.keys import Interner

_TEXT = st.text("ab*é ", max_size=4)


@given(st.lists(_TEXT, max_size=6), st.lists(_TEXT, max_size=8))
def test_items_stand_for_what_they_do_in_the_twin(items: list[str], texts: list[str]) -> None:
    """Stars at the ends stand for anything, and nowhere else; case and accents count."""
    [one] = read_filters([{"filter_id": "f", "items": items}])
    found = in_filter(one, pa.array(texts, pa.large_string())).tolist()
    assert found == [naive_in_filter(items, text) for text in texts]


def test_every_string_is_looked_at_once() -> None:
    """What is known of a string stays known; new ones are added, and an empty value is a text too."""
    names, filters = Interner(), FilterSet([Filter("f", ("a*", ""))])
    names.codes(pa.array(["b", "ab"]))
    first = filters.matches("f", "k", names)
    assert first.tolist() == [True, False, True]
    assert filters.matches("f", "k", names) is first
    names.codes(pa.array(["a"]))
    assert filters.matches("f", "k", names).tolist() == [True, False, True, True]
    assert filters.matches("f", "other", Interner()).tolist() == [True]


def test_filters_are_sorted_and_without_doubles() -> None:
    """The items of a filter are a set, shown in order."""
    [one] = read_filters([{"filter_id": "f", "items": ["b", "a", "b"], "description": "d"}])
    assert one.to_dict() == {"filter_id": "f", "description": "d", "items": ["a", "b"]}
    assert read_filters([one]) == read_filters([one.to_dict()]) == (one,)


WRONG: list[tuple[Any, str, str]] = [
    ({"filter_id": "F"}, "filters[0].filter_id", "Invalid filter_id; 'F' can contain"),
    ({"filter_id": "f" * 65}, "filters[0].filter_id", "cannot contain more than 64 characters"),
    ({"items": []}, "filters[0].filter_id", "Field [filter_id] cannot be null"),
    ({"filter_id": "f", "items": [1]}, "filters[0].items[0]", "must be a string"),
    (
        {"filter_id": "f", "items": [str(k) for k in range(10_001)]},
        "filters[0].items",
        "Filter [f] contains [10001] items; up to [10000] items are allowed",
    ),
    ({"filter_id": "f", "item": ["a"]}, "filters[0].item", "unknown field [item]; did you mean 'items'?"),
    (7, "filters[0]", "a filter must be an object, not int"),
]


@pytest.mark.parametrize(("given", "path", "message"), WRONG)
def test_wrong_filters_are_refused(given: Any, path: str, message: str) -> None:
    """What is wrong with a filter is said where it is."""
    with pytest.raises(ConfigError) as caught:
        read_filters([given])
    [(where, what)] = caught.value.problems
    assert where == path
    assert message in what


def test_two_filters_of_one_name_are_refused() -> None:
    """A filter's id is its own."""
    with pytest.raises(ConfigError, match="already used"):
        read_filters([{"filter_id": "f"}, {"filter_id": "f"}])
    with pytest.raises(ConfigError, match="must be a list"):
        read_filters("f")


def test_a_filter_changes_under_a_running_job() -> None:
    """From the change on other series are in scope; buckets that were final stay as they were."""
    records = stream(11, 240)
    half = START + 120 * SPAN
    config = job_config([2])
    rule = {"scope": {"k": {"filter_id": "f"}}}
    config["analysis_config"]["detectors"] = [{**DETECTORS[2], "custom_rules": [rule]}]
    found = []
    for items, change in (
        (["*"], {}),
        ([], {}),
        (["*"], {"items": []}),
        ([], {"add_items": ["a*", "b", "c"]}),
    ):
        job = Job(config, filters=[{"filter_id": "f", "items": items}], threads=1)
        job.post([record for record in records if record["t"] < half])
        if change:
            assert job.update_filter("f", **change) == job.filters[0]
        job.post([record for record in records if record["t"] >= half])
        job.close()
        found.append(set(job.records()["timestamp"].to_pylist()))
    nothing, everything, at_last, at_first = found
    # The bucket before the change is still open when it comes.
    assert nothing == set()
    assert at_last == {t for t in everything if t >= half - SPAN}
    assert at_first == {t for t in everything if t < half - SPAN}
    assert at_last
    assert at_first


def test_wrong_changes_of_a_filter_are_refused() -> None:
    """What is not there cannot be removed, and a refused change changes nothing."""
    job = Job(job_config([0]), filters=[{"filter_id": "f", "items": ["a"]}])
    with pytest.raises(RequestError, match=r"No filter with id \[g\] exists"):
        job.update_filter("g", items=[])
    with pytest.raises(RequestError, match=r"Cannot remove item \[x\] as it is not present in filter \[f\]"):
        job.update_filter("f", add_items=["b"], remove_items=["x"])
    with pytest.raises(RequestError, match=r"\[10001\] items"):
        job.update_filter("f", add_items=[str(k) for k in range(10_000)])
    assert job.filters[0].items == ("a",)
    assert job.update_filter("f", add_items=["b"], remove_items=["a"]).items == ("b",)
