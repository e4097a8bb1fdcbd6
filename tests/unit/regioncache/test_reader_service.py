"""Opening and reading: one request where one will do, one flight for all, the newest version within the terms."""

import asyncio
import math
from pathlib import Path

import pytest

from regioncache.errors import (
    NoSuchObject,
    OriginForbids,
    OriginUnavailable,
    RangeOutside,
    Refused,
    SlowDown,
    VersionChanged,
)
from regioncache.opened import Terms
from regioncache.origins.base import Payer
from regioncache.pages import MIB, Span, Wanted
from tests.fakes.clock import settle
from tests.fakes.faulty import Fault, stall, status_403, status_404, status_500, status_503
from tests.fakes.ramp import ramp
from tests.fakes.region import TERMS, Region, cut_short, drained, region

pytestmark = pytest.mark.anyio
IMMUTABLE = Terms(fresh_seconds=math.inf)
VALIDATE = Terms(fresh_seconds=0.0)


async def ended(cache: Region) -> None:
    """Waits until every flight has landed for good."""
    while flights := list(cache.app.flights):
        await flights[0].change()


# One request.


@pytest.mark.parametrize("size", [1, 100_000, 256 * 1024, 256 * 1024 + 1, MIB, 3 * MIB + 17])
async def test_a_cold_object_is_one_request_and_a_second_read_is_none(tmp_path: Path, size: int) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", size)

        assert await cache.read("k") == ramp(0, size)
        await ended(cache)
        assert await cache.read("k") == ramp(0, size)

        assert cache.origin.count("read") == 1
        assert cache.origin.count("head") == 0
        assert cache.origin.total_bytes == size
        assert cache.kinds() == {"unique": size}


async def test_an_empty_object_is_a_416_and_a_head_and_then_known(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 0)

        assert await cache.read("k") == b""
        assert await cache.read("k") == b""

        assert (cache.origin.count("read"), cache.origin.count("head")) == (1, 1)


async def test_an_empty_object_is_known_after_a_restart_without_its_origin(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 0)
        await cache.read("k")
        clock = cache.clock

    async with region(tmp_path, clock=clock) as cache:
        assert (await cache.stat("k", terms=IMMUTABLE)).meta.size == 0

        assert cache.origin.asked == []


async def test_the_last_page_of_a_range_is_fetched_to_its_end_and_nothing_behind(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 10 * MIB)

        got = await cache.read("k", 2 * MIB + 5, 4 * MIB + 7)

        assert got == ramp(2 * MIB + 5, 4 * MIB + 7)
        assert cache.origin.spans("k") == [Span(2 * MIB, 5 * MIB)]


async def test_a_few_bytes_of_a_huge_object_are_one_page(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 100 * 10**9)
        at = 77 * 10**9

        assert await cache.read("k", at, at + 5000) == ramp(at, at + 5000)

        assert cache.origin.total_bytes == MIB


async def test_a_suffix_of_an_unknown_object_asks_head_and_brings_the_pages_it_touches(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 3 * MIB + 100)

        got = await drained(await cache.app.cache.open(cache.asked("k", Wanted(suffix=200))))

        assert got == ramp(3 * MIB - 100, 3 * MIB + 100)
        assert cache.origin.count("head") == 1
        assert cache.origin.spans("k") == [Span(2 * MIB, 3 * MIB + 100)]


