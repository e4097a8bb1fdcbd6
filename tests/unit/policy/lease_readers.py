"""Nodes whose leaves have readers: what they want, and when they say so, is worked out by the gateway's own code."""

from dataclasses import dataclass

from policy.shares import Leaf, Tree, shares
from regioncache.lines.demand import ENDED_SECONDS, Demand, wanted
from regioncache.lines.scheduler import USE_SECONDS
from regioncache.lines.waiting import Queue
from tests.unit.policy.lease_simulator import Lab, Node
from tests.unit.policy.lease_world import Clock


@dataclass(slots=True)
class Readers:
    """One leaf of one node: bytes/s that its readers ask for, what waits (a bounded queue), what it moved."""

    rate: float
    waiting: float = 0.0
    moved: float = 0.0
    since: float = 0.0


class ReadingNode(Node):
    """Debits for its readers, by the rates of its grant, and lends what a leaf does not use to the others."""

    def __init__(self, lab: Lab, name: str, process: int, clock: Clock) -> None:
        self.readers: dict[Leaf, Readers] = {}
        self.demand = Demand()
        self.demand.on_change = self.report_soon
        self._used: dict[Leaf, Queue] = {}
        self._asked_at = 0.0
        super().__init__(lab, name, process, clock)

    def read(self, leaf: Leaf, rate: float) -> None:
        """Readers of a leaf ask for `rate` bytes/s from now on."""
        self._ask()
        readers = self.readers.setdefault(leaf, Readers(0.0))
        before, readers.rate = readers.rate, rate
        self._ask()
        if rate and not before:
            self.demand.came(leaf, self.clock.now())
        elif before and not rate and self.demand.went(leaf, self.clock.now()):
            self.lab.world.after(ENDED_SECONDS * 1.01, self.report_soon)

    def _debit(self) -> None:
        if not self.alive:
            return
        self._ask()
        self.settle()
        now = self.clock.now()
        level = max(0.0, self.bucket.level(now))
        parts = self._parts(level)
        for leaf, nbytes in parts.items():
            one = self.readers[leaf]
            one.waiting -= nbytes
            one.moved += nbytes
            self.moved += nbytes
            self._queue(leaf).serve(0.0, nbytes, now)
            self.bucket.take(nbytes, now)
            self.lab.meter.debit(nbytes)
            if one.waiting <= 1:
                one.since = now
        self.lab.world.after(self.lab.tick, self._debit)

    def _parts(self, level: float) -> dict[Leaf, float]:
        """Divides what the bucket covers by the grant's rates, else by the policy; all of it while anybody waits."""
        allowed = self.allowance
        if not level:
            return {}
        tree = Tree.of(self.lab.policy, level, {name: 0.0 for (_, name), rate in allowed.ceils.items() if not rate})
        waiting = {leaf: one.waiting for leaf, one in self.readers.items() if one.waiting > 1}
        if not allowed.leaves:
            return shares(tree, waiting)
        granted = sum(allowed.leaves.get(leaf, 0.0) for leaf in waiting)
        first = {
            leaf: min(want, level * allowed.leaves.get(leaf, 0.0) / granted) if granted else 0.0
            for leaf, want in waiting.items()
        }
        rest = shares(
            Tree.of(self.lab.policy, level - sum(first.values())),
            {leaf: want - first[leaf] for leaf, want in waiting.items()},
        )
        return {leaf: first[leaf] + rest[leaf] for leaf in waiting}

    def _ask(self) -> None:
        """Readers ask on; a queue holds what they ask for in a quarter of a second, then they wait themselves."""
        seconds, self._asked_at = self.lab.world.now - self._asked_at, self.lab.world.now
        for one in self.readers.values():
            if one.waiting <= 1:
                one.since = self.clock.now()
            one.waiting = min(one.waiting + one.rate * seconds, max(one.waiting, one.rate * 0.25)) if one.rate else 0.0

    def _send(self) -> None:
        now = self.clock.now()
        self.wants = {
            leaf: wanted(self._queue(leaf).lately(now), one.waiting, self._held_back(one), self.lab.policy.quota)
            for leaf, one in self.readers.items()
            if not self.demand.over(leaf, now)
        }
        super()._send()

    def _held_back(self, one: Readers) -> bool:
        return one.waiting > 1 and self.clock.now() - one.since > 0.025

    def _queue(self, leaf: Leaf) -> Queue:
        return self._used.setdefault(leaf, Queue(leaf, 1.0, USE_SECONDS))
