"""Segments and their journals: torn ends are cut, lost journals rebuilt, the dead do not come back."""

import asyncio
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from regioncache.pages import MIB, Meta, Span, Version
from regioncache.store.base import CorruptPage, StoreSettings
from regioncache.store.disk import Piece, SystemCalls
from regioncache.store.store import Store
from tests.fakes.storing import content, meta, oid, packed, version

pytestmark = pytest.mark.anyio
SIZE = 3000


async def opened(path: Path, segment_bytes: int = MIB) -> Store:
    return await Store.open(StoreSettings((path,), size=1 << 34, segment_bytes=segment_bytes))


async def pack(store: Store, key: str, number: int = 1, learned_at: float = 1.0, size: int = SIZE) -> None:
    assert await store.pack(oid(key), meta(size, number, learned_at), content(Span(0, size), number))


async def three_packed(path: Path) -> None:
    store = await opened(path)
    for key in "abc":
        await pack(store, key)
    await store.close()


async def held(store: Store) -> str:
    found = ""
    for key in "abc":
        there = await packed(store, key)
        if there is not None:
            assert there == (meta(SIZE), content(Span(0, SIZE)))
            found += key
    return found


def segment(path: Path, suffix: str = "seg") -> Path:
    (found,) = path.glob(f"packs/*.{suffix}")
    return found


@pytest.mark.parametrize("cut", [1, 100, SIZE + 10])
async def test_a_torn_end_of_a_segment_is_cut(tmp_path: Path, cut: int) -> None:
    await three_packed(tmp_path)
    file = segment(tmp_path)
    with file.open("r+b") as raw:
        raw.truncate(file.stat().st_size - cut)

    store = await opened(tmp_path)

    assert await held(store) == "ab"
    await pack(store, "c")
    assert await held(store) == "abc"
    await store.close()
    segment(tmp_path, "idx").unlink()
    store = await opened(tmp_path)
    assert await held(store) == "abc"
    await store.close()


@pytest.mark.parametrize("left", [0, 10, 64, 100, 3 * 64 - 1])
async def test_a_torn_journal_is_completed_from_its_segment(tmp_path: Path, left: int) -> None:
    await three_packed(tmp_path)
    with segment(tmp_path, "idx").open("r+b") as raw:
        raw.truncate(left)

    store = await opened(tmp_path)
    assert await held(store) == "abc"
    await store.close()

    assert segment(tmp_path, "idx").stat().st_size == 3 * 64


async def test_a_missing_journal_is_rebuilt(tmp_path: Path) -> None:
    await three_packed(tmp_path)
    segment(tmp_path, "idx").unlink()

    store = await opened(tmp_path)

    assert await held(store) == "abc"
    await store.close()
    assert segment(tmp_path, "idx").stat().st_size == 3 * 64


async def test_a_journal_without_its_segment_is_removed(tmp_path: Path) -> None:
    await three_packed(tmp_path)
    segment(tmp_path).unlink()

    store = await opened(tmp_path)

    assert await held(store) == ""
    assert not list(tmp_path.glob("packs/*"))
    await store.close()


@pytest.mark.parametrize("at", [-1, -SIZE - 20, -SIZE - 150])
async def test_a_flipped_bit_in_a_record_loses_that_object_alone(tmp_path: Path, at: int) -> None:
    await three_packed(tmp_path)
    raw = bytearray(segment(tmp_path).read_bytes())
    raw[at] ^= 16
    segment(tmp_path).write_bytes(raw)
    store = await opened(tmp_path)

    with pytest.raises(CorruptPage):
        await packed(store, "c")

    assert await held(store) == "ab"
    assert store.statistics().corrupt_pages == 1
    await store.close()


async def test_a_flipped_bit_in_a_journal_loses_nothing(tmp_path: Path) -> None:
    await three_packed(tmp_path)
    raw = bytearray(segment(tmp_path, "idx").read_bytes())
    raw[70] ^= 1
    segment(tmp_path, "idx").write_bytes(raw)

    store = await opened(tmp_path)

    assert await held(store) == "abc"
    await store.close()


async def test_what_was_forgotten_does_not_come_back(tmp_path: Path) -> None:
    await three_packed(tmp_path)
    store = await opened(tmp_path)
    store.forget(oid("b"))
    await store.close()

    store = await opened(tmp_path)

    assert await held(store) == "ac"
    assert store.statistics().dead_bytes > SIZE
    await store.close()


