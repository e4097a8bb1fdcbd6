"""Readers of the same pages at the same time: one flight for all, paid by the most urgent."""

import asyncio
from pathlib import Path

import pytest

from regioncache.origins.base import Payer
from regioncache.pages import MIB
from tests.fakes.clock import settle
from tests.fakes.faulty import stall
from tests.fakes.ramp import ramp
from tests.fakes.region import drained, region

pytestmark = pytest.mark.anyio


async def test_fifty_readers_of_a_cold_object_share_one_flight(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 5 * MIB + 3)

        got = await asyncio.gather(*(cache.read("k") for _ in range(50)))

        assert set(got) == {ramp(0, 5 * MIB + 3)}
        assert cache.origin.count("read") == 1


async def test_a_reader_joins_in_the_middle_and_gets_what_has_landed_before_the_rest_comes(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        halted = stall(after=2 * MIB)
        cache.faulty[0].next(halted)
        first = asyncio.create_task(cache.read("k"))
        await halted.reached.wait()

        late = await cache.open("k", MIB, 3 * MIB)
        assert bytes(late._first.view) == ramp(MIB, MIB + len(late._first.view))
        halted.released.set()

        assert await drained(late) == ramp(MIB, 3 * MIB)
        assert await first == ramp(0, 4 * MIB)
        assert cache.origin.count("read") == 1


async def test_readers_of_random_ranges_bring_each_page_once(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        size = 20 * MIB + 77
        cache.put("k", size)
        ranges = [(at * 7_654_321 % size, at * 7_654_321 % size + 1 + at * 104_729 % (3 * MIB)) for at in range(1, 41)]

        got = await asyncio.gather(*(cache.read("k", start, end) for start, end in ranges))

        assert all(data == ramp(s, min(e, size)) for data, (s, e) in zip(got, ranges, strict=True))
        pages = {page for s, e in ranges for page in range(s // MIB, (min(e, size) - 1) // MIB + 1)}
        touched = sum(min((page + 1) * MIB, size) - page * MIB for page in pages)
        assert cache.origin.total_bytes == touched
        assert cache.kinds() == {"unique": touched}


async def test_a_reader_that_knows_the_version_by_head_waits_for_the_flight_that_asks_for_its_page(
    tmp_path: Path,
) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 2 * MIB)
        slow = stall()
        cache.faulty[0].next(slow)
        first = asyncio.create_task(cache.read("k"))
        await slow.reached.wait()
        await cache.stat("k")

        second = asyncio.create_task(cache.read("k"))
        await settle()
        slow.released.set()

        assert await second == await first == ramp(0, 2 * MIB)
        assert cache.origin.count("read") == 1


async def test_a_reader_of_another_page_does_not_wait_for_a_stalled_opening(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 8 * MIB)
        slow = stall()
        cache.faulty[0].next(slow)
        first = asyncio.create_task(cache.read("k", 0, 10))
        await slow.reached.wait()
        await cache.stat("k")

        assert await cache.read("k", 5 * MIB, 5 * MIB + 10) == ramp(5 * MIB, 5 * MIB + 10)
        slow.released.set()

        assert await first == ramp(0, 10)


async def test_the_urgent_waiter_pays_and_the_next_when_he_has_left(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 3 * MIB)
        halted = stall(after=MIB)
        cache.faulty[0].next(halted)
        patient = asyncio.create_task(cache.read("k", payer=Payer("rec", "backfill")))
        await halted.reached.wait()
        (flight,) = cache.app.flights

        urgent = await cache.open("k", payer=Payer("search", "interactive"))
        assert flight.payer() == Payer("search", "interactive")
        urgent.close()

        assert flight.payer() == Payer("rec", "backfill")
        halted.released.set()
        await patient


async def test_a_reader_lets_go_of_flights_that_are_behind_it(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.origin.piece = MIB
        cache.put("k", 200 * MIB)
        opened = await cache.open("k")

        most = 0
        async for _ in opened.stream():
            assert opened._reader is not None
            most = max(most, len(opened._reader._attached))

        assert most <= 2
