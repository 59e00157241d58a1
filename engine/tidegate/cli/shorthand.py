"""Detectors as people write them: ``high_mean(responsetime) by airline partition=region``."""

from __future__ import annotations

import re
from typing import Any

_HEAD = re.compile(r'\s*(?P<function>[^\s()"]+)\s*(?:\(\s*(?P<field>"[^"]*"|[^()"]*?)\s*\))?\s*')
_PART = re.compile(
    r'(?P<word>partition\s+by|\w+)\s*(?:=|\s)\s*(?P<value>"[^"]*"|[^\s"]+)(?:\s+|$)', re.IGNORECASE
)
_ROLES = {
    "by": "by_field_name",
    "over": "over_field_name",
    "partition": "partition_field_name",
    "partitionfield": "partition_field_name",
    "usenull": "use_null",
    "use_null": "use_null",
    "excludefrequent": "exclude_frequent",
}
EXPECTED = "expected 'function(field) by FIELD partition=FIELD', as in 'mean(value) by host'"


def parse_detector(text: str) -> dict[str, Any]:
    """The detector of a configuration that a shorthand stands for; ValueError if it is none.

    The names are not judged here: that is for the configuration.

    >>> parse_detector("high_mean(delay) by airline usenull=true")
    {'function': 'high_mean', 'field_name': 'delay', 'by_field_name': 'airline', 'use_null': True}
    >>> parse_detector('count partition by "host.name"')
    {'function': 'count', 'partition_field_name': 'host.name'}
    """
    head = _HEAD.match(text)
    if head is None:
        raise ValueError(EXPECTED)
    detector: dict[str, Any] = {"function": head["function"]}
    if head["field"]:
        detector["field_name"] = head["field"].strip('"')
    at = head.end()
    while at < len(text):
        part = _PART.match(text, at)
        role = _ROLES.get(part["word"].lower().split()[0]) if part is not None else None
        if part is None or role is None:
            raise ValueError(f"'{text[at:].strip()}' is not understood; {EXPECTED}")
        if role in detector:
            raise ValueError(f"'{part['word']}' is given twice")
        detector[role] = _value(role, part["value"])
        at = part.end()
    return detector


def _value(role: str, text: str) -> str | bool:
    if role != "use_null":
        return text.strip('"')
    if text.lower() not in ("true", "false"):
        raise ValueError(f"usenull is true or false, not '{text}'")
    return text.lower() == "true"
