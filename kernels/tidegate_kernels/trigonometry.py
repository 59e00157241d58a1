"""Sine, cosine and arc tangent of angles in degrees, from arithmetic alone.

They give the same bits compiled and interpreted, on every processor, which those of the C library and of
numpy do not. Errors are below 1e-15 (sine, cosine) and 1e-15 of the result (arc tangent);
tests/test_position.py. The polynomials are those of fdlibm's k_sin, k_cos and s_atan.
"""

from __future__ import annotations

from tidegate_kernels.elementary import MAGIC
from tidegate_kernels.registry import device

RADIANS = 0.017453292519943295  # in a degree
DEGREES = 57.29577951308232  # in a radian


@device
def small_sine(x: float) -> float:
    """Sin x for |x| <= pi / 4, x in radians."""
    z = x * x
    r = -2.50507602534068634195e-08 + z * 1.58969099521155010221e-10
    r = 2.75573137070700676789e-06 + z * r
    r = -1.98412698298579493134e-04 + z * r
    r = 8.33333333332248946124e-03 + z * r
    r = -1.66666666666666324348e-01 + z * r
    return x + x * z * r


@device
def small_cosine(x: float) -> float:
    """Cos x for |x| <= pi / 4, x in radians."""
    z = x * x
    r = 2.08757232129817482790e-09 + z * -1.13596475577881948265e-11
    r = -2.75573143513906633035e-07 + z * r
    r = 2.48015872894767294178e-05 + z * r
    r = -1.38888888888741095749e-03 + z * r
    r = 4.16666666666666019037e-02 + z * r
    return 1.0 - (0.5 * z - z * z * r)


@device
def sine(angle: float) -> float:
    """The sine of an angle of up to a million degrees; exact at multiples of 90."""
    quarter = (angle * (1.0 / 90.0) + MAGIC) - MAGIC
    x = (angle - 90.0 * quarter) * RADIANS
    turn = int(quarter) % 4
    y = small_cosine(x) if turn % 2 == 1 else small_sine(x)
    return -y if turn >= 2 else y


@device
def cosine(angle: float) -> float:
    """The cosine of an angle of up to a million degrees; exact at multiples of 90."""
    return sine(abs(angle) + 90.0) if abs(angle) > 45.0 else small_cosine(angle * RADIANS)


@device
def small_arc_tangent(x: float) -> float:
    """Arctan x in radians, 0 <= x <= 7 / 16."""
    z = x * x
    r = -3.65315727442169155270e-02 + z * 1.62858201153657823623e-02
    r = 4.97687799461593236017e-02 + z * r
    r = -5.83357013379057348645e-02 + z * r
    r = 6.66107313738753120669e-02 + z * r
    r = -7.69187620504482999495e-02 + z * r
    r = 9.09088713343650656196e-02 + z * r
    r = -1.11111104054623557880e-01 + z * r
    r = 1.42857142725034663711e-01 + z * r
    r = -1.99999999998764832476e-01 + z * r
    r = 3.33333333333329318027e-01 + z * r
    return x - x * z * r


@device
def arc_tangent(y: float, x: float) -> float:
    """The angle of the point (x, y) in degrees, from -180 to 180; 0 for the origin."""
    a, b = abs(y), abs(x)
    low, high = min(a, b), max(a, b)
    if high == 0.0:
        return 0.0
    t = low / high
    # arctan t = arctan c + arctan((t - c) / (1 + c t)), c = 1/2 or 1
    if t <= 0.4375:
        angle = small_arc_tangent(t)
    elif t < 0.6875:
        angle = 4.63647609000806093515e-01 + odd_arc_tangent((2.0 * t - 1.0) / (2.0 + t))
    else:
        angle = 7.85398163397448278999e-01 + odd_arc_tangent((t - 1.0) / (t + 1.0))
    angle *= DEGREES
    angle = 90.0 - angle if a > b else angle
    angle = 180.0 - angle if x < 0.0 else angle
    return -angle if y < 0.0 else angle


@device
def odd_arc_tangent(x: float) -> float:
    """Arctan x in radians, |x| <= 7 / 16."""
    return -small_arc_tangent(-x) if x < 0.0 else small_arc_tangent(x)
