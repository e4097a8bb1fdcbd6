"""The arithmetic of a lease office for one direction of one line, told the time: reports come in, grants go out.

At every moment the rates that all nodes together may be using, whatever was lost or is still on its way, are at most
the leased part of the quota, and their bursts at most the line's (line-rules, Leases).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from policy.errors import Superseded
from policy.leases.debtor import DRIFT, LONGEST_SECONDS, Debtor
from policy.leases.division import Limits, Part, divide, fitted, shrunk
from policy.leases.messages import LEASE_SECONDS, Ceil, CeilKey, Grant, LeaseId, Report, Roster, Safe
from policy.leases.rosters import Reserves
from policy.model import CONTROL_BURST_PART, CONTROL_PART, LinePolicy
from policy.shares import Leaf

SILENT_SECONDS = 3.0
"""A node that was not heard for so long wants nothing: three reports in a row may be lost before that."""
RENEW_SECONDS = 0.9
"""A grant is made anew when the node has spoken so long after the report that the last one answers."""
LEAST_HOLD_SECONDS = 2 * LEASE_SECONDS
"""After its hold a node that had little goes up to its safe rate. A report may have been on its way for a lease, and
what others were granted runs for another: before that the room cannot have been taken back."""
COMPUTE_SECONDS = 0.02
"""Shares are computed at most so often: of the reports of many nodes each would else cost a computation."""
PATIENCE_SECONDS = 1.0
"""So long a new office waits for all that are on the roster before it repeats what the others say they hold."""
CHANGE_PART = 0.05
"""A grant is pushed when its rate changes by more than this part of itself and of an equal part of the line ..."""
MOVE_PART = 0.25
"""... or a leaf's rate by so much: the scheduler of a node lends what a leaf does not use anyway."""


@dataclass(frozen=True, slots=True)
class BookStatistics:
    """One direction at this moment, bytes/s."""

    leased: float
    """What there is to lease."""
    counted: float
    """What all nodes together may be using."""
    nodes: Mapping[str, float]
    """The same by node."""
    silent: tuple[str, ...]
    """Nodes that are not heard and may be using something."""
    learning: bool


