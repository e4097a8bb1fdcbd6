"""The scheduler in virtual time: never above the quota in any interval, never idle while somebody waits."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.shares import Leaf
from regioncache.lines.scheduler import Scheduler
from regioncache.lines.terms import Terms
from regioncache.lines.waiting import Ask
from tests.fakes.scheduling import QUOTA, TENANTS, Simulation, Source, close, policy, scheduler


@pytest.mark.parametrize("cls", ["interactive", "training", "prefetch", "backfill", "unheard-of"])
@pytest.mark.parametrize("streams", [1, 8])
def test_whoever_is_alone_gets_the_whole_line(cls: str, streams: int) -> None:
    leaf = Leaf("anyone", cls)

    done = Simulation(scheduler(), [Source(leaf, streams)]).run(10)

    assert done.total(3, 10) >= 0.95 * QUOTA


def test_the_line_stays_full_while_leaves_come_and_go() -> None:
    sources = [
        Source(Leaf("rec", "training"), 4, end=12),
        Source(Leaf("search", "interactive"), 2, begin=4, end=8),
        Source(Leaf("search", "backfill"), 1, begin=2),
        Source(Leaf("stranger", "prefetch"), 3, begin=6, end=20),
    ]

    done = Simulation(scheduler(policy(tenants=TENANTS)), sources).run(24)

    for second in range(1, 23):
        assert done.total(second, second + 1) >= 0.95 * QUOTA


def test_streams_that_think_between_debits_still_fill_the_line() -> None:
    sources = [Source(Leaf("rec", "training"), 6, think=0.01), Source(Leaf("search", "training"), 2, think=0.002)]

    done = Simulation(scheduler(policy(tenants=TENANTS)), sources).run(10)

    assert done.total(3, 10) >= 0.95 * QUOTA


def test_a_tenant_below_its_ceil_takes_what_the_one_at_its_ceil_may_not() -> None:
    of = policy(tenants={"rec": {"ceil": "40Mbps"}})
    sources = [Source(Leaf("rec", "interactive"), 4), Source(Leaf("search", "backfill"), 1)]

    done = Simulation(scheduler(of), sources).run(10)

    assert close(done.rate(Leaf("rec", "interactive"), 3, 10), 5_000_000)
    assert done.total(3, 10) >= 0.95 * QUOTA


def test_a_tenant_alone_on_the_line_is_held_to_its_ceil() -> None:
    of = policy(tenants={"rec": {"ceil": "40Mbps"}})

    done = Simulation(scheduler(of), [Source(Leaf("rec", cls), 4) for cls in ("interactive", "training")]).run(10)

    assert 0.95 * 5_000_000 <= done.total(1, 10) <= 1.01 * 5_000_000


LEAVES = [Leaf("rec", "training"), Leaf("rec", "interactive"), Leaf("search", "backfill"), Leaf("x", "y")]
QUOTAS = ["1Mbps", "200Mbps", "10Gbps"]


@dataclass
class Watched:
    """A scheduler under random deeds; what falls due is watched against rate x T + burst."""

    core: Scheduler
    terms: Terms
    now: float = 0.0
    waiting: list[Ask] = field(default_factory=list)
    served: list[Ask] = field(default_factory=list)
    lowest: float = math.inf

    def settle(self) -> None:
        self.watch()
        self.served += self.core.granted(self.now)
        self.watch()

    def watch(self) -> None:
        seen = self.core.statistics(self.now)
        due = seen.debited - seen.debt
        ahead = due - self.terms.quota * self.now
        self.lowest = min(self.lowest, ahead)
        assert ahead - self.lowest <= self.terms.burst * (1 + 1e-6) + 1

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.core.next_at(self.now)) is not None and due <= end:
            self.now = max(self.now, due)
            self.settle()
        self.now = end
        self.settle()


@given(st.data())
def test_what_falls_due_in_any_interval_is_at_most_quota_times_it_plus_burst(data: st.DataObject) -> None:
    of = policy(data.draw(st.sampled_from(QUOTAS)), tenants=TENANTS)
    terms = Terms.of(of)
    seen = Watched(Scheduler(terms, 0.0), terms)
    seen.watch()
    most = terms.piece * terms.overhead

    for _ in range(data.draw(st.integers(1, 60))):
        match data.draw(st.sampled_from(["ask", "ask", "ask", "wait", "wait", "give", "withdraw", "promote", "lead"])):
            case "ask":
                for _ in range(data.draw(st.integers(1, 20))):
                    leaf, control = data.draw(st.sampled_from(LEAVES)), data.draw(st.booleans())
                    nbytes = data.draw(st.floats(1, most))
                    seen.waiting.append(seen.core.ask(leaf, nbytes, seen.now, control))
                seen.settle()
            case "wait":
                seen.advance(data.draw(st.floats(0, 2)) * most / terms.quota * data.draw(st.sampled_from([0.1, 1, 30])))
            case "give" if seen.served:
                ask = seen.served.pop(data.draw(st.integers(0, len(seen.served) - 1)))
                seen.core.give(ask.leaf, ask.nbytes * data.draw(st.floats(0, 1)))
                seen.settle()
            case "withdraw" if seen.waiting:
                seen.core.withdraw(data.draw(st.sampled_from(seen.waiting)))
            case "promote" if seen.waiting:
                seen.core.promote(data.draw(st.sampled_from(seen.waiting)), data.draw(st.sampled_from(LEAVES)))
            case "lead":
                seen.core.lead = data.draw(st.floats(0, 0.2))
                seen.settle()


def test_nothing_is_granted_further_ahead_than_a_round_trip() -> None:
    core = scheduler()
    core.lead = 0.08
    for _ in range(1000):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)

    core.granted(0.0)

    assert core.statistics(0.0).debt <= 0.08 * QUOTA


def test_without_a_measured_round_trip_nothing_is_granted_before_it_is_covered() -> None:
    core = scheduler()
    for _ in range(1000):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)

    core.granted(0.0)

    assert core.statistics(0.0).debt == 0
    assert core.statistics(0.0).debited <= Terms.of(policy()).burst
