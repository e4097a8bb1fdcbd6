"""What the leaves of a node want of a line, for the lease office (line-rules, Leases), and when that begins or ends.

`wants` is 1.25 x what was used or waited for in the last second; a leaf that waited wants twice its use. What waits is
all that its requests still have to bring, not their next step: else a stream that begins would take ten seconds to be
seen.
"""

import math
from collections.abc import Callable, Iterator

from policy.leases.messages import Want
from policy.shares import Leaf
from regioncache.lines.waiting import GROWTH

WAITED_GROWTH = 2.0
"""What a leaf that waited wants of its use."""
ENDED_SECONDS = 0.15
"""So long after its last request a leaf wants nothing any more, whatever it used before: its room is for others. One
that asks for many small objects begins again sooner. Measured with demand that moves every 2 s among nodes of two
workers each: 88 % of the quota used, among all their workers 90 %; 85 and 88 % with 0.25 s. On a busy machine, where
flights pause for as long, it makes no difference."""
FRESH_SECONDS = 3.0
"""After so long an assured share is there (line-rules, Q4): until then who begins is not told to come again."""


def wanted(used: float, backlog: float, waited: bool, most: float) -> Want:
    """Returns what a leaf wants.

    Args:
        used: Debited bytes/s of late.
        backlog: Debited bytes that it waits for: as much it would use in a second.
        waited: Whether its share holds it back.
        most: Bytes/s of the whole line.
    """
    wants = GROWTH * (used + backlog)
    if waited:
        wants = max(wants, WAITED_GROWTH * used)
    return Want(min(most, wants), waited)


class Demand:
    """Mutable state: by leaf, how many requests run or wait, and since when there are any."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = unheard
        self._requests: dict[Leaf, int] = {}
        self._since: dict[Leaf, float] = {}
        self._ended: dict[Leaf, float] = {}

    def __repr__(self) -> str:
        return f"<Demand of {len(self._requests)} leaves>"

    def __iter__(self) -> Iterator[Leaf]:
        return iter(self._requests)

    def came(self, leaf: Leaf, now: float) -> None:
        """One request more of a leaf; where it is the first, the office is to hear of it."""
        self._requests[leaf] = self._requests.get(leaf, 0) + 1
        if self._requests[leaf] == 1:
            self._since[leaf] = now
            self._ended.pop(leaf, None)
            self.on_change()

    def went(self, leaf: Leaf, now: float) -> bool:
        """One request less of a leaf; returns whether it was the last: then the office is to hear of it."""
        count = self._requests.get(leaf, 0) - 1
        if count > 0:
            self._requests[leaf] = count
        elif count == 0:
            del self._requests[leaf], self._since[leaf]
            self._ended[leaf] = now
            self.on_change()
        return count == 0

    def over(self, leaf: Leaf, now: float) -> bool:
        """Whether a leaf wants nothing any more."""
        return leaf not in self._requests and not self.ends_in(leaf, now)

    def ends_in(self, leaf: Leaf, now: float) -> float:
        """Returns the seconds until a leaf whose last request is over wants nothing; 0: it is so, or none ended."""
        return max(0.0, self._ended.get(leaf, -math.inf) + ENDED_SECONDS - now)

    def fresh(self, leaf: Leaf, now: float) -> bool:
        """Whether its demand began so short a time ago that the office may not have answered."""
        since = self._since.get(leaf)
        return since is None or now - since < FRESH_SECONDS


def unheard() -> None:
    """Of what nobody asked to hear."""
