"""What a line debits: what arrived and no more, to whoever pays at that time, under any policy."""

from pathlib import Path

import pytest

from regioncache.ledger import Entry
from regioncache.origins.base import Payer
from regioncache.pages import KIB, MIB
from tests.fakes.clock import settle
from tests.fakes.line_world import OVERHEAD, REC, SEARCH, world
from tests.fakes.scheduling import policy

pytestmark = pytest.mark.anyio


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


async def test_a_question_that_is_put_again_pays_for_each_answer_and_keeps_no_room(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")
        await crossing.prepay(MIB, 128 * KIB)
        crossing.learned(300)
        crossing.read(await crossing.room(300))
        crossing.spoil(300, "meta")

        crossing.again()
        assert at.line.statistics().prepaid == 0
        await crossing.prepay(MIB, 128 * KIB)
        crossing.learned(1000)
        crossing.read(await crossing.room(1000))
        crossing.close()

        kinds = {entry.kind: nbytes for entry, nbytes in at.ledger.totals().items() if nbytes}
        assert kinds == {"meta": 300, "unique": 1000}
        assert at.line.statistics().prepaid == 0


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
