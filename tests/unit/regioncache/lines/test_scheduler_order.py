"""Who is next at the scheduler: by age inside a leaf, control first, through promotion and another policy."""

import pytest

from policy.shares import Leaf
from regioncache.lines.terms import Terms
from tests.fakes.scheduling import TENANTS, Simulation, Source, drain, policy, scheduler


def test_inside_a_leaf_the_first_come_is_served_first() -> None:
    core = scheduler()
    asks = [core.ask(Leaf("rec", "training"), 50_000, 0.0) for _ in range(20)]

    assert drain(core) == asks


def test_a_promoted_ask_is_served_by_its_age_among_those_of_its_new_payer() -> None:
    core = scheduler()
    prefetch, training = Leaf("rec", "prefetch"), Leaf("rec", "training")
    early = [core.ask(training, 60_000, 0.0) for _ in range(3)]
    promoted = core.ask(prefetch, 60_000, 0.0)
    late = [core.ask(training, 60_000, 0.0) for _ in range(20)]

    core.promote(promoted, training)

    assert drain(core) == [*early, promoted, *late]


def test_promoting_what_was_served_changes_nothing() -> None:
    core = scheduler()
    ask = core.ask(Leaf("rec", "prefetch"), 60_000, 0.0)
    core.granted(0.0)

    core.promote(ask, Leaf("rec", "training"))

    assert core.granted(1.0) == []
    assert core.next_at(1.0) is None


def test_a_withdrawn_ask_is_never_served() -> None:
    core = scheduler()
    first, second = (core.ask(Leaf("rec", "training"), 60_000, 0.0) for _ in range(2))

    assert core.withdraw(first)
    assert drain(core) == [second]
    assert not core.withdraw(second)


def test_control_traffic_does_not_wait_behind_a_full_line() -> None:
    core = scheduler()
    for _ in range(500):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)
    core.granted(0.0)

    listing = core.ask(Leaf("rec", "training"), 50_000, 0.0, control=True)

    assert core.granted(0.0) == [listing]


def test_control_traffic_beyond_its_part_goes_first_among_its_payers() -> None:
    core = scheduler()
    data = [core.ask(Leaf("rec", "training"), 60_000, 0.0) for _ in range(10)]
    listings = [core.ask(Leaf("rec", "training"), 60_000, 0.0, control=True) for _ in range(10)]

    served = drain(core)

    assert set(served) == {*data, *listings}
    assert served[:10] == listings


def test_another_policy_refills_no_bucket() -> None:
    core = scheduler()
    for _ in range(10):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)
    core.granted(0.0)
    before = core.statistics(0.0).debited

    core.adopt(Terms.of(policy("200Mbps", tenants=TENANTS)), 0.0)
    core.granted(0.0)

    assert core.statistics(0.0).debited == before


def test_a_policy_that_drops_a_tenant_keeps_what_it_waits_for() -> None:
    core = scheduler(policy(tenants=TENANTS))
    asks = [core.ask(Leaf("rec", "training"), 60_000, 0.0) for _ in range(10)]

    core.adopt(Terms.of(policy()), 0.0)

    assert {ask.leaf for ask in asks} == {Leaf("other", "training")}
    assert drain(core) == asks


def test_a_lower_quota_holds_from_the_moment_it_is_adopted() -> None:
    leaf = Leaf("rec", "training")
    simulation = Simulation(scheduler(), [Source(leaf, 8)]).run(5)

    simulation.core.adopt(Terms.of(policy("20Mbps")), 5.0)
    simulation.run(15)

    assert simulation.rate(leaf, 5.0001, 15) <= 2_500_000 + 262_144 / 9


def test_an_idle_line_is_expected_to_serve_at_once() -> None:
    assert scheduler().expected(Leaf("rec", "training"), 100_000, 0.0) == 0


def test_what_is_expected_is_about_what_comes() -> None:
    core = scheduler(policy(tenants=TENANTS))
    for _ in range(400):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)
        core.ask(Leaf("search", "training"), 60_000, 0.0)
    core.granted(0.0)

    expected = core.expected(Leaf("search", "training"), 60_000, 0.0)

    last, now = core.ask(Leaf("search", "training"), 60_000, 0.0), 0.0
    while last.state != "granted":
        now = core.next_at(now) or now
        for ask in core.granted(now):
            if ask.leaf.tenant == "rec":
                core.ask(ask.leaf, 60_000, now)
    assert expected == pytest.approx(now, rel=0.2)


def test_a_line_of_many_leaves_forgets_those_that_are_gone() -> None:
    tenants = {f"t{n}": {"weight": 1} for n in range(200)}
    sources = [Source(Leaf(name, "training"), rate=1e6, begin=0.0, end=0.1) for name in tenants]

    core = Simulation(scheduler(policy(tenants=tenants)), [*sources, Source(Leaf("t0", "backfill"), 2)]).run(30).core

    assert len(core.statistics(30.0).rates) < 5


def test_repr_says_what_waits() -> None:
    core = scheduler()
    for _ in range(10):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)

    assert repr(core) == "<Scheduler 25000000 B/s, 10 waiting of 1 leaves>"
