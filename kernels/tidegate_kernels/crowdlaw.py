"""The law of a population: how unlikely an error is, read from the histogram of all members' errors.

Skewed laws, those of several modes and those of few distinct values are all the same to it. The upper and
the lower side are alike; with u the position of an error in bins, counted from the other side::

    V(u)     mass beyond u, linear within a bin
    body     p = (V(u - 1/2) + 1) / (MASS + 2)
    tail     from the edge on where V <= max(TAIL_SHARE MASS, min(TAIL_LEAST, TAIL_MOST MASS)):
             p = (V(edge) + 1) / (MASS + 2) (1 + (u - 1/2 - edge) / (c m))^-c

m is the mean excess over the edge and c what it is known from: the predictive law of an exponential
excess with a gamma prior. An exponential tail here is one of Pareto for the values themselves, and m Hill's
estimate (Annals of Statistics 1975). Half a bin is for values that are few and distinct: at least half the
mass of a value's own atom is in its p, so that no atom is unlikely because it lies high in its bin.
"""

from __future__ import annotations

from typing import Any

from tidegate_kernels.crowd import (
    ABOVE,
    ABOVE_SUM,
    BELOW,
    BELOW_SUM,
    BIN,
    BINS,
    BUCKETS,
    DRIFT,
    FIRST,
    HALF,
    LEVEL,
    MASS,
    SCALE,
    SIZE,
    WIDTH,
    Pace,
    unscaled,
)
from tidegate_kernels.elementary import exp, log
from tidegate_kernels.registry import device

Array = Any

# The law as it stands before a bucket, a work space: two sides alike, then what is the same for all members.
EDGE = BINS + 1  # after the masses V(0) ... V(BINS)
RATE = BINS + 2  # ln p at the edge
SHAPE = BINS + 3  # c
EXCESS = BINS + 4  # c m
LIMIT = BINS + 5  # u - 1/2 where p = WINSOR
SIDE_SIZE = BINS + 6
UPPER = 0
LOWER = SIDE_SIZE
FORECAST = 2 * SIDE_SIZE  # F
STRETCH = FORECAST + 1  # bins in an error of 1, fewer while there were few buckets
DOUBT = FORECAST + 2  # what an error is taken to be smaller by
LOWEST = FORECAST + 3  # the errors that train as they are
HIGHEST = FORECAST + 4
TYPICAL = FORECAST + 5  # the median
LOWER_BOUND = FORECAST + 6  # of 95% of the values
UPPER_BOUND = FORECAST + 7
LEAST_WEIGHT = FORECAST + 8  # of the least probable value
LAW_SIZE = FORECAST + 9

TAIL_SHARE = 0.001  # of the mass that is tail,
TAIL_LEAST = 50.0  # or so much of it,
TAIL_MOST = 0.05  # but no larger share
TAIL_PRIOR = 3.0  # excesses of the mean size |e|
TAIL_COUNT = 100.0  # c at most, and less in few buckets:
TAIL_BUCKETS = 4.0
LEAST_SIZE = 0.005  # of |e| for that: 1% of a value like SCALE
YOUNG_SPREAD = 2.0  # errors count sqrt(b / (b + this)) after b buckets
DOUBT_DRIFTS = 3.0  # mean errors of whole buckets by which an error is in doubt,
DOUBT_DAYS = 4.0  # less by the day, none after
WINSOR = -9.210340371976182  # ln 1e-4: what is less likely trains as if it lay there,
WINSOR_LEAST = 2.3  # or this far below ln p at the edge, if that is farther out,
FULL_WEIGHT = -11.512925464970229  # and less than in full from ln 1e-5 on,
WEIGHT_OLD, WEIGHT_YOUNG = 0.05, 0.45  # but with the sum of these at least, the second only while young
KNOWN_BUCKETS, KNOWN_MASS = 3.0, 20.0  # from which on there is a law
TIE = 1e-9  # masses that are equal but for rounding are equal
LOG_TWO = 0.6931471805599453


