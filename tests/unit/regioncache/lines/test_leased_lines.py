"""A line under a lease: who waits, who is told to come again, and what the node tells the office that it wants."""

import itertools
from pathlib import Path

import pytest

from policy.leases.messages import Want
from policy.shares import Leaf
from regioncache.errors import NotSoon
from regioncache.lines.terms import Allowed
from regioncache.origins.base import Payer
from regioncache.pages import KIB, MIB
from tests.fakes.clock import settle
from tests.fakes.line_world import REC, Watch, World, world
from tests.fakes.scheduling import QUOTA

pytestmark = pytest.mark.anyio
BURST = 262_144.0
SILENT = "the lease office of line bj-use1 is silent since 14:03:05 UTC"
PERSON, LOADING = Payer("rec", "interactive"), Payer("rec", "prefetch")


async def test_before_the_first_lease_reads_wait_and_go_on_with_it(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True) as at:
        reading = at.start(at.read(REC, MIB))
        await at.alarms.run_for(5)
        assert at.wire.total == 0

        at.line.allow(Allowed(QUOTA, BURST))
        await at.alarms.run_for(2)

        assert reading.done()
        assert at.payload["rec"] == MIB


async def test_while_the_office_is_silent_and_nothing_is_left_a_read_is_told_why_and_when(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True) as at:
        at.line.allow(Allowed(silence=SILENT, retry_after=7.0))

        with pytest.raises(NotSoon, match=SILENT) as told:
            await at.read(REC, MIB)

        assert told.value.retry_after == 7.0
        assert at.line.statistics().slowed_down == 1


async def test_who_waited_already_is_not_sent_away_when_the_office_falls_silent(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True) as at:
        reading = at.start(at.read(REC, MIB))
        await at.alarms.run_for(1)
        at.line.allow(Allowed(silence=SILENT))
        await at.alarms.run_for(60)

        at.line.allow(Allowed(QUOTA, BURST))
        await at.alarms.run_for(2)

        assert reading.done()
        assert reading.exception() is None


async def test_in_the_silence_of_the_office_persons_are_served_and_prefetches_told_to_come_again(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, leased=True) as at:
        at.line.allow(Allowed(QUOTA / 4, BURST / 4, ceils={("class", "prefetch"): 0.0}, silence=SILENT))

        with pytest.raises(NotSoon, match=SILENT):
            await at.read(LOADING, MIB)
        await at.finish(at.read(PERSON, MIB))

        assert at.wire.total == MIB


async def test_who_begins_at_a_small_lease_is_not_told_to_come_again_before_the_office_could_answer(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, leased=True) as at:
        at.line.allow(Allowed(10_000.0, BURST))
        readings = [at.start(at.read(REC, 4 * MIB)) for _ in range(6)]
        await at.alarms.run_for(0.1)

        at.line.allow(Allowed(QUOTA, BURST))
        await at.alarms.run_for(5)

        assert [reading.done() and reading.exception() for reading in readings] == [None] * 6


async def test_prepaid_room_follows_the_rate_of_the_lease(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True) as at:
        at.line.allow(Allowed(QUOTA, BURST))
        await at.finish(at.read(REC, 100 * KIB))
        whole = at.line.statistics().prepaid_limit

        at.line.allow(Allowed(QUOTA / 4, BURST))

        assert at.line.statistics().prepaid_limit == pytest.approx(whole / 4)


async def test_bytes_on_the_wire_stay_within_a_lease_that_changes_and_what_was_prepaid(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True) as at:
        at.line.allow(Allowed(QUOTA, BURST))
        watch = Watch(at)
        for _ in range(4):
            at.start(at.stream(REC, 1 << 40))
        at.start(at.stream(PERSON, 1 << 40))

        for part in itertools.islice(itertools.cycle([1.0, 0.3, 0.6, 0.0, 0.9]), 50):
            at.line.allow(Allowed(part * QUOTA, BURST))
            await at.alarms.run_for(0.3)

        assert watch.excess <= BURST + KIB
        assert at.wire.total * 1.06 >= 0.8 * QUOTA * 15 * 0.56


