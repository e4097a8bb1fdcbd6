"""What could not be removed because the disk failed just then is removed when it is back: no restart finds it again."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from regioncache.pages import MIB, Span
from regioncache.store.base import StoreSettings
from regioncache.store.store import Store
from tests.fakes.faulty_disk import FaultyDisk
from tests.fakes.storing import content, meta, oid, put, version

pytestmark = pytest.mark.anyio
PACKED = content(Span(0, 60_000))


async def until(state: Callable[[], bool]) -> None:
    while not state():
        await asyncio.sleep(0)


async def out_and_back(store: Store, disk: FaultyDisk) -> None:
    """Waits until the failure under way took the path out, heals the disk and waits until it is in use."""
    path = store._paths[0]
    await until(lambda: path.disk.out is not None and not path.disk.hangs())
    disk.heal()
    disk.probe()
    await until(lambda: path.disk.out is None and path.returning._task is None)


def opening(disk: FaultyDisk) -> StoreSettings:
    return StoreSettings((disk.path,), size=1 << 34, segment_bytes=MIB)


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
async def test_an_extent_forgotten_as_the_disk_fails_is_not_there_after_a_restart(tmp_path: Path, number: int) -> None:
    disk = FaultyDisk(tmp_path / "a")
    store = await Store.open(opening(disk), disk.calls())
    assert await put(store, "x", meta(MIB), Span(0, 1))
    assert await put(store, "y", meta(MIB), Span(0, 1))
    disk.fails(number, "unlink")
    store.forget(oid("x"))
    await out_and_back(store, disk)
    await store.close()

    store = await Store.open(opening(disk), disk.calls())

    assert (store.newest(oid("x")), store.newest(oid("y"))) == (None, version())
    await store.close()


async def test_a_segment_rewritten_as_the_disk_fails_is_not_there_after_a_restart(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path / "a")
    store = await Store.open(opening(disk), disk.calls())
    keys = [f"k{number}" for number in range(20)]
    for key in keys:
        assert await store.pack(oid(key), meta(len(PACKED)), PACKED)
    disk.fails(errno.EIO, "unlink")
    # The first segment has no more than these.
    for key in keys[:18]:
        store.forget(oid(key))
    await out_and_back(store, disk)
    await store.close()

    assert [path.name for path in (tmp_path / "a" / "packs").glob("*.seg")] == ["00000002.seg"]


async def test_what_is_owed_is_forgotten_where_the_folder_was_removed(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path / "a")
    store = await Store.open(opening(disk), disk.calls())
    assert await put(store, "x", meta(MIB), Span(0, 1))
    disk.fails(errno.EIO, "unlink")
    store.forget(oid("x"))
    path = store._paths[0]
    await until(lambda: path.disk.out is not None and not path.disk.hangs())
    (tmp_path / "a").rename(tmp_path / "elsewhere")
    disk.heal()
    disk.probe()
    await until(lambda: path.disk.out is None and path.returning._task is None)

    assert await put(store, "x", meta(MIB), Span(0, 1))

    assert store.newest(oid("x")) == version()
    assert path.disk._owed == set()
    await store.close()
