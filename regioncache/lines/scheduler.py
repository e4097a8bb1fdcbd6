"""Who is debited next on one direction of a line: weighted fair queueing by the shares of the policy, told the time.

Work-conserving start-time fair queueing (Goyal, Vin, Cheng 1996) among the leaves that wait, each weighted with its
rate from `policy.shares`; first come first served inside a leaf. What is debited passes a token bucket: the part that
falls due in any interval T is at most quota x T + burst (line-rules, Burst). A debit may be granted `lead` seconds, the
smallest measured round trip, before it is covered, since its bytes cannot arrive sooner.

Control traffic has a bucket of its own, the part of the quota that is never leased; where that is empty it is served
as its payer's first.
"""

import itertools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from policy.bucket import TokenBucket
from policy.shares import Leaf
from regioncache.lines.ceils import Ceils
from regioncache.lines.terms import Terms
from regioncache.lines.waiting import Ask, Queue

SLACK_SECONDS = 0.05
"""How long a leaf keeps its turn while it has nothing to ask: a reader asks again only after it has read."""
RECOMPUTE_SECONDS = 0.05
"""Shares are computed at most 20 times a second (a computation takes some 100 us), so often when a leaf comes."""
STALE_SECONDS = 0.1
"""Shares older than this are computed again while anyone waits: recent use has changed."""
PATIENCE_SECONDS = 0.025
"""Whoever waits longer than this, and than two pieces take on the line, is held back by its share."""
USE_SECONDS = 0.5
"""Time constant of recent use; eight pieces of the line at least."""
LEAST_PART = 0.001
"""Of the quota is the least weight of a leaf that waits, so that a share of nothing is not an endless turn."""
MOST_HOMES = 1024
"""Leaves whose home is remembered: working one out takes 5 us, and each debit asks several times."""
_AT_ONCE_SECONDS = 1e-9
"""Waits below this are rounding errors."""
_LEAST_TIMER_SECONDS = 1e-6
"""A clock of floats does not move by less after some months, and a timer that moves nothing rings for ever."""


@dataclass(frozen=True, slots=True)
class SchedulerStatistics:
    """Debited bytes and bytes/s; `debt` is what was granted and is not covered yet."""

    waiting: int
    queued: float
    debited: float
    debt: float
    rates: dict[Leaf, float]
    used: dict[Leaf, float]


