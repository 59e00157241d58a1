"""Which jobs are meant: ids, groups and wildcards, separated by commas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import NotFoundError

_ALL = ("_all", "*", "")


def expand(
    expr: str | None, groups: Mapping[str, Sequence[str]], *, allow_no_match: bool = True
) -> list[str]:
    """The ids that an expression means, sorted; `groups` has the groups of every job by its id.

    A part is an id, the name of a group, ``_all``, or has ``*`` for any characters, in ids and names
    of groups; nothing at all means all. Raises NotFoundError for an id or name that nothing has, and,
    unless `allow_no_match`, for a part with ``*`` that fits nothing.

    >>> jobs = {"web-1": ["web"], "web-2": ["web", "new"], "mail": []}
    >>> expand("mail,web", jobs), expand("*-2", jobs), expand("x*", jobs)
    (['mail', 'web-1', 'web-2'], ['web-2'], [])
    """
    found: set[str] = set()
    for part in dict.fromkeys(part.strip() for part in (expr or "_all").split(",")):
        is_pattern = "*" in part or part in _ALL
        pattern = "*" if part in _ALL else part
        fitting = {
            job_id
            for job_id, names in groups.items()
            if any(_fits(name, pattern) if is_pattern else name == part for name in (job_id, *names))
        }
        if not fitting and not (is_pattern and allow_no_match):
            raise NotFoundError(f"No known job with id '{part or '_all'}'")
        found |= fitting
    return sorted(found)


def _fits(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern with ``*``, in time linear in both for each of its parts."""
    first, *middle, last = pattern.split("*")
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
