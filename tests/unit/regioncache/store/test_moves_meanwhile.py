"""Moves between disks of different speed while other things are done to the same entries: none is lost to either."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from regioncache.pages import KIB, MIB, Span
from regioncache.store.base import HEADER_BYTES
from regioncache.store.disk import SystemCalls
from regioncache.store.groups import Keep
from regioncache.store.keyreading import Keys
from tests.fakes.grouping import ByFolder
from tests.fakes.storing import content, meta, oid, packed, put
from tests.unit.regioncache.store.test_tier_moves import SMALL, Rest, open_two, slot_of

pytestmark = pytest.mark.anyio


async def test_a_small_object_whose_record_is_rewritten_while_it_moves_may_leave_and_move_again(tmp_path: Path) -> None:
    store = await open_two(tmp_path, rest := Rest())
    others = [f"other {number}" for number in range(5)]
    assert await store.pack(oid("small"), meta(3000), SMALL)
    for key in others:
        assert await store.pack(oid(key), meta(256 * KIB), content(Span(0, 256 * KIB)))
    slot, (fast, slow) = slot_of(store, "small"), store._paths
    before = store._index.packed_place(slot)

    async def meanwhile() -> None:
        for key in others[:4]:
            store.forget(oid(key))
        fast.packs.rewrite()
        await fast.packs.rewritten()

    rest.then = meanwhile
    assert not await store._moving.move(slot, fast, slow, reused=True)

    assert store._index.packed_place(slot) != before
    assert fast.at_rest(slot)
    assert await store._moving.move(slot, fast, slow, reused=True)
    assert await packed(store, "small") == (meta(3000), SMALL)
    await store.close()


class Held:
    """Opening a file of one folder for reading waits, from `arm` on, until `let_go`."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._armed = False
        self.entered, self.let_go = threading.Event(), threading.Event()

    def arm(self) -> None:
        self._armed = True

    def open(self, path: str, flags: int, mode: int) -> int:
        if self._armed and path.startswith(self._folder) and flags & os.O_ACCMODE == os.O_RDONLY:
            self.entered.set()
            assert self.let_go.wait(60)
        return os.open(path, flags, mode)


async def test_what_moves_while_keys_are_read_is_labelled_where_it_is(tmp_path: Path) -> None:
    disk = Held(tmp_path / "fast" / "extents")
    store = await open_two(tmp_path, Rest(), SystemCalls(open=disk.open))
    assert await put(store, "a/moves", meta(2 * MIB), Span(0, 2))
    assert await put(store, "a/closed", meta(MIB), Span(0, 1))
    slot, (fast, slow) = slot_of(store, "a/moves"), store._paths
    fast.opened.pop(slot_of(store, "a/closed"))
    disk.arm()

    store.regroup(ByFolder({"a": Keep("rule 0", pinned=True)}))
    reading = asyncio.ensure_future(store.regrouped())
    await asyncio.to_thread(disk.entered.wait, 60)
    assert await store._moving.move(slot, fast, slow, reused=True)
    disk.let_go.set()
    await reading

    assert [path.fifo.pinned for path in (fast, slow)] == [MIB + HEADER_BYTES, 2 * MIB + HEADER_BYTES]
    assert store._keeping.labelled == store._keeping.aimed
    await store.close()


async def test_the_key_of_a_small_object_that_moved_before_is_not_told_to_the_path_it_left(tmp_path: Path) -> None:
    store = await open_two(tmp_path, Rest())
    assert await store.pack(oid("small"), meta(3000), SMALL)
    slot, (fast, slow) = slot_of(store, "small"), store._paths
    assert await store._moving.move(slot, fast, slow, reused=True)

    assert await Keys(store._index).of(fast, [slot]) == {}
    assert await Keys(store._index).of(slow, [slot]) == {slot: oid("small")}
    await store.close()
