"""Replies that break: resumed from what has landed, given up without progress, and nobody else's trouble."""

import asyncio
from pathlib import Path

import pytest

from regioncache.errors import NoSuchObject, OriginUnavailable, Refused
from regioncache.origins.base import Payer
from regioncache.pages import MIB, Span
from tests.fakes.clock import settle
from tests.fakes.faulty import Fault, reset, short_body
from tests.fakes.ramp import ramp
from tests.fakes.region import cut_short, ended, region

pytestmark = pytest.mark.anyio


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


async def test_one_object_that_fails_hurts_no_other(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("good", 2 * MIB)
        results = await asyncio.gather(
            cache.read("good"), cache.read("missing"), cache.read("good", payer=Payer("x")), return_exceptions=True
        )

        assert results[0] == results[2] == ramp(0, 2 * MIB)
        assert isinstance(results[1], NoSuchObject)


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
