"""One connection of the server, fed byte by byte: order, bounds, refusals and ends."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from regioncache.http.limits import Limits
from regioncache.http.messages import BadBody, Buffer, Reply, Request
from tests.fakes.clock import settle
from tests.fakes.http_peer import HttpPeer

pytestmark = pytest.mark.anyio

Make = Callable[..., HttpPeer]
RAMP = bytes(range(251))
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def hello(request: Request) -> Reply:
    return Reply(200, [(b"x-target", request.target)], b"hello")


class Gate:
    """A handler whose replies wait until a test lets them go."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Reply]] = []
        self.cancelled = 0

    async def __call__(self, request: Request) -> Reply:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def let(self, number: int, reply: Reply) -> None:
        self.waiting[number].set_result(reply)
        await settle()


class Pieces:
    """A stream that remembers how far it was asked, and whether it was closed."""

    def __init__(self, pieces: list[Buffer], error: Exception | None = None) -> None:
        self.asked = 0
        self.closed = 0
        self._pieces = pieces
        self._error = error

    def __aiter__(self) -> AsyncIterator[Buffer]:
        return self

    async def __anext__(self) -> Buffer:
        if self.asked == len(self._pieces):
            if self._error is not None:
                raise self._error
            raise StopAsyncIteration
        self.asked += 1
        return self._pieces[self.asked - 1]

    async def aclose(self) -> None:
        self.closed += 1


async def test_a_plain_reply_is_written_at_once_and_without_a_task(peering: Make) -> None:
    tasks = len(asyncio.all_tasks())
    peer = peering(hello)

    peer.send(GET)

    assert peer.transport.sent == (
        b"HTTP/1.1 200 OK\r\nx-target: /a\r\nDate: Tue, 14 Nov 2023 22:30:00 GMT\r\nContent-Length: 5\r\n\r\nhello"
    )
    assert len(asyncio.all_tasks()) == tasks


async def test_a_request_may_come_in_any_pieces(peering: Make) -> None:
    peer = peering(hello)

    for at in range(len(GET)):
        peer.send(GET[at : at + 1])

    assert peer.statuses() == [200]


async def test_pipelined_requests_are_answered_in_order(peering: Make) -> None:
    peer = peering(hello)

    peer.send(b"".join(GET.replace(b"/a", b"/%d" % number) for number in range(50)))
    await settle()

    assert [part.split(b"\r\n")[0] for part in peer.transport.sent.split(b"x-target: ")[1:]] == [
        b"/%d" % number for number in range(50)
    ]


async def test_a_later_request_waits_for_the_earlier_reply(peering: Make) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET + GET)
    await settle()
    assert len(gate.waiting) == 1

    await gate.let(0, Reply(201))
    await gate.let(1, Reply(202))

    assert peer.statuses() == [201, 202]


async def test_the_socket_is_not_read_while_a_reply_is_under_way_and_another_request_waits(peering: Make) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET)
    assert peer.transport.reading

    peer.send(GET)
    assert not peer.transport.reading
    await settle()
    await gate.let(0, Reply(200))

    assert peer.transport.reading
    await gate.let(1, Reply(200))


async def test_the_socket_is_read_again_once_a_request_that_waited_is_answered_at_once(peering: Make) -> None:
    gate = Gate()
    peer = peering(lambda request: gate(request) if request.target == b"/slow" else hello(request))
    peer.send(GET.replace(b"/a", b"/slow"))
    await settle()

    peer.send(GET)
    await gate.let(0, Reply(201))

    assert peer.statuses() == [201, 200]
    assert peer.transport.reading


async def test_the_socket_is_read_again_for_the_rest_of_a_head_that_began_while_a_reply_was_under_way(
    peering: Make,
) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET)
    await settle()

    peer.send(GET[:10])
    await gate.let(0, Reply(201))

    assert peer.transport.reading


async def test_the_socket_is_not_read_while_more_requests_wait_than_are_answered_in_a_row(peering: Make) -> None:
    peer = peering(hello)

    peer.send(GET * 50)
    assert not peer.transport.reading
    await settle()

    assert peer.statuses() == [200] * 50
    assert peer.transport.reading


