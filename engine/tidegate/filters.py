"""Which values of the key fields are in which filter: every distinct string is looked at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .config import Filter
from .keys import Interner

Flags = npt.NDArray[np.bool_]


class FilterSet:
    """The filters of a job, and what they say of the strings of its fields.

    >>> names = Interner()
    >>> _ = names.codes(pa.array(["db-1", "web-1", "db-2"]))
    >>> FilterSet([Filter("databases", ("db-*",))]).matches("databases", "host", names).tolist()
    [False, True, False, True]
    """

    def __init__(self, filters: Iterable[Filter] = ()) -> None:
        self._filters = {one.filter_id: one for one in filters}
        self._known: dict[tuple[str, str], Flags] = {}

    def __contains__(self, filter_id: str) -> bool:
        return filter_id in self._filters

    def forget(self) -> None:
        """Looks at all strings again, after their codes changed."""
        self._known = {}

    def matches(self, filter_id: str, field: str, names: Interner) -> Flags:
        """Whether each string of a field, in the order of their codes, is in a filter."""
        known = self._known.get((filter_id, field), np.zeros(0, bool))
        if len(known) < len(names):
            texts = names.texts().slice(len(known))
            known = np.concatenate([known, in_filter(self._filters[filter_id], texts)])
            self._known[filter_id, field] = known
        return known


def in_filter(one: Filter, texts: pa.LargeStringArray) -> Flags:
    """Which of the texts an item of the filter stands for."""
    plain = [item for item in one.items if not (item.startswith("*") or item.endswith("*"))]
    found: Flags = np.array(pc.is_in(texts, value_set=pa.array(plain, pa.large_string())))
    for item in one.items:
        opens, ends = item.startswith("*"), item.endswith("*")
        inner = item[1:] if opens else item
        inner = inner.removesuffix("*") if ends else inner
        if opens and ends:
            found |= np.array(pc.match_substring(texts, inner))
        elif opens:
            found |= np.array(pc.ends_with(texts, inner))
        elif ends:
            found |= np.array(pc.starts_with(texts, inner))
    return found
