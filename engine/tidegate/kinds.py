"""The kinds of results: one entry for each, walked by the command line, the JSON form and the tests.

A kind of results is added here, by one entry, and to `Job`, by the method that reads it. Nothing is imported
here but what is needed to name things: help on the command line does not wait for pyarrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Copies = Literal["none", "lists", "value"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of results.

    >>> KINDS["records"].reader, KINDS["records"].score
    ('records', 'record_score')
    """

    name: str
    reader: str
    """The method of a job that reads them."""
    schema: str
    """Their schema's name in `results`."""
    shown: Mapping[str, str]
    """Headings of the table that people read, beside time and series, and the columns below them."""
    score: str | None = None
    """How unusual a result is, from 0 to 100; None: all results are alike."""
    copies: Copies = "none"
    """Fields of the data that the JSON form has under their own names: by, over, partition and influencer
    fields as lists of their values, or the one influencer as the value it is."""


_TABLE = (
    Kind(
        "records",
        "records",
        "RECORDS",
        {"detector": "detector_index", "actual": "actual", "typical": "typical", "score": "record_score"},
        score="record_score",
        copies="lists",
    ),
    Kind(
        "buckets",
        "buckets",
        "BUCKETS",
        {"events": "event_count", "score": "anomaly_score"},
        score="anomaly_score",
    ),
    Kind(
        "influencers",
        "influencers",
        "INFLUENCERS",
        {"field": "influencer_field_name", "value": "influencer_field_value", "score": "influencer_score"},
        score="influencer_score",
        copies="value",
    ),
    Kind(
        "categories",
        "categories",
        "CATEGORIES",
        {"id": "category_id", "messages": "num_matches", "terms": "terms"},
    ),
    Kind(
        "overall_buckets",
        "overall_buckets",
        "OVERALL_BUCKETS",
        {"score": "overall_score"},
        score="overall_score",
    ),
    Kind(
        "model_plot",
        "model_plot",
        "MODEL_PLOT",
        {
            "detector": "detector_index",
            "lower": "model_lower",
            "median": "model_median",
            "upper": "model_upper",
            "actual": "actual",
        },
    ),
    Kind(
        "forecast",
        "forecasts",
        "FORECAST",
        {
            "detector": "detector_index",
            "lower": "forecast_lower",
            "prediction": "forecast_prediction",
            "upper": "forecast_upper",
        },
    ),
)

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _TABLE})
"""Every kind by its name."""