async def test_two_empty_lines_and_an_empty_line_before_a_request_do_no_harm(peering: Make) -> None:
    peer = peering(hello)

    peer.send(b"\r\n" + GET + b"\r\n" + GET)

    assert peer.statuses() == [200, 200]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 100_000, 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00", 400),
    ],
)
async def test_what_is_refused_gets_one_reply_and_nothing_behind_it_is_served(
    peering: Make, data: bytes, status: int
) -> None:
    peer = peering(hello)

    peer.send(data + GET)
    peer.send(GET)

    assert peer.statuses() == [status]
    assert b"Connection: close\r\n" in peer.transport.sent
    assert peer.transport.eof_written
    assert not peer.transport.closed  # it lingers, so that the reset does not overtake the reply


async def test_a_refused_peer_is_closed_after_a_while(peering: Make) -> None:
    peer = peering(hello)
    peer.send(b"nonsense\r\n\r\n")

    peer.pass_seconds(3)

    assert peer.transport.closed


async def test_a_head_of_one_byte_a_second_is_given_up(peering: Make) -> None:
    peer = peering(hello, Limits(head_seconds=20))

    for at in range(25):
        if not peer.transport.eof_written:
            peer.send(GET[at : at + 1])
        peer.pass_seconds(1)

    assert peer.statuses() == [408]
    assert peer.transport.closed


async def test_a_connection_that_says_nothing_is_closed_without_a_word(peering: Make) -> None:
    peer = peering(hello, Limits(head_seconds=20))

    peer.pass_seconds(20)

    assert (peer.transport.closed, peer.transport.sent) == (True, b"")


async def test_an_idle_connection_is_closed_after_its_time_and_not_before(peering: Make) -> None:
    peer = peering(hello, Limits(head_seconds=5, idle_seconds=75))
    peer.send(GET)

    peer.pass_seconds(74)
    assert not peer.transport.closed
    peer.pass_seconds(1)

    assert peer.transport.closed


async def test_a_reader_that_takes_nothing_is_cut_off_and_one_that_takes_a_byte_is_not(peering: Make) -> None:
    peer = peering(hello, Limits(write_seconds=10))
    peer.transport.takes = False
    peer.send(GET)

    for _ in range(5):
        peer.pass_seconds(9)
        peer.transport.let(1)
    assert not peer.transport.closed
    peer.pass_seconds(12)

    assert peer.transport.aborted


async def test_the_next_request_waits_until_the_reply_has_left(peering: Make) -> None:
    peer = peering(hello)
    peer.transport.takes = False
    peer.send(GET + GET)
    held = len(peer.transport.held)

    peer.transport.takes = True
    peer.transport.let(held - 1)
    assert peer.statuses() == [200]
    peer.transport.let(1)

    assert peer.statuses() == [200, 200]


async def test_one_connection_too_many_is_told_to_come_again(peering: Make) -> None:
    peer = peering(hello, Limits(connections=1))

    _, second = peer.connect()

    assert second.sent.startswith(b"HTTP/1.1 503 ")
    assert second.eof_written


async def test_a_flood_of_connections_is_closed_without_a_word(peering: Make) -> None:
    peer = peering(hello, Limits(connections=1))

    transports = [peer.connect()[1] for _ in range(5)]

    assert [transport.aborted for transport in transports] == [False, True, True, True, True]


async def test_a_handler_that_fails_is_an_empty_500_and_is_told_to_the_caller(peering: Make) -> None:
    secret = RuntimeError("the secret is 42")

    def fail(request: Request) -> Reply:
        raise secret

    peer = peering(fail)
    peer.send(GET + GET)

    assert peer.statuses() == [500, 500]
    assert peer.transport.sent.endswith(b"Content-Length: 0\r\n\r\n")
    assert peer.faults == [secret, secret]


async def test_an_awaitable_that_fails_is_an_empty_500_too(peering: Make) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET)
    await settle()

    gate.waiting[0].set_exception(KeyError("x"))
    await settle()

    assert (peer.statuses(), [type(fault) for fault in peer.faults]) == ([500], [KeyError])


async def test_a_reply_whose_header_would_break_out_is_a_500(peering: Make) -> None:
    peer = peering(lambda request: Reply(200, [(b"x-a", b"b\r\nx-c: d")], b"body"))

    peer.send(GET)

    assert peer.statuses() == [500]
    assert b"x-c" not in peer.transport.sent


