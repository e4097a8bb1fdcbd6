"""A line in virtual time: the sole debtor of a quota, with readers in several leaves.

One bucket keeps the line's quota, one for each leaf keeps its share; shares are computed anew ten times a second from
what each leaf used and waits for in the last second (line-rules, Leases). Room that no covered leaf uses is lent, in
class order. Every tick is recorded, so that any interval can be asked for.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from policy.bucket import TokenBucket
from policy.model import STEP_BYTES, LinePolicy
from policy.shares import Leaf, Tree, shares

TICK = 0.005  # seconds; in one tick less than the burst comes in, so that none is lost
_REPORT_TICKS = 20
_SECOND_TICKS = 200
_QUEUE_SECONDS = 0.25  # a greedy leaf has many readers, but not endless ones: its queue is the quota's for so long

Demand = Callable[[float], float]
"""Bytes/s that a leaf asks for at a time; inf asks for whatever it can get."""


def always(rate: float) -> Demand:
    return lambda now: rate


def between(start: float, end: float, rate: float) -> Demand:
    return lambda now: rate if start <= now < end else 0.0


def phases(rates: list[float], seconds: float) -> Demand:
    return lambda now: rates[min(int(now / seconds), len(rates) - 1)]


@dataclass(slots=True)
class _Flow:
    """One leaf: its demand, its share, the bytes that wait, and what it moved by tick."""

    demand: Demand
    order: int
    share: TokenBucket
    waiting: float = 0.0
    moved: list[float] = field(default_factory=lambda: [0.0])
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_SECOND_TICKS))

    def wants(self) -> float:
        used = sum(self.recent)
        return max(1.25 * (used + self.waiting), 2 * used if self.waiting else 0.0)

    def ask(self, now: float, queue_bytes: float) -> None:
        rate = self.demand(now)
        self.waiting = max(self.waiting, queue_bytes) if math.isinf(rate) else self.waiting + rate * TICK
        self.recent.append(self.moved[-1])
        self.moved.append(0.0)


class LineSimulator:
    """Runs one line from time 0 on."""

    def __init__(self, policy: LinePolicy, demands: dict[Leaf, Demand]) -> None:
        self._quota = policy.quota
        self._tree = Tree.of(policy, policy.quota)
        self._line = TokenBucket(policy.quota, policy.burst_bytes, 0.0)
        orders = {item.name: order for order, item in enumerate(self._tree.classes)}
        self._flows = {
            leaf: _Flow(demand, orders[leaf.cls], TokenBucket(0.0, 2 * STEP_BYTES, 0.0))
            for leaf, demand in demands.items()
        }
        self._ticks = 0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            now = self._ticks * TICK
            for flow in self._flows.values():
                flow.ask(now, self._quota * _QUEUE_SECONDS)
            if self._ticks % _REPORT_TICKS == 0:
                self._share(now)
            while self._line.level(now) >= STEP_BYTES and self._step(now):
                pass
            self._ticks += 1

    def rate(self, start: float, end: float, *leaves: Leaf) -> float:
        """Bytes/s that the leaves (all, if none is named) moved from `start` to `end`."""
        first, last = round(start / TICK) + 1, round(end / TICK) + 1
        return sum(sum(self._flows[leaf].moved[first:last]) for leaf in leaves or self._flows) / (end - start)

    def overshoot(self) -> float:
        """The most bytes by which any interval exceeds quota x T."""
        ahead = lowest = worst = 0.0
        for moved in zip(*(flow.moved for flow in self._flows.values()), strict=True):
            ahead += sum(moved)
            worst = max(worst, ahead - lowest)
            ahead -= self._quota * TICK
            lowest = min(lowest, ahead)
        return worst

    def _share(self, now: float) -> None:
        rates = shares(self._tree, {leaf: flow.wants() for leaf, flow in self._flows.items()})
        for leaf, rate in rates.items():
            self._flows[leaf].share.set_rate(rate, 2 * STEP_BYTES, now)

    def _step(self, now: float) -> bool:
        """Serves one step to the covered leaf that is owed the most time, else lends it; False if nobody waits."""
        waiting = [flow for flow in self._flows.values() if flow.waiting > 0]
        covered = [flow for flow in waiting if flow.share.level(now) >= 0 and flow.share.rate > 0]
        if covered:
            chosen = max(covered, key=lambda flow: flow.share.level(now) / flow.share.rate)
        elif waiting:
            chosen = min(waiting, key=lambda flow: flow.order)
        else:
            return False
        nbytes = min(STEP_BYTES, chosen.waiting)
        chosen.waiting -= nbytes
        chosen.moved[-1] += nbytes
        self._line.take(nbytes, now)
        if covered:
            chosen.share.take(nbytes, now)
        return True
