"""Fills that are not kept, by their terms or by a full disk: shared within a window, which has a limit."""

import asyncio
import errno
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from regioncache.opened import Terms
from regioncache.pages import MIB, STEP_BYTES
from regioncache.store.disk import Piece, SystemCalls
from tests.fakes.clock import settle
from tests.fakes.faulty import reset, stall
from tests.fakes.ramp import ramp
from tests.fakes.region import drained, ended, region
from tests.fakes.storing import FaultyCalls

pytestmark = pytest.mark.anyio
NEVER_KEPT = Terms(keep=False)


async def test_what_is_never_kept_is_shared_within_a_window(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 12 * MIB)

        got = await asyncio.gather(*(cache.read("k", terms=NEVER_KEPT) for _ in range(8)))
        await ended(cache)

        assert set(got) == {ramp(0, 12 * MIB)}
        assert cache.origin.count("read") == 1
        assert cache.app.store.statistics().extents == 0
        assert set(cache.app.memory.held().values()) == {0}


async def test_what_is_never_kept_is_fetched_anew_by_the_next_reader(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 2 * MIB)
        for _ in range(2):
            assert await cache.read("k", terms=NEVER_KEPT) == ramp(0, 2 * MIB)
            await ended(cache)

        assert cache.origin.total_bytes == 4 * MIB


async def test_a_flight_that_is_not_kept_waits_for_its_slow_reader_within_a_window(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 60 * MIB)
        opened = await cache.open("k", terms=NEVER_KEPT)
        stream = opened.stream()
        await anext(stream)
        await settle(2000)

        assert cache.origin.total_bytes <= 17 * MIB + STEP_BYTES
        rest = await _rest(stream)

        assert rest == ramp(60 * MIB - len(rest), 60 * MIB)
        assert cache.origin.total_bytes == 60 * MIB


async def test_a_late_reader_of_what_is_not_kept_brings_what_has_left_the_window_itself(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 40 * MIB)
        ahead = await cache.open("k", terms=NEVER_KEPT)
        stream = ahead.stream()
        at = 0
        while at < 30 * MIB:
            at += len(await anext(stream))

        behind, rest = await asyncio.gather(cache.read("k", terms=NEVER_KEPT), _rest(stream))

        assert behind == ramp(0, 40 * MIB)
        assert rest == ramp(at, 40 * MIB)


async def _rest(stream: object) -> bytes:
    return b"".join([bytes(piece) async for piece in stream])  # type: ignore[attr-defined]


async def test_a_reader_that_stands_still_does_not_hold_up_another_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regioncache.fetching.PATIENCE_SECONDS", 0.05)
    async with region(tmp_path) as cache:
        cache.put("k", 40 * MIB)
        still = await cache.open("k", terms=NEVER_KEPT)

        assert await cache.read("k", terms=NEVER_KEPT) == ramp(0, 40 * MIB)

        assert await drained(still) == ramp(0, 40 * MIB)


async def test_a_reader_of_a_pages_middle_is_not_waited_for_at_its_beginning(tmp_path: Path) -> None:
    async with region(tmp_path, page=4 * MIB) as cache:
        cache.put("k", 4 * MIB)
        await cache.stat("k")
        while cache.app.memory.take_now("window", MIB):
            """Windows are one block wide from now on."""

        async with asyncio.timeout(10):
            got = await cache.read("k", 3 * MIB, 3 * MIB + 5, terms=NEVER_KEPT)

        assert got == ramp(3 * MIB, 3 * MIB + 5)


async def test_windows_stay_inside_the_memory_budget(tmp_path: Path) -> None:
    async with region(tmp_path, memory=24 * MIB) as cache:
        for number in range(6):
            cache.put(f"k{number}", 30 * MIB)
        opened = [await cache.open(f"k{number}", terms=NEVER_KEPT) for number in range(6)]
        await settle(3000)

        assert sum(cache.app.memory.held().values()) <= cache.app.memory.budget
        assert [await drained(each) for each in opened] == [ramp(0, 30 * MIB)] * 6


@pytest.mark.parametrize("size", [100_000, 3 * MIB])
async def test_a_full_disk_goes_on_without_keeping(tmp_path: Path, size: int) -> None:
    calls = FaultyCalls()
    async with region(tmp_path, calls=calls.calls()) as cache:
        cache.put("k", size)
        calls.writes = errno.ENOSPC

        assert await cache.read("k") == ramp(0, size)
        await ended(cache)
        calls.writes = 0
        assert await cache.read("k") == ramp(0, size)
        await ended(cache)
        asked = cache.origin.count("read")
        assert await cache.read("k") == ramp(0, size)

        assert cache.origin.count("read") == asked


async def test_small_objects_count_as_memory_until_the_disk_has_them(tmp_path: Path) -> None:
    disk_answers = threading.Event()

    def pwritev(fd: int, pieces: Sequence[Piece], offset: int) -> int:
        disk_answers.wait()
        return os.pwritev(fd, pieces, offset)

    async with region(tmp_path, calls=SystemCalls(pwritev=pwritev)) as cache:
        for number in range(8):
            cache.put(f"k{number}", 100_000)
        cache.faulty[0].next(reset(after=70_000))

        for number in range(8):
            assert await cache.read(f"k{number}") == ramp(0, 100_000)
        waiting = dict(cache.app.memory.held())
        disk_answers.set()
        await ended(cache)

        assert waiting["flight"] == 8 * 100_000
        assert set(cache.app.memory.held().values()) == {0}


async def test_a_disk_that_fills_under_a_flight_costs_no_reader_a_byte(tmp_path: Path) -> None:
    calls = FaultyCalls()
    async with region(tmp_path, calls=calls.calls()) as cache:
        cache.put("k", 30 * MIB)
        halted = stall(after=5 * MIB + 65536)
        cache.faulty[0].next(halted)
        reading = [asyncio.create_task(cache.read("k")) for _ in range(5)]
        await halted.reached.wait()
        calls.writes = errno.ENOSPC
        halted.released.set()

        assert set(await asyncio.gather(*reading)) == {ramp(0, 30 * MIB)}
        assert cache.origin.count("read") < 8