@pytest.mark.parametrize(
    "data", [GET.replace(b"1.1", b"1.0"), GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")]
)
async def test_a_connection_is_closed_where_the_client_or_http_1_0_says_so(peering: Make, data: bytes) -> None:
    peer = peering(hello)

    peer.send(data)

    assert b"Connection: close\r\n" in peer.transport.sent
    assert peer.transport.closed


async def test_a_reply_to_head_has_the_length_and_no_body(peering: Make) -> None:
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
async def test_replies_without_a_body_have_none(peering: Make, status: int) -> None:
    peer = peering(lambda request: Reply(status, [(b"etag", b'"x"')], b"body"))

    peer.send(GET)

    assert peer.transport.sent.endswith(b"GMT\r\n\r\n")


async def test_lines_encoded_beforehand_are_sent_as_they_are(peering: Make) -> None:
    peer = peering(lambda request: Reply(200, body=b"x", encoded=b"Server: S\r\nX-Y: z\r\n"))

    peer.send(GET)

    assert b"200 OK\r\nServer: S\r\nX-Y: z\r\nDate: " in peer.transport.sent


async def test_a_stream_is_sent_in_full(peering: Make) -> None:
    pieces = Pieces([RAMP[:100], b"", RAMP[100:]])
    peer = peering(lambda request: Reply(206, stream=pieces, length=251))

    peer.send(GET + GET)
    await settle()

    assert peer.transport.sent.split(b"\r\n\r\n")[1].startswith(RAMP)
    assert pieces.closed >= 1


async def test_a_stream_of_unknown_length_is_chunked(peering: Make) -> None:
    peer = peering(lambda request: Reply(200, stream=Pieces([b"abc", b"", b"x" * 70_000])))

    peer.send(GET)
    await settle()

    assert b"Transfer-Encoding: chunked\r\n" in peer.transport.sent
    assert peer.transport.sent.endswith(b"\r\n\r\n3\r\nabc\r\n11170\r\n" + b"x" * 70_000 + b"\r\n0\r\n\r\n")
    assert not peer.transport.closed


async def test_an_empty_stream_of_unknown_length_is_an_empty_body(peering: Make) -> None:
    peer = peering(lambda request: Reply(200, stream=Pieces([])))

    peer.send(GET)
    await settle()

    assert peer.transport.sent.endswith(b"\r\n\r\n0\r\n\r\n")


async def test_http_1_0_gets_a_stream_of_unknown_length_until_the_end(peering: Make) -> None:
    peer = peering(lambda request: Reply(200, stream=Pieces([b"abc", b"def"])))

    peer.send(GET.replace(b"1.1", b"1.0"))
    await settle()

    assert peer.transport.sent.endswith(b"Connection: close\r\n\r\nabcdef")
    assert peer.transport.closed


async def test_a_piece_is_asked_for_when_the_one_before_has_left(peering: Make) -> None:
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
    peering: Make, pieces: list[Buffer], error: Exception | None
) -> None:
    stream = Pieces(pieces, error)
    sent: list[int] = []
    peer = peering(lambda request: Reply(200, stream=stream, length=5, done=sent.append))

    peer.send(GET + GET)
    await settle()

    assert peer.transport.aborted
    assert len(peer.transport.sent.partition(b"\r\n\r\n")[2]) < 5
    assert (len(peer.faults), stream.closed, sent) == (1, 1, [3 if b"abc" in pieces else 0])


async def test_a_chunked_stream_that_fails_does_not_look_whole(peering: Make) -> None:
    peer = peering(lambda request: Reply(200, stream=Pieces([b"abc"], OSError("disk"))))

    peer.send(GET)
    await settle()

    assert peer.transport.aborted
    assert peer.transport.sent.endswith(b"\r\n3\r\nabc\r\n")


async def test_a_stream_that_never_waits_lets_the_others_have_a_turn(peering: Make) -> None:
    piece = bytes(256 * 1024)
    pieces = Pieces([piece] * 100)
    peer = peering(lambda request: Reply(200, stream=pieces, length=100 * len(piece)))

    peer.send(GET)
    await settle(5)

    assert 0 < pieces.asked < 50
    peer.transport.abort()
    await settle()


async def test_a_client_that_goes_cancels_its_handler(peering: Make) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET)
    await settle()

    peer.connection.eof_received()
    await settle()

    assert (gate.cancelled, peer.transport.closed, peer.faults) == (1, True, [])


async def test_a_client_that_goes_closes_its_stream(peering: Make) -> None:
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


async def test_a_client_that_goes_before_its_reply_is_begun_leaves_nothing_open(peering: Make) -> None:
    pieces = Pieces([RAMP])
    sent: list[int] = []
    peer = peering(lambda request: Reply(200, stream=pieces, length=251, done=sent.append))

    peer.send(GET)
    peer.transport.abort()
    await settle()

    assert (pieces.asked, pieces.closed, sent) == (0, 1, [0])


