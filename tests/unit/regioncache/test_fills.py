"""Fills under faults: what broke is resumed, what is not kept is shared, what was had before is counted as such."""

import asyncio
import errno
import shutil
from pathlib import Path

import pytest

from regioncache.errors import NoSuchObject, OriginUnavailable, Refused, SlowDown
from regioncache.opened import Terms
from regioncache.origins.base import Payer
from regioncache.pages import MIB, STEP_BYTES, ObjectId, Span, Version
from tests.fakes.clock import settle
from tests.fakes.faulty import Fault, reset, short_body, stall
from tests.fakes.ramp import ramp
from tests.fakes.region import Region, cut_short, drained, region
from tests.fakes.storing import FaultyCalls

pytestmark = pytest.mark.anyio
NEVER_KEPT = Terms(keep=False)


async def ended(cache: Region) -> None:
    """Waits until every flight has landed for good."""
    while flights := list(cache.app.flights):
        await flights[0].change()


def held(cache: Region, key: str, pages: Span) -> list[Span]:
    """The runs of pages on disk."""
    asked = cache.asked(key)
    version = Version(cache.origin.bucket.find(key).etag)
    return cache.app.store.present(ObjectId(*asked.oid), version, cache.page, pages)


# Broken replies.


@pytest.mark.parametrize("fault", [reset(after=2 * MIB + 100_000), short_body(after=2 * MIB + 100_000)])
async def test_a_broken_reply_is_resumed_from_its_last_landed_block(tmp_path: Path, fault: Fault) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        cache.faulty[0].next(fault)

        assert await cache.read("k") == ramp(0, 4 * MIB)

        landed = 2 * MIB + 65536
        assert cache.origin.spans("k") == [Span(0, 64 * MIB), Span(landed, 4 * MIB)]
        kinds = cache.kinds()
        assert (kinds["unique"], kinds["retry"]) == (4 * MIB, 100_000 - 65536)


async def test_a_reply_that_breaks_again_and_again_is_resumed_as_long_as_pages_come(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 12 * MIB)
        cache.faulty[0].next(*(reset(after=MIB + 1) for _ in range(8)))

        assert await cache.read("k") == ramp(0, 12 * MIB)

        assert cache.faulty[0].asked == 9


async def test_a_reply_that_breaks_without_progress_is_given_up_after_three_requests(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 12 * MIB)
        cache.faulty[0].always = reset(after=70_000)

        got, fault = await cut_short(await cache.open("k"))

        assert isinstance(fault, OriginUnavailable)
        assert got == ramp(0, len(got))
        assert cache.faulty[0].asked == 3


async def test_a_broken_reply_goes_on_by_the_next_way(tmp_path: Path) -> None:
    async with region(tmp_path, ways=2) as cache:
        cache.put("k", 4 * MIB)
        cache.faulty[0].next(reset(after=MIB))

        assert await cache.read("k") == ramp(0, 4 * MIB)

        assert cache.origins[1].spans("k") == [Span(MIB, 4 * MIB)]


async def test_a_small_object_whose_reply_broke_is_kept_whole(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 200_000)
        cache.faulty[0].next(reset(after=100_000))

        assert await cache.read("k") == ramp(0, 200_000)
        await ended(cache)

        assert await cache.read("k") == ramp(0, 200_000)
        assert cache.origin.count("read") == 2
        kinds = cache.kinds()
        assert (kinds["unique"], kinds["retry"]) == (200_000, 100_000 - 65536)


# Readers that leave.


async def test_an_abandoned_request_with_little_left_is_finished(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 9 * MIB)
        halted = stall(after=MIB)
        cache.faulty[0].next(halted)
        opened = await cache.open("k")
        await halted.reached.wait()
        opened.close()
        halted.released.set()
        await ended(cache)

        assert held(cache, "k", Span(0, 9)) == [Span(0, 9)]
        assert cache.kinds() == {"unique": 9 * MIB}


async def test_an_abandoned_request_with_much_left_is_closed_and_its_whole_pages_kept(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 60 * MIB)
        halted = stall(after=2 * MIB + 3 * 65536)
        cache.faulty[0].next(halted)
        opened = await cache.open("k")
        await halted.reached.wait()
        opened.close()
        halted.released.set()
        await ended(cache)

        assert held(cache, "k", Span(0, 60)) == [Span(0, 2)]
        assert cache.origin.open_readings == 0
        assert cache.kinds()["unique"] == 2 * MIB
        assert cache.kinds()["over_read"] >= 3 * 65536

        assert await cache.read("k", 0, 10 * MIB) == ramp(0, 10 * MIB)
        assert cache.origin.spans("k")[-1] == Span(2 * MIB, 10 * MIB)


