"""Categorization of log lines: speed, memory and accuracy, beside Drain as `drain3` has it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tidegate.categorize import Categorizer
from tidegate.config.analyzer import Analyzer

from .loglines import HELD_OUT, TUNED, Styles, lines_of, log_column
from .measure import Size, medians, versions
from .tables import NO_GOAL, Table, at_least

SHARE = 4
"""The lines are so many times fewer than the rows of the other cases."""
PEER_LINES = 20_000
ACCURACY_LINES = 20_000
BATCH = 1 << 18
RATE_GOAL, ACCURACY_GOAL = 0.5, 0.95
Codes = Callable[[Sequence[str]], list[int]]


def made() -> Categorizer:
    """A categorizer with ample memory."""
    return Categorizer(Analyzer(), most_bytes=1 << 28)


def categorized(lines: pa.LargeStringArray) -> Categorizer:
    """A categorizer that has seen all the lines, batch by batch, on one thread."""
    categorizer = made()
    for start in range(0, len(lines), BATCH):
        categorizer.codes(lines.slice(start, BATCH))
    return categorizer


def ours(lines: Sequence[str]) -> list[int]:
    """The category of every line after all of them: those that were superseded count as what took over."""
    categorizer = made()
    codes = categorizer.codes(pa.array(lines))
    taken_over: list[int] = categorizer.successors()[codes - 1].tolist()
    return taken_over


def at_first(lines: Sequence[str]) -> list[int]:
    """The category of every line as it was given."""
    codes: list[int] = made().codes(pa.array(lines)).tolist()
    return codes


def drain3(lines: Sequence[str]) -> list[int]:
    """The clusters of drain3, with the masks of its own example for addresses and numbers."""
    from drain3 import TemplateMiner
    from drain3.masking import MaskingInstruction
    from drain3.template_miner_config import TemplateMinerConfig

    config = TemplateMinerConfig()
    config.profiling_enabled = False
    before, after = r"((?<=[^A-Za-z0-9])|^)", r"((?=[^A-Za-z0-9])|$)"
    masks = {
        "IP": r"(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})",
        "SEQ": r"([0-9a-f]{6,} ?){3,}",
        "HEX": r"(0x[a-f0-9A-F]+)",
        "NUM": r"([\-\+]?\d+)",
    }
    config.masking_instructions = [
        MaskingInstruction(f"{before}{mask}{after}", name) for name, mask in masks.items()
    ]
    miner = TemplateMiner(config=config)
    return [miner.add_log_message(line)["cluster_id"] for line in lines]


def accuracy(codes: Sequence[int], truth: Sequence[str]) -> float:
    """Grouping accuracy: the share of lines whose group is exactly the lines of their template.

    Zhu et al., Tools and benchmarks for automated log parsing, ICSE 2019.
    """
    groups: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for code, template in zip(codes, truth, strict=True):
        groups[code][template] += 1
    sizes = Counter(truth)
    pure = (own.popitem() for own in groups.values() if len(own) == 1)
    return sum(count for template, count in pure if sizes[template] == count) / len(truth)


def accuracies(styles: Styles, who: Codes) -> str:
    """The grouping accuracy over all styles together, as the table shows it."""
    lines, truth = lines_of(styles, ACCURACY_LINES)
    return f"{accuracy(who(lines), truth):.3f}"


def table(size: Size) -> Table:
    """Lines per second and the accuracy of the groups."""
    lines, _, templates = log_column(TUNED | HELD_OUT, size.rows // SHARE)
    few = lines.slice(0, PEER_LINES).to_pylist()
    runs: dict[str, Callable[[], Any]] = {"tidegate": lambda: categorized(lines)}
    if with_peer := _has_drain3():
        runs["drain3"] = lambda: drain3(few)
    taken = medians(runs, size.repeats)
    rate = len(lines) / taken["tidegate"]
    categorizer = categorized(lines)
    rows = [
        (
            "tidegate",
            f"{rate / 1e6:.2f}",
            accuracies(TUNED, ours),
            accuracies(HELD_OUT, ours),
            accuracies(HELD_OUT, at_first),
            *at_least(rate / 1e6, RATE_GOAL, " M/s"),
        )
    ]
    if with_peer:
        figures = (f"{PEER_LINES / taken['drain3'] / 1e6:.3f}", accuracies(TUNED, drain3))
        rows.append(("drain3", *figures, *[accuracies(HELD_OUT, drain3)] * 2, *NO_GOAL))
    bytes_per_line = lines.nbytes / len(lines)
    distinct = len(np.unique(categorizer.successors()))
    return Table(
        f"Categories of {len(lines) / 1e6:g} M log lines of {bytes_per_line:.0f} bytes, nearly all "
        f"different, of {len(templates)} templates, on one thread ({versions('drain3')}: {PEER_LINES:,} "
        f"lines). Grouping accuracy over {ACCURACY_LINES:,} lines: the share of lines that are in one group "
        "with just the lines of their template.",
        (
            "",
            "M lines/s",
            "accuracy, styles tuned on",
            "held out",
            "held out, as first given",
            "goal",
            "met",
        ),
        rows,
        (
            f"tidegate ends up with {distinct} categories in {categorizer.nbytes / 1e6:.1f} MB.",
            "As first given: a line that came before names were seen to vary keeps the category it got.",
        ),
    )


def _has_drain3() -> bool:
    return versions("drain3") != "drain3 not installed"
