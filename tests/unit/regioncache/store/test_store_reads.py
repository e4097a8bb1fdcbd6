"""What is put into the store comes out of it again, page by page, also to those who wait for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regioncache.pages import EXTENT_BYTES, KIB, MIB, Meta, Span
from regioncache.store.base import PageGone, StoreSettings, WouldBlock
from regioncache.store.store import Store
from tests.fakes.storing import FaultyCalls, content, meta, oid, packed, put, read, version

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(StoreSettings((tmp_path,), size=1 << 34))
    yield opened
    await opened.close()


async def test_a_landed_page_is_read_back(store: Store) -> None:
    about = meta(3 * MIB + 17)

    await put(store, "a", about, Span(1, 4))

    assert store.present(oid("a"), about.version, MIB, Span(0, 4)) == [Span(1, 4)]
    for span in (Span(MIB + 5, 2 * MIB), Span(3 * MIB, 3 * MIB + 17), Span(2 * MIB - 1, 2 * MIB + 1)):
        assert await read(store, "a", span) == content(span)


async def test_bytes_that_are_not_held_are_not_read(store: Store) -> None:
    about = meta(3 * MIB + 17)
    await put(store, "a", about, Span(1, 2))

    for span in (Span(0, 5), Span(2 * MIB - 5, 2 * MIB + 5), Span(3 * MIB + 10, 3 * MIB + 18)):
        with pytest.raises(PageGone, match="fetch it"):
            await read(store, "a", span)


async def test_another_version_is_not_read(store: Store) -> None:
    await put(store, "a", meta(3 * MIB), Span(0, 3))

    assert store.present(oid("a"), version(2), MIB, Span(0, 3)) == []
    with pytest.raises(PageGone):
        await read(store, "a", Span(0, 5), number=2)


async def test_a_span_over_two_extents_is_read_whole(store: Store) -> None:
    about = meta(EXTENT_BYTES + 3 * MIB)
    await put(store, "a", about, Span(63, 64))
    await put(store, "a", about, Span(64, 65))
    span = Span(EXTENT_BYTES - 100 * KIB, EXTENT_BYTES + 100 * KIB)

    assert store.present(oid("a"), about.version, MIB, Span(0, 67)) == [Span(63, 65)]
    assert await read(store, "a", span) == content(span)


async def test_a_newer_version_drops_the_older(store: Store) -> None:
    await put(store, "a", meta(EXTENT_BYTES + MIB), Span(64, 65))
    await put(store, "a", meta(2 * MIB, 2, learned_at=2.0), Span(0, 1), number=2)

    assert store.newest(oid("a")) == version(2)
    assert store.present(oid("a"), version(1), MIB, Span(0, 65)) == []
    assert store.statistics().extents == 1


async def test_an_object_may_shrink_into_a_pack_and_grow_out_of_it(store: Store) -> None:
    await put(store, "a", meta(2 * MIB), Span(0, 2))
    assert await store.pack(oid("a"), meta(100, 2, learned_at=2.0), content(Span(0, 100), 2))
    assert await packed(store, "a") == (meta(100, 2, learned_at=2.0), content(Span(0, 100), 2))

    await put(store, "a", meta(2 * MIB, 3, learned_at=3.0), Span(0, 2), number=3)

    assert await packed(store, "a") is None
    assert await read(store, "a", Span(0, 100), 3) == content(Span(0, 100), 3)
    assert store.statistics().dead_bytes > 0


async def test_a_packed_object_is_read_by_span_too(store: Store) -> None:
    await store.pack(oid("a"), meta(1000), content(Span(0, 1000)))

    assert store.present(oid("a"), version(), MIB, Span(0, 1)) == [Span(0, 1)]
    assert await read(store, "a", Span(10, 20)) == content(Span(10, 20))


async def test_metadata_are_recalled_whichever_extent_came_first(store: Store) -> None:
    about = meta(EXTENT_BYTES + 2 * MIB)

    await put(store, "a", about, Span(64, 65))

    assert await store.recall(oid("a")) == about
    assert store.recall_now(oid("a")) == about


async def test_metadata_larger_than_a_header_are_not_admitted(store: Store) -> None:
    fat = Meta(version(), 10 * MIB, version(), 0.0, "a", (("x-amz-meta-a", "x" * 5000),))

    assert await store.land(oid("a"), fat, MIB, 0, Span(0, 1)) is None
    assert store.newest(oid("a")) is None


async def test_the_longest_key_and_the_most_metadata_of_s3_fit(store: Store) -> None:
    key = "ä" * 512
    about = Meta(version(), MIB, version(), 0.0, "a", (("x-amz-meta-a", "x" * 2048),), 1.0)

    assert await put(store, key, about, Span(0, 1))
    assert await store.recall(oid(key)) == about


async def test_learning_again_changes_the_metadata_and_keeps_the_pages(store: Store) -> None:
    await put(store, "a", meta(2 * MIB), Span(0, 2))
    await store.pack(oid("b"), meta(10), content(Span(0, 10)))
    later = meta(2 * MIB, learned_at=9.0)

    await store.relearn(oid("a"), later)
    await store.relearn(oid("b"), meta(10, learned_at=9.0))

    assert await store.recall(oid("a")) == later
    assert await packed(store, "b") == (meta(10, learned_at=9.0), content(Span(0, 10)))
    assert store.present(oid("a"), version(), MIB, Span(0, 2)) == [Span(0, 2)]


async def test_a_waiter_reads_blocks_before_their_page_is_whole(store: Store) -> None:
    landing = await store.land(oid("a"), meta(2 * MIB), MIB, 0, Span(0, 2))
    assert landing is not None

    await landing.write(0, memoryview(content(Span(0, 700 * KIB))))

    assert landing.landed() == 640 * KIB
    for span in (Span(0, 100), Span(200 * KIB, 600 * KIB), Span(513 * KIB, 640 * KIB), Span(100 * KIB, 200 * KIB)):
        try:
            assert bytes(landing.read_landed(span)) == content(span)
        except WouldBlock:
            assert bytes(await landing.read_landed_later(span)) == content(span)
    assert store.present(oid("a"), version(), MIB, Span(0, 2)) == []
    await landing.close()


async def test_bytes_received_in_place_are_kept_as_those_written(store: Store) -> None:
    landing = await store.land(oid("a"), meta(2 * MIB + 5), MIB, 0, Span(1, 3))
    assert landing is not None
    at = MIB
    while len(room := landing.room()):
        step = min(len(room), 77_777)
        room[:step] = content(Span(at, at + step))
        at += step
        await landing.filled(step)
    await landing.close()

    assert at == 2 * MIB + 5
    assert await read(store, "a", Span(MIB, 2 * MIB + 5)) == content(Span(MIB, 2 * MIB + 5))


async def test_a_run_that_ends_early_keeps_its_whole_pages(store: Store) -> None:
    landing = await store.land(oid("a"), meta(3 * MIB), MIB, 0, Span(0, 3))
    assert landing is not None
    await landing.write(0, memoryview(content(Span(0, 2 * MIB - 1))))
    await landing.close()
    await landing.close()

    assert store.present(oid("a"), version(), MIB, Span(0, 3)) == [Span(0, 1)]
    assert store.statistics().clean_bytes < 2 * MIB
    assert store.statistics().landings == 0


async def test_bytes_out_of_order_are_refused(store: Store) -> None:
    landing = await store.land(oid("a"), meta(3 * MIB), MIB, 0, Span(0, 1))
    assert landing is not None

    with pytest.raises(ValueError, match="not next"):
        await landing.write(5, memoryview(b"x"))
    with pytest.raises(ValueError, match="not next"):
        await landing.write(0, memoryview(bytes(MIB + 1)))
    await landing.close()


async def test_what_was_forgotten_while_it_landed_is_not_kept(store: Store) -> None:
    landing = await store.land(oid("a"), meta(MIB), MIB, 0, Span(0, 1))
    assert landing is not None
    store.forget(oid("a"))

    await landing.write(0, memoryview(content(Span(0, MIB))))

    assert bytes(landing.read_landed(Span(0, 9))) == content(Span(0, 9))
    await landing.close()
    assert store.newest(oid("a")) is None
    assert store.statistics().clean_bytes == 0


async def test_a_cold_page_is_read_by_a_thread(tmp_path: Path) -> None:
    faulty = FaultyCalls(never_in_memory=True)
    store = await Store.open(StoreSettings((tmp_path,), size=1 << 34), faulty.calls())
    await put(store, "a", meta(2 * MIB), Span(0, 2))
    await store.pack(oid("b"), meta(10), content(Span(0, 10)))

    with pytest.raises(WouldBlock):
        store.read_now(oid("a"), version(), Span(0, 10))
    with pytest.raises(WouldBlock):
        store.packed_now(oid("b"))
    assert await read(store, "a", Span(0, 10)) == content(Span(0, 10))
    assert await packed(store, "b") == (meta(10), content(Span(0, 10)))
    await store.close()


async def test_only_so_many_files_stay_open(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings((tmp_path,), size=1 << 34, open_files=2))
    for key in "abcdef":
        await put(store, key, meta(MIB), Span(0, 1))

    for key in "abcdef":
        assert await read(store, key, Span(5, 99)) == content(Span(5, 99))
    assert store.statistics().open_files == 2
    await store.close()
