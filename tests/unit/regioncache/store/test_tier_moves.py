"""Disks of different speed: new data land in the fast one, what is worth it moves, and nothing is wrong midway."""

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regioncache.pages import KIB, MIB, Span
from regioncache.store.base import StoreSettings
from regioncache.store.disk import SystemCalls
from regioncache.store.evict import EPOCH_TOUCHES
from regioncache.store.identity import object_digest
from regioncache.store.store import Store
from regioncache.store.tiers import HOT_USES
from tests.fakes.faulty_disk import FaultyDisk
from tests.fakes.storing import content, meta, oid, packed, put, read, version

pytestmark = pytest.mark.anyio
FAST, SLOW = 20 * MIB, 200 * MIB
SMALL = content(Span(0, 3000))


class Rest:
    """What happens while a move rests; the turns that come by themselves do not."""

    def __init__(self) -> None:
        self.then: Callable[[], Awaitable[None]] | None = None

    async def __call__(self, seconds: float) -> None:
        if seconds == 1.0:
            await asyncio.get_running_loop().create_future()
        if self.then is not None:
            then, self.then = self.then, None
            await then()
        await asyncio.sleep(0)


async def open_two(
    folder: Path, rest: Rest, calls: SystemCalls | None = None, marks: tuple[float, float] = (1.0, 1.0)
) -> Store:
    settings = StoreSettings(
        (folder / "fast", folder / "slow"), size=1 << 34, sizes=(FAST, SLOW), tiers=(0, 1), segment_bytes=MIB,
        high=marks[0], low=marks[1],
    )  # fmt: skip
    return await Store.open(settings, replace(calls or SystemCalls(), rest=rest))


@pytest.fixture
def rest() -> Rest:
    return Rest()


@pytest.fixture
async def store(tmp_path: Path, rest: Rest) -> AsyncIterator[Store]:
    opened = await open_two(tmp_path, rest)
    yield opened
    await opened.close()


def held(store: Store) -> list[int]:
    """Bytes by path."""
    return [path.held_bytes for path in store.statistics().paths]


def files(folder: Path, tier: str) -> int:
    return len(list((folder / tier).glob("extents/*/*")))


def tier_of(store: Store, key: str) -> int:
    return store._index.paths[slot_of(store, key)]


def slot_of(store: Store, key: str) -> int:
    return store._index.slots[object_digest(oid(key))]


async def fill(store: Store, count: int = 19, first: int = 0) -> list[str]:
    """Keeps objects of 1 MiB: nineteen are more than the mark of the fast disk, and less than its size."""
    keys = [f"key {number}" for number in range(first, first + count)]
    for key in keys:
        assert await put(store, key, meta(MIB), Span(0, 1))
    return keys


def use(store: Store, key: str, times: int = HOT_USES) -> None:
    """Reads an object in so many separate spells."""
    slot, fifo = slot_of(store, key), store._paths[tier_of(store, key)].fifo
    for _ in range(times * EPOCH_TOUCHES):
        fifo.touch(slot)


async def some_below(store: Store) -> str:
    """Fills the fast disk and more; returns what went down."""
    keys = await fill(store)
    await store._moving.turn()
    return next(key for key in keys if tier_of(store, key) == 1)


async def test_new_data_land_in_the_fast_tier_and_what_leaves_it_goes_down_while_there_is_room(
    store: Store, tmp_path: Path
) -> None:
    keys = await fill(store)
    assert held(store)[1] == 0

    await store._moving.turn()

    fast, slow = held(store)
    assert 0 < fast <= FAST * 0.95
    assert slow == store.statistics().paths[1].moved_bytes > 0
    for key in keys:
        assert await read(store, key, Span(0, MIB)) == content(Span(0, MIB))
    await gone_from_disk(store)
    assert [files(tmp_path, "fast"), files(tmp_path, "slow")] == [18, 1]
    assert store.statistics().evicted_bytes == 0


@pytest.mark.parametrize("marks", [(0.97, 0.95), (0.5, 0.25)])
async def test_where_there_is_a_slower_disk_the_watermarks_move_and_let_nothing_go(
    tmp_path: Path, rest: Rest, marks: tuple[float, float]
) -> None:
    store = await open_two(tmp_path, rest, marks=marks)
    keys = await fill(store, 16)
    await store._moving.turn()
    keys += await fill(store, 3, first=16)

    await store._moving.turn()

    fast, slow = held(store)
    assert (marks[1] - 0.1) * FAST < fast <= marks[1] * FAST
    assert fast + slow >= len(keys) * MIB
    assert store.statistics().evicted_bytes == 0
    await store.close()


async def test_where_the_slower_disk_is_out_the_watermarks_let_go(tmp_path: Path, rest: Rest) -> None:
    store = await open_two(tmp_path, rest, marks=(0.5, 0.25))
    store._paths[1].failed(OSError(errno.EIO, "Input/output error"))

    await fill(store, 10)
    async with asyncio.timeout(60):
        while held(store)[0] > 0.25 * FAST:
            await asyncio.sleep(0.001)

    assert store.statistics().evicted_bytes > 0
    await store.close()


