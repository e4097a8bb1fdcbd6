"""One leaf's waiting debits, its place in virtual time, and what it is taken to want.

First come first served, control traffic before the rest. A leaf wants 1.25 x what it used lately (line-rules, Leases);
one that is held back, because it waits long or uses all of its share, wants all it can get.
"""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from policy.shares import Leaf

GROWTH = 1.25
"""What a leaf wants beyond what it used, so that it can grow."""
HELD_BACK_PART = 0.9
"""A leaf that uses this part of its share is taken to be held back by it."""
LATELY_PART = 0.3
"""Of the time constant of use is that of late use: what grows is seen before the longer mean has followed."""
HOLD_SECONDS = 0.5
"""How long a leaf that was held back wants all it can get: it needs that long to take up a new share."""
FORGOTTEN = 1.0
"""Bytes/s of use below which a leaf that does not wait is forgotten."""


@dataclass(slots=True, eq=False)
class Ask:
    """One debit that is waited for; `nbytes` are debited bytes, `order` its age among all."""

    leaf: Leaf
    nbytes: float
    order: int
    since: float
    control: bool = False
    paid: float = 0.0
    """Debited bytes of it that were paid already: one that is larger than the burst is paid in parts."""
    state: Literal["waiting", "granted", "withdrawn"] = "waiting"

    @property
    def owed(self) -> float:
        """Debited bytes still to be paid."""
        return self.nbytes - self.paid


class Queue:
    """Mutable state: the waiting asks, `finish` in virtual seconds, `weight` in bytes/s, and recent use."""

    __slots__ = (
        "_at",
        "_heap",
        "_held_back_at",
        "_lately",
        "_leaf",
        "_memory",
        "_pushes",
        "_used",
        "finish",
        "queued",
        "weight",
    )

    def __init__(self, leaf: Leaf, weight: float, memory_seconds: float) -> None:
        """`memory_seconds` is the time constant of recent use: long enough for several debits."""
        self._leaf = leaf
        self._memory = memory_seconds
        self._heap: list[tuple[bool, int, int, Ask]] = []
        self._pushes = 0
        self._used = 0.0
        self._lately = 0.0
        self._at = 0.0
        self._held_back_at = -math.inf
        self.finish = 0.0
        self.queued = 0.0
        self.weight = weight

    def head(self) -> Ask | None:
        """Returns the ask that is served next; those that were granted, withdrawn or promoted away are dropped."""
        while self._heap:
            ask = self._heap[0][3]
            if ask.state == "waiting" and ask.leaf is self._leaf:
                return ask
            heapq.heappop(self._heap)
        return None

    def asks(self) -> Iterator[Ask]:
        """Yields those that wait, in no order."""
        for _, _, _, ask in self._heap:
            if ask.state == "waiting" and ask.leaf is self._leaf:
                yield ask

    def push(self, ask: Ask) -> None:
        ask.leaf = self._leaf
        self._pushes += 1
        heapq.heappush(self._heap, (not ask.control, ask.order, self._pushes, ask))
        self.queued += ask.owed

    def remove(self, ask: Ask) -> None:
        """`ask` no longer waits here."""
        self.shrink(ask.owed)

    def shrink(self, nbytes: float) -> None:
        """So much less is waited for."""
        self.queued = max(0.0, self.queued - nbytes)

    # ---- virtual time and use -------------------------------------------------------------------------------------

    def serve(self, start: float, nbytes: float, now: float) -> None:
        """Debits `nbytes` from `start` in virtual time on."""
        self.finish = start + nbytes / self.weight
        self._used, self._lately = self._used_by(now) + nbytes, self._lately_by(now) + nbytes
        self._at = max(self._at, now)

    def unserve(self, nbytes: float) -> None:
        """What was debited and does not come is no use, and takes no turn."""
        self.finish -= nbytes / self.weight
        self._used, self._lately = max(0.0, self._used - nbytes), max(0.0, self._lately - nbytes)

    def reweigh(self, weight: float, virtual: float) -> None:
        """Goes on at another weight; what it is ahead of the others stays the same in bytes."""
        if self.finish > virtual:
            self.finish = virtual + (self.finish - virtual) * self.weight / weight
        self.weight = weight

    def used(self, now: float) -> float:
        """Returns the recent use, bytes/s."""
        return self._used_by(now) / self._memory

    def lately(self, now: float) -> float:
        """Returns its use, bytes/s, where that grows: of late, else the recent one."""
        return max(self.used(now), self._lately_by(now) / (self._memory * LATELY_PART))

    def wants(self, now: float, patience: float) -> float:
        """Returns its demand, bytes/s.

        Args:
            now: Seconds.
            patience: Seconds of waiting that anyone has to bear on this line.
        """
        if self.held_back(now, patience):
            return math.inf
        return GROWTH * self.used(now) + self.queued

    def held_back(self, now: float, patience: float) -> bool:
        """Whether its share holds it back, or did so a moment ago; `patience` as for `wants`."""
        head = self.head()
        if head is not None and (now - head.since > patience or self.lately(now) >= HELD_BACK_PART * self.weight):
            self._held_back_at = now
        return now - self._held_back_at < HOLD_SECONDS

    def forgotten(self, virtual: float, now: float) -> bool:
        """Whether nothing of it matters any more."""
        return self.head() is None and self.finish <= virtual and self.used(now) < FORGOTTEN

    def _used_by(self, now: float) -> float:
        return self._used * math.exp(-max(0.0, now - self._at) / self._memory)

    def _lately_by(self, now: float) -> float:
        return self._lately * math.exp(-max(0.0, now - self._at) / (self._memory * LATELY_PART))
