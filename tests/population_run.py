"""The population kernels on members by themselves, call by call, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels import calendar, crowd, crowdlaw, members, population

HOUR_MS = 3_600_000
DAY = 24
START = 470_000
"""An absolute bucket of an hour, midnight, some decades after the epoch."""
COLUMNS = ("log_p", "score", "typical", "lower", "upper")


class CrowdRun:
    """One attribute whose cells go through the kernels."""

    def __init__(
        self,
        span_ms: int = HOUR_MS,
        *,
        side: float = 0.0,
        counts: bool = False,
        prune: float = 0.0,
        grows: bool = True,
    ) -> None:
        self.span_ms = span_ms
        self.state = np.zeros(crowd.STATE_SIZE)
        self.crowd = np.zeros(members.CROWD_SIZE)
        self.members = np.zeros(0)
        self.settings = np.zeros(population.SETTINGS_SIZE)
        self.settings[population.SIDE] = side
        self.settings[population.SPAN_MS] = span_ms
        self.settings[population.PRUNE_BUCKETS] = prune
        self.settings[population.COUNTS] = float(counts)
        self.settings[population.GROWS] = float(grows)
        self.shares = np.zeros(0)

    def feed(
        self,
        bucket: Any,
        member: Any,
        value: Any,
        *,
        learn: bool = True,
        completeness: float = 1.0,
        offset: int = 0,
        fair: bool = True,
    ) -> np.ndarray:
        """One call over cells by bucket and member; returns a row of COLUMNS for each (NaN: not given)."""
        bucket, value = np.asarray(bucket, np.int64), np.asarray(value, float)
        member = np.asarray(member, np.int32)
        n, first, last = len(bucket), int(bucket[0]), int(bucket[-1]) + 1
        size = members.MEMBER_SIZE * (int(member.max()) + 1)
        self.members = np.append(self.members, np.zeros(max(size - len(self.members), 0)))
        groups = np.zeros(1, np.int64), np.array([0, n])
        share = np.ones(n)
        if learn:
            members.weigh_members(
                *groups, bucket, member, offset, float(self.span_ms), self.crowd, self.members, share
            )
        self.shares = share
        day, weight = self._phases(first, last)
        columns = np.full((len(COLUMNS), n), np.nan)
        population.score_members(
            *groups, bucket, value, share if fair else np.ones(n), np.arange(n), day, weight,
            np.full(last - first, completeness), first, offset, int(learn), self.settings, self.state,
            np.zeros(crowd.STATE_SIZE), np.zeros(crowdlaw.LAW_SIZE), np.empty(n), np.empty(n), *columns,
            np.zeros(1, np.int64),
        )  # fmt: skip
        columns[0][columns[0] == members.UNSCORED] = np.nan
        return columns.T

    def _phases(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        day, week, month, year = (np.zeros(last - first, np.int64) for _ in range(4))
        phases = (day, np.zeros(last - first), week, np.zeros(last - first), month, year)
        calendar.fill_calendar(first, last, self.span_ms, *phases, np.zeros(last - first))
        return day, phases[1]


LAWS = {
    "exponential": lambda random, size, level: random.exponential(level, size),
    "lognormal": lambda random, size, level: level * np.exp(random.normal(0.0, 1.0, size)),
    "normal": lambda random, size, level: level * (1.0 + random.normal(0.0, 0.1, size)),
    "poisson": lambda random, size, level: random.poisson(level, size).astype(float),
    "pareto": lambda random, size, level: level * (random.pareto(1.5, size) + 1.0),
    "bimodal": lambda random, size, level: (
        level * np.exp(random.normal(0.0, 0.2, size)) * np.where(random.random(size) < 0.1, 100.0, 1.0)
    ),
    "either sign": lambda random, size, level: random.normal(level - 10.0, 20.0, size),
    "one or two": lambda random, size, level: 1.0 + (random.random(size) < 0.02),
}
"""What members do, by a level of about 10."""


def crowd_cells(
    law: str,
    n_members: int,
    n_buckets: int,
    *,
    seed: int = 11,
    wave: float = 0.5,
    activity: Any = 0.7,
    start: int = START,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Buckets, members and values: every member is active in a share of the hours, all have a daily wave."""
    random = np.random.default_rng(seed)
    parts = []
    for at in range(n_buckets):
        member = np.flatnonzero(random.random(n_members) < activity)
        level = 10.0 * (1.0 + wave * np.sin(2.0 * np.pi * at / DAY))
        parts.append((np.full(len(member), start + at), member, LAWS[law](random, len(member), level)))
    bucket, member, value = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return bucket, member, value
