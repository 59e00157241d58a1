"""Logarithm, exponential, powers and the normal tail without branches or calls.

The compiler makes vector code of loops over them, which it does not of the C library's: 1 to 2 ns
an element against 4 to 15. Errors are below 2 units in the last place (exp, log) and 3e-12 in the
logarithm of the tail; tests/test_elementary.py.
"""

from __future__ import annotations

from tidegate_kernels.intrinsics import bits_of, double_of
from tidegate_kernels.registry import device

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
MANTISSA = 0x000FFFFFFFFFFFFF
ROOT_HALF_BITS = 0x3FE6A09E667F3BCD  # of sqrt(1/2)
TO_ONE = 0x3FF0000000000000 - ROOT_HALF_BITS
MAGIC = 6755399441055744.0  # 1.5 2^52: added to a small number, it leaves its integer in the last bits
MAGIC_BITS = 0x4330000000000000  # of 2^52
TAIL_FROM = 1.2856486930664501  # sqrt(8) 5/11: where t of the normal tail is 11/16


@device
def log(x: float) -> float:
    """The natural logarithm of a normal positive number; the method of fdlibm's log.

    With x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), and s = f / (2 + f)::

        ln x = k ln 2 + f - f^2 / 2 + s (f^2 / 2 + R(s^2))
    """
    shifted = bits_of(x) + TO_ONE
    k = double_of((shifted >> 52) | MAGIC_BITS) - 4503599627371519.0  # 2^52 + 1023
    f = double_of((shifted & MANTISSA) + ROOT_HALF_BITS) - 1.0
    s = f / (2.0 + f)
    z = s * s
    r = 1.531383769920937332e-01 + z * 1.479819860511658591e-01
    r = 1.818357216161805012e-01 + z * r
    r = 2.222219843214978396e-01 + z * r
    r = 2.857142874366239149e-01 + z * r
    r = 3.999999999940941908e-01 + z * r
    r = 6.666666666666735130e-01 + z * r
    half = 0.5 * f * f
    return k * LN2_HIGH - ((half - (s * (half + z * r) + k * LN2_LOW)) - f)


@device
def floor(x: float) -> float:
    """The largest integer up to x, for 0 <= x < 2^51."""
    nearest = (x + MAGIC) - MAGIC
    return nearest - 1.0 if nearest > x else nearest


@device
def exp(x: float) -> float:
    """The exponential, of x clipped to [-708, 709]: e^x = 2^k e^r, |r| <= ln 2 / 2, by its series."""
    x = min(max(x, -708.0), 709.0)
    shifted = x * 1.4426950408889634 + MAGIC
    k = shifted - MAGIC
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    p = 1.0 / 479001600.0 + r * (1.0 / 6227020800.0)
    p = 1.0 / 39916800.0 + r * p
    p = 1.0 / 3628800.0 + r * p
    p = 1.0 / 362880.0 + r * p
    p = 1.0 / 40320.0 + r * p
    p = 1.0 / 5040.0 + r * p
    p = 1.0 / 720.0 + r * p
    p = 1.0 / 120.0 + r * p
    p = 1.0 / 24.0 + r * p
    p = 1.0 / 6.0 + r * p
    p = 0.5 + r * p
    p = 1.0 + (r + r * r * p)
    return p * double_of(((bits_of(shifted) + 1023) & 0xFFF) << 52)


@device
def power(x: float, y: float) -> float:
    """x^y for a positive normal x."""
    return exp(y * log(x))


@device
def log_normal_tail(w: float) -> float:
    """Tail ln P(|Z| > w) of the normal law for w >= TAIL_FROM, to 3e-12 (relative beyond 1).

    With t = 1 / (1 + w / sqrt 8), at most 11/16: ln t - w^2 / 2 + P(32/11 t - 1). P is the interpolation
    of ln(erfc(x) exp(x^2) / t), x = w / sqrt 2, at 15 Chebyshev points, computed with 50 digits.
    """
    t = 1.0 / (1.0 + w * 0.35355339059327373)
    u = t * (32.0 / 11.0) - 1.0
    p = -2.6458088487460778e-09 + u * 1.716148678118253e-07
    p = -1.6589401160140925e-06 + u * p
    p = 3.0823595975590694e-07 + u * p
    p = 1.0994865288922301e-05 + u * p
    p = -2.9623165262824343e-06 + u * p
    p = -7.148445783556581e-05 + u * p
    p = 6.725748036458271e-06 + u * p
    p = 0.0005125201035053044 + u * p
    p = 0.00027029717803398346 + u * p
    p = -0.004228895712725713 + u * p
    p = -0.00900627472456732 + u * p
    p = 0.039333264036756195 + u * p
    p = 0.4337401966669641 + u * p
    p = -0.8760587468514588 + u * p
    return log(t) - 0.5 * w * w + p
