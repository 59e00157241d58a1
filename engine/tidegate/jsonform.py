"""Results as the JSON API has them: what is null is left out, and fields of the data are there too.

A record has its by, over, partition and influencer fields under their own names, as lists of values
(``"airline": ["AAL"]``), so that whoever searches records can ask by field; an influencer has its value.
They lose to the names that results have themselves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pyarrow as pa

from . import results
from .kinds import KINDS, Copies

_ROWS = 8192


def to_json(kind: str, table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of a table of a kind of results (`kinds.KINDS`) as objects of the JSON API, in their order.

    >>> table = pa.table({"by_field_name": ["airline"], "by_field_value": ["AAL"], "field_name": [None]})
    >>> list(to_json("records", table))
    [{'by_field_name': 'airline', 'by_field_value': 'AAL', 'airline': ['AAL']}]
    """
    add = _COPIES[KINDS[kind].copies]
    for start in range(0, table.num_rows, _ROWS):
        for row in table.slice(start, _ROWS).to_pylist():
            found = present(row)
            for name, value in add(found).items():
                if name not in reserved_names():
                    found[name] = value
            yield found


def json_lines(kind: str, table: pa.Table) -> Iterator[bytes]:
    """The same as text, an object a line, without line ends."""
    for row in to_json(kind, table):
        yield json.dumps(row, ensure_ascii=False, allow_nan=False).encode()


def present(value: Any) -> Any:
    """A value without what is null; JSON has no infinity and no NaN, so these are null too.

    >>> present({"a": None, "b": [1.0, float("nan")], "c": {"d": None}})
    {'b': [1.0, None], 'c': {}}
    """
    if isinstance(value, dict):
        pairs = ((name, present(inner)) for name, inner in value.items())
        return {name: inner for name, inner in pairs if inner is not None}
    if isinstance(value, list):
        return [present(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@cache
def reserved_names() -> frozenset[str]:
    """Every name that a result of any kind has, at any depth.

    >>> sorted({"timestamp", "airline", "influencer_field_values"} & reserved_names())
    ['influencer_field_values', 'timestamp']
    """
    names: set[str] = set()
    fields = [field for kind in KINDS.values() for field in getattr(results, kind.schema)]
    while fields:
        field = fields.pop()
        names.add(field.name)
        inner = field.type.value_type if pa.types.is_list(field.type) else field.type
        fields += list(inner) if pa.types.is_struct(inner) else []
    return frozenset(names)


def _no_copies(row: dict[str, Any]) -> dict[str, Any]:
    return {}


def _as_lists(row: dict[str, Any]) -> dict[str, Any]:
    """The values of every field, each once, in the order of by, over, partition, influencers, causes."""
    values: dict[str, dict[str, None]] = {}
    for part in (row, *row.get("causes", ())):
        for role in ("by", "over", "partition"):
            name, value = part.get(f"{role}_field_name"), part.get(f"{role}_field_value")
            if name is not None and value is not None:
                values.setdefault(name, {})[value] = None
    for influencer in row.get("influencers", ()):
        of_field = values.setdefault(influencer["influencer_field_name"], {})
        of_field.update(dict.fromkeys(influencer.get("influencer_field_values", ())))
    return {name: list(of_field) for name, of_field in values.items()}


def _as_value(row: dict[str, Any]) -> dict[str, Any]:
    """The one field and its value."""
    name, value = row.get("influencer_field_name"), row.get("influencer_field_value")
    return {} if name is None or value is None else {name: value}


_COPIES: dict[Copies, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "none": _no_copies,
    "lists": _as_lists,
    "value": _as_value,
}
