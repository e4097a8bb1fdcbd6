"""Objects overwritten under their readers: a reply is of one version, or it is cut short."""

import asyncio
from pathlib import Path

import pytest

from regioncache.errors import (
    OriginUnavailable,
    RangeOutside,
    VersionChanged,
)
from regioncache.opened import Terms
from regioncache.pages import MIB, Wanted
from tests.fakes.faulty import Fault, stall
from tests.fakes.ramp import ramp
from tests.fakes.region import cut_short, drained, ended, region

pytestmark = pytest.mark.anyio
VALIDATE = Terms(fresh_seconds=0.0)


async def test_an_overwrite_before_the_headers_is_a_restart_on_the_new_version(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 3 * MIB)
        await cache.read("k", 0, 10)
        cache.put("k", 2 * MIB, shift=7)

        opened = await cache.open("k", 2 * MIB - 10)

        assert await drained(opened) == ramp(2 * MIB - 10, 2 * MIB, 7)
        assert cache.app.tally.version_changed == 0


async def test_an_overwrite_under_a_reply_cuts_it_short_and_never_mixes(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 100 * MIB)
        await cache.read("k", 0, 64 * MIB)
        await ended(cache)
        opened = await cache.open("k")
        cache.put("k", 100 * MIB, shift=7)

        got, fault = await cut_short(opened)

        assert isinstance(fault, VersionChanged)
        assert got == ramp(0, 64 * MIB)
        assert cache.app.tally.version_changed == 1
        assert await cache.read("k", 0, 100) == ramp(0, 100, 7), "what changed under a reply is not believed any more"


async def test_an_overwrite_in_mid_fill_keeps_the_reply_under_way_whole(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        halted = stall(after=MIB)
        cache.faulty[0].next(halted)
        reading = asyncio.create_task(cache.read("k"))
        await halted.reached.wait()
        cache.put("k", 4 * MIB, shift=7)
        halted.released.set()

        assert await reading == ramp(0, 4 * MIB)
        assert await cache.read("k", terms=VALIDATE) == ramp(0, 4 * MIB, 7)


async def test_a_broken_reply_is_never_resumed_on_another_version(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        cut = Fault(OriginUnavailable("reset"), after=MIB + 100, stall=True)
        cache.faulty[0].next(cut)
        opened = await cache.open("k")
        await cut.reached.wait()
        cache.put("k", 4 * MIB, shift=7)
        cut.released.set()

        got, fault = await cut_short(opened)

        assert isinstance(fault, VersionChanged)
        assert got == ramp(0, len(got))
        assert await cache.read("k") == ramp(0, 4 * MIB, 7)


async def test_an_object_that_shrank_below_the_range_counts_as_overwritten(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        await cache.read("k", 0, 10)
        cache.faulty[0].next(Fault(RangeOutside(5)))

        assert await cache.read("k", 3 * MIB, 4 * MIB) == ramp(3 * MIB, 4 * MIB)


async def test_a_peer_that_reads_on_in_an_old_version_is_told_that_it_changed(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        old = cache.put("k", 3 * MIB)
        await cache.read("k", 0, 10)
        cache.put("k", 3 * MIB, shift=2)
        cache.clock.advance(61)
        asked = cache.asked("k", Wanted(MIB, 2 * MIB))
        asked.version = old.meta().version

        with pytest.raises(VersionChanged):
            await cache.app.cache.open(asked)
