"""The admin port bears a crowd: who asks nothing makes room, who is being answered does not."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.admin.server import AdminServer
from gateway.admin.token import AdminToken
from gateway.admin.visitors import Visitors
from gateway.config import Address
from gateway.metrics import DoorCounters
from gateway.tls import Certificate
from namespace.store.embedded import EmbeddedStore
from tests.fakes.certificates import write_certificate
from tests.fakes.operations import FakeOperations
from tests.unit.gateway.admin.conftest import TOKEN

pytestmark = pytest.mark.anyio
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
CLOSING = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def opened(
    store: EmbeddedStore, connections: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[AdminServer]:
    """A port that takes so many connections."""
    operations, counters = FakeOperations(store, {}), DoorCounters()
    server = await AdminServer.start(
        Address("127.0.0.1", 0), operations, AdminToken(TOKEN), counters, tls, 0.0, connections
    )
    try:
        yield server
    finally:
        await server.stop()


async def talk(
    server: AdminServer, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.address.port, ssl=tls)


async def test_strangers_who_hold_every_place_make_room(store: EmbeddedStore) -> None:
    async with opened(store, 8) as server:
        strangers = [await talk(server) for _ in range(40)]

        for _ in range(20):
            reader, writer = await talk(server)
            writer.write(CLOSING)
            assert (await reader.read()).endswith(b"alive\n")
            writer.close()

        assert len(server.visitors) <= 8
        for _, writer in strangers:
            writer.close()


async def test_the_one_that_was_heard_last_stays(store: EmbeddedStore) -> None:
    async with opened(store, 2) as server:
        kept, silent = await talk(server), await talk(server)
        kept[1].write(HEALTH)
        await kept[0].readuntil(b"alive\n")

        third = await talk(server)

        assert await silent[0].read() == b""
        for reader, writer in (kept, third):
            writer.write(CLOSING)
            assert (await reader.read()).endswith(b"alive\n")
            writer.close()
        silent[1].close()


class Silent(asyncio.Protocol):
    """Answers nobody."""


class Line(asyncio.Transport):
    """A connection that only remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.aborted = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True


async def test_a_connection_with_a_request_under_way_makes_room_for_nobody() -> None:
    inner: list[Silent] = []

    def made() -> Silent:
        inner.append(Silent())
        return inner[-1]

    visitors = Visitors(1)
    arrives = visitors.received_by(made)
    first, second, third = Line(), Line(), Line()
    arrives().connection_made(first)

    with visitors.busy(inner[0]):
        arrives().connection_made(second)
    arrives().connection_made(third)

    assert second.written.startswith(b"HTTP/1.1 503 ")
    assert (second.closed, first.aborted, third.aborted) == (True, True, False)
    assert (len(visitors), visitors.turned_away) == (1, 1)


async def test_a_crowd_over_tls_that_never_shakes_hands_makes_room_too(store: EmbeddedStore, tmp_path: Path) -> None:
    context = Certificate(write_certificate(tmp_path, "admin")).context
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with opened(store, 4, context) as server:
        strangers = [await talk(server) for _ in range(30)]

        reader, writer = await talk(server, trusting)
        writer.write(CLOSING)

        assert server.url.startswith("https://")
        assert (await reader.read()).endswith(b"alive\n")
        for _, one in [*strangers, (reader, writer)]:
            one.close()


async def test_a_stop_closes_who_is_there(store: EmbeddedStore) -> None:
    async with opened(store, 4) as server:
        reader, writer = await talk(server)
        writer.write(HEALTH)
        await reader.readuntil(b"alive\n")

        await server.stop()

        assert await reader.read() == b""
        assert len(server.visitors) == 0
        writer.close()
