"""Bad disks, bad bytes and bad files: never a wrong byte, and everything else goes on."""

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from regioncache.pages import EXTENT_BYTES, KIB, MIB, Span
from regioncache.store.base import CorruptPage, LayoutTooNew, NotKept, PageGone, PathInUse, StoreSettings
from regioncache.store.disk import SystemCalls
from regioncache.store.layout import encode_prefix
from regioncache.store.store import Store
from tests.fakes.storing import FaultyCalls, content, meta, oid, packed, put, read, version

pytestmark = pytest.mark.anyio


async def opened(*paths: Path, faulty: FaultyCalls | None = None) -> Store:
    return await Store.open(StoreSettings(paths, size=1 << 34), faulty.calls() if faulty else None)


def the_file(path: Path) -> Path:
    (found,) = path.glob("extents/*/*")
    return found


def flip(file: Path, at: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[at] ^= 1
    file.write_bytes(raw)


async def with_two_pages(path: Path) -> None:
    store = await opened(path)
    await put(store, "a", meta(2 * MIB), Span(0, 2))
    await store.close()


async def test_a_flipped_bit_in_a_page_loses_that_page_alone(tmp_path: Path) -> None:
    await with_two_pages(tmp_path)
    flip(the_file(tmp_path), 16 * KIB + MIB + 700_000)
    store = await opened(tmp_path)

    assert await read(store, "a", Span(0, MIB)) == content(Span(0, MIB))
    with pytest.raises(CorruptPage):
        await read(store, "a", Span(MIB + 600_000, MIB + 800_000))

    assert store.present(oid("a"), version(), MIB, Span(0, 2)) == [Span(0, 1)]
    assert store.statistics().corrupt_pages == 1
    with pytest.raises(PageGone):
        await read(store, "a", Span(MIB, MIB + 1))
    await put(store, "a", meta(2 * MIB), Span(1, 2))
    assert await read(store, "a", Span(MIB, 2 * MIB)) == content(Span(MIB, 2 * MIB))
    await store.close()


@pytest.mark.parametrize("nowhere", [errno.EAGAIN, errno.EOPNOTSUPP])
async def test_headers_that_are_not_in_memory_are_read_from_the_disk(tmp_path: Path, nowhere: int) -> None:
    store = await opened(tmp_path)
    for number in range(20):
        await put(store, f"key {number}", meta(2 * MIB), Span(0, 2))
    await store.close()
    for file in tmp_path.glob("extents/[0-7]*/*"):
        flip(file, 100)
    asked: set[int] = set()

    def preadv(fd: int, buffers: Sequence[bytearray | memoryview], offset: int, flags: int) -> int:
        inode = os.fstat(fd).st_ino
        if flags and inode % 3 == 0:
            raise OSError(nowhere, os.strerror(nowhere))
        if flags and inode % 3 == 1 and inode not in asked:
            # The beginning alone is in memory.
            asked.add(inode)
            return os.preadv(fd, [buffers[0][:5000]], offset, 0)
        if flags and inode % 3 == 1:
            raise OSError(nowhere, os.strerror(nowhere))
        return os.preadv(fd, buffers, offset, 0)

    store = await Store.open(StoreSettings((tmp_path,), size=1 << 34), SystemCalls(preadv=preadv))

    whole = [n for n in range(20) if store.present(oid(f"key {n}"), version(), MIB, Span(0, 2)) == [Span(0, 2)]]
    assert len(whole) == len(list(tmp_path.glob("extents/[89a-f]*/*"))) == store.statistics().extents
    assert store.statistics().dropped_files == 20 - len(whole)
    assert store.statistics().unknown_files == 0
    await store.close()


@pytest.mark.parametrize("at", [0, 9, 30, 100, 4096 + 3, 4096 + 20])
async def test_a_flipped_bit_in_a_header_loses_the_extent(tmp_path: Path, at: int) -> None:
    await with_two_pages(tmp_path)
    flip(the_file(tmp_path), at)

    store = await opened(tmp_path)

    assert store.newest(oid("a")) is None
    assert store.statistics().dropped_files == 1
    assert not list(tmp_path.glob("extents/*/*"))
    await store.close()


async def test_a_flipped_bit_in_a_checksum_loses_its_page(tmp_path: Path) -> None:
    await with_two_pages(tmp_path)
    flip(the_file(tmp_path), 8192 + 3)
    store = await opened(tmp_path)

    with pytest.raises(CorruptPage):
        await read(store, "a", Span(0, 1))

    assert await read(store, "a", Span(MIB, MIB + 9)) == content(Span(MIB, MIB + 9))
    await store.close()


async def test_a_header_spoilt_while_the_file_was_closed_is_a_miss(tmp_path: Path) -> None:
    await with_two_pages(tmp_path)
    store = await opened(tmp_path)
    flip(the_file(tmp_path), 40)

    with pytest.raises(PageGone):
        await read(store, "a", Span(0, 1))

    assert store.newest(oid("a")) is None
    await store.close()


async def test_a_truncated_file_holds_what_is_left_of_it(tmp_path: Path) -> None:
    await with_two_pages(tmp_path)
    with the_file(tmp_path).open("r+b") as file:
        file.truncate(16 * KIB + 2 * MIB - 1)

    store = await opened(tmp_path)

    assert store.present(oid("a"), version(), MIB, Span(0, 2)) == [Span(0, 1)]
    await store.close()


async def test_a_file_truncated_while_open_is_a_bad_page(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await put(store, "a", meta(2 * MIB), Span(0, 2))
    with the_file(tmp_path).open("r+b") as file:
        file.truncate(16 * KIB + MIB)

    with pytest.raises(CorruptPage):
        await read(store, "a", Span(MIB, 2 * MIB))

    assert await read(store, "a", Span(0, MIB)) == content(Span(0, MIB))
    await store.close()


async def test_unknown_files_are_left_alone_and_counted(tmp_path: Path) -> None:
    await with_two_pages(tmp_path)
    (tmp_path / "packs" / "notes.txt").write_text("mine")
    (the_file(tmp_path).parent / "README").write_text("mine")
    (tmp_path / "extents" / "lost+found").mkdir()

    store = await opened(tmp_path)

    assert store.statistics().unknown_files == 3
    assert (tmp_path / "packs" / "notes.txt").read_text() == "mine"
    assert store.newest(oid("a")) == version()
    await store.close()


async def test_garbage_under_our_names_is_dropped_and_counted(tmp_path: Path) -> None:
    await with_two_pages(tmp_path)
    (tmp_path / "packs" / "00000007.seg").write_bytes(b"nothing")
    the_file(tmp_path).with_name("0" * 32 + "-00000009").write_bytes(b"")

    store = await opened(tmp_path)

    assert store.statistics().dropped_files == 2
    assert store.statistics().extents == 1
    await store.close()


async def test_an_extent_under_another_name_is_dropped(tmp_path: Path) -> None:
    await with_two_pages(tmp_path)
    file = the_file(tmp_path)
    file.rename(file.with_name("0" * 32 + "-00000001"))

    store = await opened(tmp_path)

    assert store.statistics().dropped_files == 1
    assert store.newest(oid("a")) is None
    await store.close()


async def test_an_older_layout_is_dropped_and_counted(tmp_path: Path) -> None:
    await with_two_pages(tmp_path)
    (tmp_path / "layout").write_text("0\n")
    with the_file(tmp_path).open("r+b") as file:
        file.seek(8)
        file.write(encode_prefix(b"CWEXTENT", 0)[8:])

    store = await opened(tmp_path)

    assert store.statistics().dropped_files == 1
    assert (tmp_path / "layout").read_text() == "1\n"
    await store.close()


async def test_a_newer_layout_is_refused_and_nothing_removed(tmp_path: Path) -> None:
    await with_two_pages(tmp_path)
    (tmp_path / "layout").write_text("2\n")

    with pytest.raises(LayoutTooNew, match="layout 2, this version knows up to 1: start the later version"):
        await opened(tmp_path)

    assert the_file(tmp_path).exists()


@pytest.mark.parametrize("what", ["extent", "segment"])
async def test_a_file_of_a_newer_layout_is_refused(tmp_path: Path, what: str) -> None:
    store = await opened(tmp_path)
    await put(store, "a", meta(2 * MIB), Span(0, 2))
    await store.pack(oid("b"), meta(5), b"12345")
    await store.close()
    file = the_file(tmp_path) if what == "extent" else next(tmp_path.glob("packs/*.seg"))
    with file.open("r+b") as raw:
        raw.write(encode_prefix(file.read_bytes()[:8], 2))

    with pytest.raises(LayoutTooNew, match="layout 2"):
        await opened(tmp_path)


async def test_a_second_store_on_a_path_is_refused(tmp_path: Path) -> None:
    store = await opened(tmp_path)

    with pytest.raises(PathInUse, match="in use by another process"):
        await opened(tmp_path)

    await store.close()
    await (await opened(tmp_path)).close()


async def test_a_full_disk_stops_admission_and_not_reads(tmp_path: Path) -> None:
    faulty = FaultyCalls()
    store = await opened(tmp_path, faulty=faulty)
    await put(store, "a", meta(2 * MIB), Span(0, 2))
    landing = await store.land(oid("b"), meta(2 * MIB), MIB, 0, Span(0, 2))
    assert landing is not None
    faulty.writes = errno.ENOSPC

    with pytest.raises(NotKept, match="No space left"):
        await landing.write(0, memoryview(content(Span(0, MIB))))
    await landing.close()
    assert not await put(store, "c", meta(MIB), Span(0, 1))
    assert not await store.pack(oid("d"), meta(3), b"123")
    assert store.statistics().paths_full == 1
    assert await read(store, "a", Span(0, 2 * MIB)) == content(Span(0, 2 * MIB))

    faulty.writes = 0
    assert await put(store, "c", meta(MIB), Span(0, 1))
    assert store.statistics().paths_full == 0
    assert store.present(oid("b"), version(), MIB, Span(0, 2)) == []
    await store.close()


async def test_an_io_error_takes_the_path_out_and_leaves_the_other_in(tmp_path: Path) -> None:
    faulty = FaultyCalls()
    store = await opened(tmp_path / "a", tmp_path / "b", faulty=faulty)
    keys = [f"key {number}" for number in range(20)]
    for key in keys:
        assert await put(store, key, meta(MIB), Span(0, 1))
    faulty.reads = errno.EIO
    with pytest.raises(PageGone):
        await read(store, keys[0], Span(0, 10))
    faulty.reads = 0

    left = [key for key in keys if store.newest(oid(key)) is not None]

    assert 0 < len(left) < len(keys)
    assert len(store.statistics().paths_out) == 1
    for key in left:
        assert await read(store, key, Span(5, 99)) == content(Span(5, 99))
    assert await put(store, keys[0], meta(MIB), Span(0, 1))
    await store.close()


async def test_the_only_path_out_leaves_a_store_without_admission(tmp_path: Path) -> None:
    faulty = FaultyCalls()
    store = await opened(tmp_path, faulty=faulty)
    await store.pack(oid("a"), meta(3), content(Span(0, 3)))
    landing = await store.land(oid("b"), meta(MIB), MIB, 0, Span(0, 1))
    assert landing is not None
    faulty.writes = errno.EIO

    with pytest.raises(NotKept):
        await landing.write(0, memoryview(content(Span(0, MIB))))
    await landing.close()

    assert await packed(store, "a") is None
    assert not await store.pack(oid("a"), meta(3), content(Span(0, 3)))
    assert not await put(store, "c", meta(MIB), Span(0, 1))
    assert store.statistics().extents == 0
    await store.close()


async def test_short_writes_are_finished(tmp_path: Path) -> None:
    store = await opened(tmp_path, faulty=FaultyCalls(short_writes=True))

    await put(store, "a", meta(MIB + 5), Span(0, 2))
    await store.pack(oid("b"), meta(1000), content(Span(0, 1000)))

    assert await read(store, "a", Span(0, MIB + 5)) == content(Span(0, MIB + 5))
    assert await packed(store, "b") == (meta(1000), content(Span(0, 1000)))
    await store.close()


async def test_a_lost_head_leaves_the_other_extents_of_use(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    about = meta(EXTENT_BYTES + MIB)
    await put(store, "a", about, Span(64, 65))
    await store.close()
    head = next(path for path in tmp_path.glob("extents/*/*") if path.stat().st_size == 16 * KIB)
    flip(head, 50)

    store = await opened(tmp_path)
    await put(store, "a", about, Span(0, 1))

    assert store.present(oid("a"), version(), MIB, Span(0, 65)) == [Span(0, 1), Span(64, 65)]
    await store.close()


async def test_a_head_that_cannot_be_made_hollow_counts_for_what_it_is(tmp_path: Path) -> None:
    faulty = FaultyCalls()
    store = await opened(tmp_path, faulty=faulty)
    about = meta(EXTENT_BYTES + MIB)
    assert await put(store, "a", about, Span(0, 2))
    assert await put(store, "a", about, Span(64, 65))
    before, path = store.statistics(), store._paths[0]
    faulty.writes = errno.ENOSPC

    assert await path.leaving.some(1)
    await asyncio.wait(list(path._opening.values()))
    await asyncio.sleep(0)

    assert store.statistics().clean_bytes == before.clean_bytes
    assert store.statistics().evicted_bytes == 0
    faulty.writes = 0
    assert await path.leaving.some(1)
    await asyncio.wait(list(path._opening.values()))
    assert store.statistics().clean_bytes == before.clean_bytes - 2 * MIB
    await store.close()