async def test_a_reader_that_is_cancelled_while_it_opens_leaves_nobody_waiting(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 60 * MIB)
        slow = stall()
        cache.faulty[0].next(slow)
        opening = asyncio.create_task(cache.open("k"))
        await slow.reached.wait()
        (flight,) = cache.app.flights

        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)

        assert flight.waiting() == 0
        assert flight.abandoned
        slow.released.set()


async def test_a_reader_told_to_come_again_finds_its_flight_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regioncache.service.FIRST_PIECE_SECONDS", 0.01)
    async with region(tmp_path) as cache:
        cache.put("k", 40 * MIB)
        slow = stall()
        cache.faulty[0].next(slow)

        with pytest.raises(SlowDown):
            await cache.read("k")
        slow.released.set()
        await ended(cache)

        assert held(cache, "k", Span(0, 40)) == [Span(0, 40)]
        assert await cache.read("k") == ramp(0, 40 * MIB)
        assert cache.origin.count("read") == 1


async def test_a_flight_ends_with_its_node_and_keeps_its_whole_pages(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 60 * MIB)
        cache.faulty[0].next(stall(after=3 * MIB + 5))
        opened = await cache.open("k")
        origin, clock = cache.origin, cache.clock
        while held(cache, "k", Span(0, 3)) != [Span(0, 3)]:
            await asyncio.sleep(0)
        opened.close()

    async with region(tmp_path, clock=clock, origin=origin) as cache:
        assert held(cache, "k", Span(0, 60)) == [Span(0, 3)]


# What is not kept.


async def test_what_is_never_kept_is_shared_within_a_window(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 12 * MIB)

        got = await asyncio.gather(*(cache.read("k", terms=NEVER_KEPT) for _ in range(8)))
        await ended(cache)

        assert set(got) == {ramp(0, 12 * MIB)}
        assert cache.origin.count("read") == 1
        assert cache.app.store.statistics().extents == 0
        assert set(cache.app.memory.held().values()) == {0}


async def test_what_is_never_kept_is_fetched_anew_by_the_next_reader(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 2 * MIB)
        for _ in range(2):
            assert await cache.read("k", terms=NEVER_KEPT) == ramp(0, 2 * MIB)
            await ended(cache)

        assert cache.origin.total_bytes == 4 * MIB


async def test_a_flight_that_is_not_kept_waits_for_its_slow_reader_within_a_window(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 60 * MIB)
        opened = await cache.open("k", terms=NEVER_KEPT)
        stream = opened.stream()
        await anext(stream)
        await settle(2000)

        assert cache.origin.total_bytes <= 17 * MIB + STEP_BYTES
        rest = await _rest(stream)

        assert rest == ramp(60 * MIB - len(rest), 60 * MIB)
        assert cache.origin.total_bytes == 60 * MIB


async def test_a_late_reader_of_what_is_not_kept_brings_what_has_left_the_window_itself(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 40 * MIB)
        ahead = await cache.open("k", terms=NEVER_KEPT)
        stream = ahead.stream()
        at = 0
        while at < 30 * MIB:
            at += len(await anext(stream))

        behind, rest = await asyncio.gather(cache.read("k", terms=NEVER_KEPT), _rest(stream))

        assert behind == ramp(0, 40 * MIB)
        assert rest == ramp(at, 40 * MIB)


async def _rest(stream: object) -> bytes:
    return b"".join([bytes(piece) async for piece in stream])  # type: ignore[attr-defined]


async def test_a_reader_that_stands_still_does_not_hold_up_another_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regioncache.fill.PATIENCE_SECONDS", 0.05)
    async with region(tmp_path) as cache:
        cache.put("k", 40 * MIB)
        still = await cache.open("k", terms=NEVER_KEPT)

        assert await cache.read("k", terms=NEVER_KEPT) == ramp(0, 40 * MIB)

        assert await drained(still) == ramp(0, 40 * MIB)


