"""What a node takes of another node's reply: whole frames, checked, in order, to an end; and how long it waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from regioncache.errors import BadAnswer, CacheError, OriginTried, OriginUnavailable, Unanswered
from regioncache.http.canonical import amz_date
from regioncache.http.client import Answer, Ask, Base, Client, Connection
from regioncache.http.faults import AnswerTimeout
from regioncache.http.messages import Buffer, Reply, Request
from regioncache.http.server import Server
from regioncache.lines.crossing import NoLine
from regioncache.origins import s3
from regioncache.origins.base import ListAsk, Payer, Question, Reading, Want
from regioncache.pages import Meta, Span, Version
from regioncache.peers.client import PeerSource
from regioncache.peers.digests import Digests
from regioncache.peers.proto import FRAME_BYTES, Kind, frame
from regioncache.peers.wire import FACTS, facts
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio
SIZE = 100_000
META = Meta(Version('"v"'), SIZE, '"v"', 0.0, "text/plain")


def peer(base: Base, client: Client) -> PeerSource:
    """The bucket `train-bj` as a node of `idc-bj` serves it to `aws-use1`."""
    return PeerSource(
        "the node", base, "train-bj", bytes(16), "aws-use1", "idc-bj", lambda: "s" * 16, client, Digests(), print
    )


def piece(start: int, end: int) -> bytes:
    """One frame of the object's bytes."""
    return frame(Kind.BYTES, start, ramp(start, end)) + ramp(start, end)


WHOLE = (piece(0, FRAME_BYTES), piece(FRAME_BYTES, SIZE))
END = frame(Kind.END)


async def one_by_one(frames: tuple[bytes, ...]) -> AsyncIterator[Buffer]:
    for each in frames:
        yield each


@asynccontextmanager
async def replying(*frames: bytes) -> AsyncIterator[Reading]:
    """The whole object, asked of a node that answers with these frames, each a chunk."""
    head = [(FACTS, facts(META, Span(0, SIZE), 0.0))]
    server, client = Server(lambda _: Reply(200, head, stream=one_by_one(frames))), Client()
    host, port = await server.listen(("127.0.0.1", 0))
    try:
        reading = await peer(Base("http", host, port), client).read(
            Want("k", None, Span(0, SIZE), Payer("rec")), NoLine()
        )
        yield reading
        reading.close()
    finally:
        client.close()
        await server.stop(0.0)
        await asyncio.sleep(0)  # transports that were just closed say so in the next turn of the loop


async def received(reading: Reading, room: int = SIZE) -> bytes:
    """What is handed on, however it ends: a fault is raised with the bytes before it as its note."""
    body, into = bytearray(), memoryview(bytearray(room))
    try:
        while got := await reading.receive(into):
            body += into[:got]
    except CacheError as fault:
        fault.add_note(str(len(body)))
        raise
    return bytes(body)


async def test_what_waited_long_for_its_line_is_signed_when_it_leaves() -> None:
    heard, now = list[Request](), 1_800_000_000.0

    class Crowded(NoLine):
        @property
        def waited(self) -> float:
            return now - 1_800_000_000.0

        async def prepay(self, length: int, buffer: int, round_trip: float = 0.0) -> None:
            nonlocal now
            now += 1000.0

    def hear(request: Request) -> Reply:
        heard.append(request)
        return Reply(200, [(FACTS, facts(META, Span(0, SIZE), 0.0))], stream=one_by_one((*WHOLE, END)))

    server, client = Server(hear), Client()
    host, port = await server.listen(("127.0.0.1", 0))
    node = replace(peer(Base("http", host, port), client), wall=lambda: now)
    reading = await node.read(Want("k", None, Span(0, SIZE), Payer("rec")), Crowded())
    assert await received(reading) == ramp(0, SIZE)
    reading.close()
    client.close()
    await server.stop(0.0)
    await asyncio.sleep(0)  # transports that were just closed say so in the next turn of the loop

    assert heard[0].header(b"x-amz-date") == amz_date(now)


