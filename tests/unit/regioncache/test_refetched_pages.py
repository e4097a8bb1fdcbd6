"""Pages that were had before: damaged, torn or evicted, they come again alone and are counted as such."""

import asyncio
import shutil
from pathlib import Path

import pytest

from regioncache.errors import OriginUnavailable
from regioncache.lines.buffers import LEAST_BUFFER
from regioncache.pages import MIB, Span
from tests.fakes.clock import FakeClock
from tests.fakes.faulty import away, reset, stall
from tests.fakes.origin import FakeOrigin
from tests.fakes.ramp import ramp
from tests.fakes.region import cut_short, ended, held, region

pytestmark = pytest.mark.anyio


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


async def torn(tmp_path: Path) -> tuple[Path, FakeClock, FakeOrigin]:
    """A cache as a crash leaves it: of a run of 20 pages five are whole, and the sixth had begun."""
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
    return dead, clock, origin


async def test_after_a_crash_only_the_first_missing_page_of_a_torn_run_counts_refetch(tmp_path: Path) -> None:
    dead, clock, origin = await torn(tmp_path)
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
    dead, clock, origin = await torn(tmp_path)
    (dead / "ledger").unlink()
    async with region(dead, clock=clock, origin=origin) as cache:
        await cache.read("k", 10 * MIB, 12 * MIB)
        await ended(cache)

        assert cache.kinds() == {"unique": 2 * MIB}


async def test_an_eviction_under_a_reader_costs_bytes_but_no_wrong_ones(tmp_path: Path) -> None:
    async with region(tmp_path, size=24 * MIB) as cache:
        for number in range(6):
            cache.put(f"k{number}", 8 * MIB)
        for _ in range(2):
            got = await asyncio.gather(*(cache.read(f"k{number}") for number in range(6)))
            assert got == [ramp(0, 8 * MIB)] * 6


async def test_a_page_that_a_failed_flight_brought_in_part_counts_refetch_when_it_comes_whole(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        cache.faulty[0].next(reset(2 * MIB + MIB // 2), away(), away(), away())
        opened = await cache.open("k")
        got, _ = await cut_short(opened)
        opened.close()
        await ended(cache)

        assert await cache.read("k") == ramp(0, 4 * MIB)
        await ended(cache)

        assert len(got) < 3 * MIB
        assert cache.kinds() == {"unique": 3 * MIB + MIB // 2, "refetch": MIB, "over_read": LEAST_BUFFER}


async def test_a_small_object_that_a_failed_flight_brought_in_part_counts_refetch(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 200 * 1024)
        cache.faulty[0].next(reset(128 * 1024), away(), away(), away())
        with pytest.raises(OriginUnavailable):
            await cache.read("k")
        await ended(cache)

        assert await cache.read("k") == ramp(0, 200 * 1024)
        await ended(cache)

        assert cache.kinds() == {"unique": 128 * 1024, "refetch": 200 * 1024, "over_read": LEAST_BUFFER}
