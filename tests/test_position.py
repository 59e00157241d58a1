"""Positions: sines are exact, the hot spots are their twin's, calm on every law and awake to what is odd."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.density_laws import HOME, KM, POSITIONS, positions
from tests.density_run import Judged, judge_positions, position_settings
from tests.naive_position import NaivePosition, vector

from tidegate.position import degrees_of, vectors_of
from tidegate_kernels import sphere, trigonometry
from tidegate_kernels.registry import Kernel

SERIES = 20
HOURLY = position_settings(3600.0)


def sines(x, out):
    """The sine of every element."""
    for i in range(len(x)):
        out[i] = trigonometry.sine(x[i])
    return len(x)


def cosines(x, out):
    """The cosine of every element."""
    for i in range(len(x)):
        out[i] = trigonometry.cosine(x[i])
    return len(x)


def arc_tangents(y, x, out):
    """The angle of every point."""
    for i in range(len(x)):
        out[i] = trigonometry.arc_tangent(y[i], x[i])
    return len(x)


def both_ways(function, *inputs: np.ndarray) -> np.ndarray:
    """The values of compiled code, which are those of plain Python to the last bit."""
    made = Kernel(function, f"i64({'in f64[], ' * len(inputs)}out f64[])")
    compiled, plain = np.empty_like(inputs[0]), np.empty_like(inputs[0])
    made.compile()(*inputs, compiled)
    made.interpret(*inputs, plain)
    np.testing.assert_array_equal(compiled, plain)
    return compiled


def test_sine_and_cosine() -> None:
    """To 1e-15, and exact at the multiples of 90 degrees and of 30 where it is a half."""
    angle = np.append(np.random.default_rng(0).uniform(-720.0, 720.0, 3000), np.arange(-360.0, 361.0, 15.0))
    np.testing.assert_allclose(both_ways(sines, angle), np.sin(np.radians(angle)), atol=3e-15)
    np.testing.assert_allclose(both_ways(cosines, angle), np.cos(np.radians(angle)), atol=3e-15)
    quarters = np.arange(-8.0, 9.0) * 90.0
    assert both_ways(sines, quarters).tolist() == [[0.0, 1.0, 0.0, -1.0][k % 4] for k in range(-8, 9)]
    assert both_ways(cosines, quarters).tolist() == [[1.0, 0.0, -1.0, 0.0][k % 4] for k in range(-8, 9)]


def test_arc_tangent() -> None:
    """To 1e-13 degrees in all four quarters, near the axes too, for points of any distance."""
    random = np.random.default_rng(0)
    angle = np.append(random.uniform(-180.0, 180.0, 3000), [0.0, 90.0, -90.0, 180.0, 45.0, -135.0, 1e-9])
    far = np.exp(random.uniform(-30.0, 30.0, len(angle)))
    y, x = far * np.sin(np.radians(angle)), far * np.cos(np.radians(angle))
    np.testing.assert_allclose(both_ways(arc_tangents, y, x), np.degrees(np.arctan2(y, x)), atol=1e-13)
    zero = np.zeros(1)
    assert both_ways(arc_tangents, zero, zero).tolist() == [0.0]


def test_positions_come_back() -> None:
    """From degrees to a vector of length 1 and back to 1e-9 degrees, at the poles and the date line too."""
    random = np.random.default_rng(1)
    latitude = np.append(random.uniform(-90.0, 90.0, 500), [90.0, -90.0, 0.0, 0.0])
    longitude = np.append(random.uniform(-180.0, 180.0, 500), [0.0, 0.0, 180.0, -179.999999])
    x, y, z = vectors_of(latitude, longitude)
    np.testing.assert_allclose(x * x + y * y + z * z, 1.0, atol=1e-15)
    back = degrees_of(3.0 * x, 3.0 * y, 3.0 * z)
    np.testing.assert_allclose(back[0], latitude, atol=2e-9)
    np.testing.assert_allclose(back[1], longitude, atol=2e-9)


def test_what_is_no_position_is_none() -> None:
    """A latitude beyond 90 degrees, a longitude beyond 180 or NaN makes NaN of all three coordinates."""
    latitude, longitude = np.array([90.1, 0.0, np.nan, 1.0]), np.array([0.0, -180.5, 1.0, 1.0])
    out = [np.empty(4) for _ in range(3)]
    assert sphere.to_vectors(latitude, longitude, *out) == 1
    for column in out:
        assert np.isnan(column).tolist() == [True, True, True, False]


def test_opposite_positions_have_no_mean() -> None:
    """A mean vector of no length points nowhere: no value."""
    x, y, z = np.array([1e-12, 0.3]), np.zeros(2), np.zeros(2)
    assert sphere.to_unit(x, y, z) == 1
    assert np.isnan([x[0], y[0], z[0]]).all()
    assert (x[1], y[1], z[1]) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("name", POSITIONS)
def test_the_kernel_is_its_twin(name: str, stays: bool) -> None:
    """Whatever the positions are, ln p is that of the definition."""
    settings = position_settings(3600.0, stays=stays)
    model, bucket, latitude, longitude = positions(name, 1, 260)
    latitude[150:155] += 3.0
    naive = NaivePosition(*settings[:2].tolist(), stays=stays)
    columns = zip(bucket.tolist(), latitude, longitude, strict=True)
    expected = [naive.bucket(b, [vector(lat, lon)])[0] for b, lat, lon in columns]
    found = judge_positions(model, bucket, latitude, longitude, settings).log_p
    assert min(expected) < -2.0
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_many_cities_are_its_twins() -> None:
    """With more places than spots some are merged and some given up, as the definition has it."""
    random = np.random.default_rng(4)
    cities = np.column_stack([random.uniform(-60.0, 60.0, 40), random.uniform(-180.0, 180.0, 40)])
    path = cities[random.integers(0, 40, 300)] + random.normal(0.0, 0.01, (300, 2))
    latitude, longitude = path[:, 0].copy(), np.clip(path[:, 1], -180.0, 180.0)
    naive = NaivePosition(*HOURLY[:2].tolist(), stays=True)
    expected = [
        naive.bucket(k, [vector(a, b)])[0] for k, (a, b) in enumerate(zip(latitude, longitude, strict=True))
    ]
    found = judge_positions(np.zeros(300, np.int64), np.arange(300), latitude, longitude, HOURLY).log_p
    assert naive.lost > 0.0
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_population_is_scored_before_it_is_learned_from() -> None:
    """Several positions of one bucket are judged by what was before the bucket, as the twin does it."""
    random = np.random.default_rng(1)
    settings = position_settings(3600.0, stays=False)
    bucket = np.sort(random.integers(0, 40, 300))
    latitude, longitude = random.normal(0.0, 1.0, (2, 300))
    naive, expected = NaivePosition(*settings[:2].tolist(), stays=False), []
    for b in np.unique(bucket):
        chosen = np.flatnonzero(bucket == b)
        expected += naive.bucket(int(b), [vector(latitude[i], longitude[i]) for i in chosen])
    found = judge_positions(np.zeros(300, np.int64), bucket, latitude, longitude, settings).log_p
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", POSITIONS)
def test_p_is_a_probability(name: str) -> None:
    """On what stays as it is, p below 0.01 and 0.001 is no more frequent than that, whatever the law."""
    model, bucket, latitude, longitude = positions(name, SERIES, 2000)
    log_p = judge_positions(model, bucket, latitude, longitude, HOURLY).log_p
    for part in (bucket < 200, bucket >= 200):
        for p, most in ((0.1, 1.5), (0.01, 1.5), (0.001, 2.0)):
            assert np.mean(log_p[part] < math.log(p)) <= most * p


def _with_last(name: str, latitude: float, longitude: float, n: int = 1500) -> Judged:
    """A series of a law, and then a position."""
    columns = positions(name, 1, n)
    last = (0, n, latitude, longitude)
    return judge_positions(*(np.append(c, v) for c, v in zip(columns, last, strict=True)), HOURLY)


@pytest.mark.parametrize("name", ["home", "never moves", "home and work", "commuter"])
@pytest.mark.parametrize("km", [100.0, 5000.0])
def test_an_odd_place_is_found(name: str, km: float) -> None:
    """A place where the series never was is rarer than one in a thousand and the least probable of all."""
    judged = _with_last(name, HOME[0] - km * KM, HOME[1])
    assert judged.log_p[-1] < math.log(0.001)
    assert np.argmin(judged.log_p) == len(judged.log_p) - 1
    typical = degrees_of(*(judged.columns[axis][-1:] for axis in "xyz"))
    assert abs(typical[0][0] - HOME[0]) < 5.0 * KM
    assert abs(typical[1][0] - HOME[1]) < 10.0 * KM


def test_travellers_are_given_more() -> None:
    """A new city is rarer for who never moves than for who travels."""
    log_p = [_with_last(name, 44.0, 2.0).log_p[-1] for name in ("never moves", "traveller")]
    assert log_p[0] < math.log(0.001)
    assert log_p[1] > log_p[0] + 3.0


def test_to_stay_is_not_odd_again() -> None:
    """Of a stay at a new place the arrival is unusual, the next hours there are not."""
    model, bucket, latitude, longitude = positions("home and work", 1, 1000)
    latitude[900:910], longitude[900:910] = 41.9, 12.5
    log_p = judge_positions(model, bucket, latitude, longitude, HOURLY).log_p
    assert log_p[900] < math.log(0.001)
    assert (log_p[901:910] > math.log(0.05)).all()
    population = judge_positions(
        model, bucket, latitude, longitude, position_settings(3600.0, stays=False)
    ).log_p
    assert (population[900:903] < math.log(0.01)).all()


def test_the_date_line_and_the_poles_are_no_edges() -> None:
    """Who lives at 180 degrees east is at home at 180 degrees west, and around a pole at any longitude."""
    random = np.random.default_rng(7)
    for centre, odd in ((0.0, 30.0), (89.99, 80.0)):
        latitude = centre + random.normal(0.0, 0.001, 400)
        longitude = (180.0 + random.normal(0.0, 0.001, 400) + 180.0) % 360.0 - 180.0
        if centre:
            longitude = random.uniform(-180.0, 180.0, 400)
        latitude[-1] = odd
        log_p = judge_positions(np.zeros(400, np.int64), np.arange(400), latitude, longitude, HOURLY).log_p
        assert (log_p[:-1] > math.log(0.01)).all()
        assert log_p[-1] < math.log(0.005)


def test_a_new_home_is_learned() -> None:
    """Who moves house is at home there after a month, and odd at the old one only when that has faded."""
    model, bucket, latitude, longitude = positions("never moves", 1, 3000)
    latitude[1000:] += 1.0
    log_p = judge_positions(model, bucket, latitude, longitude, position_settings(3600.0, stays=False)).log_p
    assert log_p[1000] < math.log(0.001)
    assert (log_p[1700:] > math.log(0.05)).all()
