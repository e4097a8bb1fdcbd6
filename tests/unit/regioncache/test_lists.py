"""Pages of lists: asked once, kept for a while, bounded, and served when nobody can be asked."""

import asyncio
import math
from pathlib import Path

import pytest

from regioncache.errors import BadAnswer, NoSuchObject, OriginUnavailable, Refused
from regioncache.listpages import ListPages
from regioncache.lists import ENDS, Lists
from regioncache.opened import Terms
from regioncache.origins.base import ListAsk, ListPage
from tests.fakes.clock import settle
from tests.fakes.faulty import Fault, stall, status_500
from tests.fakes.region import PAYER, TERMS, Patient, Region, region

pytestmark = pytest.mark.anyio
VALIDATE = Terms(fresh_seconds=0.0)
ALL = ListAsk()


async def page(cache: Region, ask: ListAsk = ALL, terms: Terms = TERMS, lists: Lists | None = None) -> ListPage:
    return await (lists or cache.app.lists).page(cache.place(""), ask, PAYER, terms)


def names(found: ListPage) -> list[str]:
    return sorted([entry.key for entry in found.entries] + list(found.prefixes))


async def test_a_page_is_asked_for_once_by_all_and_kept_for_max_age(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for key in ("a", "b", "c/d"):
            cache.put(key, 1)

        found = await asyncio.gather(*(page(cache, ListAsk(delimiter="/")) for _ in range(20)))
        cache.clock.advance(59)
        again = await page(cache, ListAsk(delimiter="/"))

        assert {tuple(names(one)) for one in found} == {("a", "b", "c/")}
        assert cache.origin.count("list") == 1
        assert again.age == pytest.approx(59)


async def test_an_old_page_is_asked_for_again(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("a", 1)
        await page(cache)
        cache.put("b", 1)
        cache.clock.advance(61)

        assert names(await page(cache)) == ["a", "b"]


async def test_validate_asks_each_time(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for number in range(3):
            cache.put(f"k{number}", 1)
            assert len((await page(cache, terms=VALIDATE)).entries) == number + 1


async def test_other_pages_are_other_questions(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for key in ("a", "b", "c"):
            cache.put(key, 1)

        first = await page(cache, ListAsk(limit=2))
        second = await page(cache, ListAsk(limit=2, after=first.next_after or ""))

        assert names(first) + names(second) == ["a", "b", "c"]
        assert (first.next_after, second.next_after) == ("b", None)


async def test_a_failed_list_is_never_an_answer(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("a", 1)
        cache.faulty[0].next(status_500(), Fault(BadAnswer("no XML")), Fault(NoSuchObject("no such bucket")))
        for fault in (OriginUnavailable, OriginUnavailable, NoSuchObject):
            with pytest.raises(fault):
                await page(cache)

        assert names(await page(cache)) == ["a"]


@pytest.mark.parametrize("fault", [Fault(Refused("nobody")), status_500(), Fault(BadAnswer("no XML"))])
async def test_an_old_page_is_served_when_nobody_can_be_asked(tmp_path: Path, fault: Fault) -> None:
    async with region(tmp_path) as cache:
        cache.put("a", 1)
        await page(cache)
        cache.clock.advance(500)
        cache.faulty[0].always = fault

        found = await page(cache)

        assert names(found) == ["a"]
        assert found.age == pytest.approx(500)


async def test_a_page_older_than_stale_if_down_is_not_served(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("a", 1)
        await page(cache)
        cache.clock.advance(500)
        cache.faulty[0].always = status_500()

        with pytest.raises(OriginUnavailable):
            await page(cache, terms=Terms(60.0, stale_seconds=400.0))


async def test_a_slow_answer_holds_a_reader_for_a_moment_and_then_the_old_page_is_served(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("a", 1)
        await page(cache)
        cache.clock.advance(61)
        slow = stall()
        cache.faulty[0].next(slow)

        assert (await page(cache)).age == pytest.approx(61)
        cache.put("b", 1)
        slow.released.set()
        await settle()

        assert names(await page(cache)) == ["a", "b"]


async def test_a_question_for_a_page_that_was_lost_holds_nobody_a_second_time(tmp_path: Path) -> None:
    other = ListAsk("a")
    async with region(tmp_path) as cache:
        cache.put("a", 1)
        for ask in (ALL, other):
            await page(cache, ask)
        cache.clock.advance(61)
        lost = stall()
        cache.faulty[0].next(lost)
        first = asyncio.create_task(page(cache, terms=Patient()))
        await settle()
        cache.clock.advance(1000)
        await page(cache, other)
        await settle()
        assert (await page(cache, other)).age == 0, "the way speaks"

        async with asyncio.timeout(60):
            found = await page(cache, terms=Patient())

        assert found.age == pytest.approx(1061)
        assert not first.done()
        lost.released.set()
        assert (await first).age == 0


async def test_the_next_way_is_asked_where_the_first_talks_nonsense(tmp_path: Path) -> None:
    async with region(tmp_path, ways=2) as cache:
        cache.put("a", 1)
        cache.faulty[0].next(Fault(BadAnswer("no XML")))

        assert names(await page(cache)) == ["a"]


async def test_a_doubt_drops_the_pages_on_which_a_key_may_stand(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for prefix in ("", "a/", "a/b", "b/"):
            await page(cache, ListAsk(prefix))
        asked = cache.origin.count("list")

        cache.app.lists.doubt(cache.place("").bucket.id, "a/b/")
        for prefix in ("", "a/", "a/b", "b/"):
            await page(cache, ListAsk(prefix))

        assert cache.origin.count("list") == asked + 3


async def test_a_page_asked_for_before_a_doubt_is_not_kept(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("a", 1)
        slow = stall()
        cache.faulty[0].next(slow)
        asking = asyncio.create_task(page(cache))
        await slow.reached.wait()
        cache.app.lists.doubt(cache.place("").bucket.id, "")
        slow.released.set()
        await asking
        cache.put("b", 1)

        assert names(await page(cache)) == ["a", "b"]


def at(after: str) -> ListAsk:
    return ListAsk(after=after, limit=1)


async def given(cache: Region, ask: ListAsk, following: ListAsk, terms: Terms = TERMS) -> None:
    await cache.app.lists.ahead(cache.place(""), ask, following, PAYER, terms)
    await settle()


async def test_a_reader_of_one_page_has_none_asked_for_in_advance(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await given(cache, at(""), at("a"))
        await given(cache, at("elsewhere"), at("f"))

        assert cache.origin.count("list") == 0


async def test_a_walking_reader_has_one_page_asked_for_in_advance_and_not_again(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for key in ("a", "b", "c", "d"):
            cache.put(key, 1)
        await given(cache, at(""), at("a"))

        await given(cache, at("a"), at("b"))
        await given(cache, at("a"), at("b"))
        await page(cache, at("b"))

        assert cache.origin.count("list") == 1


async def test_nothing_is_asked_for_in_advance_where_each_list_is_asked_for_anew(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await given(cache, at(""), at("a"), VALIDATE)
        await given(cache, at("a"), at("b"), VALIDATE)

        assert cache.origin.count("list") == 0


async def test_of_all_walks_only_the_newest_ends_are_remembered(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await given(cache, at(""), at("first"))
        for number in range(ENDS):
            await cache.app.lists.ahead(cache.place(""), at(""), at(f"{number}"), PAYER, TERMS)

        await given(cache, at("first"), at("second"))
        assert cache.origin.count("list") == 0
        await given(cache, at("7"), at("8"))
        assert cache.origin.count("list") == 1


async def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for number in range(100):
            cache.put(f"k{number:03}", 1)
        pages, ticket = ListPages(limit=20_000), cache.app.catalog.ticket
        lists = Lists(cache.app.sources, pages, ticket, cache.clock, cache.clock.time)

        for number in range(100):
            await page(cache, ListAsk(after=f"k{number:03}", limit=10), lists=lists)

        found = lists.statistics()
        assert found.nbytes <= 20_000
        assert 0 < found.pages < 100


async def test_a_caller_who_wants_it_fresher_does_not_join_a_question_that_may_be_answered_from_a_cache(
    tmp_path: Path,
) -> None:
    async with region(tmp_path) as cache:
        slow = stall()
        cache.faulty[0].next(slow)
        patient = asyncio.create_task(page(cache, terms=Terms(fresh_seconds=math.inf)))
        await slow.reached.wait()

        await page(cache, terms=Terms(fresh_seconds=5.0))

        assert cache.origin.count("list") == 1
        slow.released.set()
        await patient
