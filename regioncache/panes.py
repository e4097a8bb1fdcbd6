"""Panes: the memory that windows are made of, used again, since new memory must be zeroed and its pages be faulted in.

A reader may still send bytes of a pane that its window has dropped, so a pane is used again only when nobody looks into
it any more: each view of it holds a reference to it, and CPython counts these.
"""

import sys
from collections import deque

from regioncache.pages import STEP_BYTES

FEWEST, MOST = 8, 64
"""Dropped panes kept, of 256 KiB each: for the smallest process, and for any, which is one window."""
PART = 32
"""The part of the memory budget that lies idle so, beside it."""
_UNSEEN = 3
"""References to a pane that nobody looks into: of the queue, of the variable, of the call that counts them."""


class Panes:
    """Mutable state: `_dropped`, the one dropped first in front."""

    __slots__ = ("_dropped", "_kept")

    def __init__(self, kept: int = FEWEST) -> None:
        """Args: kept: dropped panes kept."""
        self._kept = kept
        self._dropped: deque[bytearray] = deque()

    def __repr__(self) -> str:
        return f"Panes({len(self._dropped)} dropped)"

    def take(self) -> bytearray:
        """A pane whose bytes are anybody's."""
        if self._dropped:
            pane = self._dropped[0]
            if sys.getrefcount(pane) == _UNSEEN:
                self._dropped.popleft()
                return pane
            self._dropped.rotate(-1)  # it may be seen for long; the next one is looked at next time
        return bytearray(STEP_BYTES)

    def give(self, pane: bytearray) -> None:
        """Takes back what its window has dropped, whoever still looks into it."""
        if len(self._dropped) < self._kept:
            self._dropped.append(pane)


def kept_beside(budget: int) -> int:
    """Returns how many dropped panes a process keeps whose memory budget has so many bytes.

    New memory is zeroed, and costs as much as a frame's checksum and more: a window of 16 MiB is dropped at once when
    its flight ends, and the next flight fills one.
    """
    return max(FEWEST, min(MOST, budget // PART // STEP_BYTES))
