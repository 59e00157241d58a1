"""Every function of the table has its twin, and its row in the README."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.naive_cells import statistic
from tests.naive_circular import NaiveCircular
from tests.naive_model import NaiveSeries
from tests.naive_population import NaivePopulation
from tests.naive_position import NaivePosition
from tests.naive_rare import NaiveRare

from tidegate.cli.functions import markdown_table
from tidegate.config import FUNCTIONS, Detector, Function
from tidegate.individual import Individual
from tidegate.lanes import make_analysis
from tidegate.population import Population

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
MODELS: dict[str, Callable[..., Any]] = {
    "Individual": NaiveSeries,
    "Population": NaivePopulation,
    "Rare": NaiveRare,
    "Circular": NaiveCircular,
    "Position": NaivePosition,
}
"""The twin of every kind of analysis."""
SAMPLES = [3.0, 1.0, 1.0, 7.0]
VALUES = {
    "count": 4.0,
    "distinct_count": 3.0,
    "mean": 3.0,
    "min": 1.0,
    "max": 7.0,
    "median": 2.0,
    "varp": 6.0,
    "sum": 12.0,
}
"""What the twin of every numeric feature makes of the samples."""


def analyses_of(function: Function) -> list[Any]:
    """The analyses that serve a function, with and without an over field where it may have one."""
    overs = {"optional": (None, "o"), "required": ("o",), "refused": (None,)}[function.over_field_name]
    by = "b" if function.by_field_name == "required" else None
    field = None if function.field_name == "refused" else "x"
    return [
        make_analysis(Detector(function.name, field, by, over_field_name=over), 300_000, 100)
        for over in overs
    ]


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
def test_every_function_has_a_twin(function: Function) -> None:
    """What serves it has a twin, and so have the values it looks at."""
    for analysis in analyses_of(function):
        assert type(analysis).__name__ in MODELS
        if isinstance(analysis, Individual | Population):
            for feature in function.features:
                texts = feature == "info_content"
                made = statistic(feature, ["a", "b", "a"] if texts else SAMPLES)
                assert made is not None
                assert texts or made == VALUES[feature]


def test_the_readme_has_the_table() -> None:
    """The README's table of functions is the one that the command line prints."""
    assert "\n".join(markdown_table()) in README
