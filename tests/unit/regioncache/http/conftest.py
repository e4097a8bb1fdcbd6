"""Servers to speak to: on a transport that only records, on a socket, plain or TLS, or by a script; and a client."""

import ssl
import time
from collections.abc import AsyncIterator, Callable

import pytest

from regioncache.http.ask import Base
from regioncache.http.client import Client
from regioncache.http.limits import Limits
from regioncache.http.messages import Handler, Request
from regioncache.http.server import Server
from tests.fakes.clock import FakeClock
from tests.fakes.http_handlers import Peering
from tests.fakes.http_peer import HttpPeer
from tests.fakes.http_ramp import Serve
from tests.fakes.http_script import Script, Scripted
from tests.real.lab.certificates import certificate


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The data path runs on uvloop."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def peering(clock: FakeClock) -> Peering:
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


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's context, client's context that trusts it)."""
    made = certificate(tmp_path_factory.mktemp("tls"))
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(made.cert, made.key)
    return ours, ssl.create_default_context(cafile=str(made.cert))


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
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
    """A client that must have nothing open at the end."""
    made = Client()
    yield made
    made.close()
    assert made.statistics().open == 0