async def test_the_newest_of_two_records_counts_after_a_restart(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await pack(store, "a", 1, 1.0)
    await pack(store, "a", 2, 2.0)
    await store.close()

    store = await opened(tmp_path)

    assert store.newest(oid("a")) == version(2)
    assert await packed(store, "a") == (meta(SIZE, 2, 2.0), content(Span(0, SIZE), 2))
    await store.close()


async def test_what_was_learned_later_outlives_a_restart(tmp_path: Path) -> None:
    await three_packed(tmp_path)
    store = await opened(tmp_path)
    await store.relearn(oid("a"), meta(SIZE, learned_at=7.0))
    await store.close()

    store = await opened(tmp_path)

    assert await store.recall(oid("a")) == meta(SIZE, learned_at=7.0)
    await store.close()


async def test_versions_of_any_form_outlive_a_restart(tmp_path: Path) -> None:
    names = [
        '"0123456789abcdef0123456789abcdef-17"',
        "W/x",
        '"' + "z" * 300 + '"',
        '"0123456789ABCDEF0123456789abcdef"',
    ]
    store = await opened(tmp_path)
    for name in names:
        about = Meta(Version(name), 3, name, 0.0, "a", (), 1.0)
        assert await store.pack(oid(name), about, b"123")
    await store.close()

    store = await opened(tmp_path)

    assert [store.newest(oid(name)) for name in names] == names
    await store.close()


async def test_a_half_dead_segment_is_rewritten(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for number in range(40):
        await pack(store, f"key {number}", size=100_000)
    segments = len(list(tmp_path.glob("packs/*.seg")))
    for number in range(40):
        if number % 4:
            store.forget(oid(f"key {number}"))

    while store.statistics().dead_bytes > MIB:
        await store.packed(oid("key 0"))

    assert segments >= 4
    for number in range(0, 40, 4):
        about, data = await packed(store, f"key {number}") or (None, b"")
        assert about == meta(100_000)
        assert data == content(Span(0, 100_000))
    await store.close()
    assert sum(file.stat().st_size for file in tmp_path.glob("packs/*.seg")) < 3 * MIB


async def test_a_pack_that_was_forgotten_under_way_is_not_kept(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    packing = asyncio.ensure_future(store.pack(oid("a"), meta(SIZE), content(Span(0, SIZE))))
    await asyncio.sleep(0)

    store.forget(oid("a"))

    assert not await packing
    assert store.newest(oid("a")) is None
    await store.close()
    store = await opened(tmp_path)
    assert store.newest(oid("a")) is None
    await store.close()


async def test_thousands_packed_at_once_are_all_kept(tmp_path: Path) -> None:
    store = await opened(tmp_path)

    kept = await asyncio.gather(*(store.pack(oid(str(n)), meta(n), content(Span(0, n))) for n in range(3000)))

    assert all(kept)
    for number in range(0, 3000, 7):
        assert await packed(store, str(number)) == (meta(number), content(Span(0, number)))
    await store.close()
    store = await opened(tmp_path)
    assert store.statistics().packed == 3000
    await store.close()


async def test_a_cancelled_pack_is_whole_or_not_there(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    assert await store.pack(oid("before"), meta(SIZE), content(Span(0, SIZE)))
    packing = asyncio.ensure_future(store.pack(oid("a"), meta(SIZE), content(Span(0, SIZE))))
    await asyncio.sleep(0)
    packing.cancel()
    await asyncio.wait([packing])
    await store.close()

    store = await opened(tmp_path)

    assert await packed(store, "a") == (meta(SIZE), content(Span(0, SIZE)))
    assert store.statistics().dead_bytes == 0
    await store.close()


async def test_what_was_moved_before_a_move_failed_and_is_forgotten_then_does_not_come_back(tmp_path: Path) -> None:
    refused = list[int]()

    def pwritev(fd: int, pieces: Sequence[Piece], offset: int) -> int:
        # Moved records are one piece each, new ones two: a head, and the bytes.
        if len(pieces) == 1 and b"key 7" in bytes(pieces[0]):
            refused.append(offset)
            raise OSError(errno.ENOSPC, "no room")
        return os.pwritev(fd, pieces, offset)

    settings = StoreSettings((tmp_path,), size=1 << 34, segment_bytes=MIB)
    store = await Store.open(settings, SystemCalls(pwritev=pwritev))
    for number in range(20):
        await pack(store, f"key {number}", size=100_000)
    for number in range(6):
        store.forget(oid(f"key {number}"))
    while not refused:
        await asyncio.sleep(0)
    store.forget(oid("key 6"))
    await store.close()

    again = await opened(tmp_path)

    assert [number for number in range(20) if again.newest(oid(f"key {number}"))] == list(range(7, 20))
    await again.close()


async def test_what_is_learned_of_a_version_while_another_came_is_not_learned_of_that_one(tmp_path: Path) -> None:
    reading, read = threading.Event(), threading.Event()
    slow = list[int]()

    def preadv(fd: int, buffers: Sequence[bytearray | memoryview], offset: int, flags: int) -> int:
        if flags:
            raise BlockingIOError(errno.EAGAIN, "not in memory")
        got = os.preadv(fd, buffers, offset, flags)
        if slow:
            slow.pop()
            reading.set()
            read.wait(60)
        return got

    store = await Store.open(StoreSettings((tmp_path,), size=1 << 34), SystemCalls(preadv=preadv))
    await pack(store, "a", 1, learned_at=10.0)
    slow.append(1)
    learning = asyncio.create_task(store.relearn(oid("a"), meta(SIZE, 1, learned_at=30.0)))
    await asyncio.to_thread(reading.wait, 60)
    await pack(store, "a", 2, learned_at=25.0)
    read.set()
    await learning

    # At 30 the first version was the newest: the one of 25 is not, and was not looked at then.
    assert store.newest(oid("a")) is None
    await store.close()


async def test_what_was_learned_earlier_does_not_take_the_place_of_what_was_learned_later(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await pack(store, "a", 1, learned_at=10.0)

    await asyncio.gather(*(store.relearn(oid("a"), meta(SIZE, 1, learned_at=at)) for at in (30.0, 20.0, 25.0)))

    assert await packed(store, "a") == (meta(SIZE, 1, learned_at=30.0), content(Span(0, SIZE)))
    await store.close()