def demand_of(at: World, leaf: Leaf) -> tuple[float, bool]:
    want = at.line.wants().get(leaf, Want(0.0))
    return want.rate, want.waited


async def test_who_waits_wants_all_that_its_requests_have_to_bring(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True) as at:
        at.start(at.read(REC, 8 * MIB))
        await at.alarms.run_for(1)

        wants, waits = demand_of(at, Leaf("other", "training"))

        assert waits
        assert wants == pytest.approx(1.25 * 8 * MIB * 1.06)


async def test_a_leaf_that_is_held_back_by_its_share_wants_twice_its_use_at_least(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True) as at:
        at.line.allow(Allowed(QUOTA / 4, BURST / 4))
        for _ in range(3):
            at.start(at.stream(REC, 1 << 40))
        await at.alarms.run_for(5)

        wants, waits = demand_of(at, Leaf("other", "training"))

        assert waits
        assert wants >= 2 * 0.9 * QUOTA / 4


async def test_a_moment_after_its_last_request_a_leaf_wants_nothing_and_the_office_is_to_hear_of_it(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, leased=True) as at:
        at.line.allow(Allowed(QUOTA, BURST))
        heard: list[int] = []
        at.line.on_demand(lambda: heard.append(len(at.line.wants())))

        await at.finish(at.read(REC, 8 * MIB))
        await at.alarms.run_for(1)

        assert heard == [1, 1, 0]


async def test_the_office_hears_that_a_leaf_wants_nothing_though_the_timer_rang_early(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True, early=0.002) as at:
        at.line.allow(Allowed(QUOTA, BURST))
        heard: list[int] = []
        at.line.on_demand(lambda: heard.append(len(at.line.wants())))

        await at.finish(at.read(REC, 8 * MIB))
        await at.alarms.run_for(1)

        assert heard == [1, 1, 0]


async def test_the_office_is_to_hear_at_once_when_a_leaf_begins_and_ends(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True) as at:
        heard: list[float] = []
        at.line.allow(Allowed(QUOTA, BURST))
        at.line.on_demand(lambda: heard.append(at.alarms()))

        first, second = at.start(at.read(REC, MIB)), at.start(at.read(REC, MIB))
        await settle()
        begun = len(heard)
        await at.alarms.run_for(5)

        assert begun == 1
        assert first.done()
        assert second.done()
        assert len(heard) == 3


async def test_a_node_that_is_alone_takes_no_lease_and_tells_of_no_demand(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        at.start(at.read(REC, 8 * MIB))
        await at.alarms.run_for(0.1)

        assert at.line.wants() == {}
        assert at.line.allowed is None
        with pytest.raises(RuntimeError, match="alone"):
            at.line.allow(Allowed(QUOTA, BURST))


async def test_a_lease_that_ran_out_while_nobody_looked_fills_no_bucket_beyond_its_end(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True) as at:
        end = at.alarms() + 1.0
        at.line.allow(Allowed(1e6, 1e7, until=end))
        at.line.on_lapse(lambda: at.line.allow(Allowed(), since=end))
        reading = at.start(at.read(REC, 8 * MIB))
        await at.alarms.run_for(30)

        debited = at.line.statistics().debited

        assert not reading.done()
        assert debited <= 1e6 * 1.0 + 1


async def test_who_gave_a_lease_is_asked_what_holds_after_it(tmp_path: Path) -> None:
    async with world(tmp_path, leased=True) as at:
        at.line.allow(Allowed(QUOTA, BURST, until=at.alarms() + 1.0))
        at.line.on_lapse(lambda: at.line.allow(Allowed(QUOTA / 10, BURST)))

        await at.alarms.run_for(2)
        at.start(at.read(REC, 64 * MIB))
        await at.alarms.run_for(5)

        assert at.wire.total * 1.06 <= QUOTA / 10 * 5 + 2 * BURST + 2 * MIB
