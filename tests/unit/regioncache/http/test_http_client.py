"""The client against servers that do as they are told: framing, faults, reuse, pulling, and who gets a turn."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from regioncache.http.ask import Ask, Base
from regioncache.http.client import Answer, Client
from regioncache.http.faults import AnswerCutShort, AnswerTimeout, BadHttp, ConnectFailed
from regioncache.http.limits import ClientLimits
from tests.fakes.clock import settle

pytestmark = pytest.mark.anyio

RAMP = bytes(range(251)) * 4000


class Script:
    """A server that answers each request of each connection with what it was given, then does what it was told.

    `answers` are per request, in order over all connections: bytes to send, and whether to close behind them.
    """

    def __init__(self, *answers: tuple[bytes, bool]) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = asyncio.Event()
        self.arrived = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> Base:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return Base("http", "127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                self.arrived.set()
                data, close = self.answers.pop(0) if self.answers else (b"", False)
                writer.write(data)
                if close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        self.closed.set()


@pytest.fixture
async def scripted() -> AsyncIterator[Callable[..., Awaitable[tuple[Script, Base]]]]:
    scripts: list[Script] = []

    async def start(*answers: bytes | tuple[bytes, bool]) -> tuple[Script, Base]:
        script = Script(*[(answer, False) if isinstance(answer, bytes) else answer for answer in answers])
        scripts.append(script)
        return script, await script.start()

    yield start
    for script in scripts:
        await script.stop()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client()
    yield made
    made.close()
    assert made.statistics().open == 0


Scripted = Callable[..., Awaitable[tuple[Script, Base]]]


def ok(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), headers, body)


def chunked(*chunks: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


def get(base: Base, **changes: object) -> Ask:
    return Ask(base, b"GET", b"/a%2Fb//..?x=%41", **changes)  # type: ignore[arg-type]


async def test_a_request_is_its_exact_bytes(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"hello"))

    answer = await client.request(get(base, headers=[(b"range", b"bytes=0-4"), (b"x-Odd", b"a  b")]))

    assert (answer.status, answer.length, await answer.body(100)) == (200, 5, b"hello")
    assert script.requests == [
        b"GET /a%%2Fb//..?x=%%41 HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nrange: bytes=0-4\r\nx-Odd: a  b\r\n\r\n" % base.port
    ]


async def test_a_body_is_sent_with_its_length(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b""))

    await client.request(Ask(base, b"POST", b"/", [(b"host", b"other")], b"body"))

    assert script.requests == [b"POST / HTTP/1.1\r\nhost: other\r\ncontent-length: 4\r\n\r\n"]


@pytest.mark.parametrize(
    ("target", "headers"),
    [(b"/a b", []), (b"/a\r\nX: y", []), (b"", []), (b"/\0", []), (b"/", [(b"x", b"a\r\nb: c")])],
)
async def test_what_would_break_the_request_apart_is_not_sent(
    client: Client, scripted: Scripted, target: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    script, base = await scripted()

    with pytest.raises(ValueError):
        await client.request(Ask(base, b"GET", target, headers))

    assert script.connections == 0


@pytest.mark.parametrize("piece", [1, 7, 1000, 300_000])
@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
async def test_a_body_is_received_whole_into_memory_of_any_size(
    client: Client, scripted: Scripted, piece: int, framing: str
) -> None:
    body = RAMP[: piece * 20]
    chunks = chunked(body[:3], body[3:100], body[100:]) if len(body) > 100 else chunked(body)
    whole = {"length": ok(body), "chunked": chunks, "until close": b"HTTP/1.1 200 OK\r\n\r\n" + body}[framing]
    _, base = await scripted((whole, framing == "until close"))
    answer = await client.request(get(base))
    into = memoryview(bytearray(piece))

    received = b""
    while got := await answer.receive(into):
        received += into[:got]

    assert received == body
    assert client.statistics().idle == (0 if framing == "until close" else 1)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 204 No\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_leave_the_connection_ready(
    client: Client, scripted: Scripted, method: bytes, answer: bytes
) -> None:
    script, base = await scripted(answer, ok(b"next"))

    first = await client.request(Ask(base, method, b"/"))
    assert await first.receive(memoryview(bytearray(10))) == 0
    second = await client.request(get(base))

    assert await second.body(10) == b"next"
    assert script.connections == 1


async def test_a_connection_is_used_again_after_a_whole_answer_only(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"whole"), ok(RAMP), ok(b"third"))
    await (await client.request(get(base))).body(10)

    unread = await client.request(get(base))
    unread.close()
    await (await client.request(get(base))).body(10)

    assert script.connections == 2


async def test_a_connection_whose_server_says_close_is_not_used_again(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1", b"Connection: close\r\n"), ok(b"2"))

    for _ in range(2):
        await (await client.request(get(base))).body(10)

    assert script.connections == 2


async def test_bytes_behind_an_answer_are_never_taken_for_the_next(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1") + ok(b"evil"), ok(b"good"))

    bodies = [await (await client.request(get(base))).body(10) for _ in range(2)]

    assert (bodies, script.connections) == ([b"1", b"good"], 2)


async def test_a_server_that_speaks_unasked_loses_its_connection(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"), ok(b"good"))
    await (await client.request(get(base))).body(10)

    script._writers[0].write(ok(b"evil"))
    await asyncio.wait_for(script.closed.wait(), 10)
    answer = await client.request(get(base))

    assert (await answer.body(10), script.connections) == (b"good", 2)


async def test_a_kept_connection_that_was_closed_is_replaced_once(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"), (b"", True), ok(b"2"))
    await (await client.request(get(base))).body(10)

    answer = await client.request(get(base))

    assert (await answer.body(10), script.connections, client.statistics().repeated) == (b"2", 2, 1)


async def test_a_request_that_may_have_been_done_is_not_sent_twice(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"), (b"", True), ok(b"2"))
    await (await client.request(get(base))).body(10)

    with pytest.raises(AnswerCutShort):
        await client.request(Ask(base, b"POST", b"/"))

    assert len(script.requests) == 2


async def test_a_fresh_connection_that_is_closed_is_a_fault(client: Client, scripted: Scripted) -> None:
    script, base = await scripted((b"", True), ok(b"2"))

    with pytest.raises(AnswerCutShort):
        await client.request(get(base))

    assert script.connections == 1


async def test_an_answer_that_began_is_not_asked_for_again(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"), (b"HTTP/1.1 200 OK\r\nCont", True), ok(b"2"))
    await (await client.request(get(base))).body(10)

    with pytest.raises(AnswerCutShort):
        await client.request(get(base))

    assert len(script.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        ok(RAMP)[:-1],
        chunked(RAMP)[:-1],
        chunked(RAMP)[:-5],
        chunked(RAMP)[:5000],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_an_answer_cut_short_says_so(client: Client, scripted: Scripted, answer: bytes) -> None:
    _, base = await scripted((answer, True))
    got = await client.request(get(base))

    with pytest.raises(AnswerCutShort):
        await got.body(len(RAMP))

    assert client.statistics().open == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
)
async def test_what_is_no_answer_is_refused(client: Client, scripted: Scripted, answer: bytes) -> None:
    _, base = await scripted(answer)

    with pytest.raises(BadHttp):
        await client.request(get(base))

    assert client.statistics().open == 0


async def test_broken_chunks_are_refused(client: Client, scripted: Scripted) -> None:
    _, base = await scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    answer = await client.request(get(base))

    with pytest.raises(BadHttp):
        await answer.body(100)


@pytest.mark.parametrize("answer", [ok(b"x" * 11), chunked(b"x" * 6, b"x" * 5)])
async def test_a_body_beyond_the_limit_is_refused(client: Client, scripted: Scripted, answer: bytes) -> None:
    _, base = await scripted(answer)
    got = await client.request(get(base))

    with pytest.raises(BadHttp):
        await got.body(10)

    assert client.statistics().open == 0


async def test_a_server_that_does_not_answer_is_given_up(client: Client, scripted: Scripted) -> None:
    _, base = await scripted(b"HTTP/1.1 200 OK\r\n")

    with pytest.raises(AnswerTimeout):
        await client.request(get(base, answer_seconds=0.05))

    assert client.statistics().open == 0


async def test_a_body_that_stalls_is_given_up(client: Client, scripted: Scripted) -> None:
    _, base = await scripted(ok(RAMP)[:1000])
    answer = await client.request(get(base, stall_seconds=0.05))

    with pytest.raises(AnswerTimeout):
        await answer.body(len(RAMP))

    assert client.statistics().open == 0


async def test_a_cancelled_request_closes_its_connection(client: Client, scripted: Scripted) -> None:
    script, base = await scripted()
    asking = asyncio.create_task(client.request(get(base)))
    await script.arrived.wait()

    asking.cancel()
    await asyncio.wait([asking])

    assert asking.cancelled()
    assert client.statistics().open == 0
    await asyncio.wait_for(script.closed.wait(), 10)


async def test_a_cancelled_receive_closes_its_connection_and_leaves_the_memory_alone(
    client: Client, scripted: Scripted
) -> None:
    script, base = await scripted(ok(RAMP)[:1000])
    answer = await client.request(get(base))
    memory = bytearray(len(RAMP))
    into = memoryview(memory)
    while answer.ahead:
        await answer.receive(into)
    receiving = asyncio.create_task(answer.receive(into))
    await settle(3)

    receiving.cancel()
    await asyncio.wait([receiving])
    before = bytes(memory)
    script._writers[0].write(RAMP)
    await asyncio.wait_for(script.closed.wait(), 10)

    assert client.statistics().open == 0
    assert memory == before


async def test_the_socket_is_read_only_when_somebody_receives(client: Client) -> None:
    """What was not received is still in the kernel: the sender is stopped by its window, however long nobody reads."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        base = Base("http", "127.0.0.1", listener.getsockname()[1])
        asking = asyncio.create_task(client.request(get(base, receive_buffer=64 * 1024)))
        peer, _ = await loop.sock_accept(listener)
        with peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
            await loop.sock_recv(peer, 10_000)
            body = RAMP + RAMP
            await loop.sock_sendall(peer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            answer = await asking
            sent = 0
            while True:
                try:
                    sent += peer.send(body[sent:])
                except BlockingIOError:
                    await settle(50)
                    try:
                        sent += peer.send(body[sent:])
                    except BlockingIOError:
                        break

            ahead = answer.ahead
            into = memoryview(bytearray(1000))
            got = await answer.receive(into)

            assert ahead == 0
            assert got == 1000
            assert answer.ahead == 0
            assert into[:got] == body[:got]
            assert sent < len(body)
            answer.close()


async def test_the_receive_buffer_is_set_and_read_back(client: Client, scripted: Scripted) -> None:
    _, base = await scripted()

    small = await client.connect(base, 100_000)
    free = await client.connect(base, 0)

    assert small.receive_buffer >= 100_000
    assert free.receive_buffer == 0
    small.release()
    free.release()


async def test_a_new_connection_tells_the_kernels_round_trip(client: Client, scripted: Scripted) -> None:
    _, base = await scripted()

    connection = await client.connect(base, 0)

    assert 0 < connection.round_trip < 1
    connection.release()


async def test_connections_are_kept_apart_by_their_receive_buffer(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"), ok(b"2"), ok(b"3"))

    for buffer in (0, 100_000, 0):
        await (await client.request(get(base, receive_buffer=buffer))).body(10)

    assert (script.connections, client.statistics().idle) == (2, 2)


async def test_a_connection_taken_beforehand_is_used(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"))
    connection = await client.connect(base, 0)
    assert connection.fresh

    answer = await client.request(get(base), connection)

    assert (await answer.body(10), script.connections, connection.fresh) == (b"1", 1, False)


async def test_an_unused_connection_goes_back(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"))
    connection = await client.connect(base, 0)

    connection.release()
    await (await client.request(get(base))).body(10)

    assert (script.connections, connection.fresh) == (1, False)


async def test_one_request_too_many_waits_for_its_turn(scripted: Scripted) -> None:
    _, base = await scripted(ok(b"1"), ok(b"2"))
    client = Client(ClientLimits(connections=1))
    first = await client.connect(base, 0)
    second = asyncio.create_task(client.connect(base, 0))
    await settle()
    assert client.statistics().waiting == 1

    first.release()

    assert await second is first
    first.close()
    client.close()


async def test_the_turn_of_a_waiter_that_went_goes_to_the_next(scripted: Scripted) -> None:
    _, base = await scripted()
    client = Client(ClientLimits(connections=1))
    first = await client.connect(base, 0)
    waiting = [asyncio.create_task(client.connect(base, 0)) for _ in range(3)]
    await settle()

    waiting[0].cancel()
    first.close()
    waiting[1].cancel()
    third = await waiting[2]

    assert client.statistics().open == 1
    third.close()
    client.close()
    assert client.statistics().open == 0


async def test_an_idle_connection_makes_room_for_one_with_another_buffer(scripted: Scripted) -> None:
    _, base = await scripted()
    client = Client(ClientLimits(connections=1))
    (await client.connect(base, 0)).release()

    other = await client.connect(base, 100_000)

    assert (other.receive_buffer > 0, client.statistics().open) == (True, 1)
    other.close()
    client.close()


async def test_waiting_for_a_turn_has_an_end(scripted: Scripted) -> None:
    _, base = await scripted()
    client = Client(ClientLimits(connections=1, connect_seconds=0.05))
    first = await client.connect(base, 0)

    with pytest.raises(ConnectFailed):
        await client.connect(base, 0)

    assert client.statistics().waiting == 0
    first.close()
    client.close()


async def test_a_port_where_nobody_listens_is_told_apart(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base = Base("http", "127.0.0.1", listener.getsockname()[1])

    with pytest.raises(ConnectFailed, match=str(base.port)):
        await client.request(get(base))

    assert client.statistics().open == 0


async def test_a_name_that_does_not_exist_is_told_apart(client: Client) -> None:
    with pytest.raises(ConnectFailed, match="address"):
        await client.request(get(Base("http", "no such name", 80)))


async def test_an_idle_connection_ends_after_its_time(scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"))
    client = Client(ClientLimits(idle_seconds=0.05))
    await (await client.request(get(base))).body(10)

    await asyncio.wait_for(script.closed.wait(), 10)

    assert client.statistics().open == 0
    client.close()


async def test_a_closed_client_opens_nothing(scripted: Scripted) -> None:
    _, base = await scripted()
    client = Client()
    taken = await client.connect(base, 0)
    client.close()

    taken.release()

    assert client.statistics().open == 0
    with pytest.raises(ConnectFailed):
        await client.connect(base, 0)


async def test_an_answer_may_be_closed_twice_and_late(client: Client, scripted: Scripted) -> None:
    _, base = await scripted(ok(b"1"), ok(RAMP))
    whole: Answer = await client.request(get(base))
    await whole.body(10)
    cut = await client.request(get(base))

    for answer in (whole, cut, whole, cut):
        answer.close()

    assert client.statistics().open == 0


@pytest.mark.parametrize(
    ("url", "base", "authority"),
    [
        ("http://h", Base("http", "h", 80), b"h"),
        ("https://H:443/", Base("https", "h", 443), b"h"),
        ("http://10.0.0.1:9000", Base("http", "10.0.0.1", 9000), b"10.0.0.1:9000"),
        ("http://[::1]:9000", Base("http", "::1", 9000), b"[::1]:9000"),
    ],
)
async def test_a_base_is_read_from_its_url(url: str, base: Base, authority: bytes) -> None:
    assert (Base.parse(url), Base.parse(url).authority) == (base, authority)


@pytest.mark.parametrize("url", ["h:80", "ftp://h", "http://", "http://u@h", "http://h/p", "http://h?x", "http://h:x"])
async def test_a_url_with_more_than_a_base_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Base.parse(url)
