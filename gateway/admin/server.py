"""The admin port: health and metrics for everybody who reaches it, all else behind the administrators' token."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.admin.api import Api
from gateway.admin.cache import CacheApi
from gateway.admin.cluster import ClusterApi
from gateway.admin.exposition import CONTENT_TYPE, Exposition
from gateway.admin.malformed import MalformedAsDebug
from gateway.admin.operations import Operations
from gateway.admin.replies import TOLD, code_of, refusal
from gateway.admin.token import AdminToken
from gateway.admin.visitors import MOST, Visitors
from gateway.admin.whole import Whole, routes_of
from gateway.config import Address
from gateway.metrics import DoorCounters
from policy.yamlfile import DEFAULT_LIMITS
from regioncache.http.binding import bound
from regioncache.http.handshakes import Handshakes

OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
# For running replies when the node stops: aiohttp's own minute is longer than orchestrators wait.
GRACE_SECONDS = 5.0
HANDSHAKE_SECONDS = 20.0
BACKLOG = 128
# A topology of the largest accepted size and a policy, though half of it is quotes, which JSON writes as two characters
# each. Only who has the token is read so far.
LARGEST_BODY = 2 * DEFAULT_LIMITS.size_bytes


class AdminServer:
    """The running port. Built by `start`; whoever starts it stops it."""

    def __init__(
        self, runner: web.AppRunner, listening: asyncio.Server | Handshakes, address: Address, visitors: Visitors
    ) -> None:
        self._runner = runner
        self._listening = listening
        self.address = address
        self.visitors = visitors

    @classmethod
    async def start(
        cls,
        address: Address,
        operations: Operations,
        token: AdminToken,
        counters: DoorCounters,
        tls: ssl.SSLContext | None = None,
        grace_seconds: float = GRACE_SECONDS,
        connections: int = MOST,
        *,
        sock: socket.socket | None = None,
        whole: Whole | None = None,
    ) -> "AdminServer":
        """Opens the port.

        Args:
            address: Where to listen; port 0 lets the kernel choose, `address` of the result has the chosen one.
            operations: What the port asks.
            token: Guards everything but health and metrics, on loopback too: other users share it.
            counters: Count the answered requests, door `admin`.
            tls: The certificate's context; None: plain HTTP.
            grace_seconds: For running replies when it stops.
            connections: Open ones at most, and TLS handshakes besides.
            sock: Bound already; None: it is bound here.
            whole: Answers for all workers of the node; None: the operations are the node's.

        Raises:
            OSError: The address cannot be used.
        """
        visitors = Visitors(connections)
        runner = web.AppRunner(
            application(operations, token, counters, visitors.busy, whole),
            access_log=None,
            logger=MalformedAsDebug(logging.getLogger("aiohttp.server")),
            handle_signals=False,
            shutdown_timeout=grace_seconds,
        )
        await runner.setup()
        server = runner.server
        assert server is not None, "set up a line before"
        try:
            sock = sock or bound((address.host, address.port))
            port = int(sock.getsockname()[1])
            listening = await _listen(sock, visitors.received_by(server), tls, connections)
        except OSError:
            await runner.cleanup()
            raise
        if not address.loopback and tls is None:
            structlog.stdlib.get_logger("causeway.admin").warning(
                "the administrators' token crosses the network unencrypted; give listen.admin a tls certificate",
                address=str(address),
            )
        return cls(runner, listening, Address(address.host, port), visitors)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if isinstance(self._listening, Handshakes) else 'http'}://{self.address}"

    async def stop(self) -> None:
        """Closes the port; running replies have their grace, then they are cut."""
        self._listening.close()
        if isinstance(self._listening, Handshakes):
            await self._listening.ended()
        await self._runner.cleanup()


async def _listen(
    sock: socket.socket, protocol: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None, connections: int
) -> asyncio.Server | Handshakes:
    if tls is None:
        return await asyncio.get_running_loop().create_server(protocol, sock=sock, backlog=BACKLOG)
    sock.listen(BACKLOG)
    return Handshakes(sock, tls, protocol, most=connections, seconds=HANDSHAKE_SECONDS, shutdown_seconds=2.0)


def application(
    operations: Operations,
    token: AdminToken,
    counters: DoorCounters,
    busy: Callable[[asyncio.BaseProtocol], AbstractContextManager[None]],
    whole: Whole | None = None,
) -> web.Application:
    """Returns the port's handlers as an application; `busy` marks a connection while a request is under way on it."""
    marks = [_counted(counters), _marked(busy), _told, _guarded(token)]
    app = web.Application(middlewares=marks, client_max_size=LARGEST_BODY)
    exposition = Exposition(operations.metrics)

    async def healthz(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="alive\n")

    async def readyz(_request: web.Request) -> web.StreamResponse:
        ready = operations.status().ready
        return web.Response(
            text="ready\n" if ready else "not ready: see `causeway status`\n", status=200 if ready else 503
        )

    async def metrics(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=exposition.text(), headers={"Content-Type": CONTENT_TYPE})

    routes = [
        web.get("/healthz", healthz, name="healthz"),
        web.get("/readyz", readyz, name="readyz"),
        web.get("/metrics", metrics, name="metrics"),
        *Api(operations).routes(),
        *CacheApi(operations).routes(),
        *ClusterApi(operations).routes(),
    ]
    added = [] if whole is None else routes_of(operations, whole)
    app.add_routes({(one.method, one.path): one for one in [*routes, *added]}.values())
    return app


def _counted(counters: DoorCounters) -> Middleware:
    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        # Named by our own routes: what a client makes up is one name.
        operation = request.match_info.route.name or "unknown"
        counters.request("admin", operation, response.status)
        return response

    return counted


def _marked(busy: Callable[[asyncio.BaseProtocol], AbstractContextManager[None]]) -> Middleware:
    @web.middleware
    async def marked(request: web.Request, handler: Handler) -> web.StreamResponse:
        with busy(request.protocol):
            return await handler(request)

    return marked


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except TOLD as fault:
        return refusal(code_of(fault), str(fault), fault)
    except web.HTTPException as fault:
        return refusal(fault.status, f"{request.method} {request.path}: {fault.reason}")
    except (ConnectionError, TimeoutError):
        # The asker has gone; there is nobody to tell.
        raise
    except Exception:
        structlog.stdlib.get_logger("causeway.admin").exception("fault in the admin port", path=request.path)
        return refusal(500, "a fault in the node; its log has the traceback")


def _guarded(token: AdminToken) -> Middleware:
    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN and not token.admits(request.headers.get("Authorization")):
            return refusal(
                401, "this needs the administrators' token: CAUSEWAY_TOKEN, or admin.token in the first cache path"
            )
        return await handler(request)

    return guarded
