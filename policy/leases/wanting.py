"""What the leaves of one process want of a line, by what they used and waited for of late, and when that is to be said.

A leaf wants 1.25 x what it used or waited for in the last second; one that was held back wants twice its use. It is
said each second, and at once, ten times a second at most, when a leaf begins or ends or wants much more or much less
(line-rules, Leases). What is used grows by doubling, so a second would be long to wait for each.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from policy.leases.messages import REPORT_GAP_SECONDS, REPORT_SECONDS, Want
from policy.shares import Leaf

GROWTH = 1.25
"""What a leaf wants beyond what it used, so that it can grow."""
DOUBLING = 2.0
"""And where it was held back."""
WINDOW_SECONDS = 1.0
"""Of use that counts."""
LATELY_SECONDS = 0.2
"""A leaf that grows uses more now than in the mean of the last second."""
END_SECONDS = 0.1
"""A leaf that neither used nor waited for anything for so long wants nothing. Of demand that moves every 2 s a line
uses 87 % so, 84 % with 250 ms; who asks again later is served again within two round trips to the office."""
HELD_BACK_SECONDS = 0.25
"""A leaf that was held back is taken to be so for a while: it needs that long to take up what it was given."""
CHANGED = 1.5
"""Wanting so many times as much, or as little, as was said last is worth saying at once."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One leaf now: debited bytes since the process began, bytes that wait, and whether its share holds it back."""

    debited: float
    waiting: float
    held_back: bool


@dataclass(slots=True)
class _Leaf:
    looks: deque[tuple[float, float]] = field(default_factory=deque)
    busy_at: float = float("-inf")
    held_back_at: float = float("-inf")

    def look(self, seen: Seen, now: float) -> None:
        if seen.waiting > 0 or (self.looks and seen.debited > self.looks[-1][1]):
            self.busy_at = now
        if seen.held_back:
            self.held_back_at = now
        self.looks.append((now, seen.debited))
        while len(self.looks) > 1 and self.looks[1][0] <= now - WINDOW_SECONDS:
            self.looks.popleft()

    def used(self, seconds: float, now: float) -> float:
        """Bytes/s of at least the last `seconds`; what is not known yet was nothing."""
        began, before = self.looks[0]
        for moment, debited in self.looks:
            if moment > now - seconds:
                break
            began, before = moment, debited
        return (self.looks[-1][1] - before) / max(seconds, now - began)


class Wanting:
    """Mutable state: what each leaf used in the last second, and what was said last."""

    def __init__(self) -> None:
        self._leaves: dict[Leaf, _Leaf] = {}
        self._said: dict[Leaf, Want] = {}
        self._said_at = float("-inf")

    def look(self, seen: Mapping[Leaf, Seen], now: float) -> dict[Leaf, Want]:
        """Takes what is seen now and returns what each leaf wants; to be called some ten times a second while any is.

        Args:
            seen: Every leaf that used or waits for anything; one that is left out is forgotten.
            now: Monotonic seconds.
        """
        self._leaves = {leaf: self._leaves.get(leaf) or _Leaf() for leaf in seen}
        wants: dict[Leaf, Want] = {}
        for leaf, one in self._leaves.items():
            one.look(seen[leaf], now)
            if now - one.busy_at >= END_SECONDS:
                continue
            used = max(one.used(WINDOW_SECONDS, now), one.used(LATELY_SECONDS, now))
            waited = now - one.held_back_at < HELD_BACK_SECONDS
            rate = GROWTH * (used + seen[leaf].waiting / WINDOW_SECONDS)
            wants[leaf] = Want(max(rate, DOUBLING * used) if waited else rate, waited)
        return wants

    def due(self, wants: Mapping[Leaf, Want], unsaid: bool, now: float) -> bool:
        """Tells whether a report is to be sent now.

        Args:
            wants: As `look` returned them.
            unsaid: A grant was taken and not echoed.
            now: Monotonic seconds.
        """
        age = now - self._said_at
        if age >= REPORT_SECONDS:
            return True
        return age >= REPORT_GAP_SECONDS and (unsaid or self._changed(wants))

    def said(self, wants: Mapping[Leaf, Want], now: float) -> None:
        """A report with these wants was sent."""
        self._said, self._said_at = dict(wants), now

    def _changed(self, wants: Mapping[Leaf, Want]) -> bool:
        if wants.keys() != self._said.keys():
            return True
        return any(
            (want.waited and not self._said[leaf].waited)
            or not self._said[leaf].rate / CHANGED <= want.rate <= self._said[leaf].rate * CHANGED
            for leaf, want in wants.items()
        )
