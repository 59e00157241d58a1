"""Naive twin of `levels`: what a density says of a value, and what a series showed that to be worth."""

from __future__ import annotations

import math
from itertools import pairwise

LEVELS = 32
STEP = math.log(10.0)


class NaiveTable:
    """The mass at or below each level of ln f, of weighted points; `row` is the distance of two levels."""

    def __init__(self, points: list[tuple[float, float]], row: float) -> None:
        self.row = row
        self.top = max(log_f for log_f, _ in points)
        whole = sum(mass for _, mass in points)
        shares = []
        for k in range(LEVELS):
            below = [m for log_f, m in points if k == 0 or min((self.top - log_f) / row, LEVELS - 1) >= k]
            shares.append(sum(below) / whole)
        filled = [share for share in shares if share > 1e-12]
        # The last mass counts in full to the end of its row; further down it falls as the density does.
        fall = [math.log(filled[-1]) - row * k for k in range(LEVELS - len(filled))]
        self.log_mass = [math.log(share) for share in filled] + fall

    def s(self, log_f: float) -> float:
        """-ln of the mass that is not denser."""
        at = (self.top - log_f) / self.row
        if at <= 0.0:
            return 0.0
        if at >= LEVELS - 1:
            return (at - LEVELS + 1) * self.row - self.log_mass[-1]
        k = math.floor(at)
        return -((k + 1 - at) * self.log_mass[k] + (at - k) * self.log_mass[k + 1])

    def usual(self) -> float:
        """The lowest level that has 95% of the mass above it, to one row."""
        rows = [k for k in range(1, LEVELS) if self.log_mass[k] < math.log(0.05)]
        last = rows[0] - 1 if rows else LEVELS - 1
        return self.top - last * self.row


class NaiveRates:
    """How often s lay beyond -ln 0.1, -ln 0.01, -ln 0.001 and -ln 0.0001, and what it is worth."""

    def __init__(self) -> None:
        self.n = 0.0
        self.rates = [0.0] * 4

    def learn(self, s: float) -> None:
        """Counts an s in running means over at most 2000."""
        self.n = min(self.n + 1.0, 2000.0)
        self.rates = [rate + ((s > STEP * (k + 1)) - rate) / self.n for k, rate in enumerate(self.rates)]

    def worth(self, s: float) -> float:
        """v(s): straight lines through (0, 0) and the points of the four rates."""
        knots = [(0.0, 0.0)]
        for k, rate in enumerate(self.rates):
            v = -math.log((100.0 * 0.1 ** (k + 1) + self.n * rate) / (100.0 + self.n))
            before = knots[-1][1]
            low, high = (0.7, 4.0) if k == 0 else (before + 0.01 * STEP, before + 1.2 * STEP)
            knots.append((STEP * (k + 1), min(max(v, low), high)))
        for (s0, v0), (s1, v1) in pairwise(knots):
            if s <= s1:
                return v0 + (v1 - v0) * (s - s0) / (s1 - s0)
        return knots[-1][1] + s - knots[-1][0]
