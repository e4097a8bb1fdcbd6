"""The admin port's connections, under a limit: who asks nothing makes room for who comes.

aiohttp has no limit of its own and waits for ever for a first request, so that a stranger who opens connections and
says nothing would take the descriptors that the node serves by.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

MOST = 256
"""Scrapers, dashboards and commands are a handful; descriptors are shared with the doors."""
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
)
_TEXT = b"the admin port has no room for another connection: all of them are busy; try again\n"


class Visitors:
    """Who is there; protocols stand for connections, those that answer for them.

    Mutable: `_open`, by when each was last heard, the one silent longest first; `_busy`, those with a request under
    way; `turned_away` since the start.
    """

    def __init__(self, most: int = MOST) -> None:
        self.turned_away = 0
        self._most = most
        self._open: dict[asyncio.BaseProtocol, Visitor] = {}
        self._busy: set[asyncio.BaseProtocol] = set()

    def __len__(self) -> int:
        return len(self._open)

    def received_by(self, inner: Callable[[], asyncio.Protocol]) -> Callable[[], "Visitor"]:
        """Returns what makes the protocols of connections; `inner` makes those that answer."""
        return lambda: Visitor(self, inner())

    @contextmanager
    def busy(self, answering: asyncio.BaseProtocol) -> Iterator[None]:
        """A request is under way on the connection of this inner protocol: it makes room for nobody."""
        self._busy.add(answering)
        try:
            yield
        finally:
            self._busy.discard(answering)

    def admit(self, answering: asyncio.BaseProtocol, visitor: "Visitor") -> bool:
        """Counts a connection in; False where all others are busy."""
        if len(self._open) >= self._most:
            eldest = next((one for one in self._open if one not in self._busy), None)
            if eldest is None:
                self.turned_away += 1
                return False
            self._open.pop(eldest).transport.abort()
        self._open[answering] = visitor
        return True

    def heard(self, answering: asyncio.BaseProtocol) -> None:
        """Something came on this connection."""
        visitor = self._open.pop(answering, None)
        if visitor is not None:
            self._open[answering] = visitor

    def leave(self, answering: asyncio.BaseProtocol) -> None:
        """The connection is gone."""
        self._open.pop(answering, None)


class Visitor(asyncio.Protocol):
    """One connection: hands everything on, once there is room for it."""

    transport: asyncio.Transport

    def __init__(self, visitors: Visitors, answering: asyncio.Protocol) -> None:
        self._visitors = visitors
        self._answering = answering
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._admitted = self._visitors.admit(self._answering, self)
        if self._admitted:
            self._answering.connection_made(transport)
        else:
            self.transport.write(_FULL % (len(_TEXT), _TEXT))
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._admitted:
            self._visitors.heard(self._answering)
            self._answering.data_received(data)

    def eof_received(self) -> bool | None:
        return self._answering.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        if self._admitted:
            self._answering.pause_writing()

    def resume_writing(self) -> None:
        if self._admitted:
            self._answering.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        if self._admitted:
            self._visitors.leave(self._answering)
            self._answering.connection_lost(error)
