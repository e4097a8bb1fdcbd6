"""Waiting for a line: how long, counted for whom, and what comes back from those who give up."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regioncache.errors import SlowDown
from regioncache.origins.base import Payer
from regioncache.pages import KIB, MIB
from tests.fakes.clock import settle
from tests.fakes.line_world import OVERHEAD, REC, SEARCH, world
from tests.fakes.scheduling import policy

pytestmark = pytest.mark.anyio


async def test_a_free_line_makes_nobody_wait(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(100 * KIB, 208 * KIB)

        assert crossing.waited == 0
        crossing.close()


async def test_a_crossing_says_how_long_it_has_waited_so_far(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        await at.finish(at.read(REC, 100 * KIB))
        at.start(at.read(REC, 64 * MIB))
        await at.alarms.run_for(0.5)
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        at.start(crossing.prepay(16 * MIB, 3 * MIB))

        await at.alarms.run_for(0.25)

        assert crossing.waited == pytest.approx(0.25)
        assert at.line.statistics().waiting >= 1


async def test_a_busy_far_side_is_not_taken_for_a_long_line(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(100 * KIB, 208 * KIB, round_trip=0.004)
        await at.alarms.run_for(0.5)
        crossing.learned(100 * KIB)

        assert at.line.statistics().round_trip == 0.004
        crossing.close()


async def test_waits_are_counted_by_class(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        for _ in range(3):
            at.start(at.read(Payer("rec", "interactive"), 100 * KIB))
        await at.alarms.run_for(1)

        assert sum(at.line.statistics().waits["interactive"].counts) == 3


async def test_who_is_not_expected_within_25_s_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with world(tmp_path, policy("1Mbps")) as at:
        for _ in range(8):
            at.start(at.read(REC, 64 * MIB))
        await at.alarms.run_for(1)

        with pytest.raises(SlowDown, match=r"line bj-use1 has no room for other \(training\) within 25 s") as told:
            await at.read(SEARCH, 64 * MIB)

        assert 1 <= told.value.retry_after <= 60
        assert at.line.statistics().slowed_down >= 1


async def test_who_is_patient_waits_where_another_is_told_to_come_again(tmp_path: Path) -> None:
    async with world(tmp_path, policy("1Mbps")) as at:
        for _ in range(8):
            at.start(at.read(REC, 64 * MIB))
        await at.alarms.run_for(1)
        before = at.line.statistics().waiting
        crossing = at.line.crossing(lambda: SEARCH, "b", lambda: "unique")
        crossing.patient = True

        waiting = at.start(crossing.prepay(64 * MIB, 208 * KIB))
        await settle()

        assert at.line.statistics().waiting == before + 1
        assert not waiting.done()


async def test_urgent_reads_are_not_sent_away_because_patient_flights_wait(tmp_path: Path) -> None:
    async with world(tmp_path, policy("10Mbps")) as at:
        loading = Payer("rec", "prefetch")
        for _ in range(8):
            at.start(at.read(loading, 64 * MIB))
        await at.alarms.run_for(1)
        for _ in range(16):
            patient = at.line.crossing(lambda: loading, "b", lambda: "unique")
            patient.patient = True
            at.start(patient.prepay(64 * MIB, 208 * KIB))
        await settle()

        await at.finish(at.read(Payer("search", "interactive"), 64 * KIB))

        assert at.payload["search"] == 64 * KIB
        assert at.line.statistics().waiting >= 16


async def test_cancelled_while_it_waits_a_request_leaves_nothing_behind(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        await at.finish(at.read(REC, 100 * KIB))
        at.start(at.read(REC, 64 * MIB))
        await at.alarms.run_for(0.5)
        before = at.line.statistics()
        waiting = [at.start(at.read(SEARCH, 16 * MIB)) for _ in range(4)]
        await settle()
        during = at.line.statistics()

        for task in waiting:
            task.cancel()
        await settle()

        after = at.line.statistics()
        assert during.waiting == before.waiting + 4
        assert (after.waiting, after.prepaid, after.debited) == (before.waiting, before.prepaid, before.debited)
        assert not any(entry.tenant == "search" for entry in at.ledger.totals())


@settings(max_examples=settings().max_examples // 4)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12))
async def test_cancelled_at_any_moment_everything_comes_back(
    tmp_path_factory: pytest.TempPathFactory, moments: list[int]
) -> None:
    async with world(tmp_path_factory.mktemp("line"), round_trip=0.01) as at:
        tasks = [at.start(at.read(Payer(f"t{n}"), 2 * MIB)) for n in range(len(moments))]
        for turn in range(max(moments) + 1):
            for task, moment in zip(tasks, moments, strict=True):
                if moment == turn:
                    task.cancel()
            await at.alarms.run_for(0.005, turns=1)
        await at.alarms.run_for(1)

        seen = at.line.statistics()
        assert (seen.prepaid, seen.running, seen.waiting) == (0, 0, 0)
        totals = at.ledger.totals()
        assert sum(totals.values()) >= at.wire.total
        assert seen.debited == pytest.approx(sum(totals.values()) * OVERHEAD)
        assert sum(n for entry, n in totals.items() if entry.kind == "unique") == sum(at.payload.values())


async def test_what_was_granted_to_a_task_that_is_cancelled_before_it_ran_on_comes_back(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        first = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await first.prepay(150 * KIB, 150 * KIB)
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        waiting = at.start(crossing.prepay(150 * KIB, 150 * KIB))
        await settle()
        before = at.line.statistics()

        await at.alarms.run_for(1, turns=0)
        granted = at.line.statistics().debited
        waiting.cancel()
        await settle()

        assert before.waiting == 1
        assert granted > before.debited
        assert at.line.statistics().debited == pytest.approx(150 * KIB * OVERHEAD)
        first.close()


async def test_a_head_never_waits(tmp_path: Path) -> None:
    async with world(tmp_path, policy("1Mbps")) as at:
        for _ in range(4):
            at.start(at.read(REC, 64 * MIB))
        await at.alarms.run_for(1)
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "meta")

        await crossing.prepay(0, 128 * KIB)
        crossing.learned(0)
        crossing.close()

        assert crossing.waited == 0


async def test_listings_hardly_wait_on_a_full_line(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        for _ in range(16):
            at.start(at.stream(REC, 1 << 40))
        await at.alarms.run_for(2)
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "meta")
        prepaying = at.start(crossing.prepay(64 * KIB, 128 * KIB))

        await at.alarms.run_for(0.1)

        assert prepaying.done()
        crossing.close()