async def test_a_range_outside_says_the_objects_size_whether_known_or_not(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        for _ in range(2):
            with pytest.raises(RangeOutside) as outside:
                await cache.read("k", 1000, 2000)
            assert outside.value.size == 1000


async def test_a_range_longer_than_the_object_ends_where_that_ends(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)

        assert await cache.read("k", 990, 10**12) == ramp(990, 1000)


async def test_over_a_line_a_read_to_the_end_begins_with_one_page(tmp_path: Path) -> None:
    async with region(tmp_path, line=True) as cache:
        cache.put("k", 3 * MIB)

        assert await cache.read("k") == ramp(0, 3 * MIB)

        assert cache.origin.spans("k") == [Span(0, MIB), Span(MIB, 3 * MIB)]


async def test_a_large_object_is_asked_for_extent_by_extent_each_byte_once(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.origin.piece = MIB
        size = 130 * MIB + 9
        cache.put("k", size)

        assert await cache.read("k") == ramp(0, size)

        assert cache.origin.spans("k") == [Span(0, 64 * MIB), Span(64 * MIB, 128 * MIB), Span(128 * MIB, size)]


async def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 10 * MIB)
        await cache.read("k", 2 * MIB, 3 * MIB)
        await cache.read("k", 6 * MIB, 7 * MIB)
        await ended(cache)

        assert await cache.read("k") == ramp(0, 10 * MIB)

        assert sorted(cache.origin.spans("k")) == [
            Span(0, 2 * MIB),
            Span(2 * MIB, 3 * MIB),
            Span(3 * MIB, 6 * MIB),
            Span(6 * MIB, 7 * MIB),
            Span(7 * MIB, 10 * MIB),
        ]
        assert cache.kinds() == {"unique": 10 * MIB}


# One flight.


async def test_fifty_readers_of_a_cold_object_share_one_flight(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 5 * MIB + 3)

        got = await asyncio.gather(*(cache.read("k") for _ in range(50)))

        assert set(got) == {ramp(0, 5 * MIB + 3)}
        assert cache.origin.count("read") == 1


async def test_a_reader_joins_in_the_middle_and_gets_what_has_landed_before_the_rest_comes(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 4 * MIB)
        halted = stall(after=2 * MIB)
        cache.faulty[0].next(halted)
        first = asyncio.create_task(cache.read("k"))
        await halted.reached.wait()

        late = await cache.open("k", MIB, 3 * MIB)
        assert bytes(late._first) == ramp(MIB, MIB + len(late._first))
        halted.released.set()

        assert await drained(late) == ramp(MIB, 3 * MIB)
        assert await first == ramp(0, 4 * MIB)
        assert cache.origin.count("read") == 1


async def test_readers_of_random_ranges_bring_each_page_once(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        size = 20 * MIB + 77
        cache.put("k", size)
        ranges = [(at * 7_654_321 % size, at * 7_654_321 % size + 1 + at * 104_729 % (3 * MIB)) for at in range(1, 41)]

        got = await asyncio.gather(*(cache.read("k", start, end) for start, end in ranges))

        assert all(data == ramp(s, min(e, size)) for data, (s, e) in zip(got, ranges, strict=True))
        pages = {page for s, e in ranges for page in range(s // MIB, (min(e, size) - 1) // MIB + 1)}
        touched = sum(min((page + 1) * MIB, size) - page * MIB for page in pages)
        assert cache.origin.total_bytes == touched
        assert cache.kinds() == {"unique": touched}


async def test_a_reader_that_knows_the_version_by_head_waits_for_the_flight_that_asks_for_its_page(
    tmp_path: Path,
) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 2 * MIB)
        slow = stall()
        cache.faulty[0].next(slow)
        first = asyncio.create_task(cache.read("k"))
        await slow.reached.wait()
        await cache.stat("k")

        second = asyncio.create_task(cache.read("k"))
        await settle()
        slow.released.set()

        assert await second == await first == ramp(0, 2 * MIB)
        assert cache.origin.count("read") == 1


async def test_a_reader_of_another_page_does_not_wait_for_a_stalled_opening(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 8 * MIB)
        slow = stall()
        cache.faulty[0].next(slow)
        first = asyncio.create_task(cache.read("k", 0, 10))
        await slow.reached.wait()
        await cache.stat("k")

        assert await cache.read("k", 5 * MIB, 5 * MIB + 10) == ramp(5 * MIB, 5 * MIB + 10)
        slow.released.set()

        assert await first == ramp(0, 10)


async def test_the_urgent_waiter_pays_and_the_next_when_he_has_left(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 3 * MIB)
        halted = stall(after=MIB)
        cache.faulty[0].next(halted)
        patient = asyncio.create_task(cache.read("k", payer=Payer("rec", "backfill")))
        await halted.reached.wait()
        (flight,) = cache.app.flights

        urgent = await cache.open("k", payer=Payer("search", "interactive"))
        assert flight.payer() == Payer("search", "interactive")
        urgent.close()

        assert flight.payer() == Payer("rec", "backfill")
        halted.released.set()
        await patient


async def test_a_reader_lets_go_of_flights_that_are_behind_it(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.origin.piece = MIB
        cache.put("k", 200 * MIB)
        opened = await cache.open("k")

        most = 0
        async for _ in opened.stream():
            assert opened._reader is not None
            most = max(most, len(opened._reader._attached))

        assert most <= 2


# Newest.


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


# When nobody answers.


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
        assert len(cache.app.sources.trials()) == 1, "its trial is the prober's"


# Overwritten.


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


# Faults, once.


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
