"""A line in virtual time, read over connections that send as early as a kernel lets them."""

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.model import LinePolicy
from regioncache.errors import SlowDown
from regioncache.ledger import Entry, Ledger
from regioncache.lines.line import Line
from regioncache.origins.base import Payer
from regioncache.pages import KIB, MIB
from tests.fakes.alarms import Alarms
from tests.fakes.clock import settle
from tests.fakes.wire import Wire

pytestmark = pytest.mark.anyio

QUOTA = 25_000_000.0
OVERHEAD = 1.06
REC, SEARCH = Payer("rec"), Payer("search")


def policy(quota: str = "200Mbps", **more: object) -> LinePolicy:
    return LinePolicy.model_validate({"quota": quota, **more})


@dataclass
class World:
    """A line, its ledger, the wire beneath, and the readers that were started on it."""

    line: Line
    ledger: Ledger
    alarms: Alarms
    wire: Wire
    payload: dict[str, int] = field(default_factory=dict)
    """Bytes read, by tenant."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, reading: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Starts it; the world ends it."""
        task = asyncio.create_task(reading)
        self.tasks.append(task)
        return task

    async def read(
        self, payer: Payer, asked: int, size: int | None = None, known: bool = True, until: float = math.inf
    ) -> None:
        """Reads one reply, as a flight does."""
        crossing = self.line.crossing(lambda: payer, "train-bj", lambda: "unique")
        try:
            buffer = 2 * crossing.buffer_wanted(asked, known)
            connection = self.wire.connect(buffer)
            await crossing.prepay(asked, buffer)
            connection.send(asked if size is None else size)
            await connection.head()
            left = asked if size is None else size
            crossing.learned(left)
            while left and self.alarms() < until:
                room = await crossing.room(min(left, 256 * KIB))
                got = await connection.receive(room)
                crossing.read(got)
                left -= got
                self.payload[payer.tenant] = self.payload.get(payer.tenant, 0) + got
        finally:
            crossing.close()

    async def stream(self, payer: Payer, nbytes: int, until: float = math.inf) -> None:
        """Reads one long object after the other, in requests as long as the line wants them."""
        left = nbytes
        while left and self.alarms() < until:
            crossing = self.line.crossing(lambda: payer, "train-bj", lambda: "unique")
            asked = crossing.request_wanted(min(left, 64 * MIB))
            await self.read(payer, asked, until=until)
            left -= asked

    async def finish(self, reading: Coroutine[None, None, None]) -> None:
        """Lets time pass until the reading is over."""
        task = self.start(reading)
        while not task.done():
            await self.alarms.run_for(0.01)

    def debited_rate(self, since: float) -> float:
        """Debited bytes/s that arrived from `since` on."""
        return sum(n for at, n in self.wire.arrivals if at > since) * OVERHEAD / (self.alarms() - since)


@asynccontextmanager
async def world(
    path: Path, of: LinePolicy | None = None, round_trip: float = 0.08, limited: bool = True
) -> AsyncIterator[World]:
    alarms, ledger = Alarms(), Ledger.open(path / "ledger")
    line = Line("bj-use1", "idc-bj>aws-use1", of or policy(), ledger, alarms, later=alarms.later, limited=limited)
    built = World(line, ledger, alarms, Wire(alarms, round_trip))
    try:
        yield built
    finally:
        for task in built.tasks:
            task.cancel()
        await asyncio.gather(*built.tasks, return_exceptions=True)
        ledger.close()


class Watch:
    """Both bounds of Burst: in any interval arrived <= quota x T + burst + what was prepaid at its start."""

    def __init__(self, built: World) -> None:
        self._world = built
        self._lowest = math.inf
        self.excess = 0.0
        """The most debited bytes by which an interval was above quota x T + prepaid."""
        self.over_limit = 0.0
        """The most by which prepaid bytes were above their limit."""
        built.wire.watch = self._arriving

    def _arriving(self, nbytes: int) -> None:
        seen = self._world.line.statistics()
        ahead = self._world.wire.total * OVERHEAD - QUOTA * self._world.alarms()
        self._lowest = min(self._lowest, ahead + seen.prepaid)
        self.excess = max(self.excess, ahead + nbytes * OVERHEAD - self._lowest)
        self.over_limit = max(self.over_limit, seen.prepaid - seen.prepaid_limit)


# ---- Q2: what arrives ----


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


# ---- how full the line is ----


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


# ---- waiting, and giving up ----


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


