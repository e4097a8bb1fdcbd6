"""Faults planted in the office and in nodes: each breaks one rule of the leases, and the schedules must find it."""

import math
from collections.abc import Mapping
from dataclasses import replace

from policy.bucket import TokenBucket
from policy.leases.book import LeaseBook
from policy.leases.holding import Holding
from policy.leases.messages import Grant, Roster
from policy.model import LinePolicy
from tests.unit.policy.lease_simulator import Node


class FreesAtOnce(LeaseBook):
    """Takes a grant that shrinks for free before the node has echoed it."""

    def grants(self, now: float) -> list[Grant]:
        made = super().grants(now)
        for grant in made:
            debtor = self._debtors[grant.node]
            debtor.out = debtor.out[-1:]
        return made


class LearnsNothing(LeaseBook):
    """Divides at once, as if nobody held anything of the office before."""

    def _learns(self, now: float) -> bool:
        return False


class ForgetsTheUnheard(LeaseBook):
    """Takes a node for gone when its lease has run out."""

    def _forget(self, now: float) -> None:
        for node, debtor in list(self._debtors.items()):
            if not self._hears(debtor, now) and all(now >= item.expires for item in debtor.out):
                del self._debtors[node]


class ReadsNoRoster(LeaseBook):
    """Does not know whom the office before had given safe rates."""

    def __init__(
        self, policy: LinePolicy, ceils: Mapping[str, float], epoch: int, roster: Roster | None, now: float
    ) -> None:
        super().__init__(policy, ceils, epoch, Roster(), now)


class GrantsOnForEver(LeaseBook):
    """Does not look at its session."""

    def lead(self, answered: float, session_seconds: float) -> None:
        super().lead(math.inf, session_seconds)


class GrantsBeforeTheRosterIsKept(LeaseBook):
    """Takes the roster for kept as soon as it is asked for."""

    def roster(self, now: float) -> Roster | None:
        wanted = super().roster(now)
        if wanted is not None:
            self.kept(wanted)
        return wanted


class _TakesAnything(Holding):
    def take(self, grant: Grant, now: float) -> bool:
        if now >= grant.answers + grant.seconds or grant.process != self.process:
            return False
        self.grant = grant
        return True


class TakesLowerEpochs(Node):
    """Takes whatever grant arrives last."""

    make_holding = _TakesAnything


class _CountsFromReceipt(Holding):
    def take(self, grant: Grant, now: float) -> bool:
        return super().take(replace(grant, answers=now), now)


class CountsFromReceipt(Node):
    """Lets a lease run from the moment it arrives, as line-rules.md had it first."""

    make_holding = _CountsFromReceipt


class BeginsWithAFullBucket(Node):
    """Has a burst saved up when its first grant arrives."""

    def _apply(self, moment: float) -> None:
        began = self.bucket.rate == 0
        super()._apply(moment)
        if began and self.allowance.rate > 0:
            self.bucket = TokenBucket(self.bucket.rate, self.bucket.burst, moment)


OFFICES = (
    FreesAtOnce,
    LearnsNothing,
    ForgetsTheUnheard,
    ReadsNoRoster,
    GrantsOnForEver,
    GrantsBeforeTheRosterIsKept,
)
NODES = (TakesLowerEpochs, CountsFromReceipt, BeginsWithAFullBucket)