class Scheduler:
    """Mutable state: the buckets, the queues by leaf, the virtual time, and the shares with their age."""

    def __init__(self, terms: Terms, now: float) -> None:
        self._terms = terms
        self._main = TokenBucket(terms.main_rate, terms.main_burst, now)
        self._control = TokenBucket(terms.control_rate, terms.control_burst, now)
        if terms.allowed is not None:
            # What was saved up before a node had a lease is nobody's.
            self._main.take(terms.main_burst, now)
            self._control.take(terms.control_burst, now)
        self._ceils = Ceils(terms, now)
        self._queues: dict[Leaf, Queue] = {}
        self._controls: deque[Ask] = deque()
        self._order = itertools.count()
        self._virtual = 0.0
        self._computed_at = -math.inf
        self._stale = True
        self._hopes: dict[Leaf, tuple[float, float]] = {}
        self._homes: dict[Leaf, Leaf] = {}
        self._waiting = 0
        self._debited = 0.0
        self.lead = 0.0
        """Seconds that a debit may be granted before it is covered."""

    def __repr__(self) -> str:
        busy = sum(1 for queue in self._queues.values() if queue.head() is not None)
        return f"<Scheduler {self._terms.quota:.0f} B/s, {self._waiting} waiting of {busy} leaves>"

    def adopt(self, terms: Terms, now: float) -> None:
        """Goes on by other terms: no bucket is refilled, nobody loses its place."""
        self._main.set_rate(terms.main_rate, terms.main_burst, now)
        self._control.set_rate(terms.control_rate, terms.control_burst, now)
        self._ceils.adopt(terms, now)
        self._terms = terms
        self._hopes.clear()
        self._homes.clear()
        self._stale, self._computed_at = True, -math.inf
        for leaf in [leaf for leaf in self._queues if self.home(leaf) != leaf]:
            for ask in list(self._queues.pop(leaf).asks()):
                self._queue(self.home(leaf)).push(ask)

    def home(self, leaf: Leaf) -> Leaf:
        """Returns the leaf under which the policy serves `leaf`."""
        home = self._homes.get(leaf)
        if home is None:
            # Keys may name any tenant: the table is a memory of what was asked of late, not of all there are.
            if len(self._homes) > MOST_HOMES:
                self._homes.clear()
            home = self._homes[leaf] = Leaf(*self._terms.tree.home(leaf))
        return home

    # ---- asking ---------------------------------------------------------------------------------------------------

    def ask(self, leaf: Leaf, nbytes: float, now: float, control: bool = False) -> Ask:
        """Queues a debit of at most one piece; it is granted by `granted`."""
        ask = Ask(leaf, nbytes, next(self._order), now, control)
        self._waiting += 1
        self._queue(self.home(leaf)).push(ask)
        if control:
            self._controls.append(ask)
        return ask

    def promote(self, ask: Ask, leaf: Leaf) -> None:
        """Moves a waiting ask to another payer; among that payer's it keeps the place of its age."""
        home = self.home(leaf)
        if ask.state == "waiting" and home != ask.leaf:
            self._queues[ask.leaf].remove(ask)
            self._queue(home).push(ask)

    def withdraw(self, ask: Ask) -> bool:
        """Takes a waiting ask back; False if it was granted already, then its bytes are to be given back."""
        if ask.state != "waiting":
            return False
        ask.state = "withdrawn"
        self._waiting -= 1
        self._queues[ask.leaf].remove(ask)
        if ask.paid:
            self.give(ask.leaf, ask.paid)
        return True

    def granted(self, now: float) -> list[Ask]:
        """Debits whoever's turn it is, as long as the bucket covers it; returns those asks, in order."""
        served: list[Ask] = list(self._granted_control(now))
        while (queue := self._next(now)) is not None:
            ask = queue.head()
            if ask is None or self._short(ask.owed, now) > 0:
                break
            if self._serve(queue, ask, now):
                served.append(ask)
        return served

    def next_at(self, now: float) -> float | None:
        """Returns when `granted` is to be asked again; None while nobody waits, or waits for other terms."""
        if not self._waiting:
            return None
        waits = [self._control_wait(now)]
        chosen = self._next(now)
        if chosen is not None and (ask := chosen.head()) is not None:
            waits.append(self._short(ask.owed, now))
        waits += [wait for ask in self._heads() if (wait := self._ceil_wait(ask, now)) > 0]
        soonest = min(waits)
        return None if soonest == math.inf else now + max(_LEAST_TIMER_SECONDS, soonest)

    # ---- what was taken and is not used ----------------------------------------------------------------------------

    def give(self, leaf: Leaf, nbytes: float) -> None:
        """Credits back debited bytes that will not come."""
        self._main.give(nbytes)
        self._debited -= nbytes
        home = self.home(leaf)
        self._ceils.give(home, nbytes)
        if (queue := self._queues.get(home)) is not None:
            queue.unserve(nbytes)

    def owe(self, leaf: Leaf, nbytes: float, now: float) -> None:
        """Debits at once what comes without having been asked for; the line waits until the debt is paid."""
        self._pay(self._queue(self.home(leaf)), self.home(leaf), nbytes, now)

    # ---- what may be expected --------------------------------------------------------------------------------------

    def hoped(self, leaf: Leaf, now: float) -> float:
        """Returns the rate (bytes/s) that a leaf has while it wants all it can get beside what the others want."""
        home = self.home(leaf)
        known = self._hopes.get(home)
        if known is None or now - known[1] > STALE_SECONDS:
            demands = self._demands(now)
            demands[home] = math.inf
            known = self._terms.shares(demands)[home], now
            if len(self._hopes) > 4 * len(self._queues) + 64:
                self._hopes.clear()
            self._hopes[home] = known
        return max(known[0], self._least)

    def expected(self, leaf: Leaf, nbytes: float, now: float) -> float:
        """Returns the seconds until `nbytes` more of a leaf would be covered, behind what it asks for already."""
        covered = max(0.0, self._short(min(nbytes, self._terms.main_burst), now))
        queue = self._queues.get(self.home(leaf))
        if not self._waiting or queue is None:
            return covered
        return max(covered, (queue.queued + nbytes - self._terms.main_burst) / self.hoped(leaf, now) - self.lead)

    def leaves(self) -> list[Leaf]:
        """Returns those that asked or used something of late."""
        return list(self._queues)

    def demand(self, leaf: Leaf, now: float) -> tuple[float, float, bool]:
        """Returns what a leaf used of late (bytes/s), what it asks for (bytes), and whether its share holds it back."""
        queue = self._queues.get(leaf)
        if queue is None:
            return 0.0, 0.0, False
        return queue.lately(now), queue.queued, queue.held_back(now, self._patience)

    def statistics(self, now: float) -> SchedulerStatistics:
        queues = self._queues.items()
        return SchedulerStatistics(
            waiting=self._waiting,
            queued=sum(queue.queued for _, queue in queues),
            debited=self._debited,
            debt=max(0.0, -self._main.level(now)) + max(0.0, -self._control.level(now)),
            rates={leaf: queue.weight for leaf, queue in queues},
            used={leaf: queue.used(now) for leaf, queue in queues},
        )

    # ---- fair queueing --------------------------------------------------------------------------------------------

    @property
    def _least(self) -> float:
        return self._terms.quota * LEAST_PART

    def _queue(self, home: Leaf) -> Queue:
        queue = self._queues.get(home)
        if queue is None:
            memory = max(USE_SECONDS, 8 * self._terms.piece * self._terms.overhead / self._terms.quota)
            queue = self._queues[home] = Queue(home, self._least, memory)
            queue.finish = self._virtual - SLACK_SECONDS
            self._stale = True
        return queue

    def _next(self, now: float) -> Queue | None:
        """The queue whose head begins first in virtual time, among those under their ceils."""
        self._refresh(now)
        best, best_key = None, (math.inf, 0)
        for queue in self._queues.values():
            ask = queue.head()
            if ask is None or self._ceil_wait(ask, now) > 0:
                continue
            key = (max(self._virtual - SLACK_SECONDS, queue.finish), ask.order)
            if key < best_key:
                best, best_key = queue, key
        return best

    def _serve(self, queue: Queue, ask: Ask, now: float) -> bool:
        """Debits an ask, or as much of it as a burst is; returns whether all is paid."""
        part = min(ask.owed, self._main.burst)
        queue.shrink(part)
        whole = part >= ask.owed
        ask.paid += part
        self._pay(queue, ask.leaf, part, now)
        if not whole:
            return False
        ask.state = "granted"
        self._waiting -= 1
        return True

    def _pay(self, queue: Queue, home: Leaf, nbytes: float, now: float) -> None:
        start = max(self._virtual - SLACK_SECONDS, queue.finish)
        self._virtual = max(self._virtual, start)
        queue.serve(start, nbytes, now)
        self._main.take(nbytes, now)
        self._debited += nbytes
        self._ceils.take(home, nbytes, now)

    def _granted_control(self, now: float) -> Iterator[Ask]:
        while self._controls:
            ask = self._controls[0]
            if ask.state == "waiting":
                if self._control_wait(now) > 0:
                    return
                ask.state = "granted"
                self._waiting -= 1
                self._queues[ask.leaf].remove(ask)
                self._control.take(ask.owed, now)
                self._debited += ask.owed
                yield ask
            self._controls.popleft()

    def _control_wait(self, now: float) -> float:
        while self._controls and self._controls[0].state != "waiting":
            self._controls.popleft()
        if not self._controls or self._controls[0].nbytes > self._control.burst:
            return math.inf
        return _settled(self._control.wait(self._controls[0].nbytes, now))

    def _short(self, nbytes: float, now: float) -> float:
        """Seconds until the bucket may be debited `nbytes`, the lead taken off."""
        if not self._main.rate:
            return math.inf
        return _settled(self._main.wait(nbytes, now) - self.lead)

    def _ceil_wait(self, ask: Ask, now: float) -> float:
        return _settled(self._ceils.wait(ask.leaf, ask.owed, now) - self.lead)

    def _heads(self) -> Iterator[Ask]:
        for queue in self._queues.values():
            if (ask := queue.head()) is not None:
                yield ask

    # ---- shares ---------------------------------------------------------------------------------------------------

    def _refresh(self, now: float) -> None:
        age = now - self._computed_at
        if age < RECOMPUTE_SECONDS or not (self._stale or age > STALE_SECONDS):
            return
        self._computed_at, self._stale = now, False
        for leaf in [leaf for leaf, queue in self._queues.items() if queue.forgotten(self._virtual, now)]:
            del self._queues[leaf]
        rates = self._terms.shares(self._demands(now))
        for leaf, queue in self._queues.items():
            queue.reweigh(max(rates[leaf], self._least), self._virtual)

    def _demands(self, now: float) -> dict[Leaf, float]:
        return {leaf: queue.wants(now, self._patience) for leaf, queue in self._queues.items()}

    @property
    def _patience(self) -> float:
        return max(PATIENCE_SECONDS, 2 * self._terms.piece * self._terms.overhead / self._terms.quota)


def _settled(seconds: float) -> float:
    return seconds if seconds > _AT_ONCE_SECONDS else 0.0