async def test_windows_stay_inside_the_memory_budget(tmp_path: Path) -> None:
    async with region(tmp_path, memory=24 * MIB) as cache:
        for number in range(6):
            cache.put(f"k{number}", 30 * MIB)
        opened = [await cache.open(f"k{number}", terms=NEVER_KEPT) for number in range(6)]
        await settle(3000)

        assert sum(cache.app.memory.held().values()) <= cache.app.memory.budget
        assert [await drained(each) for each in opened] == [ramp(0, 30 * MIB)] * 6


@pytest.mark.parametrize("size", [100_000, 3 * MIB])
async def test_a_full_disk_goes_on_without_keeping(tmp_path: Path, size: int) -> None:
    calls = FaultyCalls()
    async with region(tmp_path, calls=calls.calls()) as cache:
        cache.put("k", size)
        calls.writes = errno.ENOSPC

        assert await cache.read("k") == ramp(0, size)
        await ended(cache)
        calls.writes = 0
        assert await cache.read("k") == ramp(0, size)
        await ended(cache)
        asked = cache.origin.count("read")
        assert await cache.read("k") == ramp(0, size)

        assert cache.origin.count("read") == asked


async def test_a_disk_that_fills_under_a_flight_costs_no_reader_a_byte(tmp_path: Path) -> None:
    calls = FaultyCalls()
    async with region(tmp_path, calls=calls.calls()) as cache:
        cache.put("k", 30 * MIB)
        halted = stall(after=5 * MIB + 65536)
        cache.faulty[0].next(halted)
        reading = [asyncio.create_task(cache.read("k")) for _ in range(5)]
        await halted.reached.wait()
        calls.writes = errno.ENOSPC
        halted.released.set()

        assert set(await asyncio.gather(*reading)) == {ramp(0, 30 * MIB)}
        assert cache.origin.count("read") < 8


# What was had before.


def _extent_file(folder: Path) -> Path:
    (found,) = folder.glob("extents/*/*")
    return found


