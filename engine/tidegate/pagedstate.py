"""The memory of the models of many series: blocks of states, and pages for those that need one.

All of it is kept but the room for more, and the numbers that pages happen to have. What kernels take for
places in a page is checked when it is restored.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tidegate_kernels import state as rows

from .cells import F32, F64, I64
from .kept import Keeper, Picked, is_ascending, require, require_within


class PagedState(Keeper):
    """States and pages of the series of one feature of a detector."""

    KEPT: ClassVar = {"_room": int, "_used_state": F64, "_paged": I64, "_taken": F32}

    def __init__(self) -> None:
        self.state: F64 = np.zeros(0)
        self._pages: F32 = np.zeros(0, np.float32)
        self._page_b: I64 = np.zeros(0, np.int64)
        """The number of the page of every block, -1 for none."""
        self._free: I64 = np.zeros(0, np.int64)
        """The pages that no block has."""
        self._used = 0
        """Blocks that have series; there is room for more."""

    @property
    def _room(self) -> int:
        """How many blocks there is room for."""
        return len(self._page_b)

    @_room.setter
    def _room(self, blocks: int) -> None:
        self.state, self._page_b = np.zeros(blocks * rows.BLOCK_SIZE), np.full(blocks, -1)

    @property
    def _used_state(self) -> F64:
        """The states of the blocks that have series."""
        return self.state[: self._used * rows.BLOCK_SIZE]

    @_used_state.setter
    def _used_state(self, state: F64) -> None:
        self._used = len(state) // rows.BLOCK_SIZE
        fits = len(state) == self._used * rows.BLOCK_SIZE <= len(self.state)
        require(fits, f"{len(state)} numbers are not whole blocks, or more than there is room for")
        if len(state) == len(self.state):
            self.state = state
        else:
            self.state[: len(state)] = state

    @property
    def _paged(self) -> I64:
        """The blocks that have a page."""
        return np.flatnonzero(self._page_b >= 0)

    @_paged.setter
    def _paged(self, blocks: I64) -> None:
        require_within(blocks, self._used, "a block with a page")
        require(
            is_ascending(blocks) and len(np.unique(blocks)) == len(blocks),
            "blocks with a page are not in order",
        )
        self._page_b[blocks] = np.arange(len(blocks))

    @property
    def _taken(self) -> Picked | F32:
        """The pages of these blocks, in their order: which numbers they have here is left to chance."""
        return Picked(self._pages.reshape(-1, rows.PAGE_SIZE), self._page_b[self._paged])

    @_taken.setter
    def _taken(self, pages: F32) -> None:
        self._pages, self._free = pages, np.zeros(0, np.int64)

    def _resume(self) -> None:
        paged = self._paged
        require(len(self._pages) == len(paged) * rows.PAGE_SIZE, "there are not as many pages as blocks want")
        blocks = self._used_state.reshape(-1, rows.STATE_ROWS, rows.LANES)
        period, since, due = (
            blocks[:, int(row) // rows.LANES] for row in (rows.PERIOD, rows.PERIOD_SINCE, rows.PERIOD_DUE)
        )
        is_bare = np.ones(self._used, bool)
        is_bare[paged] = False
        require(not period[is_bare].any(), "a series has a period and no page")
        knots = self._pages.reshape(-1, rows.PROFILE_ROWS, rows.LANES)[:, rows.PAGE_KNOTS]
        knots = knots[period[paged] > 0.0]
        fits = ((knots >= 1.0) & (knots <= rows.PERIOD_KNOTS)).all()
        require(bool(fits), "the period of a series has no right number of knots")
        sought = period < 0.0
        slots = (due[sought] - since[sought]) / -period[sought]
        fits = ((slots >= 1.0) & (slots < rows.RING + 1.0)).all()
        require(bool(fits), "the period of a series is looked for beyond its ring")
