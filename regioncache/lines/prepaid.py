"""Room for prepaid bytes: what is debited and not yet read stays <= quota x (round trip + 100 ms), two steps at least.

A quarter is kept for requests of at most 1 MiB and for classes above those running (line-rules, Before it arrives); the
others wait for the rest. The leaf goes first whose room is least for its share, so that each has enough requests
running to take up its share of the debits; one that holds nothing goes by how long it has waited too, and comes first
at last, so nobody starves here either. Inside a leaf, whoever would be through first, counted from when it came.

A request is admitted whole or not at all: two that held a half each would wait for one another for ever.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from policy.model import STEP_BYTES
from policy.shares import Leaf

AHEAD_SECONDS = 0.1
"""Beyond the round trip, of the quota, may be prepaid."""
KEPT_PART = 0.25
ENDING_BYTES = 10 * 1024 * 1024
"""A reader asks for its next run while so much of the last one is still to come (8 MiB of payload)."""
SLACK_PART = 0.05
"""Of all room is how far a leaf that runs may go above its part; parts change, requests have sizes."""

Part = Callable[[Leaf], float]
"""The part of the line, 0 to 1, that a leaf may hope for beside the others."""

_Kind = tuple[Leaf, bool, bool]
"""Requests that wait for one another in order: a leaf's, small or not, control or not."""


@dataclass(slots=True, eq=False)
class Room:
    """One request's room, debited bytes: what it needs while it waits, what it holds once it runs."""

    leaf: Leaf
    nbytes: float
    small: bool
    control: bool
    order: int
    since: float
    state: Literal["waiting", "running", "over"] = "waiting"
    kept: bool = False
    """Whether it goes against the quarter that is kept, not against the general part."""
    left: float = 0.0
    """Debited bytes still to come of the whole reply, for what others may expect."""


@dataclass(frozen=True, slots=True)
class PrepaidStatistics:
    """Debited bytes held by running requests, their limit, and how many run and wait."""

    held: float
    limit: float
    running: int
    waiting: int
    oversized: int
    """Requests that were larger than all the room and were let in alone."""


