"""What the log is told when a way to a bucket goes and comes: once each, with what is done meanwhile."""

import pytest

from regioncache.errors import NoSuchObject, OriginNeedsMending, OriginUnavailable, Refused, Unanswered
from regioncache.health import Health, WayId
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import Payer, Question
from regioncache.sources import Route, Sources
from tests.fakes.clock import FakeClock
from tests.fakes.faulty import Fault, Faulty
from tests.fakes.hearing import Heard
from tests.fakes.origin import FakeOrigin

pytestmark = pytest.mark.anyio
BY_REGION = ("data", "region", "idc-bj")
OTHER_BY_REGION = ("other", "region", "idc-bj")
BY_ENDPOINT = ("data", "endpoint", "http://origin")


class World:
    """Sources over ways whose next answer the test says."""

    def __init__(self, *known: WayId) -> None:
        self.heard, self.clock = Heard(), FakeClock()
        self.sources = Sources(Health(), _never, self.clock, self.heard.tidings())
        self.sources.keep(known)

    async def ask(self, way: WayId, fault: OriginUnavailable | None = None, line: str | None = None) -> None:
        origin = Faulty(FakeOrigin(), *([Fault(fault)] if fault else []))
        route = Route(way, "origin", line, origin, lambda payer, kind: NoLine())
        with pytest.raises(type(fault) if fault else NoSuchObject):
            await self.sources.ask(route, origin.head(Question("k", Payer("rec")), NoLine()), NoLine())


async def test_a_way_that_goes_is_told_once_with_the_reason_and_what_is_done_meanwhile() -> None:
    world = World(BY_REGION, BY_ENDPOINT)

    for _ in range(5):
        await world.ask(BY_REGION, Refused("node 10.1.0.7:9100 of idc-bj cannot be reached: refused"), "bj-use1")

    (told,) = world.heard.warnings
    assert told.startswith("region idc-bj (bucket data) over line bj-use1 is away: node 10.1.0.7:9100 of idc-bj cannot")
    assert "what is cached is served, its other ways are asked: http://origin; it is tried again" in told
    assert world.heard.news == []


async def test_the_last_way_that_goes_says_that_the_rest_is_refused() -> None:
    world = World(BY_REGION, BY_ENDPOINT)
    await world.ask(BY_REGION, Refused("nobody"))

    await world.ask(BY_ENDPOINT, Refused("nobody"))

    assert world.heard.warnings[1].startswith("bucket data at http://origin is away: nobody; ")
    assert "what is not cached is answered 503" in world.heard.warnings[1]


async def test_silences_are_told_when_they_take_the_way_and_not_before() -> None:
    world = World(BY_ENDPOINT)
    for _ in range(2):
        await world.ask(BY_ENDPOINT, Unanswered("silence"))
    assert world.heard.warnings == []

    await world.ask(BY_ENDPOINT, Unanswered("silence"))

    assert len(world.heard.warnings) == 1


async def test_a_way_that_is_back_is_told_once_with_how_long_it_was_away() -> None:
    world = World(BY_ENDPOINT)
    await world.ask(BY_ENDPOINT, Refused("nobody"))
    world.clock.advance(12.5)

    for _ in range(3):
        await world.ask(BY_ENDPOINT)

    assert world.heard.news == ["bucket data at http://origin is back, 12.5 s after it was found away"]


async def test_a_region_is_told_of_at_its_first_bucket_and_at_its_last() -> None:
    world = World(BY_REGION, OTHER_BY_REGION)

    await world.ask(BY_REGION, Refused("nobody"))
    await world.ask(OTHER_BY_REGION, Refused("nobody"))
    await world.ask(BY_REGION)
    assert world.heard.news == []
    await world.ask(OTHER_BY_REGION)

    assert len(world.heard.warnings) == 1
    assert len(world.heard.news) == 1


async def test_of_a_way_that_left_the_topology_nothing_more_is_told() -> None:
    world = World(BY_ENDPOINT)
    await world.ask(BY_ENDPOINT, Refused("nobody"))
    world.sources.keep(())

    await world.ask(BY_ENDPOINT)

    assert world.heard.news == []


def _never(*_: object) -> Route:
    raise AssertionError("no route is made here")


async def test_what_an_operator_must_mend_is_told_once_and_once_that_it_is_mended() -> None:
    world = World(BY_ENDPOINT)
    wrong = OriginNeedsMending("bucket data at http://origin: it does not accept this bucket's credentials")
    for _ in range(3):
        await world.ask(BY_ENDPOINT, wrong)

    (told,) = world.heard.warnings
    assert told == f"{wrong}; meanwhile what is cached is served"
    assert not world.sources.health.away(BY_ENDPOINT)
    origin = FakeOrigin()
    origin.put("k", 10)
    route = Route(BY_ENDPOINT, "origin", None, origin, lambda payer, kind: NoLine())
    await world.sources.ask(route, origin.head(Question("k", Payer("rec")), NoLine()), NoLine())

    assert world.heard.news == ["bucket data at http://origin can be read again"]