@pytest.mark.parametrize("room", [1000, FRAME_BYTES, SIZE])
async def test_frames_are_joined_whatever_the_readers_room(room: int) -> None:
    async with replying(*WHOLE, END) as reading:
        assert await received(reading, room) == ramp(0, SIZE)


@pytest.mark.parametrize("room", [1000, FRAME_BYTES, SIZE])
async def test_a_frame_larger_than_the_readers_room_is_handed_on_piece_by_piece(room: int) -> None:
    async with replying(piece(0, SIZE), END) as reading:
        assert await received(reading, room) == ramp(0, SIZE)


async def test_beats_between_frames_and_before_the_end_are_passed_over() -> None:
    beat = frame(Kind.BEAT)
    async with replying(beat, WHOLE[0], beat, beat, WHOLE[1], beat, END) as reading:
        assert await received(reading) == ramp(0, SIZE)


@pytest.mark.parametrize("room", [1000, SIZE])
async def test_of_a_frame_with_a_flipped_bit_nothing_is_handed_on(room: int) -> None:
    flipped = bytearray(WHOLE[1])
    flipped[-1] ^= 1

    async with replying(WHOLE[0], bytes(flipped), END) as reading:
        with pytest.raises(BadAnswer, match="flipped bit") as refused:
            await received(reading, room)

    assert refused.value.__notes__ == [str(FRAME_BYTES)]


@pytest.mark.parametrize(
    ("frames", "fault"),
    [
        ((WHOLE[0],), OriginUnavailable),
        ((WHOLE[0], END), OriginUnavailable),
        ((WHOLE[1], WHOLE[0], END), BadAnswer),
        ((WHOLE[0], WHOLE[0], END), BadAnswer),
        ((WHOLE[0], piece(FRAME_BYTES, SIZE + 1), END), BadAnswer),
        (WHOLE, OriginUnavailable),
        ((*WHOLE, piece(SIZE, SIZE + 1), END), BadAnswer),
        ((*WHOLE, END, END), BadAnswer),
        ((WHOLE[0][:-1],), OriginUnavailable),
    ],
    ids=[
        "cut after a frame",
        "an end too early",
        "out of order",
        "a frame twice",
        "beyond the span",
        "no end",
        "more than asked",
        "bytes behind the end",
        "cut within a frame",
    ],
)
async def test_a_reply_that_no_node_sends_is_a_fault_and_never_padded(
    frames: tuple[bytes, ...], fault: type[CacheError]
) -> None:
    async with replying(*frames) as reading:
        with pytest.raises(fault):
            await received(reading)


async def test_a_far_fault_is_told_in_its_own_words() -> None:
    text = b"the bucket is away"

    async with replying(WHOLE[0], frame(Kind.FAULT, FRAME_BYTES, text) + text) as reading:
        with pytest.raises(OriginTried, match="the bucket is away"):
            await received(reading)


@dataclass(slots=True)
class Deaf(Client):
    """A client whose server never answers: it keeps what it was asked."""

    asked: list[Ask] = field(default_factory=list)

    def __post_init__(self) -> None:
        Client.__init__(self)

    async def request(self, ask: Ask, connection: Connection | None = None) -> Answer:
        self.asked.append(ask)
        if connection is not None:
            connection.release()
        raise AnswerTimeout("nothing came")


async def test_a_far_list_is_waited_for_longer_than_the_far_node_waits_for_its_bucket() -> None:
    """Given up before, a slow list would count as silence, and three of them as a region that is away."""
    server, client = Server(lambda _: Reply(200)), Deaf()
    host, port = await server.listen(("127.0.0.1", 0))
    try:
        with pytest.raises(Unanswered):
            await peer(Base("http", host, port), client).list(ListAsk("p"), Question("p", Payer("rec")), NoLine())
    finally:
        client.close()
        await server.stop(0.0)

    (ask,) = client.asked
    assert ask.answer_seconds > s3.ANSWER_SECONDS