class Prepaid:
    """Mutable state: the waiting rooms by leaf, those running, and the sums of what they hold."""

    def __init__(self, quota: float, overhead: float, order: Callable[[str], int]) -> None:
        """`order` tells the place of a class, 0 the most urgent."""
        self._order = itertools.count()
        self._latest = -math.inf
        self._rank = order
        self._waiting: dict[_Kind, deque[Room]] = {}
        self._running: set[Room] = set()
        self._by_leaf: dict[Leaf, float] = {}
        self._held = 0.0
        self._kept_held = 0.0
        self._oversized = 0
        self._least = 2 * STEP_BYTES * overhead
        self._quota = quota
        self._round_trip = 0.0

    def __repr__(self) -> str:
        seen = self.statistics()
        return f"<Prepaid {seen.held:.0f} of {seen.limit:.0f} B, {seen.running} running, {seen.waiting} waiting>"

    def adopt(self, quota: float, overhead: float, order: Callable[[str], int]) -> None:
        """Goes on with other terms; what runs keeps what it holds."""
        self._quota, self._rank = quota, order
        self._least = 2 * STEP_BYTES * overhead

    def set_round_trip(self, seconds: float) -> None:
        """`seconds` is the smallest measured."""
        self._round_trip = seconds

    @property
    def limit(self) -> float:
        """Debited bytes."""
        return max(self._quota * (self._round_trip + AHEAD_SECONDS), self._least)

    @property
    def most(self) -> float:
        """What one request above 1 MiB may hold, debited bytes."""
        return self.limit * (1 - KEPT_PART)

    def ask(self, leaf: Leaf, nbytes: float, left: float, now: float, *, small: bool, control: bool = False) -> Room:
        """Queues a request that needs `nbytes` of room, of a reply that has `left` bytes; `admitted` lets it in."""
        room = Room(leaf, nbytes, small, control, next(self._order), now, left=left)
        self._latest = max(self._latest, now)
        self._waiting.setdefault(_kind(room), deque()).append(room)
        return room

    def promote(self, room: Room, leaf: Leaf) -> None:
        """Gives a request to another payer, whether it waits or runs; waiting, it keeps the place of its age."""
        if leaf == room.leaf or room.state == "over":
            return
        if room.state == "running":
            self._count(room, -room.nbytes)
            room.leaf = leaf
            self._count(room, room.nbytes)
            return
        self._drop(room)
        room.leaf = leaf
        queue = self._waiting.setdefault(_kind(room), deque())
        at = next((at for at, other in enumerate(queue) if other.order > room.order), len(queue))
        queue.insert(at, room)

    def admitted(self, part: Part) -> list[Room]:
        """Lets in whoever's turn it is and who fits."""
        let_in: list[Room] = []
        while self._waiting and not self._full and (room := self._next(part)) is not None:
            self._drop(room)
            self._oversized += room.nbytes > self.most and not room.kept
            room.state = "running"
            self._running.add(room)
            self._count(room, room.nbytes)
            let_in.append(room)
        return let_in

    @property
    def _full(self) -> bool:
        """Whether nobody fits, whoever is next: so it is at most steps of a busy line, and that is cheap to see."""
        least = min(queue[0].nbytes for queue in self._waiting.values())
        return self._held + least > self.limit and self._held > self._kept_held

    def change(self, room: Room, nbytes: float, left: float) -> bool:
        """A running request holds `nbytes` from now on; returns whether somebody may fit who did not before."""
        if room.state != "running":
            return False
        grown = nbytes - room.nbytes
        room.left = left
        room.nbytes = nbytes
        self._count(room, grown)
        return grown < 0 and bool(self._waiting)

    def release(self, room: Room) -> bool:
        """The request is over, or does not wait any more; returns whether somebody may fit who did not before."""
        if room.state == "waiting":
            self._drop(room)
        elif room.state == "running":
            self._running.discard(room)
            self._count(room, -room.nbytes)
        room.state = "over"
        return bool(self._waiting)

    def spare(self) -> float:
        """Returns what running requests may take beyond their reservation for a moment: nothing while others wait."""
        return 0.0 if self._waiting else max(0.0, self.limit - self._held)

    def streams(self, leaf: Leaf) -> int:
        """Returns how many requests above 1 MiB of a leaf run or wait, but for those about to end."""
        running = sum(1 for room in self._lasting() if room.leaf == leaf)
        return running + len(self._waiting.get((leaf, False, False), ()))

    def backlog(self, leaf: Leaf) -> tuple[float, float]:
        """Returns the debited bytes still to come of a leaf's requests: of those that wait, of those that run."""
        waiting = sum(room.left for queue in self._waiting.values() for room in queue if room.leaf == leaf)
        return waiting, sum(room.left for room in self._running if room.leaf == leaf)

    def crowd(self) -> int:
        """Returns how many requests above 1 MiB run or wait, but for those about to end."""
        running = sum(1 for _ in self._lasting())
        return running + sum(len(queue) for (_, small, _), queue in self._waiting.items() if not small)

    @property
    def roomy(self) -> bool:
        """Whether so little is held that a request may take more than it is likely to need."""
        return not self._waiting and self._held <= self.limit * KEPT_PART

    def _lasting(self) -> Iterable[Room]:
        """The large requests that still run when a new one gets its first byte.

        A reader's next request begins while its last one ends: it must not be given half a line's buffer for that.
        """
        large = [room for room in self._running if not room.small]
        return (room for room in large if room.left > max(self.limit, ENDING_BYTES) / len(large))

    def expected(self, leaf: Leaf, nbytes: float, small: bool) -> float:
        """Returns the seconds until a request would be let in, were all running ones equally fast: an estimate.

        Who waits of a less urgent class comes after it, and so do large requests after a small one: for those a part is
        kept. Some of them wait for minutes, and must not have others told to come again who would be let in at once.
        """
        rank = self._rank(leaf.cls)
        ahead = sum(
            len(queue)
            for (other, is_small, _), queue in self._waiting.items()
            if self._rank(other.cls) <= rank and (is_small or not small)
        )
        if not ahead and self._held + nbytes <= (self.limit if small else self.most):
            return 0.0
        lefts = sorted(room.left for room in self._running)
        if not lefts:
            return 0.0
        gone = lefts[min(ahead, len(lefts) - 1)] * len(lefts)
        rounds = ahead // len(lefts)
        return (gone + rounds * sum(lefts)) / self._quota

    def statistics(self) -> PrepaidStatistics:
        waiting = sum(len(queue) for queue in self._waiting.values())
        return PrepaidStatistics(self._held, self.limit, len(self._running), waiting, self._oversized)

    def _next(self, part: Part) -> Room | None:
        """The first in turn that fits. Once one has to wait, those behind it get no more than the part that is kept."""
        above = min((self._rank(room.leaf.cls) for room in self._running if not room.kept), default=-1)
        blocked = False
        for room in self._in_turn(part):
            preferred = room.small or room.control or self._rank(room.leaf.cls) < above
            if preferred and self._fits(room) and (self._in_kept(room) or (room.small and not blocked)):
                room.kept = True
                return room
            if blocked:
                continue
            if not self._general(room):
                blocked = True
            elif room.small or not self._beyond_its_part(room, part):
                return room
        return None

    def _in_kept(self, room: Room) -> bool:
        return self._kept_held + room.nbytes <= self.limit - self.most

    def _beyond_its_part(self, room: Room, part: Part) -> bool:
        """Whether a leaf that runs already would hold more than its part: at its share it would hold it for long."""
        held = sum(other.nbytes for other in self._running if other.leaf == room.leaf and not other.kept)
        return held > 0 and held + room.nbytes > self.most * part(room.leaf) + self.limit * SLACK_PART

    def _general(self, room: Room) -> bool:
        held = self._held - self._kept_held
        if held + room.nbytes <= self.most and self._fits(room):
            return True
        # A buffer that the kernel made larger than all the room would wait for ever: it goes alone, and is counted.
        return held <= 0 and room.nbytes > self.most

    def _fits(self, room: Room) -> bool:
        return self._held + room.nbytes <= self.limit

    def _in_turn(self, part: Part) -> Iterable[Room]:
        def key(room: Room) -> tuple[bool, float, float, int]:
            rate = max(part(room.leaf), 1e-9) * self._quota
            held, through = self._by_leaf.get(room.leaf, 0.0), room.since + room.nbytes / rate
            # Who waits at its share always waits longer the smaller that is: age counts only for who holds nothing.
            return not room.control, self._latest + held / rate if held else through, through, room.order

        return sorted((queue[0] for queue in self._waiting.values()), key=key)

    def _drop(self, room: Room) -> None:
        kind = _kind(room)
        self._waiting[kind].remove(room)
        if not self._waiting[kind]:
            del self._waiting[kind]

    def _count(self, room: Room, nbytes: float) -> None:
        self._held += nbytes
        if room.kept:
            self._kept_held += nbytes
        held = self._by_leaf.get(room.leaf, 0.0) + nbytes
        # Sums of floats: what is left of nothing is nothing.
        if held > math.ulp(self.limit) * 1024:
            self._by_leaf[room.leaf] = held
        else:
            self._by_leaf.pop(room.leaf, None)
        if not self._running:
            self._held = self._kept_held = 0.0
            self._by_leaf.clear()


def _kind(room: Room) -> _Kind:
    return room.leaf, room.small, room.control
