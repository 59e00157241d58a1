"""Orders of rows by small whole numbers."""

from __future__ import annotations

from typing import Any

from .registry import device

Array = Any


@device
def counting_sort(
    key: Array, base: int, size: int, n: int, order_in: Array, count: Array, order_out: Array
) -> None:
    """Stable order of rows by ``key[row] - base``, given them in the order `order_in`."""
    for k in range(size + 1):
        count[k] = 0
    for i in range(n):
        count[key[order_in[i]] - base + 1] += 1
    for k in range(size):
        count[k + 1] += count[k]
    for i in range(n):
        k = key[order_in[i]] - base
        order_out[count[k]] = order_in[i]
        count[k] += 1
