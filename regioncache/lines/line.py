"""One direction of a line towards this region: its policy in force, its crossings, and its figures.

A node that is alone holds the quota less what is never leased (line-rules, Alone); else `allow` tells what its lease
lets it bring.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policy.leases.messages import Want
from policy.model import LinePolicy
from policy.shares import Leaf
from policy.units import show_rate
from regioncache.ledger import Ledger
from regioncache.lines.crossing import Books, LineCrossing
from regioncache.lines.gate import Gate, Later, on_running_loop
from regioncache.lines.terms import Allowed, Terms
from regioncache.lines.waits import Histogram, Waits
from regioncache.origins.base import Payer
from regioncache.tidings import UNHEARD, Tidings


@dataclass(frozen=True, slots=True)
class LineStatistics:
    """One direction of a line at this moment. Bytes are debited bytes (payload x overhead), times seconds."""

    line: str
    direction: str
    quota: float
    burst: float
    rate: float
    """Bytes/s debited of late."""
    debited: float
    debt: float
    """Granted up to a round trip before it is covered."""
    prepaid: float
    """Held by running requests: debited and not yet read, or reserved for that."""
    prepaid_limit: float
    round_trip: float
    running: int
    waiting: int
    oversized: int
    """Requests whose buffer was larger than all the prepaid room, and that were let in alone."""
    slowed_down: int
    """Requests that were told to come again later."""
    clipped: str
    """What the kernel withholds of receive buffers, what it costs and the remedy; empty where it does not."""
    shares: Mapping[Leaf, float]
    """Bytes/s by leaf, of those seen lately."""
    waits: Mapping[str, Histogram]
    """By class."""
    waiting_by_class: Mapping[str, int]
    """Requests that wait for room."""
    class_ceils: Mapping[str, float]
    """Bytes/s that windows allow a class now."""


class Line:
    """One direction of one line; crossings are opened from it, one for each request."""

    def __init__(
        self,
        name: str,
        direction: str,
        policy: LinePolicy,
        ledger: Ledger,
        clock: Callable[[], float] = time.monotonic,
        *,
        later: Later = on_running_loop,
        limited: bool = True,
        leased: bool = False,
        tidings: Tidings = UNHEARD,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Opens the line; nothing is debited yet.

        Args:
            name: The line's name in the topology.
            direction: Towards this region, written `idc-bj>aws-use1`.
            policy: What may cross.
            ledger: Where bytes are counted.
            clock: Monotonic seconds.
            later: Sets a timer by the same clock.
            limited: False counts and never waits. No setting reaches it: it is there so that the tests of the quota
                can be seen to fail.
            leased: What may cross is what a lease says, at first nothing; else this node is alone.
            tidings: Hears once of receive buffers that the kernel keeps small, and when windows begin and end.
            wall: Seconds since the epoch, for the windows.
        """
        self.name = name
        self.direction = direction
        self._waits = Waits()
        self._books = Books(name, direction, ledger, self._waits)
        self._policy, self._wall, self._tidings = policy, wall, tidings
        self._class_ceils = policy.class_ceils(wall())
        self._allowed = Allowed() if leased else None
        self._gate = Gate(name, self._terms(), clock, later, limited, tidings)

    def __repr__(self) -> str:
        free = "" if self._gate.limited else " NOT LIMITED"
        return f"<Line {self.direction}{free}: {self._gate!r}>"

    @property
    def quota(self) -> float:
        """Debited bytes/s that may cross."""
        return self._gate.terms.quota

    def crossing(self, payer: Callable[[], Payer], bucket: str, kind: Callable[[], str]) -> LineCrossing:
        """Returns the account of one request.

        Args:
            payer: Tells who pays for the next step.
            bucket: The logical bucket, for the ledger.
            kind: Tells what the bytes are that are read next; `meta` makes it control traffic.
        """
        return LineCrossing(self._gate, self._books, payer, bucket, kind)

    def adopt(self, policy: LinePolicy) -> None:
        """Goes on by another policy: no bucket is refilled, no counter reset, nobody loses its place."""
        self._policy, self._class_ceils = policy, policy.class_ceils(self._wall())
        self._gate.adopt(self._terms())

    def allow(self, allowed: Allowed, since: float | None = None) -> None:
        """Goes on by what a lease lets this node bring from now on, or from a moment that has passed; as `adopt`."""
        if self._allowed is None:
            raise RuntimeError(f"line {self.name} was opened for a node that is alone: it takes no lease")
        if allowed != self._allowed:
            self._allowed = allowed
            self._gate.adopt(self._terms(), since)

    @property
    def allowed(self) -> Allowed | None:
        """What a lease lets this node bring; None where it is alone."""
        return self._allowed

    @property
    def policy(self) -> LinePolicy:
        """What is written."""
        return self._policy

    def wants(self) -> dict[Leaf, Want]:
        """Returns what each leaf wants of the line, for the lease office."""
        return self._gate.wants()

    def on_demand(self, hear: Callable[[], None]) -> None:
        """`hear` is told when a leaf's demand begins or ends; nobody else is."""
        if self._gate.demand is not None:
            self._gate.demand.on_change = hear

    def on_lapse(self, hear: Callable[[], None]) -> None:
        """`hear` is told when `Allowed.until` has passed, at the latest before the next debit; it calls `allow`."""
        self._gate.on_lapse = hear

    def keep_windows(self) -> None:
        """Looks at the clock on the wall: where a window began or ended the line goes on by what holds now."""
        ceils = self._policy.class_ceils(self._wall())
        if ceils != self._class_ceils:
            self.adopt(self._policy)
            self._tidings.news(f"line {self.name}: {_told(ceils)}")

    def _terms(self) -> Terms:
        return Terms.of(self._policy, self._class_ceils, self._allowed)

    def statistics(self) -> LineStatistics:
        seen, terms = self._gate.statistics(), self._gate.terms
        return LineStatistics(
            line=self.name,
            direction=self.direction,
            quota=terms.quota,
            burst=terms.burst,
            rate=sum(seen.debits.used.values()),
            debited=seen.debits.debited,
            debt=seen.debits.debt,
            prepaid=seen.prepaid.held,
            prepaid_limit=seen.prepaid.limit,
            round_trip=seen.round_trip,
            running=seen.prepaid.running,
            waiting=seen.waiting,
            oversized=seen.prepaid.oversized,
            slowed_down=seen.slowed_down,
            clipped=seen.clipped,
            shares=seen.debits.rates,
            waits=self._waits.by_class(),
            waiting_by_class=seen.waiting_by_class,
            class_ceils=dict(self._class_ceils),
        )


def _told(ceils: Mapping[str, float]) -> str:
    if not ceils:
        return "no window holds any more"
    held = ", ".join(f"{name} to {show_rate(ceil)}" for name, ceil in sorted(ceils.items()))
    return f"a window holds {held}"
