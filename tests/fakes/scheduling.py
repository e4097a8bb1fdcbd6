"""A scheduler in virtual time, with sources that ask it, and a count of what each of them moved."""

import heapq
import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, field

from policy.model import LinePolicy
from policy.shares import Leaf
from regioncache.lines.scheduler import Scheduler
from regioncache.lines.terms import Terms
from regioncache.lines.waiting import Ask

QUOTA = 25_000_000.0
TENANTS = {"rec": {"weight": 3}, "search": {"weight": 1}}


def policy(quota: str = "200Mbps", **more: object) -> LinePolicy:
    """The policy of a line of 25 MB/s, unless told otherwise."""
    return LinePolicy.model_validate({"quota": quota, **more})


def scheduler(of: LinePolicy | None = None, now: float = 0.0) -> Scheduler:
    """A scheduler of these terms."""
    return Scheduler(Terms.of(of or policy()), now)


@dataclass
class Source:
    """What asks for one leaf: `streams` that ask again as soon as they are served, or `rate` bytes/s by the clock."""

    leaf: Leaf
    streams: int = 0
    rate: float = 0.0
    begin: float = 0.0
    end: float = math.inf
    piece: float = 64_000.0
    think: float = 0.0
    """Seconds between a debit and the next ask of the same stream."""


@dataclass
class Simulation:
    """Sources at a scheduler; `moved[leaf]` is a list of (when, debited bytes)."""

    core: Scheduler
    sources: list[Source]
    now: float = 0.0
    moved: dict[Leaf, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self._order = itertools.count()
        self._events: list[tuple[float, int, Source]] = []
        self._of: dict[Ask, Source] = {}
        for source in self.sources:
            for _ in range(source.streams or 1):
                self._at(source.begin, source)

    def _at(self, when: float, source: Source) -> None:
        heapq.heappush(self._events, (when, next(self._order), source))

    def run(self, seconds: float) -> "Simulation":
        """Lets time pass up to `seconds`; returns itself."""
        while True:
            due = self.core.next_at(self.now)
            event = self._events[0][0] if self._events else math.inf
            at = min(event, math.inf if due is None else due)
            if at > seconds:
                return self
            self.now = max(self.now, at)
            while self._events and self._events[0][0] <= self.now:
                self._ask(heapq.heappop(self._events)[2])
            for ask in self.core.granted(self.now):
                source = self._of.pop(ask)
                self.moved[source.leaf].append((self.now, ask.nbytes))
                if source.streams:
                    self._at(self.now + source.think, source)

    def _ask(self, source: Source) -> None:
        if self.now >= source.end:
            return
        self._of[self.core.ask(source.leaf, source.piece, self.now)] = source
        if not source.streams:
            self._at(self.now + source.piece / source.rate, source)

    def rate(self, leaf: Leaf, begin: float, end: float) -> float:
        """Debited bytes/s of a leaf in [begin, end)."""
        return sum(nbytes for at, nbytes in self.moved[leaf] if begin <= at < end) / (end - begin)

    def total(self, begin: float, end: float) -> float:
        """Debited bytes/s of all leaves in [begin, end)."""
        return sum(self.rate(leaf, begin, end) for leaf in list(self.moved))


def close(measured: float, wanted: float, part_of_quota: float = 0.02) -> bool:
    """Whether two rates differ by at most a part of the quota."""
    return abs(measured - wanted) <= part_of_quota * QUOTA


def drain(core: Scheduler, now: float = 0.0) -> list[Ask]:
    """Every ask that waits, in the order in which it is served."""
    served = core.granted(now)
    while (due := core.next_at(now)) is not None:
        now = due
        served += core.granted(now)
    return served
