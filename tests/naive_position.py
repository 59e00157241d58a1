"""Naive twin of `position`: the hot spots of one series, from their definition."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from tests.naive_levels import NaiveRates, NaiveTable

Vector = npt.NDArray[np.float64]
SPOTS = 12
EARTH = 6371.0088
LEAST, PRIOR, FAR = 0.05 / EARTH, 25.0 / EARTH, 2000.0 / EARTH
RINGS = [  # distance in radii, share of the mass of each of four points
    (0.7866397863806571, 0.125),
    (1.6616961328197561, 0.075),
    (2.8390938313325513, 0.0375),
    (4.767192485230949, 0.01),
    (7.697113303269453, 0.0025),
]


def vector(latitude: float, longitude: float) -> Vector:
    """The unit vector of a position in degrees."""
    lat, lon = math.radians(latitude), math.radians(longitude)
    return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])


def squared(a: Vector, b: Vector) -> float:
    """The squared chord."""
    return float(((a - b) ** 2).sum())


@dataclass(eq=False)
class Spot:
    """Positions near one another."""

    n: float
    centre: Vector
    squares: float
    r2: float


def cost(a: Spot, b: Spot) -> float:
    """What the merging of two spots adds to the squares, doubled."""
    return a.n * b.n / (a.n + b.n) * squared(a.centre, b.centre)


class NaivePosition:
    """The positions of one series, bucket by bucket."""

    def __init__(self, memory: float, least_memory: float, *, stays: bool) -> None:
        self.memory, self.least_memory, self.stays = memory, least_memory, stays
        self.spots: list[Spot] = []
        self.rates = NaiveRates()
        self.novel = self.lost = self.due = self.log_step = 0.0
        self.seen = self.last = 0
        self.latest = np.zeros(3)
        self.table: NaiveTable | None = None

    @property
    def weight(self) -> float:
        """The weight of all spots."""
        return sum(spot.n for spot in self.spots)

    @property
    def new(self) -> float:
        """The probability of something new."""
        return min((0.3 + self.novel + self.lost) / (self.weight + self.lost + 2.3), 0.9)

    def density(self, x: Vector) -> float:
        """A share for what is new, and Student's law in two dimensions, 4 degrees, for every spot."""
        total = sum(
            spot.n / (2.0 * math.pi * spot.r2) * (1.0 + squared(x, spot.centre) / (4.0 * spot.r2)) ** -3
            for spot in self.spots
        )
        return self.new / (4.0 * math.pi) + (1.0 - self.new) * total / self.weight

    def bucket(self, number: int, positions: list[Vector]) -> list[float]:
        """Ln p of the positions of a bucket, which then is learned from."""
        log_p = [self.log_p(x) for x in positions] if self.seen else [0.0] * len(positions)
        self.fade(number)
        for x in positions:
            self.learn(x)
        self.last = number
        if self.seen >= self.due:
            self.fit()
        return log_p

    def s(self, x: Vector) -> float:
        """-ln of the mass that is not denser."""
        assert self.table is not None
        return self.table.s(math.log(self.density(x)))

    def stay(self, x: Vector) -> float:
        """How unusual it is to be so far from the last position, for one who stays."""
        g = max(min(math.exp(self.log_step), self.largest()), LEAST**2)
        return 2.0 * math.log(1.0 + squared(x, self.latest) / (4.0 * g))

    def log_p(self, x: Vector) -> float:
        """Ln p; who stays where it was is not unusual again."""
        s = self.rates.worth(self.s(x))
        return -min(s, self.stay(x)) if self.stays and s > 2.0 else -s

    def fade(self, number: int) -> None:
        """Everything counts less the older it is."""
        gap = number - self.last
        if not self.seen or gap <= 0:
            return
        keep = max(math.exp(-gap / self.memory), 1.0 - 1.0 / self.least_memory)
        self.novel *= keep
        self.lost *= keep
        faded = [replace(spot, n=spot.n * keep, squares=spot.squares * keep) for spot in self.spots]
        self.spots = [spot for spot in faded if spot.n >= 0.02] or faded[-1:]

    def learn(self, x: Vector) -> None:
        """One position more."""
        if self.table is not None:
            s = self.s(x)
            if s > 4.6:
                self.due = 0.0
            if not (self.stays and s > 2.0 and self.stay(x) < 2.0):
                if self.seen >= 20:
                    self.rates.learn(s)
                self.novel += self.new / (4.0 * math.pi) / self.density(x)
            change = math.log(squared(x, self.latest) + LEAST**2) - self.log_step
            self.log_step += max(1.0 / self.seen, 0.02) * min(change, 1.0)
        self.latest = x
        weight = self.weight + 1.0
        self.seen += 1
        self.insert(x, weight)
        if len(self.spots) > SPOTS:
            self.merge()

    def insert(self, x: Vector, weight: float) -> None:
        """A spot of its own, as wide as the nearest if that is near."""
        for spot in self.spots:
            if squared(x, spot.centre) == 0.0:
                spot.n += 1.0
                return
        added = Spot(1.0, x, 0.0, 1.0)
        near = min(self.spots, key=lambda spot: squared(x, spot.centre), default=None)
        self.spots.append(added)
        if near is not None and squared(x, near.centre) < near.r2:
            added.r2 = near.r2
        else:
            added.r2 = self.radius(added, weight)

    def largest(self) -> float:
        """The largest squared radius that few values may have."""
        return (4.0 * PRIOR**2 + sum(spot.squares for spot in self.spots)) / (self.weight + 4.0)

    def radius(self, spot: Spot, weight: float) -> float:
        """The squared radius of a spot's kernel."""
        window = max(2.0, 0.7 * weight**0.6)
        spread = spot.squares / spot.n
        reach = 2.0 * spread * min(window / spot.n, 1.0)
        gathered = spot.n
        others = sorted(
            (squared(spot.centre, o.centre), i, o.n) for i, o in enumerate(self.spots) if o is not spot
        )
        for d, _, n in others:
            if gathered >= window:
                break
            reach, gathered = d, gathered + n
        if gathered < window:
            reach = math.inf
        return max(min(0.25 * reach, self.largest()), 1.44 * spread, LEAST**2)

    def merge(self) -> None:
        """Joins the pair whose joining adds least, or gives up the lightest spot."""
        pairs = [(a, b) for j, b in enumerate(self.spots) for a in self.spots[:j]]
        a, b = min(pairs, key=lambda pair: cost(*pair))
        newcomer = self.spots[-1]
        light = min(self.spots, key=lambda spot: 3.0 if spot is newcomer else spot.n)
        if (3.0 if light is newcomer else light.n) * FAR**2 <= cost(a, b):
            self.lost += light.n
            self.spots.remove(light)
            return
        total = a.n * a.centre + b.n * b.centre
        a.squares += b.squares + 0.5 * cost(a, b)
        if b is not newcomer:
            a.r2 = max(a.r2, b.r2)
        a.n, a.centre = a.n + b.n, total / math.sqrt(float((total**2).sum()))
        self.spots.remove(b)

    def fit(self) -> None:
        """Radii and table anew."""
        weight, new = self.weight, self.new
        radii = [self.radius(spot, weight) for spot in self.spots]
        for spot, r2 in zip(self.spots, radii, strict=True):
            spot.r2 = r2
        corners = [np.array([x, y, z]) / math.sqrt(3.0) for x in (1, -1) for y in (1, -1) for z in (1, -1)]
        corners += [sign * axis for axis in np.eye(3) for sign in (1.0, -1.0)]
        points = [(corner, new / 14) for corner in corners]
        for spot in self.spots:
            mass = (1.0 - new) * spot.n / weight
            for k, (at, share) in enumerate(RINGS):
                points += [(x, mass * share) for x in ring(spot, at * math.sqrt(spot.r2), 45.0 * (k % 2))]
        self.table = NaiveTable([(math.log(self.density(x)), mass) for x, mass in points], 1.25)
        self.due = self.seen + max(1.0, 0.25 * min(self.seen, weight))


def ring(spot: Spot, chord: float, turned: float) -> list[Vector]:
    """Four points around a spot, the first to the east or `turned` degrees from it."""
    x, y, z = spot.centre
    if math.hypot(x, y) < 0.01:
        east = np.array([0.0, z, -y]) / math.hypot(y, z)
    else:
        east = np.array([-y, x, 0.0]) / math.hypot(x, y)
    north = np.cross(spot.centre, east)
    chord = min(chord, 2.0)
    angles = [math.radians(turned + 90.0 * k) for k in range(4)]
    aside = chord * math.sqrt(1.0 - chord**2 / 4.0)
    return [
        spot.centre * (1.0 - chord**2 / 2.0) + (math.cos(a) * east + math.sin(a) * north) * aside
        for a in angles
    ]
