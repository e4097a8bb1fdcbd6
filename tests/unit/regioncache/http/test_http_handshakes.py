"""TLS connections before their handshake is done: bounded, given up in time, and no trouble for others."""

import asyncio
import errno
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from regioncache.http.ask import Base
from regioncache.http.binding import bound
from regioncache.http.client import Client
from regioncache.http.connection import ServerConnection
from regioncache.http.handshakes import Handshakes
from regioncache.http.limits import Limits
from regioncache.http.server import Server
from tests.fakes.http_ramp import RAMP, by_target, fetch

pytestmark = pytest.mark.anyio
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@asynccontextmanager
async def served(tls: Contexts, **limits: float) -> AsyncIterator[tuple[Server, int]]:
    """A server over TLS; at its end nothing of it is left."""
    server = Server(by_target, Limits(**limits))  # type: ignore[arg-type]
    _, port = await server.listen(("127.0.0.1", 0), tls[0])
    try:
        yield server, port
    finally:
        await server.stop(0.0)
        assert (server.statistics().open, server.statistics().handshakes) == (0, 0)


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop turn until something is so; the test's own limit of time ends it if it never is."""
    while not condition():
        await asyncio.sleep(0.001)


async def reads(port: int, tls: Contexts) -> bool:
    """Whether a client is served."""
    client = Client(tls=tls[1])
    try:
        return await fetch(client, Base("https", "127.0.0.1", port), b"/1000") == RAMP[:1000]
    finally:
        client.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        random.Random(7).randbytes(10_000),
        b"\x16\x03\x01\x40\x00" + bytes(0x4000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
        b"\x80\x2e\x01\x00\x02",
        b"\0",
    ],
    ids=["plain http", "noise", "a record of zeros", "half a hello", "SSL 2", "one byte"],
)
@pytest.mark.parametrize("ends", [True, False], ids=["then the end", "then silence"])
async def test_what_is_not_tls_ends_its_own_connection_and_no_other(tls: Contexts, garbage: bytes, ends: bool) -> None:
    async with served(tls, head_seconds=1.0) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        if ends:
            writer.write_eof()

        assert await reads(port, tls)
        told = await _to_the_end(reader)
        await until(lambda: not server.statistics().handshakes)

        assert b"HTTP/1.1" not in told
        assert (server.statistics().requests, server.statistics().handshakes_failed) == (1, 1)
        writer.close()


async def test_who_says_nothing_is_given_up(tls: Contexts) -> None:
    async with served(tls, head_seconds=0.05) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        assert await _to_the_end(reader) == b""
        await until(lambda: not server.statistics().handshakes)
        writer.close()


async def test_handshakes_are_bounded_and_the_longest_goes_first(
    tls: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regioncache.http.handshakes.PATIENCE_SECONDS", 0.0)
    async with served(tls, handshakes=4) as (server, port):
        strangers = []
        for number in range(12):
            strangers.append(await asyncio.open_connection("127.0.0.1", port))
            await until(lambda number=number: server.statistics().handshakes >= min(number + 1, 4))

        for reader, _ in strangers[:8]:
            assert await _to_the_end(reader) == b""
        assert (server.statistics().handshakes, server.statistics().handshakes_dropped) == (4, 8)
        assert await reads(port, tls)
        assert server.statistics().handshakes == 3
        for _, writer in strangers:
            writer.close()


async def test_a_burst_waits_its_turn_and_nobody_is_dropped(tls: Contexts) -> None:
    async with served(tls, handshakes=2) as (server, port):
        served_all = await asyncio.gather(*(reads(port, tls) for _ in range(20)))

        assert served_all == [True] * 20
        assert server.statistics().requests == 20


async def test_strangers_who_dawdle_keep_nobody_out_for_longer_than_the_patience(
    tls: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regioncache.http.handshakes.PATIENCE_SECONDS", 0.05)
    async with served(tls, handshakes=2) as (_, port):
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]

        assert await reads(port, tls)

        for _, writer in strangers:
            writer.close()


class Short:
    """A listening socket of a process that has no descriptors left for the next so many times it accepts."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.accepts = 0
        self._sock = bound(("127.0.0.1", 0))
        self._sock.listen()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def accept(self) -> object:
        self.accepts += 1
        if self.left:
            self.left -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._sock.accept()


@asynccontextmanager
async def shaking(sock: Short, tls: Contexts) -> AsyncIterator[int]:
    """Accepts on this socket; gives its port."""
    server, loop = Server(by_target), asyncio.get_running_loop()
    hands = Handshakes(
        cast(socket.socket, sock), tls[0], lambda: ServerConnection(server, loop), most=4, seconds=5, shutdown_seconds=1
    )
    try:
        yield int(sock.getsockname()[1])
    finally:
        hands.close()
        await hands.ended()
        await server.stop(0.0)


async def test_without_descriptors_it_waits_and_then_goes_on(tls: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regioncache.http.handshakes._PAUSE_SECONDS", 0.01)
    sock = Short(3)

    async with shaking(sock, tls) as port:
        assert await reads(port, tls)

    assert sock.left == 0


async def test_without_descriptors_it_does_not_turn_in_circles(tls: Contexts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regioncache.http.handshakes._PAUSE_SECONDS", 1000.0)
    sock = Short(1000)

    async with shaking(sock, tls) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: sock.accepts > 0)
        for _ in range(100):
            await asyncio.sleep(0)
        writer.close()

    assert sock.accepts == 1


async def test_a_stop_breaks_handshakes_off(tls: Contexts) -> None:
    async with served(tls) as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: server.statistics().handshakes == 1)

        await server.stop(5.0)

        assert await _to_the_end(reader) == b""
        writer.close()


async def _to_the_end(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side ends it, by whatever means."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""
