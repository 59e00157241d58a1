"""Categories of messages as results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tidegate_kernels import templates

from .categorize import Categorizer
from .config import JobConfig
from .grok import grok_pattern
from .keys import Interner
from .results import CATEGORIES, CATEGORIZER_STATS


def regex_of(terms: list[str]) -> str:
    """A pattern that is found in every line with these words in this order; nothing in it is greedy.

    >>> regex_of(["user", "logged", "in"]), regex_of([])
    ('.*?user.+?logged.+?in.*', '.*')
    """
    return ".*?" * bool(terms) + ".+?".join(map(re.escape, terms)) + ".*"


def table(config: JobConfig, categorizer: Categorizer | None, names: Mapping[str, Interner]) -> pa.Table:
    """All categories of a job."""
    if categorizer is None:
        return CATEGORIES.empty_table()
    own = categorizer.categories()
    successors = categorizer.successors()
    covered: dict[int, list[int]] = {}
    for c in np.flatnonzero(successors != np.arange(len(own))).tolist():
        covered.setdefault(int(successors[c]), []).append(c + 1)
    rows = []
    for c, record in enumerate(own):
        terms, examples = categorizer.terms(c), categorizer.examples[c]
        rows.append(
            {
                "job_id": config.job_id,
                "result_type": "category_definition",
                "category_id": c + 1,
                **_partition(config, names, int(record[templates.PARTITION])),
                "terms": " ".join(terms),
                "regex": regex_of(terms),
                "max_matching_length": int(record[templates.LONGEST]) * 11 // 10,
                "examples": examples,
                "grok_pattern": grok_pattern(terms, examples),
                "num_matches": int(record[templates.MATCHES]),
                "preferred_to_categories": covered.get(c, []),
            }
        )
    return pa.Table.from_pylist(rows, CATEGORIES)


def stats_table(
    config: JobConfig, categorizer: Categorizer | None, names: Mapping[str, Interner]
) -> pa.Table:
    """The figures of all messages, or of those of every partition."""
    if categorizer is None:
        return CATEGORIZER_STATS.empty_table()
    per_partition = config.analysis_config.category_partition is not None
    rows = []
    for partition in categorizer.partitions.tolist() if per_partition else [0]:
        figures = categorizer.stats(partition if per_partition else None)
        rows.append(
            {
                "job_id": config.job_id,
                "result_type": "categorizer_stats",
                **_partition(config, names, partition),
                **{name: getattr(figures, name) for name in figures.__slots__},
            }
        )
    return pa.Table.from_pylist(rows, CATEGORIZER_STATS)


def _partition(config: JobConfig, names: Mapping[str, Interner], code: int) -> dict[str, Any]:
    field = config.analysis_config.category_partition
    if field is None:
        return {}
    return {"partition_field_name": field, "partition_field_value": names[field].texts()[code].as_py()}
