"""A disk that dies, hangs, turns read-only or vanishes costs misses; it comes back by probe, with nothing stale."""

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from regioncache.pages import MIB, Span
from regioncache.store.base import NotKept, PageGone, PathInUse, StoreSettings
from regioncache.store.handing import PATIENCE_SECONDS
from regioncache.store.returning import WELL_SECONDS
from regioncache.store.store import Store
from tests.fakes.faulty_disk import FaultyDisk
from tests.fakes.hearing import Heard
from tests.fakes.storing import content, meta, oid, packed, put, read, version

pytestmark = pytest.mark.anyio
SMALL = content(Span(0, 3000))


@pytest.fixture
def disk(tmp_path: Path) -> FaultyDisk:
    """The disk that goes wrong."""
    return FaultyDisk(tmp_path / "a")


@pytest.fixture
async def store(disk: FaultyDisk) -> AsyncIterator[Store]:
    """A store on that disk alone."""
    opened = await open_on(disk)
    yield opened
    disk.heal()
    await opened.close()


async def open_on(disk: FaultyDisk, *more: Path, heard: Heard | None = None) -> Store:
    settings = StoreSettings((disk.path, *more), size=1 << 34)
    return await Store.open(settings, disk.calls(), (heard or Heard()).tidings())


async def until(state: Callable[[], bool]) -> None:
    while not state():
        await asyncio.sleep(0)


async def back(store: Store, disk: FaultyDisk) -> None:
    """Heals the disk, and returns when the path is in use and has what it shall have."""
    disk.heal()
    await until(lambda: not store._paths[0].disk.hangs())
    disk.probe()
    await until(lambda: not store.statistics().paths_out and not store._index.aside)


async def given_up(disk: FaultyDisk, call: "asyncio.Task[object]") -> None:
    """Returns when nobody waits any more for a call that hangs."""
    await disk.hung()
    disk.pass_seconds(PATIENCE_SECONDS)
    await asyncio.wait([call])


def held(store: Store, key: str = "a") -> list[Span]:
    return store.present(oid(key), version(), MIB, Span(0, 2))


async def with_an_extent_and_a_pack(store: Store) -> None:
    assert await put(store, "a", meta(2 * MIB), Span(0, 2))
    assert await store.pack(oid("b"), meta(3000), SMALL)


async def test_a_read_that_hangs_is_a_miss_after_a_bounded_time_and_the_path_is_out(
    store: Store, disk: FaultyDisk
) -> None:
    await with_an_extent_and_a_pack(store)
    disk.hang("preadv")

    reads = [asyncio.create_task(read(store, "a", Span(0, 9))) for _ in range(20)]
    await given_up(disk, reads[0])

    for one in reads:
        with pytest.raises(PageGone):
            await one
    assert "has not returned for 5 s" in store.statistics().paths_out[0]
    assert held(store) == []
    assert store.newest(oid("b")) is None
    assert not await put(store, "c", meta(MIB), Span(0, 1))


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENODEV, errno.ETIMEDOUT])
async def test_a_path_that_is_well_again_has_what_it_held(store: Store, disk: FaultyDisk, number: int) -> None:
    await with_an_extent_and_a_pack(store)
    disk.fails(number, "pwritev")
    assert not await put(store, "c", meta(MIB), Span(0, 1))
    assert (held(store), await packed(store, "b")) == ([], None)

    await back(store, disk)

    assert held(store) == [Span(0, 2)]
    assert await read(store, "a", Span(0, 2 * MIB)) == content(Span(0, 2 * MIB))
    assert await packed(store, "b") == (meta(3000), SMALL)
    assert await put(store, "c", meta(MIB), Span(0, 1))
    assert await store.pack(oid("d"), meta(3000), SMALL)


async def test_a_path_comes_back_when_what_hung_has_returned_and_not_before(store: Store, disk: FaultyDisk) -> None:
    await with_an_extent_and_a_pack(store)
    disk.hang("preadv")
    reading = asyncio.create_task(read(store, "a", Span(0, 9)))
    await given_up(disk, reading)

    disk.probe(3)
    await until(lambda: len(disk.pauses) == 4)
    assert store.statistics().paths_out
    await back(store, disk)

    assert await read(store, "a", Span(5, 99)) == content(Span(5, 99))
    with pytest.raises(PageGone):
        await reading


