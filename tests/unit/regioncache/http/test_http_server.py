"""Server and client together, over sockets: bytes come through whole, however slowly, and faults are seen."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.http.ask import Ask, Base
from regioncache.http.client import Client
from regioncache.http.faults import AnswerCutShort
from regioncache.http.limits import Limits
from regioncache.http.messages import Reply
from regioncache.http.server import Server
from tests.fakes.clock import FakeClock
from tests.fakes.http_ramp import RAMP, Serve, by_target, fetch

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    "target", [b"/0", b"/1", b"/65536", b"/5000000", b"/1/1", b"/5000000/262144", b"/300000/999", b"/0/1"]
)
async def test_every_byte_comes_through(
    serve: Serve, tls: tuple[ssl.SSLContext, ssl.SSLContext], target: bytes, chunked: bool, secure: bool
) -> None:
    _, port = await serve(by_target, tls=tls[0] if secure else None)
    client = Client(tls=tls[1])
    base = Base("https" if secure else "http", "127.0.0.1", port)

    body = await fetch(client, base, target, ((b"x-chunked", b"1"),) if chunked else ())

    assert body == RAMP[: int(target.split(b"/")[1])]
    client.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_large_body_is_taken_and_given_back(
    serve: Serve, tls: tuple[ssl.SSLContext, ssl.SSLContext], secure: bool
) -> None:
    _, port = await serve(by_target, tls=tls[0] if secure else None)
    client = Client(tls=tls[1])
    base = Base("https" if secure else "http", "127.0.0.1", port)

    answer = await client.request(Ask(base, b"PUT", b"/echo", (), RAMP))

    assert await answer.body(len(RAMP)) == RAMP
    client.close()


async def test_many_at_once_get_each_their_own(serve: Serve) -> None:
    server, port = await serve(by_target)
    client = Client()
    base = Base("http", "127.0.0.1", port)
    sizes = [number * 997 for number in range(200)]

    bodies = await asyncio.gather(*(fetch(client, base, b"/%d/%d" % (size, 10_000)) for size in sizes))

    assert [len(body) for body in bodies] == sizes
    assert all(body == RAMP[: len(body)] for body in bodies)
    assert server.statistics().requests == 200
    client.close()


async def test_pieces_may_be_overwritten_when_the_next_is_asked_for_even_if_the_reader_is_slow(serve: Serve) -> None:
    _, port = await serve(by_target)
    client = Client()
    answer = await client.request(
        Ask(Base("http", "127.0.0.1", port), b"GET", b"/5000000/262144", receive_buffer=16_384)
    )
    into = memoryview(bytearray(5000))

    received = bytearray()
    while got := await answer.receive(into):
        received += into[:got]
        await asyncio.sleep(0)

    assert received == RAMP[:5_000_000]
    client.close()


async def test_a_reader_that_is_merely_slow_is_never_cut_off(serve: Serve, clock: FakeClock) -> None:
    """It drains the kernel's megabytes for minutes, during which not one byte leaves the server's own buffer."""
    server, port = await serve(lambda request: Reply(200, body=RAMP * 6), Limits(write_seconds=10), clock=clock)
    loop = asyncio.get_running_loop()
    with socket.socket() as reader:
        reader.setblocking(False)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        await loop.sock_connect(reader, ("127.0.0.1", port))
        await loop.sock_sendall(reader, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")

        for _ in range(60):
            left = 256 * 1024
            while left:
                got = await loop.sock_recv(reader, left)
                assert got, "the reader was cut off"
                left -= len(got)
            clock.advance(9)
            server.sweep()

    assert server.statistics().aborted == 0


async def test_a_client_that_closes_ends_its_stream(serve: Serve) -> None:
    closed = asyncio.Event()
    sent: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield RAMP
        finally:
            closed.set()

    _, port = await serve(lambda request: Reply(200, stream=endless(), length=1 << 40, done=sent.append))
    client = Client()
    answer = await client.request(Ask(Base("http", "127.0.0.1", port), b"GET", b"/"))

    answer.close()
    await asyncio.wait_for(closed.wait(), 10)

    assert len(sent) == 1
    assert sent[0] > 0
    client.close()


async def test_a_stream_that_fails_is_seen_as_cut_short(serve: Serve) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield RAMP[:1000]
        raise OSError("disk")

    faults: list[BaseException] = []
    _, port = await serve(
        lambda request: Reply(200, stream=failing(), length=2000), on_fault=lambda request, error: faults.append(error)
    )
    client = Client()
    answer = await client.request(Ask(Base("http", "127.0.0.1", port), b"GET", b"/"))

    with pytest.raises(AnswerCutShort):
        await answer.body(2000)

    assert [str(fault) for fault in faults] == ["disk"]
    client.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", b"431"),
        (b"PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n" + bytes(9_000_000), b"413"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody", b"400"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    ],
)
async def test_a_refusal_reaches_a_client_that_is_still_sending(
    serve: Serve, request_bytes: bytes, status: bytes
) -> None:
    _, port = await serve(by_target)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    writer.write(request_bytes)
    answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 %b " % status)
    writer.close()


@given(st.lists(st.integers(1, 4000), max_size=30), st.lists(st.integers(1, 3000), min_size=1, max_size=5))
async def test_chunks_of_any_size_are_received_whole_into_memory_of_any_size(
    sizes: list[int], memory: list[int]
) -> None:
    async def stream() -> AsyncIterator[bytes]:
        at = 0
        for size in sizes:
            yield RAMP[at : at + size]
            at += size

    server = Server(lambda request: Reply(200, stream=stream()))
    _, port = await server.listen(("127.0.0.1", 0))
    client = Client()

    answer = await client.request(Ask(Base("http", "127.0.0.1", port), b"GET", b"/"))
    received, turn = b"", 0
    while got := await answer.receive(into := memoryview(bytearray(memory[turn % len(memory)]))):
        received += into[:got]
        turn += 1

    assert received == RAMP[: sum(sizes)]
    client.close()
    await server.stop(0)
