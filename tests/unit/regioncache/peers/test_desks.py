"""What nodes ask one another beyond reading: signed as reads are, answered by desks, some of them for members alone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from regioncache.errors import BadAnswer, NotSupported, OriginUnavailable, Refused
from regioncache.http.client import Base, Client
from regioncache.http.messages import Reply, Request
from regioncache.http.server import Server
from regioncache.peers.desks import Questioner, Values, for_members, values_of
from regioncache.peers.digests import Digests
from regioncache.peers.door import PeerDoor
from regioncache.peers.wire import BadPeerRequest

pytestmark = pytest.mark.anyio
SECRETS = {"here": "h" * 16, "there": "t" * 16}


@dataclass
class Desks:
    """A door with a few desks, and what they were asked."""

    base: Base
    asker: Questioner
    door: PeerDoor
    asked: list[tuple[str, Values]] = field(default_factory=list)

    async def echo(self, region: str, values: Values) -> Reply:
        self.asked.append((region, values))
        return Reply(200, body=b"heard")

    async def ask(self, operation: str, *, of: str = "here", by: Questioner | None = None, most: int = 100) -> bytes:
        values = {"line": "a b&c=ü", "none": ""}
        return await (by or self.asker).ask(self.base, of, operation, values, seconds=5.0, most_bytes=most)


@pytest.fixture
async def desks() -> AsyncIterator[Desks]:
    # No reading is asked for here, so nothing stands behind the door but its desks.
    door = PeerDoor("here", SECRETS.get, None, None, None, lambda: 1_800_000_000.0, Digests(), print)  # type: ignore[arg-type]
    server, client = Server(door), Client()
    host, port = await server.listen(("127.0.0.1", 0))
    made = Desks(Base("http", host, port), Questioner("here", SECRETS.get, client, lambda: 1_800_000_000.0), door)
    door.desks |= {"echo": made.echo, "within": for_members("here", made.echo)}
    try:
        yield made
    finally:
        client.close()
        await server.stop(0.0)
        await asyncio.sleep(0)


async def test_a_desk_is_told_who_asks_and_every_value_as_it_is(desks: Desks) -> None:
    assert await desks.ask("echo") == b"heard"

    assert desks.asked == [("here", {"line": "a b&c=ü", "none": ""})]


async def test_what_is_for_members_alone_is_no_other_regions(desks: Desks) -> None:
    stranger = replace(desks.asker, region="there", secrets={"here": SECRETS["there"]}.get)

    assert await desks.ask("echo", by=stranger) == b"heard"
    with pytest.raises(OriginUnavailable, match="refuses us"):
        await desks.ask("within", by=stranger)

    assert desks.asked == [("there", {"line": "a b&c=ü", "none": ""})]


async def test_another_secret_opens_no_desk(desks: Desks) -> None:
    with pytest.raises(OriginUnavailable, match="the same secret and the same time of day"):
        await desks.ask("echo", by=replace(desks.asker, secrets=lambda _: "x" * 16))

    assert desks.asked == []


async def test_a_clock_two_days_ahead_opens_no_desk(desks: Desks) -> None:
    with pytest.raises(OriginUnavailable, match="the same secret and the same time of day"):
        await desks.ask("echo", by=replace(desks.asker, wall=lambda: 1_800_172_800.0))


async def test_a_node_that_has_no_such_desk_says_so(desks: Desks) -> None:
    with pytest.raises(NotSupported, match="does not answer 'none'"):
        await desks.ask("none")


async def test_without_a_secret_nobody_is_asked(desks: Desks) -> None:
    with pytest.raises(NotSupported, match="no secret is shared with region 'elsewhere'"):
        await desks.ask("echo", of="elsewhere")


async def test_an_answer_longer_than_is_taken_is_refused(desks: Desks) -> None:
    with pytest.raises(BadAnswer, match="more than the 4 bytes"):
        await desks.ask("echo", most=4)


@pytest.mark.parametrize(
    "target", [b"/causeway/7/echo?a=b", b"/else/1/echo", b"/causeway/x/echo", b"/causeway/1/echo?a=%ff"]
)
def test_a_question_of_another_protocol_is_told_apart(target: bytes) -> None:
    with pytest.raises(BadPeerRequest):
        values_of(target)


async def test_a_node_that_is_away_is_refused_at_once(desks: Desks) -> None:
    lone = Server(lambda _: Reply(200))
    host, port = await lone.listen(("127.0.0.1", 0))
    await lone.stop(0.0)

    with pytest.raises(Refused):
        await replace(desks, base=Base("http", host, port)).ask("echo")


async def test_an_unsigned_question_comes_to_no_desk(desks: Desks) -> None:
    reply = await desks.door(Request(b"GET", b"/causeway/1/echo", [], None))  # type: ignore[arg-type]

    assert reply.status == 403
    assert desks.asked == []
