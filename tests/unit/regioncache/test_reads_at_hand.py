"""Held pages are pulled without waiting: checked, into one room, within the budget; the rest comes by the stream."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from regioncache.opened import Opened
from regioncache.pages import EXTENT_BYTES, KIB, MIB, STEP_BYTES, WHOLE, ObjectId, Span, Wanted
from regioncache.rooms import Rooms
from tests.fakes.ramp import ramp
from tests.fakes.region import Region, drained, ended, held, region
from tests.fakes.storing import FaultyCalls

pytestmark = pytest.mark.anyio


async def at_hand(cache: Region, key: str, wanted: Wanted = WHOLE) -> Opened:
    """Opens what has been read before, as the door does for a hit."""
    opened = cache.app.cache.glance(cache.asked(key, wanted))
    assert opened is not None, "it is held, and the kernel has it in memory"
    return opened


async def fetched(cache: Region, key: str, size: int) -> None:
    cache.put(key, size)
    await cache.read(key)
    await ended(cache)


def pulled(opened: Opened) -> bytes:
    """All that is at hand."""
    parts = []
    while (part := opened.pull()) is not None:
        assert len(part.view) <= STEP_BYTES
        parts.append(bytes(part.view))
    return b"".join(parts)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, None), (5, None), (MIB - 7, 3 * MIB + 9), (EXTENT_BYTES - 300 * KIB, EXTENT_BYTES + 300 * KIB)],
)
async def test_what_is_held_is_pulled_to_its_end(tmp_path: Path, start: int, end: int | None) -> None:
    size = EXTENT_BYTES + 2 * MIB + 77
    async with region(tmp_path) as cache:
        await fetched(cache, "k", size)

        opened = await at_hand(cache, "k", Wanted(start, end))

        assert pulled(opened) == ramp(start, end or size)
        opened.close()
        assert cache.app.memory.held()["door"] == 0


async def test_a_small_range_across_the_border_of_two_extents_is_pulled_in_two(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await fetched(cache, "k", EXTENT_BYTES + MIB)

        opened = await at_hand(cache, "k", Wanted(EXTENT_BYTES - 10, EXTENT_BYTES + 10))

        assert opened.whole is None
        assert pulled(opened) == ramp(EXTENT_BYTES - 10, EXTENT_BYTES + 10)
        opened.close()


async def test_where_a_part_lies_is_told_with_it(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await fetched(cache, "k", 2 * MIB)
        opened = await at_hand(cache, "k", Wanted(MIB + 3, None))

        part = opened.pull()

        assert part is not None
        assert part.file is not None
        assert os.pread(part.file.fd, len(part.view), part.offset) == part.view
        opened.close()


async def test_what_is_not_held_any_more_comes_by_the_stream_from_where_the_pulls_ended(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await fetched(cache, "k", 3 * MIB)
        opened = await at_hand(cache, "k")
        first = opened.pull()
        assert first is not None
        got = bytes(first.view)

        cache.app.store.forget(cache.asked("k").oid)

        assert opened.pull() is None
        assert got + await drained(opened) == ramp(0, 3 * MIB)


async def test_a_flipped_bit_is_never_pulled(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await fetched(cache, "k", 2 * MIB)
        opened = await at_hand(cache, "k")
        part = opened.pull()
        assert part is not None
        assert part.file is not None
        with open(f"/proc/self/fd/{part.file.fd}", "rb+", buffering=0) as file:
            file.seek(part.offset + MIB)
            file.write(b"\xff")

        got = bytes(part.view) + pulled(opened)

        assert got == ramp(0, MIB), "the page that is damaged ends what is at hand"
        assert got + await drained(opened) == ramp(0, 2 * MIB)
        assert cache.app.store.statistics().corrupt_pages == 1


async def test_pages_that_the_kernel_does_not_hold_are_not_waited_for(tmp_path: Path) -> None:
    faulty = FaultyCalls()
    async with region(tmp_path, calls=faulty.calls()) as cache:
        await fetched(cache, "k", 2 * MIB)
        opened = await at_hand(cache, "k")
        first = opened.pull()
        assert first is not None
        got = bytes(first.view)

        faulty.never_in_memory = True

        assert opened.pull() is None
        assert got + await drained(opened) == ramp(0, 2 * MIB)


async def test_nothing_is_pulled_beyond_the_budget(tmp_path: Path) -> None:
    async with region(tmp_path, memory=4 * MIB) as cache:
        await fetched(cache, "k", 2 * MIB)
        room = 0
        while cache.app.memory.take_now("door", STEP_BYTES):
            room += STEP_BYTES
        opened = await at_hand(cache, "k")

        assert opened.pull() is None
        cache.app.memory.give("door", room)

        assert pulled(opened) == ramp(0, 2 * MIB)
        opened.close()
        assert cache.app.memory.held()["door"] == 0


async def test_a_read_that_is_closed_gives_its_room_to_the_next(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await fetched(cache, "k", 2 * MIB)
        first = await at_hand(cache, "k")
        one = first.pull()
        assert one is not None
        first.close()

        second = await at_hand(cache, "k", Wanted(MIB, None))
        other = second.pull()

        assert other is not None
        assert other.view.obj is one.view.obj
        second.close()


def test_only_so_many_rooms_lie_idle() -> None:
    rooms = Rooms(kept=2)
    for room in [rooms.take() for _ in range(5)]:
        rooms.give(room)

    assert repr(rooms) == "Rooms(2 idle)"


async def test_pages_held_are_seen_where_the_read_began(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        await cache.read("k", MIB, 2 * MIB)
        await ended(cache)

        opened = await at_hand(cache, "k", Wanted(MIB + 1, None))

        assert held(cache, "k", Span(0, 4)) == [Span(1, 2)]
        assert pulled(opened) == ramp(MIB + 1, 2 * MIB)
        assert await drained(opened) == ramp(2 * MIB, 4 * MIB)


async def test_what_was_learned_after_the_bytes_left_for_the_disk_is_told_with_them(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await fetched(cache, "k", 5)
        kept = (await at_hand(cache, "k")).meta
        later = replace(kept, headers=(("x-amz-checksum-crc32", "AAAAAA=="),), learned_at=kept.learned_at + 1)
        catalog = cache.app.catalog
        catalog.learn(ObjectId(*cache.asked("k").oid), later, catalog.ticket())

        opened = await at_hand(cache, "k")

        assert opened.meta == later
        assert bytes(opened.whole or b"") == ramp(0, 5)
