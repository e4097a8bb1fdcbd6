"""Where bytes land that have no extent file: records in the making, and windows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.flights import Ground
from regioncache.grounds import Packing, Window
from regioncache.memory import Memory
from regioncache.pages import KIB, MIB, Span
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio


async def bring(ground: Ground, start: int, end: int) -> None:
    """Receives the bytes [start, end) as a flight does."""
    while start < end:
        nbytes = min(end - start, len(ground.room()))
        ground.room()[:nbytes] = ramp(start, start + nbytes)
        await ground.filled(nbytes)
        start += nbytes


async def nobody(offset: int) -> None:
    return


async def test_a_record_is_kept_when_it_is_whole_and_readable_before() -> None:
    kept: list[bytearray] = []

    async def keep(data: bytearray) -> bool:
        kept.append(data)
        return True

    packing = Packing(1000, keep)
    await bring(packing, 0, 600)
    assert bytes(packing.read_landed(Span(100, packing.landed()))) == ramp(100, 600)
    await bring(packing, 600, 1000)
    await packing.close()

    assert kept == [ramp(0, 1000)]


async def test_a_record_that_is_cut_short_is_not_kept() -> None:
    kept: list[bytearray] = []

    async def keep(data: bytearray) -> bool:
        kept.append(data)
        return True

    packing = Packing(1000, keep)
    await bring(packing, 0, 999)
    await packing.close()

    assert kept == []


async def test_a_window_holds_the_last_bytes_and_says_from_where() -> None:
    window = Window(MIB, nobody, Memory(256 * MIB), limit=300 * KIB)
    assert (window.first(), window.landed()) == (MIB, MIB)
    for at in range(MIB, 2 * MIB, 64 * KIB):
        await bring(window, at, at + 64 * KIB)

    assert window.landed() == 2 * MIB
    assert window.first() == 2 * MIB - 256 * KIB
    at = window.first()
    while at < window.landed():
        piece = window.read_landed(Span(at, window.landed()))
        assert bytes(piece) == ramp(at, at + len(piece))
        at += len(piece)
    with pytest.raises(LookupError):
        window.read_landed(Span(window.first() - 1, window.landed()))


async def test_a_window_waits_before_it_drops_and_never_drops_what_is_waited_for() -> None:
    asked: list[int] = []

    async def room(offset: int) -> None:
        asked.append(offset)
        assert window.first() == 0, "still there while somebody may read it"

    window = Window(0, room, Memory(256 * MIB), limit=128 * KIB)
    for at in range(0, 192 * KIB, 64 * KIB):
        await bring(window, at, at + 64 * KIB)

    assert asked == [64 * KIB]
    assert window.first() == 64 * KIB


async def test_a_window_is_one_block_wide_where_memory_is_used_up() -> None:
    memory = Memory(256 * KIB)
    assert memory.take_now("flight", 200 * KIB)
    window = Window(0, nobody, memory)
    for at in range(0, MIB, 64 * KIB):
        await bring(window, at, at + 64 * KIB)

    assert window.landed() - window.first() <= 128 * KIB
    window.leave()
    assert memory.held()["window"] == 0


@given(st.lists(st.integers(1, 200_000), max_size=30), st.integers(1, 400_000), st.integers(100_000, 4_000_000))
async def test_a_window_gives_back_all_it_took(sizes: list[int], limit: int, budget: int) -> None:
    memory = Memory(budget)
    window = Window(0, nobody, memory, limit=limit)
    at = 0
    for size in sizes:
        await bring(window, at, at + size)
        at += size
        assert window.first() <= window.landed() == at

    window.leave()
    window.leave()

    assert set(memory.held().values()) == {0}
