"""The table of detector functions: one entry for each, walked by validation, engine, tests and docs.

Functions come in families. A family of two-sided functions has a ``low_`` and a ``high_`` form that look
for unusually low or unusually high values only; the aliases take the same prefixes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["FUNCTIONS", "Function", "Presence", "Side", "closest_function", "find_function"]

Presence = Literal["required", "optional", "refused"]
Side = Literal["both", "low", "high"]

_NUMERIC = frozenset(
    ("count", "distinct_count", "info_content", "mean", "median", "min", "max", "varp", "sum")
)
"""Features that are larger or smaller than usual."""
_FEATURE_SIDES: Mapping[str, Side] = {"min": "low", "max": "high"}

_WITHOUT_FORECAST = frozenset({"rare", "info_content", "time", "lat_long"})

# What people type who know the idea but not our name for it; only used to suggest the right name.
_SYNONYMS: Mapping[str, str] = {
    "average": "mean",
    "cardinality": "distinct_count",
    "maximum": "max",
    "minimum": "min",
    "percentile": "median",
    "total": "sum",
    "unique_count": "distinct_count",
    "variance": "varp",
}


_MODELS: Mapping[str, str] = {
    "rare": "how often its partition saw something as rare",
    "time": "the times at which the series usually is active",
    "lat_long": "the places where the series usually is",
}


@dataclass(frozen=True, slots=True)
class Function:
    """What one detector function needs, models and looks for.

    >>> FUNCTIONS["low_mean"].side, FUNCTIONS["low_mean"].aliases
    ('low', ('low_avg',))
    """

    name: str
    """The canonical name."""
    family: str
    """The name without its side, which is how the functions of one kind belong together."""
    meaning: str
    """What the value of one series in one bucket is, for the documentation."""
    features: tuple[str, ...]
    """The statistics of a cell that are modelled, each by a model of its own."""
    aliases: tuple[str, ...] = ()
    field_name: Presence = "required"
    by_field_name: Presence = "optional"
    over_field_name: Presence = "optional"
    side: Side = "both"
    """Which values are unusual: those below what is typical, those above, or both."""
    zero_fill: bool = False
    """Whether a bucket without records has the value 0 for every active series, or no value at all."""
    value_conditions: bool = True
    """Whether custom rules may compare values; without it they may compare the time only."""

    @property
    def model(self) -> str:
        """What its values are compared with when there is no over field, for the documentation.

        >>> FUNCTIONS["freq_rare"].model
        'how often its partition saw something as rare'
        """
        return _MODELS.get(self.family, "the own past of the series: level, trend and seasons")

    @property
    def is_numeric(self) -> bool:
        """Whether its values are larger or smaller than usual; such functions all work with an over field."""
        return _NUMERIC.issuperset(self.features)

    @property
    def has_forecast(self) -> bool:
        """Whether its values can be forecast: numbers that have a level, a trend and seasons.

        >>> [name for name in ("count", "rare", "max", "lat_long") if FUNCTIONS[name].has_forecast]
        ['count', 'max']
        """
        return self.family not in _WITHOUT_FORECAST

    def side_of(self, feature: str) -> Side:
        """Which values of one feature are unusual; the features of ``metric`` differ in this.

        >>> [FUNCTIONS["metric"].side_of(feature) for feature in ("mean", "min", "max")]
        ['both', 'low', 'high']
        """
        return self.side if len(self.features) == 1 else _FEATURE_SIDES.get(feature, self.side)


def _sided(function: Function) -> tuple[Function, Function, Function]:
    """The two-sided function with its ``low_`` and ``high_`` forms."""

    def form(side: Side) -> Function:
        options = {name: getattr(function, name) for name in Function.__slots__}
        options["name"] = f"{side}_{function.name}"
        options["aliases"] = tuple(f"{side}_{alias}" for alias in function.aliases)
        options["side"] = side
        return Function(**options)

    return function, form("low"), form("high")


_TABLE: tuple[Function, ...] = (
    *_sided(
        Function(
            "count",
            "count",
            "number of records (or their summary count)",
            ("count",),
            aliases=("c",),
            field_name="refused",
            zero_fill=True,
        )
    ),
    *_sided(
        Function(
            "non_zero_count",
            "non_zero_count",
            "number of records, where there are any",
            ("count",),
            aliases=("nzc",),
            field_name="refused",
            over_field_name="refused",
        )
    ),
    *_sided(
        Function(
            "distinct_count",
            "distinct_count",
            "number of distinct values of the field",
            ("distinct_count",),
            aliases=("dc",),
        )
    ),
    Function(
        "rare",
        "rare",
        "by values that occur in few buckets",
        ("rare",),
        field_name="refused",
        by_field_name="required",
        value_conditions=False,
    ),
    Function(
        "freq_rare",
        "rare",
        "members of the population that are often seen with rare by values",
        ("freq_rare",),
        field_name="refused",
        by_field_name="required",
        over_field_name="required",
        value_conditions=False,
    ),
    *_sided(
        Function(
            "info_content",
            "info_content",
            "compressed size of the distinct values of the field",
            ("info_content",),
        )
    ),
    Function(
        "metric",
        "metric",
        "mean, minimum and maximum of the field",
        ("mean", "min", "max"),
        value_conditions=False,
    ),
    *_sided(Function("mean", "mean", "mean of the field", ("mean",), aliases=("avg",))),
    *_sided(Function("median", "median", "median of the field", ("median",))),
    Function("min", "min", "minimum of the field", ("min",), side="low"),
    Function("max", "max", "maximum of the field", ("max",), side="high"),
    *_sided(Function("varp", "varp", "population variance of the field", ("varp",))),
    *_sided(Function("sum", "sum", "sum of the field", ("sum",), zero_fill=True)),
    *_sided(Function("non_null_sum", "non_null_sum", "sum of the field, where it has values", ("sum",))),
    Function(
        "time_of_day",
        "time",
        "mean time of the day of the records, in seconds since 00:00 UTC",
        ("time",),
        field_name="refused",
    ),
    Function(
        "time_of_week",
        "time",
        "mean time of the week of the records, in seconds since Thursday 00:00 UTC",
        ("time",),
        field_name="refused",
    ),
    Function(
        "lat_long",
        "lat_long",
        "mean position of a 'latitude,longitude' field",
        ("lat_long",),
        value_conditions=False,
    ),
)

FUNCTIONS: Mapping[str, Function] = MappingProxyType({function.name: function for function in _TABLE})
"""Every function by its canonical name, in the order of the documentation."""

_BY_ANY_NAME: Mapping[str, Function] = {
    name: function for function in _TABLE for name in (function.name, *function.aliases)
}


def find_function(name: str) -> Function | None:
    """Returns the function of that canonical name or alias, None if there is none.

    >>> find_function("high_nzc").name
    'high_non_zero_count'
    """
    return _BY_ANY_NAME.get(name)


def closest_function(name: str) -> str | None:
    """Returns the canonical name that an unknown name probably meant, None if nothing is near.

    >>> closest_function("averge"), closest_function("Max"), closest_function("zzz")
    ('mean', 'max', None)
    """
    meant = {other: function.name for other, function in _BY_ANY_NAME.items()} | dict(_SYNONYMS)
    # difflib costs the product of both lengths, so an absurd name is not compared as a whole.
    near = difflib.get_close_matches(name.lower()[:64], meant, n=1)
    return meant[near[0]] if near else None
