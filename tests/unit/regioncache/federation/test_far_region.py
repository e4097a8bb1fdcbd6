"""A question to a far region: the next node where one does not answer, and what is asked behind."""

import json
from collections.abc import Callable

import pytest

from namespace.contents import PublishedNode
from namespace.model import Region, Topology
from regioncache.cluster.members import Addresses, Member
from regioncache.errors import (
    CacheError,
    NodeStopping,
    NoSuchObject,
    NotSupported,
    OriginTried,
    OriginUnavailable,
    Refused,
    SlowDown,
    Unanswered,
)
from regioncache.federation.farview import FarView
from regioncache.federation.region import FarRegion
from regioncache.federation.regions import FarRegions
from regioncache.http.faults import AnswerTimeout
from regioncache.lines.base import Crossing
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import Payer
from regioncache.peers.desks import Questioner
from regioncache.tidings import Tidings
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.anyio
URLS = tuple(f"http://10.0.0.{number}:9100" for number in range(3))
MEMBERS = tuple(Member(f"n{number}", Addresses(url), 1 << 30) for number, url in enumerate(URLS))


class Asked:
    """Stands in for the questions between nodes: says of each address what it is told to, and counts."""

    region = "here"

    def __init__(self) -> None:
        self.view = FarView()
        self.faults: dict[str, CacheError] = {}
        self.asked: list[str] = []

    async def ask(self, base: object, *_: object, **__: object) -> bytes:
        self.asked.append(str(base))
        if fault := self.faults.get(str(base)):
            raise fault
        return self.view.body()


class Far:
    """A far region with three addresses in the topology."""

    def __init__(self, *urls: str) -> None:
        self.clock, self.desk = FakeClock(), Asked()
        self.told: list[str] = []
        questioner: Questioner = self.desk  # type: ignore[assignment]
        tidings = Tidings(self.told.append, self.told.append)
        self.region = FarRegion("far", questioner, self.clock, tidings)
        self.region.nodes.name(urls or URLS)
        self.put: list[str] = []
        self.faults: dict[str, CacheError] = {}

    async def ask(self) -> str:
        async def put(node: Member) -> str:
            self.put.append(node.addresses.peer)
            if fault := self.faults.get(node.addresses.peer):
                raise fault
            return "answer"

        try:
            return (await self.region.ask(bytes(8), NoLine(), crossing, put))[0]
        finally:
            await self.region.settled()

    def all_say(self, *faults: CacheError) -> None:
        self.faults = dict(zip(URLS, faults, strict=True))
        self.desk.faults = dict(self.faults)


def crossing(payer: Callable[[], Payer], kind: Callable[[], str]) -> Crossing:
    return NoLine()


def late() -> Unanswered:
    fault = Unanswered("late")
    fault.__cause__ = AnswerTimeout("late")
    return fault


@pytest.mark.parametrize(
    "fault", [Refused("r"), Unanswered("u"), NodeStopping("s")], ids=lambda one: type(one).__name__
)
async def test_the_next_node_is_asked_within_the_same_question(fault: CacheError) -> None:
    far = Far()
    far.faults = {URLS[0]: fault}

    assert await far.ask() == "answer"
    assert await far.ask() == "answer"

    assert far.put == [URLS[0], URLS[1], URLS[1]]


@pytest.mark.parametrize("fault", [NoSuchObject("n"), OriginTried("t"), SlowDown("s"), NotSupported("n")], ids=repr)
async def test_what_is_an_answer_is_asked_of_nobody_else(fault: CacheError) -> None:
    far = Far()
    far.faults = {URLS[0]: fault}

    with pytest.raises(type(fault)):
        await far.ask()

    assert far.put == [URLS[0]]
    assert far.region.nodes.away() == {}


async def test_a_region_is_silent_only_when_all_of_its_nodes_are() -> None:
    far = Far()
    far.all_say(Refused("a"), Refused("b"), Refused("c"))

    with pytest.raises(Refused, match="no node of region far answers"):
        await far.ask()

    assert far.put == list(URLS)


async def test_one_node_that_was_silent_among_those_that_refuse_leaves_the_region_its_three_questions() -> None:
    far = Far()
    far.all_say(Refused("a"), Unanswered("b"), Refused("c"))

    with pytest.raises(Unanswered):
        await far.ask()


async def test_where_all_are_away_one_is_asked_and_each_in_turn() -> None:
    far = Far()
    far.all_say(Refused("a"), Refused("b"), Refused("c"))
    with pytest.raises(OriginUnavailable):
        await far.ask()
    far.put.clear()

    with pytest.raises(OriginUnavailable):
        await far.ask()

    assert len(far.put) == 1


