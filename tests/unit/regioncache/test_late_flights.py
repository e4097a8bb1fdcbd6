"""A line with no room soon: who waits for a first page is told to come again, and what he asked for goes on."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from regioncache.errors import NotSoon, SlowDown
from regioncache.fill import PATIENT_FLIGHTS
from regioncache.lines.base import Crossing
from regioncache.origins.base import Reading, Want
from regioncache.pages import MIB, Span
from tests.fakes.clock import settle
from tests.fakes.faulty import Faulty
from tests.fakes.origin import FakeOrigin
from tests.fakes.ramp import ramp
from tests.fakes.region import TERMS, Region, drained, ended, held, region

pytestmark = pytest.mark.anyio


class Crowded(Faulty):
    """A source behind a line without room: who is not patient is refused, who is waits for `room`."""

    def __init__(self, origin: FakeOrigin, free: int = 0) -> None:
        super().__init__(origin)
        self.room = asyncio.Event()
        self.free = free
        """Requests that find room before the line is crowded."""
        self.refused = 0

    async def read(self, want: Want, crossing: Crossing) -> Reading:
        self.free -= 1
        if self.free < 0:
            if not crossing.patient:
                self.refused += 1
                raise NotSoon("no room within 25 s", 40.0)
            await self.room.wait()
        return await super().read(want, crossing)


def crowd(cache: Region, free: int = 0) -> Crowded:
    """From now on the region's way is crowded."""
    crowded = Crowded(cache.origin, free)
    build = cache.app.sources._build

    cache.app.sources._build = lambda place, way: replace(build(place, way), source=crowded)
    return crowded


async def test_all_who_wait_are_told_at_once_and_find_their_flight_when_they_come_again(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 20 * MIB)
        crowded = crowd(cache)

        results = await asyncio.gather(*(cache.read("k") for _ in range(10)), return_exceptions=True)

        assert {type(result) for result in results} == {NotSoon}
        assert {result.retry_after for result in results if isinstance(result, SlowDown)} == {40.0}
        again = asyncio.create_task(cache.read("k"))
        crowded.room.set()
        assert await again == ramp(0, 20 * MIB)
        assert crowded.refused == 1
        assert cache.origin.count("read") == 1


async def test_what_nobody_comes_back_for_is_brought_all_the_same(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 20 * MIB)
        crowded = crowd(cache)
        with pytest.raises(NotSoon):
            await cache.read("k")

        crowded.room.set()
        await ended(cache)

        assert held(cache, "k", Span(0, 20)) == [Span(0, 20)]
        assert cache.kinds() == {"unique": 20 * MIB}


async def test_pages_of_a_known_object_are_waited_for_in_the_same_way(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 20 * MIB)
        await cache.stat("k")
        crowded = crowd(cache)

        with pytest.raises(NotSoon):
            await cache.read("k")
        crowded.room.set()
        await ended(cache)

        assert await cache.read("k") == ramp(0, 20 * MIB)
        assert cache.origin.count("read") == 1


async def test_who_knows_the_version_by_now_promotes_the_flight_that_does_not(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 20 * MIB)
        crowded = crowd(cache)
        with pytest.raises(NotSoon):
            await cache.read("k")
        await cache.stat("k")
        (flight,) = cache.app.flights
        alone = flight.payer().cls

        reading = asyncio.create_task(cache.read("k"))
        await settle()

        assert (alone, flight.payer().cls) == ("prefetch", "training")
        crowded.room.set()
        assert await reading == ramp(0, 20 * MIB)
        assert cache.origin.count("read") == 1


async def test_a_reply_that_has_begun_waits_for_the_line_and_is_not_cut_short(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 70 * MIB)
        await cache.stat("k")
        crowded = crowd(cache, free=1)
        opened = await cache.open("k")
        reading = asyncio.create_task(drained(opened))
        while not crowded.refused:
            await asyncio.sleep(0)

        crowded.room.set()

        assert await reading == ramp(0, 70 * MIB)


async def test_where_nothing_is_kept_the_flight_ends_with_who_was_told(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 2 * MIB)
        crowd(cache)

        with pytest.raises(NotSoon):
            await cache.read("k", terms=replace(TERMS, keep=False))
        await ended(cache)

        assert cache.origin.count("read") == 0


async def test_no_more_flights_wait_on_than_memory_bears(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for number in range(PATIENT_FLIGHTS + 5):
            cache.put(f"k{number}", MIB)
        crowded = crowd(cache)

        results = await asyncio.gather(
            *(cache.read(f"k{number}") for number in range(PATIENT_FLIGHTS + 5)), return_exceptions=True
        )

        assert {type(result) for result in results} == {NotSoon}
        assert len(list(cache.app.flights)) == PATIENT_FLIGHTS
        crowded.room.set()
        await ended(cache)
        assert await cache.read("k0") == ramp(0, MIB)
