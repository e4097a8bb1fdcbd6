"""What readers get while an origin is silent, away, failing or answering nonsense, and how often it is asked."""

import asyncio
from pathlib import Path

import pytest

from regioncache.errors import (
    NoSuchObject,
    OriginUnavailable,
    Refused,
    SlowDown,
)
from regioncache.opened import Terms
from regioncache.pages import MIB
from tests.fakes.clock import settle
from tests.fakes.faulty import Fault, stall, status_404, status_500, status_503
from tests.fakes.ramp import ramp
from tests.fakes.region import TERMS, drained, region

pytestmark = pytest.mark.anyio


async def test_a_question_without_an_answer_holds_a_reader_300_ms_and_goes_on(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.clock.advance(100)
        slow = stall()
        cache.faulty[0].next(slow)

        opened = await cache.open("k")

        assert opened.stale_seconds == pytest.approx(100)
        assert await drained(opened) == ramp(0, 1000)
        slow.released.set()
        await settle()
        assert (await cache.open("k")).stale_seconds is None


async def test_an_origin_that_refused_is_away_and_what_is_here_is_served_at_once(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.clock.advance(100)
        cache.faulty[0].always = Fault(Refused("nobody listens"))

        for _ in range(10):
            opened = await cache.open("k")
            assert opened.stale_seconds == pytest.approx(100)
            assert await drained(opened) == ramp(0, 1000)

        assert cache.faulty[0].asked == 2


async def test_what_is_too_stale_is_refused_while_the_origin_is_away(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.clock.advance(100)
        cache.faulty[0].always = Fault(Refused("nobody listens"))

        with pytest.raises(OriginUnavailable):
            await cache.read("k", terms=Terms(60.0, stale_seconds=99.0))
        assert await cache.read("k", terms=Terms(60.0, stale_seconds=101.0)) == ramp(0, 1000)


async def test_what_is_not_here_is_refused_without_a_storm_while_the_origin_is_away(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.faulty[0].always = Fault(Refused("nobody listens"))

        results = await asyncio.gather(*(cache.read("k") for _ in range(30)), return_exceptions=True)
        for _ in range(30):
            with pytest.raises(OriginUnavailable) as away:
                await cache.read("k")
            assert away.value.retry_after >= 1

        assert all(isinstance(result, OriginUnavailable) for result in results)
        assert cache.faulty[0].asked == 1


@pytest.mark.parametrize("fault", [status_500(), status_503(), Fault(Refused("nobody listens"))])
async def test_a_doubted_object_is_served_when_the_origin_cannot_say(tmp_path: Path, fault: Fault) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.clock.advance(5)
        cache.faulty[0].always = fault
        with pytest.raises((OriginUnavailable, SlowDown)):
            await cache.refresh("k")

        opened = await cache.open("k")

        assert opened.stale_seconds == pytest.approx(5)
        assert await drained(opened) == ramp(0, 1000)


async def test_cached_objects_outlive_a_restart_without_an_origin(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("small", 1000)
        cache.put("large", 3 * MIB + 1)
        await cache.read("small")
        await cache.read("large")
        clock = cache.clock

    async with region(tmp_path, clock=clock) as cache:
        clock.advance(1000)
        cache.faulty[0].always = Fault(Refused("nobody listens"))

        assert await cache.read("small") == ramp(0, 1000)
        assert await cache.read("large") == ramp(0, 3 * MIB + 1)


async def test_the_next_way_is_asked_where_the_first_is_away(tmp_path: Path) -> None:
    async with region(tmp_path, ways=2) as cache:
        cache.put("k", 1000)
        cache.faulty[0].always = Fault(Refused("nobody listens"))

        assert await cache.read("k") == ramp(0, 1000)
        cache.put("l", 1000)
        assert await cache.read("l") == ramp(0, 1000)

        assert cache.faulty[0].asked == 1
        assert cache.origins[1].count("read") == 2


async def test_a_way_that_is_away_is_not_tried_by_readers_while_another_answers(tmp_path: Path) -> None:
    async with region(tmp_path, ways=2) as cache:
        cache.faulty[0].always = Fault(Refused("nobody listens"))
        for number in range(10):
            cache.put(f"k{number}", 10)
            cache.clock.advance(30)
            await cache.read(f"k{number}")

        assert cache.faulty[0].asked == 1
        assert len(cache.app.sources.probes()) == 1, "its probe is the prober's"


@pytest.mark.parametrize("fault", [status_500(), Fault(OriginUnavailable("reset"))])
async def test_one_failed_request_is_asked_again_and_nobody_notices(tmp_path: Path, fault: Fault) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 2 * MIB)
        cache.faulty[0].next(fault)

        assert await cache.read("k") == ramp(0, 2 * MIB)

        assert cache.faulty[0].asked == 2


async def test_an_origin_that_goes_on_failing_is_asked_three_times_for_all_who_wait(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 2 * MIB)
        cache.faulty[0].always = status_500()

        results = await asyncio.gather(*(cache.read("k") for _ in range(20)), return_exceptions=True)

        assert {type(result) for result in results} == {OriginUnavailable}
        assert cache.faulty[0].asked == 3
        cache.faulty[0].always = None
        assert await cache.read("k") == ramp(0, 2 * MIB)


async def test_an_origin_that_asks_to_slow_down_is_obeyed(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 2 * MIB)
        cache.faulty[0].next(status_503(7.0))

        with pytest.raises(SlowDown) as told:
            await cache.read("k")

        assert told.value.retry_after == 7.0
        assert cache.faulty[0].asked == 1


async def test_a_404_for_an_object_whose_pages_are_missing_is_told(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        await cache.read("k", 0, 10)
        cache.faulty[0].next(status_404())

        with pytest.raises(NoSuchObject):
            await cache.read("k", 3 * MIB, 4 * MIB)


async def test_a_cached_object_is_served_where_every_way_answers_nonsense(tmp_path: Path) -> None:
    from regioncache.errors import BadAnswer

    async with region(tmp_path, ways=2) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.clock.advance(100)
        for faulty in cache.faulty:
            faulty.always = Fault(BadAnswer("no ETag"))

        assert await cache.read("k", terms=TERMS) == ramp(0, 1000)
