"""Which layout the state of a job has: the head that every captured state begins with.

Kernels know where everything lies in their arrays. State of another layout would be misread, so it is
refused. `LAYOUT` is raised by hand when places change their meaning; sizes are looked at by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tidegate_kernels import (
    admit,
    circle,
    crowd,
    distinct,
    keylog,
    members,
    rare,
    score,
    spots,
    state,
    templates,
)
from tidegate_kernels.fold import RECORD_SIZE

from .errors import SnapshotError, VersionError
from .kept import State

LAYOUT = 1
"""The layout of now."""

SIZES: Mapping[str, int] = MappingProxyType(
    {
        "series": state.STATE_ROWS,
        "lanes": state.LANES,
        "profiles": state.PROFILE_ROWS,
        "settings": state.SETTINGS_SIZE,
        "history": score.HISTORY_SIZE,
        "clock": admit.CLOCK_SIZE,
        "record": RECORD_SIZE,
        "keys": keylog.SUMMARY_SIZE,
        "sketch": distinct.REGISTERS,
        "attribute": crowd.STATE_SIZE,
        "crowd": members.CROWD_SIZE,
        "member": members.MEMBER_SIZE,
        "rare": rare.PARTITION_SIZE,
        "rare_repeats": rare.PARTITION_SIZE_WITH_REPEATS,
        "times": circle.GROUPS,
        "positions": spots.STATE,
        "category": templates.CATEGORY_SIZE,
    }
)
"""How many numbers the kernels have for what they keep."""


def head() -> dict[str, State]:
    """The head of state that is captured now.

    >>> head()["layout"] == LAYOUT
    True
    """
    return {"layout": LAYOUT, "sizes": dict(SIZES)}


def beheaded(state: State) -> dict[str, State]:
    """Captured state without its head.

    Raises VersionError for state of another layout.

    >>> beheaded({"layout": LAYOUT + 1, "sizes": {}, "job": {}})
    Traceback (most recent call last):
    tidegate.errors.VersionError: the model state has layout 2, of a newer tidegate; this one reads layout 1
    """
    if not isinstance(state, dict) or state.keys() != {"layout", "sizes", "job"}:
        raise SnapshotError("the model state must have the parts layout, sizes and job")
    found, sizes = state["layout"], state["sizes"]
    if type(found) is not int or not isinstance(sizes, Mapping):
        raise VersionError(f"the model state does not say its layout; this tidegate reads layout {LAYOUT}")
    if found != LAYOUT:
        age = "a newer" if found > LAYOUT else "an older"
        raise VersionError(
            f"the model state has layout {found}, of {age} tidegate; this one reads layout {LAYOUT}"
        )
    other = [
        f"{name} {sizes.get(name)!r} (here {SIZES.get(name)})"
        for name in {**SIZES, **sizes}
        if sizes.get(name) != SIZES.get(name)
    ]
    if other:
        raise VersionError(
            f"the model state has other sizes than the kernels of this tidegate: {', '.join(other)}"
        )
    return {"job": state["job"]}
