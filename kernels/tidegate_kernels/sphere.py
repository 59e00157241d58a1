"""Positions in degrees and as unit vectors, whose mean is right across the date line and at the poles."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.intrinsics import (
    root,
)
from tidegate_kernels.registry import (
    kernel,
)
from tidegate_kernels.trigonometry import (
    arc_tangent,
    cosine,
    sine,
)

Array = Any


@kernel("i64(in f64[], in f64[], out f64[], out f64[], out f64[])")
def to_vectors(latitude: Array, longitude: Array, x: Array, y: Array, z: Array) -> int:
    """Unit vectors of positions in degrees: x to (0, 0), y to (0, 90), z to the north pole; NaN of NaN.

    A latitude beyond 90 or a longitude beyond 180 is no position either. Returns how many there are.
    """
    valid = 0
    for i in range(len(latitude)):
        lat, lon = latitude[i], longitude[i]
        if abs(lat) <= 90.0 and abs(lon) <= 180.0:
            flat = cosine(lat)
            x[i], y[i], z[i] = flat * cosine(lon), flat * sine(lon), sine(lat)
            valid += 1
        else:
            x[i], y[i], z[i] = np.nan, np.nan, np.nan
    return valid


@kernel("i64(in f64[], in f64[], in f64[], out f64[], out f64[])")
def to_degrees(x: Array, y: Array, z: Array, latitude: Array, longitude: Array) -> int:
    """Latitude and longitude of vectors of any length but 0; returns their number."""
    for i in range(len(x)):
        latitude[i] = arc_tangent(z[i], root(x[i] * x[i] + y[i] * y[i]))
        longitude[i] = arc_tangent(y[i], x[i])
    return len(x)


@kernel("i64(out f64[], out f64[], out f64[])")
def to_unit(x: Array, y: Array, z: Array) -> int:
    """Makes vectors as long as 1, in place; NaN of those shorter than 1e-9, which point nowhere.

    Returns how many point somewhere.
    """
    valid = 0
    for i in range(len(x)):
        length = root(x[i] * x[i] + y[i] * y[i] + z[i] * z[i])
        if length >= 1e-9:
            x[i], y[i], z[i] = x[i] / length, y[i] / length, z[i] / length
            valid += 1
        else:
            x[i], y[i], z[i] = np.nan, np.nan, np.nan
    return valid
