"""`admit: second_read`: what is read once passes through, what is read again is kept; the memory for it is bounded."""

import asyncio
from pathlib import Path

import pytest

from regioncache.firstreads import READS, ROW, FirstReads
from regioncache.opened import Terms
from regioncache.pages import MIB, ObjectId
from tests.fakes.ramp import ramp
from tests.fakes.region import ended, region

pytestmark = pytest.mark.anyio
SECOND = Terms(second_read=True)
BUCKET = bytes(16)


@pytest.mark.parametrize("size", [1000, 256 * 1024, 3 * MIB, 70 * MIB])
async def test_the_second_read_is_kept_and_the_third_asks_nobody(tmp_path: Path, size: int) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", size)
        held = []
        for _ in range(3):
            assert await cache.read("k", terms=SECOND) == ramp(0, size)
            await ended(cache)
            statistics = cache.app.store.statistics()
            held.append(statistics.extents + statistics.packed > 0)

        assert held == [False, True, True]
        assert cache.origin.total_bytes == 2 * size


async def test_readers_beside_each_other_share_the_flight_of_a_first_read(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 6 * MIB)

        got = await asyncio.gather(*(cache.read("k", terms=SECOND) for _ in range(8)))
        await ended(cache)

        assert set(got) == {ramp(0, 6 * MIB)}
        assert cache.origin.count("read") == 1


async def test_the_ranges_of_one_download_are_no_second_read_of_each_other(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 32 * MIB)
        for start in range(0, 32 * MIB, 8 * MIB):
            await cache.read("k", start, start + 8 * MIB, terms=SECOND)
            await ended(cache)

        assert cache.app.store.statistics().extents == 0
        await cache.read("k", 8 * MIB, 16 * MIB, terms=SECOND)
        await ended(cache)
        assert cache.app.store.statistics().clean_bytes >= 8 * MIB
        assert cache.app.store.statistics().clean_bytes < 9 * MIB


async def test_a_read_that_goes_on_from_what_is_held_to_what_was_never_read_keeps_it_the_second_time(
    tmp_path: Path,
) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 8 * MIB)
        await cache.read("k", 0, MIB)
        await ended(cache)
        before = cache.app.store.statistics().clean_bytes

        assert await cache.read("k", terms=SECOND) == ramp(0, 8 * MIB)
        await ended(cache)
        first = cache.app.store.statistics().clean_bytes
        assert await cache.read("k", terms=SECOND) == ramp(0, 8 * MIB)
        await ended(cache)

        assert first == before
        assert cache.app.store.statistics().clean_bytes >= 8 * MIB


async def test_a_scan_of_what_is_kept_at_the_second_read_evicts_nothing(tmp_path: Path) -> None:
    async with region(tmp_path, size=8 * MIB) as cache:
        for number in range(6):
            cache.put(f"hot{number}", MIB)
            await cache.read(f"hot{number}")
        await ended(cache)

        for number in range(40):
            cache.put(f"scan{number}", MIB)
            await cache.read(f"scan{number}", terms=SECOND)
        await ended(cache)

        assert cache.app.store.statistics().evicted_bytes == 0


async def test_reads_of_what_is_never_admitted_evict_nothing(tmp_path: Path) -> None:
    async with region(tmp_path, size=8 * MIB) as cache:
        for number in range(6):
            cache.put(f"hot{number}", MIB)
            await cache.read(f"hot{number}")
        await ended(cache)
        brought = cache.origin.total_bytes

        for number in range(40):
            cache.put(f"scan{number}", [1000, MIB][number % 2])
            await cache.read(f"scan{number}", terms=Terms(keep=False))
        await ended(cache)
        scanned = cache.origin.total_bytes - brought

        for number in range(6):
            assert await cache.read(f"hot{number}") == ramp(0, MIB)
        assert cache.app.store.statistics().evicted_bytes == 0
        assert cache.origin.total_bytes == brought + scanned, "the six are held still"


def test_a_read_is_known_by_its_object_and_its_first_page() -> None:
    reads = FirstReads()

    assert not reads.again(ObjectId(BUCKET, "a"), 0)
    assert not reads.again(ObjectId(BUCKET, "a"), 1)
    assert not reads.again(ObjectId(BUCKET, "b"), 0)
    assert not reads.again(ObjectId(b"1" * 16, "a"), 0)
    assert reads.again(ObjectId(BUCKET, "a"), 0)
    assert reads.again(ObjectId(BUCKET, "a"), 1)


def test_the_last_reads_are_remembered_and_those_before_the_window_are_not() -> None:
    reads = FirstReads(1024 * ROW)
    keys = [ObjectId(BUCKET, str(number)) for number in range(5 * 1024 * ROW)]
    for oid in keys:
        reads.again(oid, 0)

    late = sum(reads.again(oid, 0) for oid in keys[-256 * ROW :])
    early = sum(reads.again(oid, 0) for oid in keys[:1024])

    assert late >= 0.99 * 256 * ROW
    assert early == 0


def test_the_memory_is_not_taken_before_it_is_used_and_never_grows() -> None:
    reads = FirstReads()
    before = repr(reads)

    for number in range(1000):
        reads.again(ObjectId(BUCKET, str(number)), 0)

    assert before == "FirstReads(0 places)"
    assert repr(reads) == f"FirstReads({READS} places)"
