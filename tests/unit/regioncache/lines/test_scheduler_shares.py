"""The scheduler in virtual time: fair by weights, assured rates, floors and classes."""

import math

import pytest

from policy.shares import Leaf, Tree, shares
from tests.fakes.scheduling import QUOTA, TENANTS, Simulation, Source, close, policy, scheduler


@pytest.mark.parametrize("streams", [(1, 1), (8, 8), (1, 16), (16, 1)])
def test_two_tenants_get_three_to_one_however_many_streams_they_have(streams: tuple[int, int]) -> None:
    rec, search = Leaf("rec", "training"), Leaf("search", "training")
    sources = [Source(rec, streams[0], think=0.0005), Source(search, streams[1], think=0.0005)]

    done = Simulation(scheduler(policy(tenants=TENANTS)), sources).run(20)

    assert done.rate(rec, 3, 20) / done.rate(search, 3, 20) == pytest.approx(3, rel=0.05)


def test_three_to_one_holds_where_one_tenant_gets_half_of_its_debits_back() -> None:
    rec, search = Leaf("rec", "training"), Leaf("search", "training")
    core = scheduler(policy(tenants=TENANTS))
    waiting = {core.ask(leaf, 60_000, 0.0): leaf for leaf in [rec, search] * 8}
    moved, now = {rec: 0.0, search: 0.0}, 0.0

    while now < 20:
        now = core.next_at(now) or now
        for ask in core.granted(now):
            leaf = waiting.pop(ask)
            used = ask.nbytes / 2 if leaf == rec else ask.nbytes
            core.give(leaf, ask.nbytes - used)
            moved[leaf] += used
            waiting[core.ask(leaf, 60_000, now)] = leaf

    assert moved[rec] / moved[search] == pytest.approx(3, rel=0.05)


def test_an_assured_share_is_back_within_three_seconds() -> None:
    of = policy(tenants={"rec": {"assured": "100Mbps"}, "search": {"weight": 9}})
    rec, search = Leaf("rec", "training"), Leaf("search", "training")

    done = Simulation(scheduler(of), [Source(search, 16), Source(rec, 2, begin=10)]).run(20)

    assert done.rate(search, 5, 10) >= 0.95 * QUOTA
    assert done.rate(rec, 13, 20) >= 0.97 * 12_500_000


def test_everyone_who_waits_moves_at_least_its_floor_in_each_minute() -> None:
    leaves = {cls: Leaf("rec", cls) for cls in ("interactive", "training", "prefetch", "backfill")}
    floors = {"interactive": 0.1, "training": 0.1, "prefetch": 0.02, "backfill": 0.01}

    done = Simulation(scheduler(), [Source(leaf, 12 - n) for n, leaf in enumerate(leaves.values())]).run(62)

    for cls, leaf in leaves.items():
        assert done.rate(leaf, 2, 62) >= 0.97 * 0.99 * floors[cls] * QUOTA


@pytest.mark.parametrize("interactive", [0.1, 0.4, 0.6, 0.8])
def test_a_lower_class_gets_its_floor_and_what_is_left(interactive: float) -> None:
    asks = {
        Leaf("a", "interactive"): interactive * QUOTA,
        Leaf("a", "training"): math.inf,
        Leaf("a", "backfill"): math.inf,
    }
    sources = [Source(leaf, rate=rate) if rate < math.inf else Source(leaf, 4) for leaf, rate in asks.items()]

    done = Simulation(scheduler(), sources).run(20)

    wanted = shares(Tree.of(policy(), 0.99 * QUOTA), asks)
    for leaf, rate in wanted.items():
        assert close(done.rate(leaf, 5, 20), rate), leaf


def test_training_gets_the_line_less_the_floor_that_backfill_uses() -> None:
    training, backfill = Leaf("rec", "training"), Leaf("rec", "backfill")

    done = Simulation(scheduler(), [Source(training, 8), Source(backfill, 8)]).run(20)

    assert close(done.rate(backfill, 3, 20), 0.01 * QUOTA, 0.005)
    assert done.rate(training, 3, 20) >= 0.96 * QUOTA


def test_a_reader_that_asks_now_and_then_does_not_wait_behind_a_crowd() -> None:
    crowd, light = Leaf("rec", "training"), Leaf("search", "training")
    core = scheduler(policy(tenants=TENANTS))
    done = Simulation(core, [Source(crowd, 64), Source(light, rate=500_000, begin=1)]).run(20)

    assert done.rate(light, 2, 20) == pytest.approx(500_000, rel=0.03)


def test_unknown_tenants_share_one_leaf() -> None:
    sources = [Source(Leaf("rec", "training"), 4), *(Source(Leaf(f"stranger-{n}", "training"), 4) for n in range(5))]

    done = Simulation(scheduler(policy(tenants={"rec": {"weight": 1}})), sources).run(10)

    assert close(done.rate(Leaf("rec", "training"), 3, 10), QUOTA / 2)
