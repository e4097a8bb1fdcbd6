"""Freeing: what somebody names goes now, what is pinned stays unless it is said, and the bytes are counted."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from regioncache.pages import EXTENT_BYTES, MIB, ObjectId, Span
from regioncache.store.base import Freed, StoreSettings
from regioncache.store.groups import Keep
from regioncache.store.store import Store
from tests.fakes.grouping import ByFolder
from tests.fakes.storing import content, meta, oid, put

pytestmark = pytest.mark.anyio


def under(folder: str) -> Callable[[ObjectId], bool]:
    return lambda whose: whose.key.startswith(f"{folder}/")


async def filled(path: Path) -> Store:
    store = await Store.open(StoreSettings((path / "x", path / "y"), size=1 << 30))
    for folder in "ab":
        for number in range(5):
            await store.pack(oid(f"{folder}/small {number}"), meta(3000), content(Span(0, 3000)))
            await put(store, f"{folder}/large {number}", meta(MIB), Span(0, 1))
    await put(store, "a/wide", meta(EXTENT_BYTES + MIB), Span(64, 65))
    return store


async def test_what_is_named_goes_and_is_counted(tmp_path: Path) -> None:
    store, heard = await filled(tmp_path), []
    store.on_gone(lambda: heard.append(1))
    before = store.statistics().clean_bytes

    freed = await store.free(under("a"))

    statistics = store.statistics()
    assert freed == Freed(11, before - statistics.clean_bytes, 0)
    assert statistics.gone_bytes == {"free": freed.nbytes}
    assert heard == [1]
    assert all(store.newest(oid(f"a/{kind} {number}")) is None for kind in ("small", "large") for number in range(5))
    assert all(store.newest(oid(f"b/{kind} {number}")) for kind in ("small", "large") for number in range(5))
    await store.close()
    assert len(list(tmp_path.glob("*/extents/*/*"))) == 5


async def test_what_is_pinned_stays_unless_it_is_said(tmp_path: Path) -> None:
    store = await filled(tmp_path)
    store.regroup(ByFolder({"a": Keep("rule 0", pinned=True)}))

    freed = await store.free(lambda _: True)
    await store.regrouped()
    pinned = store.statistics().pinned_bytes
    assert freed.objects == 10
    assert freed.pinned_bytes == pinned > 5 * MIB

    freed = await store.free(lambda _: True, pinned=True)
    assert freed.objects == 11
    assert freed.nbytes == pinned
    assert store.statistics().clean_bytes == 0
    await store.close()


async def test_what_is_landing_is_read_to_its_end_and_not_kept(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings((tmp_path,), size=1 << 30))
    landing = await store.land(oid("a/x"), meta(2 * MIB), MIB, 0, Span(0, 2))
    assert landing is not None
    await landing.write(0, memoryview(content(Span(0, MIB))))

    freed = await store.free(under("a"))
    await landing.write(MIB, memoryview(content(Span(MIB, 2 * MIB))))
    assert bytes(await landing.read_landed_later(Span(0, 100))) == content(Span(0, 100))
    await landing.close()

    assert freed.objects == 1
    assert store.newest(oid("a/x")) is None
    assert store.statistics().clean_bytes == 0
    await store.close()
    assert list(tmp_path.glob("extents/*/*")) == []


async def test_a_disk_that_is_out_keeps_what_it_has_and_is_named(tmp_path: Path) -> None:
    store = await filled(tmp_path)
    store._paths[1].failed(OSError(errno.EIO, "Input/output error"))
    there = store.statistics().clean_bytes

    freed = await store.free(lambda _: True)

    assert freed.nbytes == there
    assert freed.paths_out == (str(tmp_path / "y"),)
    await store.close()


async def test_nothing_held_is_nothing_freed(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings((tmp_path,), size=1 << 30))

    assert await store.free(under("a")) == Freed(0, 0, 0)
    await store.close()
