"""What a node tells beside frames: heads, lists, parts. Flipped bits, another protocol and too much are refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from regioncache.errors import BadAnswer, OriginTried
from regioncache.http.client import Base, Client
from regioncache.http.messages import Reply, Request
from regioncache.http.server import Server
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import ListAsk, ListPage, Part, Payer, Question, Want
from regioncache.pages import Meta, Span, Version
from regioncache.peers import client as peers
from regioncache.peers.client import PeerSource
from regioncache.peers.digests import Digests
from regioncache.peers.wire import FACTS, PART, SUM, facts, list_body, part_line, sum_of

pytestmark = pytest.mark.anyio
META = Meta(Version('"v"'), 1000, '"v"', 0.0, "text/plain")
TOLD = facts(META, Span(0, 1000), 0.0)
LISTED = list_body(ListPage((), ("a/",), None, 0.0))
PART_TOLD = part_line(Part(Span(0, 1000), 3))
QUESTION = Question("k", Payer("rec"))
Ask = Callable[[PeerSource], Awaitable[object]]
ASKS: dict[str, tuple[Ask, Reply]] = {
    "read": (
        lambda node: node.read(Want("k", None, Span(0, 1000), QUESTION.payer), NoLine()),
        Reply(200, [(FACTS, TOLD)]),
    ),
    "stat": (lambda node: node.head(QUESTION, NoLine()), Reply(200, [(FACTS, TOLD)])),
    "part": (lambda node: node.part(QUESTION, 1, META.version, NoLine()), Reply(200, [(PART, PART_TOLD)])),
    "list": (lambda node: node.list(ListAsk("", "", "/", 10), QUESTION, NoLine()), Reply(200, [], LISTED)),
}


@asynccontextmanager
async def answering(reply: Reply, *more: tuple[bytes, bytes]) -> AsyncIterator[PeerSource]:
    """A node that answers everything with this."""

    def handle(_: Request) -> Reply:
        return Reply(reply.status, [*reply.headers, *more], reply.body)

    server, client = Server(handle), Client()
    host, port = await server.listen(("127.0.0.1", 0))
    try:
        yield PeerSource(
            "the node",
            Base("http", host, port),
            "b",
            bytes(16),
            "here",
            "there",
            lambda: "s" * 16,
            client,
            Digests(),
            print,
        )
    finally:
        client.close()
        await server.stop(0.0)
        await asyncio.sleep(0)


@pytest.mark.parametrize("what", ASKS)
async def test_what_a_node_tells_is_taken_only_as_it_was_told(what: str) -> None:
    ask, reply = ASKS[what]
    told = reply.body or reply.headers[0][1]

    async with answering(reply, (SUM, sum_of(told))) as node:
        assert await ask(node) is not None
    async with answering(reply, (SUM, sum_of(bytes((told[0] ^ 1,)) + told[1:]))) as node:
        with pytest.raises(BadAnswer, match="flipped bit"):
            await ask(node)


@pytest.mark.parametrize("what", ASKS)
async def test_a_node_of_the_former_version_tells_no_checksum_and_is_believed(what: str) -> None:
    ask, reply = ASKS[what]

    async with answering(reply) as node:
        assert await ask(node) is not None


@pytest.mark.parametrize("what", ASKS)
async def test_a_node_that_speaks_another_protocol_is_told_of_in_its_words_and_not_asked_again(what: str) -> None:
    async with answering(Reply(400, [], b"protocol 1 is not spoken here; this node speaks 3")) as node:
        with pytest.raises(OriginTried, match="protocol 1 is not spoken here"):
            await ASKS[what][0](node)


@pytest.mark.parametrize("what", ASKS)
@pytest.mark.parametrize("told", [b"", b"{}", b"[]", b"null", b'{"version": 1}', b"\xff\xfe", b"1 2", b"x" * 5000])
async def test_what_is_no_telling_is_a_bad_answer(what: str, told: bytes) -> None:
    ask, reply = ASKS[what]
    headers = [(reply.headers[0][0], told.replace(b"\xff", b"?"))] if reply.headers else []

    async with answering(Reply(200, headers, b"" if headers else told)) as node:
        with pytest.raises(BadAnswer):
            await ask(node)


async def test_more_than_is_taken_of_a_list_is_a_bad_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "LIST_BYTES", 10)

    async with answering(ASKS["list"][1]) as node:
        with pytest.raises(BadAnswer, match="more than the 10 bytes"):
            await ASKS["list"][0](node)
