"""Blocks and pages between the state and the work space of a call, and pages for those that need one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate_kernels.profile import begin_shape, wants_profiles
from tidegate_kernels.registry import device
from tidegate_kernels.state import (
    ALL_LANES,
    BLOCK_SIZE,
    DAY_MEAN_0,
    KNOT_ROWS,
    LANES,
    PAGE_SIZE,
    SEASONAL,
    put,
)

Array = Any

# Where a call goes on that ran out of room, how many pages it took, and how many rows of bounds it made.
AT_BLOCK, AT_CELL, AT_BUCKET, IS_DONE, PAGES_TAKEN, PLOTTED = range(6)
RESUME_SIZE = 6


@device
def load_block(w: Array, state: Array, block: int) -> None:
    """Copies a block to the work space; without a page, all knots are fresh."""
    for k in range(BLOCK_SIZE):
        w[np.uint64(k)] = state[np.uint64(block * BLOCK_SIZE + k)]
    for k in range(KNOT_ROWS * LANES):
        w[DAY_MEAN_0 + np.uint64(k)] = 0.0


@device
def keep_block(w: Array, state: Array, block: int) -> None:
    """Copies a block back."""
    for k in range(BLOCK_SIZE):
        state[np.uint64(block * BLOCK_SIZE + k)] = w[np.uint64(k)]


@device
def copy_page(pages: Array, page: int, scratch: Array) -> None:
    """Copies a page to where interim results may change it; a fresh one for -1."""
    for k in range(PAGE_SIZE):
        scratch[k] = pages[np.uint64(page * PAGE_SIZE + k)] if page >= 0 else 0.0


@device
def give_profiles(w: Array) -> bool:
    """Makes plain series seasonal that have use for it; False when there are none."""
    given = 0
    for lane in range(ALL_LANES):
        wants = wants_profiles(w, lane)
        put(w, SEASONAL + lane, wants, 1.0)
        given += 1 if wants else 0
    return given > 0


@device
def take_page(page_b: Array, block: int, free_pages: Array, pages: Array, resume: Array) -> int:
    """Gives the block a page, all fresh; returns where it begins."""
    page_b[block] = free_pages[resume[PAGES_TAKEN]]
    resume[PAGES_TAKEN] += 1
    page: int = page_b[block] * PAGE_SIZE
    for k in range(PAGE_SIZE):
        pages[page + k] = 0.0
    return page


@device
def begin_shapes(
    w: Array, new_lanes: int, pages: Array, page: int, settings: Array, day_knot: int, day_weight: float
) -> None:
    """Lets the series that began in this bucket, a bit each, begin with the shape of their siblings."""
    for lane in range(ALL_LANES):
        if (new_lanes >> np.int64(lane)) & 1 != 0:
            begin_shape(w, lane, pages, page, settings, day_knot, day_weight)