async def test_what_comes_faster_than_it_moves_lands_below_while_there_is_room(tmp_path: Path, rest: Rest) -> None:
    store = await open_two(tmp_path, rest, marks=(0.97, 0.95))

    keys = await fill(store, 60)
    for number in range(40):
        assert await store.pack(oid(f"small {number}"), meta(256 * KIB), content(Span(0, 256 * KIB)))

    assert [tier_of(store, key) for key in keys[:18]] == [0] * 18
    assert sum(held(store)) >= 70 * MIB
    assert store.statistics().evicted_bytes == 0
    await fill(store, 200, first=60)
    assert store.statistics().evicted_bytes > 0
    assert held(store)[1] <= 0.97 * SLOW
    await store.close()


async def gone_from_disk(store: Store) -> None:
    """Waits for what is removed behind, on disks in use."""
    for path in store._paths:
        if path.disk.out is None:
            await path.disk.append(lambda: None)


async def test_what_is_used_again_and_again_below_comes_up(store: Store) -> None:
    key = await some_below(store)
    use(store, key, HOT_USES - 1)
    await store._moving.turn()
    assert tier_of(store, key) == 1

    use(store, key, 1)
    await store._moving.turn()

    assert tier_of(store, key) == 0
    assert await read(store, key, Span(5, MIB)) == content(Span(5, MIB))


async def test_where_there_is_no_room_below_what_was_read_once_leaves_and_what_was_used_goes_down(
    tmp_path: Path, rest: Rest
) -> None:
    settings = StoreSettings((tmp_path / "fast", tmp_path / "slow"), sizes=(FAST, 5 * MIB), tiers=(0, 1))
    store = await Store.open(settings, SystemCalls(rest=rest))
    once, used = [], []
    for number in range(60):
        key = f"key {number}"
        assert await put(store, key, meta(MIB), Span(0, 1))
        (used if number % 2 else once).append(key)
        if number % 2:
            use(store, key, 1)
        await store._moving.turn()

    below = {key for key in (*once, *used) if store.newest(oid(key)) and tier_of(store, key) == 1}

    assert held(store)[1] <= 5 * MIB
    assert below & set(used)
    assert not below & set(once[10:])
    assert store.statistics().evicted_bytes > 0
    await store.close()


async def test_a_small_object_moves_too(store: Store) -> None:
    for number in range(70):
        assert await store.pack(oid(f"small {number}"), meta(256 * KIB), content(Span(0, 256 * KIB)))
    await store._moving.turn()
    for number in range(70, 76):
        assert await store.pack(oid(f"small {number}"), meta(256 * KIB), content(Span(0, 256 * KIB)))

    await store._moving.turn()

    kept = [key for key in (f"small {number}" for number in range(76)) if store.newest(oid(key))]
    assert {tier_of(store, key) for key in kept} == {0, 1}
    for key in kept:
        assert await packed(store, key) == (meta(256 * KIB), content(Span(0, 256 * KIB)))


async def test_a_moved_entry_outlives_a_restart_once(store: Store, tmp_path: Path, rest: Rest) -> None:
    key = await some_below(store)
    assert await store.pack(oid("small"), meta(3000), SMALL)
    assert await store._moving.move(slot_of(store, "small"), store._paths[0], store._paths[1], reused=True)
    await store.close()

    store = await open_two(tmp_path, rest)

    assert (tier_of(store, key), tier_of(store, "small")) == (1, 1)
    assert await read(store, key, Span(0, MIB)) == content(Span(0, MIB))
    assert await packed(store, "small") == (meta(3000), SMALL)
    assert store.statistics().dropped_files == 0
    await store.close()


@pytest.mark.parametrize("what", ["forgotten", "overwritten", "relearned", "landed", "out"])
async def test_what_comes_of_an_entry_while_it_moves_holds(store: Store, tmp_path: Path, rest: Rest, what: str) -> None:
    about = meta(4 * MIB)
    assert await put(store, "a", about, Span(0, 2))
    newer, later = meta(4 * MIB, 2, 2.0), replace(about, content_type="text/new", learned_at=5.0)

    async def meanwhile() -> None:
        if what == "forgotten":
            store.forget(oid("a"))
        elif what == "overwritten":
            assert await put(store, "a", newer, Span(0, 1), number=2)
        elif what == "relearned":
            await store.relearn(oid("a"), later)
        elif what == "landed":
            assert await put(store, "a", about, Span(2, 4))
        else:
            store._paths[0].failed(OSError(errno.EIO, "Input/output error"))

    rest.then = meanwhile
    assert not await store._moving.move(slot_of(store, "a"), store._paths[0], store._paths[1], reused=True)
    await gone_from_disk(store)

    number = 2 if what == "overwritten" else 1
    pages = {"forgotten": [], "out": [], "overwritten": [Span(0, 1)], "landed": [Span(0, 4)], "relearned": [Span(0, 2)]}
    assert store.present(oid("a"), version(number), MIB, Span(0, 4)) == pages[what]
    for span in pages[what]:
        whole = Span(0, span.end * MIB)
        assert await read(store, "a", whole, number) == content(whole, number)
    if what == "relearned":
        assert await store.recall(oid("a")) == later
    assert files(tmp_path, "slow") == 0