async def test_a_node_that_only_takes_long_is_not_away_and_nobody_else_is_asked() -> None:
    far = Far()
    far.faults = {URLS[0]: late()}
    far.region.answered(Member(URLS[0], Addresses(URLS[0]), 0))

    with pytest.raises(Unanswered):
        await far.ask()

    assert far.put == [URLS[0]]
    assert far.region.nodes.away() == {}


async def test_a_node_that_is_back_is_found_by_a_probe_and_no_reader() -> None:
    far = Far()
    far.faults = {URLS[0]: Refused("gone")}
    far.desk.faults = dict(far.faults)
    await far.ask()
    far.clock.advance(60)
    await far.ask()
    assert far.put == [URLS[0], URLS[1], URLS[1]]
    far.faults, far.desk.faults = {}, {}

    far.clock.advance(60)
    await far.ask()
    await far.ask()

    assert far.put[-2:] == [URLS[1], URLS[0]]
    assert ["is away" in one for one in far.told] == [True, False]
    assert "is back" in far.told[1]


async def test_of_a_region_with_one_node_nothing_is_told_beside_what_is_told_of_the_region() -> None:
    far = Far(URLS[0])
    far.faults = {URLS[0]: Refused("gone")}

    with pytest.raises(Refused, match="gone"):
        await far.ask()

    assert far.told == []


async def test_a_newer_epoch_in_a_reply_has_the_view_asked_for_once() -> None:
    far = Far(URLS[0])
    far.desk.view = FarView(7, MEMBERS)
    await far.ask()
    assert far.desk.asked == []

    for epoch in (0, 7, 7, 6):
        far.region.heard(epoch, crossing)
    await far.region.settled()
    far.region.heard(7, crossing)
    await far.region.settled()

    assert far.region.nodes.view == FarView(7, MEMBERS)
    # Of the others it is asked as well, once each: whether they can be reached from here.
    assert sorted(far.desk.asked) == sorted(URLS)
    assert [one.state for one in far.region.nodes.standings(0.0)] == ["up"] * 3


async def test_a_node_of_an_earlier_version_is_read_from_all_the_same() -> None:
    far = Far()
    far.desk.faults = dict.fromkeys(URLS, NotSupported("no such desk"))
    far.region.heard(3, crossing)
    await far.region.settled()

    assert await far.ask() == "answer"
    assert far.put == [URLS[0]]


async def test_who_gives_no_sign_of_life_is_away_and_the_others_are_asked_at_the_same_time() -> None:
    far = Far()
    far.desk.faults = {URLS[0]: Unanswered("silent")}
    first, second, third = far.region.nodes.everyone()

    with pytest.raises(Unanswered, match="no sign of life"):
        await far.region.alive(first, crossing)
    await far.region.settled()
    await far.region.alive(second, crossing)

    assert sorted(far.desk.asked) == sorted(URLS)
    assert list(far.region.nodes.away()) == [URLS[0]]
    assert far.region.nodes.order(bytes(8)) == [second, third]


async def test_a_region_that_names_no_nodes_is_asked_at_those_that_it_publishes() -> None:
    questioner: Questioner = Asked()  # type: ignore[assignment]
    far = FarRegions(questioner, FakeClock(), Tidings(), lambda where: not where.startswith("https:"))
    bare = Topology(regions={name: Region(name=name) for name in ("here", "far", "mute")})
    named = Topology(regions={"far": Region(name="far", nodes=("10.9.9.9:9100",))})
    node = PublishedNode("far", "n1", {"peer": "10.0.0.1:9100"})
    assert far.filled(bare) is bare

    changed = [far.publish(nodes) for nodes in ((node, PublishedNode("here", "me", {"peer": "x:1"})), (node,), ())]

    assert changed == [True, False, False]
    assert {name: one.nodes for name, one in far.filled(bare).regions.items()} == {
        "here": (),
        "far": ("10.0.0.1:9100",),
        "mute": (),
    }
    assert far.filled(bare).regions is far.filled(bare).regions
    assert far.filled(named) is named


def test_what_is_told_of_nodes_is_no_more_than_is_needed() -> None:
    full = Member("n", Addresses("http://10.0.0.1:9100", "http://s3", "http://admin", "control:1"), 5, host="boot")

    told = json.loads(FarView(1, (full,)).body())["members"][0]

    assert {name for name, value in told["addresses"].items() if value} == {"peer"}
    assert not told["host"]
