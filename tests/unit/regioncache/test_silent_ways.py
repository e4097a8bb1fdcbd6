"""Ways that take questions and answer none: what that costs their readers, and that it costs nobody else."""

import asyncio
from pathlib import Path

import pytest

from namespace.model import Mount
from namespace.resolver import Place
from namespace.routes import Way
from regioncache.errors import OriginUnavailable, SlowDown, Unanswered
from regioncache.fetching import FLIGHT_BYTES
from regioncache.health import ANSWER_SECONDS, Health
from regioncache.isolation import Bounds
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import Payer, Question
from regioncache.pages import MIB
from regioncache.sources import Route, Sources, way_id
from tests.fakes.clock import FakeClock, settle
from tests.fakes.faulty import Fault, Faulty, stall
from tests.fakes.origin import FakeOrigin
from tests.fakes.ramp import ramp
from tests.fakes.region import HOME, LINE, Patient, Region, bucket, drained, endpoint, region

pytestmark = pytest.mark.anyio
WAY = Way("endpoint", HOME, (), endpoint("http://silent"), None)
OVER_LINE = Way("endpoint", HOME, (), endpoint("http://silent"), LINE)
BY_NODES = Way("region", HOME, ("10.1.0.7:9100",), None, None)


class OnLine(NoLine):
    """A crossing whose wait and room the test says."""

    def __init__(self, waited: float = 0.0, holds_up: bool = False) -> None:
        super().__init__()
        self.so_far, self.is_wanted = waited, holds_up

    @property
    def waited(self) -> float:
        return self.so_far

    @property
    def holds_up(self) -> bool:
        return self.is_wanted


class World:
    """One way that does not answer, and the questions that were put to it."""

    def __init__(self, way: Way = WAY) -> None:
        self.clock, self.way = FakeClock(), way
        self.source = Faulty(FakeOrigin())
        self.source.always = stall()
        self.sources = Sources(Health(), self._route, self.clock)
        self.asked: list[asyncio.Task[object]] = []

    def _route(self, place: Place, way: Way) -> Route:
        return Route(way_id("data", way), "origin", way.line, self.source, lambda payer, kind: NoLine())

    @property
    def place(self) -> Place:
        mount = Mount.model_construct(path="/ns/data", bucket="data", prefix="")
        return Place("/ns/data/k", mount, bucket(), "k", (self.way,))

    async def ask(self, count: int, crossing: NoLine | None = None) -> None:
        (route,) = self.sources.of(self.place)
        for _ in range(count):
            question = self.source.head(Question("k", Payer("rec")), NoLine())
            asking = self.sources.ask(route, question, crossing or NoLine())
            self.asked.append(asyncio.create_task(asking))
        await settle()

    async def listen(self, seconds: float) -> None:
        """Time passes, and the prober listens as often as it does."""
        for _ in range(int(seconds / 0.25)):
            self.clock.advance(0.25)
            self.sources.listen()
        await settle()

    async def end(self) -> None:
        for task in self.asked:
            task.cancel()
        await asyncio.gather(*self.asked, return_exceptions=True)


async def test_three_questions_without_an_answer_take_a_way_before_they_are_given_up() -> None:
    world = World()
    await world.ask(3)

    await world.listen(ANSWER_SECONDS - 0.25)
    assert not world.sources.away(world.place)
    await world.listen(0.25)

    assert world.sources.away(world.place)
    assert not any(task.done() for task in world.asked), "an answer that comes late is welcome"
    await world.end()


async def test_two_questions_without_an_answer_do_not_take_a_way() -> None:
    world = World()
    await world.ask(2)

    await world.listen(60)

    assert not world.sources.away(world.place)
    await world.end()


async def test_a_silence_that_was_counted_is_not_counted_again_when_it_is_given_up() -> None:
    world = World()
    silence = Fault(Unanswered("no answer in 10 s"), stall=True)
    world.source.always = silence
    await world.ask(2)
    await world.listen(ANSWER_SECONDS)
    silence.released.set()
    await settle()

    assert [type(task.exception()) for task in world.asked] == [Unanswered] * 2
    assert not world.sources.away(world.place)


async def test_the_time_that_a_line_made_a_question_wait_does_not_count() -> None:
    world = World()
    await world.ask(3, OnLine(waited=100.0))

    await world.listen(60)

    assert not world.sources.away(world.place)
    await world.end()


async def test_a_node_that_waits_for_its_own_origin_is_not_taken_for_silent() -> None:
    world = World(BY_NODES)
    await world.ask(10)

    await world.listen(20)

    assert not world.sources.away(world.place)
    await world.end()


async def test_a_process_that_stood_still_takes_nobody_for_silent() -> None:
    world = World()
    await world.ask(3)

    world.clock.advance(30)
    world.sources.listen()

    assert not world.sources.away(world.place)
    await world.end()


async def test_room_on_a_line_that_others_wait_for_is_given_back_by_a_way_that_is_away() -> None:
    world = World(OVER_LINE)
    await world.ask(3, OnLine(holds_up=True))
    await world.ask(1, OnLine(holds_up=False))

    await world.listen(ANSWER_SECONDS)

    assert [type(task.exception()) for task in world.asked[:3]] == [Unanswered] * 3
    assert not world.asked[3].done()
    await world.end()


