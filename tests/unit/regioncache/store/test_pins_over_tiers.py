"""Pins on disks of different speed: what fits into all of them together is pinned, whichever of them it comes to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regioncache.pages import MIB, Span
from regioncache.store.base import StoreSettings
from regioncache.store.disk import SystemCalls
from regioncache.store.evict import EPOCH_TOUCHES
from regioncache.store.groups import Keep
from regioncache.store.identity import object_digest
from regioncache.store.store import Store
from regioncache.store.tiers import HOT_USES
from tests.fakes.grouping import ByFolder
from tests.fakes.storing import content, meta, oid, put, read
from tests.unit.regioncache.store.test_tier_moves import Rest

pytestmark = pytest.mark.anyio
FAST, SLOW = 20 * MIB, 100 * MIB
PINNED = ByFolder({"a": Keep("rule 0", pinned=True)})
KEPT = [f"a/{number}" for number in range(60)]
"""Three times the fast disk, and well below what may be pinned of both."""


async def opened(folder: Path, *tiers: int) -> Store:
    settings = StoreSettings(
        (folder / "fast", folder / "slow"), size=1 << 34, sizes=(FAST, SLOW), tiers=tiers, segment_bytes=MIB
    )
    return await Store.open(settings, SystemCalls(rest=Rest()))


@pytest.fixture(params=[(0, 1), (0, 0)], ids=["tiers", "equals"])
async def store(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    two = await opened(tmp_path, *request.param)
    yield two
    await two.close()


async def bring(store: Store, keys: list[str]) -> None:
    """Keeps objects of 1 MiB and moves what is to be moved."""
    for key in keys:
        assert await put(store, key, meta(MIB), Span(0, 1))
        await store._moving.turn()


async def press(store: Store) -> None:
    await bring(store, [f"scan/{number}" for number in range(300)])


def held(store: Store, keys: list[str]) -> list[str]:
    return [key for key in keys if store.newest(oid(key)) is not None]


def tier_of(store: Store, key: str) -> int:
    return store._index.paths[store._index.slots[object_digest(oid(key))]]


async def test_more_than_the_fast_disk_may_have_is_pinned_where_all_disks_have_room_for_it(store: Store) -> None:
    store.regroup(PINNED)
    await bring(store, KEPT)
    await press(store)

    assert held(store, KEPT) == KEPT
    assert store.statistics().pinned_bytes >= 60 * MIB
    for key in KEPT:
        assert await read(store, key, Span(0, MIB)) == content(Span(0, MIB))


async def test_small_objects_are_pinned_on_all_disks_too(store: Store) -> None:
    store.regroup(PINNED)
    keys = [f"a/{number}" for number in range(250)]
    for key in keys:
        assert await store.pack(oid(key), meta(MIB // 4), content(Span(0, MIB // 4)))
    await press(store)

    assert held(store, keys) == keys
    assert store.statistics().pinned_bytes >= 62 * MIB


async def test_what_was_held_when_it_was_pinned_goes_down_and_is_pinned_there(tmp_path: Path) -> None:
    store = await opened(tmp_path, 0, 1)
    keys = KEPT[:19]
    for key in keys:
        assert await put(store, key, meta(MIB), Span(0, 1))
    store.regroup(PINNED)
    await store.regrouped()
    assert store.statistics().pinned_bytes <= FAST * 0.9

    await store._moving.turn()
    await press(store)

    assert held(store, keys) == keys
    assert store.statistics().pinned_bytes >= 19 * MIB
    await store.close()
    store = await opened(tmp_path, 0, 1)
    assert store.statistics().pinned_bytes >= 19 * MIB
    await store.close()


async def test_what_is_pinned_below_does_not_come_up_where_nothing_else_would_have_room(tmp_path: Path) -> None:
    store = await opened(tmp_path, 0, 1)
    store.regroup(PINNED)
    await bring(store, KEPT)
    below = [key for key in KEPT if tier_of(store, key) == 1]
    for key in below:
        slot = store._index.slots[object_digest(oid(key))]
        for _ in range(HOT_USES * EPOCH_TOUCHES // 16):
            store._paths[1].fifo.touch(slot)
        store._index.links.hits[slot] = HOT_USES
        store._paths[1].fifo.touch(slot)

    for _ in range(5):
        await store._moving.turn()

    assert store._paths[0].fifo.pinned <= FAST * 0.9
    assert await put(store, "other", meta(MIB), Span(0, 1))
    assert tier_of(store, "other") == 0
    await store.close()
