"""Many at once: landings side by side on one extent, readers among them, some cancelled, all under a small limit."""

import asyncio
import random
from pathlib import Path

import pytest

from regioncache.pages import KIB, MIB, Span
from regioncache.store.base import PageGone, StoreSettings
from regioncache.store.store import Store
from tests.fakes.storing import content, meta, oid, packed, put, read, version

pytestmark = pytest.mark.anyio
PAGE = 64 * KIB
PAGES = 64
SIZE = PAGES * PAGE - 77


async def opened(path: Path, size: int = 1 << 34) -> Store:
    return await Store.open(StoreSettings((path,), size=size, open_files=3, segment_bytes=MIB))


async def test_landings_side_by_side_on_a_new_extent_keep_all_their_pages(tmp_path: Path) -> None:
    store = await opened(tmp_path)

    async with asyncio.TaskGroup() as group:
        for first in range(0, PAGES, 4):
            group.create_task(put(store, "a", meta(SIZE), Span(first, first + 4), PAGE))

    assert store.present(oid("a"), version(), PAGE, Span(0, PAGES)) == [Span(0, PAGES)]
    assert await read(store, "a", Span(0, SIZE)) == content(Span(0, SIZE))
    assert store.statistics().extents == 1
    await store.close()
    store = await opened(tmp_path)
    assert store.present(oid("a"), version(), PAGE, Span(0, PAGES)) == [Span(0, PAGES)]
    assert await read(store, "a", Span(0, SIZE)) == content(Span(0, SIZE))
    assert store.torn(oid("a"), version(), 0) is None
    await store.close()


async def land_or_give_up(store: Store, chance: random.Random, key: str, pages: Span, stop: float) -> None:
    """Lands pages; in three of ten times it is cancelled, the later the larger `stop` (0 to 1) is."""
    task = asyncio.ensure_future(put(store, key, meta(SIZE), pages, PAGE))
    if chance.random() < 0.3:
        for _ in range(int(stop * 40)):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])


async def look(store: Store, key: str) -> None:
    """Reads what is present, and compares it; pages may go in the meantime."""
    for run in store.present(oid(key), version(), PAGE, Span(0, PAGES)):
        span = Span(run.start * PAGE, min(run.end * PAGE, SIZE))
        try:
            assert await read(store, key, span) == content(span)
        except PageGone:
            continue


async def pack_and_look(store: Store, key: str) -> None:
    """Packs a small object, and compares it where it is still there."""
    await store.pack(oid(key), meta(9000), content(Span(0, 9000)))
    held = await packed(store, key)
    assert held is None or held == (meta(9000), content(Span(0, 9000)))


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_at_once_no_wrong_byte_is_read(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    store = await opened(tmp_path, 8 * MIB)

    for _ in range(25):
        async with asyncio.TaskGroup() as group:
            for key in chance.sample("abcdef", 3):
                first = chance.randrange(0, PAGES - 20)
                group.create_task(land_or_give_up(store, chance, key, Span(first, first + 10), chance.random()))
                group.create_task(land_or_give_up(store, chance, key, Span(first + 10, first + 20), chance.random()))
                group.create_task(look(store, key))
                group.create_task(pack_and_look(store, f"small {chance.randrange(300)}"))
            if chance.random() < 0.2:
                store.forget(oid(chance.choice("abcdef")))
        statistics = store.statistics()
        assert statistics.landings == 0
        assert statistics.corrupt_pages == 0
        assert statistics.clean_bytes + statistics.dead_bytes <= 9 * MIB
        assert " 0 held" in repr(store)

    await store.close()
    store = await opened(tmp_path, 8 * MIB)
    assert store.statistics().dropped_files == 0
    for key in "abcdef":
        await look(store, key)
    await store.close()


async def test_a_cancelled_landing_leaves_nothing_held(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for steps in range(8):
        task = asyncio.ensure_future(store.land(oid("a"), meta(SIZE), PAGE, 0, Span(0, 4)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            landing = task.result()
            assert landing is not None
            await landing.close()

    assert store.statistics().landings == 0
    assert " 0 held" in repr(store)
    assert await put(store, "a", meta(SIZE), Span(0, 4), PAGE)
    await store.close()


async def test_what_is_forgotten_at_any_moment_of_a_landing_stays_forgotten(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    for steps in range(12):
        task = asyncio.ensure_future(put(store, "a", meta(SIZE), Span(0, 4), PAGE))
        for _ in range(steps):
            await asyncio.sleep(0)
        begun = store.newest(oid("a")) is not None
        store.forget(oid("a"))
        await task
        if begun:
            assert store.newest(oid("a")) is None
        store.forget(oid("a"))

    await store.close()
    store = await opened(tmp_path)
    assert store.newest(oid("a")) is None
    assert not list(tmp_path.glob("extents/*/*"))
    await store.close()