async def test_a_node_that_is_late_gives_the_room_of_a_line_back_and_its_readers_come_again() -> None:
    world = World(Way("region", HOME, ("10.1.0.7:9100",), None, LINE))
    await world.ask(2, OnLine(holds_up=True))
    await world.ask(1, OnLine(holds_up=False))

    await world.listen(ANSWER_SECONDS)

    assert [type(task.exception()) for task in world.asked[:2]] == [SlowDown] * 2
    assert not world.asked[2].done()
    assert not world.sources.away(world.place)
    await world.end()


async def test_who_may_have_what_is_cached_waits_for_no_way_that_owes_an_answer_for_as_long() -> None:
    world = World()
    assert world.sources.hold(world.place, 0.3) == 0.3
    await world.ask(1)

    world.clock.advance(0.2)
    assert world.sources.hold(world.place, 0.3) == 0.3
    world.clock.advance(0.2)

    assert world.sources.hold(world.place, 0.3) == 0.0
    assert world.sources.hold(world.place, 2.0) == 2.0
    await world.end()


async def test_with_a_prober_no_reader_is_sent_to_a_way_that_is_away() -> None:
    world = World()
    world.sources.probed = True
    await world.ask(3)
    await world.listen(ANSWER_SECONDS)
    world.clock.advance(60)

    with pytest.raises(OriginUnavailable, match="away"):
        world.sources.of(world.place)

    assert len(world.sources.probes()) == 1
    await world.end()


# Within a region.

BOUNDS = Bounds(reads=8, questions=4, unheard=4, waiting=6)
PERSON = Payer("rec", "interactive")
"""Loads and training leave some of the places; a person may have all."""


async def opening(cache: Region, keys: list[str]) -> list[asyncio.Task[bytes]]:
    tasks = [asyncio.create_task(cache.read(key, payer=PERSON)) for key in keys]
    await settle(50)
    return tasks


async def test_a_dead_way_holds_a_bounded_part_of_the_memory_and_refuses_who_comes_beyond(tmp_path: Path) -> None:
    async with region(tmp_path, memory=64 * MIB, bounds=BOUNDS) as cache:
        held = cache.faulty[0].always = stall()
        keys = [f"k{n}" for n in range(20)]
        for key in keys:
            cache.put(key, 1000)

        tasks = await opening(cache, keys)

        assert cache.faulty[0].asked == BOUNDS.reads
        assert cache.app.memory.held()["flight"] == BOUNDS.reads * FLIGHT_BYTES
        (seen,) = (way.share for way in cache.app.sources.statistics() if way.share.reads)
        assert (seen.reads, seen.waiting, seen.refused, seen.unanswered) == (8, 6, 6, 8)
        refused = [task.exception() for task in tasks if task.done()]
        assert len(refused) == 6
        assert all("wait for bucket 'data'" in str(fault) for fault in refused)
        held.released.set()
        cache.faulty[0].always = None
        answered = await asyncio.gather(*tasks, return_exceptions=True)
        assert [body for body in answered if isinstance(body, bytes)] == [ramp(0, 1000)] * 14


async def test_readers_that_leave_a_dead_way_take_their_requests_from_its_queue(tmp_path: Path) -> None:
    async with region(tmp_path, bounds=BOUNDS) as cache:
        held = cache.faulty[0].always = stall()
        for n in range(14):
            cache.put(f"k{n}", 1000)
        tasks = await opening(cache, [f"k{n}" for n in range(14)])

        for task in tasks[8:]:
            task.cancel()
        await settle()
        held.released.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        while cache.app.flights.statistics().flying or cache.app.flights.statistics().opening:
            await asyncio.sleep(0)

        assert cache.faulty[0].asked == 8


async def test_a_read_of_cached_pages_does_not_wait_for_an_origin_that_is_silent(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for key in "ab":
            cache.put(key, 3 * MIB)
            await cache.read(key)
        held = cache.faulty[0].always = stall()
        cache.clock.advance(100)
        first = asyncio.create_task(cache.read("a", terms=Patient()))
        await settle()
        cache.clock.advance(1000)

        for _ in range(20):
            assert await cache.read("b", terms=Patient()) == ramp(0, 3 * MIB)
            assert (await cache.stat("b", terms=Patient())).stale_seconds == pytest.approx(1100, abs=2)

        assert not first.done()
        held.released.set()
        cache.faulty[0].always = None
        assert await first == ramp(0, 3 * MIB)


async def test_a_question_that_was_lost_holds_its_readers_once_though_the_way_speaks_again(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for key in "ab":
            cache.put(key, 1000)
            await cache.read(key)
        lost = stall()
        cache.faulty[0].next(lost)
        cache.clock.advance(100)
        first = asyncio.create_task(cache.read("a", terms=Patient()))
        await settle()
        cache.clock.advance(1000)
        await cache.stat("b")
        await settle()
        assert (await cache.stat("b")).stale_seconds is None, "the way speaks"

        async with asyncio.timeout(60):
            opened = await cache.open("a", terms=Patient())

        assert opened.stale_seconds == pytest.approx(1100, abs=2)
        assert await drained(opened) == ramp(0, 1000)
        assert not first.done()
        lost.released.set()
        assert await first == ramp(0, 1000)