@device
def build_side(s: Array, at: int, law: Array, side: int, step: float) -> None:
    """The masses and the tail of one side; bins are counted from the other one.

    A value that came never is taken to be off by |e| on the average, LEAST_SIZE at least, and of counts
    by ``step`` = 1.
    """
    over = s[at + (ABOVE if side == UPPER else BELOW)]
    excess = s[at + (ABOVE_SUM if side == UPPER else BELOW_SUM)] / s[at + WIDTH]
    total = s[at + MASS]
    target = max(TAIL_SHARE * total, min(TAIL_LEAST, TAIL_MOST * total)) * (1.0 + TIE)
    mass = over
    law[side + BINS] = mass
    edge, edge_mass, edge_excess = BINS, mass, excess
    for back in range(BINS):
        k = BINS - 1 - back
        h = s[at + BIN + (k if side == UPPER else back)]
        excess += mass + 0.5 * h
        mass += h
        law[side + k] = mass
        if mass <= target:
            edge, edge_mass, edge_excess = k, mass, excess
    usual = max(s[at + SIZE] / total, LEAST_SIZE)
    usual = max(usual, step / (s[at + SCALE] * exp(abs(s[at + LEVEL])))) / s[at + WIDTH]
    mean = (edge_excess + TAIL_PRIOR * usual) / (edge_mass + TAIL_PRIOR)
    shape = min(min(edge_mass, TAIL_COUNT), TAIL_BUCKETS * s[at + BUCKETS]) + TAIL_PRIOR
    rate = log((edge_mass + 1.0) / (total + 2.0))
    law[side + EDGE] = float(edge)
    law[side + RATE] = rate
    law[side + SHAPE] = shape
    law[side + EXCESS] = shape * mean
    law[side + LIMIT] = edge + shape * mean * (exp(max(rate - WINSOR, WINSOR_LEAST) / shape) - 1.0)


@device
def log_beyond(law: Array, side: int, u: float, total: float) -> float:
    """Ln p of an error at least so far out on a side; u is its position less half a bin."""
    if u >= law[side + EDGE]:
        beyond = 1.0 + (u - law[side + EDGE]) / law[side + EXCESS]
        far: float = law[side + RATE] - law[side + SHAPE] * log(beyond)
        return far
    u = max(u, 0.0)
    k = int(u)
    mass = law[side + k] + (u - k) * (law[side + k + 1] - law[side + k])
    return log((mass + 1.0) / (total + 2.0))


@device
def quantile(s: Array, at: int, law: Array, side: int, share: float) -> float:
    """The error beyond which so large a share of the mass lies; the end of the bins at the most."""
    target = share * s[at + MASS] * (1.0 - TIE)
    k = BINS
    while k > 0 and law[side + k] < target:
        k -= 1
    u = float(k)
    if k < BINS and law[side + k] > law[side + k + 1]:
        u += min((law[side + k] - target) / (law[side + k] - law[side + k + 1]), 1.0)
    e: float = (u - HALF) * s[at + WIDTH]
    return e if side == UPPER else -e


@device
def trust(s: Array, at: int) -> float:
    """What share of its error a value is taken to have while there were few buckets."""
    b = s[at + BUCKETS]
    share: float = exp(0.5 * log(b / (b + YOUNG_SPREAD)))
    return share


@device
def is_known(s: Array, at: int) -> bool:
    """Whether there is enough to score members by."""
    known: bool = s[at + BUCKETS] >= KNOWN_BUCKETS and s[at + MASS] >= KNOWN_MASS
    return known


@device
def build_law(s: Array, at: int, law: Array, forecast: float, clock: float, pace: Pace, step: float) -> None:
    """What the members of a bucket are scored by; ``step`` is 1 for counts."""
    build_side(s, at, law, UPPER, step)
    build_side(s, at, law, LOWER, step)
    width, scale, age = s[at + WIDTH], s[at + SCALE], clock - s[at + FIRST]
    law[FORECAST] = forecast
    law[STRETCH] = trust(s, at) / width
    law[DOUBT] = DOUBT_DRIFTS * s[at + DRIFT] * max(1.0 - age * pace.days / DOUBT_DAYS, 0.0)
    law[HIGHEST] = (law[UPPER + LIMIT] + 0.5 - HALF) * width
    law[LOWEST] = (HALF - 0.5 - law[LOWER + LIMIT]) * width
    law[TYPICAL] = unscaled(forecast + quantile(s, at, law, UPPER, 0.5), scale)
    law[LOWER_BOUND] = unscaled(forecast + quantile(s, at, law, LOWER, 0.025), scale)
    law[UPPER_BOUND] = unscaled(forecast + quantile(s, at, law, UPPER, 0.025), scale)
    law[LEAST_WEIGHT] = WEIGHT_OLD + WEIGHT_YOUNG * max(1.0 - age / pace.young, 0.0)


@device
def judged(above: float, below: float, side: float) -> float:
    """Ln p on the side asked for; for one side it is doubled all the same, and so conservative."""
    log_p = min(above, below) if side == 0.0 else (above if side > 0.0 else below)
    return min(log_p + LOG_TWO, 0.0)


@device
def training_weight(log_p: float, least: float) -> float:
    """sqrt(p / 1e-5), at most 1, at least ``least``."""
    return 1.0 if log_p > FULL_WEIGHT else max(exp(0.5 * (log_p - FULL_WEIGHT)), least)
