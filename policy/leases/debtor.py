"""What one process may be using of a line, as its lease office must count it: the most of all grants it may have taken.

A grant is out from the moment it is made until the node has echoed a newer one. What a grant lets a node use, and for
how long, is counted on the office's clock from the receipt of the report that it answers, which is later than the
node's own count from the sending of it; so nothing that is on its way can outlive what is counted here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from policy.leases.messages import LEASE_SECONDS, NO_LEASE, Ceil, CeilKey, Grant, Holder, LeaseId, Report, Safe, Want
from policy.shares import Leaf

DRIFT = 0.002
"""By which part two monotonic clocks may run apart: ntpd slews by 0.0005 at most, two clocks by twice that."""
LONGEST_SECONDS = LEASE_SECONDS * (1 + DRIFT)
"""How long after the receipt of the report that it answers a grant may still be in force."""
MOST_OUT = 8
"""Grants out for one node are counted one by one; of more the oldest two are counted as one that allows the most."""


@dataclass(frozen=True, slots=True)
class Out:
    """One grant that may be in force, or several alike. Moments are the office's: the latest or earliest possible."""

    newest: LeaseId
    rate: float
    safe: Safe
    ceils: Mapping[CeilKey, Ceil]
    expires: float
    rises: float
    """From when on the node may use its safe rate, where that is more than it had before."""
    ends: float

    @classmethod
    def of(cls, grant: Grant, expires: float) -> "Out":
        """Returns what a grant allows whose lease runs until `expires` at the latest.

        A node that took it sent its report less than a lease before the office counts from, so the end of its hold may
        be earlier by as much.
        """
        held = grant.hold_seconds
        return cls(
            grant.lease,
            grant.rate,
            grant.safe,
            grant.ceils,
            expires,
            expires - LONGEST_SECONDS - (LEASE_SECONDS + held) * DRIFT + held,
            expires + (held + grant.static_seconds) * (1 + DRIFT),
        )

    def cost(self, now: float) -> float:
        """Returns the most that it lets a node use from now until what is granted now has run out, bytes/s."""
        return max(self.rate if now < self.expires else 0.0, self.rest(now))

    def use(self, now: float) -> float:
        """Returns the most that it lets a node use now, bytes/s."""
        if now >= self.ends:
            return 0.0
        after = self.safe.rate if now >= self.rises else min(self.rate, self.safe.rate)
        return max(self.rate, after) if now < self.expires else after

    def rest(self, now: float) -> float:
        """Returns the most that will be left of it when all that is granted now has run out, bytes/s."""
        if now >= self.ends:
            return 0.0
        return self.safe.rate if now + LONGEST_SECONDS >= self.rises else min(self.rate, self.safe.rate)

    def ceil_cost(self, key: CeilKey, ceil: float, now: float) -> float:
        """The same for one ceil (`ceil` where the grant says nothing of it), bytes/s."""
        if now >= self.ends:
            return 0.0
        of_key = self.ceils.get(key)
        if of_key is None:
            return min(ceil, self.cost(now))
        return max(of_key.rate, of_key.safe) if now < self.expires else of_key.safe

    def merged(self, newer: "Out") -> "Out":
        """Returns one that allows whatever either allows."""
        ceils = {
            key: Ceil(
                max(self.ceils[key].rate, newer.ceils[key].rate), max(self.ceils[key].safe, newer.ceils[key].safe)
            )
            for key in self.ceils.keys() & newer.ceils.keys()
        }
        return replace(
            newer,
            rate=max(self.rate, newer.rate),
            safe=most(self.safe, newer.safe),
            ceils=ceils,
            expires=max(self.expires, newer.expires),
            rises=min(self.rises, newer.rises),
            ends=max(self.ends, newer.ends),
        )


