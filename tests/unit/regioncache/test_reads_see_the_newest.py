"""Readers get the newest version within their terms, and what is known is not asked about."""

import asyncio
import math
from pathlib import Path

import pytest

from regioncache.errors import (
    NoSuchObject,
    OriginForbids,
)
from regioncache.opened import Terms
from regioncache.pages import MIB
from tests.fakes.faulty import stall, status_403
from tests.fakes.ramp import ramp
from tests.fakes.region import drained, region

pytestmark = pytest.mark.anyio
IMMUTABLE = Terms(fresh_seconds=math.inf)
VALIDATE = Terms(fresh_seconds=0.0)


async def test_what_is_fresh_is_not_asked_about(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.clock.advance(59)

        await cache.read("k")
        await cache.stat("k")

        assert (cache.origin.count("read"), cache.origin.count("head")) == (1, 0)


async def test_what_is_older_is_asked_about_once_and_its_pages_stay(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 3 * MIB)
        await cache.read("k")
        cache.clock.advance(61)

        got = await asyncio.gather(*(cache.read("k") for _ in range(20)))

        assert set(got) == {ramp(0, 3 * MIB)}
        assert (cache.origin.count("read"), cache.origin.count("head")) == (1, 1)


async def test_an_immutable_object_is_never_asked_about_again(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k", terms=IMMUTABLE)
        cache.clock.advance(10**9)
        cache.put("k", 1000, shift=5)

        assert await cache.read("k", terms=IMMUTABLE) == ramp(0, 1000)


async def test_validate_asks_at_each_open_and_sees_every_overwrite(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k", terms=VALIDATE)
        cache.put("k", 900, shift=3)

        assert await cache.read("k", terms=VALIDATE) == ramp(0, 900, 3)
        assert await cache.read("k", terms=VALIDATE) == ramp(0, 900, 3)

        assert cache.origin.count("head") == 2


async def test_a_refresh_drops_what_was_known_at_once(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 3 * MIB)
        await cache.read("k", terms=IMMUTABLE)
        cache.put("k", 2 * MIB, shift=9)

        await cache.refresh("k")

        assert await cache.read("k", terms=IMMUTABLE) == ramp(0, 2 * MIB, 9)


async def test_an_answer_that_was_asked_for_before_a_refresh_teaches_nothing(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.clock.advance(61)
        slow = stall()
        cache.faulty[0].next(slow)
        asking = asyncio.create_task(cache.stat("k"))
        await slow.reached.wait()
        cache.app.catalog.doubt(cache.asked("k").oid.bucket, "", cache.clock.time())
        cache.clock.advance(1)
        slow.released.set()
        await asking
        heads = cache.origin.count("head")

        await cache.stat("k")

        assert cache.origin.count("head") == heads + 1


async def test_new_metadata_of_the_same_version_keep_the_pages(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        made = cache.put("k", 3 * MIB)
        await cache.read("k")
        cache.origin.bucket.objects["k"] = type(made)(
            made.size, made.shift, revision=made.revision, content_type="text/plain"
        )
        cache.clock.advance(61)

        opened = await cache.open("k")

        assert opened.meta.content_type == "text/plain"
        assert await drained(opened) == ramp(0, 3 * MIB)
        assert cache.origin.count("read") == 1


async def test_404_is_asked_for_once_and_remembered_for_a_moment(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        results = await asyncio.gather(*(cache.read("no") for _ in range(20)), return_exceptions=True)
        assert {type(result) for result in results} == {NoSuchObject}
        with pytest.raises(NoSuchObject):
            await cache.stat("no")
        assert len(cache.origin.asked) == 1

        cache.put("no", 5)
        cache.clock.advance(1)

        assert await cache.read("no") == ramp(0, 5)


async def test_404s_cast_no_doubt_on_what_was_never_held(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for number in range(20):
            with pytest.raises(NoSuchObject):
                await cache.stat(f"no{number}")

        assert cache.app.catalog.statistics().doubts == 0


async def test_403_is_remembered_for_a_moment_too(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 5)
        cache.faulty[0].next(status_403())
        for _ in range(3):
            with pytest.raises(OriginForbids):
                await cache.read("k")
        assert cache.faulty[0].asked == 1
        cache.clock.advance(2)

        assert await cache.read("k") == ramp(0, 5)


@pytest.mark.parametrize("size", [1000, 3 * MIB])
async def test_a_deleted_object_stays_deleted_although_its_pages_are_here(tmp_path: Path, size: int) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", size)
        await cache.read("k")
        cache.origin.bucket.remove("k")
        with pytest.raises(NoSuchObject):
            await cache.read("k", terms=VALIDATE)

        for _ in range(3):
            with pytest.raises(NoSuchObject):
                await cache.read("k")
            cache.clock.advance(2)