async def test_a_broken_off_reply_is_over_read_and_not_credited(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(10 * MIB, 128 * KIB)
        crossing.learned(10 * MIB)
        crossing.read(await crossing.room(10 * KIB))
        debited = at.line.statistics().debited

        crossing.close()

        entry = Entry("bj-use1", "idc-bj>aws-use1", "rec", "training", "train-bj", "unique")
        totals = at.ledger.totals()
        assert totals[entry.of_kind("over_read")] == 128 * KIB
        assert at.line.statistics().debited == debited


async def test_a_broken_off_reply_holds_its_room_for_a_round_trip(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(10 * MIB, 128 * KIB)
        await at.alarms.run_for(0.08)
        crossing.learned(10 * MIB)

        crossing.close()
        before = at.line.statistics().prepaid
        await at.alarms.run_for(0.081)

        assert before == pytest.approx(128 * KIB * OVERHEAD)
        assert at.line.statistics().prepaid == 0


# ---- credits ----


async def test_a_shorter_reply_is_credited(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(MIB, 128 * KIB)

        crossing.learned(1000)

        assert at.line.statistics().debited == pytest.approx(1000 * OVERHEAD)
        assert sum(at.ledger.totals().values()) == 1000
        crossing.close()


async def test_a_longer_reply_than_was_asked_for_is_owed(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(1000, 128 * KIB)

        crossing.learned(MIB)

        assert sum(at.ledger.totals().values()) == 128 * KIB
        crossing.close()


async def test_a_reply_of_unknown_length_is_counted_to_its_end(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "meta")
        await crossing.prepay(64 * KIB, 128 * KIB)

        async def body() -> None:
            left = 200_000
            while left:
                got = min(left, await crossing.room(20_000))
                crossing.read(got)
                left -= got

        await at.finish(body())
        crossing.learned(200_000)
        crossing.close()

        totals = at.ledger.totals()
        assert {entry.kind: n for entry, n in totals.items()} == {"meta": 200_000}


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


# ---- who pays ----


@pytest.mark.parametrize("waits_for", ["room", "debit"])
async def test_a_waiting_prefetch_is_promoted_in_place(tmp_path: Path, waits_for: str) -> None:
    async with world(tmp_path) as at:
        await at.finish(at.read(REC, 100 * KIB))
        for _ in range(6):
            at.start(at.read(Payer("rec", "training"), 64 * MIB))
        await at.alarms.run_for(0.5)
        payer = [Payer("rec", "prefetch")]
        crossing = at.line.crossing(lambda: payer[0], "train-bj", lambda: "unique")
        prepaying = at.start(crossing.prepay(2 * MIB if waits_for == "room" else MIB, 512 * KIB))
        await settle()

        payer[0] = Payer("rec", "interactive")
        crossing.promote()
        await at.alarms.run_for(0.2)

        assert prepaying.done()
        assert crossing.waited > 0
        paid = {entry.cls: n for entry, n in at.ledger.totals().items()}
        assert paid["interactive"] >= 400 * KIB
        crossing.close()


async def test_every_step_is_counted_for_who_pays_at_that_time(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        payer = [REC]
        crossing = at.line.crossing(lambda: payer[0], "train-bj", lambda: "unique")
        await crossing.prepay(300 * KIB, 100 * KIB)
        payer[0] = SEARCH
        while crossing_left := 300 * KIB - at.payload.get("all", 0):
            room = at.start(_into(crossing, crossing_left, at.payload))
            await at.alarms.run_for(0.1)
            assert room.done()
        crossing.close()

        by_tenant = {entry.tenant: n for entry, n in at.ledger.totals().items()}
        assert by_tenant == {"rec": 100 * KIB, "search": 200 * KIB}


async def _into(crossing: object, left: int, payload: dict[str, int]) -> None:
    room = await crossing.room(min(left, 64 * KIB))  # type: ignore[attr-defined]
    crossing.read(room)  # type: ignore[attr-defined]
    payload["all"] = payload.get("all", 0) + room


async def test_what_is_thrown_away_is_relabelled(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(1000, 128 * KIB)
        crossing.read(await crossing.room(1000))

        crossing.spoil(300, "retry")
        crossing.close()

        assert {entry.kind: n for entry, n in at.ledger.totals().items()} == {"unique": 700, "retry": 300}
        assert at.ledger.once_ratio("bj-use1") == 0.7


# ---- another policy, and misuse ----


async def test_another_policy_resets_no_counter_and_nobody_loses_its_place(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        for _ in range(4):
            at.start(at.stream(REC, 1 << 40))
        await at.alarms.run_for(1)
        before, counted = at.line.statistics(), sum(at.ledger.totals().values())

        at.line.adopt(policy("100Mbps", tenants={"rec": {"weight": 2}}))

        after = at.line.statistics()
        assert (after.debited, after.running, after.waits) == (before.debited, before.running, before.waits)
        assert sum(at.ledger.totals().values()) == counted
        await at.alarms.run_for(1)
        since = at.alarms()
        await at.alarms.run_for(4)
        assert at.debited_rate(since) == pytest.approx(12_500_000, rel=0.05)


async def test_a_crossing_is_for_one_request(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(1000, 1000)

        with pytest.raises(RuntimeError, match="a crossing is the account of one request"):
            await crossing.prepay(1000, 1000)
        crossing.close()


async def test_nothing_is_read_before_it_is_prepaid(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")

        with pytest.raises(RuntimeError, match="before `prepay`"):
            crossing.read(1)


async def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(1000, 1000)
        crossing.close()

        crossing.close()

        assert {entry.kind: n for entry, n in at.ledger.totals().items()} == {"over_read": 1000}


async def test_repr_says_what_the_line_does(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(1000, 1000)

        assert "1 running, 0 waiting" in repr(at.line)
        assert repr(crossing) == "<LineCrossing bj-use1 rec/training open <Account 0 read, 1000 debited of 1000 B>>"
        crossing.close()