class LeaseBook:
    """Mutable state: what each node wants and may hold, the roster, the end of the office's own right to grant."""

    def __init__(
        self,
        policy: LinePolicy,
        class_ceils: Mapping[str, float],
        epoch: int,
        roster: Roster | None,
        now: float,
    ) -> None:
        """Begins to learn.

        Args:
            policy: What may cross.
            class_ceils: What windows allow a class at present, bytes/s.
            epoch: Of this office: higher than that of every office before it.
            roster: What the former office kept last, empty for a line that never had one. None: it was lost; then the
                whole safe part of the quota is reserved for nodes that nobody knows, as long as they may use it.
            now: Monotonic seconds of the office, as in every other call.
        """
        self.epoch = epoch
        self._limits = Limits(policy, class_ceils)
        roster = roster if roster is not None else Roster(unknown=True)
        # Where nobody can hold anything there is nothing to learn.
        self._learns_until = now + LONGEST_SECONDS if roster.holders or roster.unknown else now
        self._started = now
        ends = now + (LONGEST_SECONDS + (max(LEAST_HOLD_SECONDS, policy.hold) + policy.static_for)) * (1 + DRIFT)
        self._debtors = {node: Debtor.on_roster(node, holder, ends) for node, holder in roster.holders.items()}
        self._reserves = Reserves(roster, ends)
        self._dead: dict[str, int] = {}
        self._leads_until = -math.inf
        self._numbers = 0
        self._computed_at = -math.inf
        self._stale = True

    def __repr__(self) -> str:
        return f"<LeaseBook {self.epoch}: {self._leased:.0f} B/s among {len(self._debtors)}>"

    # ---- what the office is told -----------------------------------------------------------------------------------

    def lead(self, answered: float, session_seconds: float) -> None:
        """The office's own session was renewed: grants may be made for two thirds of it.

        Args:
            answered: When the last answered keep-alive was *sent*.
            session_seconds: How long the session lasts from then on.
        """
        self._leads_until = answered + session_seconds * 2 / 3

    def report(self, report: Report, now: float) -> None:
        """Takes what a node says.

        Raises:
            Superseded: The node holds a grant of a newer office: this one must stop.
        """
        if report.office != self.epoch:
            return
        if report.held.office > self.epoch:
            raise Superseded(report.held.office)
        debtor = self._debtors.get(report.node)
        if report.process <= self._dead.get(report.node, -1) or (debtor and report.process < debtor.process):
            return
        if debtor is not None and report.process > debtor.process:
            self.fence(report.node, debtor.process, now)
            debtor = None
        if debtor is None:
            debtor = self._debtors[report.node] = Debtor(report.node, report.process, [])
        if report.sent > debtor.sent:
            debtor.hear(report, self.epoch, now)
            self._stale = True

    def fence(self, node: str, process: int, now: float) -> None:
        """A process is proven dead (or has left cleanly): what it held is free at once. Older ones are dead too."""
        self._dead[node] = max(process, self._dead.get(node, -1))
        debtor = self._debtors.get(node)
        if debtor is not None and debtor.process <= process:
            del self._debtors[node]
            self._stale = True

    def adopt(self, policy: LinePolicy, class_ceils: Mapping[str, float], now: float) -> None:
        """Goes on by another policy, or by what windows allow now."""
        self._limits = Limits(policy, class_ceils)
        self._stale = True

    # ---- what a successor must know --------------------------------------------------------------------------------

    def roster(self, now: float) -> Roster | None:
        """Returns what is to be kept now, where a successor will read it; None if that is as it was.

        One at a time: until `kept` says that it lies there, which is to be tried until it does, nothing else is to be.
        Keeping it must fail once another office was elected, and where a later one lies already.
        """
        self._forget(now)
        return self._reserves.changed(self._debtors.values(), self._safe_part, now)

    @property
    def keeping(self) -> Roster | None:
        """The roster that is being kept."""
        return self._reserves.asked

    def kept(self, roster: Roster) -> None:
        """`roster` lies where a successor will read it: grants may rely on it."""
        self._reserves.keep(roster)
        self._stale = True

    # ---- what it grants --------------------------------------------------------------------------------------------

    def grants(self, now: float) -> list[Grant]:
        """Returns what is to be sent now, at most one grant a node; each counts as sent."""
        if now >= self._leads_until or now < self._computed_at + COMPUTE_SECONDS:
            return []
        self._computed_at, self._stale = now, False
        self._forget(now)
        parts = self._parts(now)
        rates = self._rates(parts, self._room(now), now)
        held = sum(debtor.safe(now).burst for debtor in self._debtors.values())
        lent_burst = max(0.0, self._burst - max(held, self._safe_part.burst))
        ceils = self._ceils(parts, now)
        made = []
        for node, part in parts.items():
            grant = self._grant(self._debtors[node], part, rates[node], ceils[node], lent_burst)
            if grant is not None:
                self._debtors[node].count(grant)
                made.append(grant)
        # What was held back for want of room is looked at again when a report comes: an echo is one.
        return made

    def next_at(self, now: float) -> float:
        """Returns when to ask `grants` again, if nothing is told before; inf where the office may grant nothing."""
        if now >= self._leads_until:
            return math.inf
        if self._stale:
            return max(now, self._computed_at + COMPUTE_SECONDS)
        return now + RENEW_SECONDS

    def statistics(self, now: float) -> BookStatistics:
        nodes = {node: debtor.cost(now) for node, debtor in self._debtors.items()}
        silent = tuple(node for node, debtor in self._debtors.items() if not self._hears(debtor, now) and nodes[node])
        return BookStatistics(self._leased, sum(nodes.values()), nodes, silent, self._learns(now))

    # ---- the line's figures ----------------------------------------------------------------------------------------

    @property
    def _leased(self) -> float:
        return self._limits.policy.quota * (1 - CONTROL_PART)

    @property
    def _burst(self) -> float:
        return self._limits.policy.burst_bytes * (1 - CONTROL_BURST_PART)

    @property
    def _safe_part(self) -> Safe:
        """What all nodes together may hold as safe rates and bursts: half of the burst stays with leases."""
        return Safe(self._leased * self._limits.policy.safe, self._burst / 2)

    def _room(self, now: float) -> float:
        """What may be counted for all known nodes together."""
        return self._leased - self._reserves.unknown(self._debtors.values(), self._safe_part, now)

    def _learns(self, now: float) -> bool:
        return now < self._learns_until

    def _hears(self, debtor: Debtor, now: float) -> bool:
        return debtor.heard is not None and now - debtor.heard < SILENT_SECONDS

    def _forget(self, now: float) -> None:
        """Forgets processes that can hold nothing any more and do not speak."""
        for node, debtor in list(self._debtors.items()):
            if not self._hears(debtor, now) and debtor.over(now):
                del self._debtors[node]

    # ---- each node's part ------------------------------------------------------------------------------------------

    def _parts(self, now: float) -> dict[str, Part]:
        heard = {node: debtor for node, debtor in self._debtors.items() if self._hears(debtor, now)}
        fixed = sum(debtor.cost(now) for node, debtor in self._debtors.items() if node not in heard)
        room = max(0.0, self._room(now) - fixed)
        if self._learns(now):
            return self._repeated(heard, room, now)
        return divide(self._limits, self._leased, room, {node: debtor.wants for node, debtor in heard.items()})

    def _repeated(self, heard: Mapping[str, Debtor], room: float, now: float) -> dict[str, Part]:
        """What a new office gives: what nodes say they hold, and to newcomers a little once all that is held is known.

        Until everybody on the roster has spoken nobody knows whose safe rate must be left free, so it waits a moment.
        Who follows a process that is proven dead has what nobody else holds: at most what that one left.
        """
        all_heard = all(debtor.heard is not None for debtor in self._debtors.values()) and not self._reserves.lost(now)
        if not all_heard and now < self._started + PATIENCE_SECONDS:
            return {}
        known = {node: debtor for node, debtor in heard.items() if debtor.said is not None}
        new = [node for node in heard if node not in known]
        floor = self._limits.standing(self._leased) / max(1, len(self._debtors))
        floors = floor * len(new) if all_heard and all(debtor.ours for debtor in known.values()) else 0.0
        says = {node: debtor.said_rate for node, debtor in known.items()}
        part = min(1.0, max(0.0, room - floors) / sum(says.values())) if any(says.values()) else 1.0
        parts = {node: Part(says[node] * part, debtor.said_leaves, {}) for node, debtor in known.items()}
        followers = [node for node in new if node in self._dead] if floors else []
        free = room - sum(max(says[node], debtor.cost(now)) for node, debtor in known.items())
        left = max(0.0, free - floors) / max(1, len(followers))
        return parts | {node: Part(floors / len(new) + (left if node in followers else 0.0), {}, {}) for node in new}

    def _rates(self, parts: Mapping[str, Part], room: float, now: float) -> dict[str, float]:
        """What each is given of its part: nobody grows before what others may be using, or come to use, is free."""
        wanted = {node: part.rate for node, part in parts.items()}
        counted = {node: debtor.cost(now) for node, debtor in self._debtors.items()}
        if sum(counted.values()) <= room:
            rates = fitted(wanted, counted, room)
        else:
            rates = {node: min(want, self._debtors[node].use(now)) for node, want in wanted.items()}
        return shrunk(rates, {node: debtor.rest(now) for node, debtor in self._debtors.items()}, room)

    def _ceils(self, parts: Mapping[str, Part], now: float) -> dict[str, dict[CeilKey, Ceil]]:
        """Each node's part of each ceil; those that shrink are counted as rates are, leaf by leaf."""
        made: dict[str, dict[CeilKey, Ceil]] = {node: {} for node in parts}
        for key, ceil in self._limits.ceils(self._leased).items():
            counted = {node: debtor.ceil_cost(key, ceil, now) for node, debtor in self._debtors.items()}
            wanted = {node: part.ceils.get(key, counted[node]) for node, part in parts.items()}
            for node, rate in fitted(wanted, counted, ceil).items():
                safe = self._safe_of(self._debtors[node])
                made[node][key] = Ceil(rate, min(rate, ceil * safe.rate / self._leased) if safe else 0.0)
        return made

    # ---- a grant ---------------------------------------------------------------------------------------------------

    def _grant(
        self, debtor: Debtor, part: Part, rate: float, ceils: Mapping[CeilKey, Ceil], lent_burst: float
    ) -> Grant | None:
        """Makes a grant for a node, or None where the one it has says the same and is fresh."""
        safe, leaves = self._safe_of(debtor), _scaled(part.leaves, rate)
        if safe is None or not self._worth_a_grant(debtor, rate, leaves, safe):
            return None
        self._numbers += 1
        return Grant(
            node=debtor.node,
            process=debtor.process,
            lease=LeaseId(self.epoch, self._numbers),
            answers=debtor.sent,
            rate=rate,
            burst=safe.burst + lent_burst * rate / self._leased,
            leaves=leaves,
            safe=safe,
            hold_seconds=max(LEAST_HOLD_SECONDS, self._limits.policy.hold),
            static_seconds=self._limits.policy.static_for,
            ceils=ceils,
        )

    def _safe_of(self, debtor: Debtor) -> Safe | None:
        return self._reserves.of(debtor, len(self._debtors), self._safe_part)

    def _worth_a_grant(self, debtor: Debtor, rate: float, leaves: Mapping[Leaf, float], safe: Safe) -> bool:
        issued = debtor.issued
        if issued is None or debtor.heard is None or debtor.heard - debtor.issued_at >= RENEW_SECONDS:
            return True
        equal = self._leased / len(self._debtors)
        if abs(rate - issued.rate) > CHANGE_PART * min(equal, max(rate, issued.rate)):
            return True
        return safe != issued.safe or any(
            abs(leaves.get(leaf, 0.0) - issued.leaves.get(leaf, 0.0)) > MOVE_PART * max(rate, issued.rate)
            for leaf in leaves.keys() | issued.leaves.keys()
        )


def _scaled(leaves: Mapping[Leaf, float], rate: float) -> Mapping[Leaf, float]:
    """The rates of leaves within the rate of their node."""
    wanted = sum(leaves.values())
    return leaves if wanted <= rate else {leaf: of_leaf * rate / wanted for leaf, of_leaf in leaves.items()}