async def test_done_is_called_once_with_the_bytes_of_the_body(peering: Make) -> None:
    sent: list[int] = []
    peer = peering(lambda request: Reply(200, body=b"hello", done=sent.append))

    peer.send(GET)
    peer.send(GET.replace(b"GET", b"HEAD"))
    peer.transport.close()

    assert sent == [5, 0]


async def test_done_waits_until_a_reply_has_left(peering: Make) -> None:
    sent: list[int] = []
    peer = peering(lambda request: Reply(200, body=b"hello", done=sent.append))
    peer.transport.takes = False

    peer.send(GET)
    assert sent == []
    peer.transport.let(1000)

    assert sent == [5]


# Bodies of requests.


async def echo(request: Request) -> Reply:
    return Reply(200, body=await request.body.read(1000))


def put(headers: bytes, body: bytes = b"") -> bytes:
    return b"PUT /a HTTP/1.1\r\nHost: h\r\n" + headers + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "data",
    [put(b"Content-Length: 5", b"abcde"), put(b"Transfer-Encoding: chunked", b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")],
)
async def test_a_body_is_read_however_it_comes_and_the_next_request_follows(peering: Make, data: bytes) -> None:
    peer = peering(echo)

    for at in range(len(data)):
        peer.send(data[at : at + 1])
        await settle(2)
    peer.send(data + data)
    await settle(60)

    assert peer.statuses() == [200, 200, 200]
    assert peer.transport.sent.count(b"\r\n\r\nabcde") == 3


async def test_continue_is_sent_when_the_handler_first_reads(peering: Make) -> None:
    peer = peering(echo)

    peer.send(put(b"Content-Length: 5\r\nExpect: 100-continue"))
    assert peer.transport.sent == b""
    await settle()
    assert peer.transport.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(b"abcde")
    await settle()

    assert peer.statuses() == [100, 200]


async def test_a_refusal_comes_before_the_body_is_asked_for(peering: Make) -> None:
    peer = peering(lambda request: Reply(403))

    peer.send(put(b"Content-Length: 5\r\nExpect: 100-continue"))

    assert peer.statuses() == [403]
    assert b"Connection: close\r\n" in peer.transport.sent
    assert peer.transport.eof_written


@pytest.mark.parametrize(
    "data",
    [put(b"Content-Length: 1001"), put(b"Transfer-Encoding: chunked", b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n")],
)
async def test_a_body_that_is_too_large_is_413(peering: Make, data: bytes) -> None:
    peer = peering(echo)

    peer.send(data)
    await settle()

    assert peer.statuses() == [413]
    assert peer.faults == []


async def test_a_body_whose_chunks_are_broken_is_400_and_the_end(peering: Make) -> None:
    peer = peering(echo)

    peer.send(put(b"Transfer-Encoding: chunked", b"zz\r\n" + GET))
    await settle()

    assert peer.statuses() == [400]
    assert peer.transport.eof_written


async def test_a_handler_may_see_that_a_body_is_broken(peering: Make) -> None:
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


async def test_a_body_that_nobody_reads_is_held_only_up_to_the_limit(peering: Make) -> None:
    gate = Gate()
    peer = peering(gate, Limits(held_bytes=1000))
    peer.send(put(b"Content-Length: 100000"))
    peer.send(bytes(999))
    assert peer.transport.reading

    peer.send(bytes(1))

    assert not peer.transport.reading
    peer.transport.abort()
    await settle()


async def test_reading_a_body_opens_the_socket_again(peering: Make) -> None:
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


async def test_a_body_that_stalls_is_given_up(peering: Make) -> None:
    peer = peering(echo, Limits(body_seconds=30))
    peer.send(put(b"Content-Length: 100"))
    await settle()

    peer.pass_seconds(29)
    assert not peer.transport.closed
    peer.pass_seconds(2)
    await settle()

    assert peer.transport.aborted


async def test_a_body_of_one_byte_a_second_is_given_up(peering: Make) -> None:
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


async def test_a_body_whose_handler_does_other_things_is_not_given_up(peering: Make) -> None:
    gate = Gate()
    peer = peering(gate, Limits(body_seconds=30))
    peer.send(put(b"Content-Length: 100"))
    await settle()

    peer.pass_seconds(100)

    assert not peer.transport.closed
    peer.transport.abort()
    await settle()
