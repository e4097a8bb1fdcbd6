"""Who may use the line without an office: safe rates are given only as far as a successor can read of them.

The sum of all safe rates on the roster never exceeds the safe part of the quota. What a node may hold is on the roster
before it is granted, and leaves it only when the node cannot hold it any more.
"""

from collections.abc import Collection, Iterable

from policy.leases.debtor import Debtor
from policy.leases.division import fitted
from policy.leases.messages import Holder, Roster, Safe

_NOTHING = Safe()


class Reserves:
    """Mutable state: the roster that was kept last, the one that is being kept, and until when unknown nodes count."""

    def __init__(self, roster: Roster, ends: float) -> None:
        """`ends`: until when nodes that nobody knows may use their safe rates, where `roster` says there may be any."""
        self._kept = roster
        self.asked: Roster | None = None
        self._unknown_ends = ends if roster.unknown else float("-inf")

    def lost(self, now: float) -> bool:
        """Whether nodes that nobody knows may be using safe rates."""
        return now < self._unknown_ends

    def unknown(self, debtors: Iterable[Debtor], part: Safe, now: float) -> float:
        """Returns what nodes that nobody knows may be using, bytes/s: of the safe part all that no known one holds."""
        if not self.lost(now):
            return 0.0
        return max(0.0, part.rate - sum(debtor.safe(now).rate for debtor in debtors))

    def changed(self, debtors: Collection[Debtor], part: Safe, now: float) -> Roster | None:
        """Returns the roster to be kept next; None while one is being kept, or if it is as it was."""
        if self.asked is not None:
            return None
        wanted = self._wanted(debtors, part, now)
        if wanted == self._kept:
            return None
        self.asked = wanted
        return wanted

    def keep(self, roster: Roster) -> None:
        """`roster` is kept."""
        self._kept, self.asked = roster, None

    def of(self, debtor: Debtor, nodes: int, part: Safe) -> Safe | None:
        """Returns what may be granted to a node as its safe rate; None while it is on no roster."""
        known = [
            holder.safe
            for roster in (self._kept, self.asked)
            if roster is not None and (holder := roster.holders.get(debtor.node)) and holder.process == debtor.process
        ]
        if len(known) < (1 if self.asked is None else 2):
            return None
        rate = min(part.rate / nodes, *(safe.rate for safe in known))
        return Safe(rate, min(part.burst / nodes, *(safe.burst for safe in known)))

    def _wanted(self, debtors: Collection[Debtor], part: Safe, now: float) -> Roster:
        """Everybody's equal part, as far as others have let go of theirs."""
        held = {debtor.node: debtor.safe(now) for debtor in debtors}
        if self.lost(now):
            return Roster({debtor.node: Holder(debtor.process, held[debtor.node]) for debtor in debtors}, unknown=True)
        nodes = max(1, len(held))
        rate = {node: safe.rate for node, safe in held.items()}
        burst = {node: safe.burst for node, safe in held.items()}
        rates = fitted(dict.fromkeys(held, part.rate / nodes), rate, part.rate)
        bursts = fitted(dict.fromkeys(held, part.burst / nodes), burst, part.burst)
        holders = {
            debtor.node: Holder(
                debtor.process,
                Safe(
                    max(rate[debtor.node], rates[debtor.node]),
                    max(burst[debtor.node], bursts[debtor.node]),
                ),
            )
            for debtor in debtors
        }
        return Roster(holders)
