"""Replies that are streams: in full, no faster than they leave, never whole where they failed, always closed."""

import pytest

from regioncache.http.messages import Buffer, Reply
from tests.fakes.clock import settle
from tests.fakes.http_handlers import GET, Peering, Pieces

pytestmark = pytest.mark.anyio
RAMP = bytes(range(251))


async def test_a_stream_is_sent_in_full(peering: Peering) -> None:
    pieces = Pieces([RAMP[:100], b"", RAMP[100:]])
    peer = peering(lambda request: Reply(206, stream=pieces, length=251))

    peer.send(GET + GET)
    await settle()

    assert peer.transport.sent.split(b"\r\n\r\n")[1].startswith(RAMP)
    assert pieces.closed >= 1


async def test_a_stream_of_unknown_length_is_chunked(peering: Peering) -> None:
    peer = peering(lambda request: Reply(200, stream=Pieces([b"abc", b"", b"x" * 70_000])))

    peer.send(GET)
    await settle()

    assert b"Transfer-Encoding: chunked\r\n" in peer.transport.sent
    assert peer.transport.sent.endswith(b"\r\n\r\n3\r\nabc\r\n11170\r\n" + b"x" * 70_000 + b"\r\n0\r\n\r\n")
    assert not peer.transport.closed


async def test_an_empty_stream_of_unknown_length_is_an_empty_body(peering: Peering) -> None:
    peer = peering(lambda request: Reply(200, stream=Pieces([])))

    peer.send(GET)
    await settle()

    assert peer.transport.sent.endswith(b"\r\n\r\n0\r\n\r\n")


async def test_http_1_0_gets_a_stream_of_unknown_length_until_the_end(peering: Peering) -> None:
    peer = peering(lambda request: Reply(200, stream=Pieces([b"abc", b"def"])))

    peer.send(GET.replace(b"1.1", b"1.0"))
    await settle()

    assert peer.transport.sent.endswith(b"Connection: close\r\n\r\nabcdef")
    assert peer.transport.closed


async def test_a_piece_is_asked_for_when_the_one_before_has_left(peering: Peering) -> None:
    pieces = Pieces([RAMP, RAMP, RAMP])
    peer = peering(lambda request: Reply(200, stream=pieces, length=753))
    peer.transport.takes = False

    peer.send(GET)
    await settle()
    assert pieces.asked == 1
    peer.transport.let(len(peer.transport.held) - 1)
    await settle()
    assert pieces.asked == 1
    peer.transport.let(1)
    await settle()

    assert pieces.asked == 2
    peer.transport.abort()
    await settle()


@pytest.mark.parametrize(
    ("pieces", "error"), [([b"abc"], None), ([b"abc"], OSError("disk")), ([b"abcdef"], None), ([], None)]
)
async def test_a_stream_that_is_not_what_it_said_is_cut_short(
    peering: Peering, pieces: list[Buffer], error: Exception | None
) -> None:
    stream = Pieces(pieces, error)
    sent: list[int] = []
    peer = peering(lambda request: Reply(200, stream=stream, length=5, done=sent.append))

    peer.send(GET + GET)
    await settle()

    assert peer.transport.aborted
    assert len(peer.transport.sent.partition(b"\r\n\r\n")[2]) < 5
    assert (len(peer.faults), stream.closed, sent) == (1, 1, [3 if b"abc" in pieces else 0])


async def test_a_chunked_stream_that_fails_does_not_look_whole(peering: Peering) -> None:
    peer = peering(lambda request: Reply(200, stream=Pieces([b"abc"], OSError("disk"))))

    peer.send(GET)
    await settle()

    assert peer.transport.aborted
    assert peer.transport.sent.endswith(b"\r\n3\r\nabc\r\n")


async def test_a_stream_that_never_waits_lets_the_others_have_a_turn(peering: Peering) -> None:
    piece = bytes(256 * 1024)
    pieces = Pieces([piece] * 100)
    peer = peering(lambda request: Reply(200, stream=pieces, length=100 * len(piece)))

    peer.send(GET)
    await settle(5)

    assert 0 < pieces.asked < 50
    peer.transport.abort()
    await settle()


async def test_a_client_that_goes_closes_its_stream(peering: Peering) -> None:
    pieces = Pieces([RAMP, RAMP])
    sent: list[int] = []
    peer = peering(lambda request: Reply(200, stream=pieces, length=502, done=sent.append))
    peer.transport.takes = False
    peer.send(GET)
    await settle()
    peer.transport.let(len(peer.transport.held) - 51)

    peer.transport.abort()
    await settle()

    assert (pieces.closed, sent) == (1, [200])


async def test_a_client_that_goes_before_its_reply_is_begun_leaves_nothing_open(peering: Peering) -> None:
    pieces = Pieces([RAMP])
    sent: list[int] = []
    peer = peering(lambda request: Reply(200, stream=pieces, length=251, done=sent.append))

    peer.send(GET)
    peer.transport.abort()
    await settle()

    assert (pieces.asked, pieces.closed, sent) == (0, 1, [0])
