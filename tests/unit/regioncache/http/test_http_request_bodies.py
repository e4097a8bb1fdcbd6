"""Bodies of requests: read however they come, held up to a limit, and given up when they stall."""

import pytest

from regioncache.http.limits import Limits
from regioncache.http.messages import BadBody, Reply, Request
from tests.fakes.clock import settle
from tests.fakes.http_handlers import GET, Gate, Peering, echo, put

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "data",
    [put(b"Content-Length: 5", b"abcde"), put(b"Transfer-Encoding: chunked", b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")],
)
async def test_a_body_is_read_however_it_comes_and_the_next_request_follows(peering: Peering, data: bytes) -> None:
    peer = peering(echo)

    for at in range(len(data)):
        peer.send(data[at : at + 1])
        await settle(2)
    peer.send(data + data)
    await settle(60)

    assert peer.statuses() == [200, 200, 200]
    assert peer.transport.sent.count(b"\r\n\r\nabcde") == 3


async def test_continue_is_sent_when_the_handler_first_reads(peering: Peering) -> None:
    peer = peering(echo)

    peer.send(put(b"Content-Length: 5\r\nExpect: 100-continue"))
    assert peer.transport.sent == b""
    await settle()
    assert peer.transport.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(b"abcde")
    await settle()

    assert peer.statuses() == [100, 200]


async def test_a_refusal_comes_before_the_body_is_asked_for(peering: Peering) -> None:
    peer = peering(lambda request: Reply(403))

    peer.send(put(b"Content-Length: 5\r\nExpect: 100-continue"))

    assert peer.statuses() == [403]
    assert b"Connection: close\r\n" in peer.transport.sent
    assert peer.transport.eof_written


@pytest.mark.parametrize(
    "data",
    [put(b"Content-Length: 1001"), put(b"Transfer-Encoding: chunked", b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n")],
)
async def test_a_body_that_is_too_large_is_413(peering: Peering, data: bytes) -> None:
    peer = peering(echo)

    peer.send(data)
    await settle()

    assert peer.statuses() == [413]
    assert peer.faults == []


async def test_a_body_whose_chunks_are_broken_is_400_and_the_end(peering: Peering) -> None:
    peer = peering(echo)

    peer.send(put(b"Transfer-Encoding: chunked", b"zz\r\n" + GET))
    await settle()

    assert peer.statuses() == [400]
    assert peer.transport.eof_written


async def test_a_handler_may_see_that_a_body_is_broken(peering: Peering) -> None:
    seen: list[str] = []

    async def handler(request: Request) -> Reply:
        try:
            await request.body.read(1000)
        except BadBody as error:
            seen.append(str(error))
        return Reply(422)

    peer = peering(handler)
    peer.send(put(b"Transfer-Encoding: chunked", b"zz\r\n"))
    await settle()

    assert (peer.statuses(), len(seen)) == ([422], 1)


async def test_a_body_that_nobody_reads_is_held_only_up_to_the_limit(peering: Peering) -> None:
    gate = Gate()
    peer = peering(gate, Limits(held_bytes=1000))
    peer.send(put(b"Content-Length: 100000"))
    peer.send(bytes(999))
    assert peer.transport.reading

    peer.send(bytes(1))

    assert not peer.transport.reading
    peer.transport.abort()
    await settle()


async def test_reading_a_body_opens_the_socket_again(peering: Peering) -> None:
    async def slow(request: Request) -> Reply:
        pieces = [await request.body.piece() for _ in range(3)]
        return Reply(200, body=b"%d" % sum(map(len, pieces)))

    peer = peering(slow, Limits(held_bytes=10))
    peer.send(put(b"Content-Length: 30", bytes(10)))
    assert not peer.transport.reading
    await settle()
    assert peer.transport.reading
    peer.send(bytes(10))
    await settle()
    peer.send(bytes(10))
    await settle()

    assert peer.transport.sent.endswith(b"\r\n\r\n30")


async def test_a_body_that_stalls_is_given_up(peering: Peering) -> None:
    peer = peering(echo, Limits(body_seconds=30))
    peer.send(put(b"Content-Length: 100"))
    await settle()

    peer.pass_seconds(29)
    assert not peer.transport.closed
    peer.pass_seconds(2)
    await settle()

    assert peer.transport.aborted


async def test_a_body_of_one_byte_a_second_is_given_up(peering: Peering) -> None:
    peer = peering(echo, Limits(body_seconds=30, body_rate=1024))
    peer.send(put(b"Content-Length: 100"))
    await settle()

    for _ in range(40):
        if not peer.transport.closed:
            peer.send(b"x")
        await settle(3)
        peer.pass_seconds(1)

    assert peer.transport.aborted
    await settle()


async def test_a_body_whose_handler_does_other_things_is_not_given_up(peering: Peering) -> None:
    gate = Gate()
    peer = peering(gate, Limits(body_seconds=30))
    peer.send(put(b"Content-Length: 100"))
    await settle()

    peer.pass_seconds(100)

    assert not peer.transport.closed
    peer.transport.abort()
    await settle()
