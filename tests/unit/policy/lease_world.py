"""Virtual time for leases: a queue of events, a network that loses, repeats, delays and reorders, and etcd.

Everything random comes from one seed. Parties are named by strings; a cut between two names drops what either sends.
"""

import heapq
import itertools
import math
from collections.abc import Callable
from random import Random

from policy.leases.messages import Roster

Event = Callable[[], None]
SESSION_SECONDS = 8.0


class World:
    """The true time, what is to happen, and who cannot reach whom."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.loss = self.repeats = self.late = 0.0
        self.delay = 0.02
        self.watchers: list[Event] = []
        self._cuts: set[frozenset[str]] = set()
        self._deaf: set[tuple[str, str]] = set()
        self._queue: list[tuple[float, int, Event]] = []
        self._order = itertools.count()

    def at(self, moment: float, event: Event) -> None:
        heapq.heappush(self._queue, (max(moment, self.now), next(self._order), event))

    def after(self, seconds: float, event: Event) -> None:
        self.at(self.now + seconds, event)

    def run(self, until: float) -> None:
        while self._queue and self._queue[0][0] <= until:
            self.now, _, event = heapq.heappop(self._queue)
            event()
            for watch in self.watchers:
                watch()
        self.now = until

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        if one_way:
            self._deaf.add((one, other))
        else:
            self._cuts.add(frozenset((one, other)))

    def heal(self) -> None:
        self._cuts.clear()
        self._deaf.clear()

    def reaches(self, sender: str, receiver: str) -> bool:
        return frozenset((sender, receiver)) not in self._cuts and (sender, receiver) not in self._deaf

    def send(self, sender: str, receiver: str, arrive: Event) -> None:
        """Delivers by `arrive`, perhaps late, twice or never."""
        copies = 2 if self.random.random() < self.repeats else 1
        for _ in range(copies):
            if self.reaches(sender, receiver) and self.random.random() >= self.loss:
                late = self.random.random() < self.late
                self.after(self.random.uniform(0.1, 20.0) if late else self.random.uniform(0.2, 1) * self.delay, arrive)


class Clock:
    """A monotonic clock that began somewhere and runs a little fast or slow."""

    def __init__(self, world: World, drift: float = 0.0, began: float = 0.0) -> None:
        self._world = world
        self._drift = drift
        self._began = began

    def now(self) -> float:
        return self._began + self._world.now * (1 + self._drift)

    def true(self, moment: float) -> float:
        """The true time at which this clock shows `moment`, a rounding later."""
        return math.inf if math.isinf(moment) else (moment - self._began) / (1 + self._drift) + 1e-7


class Etcd:
    """One line's election, its session, and the roster; a key is written only by who was elected last."""

    def __init__(self, world: World, roster: Roster | None = None) -> None:
        self._world = world
        self.revision = 0
        self.leader = ""
        self._written = 0
        self.ends = -math.inf
        self.roster: Roster | None = roster if roster is not None else Roster()

    def campaign(self, name: str) -> int | None:
        """Returns an epoch where nobody leads."""
        if self.leader and self._world.now < self.ends:
            return None
        self.revision += 1
        self._written = 0
        self.leader, self.ends = name, self._world.now + SESSION_SECONDS
        return self.revision

    def renew(self, epoch: int) -> bool:
        alive = epoch == self.revision and self._world.now < self.ends
        if alive:
            self.ends = self._world.now + SESSION_SECONDS
        return alive

    def resign(self, epoch: int) -> None:
        if epoch == self.revision:
            self.ends = -math.inf

    def write(self, epoch: int, number: int, roster: Roster) -> bool:
        """Keeps a roster: only for the office that leads, and never one from before that which lies here."""
        if epoch != self.revision or self._world.now >= self.ends or number < self._written:
            return False
        self.roster, self._written = roster, number
        return True
