"""Opening and reading: one request where one will do, for what is missing and no more."""

import math
from pathlib import Path

import pytest

from regioncache.errors import (
    RangeOutside,
)
from regioncache.opened import Terms
from regioncache.pages import MIB, Span, Wanted
from tests.fakes.ramp import ramp
from tests.fakes.region import drained, ended, region

pytestmark = pytest.mark.anyio
IMMUTABLE = Terms(fresh_seconds=math.inf)


@pytest.mark.parametrize("size", [1, 100_000, 256 * 1024, 256 * 1024 + 1, MIB, 3 * MIB + 17])
async def test_a_cold_object_is_one_request_and_a_second_read_is_none(tmp_path: Path, size: int) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", size)

        assert await cache.read("k") == ramp(0, size)
        await ended(cache)
        assert await cache.read("k") == ramp(0, size)

        assert cache.origin.count("read") == 1
        assert cache.origin.count("head") == 0
        assert cache.origin.total_bytes == size
        assert cache.kinds() == {"unique": size}


async def test_an_empty_object_is_a_416_and_a_head_and_then_known(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 0)

        assert await cache.read("k") == b""
        assert await cache.read("k") == b""

        assert (cache.origin.count("read"), cache.origin.count("head")) == (1, 1)


async def test_an_empty_object_is_known_after_a_restart_without_its_origin(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 0)
        await cache.read("k")
        clock = cache.clock

    async with region(tmp_path, clock=clock) as cache:
        assert (await cache.stat("k", terms=IMMUTABLE)).meta.size == 0

        assert cache.origin.asked == []


async def test_the_last_page_of_a_range_is_fetched_to_its_end_and_nothing_behind(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 10 * MIB)

        got = await cache.read("k", 2 * MIB + 5, 4 * MIB + 7)

        assert got == ramp(2 * MIB + 5, 4 * MIB + 7)
        assert cache.origin.spans("k") == [Span(2 * MIB, 5 * MIB)]


async def test_a_few_bytes_of_a_huge_object_are_one_page(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 100 * 10**9)
        at = 77 * 10**9

        assert await cache.read("k", at, at + 5000) == ramp(at, at + 5000)

        assert cache.origin.total_bytes == MIB


async def test_a_suffix_of_an_unknown_object_asks_head_and_brings_the_pages_it_touches(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 3 * MIB + 100)

        got = await drained(await cache.app.cache.open(cache.asked("k", Wanted(suffix=200))))

        assert got == ramp(3 * MIB - 100, 3 * MIB + 100)
        assert cache.origin.count("head") == 1
        assert cache.origin.spans("k") == [Span(2 * MIB, 3 * MIB + 100)]


async def test_a_range_outside_says_the_objects_size_whether_known_or_not(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        for _ in range(2):
            with pytest.raises(RangeOutside) as outside:
                await cache.read("k", 1000, 2000)
            assert outside.value.size == 1000


async def test_a_range_longer_than_the_object_ends_where_that_ends(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)

        assert await cache.read("k", 990, 10**12) == ramp(990, 1000)


async def test_over_a_line_a_read_to_the_end_begins_with_one_page(tmp_path: Path) -> None:
    async with region(tmp_path, line=True) as cache:
        cache.put("k", 3 * MIB)

        assert await cache.read("k") == ramp(0, 3 * MIB)

        assert cache.origin.spans("k") == [Span(0, MIB), Span(MIB, 3 * MIB)]


async def test_a_large_object_is_asked_for_extent_by_extent_each_byte_once(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.origin.piece = MIB
        size = 130 * MIB + 9
        cache.put("k", size)

        assert await cache.read("k") == ramp(0, size)

        assert cache.origin.spans("k") == [Span(0, 64 * MIB), Span(64 * MIB, 128 * MIB), Span(128 * MIB, size)]


async def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 10 * MIB)
        await cache.read("k", 2 * MIB, 3 * MIB)
        await cache.read("k", 6 * MIB, 7 * MIB)
        await ended(cache)

        assert await cache.read("k") == ramp(0, 10 * MIB)

        assert sorted(cache.origin.spans("k")) == [
            Span(0, 2 * MIB),
            Span(2 * MIB, 3 * MIB),
            Span(3 * MIB, 6 * MIB),
            Span(6 * MIB, 7 * MIB),
            Span(7 * MIB, 10 * MIB),
        ]
        assert cache.kinds() == {"unique": 10 * MIB}
