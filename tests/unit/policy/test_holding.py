"""What a node may use by its grant, and which grants it takes."""

from dataclasses import replace

import pytest

from policy.leases.holding import Holding
from policy.leases.messages import NO_LEASE, Ceil, Grant, LeaseId, Safe
from policy.shares import Leaf

TRAINING = Leaf("rec", "training")
GRANT = Grant(
    node="cache-1",
    process=7,
    lease=LeaseId(3, 5),
    answers=100.0,
    rate=50.0,
    burst=9.0,
    leaves={TRAINING: 40.0},
    safe=Safe(20.0, 4.0),
    hold_seconds=30.0,
    static_seconds=3600.0,
    ceils={("tenant", "rec"): Ceil(30.0, 6.0)},
)


def _holding(grant: Grant = GRANT) -> Holding:
    holding = Holding("cache-1", 7)
    assert holding.take(grant, 100.5)
    return holding


def test_without_a_first_grant_nothing_may_be_used() -> None:
    assert Holding("cache-1", 7).allowance(5.0).rate == 0.0


def test_a_lease_runs_from_the_report_that_it_answers() -> None:
    assert _holding().allowance(109.9).rate == 50.0
    assert _holding().allowance(110.0).state == "hold"


@pytest.mark.parametrize(("rate", "held"), [(50.0, 20.0), (5.0, 5.0)])
def test_hold_is_at_the_lower_of_last_and_safe_rate(rate: float, held: float) -> None:
    assert _holding(replace(GRANT, rate=rate)).allowance(120.0).rate == held


def test_after_hold_comes_the_safe_rate_and_after_that_nothing() -> None:
    holding = _holding(replace(GRANT, rate=5.0))

    rates = [holding.allowance(moment).rate for moment in (139.9, 140.0, 3739.9, 3740.0)]

    assert rates == [5.0, 20.0, 20.0, 0.0]


def test_prefetch_and_backfill_have_nothing_once_the_lease_ran_out() -> None:
    ceils = _holding().allowance(110.0).ceils

    assert (ceils["class", "prefetch"], ceils["class", "backfill"], ceils["tenant", "rec"]) == (0.0, 0.0, 6.0)


@pytest.mark.parametrize(
    "grant",
    [
        replace(GRANT, lease=LeaseId(2, 99)),
        replace(GRANT, lease=LeaseId(3, 4)),
        GRANT,
        replace(GRANT, lease=LeaseId(3, 6), process=6),
        replace(GRANT, lease=LeaseId(3, 6), node="cache-2"),
        replace(GRANT, lease=LeaseId(3, 6), answers=90.0),
    ],
    ids=["lower office", "older", "repeated", "another process", "another node", "run out on its way"],
)
def test_a_grant_is_refused(grant: Grant) -> None:
    holding = _holding()

    assert not holding.take(grant, 101.0)
    assert holding.held == LeaseId(3, 5)


def test_a_report_echoes_what_is_held_and_a_new_process_holds_nothing() -> None:
    holding = _holding()

    assert holding.unsaid
    assert holding.report(3, {}, 1.0, 101.0).held == LeaseId(3, 5)
    assert not holding.unsaid
    assert Holding("cache-1", 8).report(3, {}, 0.0, 102.0).held == NO_LEASE


def test_a_grant_that_lets_less_than_the_office_counts_is_told_apart_until_it_is_echoed() -> None:
    holding = _holding()
    assert not holding.shrunk
    holding.report(3, {}, 1.0, 101.0)

    holding.take(replace(GRANT, lease=LeaseId(3, 6), rate=GRANT.rate * 2), 101.1)
    assert not holding.shrunk
    holding.take(replace(GRANT, lease=LeaseId(3, 7), rate=GRANT.rate / 2), 101.2)
    assert holding.shrunk
    holding.report(3, {}, 1.0, 101.3)
    assert not holding.shrunk