async def test_what_a_disk_has_lost_does_not_take_it_out_twice(store: Store, disk: FaultyDisk) -> None:
    await with_an_extent_and_a_pack(store)
    assert await put(store, "c", meta(2 * MIB), Span(0, 2))
    disk.fails(errno.EIO, "preadv")
    with pytest.raises(PageGone):
        await read(store, "a", Span(0, 10))

    await back(store, disk)

    assert held(store, "a") == []
    assert held(store, "c") == [Span(0, 2)]
    assert await put(store, "a", meta(2 * MIB), Span(0, 2))


async def test_probes_become_rarer_and_begin_anew_when_the_disk_was_well_for_long(
    store: Store, disk: FaultyDisk
) -> None:
    disk.fails(errno.EIO, "pwritev")
    assert not await put(store, "a", meta(MIB), Span(0, 1))
    disk.probe(8)
    await until(lambda: len(disk.pauses) == 9)
    assert disk.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    await back(store, disk)

    disk.pass_seconds(WELL_SECONDS - 1)
    disk.fails(errno.EIO, "pwritev")
    assert not await put(store, "a", meta(MIB), Span(0, 1))
    await back(store, disk)
    disk.pass_seconds(WELL_SECONDS)
    disk.fails(errno.EIO, "pwritev")
    assert not await put(store, "a", meta(MIB), Span(0, 1))
    await back(store, disk)

    assert disk.pauses[9:] == [60.0, 1.0]


@pytest.mark.parametrize("then", ["back", "restarted"])
async def test_what_is_forgotten_while_a_path_is_out_does_not_come_back(
    store: Store, disk: FaultyDisk, then: str
) -> None:
    await with_an_extent_and_a_pack(store)
    disk.fails(errno.EROFS, "pwritev", "unlink")
    assert not await put(store, "c", meta(MIB), Span(0, 1))
    store.forget(oid("a"))
    store.forget(oid("b"))

    await back(store, disk)
    if then == "restarted":
        await store.close()
        store = await open_on(disk)

    assert (store.newest(oid("a")), store.newest(oid("b"))) == (None, None)
    assert held(store) == []
    if then == "restarted":
        assert not list(disk.path.glob("extents/*/*"))
        await store.close()


async def test_a_newer_version_that_came_while_a_path_was_out_stays(disk: FaultyDisk, tmp_path: Path) -> None:
    store = await open_on(disk, tmp_path / "b")
    keys = [f"key {number}" for number in range(20)]
    for key in keys:
        assert await put(store, key, meta(2 * MIB), Span(0, 2))
        assert await store.pack(oid(f"small {key}"), meta(3000), SMALL)
    disk.fails(errno.EIO, "pwritev")
    await put(store, "it fails", meta(MIB), Span(0, 1))
    await put(store, "it fails too", meta(MIB), Span(0, 1))
    assert store.statistics().paths_out
    store.forget(oid("it fails"))
    store.forget(oid("it fails too"))
    for key in keys:
        assert await put(store, key, meta(2 * MIB, 2, 2.0), Span(0, 1), number=2)
        newer = content(Span(0, 3000), 2)
        assert await store.pack(oid(f"small {key}"), meta(3000, 2, 2.0), newer)

    await back(store, disk)
    for again in range(2):
        for key in keys:
            assert store.newest(oid(key)) == version(2)
            assert store.present(oid(key), version(2), MIB, Span(0, 2)) == [Span(0, 1)]
            assert held(store, key) == []
            assert await packed(store, f"small {key}") == (meta(3000, 2, 2.0), newer)
        await store.close()
        store = await open_on(disk, tmp_path / "b")
        assert again or store.statistics().extents == len(keys)
    await store.close()


