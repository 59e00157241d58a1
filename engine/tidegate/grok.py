"""Grok patterns of categories: what stands between their words, where examples show what it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})"
_KINDS = (
    (
        "TIMESTAMP_ISO8601",
        "timestamp",
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?Z?",
    ),
    ("SYSLOGTIMESTAMP", "timestamp", r"[A-Z][a-z]{2} {1,2}[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2}"),
    ("EMAILADDRESS", "email", r"[A-Za-z][A-Za-z0-9._+-]*@[A-Za-z0-9][A-Za-z0-9.-]*"),
    ("UUID", "uuid", r"[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}"),
    ("IP", "ipaddress", rf"(?:{_OCTET}\.){{3}}{_OCTET}"),
    ("PATH", "path", r"(?:/[A-Za-z0-9._-]+){2,}"),
    ("NUMBER", "field", r"-?[0-9]+(?:\.[0-9]+)?"),
)
"""Names of grok patterns, of the fields they fill, and what they match here; the first that fits is taken."""


def grok_pattern(terms: Sequence[str], examples: Sequence[str]) -> str:
    """The words with what is between them: a named pattern where every example has just one such thing.

    >>> grok_pattern(["from", "port"], ["from 10.0.0.1 port 22", "from 10.0.0.7 port 4711"])
    '.*?from.+?%{IP:ipaddress}.+?port.+?%{NUMBER:field}.*'
    """
    gaps = [gap for example in examples if (gap := _gaps(terms, example)) is not None]
    pattern, taken = "", dict[str, int]()
    for k in range(len(terms) + 1):
        named = _named([gap[k] for gap in gaps], taken) if gaps else None
        before = ".*?" if k == 0 else ".+?"
        after = re.escape(terms[k]) if k < len(terms) else ""
        if named is not None:
            pattern += before + named + (".+?" + after if after else "")
        elif after:
            pattern += before + after
    return pattern + ".*"


def _gaps(terms: Sequence[str], example: str) -> list[str] | None:
    """What is before, between and after the words; None where they are not in the example."""
    gaps, at = [], 0
    for term in terms:
        found = example.find(term, at)
        if found < 0:
            return None
        gaps.append(example[at:found])
        at = found + len(term)
    return [*gaps, example[at:]]


def _named(gaps: Sequence[str], taken: dict[str, int]) -> str | None:
    """The reference to the pattern that each of the gaps has once, with a new name for its field."""
    for kind, field, pattern in _KINDS:
        bounded = re.compile(rf"(?<![A-Za-z0-9._/-]){pattern}(?![A-Za-z0-9_/])")
        if all(len(bounded.findall(gap)) == 1 for gap in gaps):
            taken[field] = taken.get(field, 0) + 1
            number = taken[field]
            return f"%{{{kind}:{field}{number if number > 1 else ''}}}"
    return None
