"""Debits under a lease that changes all the time: never above what was granted, nobody forgotten."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.shares import Leaf
from regioncache.lines.scheduler import Scheduler
from regioncache.lines.terms import LEAST_BURST, Allowed, Terms
from regioncache.lines.waiting import Ask
from tests.fakes.scheduling import QUOTA, Simulation, Source, close, policy

REC, SEARCH = Leaf("rec", "training"), Leaf("search", "training")
LEAVES = [REC, SEARCH, Leaf("rec", "interactive"), Leaf("other", "prefetch")]
BURST = 262_144.0


def allowed(rate: float, burst: float = BURST, **more: object) -> Allowed:
    return Allowed(rate, burst, **more)  # type: ignore[arg-type]


def leased(of: Allowed, **more: object) -> Terms:
    return Terms.of(policy(**more), allowed=of)


@dataclass
class Watched:
    """A scheduler whose lease changes; what falls due is watched against what the leases gave since any moment."""

    core: Scheduler
    terms: Terms
    now: float = 0.0
    given: float = 0.0
    lowest: float = math.inf
    excess: float = -math.inf
    waiting: list[Ask] = field(default_factory=list)
    served: list[Ask] = field(default_factory=list)

    def watch(self) -> None:
        seen = self.core.statistics(self.now)
        ahead = seen.debited - seen.debt - self.given
        self.lowest = min(self.lowest, ahead + self.terms.burst)
        self.excess = max(self.excess, ahead - self.lowest)

    def settle(self) -> None:
        self.watch()
        self.served += self.core.granted(self.now)
        self.watch()

    def adopt(self, terms: Terms) -> None:
        self.terms = terms
        self.core.adopt(terms, self.now)
        self.settle()

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.core.next_at(self.now)) is not None and due <= end:
            self._move(max(self.now, due))
            self.settle()
        self._move(end)
        self.settle()

    def _move(self, to: float) -> None:
        self.given += (self.terms.main_rate + self.terms.control_rate) * (to - self.now)
        self.now = to


def under(terms: Terms) -> Watched:
    seen = Watched(Scheduler(terms, 0.0), terms)
    seen.watch()
    return seen


@given(st.data())
def test_what_falls_due_in_any_interval_is_what_the_leases_gave_in_it_plus_the_burst_at_its_start(
    data: st.DataObject,
) -> None:
    def drawn() -> Terms:
        rate = data.draw(st.sampled_from([0.0, 1e3, 1e5, QUOTA / 3, QUOTA]))
        burst = data.draw(st.sampled_from([0.0, 100.0, LEAST_BURST, 20_000.0, BURST]))
        leaves = {leaf: data.draw(st.floats(0, rate)) for leaf in LEAVES if data.draw(st.booleans())}
        return leased(Allowed(rate, burst, leaves, control_rate=rate / 99, control_burst=burst / 3))

    seen = under(drawn())
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["ask", "ask", "wait", "wait", "lease", "lease", "give", "withdraw", "lead"])):
            case "ask":
                for _ in range(data.draw(st.integers(1, 10))):
                    nbytes, control = data.draw(st.floats(1, 70_000)), data.draw(st.booleans())
                    leaf = data.draw(st.sampled_from(LEAVES))
                    seen.waiting.append(seen.core.ask(leaf, nbytes, seen.now, control))
                seen.settle()
            case "wait":
                seen.advance(data.draw(st.floats(0, 0.5)))
            case "lease":
                seen.adopt(drawn())
            case "give" if seen.served:
                ask = seen.served.pop(data.draw(st.integers(0, len(seen.served) - 1)))
                seen.core.give(ask.leaf, ask.nbytes * data.draw(st.floats(0, 1)))
                seen.settle()
            case "withdraw" if seen.waiting:
                seen.core.withdraw(data.draw(st.sampled_from(seen.waiting)))
            case "lead":
                seen.core.lead = data.draw(st.floats(0, 0.2))
                seen.settle()

    assert seen.excess <= 1 + 1e-6 * (seen.given + BURST)


def test_a_lease_that_changes_ten_times_a_second_makes_nobody_lose_a_byte_nor_a_place() -> None:
    seen, order = under(leased(allowed(QUOTA))), []
    for _ in range(2000):
        order.append(seen.core.ask(REC, 60_000, seen.now))

    for turn in range(100):
        seen.adopt(leased(allowed(QUOTA / (1 + turn % 7), BURST / (1 + turn % 7))))
        seen.advance(0.1)

    assert seen.served == order[: len(seen.served)]
    assert sum(ask.nbytes for ask in seen.served) >= 0.98 * seen.given


def test_without_a_lease_nobody_is_served_and_no_timer_rings() -> None:
    core = Scheduler(leased(Allowed()), 0.0)
    core.ask(REC, 1000, 0.0)

    assert core.granted(100.0) == []
    assert core.next_at(100.0) is None


def test_what_was_saved_up_is_not_spent_when_a_lease_has_run_out() -> None:
    core = Scheduler(leased(allowed(QUOTA)), 0.0)
    core.adopt(leased(Allowed()), 10.0)
    core.ask(REC, 1000, 10.0)

    assert core.granted(20.0) == []


def test_who_waited_without_a_lease_goes_on_when_there_is_one() -> None:
    core = Scheduler(leased(Allowed()), 0.0)
    first, second = core.ask(REC, 1000, 0.0), core.ask(REC, 1000, 0.0)

    core.adopt(leased(allowed(QUOTA)), 5.0)

    assert core.granted(5.1) == [first, second]


def test_a_first_lease_fills_no_bucket() -> None:
    core = Scheduler(leased(Allowed()), 0.0)
    core.ask(REC, 1000, 0.0)
    core.adopt(leased(allowed(QUOTA)), 100.0)

    assert core.granted(100.0) == []


def test_a_debit_above_the_burst_is_paid_in_parts_as_the_rate_covers_them() -> None:
    seen = under(leased(allowed(10_000.0, 2_000.0)))
    seen.core.ask(REC, 12_000, 0.0)

    seen.advance(1.19)
    assert not seen.served
    seen.advance(0.02)

    assert len(seen.served) == 1
    assert seen.excess <= 1


def test_a_debit_that_was_paid_in_part_and_is_withdrawn_is_credited() -> None:
    core = Scheduler(leased(allowed(10_000.0, 2_000.0)), 0.0)
    ask = core.ask(REC, 12_000, 0.0)
    core.granted(0.0)

    assert core.withdraw(ask)

    assert core.statistics(0.0).debited == 0


def test_leaves_share_in_proportion_to_what_the_lease_gives_each() -> None:
    terms = leased(allowed(QUOTA, leaves={REC: 0.2 * QUOTA, SEARCH: 0.8 * QUOTA}), tenants={"rec": {}, "search": {}})

    done = Simulation(Scheduler(terms, 0.0), [Source(REC, 4), Source(SEARCH, 4)]).run(10)

    assert close(done.rate(REC, 2, 10), 0.2 * QUOTA)
    assert close(done.rate(SEARCH, 2, 10), 0.8 * QUOTA)


def test_what_a_leaf_does_not_use_of_its_grant_the_others_of_its_node_do() -> None:
    terms = leased(allowed(QUOTA, leaves={REC: 0.2 * QUOTA, SEARCH: 0.8 * QUOTA}), tenants={"rec": {}, "search": {}})

    done = Simulation(Scheduler(terms, 0.0), [Source(REC, 4)]).run(10)

    assert done.total(2, 10) >= 0.95 * QUOTA


def test_a_leaf_that_the_lease_does_not_know_yet_is_served_by_the_policy() -> None:
    terms = leased(allowed(QUOTA, leaves={Leaf("other", "prefetch"): QUOTA}))
    sources = [Source(Leaf("other", "prefetch"), 4), Source(Leaf("other", "interactive"), 4)]

    done = Simulation(Scheduler(terms, 0.0), sources).run(10)

    assert done.rate(Leaf("other", "interactive"), 2, 10) >= 0.3 * QUOTA


def test_a_node_uses_of_a_ceil_what_its_lease_says() -> None:
    terms = leased(allowed(QUOTA, ceils={("tenant", "rec"): 2_000_000.0}), tenants={"rec": {"ceil": "40Mbps"}})

    done = Simulation(Scheduler(terms, 0.0), [Source(REC, 4)]).run(10)

    assert close(done.rate(REC, 2, 10), 2_000_000.0)


def test_a_class_that_gets_nothing_waits_while_the_others_are_served() -> None:
    prefetch, person = Leaf("other", "prefetch"), Leaf("other", "interactive")
    terms = leased(allowed(QUOTA / 4, ceils={("class", "prefetch"): 0.0}))

    done = Simulation(Scheduler(terms, 0.0), [Source(prefetch, 4), Source(person, rate=1e5)]).run(10)

    assert done.rate(prefetch, 0, 10) == 0
    assert done.rate(person, 0, 10) >= 0.9e5


@pytest.mark.parametrize("rate", [0.0, QUOTA / 10, QUOTA])
def test_control_traffic_is_paid_from_the_nodes_part_of_what_is_never_leased(rate: float) -> None:
    seen = under(leased(allowed(rate, control_rate=80_000.0, control_burst=20_000.0)))
    control = seen.core.ask(REC, 10_000, 0.0, control=True)

    seen.advance(0.2)

    assert control.state == "granted"
