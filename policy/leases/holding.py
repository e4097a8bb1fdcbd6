"""What one process of a node may use of a line now: its lease, then hold, then the safe rate, then nothing.

It computes none of these figures: they are in its grant. Told the time; durations run on the node's own monotonic clock
from the sending of the report that the grant answers (line-rules, Fail static).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from policy.leases.messages import NO_LEASE, CeilKey, Grant, LeaseId, Report, Want
from policy.shares import Leaf

State = Literal["none", "leased", "hold", "static", "over"]
DEFERRED: tuple[str, ...] = ("prefetch", "backfill")
"""Classes that nobody waits for: they have nothing once the lease ran out."""
_NO_LEAVES: Mapping[Leaf, float] = MappingProxyType({})
_NO_CEILS: Mapping[CeilKey, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a process may use from a moment on."""

    state: State
    rate: float
    """Bytes/s, all leaves together."""
    burst: float
    """Bytes; what is saved beyond it is lost."""
    leaves: Mapping[Leaf, float]
    """Bytes/s by leaf while the lease runs; empty after it: then the node shares its rate by its policy."""
    ceils: Mapping[CeilKey, float]
    """Bytes/s; after the lease prefetch and backfill have 0."""
    until: float
    """Monotonic seconds; from then on another allowance holds. inf: until the next grant."""


NOTHING = Allowance("none", 0.0, 0.0, _NO_LEAVES, _NO_CEILS, math.inf)
"""Of a process that was never granted anything."""


class Holding:
    """Mutable state: the grant in force, which lease was reported last, and its rate (bytes/s)."""

    def __init__(self, node: str, process: int) -> None:
        """Holds nothing: what a former process of that name was granted is not this one's."""
        self.node = node
        self.process = process
        self.grant: Grant | None = None
        self._echoed = NO_LEASE
        self._echoed_rate = 0.0

    def __repr__(self) -> str:
        return f"<Holding {self.node}: {self.grant}>" if self.grant else f"<Holding {self.node}: nothing>"

    @property
    def held(self) -> LeaseId:
        """The last grant taken, whether it runs still or not."""
        return self.grant.lease if self.grant is not None else NO_LEASE

    @property
    def unsaid(self) -> bool:
        """Whether a grant was taken since the last report: until it is echoed the office counts the former one too."""
        return self.held != self._echoed

    @property
    def shrunk(self) -> bool:
        """Whether less is held than the office counts: what was taken is free for others once that is echoed."""
        return self.grant is not None and self.unsaid and self.grant.rate < self._echoed_rate

    def take(self, grant: Grant, now: float) -> bool:
        """Takes a grant; False where it is refused: for another process, not newer, of a lower office, or run out."""
        meant = (grant.node, grant.process) == (self.node, self.process)
        if not meant or grant.lease <= self.held or not grant.answers <= now < grant.answers + grant.seconds:
            return False
        self.grant = grant
        return True

    def allowance(self, now: float) -> Allowance:
        """Returns what may be used at `now`.

        A caller that wakes up after `until` asks for that moment first and lets its bucket run up to it: else the
        former rate would be counted for the time that it slept.
        """
        grant = self.grant
        if grant is None:
            return NOTHING
        expires = grant.answers + grant.seconds
        if now < expires:
            ceils = {key: ceil.rate for key, ceil in grant.ceils.items()}
            return Allowance("leased", grant.rate, grant.burst, grant.leaves, ceils, expires)
        rises = expires + grant.hold_seconds
        if now < rises:
            return self._without("hold", min(grant.rate, grant.safe.rate), grant, rises)
        ends = rises + grant.static_seconds
        if now < ends:
            return self._without("static", grant.safe.rate, grant, ends)
        return Allowance("over", 0.0, 0.0, _NO_LEAVES, _NO_CEILS, math.inf)

    def report(self, office: int, wants: Mapping[Leaf, Want], debited: float, now: float) -> Report:
        """Returns what is to be sent at once to the office of that epoch, as it was told by that one itself."""
        self._echoed = self.held
        self._echoed_rate = 0.0 if self.grant is None else self.grant.rate
        running = self.allowance(now).state == "leased"
        return Report(self.node, self.process, office, now, wants, debited, self.held, self.grant, running)

    def _without(self, state: State, rate: float, grant: Grant, until: float) -> Allowance:
        ceils = {key: ceil.safe for key, ceil in grant.ceils.items()}
        ceils.update((("class", name), 0.0) for name in DEFERRED)
        return Allowance(state, rate, min(grant.burst, grant.safe.burst), _NO_LEAVES, ceils, until)
