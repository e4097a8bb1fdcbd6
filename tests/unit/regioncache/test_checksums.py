"""The checksums that an object was stored with: asked for when wanted and unknown, kept with their version."""

import math
from pathlib import Path

import pytest

from regioncache.asked import Asked
from regioncache.checksums import tells
from regioncache.opened import Opened, Terms
from regioncache.pages import WHOLE
from tests.fakes.faulty import away
from tests.fakes.ramp import ramp
from tests.fakes.region import PAYER, Region, drained, ended, region

pytestmark = pytest.mark.anyio
SUM = (("x-amz-checksum-crc64nvme", "AAAAAAAAAAA="), ("x-amz-checksum-type", "FULL_OBJECT"))
IMMUTABLE = Terms(fresh_seconds=math.inf)


async def stat(cache: Region, terms: Terms = IMMUTABLE) -> Opened:
    return await cache.app.cache.stat(Asked(cache.place("k"), WHOLE, PAYER, terms, checksums=True))


async def test_who_asks_for_checksums_has_them_asked_for_once_even_of_what_never_changes(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000, checksums=SUM)
        await cache.read("k", terms=IMMUTABLE)
        await ended(cache)

        first, second = await stat(cache), await stat(cache)

        assert first.meta.headers == second.meta.headers == SUM
        assert cache.origin.count("head") == 1


async def test_an_unknown_object_is_asked_for_with_its_checksums_by_one_question(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000, checksums=SUM)

        assert tells((await stat(cache)).meta)
        assert cache.origin.count("head") == 1


@pytest.mark.parametrize("size", [1000, 400_000])
async def test_a_read_tells_checksums_that_are_known_and_asks_nobody_for_them(tmp_path: Path, size: int) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", size, checksums=SUM)
        cold = await cache.open("k")
        assert await drained(cold) == ramp(0, size)
        assert not tells(cold.meta)
        await ended(cache)
        await stat(cache)

        warm = await cache.open("k")

        assert await drained(warm) == ramp(0, size)
        assert warm.meta.headers == SUM


async def test_checksums_stay_with_their_version_and_go_with_it(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000, checksums=SUM)
        await stat(cache, Terms())
        cache.clock.advance(61)

        renewed = await cache.stat("k")
        cache.put("k", 1000, shift=1)
        cache.clock.advance(61)
        other = await cache.stat("k")

        assert renewed.meta.headers == SUM
        assert other.meta.headers == ()


async def test_checksums_outlive_a_restart(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000, checksums=SUM)
        await cache.read("k", terms=IMMUTABLE)
        await ended(cache)
        await stat(cache)
        origin, clock = cache.origin, cache.clock

    async with region(tmp_path, origin=origin, clock=clock) as cache:
        assert (await stat(cache)).meta.headers == SUM
        assert cache.origin.count("head") == 1


async def test_where_nobody_can_be_asked_what_is_known_is_told_without_them(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000, checksums=SUM)
        await cache.read("k", terms=IMMUTABLE)
        await ended(cache)
        cache.faulty[0].always = away()

        opened = await stat(cache)

        assert opened.meta.size == 1000
        assert not tells(opened.meta)