async def test_a_flipped_bit_on_disk_is_fetched_again_alone_and_counts_refetch(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        await cache.read("k")
        await ended(cache)
        origin, clock = cache.origin, cache.clock
    raw = bytearray(_extent_file(tmp_path).read_bytes())
    raw[16 * 1024 + 2 * MIB + 700_000] ^= 1
    _extent_file(tmp_path).write_bytes(raw)

    async with region(tmp_path, clock=clock, origin=origin) as cache:
        assert await cache.read("k") == ramp(0, 4 * MIB)
        await ended(cache)
        assert await cache.read("k", 2 * MIB, 3 * MIB) == ramp(2 * MIB, 3 * MIB)

        assert origin.spans("k") == [Span(0, 64 * MIB), Span(2 * MIB, 3 * MIB)]
        assert cache.kinds() == {"unique": 4 * MIB, "refetch": MIB}


async def test_a_flipped_bit_that_a_glance_finds_counts_refetch_too(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        await cache.read("k")
        await ended(cache)
        origin, clock = cache.origin, cache.clock
    raw = bytearray(_extent_file(tmp_path).read_bytes())
    raw[16 * 1024 + MIB + 10] ^= 1
    _extent_file(tmp_path).write_bytes(raw)

    async with region(tmp_path, clock=clock, origin=origin) as cache:
        await cache.read("k", 0, 10)
        assert await cache.read("k", MIB, MIB + 100) == ramp(MIB, MIB + 100)
        await ended(cache)

        assert cache.kinds() == {"unique": 4 * MIB, "refetch": MIB}


async def test_a_page_before_a_damaged_one_is_not_fetched_again(tmp_path: Path) -> None:
    page = 64 * 1024
    async with region(tmp_path, page=page) as cache:
        cache.put("k", MIB)
        await cache.read("k")
        await ended(cache)
        origin, clock = cache.origin, cache.clock
    raw = bytearray(_extent_file(tmp_path).read_bytes())
    raw[16 * 1024 + 2 * page + 7] ^= 1
    _extent_file(tmp_path).write_bytes(raw)

    async with region(tmp_path, clock=clock, origin=origin, page=page) as cache:
        assert await cache.read("k") == ramp(0, MIB)

        assert origin.spans("k") == [Span(0, 64 * MIB), Span(2 * page, 3 * page)]


async def test_a_damaged_small_object_is_fetched_again_and_counts_refetch(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 50_000)
        await cache.read("k")
        await ended(cache)
        origin, clock = cache.origin, cache.clock
    (segment,) = [path for path in tmp_path.glob("packs/*") if path.stat().st_size > 50_000]
    raw = bytearray(segment.read_bytes())
    raw[raw.index(ramp(0, 1000)) + 500] ^= 1
    segment.write_bytes(raw)

    async with region(tmp_path, clock=clock, origin=origin) as cache:
        assert await cache.read("k") == ramp(0, 50_000)

        assert cache.kinds() == {"unique": 50_000, "refetch": 50_000}


async def test_after_a_crash_only_the_first_missing_page_of_a_torn_run_counts_refetch(tmp_path: Path) -> None:
    live, dead = tmp_path / "live", tmp_path / "dead"
    async with region(live) as cache:
        cache.put("k", 20 * MIB)
        halted = stall(after=5 * MIB + 3 * 65536)
        cache.faulty[0].next(halted)
        opened = await cache.open("k")
        await halted.reached.wait()
        while held(cache, "k", Span(0, 5)) != [Span(0, 5)]:
            await asyncio.sleep(0)
        shutil.copytree(live, dead)
        origin, clock = cache.origin, cache.clock
        opened.close()
        halted.released.set()

    before = origin.total_bytes
    (dead / "ledger").unlink()
    async with region(dead, clock=clock, origin=origin) as cache:
        assert held(cache, "k", Span(0, 20)) == [Span(0, 5)]
        cache.faulty[0].next(reset(after=2 * MIB))

        assert await cache.read("k") == ramp(0, 20 * MIB)

        assert origin.total_bytes - before == 15 * MIB
        kinds = cache.kinds()
        assert (kinds["refetch"], kinds["unique"]) == (MIB, 14 * MIB)


async def test_a_reader_behind_the_torn_page_pays_nothing_as_refetch(tmp_path: Path) -> None:
    live, dead = tmp_path / "live", tmp_path / "dead"
    async with region(live) as cache:
        cache.put("k", 20 * MIB)
        halted = stall(after=5 * MIB + 3 * 65536)
        cache.faulty[0].next(halted)
        opened = await cache.open("k")
        await halted.reached.wait()
        while held(cache, "k", Span(0, 5)) != [Span(0, 5)]:
            await asyncio.sleep(0)
        shutil.copytree(live, dead)
        origin, clock = cache.origin, cache.clock
        opened.close()
        halted.released.set()

    (dead / "ledger").unlink()
    async with region(dead, clock=clock, origin=origin) as cache:
        await cache.read("k", 10 * MIB, 12 * MIB)
        await ended(cache)

        assert cache.kinds() == {"unique": 2 * MIB}


# Others.


async def test_one_object_that_fails_hurts_no_other(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("good", 2 * MIB)
        results = await asyncio.gather(
            cache.read("good"), cache.read("missing"), cache.read("good", payer=Payer("x")), return_exceptions=True
        )

        assert results[0] == results[2] == ramp(0, 2 * MIB)
        assert isinstance(results[1], NoSuchObject)


async def test_an_eviction_under_a_reader_costs_bytes_but_no_wrong_ones(tmp_path: Path) -> None:
    async with region(tmp_path, size=24 * MIB) as cache:
        for number in range(6):
            cache.put(f"k{number}", 8 * MIB)
        for _ in range(2):
            got = await asyncio.gather(*(cache.read(f"k{number}") for number in range(6)))
            assert got == [ramp(0, 8 * MIB)] * 6


async def test_a_payer_of_a_retried_request_is_whoever_waits_then(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 3 * MIB)
        cut = Fault(OriginUnavailable("reset"), after=MIB, stall=True)
        cache.faulty[0].next(cut)
        first = asyncio.create_task(cache.read("k", payer=Payer("rec", "backfill")))
        await cut.reached.wait()
        urgent = asyncio.create_task(cache.read("k", payer=Payer("search", "interactive")))
        await settle()
        cut.released.set()
        await asyncio.gather(first, urgent)

        assert [asked.payer for asked in cache.origin.asked] == [
            Payer("rec", "backfill"),
            Payer("search", "interactive"),
        ]


async def test_a_flight_that_finds_its_origin_away_says_when_to_come_again(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.faulty[0].always = Fault(Refused("nobody listens"))
        with pytest.raises(OriginUnavailable):
            await cache.read("k")

        assert cache.app.sources.away(cache.place("k"))
