"""An HTTP/1.1 server on uvloop and httptools that knows neither S3 nor peers: they are handlers on it.

A handler that returns a plain `Reply` costs no task and no future. Whoever does not read, or does not write, is given
up in bounded time and holds bounded memory meanwhile.
"""

import asyncio
import contextlib
import heapq
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from email.utils import formatdate

from regioncache.http.binding import bound
from regioncache.http.connection import ServerConnection
from regioncache.http.handshakes import Contexts, Handshakes
from regioncache.http.limits import Limits
from regioncache.http.messages import Handler, Request

_SWEEP_SECONDS = 1.0
"""How often deadlines are looked at and the Date header is renewed; a timer per request would cost 1 us each."""


@dataclass(slots=True)
class Counters:
    """What happened since the start; `bytes` count HTTP, heads included, without TLS.

    `refused`: what was no request, or came too slowly. `turned_away`: connections for which there was no room.
    `let_go`: idle ones that were closed to make room for others.
    """

    accepted: int = 0
    requests: int = 0
    refused: int = 0
    turned_away: int = 0
    let_go: int = 0
    aborted: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """`Counters`, and the connections open now, those whose TLS handshake is under way apart.

    `handshakes_failed`: what came was not TLS, or too slow. `handshakes_dropped`: they made room for others.
    """

    open: int
    handshakes: int
    handshakes_failed: int
    handshakes_dropped: int
    accepted: int
    requests: int
    refused: int
    turned_away: int
    let_go: int
    aborted: int
    bytes_in: int
    bytes_out: int


def _unheard(request: Request, error: BaseException) -> None:
    """The hook for faults where the caller gave none."""


class Server:
    """Listens and serves until it is stopped."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_fault: Callable[[Request, BaseException], None] = _unheard,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Args:
        clock: monotonic seconds, for the deadlines.
        on_fault: told what a handler or a stream raised; the client sees 500, or a reply cut short, and nothing else.
        wall: seconds since the epoch, for the Date header.
        """
        self.handler = handler
        self.limits = limits or Limits()
        self.clock = clock
        self.on_fault = on_fault
        self.counters = Counters()
        self.now = clock()
        self.date = b""
        self._wall = wall
        self._connections: dict[ServerConnection, None] = {}  # in the order in which they came
        self._listeners: list[asyncio.Server | Handshakes] = []
        self.idle_seconds = self.limits.idle_seconds
        self._let_go: set[ServerConnection] = set()
        self._winding = False
        self._stopping = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(
        self, address: tuple[str, int] | socket.socket, tls: ssl.SSLContext | Contexts | None = None
    ) -> tuple[str, int]:
        """Serves on `address` (port 0: any) or on a socket that is bound already; returns where.

        Raises:
            OSError: the address is taken or not ours.
        """
        loop = asyncio.get_running_loop()
        if self._sweeper is None:
            self._tick(loop)
        sock = address if isinstance(address, socket.socket) else bound(address)
        host, port = sock.getsockname()[:2]
        limits = self.limits
        if tls is None:
            self._listeners.append(
                await loop.create_server(lambda: ServerConnection(self, loop), sock=sock, backlog=limits.backlog)
            )
            return str(host), int(port)
        sock.listen(limits.backlog)
        shaking = Handshakes(
            sock,
            tls,
            lambda: ServerConnection(self, loop),
            most=limits.handshakes,
            seconds=limits.head_seconds,
            shutdown_seconds=limits.linger_seconds,
        )
        self._listeners.append(shaking)
        return str(host), int(port)

    async def stop(self, grace_seconds: float, linger_seconds: float = 0.0) -> int:
        """Stops accepting, closes idle connections, lets running replies finish for `grace_seconds`, cuts the rest.

        For `linger_seconds` before, clients that still ask on connections of theirs are answered, with `Connection:
        close`: they go elsewhere, and no request of theirs meets a closed connection. Returns how many it cut.
        """
        cut = 0
        if linger_seconds:
            await self._wind_down(linger_seconds)
        self._stopping = True
        for listener in self._listeners:
            listener.close()
            if isinstance(listener, Handshakes):
                await listener.ended()
        for connection in tuple(self._connections):
            connection.wind_down()
        try:
            async with asyncio.timeout(grace_seconds):
                await self._empty.wait()
        except TimeoutError:
            cut = len(self._connections)
            tasks = [connection.abort() for connection in tuple(self._connections)]
            await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)
            await self._empty.wait()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        return cut

    def statistics(self) -> ServerStatistics:
        """Plain numbers, since the start."""
        counted = {field.name: getattr(self.counters, field.name) for field in fields(Counters)}
        shaking = [one for one in self._listeners if isinstance(one, Handshakes)]
        return ServerStatistics(
            open=len(self._connections),
            handshakes=sum(map(len, shaking)),
            handshakes_failed=sum(one.counts.failed for one in shaking),
            handshakes_dropped=sum(one.counts.dropped for one in shaking),
            **counted,
        )

    def sweep(self) -> None:
        """Gives up peers whose time is over; the server calls it each second."""
        self.now = now = self.clock()
        self.date = b"Date: %b\r\n" % formatdate(self._wall(), usegmt=True).encode()
        for connection in tuple(self._connections):
            connection.sweep(now)

    async def _wind_down(self, seconds: float) -> None:
        self._winding, self.idle_seconds = True, self.limits.linger_seconds
        for listener in self._listeners:
            if isinstance(listener, Handshakes):
                listener.refuse()
            else:
                listener.close()
        for connection in tuple(self._connections):
            connection.last_request()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), seconds)

    def admit(self, connection: ServerConnection) -> bool:
        """Counts a new connection in; False if there are too many, or no more are wanted."""
        self.counters.accepted += 1
        self._connections[connection] = None
        self._empty.clear()
        if self._winding:
            connection.last_request()
        if self._stopping:
            return False
        if len(self._connections) - len(self._let_go) <= self.limits.connections or self._make_room():
            return True
        self.counters.turned_away += 1
        return False

    def flooded(self) -> bool:
        """Whether even those who are told to come again are too many."""
        return len(self._connections) > 2 * self.limits.connections

    def leave(self, connection: ServerConnection) -> None:
        """The connection is gone."""
        self._connections.pop(connection, None)
        self._let_go.discard(connection)
        if not self._connections:
            self._empty.set()

    def _make_room(self) -> bool:
        """Closes those that have been without a request for longest; False where nobody is.

        Many at once: to look for them takes as long as there are connections, and more will come.
        """
        idle = [one for one in self._connections if one.stage and one not in self._let_go]
        # Deadlines are told to the second; of the same, those that came first stand first.
        eldest = heapq.nsmallest(max(1, self.limits.connections // 64), idle, key=lambda one: one.deadline)
        gone = [one for one in eldest if one.let_go()]
        self._let_go.update(one for one in gone if one in self._connections)
        self.counters.let_go += len(gone)
        return bool(gone)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self.sweep()
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._tick, loop)
