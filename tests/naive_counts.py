"""The law of counts of the naive twin: negative binomial by Peizer and Pratt, beside Student's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from tests.naive_laws import clip, log_two_sided, square_above_zero, wallace

NEVER = -40.0
"""The deviation that stands for a probability of 0."""


def peizer_pratt_g(a: float) -> float:
    """(1 - a^2 + 2 a ln a) / (1 - a)^2, around 1 by 2 ((1 - a) / (2 3) + (1 - a)^2 / (3 4) + ...)."""
    off = 1.0 - a
    if abs(off) < 0.05:
        return 2.0 * sum(off ** (k - 2) / (k * (k - 1)) for k in range(3, 16))
    return 1.0 if a == 0.0 else (1.0 - a * a + 2.0 * a * math.log(a)) / (off * off)


def deviation(x: float, mean: float, size: float) -> float:
    """The z with P(X <= x) = Phi(z), X the failures before `size` successes of p = size / (size + mean)."""
    if x < 0.0:
        return NEVER
    n, p, q = x + size, size / (size + mean), mean / (size + mean)
    d = p * (x - mean) + 2.0 / 3.0 - q / 3.0  # x + 2/3 - (n + 1/3) q
    d += 0.02 * (q / (x + 1.0) - p / size + (q - 0.5) / (n + 1.0))
    spread = (n + 1.0 / 6.0) * p * q
    g = p * peizer_pratt_g((x + 0.5) / (n * q)) + q * peizer_pratt_g(max(size - 0.5, 0.0) / (n * p))
    return d * math.sqrt(max(1.0 + g, 0.0) / spread)


def tail(z: float) -> float:
    """The p, two-sided, of what lies beyond z on its side; 1 for what the middle belongs to."""
    return log_two_sided(max(z, 0.0))


def log_mean(log_a: float, log_b: float, share_a: float, share_b: float) -> float:
    """ln(share_a a + share_b b)."""
    most = max(log_a, log_b)
    return most + math.log(share_a * math.exp(log_a - most) + share_b * math.exp(log_b - most))


class Seen(NamedTuple):
    """A count beside what was expected: deviations of P(X <= x) and P(X <= x - 1)."""

    x: float
    sd: float  # of its root
    upto: float
    below: float

    @property
    def nearest(self) -> float:
        """The deviation below, no more than 2.5 away."""
        return max(self.below, self.upto - 2.5)

    @property
    def middle(self) -> float:
        """The deviation of the count itself."""
        return 0.5 * (self.upto + self.nearest)

    @property
    def log_p(self) -> float:
        """Mid-p: the mean of the p with the count and without it."""
        if self.middle > 0.0:
            return log_mean(tail(self.below), tail(self.upto), 0.5, 0.5)
        return log_mean(tail(-self.upto), tail(-self.below), 0.5, 0.5)

    @property
    def log_f(self) -> float:
        """What the law gave to the count, but for sqrt(2 pi): a piece of the normal density."""
        return -0.5 * self.middle**2 + math.log(max(self.upto - self.nearest, 1e-9))


@dataclass
class CountLaw:
    """What a series of counts knows of its law, and the log odds that it is the better one."""

    dispersion: float = 0.0
    """Variance over mean, less 1."""
    odds: float = 5.0

    def mean(self, root: float, sd: float) -> float:
        """The mean of a count whose root has this mean and deviation."""
        return max(square_above_zero(root) + sd * sd, 0.02)

    def look(self, x: float, root: float, sd: float, n: float) -> Seen:
        """The count beside the root that was expected; the dispersion is shrunk to 1 by ten values."""
        mean, x = self.mean(root, sd), max(x, 0.0)
        size = mean / max(n * self.dispersion / (n + 10.0), 1e-4)
        return Seen(x, sd, deviation(x, mean, size), deviation(x - 1.0, mean, size))

    def mixed(self, seen: Seen, student: float) -> float:
        """Log p by both laws, each by its odds."""
        shares = 1.0 / (1.0 + math.exp(-self.odds)), 1.0 / (1.0 + math.exp(self.odds))
        return min(log_mean(seen.log_p, student, *shares), 0.0)

    def weigh(self, seen: Seen, size: float, degrees: float) -> None:
        """Moves the odds by how much more this law gave to the count; half is forgotten in 208 values."""
        width = 2.0 * seen.sd * math.sqrt(seen.x + 0.25)  # by which the root of the next count is farther
        student = -0.5 * wallace(min(size, 1e75), degrees) ** 2 - math.log(width)
        gained = clip(seen.log_f - min(student, -0.7), -5.0, 5.0)
        self.odds = clip(self.odds * (1.0 - 1.0 / 300.0) + gained, -5.0, 5.0)

    def learn(self, x: float, root: float, sd: float, gain: float) -> None:
        """Takes (x - mean)^2 / mean, up to 16 times what is usual, into the dispersion."""
        mean = self.mean(root, sd)
        square = min((x - mean) / mean * (x - mean), 16.0 * max(1.0 + self.dispersion, 1.0))
        self.dispersion += gain * (square - 1.0 - self.dispersion)
