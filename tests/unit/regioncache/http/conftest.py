"""Servers to speak to: on a transport that only records, or on a socket."""

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from regioncache.http.limits import Limits
from regioncache.http.messages import Handler, Request
from regioncache.http.server import Server
from tests.fakes.clock import FakeClock
from tests.fakes.http_peer import HttpPeer

Serve = Callable[..., Awaitable[tuple[Server, int]]]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The data path runs on uvloop."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def peering(clock: FakeClock) -> Callable[..., HttpPeer]:
    def make(handler: Handler, limits: Limits | None = None) -> HttpPeer:
        return HttpPeer(handler, clock, limits or Limits())

    return make


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers on loopback; they are stopped at the end, and nothing of theirs may be left."""
    servers: list[Server] = []

    async def start(
        handler: Handler,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        on_fault: Callable[[Request, BaseException], None] = lambda request, error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> tuple[Server, int]:
        server = Server(handler, limits, clock, on_fault)
        servers.append(server)
        _, port = await server.listen(("127.0.0.1", 0), tls)
        return server, port

    yield start
    for server in servers:
        await server.stop(0.0)
        assert server.statistics().open == 0