async def test_what_a_question_learned_while_a_path_was_out_holds(store: Store, disk: FaultyDisk) -> None:
    for key in ("same", "other"):
        assert await put(store, key, meta(2 * MIB), Span(0, 2))
    disk.fails(errno.EIO, "pwritev")
    assert not await put(store, "c", meta(MIB), Span(0, 1))

    await store.relearn(oid("same"), meta(2 * MIB, 1, 7.0))
    await store.relearn(oid("other"), meta(2 * MIB, 2, 7.0))
    await back(store, disk)

    assert held(store, "same") == [Span(0, 2)]
    assert store._index.learned[store._index.slots[next(iter(store._index.slots))]] == 7.0
    assert store.newest(oid("other")) is None


async def test_a_write_that_hangs_ends_its_landing_unkept_and_the_pages_before_it_are_held(
    store: Store, disk: FaultyDisk
) -> None:
    landing = await store.land(oid("a"), meta(2 * MIB), MIB, 0, Span(0, 2))
    assert landing is not None
    await landing.write(0, memoryview(content(Span(0, MIB))))
    disk.hang("pwritev")

    writing = asyncio.create_task(landing.write(MIB, memoryview(content(Span(MIB, 2 * MIB)))))
    await given_up(disk, writing)

    with pytest.raises(NotKept):
        await writing
    await landing.close()
    await back(store, disk)
    assert held(store) == [Span(0, 1)]
    assert await put(store, "a", meta(2 * MIB), Span(1, 2))
    assert await read(store, "a", Span(0, 2 * MIB)) == content(Span(0, 2 * MIB))


async def test_a_landing_that_slept_while_its_path_was_out_does_not_go_on(store: Store, disk: FaultyDisk) -> None:
    landing = await store.land(oid("a"), meta(2 * MIB), MIB, 0, Span(0, 2))
    assert landing is not None
    disk.fails(errno.EIO, "pwritev")
    assert not await put(store, "c", meta(MIB), Span(0, 1))
    await back(store, disk)

    with pytest.raises(NotKept):
        await landing.write(0, memoryview(content(Span(0, 2 * MIB))))
    await landing.close()

    assert await put(store, "a", meta(2 * MIB), Span(0, 2))
    assert held(store) == [Span(0, 2)]


async def test_a_pack_that_is_written_when_nobody_waits_any_more_is_not_there(store: Store, disk: FaultyDisk) -> None:
    assert await store.pack(oid("b"), meta(3000), SMALL)
    disk.hang("pwritev")
    packing = asyncio.create_task(store.pack(oid("late"), meta(3000), SMALL))
    await given_up(disk, packing)

    assert not packing.result()
    await back(store, disk)
    assert await packed(store, "late") is None
    await store.close()
    store = await open_on(disk)
    assert (await packed(store, "late"), store.newest(oid("late"))) == (None, None)
    assert await packed(store, "b") == (meta(3000), SMALL)
    await store.close()


@pytest.mark.parametrize("what", ["the folder", "what is in it"])
async def test_a_folder_that_vanishes_is_made_anew_and_begins_empty(
    store: Store, disk: FaultyDisk, what: str, tmp_path: Path
) -> None:
    await with_an_extent_and_a_pack(store)
    if what == "the folder":
        shutil.rmtree(disk.path)
    else:
        for inside in disk.path.iterdir():
            shutil.rmtree(inside) if inside.is_dir() else inside.unlink()

    assert not await put(store, "c", meta(MIB), Span(0, 1))
    assert not await put(store, "c", meta(MIB), Span(0, 1))
    assert "removed or unmounted" in store.statistics().paths_out[0]
    await back(store, disk)

    assert (held(store), await packed(store, "b"), store.statistics().clean_bytes) == ([], None, 0)
    await with_an_extent_and_a_pack(store)
    with pytest.raises(PathInUse):
        await open_on(disk)
    await store.close()
    store = await open_on(disk)
    assert held(store) == [Span(0, 2)]
    assert await packed(store, "b") == (meta(3000), SMALL)
    await store.close()


