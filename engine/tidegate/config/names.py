"""Rules for the names in a configuration: ids, and fields of records."""

from __future__ import annotations

import re

__all__ = ["ID_RULE", "MAX_ID_LENGTH", "invalid_field_name", "is_valid_id", "quoted_field"]

MAX_ID_LENGTH = 64
ID_RULE = (
    "can contain lowercase alphanumeric (a-z and 0-9), hyphens or underscores; "
    "must start and end with alphanumeric"
)

_ID = re.compile(r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?")
_FORBIDDEN = re.compile(r'["\\\x00-\x1f\x7f-\x9f]')
_WORD = re.compile(r"\w+", re.ASCII)


def is_valid_id(name: str) -> bool:
    """Whether a name may be that of a job, a group or an index; its length is another matter.

    >>> is_valid_id("web-1.eu"), is_valid_id("Web"), is_valid_id("web-")
    (True, False, False)
    """
    return _ID.fullmatch(name) is not None


def invalid_field_name(name: str) -> str | None:
    """Returns what is wrong with the name of a detector's field, None if nothing is."""
    if _FORBIDDEN.search(name) is None:
        return None
    return (
        f"Invalid field name '{name}'. Field names including over, by and partition fields "
        'cannot contain any of these characters: ",\\'
    )


def quoted_field(name: str) -> str:
    """Returns the name as a detector description shows it: quoted if it holds more than word characters.

    >>> quoted_field("airline"), quoted_field("host.name")
    ('airline', '"host.name"')
    """
    return name if _WORD.fullmatch(name) else f'"{name}"'
