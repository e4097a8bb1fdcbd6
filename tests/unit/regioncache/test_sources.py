"""By which ways a missing page may come, and how those that are away come back."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.resolver import Place
from namespace.routes import Way
from regioncache.errors import (
    NoSuchObject,
    NotSupported,
    OriginBusy,
    OriginUnavailable,
    Refused,
    SlowDown,
    Unanswered,
)
from regioncache.health import Health
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import Payer
from regioncache.prober import Prober
from regioncache.sources import Route, Sources, usable, way_id
from tests.fakes.clock import FakeClock, settle
from tests.fakes.faulty import Fault, Faulty, stall
from tests.fakes.origin import FakeOrigin
from tests.fakes.region import bucket, endpoint, region

pytestmark = pytest.mark.anyio
WAYS = tuple(Way("endpoint", "idc-bj", (), endpoint(f"http://{n}"), None) for n in range(4))


@given(st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)))
def test_ways_that_answer_come_in_order_and_probes_only_where_none_does(away: set[int], due: set[int]) -> None:
    health = Health()
    for number in away:
        health.refused(way_id("data", WAYS[number]), 0.0 if number in due else 9.9)

    found = usable("data", WAYS, health, 10.0)

    healthy = [way for number, way in enumerate(WAYS) if number not in away]
    assert found == (healthy or [way for number, way in enumerate(WAYS) if number in away & due])


def place(*ways: Way) -> Place:
    from namespace.model import Mount

    return Place("/ns/data/k", Mount.model_construct(path="/ns/data", bucket="data", prefix=""), bucket(), "k", ways)


def made(sources: dict[Way, Faulty]) -> tuple[Sources, FakeClock]:
    clock = FakeClock()

    def build(where: Place, way: Way) -> Route:
        if way not in sources:
            raise NotSupported(f"no secret for {way_id('data', way)[2]}")
        return Route(way_id("data", way), "origin", None, sources[way], lambda payer, kind: NoLine())

    return Sources(Health(), build, clock), clock


async def test_a_way_that_cannot_be_made_leaves_the_others() -> None:
    sources, _ = made({WAYS[1]: Faulty(FakeOrigin())})

    assert [route.id for route in sources.of(place(*WAYS[:2]))] == [way_id("data", WAYS[1])]


async def test_where_no_way_can_be_made_the_reason_is_told() -> None:
    sources, _ = made({})

    with pytest.raises(OriginUnavailable, match="no secret for http://0"):
        sources.of(place(WAYS[0]))


async def test_where_there_is_no_way_that_is_told() -> None:
    sources, _ = made({})

    with pytest.raises(OriginUnavailable, match="no way from here"):
        sources.of(place())
    assert sources.away(place())


@pytest.mark.parametrize(
    ("fault", "away"),
    [
        (Refused("nobody"), True),
        (Unanswered("silence"), False),
        (OriginUnavailable("500"), False),
        (NoSuchObject("k"), False),
        (SlowDown("no room on the line"), False),
    ],
)
async def test_one_fault_takes_a_way_only_if_nobody_is_there(fault: Exception, away: bool) -> None:
    faulty = Faulty(FakeOrigin(), Fault(fault))  # type: ignore[arg-type]
    sources, _ = made({WAYS[0]: faulty})
    (route,) = sources.of(place(WAYS[0]))

    with pytest.raises(type(fault)):
        await sources.ask(route, _read(route), NoLine())

    assert sources.away(place(WAYS[0])) == away


async def test_an_origin_that_is_busy_is_there() -> None:
    faulty = Faulty(FakeOrigin(), Fault(Refused("nobody")), Fault(OriginBusy("later", 3.0)))
    sources, clock = made({WAYS[0]: faulty})
    (route,) = sources.of(place(WAYS[0]))
    for fault in (Refused, OriginBusy):
        with pytest.raises(fault):
            await sources.ask(route, _read(route), NoLine())
        clock.advance(5)

    assert not sources.away(place(WAYS[0]))


async def test_a_line_without_room_says_nothing_of_a_way_that_is_away() -> None:
    faulty = Faulty(FakeOrigin(), Fault(Refused("nobody")), Fault(SlowDown("no room on the line")))
    sources, _ = made({WAYS[0]: faulty})
    (route,) = sources.of(place(WAYS[0]))
    for fault in (Refused, SlowDown):
        with pytest.raises(fault):
            await sources.ask(route, _read(route), NoLine())

    assert sources.away(place(WAYS[0]))


async def test_a_way_that_is_gone_from_the_topology_is_tried_no_more() -> None:
    sources, clock = made({WAYS[0]: Faulty(FakeOrigin(), Fault(Refused("nobody")))})
    (route,) = sources.of(place(WAYS[0]))
    with pytest.raises(Refused):
        await sources.ask(route, _read(route), NoLine())
    clock.advance(10)
    assert sources.probes()
    clock.advance(10)

    sources.keep(set())

    assert sources.probes() == []


async def test_the_prober_brings_a_way_back_without_a_reader() -> None:
    faulty = Faulty(FakeOrigin(), Fault(Refused("nobody")), Fault(Refused("nobody")))
    sources, clock = made({WAYS[0]: faulty})
    (route,) = sources.of(place(WAYS[0]))
    with pytest.raises(Refused):
        await sources.ask(route, _read(route), NoLine())
    prober = Prober(sources)

    for _ in range(2):
        assert sources.away(place(WAYS[0]))
        clock.advance(11)
        prober.look()
        await settle()

    assert not sources.away(place(WAYS[0]))
    await prober.stop()


async def test_a_silent_way_is_tried_once_at_a_time_and_holds_up_no_other() -> None:
    silent = Faulty(FakeOrigin(), Fault(Refused("nobody")))
    silent.always = stall()
    other = Faulty(FakeOrigin(), Fault(Refused("nobody")))
    sources, clock = made({WAYS[0]: silent, WAYS[1]: other})
    for route in sources.of(place(*WAYS[:2])):
        with pytest.raises(Refused):
            await sources.ask(route, _read(route), NoLine())
    prober = Prober(sources)

    for _ in range(3):
        clock.advance(11)
        prober.look()
        await settle()

    assert not sources.away(place(WAYS[1]))
    assert silent.asked == 2
    await prober.stop()


async def test_the_prober_of_a_running_region_finds_its_origin_again(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 10)
        cache.faulty[0].next(Fault(Refused("nobody")))
        with pytest.raises(OriginUnavailable):
            await cache.read("k")
        cache.clock.advance(1)
        cache.app.prober.start()
        while cache.app.sources.away(cache.place("k")):
            await asyncio.sleep(0.01)

        assert await cache.read("k") == bytes(range(10))


def _read(route: Route):  # type: ignore[no-untyped-def]
    from regioncache.origins.base import Question

    return route.source.head(Question("k", Payer("rec")), NoLine())
