"""Under a limit: it is kept, what is being landed stays, and what left is a miss, never a wrong byte."""

import asyncio
import os
from collections import namedtuple
from pathlib import Path

import pytest

from regioncache.pages import EXTENT_BYTES, KIB, MIB, Span
from regioncache.store.base import PageGone, StoreSettings
from regioncache.store.disk import SystemCalls
from regioncache.store.store import Store
from tests.fakes.hearing import Heard
from tests.fakes.storing import content, meta, oid, packed, put, read, version

pytestmark = pytest.mark.anyio


async def opened(path: Path, size: int, calls: SystemCalls | None = None) -> Store:
    return await Store.open(StoreSettings((path,), size=size, segment_bytes=4 * MIB), calls)


def on_disk(path: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


async def test_extents_never_take_more_than_the_limit(tmp_path: Path) -> None:
    store = await opened(tmp_path, 10 * MIB)

    for number in range(30):
        assert await put(store, f"key {number}", meta(2 * MIB), Span(0, 2))
        assert store.statistics().clean_bytes <= 10 * MIB

    assert on_disk(tmp_path) <= 10 * MIB + 64 * KIB
    assert store.statistics().evicted_bytes >= 50 * MIB
    held = [number for number in range(30) if store.newest(oid(f"key {number}")) is not None]
    assert len(held) == 4
    for number in held:
        assert await read(store, f"key {number}", Span(0, 2 * MIB)) == content(Span(0, 2 * MIB))
    await store.close()


async def test_packed_objects_never_take_more_than_the_limit(tmp_path: Path) -> None:
    store = await opened(tmp_path, 20 * MIB)

    for number in range(600):
        assert await store.pack(oid(f"key {number}"), meta(100_000), content(Span(0, 100_000)))

    statistics = store.statistics()
    assert statistics.clean_bytes + statistics.dead_bytes <= 20 * MIB
    assert statistics.packed > 80
    await store.close()
    assert on_disk(tmp_path) <= 21 * MIB
    store = await opened(tmp_path, 20 * MIB)
    assert store.statistics().packed == statistics.packed
    for number in range(600):
        if store.newest(oid(f"key {number}")) is not None:
            assert await packed(store, f"key {number}") == (meta(100_000), content(Span(0, 100_000)))
    await store.close()


async def test_above_the_high_mark_entries_leave_behind_down_to_the_low_one(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings((tmp_path,), size=100 * MIB, high=0.8, low=0.5))
    for number in range(39):
        assert await put(store, f"key {number}", meta(2 * MIB), Span(0, 2))
    assert store.statistics().evicted_bytes == 0

    await put(store, "last", meta(2 * MIB), Span(0, 2))
    async with asyncio.timeout(60):
        while store.statistics().clean_bytes > 50 * MIB:
            await asyncio.sleep(0.001)

    assert 45 * MIB < store.statistics().clean_bytes <= 50 * MIB
    assert store.newest(oid("last")) is not None
    assert store.newest(oid("key 0")) is None
    await store.close()


async def test_an_extent_with_a_landing_stays(tmp_path: Path) -> None:
    store = await opened(tmp_path, 6 * MIB)
    landing = await store.land(oid("a"), meta(2 * MIB), MIB, 0, Span(0, 2))
    assert landing is not None
    await landing.write(0, memoryview(content(Span(0, MIB))))

    for number in range(10):
        assert await put(store, f"key {number}", meta(2 * MIB), Span(0, 2))
    assert await read(store, "a", Span(0, MIB)) == content(Span(0, MIB))

    await landing.close()
    await store.close()


async def test_where_all_is_being_landed_nothing_more_is_admitted(tmp_path: Path) -> None:
    store = await opened(tmp_path, 5 * MIB)
    landings = [await store.land(oid(key), meta(2 * MIB), MIB, 0, Span(0, 2)) for key in "ab"]

    assert await store.land(oid("c"), meta(2 * MIB), MIB, 0, Span(0, 2)) is None

    for landing in landings:
        assert landing is not None
        await landing.close()
    assert await put(store, "c", meta(2 * MIB), Span(0, 2))
    await store.close()


async def test_an_object_larger_than_the_limit_is_not_admitted(tmp_path: Path) -> None:
    store = await opened(tmp_path, 5 * MIB)
    await put(store, "a", meta(MIB), Span(0, 1))

    assert await store.land(oid("b"), meta(20 * MIB), MIB, 0, Span(0, 20)) is None
    await store.close()


async def test_a_head_keeps_its_metadata_while_another_extent_is_held(tmp_path: Path) -> None:
    store = await opened(tmp_path, 8 * MIB)
    about = meta(EXTENT_BYTES + 4 * MIB)
    await put(store, "a", about, Span(0, 2))
    await put(store, "a", about, Span(64, 66))

    for number in range(2):
        await put(store, f"key {number}", meta(2 * MIB), Span(0, 2))

    assert store.present(oid("a"), version(), MIB, Span(0, 68)) == [Span(64, 66)]
    assert await store.recall(oid("a")) == about
    assert await put(store, "a", about, Span(0, 1))
    assert await read(store, "a", Span(0, MIB)) == content(Span(0, MIB))
    await store.close()
    store = await opened(tmp_path, 8 * MIB)
    assert await store.recall(oid("a")) == about
    await store.close()


async def test_what_is_sent_from_a_file_stays_as_it_was_when_its_pages_leave(tmp_path: Path) -> None:
    store = await opened(tmp_path, 8 * MIB)
    about = meta(EXTENT_BYTES + 4 * MIB)
    await put(store, "a", about, Span(0, 2))
    await put(store, "a", about, Span(64, 66))
    part = store.part_now(oid("a"), about.version, Span(0, 5000))
    assert part.file is not None

    for number in range(2):
        await put(store, f"key {number}", meta(2 * MIB), Span(0, 2))
    await store.recall(oid("a"))

    assert store.present(oid("a"), version(), MIB, Span(0, 2)) == []
    assert os.pread(part.file.fd, 5000, part.offset) == content(Span(0, 5000))
    await store.close()


async def test_a_file_that_a_crash_left_half_made_is_removed_at_the_start(tmp_path: Path) -> None:
    store = await opened(tmp_path, 8 * MIB)
    await put(store, "a", meta(2 * MIB), Span(0, 2))
    await store.close()
    kept = next((tmp_path / "extents").glob("*/*"))
    left = kept.with_name(kept.name + ".hollow")
    left.write_bytes(b"half")

    store = await opened(tmp_path, 8 * MIB)

    assert not left.exists()
    assert (store.statistics().dropped_files, store.statistics().unknown_files) == (1, 0)
    assert await read(store, "a", Span(0, 9)) == content(Span(0, 9))
    await store.close()


async def test_a_reader_of_what_left_gets_a_miss(tmp_path: Path) -> None:
    store = await opened(tmp_path, 5 * MIB)
    await put(store, "a", meta(2 * MIB), Span(0, 2))

    for number in range(3):
        await put(store, f"key {number}", meta(2 * MIB), Span(0, 2))

    with pytest.raises(PageGone):
        await read(store, "a", Span(0, 9))
    await store.close()


Free = namedtuple("Free", ["f_blocks", "f_frsize", "f_bavail"])


async def test_a_twentieth_of_the_file_system_stays_free(tmp_path: Path) -> None:
    def statvfs(path: str) -> os.statvfs_result:
        return Free(1000, MIB, 1000 - 900 - on_disk(tmp_path) // MIB)  # type: ignore[return-value]

    store = await opened(tmp_path, 900 * MIB, SystemCalls(statvfs=statvfs))

    for number in range(60):
        assert await put(store, f"key {number}", meta(2 * MIB), Span(0, 2))

    # Others hold 900 of 1000 MiB and 50 stay free, give or take what is admitted between two looks.
    assert on_disk(tmp_path) <= (50 + 16) * MIB
    await store.close()


class Shared:
    """A file system of 1000 MiB that the cache shares with others, who hold `others` of it."""

    def __init__(self, path: Path, others: int = 0) -> None:
        self.path = path
        self.others = others

    def calls(self) -> SystemCalls:
        return SystemCalls(statvfs=self._statvfs)

    def _statvfs(self, path: str) -> os.statvfs_result:
        return Free(1000, MIB, max(0, 1000 - self.others - on_disk(self.path) // MIB))  # type: ignore[return-value]


async def kept(store: Store, count: int) -> int:
    """How many of so many objects are still held."""
    return sum(store.newest(oid(f"key {number}")) is not None for number in range(count))


async def test_a_file_system_that_others_fill_leaves_the_cache_what_it_has(tmp_path: Path) -> None:
    shared, heard = Shared(tmp_path), Heard()
    store = await Store.open(StoreSettings((tmp_path,), size=900 * MIB), shared.calls(), heard.tidings())
    for number in range(10):
        assert await put(store, f"key {number}", meta(2 * MIB), Span(0, 2))

    shared.others = 1000 - 20
    for number in range(20):
        admitted = await put(store, f"new {number}", meta(2 * MIB), Span(0, 2))

    assert not admitted
    assert await kept(store, 10) == 10
    assert store.statistics().evicted_bytes == 0
    assert store.statistics().paths_full == 1
    (told,) = heard.warnings
    assert f"cache path {tmp_path} is full: less than 1% of its file system is free, though the cache is within" in told
    await store.close()


async def test_a_cache_on_a_full_file_system_keeps_again_when_there_is_room(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    store = await Store.open(StoreSettings((tmp_path,), size=900 * MIB), shared.calls())
    shared.others = 995
    assert not await put(store, "a", meta(2 * MIB), Span(0, 2))

    shared.others = 500

    assert await put(store, "a", meta(2 * MIB), Span(0, 2))
    assert store.statistics().paths_full == 0
    await store.close()


async def test_where_others_took_the_last_twentieth_what_is_new_takes_the_place_of_as_much(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    store = await Store.open(StoreSettings((tmp_path,), size=900 * MIB), shared.calls())
    for number in range(10):
        assert await put(store, f"key {number}", meta(2 * MIB), Span(0, 2))
    had = store.statistics().clean_bytes

    shared.others = 1000 - 50
    for number in range(30):
        assert await put(store, f"new {number}", meta(2 * MIB), Span(0, 2))
        assert had - 8 * MIB < store.statistics().clean_bytes <= had + 16 * MIB

    await store.close()