@dataclass(slots=True)
class Debtor:
    """Mutable: the last report, and the grants that are out."""

    node: str
    process: int
    out: list[Out]
    heard: float | None = None
    """When its newest report was received; None: only a roster names it."""
    sent: float = float("-inf")
    wants: Mapping[Leaf, Want] = field(default_factory=dict)
    held: LeaseId = NO_LEASE
    said: Grant | None = None
    """What it said to hold before it took a grant of this office ..."""
    said_rate: float = 0.0
    """... and what it used of that, bytes/s."""
    ours: bool = False
    """It has taken a grant of this office, so it refuses those of all before."""
    issued: Grant | None = None
    issued_at: float = float("-inf")
    """The receipt of the report that `issued` answers."""

    @classmethod
    def on_roster(cls, node: str, holder: Holder, ends: float) -> "Debtor":
        """Returns one that nobody has heard yet: it may be using its safe rate at any moment until `ends`."""
        never = float("-inf")
        return cls(node, holder.process, [Out(NO_LEASE, 0.0, holder.safe, {}, never, never, ends)])

    def hear(self, report: Report, epoch: int, now: float) -> None:
        """Takes a report that is newer than the last."""
        self.heard, self.sent, self.wants, self.held = now, report.sent, report.wants, report.held
        if report.held.office == epoch:
            self.ours = True
            self.out = [item for item in self.out if item.newest >= report.held]
            return
        foreign = [self._said(report, now)] if report.grant is not None else []
        roster = [item for item in self.out if item.newest == NO_LEASE]
        own = [item for item in self.out if item.newest.office == epoch]
        self.out = roster + foreign + own
        self.said, self.said_rate = report.grant, _in_use(report)
        if not own:
            self.issued = None

    @property
    def said_leaves(self) -> Mapping[Leaf, float]:
        """Bytes/s by leaf that it said to hold."""
        return self.said.leaves if self.said is not None else {}

    def count(self, grant: Grant) -> None:
        """`grant` is made, and may be in force from now on."""
        assert self.heard is not None
        made = Out.of(grant, self.heard + grant.seconds * (1 + DRIFT))
        self.issued, self.issued_at = grant, self.heard
        self.out.append(made)
        if len(self.out) > MOST_OUT:
            self.out[:2] = [self.out[0].merged(self.out[1])]

    def cost(self, now: float) -> float:
        """Returns the most that it may be using from now until what is granted now has run out, bytes/s."""
        return max((item.cost(now) for item in self.out), default=0.0)

    def use(self, now: float) -> float:
        """Returns the most that it may be using now, bytes/s."""
        return max((item.use(now) for item in self.out), default=0.0)

    def rest(self, now: float) -> float:
        """Returns what it may still be using after that though it takes no grant any more, bytes/s."""
        return max((item.rest(now) for item in self.out), default=0.0)

    def ceil_cost(self, key: CeilKey, ceil: float, now: float) -> float:
        return max((item.ceil_cost(key, ceil, now) for item in self.out), default=0.0)

    def safe(self, now: float) -> Safe:
        """Returns the most that it may hold as its safe rate and burst."""
        return most(*(item.safe for item in self.out if now < item.ends))

    def over(self, now: float) -> bool:
        """Whether nothing that it was granted can be in force any more."""
        return all(now >= item.ends for item in self.out)

    def _said(self, report: Report, now: float) -> Out:
        """What a foreign grant allows: its lease runs no longer than the node says, counted from the receipt."""
        grant = report.grant
        assert grant is not None
        left = grant.answers + grant.seconds - report.sent if report.running else 0.0
        # How long the report was on its way is not known: the end of the hold may be at any moment.
        out = Out.of(grant, now + min(max(left, 0.0), LEASE_SECONDS) * (1 + DRIFT))
        return replace(out, rises=float("-inf"))


def _in_use(report: Report) -> float:
    """Bytes/s that a node says it may use, as it has counted when it spoke: both moments are of its own clock."""
    grant = report.grant
    if grant is None:
        return 0.0
    if report.running:
        return grant.rate
    rises = grant.answers + grant.seconds + grant.hold_seconds
    if report.sent < rises:
        return min(grant.rate, grant.safe.rate)
    return grant.safe.rate if report.sent < rises + grant.static_seconds else 0.0


def most(*safes: Safe) -> Safe:
    """Returns the highest rate and the highest burst."""
    return Safe(max((item.rate for item in safes), default=0.0), max((item.burst for item in safes), default=0.0))
