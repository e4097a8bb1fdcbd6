"""Fills whose readers leave, or whose node does: finished where little is left, else what has landed is kept."""

import asyncio
from pathlib import Path

import pytest

from regioncache.errors import SlowDown
from regioncache.pages import MIB, Span
from tests.fakes.faulty import stall
from tests.fakes.ramp import ramp
from tests.fakes.region import ended, held, region

pytestmark = pytest.mark.anyio


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
