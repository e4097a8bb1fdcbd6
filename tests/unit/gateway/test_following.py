"""What the namespace says is newest comes into force, in order, and what cannot leaves what is."""

from dataclasses import replace

import pytest

from gateway.applying import Applying
from gateway.following import Following
from gateway.pairs import File, Pair, check
from namespace.contents import PublishedNode
from namespace.errors import UnknownRegion
from namespace.keeping import Known, Namespace
from namespace.keys import AccessKey
from namespace.store.base import PinnedPath, Revision
from regioncache.tidings import Tidings

pytestmark = pytest.mark.anyio

KEY = AccessKey("CWID", "0123456789abcdef", "reader", "rec", read=("/ns/a",))


def known(serial: int, *regions: str, keys: tuple[AccessKey, ...] = ()) -> Known:
    pair = check((File("t.yaml", f"regions: {{{', '.join(f'{name}: {{}}' for name in regions)}}}\n"),), {})
    return Known(serial, Revision(serial, "bob", 1.0, pair.digest), pair.topology, keys=keys)


class Keeper:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.said = Known()

    def newest(self) -> Known:
        return self.said


class Parts:
    """Running parts of region `a`."""

    def __init__(self) -> None:
        self.revisions: list[int] = []
        self.keys: tuple[AccessKey, ...] = ()
        self.nodes: tuple[PublishedNode, ...] = ()

    async def adopt(self, pair: Pair, revision: Revision) -> None:
        if "a" not in pair.topology.regions:
            raise UnknownRegion("region 'a' of this node is not in the topology; known: b")
        self.revisions.append(revision.number)

    def adopt_keys(self, keys: tuple[AccessKey, ...]) -> None:
        self.keys = keys

    async def adopt_nodes(self, nodes: tuple[PublishedNode, ...]) -> None:
        self.nodes = nodes

    def adopt_pins(self, pins: tuple[PinnedPath, ...]) -> None:
        assert pins == ()


class World:
    def __init__(self) -> None:
        self.keeper, self.parts = Keeper(), Parts()
        self.told: list[str] = []
        namespace: Namespace = self.keeper  # type: ignore[assignment]
        applying = Applying(namespace, lambda: 0.0, "a")
        tidings = Tidings(self.told.append, self.told.append)
        self.following = Following(namespace, applying, self.parts, tidings, lambda fault: None)

    async def say(self, said: Known) -> None:
        self.keeper.said = said
        await self.following.catch_up()


@pytest.fixture
def world() -> World:
    return World()


async def test_each_revision_comes_into_force_once(world: World) -> None:
    first = known(1, "a")
    await world.say(first)
    await world.say(first)
    await world.say(replace(first, serial=2, keys=(KEY,)))
    await world.say(known(3, "a", "b"))

    assert world.parts.revisions == [1, 3]


async def test_a_region_that_was_renamed_says_so_and_serves_on_by_the_revision_before(world: World) -> None:
    await world.say(known(1, "a"))
    await world.say(known(2, "b"))

    assert world.parts.revisions == [1]
    assert "revision 2 of bob cannot be put in force here: region 'a' of this node is not in the topology" in (
        world.following.fault
    )
    assert "give this node its new name as `region` in node.yaml" in world.following.fault
    assert "revision 1 stays in force" in world.following.fault
    assert world.told == [world.following.fault]


async def test_keys_follow_all_the_same_and_a_later_revision_ends_the_fault(world: World) -> None:
    await world.say(known(1, "a", keys=(KEY,)))
    await world.say(known(2, "b"))
    assert world.parts.keys == ()

    await world.say(known(3, "a"))

    assert world.parts.revisions == [1, 3]
    assert world.following.fault == ""
    assert world.told[-1] == "revision 3 of the namespace is in force"


async def test_at_a_start_by_itself_a_node_refuses_what_it_cannot_put_in_force(world: World) -> None:
    world.keeper.said = known(1, "b")

    with pytest.raises(UnknownRegion):
        await world.following.catch_up(strict=True)


async def test_nodes_that_regions_publish_are_told_without_a_new_revision() -> None:
    world, node = World(), PublishedNode("b", "n1", {"peer": "10.0.0.1:9100"})
    world.keeper.said = known(1, "a", "b")
    await world.following.catch_up()

    world.keeper.said = replace(world.keeper.said, serial=2, nodes=(node,))
    await world.following.catch_up()

    assert world.parts.nodes == (node,)
    assert world.parts.revisions == [1]
