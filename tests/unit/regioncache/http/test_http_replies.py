"""What a handler's reply becomes on the wire, also where it fails or its client goes, and when it is done."""

import pytest

from regioncache.http.messages import Reply, Request
from tests.fakes.clock import settle
from tests.fakes.http_handlers import GET, Gate, Peering, Pieces, hello

pytestmark = pytest.mark.anyio


async def test_a_handler_that_fails_is_an_empty_500_and_is_told_to_the_caller(peering: Peering) -> None:
    secret = RuntimeError("the secret is 42")

    def fail(request: Request) -> Reply:
        raise secret

    peer = peering(fail)
    peer.send(GET + GET)

    assert peer.statuses() == [500, 500]
    assert peer.transport.sent.endswith(b"Content-Length: 0\r\n\r\n")
    assert peer.faults == [secret, secret]


async def test_an_awaitable_that_fails_is_an_empty_500_too(peering: Peering) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET)
    await settle()

    gate.waiting[0].set_exception(KeyError("x"))
    await settle()

    assert (peer.statuses(), [type(fault) for fault in peer.faults]) == ([500], [KeyError])


async def test_a_reply_whose_header_would_break_out_is_a_500(peering: Peering) -> None:
    peer = peering(lambda request: Reply(200, [(b"x-a", b"b\r\nx-c: d")], b"body"))

    peer.send(GET)

    assert peer.statuses() == [500]
    assert b"x-c" not in peer.transport.sent


@pytest.mark.parametrize(
    "data", [GET.replace(b"1.1", b"1.0"), GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")]
)
async def test_a_connection_is_closed_where_the_client_or_http_1_0_says_so(peering: Peering, data: bytes) -> None:
    peer = peering(hello)

    peer.send(data)

    assert b"Connection: close\r\n" in peer.transport.sent
    assert peer.transport.closed


async def test_a_reply_to_head_has_the_length_and_no_body(peering: Peering) -> None:
    pieces = Pieces([b"abc"])
    replies = [Reply(200, body=b"hello"), Reply(200, length=10 << 30), Reply(200, stream=pieces, length=3)]
    peer = peering(lambda request: replies[int(request.target[1:])])

    for number in range(3):
        peer.send(b"HEAD /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
        await settle()

    assert [part.split(b"\r\n")[0] for part in peer.transport.sent.split(b"Content-Length: ")[1:]] == [
        b"5", b"10737418240", b"3",
    ]  # fmt: skip
    assert peer.transport.sent.endswith(b"\r\n\r\n")
    assert (pieces.asked, pieces.closed) == (0, 1)


@pytest.mark.parametrize("status", [204, 304])
async def test_replies_without_a_body_have_none(peering: Peering, status: int) -> None:
    peer = peering(lambda request: Reply(status, [(b"etag", b'"x"')], b"body"))

    peer.send(GET)

    assert peer.transport.sent.endswith(b"GMT\r\n\r\n")


async def test_lines_encoded_beforehand_are_sent_as_they_are(peering: Peering) -> None:
    peer = peering(lambda request: Reply(200, body=b"x", encoded=b"Server: S\r\nX-Y: z\r\n"))

    peer.send(GET)

    assert b"200 OK\r\nServer: S\r\nX-Y: z\r\nDate: " in peer.transport.sent


async def test_a_client_that_goes_cancels_its_handler(peering: Peering) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET)
    await settle()

    peer.connection.eof_received()
    await settle()

    assert (gate.cancelled, peer.transport.closed, peer.faults) == (1, True, [])


async def test_done_is_called_once_with_the_bytes_of_the_body(peering: Peering) -> None:
    sent: list[int] = []
    peer = peering(lambda request: Reply(200, body=b"hello", done=sent.append))

    peer.send(GET)
    peer.send(GET.replace(b"GET", b"HEAD"))
    peer.transport.close()

    assert sent == [5, 0]


async def test_done_waits_until_a_reply_has_left(peering: Peering) -> None:
    sent: list[int] = []
    peer = peering(lambda request: Reply(200, body=b"hello", done=sent.append))
    peer.transport.takes = False

    peer.send(GET)
    assert sent == []
    peer.transport.let(1000)

    assert sent == [5]