@pytest.mark.parametrize("kind", ["extent", "small"])
@pytest.mark.parametrize("moment", ["midway", "behind"])
async def test_a_crash_in_a_move_leaves_one_whole_copy(
    store: Store, tmp_path: Path, rest: Rest, kind: str, moment: str
) -> None:
    await put(store, "extent", meta(3 * MIB), Span(0, 3))
    await store.pack(oid("small"), meta(3000), SMALL)
    crashed = tmp_path / "crashed"

    async def crash() -> None:
        shutil.copytree(tmp_path / "fast", crashed / "fast")
        shutil.copytree(tmp_path / "slow", crashed / "slow")

    before = tmp_path / "before"
    shutil.copytree(tmp_path / "fast", before)
    rest.then = crash
    assert await store._moving.move(slot_of(store, kind), store._paths[0], store._paths[1], reused=True)
    if moment == "behind":
        # The copy is whole, what it was made of is not removed yet.
        shutil.rmtree(crashed)
        shutil.copytree(before, crashed / "fast")
        shutil.copytree(tmp_path / "slow", crashed / "slow")
    again = await open_two(crashed, rest)

    assert tier_of(again, kind) == (1 if moment == "behind" else 0)
    assert again.present(oid("extent"), version(), MIB, Span(0, 3)) == [Span(0, 3)]
    assert await read(again, "extent", Span(0, 3 * MIB)) == content(Span(0, 3 * MIB))
    assert await packed(again, "small") == (meta(3000), SMALL)
    assert (again.statistics().extents, again.statistics().packed) == (1, 1)
    assert files(crashed, "fast") + files(crashed, "slow") == 1
    await again.close()


@pytest.mark.parametrize("calls", [("pwritev",), ("open",)])
async def test_a_slow_disk_that_fails_costs_the_fast_one_nothing(tmp_path: Path, rest: Rest, calls: list[str]) -> None:
    disk = FaultyDisk(tmp_path / "slow")
    store = await open_two(tmp_path, rest, disk.calls())
    await put(store, "a", meta(2 * MIB), Span(0, 2))
    disk.fails(errno.EIO, *calls)

    assert not await store._moving.move(slot_of(store, "a"), store._paths[0], store._paths[1], reused=True)

    fast, slow = store.statistics().paths
    assert (fast.out, slow.out) == ("", "Input/output error")
    assert await read(store, "a", Span(0, 2 * MIB)) == content(Span(0, 2 * MIB))
    await store.close()


async def test_a_reader_reads_on_while_its_extent_moves(store: Store, rest: Rest) -> None:
    assert await put(store, "a", meta(2 * MIB), Span(0, 2))
    seen: list[bytes] = []

    async def meanwhile() -> None:
        seen.append(await read(store, "a", Span(0, 2 * MIB)))

    rest.then = meanwhile
    assert await store._moving.move(slot_of(store, "a"), store._paths[0], store._paths[1], reused=True)

    assert [*seen, await read(store, "a", Span(0, 2 * MIB))] == [content(Span(0, 2 * MIB))] * 2


async def test_where_the_fast_tier_is_out_new_data_land_below(store: Store) -> None:
    store._paths[0].failed(OSError(errno.EIO, "Input/output error"))

    assert await put(store, "a", meta(2 * MIB), Span(0, 2))

    assert tier_of(store, "a") == 1


async def test_what_moves_while_its_key_is_read_is_freed_where_it_is_and_the_bytes_add_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("moves", "stays"):
        assert await put(store, key, meta(MIB), Span(0, 1))
    fast, slow = store._paths
    # A closed file's key is read on a thread; meanwhile the other entry, whose key is known by then, moves.
    await fast.open(slot_of(store, "moves"))
    fast.opened.pop(slot_of(store, "stays"))
    run, moved = fast.disk.run, []

    async def reading(*args: Any) -> Any:
        read = await run(*args)
        fast.disk.run = run  # type: ignore[method-assign]
        moved.append(await store._moving.move(slot_of(store, "moves"), fast, slow, reused=True))
        return read

    monkeypatch.setattr(fast.disk, "run", reading)

    freed = await store.free(lambda whose: True)

    assert moved == [True]
    assert freed.objects == 2
    assert (fast.fifo.used, slow.fifo.used) == (0, 0)
    assert store.statistics().clean_bytes == 0


async def test_what_moves_up_past_who_frees_is_freed_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await some_below(store)
    fast, slow = store._paths
    slow.opened.pop(slot_of(store, key))
    run, moved = slow.disk.run, []

    async def reading(*args: Any) -> Any:
        read = await run(*args)
        slow.disk.run = run  # type: ignore[method-assign]
        moved.append(await store._moving.move(slot_of(store, key), slow, fast, reused=True))
        return read

    monkeypatch.setattr(slow.disk, "run", reading)

    freed = await store.free(lambda whose: True)

    assert moved == [True]
    assert freed.objects == 19
    assert (fast.fifo.used, slow.fifo.used) == (0, 0)
