"""What the client sends and what it takes for an answer: exact requests, whole bodies, bounds, and pulling."""

import asyncio
import socket

import pytest

from regioncache.http.ask import Ask, Base
from regioncache.http.client import Client
from regioncache.http.faults import BadHttp
from tests.fakes.clock import settle
from tests.fakes.http_script import Scripted, chunked, get, ok

pytestmark = pytest.mark.anyio
RAMP = bytes(range(251)) * 4000


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


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 003 Slow Down\r\nContent-Length: 0\r\n\r\n",
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