async def test_an_unmounted_file_system_is_waited_for_and_nothing_lands_beneath(store: Store, disk: FaultyDisk) -> None:
    await with_an_extent_and_a_pack(store)
    mounted = disk.path.rename(disk.path.with_name("mounted"))
    disk.device = 99
    assert not await put(store, "c", meta(MIB), Span(0, 1))
    await until(lambda: bool(store.statistics().paths_out) or not disk.path.exists())
    assert not await put(store, "c", meta(MIB), Span(0, 1))

    disk.probe(3)
    await until(lambda: len(disk.pauses) == 4)
    assert not disk.path.exists()
    mounted.rename(disk.path)
    disk.device = None
    await back(store, disk)

    assert held(store) == [Span(0, 2)]
    assert await packed(store, "b") == (meta(3000), SMALL)


async def test_a_disk_that_is_broken_at_the_start_is_out_and_begins_empty_when_it_is_well(
    disk: FaultyDisk, tmp_path: Path
) -> None:
    store = await open_on(disk)
    await with_an_extent_and_a_pack(store)
    await store.close()
    disk.fails(errno.EIO)
    heard = Heard()

    store = await open_on(disk, tmp_path / "b", heard=heard)
    assert await put(store, "c", meta(MIB), Span(0, 1))
    assert len(store.statistics().paths_out) == 1
    await back(store, disk)

    assert (held(store), await packed(store, "b")) == ([], None)
    assert not list(disk.path.glob("*/*.seg"))
    assert [news for news in heard.news if "begins empty" in news]
    for number in range(20):
        assert await put(store, f"{number}", meta(MIB), Span(0, 1))
    assert list(disk.path.glob("extents/*/*"))
    await store.close()


async def test_a_store_stops_though_a_disk_hangs(disk: FaultyDisk) -> None:
    store = await open_on(disk)
    await with_an_extent_and_a_pack(store)
    disk.hang("preadv")
    reading = asyncio.create_task(read(store, "a", Span(0, 9)))
    await given_up(disk, reading)
    with pytest.raises(PageGone):
        await reading

    await store.close()

    with pytest.raises(PathInUse):
        await open_on(disk)
    disk.heal()


async def test_a_disk_that_does_not_keep_up_costs_misses_and_stays_in_use(store: Store, disk: FaultyDisk) -> None:
    await with_an_extent_and_a_pack(store)
    disk.hang("preadv")
    reads = [asyncio.create_task(read(store, "a", Span(0, 9))) for _ in range(5)]
    for _ in range(4):
        await disk.hung()
    # The clock of those at work is set back: each call returns in time, and yet the fifth waits too long.
    disk.pass_seconds(PATIENCE_SECONDS)
    store._paths[0].disk._handing._pool._began[:] = [disk.now()] * 4

    await asyncio.wait(reads)

    assert all(isinstance(one.exception(), PageGone) for one in reads)
    assert store.statistics().paths_out == ()
    assert not await put(store, "c", meta(MIB), Span(0, 1))
    disk.heal()
    await until(lambda: not store._paths[0].disk.slow)
    assert held(store) == [Span(0, 2)]
    assert await put(store, "c", meta(MIB), Span(0, 1))


async def test_the_figures_stand_by_path(disk: FaultyDisk, tmp_path: Path) -> None:
    settings = StoreSettings((disk.path, tmp_path / "b"), size=1 << 34, sizes=(None, 1 << 33), tiers=(0, 1))
    store = await Store.open(settings, disk.calls())
    assert await put(store, "a", meta(2 * MIB), Span(0, 2))
    await read(store, "a", Span(0, 9))
    well = store.statistics().paths
    disk.fails(errno.EIO, "pwritev")
    await put(store, "b", meta(MIB), Span(0, 1))
    out = store.statistics().paths

    assert [(path.path, path.tier, path.limit_bytes) for path in well] == [
        (str(disk.path), 0, 1 << 34),
        (str(tmp_path / "b"), 1, 1 << 33),
    ]
    assert [path.held_bytes for path in well] == [2 * MIB + 16 * 1024, 0]
    assert [path.uses for path in well] == [1, 0]
    assert [(path.out, path.held_bytes) for path in out] == [("Input/output error", 0), ("", 0)]
    await store.close()
