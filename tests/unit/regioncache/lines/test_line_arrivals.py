"""What arrives over a line: never above its quota and burst, close to it while readers are there, and shared."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regioncache.origins.base import Payer
from regioncache.pages import KIB, MIB
from tests.fakes.line_world import OVERHEAD, REC, SEARCH, Watch, world
from tests.fakes.scheduling import QUOTA, policy

pytestmark = pytest.mark.anyio


@settings(max_examples=settings().max_examples // 4)
@given(st.data())
async def test_what_arrives_in_any_interval_is_within_quota_burst_and_prepaid(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    trip = data.draw(st.sampled_from([0.0, 0.001, 0.02, 0.08, 0.2]))
    async with world(tmp_path_factory.mktemp("line"), policy(tenants={"rec": {"weight": 3}}), trip) as at:
        watch = Watch(at)
        for _ in range(data.draw(st.integers(1, 25))):
            payer = Payer(
                data.draw(st.sampled_from(["rec", "x"])), data.draw(st.sampled_from(["training", "backfill"]))
            )
            asked = data.draw(st.sampled_from([1, 100 * KIB, MIB, 3 * MIB, 16 * MIB]))
            size = data.draw(st.sampled_from([asked, asked, max(1, asked // 7)]))
            at.start(at.read(payer, asked, size, data.draw(st.booleans())))
            await at.alarms.run_for(data.draw(st.sampled_from([0.0, 0.0, 0.01, 0.2])))
            if data.draw(st.integers(0, 9)) < 2:
                data.draw(st.sampled_from(at.tasks)).cancel()
        await at.alarms.run_for(2)

        assert watch.excess <= at.line.statistics().burst * 1.0001 + 1
        assert watch.over_limit <= 1


async def test_with_the_limiter_off_more_arrives(tmp_path: Path) -> None:
    async with world(tmp_path, limited=False) as at:
        watch = Watch(at)
        for _ in range(16):
            at.start(at.read(REC, 16 * MIB))
        await at.alarms.run_for(2)

        assert watch.excess > 10 * at.line.statistics().burst


async def test_with_the_limiter_off_the_ledger_still_counts(tmp_path: Path) -> None:
    async with world(tmp_path, limited=False) as at:
        at.start(at.read(REC, 3 * MIB))
        await at.alarms.run_for(10)

        assert sum(at.ledger.totals().values()) == 3 * MIB == at.wire.total


@pytest.mark.parametrize("trip", [0.0005, 0.08])
async def test_sixteen_readers_fill_the_line(tmp_path: Path, trip: float) -> None:
    async with world(tmp_path, round_trip=trip) as at:
        start = at.alarms()
        for _ in range(16):
            at.start(at.stream(REC, 1 << 40))
        await at.alarms.run_for(5)

        assert at.debited_rate(start) >= 0.9 * QUOTA


async def test_one_sequential_reader_fills_four_fifths_at_80_ms(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        await at.finish(at.read(REC, 100 * KIB))
        start = at.alarms()
        at.start(at.stream(REC, 1 << 40))
        await at.alarms.run_for(10)

        assert at.debited_rate(start) >= 0.8 * QUOTA


async def test_32_readers_of_small_unknown_objects_fill_the_line_at_80_ms(tmp_path: Path) -> None:
    async with world(tmp_path) as at:

        async def reader() -> None:
            while True:
                await at.read(REC, MIB, 100 * KIB, known=False)

        start = at.alarms()
        for _ in range(32):
            at.start(reader())
        await at.alarms.run_for(5)

        assert at.debited_rate(start) >= 0.85 * QUOTA


async def test_two_tenants_share_three_to_one(tmp_path: Path) -> None:
    async with world(tmp_path, policy(tenants={"rec": {"weight": 3}, "search": {"weight": 1}}), 0.01) as at:
        for payer in (REC, SEARCH) * 4:
            at.start(at.stream(payer, 1 << 40))
        await at.alarms.run_for(3)
        before = dict(at.payload)
        await at.alarms.run_for(8)

        rec, search = (at.payload[name] - before[name] for name in ("rec", "search"))
        assert rec / search == pytest.approx(3, rel=0.05)


async def test_backfill_keeps_its_floor_beside_training(tmp_path: Path) -> None:
    async with world(tmp_path, round_trip=0.001) as at:
        for n in range(4):
            at.start(at.stream(Payer(f"t{n}", "training"), 1 << 40))
            at.start(at.stream(Payer("loads", "backfill"), 1 << 40))
        await at.alarms.run_for(4)
        before = dict(at.payload)
        await at.alarms.run_for(8)

        backfill = (at.payload["loads"] - before["loads"]) * OVERHEAD / 8
        training = sum(at.payload[f"t{n}"] - before[f"t{n}"] for n in range(4)) * OVERHEAD / 8
        assert backfill == pytest.approx(0.01 * QUOTA, abs=0.005 * QUOTA)
        assert training >= 0.97 * QUOTA


async def test_a_load_that_had_the_line_to_itself_gives_way_to_training(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        for _ in range(4):
            at.start(at.stream(Payer("loads", "backfill"), 1 << 40))
        await at.alarms.run_for(3)
        for n in range(4):
            at.start(at.stream(Payer(f"t{n}", "training"), 1 << 40))
        await at.alarms.run_for(10)
        before = dict(at.payload)
        await at.alarms.run_for(5)

        # 80 ms away the prepaid room binds: what backfill's least buffers hold of it is not training's.
        training = sum(at.payload.get(f"t{n}", 0) - before.get(f"t{n}", 0) for n in range(4)) * OVERHEAD / 5
        assert training >= 0.85 * QUOTA


async def test_a_slow_line_carries_one_stream(tmp_path: Path) -> None:
    async with world(tmp_path, policy("1Mbps")) as at:
        start = at.alarms()
        at.start(at.stream(REC, 1 << 40))
        await at.alarms.run_for(60)

        assert 0.9 * 125_000 <= at.debited_rate(start) <= 125_000 + (262_144 + 2 * 262_144 * OVERHEAD) / 60
