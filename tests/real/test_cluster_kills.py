"""Owners killed and started again under readers at other nodes: nobody sees it, and little is brought twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.counters import sampled
from tests.real.lab.crowd import crowd
from tests.real.lab.federation import Federation, Plan, Span, federation
from tests.real.lab.mishaps import killing
from tests.real.lab.reads import Read, Thing, crossed
from tests.real.lab.shared import allowed, watched_prepaid

pytestmark = [pytest.mark.real, pytest.mark.root]
MIB = 1 << 20
LINE, REGION = "bj-use1", "aws-use1"
TWO = Plan({"idc-bj": 1, REGION: 3}, {LINE: Span(("idc-bj", REGION), "200 Mbit/s")})
DOWN_SECONDS = 2.0
QUOTA = 25_000_000
# Seconds between kills, and the least once_ratio.
OFTEN = [(10.0, 0.95), (3.0, 0.85)]
SEEDS = range(10)
# 36 s of the line.
SOAKED = 816 * MIB


@pytest.fixture(scope="module")
def soaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Holds what is cold for each run; all of it is names of the same files."""
    with federation(tmp_path_factory.mktemp("kills"), TWO) as running:
        running.put([thing for every, _ in OFTEN for seed in SEEDS for thing in some_things(SOAKED, every, seed)])
        yield running


def some_things(total: int, every: float, seed: int) -> list[Thing]:
    return [Thing(f"kills-{every:.0f}-{seed}/{n:03}", 24 * MIB + n, n) for n in range(total // (24 * MIB))]


def killed_under_readers(
    running: Federation,
    things: list[Thing],
    every: float,
    seed: int,
    note: Note,
    least: float = 0.0,
    *,
    relentless: bool = False,
) -> None:
    """Readers at the first two nodes read all of it, cold, while the third is killed again and again."""
    cluster = running.clusters[REGION]
    first, second, victim = cluster.machines
    reads = [Read(thing, 0, thing.size, True) for thing in things]
    before = cluster.kinds(LINE)
    wire = running.cables[LINE].towards(cluster.site)
    arrived = wire.received()

    with (
        killing(
            [victim], every=every, down=DOWN_SECONDS, seed=seed, far=running.home.site, relentless=relentless
        ) as kills,
        crowd(running, {first: reads, second: reads[::-1]}, 4) as seen,
    ):
        pass

    kinds = cluster.kinds(LINE) - before
    unique = sum(thing.size for thing in things)
    ratio = kinds["unique"] / crossed(kinds)
    what = f"owner killed every {every:.0f} s, {len(kills.kills)} times, seed {seed}"
    outside = (wire.received() - arrived) / unique
    told = f"once_ratio {ratio:.3f}, refetch {kinds['refetch']} B, {outside:.3f} at the wire"
    note(what, told, f">= {least or 0.85}, <= {kills.may_cost} B")
    waits = f"{seen.longest_first:.1f} s, {kills.slowest_start:.1f} s"
    if kills.never_ready:
        waits += f", not ready before the next kill {kills.never_ready} times"
    note(f"{what}: slowest first byte, slowest start", waits, "<= 25 s, <= 2 s")
    assert seen.faults == (), f"{seen.faults}; kills: {kills}"
    assert seen.bytes == 2 * unique
    assert kinds["refetch"] <= kills.may_cost, f"kills: {kills}; {dict(kinds)}"
    assert ratio >= least, f"kills: {kills}; {dict(kinds)}"


@pytest.mark.timeout(240)
def test_readers_at_other_nodes_do_not_see_that_an_owner_is_killed(tmp_path: Path, note: Note) -> None:
    things = some_things(144 * MIB, 4.0, 1)
    with federation(tmp_path, TWO) as running:
        running.put(things)
        killed_under_readers(running, things, 4.0, 1, note)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("every", "least"), OFTEN)
def test_an_owner_killed_again_and_again_costs_little_whatever_the_seed(
    soaking: Federation, every: float, least: float, seed: int, note: Note
) -> None:
    killed_under_readers(soaking, some_things(SOAKED, every, seed), every, seed, note, least, relentless=True)


@pytest.mark.timeout(240)
def test_ten_kills_of_an_owner_within_one_lease_are_seen_by_no_reader_and_the_quota_holds(
    tmp_path: Path, note: Note
) -> None:
    with federation(tmp_path, TWO) as running:
        things = [Thing(f"ten/{n:03}", 16 * MIB + n, n) for n in range(20)]
        running.put(things)
        cluster = running.clusters[REGION]
        first, second, victim = cluster.machines
        reads = [Read(thing, 0, thing.size, True) for thing in things]
        wire = running.cables[LINE].towards(cluster.site)

        with (
            watched_prepaid(cluster) as prepaid,
            sampled(wire.received) as seen,
            crowd(running, {first: reads, second: reads[::-1]}, 4) as readers,
            killing([victim], every=0.9, down=0.1, seed=1, far=running.home.site, relentless=True, most=10) as kills,
        ):
            kills.wait()

    over, bound = seen.most_above(QUOTA, 1.0), allowed(QUOTA, prepaid.most) + kills.may_cost
    took = kills.kills[-1].at - kills.kills[0].at
    note(
        f"an owner killed 10 times in {took:.1f} s",
        f"{over / 1e6:+.2f} MB in the fullest second",
        f"<= {bound / 1e6:.2f} MB",
    )
    assert readers.faults == ()
    assert readers.bytes == 2 * sum(thing.size for thing in things)
    assert len(kills.kills) == 10
    assert over <= bound
